/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_SANDBOX_EMULATE_H
#define KILN_SRC_SANDBOX_EMULATE_H

#include "creds.h"
#include "filter.h"
#include "kiln/base/err.h"
#include "kiln/base/owner.h"
#include "kiln/sandbox/user.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * Isolation "single": the user namespace has one id, so the kernel refuses a step what root in an image does: be another
 * user, own files as another, make devices. A supervisor answers those calls in its stead (seccomp_unotify(2)).
 *
 *	supervisor: process 1 of the step's pid namespace, in the step's root, with the step's own rights on files
 *	 └ command and its children, under a filter that hands the calls of the table in emulate-calls.c over
 *
 * It lives inside because a path that the step names can change between look and deed: whatever the step wins by
 * that, it could have done itself. It reads a path once, opens the file once and acts on that; what it answers without
 * acting (ANSWER_CONTINUE) the kernel decides anew, with the step's real rights.
 *
 * Who a process believes to be is a number in a table (creds.h), and the process carries the number itself: in the soft limit of
 * RLIMIT_RTTIME, which concerns nobody, is copied by fork at the very moment of it, and stays through exec. So there is no race
 * between a fork and a change, and nothing to forget when processes end. Calls about this limit are answered too.
 */
struct emulator {
	int listener_fd;
	int proc_fd; /* the step's /proc */
	pid_t command;
	bool has_own_proc;    /* else /proc is that of an outer pid namespace */
	uint64_t number_base; /* RLIMIT_RTTIME is this plus the number */
	uint64_t number_hard;
	struct creds_table table;
	bool has_chroots; /* some process has, or had, a root of its own */
};

/* What a handler returns: 0 or more is the call's result, -errno its error, or: */
enum {
	ANSWER_CONTINUE = -100000, /* the kernel does the call */
	ANSWER_GIVEN,              /* a file descriptor was handed over, which was the answer */
	ANSWER_GONE,               /* the process died */
};

struct call;
typedef int64_t emulate_call(struct call *call);

/* A row of the table: which arguments say what. -1: none. */
struct call_row {
	const char *name; /* of the system call, as libseccomp has it */
	emulate_call *run;
	int8_t dir, path; /* dirfd and path; only dir: an open file; only path: relative to the working directory */
	int8_t flags;     /* AT_* */
	int fixed;        /* AT_* flags that the call implies */
	int8_t a, b, c;   /* what else the handler wants to know where to find */
};

struct call {
	struct emulator *emulator;
	const struct seccomp_notif *notif;
	const struct call_row *row;
	pid_t pid;      /* of the thread */
	pid_t proc_pid; /* the same in /proc */
	bool is_compat;
	char path[PATH_MAX]; /* read by tracee_read_path */
};

static inline uint64_t call_arg(const struct call *call, int8_t index)
{
	uint64_t arg = index < 0 ? 0 : call->notif->data.args[index];

	return call->is_compat ? (uint32_t)arg : arg;
}

static inline int call_flags(const struct call *call)
{
	return (int)call_arg(call, call->row->flags) | call->row->fixed;
}

/* ---- emulate-calls.c ---- */

/* The row of a call of this architecture (AUDIT_ARCH_*), NULL if it is not known. */
const struct call_row *emulate_row(uint32_t arch, int number);
/* The filter that hands the calls over. Files that are opened for reading concern only who is not root: a step that begins as root
   is spared the cost, and who it becomes there may read what root may. */
int emulate_filter(bool begins_as_root, struct filter *filter, struct err *err) MUST_CHECK;

/* ---- emulate.c: the processes ---- */

/* setup_supervisor (setup.h) forks: the child goes on to become the command, this process serves it and ends with its status.
   The child loads the filter and gives the supervisor its end: */
int emulate_attach(int supervisor_fd, bool begins_as_root, struct err *err) MUST_CHECK;
/* Does all that this needs work here? For the probe; in the user namespace. */
int emulation_works(struct err *err) MUST_CHECK;

/* ---- emulate-tracee.c: a process that waits for an answer ---- */

/* Its number in /proc, -1 if it has none. */
pid_t tracee_proc_pid(const struct emulator *emulator, pid_t pid);
/* Its credentials; what an execve left open is settled. -ESRCH. */
int tracee_creds(struct call *call, struct creds *creds);
int tracee_set_creds(struct call *call, const struct creds *creds);
bool tracee_is_valid(const struct call *call);
/* Memory: 0 or -errno. */
int tracee_read(const struct call *call, uint64_t address, void *bytes, size_t len);
int tracee_write(const struct call *call, uint64_t address, const void *bytes, size_t len);
/* Text of at most size - 1 bytes; its length, or -ENAMETOOLONG. */
int tracee_read_text(const struct call *call, uint64_t address, char *text, size_t size);
/* The row's path into call->path; "" if it has none. */
int tracee_read_path(struct call *call);
mode_t tracee_umask(const struct call *call);

/* ---- emulate-path.c ---- */

/* The file of the row's dirfd, path and flags as O_PATH fd, seen as the process sees it. fd or -errno. Reads call->path. */
int tracee_open(struct call *call, int flags);
/* The same of a dirfd and a path that are already here. */
int tracee_open_at(struct call *call, int dir_fd, const char *path, bool follow);
/* The directory that a new file is to be in; *leaf points into path, which is changed. */
int tracee_open_parent(struct call *call, int dir_fd, char *path, char **leaf);
/* A path by which the supervisor finds it too, for one look. False if that could be another file. */
bool tracee_quick_path(struct call *call, int dir_fd, const char *path, char *out, size_t size);
enum { QUICK_PATH_MAX = PATH_MAX + 64 };
/* dir_fd of the row as the process gave it. */
int tracee_dir(const struct call *call);

/* A device that could not be made is an empty file with this (src/layer/node.h). */
#define DEVICE_XATTR "user.kiln.dev"

/* A file with its owner as the image has it. */
struct seen {
	int fd;
	struct stat st;
	bool is_recorded,
		is_foreign; /* foreign: its owner is nobody of this namespace, or the kernel's affair (/proc) */
	char device[32];    /* "c:1:3" of a placeholder, or "" */
};
int seen_load(struct seen *seen);
struct creds_file seen_as_file(const struct seen *seen);

/* ---- handlers: emulate-ids.c, -stat.c, -owner.c, -create.c, -xattr.c, -exec.c ---- */

emulate_call call_get_id, call_get_three_ids, call_get_groups, call_set_uid, call_set_gid, call_set_two_uids;
emulate_call call_set_two_gids, call_set_three_uids, call_set_three_gids, call_set_fs_uid, call_set_fs_gid;
emulate_call call_set_groups, call_get_caps, call_set_caps, call_prctl, call_get_limit, call_set_limit, call_prlimit;
emulate_call call_stat, call_statx;
emulate_call call_chown, call_chmod, call_access;
emulate_call call_open, call_openat2, call_mkdir, call_mknod, call_symlink;
emulate_call call_get_xattr, call_list_xattrs, call_set_xattr, call_remove_xattr;
emulate_call call_exec, call_chroot;
emulate_call call_remove, call_rename;

#endif
