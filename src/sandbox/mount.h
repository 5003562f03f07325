/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_SANDBOX_MOUNT_H
#define KILN_SRC_SANDBOX_MOUNT_H

#include "kiln/base/err.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mount.h>

/*
 * Mounts as files. A mount is made or cloned detached, restricted, and only then attached onto an O_PATH fd, so that what
 * was checked is what is covered, and nobody ever sees it half made. Names are for messages.
 */

#define MOUNT_CLOSED (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* One option of a file system: "size", "64m". value NULL: a flag. */
struct mount_option {
	const char *key, *value;
};

/* A new file system, detached. options end with a NULL key, or are NULL. */
int mount_new(const char *type, const struct mount_option *options, uint64_t attrs, struct err *err) MUST_CHECK;
/* A detached clone of what dir_fd/path is (path "": dir_fd itself), not following a last link. flags: AT_RECURSIVE or 0. */
int mount_clone(int dir_fd, const char *path, unsigned flags, struct err *err) MUST_CHECK;
/* flags: AT_RECURSIVE or 0. */
int mount_restrict(int mount_fd, uint64_t attrs, unsigned flags, struct err *err) MUST_CHECK;
int mount_attach(int mount_fd, int target_fd, const char *name, struct err *err) MUST_CHECK;

/* Clone, restrict, attach. */
struct mount_bind {
	int from_fd;
	const char *from; /* in from_fd */
	uint64_t attrs;
	unsigned flags;
};
int mount_bind(const struct mount_bind *bind, int target_fd, const char *name, struct err *err) MUST_CHECK;

#endif
