/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/text.h"

#include "internal.h"

/* ---- compressed layers ---- */

static bool is_here(struct store *store, const struct layer_blob *blob)
{
	struct digest digest;
	int64_t size;

	return digest_parse(&digest, blob->digest, NULL) == 0 && store_blob_has(store, &digest, &size) &&
	       size == blob->size;
}

/* As it came, if it came compressed; else what this kiln would make. */
static const struct layer_blob *find_blob(struct store *store, const struct layer_info *info)
{
	const struct layer_blob *made = NULL;

	for (size_t i = 0; i < info->blob_count; i++) {
		const struct layer_blob *blob = &info->blobs[i];
		bool came = !blob->compressor || !*blob->compressor;
		if (!is_here(store, blob))
			continue;
		if (came && !text_equal(blob->media_type, MEDIA_OCI_LAYER))
			return blob;
		if (text_equal(blob->compressor, gzip_compressor()))
			made = blob;
	}
	return made;
}

static int compress(struct store *store, const struct digest *diff_id, struct store_blob *blob, struct err *err)
{
	scope_writer struct writer *gzip = NULL;

	if (store_blob_new(store, blob, err) < 0)
		return -1;
	/* The blob's writer is finished by the commit; gzip only borrows it for a while. */
	gzip = writer_gzip(writer_lend(blob->writer), 0);
	if (store_layer_tar(store, diff_id, gzip, err) == 0 && gzip->finish(gzip, err) == 0)
		return store_blob_commit(store, blob, NULL, err);
	store_blob_abandon(blob);
	return -1;
}

static int make_blob(struct store *store, struct arena *arena, const struct digest *diff_id, struct layer_blob *out,
		     struct err *err)
{
	struct store_blob blob;

	if (compress(store, diff_id, &blob, err) < 0)
		return -1;
	*out = (struct layer_blob){ MEDIA_OCI_LAYER_GZIP, digest_str(arena, &blob.digest), blob.size,
				    gzip_compressor() };
	return store_layer_add_blob(store, diff_id, out, err);
}

int layer_descriptor(struct store *store, struct arena *arena, const struct digest *diff_id, struct descriptor *out,
		     struct err *err)
{
	const struct layer_blob *known;
	struct layer_blob blob;
	struct layer_info info;

	if (store_layer_info(store, arena, diff_id, &info, err) < 0)
		return -1;
	known = find_blob(store, &info);
	if (known)
		blob = *known;
	else if (make_blob(store, arena, diff_id, &blob, err) < 0)
		return -1;
	*out = (struct descriptor){ .media_type = blob.media_type, .digest = blob.digest, .size = blob.size };
	return 0;
}

/* ---- manifests ---- */

/* The manifest that the image came with, if it is an OCI one and all its blobs are here. 1, 0, -1. */
static int read_own_manifest(struct store *store, struct arena *arena, const struct image *image, struct strbuf *text,
			     struct err *err)
{
	struct manifest manifest;
	struct digest digest;
	int64_t size;

	if (digest_is_zero(&image->record.manifest) || !text_equal(image->record.manifest_type, MEDIA_OCI_MANIFEST) ||
	    !store_blob_has(store, &image->record.manifest, NULL))
		return 0;
	if (store_blob_read(store, &image->record.manifest, OCI_DOCUMENT_MAX, text, err) < 0 ||
	    manifest_read(arena, strbuf_str(text), text->len, MEDIA_OCI_MANIFEST, &manifest, err) < 0)
		return -1;
	for (size_t i = 0; i < manifest.layer_count; i++) {
		if (digest_parse(&digest, manifest.layers[i].digest, err) < 0)
			return -1;
		if (store_blob_has(store, &digest, &size) && size == manifest.layers[i].size)
			continue;
		strbuf_reset(text);
		return 0;
	}
	return 1;
}

static int make_manifest(struct store *store, struct arena *arena, const struct image *image, struct json *annotations,
			 struct strbuf *text, struct err *err)
{
	struct manifest manifest = { .config = { .media_type = MEDIA_OCI_CONFIG,
						 .digest = digest_str(arena, &image->id),
						 .size = (int64_t)image->config_len },
				     .layer_count = image->diff_id_count,
				     .annotations = annotations };

	manifest.layers = arena_array(arena, struct descriptor, image->diff_id_count + 1);
	for (size_t i = 0; i < image->diff_id_count; i++) {
		if (layer_descriptor(store, arena, &image->diff_ids[i], &manifest.layers[i], err) < 0)
			return -1;
	}
	manifest_write(arena, text, &manifest);
	return 0;
}

/* A digest that was told once (`docker inspect`, a registry) should stay the image's. A manifest in Docker's form that the
   image came with stays too: then this one is made anew each time, from the same blobs. */
static int remember(struct store *store, const struct image *image, const struct strbuf *text, struct digest *digest,
		    struct err *err)
{
	struct image_record record = image->record;

	if (store_blob_put(store, text->ptr, text->len, digest, err) < 0)
		return -1;
	if (!digest_is_zero(&record.manifest) && !text_equal(record.manifest_type, MEDIA_OCI_MANIFEST))
		return 0;
	record.manifest = *digest;
	record.manifest_type = MEDIA_OCI_MANIFEST;
	return store_image_put(store, &record, err);
}

int manifest_of(struct store *store, struct arena *arena, const struct image *image, struct strbuf *text,
		struct digest *digest, struct err *err)
{
	int found = read_own_manifest(store, arena, image, text, err);

	if (found < 0)
		return -1;
	if (found > 0) {
		*digest = image->record.manifest;
		return 0;
	}
	if (make_manifest(store, arena, image, NULL, text, err) < 0)
		return -1;
	return remember(store, image, text, digest, err);
}

int image_manifest(struct store *store, struct arena *arena, const struct digest *id, struct strbuf *text,
		   struct digest *digest, struct err *err)
{
	struct image image;

	if (image_open(store, arena, id, &image, err) < 0)
		return -1;
	return manifest_of(store, arena, &image, text, digest, err);
}

static bool is_same(const struct json *a, const struct json *b)
{
	scope_strbuf struct strbuf one = { 0 }, other = { 0 };

	if (a)
		json_write(&one, a);
	if (b)
		json_write(&other, b);
	return text_equal(strbuf_str(&one), strbuf_str(&other));
}

int image_annotate(struct store *store, struct arena *arena, const struct digest *id, struct json *annotations,
		   struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	const struct json *old = NULL;
	struct digest digest;
	struct image image;

	if (image_open(store, arena, id, &image, err) < 0)
		return -1;
	int found = read_own_manifest(store, arena, &image, &text, err);
	if (found < 0)
		return -1;
	if (found > 0)
		old = json_get(json_parse(arena, strbuf_str(&text), text.len, err), "annotations");
	if (is_same(old, annotations))
		return 0;
	strbuf_reset(&text);
	if (make_manifest(store, arena, &image, annotations, &text, err) < 0)
		return -1;
	return remember(store, &image, &text, &digest, err);
}
