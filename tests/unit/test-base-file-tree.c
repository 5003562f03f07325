/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../../src/base/dir-stack.h"
#include "scratch.h"

static void anything_is_removed_whatever_it_is(void **state)
{
	static const char *const names[] = { "file", "dir", "full", "link", "dangling", "fifo", "socket", "none" };
	const struct scratch *scratch = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	scope_fd int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct err err = { 0 };

	put_file(scratch->fd, "file", "");
	put_dir(scratch->fd, "dir");
	put_dir(scratch->fd, "full");
	put_dir(scratch->fd, "full/a");
	put_dir(scratch->fd, "full/a/b");
	put_file(scratch->fd, "full/a/b/.hidden", "");
	put_file(scratch->fd, "full/a/..x", "");
	put_dir(scratch->fd, "kept");
	put_file(scratch->fd, "kept/file", "safe");
	put_link(scratch->fd, "full/link", "../kept");
	put_link(scratch->fd, "link", "kept");
	put_link(scratch->fd, "dangling", "nowhere");
	assert_int_equal(mkfifoat(scratch->fd, "fifo", 0600), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/socket", scratch->path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_ok(file_remove_tree(scratch->fd, names[i], &err), err);
		assert_false(has_name(scratch->fd, names[i]));
	}
	assert_file(scratch->fd, "kept/file", "safe");
}

/* Makes dir/x/x/x... below dir_fd, with a file here and there. */
static void put_deep(int dir_fd, const char *name, int depth)
{
	int fd = dup(dir_fd);

	for (int i = 0; i < depth; i++) {
		put_dir(fd, name);
		int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
		name = "x";
		if (i % 100 == 0)
			put_file(fd, "file", "");
	}
	close(fd);
}

static void a_tree_of_ten_thousand_levels_needs_few_files(void **state)
{
	const struct scratch *scratch = *state;
	struct rlimit limit, small;
	struct err err = { 0 };
	int64_t bytes = 0;

	put_deep(scratch->fd, "deep", 10000);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	small = (struct rlimit){ .rlim_cur = 64, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	int counted = file_tree_usage(scratch->fd, "deep", &bytes, &err);
	int removed = file_remove_tree(scratch->fd, "deep", &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_ok(counted, err);
	assert_ok(removed, err);
	assert_false(has_name(scratch->fd, "deep"));
}

/* More entries than one reading of a directory gives, and subdirectories among them on both sides of the level where
   directories stop being kept open. */
static void a_wide_and_deep_tree_goes_away(void **state)
{
	const struct scratch *scratch = *state;
	struct err err = { 0 };
	char name[64];

	put_deep(scratch->fd, "top", 40);
	int fd = openat(scratch->fd, "top", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int level = 0; level < 39; level++) {
		for (int i = 0; i < (level == 0 || level == 38 ? 1000 : 3); i++) {
			snprintf(name, sizeof(name), "directory-with-a-long-name-%d", i);
			put_dir(fd, name);
			snprintf(name, sizeof(name), "directory-with-a-long-name-%d/file", i);
			put_file(fd, name, "");
		}
		int next = openat(fd, "x", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	close(fd);
	assert_ok(file_remove_tree(scratch->fd, "top", &err), err);
	assert_false(has_name(scratch->fd, "top"));
}

static void directories_that_forbid_it_are_removed_too(void **state)
{
	static const mode_t modes[] = { 0000, 0100, 0200, 0400, 0500, 0555, 0600 };
	const struct scratch *scratch = *state;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		put_dir(scratch->fd, "a");
		put_dir(scratch->fd, "a/b");
		put_dir(scratch->fd, "a/b/c");
		put_file(scratch->fd, "a/b/c/file", "");
		assert_int_equal(fchmodat(scratch->fd, "a/b/c", modes[i], 0), 0);
		assert_int_equal(fchmodat(scratch->fd, "a/b", modes[i], 0), 0);
		assert_int_equal(fchmodat(scratch->fd, "a", modes[i], 0), 0);
		assert_ok(file_remove_tree(scratch->fd, "a", &err), err);
		assert_false(has_name(scratch->fd, "a"));
	}
}

static int remove_it(int channel, void *arg, struct err *err)
{
	const struct scratch *scratch = arg;

	/* All begin together. */
	if (proc_reach(channel, 0, NULL, 0, err) < 0 || proc_pause(channel, err) < 0)
		return -1;
	return file_remove_tree(scratch->fd, "tree", err);
}

static void several_processes_may_remove_the_same_tree(void **state)
{
	const struct scratch *scratch = *state;
	struct err err = { 0 };
	struct proc children[3];
	char name[32];

	for (int round = 0; round < 10; round++) {
		put_deep(scratch->fd, "tree", 50);
		for (int i = 0; i < 100; i++) {
			snprintf(name, sizeof(name), "tree/%d", i);
			put_dir(scratch->fd, name);
			snprintf(name, sizeof(name), "tree/%d/x", i);
			put_dir(scratch->fd, name);
		}
		for (size_t i = 0; i < ARRAY_LEN(children); i++) {
			assert_ok(proc_fork(&children[i], remove_it, *state, &err), err);
			assert_ok(proc_await(&children[i], 0, NULL, &err), err);
		}
		for (size_t i = 0; i < ARRAY_LEN(children); i++)
			assert_ok(proc_resume(&children[i], &err), err);
		for (size_t i = 0; i < ARRAY_LEN(children); i++)
			assert_ok(proc_wait(&children[i], NULL, &err), err);
		assert_false(has_name(scratch->fd, "tree"));
	}
}

static int fill_forever(int channel, void *arg, struct err *err)
{
	const struct scratch *scratch = arg;
	char name[32];

	if (proc_reach(channel, 0, NULL, 0, err) < 0)
		return -1;
	for (unsigned int i = 0;; i++) {
		mkdirat(scratch->fd, "tree/a", 0755);
		snprintf(name, sizeof(name), "tree/a/%u", i);
		scope_fd int fd = openat(scratch->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	}
}

static void a_tree_that_is_being_filled_does_not_hold_the_removal(void **state)
{
	const struct scratch *scratch = *state;
	scope_proc struct proc child = PROC_EMPTY;
	struct err err = { 0 };

	for (int round = 0; round < 20; round++) {
		put_dir(scratch->fd, "tree");
		assert_ok(proc_fork(&child, fill_forever, *state, &err), err);
		assert_ok(proc_await(&child, 0, NULL, &err), err);
		if (file_remove_tree(scratch->fd, "tree", &err) < 0)
			assert_true(err_is_errno(&err, ENOTEMPTY));
		proc_kill(&child);
		assert_ok(file_remove_tree(scratch->fd, "tree", &err), err);
		assert_false(has_name(scratch->fd, "tree"));
	}
}

/* The way up goes by "..", which leads out of the tree once a directory was moved out of it. */
static void the_way_up_ends_at_a_directory_that_was_moved(void **state)
{
	const struct scratch *scratch = *state;
	struct dir_stack stack = { .base_fd = scratch->fd };
	struct err err = { 0 };
	size_t popped = 0;

	put_deep(scratch->fd, "deep", 100);
	assert_int_equal(dir_stack_push(&stack, "deep", true, &err), DIR_ENTERED);
	for (int i = 1; i < 100; i++)
		assert_int_equal(dir_stack_push(&stack, "x", true, &err), DIR_ENTERED);
	assert_int_equal(renameat(scratch->fd, "deep/x/x/x/x", scratch->fd, "moved"), 0);
	while (dir_stack_pop(&stack, &err) == 0)
		popped++;
	/* deep and three x below it stayed, the fourth x was moved: it is left, and "..", now the scratch folder, is not
	   taken for the third. */
	assert_int_equal(popped, 95);
	assert_int_equal(stack.count, 5);
	assert_string_equal(err.msg, "directory x was moved while kiln walked it");
	dir_stack_release(&stack);
}

static void a_link_is_never_entered(void **state)
{
	const struct scratch *scratch = *state;
	struct dir_stack stack = { .base_fd = scratch->fd };
	struct err err = { 0 };

	put_dir(scratch->fd, "dir");
	put_link(scratch->fd, "link", "dir");
	assert_int_equal(dir_stack_push(&stack, "link", true, &err), DIR_FAILED);
	assert_int_equal(dir_stack_push(&stack, "none", true, &err), DIR_GONE);
	assert_int_equal(dir_stack_push(&stack, "dir", true, &err), DIR_ENTERED);
	assert_ok(dir_stack_pop(&stack, &err), err);
	dir_stack_release(&stack);
}

static void usage_passes_over_what_it_may_not_read(void **state)
{
	const struct scratch *scratch = *state;
	struct err err = { 0 };
	int64_t bytes = 0;

	put_dir(scratch->fd, "a");
	put_dir(scratch->fd, "a/b");
	assert_int_equal(fchmodat(scratch->fd, "a/b", 0000, 0), 0);
	assert_ok(file_tree_usage(scratch->fd, "a", &bytes, &err), err);
}

static void usage_counts_blocks_of_everything(void **state)
{
	const struct scratch *scratch = *state;
	scope_free char *bytes = calloc(1, 1 << 20);
	struct err err = { 0 };
	int64_t used = 42, before;
	struct stat st;

	assert_ok(file_tree_usage(scratch->fd, "none", &used, &err), err);
	assert_int_equal(used, 0);

	put_dir(scratch->fd, "a");
	put_dir(scratch->fd, "a/b");
	memset(bytes, 'x', 1 << 20);
	assert_ok(file_tree_usage(scratch->fd, "a", &before, &err), err);
	assert_ok(file_replace(scratch->fd, "a/b/file", 0644, bytes, 1 << 20, true, &err), err);
	assert_ok(file_tree_usage(scratch->fd, "a", &used, &err), err);
	assert_in_range(used - before, 1 << 20, (1 << 20) + 65536);

	assert_int_equal(fstatat(scratch->fd, "a/b/file", &st, 0), 0);
	assert_ok(file_tree_usage(scratch->fd, "a/b/file", &used, &err), err);
	assert_int_equal(used, st.st_blocks * 512);

	/* A hard link counts once more, a link only itself. */
	assert_int_equal(linkat(scratch->fd, "a/b/file", scratch->fd, "a/again", 0), 0);
	put_link(scratch->fd, "a/link", "b");
	assert_ok(file_tree_usage(scratch->fd, "a", &used, &err), err);
	assert_in_range(used - before, 2 << 20, (2 << 20) + 131072);
}

static void a_failure_names_the_place(void **state)
{
	const struct scratch *scratch = *state;
	struct err err = { 0 };

	put_file(scratch->fd, "file", "");
	assert_int_equal(file_remove_tree(scratch->fd, "file/x", &err), -1);
	assert_string_equal(err.msg, "remove file/x: Not a directory");
	assert_int_equal(file_remove_tree(-1, "x", &err), -1);
	assert_true(err_is_errno(&err, EBADF));
}

/* Below "tree" a file system and a folder of the same file system are mounted; both must outlive the removal. */
static int remove_around_mounts(int channel, void *arg, struct err *err)
{
	const struct scratch *scratch = arg;
	int64_t bytes;

	(void)channel;
	if (enter_namespaces(err) < 0)
		return -1;
	/* By its path: scratch->fd belongs to the mount namespace that was left. */
	if (chdir(scratch->path) < 0 || mount("none", "tree/tmpfs", "tmpfs", 0, NULL) < 0 ||
	    mount("kept", "tree/bind", NULL, MS_BIND, NULL) < 0)
		return err_errno(err, "mount");
	put_file(AT_FDCWD, "tree/tmpfs/file", "safe");

	if (file_remove_tree(AT_FDCWD, "tree", err) == 0)
		return err_set(err, ERR_INPUT, "a mount was removed");
	if (!err_is_errno(err, EBUSY) || !strstr(err->msg, "remove the mount point tree/"))
		return -1;
	if (!has_name(AT_FDCWD, "tree/tmpfs/file") || !has_name(AT_FDCWD, "kept/file"))
		return err_set(err, ERR_INPUT, "a file behind a mount was removed");
	if (file_remove_tree(AT_FDCWD, "tree/bind", err) == 0 || !has_name(AT_FDCWD, "kept/file"))
		return err_set(err, ERR_INPUT, "the mount point itself was emptied");
	if (file_tree_usage(AT_FDCWD, "tree", &bytes, err) < 0)
		return -1;
	return bytes < (1 << 20) ? 0 : err_set(err, ERR_INPUT, "what is behind a mount was counted");
}

static void mounts_are_not_entered(void **state)
{
	const struct scratch *scratch = *state;
	scope_free char *bytes = calloc(1, 2 << 20);
	struct err err = { 0 };
	struct proc child;

	put_dir(scratch->fd, "kept");
	assert_ok(file_replace(scratch->fd, "kept/file", 0644, bytes, 2 << 20, false, &err), err);
	put_dir(scratch->fd, "tree");
	put_dir(scratch->fd, "tree/tmpfs");
	put_dir(scratch->fd, "tree/bind");
	assert_ok(proc_fork(&child, remove_around_mounts, *state, &err), err);
	assert_ok(proc_wait(&child, NULL, &err), err);
	assert_true(has_name(scratch->fd, "kept/file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(anything_is_removed_whatever_it_is),
		scratch_test(a_tree_of_ten_thousand_levels_needs_few_files),
		scratch_test(a_wide_and_deep_tree_goes_away),
		scratch_test(directories_that_forbid_it_are_removed_too),
		scratch_test(several_processes_may_remove_the_same_tree),
		scratch_test(a_tree_that_is_being_filled_does_not_hold_the_removal),
		scratch_test(the_way_up_ends_at_a_directory_that_was_moved),
		scratch_test(a_link_is_never_entered),
		scratch_test(usage_passes_over_what_it_may_not_read),
		scratch_test(usage_counts_blocks_of_everything),
		scratch_test(a_failure_names_the_place),
		scratch_test(mounts_are_not_entered),
	};

	return run_group_tests_with_namespaces(tests, 1);
}
