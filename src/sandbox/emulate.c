/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/close_range.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "caps.h"
#include "emulate.h"
#include "kiln/base/file.h"
#include "kiln/base/proc.h"
#include "kiln/base/scope.h"
#include "mount.h"
#include "setup.h"

/* The life of the supervisor. */

/* Linux 6.6: the process that waits and the one that answers take turns on one processor. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#define NOTIF_SYNC_WAKE_UP 1UL

/* The numbers lie far above any time that a process could use up, and below a hard limit that somebody set. */
#define NUMBERS_FROM (UINT64_C(1) << 62)

/* ---- one process's files between the two ---- */

static int send_fd(int socket, int fd)
{
	char byte = 0;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec part = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};

	control.header = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static int receive_fd(int socket)
{
	char byte;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	int fd;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || message.msg_controllen < CMSG_LEN(sizeof(int)) ||
	    control.header.cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

int emulate_attach(int supervisor_fd, bool begins_as_root, struct err *err)
{
	scope_filter struct filter filter = { 0 };
	char byte;

	if (emulate_filter(begins_as_root, &filter, err) < 0)
		return -1;
	scope_fd int listener = filter_load_listener(&filter, err);
	if (listener < 0)
		return -1;
	if (send_fd(supervisor_fd, listener) < 0 || read(supervisor_fd, &byte, 1) != 1)
		return err_errno(err, "speak to the supervisor");
	return 0;
}

/* ---- the end ---- */

static volatile sig_atomic_t command_pid;

/* The step ends with its command, whatever else still runs: process 1 goes, and the kernel takes all others along. */
static void reap(int number)
{
	int saved = errno, status;
	pid_t pid;

	(void)number;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == (pid_t)command_pid)
			_exit(proc_status_code(status));
	}
	errno = saved;
}

/* What a terminal sends, it sends to the command as well. */
static void forward_signal(int number, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	if (info->si_code <= 0)
		kill((pid_t)command_pid, number);
	errno = saved;
}

static void handle_signals(void)
{
	static const int forwarded[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH };
	struct sigaction end = { .sa_handler = reap, .sa_flags = SA_RESTART | SA_NOCLDSTOP };
	struct sigaction pass = { .sa_sigaction = forward_signal, .sa_flags = SA_RESTART | SA_SIGINFO };

	sigaction(SIGCHLD, &end, NULL);
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
		sigaction(forwarded[i], &pass, NULL);
}

/* ---- calls ---- */

static uint32_t audit_arch(void)
{
#if defined(__x86_64__)
	return AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
	return AUDIT_ARCH_AARCH64;
#else
	return seccomp_arch_native();
#endif
}

static int64_t answer_call(struct call *call, const struct seccomp_notif *notif)
{
	call->notif = notif;
	call->pid = (pid_t)notif->pid;
	call->proc_pid = tracee_proc_pid(call->emulator, call->pid);
	if (call->proc_pid < 0)
		return -ESRCH;
	call->is_compat = notif->data.arch != audit_arch();
	call->row = emulate_row(notif->data.arch, notif->data.nr);
	return call->row ? call->row->run(call) : -ENOSYS;
}

static void send_answer(const struct emulator *emulator, uint64_t id, int64_t answer, struct seccomp_notif_resp *resp)
{
	*resp = (struct seccomp_notif_resp){ .id = id };
	if (answer == ANSWER_CONTINUE)
		resp->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (answer < 0)
		resp->error = (int32_t)answer;
	else
		resp->val = answer;
	/* Who died meanwhile wants no answer. */
	ioctl(emulator->listener_fd, SECCOMP_IOCTL_NOTIF_SEND, resp);
}

static void NO_RETURN serve(struct emulator *emulator)
{
	struct seccomp_notif_sizes sizes;
	struct call *call = calloc(1, sizeof(*call));

	if (!call || syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		_exit(EXIT_FAILURE);
	struct seccomp_notif *notif = calloc(1, sizes.seccomp_notif);
	struct seccomp_notif_resp *resp = calloc(1, sizes.seccomp_notif_resp + sizeof(*resp));
	if (!notif || !resp)
		_exit(EXIT_FAILURE);
	call->emulator = emulator;
	for (;;) {
		memset(notif, 0, sizes.seccomp_notif);
		if (ioctl(emulator->listener_fd, SECCOMP_IOCTL_NOTIF_RECV, notif) < 0) {
			if (errno == EINTR || errno == ENOENT)
				continue;
			_exit(EXIT_FAILURE);
		}
		int64_t answer = answer_call(call, notif);
		if (answer != ANSWER_GIVEN && answer != ANSWER_GONE)
			send_answer(emulator, notif->id, answer, resp);
	}
}

/* ---- the beginning ---- */

static int set_first_number(struct emulator *emulator)
{
	struct rlimit limit;

	if (prlimit(emulator->command, RLIMIT_RTTIME, NULL, &limit) < 0)
		return -1;
	emulator->number_hard = limit.rlim_max;
	emulator->number_base = limit.rlim_max == RLIM_INFINITY        ? NUMBERS_FROM
				: limit.rlim_max > 2 * CREDS_TABLE_MAX ? limit.rlim_max - CREDS_TABLE_MAX
								       : 0;
	limit.rlim_cur = emulator->number_base;
	return prlimit(emulator->command, RLIMIT_RTTIME, &limit, NULL);
}

/* Nothing of the builder stays open here either: the step could not reach it, but pipes must end with the step. */
static void keep_only(const int keep[], size_t count)
{
	struct rlimit limit;
	unsigned from = 0;

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	for (size_t i = 0; i < count; i++) {
		unsigned fd = (unsigned)keep[i];
		if (fd > from)
			syscall(SYS_close_range, from, fd - 1, 0U);
		from = fd + 1;
	}
	syscall(SYS_close_range, from, ~0U, 0U);
}

/* Arguments and environment of the builder: anybody may read the former in /proc/1, and nobody needs them here. They lie where
   fields 48 to 51 of /proc/self/stat say (proc(5)). */
static void forget_arguments(void)
{
	scope_strbuf struct strbuf text = { 0 };
	unsigned long long ends[4];

	(void)prctl(PR_SET_NAME, "supervisor");
	if (file_read(AT_FDCWD, "/proc/self/stat", 4096, &text, NULL) < 0)
		return;
	const char *at = strrchr(strbuf_str(&text), ')');
	for (int field = 2; at && field < 48; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, " %llu %llu %llu %llu", &ends[0], &ends[1], &ends[2], &ends[3]) != 4)
		return;
	for (int i = 0; i < 4; i += 2) {
		if (ends[i] && ends[i + 1] > ends[i])
			memset((void *)(uintptr_t)ends[i], 0,
			       ends[i + 1] - ends[i]); // NOLINT(performance-no-int-to-ptr)
	}
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Rights to look into the step's processes, and on files those of the step. What the supervisor reads comes from the step, so
   it is under a filter as well. */
static void NO_RETURN supervise(struct emulator *emulator, const struct filter *filter, int socket, int channel)
{
	uint64_t flags = NOTIF_SYNC_WAKE_UP;
	struct err err = { 0 };
	sigset_t none;

	if (caps_set(caps_of_step() | UINT64_C(1) << CAP_SYS_PTRACE, &err) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || proc_die_with_parent(channel, &err) < 0)
		_exit(EXIT_FAILURE);
	forget_arguments();
	int keep[] = { socket, emulator->proc_fd };
	qsort(keep, ARRAY_LEN(keep), sizeof(keep[0]), compare_fds);
	keep_only(keep, ARRAY_LEN(keep));
	umask(0);
	command_pid = emulator->command;
	handle_signals();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	emulator->listener_fd = receive_fd(socket);
	if (emulator->listener_fd < 0) {
		/* The command says itself why; its end ends this. */
		for (;;)
			pause();
	}
	(void)ioctl(emulator->listener_fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);
	if (set_first_number(emulator) < 0 || (filter && filter_load(filter, &err) < 0) || write(socket, "", 1) != 1)
		_exit(EXIT_FAILURE);
	close(socket);
	serve(emulator);
}

static bool is_own_proc(int proc_fd)
{
	char target[16];
	ssize_t len = readlinkat(proc_fd, "self", target, sizeof(target) - 1);

	if (len <= 0)
		return false;
	target[len] = '\0';
	return strtol(target, NULL, 10) == getpid();
}

/* The credentials that set-up would give the command on the `mapped` rung. */
static int add_first_creds(struct emulator *emulator, const struct cage *cage)
{
	const struct user *user = &cage->user;
	scope_free uint32_t *groups = calloc(user->group_count + 1, sizeof(*groups));
	struct creds creds = { .bounding = caps_of_step(), .no_new_privs = setup_is_locked(cage) };

	if (!groups)
		abort();
	groups[0] = user->gid;
	if (user->group_count > 0)
		memcpy(groups + 1, user->groups, user->group_count * sizeof(*groups));
	creds_sort_groups(groups, user->group_count + 1);
	creds.groups = groups;
	creds.group_count = user->group_count + 1;
	for (int i = 0; i < ID_COUNT; i++) {
		creds.uid[i] = user->uid;
		creds.gid[i] = user->gid;
	}
	if (user->uid == 0)
		creds.permitted = creds.effective = caps_of_step();
	return (int)creds_number(&emulator->table, &creds);
}

int setup_supervisor(struct setup *setup, struct err *err)
{
	struct emulator emulator = { .listener_fd = -1,
				     .proc_fd = setup->proc_fd,
				     .has_own_proc = is_own_proc(setup->proc_fd) };
	int ends[2];
	sigset_t children, before;

	if (!owners_are_recorded())
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_errno(err, "socketpair");
	add_first_creds(&emulator, setup->cage);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, &before);
	emulator.command = fork();
	/* A profile of the user's may lack what the supervisor needs. */
	if (emulator.command > 0)
		supervise(&emulator, setup->cage->seccomp_profile ? NULL : setup->filter, ends[0], setup->channel);
	scope_fd int theirs = ends[0];
	scope_fd int ours = ends[1];
	sigprocmask(SIG_SETMASK, &before, NULL);
	creds_table_release(&emulator.table);
	if (emulator.command < 0)
		return err_errno(err, "fork");
	/* Until exec this memory belongs to the caller's user namespace, where the supervisor has no rights. */
	if (caps_set(caps_of_step(), err) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return -1;
	return emulate_attach(ours, setup->cage->user.uid == 0, err);
}

/* ---- the probe ---- */

static int try_listener(int channel, void *arg, struct err *err)
{
	scope_filter struct filter filter = { 0 };

	(void)channel;
	(void)arg;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(err, "no_new_privs");
	if (emulate_filter(true, &filter, err) < 0)
		return -1;
	scope_fd int fd = filter_load_listener(&filter, err);
	return fd < 0 ? -1 : 0;
}

static int try_record(struct err *err)
{
	const struct owner somebody = { 1, 1 };
	scope_fd int dir = mount_new("tmpfs", NULL, 0, err);

	if (dir < 0)
		return -1;
	if (symlinkat("x", dir, "link") < 0)
		return err_errno(err, "make a link");
	scope_fd int link = openat(dir, "link", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (link < 0 || owner_write(link, S_IFLNK, &somebody) < 0)
		return err_errno(err, "record the owner of a link");
	return 0;
}

int emulation_works(struct err *err)
{
	struct proc child = PROC_EMPTY;

	if (try_record(err) < 0 || proc_fork(&child, try_listener, NULL, err) < 0)
		return -1;
	return proc_wait(&child, NULL, err);
}
