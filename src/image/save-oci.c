/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "kiln/base/text.h"

#include "internal.h"

/*
 * A layout (oci-layout, index.json, blobs/sha256/...), as an archive or as a directory. An archive has manifest.json too,
 * pointing into blobs/: then it is also one that every docker loads (registry.md 3.8).
 */

#define LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}"

struct layout {
	struct store *store;
	struct arena *arena;
	const struct saved *saved;
	struct manifest *manifests; /* of the images */
	struct digest *digests;     /* of their manifests */
	struct digest *blobs;       /* everything, sorted, once each */
	size_t blob_count;
	struct index index;
	const struct json *annotations; /* of each entry, besides its name's; may be NULL */
};

/* ---- collecting ---- */

static int add_blob(struct layout *layout, const char *text, struct err *err)
{
	return digest_parse(ARENA_PUSH(layout->arena, layout->blobs, layout->blob_count), text, err);
}

static int add_image(struct layout *layout, size_t i, struct err *err)
{
	const struct image *image = &layout->saved->images[i].image;
	struct manifest *manifest = &layout->manifests[i];
	scope_strbuf struct strbuf text = { 0 };

	if (manifest_of(layout->store, layout->arena, image, &text, &layout->digests[i], err) < 0 ||
	    manifest_read(layout->arena, strbuf_str(&text), text.len, MEDIA_OCI_MANIFEST, manifest, err) < 0)
		return -1;
	*ARENA_PUSH(layout->arena, layout->blobs, layout->blob_count) = layout->digests[i];
	if (add_blob(layout, manifest->config.digest, err) < 0)
		return -1;
	for (size_t j = 0; j < manifest->layer_count; j++) {
		if (add_blob(layout, manifest->layers[j].digest, err) < 0)
			return -1;
	}
	return 0;
}

static int compare_digests(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct digest));
}

static void sort_blobs(struct layout *layout)
{
	size_t kept = 0;

	if (layout->blob_count == 0)
		return;
	qsort(layout->blobs, layout->blob_count, sizeof(*layout->blobs), compare_digests);
	for (size_t i = 1; i < layout->blob_count; i++) {
		if (!digest_equal(&layout->blobs[i], &layout->blobs[kept]))
			layout->blobs[++kept] = layout->blobs[i];
	}
	layout->blob_count = kept + 1;
}

/* ---- index.json ---- */

static struct json *entry_annotations(const struct layout *layout, const char *name)
{
	struct arena *arena = layout->arena;
	struct json *annotations = layout->annotations ? json_clone(arena, layout->annotations) : json_object(arena);
	struct reference reference;

	if (name && name[0] == ':')
		json_set(arena, annotations, ANNOTATION_REF_NAME, json_str(arena, name + 1));
	else if (name)
		json_set(arena, annotations, ANNOTATION_CONTAINERD_NAME, json_str(arena, name));
	if (name && reference_parse(arena, name, &reference, NULL) == 0 && reference.tag)
		json_set(arena, annotations, ANNOTATION_REF_NAME, json_str(arena, reference.tag));
	return annotations->count ? annotations : NULL;
}

static void add_entry(struct layout *layout, size_t i, int64_t size, const char *name)
{
	const struct image *image = &layout->saved->images[i].image;

	*ARENA_PUSH(layout->arena, layout->index.manifests, layout->index.manifest_count) = (struct descriptor){
		.media_type = MEDIA_OCI_MANIFEST,
		.digest = digest_str(layout->arena, &layout->digests[i]),
		.size = size,
		.annotations = entry_annotations(layout, name),
		.platform_raw = image->config.platform.architecture
					? platform_json(layout->arena, &image->config.platform)
					: NULL,
	};
}

static int make_index(struct layout *layout, struct err *err)
{
	for (size_t i = 0; i < layout->saved->count; i++) {
		const struct saved_image *saved = &layout->saved->images[i];
		int64_t size;
		if (!store_blob_has(layout->store, &layout->digests[i], &size))
			return err_set(err, ERR_CORRUPT, "the manifest of an image is gone from the store");
		for (size_t j = 0; j < saved->name_count; j++)
			add_entry(layout, i, size, saved->names[j]);
		if (saved->name_count == 0)
			add_entry(layout, i, size, NULL);
	}
	return 0;
}

static int collect(struct layout *layout, struct err *err)
{
	layout->manifests = arena_array(layout->arena, struct manifest, layout->saved->count + 1);
	layout->digests = arena_array(layout->arena, struct digest, layout->saved->count + 1);
	for (size_t i = 0; i < layout->saved->count; i++) {
		if (add_image(layout, i, err) < 0)
			return -1;
	}
	sort_blobs(layout);
	return make_index(layout, err);
}

/* ---- as an archive ---- */

static const char *blob_name(struct layout *layout, const char *digest_text)
{
	return arena_printf(layout->arena, "blobs/sha256/%s", digest_text + strlen("sha256:"));
}

static int write_docker_manifest(struct layout *layout, struct archive *archive, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct arena *arena = layout->arena;
	struct json *list = json_array(arena);

	for (size_t i = 0; i < layout->saved->count; i++) {
		const struct saved_image *saved = &layout->saved->images[i];
		const struct manifest *manifest = &layout->manifests[i];
		struct json *entry = json_object(arena), *layers = json_array(arena);
		bool is_named = saved->name_count > 0 && saved->names[0][0] != ':';
		for (size_t j = 0; j < manifest->layer_count; j++)
			json_push(arena, layers, json_str(arena, blob_name(layout, manifest->layers[j].digest)));
		json_set(arena, entry, "Config", json_str(arena, blob_name(layout, manifest->config.digest)));
		json_set(arena, entry, "RepoTags",
			 is_named ? json_strs(arena, saved->names, saved->name_count) : json_str(arena, NULL));
		json_set(arena, entry, "Layers", layers);
		json_push(arena, list, entry);
	}
	json_write(&text, list);
	return archive_text(archive, "manifest.json", &text, err);
}

/* A damaged blob must not leave the store. */
static int copy_blob(struct layout *layout, const struct digest *digest, struct writer *out, struct err *err)
{
	struct digest found;
	char text[DIGEST_TEXT + 1];
	int64_t size;
	int fd = store_blob_open(layout->store, digest, &size, err);

	if (fd < 0)
		return -1;
	scope_reader struct reader *reader = reader_hash(reader_fd(fd, true, digest_text(digest, text)), &found, &size);
	if (reader_pump(reader, out, err) < 0)
		return -1;
	if (!digest_equal(&found, digest))
		return err_set(
			err, ERR_CORRUPT,
			"blob %s in the store is damaged: `kiln system verify --repair` removes it, then load or build "
			"the image again",
			digest_text(digest, text));
	return 0;
}

static int write_blob(struct layout *layout, struct archive *archive, const struct digest *digest, struct err *err)
{
	char text[DIGEST_TEXT + 1];
	int64_t size;

	if (!store_blob_has(layout->store, digest, &size))
		return err_set(err, ERR_NOT_FOUND, "blob %s is not in the store", digest_text(digest, text));
	if (archive_begin_file(archive, blob_name(layout, digest_text(digest, text)), size, err) < 0 ||
	    copy_blob(layout, digest, archive->out, err) < 0)
		return -1;
	return archive_end_file(archive, size, err);
}

static int write_archive(struct layout *layout, const struct save_spec *spec, struct err *err)
{
	scope_writer struct writer *out = writer_fd(spec->out_fd, false, "the archive");
	struct archive archive = { out, spec->epoch };
	struct strbuf marker = { .ptr = (char *)LAYOUT, .len = strlen(LAYOUT) };
	scope_strbuf struct strbuf index = { 0 };

	index_write(layout->arena, &index, &layout->index);
	if (archive_text(&archive, "oci-layout", &marker, err) < 0 ||
	    archive_text(&archive, "index.json", &index, err) < 0 || write_docker_manifest(layout, &archive, err) < 0)
		return -1;
	/* skopeo makes the directories that an archive does not name itself, and gives them to uid 0: an error for a user. */
	if (archive_dir(&archive, "blobs", err) < 0 || archive_dir(&archive, "blobs/sha256", err) < 0)
		return -1;
	for (size_t i = 0; i < layout->blob_count; i++) {
		if (write_blob(layout, &archive, &layout->blobs[i], err) < 0)
			return -1;
	}
	return archive_end(&archive, err);
}

/* ---- as a directory ---- */

static int put_blob(struct layout *layout, int blobs, const struct digest *digest, struct err *err)
{
	scope_new_file struct new_file file = NEW_FILE_EMPTY;
	char hex[DIGEST_HEX + 1];
	struct stat st;
	int64_t size;

	digest_hex(digest, hex);
	if (store_blob_has(layout->store, digest, &size) && fstatat(blobs, hex, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && st.st_size == size)
		return 0;
	if (new_file_create(&file, blobs, 0644, err) < 0)
		return -1;
	scope_writer struct writer *out = writer_fd(file.fd, false, hex);
	if (copy_blob(layout, digest, out, err) < 0 || out->finish(out, err) < 0)
		return -1;
	return new_file_publish(&file, hex, false, err);
}

/* Two entries that say the same name would be one image for two platforms, or nonsense. */
static bool is_replaced(const struct layout *layout, const struct descriptor *old)
{
	const char *name = json_get_str(old->annotations, ANNOTATION_REF_NAME);

	for (size_t i = 0; i < layout->index.manifest_count; i++) {
		const struct descriptor *entry = &layout->index.manifests[i];
		const char *ours = json_get_str(entry->annotations, ANNOTATION_REF_NAME);
		if (name ? text_equal(name, ours) : text_equal(old->digest, entry->digest))
			return true;
	}
	return false;
}

/* Entries of other images stay, in front. */
static int merge_index(struct layout *layout, int dir, struct strbuf *text, struct err *err)
{
	scope_strbuf struct strbuf old_text = { 0 };
	struct index old = { 0 }, merged = { 0 };
	struct err cause = { 0 };

	if (file_read(dir, "index.json", OCI_DOCUMENT_MAX, &old_text, &cause) < 0) {
		if (!err_is_errno(&cause, ENOENT))
			return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	} else if (index_read(layout->arena, strbuf_str(&old_text), old_text.len, NULL, &old, err) < 0) {
		return err_wrap(err, "index.json");
	}
	merged.annotations = old.annotations;
	for (size_t i = 0; i < old.manifest_count; i++) {
		if (!is_replaced(layout, &old.manifests[i]))
			*ARENA_PUSH(layout->arena, merged.manifests, merged.manifest_count) = old.manifests[i];
	}
	for (size_t i = 0; i < layout->index.manifest_count; i++)
		*ARENA_PUSH(layout->arena, merged.manifests, merged.manifest_count) = layout->index.manifests[i];
	index_write(layout->arena, text, &merged);
	return 0;
}

static int open_layout(const char *path, struct err *err)
{
	if (mkdirat(AT_FDCWD, path, 0755) < 0 && errno != EEXIST)
		return err_errno(err, "create %s", path);
	return file_open_user(path, O_RDONLY | O_DIRECTORY, 0, err);
}

static int fill_layout(struct layout *layout, int dir, struct err *err)
{
	scope_strbuf struct strbuf index = { 0 };
	scope_fd int blobs = file_make_dir(dir, "blobs", 0755, err);
	scope_fd int sha256 = blobs < 0 ? -1 : file_make_dir(blobs, "sha256", 0755, err);

	if (sha256 < 0)
		return -1;
	for (size_t i = 0; i < layout->blob_count; i++) {
		if (put_blob(layout, sha256, &layout->blobs[i], err) < 0)
			return -1;
	}
	/* Two processes that add to one layout must not lose each other's entries. */
	if (flock(dir, LOCK_EX) < 0)
		return err_errno(err, "lock the layout");
	if (merge_index(layout, dir, &index, err) < 0 ||
	    file_replace(dir, "oci-layout", 0644, LAYOUT, strlen(LAYOUT), false, err) < 0)
		return -1;
	return file_replace(dir, "index.json", 0644, index.ptr, index.len, false, err);
}

static int write_directory(struct layout *layout, const struct save_spec *spec, struct err *err)
{
	scope_fd int dir = open_layout(spec->out_path, err);

	if (dir < 0)
		return -1;
	return fill_layout(layout, dir, err) < 0 ? err_wrap(err, "%s", spec->out_path) : 0;
}

int save_oci(struct store *store, struct arena *arena, const struct save_spec *spec, const struct saved *saved,
	     struct digest *manifest_digest, struct err *err)
{
	struct layout layout = {
		.store = store, .arena = arena, .saved = saved, .annotations = spec->descriptor_annotations
	};

	if (collect(&layout, err) < 0)
		return -1;
	if ((spec->format == SAVE_OCI_DIR ? write_directory(&layout, spec, err) : write_archive(&layout, spec, err)) <
	    0)
		return -1;
	if (manifest_digest && saved->count > 0)
		*manifest_digest = layout.digests[saved->count - 1];
	return 0;
}
