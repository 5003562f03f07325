/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "kiln/image/image.h"
#include "kiln/oci/reference.h"

#include <stdio.h>
#include <string.h>

struct rmi_options {
	bool force;
};

static const struct option_spec options[] = {
	{ "force", 'f', OPTION_FLAG, offsetof(struct rmi_options, force), NULL,
	  "no error for what is not there; all names of an id" },
	{ "no-prune", 0, OPTION_IGNORED_FLAG, 0, NULL, NULL },
	{ NULL },
};

static size_t names_left(struct store *store, struct arena *arena, const struct digest *id)
{
	struct store_name *names;
	size_t count, left = 0;
	if (store_names(store, arena, &names, &count, NULL) < 0)
		return 1;
	for (size_t i = 0; i < count; i++)
		left += names[i].name && digest_equal(&names[i].config, id);
	return left;
}

static int untag(struct store *store, struct arena *arena, const char *name, struct err *err)
{
	struct reference reference;
	if (store_name_remove(store, name, err) < 0 || reference_parse(arena, name, &reference, err) < 0)
		return -1;
	printf("Untagged: %s\n", reference_familiar(arena, &reference));
	return 0;
}

/* By name: the name goes, and the image with its last one. By id: only an image with at most one name, or all with --force. */
static int remove_one(struct store *store, struct arena *arena, const char *text, bool force, struct err *err)
{
	struct image image;
	if (image_find(store, arena, text, &image, err) < 0)
		return -1;
	struct digest named;
	const char *name = canonical_name(arena, text, NULL);
	bool by_name = name && store_name_get(store, name, &named, NULL) == 0 && digest_equal(&named, &image.id);
	if (by_name) {
		if (untag(store, arena, name, err) < 0)
			return -1;
	} else {
		struct store_name *names;
		size_t count;
		if (!force && names_left(store, arena, &image.id) > 1)
			return err_set(err, ERR_USAGE,
				       "image %s has several names; remove them by name, or all with --force", text);
		if (store_names(store, arena, &names, &count, err) < 0)
			return -1;
		for (size_t i = 0; i < count; i++)
			if (names[i].name && digest_equal(&names[i].config, &image.id) &&
			    untag(store, arena, names[i].name, err) < 0)
				return -1;
	}
	if (names_left(store, arena, &image.id) > 0)
		return 0;
	if (store_image_remove(store, &image.id, err) < 0)
		return -1;
	printf("Deleted: %s\n", digest_str(arena, &image.id));
	return 0;
}

static int remove_images(struct invocation *invocation, struct err *err)
{
	const struct rmi_options *o = invocation->options;
	scope_store struct store *store = NULL;
	bool has_failed = false;
	if (invocation_store(invocation, STORE_CREATE, &store, err) < 0)
		return -1;
	for (size_t i = 0; i < invocation->arg_count; i++) {
		struct err failed;
		if (remove_one(store, invocation->arena, invocation->args[i], o->force, &failed) == 0 ||
		    (o->force && failed.kind == ERR_NOT_FOUND))
			continue;
		/* The others go all the same, as with docker; the last reason is told by the exit. */
		if (has_failed)
			fprintf(stderr, "kiln: %s\n", err->msg);
		*err = failed;
		has_failed = true;
	}
	/* What nothing reaches any more is freed now if nobody else is at work, else by the next prune. */
	int64_t freed;
	struct err busy;
	if (store_prune(store, 0, 0, &freed, &busy) < 0)
		log_debug("prune: %s", busy.msg);
	return has_failed ? -1 : 0;
}

const struct command command_rmi = {
	.name = "rmi",
	.synopsis = "[OPTIONS] IMAGE...",
	.summary = "Remove images",
	.options = options,
	.options_size = sizeof(struct rmi_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.is_inside = true,
	.run = remove_images,
};
