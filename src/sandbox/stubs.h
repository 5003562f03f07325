/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_SANDBOX_STUBS_H
#define KILN_SRC_SANDBOX_STUBS_H

#include "kiln/base/err.h"
#include "kiln/base/root.h"

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Stubs: empty files and directories that are made in an image so that something can be mounted on them, and taken away
 * when the step is dead. A stub is remembered by the open directory that holds it, its name, and its inode. What the
 * step did to the paths meanwhile is therefore of no concern (CVE-2024-23652): something else under the name stays, and nothing outside is
 * reached. A directory that the step has filled or changed stays too: it is the step's by then.
 *
 * The holding directory gets its time back after both acts, so neither the step nor the layer sees that it was touched.
 */
struct stub {
	int parent_fd;
	char name[NAME_MAX + 1];
	dev_t dev;
	ino_t ino;
	uid_t uid;
	gid_t gid;
	bool is_dir;
};

struct stubs {
	struct stub *items;
	size_t count;
};

/* Opens (O_PATH) path beneath root, following links by root's policy, and makes it and its parents if they are missing:
   directories 0755, files 0644. A directory where a file is wanted, or the other way round, is ERR_INPUT. */
int stubs_open(struct stubs *stubs, const struct root *root, const char *path, bool is_dir, struct err *err) MUST_CHECK;

/* As stubs_open for a directory in the root itself that must not be a link. */
int stubs_open_toplevel(struct stubs *stubs, const struct root *root, const char *name, struct err *err) MUST_CHECK;

/* Removes them, last made first, and forgets them. */
int stubs_remove(struct stubs *stubs, struct err *err) MUST_CHECK;
/* Forgets them: they stay. */
void stubs_release(struct stubs *stubs);
#define scope_stubs __attribute__((cleanup(stubs_release)))

#endif
