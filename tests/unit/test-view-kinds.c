/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/view/kind.h"
#include "view-lab.h"

#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* A stack: [0] is the topmost, as everywhere. */
struct stack {
	int fds[600];
	size_t count;
};

static void stack_release(struct stack *stack)
{
	for (size_t i = 0; i < stack->count; i++)
		close(stack->fds[i]);
}
#define scope_lowers __attribute__((cleanup(stack_release)))

static int stack_add(struct stack *stack, int dir_fd, const char *name, struct err *err)
{
	stack->fds[stack->count] = lab_dir(dir_fd, name, err);
	return stack->fds[stack->count] < 0 ? -1 : stack->fds[stack->count++];
}

static int open_view(struct view *view, enum view_kind kind, int work_fd, const struct stack *stack, bool read_only,
		     struct err *err)
{
	struct view_spec spec = { .kind = kind,
				  .work_fd = work_fd,
				  .lowers = stack->fds,
				  .lower_count = stack->count,
				  .read_only = read_only,
				  .session_fd = -1 };

	return view_open(view, &spec, err);
}

/* Runs body once for each kind that works here, in a directory of its own. */
typedef int kind_body(struct lab *lab, enum view_kind kind, int dir_fd, struct err *err);

static int for_each_kind(struct lab *lab, kind_body *body, struct err *err)
{
	for (size_t i = 0; i < lab->kind_count; i++) {
		scope_fd int dir_fd = lab_dir(lab->dir_fd, view_kind_name(lab->kinds[i]), err);
		if (dir_fd < 0 || body(lab, lab->kinds[i], dir_fd, err) < 0)
			return err_wrap(err, "%s", view_kind_name(lab->kinds[i]));
	}
	return 0;
}

/* ---- names ---- */

static void kinds_have_names_that_parse_back(void **state)
{
	struct err err = { 0 };
	enum view_kind kind;

	(void)state;
	for (int i = VIEW_AUTO; i <= VIEW_COPY; i++) {
		assert_ok(view_kind_parse(&kind, view_kind_name((enum view_kind)i), &err), err);
		assert_int_equal(kind, i);
	}
	assert_int_equal(view_kind_parse(&kind, "vfs", &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
}

/* ---- one step ---- */

static int make_two_layers(struct stack *stack, int dir_fd, struct err *err)
{
	int upper_fd = stack_add(stack, dir_fd, "layer1", err);
	int lower_fd = stack_add(stack, dir_fd, "layer0", err);

	CHECK(upper_fd >= 0 && lower_fd >= 0);
	CHECK(mkdirat(lower_fd, "etc", 0755) == 0 && mkdirat(upper_fd, "etc", 0755) == 0);
	TRY(lab_put(lower_fd, "etc/passwd", "lower", err));
	TRY(lab_put(lower_fd, "etc/group", "group", err));
	TRY(lab_put(lower_fd, "etc/gone", "gone", err));
	TRY(lab_put(upper_fd, "etc/passwd", "upper", err));
	CHECK(mknodat(upper_fd, "etc/gone", S_IFCHR, makedev(0, 0)) == 0);
	CHECK(mkdirat(lower_fd, "opt", 0755) == 0 && mkdirat(upper_fd, "opt", 0750) == 0);
	TRY(lab_put(lower_fd, "opt/hidden", "hidden", err));
	scope_fd int opt_fd = openat(upper_fd, "opt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fsetxattr(opt_fd, "user.overlay.opaque", "y", 1, 0) == 0);
	return 0;
}

static int step_on_two_layers(struct lab *lab, enum view_kind kind, int dir_fd, struct err *err)
{
	scope_lowers struct stack stack = { .count = 0 };
	scope_fd int work_fd = lab_dir(dir_fd, "work", err);
	scope_view struct view view = VIEW_EMPTY;
	struct layer_stats stats;
	struct stat st;

	(void)lab;
	TRY(make_two_layers(&stack, dir_fd, err));
	TRY(open_view(&view, kind, work_fd, &stack, false, err));
	TRY(lab_text(view.root_fd, "etc/passwd", "upper", err));
	TRY(lab_text(view.root_fd, "etc/group", "group", err));
	CHECK(!lab_has(view.root_fd, "etc/gone") && !lab_has(view.root_fd, "opt/hidden"));
	CHECK(view.is_mount == (kind != VIEW_COPY) && (view.helper > 0) == (kind == VIEW_FUSE));

	TRY(lab_put(view.root_fd, "etc/new", "new", err));
	CHECK(unlinkat(view.root_fd, "etc/group", 0) == 0);
	/* The caller may rename the directory of an open view. */
	CHECK(renameat(dir_fd, "work", dir_fd, "renamed") == 0);
	CHECK(fchmodat(view.root_fd, "etc/passwd", 0600, 0) == 0);
	TRY(view_finish(&view, INT64_MAX, err));
	CHECK(view.root_fd == -1 && view.helper == -1 && !view.state);

	TRY(lab_text(work_fd, "upper/etc/new", "new", err));
	CHECK(fstatat(work_fd, "upper/etc/group", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode));
	CHECK(fstatat(work_fd, "upper/etc/passwd", &st, 0) == 0 && (st.st_mode & 07777) == 0600);
	CHECK(!lab_has(work_fd, "work") && !lab_has(work_fd, "merged") && !lab_has(work_fd, "tree"));

	scope_fd int upper_fd = openat(work_fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	TRY(lab_diff(upper_fd, stack.fds, stack.count, INT64_MAX, &stats, err));
	/* etc/, the whiteout of group, new, passwd */
	CHECK(stats.entries == 4);
	return 0;
}

static int two_layers(struct lab *lab, struct err *err)
{
	return for_each_kind(lab, step_on_two_layers, err);
}

static void a_view_shows_the_layers_and_leaves_only_the_changes(void **state)
{
	run_in_view_lab(state, two_layers);
}

static int legacy(struct lab *lab, struct err *err)
{
	if (lab->kinds[0] != VIEW_OVERLAY)
		return 0;
	view_overlay_is_legacy = true;
	lab->kind_count = 1;
	return for_each_kind(lab, step_on_two_layers, err);
}

static void overlay_works_as_before_linux_6_8(void **state)
{
	run_in_view_lab(state, legacy);
}

/* ---- read only, none, many ---- */

static int nothing_below(struct lab *lab, enum view_kind kind, int dir_fd, struct err *err)
{
	struct stack none = { .count = 0 };
	scope_fd int work_fd = lab_dir(dir_fd, "work", err);
	scope_fd int other_fd = lab_dir(dir_fd, "other", err);
	scope_view struct view view = VIEW_EMPTY;

	(void)lab;
	TRY(open_view(&view, kind, work_fd, &none, false, err));
	CHECK(mkdirat(view.root_fd, "bin", 0755) == 0);
	TRY(lab_put(view.root_fd, "bin/sh", "sh", err));
	TRY(view_finish(&view, INT64_MAX, err));
	TRY(lab_text(work_fd, "upper/bin/sh", "sh", err));

	TRY(open_view(&view, kind, other_fd, &none, true, err));
	CHECK(!lab_has(view.root_fd, "bin"));
	return 0;
}

static int scratch_body(struct lab *lab, struct err *err)
{
	return for_each_kind(lab, nothing_below, err);
}

static void a_view_of_nothing_is_empty_and_writable(void **state)
{
	run_in_view_lab(state, scratch_body);
}

static int one_read_only(struct lab *lab, enum view_kind kind, int dir_fd, struct err *err)
{
	scope_lowers struct stack stack = { .count = 0 };
	scope_fd int work_fd = lab_dir(dir_fd, "work", err);
	scope_view struct view view = VIEW_EMPTY;

	(void)lab;
	TRY(stack_add(&stack, dir_fd, "layer", err));
	TRY(lab_put(stack.fds[0], "file", "text", err));
	TRY(open_view(&view, kind, work_fd, &stack, true, err));
	TRY(lab_text(view.root_fd, "file", "text", err));
	if (kind == VIEW_OVERLAY)
		CHECK(unlinkat(view.root_fd, "file", 0) < 0 && errno == EROFS);
	return 0;
}

static int read_only(struct lab *lab, struct err *err)
{
	return for_each_kind(lab, one_read_only, err);
}

static void a_read_only_view_of_one_layer_works(void **state)
{
	run_in_view_lab(state, read_only);
}

/* Each layer has its own file, replaces a shared one, and removes the file of the layer two below. */
static int make_layers(struct stack *stack, int dir_fd, size_t count, struct err *err)
{
	char name[64];

	for (size_t i = count; i-- > 0;) {
		snprintf(name, sizeof(name), "layer%zu", i);
		int fd = stack_add(stack, dir_fd, name, err);
		TRY(fd);
		CHECK(mkdirat(fd, "d", 0755) == 0);
		snprintf(name, sizeof(name), "d/%zu", i);
		TRY(lab_put(fd, name, name, err));
		snprintf(name, sizeof(name), "%zu", i);
		TRY(lab_put(fd, "shared", name, err));
		snprintf(name, sizeof(name), "d/%zu", i - 2);
		CHECK(i < 2 || mknodat(fd, name, S_IFCHR, makedev(0, 0)) == 0);
	}
	return 0;
}

static int on_120_layers(struct lab *lab, enum view_kind kind, int dir_fd, struct err *err)
{
	scope_lowers struct stack stack = { .count = 0 };
	scope_fd int work_fd = lab_dir(dir_fd, "work", err);
	scope_view struct view view = VIEW_EMPTY;
	struct layer_stats stats;

	(void)lab;
	TRY(make_layers(&stack, dir_fd, 120, err));
	TRY(open_view(&view, kind, work_fd, &stack, false, err));
	TRY(lab_text(view.root_fd, "shared", "119", err));
	TRY(lab_text(view.root_fd, "d/118", "d/118", err));
	CHECK(!lab_has(view.root_fd, "d/117") && !lab_has(view.root_fd, "d/0"));
	CHECK(unlinkat(view.root_fd, "d/118", 0) == 0);
	TRY(lab_put(view.root_fd, "d/0", "again", err));
	TRY(view_finish(&view, INT64_MAX, err));

	scope_fd int upper_fd = openat(work_fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	TRY(lab_diff(upper_fd, stack.fds, stack.count, INT64_MAX, &stats, err));
	CHECK(stats.entries == 3);
	return 0;
}

static int many_layers(struct lab *lab, struct err *err)
{
	return for_each_kind(lab, on_120_layers, err);
}

static void a_view_of_120_layers_works(void **state)
{
	run_in_view_lab(state, many_layers);
}

static int legacy_many(struct lab *lab, struct err *err)
{
	if (lab->kinds[0] != VIEW_OVERLAY)
		return 0;
	view_overlay_is_legacy = true;
	lab->kind_count = 1;
	return for_each_kind(lab, on_120_layers, err);
}

static void a_view_of_120_layers_fits_into_the_old_mount_options(void **state)
{
	run_in_view_lab(state, legacy_many);
}

static int too_many(struct lab *lab, struct err *err)
{
	scope_lowers struct stack stack = { .count = 0 };
	scope_fd int work_fd = lab_dir(lab->dir_fd, "work", err);
	scope_view struct view view = VIEW_EMPTY;
	struct err reason = { 0 };
	char name[32];

	for (int i = 0; i < 501; i++) {
		snprintf(name, sizeof(name), "layer%d", i);
		TRY(stack_add(&stack, lab->dir_fd, name, err));
	}
	if (lab->kinds[0] != VIEW_OVERLAY)
		return 0;
	CHECK(open_view(&view, VIEW_OVERLAY, work_fd, &stack, false, &reason) < 0);
	CHECK(reason.kind == ERR_UNSUPPORTED && strstr(reason.msg, "501 layers") && strstr(reason.msg, "\"copy\""));
	stack.count--;
	close(stack.fds[500]);
	TRY(open_view(&view, VIEW_OVERLAY, work_fd, &stack, false, err));
	view_release(&view);

	view_overlay_is_legacy = true;
	CHECK(open_view(&view, VIEW_OVERLAY, work_fd, &stack, false, &reason) < 0);
	CHECK(reason.kind == ERR_UNSUPPORTED && strstr(reason.msg, "Linux 6.8"));
	return 0;
}

static void more_than_500_layers_are_refused_with_a_way_out(void **state)
{
	run_in_view_lab(state, too_many);
}

static int with_layer_twice(struct lab *lab, enum view_kind kind, int dir_fd, struct err *err)
{
	scope_fd int a_fd = lab_dir(dir_fd, "a", err);
	scope_fd int b_fd = lab_dir(dir_fd, "b", err);
	scope_fd int work_fd = lab_dir(dir_fd, "work", err);
	scope_fd int again_fd = openat(dir_fd, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stack stack = { .fds = { a_fd, b_fd, again_fd, b_fd }, .count = 4 };
	scope_view struct view view = VIEW_EMPTY;

	(void)lab;
	TRY(lab_put(a_fd, "file", "a", err));
	TRY(lab_put(b_fd, "file", "b", err));
	TRY(lab_put(b_fd, "only-b", "b", err));
	TRY(open_view(&view, kind, work_fd, &stack, false, err));
	TRY(lab_text(view.root_fd, "file", "a", err));
	TRY(lab_text(view.root_fd, "only-b", "b", err));
	return 0;
}

static int twice(struct lab *lab, struct err *err)
{
	return for_each_kind(lab, with_layer_twice, err);
}

static void a_layer_that_an_image_has_twice_is_no_conflict(void **state)
{
	run_in_view_lab(state, twice);
}

/* ---- the root, and giving up ---- */

static int with_special_root(struct lab *lab, enum view_kind kind, int dir_fd, struct err *err)
{
	scope_lowers struct stack stack = { .count = 0 };
	scope_fd int work_fd = lab_dir(dir_fd, "work", err);
	scope_view struct view view = VIEW_EMPTY;
	struct stat st;

	TRY(stack_add(&stack, dir_fd, "layer", err));
	CHECK(fchmod(stack.fds[0], 0751) == 0 && (!lab->has_ids || fchown(stack.fds[0], 3, 4) == 0));
	TRY(open_view(&view, kind, work_fd, &stack, false, err));
	CHECK(fstat(view.root_fd, &st) == 0 && (st.st_mode & 07777) == 0751);
	CHECK(!lab->has_ids || (st.st_uid == 3 && st.st_gid == 4));
	return 0;
}

static int special_root(struct lab *lab, struct err *err)
{
	return for_each_kind(lab, with_special_root, err);
}

static void the_root_has_the_attributes_of_the_topmost_layer(void **state)
{
	run_in_view_lab(state, special_root);
}

static int abandoned(struct lab *lab, enum view_kind kind, int dir_fd, struct err *err)
{
	scope_lowers struct stack stack = { .count = 0 };
	scope_fd int work_fd = lab_dir(dir_fd, "work", err);
	struct view view = VIEW_EMPTY;

	(void)lab;
	TRY(stack_add(&stack, dir_fd, "layer", err));
	TRY(open_view(&view, kind, work_fd, &stack, false, err));
	pid_t helper = view.helper;
	TRY(lab_put(view.root_fd, "file", "text", err));
	view_release(&view);
	CHECK(view.root_fd == -1 && view.work_fd == -1);
	CHECK(helper < 0 || (kill(helper, 0) < 0 && errno == ESRCH));
	TRY(file_remove_tree(dir_fd, "work", err));
	CHECK(!lab_has(dir_fd, "work"));
	view_release(&view);
	return 0;
}

static int abandon(struct lab *lab, struct err *err)
{
	return for_each_kind(lab, abandoned, err);
}

static void an_abandoned_view_leaves_nothing_that_cannot_be_removed(void **state)
{
	run_in_view_lab(state, abandon);
}

/* ---- the cage's use of it ---- */

/* A mount must be movable into another mount namespace's tree. */
static int as_step(int channel, void *arg, struct err *err)
{
	const struct view *view = arg;

	(void)channel;
	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount("tmpfs", "/tmp", "tmpfs", 0, NULL) == 0 && mkdirat(AT_FDCWD, "/tmp/root", 0755) == 0);
	CHECK(move_mount(view->root_fd, "", AT_FDCWD, "/tmp/root", MOVE_MOUNT_F_EMPTY_PATH) == 0);
	CHECK(chroot("/tmp/root") == 0 && chdir("/") == 0);
	return lab_put(AT_FDCWD, "/made-by-step", "text", err);
}

static int moved(struct lab *lab, enum view_kind kind, int dir_fd, struct err *err)
{
	scope_lowers struct stack stack = { .count = 0 };
	scope_fd int work_fd = lab_dir(dir_fd, "work", err);
	scope_view struct view view = VIEW_EMPTY;
	scope_proc struct proc child = PROC_EMPTY;

	(void)lab;
	TRY(stack_add(&stack, dir_fd, "layer", err));
	TRY(open_view(&view, kind, work_fd, &stack, false, err));
	if (!view.is_mount)
		return 0;
	TRY(proc_fork(&child, as_step, &view, err));
	TRY(proc_wait(&child, NULL, err));
	TRY(view_finish(&view, INT64_MAX, err));
	return lab_text(work_fd, "upper/made-by-step", "text", err);
}

static int movable(struct lab *lab, struct err *err)
{
	return for_each_kind(lab, moved, err);
}

static void a_step_can_move_the_mount_into_its_own_namespace(void **state)
{
	run_in_view_lab(state, movable);
}

/* ---- probing ---- */

static int probing(struct lab *lab, struct err *err)
{
	scope_strbuf struct strbuf reasons = { 0 };
	enum view_kind chosen;
	struct err reason = { 0 };

	TRY(view_probe(VIEW_AUTO, lab->dir_fd, &chosen, &reasons, err));
	CHECK(chosen == (lab->kinds[0] == VIEW_OVERLAY ? VIEW_OVERLAY : VIEW_COPY));
	scope_fd int again_fd = openat(lab->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *dir = fdopendir(take_fd(&again_fd));
	for (struct dirent *entry; (entry = readdir(dir));)
		CHECK(entry->d_name[0] == '.' && strncmp(entry->d_name, ".view", 5) != 0);

	CHECK(setenv("PATH", "/nowhere", 1) == 0);
	CHECK(mount("tmpfs", "/usr/bin", "tmpfs", 0, NULL) == 0 || getuid() != 0);
	CHECK(view_probe(VIEW_FUSE, lab->dir_fd, &chosen, NULL, &reason) < 0);
	CHECK(reason.kind == ERR_UNSUPPORTED && strstr(reason.msg, "fuse-overlayfs"));
	return 0;
}

static void probing_takes_the_best_that_works_and_says_why_not_the_others(void **state)
{
	run_in_view_lab(state, probing);
}

/* The store of a builder in a container lies on the container's own overlay. */
static int on_overlay(struct lab *lab, struct err *err)
{
	scope_strbuf struct strbuf reasons = { 0 };
	scope_fd int work_fd = lab_dir(lab->dir_fd, "work", err);
	scope_view struct view view = VIEW_EMPTY;
	struct stack none = { .count = 0 };
	enum view_kind chosen;

	if (lab->kinds[0] != VIEW_OVERLAY)
		return 0;
	TRY(open_view(&view, VIEW_OVERLAY, work_fd, &none, false, err));
	scope_fd int root_fd = openat(view.root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	TRY(view_probe(VIEW_AUTO, root_fd, &chosen, &reasons, err));
	CHECK(strstr(strbuf_str(&reasons), "the store lies on an overlay itself"));
	/* Whatever version is installed: one that is not exact says what it changes. */
	CHECK(chosen == VIEW_FUSE || (chosen == VIEW_COPY && strstr(strbuf_str(&reasons), "fuse-overlayfs: ")));
	TRY(view_probe(VIEW_COPY, root_fd, &chosen, NULL, err));
	return 0;
}

static void a_store_on_an_overlay_gets_another_view_and_the_reason(void **state)
{
	run_in_view_lab(state, on_overlay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_have_names_that_parse_back),
		scratch_test(a_view_shows_the_layers_and_leaves_only_the_changes),
		scratch_test(overlay_works_as_before_linux_6_8),
		scratch_test(a_view_of_nothing_is_empty_and_writable),
		scratch_test(a_read_only_view_of_one_layer_works),
		scratch_test(a_view_of_120_layers_works),
		scratch_test(a_view_of_120_layers_fits_into_the_old_mount_options),
		scratch_test(more_than_500_layers_are_refused_with_a_way_out),
		scratch_test(a_layer_that_an_image_has_twice_is_no_conflict),
		scratch_test(the_root_has_the_attributes_of_the_topmost_layer),
		scratch_test(an_abandoned_view_leaves_nothing_that_cannot_be_removed),
		scratch_test(a_step_can_move_the_mount_into_its_own_namespace),
		scratch_test(probing_takes_the_best_that_works_and_says_why_not_the_others),
		scratch_test(a_store_on_an_overlay_gets_another_view_and_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
