/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_EMIT_H
#define KILN_LAYER_EMIT_H

#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"
#include "kiln/codec/stream.h"
#include "kiln/layer/diff.h"

#include "node.h"
#include "recipe-writer.h"

/* Writes a layer's tar entry by entry, its recipe beside it, and counts. Zero-initialise but for the borrowed parts. */
struct emit {
	struct writer *tar;           /* the bytes of the tar, maybe only to be hashed */
	struct recipe_writer *recipe; /* or NULL */
	struct layer_stats stats;     /* diff_id is the caller's */
	int64_t largest;
	struct strbuf header;
};

/* An entry with its contents; node is open if it is a file. */
int emit_node(struct emit *emit, const struct node *node, struct err *err) MUST_CHECK;
/* An entry that is one more name of the entry called target. */
int emit_link(struct emit *emit, const struct node *node, const char *target, struct err *err) MUST_CHECK;
int emit_whiteout(struct emit *emit, const char *path, struct err *err) MUST_CHECK;
/* The trailer. */
int emit_end(struct emit *emit, struct err *err) MUST_CHECK;
void emit_release(struct emit *emit);
#define scope_emit __attribute__((cleanup(emit_release)))

#endif
