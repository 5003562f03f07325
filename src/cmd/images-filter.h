/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CMD_IMAGES_FILTER_H
#define KILN_SRC_CMD_IMAGES_FILTER_H

#include "command.h"
#include "kiln/image/image.h"

/* `kiln images --filter KEY=VALUE`, by docker's rules: filters of one key are alternatives (labels are not), all keys must
   agree. */
struct image_filter {
	const char *key, *value;
	int64_t created; /* before, since: when that image was made */
};
struct image_filters {
	struct image_filter *items;
	size_t count;
};

int image_filters_parse(struct store *store, struct arena *arena, const struct strings *texts,
			struct image_filters *out, struct err *err) MUST_CHECK;
/* name is canonical, or NULL. */
bool image_filters_match(struct arena *arena, const struct image_filters *filters, const struct image *image,
			 const char *name);
int64_t image_created(const struct image *image);

#endif
