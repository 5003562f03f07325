/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "kiln/image/image.h"

static int tag_image(struct invocation *invocation, struct err *err)
{
	scope_store struct store *store = NULL;
	struct image image;
	const char *name = canonical_name(invocation->arena, invocation->args[1], err);
	if (!name || invocation_store(invocation, STORE_CREATE | STORE_NO_SWEEP, &store, err) < 0 ||
	    image_find(store, invocation->arena, invocation->args[0], &image, err) < 0)
		return -1;
	return store_name_set(store, name, &image.id, err);
}

const struct command command_tag = {
	.name = "tag",
	.synopsis = "IMAGE NAME[:TAG]",
	.summary = "Give an image another name",
	.min_args = 2,
	.max_args = 2,
	.run = tag_image,
};
