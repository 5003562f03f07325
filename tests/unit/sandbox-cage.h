/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TESTS_UNIT_SANDBOX_CAGE_H
#define KILN_TESTS_UNIT_SANDBOX_CAGE_H

#include "kiln/sandbox/sandbox.h"
#include "sandbox-range.h"

#include <sys/mount.h>
#include <sys/sendfile.h>

/*
 * Steps in a root with nothing but busybox, run as kiln runs them: all tests of a program run in one coordinator.
 *
 *	struct step step = step_in(scratch);
 *	run_script(&step, "id -u");      asserts that the command ran
 *	assert_output(&step, "0\n");
 */
struct step {
	struct cage cage;
	int status;
	struct err err;
	char output[65536];
};

/* What the builder has and no step may see: an environment variable, memory, and open files. */
#define CANARY_VARIABLE "KILN_TEST_SECRET"
#define CANARY_PREFIX   "canary-in-the-"

enum { CANARY_FD_FIRST = 3, CANARY_FD_LAST = 30 };

static const char *const step_env[] = { "PATH=/bin", "LANG=C", NULL };

/* The image: /bin/busybox and its names, /etc, /tmp. Beside it: canary/. */
static inline void make_image(const struct scratch *scratch)
{
	static const char *const names[] = {
		"sh",    "ls",   "cat",      "id",       "mount",   "env",  "ps",    "grep",  "sleep", "touch",
		"mkdir", "ln",   "stat",     "hostname", "unshare", "echo", "mv",    "rm",    "rmdir", "true",
		"false", "kill", "readlink", "sort",     "wc",      "find", "chmod", "chown", "head",  "test",
		"tr",    "cut",  "sed",      "df",       "dd",      "nc",   "date",
	};
	scope_fd int from = openat(AT_FDCWD, "/bin/busybox", O_RDONLY | O_CLOEXEC);
	struct stat st;
	char path[64];

	assert_int_equal(fchmod(scratch->fd, 0755), 0);
	put_dir(scratch->fd, "canary");
	put_file(scratch->fd, "canary/f", "outside");
	put_dir(scratch->fd, "image");
	put_dir(scratch->fd, "image/bin");
	put_dir(scratch->fd, "image/etc");
	put_dir(scratch->fd, "image/tmp");
	assert_int_equal(fchmodat(scratch->fd, "image/tmp", 01777, 0), 0);
	assert_true(from >= 0);
	assert_int_equal(fstat(from, &st), 0);
	scope_fd int to = openat(scratch->fd, "image/bin/busybox", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_int_equal(sendfile(to, from, NULL, (size_t)st.st_size), st.st_size);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "image/bin/%s", names[i]);
		put_link(scratch->fd, path, "busybox");
	}
}

static inline int cage_test_setup(void **state)
{
	if (scratch_setup(state) < 0)
		return -1;
	make_image(*state);
	return 0;
}

#define cage_test(name) cmocka_unit_test_setup_teardown(name, cage_test_setup, scratch_teardown)

static inline struct step step_in(void **state)
{
	const struct scratch *scratch = *state;
	int root_fd = openat(scratch->fd, "image", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(root_fd >= 0);
	return (struct step){ .cage = { .root_fd = root_fd,
					.envp = step_env,
					.cwd = "/",
					.user = { .home = "/root" },
					.netns_fd = -1,
					.resolv_conf = "nameserver 192.0.2.53\n",
					.stdin_fd = -1 } };
}

static inline void step_end(struct step *step)
{
	close(step->cage.root_fd);
}

/* Runs argv; both outputs go to step->output. */
static inline int run_step(struct step *step, const char *const *argv)
{
	scope_fd int fd = memfd_create("output", MFD_CLOEXEC);

	assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
	step->cage.argv = argv;
	step->cage.stdout_fd = step->cage.stderr_fd = fd;
	step->status = -1;
	step->err = (struct err){ 0 };
	int result = cage_run(&step->cage, &step->status, &step->err);
	ssize_t len = pread(fd, step->output, sizeof(step->output) - 1, 0);
	step->output[len > 0 ? len : 0] = '\0';
	return result;
}

static inline void run_script(struct step *step, const char *script)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	if (run_step(step, argv) < 0)
		fail_msg("%s: %s", script, step->err.msg);
}

#define assert_output(step, expected) assert_string_equal((step)->output, expected)

/* Runs it and asserts that it did not come to the command. */
#define assert_set_up_fails(step, argv, expected)                                     \
	do {                                                                          \
		assert_int_equal(run_step(step, argv), -1);                           \
		if (!strstr((step)->err.msg, expected))                               \
			fail_msg("\"%s\" without \"%s\"", (step)->err.msg, expected); \
	} while (0)

/* ---- what this environment allows ---- */

static inline int try_fresh_proc(int channel, void *arg, struct err *err)
{
	(void)channel;
	(void)arg;
	scope_fd int fd = fsopen("proc", FSOPEN_CLOEXEC);
	if (fd < 0 || fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_errno(err, "mount proc");
	scope_fd int mount_fd = fsmount(fd, FSMOUNT_CLOEXEC, 0);
	return mount_fd < 0 ? err_errno(err, "mount proc") : 0;
}

static inline bool works_in_namespaces(unsigned long flags, proc_work *work)
{
	struct proc child = PROC_EMPTY;

	return proc_clone(&child, flags, work, NULL, NULL) == 0 && proc_wait(&child, NULL, NULL) == 0;
}

/* In a container with a masked /proc a step has the outer one. */
static inline bool has_fresh_proc(void)
{
	return works_in_namespaces(CLONE_NEWPID | CLONE_NEWNS, try_fresh_proc);
}

static inline int try_host_name(int channel, void *arg, struct err *err)
{
	(void)channel;
	(void)arg;
	return sethostname("kiln", 4) < 0 ? err_errno(err, "sethostname") : 0;
}

/* Podman's filter forbids it. */
static inline bool may_set_host_name(void)
{
	return works_in_namespaces(CLONE_NEWUTS, try_host_name);
}

/* ---- the whole program ---- */

struct cage_tests {
	const struct CMUnitTest *tests;
	size_t count;
	size_t need_proc; /* the last ones, which need a fresh /proc */
};

static inline int run_cage_tests(void *arg)
{
	const struct cage_tests *tests = arg;
	size_t count = tests->count;
	struct err err = { 0 };

	if (cage_prepare(NULL, &err) < 0) {
		print_error("%s\n", err.msg);
		return 1;
	}
	if (tests->need_proc > 0 && !has_fresh_proc()) {
		print_message("# without a fresh /proc some tests are left out\n");
		count -= tests->need_proc;
	}
	return _cmocka_run_group_tests("tests", tests->tests, count, NULL, NULL);
}

static inline void nothing_can_be_tested_here(void **state)
{
	(void)state;
}

/* For main. The canaries are set before the coordinator is made, so that all processes of the builder have them. */
static inline int run_on_rung(enum isolation isolation, const struct CMUnitTest *tests, size_t count, size_t need_proc)
{
	const struct CMUnitTest none[] = { cmocka_unit_test(nothing_can_be_tested_here) };
	struct cage_tests all = { tests, count, need_proc };
	const char *srcdir = getenv("srcdir");
	struct err err = { 0 };
	char dir[4096];
	int status = 1;

	if (!has_rung(isolation))
		return cmocka_run_group_tests(none, NULL, NULL);
	snprintf(dir, sizeof(dir), "%s/seccomp", srcdir ? srcdir : ".");
	setenv("KILN_SECCOMP_DIR", dir, 1);
	setenv(CANARY_VARIABLE, CANARY_PREFIX "environment", 1);
	for (int fd = CANARY_FD_FIRST; fd <= CANARY_FD_LAST; fd++) {
		int dir_fd = openat(AT_FDCWD, "/etc", O_RDONLY | O_DIRECTORY);
		if (dir_fd >= 0 && dir_fd != fd) {
			dup2(dir_fd, fd);
			close(dir_fd);
		}
	}
	if (sandbox_enter(isolation, run_cage_tests, &all, &status, &err) < 0)
		print_error("%s\n", err.msg);
	return status;
}

static inline int run_in_coordinator(const struct CMUnitTest *tests, size_t count, size_t need_proc)
{
	return run_on_rung(ISOLATION_MAPPED, tests, count, need_proc);
}

#endif
