/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_APPLIER_H
#define KILN_LAYER_APPLIER_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"
#include "kiln/base/root.h"
#include "kiln/base/strbuf.h"
#include "kiln/codec/untar.h"
#include "kiln/layer/apply.h"
#include "kiln/layer/tree.h"

#include "links.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* A set of names in directories, kept as hashes: what this tar has made. */
struct created {
	uint64_t *slots;
	size_t size, count;
};

/* Mode and time that a directory gets when all is in it. */
struct late_dir {
	char *path;
	mode_t mode;
	int64_t mtime;
};

/* What the parts of layer_apply share: apply.c reads the tar and makes entries, apply-parents.c finds and makes the directories
   that they stand in, apply-removed.c does whiteouts, apply-late.c directory times. */
struct applier {
	struct root root; /* the tree */
	const struct layer_apply_options *options;
	const char *name;
	struct untar *untar;
	struct arena arena; /* of the current entry, emptied now and then */
	struct layer_stats stats;

	/* The directory of the last entry. Only its fd is kept, never what a path once meant: anything that could change
	   that drops it (CVE-2025-47290). */
	int parent_fd;
	struct strbuf parent_path;
	bool parent_is_stale; /* not to be used for another entry */

	struct stack_dir *merged; /* AS_TREE: the tree on top of what is below */
	bool has_file_marks;
	struct created created; /* onto a plain tree only */
	int removal_depth;

	struct late_dir *late;
	size_t late_count, late_room;
	struct links late_index; /* inode -> place in late */
};

static inline bool applier_makes_tree(const struct applier *applier)
{
	return applier->options->flags & LAYER_APPLY_AS_TREE;
}

/* ---- apply-parents.c ---- */

/* The directory that path stands in, made if missing: borrowed, good until the next call. -1 on error. */
int applier_parent(struct applier *applier, const char *path, struct err *err) MUST_CHECK;
void applier_forget_parent(struct applier *applier);
/* For a path that leads through links of what is below, or to a file there: the file is copied up unless the tree has it,
   and *dir_fd (the caller's) is the directory of the tree that holds it. 1, 0 if there is none, -1. */
int applier_bring_up(struct applier *applier, const char *path, int *dir_fd, struct err *err) MUST_CHECK;
int applier_open_merged(struct applier *applier, struct err *err) MUST_CHECK;

/* ---- apply-removed.c ---- */

/* .wh.NAME and .wh..wh..opq in directory `parent`. */
int applier_remove_lower(struct applier *applier, int parent_fd, const char *name, struct err *err) MUST_CHECK;
int applier_empty_lower(struct applier *applier, int dir_fd, struct err *err) MUST_CHECK;
/* Notes that this tar has made parent/name. */
void applier_note_created(struct applier *applier, int parent_fd, const char *name);
/* Takes the whiteout of parent/name away if there is one. *was_removed is set only then. */
int applier_unhide(struct applier *applier, int parent_fd, const char *name, bool *was_removed,
		   struct err *err) MUST_CHECK;
int applier_make_opaque(struct applier *applier, int dir_fd, struct err *err) MUST_CHECK;

/* ---- apply-late.c ---- */

void applier_set_late(struct applier *applier, const struct stat *st, const char *path, mode_t mode, int64_t mtime);
int applier_finish_late(struct applier *applier, struct err *err) MUST_CHECK;

#endif
