/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "kiln/base/text.h"

#include "internal.h"

/* manifest.json, repositories, <id>.json, <diff id>.tar: what every `docker load` since 1.10 takes. */

static struct json *layer_names(struct arena *arena, const struct image *image)
{
	struct json *names = json_array(arena);
	char hex[DIGEST_HEX + 1];

	for (size_t i = 0; i < image->diff_id_count; i++)
		json_push(arena, names,
			  json_str(arena, arena_printf(arena, "%s.tar", digest_hex(&image->diff_ids[i], hex))));
	return names;
}

/* Docker shortens whole names itself. */
static struct json *tags(struct arena *arena, const struct saved_image *saved)
{
	return saved->name_count ? json_strs(arena, saved->names, saved->name_count) : json_str(arena, NULL);
}

static char *config_name(struct arena *arena, const struct image *image)
{
	char hex[DIGEST_HEX + 1];

	return arena_printf(arena, "%s.json", digest_hex(&image->id, hex));
}

static int write_manifest(struct archive *archive, struct arena *arena, const struct saved *saved, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct json *list = json_array(arena);

	for (size_t i = 0; i < saved->count; i++) {
		struct json *entry = json_object(arena);
		json_set(arena, entry, "Config", json_str(arena, config_name(arena, &saved->images[i].image)));
		json_set(arena, entry, "RepoTags", tags(arena, &saved->images[i]));
		json_set(arena, entry, "Layers", layer_names(arena, &saved->images[i].image));
		json_push(arena, list, entry);
	}
	json_write(&text, list);
	return archive_text(archive, "manifest.json", &text, err);
}

static void add_repository(struct arena *arena, struct json *repositories, const char *name, const char *id)
{
	struct reference reference;
	struct json *repository;
	const char *key;

	if (reference_parse(arena, name, &reference, NULL) < 0 || !reference.tag)
		return;
	key = reference_familiar_name(arena, &reference);
	repository = json_get(repositories, key);
	if (!repository) {
		repository = json_object(arena);
		json_set(arena, repositories, key, repository);
	}
	json_set(arena, repository, reference.tag, json_str(arena, id));
}

static int write_repositories(struct archive *archive, struct arena *arena, const struct saved *saved, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct json *repositories = json_object(arena);
	char hex[DIGEST_HEX + 1];

	for (size_t i = 0; i < saved->count; i++) {
		for (size_t j = 0; j < saved->images[i].name_count; j++)
			add_repository(arena, repositories, saved->images[i].names[j],
				       digest_hex(&saved->images[i].image.id, hex));
	}
	if (repositories->count == 0)
		return 0;
	json_write(&text, repositories);
	return archive_text(archive, "repositories", &text, err);
}

static int write_layer(struct store *store, struct arena *arena, struct archive *archive, const struct digest *diff_id,
		       struct err *err)
{
	struct layer_info info;
	char hex[DIGEST_HEX + 1];

	if (store_layer_info(store, arena, diff_id, &info, err) < 0)
		return -1;
	if (archive_begin_file(archive, arena_printf(arena, "%s.tar", digest_hex(diff_id, hex)), info.size, err) < 0 ||
	    store_layer_tar(store, diff_id, archive->out, err) < 0)
		return -1;
	return archive_end_file(archive, info.size, err);
}

static int compare_digests(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct digest));
}

static int write_layers(struct store *store, struct arena *arena, struct archive *archive, const struct saved *saved,
			struct err *err)
{
	struct digest *layers = NULL;
	size_t count = 0;

	for (size_t i = 0; i < saved->count; i++) {
		for (size_t j = 0; j < saved->images[i].image.diff_id_count; j++)
			*ARENA_PUSH(arena, layers, count) = saved->images[i].image.diff_ids[j];
	}
	if (count > 0)
		qsort(layers, count, sizeof(*layers), compare_digests);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && digest_equal(&layers[i], &layers[i - 1]))
			continue;
		if (write_layer(store, arena, archive, &layers[i], err) < 0)
			return -1;
	}
	return 0;
}

int save_docker(struct store *store, struct arena *arena, const struct save_spec *spec, const struct saved *saved,
		struct err *err)
{
	scope_writer struct writer *out = writer_fd(spec->out_fd, false, "the archive");
	struct archive archive = { out, spec->epoch };

	if (write_manifest(&archive, arena, saved, err) < 0 || write_repositories(&archive, arena, saved, err) < 0)
		return -1;
	for (size_t i = 0; i < saved->count; i++) {
		const struct image *image = &saved->images[i].image;
		struct strbuf text = { .ptr = (char *)image->config_text, .len = image->config_len };
		if (archive_text(&archive, config_name(arena, image), &text, err) < 0)
			return -1;
	}
	if (write_layers(store, arena, &archive, saved, err) < 0)
		return -1;
	return archive_end(&archive, err);
}
