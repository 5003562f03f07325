/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

static void a_file_is_read_behind_what_is_there(void **state)
{
	const struct scratch *scratch = *state;
	scope_strbuf struct strbuf buf = { 0 };
	struct err err = { 0 };

	put_file(scratch->fd, "a", "text");
	strbuf_addstr(&buf, "my ");
	assert_ok(file_read(scratch->fd, "a", 100, &buf, &err), err);
	assert_string_equal(buf.ptr, "my text");
	assert_int_equal(buf.len, 7);
}

static void every_size_around_the_limit_is_read_or_refused(void **state)
{
	static const size_t sizes[] = { 0, 1, 31, 32, 4095, 4096, 4097, 8191, 100000 };
	const struct scratch *scratch = *state;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		scope_free char *bytes = malloc(sizes[i] + 1);
		scope_strbuf struct strbuf buf = { 0 };
		memset(bytes, 'b', sizes[i] + 1);
		assert_ok(file_replace(scratch->fd, "a", 0644, bytes, sizes[i], false, &err), err);
		assert_ok(file_read(scratch->fd, "a", sizes[i], &buf, &err), err);
		assert_int_equal(buf.len, sizes[i]);
		assert_memory_equal(strbuf_str(&buf), bytes, sizes[i]);
		assert_int_equal(buf.ptr[buf.len], '\0');

		assert_ok(file_replace(scratch->fd, "a", 0644, bytes, sizes[i] + 1, false, &err), err);
		strbuf_reset(&buf);
		assert_int_equal(file_read(scratch->fd, "a", sizes[i], &buf, &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
		assert_int_equal(buf.len, 0);
	}
	assert_string_equal(err.msg, "a is larger than 100000 bytes");
}

static int write_slowly(int channel, void *arg, struct err *err)
{
	const int *fd = arg;

	(void)channel;
	for (int i = 0; i < 100; i++) {
		if (file_write_fd(*fd, "0123456789", 10, "pipe", err) < 0)
			return -1;
	}
	return 0;
}

static void a_pipe_is_read_to_its_end(void **state)
{
	scope_strbuf struct strbuf buf = { 0 };
	struct proc child;
	struct err err = { 0 };
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_ok(proc_fork(&child, write_slowly, &ends[1], &err), err);
	close(ends[1]);
	assert_ok(file_read_fd(ends[0], 1000, &buf, "pipe", &err), err);
	assert_int_equal(buf.len, 1000);
	close(ends[0]);
	assert_ok(proc_wait(&child, NULL, &err), err);
}

static void errors_name_the_file(void **state)
{
	const struct scratch *scratch = *state;
	scope_strbuf struct strbuf buf = { 0 };
	struct err err = { 0 };

	assert_int_equal(file_read(scratch->fd, "none", 10, &buf, &err), -1);
	assert_string_equal(err.msg, "open none: No such file or directory");
	assert_int_equal(file_read(scratch->fd, ".", 10, &buf, &err), -1);
	assert_string_equal(err.msg, "read .: Is a directory");
	assert_int_equal(file_open_user("/none/x", O_RDONLY, 0, &err), -1);
	assert_string_equal(err.msg, "open /none/x: No such file or directory");
	scope_fd int full = file_open_user("/dev/full", O_WRONLY, 0, &err);
	assert_ok(full, err);
	assert_int_equal(fcntl(full, F_GETFD), FD_CLOEXEC);
	assert_int_equal(file_write_fd(full, "x", 1, "/dev/full", &err), -1);
	assert_string_equal(err.msg, "write /dev/full: No space left on device");
}

static void a_directory_is_made_once(void **state)
{
	const struct scratch *scratch = *state;
	struct err err = { 0 };

	scope_fd int first = file_make_dir(scratch->fd, "d", 0700, &err);
	assert_ok(first, err);
	put_file(first, "x", "");
	scope_fd int second = file_make_dir(scratch->fd, "d", 0700, &err);
	assert_ok(second, err);
	assert_true(has_name(second, "x"));

	put_link(scratch->fd, "link", "d");
	assert_int_equal(file_make_dir(scratch->fd, "link", 0700, &err), -1);
	put_file(scratch->fd, "file", "");
	assert_int_equal(file_make_dir(scratch->fd, "file", 0700, &err), -1);
	assert_true(err_is_errno(&err, ENOTDIR));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_file_is_read_behind_what_is_there),
		scratch_test(every_size_around_the_limit_is_read_or_refused),
		cmocka_unit_test(a_pipe_is_read_to_its_end),
		scratch_test(errors_name_the_file),
		scratch_test(a_directory_is_made_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
