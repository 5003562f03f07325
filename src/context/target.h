/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CONTEXT_TARGET_H
#define KILN_SRC_CONTEXT_TARGET_H

#include "kiln/codec/stream.h"
#include "kiln/context/context.h"

/* Where an item lands: the rules of dockerfile.md 1.7 for destinations, beneath the destination's root. */
struct target_spec {
	const struct root *root;
	const struct copy_plan *plan;
	const struct copy_options *options;
};

/* The directory that a directory item's contents go into; made if missing (*existed false: its metadata are to be the
   item's). source is for the metadata of the directories that --parents keeps. */
int target_open_dir(const struct target_spec *target, const struct source *source, const struct copy_item *item,
		    bool *existed, struct err *err) MUST_CHECK;
/* The directory (O_PATH) and the name in it that a file item becomes; links at the destination are followed. */
int target_open_file(const struct target_spec *target, const struct source *source, const struct copy_item *item,
		     struct arena *arena, const char **leaf, struct err *err) MUST_CHECK;
/* Removes what is in the way of a file in a directory beneath root. A directory there is an error. */
int target_clear(const struct root *root, int dir_fd, const char *name, struct err *err) MUST_CHECK;
/* A new file of st's mode, owner and mtime. contents is borrowed. */
int target_write(int dir_fd, const char *name, struct reader *contents, const struct stat *st,
		 struct err *err) MUST_CHECK;

#endif
