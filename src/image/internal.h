/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_IMAGE_INTERNAL_H
#define KILN_SRC_IMAGE_INTERNAL_H

#include "kiln/base/file.h"
#include "kiln/base/scope.h"
#include "kiln/image/image.h"

/* ---- stream.c ---- */

/* Passes on what below gives, which stays the caller's, and writes it to fd too (-1: nowhere). */
struct reader *reader_tee(struct reader *below, int fd);
/* Writes to below, which stays the caller's: it is neither finished nor closed. */
struct writer *writer_lend(struct writer *below);

/* ---- unpack.c ---- */

struct unpack {
	struct reader *reader;        /* borrowed: the layer as it came */
	const char *name;             /* for messages */
	const struct digest *blob;    /* NULL: not verified */
	int64_t blob_size;            /* -1: unknown */
	const struct digest *diff_id; /* NULL: unknown */
	int dir_fd;
	const char *tree;  /* made in dir_fd; NULL: only the digests are verified */
	const char *copy;  /* of the bytes as they came, a file made in dir_fd; NULL: none */
	const int *lowers; /* trees below, topmost first */
	size_t lower_count;
};

/* Plain bytes: crosses a channel. */
struct unpacked {
	struct digest diff_id, blob;
	int64_t blob_size, size, content, entries;
	enum compression compression;
	/* The layer says nothing of directories that it passes through, or links to files below: with the trees below it
	   would unpack to something else. */
	bool leans;
	bool failed_without_lowers;
};
int unpack(const struct unpack *job, struct unpacked *out, struct err *err) MUST_CHECK;
const char *layer_media_type(enum compression compression);

/* ---- container.c: the files of an archive or of a layout directory ---- */

struct entry {
	const char *path;
	const char *link; /* another entry's path, or NULL */
	const char *file; /* in the work directory; NULL: a blob that the store has already */
	struct digest digest;
	int64_t size;
};
struct container {
	struct store *store;
	struct store_work *work;
	const char *name;      /* for messages */
	int dir_fd;            /* a layout directory, or -1 */
	struct entry *entries; /* sorted by path */
	size_t entry_count;
};
int container_open(struct container *container, struct arena *arena, const char *path, struct err *err) MUST_CHECK;
void container_close(struct container *container);
bool container_has(const struct container *container, const char *path);
/* NULL in a directory, or if there is none of that path. */
const struct entry *container_find(const struct container *container, const char *path);
/* ERR_NOT_FOUND. */
int container_open_file(const struct container *container, const char *path, int64_t *size, struct err *err) MUST_CHECK;
int container_read(const struct container *container, const char *path, struct strbuf *buf, struct err *err) MUST_CHECK;
char *container_blob_path(struct arena *arena, const struct digest *digest);
/* blobs/sha256/HEX of an expected size (-1: any), verified. */
int container_read_blob(const struct container *container, const struct digest *digest, int64_t size,
			struct strbuf *buf, struct err *err) MUST_CHECK;

/* ---- load.c ---- */

struct load_layer {
	struct digest diff_id;
	const char *path;   /* in the container */
	const char *name;   /* for messages */
	struct digest blob; /* zero if only the container's own entry knows it */
	int64_t blob_size;  /* -1: unknown */
	unsigned number;    /* of its files in the work directory */
	enum { LAYER_UNPACK, LAYER_CHECK, LAYER_READY } todo;
	struct unpacked unpacked;
};

struct load_image {
	struct digest id;
	struct strbuf config_text;
	struct image_config config;
	struct strbuf manifest_text; /* empty: none */
	struct digest manifest;
	const char *manifest_type;
	const char **names; /* canonical */
	size_t name_count;
	size_t *layers; /* indexes of load.layers, bottom first */
	size_t layer_count;
};

struct load {
	struct store *store;
	struct arena *arena;
	const char *selector;
	const struct platform *platform;
	bool only_one; /* FROM: more than one image is an error, before anything is unpacked */
	struct store_work work;
	struct container container;
	struct load_image *images;
	size_t image_count;
	struct load_layer *layers; /* each diff id once */
	size_t layer_count;
};
/* A new image with the configuration given; its layers are to be added. */
struct load_image *load_add_image(struct load *load, struct strbuf *config_text, struct err *err) MUST_CHECK;
/* The next layer of the image. blob NULL: that of the entry. */
int load_add_layer(struct load *load, struct load_image *image, const char *path, const struct digest *blob,
		   int64_t blob_size, struct err *err) MUST_CHECK;
void load_add_name(struct load *load, struct load_image *image, const char *text);
bool load_is_selected(struct load *load, const char *name);
/* Unpacks and publishes the layers (load-layers.c). */
int load_layers(struct load *load, struct err *err) MUST_CHECK;
int load_publish_layers(struct load *load, struct err *err) MUST_CHECK;
int load_oci(struct load *load, struct err *err) MUST_CHECK;
int load_docker(struct load *load, struct err *err) MUST_CHECK;
int load_run(struct store *store, struct arena *arena, const char *path, struct load *options,
	     struct image_loaded **loaded, size_t *count, struct err *err) MUST_CHECK;

/* ---- save ---- */

/* A compressed form of the layer that is in the store, made now if there is none yet. */
int layer_descriptor(struct store *store, struct arena *arena, const struct digest *diff_id, struct descriptor *out,
		     struct err *err) MUST_CHECK;
int manifest_of(struct store *store, struct arena *arena, const struct image *image, struct strbuf *text,
		struct digest *digest, struct err *err) MUST_CHECK;

/* An archive being written: headers are canonical, owners root, times all the same. */
struct archive {
	struct writer *out;
	int64_t mtime;
};
int archive_dir(struct archive *archive, const char *name, struct err *err) MUST_CHECK;
int archive_begin_file(struct archive *archive, const char *name, int64_t size, struct err *err) MUST_CHECK;
int archive_end_file(struct archive *archive, int64_t size, struct err *err) MUST_CHECK;
int archive_text(struct archive *archive, const char *name, const struct strbuf *text, struct err *err) MUST_CHECK;
int archive_end(struct archive *archive, struct err *err) MUST_CHECK;

/* What is saved: every image once, with all names it was asked for. */
struct saved_image {
	struct image image;
	const char **names;
	size_t name_count;
};
struct saved {
	struct saved_image *images;
	size_t count;
};
int saved_collect(struct store *store, struct arena *arena, const struct save_spec *spec, struct saved *saved,
		  struct err *err) MUST_CHECK;
int save_oci(struct store *store, struct arena *arena, const struct save_spec *spec, const struct saved *saved,
	     struct digest *manifest_digest, struct err *err) MUST_CHECK;
int save_docker(struct store *store, struct arena *arena, const struct save_spec *spec, const struct saved *saved,
		struct err *err) MUST_CHECK;

#endif
