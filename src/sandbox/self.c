/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "caps.h"
#include "kiln/base/arena.h"
#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/owner.h"
#include "kiln/base/proc.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "loopback.h"
#include "setup.h"

/* What the step's process does to itself. */

#define OOM_SCORE_MORE 200
#define OOM_SCORE_MAX  1000

/* When memory ends, the step dies before the builder. More is always allowed; where the file is not ours, never mind. */
int setup_oom_score(struct setup *setup, struct err *err)
{
	static const char path[] = "/proc/self/oom_score_adj";
	scope_strbuf struct strbuf text = { 0 };
	int64_t score;

	(void)setup;
	(void)err;
	if (file_read(AT_FDCWD, path, 64, &text, NULL) < 0)
		return 0;
	score = strtol(strbuf_str(&text), NULL, 10) + OOM_SCORE_MORE;
	strbuf_reset(&text);
	strbuf_addf(&text, "%" PRId64, score < OOM_SCORE_MAX ? score : OOM_SCORE_MAX);
	scope_fd int fd = openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text.ptr, text.len) < 0)
		log_debug("cage: %s stays as it is", path);
	return 0;
}

/* Keys are not in a namespace: without a keyring of its own the step would share the caller's. Where a filter around
   kiln forbids the call the step has no use of keys either; a full quota leaves it to the step's filter. */
int setup_keyring(struct setup *setup, struct err *err)
{
	(void)setup;
	(void)err;
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0)
		log_debug("cage: no keyring of its own: %s", strerror(errno));
	return 0;
}

/* This process still has the builder's memory. Nothing else runs in its namespace before exec, so this is a second
   line: nobody may look into it (CVE-2021-3602, CVE-2016-9962). Nor does a command ever leave a core in the image. */
int setup_undumpable(struct setup *setup, struct err *err)
{
	const struct rlimit no_core = { 0, 0 };

	(void)setup;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
		return err_errno(err, "forbid cores");
	return 0;
}

int setup_session(struct setup *setup, struct err *err)
{
	(void)setup;
	umask(022);
	/* kiln ignores it, programs expect it. */
	signal(SIGPIPE, SIG_DFL);
	return setsid() < 0 ? err_errno(err, "setsid") : 0;
}

/* Podman's filter forbids the call: then the step keeps the name that the container has. */
int setup_hostname(struct setup *setup, struct err *err)
{
	const char *name = setup->cage->hostname ? setup->cage->hostname : "kiln";

	if (sethostname(name, strlen(name)) == 0 || errno == EPERM)
		return 0;
	return err_errno(err, "%s", name);
}

int setup_network(struct setup *setup, struct err *err)
{
	switch (setup->cage->network) {
	case NETWORK_HOST:
		return 0;
	case NETWORK_NONE:
		return loopback_up(err);
	case NETWORK_PRIVATE:
		if (setup->cage->netns_fd < 0)
			return err_set(err, ERR_UNSUPPORTED, "the private network was not started");
		return setns(setup->cage->netns_fd, CLONE_NEWNET) < 0 ? err_errno(err, "enter the private network") : 0;
	}
	return err_set(err, ERR_INPUT, "unknown network mode %d", (int)setup->cage->network);
}

int setup_bounding(struct setup *setup, struct err *err)
{
	(void)setup;
	return caps_bound(err);
}

int setup_no_new_privs(struct setup *setup, struct err *err)
{
	/* Where there is one id, programs cannot change it: what they believe to become, the supervisor tells them. */
	if (!setup_is_locked(setup->cage) && !owners_are_recorded())
		return 0;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? err_errno(err, "prctl") : 0;
}

/* While CAP_SYS_ADMIN is there: without no_new_privs it is needed. All that follows is allowed by the filter. */
int setup_seccomp(struct setup *setup, struct err *err)
{
	return filter_load(setup->filter, err);
}

static int fail_unmapped(const struct user *user, struct err *err)
{
	if (errno != EINVAL)
		return err_errno(err, "%" PRIu32 ":%" PRIu32, user->uid, user->gid);
	return err_set(err, ERR_UNSUPPORTED,
		       "%" PRIu32 ":%" PRIu32
		       " or one of its groups is outside the ids that kiln has here (see /etc/subuid "
		       "and /etc/subgid)",
		       user->uid, user->gid);
}

/* The primary group belongs into the list too, else a set-group-id program could drop it (CVE-2022-2989). */
static int take_ids(const struct user *user, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	gid_t *groups = arena_array(&arena, gid_t, user->group_count + 1);

	groups[0] = user->gid;
	for (size_t i = 0; i < user->group_count; i++)
		groups[i + 1] = user->groups[i];
	if (setgroups(user->group_count + 1, groups) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return fail_unmapped(user, err);
	return caps_set(user->uid == 0 ? caps_of_step() : 0, err);
}

/* On isolation "single" the supervisor knows whom the command believes to be. */
int setup_user(struct setup *setup, struct err *err)
{
	if (!owners_are_recorded() && take_ids(&setup->cage->user, err) < 0)
		return -1;
	/* A change of ids takes both away. The supervisor, which alone is there beside it, has to look into it. */
	if (prctl(PR_SET_DUMPABLE, owners_are_recorded(), 0, 0, 0) < 0)
		return err_errno(err, "prctl");
	return proc_die_with_parent(setup->channel, err);
}
