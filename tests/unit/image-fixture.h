/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TESTS_UNIT_IMAGE_FIXTURE_H
#define KILN_TESTS_UNIT_IMAGE_FIXTURE_H

#include "store-fixture.h"

#include "kiln/image/image.h"
#include "kiln/layer/tar.h"

/* Archives made by hand, right and wrong ones. What is in their layers belongs to whoever runs the test, so that nobody has
   to be root. */

static inline void tar_add(struct strbuf *tar, const char *path, mode_t mode, const void *bytes, size_t len,
			   const char *link, bool is_hardlink)
{
	static const char zeros[TAR_BLOCK];
	const struct layer_entry entry = { .path = path,
					   .mode = mode,
					   .uid = geteuid(),
					   .gid = getegid(),
					   .size = (int64_t)len,
					   .mtime = 1000000000,
					   .link = link,
					   .is_hardlink = is_hardlink };
	struct err err = { 0 };

	assert_ok(tar_header(tar, &entry, &err), err);
	strbuf_add(tar, bytes, len);
	strbuf_add(tar, zeros, tar_padding((int64_t)len));
}

static inline void tar_file(struct strbuf *tar, const char *path, const char *text)
{
	tar_add(tar, path, S_IFREG | 0644, text, strlen(text), NULL, false);
}

static inline void tar_bytes(struct strbuf *tar, const char *path, const struct strbuf *bytes)
{
	tar_add(tar, path, S_IFREG | 0644, strbuf_str(bytes), bytes->len, NULL, false);
}

static inline void tar_dir(struct strbuf *tar, const char *path)
{
	tar_add(tar, path, S_IFDIR | 0755, "", 0, NULL, false);
}

static inline void tar_symlink(struct strbuf *tar, const char *path, const char *target)
{
	tar_add(tar, path, S_IFLNK | 0777, "", 0, target, false);
}

static inline void tar_end(struct strbuf *tar)
{
	static const char zeros[TAR_TRAILER];

	strbuf_add(tar, zeros, sizeof(zeros));
}

/* A layer: a directory with one file. */
static inline void make_layer_tar(struct strbuf *tar, const char *path, const char *text)
{
	tar_dir(tar, "etc");
	tar_file(tar, path, text);
	tar_end(tar);
}

static inline void compress_into(struct strbuf *out, const struct strbuf *bytes, enum compression compression)
{
	struct err err = { 0 };
	scope_writer struct writer *below = NULL;
	struct writer *writer = writer_strbuf(out);

	writer = compression == COMPRESSION_GZIP ? writer_gzip(writer, 1) : writer_zstd(writer, 1);
	below = writer;
	assert_ok(writer->write(writer, strbuf_str(bytes), bytes->len, &err), err);
	assert_ok(writer->finish(writer, &err), err);
}

static inline const char *digest_of(struct arena *arena, const struct strbuf *bytes)
{
	struct digest digest;

	digest_bytes(&digest, strbuf_str(bytes), bytes->len);
	return digest_str(arena, &digest);
}

static inline const char *hex_of(struct arena *arena, const struct strbuf *bytes)
{
	return digest_of(arena, bytes) + strlen("sha256:");
}

static inline const char *blob_path_of(struct arena *arena, const struct strbuf *bytes)
{
	return arena_printf(arena, "blobs/sha256/%s", hex_of(arena, bytes));
}

/* A configuration with these layers; architecture NULL is this machine's. */
static inline void make_config(struct arena *arena, struct strbuf *out, const char *architecture,
			       const struct strbuf *layers, size_t count)
{
	struct platform platform = platform_host();
	struct image_config *config;

	if (architecture)
		platform = (struct platform){ .os = "linux", .architecture = architecture };
	config = image_config_scratch(arena, &platform);
	for (size_t i = 0; i < count; i++)
		*ARENA_PUSH(arena, config->diff_ids, config->diff_id_count) = digest_of(arena, &layers[i]);
	image_config_write(arena, out, config);
}

static inline const char *scratch_path(struct scratch *scratch, struct arena *arena, const char *name)
{
	return arena_printf(arena, "%s/%s", scratch->path, name);
}

static inline const char *write_archive(struct scratch *scratch, struct arena *arena, const char *name,
					const struct strbuf *bytes)
{
	struct err err = { 0 };

	assert_ok(file_replace(scratch->fd, name, 0644, strbuf_str(bytes), bytes->len, false, &err), err);
	return scratch_path(scratch, arena, name);
}

/* Nothing was kept and nothing is left over. */
static inline void assert_empty(struct store *store)
{
	static const char *const dirs[] = { "blobs/sha256", "layers", "images", "names", "tmp" };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		if (count_names(store_fd(store), dirs[i]) != 0)
			fail_msg("something is left in %s", dirs[i]);
	}
}

static inline void assert_layer_file(struct store *store, const struct digest *layer, const char *path,
				     const char *text)
{
	struct err err = { 0 };
	scope_fd int tree = store_layer_open(store, layer, &err);

	if (tree < 0)
		fail_msg("%s", err.msg);
	assert_file(tree, path, text);
}

#endif
