/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "kiln/base/log.h"
#include "kiln/base/text.h"

#include "internal.h"

struct image_json {
	const char *config, *manifest, *manifest_type;
	const char **layers;
	size_t layer_count;
	int64_t created, size;
};

static const struct json_field image_fields[] = {
	JSON_STRING(struct image_json, "config", config, JSON_REQUIRED),
	JSON_STRING(struct image_json, "manifest", manifest, JSON_OMIT_EMPTY),
	JSON_STRING(struct image_json, "manifestType", manifest_type, JSON_OMIT_EMPTY),
	JSON_STRINGS(struct image_json, "layers", layers, layer_count, JSON_REQUIRED),
	JSON_INTEGER(struct image_json, "created", created, 0),
	JSON_INTEGER(struct image_json, "size", size, 0),
	JSON_END,
};

/* ---- reading ---- */

static int from_json(struct arena *arena, const struct image_json *json, const struct digest *config,
		     struct image_record *record, struct err *err)
{
	*record = (struct image_record){ .manifest_type = json->manifest_type,
					 .diff_ids = arena_array(arena, struct digest, json->layer_count + 1),
					 .diff_id_count = json->layer_count,
					 .created = json->created,
					 .size = json->size };
	if (digest_parse(&record->config, json->config, err) < 0)
		return -1;
	if (!digest_equal(&record->config, config))
		return err_set(err, ERR_CORRUPT, "it is that of another image");
	if (json->manifest && digest_parse(&record->manifest, json->manifest, err) < 0)
		return -1;
	for (size_t i = 0; i < json->layer_count; i++) {
		if (digest_parse(&record->diff_ids[i], json->layers[i], err) < 0)
			return -1;
	}
	return 0;
}

int image_record_read(struct store *store, struct arena *arena, const struct digest *config,
		      struct image_record *record, struct err *err)
{
	struct image_json json = { 0 };
	struct err cause = { 0 };
	struct json *value;
	char hex[DIGEST_HEX + 1];
	int found = record_read(store, DIR_IMAGES, digest_hex(config, hex), arena, &value, err);

	if (found <= 0)
		return found;
	if (json_read(arena, value, image_fields, &json, &cause) < 0 ||
	    from_json(arena, &json, config, record, &cause) < 0)
		return err_set(err, ERR_CORRUPT, "store %s: images/%s is damaged: %s", store->path, hex, cause.msg);
	return 1;
}

static int missing_image(struct store *store, const struct digest *config, struct err *err)
{
	char text[DIGEST_TEXT + 1];

	return err_set(err, ERR_NOT_FOUND, "image %s is not in the store %s", digest_text(config, text), store->path);
}

int store_image_get(struct store *store, struct arena *arena, const struct digest *config, struct image_record *record,
		    struct err *err)
{
	int found = image_record_read(store, arena, config, record, err);

	if (found == 0)
		return missing_image(store, config, err);
	return found < 0 ? -1 : 0;
}

/* ---- writing ---- */

static struct json *to_json(struct arena *arena, const struct image_record *record)
{
	struct image_json json = { .config = digest_str(arena, &record->config),
				   .layers = arena_array(arena, const char *, record->diff_id_count + 1),
				   .layer_count = record->diff_id_count,
				   .created = record->created,
				   .size = record->size };

	if (!digest_is_zero(&record->manifest)) {
		json.manifest = digest_str(arena, &record->manifest);
		json.manifest_type = record->manifest_type;
	}
	for (size_t i = 0; i < record->diff_id_count; i++)
		json.layers[i] = digest_str(arena, &record->diff_ids[i]);
	return json_build(arena, image_fields, &json);
}

static bool same_manifest(const struct image_record *a, const struct image_record *b)
{
	return digest_equal(&a->manifest, &b->manifest) && text_equal(a->manifest_type, b->manifest_type);
}

int store_image_put(struct store *store, const struct image_record *record, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct image_record old, merged = *record;
	struct err ignored;
	char hex[DIGEST_HEX + 1];
	scope_fd int guard = guard_take(store, err);
	int dir = guard < 0 ? -1 : store_dir_fd(store, DIR_IMAGES, err);

	if (dir < 0)
		return -1;
	bool exists = image_record_read(store, &arena, &record->config, &old, &ignored) > 0;
	if (exists && (digest_is_zero(&record->manifest) || same_manifest(&old, record)))
		return 0;
	if (!exists && sync_mark(store, DIR_IMAGES, &record->config, err) < 0)
		return -1;
	if (exists)
		merged.created = old.created;
	/* A name may reach the old record already, so the new one must be on disk before it takes its place. */
	return record_write(dir, digest_hex(&record->config, hex), to_json(&arena, &merged), exists, err);
}

/* ---- removing ---- */

struct removal {
	struct store *store;
	const struct digest *config;
	bool removed_names;
};

static int remove_name(void *arg, const char *file, const struct store_name *name, struct err *err)
{
	struct removal *removal = arg;

	if (!digest_equal(&name->config, removal->config))
		return 0;
	removal->removed_names = true;
	if (unlinkat(removal->store->dirs[DIR_NAMES], file, 0) < 0 && errno != ENOENT)
		return err_errno(err, "store %s: remove names/%s", removal->store->path, file);
	return 0;
}

int store_image_remove(struct store *store, const struct digest *config, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct removal removal = { store, config, false };
	char hex[DIGEST_HEX + 1];
	scope_fd int guard = guard_take(store, err);
	int dir = guard < 0 ? -1 : store_dir_fd(store, DIR_IMAGES, err);

	if (dir < 0 || names_each(store, &arena, remove_name, &removal, err) < 0)
		return -1;
	/* Never a name that points nowhere, not even on a disk that lost its power just now. */
	if (removal.removed_names && sync_dir(store, DIR_NAMES, err) < 0)
		return -1;
	if (unlinkat(dir, digest_hex(config, hex), 0) < 0)
		return errno == ENOENT ? missing_image(store, config, err)
				       : err_errno(err, "store %s: remove images/%s", store->path, hex);
	return sync_dir(store, DIR_IMAGES, err);
}

/* ---- finding ---- */

struct prefix_search {
	const char *hex;
	struct digest *config;
	size_t found;
};

static int match_prefix(void *arg, const char *name, struct err *err)
{
	struct prefix_search *search = arg;

	(void)err;
	if (!is_hex_name(name) || !text_starts(name, search->hex))
		return 0;
	search->found++;
	return digest_parse_hex(search->config, name, err);
}

int store_image_by_prefix(struct store *store, const char *hex, struct digest *config, struct err *err)
{
	enum { PREFIX_MIN = 4 };
	struct digest found;
	struct prefix_search search = { hex, &found, 0 };
	size_t len = strlen(hex);
	char shown[DIGEST_HEX + 16];

	if (len >= PREFIX_MIN && len <= DIGEST_HEX && strspn(hex, "0123456789abcdef") == len &&
	    store_each(store, DIR_IMAGES, match_prefix, &search, err) < 0)
		return -1;
	err_printable(shown, sizeof(shown), hex);
	if (search.found == 0)
		return err_set(err, ERR_NOT_FOUND, "no image in the store %s has an id that begins with %s",
			       store->path, shown);
	if (search.found > 1)
		return err_set(err, ERR_USAGE, "%zu images have an id that begins with %s: give more of it",
			       search.found, shown);
	*config = found;
	return 0;
}
