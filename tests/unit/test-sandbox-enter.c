/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "kiln/sandbox/enter.h"
#include "kiln/sandbox/idmap.h"
#include "sandbox-range.h"

/* Shared with the processes of a test. */
struct shared {
	struct err err;
	uint32_t uid, gid;
	int group_count, umask, is_dumpable;
	uint64_t ids;
	bool has_shared_mounts, may_chown;
	volatile pid_t coordinator;
	volatile int signals;
};

static struct shared *shared;

static int make_shared(void **state)
{
	(void)state;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED ? -1 : 0;
}

static int clear_shared(void **state)
{
	(void)state;
	memset(shared, 0, sizeof(*shared));
	return 0;
}

static int enter(int (*work)(void *arg), void *arg, int *status, struct err *err)
{
	return sandbox_enter(ISOLATION_AUTO, work, arg, status, err);
}

/* ---- what work finds ---- */

static bool file_says(const char *path, const char *text)
{
	scope_strbuf struct strbuf found = { 0 };

	return file_read(AT_FDCWD, path, 1 << 20, &found, NULL) == 0 && strstr(strbuf_str(&found), text) != NULL;
}

static int look_around(void *arg)
{
	scope_free struct id_map *map = calloc(1, sizeof(*map));
	char path[] = "/tmp/kiln-test-XXXXXX";

	(void)arg;
	shared->uid = getuid();
	shared->gid = getgid();
	shared->group_count = getgroups(0, NULL);
	shared->umask = (int)umask(0);
	shared->is_dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	shared->has_shared_mounts = file_says("/proc/self/mountinfo", " shared:") ||
				    file_says("/proc/self/mountinfo", " master:");
	if (id_map_plan(map, &shared->err) < 0)
		return 1;
	shared->ids = id_map_uids(map);
	scope_fd int fd = mkstemp(path);
	shared->may_chown = fd >= 0 && fchown(fd, 1, 1) == 0 && fchown(fd, 0, 0) == 0;
	unlink(path);
	return 0;
}

static void work_is_root_with_a_range_of_ids(void **state)
{
	struct err err = { 0 };
	int status = -1;

	(void)state;
	assert_ok(enter(look_around, NULL, &status, &err), err);
	assert_int_equal(status, 0);
	assert_int_equal(shared->uid, 0);
	assert_int_equal(shared->gid, 0);
	/* A context may be readable by one of them only. */
	assert_int_equal(shared->group_count, getgroups(0, NULL));
	assert_int_equal(shared->umask, 022);
	assert_int_equal(shared->is_dumpable, 1);
	assert_true(shared->ids > 1);
	assert_true(shared->may_chown);
	assert_false(shared->has_shared_mounts);
}

static int enter_again(void *arg)
{
	int status = -1;

	if (enter(look_around, arg, &status, &shared->err) < 0)
		return 99;
	return status;
}

static void it_can_be_entered_again_from_inside(void **state)
{
	struct err err = { 0 };
	int status = -1;

	(void)state;
	assert_ok(enter(enter_again, NULL, &status, &err), err);
	if (status == 99)
		fail_msg("%s", shared->err.msg);
	assert_int_equal(status, 0);
	assert_int_equal(shared->uid, 0);
	assert_true(shared->ids > 1);
	assert_true(shared->may_chown);
}

/* ---- how it ends ---- */

static int return_number(void *arg)
{
	return *(int *)arg;
}

static int end_by_signal(void *arg)
{
	kill(getpid(), *(int *)arg);
	pause();
	return 0;
}

static void the_status_is_what_work_returned(void **state)
{
	(void)state;
	for (int number = 0; number < 256; number += 51) {
		struct err err = { 0 };
		int status = -1;
		assert_ok(enter(return_number, &number, &status, &err), err);
		assert_int_equal(status, number);
	}
}

static void the_status_of_a_killed_one_is_the_signal(void **state)
{
	int numbers[] = { SIGKILL, SIGTERM, SIGSEGV };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		struct err err = { 0 };
		int status = -1;
		assert_ok(enter(end_by_signal, &numbers[i], &status, &err), err);
		assert_int_equal(status, 128 + numbers[i]);
	}
}

static void rungs_that_are_missing_say_so(void **state)
{
	static const enum isolation rungs[] = { ISOLATION_CHROOT, ISOLATION_TRACED };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rungs); i++) {
		struct err err = { 0 };
		int status, number = 0;
		assert_int_equal(sandbox_enter(rungs[i], return_number, &number, &status, &err), -1);
		assert_int_equal(err.kind, ERR_UNSUPPORTED);
		assert_non_null(strstr(err.msg, "is not in this version of kiln"));
		assert_non_null(strstr(err.msg, isolation_name(rungs[i])));
	}
}

static void isolations_have_names(void **state)
{
	static const char *const names[] = { "auto", "mapped", "single", "chroot", "traced" };
	enum isolation isolation;
	struct err err = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_ok(isolation_parse(&isolation, names[i], &err), err);
		assert_string_equal(isolation_name(isolation), names[i]);
	}
	assert_int_equal(isolation_parse(&isolation, "oci", &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
}

/* ---- signals ---- */

static void count_signal(int number)
{
	(void)number;
	shared->signals++;
}

/* Says that it is there, and ends with 7 after the first signal. */
static int wait_for_signal(void *arg)
{
	struct sigaction action = { .sa_handler = count_signal };
	struct timespec rest = { .tv_sec = 30 };

	(void)arg;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	shared->coordinator = getpid();
	nanosleep(&rest, NULL);
	return 7;
}

static int enter_in_child(int channel, void *arg, struct err *err)
{
	int status = -1;

	(void)channel;
	(void)arg;
	if (enter(wait_for_signal, NULL, &status, err) < 0)
		return -1;
	return status == 7 ? 0 : err_set(err, ERR_SYSTEM, "status %d", status);
}

static pid_t wait_for_coordinator(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < 20000 && !shared->coordinator; i++)
		nanosleep(&pause, NULL);
	assert_true(shared->coordinator > 0);
	return shared->coordinator;
}

static void signals_are_forwarded(void **state)
{
	static const int numbers[] = { SIGTERM, SIGINT };
	struct err err = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		struct proc child = PROC_EMPTY;
		clear_shared(NULL);
		assert_ok(proc_fork(&child, enter_in_child, NULL, &err), err);
		wait_for_coordinator();
		assert_int_equal(kill(child.pid, numbers[i]), 0);
		assert_ok(proc_wait(&child, NULL, &err), err);
		assert_int_equal(shared->signals, 1);
	}
}

/* It becomes our child when its parent dies. */
static void a_killed_kiln_takes_everything_with_it(void **state)
{
	struct proc child = PROC_EMPTY;
	struct err err = { 0 };
	int status;

	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_ok(proc_fork(&child, enter_in_child, NULL, &err), err);
	pid_t coordinator = wait_for_coordinator();
	proc_kill(&child);
	assert_int_equal(waitpid(coordinator, &status, 0), coordinator);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void handlers_are_those_of_before_afterwards(void **state)
{
	struct sigaction before = { .sa_handler = SIG_IGN }, after;
	struct err err = { 0 };
	int status, number = 3;

	(void)state;
	sigaction(SIGHUP, &before, NULL);
	assert_ok(enter(return_number, &number, &status, &err), err);
	sigaction(SIGHUP, NULL, &after);
	assert_ptr_equal(after.sa_handler, SIG_IGN);
	sigaction(SIGTERM, NULL, &after);
	assert_ptr_equal(after.sa_handler, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
}

static int count_files(void)
{
	return count_names(AT_FDCWD, "/proc/self/fd");
}

static void nothing_is_left_open(void **state)
{
	struct err err = { 0 };
	int status, number = 0, before = count_files();

	(void)state;
	assert_ok(enter(return_number, &number, &status, &err), err);
	assert_int_equal(count_files(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* ---- without what it needs ---- */

static int enter_without_privileges(int channel, void *arg, struct err *err)
{
	int status, number = 0;

	(void)channel;
	(void)arg;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(err, "prctl");
	if (sandbox_enter(ISOLATION_MAPPED, return_number, &number, &status, err) == 0)
		return geteuid() == 0 ? 0 : err_set(err, ERR_SYSTEM, "newuidmap had power");
	return strstr(err->msg, "no_new_privs is set here") ? 0 : -1;
}

/* For root there is no difference: it needs no helper. */
static void no_new_privs_is_named_as_the_reason(void **state)
{
	struct proc child = PROC_EMPTY;
	struct err err = { 0 };

	(void)state;
	assert_ok(proc_fork(&child, enter_without_privileges, NULL, &err), err);
	assert_ok(proc_wait(&child, NULL, &err), err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rungs_that_are_missing_say_so),
		cmocka_unit_test(isolations_have_names),
		cmocka_unit_test_setup(work_is_root_with_a_range_of_ids, clear_shared),
		cmocka_unit_test_setup(it_can_be_entered_again_from_inside, clear_shared),
		cmocka_unit_test(the_status_is_what_work_returned),
		cmocka_unit_test(the_status_of_a_killed_one_is_the_signal),
		cmocka_unit_test(signals_are_forwarded),
		cmocka_unit_test_setup(a_killed_kiln_takes_everything_with_it, clear_shared),
		cmocka_unit_test(handlers_are_those_of_before_afterwards),
		cmocka_unit_test(nothing_is_left_open),
		cmocka_unit_test(no_new_privs_is_named_as_the_reason),
	};

	return _cmocka_run_group_tests("tests", tests, has_range_of_ids() ? ARRAY_LEN(tests) : 2, make_shared, NULL);
}
