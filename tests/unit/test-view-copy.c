/* SPDX-License-Identifier: Apache-2.0 */
#include "view-lab.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

/* A stage that is built in the copy view: one layer below, a session, and steps one after the other. */
struct stage {
	int dir_fd; /* borrowed */
	int session_fd;
	int lowers[16]; /* [0] topmost, at the end of the array's used part the base */
	size_t count;
	int steps;
	int64_t clamp;
	struct view view;
	int work_fd;
	char stack_id[40];
	char next_id[40];
};

static void stage_release(struct stage *stage)
{
	view_release(&stage->view);
	for (size_t i = 0; i < stage->count; i++)
		close(stage->lowers[i]);
	scope_close_fd(&stage->session_fd);
	scope_close_fd(&stage->work_fd);
}
#define scope_stage __attribute__((cleanup(stage_release)))
#define STAGE_EMPTY                                                                     \
	{                                                                               \
		.session_fd = -1, .work_fd = -1, .view = VIEW_EMPTY, .clamp = INT64_MAX \
	}

static int stage_begin(struct stage *stage, struct lab *lab, struct err *err)
{
	stage->dir_fd = lab->dir_fd;
	stage->session_fd = lab_dir(lab->dir_fd, "session", err);
	stage->lowers[0] = lab_dir(lab->dir_fd, "base", err);
	stage->count = 1;
	snprintf(stage->stack_id, sizeof(stage->stack_id), "base");
	return stage->session_fd < 0 || stage->lowers[0] < 0 ? -1 : 0;
}

static int stage_open(struct stage *stage, struct err *err)
{
	char name[32];

	snprintf(name, sizeof(name), "step%d", stage->steps++);
	snprintf(stage->next_id, sizeof(stage->next_id), "after %s", name);
	scope_close_fd(&stage->work_fd);
	stage->work_fd = lab_dir(stage->dir_fd, name, err);
	struct view_spec spec = { .kind = VIEW_COPY,
				  .work_fd = stage->work_fd,
				  .lowers = stage->lowers,
				  .lower_count = stage->count,
				  .session_fd = stage->session_fd,
				  .stack_id = stage->stack_id,
				  .next_id = stage->next_id };
	return view_open(&stage->view, &spec, err);
}

/* Finishes the step, whose changes become the topmost layer, and gives the digest's stats. */
static int stage_finish(struct stage *stage, struct layer_stats *stats, struct err *err)
{
	TRY(view_finish(&stage->view, stage->clamp, err));
	int upper_fd = openat(stage->work_fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(upper_fd >= 0);
	TRY(lab_diff(upper_fd, stage->lowers, stage->count, stage->clamp, stats, err));
	memmove(stage->lowers + 1, stage->lowers, stage->count * sizeof(int));
	stage->lowers[0] = upper_fd;
	stage->count++;
	memcpy(stage->stack_id, stage->next_id, sizeof(stage->stack_id));
	return 0;
}

/* What one step changed, by the names in its upper directory. */
static bool in_upper(const struct stage *stage, const char *path)
{
	return lab_has(stage->lowers[0], path);
}

static int reuse(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	struct layer_stats stats;
	struct stat before, after;

	TRY(stage_begin(&stage, lab, err));
	TRY(lab_put(stage.lowers[0], "a", "a", err));
	TRY(lab_put(stage.lowers[0], "b", "b", err));
	TRY(stage_open(&stage, err));
	CHECK(fstatat(stage.view.root_fd, "a", &before, 0) == 0);
	TRY(lab_put(stage.view.root_fd, "b", "changed", err));
	TRY(stage_finish(&stage, &stats, err));
	CHECK(stats.entries == 1 && in_upper(&stage, "b") && !in_upper(&stage, "a"));

	TRY(stage_open(&stage, err));
	CHECK(fstatat(stage.view.root_fd, "a", &after, 0) == 0);
	CHECK(after.st_ino == before.st_ino && after.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
	TRY(stage_finish(&stage, &stats, err));
	CHECK(stats.entries == 0 && !in_upper(&stage, "b"));
	return 0;
}

static void the_working_tree_lives_from_step_to_step(void **state)
{
	run_in_view_lab(state, reuse);
}

static int unfinished(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	struct layer_stats stats;

	TRY(stage_begin(&stage, lab, err));
	TRY(lab_put(stage.lowers[0], "a", "a", err));
	TRY(stage_open(&stage, err));
	TRY(lab_put(stage.view.root_fd, "left-over", "x", err));
	view_release(&stage.view);

	TRY(stage_open(&stage, err));
	CHECK(!lab_has(stage.view.root_fd, "left-over"));
	TRY(stage_finish(&stage, &stats, err));
	CHECK(stats.entries == 0);
	return 0;
}

static void a_step_that_was_not_finished_leaves_nothing_to_the_next(void **state)
{
	run_in_view_lab(state, unfinished);
}

static int other_stack(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	struct layer_stats stats;

	TRY(stage_begin(&stage, lab, err));
	TRY(lab_put(stage.lowers[0], "a", "a", err));
	TRY(stage_open(&stage, err));
	TRY(lab_put(stage.view.root_fd, "b", "b", err));
	TRY(stage_finish(&stage, &stats, err));
	/* A cache hit: the next step is to run on something that never was in this tree. */
	close(stage.lowers[0]);
	stage.lowers[0] = lab_dir(lab->dir_fd, "cached", err);
	TRY(lab_put(stage.lowers[0], "c", "c", err));
	snprintf(stage.stack_id, sizeof(stage.stack_id), "from the cache");
	TRY(stage_open(&stage, err));
	CHECK(lab_has(stage.view.root_fd, "a") && lab_has(stage.view.root_fd, "c") &&
	      !lab_has(stage.view.root_fd, "b"));
	return 0;
}

static void a_tree_that_stands_for_other_layers_is_built_anew(void **state)
{
	run_in_view_lab(state, other_stack);
}

static int read_only(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	scope_view struct view view = VIEW_EMPTY;
	struct layer_stats stats;

	TRY(stage_begin(&stage, lab, err));
	TRY(lab_put(stage.lowers[0], "a", "a", err));
	TRY(stage_open(&stage, err));
	TRY(stage_finish(&stage, &stats, err));

	scope_fd int work_fd = lab_dir(lab->dir_fd, "look", err);
	struct view_spec spec = { .kind = VIEW_COPY,
				  .work_fd = work_fd,
				  .lowers = stage.lowers,
				  .lower_count = stage.count,
				  .read_only = true,
				  .session_fd = stage.session_fd,
				  .stack_id = stage.stack_id };
	TRY(view_open(&view, &spec, err));
	CHECK(lab_has(view.root_fd, "a") && !lab_has(work_fd, "tree"));
	view_release(&view);
	spec.stack_id = "something else";
	TRY(view_open(&view, &spec, err));
	CHECK(lab_has(view.root_fd, "a") && lab_has(work_fd, "tree"));
	view_release(&view);
	/* Looking at it did not use it up. */
	CHECK(lab_has(stage.session_fd, "stack"));
	return 0;
}

static void a_read_only_view_takes_the_sessions_tree_if_it_is_the_right_one(void **state)
{
	run_in_view_lab(state, read_only);
}

/* ---- what signatures must see ---- */

static int rewrite(int dir_fd, const char *name, const char *text, struct err *err)
{
	scope_fd int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0 && pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
	return 0;
}

static int put_back_mtime(int dir_fd, const char *name, const struct stat *st, struct err *err)
{
	CHECK(utimensat(dir_fd, name, (struct timespec[]){ st->st_atim, st->st_mtim }, AT_SYMLINK_NOFOLLOW) == 0);
	return 0;
}

static int hidden(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	struct layer_stats stats;
	struct stat st;

	TRY(stage_begin(&stage, lab, err));
	TRY(lab_put(stage.lowers[0], "same", "0000", err));
	/* Each step comes as close to the recording of the last one as it can. */
	for (int i = 1; i <= 12; i++) {
		char text[16];
		snprintf(text, sizeof(text), "%04d", i % 10000);
		TRY(stage_open(&stage, err));
		CHECK(fstatat(stage.view.root_fd, "same", &st, 0) == 0);
		TRY(rewrite(stage.view.root_fd, "same", text, err));
		TRY(put_back_mtime(stage.view.root_fd, "same", &st, err));
		TRY(stage_finish(&stage, &stats, err));
		CHECK(stats.entries == 1);
		TRY(lab_text(stage.lowers[0], "same", text, err));
	}
	return 0;
}

static void a_rewrite_of_the_same_size_with_the_time_put_back_is_seen(void **state)
{
	run_in_view_lab(state, hidden);
}

/* Since Linux 6.13 most file systems give each change that somebody could tell apart a time of its own. ramfs does not: it
   shows the clock's ticks, as all did before. */
static int hidden_in_a_tick(struct lab *lab, struct err *err)
{
	struct lab coarse = *lab;
	char target[64];

	coarse.dir_fd = lab_dir(lab->dir_fd, "coarse", err);
	TRY(coarse.dir_fd);
	snprintf(target, sizeof(target), "/proc/self/fd/%d", coarse.dir_fd);
	if (mount("ramfs", target, "ramfs", 0, NULL) < 0)
		return 0;
	close(coarse.dir_fd);
	coarse.dir_fd = openat(lab->dir_fd, "coarse", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = hidden(&coarse, err);
	close(coarse.dir_fd);
	umount2(target, MNT_DETACH);
	snprintf(target, sizeof(target), "/proc/self/fd/%d/coarse", lab->dir_fd);
	umount2(target, MNT_DETACH);
	return result;
}

static void such_a_rewrite_is_seen_even_within_one_tick_of_the_clock(void **state)
{
	run_in_view_lab(state, hidden_in_a_tick);
}

static int metadata(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	struct layer_stats stats;

	TRY(stage_begin(&stage, lab, err));
	TRY(lab_put(stage.lowers[0], "xattr", "x", err));
	TRY(lab_put(stage.lowers[0], "mode", "x", err));
	TRY(lab_put(stage.lowers[0], "owner", "x", err));
	TRY(lab_put(stage.lowers[0], "untouched", "x", err));
	TRY(stage_open(&stage, err));
	scope_fd int fd = openat(stage.view.root_fd, "xattr", O_RDONLY | O_CLOEXEC);
	CHECK(fsetxattr(fd, "user.note", "v", 1, 0) == 0);
	CHECK(fchmodat(stage.view.root_fd, "mode", 04755, 0) == 0);
	CHECK(!lab->has_ids || fchownat(stage.view.root_fd, "owner", 1, 2, AT_SYMLINK_NOFOLLOW) == 0);
	TRY(stage_finish(&stage, &stats, err));
	CHECK(stats.entries == (lab->has_ids ? 3 : 2) && !in_upper(&stage, "untouched"));
	return 0;
}

static void changed_metadata_alone_are_seen(void **state)
{
	run_in_view_lab(state, metadata);
}

static int made_again(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	struct layer_stats stats;

	TRY(stage_begin(&stage, lab, err));
	scope_fd int base_fd = lab_dir(stage.lowers[0], "d", err);
	TRY(lab_put(base_fd, "old", "old", err));
	TRY(lab_put(base_fd, "kept", "kept", err));
	TRY(stage_open(&stage, err));
	TRY(file_remove_tree(stage.view.root_fd, "d", err));
	scope_fd int dir_fd = lab_dir(stage.view.root_fd, "d", err);
	TRY(lab_put(dir_fd, "kept", "new!", err));
	TRY(stage_finish(&stage, &stats, err));
	/* d, the whiteout of old, kept */
	CHECK(stats.entries == 3);
	TRY(lab_text(stage.lowers[0], "d/kept", "new!", err));
	return 0;
}

static void a_directory_that_was_removed_and_made_again_has_lost_its_entries(void **state)
{
	run_in_view_lab(state, made_again);
}

static int types(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	struct layer_stats stats;

	TRY(stage_begin(&stage, lab, err));
	scope_fd int deep_fd = lab_dir(stage.lowers[0], "dir", err);
	scope_fd int sub_fd = lab_dir(deep_fd, "sub", err);
	TRY(lab_put(sub_fd, "file", "x", err));
	TRY(lab_put(stage.lowers[0], "file", "x", err));
	TRY(lab_put(stage.lowers[0], "zzz", "x", err));
	TRY(stage_open(&stage, err));
	TRY(file_remove_tree(stage.view.root_fd, "dir", err));
	TRY(lab_put(stage.view.root_fd, "dir", "a file now", err));
	CHECK(unlinkat(stage.view.root_fd, "file", 0) == 0);
	scope_fd int dir_fd = lab_dir(stage.view.root_fd, "file", err);
	TRY(lab_put(dir_fd, "in", "x", err));
	CHECK(unlinkat(stage.view.root_fd, "zzz", 0) == 0 && symlinkat("dir", stage.view.root_fd, "zzz") == 0);
	TRY(stage_finish(&stage, &stats, err));
	/* dir, file, file/in, zzz */
	CHECK(stats.entries == 4);
	/* The walk went on in the right place of the signatures. */
	TRY(stage_open(&stage, err));
	TRY(stage_finish(&stage, &stats, err));
	CHECK(stats.entries == 0 && !in_upper(&stage, "dir"));
	return 0;
}

static void a_change_of_type_is_seen_in_both_directions(void **state)
{
	run_in_view_lab(state, types);
}

static int links(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	struct layer_stats stats;
	struct stat a, b;

	TRY(stage_begin(&stage, lab, err));
	TRY(lab_put(stage.lowers[0], "one", "x", err));
	TRY(lab_put(stage.lowers[0], "pair1", "y", err));
	CHECK(linkat(stage.lowers[0], "pair1", stage.lowers[0], "pair2", 0) == 0);
	TRY(stage_open(&stage, err));
	scope_fd int dir_fd = lab_dir(stage.view.root_fd, "d", err);
	TRY(lab_put(dir_fd, "new", "n", err));
	CHECK(linkat(dir_fd, "new", stage.view.root_fd, "new", 0) == 0);
	CHECK(linkat(stage.view.root_fd, "one", dir_fd, "one", 0) == 0);
	CHECK(fstatat(stage.view.root_fd, "pair1", &a, 0) == 0 && fstatat(stage.view.root_fd, "pair2", &b, 0) == 0);
	CHECK(a.st_ino == b.st_ino);
	TRY(stage_finish(&stage, &stats, err));
	CHECK(fstatat(stage.lowers[0], "new", &a, 0) == 0 && fstatat(stage.lowers[0], "d/new", &b, 0) == 0);
	CHECK(a.st_ino == b.st_ino && a.st_nlink == 2);
	CHECK(fstatat(stage.lowers[0], "one", &a, 0) == 0 && fstatat(stage.lowers[0], "d/one", &b, 0) == 0);
	CHECK(a.st_ino == b.st_ino && a.st_nlink == 2 && !lab_has(stage.work_fd, "links"));
	/* d, d/new, d/one, new, one */
	CHECK(stats.entries == 5);

	/* The remaining name of the pair has another ctime now, and is still not in the layer. */
	TRY(stage_open(&stage, err));
	CHECK(unlinkat(stage.view.root_fd, "pair1", 0) == 0);
	TRY(stage_finish(&stage, &stats, err));
	CHECK(stats.entries == 1);
	return 0;
}

static void hard_links_among_the_changes_stay_links(void **state)
{
	run_in_view_lab(state, links);
}

static int clamp(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	struct layer_stats stats;
	struct stat st;

	TRY(stage_begin(&stage, lab, err));
	stage.clamp = 1000000000;
	TRY(lab_put(stage.lowers[0], "untouched", "x", err));
	TRY(stage_open(&stage, err));
	scope_fd int dir_fd = lab_dir(stage.view.root_fd, "d", err);
	TRY(lab_put(dir_fd, "new", "x", err));
	CHECK(symlinkat("new", dir_fd, "link") == 0);
	CHECK(linkat(dir_fd, "new", dir_fd, "twin", 0) == 0);
	TRY(lab_put(dir_fd, "early", "x", err));
	CHECK(utimensat(dir_fd, "early", (struct timespec[]){ { .tv_sec = 5 }, { .tv_sec = 5 } }, 0) == 0);
	TRY(stage_finish(&stage, &stats, err));

	TRY(stage_open(&stage, err));
	static const char *const clamped[] = { "d", "d/new", "d/link", "d/twin" };
	for (size_t i = 0; i < ARRAY_LEN(clamped); i++) {
		CHECK(fstatat(stage.view.root_fd, clamped[i], &st, AT_SYMLINK_NOFOLLOW) == 0);
		CHECK(st.st_mtim.tv_sec == stage.clamp && st.st_mtim.tv_nsec == 0);
		CHECK(fstatat(stage.lowers[0], clamped[i], &st, AT_SYMLINK_NOFOLLOW) == 0);
		CHECK(st.st_mtim.tv_sec == stage.clamp && st.st_mtim.tv_nsec == 0);
	}
	CHECK(fstatat(stage.view.root_fd, "d/early", &st, 0) == 0 && st.st_mtim.tv_sec == 5);
	CHECK(fstatat(stage.view.root_fd, "untouched", &st, 0) == 0 && st.st_mtim.tv_sec > stage.clamp);
	TRY(stage_finish(&stage, &stats, err));
	CHECK(stats.entries == 0);
	return 0;
}

static void late_times_are_clamped_in_the_tree_too(void **state)
{
	run_in_view_lab(state, clamp);
}

static int make_socket(int dir_fd, const char *name, struct err *err)
{
	scope_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir_fd, name);
	CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	return 0;
}

static int sockets(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	struct layer_stats stats;
	struct stat st;

	TRY(stage_begin(&stage, lab, err));
	TRY(lab_put(stage.lowers[0], "was-file", "x", err));
	TRY(stage_open(&stage, err));
	TRY(make_socket(stage.view.root_fd, "socket", err));
	CHECK(unlinkat(stage.view.root_fd, "was-file", 0) == 0);
	TRY(make_socket(stage.view.root_fd, "was-file", err));
	scope_fd int dir_fd = lab_dir(stage.view.root_fd, "run", err);
	TRY(make_socket(dir_fd, "s", err));
	CHECK(utimensat(stage.view.root_fd, "run", (struct timespec[]){ { .tv_sec = 5 }, { .tv_sec = 5 } }, 0) == 0);
	TRY(stage_finish(&stage, &stats, err));
	/* run, the whiteout of was-file */
	CHECK(stats.entries == 2 && !in_upper(&stage, "socket") && !in_upper(&stage, "run/s"));
	CHECK(fstatat(stage.lowers[0], "run", &st, 0) == 0 && st.st_mtim.tv_sec == 5);

	TRY(stage_open(&stage, err));
	CHECK(!lab_has(stage.view.root_fd, "socket") && !lab_has(stage.view.root_fd, "was-file"));
	CHECK(fstatat(stage.view.root_fd, "run", &st, 0) == 0 && st.st_mtim.tv_sec == 5);
	return 0;
}

static void sockets_end_with_the_step(void **state)
{
	run_in_view_lab(state, sockets);
}

static int devices(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	struct err reason = { 0 };

	TRY(stage_begin(&stage, lab, err));
	TRY(stage_open(&stage, err));
	scope_fd int dir_fd = lab_dir(stage.view.root_fd, "dev", err);
	CHECK(mknodat(dir_fd, "odd", S_IFCHR | 0600, 0) == 0);
	CHECK(view_finish(&stage.view, INT64_MAX, &reason) < 0);
	CHECK(reason.kind == ERR_INPUT && strstr(reason.msg, "/dev/odd"));
	/* What could not be finished is not used again. */
	CHECK(!lab_has(stage.session_fd, "stack"));
	return 0;
}

static void a_device_that_looks_like_a_whiteout_is_refused_by_name(void **state)
{
	run_in_view_lab(state, devices);
}

static int deep(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	struct layer_stats stats;

	TRY(stage_begin(&stage, lab, err));
	TRY(stage_open(&stage, err));
	scope_fd int fd = openat(stage.view.root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 3000; i++) {
		int next = file_make_dir(fd, "deeper", 0755, err);
		TRY(next);
		close(fd);
		fd = next;
	}
	TRY(lab_put(fd, "bottom", "x", err));
	/* The differ opens each level, so only the view's part is looked at. */
	TRY(view_finish(&stage.view, INT64_MAX, err));
	scope_fd int upper_fd = openat(stage.work_fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 3000; i++) {
		int next = openat(upper_fd, "deeper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CHECK(next >= 0);
		close(upper_fd);
		upper_fd = next;
	}
	(void)stats;
	return lab_text(upper_fd, "bottom", "x", err);
}

static void a_tree_may_be_deeper_than_a_path_can_say(void **state)
{
	run_in_view_lab(state, deep);
}

static int damaged(struct lab *lab, struct err *err)
{
	scope_stage struct stage stage = STAGE_EMPTY;
	struct layer_stats stats;
	struct err reason = { 0 };

	TRY(stage_begin(&stage, lab, err));
	scope_fd int base_fd = lab_dir(stage.lowers[0], "d", err);
	TRY(lab_put(base_fd, "a", "a", err));
	TRY(stage_open(&stage, err));
	TRY(stage_finish(&stage, &stats, err));
	struct stat st;
	CHECK(fstatat(stage.session_fd, "signatures", &st, 0) == 0);
	for (off_t size = 0; size < st.st_size; size += 13) {
		TRY(stage_open(&stage, err));
		scope_fd int fd = openat(stage.session_fd, "signatures", O_WRONLY | O_CLOEXEC);
		CHECK(ftruncate(fd, size) == 0);
		CHECK(view_finish(&stage.view, INT64_MAX, &reason) < 0 && reason.kind == ERR_CORRUPT);
		TRY(file_remove_tree(lab->dir_fd, "step1", err));
		stage.steps = 1;
	}
	return 0;
}

static void damaged_signatures_are_an_error_and_the_next_step_builds_the_tree(void **state)
{
	run_in_view_lab(state, damaged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(the_working_tree_lives_from_step_to_step),
		scratch_test(a_step_that_was_not_finished_leaves_nothing_to_the_next),
		scratch_test(a_tree_that_stands_for_other_layers_is_built_anew),
		scratch_test(a_read_only_view_takes_the_sessions_tree_if_it_is_the_right_one),
		scratch_test(a_rewrite_of_the_same_size_with_the_time_put_back_is_seen),
		scratch_test(such_a_rewrite_is_seen_even_within_one_tick_of_the_clock),
		scratch_test(changed_metadata_alone_are_seen),
		scratch_test(a_directory_that_was_removed_and_made_again_has_lost_its_entries),
		scratch_test(a_change_of_type_is_seen_in_both_directions),
		scratch_test(hard_links_among_the_changes_stay_links),
		scratch_test(late_times_are_clamped_in_the_tree_too),
		scratch_test(sockets_end_with_the_step),
		scratch_test(a_device_that_looks_like_a_whiteout_is_refused_by_name),
		scratch_test(a_tree_may_be_deeper_than_a_path_can_say),
		scratch_test(damaged_signatures_are_an_error_and_the_next_step_builds_the_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
