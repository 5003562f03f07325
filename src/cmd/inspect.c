/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "kiln/codec/json.h"
#include "kiln/image/image.h"
#include "kiln/oci/reference.h"
#include "template.h"

#include <stdio.h>
#include <string.h>

/* What `docker image inspect` prints, in its member names. */

struct inspect_options {
	bool raw;
	const char *type, *format;
};

#define AT(member) offsetof(struct inspect_options, member)
static const struct option_spec options[] = {
	{ "raw", 0, OPTION_FLAG, AT(raw), NULL, "print the image's configuration as it is" },
	{ "format", 'f', OPTION_STRING, AT(format), "json|TEMPLATE", "how to print" },
	{ "type", 0, OPTION_STRING, AT(type), "image", NULL },
	{ NULL },
};

static const struct option_spec foreign_options[] = {
	{ "size", 's', OPTION_IGNORED_FLAG, 0, NULL, NULL },
	{ NULL },
};

static struct json *names_of(struct store *store, struct arena *arena, const struct digest *id)
{
	struct json *list = json_array(arena);
	struct store_name *names;
	size_t count;
	if (store_names(store, arena, &names, &count, NULL) < 0)
		return list;
	for (size_t i = 0; i < count; i++) {
		struct reference reference;
		if (names[i].name && digest_equal(&names[i].config, id) &&
		    reference_parse(arena, names[i].name, &reference, NULL) == 0)
			json_push(arena, list, json_str(arena, reference_familiar(arena, &reference)));
	}
	return list;
}

/* docker shows all of these, and scripts take them for granted. */
static struct json *whole_config(struct arena *arena, const struct json *config)
{
	static const char *const texts[] = { "User", "WorkingDir" };
	static const char *const lists[] = { "Env", "Cmd", "Entrypoint", "OnBuild" };
	static const char *const maps[] = { "ExposedPorts", "Volumes", "Labels" };
	struct json *whole = config ? json_clone(arena, config) : json_object(arena);

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!json_get(whole, texts[i]))
			json_set(arena, whole, texts[i], json_str(arena, ""));
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (!json_get(whole, lists[i]))
			json_set(arena, whole, lists[i], json_str(arena, NULL));
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		if (!json_get(whole, maps[i]))
			json_set(arena, whole, maps[i], json_object(arena));
	return whole;
}

static struct json *describe(struct store *store, struct arena *arena, const struct image *image,
			     const struct json *config)
{
	struct json *out = json_object(arena), *root = json_object(arena), *layers = json_array(arena);
	json_set(arena, out, "Id", json_str(arena, digest_str(arena, &image->id)));
	json_set(arena, out, "RepoTags", names_of(store, arena, &image->id));
	json_set(arena, out, "Created", json_str(arena, image->config.created));
	json_set(arena, out, "Author", json_str(arena, image->config.author ? image->config.author : ""));
	json_set(arena, out, "Architecture", json_str(arena, image->config.platform.architecture));
	if (image->config.platform.variant)
		json_set(arena, out, "Variant", json_str(arena, image->config.platform.variant));
	json_set(arena, out, "Os", json_str(arena, image->config.platform.os));
	json_set(arena, out, "Size", json_int(arena, image->record.size));
	json_set(arena, out, "Config", whole_config(arena, json_get(config, "config")));
	for (size_t i = 0; i < image->diff_id_count; i++)
		json_push(arena, layers, json_str(arena, digest_str(arena, &image->diff_ids[i])));
	json_set(arena, root, "Type", json_str(arena, "layers"));
	json_set(arena, root, "Layers", layers);
	json_set(arena, out, "RootFS", root);
	if (!digest_is_zero(&image->record.manifest))
		json_set(arena, out, "Manifest", json_str(arena, digest_str(arena, &image->record.manifest)));
	return out;
}

static int inspect_images(struct invocation *invocation, struct err *err)
{
	const struct inspect_options *o = invocation->options;
	struct arena *arena = invocation->arena;
	if (o->type && strcmp(o->type, "image") != 0)
		return err_set(err, ERR_USAGE, "invalid type \"%s\": kiln keeps images only", o->type);
	scope_store struct store *store = NULL;
	if (invocation_store(invocation, STORE_CREATE | STORE_NO_SWEEP, &store, err) < 0)
		return -1;
	struct json *list = json_array(arena);
	for (size_t i = 0; i < invocation->arg_count; i++) {
		struct image image;
		if (image_find(store, arena, invocation->args[i], &image, err) < 0)
			return -1;
		if (o->raw) {
			printf("%.*s\n", (int)image.config_len, image.config_text);
			continue;
		}
		struct json *config = json_parse(arena, image.config_text, image.config_len, err);
		if (!config)
			return -1;
		json_push(arena, list, describe(store, arena, &image, config));
	}
	if (o->raw)
		return 0;
	/* "json" is all of them in one, as with docker. */
	if (format_of(o->format) == FORMAT_JSON)
		return format_print(o->format, list, err);
	for (size_t i = 0; i < list->count && o->format; i++)
		if (format_print(o->format, list->items[i], err) < 0)
			return -1;
	if (o->format)
		return 0;
	scope_strbuf struct strbuf text = { 0 };
	json_write_pretty(&text, list);
	printf("%s\n", strbuf_str(&text));
	return 0;
}

const struct command command_inspect = {
	.name = "inspect",
	.synopsis = "[OPTIONS] IMAGE...",
	.summary = "Print an image's configuration as JSON",
	.options = options,
	.foreign = foreign_options,
	.options_size = sizeof(struct inspect_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.run = inspect_images,
};
