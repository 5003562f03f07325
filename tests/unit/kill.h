/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TESTS_UNIT_KILL_H
#define KILN_TESTS_UNIT_KILL_H

#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Needs scratch.h. Kills a child at a system call of one's choice: the same point every time. */
struct scratch;
typedef void operation(struct scratch *scratch, int round);

static inline pid_t start_traced(operation *run, struct scratch *scratch, int round)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		run(scratch, round);
		_exit(0);
	}
	return pid;
}

/* True if it was killed at its call number `calls`; false if it ended before that. */
static inline bool kill_at(operation *run, struct scratch *scratch, int round, int calls)
{
	pid_t pid = start_traced(run, scratch, round);
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* Each call stops twice, before and after. */
	for (int i = 0; i < 2 * calls && WIFSTOPPED(status); i++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	if (!WIFSTOPPED(status)) {
		assert_int_equal(status, 0);
		return false;
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return true;
}

#endif
