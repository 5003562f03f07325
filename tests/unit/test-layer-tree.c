/* SPDX-License-Identifier: Apache-2.0 */
#include "layer-scratch.h"

#include <sys/socket.h>
#include <sys/un.h>

static enum layer_mark mark_of(int dir_fd, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return layer_entry_mark(dir_fd, name, &st);
}

/* As fuse-overlayfs makes them. */
static void put_marker(int dir_fd, const char *path)
{
	put_file(dir_fd, path, "");
	assert_int_equal(fchmodat(dir_fd, path, 0700, 0), 0);
}

static bool is_removed(int tree_fd, const char *name)
{
	struct stat st;
	char file[300];

	if (fstatat(tree_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return layer_entry_mark(tree_fd, name, &st) == LAYER_WHITEOUT;
	snprintf(file, sizeof(file), ".wh.%s", name);
	return fstatat(tree_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       layer_entry_mark(tree_fd, file, &st) == LAYER_WHITEOUT && has_name(tree_fd, LAYER_FILE_MARKS);
}

static void test_marks_are_told_from_entries(void **state)
{
	struct scratch *scratch = *state;
	int fd = scratch->fd;

	put_file(fd, "f", "");
	put_marker(fd, "empty-program");
	put_marker(fd, ".wh.x");
	put_marker(fd, ".wh..wh..opq");
	put_marker(fd, ".wh..opq");
	put_file(fd, ".wh.text", "text");
	put_file(fd, ".wh.touched", "");
	put_dir(fd, ".wh.dir");
	assert_int_equal(mark_of(fd, "f"), LAYER_ENTRY);
	assert_int_equal(mark_of(fd, "empty-program"), LAYER_ENTRY);
	assert_int_equal(mark_of(fd, ".wh.x"), LAYER_WHITEOUT);
	assert_string_equal(layer_whiteout_target(".wh.x"), "x");
	assert_string_equal(layer_whiteout_target("x"), "x");
	assert_int_equal(mark_of(fd, ".wh..wh..opq"), LAYER_NOISE);
	assert_int_equal(mark_of(fd, ".wh..opq"), LAYER_NOISE);
	assert_int_equal(mark_of(fd, ".wh.text"), LAYER_ENTRY);
	assert_int_equal(mark_of(fd, ".wh.touched"), LAYER_ENTRY);
	assert_int_equal(mark_of(fd, ".wh.dir"), LAYER_ENTRY);
}

static void test_every_form_of_opaque_is_known(void **state)
{
	struct scratch *scratch = *state;
	static const char *const names[] = { "plain", "overlay", "fuse", "aufs", "made", "no" };
	int fds[ARRAY_LEN(names)];
	bool is_file = false;
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		fds[i] = make_tree(scratch->fd, names[i]);
	put_xattr(scratch->fd, "overlay", "user.overlay.opaque", "y");
	put_xattr(scratch->fd, "fuse", "user.fuseoverlayfs.opaque", "y");
	put_marker(scratch->fd, "aufs/.wh..wh..opq");
	put_xattr(scratch->fd, "no", "user.overlay.opaque", "n");
	assert_ok(layer_make_opaque(fds[4], &is_file, &err), err);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(layer_dir_is_opaque(fds[i]), i >= 1 && i <= 4);
		close(fds[i]);
	}
}

static void test_settling_makes_one_form_of_all(void **state)
{
	struct scratch *scratch = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct err err;
	char value[4];

	put_dir(scratch->fd, "d");
	put_xattr(scratch->fd, "d", "user.fuseoverlayfs.opaque", "y");
	put_marker(scratch->fd, "d/.wh..opq");
	put_marker(scratch->fd, "d/.wh..wh..opq");
	put_file(scratch->fd, "d/f", "x");
	put_dir(scratch->fd, "d/sub");
	put_dir(scratch->fd, "d/sub/deep");
	put_marker(scratch->fd, "d/sub/deep/.wh.gone");
	put_marker(scratch->fd, ".wh.top");
	put_marker(scratch->fd, ".wh.again");
	put_dir(scratch->fd, "again");
	put_marker(scratch->fd, ".wh.file");
	put_file(scratch->fd, "file", "x");
	scope_fd int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/s", scratch->fd);
	assert_int_equal(bind(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	stamp(scratch->fd);

	assert_ok(layer_tree_settle(scratch->fd, INT64_MAX, &err), err);
	scope_fd int dir = open_dir_at(scratch->fd, "d");
	scope_fd int again = open_dir_at(scratch->fd, "again");
	scope_fd int deep = open_dir_at(scratch->fd, "d/sub/deep");
	assert_int_equal(fgetxattr(dir, "user.overlay.opaque", value, sizeof(value)), 1);
	assert_int_equal(fgetxattr(dir, "user.fuseoverlayfs.opaque", value, sizeof(value)), -1);
	assert_int_equal(count_names(dir, "."), 2);
	assert_true(is_removed(scratch->fd, "top"));
	assert_true(layer_dir_is_opaque(again));
	assert_false(is_removed(scratch->fd, "file"));
	assert_file(scratch->fd, "file", "x");
	assert_false(has_name(scratch->fd, ".wh.file"));
	assert_true(is_removed(scratch->fd, "s"));
	assert_true(has_name(deep, "gone") || has_name(deep, ".wh.gone"));
	static const char *const kept[] = { ".", "d", "d/sub", "d/sub/deep", "again" };
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		struct stat st;
		assert_int_equal(fstatat(scratch->fd, kept[i], &st, 0), 0);
		assert_int_equal(st.st_mtim.tv_sec, STAMP);
	}
	int before = count_names(scratch->fd, ".");
	assert_ok(layer_tree_settle(scratch->fd, INT64_MAX, &err), err);
	assert_int_equal(count_names(scratch->fd, "."), before);
	assert_true(is_removed(scratch->fd, "top"));
}

static void test_settling_clamps_times(void **state)
{
	struct scratch *scratch = *state;
	const struct timespec late[2] = { { .tv_sec = STAMP }, { .tv_sec = STAMP, .tv_nsec = 1 } };
	static const struct {
		const char *name;
		int64_t seconds;
	} expected[] = { { ".", STAMP },     { "d", STAMP },      { "d/old", STAMP - 5 },
			 { "d/new", STAMP }, { "d/link", STAMP }, { "d/frac", STAMP } };
	struct err err;
	struct stat st;

	put_dir(scratch->fd, "d");
	put_file(scratch->fd, "d/old", "x");
	put_file(scratch->fd, "d/new", "x");
	put_file(scratch->fd, "d/frac", "x");
	put_link(scratch->fd, "d/link", "x");
	set_time(scratch->fd, "d/old", STAMP - 5);
	assert_int_equal(utimensat(scratch->fd, "d/frac", late, 0), 0);
	assert_ok(layer_tree_settle(scratch->fd, STAMP, &err), err);
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		assert_int_equal(fstatat(scratch->fd, expected[i].name, &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(st.st_mtim.tv_sec, expected[i].seconds);
		assert_int_equal(st.st_mtim.tv_nsec, 0);
	}
}

static void test_attributes_are_read_sorted_and_filtered(void **state)
{
	struct scratch *scratch = *state;
	scope_arena struct arena arena = { 0 };
	const struct layer_xattr *xattrs;
	struct err err;
	size_t count;
	static char large[3000];

	put_file(scratch->fd, "f", "x");
	memset(large, 'x', sizeof(large) - 1);
	put_xattr(scratch->fd, "f", "user.z", large);
	put_xattr(scratch->fd, "f", "user.a", "1");
	put_xattr(scratch->fd, "f", "user.empty", "");
	put_xattr(scratch->fd, "f", "user.overlay.redirect", "1");
	for (int i = 0; i < 2; i++) {
		scope_fd int fd = openat(scratch->fd, "f", i ? O_PATH : O_RDONLY);
		assert_ok(layer_read_xattrs(&arena, fd, &xattrs, &count, &err), err);
		assert_int_equal(count, 2);
		assert_string_equal(xattrs[0].name, "user.a");
		assert_string_equal(xattrs[1].name, "user.z");
		assert_int_equal(xattrs[1].len, sizeof(large) - 1);
	}
	put_file(scratch->fd, "g", "x");
	scope_fd int to = openat(scratch->fd, "g", O_RDONLY);
	assert_ok(layer_write_xattrs(to, xattrs, count, "g", &err), err);
	assert_ok(layer_read_xattrs(&arena, to, &xattrs, &count, &err), err);
	assert_int_equal(count, 2);
}

static int settle_in_namespace(int channel, void *arg, struct err *err)
{
	void *state = arg;
	struct scratch *scratch = arg;
	struct stat st;

	(void)channel;
	if (enter_namespaces(err) < 0)
		return -1;
	test_settling_makes_one_form_of_all(&state);
	assert_int_equal(fstatat(scratch->fd, "top", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_false(has_name(scratch->fd, ".wh.top"));
	assert_false(has_name(scratch->fd, LAYER_FILE_MARKS));
	return 0;
}

static void test_settling_makes_devices_in_a_user_namespace(void **state)
{
	struct proc child = PROC_EMPTY;
	struct err err;

	assert_ok(proc_fork(&child, settle_in_namespace, *state, &err), err);
	assert_ok(proc_wait(&child, NULL, &err), err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_marks_are_told_from_entries),
		scratch_test(test_every_form_of_opaque_is_known),
		scratch_test(test_settling_makes_one_form_of_all),
		scratch_test(test_settling_clamps_times),
		scratch_test(test_attributes_are_read_sorted_and_filtered),
		scratch_test(test_settling_makes_devices_in_a_user_namespace),
	};

	return run_group_tests_with_namespaces(tests, 1);
}
