/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "kiln/base/log.h"

#include "internal.h"

/* Nothing here is ever synced: a record that is lost or half is a miss, and a note is asked for with "if there is one". */

struct cache_json {
	const char *layer, *what;
	int64_t created;
};

static const struct json_field cache_fields[] = {
	JSON_STRING(struct cache_json, "layer", layer, JSON_REQUIRED),
	JSON_INTEGER(struct cache_json, "created", created, 0),
	JSON_STRING(struct cache_json, "what", what, JSON_OMIT_EMPTY),
	JSON_END,
};

int cache_record_read(struct store *store, struct arena *arena, const char *file, struct cache_record *record,
		      struct err *err)
{
	struct cache_json json = { 0 };
	struct err cause = { 0 };
	struct json *value;
	int found = record_read(store, DIR_CACHE, file, arena, &value, err);

	if (found <= 0)
		return found;
	*record = (struct cache_record){ 0 };
	if (json_read(arena, value, cache_fields, &json, &cause) < 0 ||
	    digest_parse(&record->diff_id, json.layer, &cause) < 0)
		return err_set(err, ERR_CORRUPT, "store %s: cache/%s is damaged: %s", store->path, file, cause.msg);
	record->created = json.created;
	record->what = json.what;
	return 1;
}

int store_cache_get(struct store *store, struct arena *arena, const struct digest *key, struct cache_record *record,
		    struct err *err)
{
	struct cache_record found_record;
	struct err cause;
	char hex[DIGEST_HEX + 1];
	int found = cache_record_read(store, arena, digest_hex(key, hex), &found_record, &cause);

	if (found < 0 && cause.kind != ERR_CORRUPT)
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	if (found < 0) {
		log_debug("%s", cause.msg);
		if (!(store->flags & STORE_READ_ONLY) && file_remove_tree(store->dirs[DIR_CACHE], hex, &cause) < 0)
			log_debug("store: cache/%s stays: %s", hex, cause.msg);
		return 0;
	}
	if (found == 0 || !store_layer_has(store, &found_record.diff_id))
		return 0;
	*record = found_record;
	return 1;
}

int store_cache_put(struct store *store, const struct digest *key, const struct cache_record *record, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct cache_json json = { digest_str(&arena, &record->diff_id), record->what, record->created };
	int dir = store_refuse_read_only(store, err) < 0 ? -1 : store_dir_fd(store, DIR_CACHE, err);
	char hex[DIGEST_HEX + 1];

	if (dir < 0)
		return -1;
	return record_write(dir, digest_hex(key, hex), json_build(&arena, cache_fields, &json), false, err);
}

/* ---- notes ---- */

static void note_file(const char *kind, const struct digest *id, char *out, size_t size)
{
	char hex[DIGEST_HEX + 1];

	snprintf(out, size, "%s-%s", kind, digest_hex(id, hex));
}

int store_note_get(struct store *store, const char *kind, const struct digest *id, size_t limit, struct strbuf *buf,
		   struct err *err)
{
	char file[128];
	struct err cause;
	int found;

	note_file(kind, id, file, sizeof(file));
	found = record_read_bytes(store, DIR_NOTES, file, limit, buf, &cause);
	if (found < 0 && cause.kind != ERR_CORRUPT)
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	return found > 0 ? 1 : 0;
}

int store_note_put(struct store *store, const char *kind, const struct digest *id, const void *bytes, size_t len,
		   struct err *err)
{
	scope_fd int dir = store_notes_fd(store, err);
	char file[128];

	if (dir < 0)
		return -1;
	note_file(kind, id, file, sizeof(file));
	return file_replace(dir, file, 0600, bytes, len, false, err);
}

int store_notes_fd(struct store *store, struct err *err)
{
	int dir = store_refuse_read_only(store, err) < 0 ? -1 : store_dir_fd(store, DIR_NOTES, err);
	int fd = dir < 0 ? -1 : openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0 && fd < 0)
		return err_errno(err, "store %s: open notes", store->path);
	return fd;
}
