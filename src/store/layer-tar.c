/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "kiln/base/text.h"
#include "kiln/layer/recipe.h"

#include "internal.h"

/* Passes bytes on to a writer that stays the caller's: it is neither finished nor closed from here. */
struct passing {
	struct writer writer;
	struct writer *out;
};

static int passing_write(struct writer *writer, const void *bytes, size_t len, struct err *err)
{
	struct writer *out = ((struct passing *)writer)->out;

	return out->write(out, bytes, len, err);
}

static int passing_finish(struct writer *writer, struct err *err)
{
	(void)writer;
	(void)err;
	return 0;
}

static void passing_close(struct writer *writer)
{
	free(writer);
}

static struct writer *writer_passing(struct writer *out)
{
	struct passing *passing = calloc(1, sizeof(*passing));

	if (!passing)
		abort();
	*passing = (struct passing){ { passing_write, passing_finish, passing_close }, out };
	return &passing->writer;
}

const struct layer_blob *layer_any_blob(struct store *store, const struct layer_info *info, struct digest *digest)
{
	for (size_t i = 0; i < info->blob_count; i++) {
		int64_t size;
		if (digest_parse(digest, info->blobs[i].digest, NULL) == 0 && store_blob_has(store, digest, &size) &&
		    size == info->blobs[i].size)
			return &info->blobs[i];
	}
	return NULL;
}

static int write_from_recipe(struct store *store, const struct digest *diff_id, struct writer *out, struct err *err)
{
	struct root root = { store_dir_fd(store, DIR_LAYERS, err), ROOT_BENEATH };
	struct err cause;
	char hex[DIGEST_HEX + 1], file[128];

	scope_fd int tree = root.fd < 0 ? -1 : store_layer_open(store, diff_id, err);
	if (tree < 0)
		return -1;
	snprintf(file, sizeof(file), "%s/recipe", digest_hex(diff_id, hex));
	scope_fd int recipe = root_open_regular(&root, file, &cause);
	if (recipe < 0)
		return err_set(err, ERR_CORRUPT, "its recipe cannot be read: %s", cause.msg);
	scope_reader struct reader *reader = reader_fd(recipe, false, "the recipe of the layer");
	return layer_replay(reader, tree, out, err);
}

static int write_from_blob(struct store *store, const struct layer_info *info, struct writer *out, struct err *err)
{
	struct digest digest;
	const struct layer_blob *blob = layer_any_blob(store, info, &digest);

	if (!blob)
		return err_set(err, ERR_CORRUPT, "none of its compressed forms is in the store: load the image again");
	int fd = store_blob_open(store, &digest, NULL, err);
	if (fd < 0)
		return -1;
	scope_reader struct reader *reader = reader_inflate(reader_fd(fd, true, blob->digest), NULL, blob->digest);
	return reader_pump(reader, out, err);
}

int layer_write_tar(struct store *store, const struct layer_info *info, struct writer *out, struct digest *diff_id,
		    struct err *err)
{
	int64_t size;
	scope_writer struct writer *hash = writer_hash(writer_passing(out), diff_id, &size);
	int result = info->has_recipe ? write_from_recipe(store, &info->diff_id, hash, err)
				      : write_from_blob(store, info, hash, err);

	return result < 0 ? -1 : hash->finish(hash, err);
}

int store_layer_tar(struct store *store, const struct digest *diff_id, struct writer *out, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct layer_info info;
	struct digest found;
	char text[DIGEST_TEXT + 1];

	if (store_layer_info(store, &arena, diff_id, &info, err) < 0)
		return -1;
	if (layer_write_tar(store, &info, out, &found, err) < 0)
		return err_wrap(err, "layer %s of the store %s", digest_text(diff_id, text), store->path);
	if (!digest_equal(&found, diff_id))
		return err_set(err, ERR_CORRUPT,
			       "layer %s of the store %s is damaged: what is in its %s is not what it was",
			       digest_text(diff_id, text), store->path, info.has_recipe ? "tree" : "blob");
	return 0;
}
