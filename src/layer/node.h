/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_NODE_H
#define KILN_LAYER_NODE_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"
#include "kiln/layer/tar.h"
#include "kiln/layer/tree.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * One entry of a layer tree as the image sees it: lstat's answer with clamped time, link target, content xattrs, and a
 * device placeholder as the device that it stands for.
 */
struct node {
	struct stat st;           /* as it lies in the tree */
	struct layer_entry entry; /* as it is in the image; strings in the arena */
	int fd;                   /* open for reading: regular files and directories; else -1 */
};

/* Where an entry lies. path is kept in the node's entry and must outlive it. */
struct node_place {
	int dir_fd;
	const char *name, *path;
	const struct stat *st; /* lstat's answer */
	bool has_owner;        /* st says the owner in the image; else a record may (kiln/base/owner.h) */
};

/* Later mtimes become clamp. An id that our user namespace does not map is ERR_INPUT. */
int node_load(struct node *node, const struct node_place *place, int64_t clamp, struct arena *arena,
	      struct err *err) MUST_CHECK;
void node_close(struct node *node); /* safe on NODE_EMPTY */
#define NODE_EMPTY       \
	{                \
		.fd = -1 \
	}
#define scope_node __attribute__((cleanup(node_close)))

/* Everything but contents (registry.md 3.7 rule 3). */
bool node_same_metadata(const struct node *a, const struct node *b);
/* Contents of two regular files of one size: 1 the same, 0 not (reading stops there), -1. */
int node_same_content(const struct node *a, const struct node *b, struct err *err) MUST_CHECK;

/* "c:1:3", a placeholder's xattr. */
#define DEVICE_XATTR "user.kiln.dev"

/* What the xattrs of an entry say. */
struct node_xattrs {
	struct layer_xattr *items;
	size_t count;
	char device[LAYER_DEVICE_MAX]; /* DEVICE_XATTR's value, "" if there is none */
};
int node_read_xattrs(struct node_xattrs *xattrs, struct arena *arena, int fd, const char *path,
		     struct err *err) MUST_CHECK;
/* Is an xattr of this name content? */
bool xattr_is_content(const char *name);
/* Removes content xattrs that are not among those given. */
int xattr_remove_others(int fd, const struct layer_xattr *xattrs, size_t count, const char *path,
			struct err *err) MUST_CHECK;

#endif
