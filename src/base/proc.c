/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kiln/base/proc.h"
#include "kiln/base/scope.h"

#define PAYLOAD_MAX ((size_t)16 * 1024)

/* The step of the last message of a child whose work returned -1. Steps of callers are not negative. */
#define STEP_FAILED (-1)

/* A message is its used part only: head, then err (STEP_FAILED) or payload. */
struct message {
	int step;
	char bytes[PAYLOAD_MAX];
};

_Static_assert(sizeof(struct err) <= PAYLOAD_MAX, "an error is one message");

static int send_message(int channel, int step, const void *bytes, size_t len)
{
	struct iovec parts[] = { { &step, sizeof(step) }, { (void *)(uintptr_t)bytes, len } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = ARRAY_LEN(parts) };
	ssize_t count;

	do {
		count = sendmsg(channel, &message, MSG_NOSIGNAL);
	} while (count < 0 && errno == EINTR);
	return count < 0 ? -1 : 0;
}

/* Length of the message, 0 at the end of the channel. ECONNRESET says only that the other side died with something
   unread; what it sent before is still there and comes next. */
static ssize_t receive_message(int channel, void *message, size_t size, int flags)
{
	ssize_t count;

	do {
		count = recv(channel, message, size, flags);
	} while (count < 0 && (errno == EINTR || errno == ECONNRESET));
	return count;
}

/* The child's beginning. */

/* Handlers of the parent use the parent's state, and a blocked signal would stay blocked through exec. */
static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++) {
		struct sigaction action;
		if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
		    action.sa_handler != SIG_IGN)
			signal(number, SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Exit closes a process's files before it signals its children, so whoever asks for the signal too late finds the
   channel closed. (getppid would not tell: in a new pid namespace it is 0 from the start.) */
int proc_die_with_parent(int channel, struct err *err)
{
	struct pollfd parent = { .fd = channel };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_errno(err, "ask to end with the parent process");
	if (poll(&parent, 1, 0) == 1 && (parent.revents & POLLHUP))
		_exit(EXIT_FAILURE);
	return 0;
}

static NO_RETURN void run_child(int channel, proc_work *work, void *arg)
{
	struct err err = { 0 };
	int result = proc_die_with_parent(channel, &err);

	reset_signals();
	if (result == 0)
		result = work(channel, arg, &err);
	if (result < 0)
		send_message(channel, STEP_FAILED, &err, offsetof(struct err, msg) + strlen(err.msg) + 1);
	fflush(NULL);
	_exit(result < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* clone(2) by number: glibc's fork takes no flags and its clone wants a stack. The child gets a copy of everything, as
   from fork. The pidfd comes from the same call, so there is no moment in which the pid could mean somebody else. */
static pid_t clone_process(unsigned long flags, int *pidfd)
{
	flags |= CLONE_PIDFD | SIGCHLD;
#if defined(__s390__) || defined(__CRIS__)
	return (pid_t)syscall(SYS_clone, NULL, flags, pidfd, NULL, NULL);
#else
	return (pid_t)syscall(SYS_clone, flags, NULL, pidfd, NULL, NULL);
#endif
}

/* A parent started with SIGCHLD ignored (some service managers do that) would never learn how its children ended. */
static void keep_exit_statuses(void)
{
	struct sigaction action;

	if (sigaction(SIGCHLD, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
		signal(SIGCHLD, SIG_DFL);
}

int proc_fork(struct proc *child, proc_work *work, void *arg, struct err *err)
{
	return proc_clone(child, 0, work, arg, err);
}

int proc_clone(struct proc *child, unsigned long flags, proc_work *work, void *arg, struct err *err)
{
	sigset_t all, before;
	int channel[2], pidfd = -1;

	assert(!(flags & (CLONE_VM | CLONE_THREAD | CLONE_VFORK | CLONE_PARENT | CLONE_FILES)));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
		return err_errno(err, "start a child process: socketpair");
	keep_exit_statuses();
	/* What stdio holds would otherwise be written twice. */
	fflush(NULL);

	/* No handler of the parent may run in the child. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t pid = clone_process(flags, &pidfd);
	if (pid == 0) {
		close(channel[0]);
		run_child(channel[1], work, arg);
	}
	int saved = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(channel[1]);
	if (pid < 0) {
		close(channel[0]);
		errno = saved;
		return err_errno(err, "start a child process: clone");
	}
	*child = (struct proc){ .pid = pid, .channel = channel[0], .pidfd = pidfd };
	return 0;
}

int proc_reach(int channel, int step, const void *payload, size_t len, struct err *err)
{
	assert(step >= 0 && len <= PAYLOAD_MAX);
	if (send_message(channel, step, payload, len) < 0)
		return err_errno(err, "report to the parent process");
	return 0;
}

int proc_pause(int channel, struct err *err)
{
	char resume;
	ssize_t count = receive_message(channel, &resume, sizeof(resume), 0);

	if (count == 0)
		errno = EPIPE;
	return count <= 0 ? err_errno(err, "wait for the parent process") : 0;
}

/* The parent's side. */

static void release(struct proc *child)
{
	int saved = errno;

	if (child->channel >= 0)
		close(child->channel);
	if (child->pidfd >= 0)
		close(child->pidfd);
	*child = (struct proc)PROC_EMPTY;
	errno = saved;
}

/* As receive_message, but ends with the child as well: a process that the child left behind may hold its end. */
static ssize_t receive_from_child(const struct proc *child, struct message *message)
{
	struct pollfd ready[] = { { .fd = child->channel, .events = POLLIN },
				  { .fd = child->pidfd, .events = POLLIN } };

	/* Released by an earlier failure: waiting would never end. */
	assert(child->pid > 0);
	while (poll(ready, ARRAY_LEN(ready), -1) < 0) {
		if (errno != EINTR && errno != EAGAIN)
			return -1;
	}
	ssize_t count = receive_message(child->channel, message, sizeof(*message), MSG_DONTWAIT);
	if (count < 0 && errno == EAGAIN)
		return 0;
	return count;
}

/* Puts the error that a STEP_FAILED message carries into err. */
static int take_failure(const struct message *message, size_t len, struct err *err)
{
	struct err sent = { 0 };
	size_t err_len = len - offsetof(struct message, bytes);

	memcpy(&sent, message->bytes, err_len < sizeof(sent) ? err_len : sizeof(sent));
	sent.msg[sizeof(sent.msg) - 1] = '\0';
	if (err)
		*err = sent;
	return -1;
}

/* Reaps the child, waiting for its end. Returns its status as proc_status_code, or -1. */
static int reap(const struct proc *child)
{
	int status;
	pid_t pid;

	do {
		pid = waitpid(child->pid, &status, __WALL);
	} while (pid < 0 && errno == EINTR);
	return pid < 0 ? -1 : proc_status_code(status);
}

/* The end of a child that did not say why. */
static int reap_silent(struct proc *child, bool may_succeed, struct err *err)
{
	int code = reap(child);

	release(child);
	if (code < 0)
		return err_errno(err, "wait for a child process");
	if (code == 0 && may_succeed)
		return 0;
	if (code > 128)
		return err_status(err, ERR_COMMAND, code, "ended without a word (signal %d)", code - 128);
	return err_status(err, ERR_COMMAND, code, "ended without a word (status %d)", code);
}

int proc_next(struct proc *child, int *step, struct strbuf *payload, struct err *err)
{
	struct message message;
	ssize_t len = receive_from_child(child, &message);

	if (len < 0)
		return err_errno(err, "listen to a child process");
	if ((size_t)len < offsetof(struct message, bytes))
		return 0;
	if (message.step == STEP_FAILED) {
		reap(child);
		release(child);
		return take_failure(&message, (size_t)len, err);
	}
	*step = message.step;
	if (payload)
		strbuf_add(payload, message.bytes, (size_t)len - offsetof(struct message, bytes));
	return 1;
}

int proc_await(struct proc *child, int step, struct strbuf *payload, struct err *err)
{
	size_t before = payload ? payload->len : 0;
	int said = STEP_FAILED, result;

	while ((result = proc_next(child, &said, payload, err)) == 1) {
		if (said == step)
			return 0;
		if (payload)
			strbuf_truncate(payload, before);
	}
	return result < 0 ? -1 : reap_silent(child, false, err);
}

int proc_resume(struct proc *child, struct err *err)
{
	ssize_t count;

	do {
		count = send(child->channel, "", 1, MSG_NOSIGNAL);
	} while (count < 0 && errno == EINTR);
	if (count == 1)
		return 0;
	if (errno != EPIPE && errno != ECONNRESET)
		return err_errno(err, "resume a child process");
	/* It failed before it came to its pause, and its reason is what the user needs. */
	if (proc_wait(child, NULL, err) == 0)
		return err_set(err, ERR_COMMAND, "a child process ended before it was resumed");
	return -1;
}

int proc_wait(struct proc *child, struct strbuf *payload, struct err *err)
{
	int step, result;

	do {
		result = proc_next(child, &step, payload, err);
	} while (result == 1);
	return result < 0 ? -1 : reap_silent(child, true, err);
}

void proc_kill(struct proc *child)
{
	int saved = errno;

	/* Not reaped yet, so the pid is still this child's. */
	if (child->pid > 0) {
		kill(child->pid, SIGKILL);
		reap(child);
	}
	release(child);
	errno = saved;
}

int proc_status_code(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}
