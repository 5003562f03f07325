/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

static mode_t mode_of(int dir_fd, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 07777;
}

static void a_file_appears_whole_and_with_its_mode(void **state)
{
	const struct scratch *scratch = *state;
	scope_new_file struct new_file file = NEW_FILE_EMPTY;
	struct err err = { 0 };
	mode_t umask_before = umask(077);

	int result = new_file_create(&file, scratch->fd, 0664, &err);
	umask(umask_before);
	assert_ok(result, err);
	assert_ok(file_write_fd(file.fd, "whole", 5, "a", &err), err);
	assert_false(has_name(scratch->fd, "a"));
	assert_ok(new_file_publish(&file, "a", true, &err), err);
	assert_file(scratch->fd, "a", "whole");
	assert_int_equal(mode_of(scratch->fd, "a"), 0664);
	assert_int_equal(count_names(scratch->fd, "."), 1);
}

static void an_unpublished_file_leaves_nothing(void **state)
{
	const struct scratch *scratch = *state;
	struct new_file file = NEW_FILE_EMPTY;
	struct err err = { 0 };

	new_file_release(&file);
	assert_ok(new_file_create(&file, scratch->fd, 0644, &err), err);
	new_file_release(&file);
	assert_int_equal(file.fd, -1);
	assert_int_equal(count_names(scratch->fd, "."), 0);
}

static void an_existing_name_is_replaced_and_its_readers_keep_the_old(void **state)
{
	const struct scratch *scratch = *state;
	scope_strbuf struct strbuf old = { 0 };
	struct err err = { 0 };

	put_file(scratch->fd, "a", "old");
	scope_fd int reader = openat(scratch->fd, "a", O_RDONLY | O_CLOEXEC);
	assert_ok(file_replace(scratch->fd, "a", 0600, "new", 3, false, &err), err);
	assert_file(scratch->fd, "a", "new");
	assert_int_equal(mode_of(scratch->fd, "a"), 0600);
	assert_ok(file_read_fd(reader, 10, &old, "a", &err), err);
	assert_string_equal(old.ptr, "old");
	assert_int_equal(count_names(scratch->fd, "."), 1);
}

static void a_link_is_replaced_and_not_followed(void **state)
{
	const struct scratch *scratch = *state;
	struct err err = { 0 };

	put_file(scratch->fd, "target", "safe");
	put_link(scratch->fd, "a", "target");
	assert_ok(file_replace(scratch->fd, "a", 0644, "new", 3, true, &err), err);
	assert_file(scratch->fd, "target", "safe");
	assert_file(scratch->fd, "a", "new");
}

static void a_directory_in_the_way_is_an_error_that_leaves_nothing(void **state)
{
	const struct scratch *scratch = *state;
	struct err err = { 0 };

	put_dir(scratch->fd, "a");
	assert_int_equal(file_replace(scratch->fd, "a", 0644, "new", 3, false, &err), -1);
	assert_true(err_is_errno(&err, EISDIR));
	assert_string_equal(err.msg, "publish a: Is a directory");
	assert_int_equal(count_names(scratch->fd, "."), 1);
}

static void a_path_fd_is_enough(void **state)
{
	const struct scratch *scratch = *state;
	scope_fd int dir_fd = openat(scratch->fd, ".", O_PATH | O_CLOEXEC);
	struct err err = { 0 };

	assert_ok(file_replace(dir_fd, "a", 0644, "x", 1, true, &err), err);
	assert_ok(file_replace(dir_fd, "a", 0644, "y", 1, true, &err), err);
	assert_file(scratch->fd, "a", "y");
}

static void no_directory_is_an_error(void **state)
{
	struct new_file file;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(new_file_create(&file, -1, 0644, &err), -1);
	assert_true(err_is_errno(&err, EBADF));
	assert_int_equal(file.fd, -1);
	assert_int_equal(file_replace(-1, "a", 0644, "", 0, false, &err), -1);
	assert_string_equal(err.msg, "replace a: create a temporary file: Bad file descriptor");
}

/* Without /proc a nameless file could never be named, so this takes the other way: a random name and a rename. */
static int replace_without_proc(int channel, void *arg, struct err *err)
{
	const struct scratch *scratch = arg;
	struct new_file file = NEW_FILE_EMPTY;

	(void)channel;
	if (enter_namespaces(err) < 0)
		return -1;
	if (chroot(scratch->path) < 0)
		return err_errno(err, "chroot");
	if (new_file_create(&file, scratch->fd, 0640, err) < 0)
		return -1;
	if (strncmp(file.tmp, ".tmp-", 5) != 0 || !has_name(scratch->fd, file.tmp))
		return err_set(err, ERR_INPUT, "the file has no temporary name");
	new_file_release(&file);
	if (count_names(scratch->fd, ".") != 0)
		return err_set(err, ERR_INPUT, "the temporary name is left");
	if (file_replace(scratch->fd, "a", 0640, "old", 3, false, err) < 0)
		return -1;
	return file_replace(scratch->fd, "a", 0640, "new", 3, true, err);
}

static void a_file_appears_whole_without_proc_too(void **state)
{
	const struct scratch *scratch = *state;
	struct proc child;
	struct err err = { 0 };

	assert_ok(proc_fork(&child, replace_without_proc, *state, &err), err);
	assert_ok(proc_wait(&child, NULL, &err), err);
	assert_file(scratch->fd, "a", "new");
	assert_int_equal(mode_of(scratch->fd, "a"), 0640);
	assert_int_equal(count_names(scratch->fd, "."), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_file_appears_whole_and_with_its_mode),
		scratch_test(an_unpublished_file_leaves_nothing),
		scratch_test(an_existing_name_is_replaced_and_its_readers_keep_the_old),
		scratch_test(a_link_is_replaced_and_not_followed),
		scratch_test(a_directory_in_the_way_is_an_error_that_leaves_nothing),
		scratch_test(a_path_fd_is_enough),
		cmocka_unit_test(no_directory_is_an_error),
		scratch_test(a_file_appears_whole_without_proc_too),
	};

	return run_group_tests_with_namespaces(tests, 1);
}
