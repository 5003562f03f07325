/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "kiln/build/build.h"
#include "kiln/image/image.h"

#include <stdio.h>
#include <string.h>

struct import_options {
	struct strings changes;
	const char *message, *platform;
};

#define AT(member) offsetof(struct import_options, member)
static const struct option_spec options[] = {
	{ "change", 'c', OPTION_LIST, AT(changes), "INSTRUCTION",
	  "apply a Dockerfile instruction (CMD, ENV, USER, ...)" },
	{ "message", 'm', OPTION_STRING, AT(message), "TEXT", "comment of the history entry" },
	{ "platform", 0, OPTION_STRING, AT(platform), "OS/ARCH", "of the image (default: this machine's)" },
	{ "quiet", 'q', OPTION_IGNORED_FLAG, 0, NULL, NULL },
	{ NULL },
};

static int import_image(struct invocation *invocation, struct err *err)
{
	const struct import_options *o = invocation->options;
	struct arena *arena = invocation->arena;
	const char *name = canonical_name(arena, invocation->args[1], err);
	if (!name)
		return -1;
	int64_t epoch = BUILD_NO_EPOCH;
	const char *text = getenv("SOURCE_DATE_EPOCH");
	if (text && *text && (parse_int64(&epoch, text, NULL) < 0 || epoch < 0))
		return err_set(err, ERR_USAGE, "invalid SOURCE_DATE_EPOCH: %s", text);
	struct platform platform = platform_host();
	if (o->platform && platform_parse(arena, o->platform, &platform, err) < 0)
		return err->kind = ERR_USAGE, -1;
	struct image_config *config = image_config_scratch(arena, &platform);
	config->working_dir = NULL;
	if (build_apply_changes(arena, config, o->changes.items, o->changes.count, err) < 0)
		return -1;
	scope_store struct store *store = NULL;
	struct digest id;
	if (invocation_store(invocation, STORE_CREATE, &store, err) < 0 ||
	    image_import(store, arena, invocation->args[0], config, epoch, o->message, name, &id, err) < 0)
		return -1;
	char hex[DIGEST_TEXT + 1];
	printf("%s\n", digest_text(&id, hex));
	return 0;
}

const struct command command_import = {
	.name = "import",
	.synopsis = "[OPTIONS] TAR|DIR|- NAME[:TAG]",
	.summary = "Make an image of a root file system",
	.options = options,
	.options_size = sizeof(struct import_options),
	.min_args = 2,
	.max_args = 2,
	.is_inside = true,
	.run = import_image,
};
