/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CONTEXT_WALK_H
#define KILN_SRC_CONTEXT_WALK_H

#include "kiln/context/context.h"

/*
 * The one walk that both the digest and the copy make, so that they cannot disagree about what is taken: an item of a plan
 * with everything below it, in bytewise order, without what the ignore rules and --exclude leave out. A directory that is
 * excluded itself is visited when, and only when, something below it is taken.
 */
struct walk_entry {
	const char *path;  /* in the source */
	const char *below; /* relative to the item; "" is the item itself */
	int dir_fd;        /* directory that holds it, and its name there */
	const char *name;
	struct stat st; /* of the entry itself; of what it leads to for the item itself */
};

struct walker {
	const struct source *source;
	const struct copy_plan *plan;
	int (*visit)(void *arg, const struct walk_entry *entry, struct err *err);
	/* After everything below a directory that was visited. May be NULL. */
	int (*leave)(void *arg, const struct walk_entry *entry, struct err *err);
	void *arg;
};

int walk_item(const struct walker *walker, const struct copy_item *item, struct err *err) MUST_CHECK;

/* Path of an open file as seen from the root's directory; symlinks are gone. NULL if it cannot be told. */
char *path_beneath(struct arena *arena, const struct root *root, int fd);

#endif
