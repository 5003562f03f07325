/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_IMAGE_IMAGE_H
#define KILN_IMAGE_IMAGE_H

#include "kiln/base/arena.h"
#include "kiln/base/strbuf.h"
#include "kiln/codec/digest.h"
#include "kiln/oci/image.h"
#include "kiln/oci/reference.h"
#include "kiln/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whole images: finding, loading, importing, committing, saving. Everything that makes or removes trees runs inside the user
   namespace. */

struct image {
	struct digest id; /* of the configuration */
	struct image_config config;
	const char *config_text; /* its bytes */
	size_t config_len;
	struct digest *diff_ids; /* bottom first */
	size_t diff_id_count;
	struct image_record record;
};

/* By name, by id ("sha256:...", a unique prefix of at least 4 hex digits): docker's rules, name first. ERR_NOT_FOUND: image "x" is not in the
   store; see `kiln images`, or `kiln import`/`kiln load` one. */
int image_find(struct store *store, struct arena *arena, const char *text, struct image *out,
	       struct err *err) MUST_CHECK;
int image_open(struct store *store, struct arena *arena, const struct digest *config, struct image *out,
	       struct err *err) MUST_CHECK;
/* FROM's and COPY --from's argument: a name, or a transport (loaded into the store on the way, content-addressed, without a name). */
int image_from(struct store *store, struct arena *arena, const char *text, const struct platform *platform,
	       struct image *out, struct err *err) MUST_CHECK;

/* Writes configuration and record of an image whose layers are in the store. name may be NULL. */
int image_commit(struct store *store, struct arena *arena, const struct image_config *config, const char *const *names,
		 size_t name_count, struct digest *id, struct err *err) MUST_CHECK;

/* One layer from a tar stream in any compression (blob_digest NULL: not verified) into the store as layer tree:
   hash, inflate, hash, apply. keep_blob: the compressed bytes are kept as a blob and noted in the layer's info (so that they leave again as
   they came). expected_diff_id NULL: not known. Layers with canonical bytes are given no recipe here. */
struct layer_source {
	struct reader *reader; /* borrowed */
	const struct digest *blob_digest;
	int64_t blob_size;      /* -1 unknown */
	const char *media_type; /* NULL: by magic */
	const struct digest *expected_diff_id;
	const char *name;  /* for messages */
	const int *lowers; /* trees below, topmost first, for layers that lean on them (layer/apply.h); may be NULL */
	size_t lower_count;
};
int image_unpack_layer(struct store *store, const struct layer_source *source, struct digest *diff_id,
		       struct err *err) MUST_CHECK;

struct image_loaded {
	struct digest id;
	const char **names; /* canonical */
	size_t name_count;
};
/* oci-archive, oci layout directory, docker-archive, each plain, gzip or zstd outside; from a path, or "-" = stdin. Layers are unpacked before any name is
   set. selector (a tag or name in it) may be NULL: all images. set_names: names in the archive become names in the store. */
int image_load(struct store *store, struct arena *arena, const char *path, const char *selector, bool set_names,
	       const struct platform *platform, struct image_loaded **loaded, size_t *count,
	       struct err *err) MUST_CHECK;

/* A root file system as a one-layer image: tar (any compression), directory, or "-". changes are Dockerfile instructions
   (CMD ENTRYPOINT ENV EXPOSE LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR) applied to the configuration by the caller: config is given whole. A directory is
   read through its own owner's eyes (files of other ids than the caller's mapped ones are an error naming the file).
   The layer is canonical whatever the tar or directory was, and has a recipe; no blob is kept. epoch (INT64_MIN: now) is
   "created", in the configuration and in one history entry with this comment (NULL: "Imported from -", docker's words);
   with one, later times in the layer become it. */
int image_import(struct store *store, struct arena *arena, const char *path, struct image_config *config, int64_t epoch,
		 const char *comment, const char *name, struct digest *id, struct err *err) MUST_CHECK;

enum save_format { SAVE_OCI_ARCHIVE, SAVE_OCI_DIR, SAVE_DOCKER_ARCHIVE };
struct save_spec {
	enum save_format format;
	const struct digest *images;
	const char *const *names; /* per image, canonical, may be NULL; ":TAG": in a layout, its entry's tag alone */
	size_t count;
	int out_fd;                                /* archives */
	const char *out_path;                      /* SAVE_OCI_DIR: created or added to */
	int64_t epoch;                             /* mtimes in the archive; INT64_MIN: 0 */
	const struct json *descriptor_annotations; /* more, for each entry of index.json; may be NULL */
};
/* Layers leave as the blobs that they came as, if they came compressed, else as kiln's canonical gzip, made once and remembered. Archives are the hybrid of
   registry.md 3.8 (oci-layout, index.json, manifest.json, blobs/sha256/..., sorted, uncompressed outside); docker-archive holds plain
   layer tars for `docker load` of any age. manifest_digest (may be NULL) is that of the last image. */
int image_save(struct store *store, struct arena *arena, const struct save_spec *spec, struct digest *manifest_digest,
	       struct err *err) MUST_CHECK;
/* The manifest of an image as it would be saved (making its gzip blobs if needed). */
int image_manifest(struct store *store, struct arena *arena, const struct digest *id, struct strbuf *text,
		   struct digest *digest, struct err *err) MUST_CHECK;

/* The image's manifest is from now on one with these annotations (an object with sorted keys; NULL: none). Costs nothing if
   it is so already, or if there is no manifest yet and no annotation. */
int image_annotate(struct store *store, struct arena *arena, const struct digest *id, struct json *annotations,
		   struct err *err) MUST_CHECK;

/* Opens the layer trees of an image, topmost first, for a view. fds are the caller's. */
int image_open_stack(struct store *store, const struct digest *diff_ids, size_t count, int *fds,
		     struct err *err) MUST_CHECK;

#endif
