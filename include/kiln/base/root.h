/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_BASE_ROOT_H
#define KILN_BASE_ROOT_H

#include "kiln/base/err.h"

#include <sys/stat.h>
#include <sys/types.h>

/*
 * Files beneath a root: the only way to reach a path that an image, an archive or a Dockerfile names.
 *
 * Resolution is openat2(2) (Linux 5.6) and there is no fallback: on ENOSYS or EPERM the error says "openat2 is blocked
 * (kernel before 5.6, or a seccomp filter)". EINTR, and EAGAIN (a rename raced with ".."), are retried.
 *
 *	CHROOT	RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: image roots and contexts, where absolute links are normal and mean
 *		"in the root".
 *	BENEATH	RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS: the store, where a link is damage.
 *
 * A root does not own its fd.
 */
enum root_policy { ROOT_CHROOT, ROOT_BENEATH };

struct root {
	int fd;
	enum root_policy policy;
};

/* Opens path beneath root. "" and "/" are the root itself, and a leading '/' means it under both policies. O_CLOEXEC is
   always added; O_NOFOLLOW concerns the last component only. Returns the fd, owned by the caller. The message names
   path. */
int root_open(const struct root *root, const char *path, int flags, mode_t mode, struct err *err) MUST_CHECK;

/* Opens (O_PATH) the parent directory of path, following links in the parents by the policy, and points *leaf at the
   last component inside path. For creating, replacing, removing: act on (returned fd, *leaf) with *at calls that do
   not follow. A path that cleans to the root, whose leaf is "." or "..", or that ends in '/' is ERR_INPUT. */
int root_open_parent(const struct root *root, const char *path, const char **leaf, struct err *err) MUST_CHECK;

/* Like `mkdir -p`: creates what is missing of path, each component resolved by the policy, and returns an O_PATH fd
   of the last. A dangling link in it is followed by the policy too: its target is made. New directories get mode exactly
   (no umask), and, if made is not NULL, made(arg, fd of the new directory) is called for each new one: owner and time
   are the caller's business. */
int root_make_dirs(const struct root *root, const char *path, mode_t mode,
		   int (*made)(void *arg, int dir_fd, struct err *err), void *arg, struct err *err) MUST_CHECK;

/* fstatat without following the last component. Returns 0, or -1 (err_is_errno(err, ENOENT) if missing). */
int root_stat(const struct root *root, const char *path, struct stat *st, struct err *err) MUST_CHECK;

/* Opens a regular file of an image for reading without ever blocking or reading devices: O_NONBLOCK, S_ISREG checked
   (ERR_INPUT otherwise). */
int root_open_regular(const struct root *root, const char *path, struct err *err) MUST_CHECK;

#endif
