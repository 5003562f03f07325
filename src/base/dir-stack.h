/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_BASE_DIR_STACK_H
#define KILN_SRC_BASE_DIR_STACK_H

#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"

#include <dirent.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The way down into a tree, for walks that must survive any depth: only the lowest levels are kept open. A level that
 * was closed is opened again by ".." from the one below it, and must then still be the same directory.
 *
 * The stack never follows a link and never enters a mount.
 */
struct dir_level {
	DIR *dir; /* NULL while closed */
	uint32_t dev_major, dev_minor;
	uint64_t ino;
	char *name;             /* in the level above */
	struct strvec children; /* for the walker: names still to visit */
	unsigned int rescans;   /* for the walker */
};

struct dir_stack {
	int base_fd; /* where the first name lies; borrowed */
	struct dir_level *levels;
	size_t count, cap;
};

/* What push found instead of a directory to enter. */
enum dir_push { DIR_FAILED = -1, DIR_ENTERED, DIR_GONE, DIR_MOUNT, DIR_UNREADABLE };

/* Enters `name` below the lowest level. Only DIR_FAILED sets err. With `grants` the owner's access is added to the
   directory's mode first (it is about to be removed). */
enum dir_push dir_stack_push(struct dir_stack *stack, const char *name, bool grants, struct err *err);
/* Leaves the lowest level, opening the one above it again if it was closed. */
int dir_stack_pop(struct dir_stack *stack, struct err *err);
void dir_stack_release(struct dir_stack *stack);

struct dir_level *dir_stack_top(const struct dir_stack *stack); /* NULL if empty */
int dir_stack_fd(const struct dir_stack *stack);                /* of the lowest level, or base_fd */

#endif
