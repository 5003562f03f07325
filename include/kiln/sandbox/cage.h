/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SANDBOX_CAGE_H
#define KILN_SANDBOX_CAGE_H

#include "kiln/base/err.h"
#include "kiln/sandbox/network.h"
#include "kiln/sandbox/user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * One command in its own namespaces, as PID 1, on a root that a view made. Defaults and order of set-up: security.md
 * section 2. Nothing here comes from an image's configuration but argv, envp, cwd and user.
 */
enum cage_mount_type {
	CAGE_BIND,
	CAGE_TMPFS,
	CAGE_FILE,  /* a file with these contents */
	CAGE_SECRET /* likewise, but on a tmpfs of its own, and neither executable nor writable whatever the rest says */
};

struct cage_mount {
	enum cage_mount_type type;
	int source_fd;      /* CAGE_BIND: O_PATH, resolved by the caller; borrowed */
	bool is_in_tree;    /* CAGE_BIND: source_fd lies in one of the cage's trees */
	const char *target; /* in the step's root, resolved beneath it; made if missing and removed afterwards */
	bool read_only;
	int64_t size;      /* CAGE_TMPFS: bytes, 0 = no limit given */
	const void *bytes; /* CAGE_FILE, CAGE_SECRET: contents, on a tmpfs */
	size_t len;
	uint32_t mode, uid, gid; /* CAGE_FILE, CAGE_SECRET, CAGE_TMPFS (mode 0: 01777) */
};

/* A resource limit (setrlimit) of the step. */
struct cage_limit {
	int resource;
	uint64_t soft, hard; /* UINT64_MAX: unlimited */
};
/* docker's "nofile=1024:2048", "nproc=-1", in its words. */
int cage_limit_parse(struct cage_limit *limit, const char *text, struct err *err) MUST_CHECK;
const char *cage_limit_name(const struct cage_limit *limit); /* "nofile" */

struct cage {
	int root_fd; /* the view's root: a detached mount, or a directory of the caller's own mount namespace */
	bool root_is_mount;
	const char *const *argv; /* argv[0] without '/' is searched in envp's PATH beneath the step's root */
	const char *const *envp; /* exactly this; HOME is added from user.home if missing */
	const char *cwd;         /* absolute, made (owned by the user, 0755) if missing */
	struct user user;
	const char *hostname; /* NULL: "kiln" */
	enum network_mode network;
	int netns_fd;            /* NETWORK_PRIVATE */
	const char *resolv_conf; /* text; NULL: made from the host's (127.0.0.53 alone -> the real upstream file) */
	const char *const *extra_hosts; /* "name ip" lines for /etc/hosts, NULL-terminated, may be NULL */
	const struct cage_mount *mounts;
	size_t mount_count;
	/* Detached mounts (views) in which sources of mounts lie. They are attached where the step does not see them, since
	   before Linux 6.15 nothing can be cloned out of a mount that is attached nowhere. Borrowed. */
	const int *trees;
	size_t tree_count;
	const struct cage_limit *limits;
	size_t limit_count;
	int stdin_fd; /* -1: /dev/null */
	int stdout_fd, stderr_fd;
	bool tty;          /* stdio is a terminal of the step's own, made the controlling one */
	bool no_new_privs; /* for users other than 0, where it is off by default since it breaks sudo; root has it always */
	int64_t shm_size;            /* 0: 64 MiB */
	const char *seccomp_profile; /* path of a profile in docker's format; NULL: the default one */
};

/*
 * Runs the step to its end in its own pid, mount, ipc, uts, cgroup (and net) namespaces, as PID 1, and waits. The pid
 * namespace dies with it. Stubs made for mount targets are removed from the root afterwards and their parents' times
 * restored (dockerfile.md trap 46), so nothing of the cage is in a layer. Returns 0 and *status (exit code, or 128 +
 * signal) if the command ran at all; -1 if set-up failed: err names the step of set-up. A missing program or
 * interpreter is ERR_NOT_FOUND (the shell's 127), one that cannot be run ERR_SYSTEM with its errno (126), both in
 * docker's words: exec: "x": executable file not found in $PATH.
 *
 * Called in the coordinator's user namespace by a process that may be killed at any time: everything ends with it.
 */
int cage_run(const struct cage *cage, int *status, struct err *err) MUST_CHECK;

/* The pid (in our namespace) of the running command, for forwarding signals, 0 when none: async-signal-safe. */
pid_t cage_pid(void);

/* Compiles a seccomp profile (NULL: the default one) and keeps it for this process and those that it forks. cage_run does it where
   nobody has, at 5 ms a step: call this once before forking the first. */
int cage_prepare(const char *seccomp_profile, struct err *err) MUST_CHECK;

#endif
