/* SPDX-License-Identifier: Apache-2.0 */
#include "view-steps.h"

/*
 * The same steps in every view: the tree inside must look the same, the layer must have the same digest, and layer and base
 * together must be the tree that the step saw. SEED and ROUNDS repeat or prolong a run.
 *
 * fuse-overlayfs has its own ideas when it copies something up (src/view/fuse-repair.h says which, and what is mended). So it is
 * asked for gentle steps, and directories are compared by all but their times: steps that change and set these all over
 * are beyond mending. Ordinary ones are tested at the end.
 */
struct stage {
	struct lab *lab;
	uint64_t seed;
	int lowers[160]; /* [0] topmost */
	size_t count;
	int session_fd;
	bool is_gentle;
	char stack_id[32];
};

static void stage_release(struct stage *stage)
{
	for (size_t i = 0; i < stage->count; i++)
		close(stage->lowers[i]);
	scope_close_fd(&stage->session_fd);
}
#define scope_stage __attribute__((cleanup(stage_release)))

static void push_lower(struct stage *stage, int fd)
{
	memmove(stage->lowers + 1, stage->lowers, stage->count * sizeof(int));
	stage->lowers[0] = fd;
	stage->count++;
}

/* What one view made of a step. */
struct outcome {
	struct strbuf inside, layered;
	struct layer_stats stats;
	struct strbuf recipe;
	int upper_fd;
};

static void outcome_release(struct outcome *outcome)
{
	strbuf_release(&outcome->inside);
	strbuf_release(&outcome->layered);
	strbuf_release(&outcome->recipe);
	scope_close_fd(&outcome->upper_fd);
}

/* layer + stack, without any view. Not after each of many steps: it costs the whole tree. */
static int check_stack(const struct stage *stage, int work_fd, struct outcome *outcome, struct err *err)
{
	if (stage->count > 10 && stage->count % 20 != 0)
		return 0;
	int layers[161] = { outcome->upper_fd };
	scope_fd int whole_fd = lab_dir(work_fd, "whole", err);

	memcpy(layers + 1, stage->lowers, stage->count * sizeof(int));
	TRY(layer_copy_stack(layers, stage->count + 1, whole_fd, err));
	TRY(steps_describe(whole_fd, "", &outcome->layered, err));
	if (stage->is_gentle)
		steps_forget_dir_times(&outcome->layered);
	return steps_compare("the tree in the step", &outcome->inside, "the layers", &outcome->layered, err);
}

static int run_in_view(struct stage *stage, enum view_kind kind, uint64_t seed, unsigned operations,
		       const struct strvec *frozen, const char *next_id, struct outcome *outcome, struct err *err)
{
	struct steps steps = {
		.has_ids = stage->lab->has_ids, .is_gentle = stage->is_gentle, .random = seed, .frozen = *frozen
	};
	scope_view struct view view = VIEW_EMPTY;
	char name[64];

	snprintf(name, sizeof(name), "%s-%llx", view_kind_name(kind), (unsigned long long)seed);
	scope_fd int work_fd = lab_dir(stage->lab->dir_fd, name, err);
	struct view_spec spec = { .kind = kind,
				  .work_fd = work_fd,
				  .lowers = stage->lowers,
				  .lower_count = stage->count,
				  .session_fd = stage->session_fd,
				  .stack_id = stage->stack_id,
				  .next_id = next_id };
	TRY(view_open(&view, &spec, err));
	steps.root_fd = openat(view.root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	steps_run(&steps, operations);
	int described = steps_describe(steps.root_fd, "", &outcome->inside, err);
	close(steps.root_fd);
	TRY(described);
	TRY(view_finish(&view, STEPS_PAST, err));
	outcome->upper_fd = openat(work_fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	struct layer_diff_options options = { .clamp = STEPS_PAST };
	scope_writer struct writer *sink = writer_strbuf(&outcome->recipe);
	TRY(layer_diff(outcome->upper_fd, stage->lowers, stage->count, &options, sink, &outcome->stats, err));
	if (stage->is_gentle)
		steps_forget_dir_times(&outcome->inside);
	return check_stack(stage, work_fd, outcome, err);
}

/* For a maintainer: the tar of a layer whose digest was not expected. */
static void keep_tar(const struct outcome *outcome, const char *path)
{
	scope_fd int fd = openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	scope_reader struct reader *recipe = reader_bytes(outcome->recipe.ptr, outcome->recipe.len);
	scope_writer struct writer *out = writer_fd(fd, false, path);

	if (layer_replay(recipe, outcome->upper_fd, out, NULL) < 0 || out->finish(out, NULL) < 0)
		fprintf(stderr, "# %s cannot be written\n", path);
}

/* Directories that are also below get the time that they have there, all others one time. */
static int level_dir_times(int dir_fd, const struct stack_dir *below, struct err *err)
{
	scope_fd int list_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *dir = fdopendir(take_fd(&list_fd));
	struct stat st = { .st_mtim.tv_sec = 1 };

	CHECK(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		scope_stack struct stack_dir *child = NULL;
		bool missing;
		if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		scope_fd int fd = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (below)
			child = stack_child(below, entry->d_name, &missing, NULL);
		TRY(level_dir_times(fd, child, err));
	}
	CHECK(!below || fstat(stack_top(below), &st) == 0);
	CHECK(futimens(dir_fd, (struct timespec[]){ st.st_mtim, st.st_mtim }) == 0);
	return 0;
}

/* Saves in times, or sets from there, the time of each directory in one order. */
static int keep_dir_times(int dir_fd, struct strbuf *times, size_t *at, bool save, struct err *err)
{
	scope_fd int list_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *dir = fdopendir(take_fd(&list_fd));
	struct stat st;

	CHECK(dir && fstat(dir_fd, &st) == 0);
	if (save)
		strbuf_add(times, &st.st_mtim, sizeof(st.st_mtim));
	else
		memcpy(&st.st_mtim, times->ptr + *at, sizeof(st.st_mtim));
	*at += sizeof(st.st_mtim);
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		scope_fd int fd = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		TRY(keep_dir_times(fd, times, at, save, err));
	}
	CHECK(save || futimens(dir_fd, (struct timespec[]){ st.st_mtim, st.st_mtim }) == 0);
	return 0;
}

/* The digest without what directories' times have to do with it. upper is left as it was. */
static int level_digest(const struct stage *stage, const struct outcome *outcome, struct digest *digest,
			struct err *err)
{
	scope_stack struct stack_dir *below = stack_open(stage->lowers, stage->count, err);
	scope_strbuf struct strbuf times = { 0 };
	struct layer_stats stats;
	size_t at = 0, again = 0;

	CHECK(below);
	TRY(keep_dir_times(outcome->upper_fd, &times, &at, true, err));
	TRY(level_dir_times(outcome->upper_fd, below, err));
	TRY(lab_diff(outcome->upper_fd, stage->lowers, stage->count, STEPS_PAST, &stats, err));
	*digest = stats.diff_id;
	return keep_dir_times(outcome->upper_fd, &times, &again, false, err);
}

static int compare_outcomes(const struct stage *stage, struct outcome *outcomes, size_t i, struct err *err)
{
	const char *name = view_kind_name(stage->lab->kinds[i]), *first = view_kind_name(stage->lab->kinds[0]);
	struct digest one = outcomes[0].stats.diff_id, other = outcomes[i].stats.diff_id;

	if (stage->lab->kinds[i] == VIEW_FUSE) {
		TRY(level_digest(stage, &outcomes[0], &one, err));
		TRY(level_digest(stage, &outcomes[i], &other, err));
	}
	TRY(steps_compare(first, &outcomes[0].inside, name, &outcomes[i].inside, err));
	if (digest_equal(&one, &other))
		return 0;
	if (getenv("KEEP_TARS")) {
		keep_tar(&outcomes[0], "/tmp/kiln-same-0.tar");
		keep_tar(&outcomes[i], "/tmp/kiln-same-1.tar");
	}
	return err_set(err, ERR_SYSTEM,
		       "the layers of %s and %s differ: %lld and %lld entries (KEEP_TARS=1 shows them)", first, name,
		       (long long)outcomes[0].stats.entries, (long long)outcomes[i].stats.entries);
}

static int step(struct stage *stage, int number, unsigned operations, struct err *err)
{
	struct outcome outcomes[3] = { { .upper_fd = -1 }, { .upper_fd = -1 }, { .upper_fd = -1 } };
	scope_strvec struct strvec frozen = { 0 };
	uint64_t seed = stage->seed * 1000 + (unsigned)number;
	char next_id[32];
	int result = 0;

	for (size_t i = 0; i < stage->count; i++)
		TRY(steps_find_linked(stage->lowers[i], "", &frozen, err));
	snprintf(next_id, sizeof(next_id), "step %d", number);
	for (size_t i = 0; i < stage->lab->kind_count && result == 0; i++) {
		result = run_in_view(stage, stage->lab->kinds[i], seed, operations, &frozen, next_id, &outcomes[i],
				     err);
		if (result < 0)
			err_wrap(err, "%s", view_kind_name(stage->lab->kinds[i]));
		if (result == 0)
			result = compare_outcomes(stage, outcomes, i, err);
	}
	if (result == 0) {
		/* Whose changes are the next layer must not matter. */
		size_t chosen = (size_t)number % stage->lab->kind_count;
		push_lower(stage, take_fd(&outcomes[chosen].upper_fd));
		memcpy(stage->stack_id, next_id, sizeof(next_id));
	}
	for (size_t i = 0; i < 3; i++)
		outcome_release(&outcomes[i]);
	return result < 0 ? err_wrap(err, "SEED=%llu step %d", (unsigned long long)stage->seed, number) : 0;
}

static int make_base(struct stage *stage, struct err *err)
{
	int fd = lab_dir(stage->lab->dir_fd, "base", err);
	struct steps steps = { .root_fd = fd,
			       .has_ids = stage->lab->has_ids,
			       .is_gentle = stage->is_gentle,
			       .random = stage->seed * 77 + 1 };

	TRY(fd);
	steps_run(&steps, 150);
	TRY(layer_tree_settle(fd, STEPS_PAST - 20000, err));
	push_lower(stage, fd);
	return 0;
}

/* Steps as they come in overlay and copy; gentle ones in all three. */
static int run_stage(struct lab *lab, uint64_t seed, bool is_gentle, int step_count, unsigned operations,
		     struct err *err)
{
	struct lab own = { .has_ids = lab->has_ids };
	scope_stage struct stage stage = {
		.lab = &own, .seed = seed, .session_fd = -1, .is_gentle = is_gentle, .stack_id = "base"
	};
	char name[32];
	int result = 0;

	snprintf(name, sizeof(name), "stage%llu", (unsigned long long)seed);
	for (size_t i = 0; i < lab->kind_count; i++) {
		if (is_gentle || lab->kinds[i] != VIEW_FUSE)
			own.kinds[own.kind_count++] = lab->kinds[i];
	}
	own.dir_fd = lab_dir(lab->dir_fd, name, err);
	TRY(own.dir_fd);
	stage.session_fd = lab_dir(own.dir_fd, "session", err);
	if (stage.session_fd < 0 || make_base(&stage, err) < 0)
		result = -1;
	for (int i = 0; i < step_count && result == 0; i++)
		result = step(&stage, i, operations, err);
	close(own.dir_fd);
	TRY(result);
	return file_remove_tree(lab->dir_fd, name, err);
}

static unsigned from_env(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static int run_stages(struct lab *lab, bool is_gentle, struct err *err)
{
	unsigned first = from_env("SEED", 1), rounds = from_env("ROUNDS", 4);

	for (unsigned seed = first; seed < first + rounds; seed++)
		TRY(run_stage(lab, seed, is_gentle, 5, 40, err));
	return 0;
}

static int rough_stages(struct lab *lab, struct err *err)
{
	return run_stages(lab, false, err);
}

static void overlay_and_copy_make_the_same_layers_of_the_same_steps(void **state)
{
	run_in_view_lab(state, rough_stages);
}

static int gentle_stages(struct lab *lab, struct err *err)
{
	return run_stages(lab, true, err);
}

static void all_views_make_the_same_layers_of_gentle_steps(void **state)
{
	run_in_view_lab(state, gentle_stages);
}

static int long_stage(struct lab *lab, struct err *err)
{
	return run_stage(lab, from_env("SEED", 1) + 100000, true, 120, 3, err);
}

static void all_views_make_the_same_layers_on_120_layers(void **state)
{
	run_in_view_lab(state, long_stage);
}

/* ---- times of directories ---- */

static int put_early(int dir_fd, const char *path, const char *text, struct err *err)
{
	TRY(lab_put(dir_fd, path, text, err));
	CHECK(utimensat(dir_fd, path, (struct timespec[]){ { .tv_sec = 1000 }, { .tv_sec = 1000 } }, 0) == 0);
	return 0;
}

/* etc/passwd, etc/ssl/certs/{a,b} with ssl setgid, lib/x and a link to it; all early */
static int make_early_tree(int base_fd, struct err *err)
{
	static const char *const dirs[] = { "etc", "etc/ssl", "etc/ssl/certs", "lib" };
	static const char *const files[] = { "etc/passwd", "etc/ssl/certs/a", "etc/ssl/certs/b", "lib/x" };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		CHECK(mkdirat(base_fd, dirs[i], 0755) == 0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		TRY(put_early(base_fd, files[i], files[i], err));
	CHECK(symlinkat("x", base_fd, "lib/link") == 0 && fchmodat(base_fd, "etc/ssl", 02775, 0) == 0);
	CHECK(utimensat(base_fd, "lib/link", (struct timespec[]){ { .tv_sec = 1000 }, { .tv_sec = 1000 } },
			AT_SYMLINK_NOFOLLOW) == 0);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		CHECK(utimensat(base_fd, dirs[i], (struct timespec[]){ { .tv_sec = 1000 }, { .tv_sec = 1000 } }, 0) ==
		      0);
	return 0;
}

static int append(int dir_fd, const char *path, struct err *err)
{
	scope_fd int fd = openat(dir_fd, path, O_WRONLY | O_APPEND | O_CLOEXEC);

	CHECK(fd >= 0 && write(fd, "+", 1) == 1);
	return 0;
}

static int append_to_files(int root_fd, struct err *err)
{
	TRY(append(root_fd, "etc/passwd", err));
	return append(root_fd, "etc/ssl/certs/a", err);
}

static int change_modes(int root_fd, struct err *err)
{
	CHECK(fchmodat(root_fd, "etc/ssl/certs/a", 0600, 0) == 0 && fchmodat(root_fd, "lib", 0700, 0) == 0);
	CHECK(fchownat(root_fd, "lib/link", 0, 0, AT_SYMLINK_NOFOLLOW) == 0);
	return 0;
}

static int replace_by_rename(int root_fd, struct err *err)
{
	TRY(lab_put(root_fd, "etc/passwd.new", "new", err));
	CHECK(renameat(root_fd, "etc/passwd.new", root_fd, "etc/passwd") == 0);
	return 0;
}

static int make_and_remove(int root_fd, struct err *err)
{
	TRY(lab_put(root_fd, "etc/ssl/lock", "new", err));
	CHECK(unlinkat(root_fd, "etc/ssl/lock", 0) == 0);
	return 0;
}

static int add_deep_below(int root_fd, struct err *err)
{
	return lab_put(root_fd, "etc/ssl/certs/c", "c", err);
}

static int change_and_set_time(int root_fd, struct err *err)
{
	TRY(append(root_fd, "etc/passwd", err));
	CHECK(utimensat(root_fd, "etc", (struct timespec[]){ { .tv_sec = 77 }, { .tv_sec = 77 } }, 0) == 0);
	return 0;
}

static int replace_link(int root_fd, struct err *err)
{
	CHECK(unlinkat(root_fd, "lib/link", 0) == 0 && symlinkat("y", root_fd, "lib/link") == 0);
	return 0;
}

static int remake_below(int root_fd, struct err *err)
{
	TRY(file_remove_tree(root_fd, "etc/ssl", err));
	CHECK(mkdirat(root_fd, "etc/ssl", 0755) == 0);
	return append(root_fd, "etc/passwd", err);
}

static int remove_one(int root_fd, struct err *err)
{
	CHECK(unlinkat(root_fd, "etc/ssl/certs/b", 0) == 0);
	return append(root_fd, "etc/ssl/certs/a", err);
}

static int digest_of_work(struct lab *lab, enum view_kind kind, const char *name, int base_fd,
			  int (*work)(int root_fd, struct err *err), struct digest *digest, struct err *err)
{
	scope_fd int work_fd = lab_dir(lab->dir_fd, name, err);
	scope_view struct view view = VIEW_EMPTY;
	struct layer_stats stats;
	struct view_spec spec = {
		.kind = kind, .work_fd = work_fd, .lowers = &base_fd, .lower_count = 1, .session_fd = -1
	};

	TRY(view_open(&view, &spec, err));
	TRY(work(view.root_fd, err));
	TRY(view_finish(&view, STEPS_PAST, err));
	scope_fd int upper_fd = openat(work_fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	TRY(lab_diff(upper_fd, &base_fd, 1, STEPS_PAST, &stats, err));
	*digest = stats.diff_id;
	CHECK(stats.entries > 0);
	return 0;
}

static int dir_times(struct lab *lab, struct err *err)
{
	static const struct {
		const char *name;
		int (*work)(int root_fd, struct err *err);
	} works[] = {
		{ "append to files", append_to_files },
		{ "change modes", change_modes },
		{ "replace by rename", replace_by_rename },
		{ "make and remove", make_and_remove },
		{ "add deep below", add_deep_below },
		{ "change and set the time", change_and_set_time },
		{ "replace a link", replace_link },
		{ "remake a directory below", remake_below },
		{ "remove one", remove_one },
	};
	scope_fd int base_fd = lab_dir(lab->dir_fd, "base", err);
	struct digest digests[3];
	char name[64];

	TRY(make_early_tree(base_fd, err));
	for (size_t i = 0; i < ARRAY_LEN(works); i++) {
		for (size_t j = 0; j < lab->kind_count; j++) {
			snprintf(name, sizeof(name), "work-%zu-%zu", i, j);
			TRY(digest_of_work(lab, lab->kinds[j], name, base_fd, works[i].work, &digests[j], err));
			if (!digest_equal(&digests[0], &digests[j]))
				return err_set(err, ERR_SYSTEM, "%s differs in %s", works[i].name,
					       view_kind_name(lab->kinds[j]));
		}
	}
	return 0;
}

static void directories_have_the_same_times_in_all_views(void **state)
{
	run_in_view_lab(state, dir_times);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(overlay_and_copy_make_the_same_layers_of_the_same_steps),
		scratch_test(all_views_make_the_same_layers_of_gentle_steps),
		scratch_test(all_views_make_the_same_layers_on_120_layers),
		scratch_test(directories_have_the_same_times_in_all_views),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
