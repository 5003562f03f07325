/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_RECIPE_WRITER_H
#define KILN_LAYER_RECIPE_WRITER_H

#include "kiln/base/err.h"
#include "kiln/codec/stream.h"

#include <stddef.h>
#include <stdint.h>

/* Writes a recipe, in the order of the tar. The writer given is borrowed. */
struct recipe_writer {
	struct writer *zstd;
};
#define RECIPE_WRITER_EMPTY \
	{                   \
		NULL        \
	}

int recipe_begin(struct recipe_writer *recipe, struct writer *out, struct err *err) MUST_CHECK;
int recipe_header(struct recipe_writer *recipe, const void *blocks, size_t len, struct err *err) MUST_CHECK;
/* The contents of path in the tree, with their padding, stand here. */
int recipe_file(struct recipe_writer *recipe, const char *path, int64_t size, struct err *err) MUST_CHECK;
/* The trailer stands here; total is the tar's length with it. */
int recipe_end(struct recipe_writer *recipe, int64_t total, struct err *err) MUST_CHECK;
void recipe_release(struct recipe_writer *recipe);
#define scope_recipe_writer __attribute__((cleanup(recipe_release)))

#endif
