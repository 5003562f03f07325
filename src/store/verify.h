/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_STORE_VERIFY_H
#define KILN_SRC_STORE_VERIFY_H

#include "internal.h"

/* Makes the layer's tar again, checks its digest, unpacks it beside the tree and compares the two. */
int verify_layer_tree(struct store *store, struct store_work *work, const struct layer_info *info, int tree_fd,
		      struct err *err) MUST_CHECK;

enum compare_flags {
	COMPARE_EXACT = 1 << 0,        /* nothing else may be in the tree, and contents are compared */
	COMPARE_LOOSE_PARENTS = 1 << 1 /* what the tar does not say of directories came from the layers below */
};
/* ERR_CORRUPT naming the path, unless all that is in `fresh` is in `tree` too, and the same. */
int compare_trees(int fresh_fd, int tree_fd, unsigned flags, struct err *err) MUST_CHECK;

#endif
