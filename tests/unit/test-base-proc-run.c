/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#define SH(script) ((const char *const[]){ "sh", "-c", script, NULL })

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void outputs_are_collected_apart(void **state)
{
	scope_strbuf struct strbuf out = { 0 };
	scope_strbuf struct strbuf err_out = { 0 };
	struct err err = { 0 };
	struct proc_run run = {
		.argv = SH("echo out; echo err >&2; echo more"), .timeout_ms = -1, .out = &out, .err_out = &err_out
	};

	(void)state;
	assert_ok(proc_run(&run, &err), err);
	assert_string_equal(out.ptr, "out\nmore\n");
	assert_string_equal(err_out.ptr, "err\n");
}

static void a_status_is_an_error_with_the_last_words(void **state)
{
	static const struct {
		const char *script, *message;
		int status;
	} cases[] = {
		{ "exit 3", "sh ended with status 3", 3 },
		{ "echo first >&2; echo 'the  reason' >&2; echo >&2; exit 1", "sh: the  reason", 1 },
		{ "printf 'no newline' >&2; exit 2", "sh: no newline", 2 },
		{ "printf 'a\\033[31m\\n' >&2; exit 1", "sh: a\\x1b[31m", 1 },
		{ "echo words >&2; kill -TERM $$", "sh was killed by signal 15", 143 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = { 0 };
		struct proc_run run = { .argv = SH(cases[i].script), .timeout_ms = -1 };
		assert_int_equal(proc_run(&run, &err), -1);
		assert_int_equal(err.kind, ERR_COMMAND);
		assert_int_equal(err.sys, cases[i].status);
		assert_string_equal(err.msg, cases[i].message);
	}
}

static void a_program_gets_stdio_and_the_kept_files_only(void **state)
{
	scope_strbuf struct strbuf out = { 0 };
	scope_fd int kept = memfd_create("kept", MFD_CLOEXEC);
	scope_fd int leaked = memfd_create("leaked", 0);
	struct err err = { 0 };
	char expected[64];
	int keep[] = { kept, -1 };
	struct proc_run run = {
		.argv = SH("for f in /proc/$$/fd/*; do printf '%s=' ${f##*/}; readlink $f; done; cat"),
		.keep = keep,
		.timeout_ms = -1,
		.out = &out,
	};

	(void)state;
	assert_true(leaked >= 0);
	assert_ok(proc_run(&run, &err), err);
	assert_non_null(strstr(out.ptr, "0=/dev/null\n"));
	snprintf(expected, sizeof(expected), "%d=/memfd:kept", kept);
	assert_non_null(strstr(out.ptr, expected));
	assert_null(strstr(out.ptr, "leaked"));
	assert_null(strstr(out.ptr, "socket"));
	assert_int_equal(fcntl(kept, F_GETFD), FD_CLOEXEC);
}

static int run_without_close_range(int channel, void *arg, struct err *err)
{
	scope_strbuf struct strbuf out = { 0 };
	struct proc_run run = { .argv = SH("ls /proc/$$/fd"), .timeout_ms = -1, .out = &out };

	(void)channel;
	(void)arg;
	if (memfd_create("leaked", 0) < 0 || block_call(SYS_close_range, ENOSYS, err) < 0 || proc_run(&run, err) < 0)
		return -1;
	return strcmp(out.ptr, "0\n1\n2\n") == 0 ? 0 : err_set(err, ERR_INPUT, "%s", out.ptr);
}

static void an_older_kernel_closes_files_too(void **state)
{
	struct err err = { 0 };
	struct proc child;

	(void)state;
	assert_ok(proc_fork(&child, run_without_close_range, NULL, &err), err);
	assert_ok(proc_wait(&child, NULL, &err), err);
}

static void a_program_gets_the_given_environment(void **state)
{
	scope_strbuf struct strbuf out = { 0 };
	struct err err = { 0 };
	struct proc_run run = {
		.argv = (const char *const[]){ "env", NULL },
		.envp = (const char *const[]){ "A=1", "B=2", NULL },
		.timeout_ms = -1,
		.out = &out,
	};

	(void)state;
	assert_ok(proc_run(&run, &err), err);
	assert_string_equal(out.ptr, "A=1\nB=2\n");
	setenv("KILN_TEST_VARIABLE", "inherited", 1);
	run.envp = NULL;
	strbuf_reset(&out);
	assert_ok(proc_run(&run, &err), err);
	assert_non_null(strstr(out.ptr, "KILN_TEST_VARIABLE=inherited\n"));
	unsetenv("KILN_TEST_VARIABLE");
}

static void a_slow_program_is_killed(void **state)
{
	static const char *const scripts[] = { "exec sleep 30", "trap '' TERM; exec sleep 30", "exec yes",
					       "exec yes >&2" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		struct err err = { 0 };
		struct proc_run run = { .argv = SH(scripts[i]), .timeout_ms = 100 };
		int64_t before = now_ms();
		assert_int_equal(proc_run(&run, &err), -1);
		assert_in_range(now_ms() - before, 100, 5000);
		assert_true(err_is_errno(&err, ETIMEDOUT));
		assert_string_equal(err.msg, "sh did not end within 100 ms and was killed");
	}
}

static void what_a_program_leaves_running_is_not_awaited(void **state)
{
	scope_strbuf struct strbuf out = { 0 };
	struct err err = { 0 };
	struct proc_run run = { .argv = SH("sleep 3 & echo started"), .timeout_ms = -1, .out = &out };
	int64_t before = now_ms();

	(void)state;
	assert_ok(proc_run(&run, &err), err);
	assert_string_equal(out.ptr, "started\n");
	assert_true(now_ms() - before < 2000);
}

static void too_much_output_is_no_short_output(void **state)
{
	scope_strbuf struct strbuf out = { 0 };
	scope_strbuf struct strbuf err_out = { 0 };
	struct err err = { 0 };
	struct proc_run run = { .argv = SH("head -c 65536 /dev/zero"), .timeout_ms = -1, .out = &out };

	(void)state;
	assert_ok(proc_run(&run, &err), err);
	assert_int_equal(out.len, 65536);
	run.argv = SH("head -c 10000000 /dev/zero");
	strbuf_reset(&out);
	assert_int_equal(proc_run(&run, &err), -1);
	assert_true(err_is_errno(&err, EOVERFLOW));
	assert_int_equal(out.len, 65536);
	run.out = NULL;
	assert_ok(proc_run(&run, &err), err);

	run.argv = SH("head -c 1000000 /dev/zero >&2; echo 'the reason' >&2; exit 1");
	run.err_out = &err_out;
	assert_int_equal(proc_run(&run, &err), -1);
	assert_int_equal(err_out.len, 65536);
	assert_string_equal(err_out.ptr + 65536 - 11, "the reason\n");
}

static void sigpipe_kills_a_program_as_it_expects(void **state)
{
	struct err err = { 0 };
	struct proc_run run = { .argv = SH("kill -PIPE $$"), .timeout_ms = -1 };

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(proc_run(&run, &err), -1);
	signal(SIGPIPE, SIG_DFL);
	assert_string_equal(err.msg, "sh was killed by signal 13");
}

static void put_program(const struct scratch *scratch, const char *name, const char *text, mode_t mode)
{
	struct err err = { 0 };

	assert_ok(file_replace(scratch->fd, name, mode, text, strlen(text), false, &err), err);
}

static void programs_are_found_in_path_and_in_system_folders(void **state)
{
	const struct scratch *scratch = *state;
	scope_free char *path_before = strdup(getenv("PATH") ? getenv("PATH") : "");
	scope_strbuf struct strbuf path = { 0 };
	struct err err = { 0 };
	char folders[1024], expected[512];

	put_dir(scratch->fd, "one");
	put_dir(scratch->fd, "two");
	put_program(scratch, "one/kiln-not-executable", "", 0644);
	put_dir(scratch->fd, "one/kiln-program");
	put_program(scratch, "two/kiln-program", "", 0755);
	snprintf(folders, sizeof(folders), ":.:relative:%s/one:%s/two", scratch->path, scratch->path);
	snprintf(expected, sizeof(expected), "%s/two/kiln-program", scratch->path);
	setenv("PATH", folders, 1);

	assert_ok(proc_find("kiln-program", &path, &err), err);
	assert_string_equal(path.ptr, expected);
	assert_ok(proc_find(expected, &path, &err), err);
	assert_string_equal(path.ptr, expected);
	assert_ok(proc_find("sh", &path, &err), err);
	assert_true(strcmp(path.ptr, "/usr/bin/sh") == 0 || strcmp(path.ptr, "/bin/sh") == 0);
	assert_int_equal(proc_find("kiln-not-executable", &path, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_string_equal(err.msg, "kiln-not-executable is not installed");
	setenv("PATH", path_before, 1);
}

static void the_current_folder_is_never_searched(void **state)
{
	const struct scratch *scratch = *state;
	scope_fd int before = openat(AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	scope_free char *path_before = strdup(getenv("PATH") ? getenv("PATH") : "");
	scope_strbuf struct strbuf path = { 0 };
	struct err err = { 0 };

	put_program(scratch, "kiln-program", "", 0755);
	assert_int_equal(fchdir(scratch->fd), 0);
	setenv("PATH", ".::/nowhere:", 1);
	assert_int_equal(proc_find("kiln-program", &path, &err), -1);
	assert_int_equal(proc_find("./kiln-program", &path, &err), -1);
	unsetenv("PATH");
	assert_int_equal(proc_find("kiln-program", &path, &err), -1);
	setenv("PATH", path_before, 1);
	assert_int_equal(fchdir(before), 0);
}

static void a_program_that_cannot_start_says_why(void **state)
{
	const struct scratch *scratch = *state;
	struct err err = { 0 };
	char path[512], expected[1024];
	struct proc_run run = { .argv = (const char *const[]){ path, NULL }, .timeout_ms = -1 };

	put_program(scratch, "broken", "no program", 0755);
	snprintf(path, sizeof(path), "%s/broken", scratch->path);
	snprintf(expected, sizeof(expected), "run %s: Exec format error", path);
	assert_int_equal(proc_run(&run, &err), -1);
	assert_true(err_is_errno(&err, ENOEXEC));
	assert_string_equal(err.msg, expected);

	run.argv = (const char *const[]){ "kiln-none", NULL };
	assert_int_equal(proc_run(&run, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void nothing_stays_open(void **state)
{
	struct err err = { 0 };
	struct proc_run run = { .argv = SH("exit 1"), .timeout_ms = 1000 };
	int before = count_names(AT_FDCWD, "/proc/self/fd");

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(proc_run(&run, &err), -1);
	run.argv = SH("exec sleep 30");
	run.timeout_ms = 10;
	assert_int_equal(proc_run(&run, &err), -1);
	assert_int_equal(count_names(AT_FDCWD, "/proc/self/fd"), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outputs_are_collected_apart),
		cmocka_unit_test(a_status_is_an_error_with_the_last_words),
		cmocka_unit_test(a_program_gets_stdio_and_the_kept_files_only),
		cmocka_unit_test(an_older_kernel_closes_files_too),
		cmocka_unit_test(a_program_gets_the_given_environment),
		cmocka_unit_test(a_slow_program_is_killed),
		cmocka_unit_test(what_a_program_leaves_running_is_not_awaited),
		cmocka_unit_test(too_much_output_is_no_short_output),
		cmocka_unit_test(sigpipe_kills_a_program_as_it_expects),
		scratch_test(programs_are_found_in_path_and_in_system_folders),
		scratch_test(the_current_folder_is_never_searched),
		scratch_test(a_program_that_cannot_start_says_why),
		cmocka_unit_test(nothing_stays_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
