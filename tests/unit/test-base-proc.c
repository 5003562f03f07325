/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "scratch.h"

enum step { STEP_FIRST, STEP_SECOND, STEP_NEVER };

/* Every test ends with as many files as it began with, and without children. */
static int count_files(void)
{
	return count_names(AT_FDCWD, "/proc/self/fd");
}

static int remember_files(void **state)
{
	static int count;

	count = count_files();
	*state = &count;
	return 0;
}

static int check_files(void **state)
{
	const int *before = *state;

	return count_files() == *before && waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD ? 0 : -1;
}

#define proc_test(name) cmocka_unit_test_setup_teardown(name, remember_files, check_files)

static int succeed(int channel, void *arg, struct err *err)
{
	(void)channel;
	(void)err;
	return arg ? *(int *)arg : 0;
}

static void a_child_that_returns_nothing_bad_succeeds(void **state)
{
	struct err err = { .msg = "untouched" };
	struct proc child;

	(void)state;
	assert_ok(proc_fork(&child, succeed, NULL, &err), err);
	assert_true(child.pid > 0 && child.channel >= 0 && child.pidfd >= 0);
	assert_int_equal(fcntl(child.pidfd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(child.channel, F_GETFD), FD_CLOEXEC);
	assert_ok(proc_wait(&child, NULL, &err), err);
	assert_int_equal(child.pid, -1);
	assert_int_equal(child.channel, -1);
	assert_int_equal(child.pidfd, -1);
	assert_string_equal(err.msg, "untouched");
}

static int fail_with_everything(int channel, void *arg, struct err *err)
{
	char text[sizeof(err->msg)];

	(void)channel;
	(void)arg;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	return err_status(err, ERR_CORRUPT, 42, "%s", text);
}

static void a_childs_error_arrives_whole(void **state)
{
	struct err err = { 0 };
	struct proc child;

	(void)state;
	assert_ok(proc_fork(&child, fail_with_everything, NULL, &err), err);
	assert_int_equal(proc_wait(&child, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_int_equal(err.sys, 42);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_int_equal(child.pid, -1);
	assert_ok(proc_fork(&child, fail_with_everything, NULL, NULL), err);
	assert_int_equal(proc_wait(&child, NULL, NULL), -1);
}

static int step_by_step(int channel, void *arg, struct err *err)
{
	int *value = arg;

	if (proc_reach(channel, STEP_FIRST, "one", 3, err) < 0 || proc_pause(channel, err) < 0)
		return -1;
	(*value)++;
	if (proc_reach(channel, STEP_SECOND, value, sizeof(*value), err) < 0 || proc_pause(channel, err) < 0)
		return -1;
	return err_set(err, ERR_INPUT, "value %d", *value);
}

static void parent_and_child_go_step_by_step(void **state)
{
	scope_strbuf struct strbuf payload = { 0 };
	struct err err = { 0 };
	struct proc child;
	int value = 41;

	(void)state;
	assert_ok(proc_fork(&child, step_by_step, &value, &err), err);
	strbuf_addstr(&payload, "and ");
	assert_ok(proc_await(&child, STEP_FIRST, &payload, &err), err);
	assert_string_equal(payload.ptr, "and one");
	assert_ok(proc_resume(&child, &err), err);
	strbuf_reset(&payload);
	assert_ok(proc_await(&child, STEP_SECOND, &payload, &err), err);
	assert_int_equal(payload.len, sizeof(int));
	assert_int_equal(*(int *)(void *)payload.ptr, 42);
	assert_int_equal(value, 41);
	assert_ok(proc_resume(&child, &err), err);
	assert_int_equal(proc_wait(&child, NULL, &err), -1);
	assert_string_equal(err.msg, "value 42");
}

static int say_two_things(int channel, void *arg, struct err *err)
{
	char large[16 * 1024];

	(void)arg;
	memset(large, 'l', sizeof(large));
	if (proc_reach(channel, STEP_FIRST, NULL, 0, err) < 0)
		return -1;
	return proc_reach(channel, STEP_SECOND, large, sizeof(large), err);
}

static void what_nobody_awaited_comes_with_the_end(void **state)
{
	scope_strbuf struct strbuf payload = { 0 };
	struct err err = { 0 };
	struct proc child;

	(void)state;
	assert_ok(proc_fork(&child, say_two_things, NULL, &err), err);
	assert_ok(proc_wait(&child, &payload, &err), err);
	assert_int_equal(payload.len, 16 * 1024);
	assert_int_equal(strspn(payload.ptr, "l"), 16 * 1024);
}

static void other_steps_are_passed_over(void **state)
{
	scope_strbuf struct strbuf payload = { 0 };
	struct err err = { 0 };
	struct proc child;

	(void)state;
	assert_ok(proc_fork(&child, say_two_things, NULL, &err), err);
	assert_ok(proc_await(&child, STEP_SECOND, &payload, &err), err);
	assert_int_equal(payload.len, 16 * 1024);
	assert_ok(proc_wait(&child, NULL, &err), err);
}

static void messages_can_be_taken_one_by_one(void **state)
{
	struct err err = { 0 };
	struct proc child;
	int step = -7;

	(void)state;
	assert_ok(proc_fork(&child, say_two_things, NULL, &err), err);
	assert_int_equal(proc_next(&child, &step, NULL, &err), 1);
	assert_int_equal(step, STEP_FIRST);
	assert_int_equal(proc_next(&child, &step, NULL, &err), 1);
	assert_int_equal(step, STEP_SECOND);
	assert_int_equal(proc_next(&child, &step, NULL, &err), 0);
	assert_int_equal(proc_next(&child, &step, NULL, &err), 0);
	assert_ok(proc_wait(&child, NULL, &err), err);
	assert_ok(proc_fork(&child, fail_with_everything, NULL, &err), err);
	assert_int_equal(proc_next(&child, &step, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_int_equal(child.pid, -1);
}

static void whoever_fails_or_ends_early_ends_the_wait(void **state)
{
	struct err err = { 0 };
	struct proc child;

	(void)state;
	assert_ok(proc_fork(&child, fail_with_everything, NULL, &err), err);
	assert_int_equal(proc_await(&child, STEP_NEVER, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_int_equal(child.pid, -1);
	assert_ok(proc_fork(&child, succeed, NULL, &err), err);
	assert_int_equal(proc_await(&child, STEP_NEVER, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_COMMAND);
	assert_string_equal(err.msg, "ended without a word (status 0)");
	assert_int_equal(child.pid, -1);
}

static int kill_self(int channel, void *arg, struct err *err)
{
	(void)channel;
	(void)arg;
	(void)err;
	kill(getpid(), SIGKILL);
	return 0;
}

static void a_killed_child_ended_without_a_word(void **state)
{
	struct err err = { 0 };
	struct proc child;

	(void)state;
	assert_ok(proc_fork(&child, kill_self, NULL, &err), err);
	assert_int_equal(proc_wait(&child, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_COMMAND);
	assert_int_equal(err.sys, 128 + SIGKILL);
	assert_string_equal(err.msg, "ended without a word (signal 9)");
	assert_ok(proc_fork(&child, kill_self, NULL, &err), err);
	assert_int_equal(proc_await(&child, STEP_NEVER, NULL, &err), -1);
	assert_string_equal(err.msg, "ended without a word (signal 9)");
}

static int fail_after_a_step(int channel, void *arg, struct err *err)
{
	(void)arg;
	if (proc_reach(channel, STEP_FIRST, NULL, 0, err) < 0)
		return -1;
	return err_set(err, ERR_INPUT, "the reason");
}

static void resuming_a_child_that_failed_gives_its_reason(void **state)
{
	struct err err = { 0 };
	struct proc child;

	(void)state;
	assert_ok(proc_fork(&child, fail_after_a_step, NULL, &err), err);
	assert_ok(proc_await(&child, STEP_FIRST, NULL, &err), err);
	struct pollfd end = { .fd = child.pidfd, .events = POLLIN };
	assert_int_equal(poll(&end, 1, 10000), 1);
	assert_int_equal(proc_resume(&child, &err), -1);
	assert_string_equal(err.msg, "the reason");
	assert_int_equal(child.pid, -1);
}

/* The child dies with the resume message unread, for which the kernel resets the connection; its words must survive. */
static void words_before_an_unread_message_are_not_lost(void **state)
{
	struct err err = { 0 };
	struct proc child;

	(void)state;
	for (int i = 0; i < 200; i++) {
		assert_ok(proc_fork(&child, fail_after_a_step, NULL, &err), err);
		if (proc_resume(&child, &err) == 0)
			assert_int_equal(proc_wait(&child, NULL, &err), -1);
		assert_string_equal(err.msg, "the reason");
	}
}

static int wait_forever(int channel, void *arg, struct err *err)
{
	(void)channel;
	(void)arg;
	(void)err;
	while (pause() < 0)
		;
	return 0;
}

static void a_child_can_be_killed_and_killed_again(void **state)
{
	struct proc child = PROC_EMPTY;
	struct err err = { 0 };

	(void)state;
	proc_kill(&child);
	assert_ok(proc_fork(&child, wait_forever, NULL, &err), err);
	errno = EIO;
	proc_kill(&child);
	assert_int_equal(errno, EIO);
	assert_int_equal(child.pid, -1);
	proc_kill(&child);
}

static void a_scope_ends_its_child(void **state)
{
	struct err err = { 0 };
	pid_t pid;

	(void)state;
	{
		scope_proc struct proc child = PROC_EMPTY;
		assert_ok(proc_fork(&child, wait_forever, NULL, &err), err);
		pid = child.pid;
	}
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
}

static int leave_somebody_behind(int channel, void *arg, struct err *err)
{
	(void)channel;
	(void)arg;
	pid_t pid = fork();
	if (pid < 0)
		return err_errno(err, "fork");
	if (pid == 0) {
		/* Holds the channel for longer than the test may take. */
		poll(NULL, 0, 3000);
		_exit(0);
	}
	return 0;
}

static void what_a_child_leaves_behind_does_not_hold_its_parent(void **state)
{
	struct err err = { 0 };
	struct timespec before, after;
	struct proc child;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_ok(proc_fork(&child, leave_somebody_behind, NULL, &err), err);
	assert_ok(proc_wait(&child, NULL, &err), err);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 2);
}

/* Starts a child that holds the pipe *arg open, and is killed. */
static int be_killed_with_a_child(int channel, void *arg, struct err *err)
{
	struct proc child;

	(void)arg;
	if (proc_fork(&child, wait_forever, NULL, err) < 0 || proc_reach(channel, STEP_FIRST, NULL, 0, err) < 0)
		return -1;
	return wait_forever(channel, arg, err);
}

static void children_die_with_their_parent(void **state)
{
	struct err err = { 0 };
	struct proc child;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_ok(proc_fork(&child, be_killed_with_a_child, NULL, &err), err);
	close(ends[1]);
	assert_ok(proc_await(&child, STEP_FIRST, NULL, &err), err);
	struct pollfd end = { .fd = ends[0] };
	assert_int_equal(poll(&end, 1, 0), 0);
	proc_kill(&child);
	assert_int_equal(poll(&end, 1, 10000), 1);
	assert_int_equal(end.revents, POLLHUP);
	close(ends[0]);
}

/* Asks for the signal when its parent is gone already. */
static int ask_too_late(int channel, void *arg, struct err *err)
{
	(void)arg;
	prctl(PR_SET_PDEATHSIG, 0);
	if (proc_reach(channel, STEP_FIRST, NULL, 0, err) < 0)
		return -1;
	/* Ends with the channel. */
	while (proc_pause(channel, err) == 0)
		;
	return proc_die_with_parent(channel, err) < 0 ? -1 : wait_forever(channel, arg, err);
}

static int leave_a_child_that_asks_too_late(int channel, void *arg, struct err *err)
{
	struct proc child;

	(void)channel;
	(void)arg;
	return proc_fork(&child, ask_too_late, NULL, err) < 0 ? -1 : proc_await(&child, STEP_FIRST, NULL, err);
}

static void asking_for_death_too_late_is_death(void **state)
{
	struct err err = { 0 };
	struct proc child;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_ok(proc_fork(&child, leave_a_child_that_asks_too_late, NULL, &err), err);
	close(ends[1]);
	assert_ok(proc_wait(&child, NULL, &err), err);
	struct pollfd end = { .fd = ends[0] };
	assert_int_equal(poll(&end, 1, 10000), 1);
	close(ends[0]);
}

static void do_nothing(int number)
{
	(void)number;
}

static int check_signals(int channel, void *arg, struct err *err)
{
	struct sigaction action;
	sigset_t blocked;

	(void)channel;
	(void)arg;
	sigaction(SIGUSR1, NULL, &action);
	if (action.sa_handler != SIG_DFL)
		return err_set(err, ERR_INPUT, "the handler is still there");
	sigaction(SIGUSR2, NULL, &action);
	if (action.sa_handler != SIG_IGN)
		return err_set(err, ERR_INPUT, "what was ignored is not");
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	return sigisemptyset(&blocked) ? 0 : err_set(err, ERR_INPUT, "signals are blocked");
}

static void a_child_begins_with_clean_signals_and_its_parent_keeps_its_own(void **state)
{
	sigset_t term, before, after;
	struct err err = { 0 };
	struct proc child;

	(void)state;
	signal(SIGUSR1, do_nothing);
	signal(SIGUSR2, SIG_IGN);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before);
	assert_ok(proc_fork(&child, check_signals, NULL, &err), err);
	sigprocmask(SIG_SETMASK, &before, &after);
	assert_int_equal(sigismember(&after, SIGTERM), 1);
	assert_int_equal(sigismember(&after, SIGINT), 0);
	assert_ok(proc_wait(&child, NULL, &err), err);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

static void an_ignored_sigchld_loses_no_status(void **state)
{
	struct err err = { 0 };
	struct proc child;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	assert_ok(proc_fork(&child, kill_self, NULL, &err), err);
	assert_int_equal(proc_wait(&child, NULL, &err), -1);
	assert_int_equal(err.sys, 128 + SIGKILL);
}

/* Both processes print into one file; each word must be there once. */
static int print_word(int channel, void *arg, struct err *err)
{
	(void)channel;
	(void)err;
	fputs("child ", arg);
	return 0;
}

static void what_stdio_holds_is_written_once(void **state)
{
	scope_strbuf struct strbuf text = { 0 };
	int fd = memfd_create("out", MFD_CLOEXEC);
	FILE *file = fdopen(fd, "w+");
	struct err err = { 0 };
	struct proc child;

	(void)state;
	fputs("before ", file);
	assert_ok(proc_fork(&child, print_word, file, &err), err);
	assert_ok(proc_wait(&child, NULL, &err), err);
	fputs("after", file);
	fflush(file);
	lseek(fd, 0, SEEK_SET);
	assert_ok(file_read_fd(fd, 100, &text, "out", &err), err);
	assert_string_equal(text.ptr, "before child after");
	fclose(file);
}

static void statuses_are_decoded_as_shells_do(void **state)
{
	(void)state;
	assert_int_equal(proc_status_code(0), 0);
	assert_int_equal(proc_status_code(3 << 8), 3);
	assert_int_equal(proc_status_code(255 << 8), 255);
	assert_int_equal(proc_status_code(SIGTERM), 143);
	assert_int_equal(proc_status_code(SIGSEGV | 0x80), 139);
}

/* Waits for its id map, becomes root by it, asks for the parent's death signal again and fails a mount. */
static int live_in_namespaces(int channel, void *arg, struct err *err)
{
	int signal_number = 0;

	(void)arg;
	if (proc_reach(channel, STEP_FIRST, NULL, 0, err) < 0 || proc_pause(channel, err) < 0)
		return -1;
	if (getpid() != 1 || getppid() != 0)
		return err_set(err, ERR_INPUT, "the pid is %d", getpid());
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_errno(err, "become root");
	if (proc_die_with_parent(channel, err) < 0)
		return -1;
	prctl(PR_GET_PDEATHSIG, &signal_number);
	if (signal_number != SIGKILL)
		return err_set(err, ERR_INPUT, "the death signal is %d", signal_number);
	errno = EPERM;
	return err_errno(err, "mount /proc as %d", (int)getuid());
}

static void map_ids(pid_t pid)
{
	char path[64], map[64];
	struct {
		const char *file;
		int id;
	} maps[] = { { "uid_map", (int)geteuid() }, { "gid_map", (int)getegid() } };

	snprintf(path, sizeof(path), "/proc/%d/setgroups", pid);
	put_file(AT_FDCWD, path, "deny");
	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, maps[i].file);
		snprintf(map, sizeof(map), "0 %d 1", maps[i].id);
		put_file(AT_FDCWD, path, map);
	}
}

static void a_child_in_namespaces_waits_for_its_ids_and_reports(void **state)
{
	struct err err = { 0 };
	struct proc child;

	(void)state;
	unsigned long flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET;
	assert_ok(proc_clone(&child, flags, live_in_namespaces, NULL, &err), err);
	assert_ok(proc_await(&child, STEP_FIRST, NULL, &err), err);
	map_ids(child.pid);
	assert_ok(proc_resume(&child, &err), err);
	assert_int_equal(proc_wait(&child, NULL, &err), -1);
	err_wrap(&err, "step 3");
	assert_string_equal(err.msg, "step 3: mount /proc as 0: Operation not permitted");
	assert_true(err_is_errno(&err, EPERM));
}

static void impossible_namespaces_are_an_error(void **state)
{
	struct proc child = PROC_EMPTY;
	struct err err = { 0 };

	(void)state;
	/* The kernel refuses a new user namespace that shares its root and working directory. */
	assert_int_equal(proc_clone(&child, CLONE_NEWUSER | CLONE_FS, succeed, NULL, &err), -1);
	assert_true(err_is_errno(&err, EINVAL));
	assert_string_equal(err.msg, "start a child process: clone: Invalid argument");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		proc_test(a_child_that_returns_nothing_bad_succeeds),
		proc_test(a_childs_error_arrives_whole),
		proc_test(parent_and_child_go_step_by_step),
		proc_test(what_nobody_awaited_comes_with_the_end),
		proc_test(other_steps_are_passed_over),
		proc_test(messages_can_be_taken_one_by_one),
		proc_test(whoever_fails_or_ends_early_ends_the_wait),
		proc_test(a_killed_child_ended_without_a_word),
		proc_test(resuming_a_child_that_failed_gives_its_reason),
		proc_test(words_before_an_unread_message_are_not_lost),
		proc_test(a_child_can_be_killed_and_killed_again),
		proc_test(a_scope_ends_its_child),
		proc_test(what_a_child_leaves_behind_does_not_hold_its_parent),
		proc_test(children_die_with_their_parent),
		proc_test(asking_for_death_too_late_is_death),
		proc_test(a_child_begins_with_clean_signals_and_its_parent_keeps_its_own),
		proc_test(an_ignored_sigchld_loses_no_status),
		proc_test(what_stdio_holds_is_written_once),
		proc_test(statuses_are_decoded_as_shells_do),
		proc_test(impossible_namespaces_are_an_error),
		proc_test(a_child_in_namespaces_waits_for_its_ids_and_reports),
	};

	return run_group_tests_with_namespaces(tests, 1);
}
