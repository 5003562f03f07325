/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_RECIPE_H
#define KILN_LAYER_RECIPE_H

#include "kiln/base/err.h"
#include "kiln/codec/stream.h"

/*
 * A *recipe* is one layer's tar without the file contents: the exact header blocks, and for each file the path in the
 * layer tree and its size. recipe + tree = the tar, byte for byte, so a layer that kiln made is stored once (as a tree)
 * and written again when an image leaves. Format: zstd of records (src/layer/recipe.c documents them).
 */

/* Writes the tar; recipe and out stay the caller's. A file that is missing or whose size differs is ERR_CORRUPT naming
   it; the digest is for the caller to verify (reader/writer_hash). */
int layer_replay(struct reader *recipe, int tree_fd, struct writer *out, struct err *err) MUST_CHECK;

#endif
