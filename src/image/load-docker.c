/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kiln/base/text.h"

#include "internal.h"

/* manifest.json, as docker save has written it since 1.10: [{ "Config": PATH, "RepoTags": [...], "Layers": [PATH...] }] */

struct archived {
	const char *config;
	const char **names;
	size_t name_count;
	const char **layers;
	size_t layer_count;
};

static const struct json_field archived_fields[] = {
	JSON_STRING(struct archived, "Config", config, JSON_REQUIRED),
	JSON_STRINGS(struct archived, "RepoTags", names, name_count, 0),
	JSON_STRINGS(struct archived, "Layers", layers, layer_count, 0),
	JSON_END,
};

/* "<hex>.json" and "blobs/sha256/<hex>" name the digest of what is in them. */
static int check_config_name(const char *path, const struct strbuf *text, struct err *err)
{
	const char *base = path_base(path);
	struct digest named, found;
	char hex[DIGEST_HEX + 1];

	if (strlen(base) < DIGEST_HEX || (base[DIGEST_HEX] && !text_equal(base + DIGEST_HEX, ".json")))
		return 0;
	memcpy(hex, base, DIGEST_HEX);
	hex[DIGEST_HEX] = '\0';
	if (digest_parse_hex(&named, hex, NULL) < 0)
		return 0;
	digest_bytes(&found, strbuf_str(text), text->len);
	if (!digest_equal(&named, &found))
		return err_set(err, ERR_CORRUPT, "%s is damaged: its bytes have another digest", path);
	return 0;
}

static int read_config(struct load *load, const char *path, struct strbuf *text, struct err *err)
{
	if (container_read(&load->container, path, text, err) < 0)
		return -1;
	return check_config_name(path, text, err);
}

static int add_layers(struct load *load, struct load_image *image, const struct archived *archived, struct err *err)
{
	if (archived->layer_count != image->config.diff_id_count)
		return err_set(err, ERR_INPUT, "manifest.json names %zu layers and its configuration %zu",
			       archived->layer_count, image->config.diff_id_count);
	for (size_t i = 0; i < archived->layer_count; i++) {
		if (load_add_layer(load, image, path_clean(load->arena, archived->layers[i]), NULL, -1, err) < 0)
			return -1;
	}
	return 0;
}

static int add_image(struct load *load, const struct archived *archived, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct load_image *image;

	if (read_config(load, path_clean(load->arena, archived->config), &text, err) < 0)
		return -1;
	image = load_add_image(load, &text, err);
	if (!image || add_layers(load, image, archived, err) < 0)
		return -1;
	for (size_t i = 0; i < archived->name_count; i++)
		load_add_name(load, image, archived->names[i]);
	return 0;
}

static bool is_selected(struct load *load, const struct archived *archived)
{
	if (!load->selector)
		return true;
	for (size_t i = 0; i < archived->name_count; i++) {
		if (load_is_selected(load, archived->names[i]))
			return true;
	}
	return false;
}

static int add_images(struct load *load, const struct json *list, struct err *err)
{
	scope_strbuf struct strbuf names = { 0 };
	char shown[512];

	for (size_t i = 0; i < list->count; i++) {
		struct archived archived = { 0 };
		if (json_read(load->arena, list->items[i], archived_fields, &archived, err) < 0)
			return err_wrap(err, "manifest.json: image %zu", i);
		for (size_t j = 0; j < archived.name_count; j++)
			strbuf_addf(&names, "%s%s", names.len ? ", " : "", archived.names[j]);
		if (is_selected(load, &archived) && add_image(load, &archived, err) < 0)
			return err_wrap(err, "image %s",
					archived.name_count ? err_printable(shown, sizeof(shown), archived.names[0])
							    : archived.config);
	}
	if (load->image_count > 0)
		return 0;
	if (!load->selector)
		return err_set(err, ERR_INPUT, "there is no image in it");
	return err_set(err, ERR_NOT_FOUND, "there is no image \"%s\" in it; it has: %s", load->selector,
		       names.len ? err_printable(shown, sizeof(shown), strbuf_str(&names)) : "(no names)");
}

int load_docker(struct load *load, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct json *list;

	if (container_read(&load->container, "manifest.json", &text, err) < 0)
		return err_wrap(err, "manifest.json");
	list = json_parse(load->arena, strbuf_str(&text), text.len, err);
	if (!list)
		return err_wrap(err, "manifest.json");
	if (list->type != JSON_ARRAY)
		return err_set(err, ERR_INPUT, "manifest.json is not a list");
	return add_images(load, list, err);
}
