/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kiln/base/proc.h"
#include "kiln/base/scope.h"
#include "kiln/sandbox/cage.h"
#include "setup.h"

/*
 *	job                                     the step
 *	setup_prepare
 *	proc_clone(NEWPID | NEWNS ...)          the table below
 *	proc_await(STEP_READY)          <--     proc_reach
 *	watches                         -->     close_range, execve: the channel ends, or brings the reason
 *	waits, removes stubs
 */
enum { STEP_READY };

/*
 * The order matters: the network namespace decides what sysfs shows; sysctls are written before /proc/sys is made
 * read-only, and both before anything of the image could be in the way; the old root is needed until the last mount;
 * ids change after seccomp, which needs CAP_SYS_ADMIN; the supervisor is under no filter and its calls come first (emulate.h);
 * what is read back is the end result.
 */
static const struct {
	const char *name;
	setup_step *run;
} steps[] = {
	{ "raise the out-of-memory score", setup_oom_score },
	{ "make a keyring", setup_keyring },
	{ "hide the builder's memory", setup_undumpable },
	{ "make a session", setup_session },
	{ "set up the network", setup_network },
	{ "set the host name", setup_hostname },
	{ "mount the root file system", setup_root },
	{ "make files to mount", setup_files },
	{ "mount /proc", setup_proc },
	{ "mount /sys", setup_sys },
	{ "set sysctls", setup_sysctls },
	{ "hide parts of /proc and /sys", setup_masks },
	{ "mount /dev", setup_dev },
	{ "mount", setup_mounts },
	{ "change the root", setup_pivot },
	{ "working directory", setup_cwd },
	{ "standard files", setup_stdio },
	{ "drop capabilities", setup_bounding },
	{ "set no_new_privs", setup_no_new_privs },
	{ "start the supervisor", setup_supervisor },
	{ "seccomp", setup_seccomp },
	{ "become user", setup_user },
	{ "check the cage", setup_check },
};

static int become_command(int channel, void *arg, struct err *err)
{
	struct setup *setup = arg;

	if (channel <= STDERR_FILENO)
		return err_set(err, ERR_UNSUPPORTED, "kiln was started without its three standard files");
	setup->channel = channel;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		if (steps[i].run(setup, err) < 0)
			return err_wrap(err, "%s", steps[i].name);
	}
	if (proc_reach(channel, STEP_READY, NULL, 0, err) < 0 || proc_pause(channel, err) < 0)
		return -1;
	return setup_exec(setup, err);
}

/* ---- dying together ---- */

/* The pipe of the step's output must end with the step, so nothing but these two stays open. */
static void close_all_but(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

	if (low > 0)
		syscall(SYS_close_range, 0U, low - 1, 0U);
	if (high > low + 1)
		syscall(SYS_close_range, low + 1, high - 1, 0U);
	syscall(SYS_close_range, high + 1, ~0U, 0U);
}

/* A set-user-id program as PID 1 loses its parent-death signal. This child of the job has none, sees the job's end on the
   channel, and kills the step. */
static int watch(int channel, void *arg, struct err *err)
{
	const struct proc *step = arg;
	struct pollfd ended = { .fd = channel };

	if (prctl(PR_SET_PDEATHSIG, 0) < 0)
		return err_errno(err, "watch over the step");
	close_all_but(channel, step->pidfd);
	while (!(ended.revents & POLLHUP))
		poll(&ended, 1, -1);
	syscall(SYS_pidfd_send_signal, step->pidfd, SIGKILL, NULL, 0);
	_exit(0);
}

static int start_watch(const struct setup *setup, struct proc *step, struct proc *watcher, struct err *err)
{
	if (setup_is_locked(setup->cage))
		return 0;
	return proc_fork(watcher, watch, step, err);
}

/* ---- the job's side ---- */

static volatile sig_atomic_t step_pid;

pid_t cage_pid(void)
{
	return (pid_t)step_pid;
}

/* From the exec on, what the process says by its status is the command's. */
static int wait_for_command(struct proc *step, int *status, struct err *err)
{
	struct err ended = { 0 };
	int said, result;

	do {
		result = proc_next(step, &said, NULL, err);
	} while (result == 1);
	if (result < 0)
		return -1;
	if (proc_wait(step, NULL, &ended) < 0 && ended.kind != ERR_COMMAND) {
		if (err)
			*err = ended;
		return -1;
	}
	*status = ended.sys;
	return 0;
}

static int run_step(struct setup *setup, int *status, struct err *err)
{
	unsigned long flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
	scope_proc struct proc watcher = PROC_EMPTY;
	scope_proc struct proc step = PROC_EMPTY;

	if (setup->cage->network == NETWORK_NONE)
		flags |= CLONE_NEWNET;
	if (proc_clone(&step, flags, become_command, setup, err) < 0)
		return -1;
	step_pid = step.pid;
	if (proc_await(&step, STEP_READY, NULL, err) < 0 || start_watch(setup, &step, &watcher, err) < 0 ||
	    proc_resume(&step, err) < 0)
		return -1;
	return wait_for_command(&step, status, err);
}

int cage_run(const struct cage *cage, int *status, struct err *err)
{
	scope_setup struct setup setup = { 0 };
	struct err failed = { 0 };
	int result = setup_prepare(&setup, cage, err);

	if (result == 0)
		result = run_step(&setup, status, err);
	step_pid = 0;
	if (stubs_remove(&setup.stubs, &failed) < 0 && result == 0) {
		if (err)
			*err = failed;
		result = -1;
	}
	return result;
}

int cage_prepare(const char *seccomp_profile, struct err *err)
{
	return filter_of(seccomp_profile, err) ? 0 : -1;
}
