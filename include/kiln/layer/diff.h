/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_DIFF_H
#define KILN_LAYER_DIFF_H

#include "kiln/base/err.h"
#include "kiln/codec/digest.h"
#include "kiln/codec/stream.h"

#include <stddef.h>
#include <stdint.h>

/* Changes -> recipe and digest. */
struct layer_diff_options {
	int64_t clamp; /* mtimes later than this become this, on both sides of the comparison; INT64_MAX: no clamp */
};

struct layer_stats {
	struct digest diff_id;
	int64_t size;      /* bytes of the tar */
	int64_t content;   /* bytes of file contents in it: the "size" that `kiln history` shows */
	int64_t entries;   /* entries and whiteouts */
	int64_t implied;   /* layer_apply: directories that the tar did not hold and that had to be made */
	char largest[256]; /* unused by digests: path of the largest file, for people; escaped for printing */
};

/*
 * Compares the changes in upper (a layer tree, unmounted and still) with the stack of layer trees below it (lowers[0] is
 * the topmost; fds of directories) and writes the canonical layer's recipe to recipe_out, hashing what the tar would be
 * while reading each new file once. Semantic: what lies in upper but equals the tree below is not in the layer
 * (registry.md 3.7 rule 3); contents are compared only when all metadata is equal. Cost depends on upper only, never on
 * the lowers' size. Whiteouts are explicit, and only for what is visible below. Hard links: groups are by inode within
 * upper, of which all names are in the layer or none (layer_join_names comes before). A name starting with ".wh.", a 0:0 device that is no whiteout, an unmapped id (65534 from the kernel's overflow where
 * the map has no such id) are ERR_INPUT naming the path. Memory: one directory level at a time plus hard-link table.
 * Fds: one for each level in upper and for each layer that has the same directory; EMFILE says so. recipe_out is written
 * to, neither finished nor closed.
 */
int layer_diff(int upper_fd, const int *lowers, size_t lower_count, const struct layer_diff_options *options,
	       struct writer *recipe_out, struct layer_stats *stats, struct err *err) MUST_CHECK;

#endif
