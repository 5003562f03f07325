/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_SANDBOX_SETUP_H
#define KILN_SRC_SANDBOX_SETUP_H

#include "filter.h"
#include "kiln/base/root.h"
#include "kiln/base/strbuf.h"
#include "kiln/sandbox/cage.h"
#include "stubs.h"

/*
 * What a step needs until its command runs. The parent prepares what must be done in its own mount namespace (clones of
 * the root and of the sources of binds) or outlives the step (stubs); the child does the rest, step by step, and becomes the
 * command.
 */
struct setup {
	const struct cage *cage;
	const struct filter *filter;
	struct stubs stubs;
	int tree_fd;     /* a detached mount of the root */
	int *source_fds; /* per cage->mounts: a detached mount, or -1 */
	struct strbuf hosts, resolv_conf, hostname;

	/* The child's, from here. */
	struct root root; /* the attached root */
	int proc_fd;      /* root of the step's /proc */
	int sys_fd;       /* root of the step's /sys */
	int files_fd;     /* a tmpfs that is seen by nobody: files and directories to bind from */
	int channel;
};

int setup_prepare(struct setup *setup, const struct cage *cage, struct err *err) MUST_CHECK;
void setup_release(struct setup *setup);
#define scope_setup __attribute__((cleanup(setup_release)))

/* A step of the child's set-up; cage.c has the table. */
typedef int setup_step(struct setup *setup, struct err *err);

/* self.c: the process itself */
setup_step setup_oom_score, setup_keyring, setup_undumpable, setup_session, setup_hostname, setup_network;
setup_step setup_bounding, setup_no_new_privs, setup_seccomp, setup_user, setup_check;

/* files.c: what is not of the image but mounted in it */
setup_step setup_files;
/* rootfs.c: the root and what is mounted in it */
setup_step setup_root, setup_mounts, setup_pivot, setup_cwd, setup_stdio;
/* system.c: the kernel's own file systems */
setup_step setup_proc, setup_sys, setup_sysctls, setup_masks;
/* devices.c */
setup_step setup_dev;

/* emulate.c: on isolation "single", the step goes on in a child; see emulate.h */
setup_step setup_supervisor;

/* exec.c: becomes the command; returns only on failure. */
setup_step setup_exec;

/* The directory in the attached root (O_PATH), which must not be a link; what is mounted on it is passed. */
int setup_open_toplevel(const struct setup *setup, const char *name, struct err *err) MUST_CHECK;

/* The directories of files_fd and what they hold. */
#define FILES_EMPTY_FILE "empty-file"
#define FILES_EMPTY_DIR  "empty-directory"

/* The name in files_fd of a CAGE_FILE or CAGE_SECRET, which has this index in the cage. Returns name. */
enum { FILES_NAME = 48 };
const char *setup_file_name(const struct cage_mount *mount, size_t index, char name[FILES_NAME]);

/* Gives a file of a tmpfs its owner. */
int setup_give(int fd, uid_t uid, gid_t gid);

/* limits.c */
int setup_limits(const struct cage *cage, struct err *err) MUST_CHECK;

/* Does the step have no_new_privs? */
bool setup_is_locked(const struct cage *cage);

#endif
