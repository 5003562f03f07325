/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "kiln/base/text.h"

#include "internal.h"

/* layers/HEX appears whole, by one rename of a directory that was put together in the work directory. */

#define ASSEMBLED "layer.new" /* in the work directory */

struct layer_record {
	const char *diff_id;
	int64_t size, content, entries;
	bool recipe;
	struct layer_blob *blobs;
	size_t blob_count;
};

static const struct json_field blob_fields[] = {
	JSON_STRING(struct layer_blob, "mediaType", media_type, JSON_REQUIRED),
	JSON_STRING(struct layer_blob, "digest", digest, JSON_REQUIRED),
	JSON_INTEGER(struct layer_blob, "size", size, JSON_REQUIRED),
	JSON_STRING(struct layer_blob, "compressor", compressor, 0),
	JSON_END,
};

static const struct json_field layer_fields[] = {
	JSON_STRING(struct layer_record, "diffId", diff_id, JSON_REQUIRED),
	JSON_INTEGER(struct layer_record, "size", size, JSON_REQUIRED),
	JSON_INTEGER(struct layer_record, "content", content, 0),
	JSON_INTEGER(struct layer_record, "entries", entries, 0),
	JSON_BOOLEAN(struct layer_record, "recipe", recipe, 0),
	JSON_STRUCTS(struct layer_record, "blobs", blobs, blob_count, blob_fields, 0),
	JSON_END,
};

/* ---- reading ---- */

static void file_in_layer(const struct digest *diff_id, const char *name, char *out, size_t size)
{
	char hex[DIGEST_HEX + 1];

	snprintf(out, size, "%s/%s", digest_hex(diff_id, hex), name);
}

static int check_record(const struct layer_record *record, const struct digest *diff_id, struct err *err)
{
	struct digest digest;

	if (digest_parse(&digest, record->diff_id, err) < 0)
		return -1;
	if (!digest_equal(&digest, diff_id))
		return err_set(err, ERR_CORRUPT, "it is that of another layer");
	for (size_t i = 0; i < record->blob_count; i++) {
		if (digest_parse(&digest, record->blobs[i].digest, err) < 0)
			return -1;
	}
	return 0;
}

int layer_record_read(struct store *store, struct arena *arena, const struct digest *diff_id, struct layer_info *info,
		      struct err *err)
{
	struct layer_record record = { 0 };
	struct err cause = { 0 };
	struct json *value;
	char file[128];
	int found;

	file_in_layer(diff_id, "info", file, sizeof(file));
	found = record_read(store, DIR_LAYERS, file, arena, &value, err);
	if (found <= 0)
		return found;
	if (json_read(arena, value, layer_fields, &record, &cause) < 0 || check_record(&record, diff_id, &cause) < 0)
		return err_set(err, ERR_CORRUPT, "store %s: layers/%s is damaged: %s", store->path, file, cause.msg);
	*info = (struct layer_info){ .diff_id = *diff_id,
				     .size = record.size,
				     .content = record.content,
				     .entries = record.entries,
				     .has_recipe = record.recipe,
				     .blobs = record.blobs,
				     .blob_count = record.blob_count };
	return 1;
}

static bool has_tree(struct store *store, const struct digest *diff_id)
{
	struct stat st;
	char file[128];

	file_in_layer(diff_id, "tree", file, sizeof(file));
	return fstatat(store->dirs[DIR_LAYERS], file, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

bool store_layer_has(struct store *store, const struct digest *diff_id)
{
	scope_arena struct arena arena = { 0 };
	struct layer_info info;
	struct err ignored;

	return layer_record_read(store, &arena, diff_id, &info, &ignored) > 0 && has_tree(store, diff_id);
}

static int missing_layer(struct store *store, const struct digest *diff_id, struct err *err)
{
	char text[DIGEST_TEXT + 1];

	return err_set(err, ERR_NOT_FOUND, "layer %s is not in the store %s", digest_text(diff_id, text), store->path);
}

int store_layer_open(struct store *store, const struct digest *diff_id, struct err *err)
{
	struct err cause = { 0 };
	struct root root = { store_dir_fd(store, DIR_LAYERS, &cause), ROOT_BENEATH };
	char file[128], text[DIGEST_TEXT + 1];

	file_in_layer(diff_id, "tree", file, sizeof(file));
	scope_fd int fd = root.fd < 0 ? -1 : root_open(&root, file, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &cause);
	if (fd >= 0)
		return take_fd(&fd);
	if (err_is_errno(&cause, ENOENT))
		return missing_layer(store, diff_id, err);
	if (err_is_errno(&cause, ENOTDIR) || err_is_errno(&cause, ELOOP))
		return err_set(err, ERR_CORRUPT, "layer %s in the store %s is damaged: its tree is not a directory",
			       digest_text(diff_id, text), store->path);
	return err_status(err, cause.kind, cause.sys, "layer %s in the store %s: %s", digest_text(diff_id, text),
			  store->path, cause.msg);
}

int store_layer_info(struct store *store, struct arena *arena, const struct digest *diff_id, struct layer_info *info,
		     struct err *err)
{
	int found = layer_record_read(store, arena, diff_id, info, err);

	if (found == 0)
		return missing_layer(store, diff_id, err);
	return found < 0 ? -1 : 0;
}

/* ---- writing ---- */

static int write_info(struct arena *arena, int dir_fd, const struct layer_info *info, bool sync, struct err *err)
{
	struct layer_record record = { .diff_id = digest_str(arena, &info->diff_id),
				       .size = info->size,
				       .content = info->content,
				       .entries = info->entries,
				       .recipe = info->has_recipe,
				       .blobs = info->blobs,
				       .blob_count = info->blob_count };

	return record_write(dir_fd, "info", json_build(arena, layer_fields, &record), sync, err);
}

static int move_in(struct store_work *work, const char *from, int dir_fd, const char *to, struct err *err)
{
	return renameat(work->fd, from, dir_fd, to) < 0 ? err_errno(err, "move %s", from) : 0;
}

static int assemble(struct store_work *work, const char *tree_name, const char *recipe_name,
		    const struct layer_info *info, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct layer_info whole = *info;
	scope_fd int dir = file_make_dir(work->fd, ASSEMBLED, 0700, err);

	whole.has_recipe = recipe_name != NULL;
	if (dir < 0 || write_info(&arena, dir, &whole, false, err) < 0)
		return -1;
	if (recipe_name && move_in(work, recipe_name, dir, "recipe", err) < 0)
		return -1;
	return move_in(work, tree_name, dir, "tree", err);
}

static int publish(struct store *store, struct store_work *work, const struct digest *diff_id, struct err *err)
{
	scope_fd int guard = guard_take(store, err);
	int layers = guard < 0 ? -1 : store_dir_fd(store, DIR_LAYERS, err);
	char hex[DIGEST_HEX + 1];

	if (layers < 0)
		return -1;
	if (store_layer_has(store, diff_id))
		return 0;
	/* What is there and is no layer is damaged. */
	if (trash(store, work, DIR_LAYERS, digest_hex(diff_id, hex), err) < 0 ||
	    sync_mark(store, DIR_LAYERS, diff_id, err) < 0)
		return -1;
	if (renameat(work->fd, ASSEMBLED, layers, hex) < 0)
		return err_errno(err, "publish layers/%s", hex);
	return 0;
}

int store_layer_publish(struct store *store, struct store_work *work, const char *tree_name, const char *recipe_name,
			const struct layer_info *info, struct err *err)
{
	if (store_layer_has(store, &info->diff_id))
		return 0;
	if (assemble(work, tree_name, recipe_name, info, err) < 0 || publish(store, work, &info->diff_id, err) < 0)
		return err_wrap(err, "store %s", store->path);
	/* Another process was faster: then ours is in the way of the next layer of this work directory. */
	return file_remove_tree(work->fd, ASSEMBLED, err);
}

static void set_blob(struct arena *arena, struct layer_info *info, const struct layer_blob *blob)
{
	struct layer_blob *blobs = arena_array(arena, struct layer_blob, info->blob_count + 1);
	size_t count = 0;

	for (size_t i = 0; i < info->blob_count; i++) {
		if (!text_equal(info->blobs[i].digest, blob->digest))
			blobs[count++] = info->blobs[i];
	}
	blobs[count++] = *blob;
	info->blobs = blobs;
	info->blob_count = count;
}

int store_layer_add_blob(struct store *store, const struct digest *diff_id, const struct layer_blob *blob,
			 struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct layer_info info;
	char hex[DIGEST_HEX + 1];
	scope_fd int guard = guard_take(store, err);

	if (guard < 0 || store_layer_info(store, &arena, diff_id, &info, err) < 0)
		return -1;
	struct root root = { store_dir_fd(store, DIR_LAYERS, err), ROOT_BENEATH };
	scope_fd int dir = root.fd < 0 ? -1
				       : root_open(&root, digest_hex(diff_id, hex), O_RDONLY | O_DIRECTORY, 0, err);
	if (dir < 0)
		return -1;
	set_blob(&arena, &info, blob);
	/* The layer may be reached by a name already: its record must never be half on disk. */
	return write_info(&arena, dir, &info, true, err);
}
