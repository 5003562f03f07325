/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_DIFFER_H
#define KILN_LAYER_DIFFER_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"
#include "kiln/layer/tree.h"

#include "emit.h"
#include "links.h"
#include "node.h"

#include <stdbool.h>

/* What the parts of the differ share: diff.c walks, diff-links.c knows about hard links. */
struct differ {
	int upper_fd;
	struct stack_dir *below; /* the root of what is below */
	int64_t clamp;
	struct emit emit;
	struct strbuf path; /* of what is looked at */

	struct links emitted; /* inodes of upper of which a name was emitted: paths[0] is the file, and verdicts */
	struct links groups;  /* all inodes of upper with more names, once `has_groups` */
	bool has_groups;
};

/* The entry of the same name below, if there is one. */
struct counterpart {
	bool exists;
	int holder_fd; /* borrowed */
	struct stat st;
};

/* node looks like its counterpart. Are its other names in upper names of that same file below, too? 1, 0, -1. */
int diff_group_unchanged(struct differ *differ, const struct node *node, const struct counterpart *below,
			 struct err *err) MUST_CHECK;
/* Emits node as a link to a name that was emitted before, or as itself, and remembers it. */
int diff_emit_linked(struct differ *differ, const struct node *node, struct err *err) MUST_CHECK;
void differ_release(struct differ *differ);

#endif
