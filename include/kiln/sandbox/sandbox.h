/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SANDBOX_SANDBOX_H
#define KILN_SANDBOX_SANDBOX_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"
#include "kiln/base/root.h"
#include "kiln/base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The cage: id maps, namespaces, mounts, capabilities, seccomp, network. Facts and errnos: lockdown.md; defaults and the
 * order of set-up: security.md section 2. Nothing here comes from an image's configuration but argv, env, cwd, user.
 */

/* ---- entering (enter.c, idmap.c) ------------------------------------------------------------------------------ */

enum isolation { ISOLATION_AUTO, ISOLATION_MAPPED, ISOLATION_SINGLE, ISOLATION_CHROOT, ISOLATION_TRACED };
const char *isolation_name(enum isolation isolation);
int isolation_parse(enum isolation *isolation, const char *text, struct err *err) MUST_CHECK;

struct id_extent {
	uint32_t inside, outside, count;
};
enum { ID_EXTENTS_MAX = 340 }; /* Linux 4.15 */
struct id_map {
	struct id_extent uids[ID_EXTENTS_MAX];
	size_t uid_count;
	struct id_extent gids[ID_EXTENTS_MAX];
	size_t gid_count;
	bool by_helper; /* newuidmap/newgidmap; else written directly */
};

/* How the caller's ids can be mapped (ladder MAP of lockdown.md 2): with CAP_SETUID in our own namespace every extent of
   /proc/self/uid_map as "in in n" (real root, container root, nested kiln); else uid -> 0 and the sub-id ranges of
   getsubids / /etc/subuid (by name and by number; several ranges are concatenated) -> 1... ERR_UNSUPPORTED says what is missing and the
   line that adds it ("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER", package uidmap). */
int id_map_plan(struct id_map *map, struct err *err) MUST_CHECK;

/*
 * Runs work in a child that is root in new user and mount namespaces (propagation private, ids mapped, supplementary
 * groups dropped, umask 022, undumpable reset so that /proc/self is usable, PR_SET_PDEATHSIG), and waits for it. SIGINT, SIGTERM, SIGHUP, SIGQUIT
 * are forwarded to it; the terminal's own signals reach it anyway. Returns what work returned as the process's exit
 * status in *status (128 + signal if it was killed). If set-up fails, work never runs and err says the step.
 *
 *	kiln (caller's uid)  --newuidmap-->  coordinator (work)
 */
int sandbox_enter(enum isolation isolation, int (*work)(void *arg), void *arg, int *status, struct err *err) MUST_CHECK;

/* ---- users of the image (user.c) ------------------------------------------------------------------------------- */

/* Resolved in the image's own etc/passwd and etc/group (root_open_regular, at most 10 MiB, line by line, never NSS). */
struct user {
	uint32_t uid, gid;
	uint32_t *groups; /* supplementary, without gid; in the arena */
	size_t group_count;
	const char *home; /* "/" if unknown */
	const char *name; /* NULL if unknown */
};
/* "", "name", "uid", "name:group", "uid:gid" ... by dockerfile.md 1.7 RUN and trap 81; numbers [0-9]+ <= 2^32-2 are never names.
   ERR_INPUT "unable to find user x: no matching entries in passwd file". */
int user_resolve(struct arena *arena, const struct root *image, const char *text, struct user *out, struct err *err)
	MUST_CHECK;
/* --chown: "user[:group]" by traps 50 and 51: numeric user alone gives gid = uid; unknown names are 0. */
int chown_resolve(const struct root *image, const char *text, uint32_t *uid, uint32_t *gid, struct err *err) MUST_CHECK;

/* ---- network (network.c) --------------------------------------------------------------------------------------- */

enum network_mode { NETWORK_HOST, NETWORK_NONE, NETWORK_PRIVATE };
int network_mode_parse(enum network_mode *mode, const char *text, struct err *err) MUST_CHECK; /* also "default" = host */
const char *network_mode_name(enum network_mode mode);

/* A network namespace of a build with a user-mode stack (slirp4netns --disable-host-loopback, or pasta with no host
   loopback), started once and waited for at most 10 s; a helper that fails or does not come up is an error that names it
   with its last words. Its processes die with us. */
struct network {
	int netns_fd; /* -1: not started */
	pid_t holder, helper;
	char resolv_conf[256]; /* text for the step */
};
#define NETWORK_EMPTY { .netns_fd = -1, .holder = -1, .helper = -1 }
int network_start(struct network *network, struct err *err) MUST_CHECK;
void network_stop(struct network *network);

/* ---- the step (cage.c, mounts.c, seccomp.c, caps.c) ------------------------------------------------------------- */

enum cage_mount_type { CAGE_BIND, CAGE_TMPFS, CAGE_FILE };
struct cage_mount {
	enum cage_mount_type type;
	int source_fd;       /* CAGE_BIND: O_PATH, resolved by the caller; borrowed */
	const char *target;  /* in the step's root, resolved beneath it; made if missing and removed afterwards */
	bool read_only;
	int64_t size;        /* CAGE_TMPFS: bytes, 0 = no limit given */
	const void *bytes;   /* CAGE_FILE: contents, on a tmpfs */
	size_t len;
	uint32_t mode, uid, gid; /* CAGE_FILE, CAGE_TMPFS */
};

struct cage {
	int root_fd;            /* the view's root */
	bool root_is_mount;
	const char *const *argv; /* argv[0] without '/' is searched in envp's PATH beneath the step's root */
	const char *const *envp; /* exactly this; HOME is added from user.home if missing */
	const char *cwd;        /* absolute, made (owned by the user, 0755) if missing */
	struct user user;
	const char *hostname;   /* NULL: "kiln" */
	enum network_mode network;
	int netns_fd;           /* NETWORK_PRIVATE */
	const char *resolv_conf; /* text; NULL: made from the host's (127.0.0.53 alone -> the real upstream file) */
	const char *const *extra_hosts; /* "name ip" lines for /etc/hosts, NULL-terminated, may be NULL */
	const struct cage_mount *mounts;
	size_t mount_count;
	int stdin_fd;           /* -1: /dev/null */
	int stdout_fd, stderr_fd;
	bool tty;               /* `kiln run -t`: stdio is a terminal, made the controlling one */
	bool privileged_user;   /* keep setuid programs working although uid != 0: no_new_privs off (security.md 2.1) */
	int64_t shm_size;       /* 0: 64 MiB */
	const char *seccomp_profile; /* path of a profile in docker's format; NULL: the default one */
};

/*
 * Runs the step to its end in its own pid, mount, ipc, uts, cgroup (and net) namespaces, as PID 1, and waits. The pid
 * namespace dies with it. Stubs made for mount targets are removed from the root afterwards and their parents' times
 * restored (dockerfile.md trap 46), so nothing of the cage is in a layer. Returns 0 and *status (exit code, or 128 +
 * signal) if the command ran at all; -1 if set-up failed: err names the step of set-up. ERR_NOT_FOUND for a missing
 * program or interpreter (the shell's 127), with docker's words: exec: "x": executable file not found in $PATH.
 * Called in the coordinator's user namespace by a process that may be killed at any time: everything ends with it.
 */
int cage_run(const struct cage *cage, int *status, struct err *err) MUST_CHECK;
/* The pid (in our namespace) of the running command, for forwarding signals, 0 when none: async-signal-safe. */
pid_t cage_pid(void);

/* ---- what works here (probe.c) ------------------------------------------------------------------------------------ */

/* Facts for `kiln doctor`, each found by doing the real call in a throw-away child. Lines in the arena. */
struct probe_fact {
	const char *name;   /* "user namespace", "newuidmap", "/dev/fuse" */
	bool works;
	const char *detail; /* "yes, 65536 ids", "unshare: EPERM" */
	const char *remedy; /* one line, or NULL */
};
int sandbox_probe(struct arena *arena, struct probe_fact **facts, size_t *count, struct err *err) MUST_CHECK;

#endif
