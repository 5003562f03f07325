/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_BASE_PROC_H
#define KILN_BASE_PROC_H

#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"

#include <signal.h>
#include <sys/types.h>

/*
 * Child processes. kiln has one thread, so a child may allocate and format between fork and exec.
 *
 * A child of proc_fork runs work(channel, arg, &err) and ends; it has a parent-death signal (SIGKILL) and one end of a
 * SOCK_SEQPACKET pair. Both ends close the other's end at once, so a child that dies is noticed at once: the channel
 * ends. Messages are { int step; struct err err; bytes }:
 *
 *	parent                                 child
 *	proc_fork(&child, work, arg)           work(channel, arg, err)
 *	proc_await(&child, STEP_IN_NS)   <--   unshare(...); proc_reach(channel, STEP_IN_NS, NULL, 0)
 *	newuidmap ...
 *	proc_resume(&child)              -->   proc_pause(channel)
 *	proc_wait(&child)                <--   return -1 with err: sent whole, so the parent prints the child's words
 *
 * The child begins with no signal blocked and with the caller's handlers gone (what was ignored stays ignored: a child
 * that runs a foreign program sets SIGPIPE to SIG_DFL before exec). Files 0 to 2 must be open in every kiln process.
 *
 * If work returns 0 the child exits 0; if -1 its err is sent and it exits 1. A child that was killed gives the parent
 * ERR_COMMAND "ended without a word (signal N)".
 */
struct proc {
	pid_t pid;
	int channel; /* parent's end; -1 after release */
	int pidfd;   /* readable when the child has ended; -1 if not running */
};
#define PROC_EMPTY                                    \
	{                                             \
		.pid = -1, .channel = -1, .pidfd = -1 \
	}

typedef int proc_work(int channel, void *arg, struct err *err);

int proc_fork(struct proc *child, proc_work *work, void *arg, struct err *err) MUST_CHECK;
/* As proc_fork with clone flags (CLONE_NEWUSER | CLONE_NEWPID ...), by clone(2). */
int proc_clone(struct proc *child, unsigned long flags, proc_work *work, void *arg, struct err *err) MUST_CHECK;

/* Child side: says that `step` is reached, with up to 16 KiB of payload; waits to be resumed. */
int proc_reach(int channel, int step, const void *payload, size_t len, struct err *err) MUST_CHECK;
int proc_pause(int channel, struct err *err) MUST_CHECK;
/* Asks for the parent-death signal (again), and ends this process if the parent is gone already. The kernel forgets the
   signal when a process changes its user, group or capabilities, so a child that does calls this after. */
int proc_die_with_parent(int channel, struct err *err) MUST_CHECK;

/* Parent side: waits until the child says `step`; a child that failed or died ends the wait with its reason, and is
   released. Other steps that it says before are passed over. The payload is appended to payload if not NULL. */
int proc_await(struct proc *child, int step, struct strbuf *payload, struct err *err) MUST_CHECK;
int proc_resume(struct proc *child, struct err *err) MUST_CHECK;
/* One message, whatever its step: for a loop that polls child->channel and child->pidfd. 1: *step and payload are set;
   0: the channel ended without an error (proc_wait is next); -1: the child's own error, and it is released. */
int proc_next(struct proc *child, int *step, struct strbuf *payload, struct err *err) MUST_CHECK;

/* Waits for the end. 0 if work returned 0; else -1 with the child's own error. Releases child. Payloads of messages that
   nobody awaited are appended to payload if not NULL. */
int proc_wait(struct proc *child, struct strbuf *payload, struct err *err) MUST_CHECK;
/* SIGKILL, reap, close. Safe on PROC_EMPTY. */
void proc_kill(struct proc *child);
#define scope_proc __attribute__((cleanup(proc_kill)))

/*
 * Runs a helper program (newuidmap, slirp4netns, git) to its end. Its path is searched in the caller's PATH plus
 * /usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin before anything is entered; it gets the fds named in `keep` and
 * stdio only (stdin /dev/null). Both outputs are collected, 64 KiB each: more on stdout is an error if it is wanted, of
 * stderr the end is kept. timeout_ms < 0 waits forever; a timeout kills
 * it and is an error that names it. A status other than 0 is ERR_COMMAND with the last line of its stderr.
 */
struct proc_run {
	const char *const *argv; /* argv[0] is a bare name or an absolute path */
	const char *const *envp; /* NULL: the caller's */
	const int *keep;         /* fds, -1 terminated, may be NULL */
	int timeout_ms;
	struct strbuf *out;     /* may be NULL */
	struct strbuf *err_out; /* may be NULL */
};
int proc_run(const struct proc_run *run, struct err *err) MUST_CHECK;

/* Absolute path of a helper, or ERR_NOT_FOUND "PROGRAM is not installed". */
int proc_find(const char *program, struct strbuf *path, struct err *err) MUST_CHECK;

/* Decodes a wait status: exit code, or 128 + signal. */
int proc_status_code(int wait_status);

#endif
