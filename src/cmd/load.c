/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "kiln/image/image.h"
#include "kiln/oci/reference.h"

#include <stdio.h>
#include <unistd.h>

struct load_options {
	const char *input, *platform;
	bool quiet;
};

#define AT(member) offsetof(struct load_options, member)
static const struct option_spec options[] = {
	{ "input", 'i', OPTION_STRING, AT(input), "PATH",
	  "archive or OCI layout directory; standard input without it" },
	{ "platform", 0, OPTION_STRING, AT(platform), "OS/ARCH",
	  "of several, load this one (default: this machine's)" },
	{ "quiet", 'q', OPTION_FLAG, AT(quiet), NULL, "print nothing" },
	{ NULL },
};

static int load_images(struct invocation *invocation, struct err *err)
{
	const struct load_options *o = invocation->options;
	struct arena *arena = invocation->arena;
	if (!o->input && isatty(STDIN_FILENO))
		return err_set(err, ERR_USAGE, "requested load from standard input, but it is a terminal: use -i FILE");
	scope_store struct store *store = NULL;
	struct image_loaded *loaded;
	size_t count;
	struct platform platform = platform_host();
	if (o->platform && platform_parse(arena, o->platform, &platform, err) < 0)
		return err->kind = ERR_USAGE, -1;
	if (invocation_store(invocation, STORE_CREATE, &store, err) < 0 ||
	    image_load(store, arena, o->input ? o->input : "-", NULL, true, &platform, &loaded, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count && !o->quiet; i++) {
		for (size_t j = 0; j < loaded[i].name_count; j++) {
			struct reference reference;
			if (reference_parse(arena, loaded[i].names[j], &reference, NULL) == 0)
				printf("Loaded image: %s\n", reference_familiar(arena, &reference));
		}
		if (loaded[i].name_count == 0)
			printf("Loaded image ID: %s\n", digest_str(arena, &loaded[i].id));
	}
	return 0;
}

const struct command command_load = {
	.name = "load",
	.synopsis = "[OPTIONS]",
	.summary = "Read images from an archive or an OCI layout",
	.options = options,
	.options_size = sizeof(struct load_options),
	.is_inside = true,
	.run = load_images,
};
