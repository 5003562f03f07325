/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_WALK_H
#define KILN_LAYER_WALK_H

#include "kiln/base/err.h"
#include "kiln/layer/tree.h"

#include "node.h"

#include <stdint.h>

/* Visits the entries of a stack's merged tree in the order of the canonical layer. The root is not visited. Sockets are
   left out. */
struct visitor {
	/* node is open; name is its last component. A directory comes before what is in it. */
	int (*visit)(void *arg, const struct node *node, const char *name, struct err *err);
	/* After what is in a directory. May be NULL. */
	int (*leave)(void *arg, const struct node *node, struct err *err);
	void *arg;
};
int stack_walk(const struct stack_dir *root, int64_t clamp, const struct visitor *visitor, struct err *err) MUST_CHECK;

#endif
