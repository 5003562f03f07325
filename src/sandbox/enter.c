/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/owner.h"
#include "kiln/base/proc.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/sandbox/enter.h"
#include "kiln/sandbox/idmap.h"

/*
 *	kiln                                    coordinator
 *	proc_clone(NEWUSER | NEWNS)             waits in proc_pause
 *	id_map_write, proc_resume       -->     becomes root, makes its mounts private
 *	proc_await(STEP_INSIDE)         <--     proc_reach, then work()
 *	forwards signals, waits                 _exit(what work returned)
 */
enum { STEP_INSIDE };

static const char *const isolation_names[] = {
	[ISOLATION_AUTO] = "auto",     [ISOLATION_MAPPED] = "mapped", [ISOLATION_SINGLE] = "single",
	[ISOLATION_CHROOT] = "chroot", [ISOLATION_TRACED] = "traced",
};

const char *isolation_name(enum isolation isolation)
{
	return isolation_names[isolation];
}

int isolation_parse(enum isolation *isolation, const char *text, struct err *err)
{
	char shown[128];

	for (size_t i = 0; i < ARRAY_LEN(isolation_names); i++) {
		if (text_equal(text, isolation_names[i])) {
			*isolation = (enum isolation)i;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE, "unknown isolation \"%s\": auto, mapped, single, chroot or traced",
		       err_printable(shown, sizeof(shown), text));
}

/* ---- the coordinator ---- */

struct entry {
	int (*work)(void *arg);
	void *arg;
	bool is_single;
};

/* The supplementary groups stay, unmapped: by them the user may read a context that belongs to a group. A step drops them.
   A change of ids takes the parent-death signal away and makes the process undumpable, upon which /proc/self belongs to
   the host's root. */
static int become_root(int channel, struct err *err)
{
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_errno(err, "become root of the user namespace");
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return err_errno(err, "make /proc/self usable");
	return proc_die_with_parent(channel, err);
}

/* The first thing that AppArmor refuses where it lets user namespaces be made but gives no power in them. */
static int cut_propagation(struct err *err)
{
	if (mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		return 0;
	if (errno == EACCES || errno == EPERM)
		return err_set(err, ERR_UNSUPPORTED,
			       "mount is refused in the user namespace: %s (on Ubuntu, root allows it by: sysctl "
			       "kernel.apparmor_restrict_unprivileged_userns=0)",
			       strerror(errno));
	return err_errno(err, "make the mounts private");
}

static int coordinate(int channel, void *arg, struct err *err)
{
	const struct entry *entry = arg;

	if (proc_pause(channel, err) < 0 || become_root(channel, err) < 0 || cut_propagation(err) < 0 ||
	    proc_reach(channel, STEP_INSIDE, NULL, 0, err) < 0)
		return -1;
	umask(022);
	owners_record(entry->is_single);
	int status = entry->work(entry->arg);
	fflush(NULL);
	_exit(status);
}

/* ---- signals ---- */

static const int forwarded_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static volatile sig_atomic_t coordinator_pid;
static volatile sig_atomic_t caught_signal;

/* What the kernel sends, it sends to the terminal's whole process group: the coordinator has got it. */
static void forward_signal(int number, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	caught_signal = number;
	if (info->si_code <= 0 && coordinator_pid > 0)
		kill((pid_t)coordinator_pid, number);
	errno = saved;
}

struct signals {
	struct sigaction before[ARRAY_LEN(forwarded_signals)];
	sigset_t mask;
};

static void begin_forwarding(struct signals *signals)
{
	struct sigaction action = { .sa_sigaction = forward_signal, .sa_flags = SA_SIGINFO | SA_RESTART };
	sigset_t blocked;

	caught_signal = 0;
	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_LEN(forwarded_signals); i++)
		sigaddset(&blocked, forwarded_signals[i]);
	sigprocmask(SIG_BLOCK, &blocked, &signals->mask);
	for (size_t i = 0; i < ARRAY_LEN(forwarded_signals); i++) {
		sigaction(forwarded_signals[i], NULL, &signals->before[i]);
		/* nohup and background jobs of a script want them ignored. */
		if (signals->before[i].sa_handler != SIG_IGN)
			sigaction(forwarded_signals[i], &action, NULL);
	}
}

/* From now on there is somebody to forward to. What came before, from the terminal too, the coordinator has not got. */
static void forward_to(const struct signals *signals, pid_t pid)
{
	sigset_t pending;

	sigpending(&pending);
	for (size_t i = 0; i < ARRAY_LEN(forwarded_signals); i++) {
		if (sigismember(&pending, forwarded_signals[i]) == 1)
			kill(pid, forwarded_signals[i]);
	}
	coordinator_pid = pid;
	sigprocmask(SIG_SETMASK, &signals->mask, NULL);
}

static void end_forwarding(const struct signals *signals)
{
	coordinator_pid = 0;
	for (size_t i = 0; i < ARRAY_LEN(forwarded_signals); i++)
		sigaction(forwarded_signals[i], &signals->before[i], NULL);
	sigprocmask(SIG_SETMASK, &signals->mask, NULL);
}

/* ---- kiln ---- */

/* ENOSPC has two reasons (lockdown.md E8, E11). */
static int fail_to_clone(int sys, struct err *err)
{
	scope_strbuf struct strbuf limit = { 0 };

	if (sys == ENOSPC && file_read(AT_FDCWD, "/proc/sys/user/max_user_namespaces", 64, &limit, NULL) == 0 &&
	    strbuf_str(&limit)[0] == '0')
		return err_set(err, ERR_UNSUPPORTED,
			       "user namespaces are switched off; root switches them on by: sysctl "
			       "user.max_user_namespaces=15000");
	if (sys == ENOSPC)
		return err_set(err, ERR_UNSUPPORTED,
			       "user namespaces are nested too deep, or this user has too many of them");
	if (sys == EPERM)
		return err_set(
			err, ERR_UNSUPPORTED,
			"a user namespace is refused: a seccomp filter (docker's default one), AppArmor, the sysctl "
			"kernel.unprivileged_userns_clone=0, or a chroot around kiln");
	if (sys == EINVAL || sys == ENOSYS)
		return err_set(err, ERR_UNSUPPORTED, "this kernel has no user namespaces");
	return -1;
}

static int start(struct proc *child, struct entry *entry, const struct id_map *map, struct signals *signals,
		 struct err *err)
{
	struct err failed = { 0 };

	if (proc_clone(child, CLONE_NEWUSER | CLONE_NEWNS, coordinate, entry, &failed) < 0) {
		if (err)
			*err = failed;
		return fail_to_clone(failed.sys, err);
	}
	forward_to(signals, child->pid);
	if (id_map_write(map, child->pid, err) < 0 || proc_resume(child, err) < 0)
		return -1;
	return proc_await(child, STEP_INSIDE, NULL, err);
}

/* The status that work returned is no error of ours. */
static int wait_for_status(struct proc *child, int *status, struct err *err)
{
	struct err ended = { 0 };

	if (proc_wait(child, NULL, &ended) == 0) {
		*status = 0;
		return 0;
	}
	if (ended.kind == ERR_COMMAND) {
		*status = ended.sys;
		return 0;
	}
	if (err)
		*err = ended;
	return -1;
}

static int run_coordinator(struct entry *entry, const struct id_map *map, int *status, struct err *err)
{
	scope_proc struct proc child = PROC_EMPTY;
	struct signals signals;

	begin_forwarding(&signals);
	int result = start(&child, entry, map, &signals, err);
	if (result == 0)
		result = wait_for_status(&child, status, err);
	else if (caught_signal)
		err_status(err, ERR_INTERRUPTED, (int)caught_signal, "interrupted by signal %d", (int)caught_signal);
	end_forwarding(&signals);
	return result;
}

static int enter_mapped(struct entry *entry, struct id_map *map, int *status, struct err *err)
{
	entry->is_single = false;
	return id_map_plan(map, err) < 0 ? -1 : run_coordinator(entry, map, status, err);
}

static int enter_single(struct entry *entry, struct id_map *map, int *status, struct err *err)
{
	entry->is_single = true;
	id_map_plan_single(map);
	return run_coordinator(entry, map, status, err);
}

/* Once work runs, nothing that goes wrong is of the rung: the next one is tried only where set-up failed. */
static int enter_highest(struct entry *entry, struct id_map *map, int *status, struct err *err)
{
	struct err failed = { 0 };

	if (enter_mapped(entry, map, status, &failed) == 0)
		return 0;
	if (failed.kind != ERR_INTERRUPTED) {
		log_debug("isolation mapped: %s", failed.msg);
		if (enter_single(entry, map, status, err) == 0)
			return 0;
	}
	if (err)
		*err = failed;
	return -1;
}

int sandbox_enter(enum isolation isolation, int (*work)(void *arg), void *arg, int *status, struct err *err)
{
	struct entry entry = { .work = work, .arg = arg };
	int result;

	if (isolation == ISOLATION_CHROOT || isolation == ISOLATION_TRACED)
		return err_set(err, ERR_UNSUPPORTED,
			       "isolation \"%s\" is not in this version of kiln; \"mapped\" and \"single\" are",
			       isolation_name(isolation));
	scope_free struct id_map *map = calloc(1, sizeof(*map));
	if (!map)
		abort();
	switch (isolation) {
	case ISOLATION_MAPPED:
		result = enter_mapped(&entry, map, status, err);
		break;
	case ISOLATION_SINGLE:
		result = enter_single(&entry, map, status, err);
		break;
	default:
		result = enter_highest(&entry, map, status, err);
	}
	return result < 0 ? err_wrap(err, "enter a user namespace") : 0;
}
