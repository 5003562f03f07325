/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kiln/base/log.h"
#include "kiln/base/text.h"

#include "internal.h"

struct name_json {
	const char *name, *image;
	int64_t set_at;
};

static const struct json_field name_fields[] = {
	JSON_STRING(struct name_json, "name", name, JSON_REQUIRED),
	JSON_STRING(struct name_json, "image", image, JSON_REQUIRED),
	JSON_INTEGER(struct name_json, "set", set_at, 0),
	JSON_END,
};

/* Any name is one file name: what could mean something to a file system, and capitals, which some fold, become %XX. What
   gets too long that way is replaced by its digest; "%s" is no escape, so the two cannot meet. */
void name_escape(struct strbuf *buf, const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789_-.";
	size_t start = buf->len;
	struct digest digest;
	char hex[DIGEST_HEX + 1];

	for (const char *c = name; *c; c++) {
		bool is_plain = strchr(plain, *c) && !(c == name && *c == '.');
		strbuf_addf(buf, is_plain ? "%c" : "%%%02x", (unsigned char)*c);
	}
	if (buf->len - start <= NAME_MAX)
		return;
	strbuf_truncate(buf, start);
	digest_bytes(&digest, name, strlen(name));
	strbuf_addf(buf, "%%sha256-%s", digest_hex(&digest, hex));
}

static int check_record(const struct name_json *json, const char *file, struct store_name *name, struct err *err)
{
	scope_strbuf struct strbuf escaped = { 0 };

	if (digest_parse(&name->config, json->image, err) < 0)
		return -1;
	name_escape(&escaped, json->name);
	if (!text_equal(strbuf_str(&escaped), file))
		return err_set(err, ERR_CORRUPT, "it is that of another name");
	name->name = json->name;
	name->set_at = json->set_at;
	return 0;
}

int name_record_read(struct store *store, struct arena *arena, const char *file, struct store_name *name,
		     struct err *err)
{
	struct name_json json = { 0 };
	struct err cause = { 0 };
	struct json *value;
	int found = record_read(store, DIR_NAMES, file, arena, &value, err);

	if (found <= 0)
		return found;
	if (json_read(arena, value, name_fields, &json, &cause) < 0 || check_record(&json, file, name, &cause) < 0)
		return err_set(err, ERR_CORRUPT, "store %s: names/%s is damaged: %s", store->path, file, cause.msg);
	return 1;
}

int store_name_get(struct store *store, const char *name, struct digest *config, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf file = { 0 };
	struct store_name record;
	int found;

	name_escape(&file, name);
	found = name_record_read(store, &arena, strbuf_str(&file), &record, err);
	if (found == 0)
		return err_set(err, ERR_NOT_FOUND, "there is no image %s in the store %s", name, store->path);
	if (found < 0)
		return err_wrap(err, "image %s", name);
	*config = record.config;
	return 0;
}

/* Under the guard: an image that is being removed may not get a name meanwhile. */
static int publish_name(struct store *store, struct new_file *record, const char *file, const struct digest *config,
			struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct image_record image;
	scope_fd int guard = guard_take(store, err);

	if (guard < 0 || store_image_get(store, &arena, config, &image, err) < 0)
		return -1;
	return new_file_publish(record, file, false, err);
}

/* What takes long, the disk, is waited for before and after the guard is held. */
static int write_name(struct store *store, const char *name, const char *file, const struct digest *config,
		      struct err *err)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	scope_new_file struct new_file record = NEW_FILE_EMPTY;
	struct name_json json = { name, digest_str(&arena, config), time(NULL) };
	int dir = store_dir_fd(store, DIR_NAMES, err);

	json_write(&text, json_build(&arena, name_fields, &json));
	strbuf_addch(&text, '\n');
	if (dir < 0 || new_file_create(&record, dir, 0600, err) < 0 ||
	    file_write_fd(record.fd, text.ptr, text.len, "a record", err) < 0)
		return -1;
	if (fdatasync(record.fd) < 0)
		return err_errno(err, "write a record to disk");
	if (publish_name(store, &record, file, config, err) < 0)
		return -1;
	return sync_dir(store, DIR_NAMES, err);
}

int store_name_set(struct store *store, const char *name, const struct digest *config, struct err *err)
{
	scope_strbuf struct strbuf file = { 0 };
	struct digest now;
	struct err ignored;

	name_escape(&file, name);
	if (store_refuse_read_only(store, err) < 0 || store_sync(store, err) < 0)
		return err_wrap(err, "name %s", name);
	/* A build that was all cached changes nothing, and does not wait for the disk to say so. */
	if (store_name_get(store, name, &now, &ignored) == 0 && digest_equal(&now, config))
		return 0;
	if (write_name(store, name, strbuf_str(&file), config, err) < 0)
		return err_wrap(err, "name %s", name);
	return 0;
}

int store_name_remove(struct store *store, const char *name, struct err *err)
{
	scope_strbuf struct strbuf file = { 0 };
	int dir = store_refuse_read_only(store, err) < 0 ? -1 : store_dir_fd(store, DIR_NAMES, err);

	if (dir < 0)
		return -1;
	name_escape(&file, name);
	if (unlinkat(dir, strbuf_str(&file), 0) < 0)
		return errno == ENOENT
			       ? err_set(err, ERR_NOT_FOUND, "there is no image %s in the store %s", name, store->path)
			       : err_errno(err, "store %s: remove the name %s", store->path, name);
	return sync_dir(store, DIR_NAMES, err);
}

/* ---- listing ---- */

struct walk {
	struct store *store;
	struct arena *arena;
	each_store_name *each;
	void *arg;
};

static int walk_name(void *arg, const char *file, struct err *err)
{
	struct walk *walk = arg;
	struct store_name name;
	struct err cause;
	int found;

	if (store_is_temporary(file))
		return 0;
	found = name_record_read(walk->store, walk->arena, file, &name, &cause);
	if (found > 0)
		return walk->each(walk->arg, file, &name, err);
	if (found < 0 && cause.kind != ERR_CORRUPT)
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	if (found < 0)
		log_warn("%s", cause.msg);
	return 0;
}

int names_each(struct store *store, struct arena *arena, each_store_name *each, void *arg, struct err *err)
{
	struct walk walk = { store, arena, each, arg };

	return store_each(store, DIR_NAMES, walk_name, &walk, err);
}

struct listing {
	struct store *store;
	struct arena *arena;
	struct store_name *names;
	size_t count;
	struct digest_set named;
};

static int list_name(void *arg, const char *file, const struct store_name *name, struct err *err)
{
	struct listing *listing = arg;

	(void)file;
	(void)err;
	*ARENA_PUSH(listing->arena, listing->names, listing->count) = *name;
	digest_set_add(&listing->named, &name->config);
	return 0;
}

static int list_unnamed(void *arg, const char *file, struct err *err)
{
	struct listing *listing = arg;
	struct image_record record;
	struct digest config;
	struct err cause;

	if (!is_hex_name(file) || digest_parse_hex(&config, file, err) < 0 || digest_set_has(&listing->named, &config))
		return 0;
	if (image_record_read(listing->store, listing->arena, &config, &record, &cause) <= 0)
		return 0;
	*ARENA_PUSH(listing->arena, listing->names, listing->count) = (struct store_name){ .config = config,
											   .set_at = record.created };
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct store_name *x = a, *y = b;

	if (!x->name != !y->name)
		return x->name ? -1 : 1;
	if (x->set_at != y->set_at)
		return x->set_at > y->set_at ? -1 : 1;
	return x->name ? strcmp(x->name, y->name) : memcmp(&x->config, &y->config, sizeof(x->config));
}

int store_names(struct store *store, struct arena *arena, struct store_name **names, size_t *count, struct err *err)
{
	struct listing listing = { .store = store, .arena = arena };
	int result = names_each(store, arena, list_name, &listing, err);

	digest_set_sort(&listing.named);
	if (result == 0)
		result = store_each(store, DIR_IMAGES, list_unnamed, &listing, err);
	digest_set_release(&listing.named);
	if (result < 0)
		return -1;
	if (listing.count > 0)
		qsort(listing.names, listing.count, sizeof(*listing.names), newest_first);
	*names = listing.names;
	*count = listing.count;
	return 0;
}
