/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/mount.h>
#include <sys/utsname.h>

#include "scratch.h"

#include "kiln/sandbox/foreign.h"

static const char *native(void)
{
	static struct utsname name;
	static const char *const words[][2] = { { "x86_64", "amd64" }, { "aarch64", "arm64" } };

	uname(&name);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(name.machine, words[i][0]) == 0)
			return words[i][1];
	return name.machine;
}

static void this_machines_programs_run(void **state)
{
	(void)state;
	assert_true(foreign_runs(native()));
}

static void what_no_linux_runs_on_does_not_run(void **state)
{
	(void)state;
	assert_false(foreign_runs("vax"));
	assert_false(foreign_runs(""));
}

static int write_text(const char *path, const char *text, struct err *err)
{
	scope_fd int fd = file_open_user(path, O_WRONLY, 0, err);

	return fd < 0 ? -1 : file_write_fd(fd, text, strlen(text), path, err);
}

/* Linux 6.7 and later have a binfmt_misc for each user namespace: one is filled here, that nobody else sees. */
static int register_an_emulator(int channel, void *arg, struct err *err)
{
	const unsigned *ids = arg;
	char users[32], groups[32];

	(void)channel;
	snprintf(users, sizeof(users), "0 %u 1", ids[0]);
	snprintf(groups, sizeof(groups), "0 %u 1", ids[1]);
	if (write_text("/proc/self/setgroups", "deny", err) < 0 || write_text("/proc/self/uid_map", users, err) < 0 ||
	    write_text("/proc/self/gid_map", groups, err) < 0)
		return -1;
	if (mount("none", "/proc/sys/fs/binfmt_misc", "binfmt_misc", 0, NULL) < 0)
		return err_set(err, ERR_UNSUPPORTED, "no binfmt_misc of our own");
	if (foreign_runs("s390x"))
		return err_set(err, ERR_SYSTEM, "s390x runs before anything is registered");
	if (write_text("/proc/sys/fs/binfmt_misc/register",
		       ":s390x:M:0:"
		       "\\x7fELF\\x02\\x02\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\x16:"
		       "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff"
		       "\\xff:"
		       "/bin/true:",
		       err) < 0)
		return -1;
	if (!foreign_runs("s390x"))
		return err_set(err, ERR_SYSTEM, "s390x does not run, though its emulator is registered");
	return foreign_runs("riscv64") ? err_set(err, ERR_SYSTEM, "riscv64 runs too") : 0;
}

static void an_emulator_that_the_kernel_knows_makes_a_foreign_program_run(void **state)
{
	struct proc child = PROC_EMPTY;
	unsigned ids[2] = { geteuid(), getegid() };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(proc_clone(&child, CLONE_NEWUSER | CLONE_NEWNS, register_an_emulator, ids, &err), 0);
	if (proc_wait(&child, NULL, &err) < 0 && err.kind != ERR_UNSUPPORTED)
		fail_msg("%s", err.msg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_machines_programs_run),
		cmocka_unit_test(what_no_linux_runs_on_does_not_run),
		cmocka_unit_test(an_emulator_that_the_kernel_knows_makes_a_foreign_program_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
