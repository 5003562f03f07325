/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_OCI_IMAGE_H
#define KILN_OCI_IMAGE_H

#include "kiln/base/arena.h"
#include "kiln/codec/digest.h"
#include "kiln/codec/json.h"

#include <stddef.h>
#include <stdint.h>

/* Image-spec and Docker v2s2 types as tables (oci/manifest.c, config.c). Pure. Limits: documents of at most 4 MiB, 1,000
   layers. */

#define MEDIA_OCI_INDEX         "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_MANIFEST      "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_CONFIG        "application/vnd.oci.image.config.v1+json"
#define MEDIA_OCI_LAYER         "application/vnd.oci.image.layer.v1.tar"
#define MEDIA_OCI_LAYER_GZIP    "application/vnd.oci.image.layer.v1.tar+gzip"
#define MEDIA_OCI_LAYER_ZSTD    "application/vnd.oci.image.layer.v1.tar+zstd"
#define MEDIA_DOCKER_INDEX      "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_MANIFEST   "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_CONFIG     "application/vnd.docker.container.image.v1+json"
#define MEDIA_DOCKER_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"
#define MEDIA_DOCKER_LAYER      "application/vnd.docker.image.rootfs.diff.tar"

#define ANNOTATION_REF_NAME        "org.opencontainers.image.ref.name"
#define ANNOTATION_CONTAINERD_NAME "io.containerd.image.name"
#define ANNOTATION_BASE_DIGEST     "org.opencontainers.image.base.digest"
#define ANNOTATION_BASE_NAME       "org.opencontainers.image.base.name"

enum { OCI_DOCUMENT_MAX = 4 << 20, OCI_LAYERS_MAX = 1000 };

struct platform {
	const char *os, *architecture, *variant, *os_version; /* NULL if absent */
};
/* What this machine runs: linux and GOARCH words (amd64, arm64/v8, arm/v7, 386, ppc64le, s390x, riscv64). */
struct platform platform_host(void);
/* "linux/arm64/v8", "arm64", "linux(10.0)/amd64": normalised as containerd's platforms package. */
int platform_parse(struct arena *arena, const char *text, struct platform *out, struct err *err) MUST_CHECK;
/* --platform "linux/amd64,local": adds to the list what is not in it yet; "local" is this machine. */
int platform_parse_list(struct arena *arena, const char *text, struct platform **list, size_t *count,
			struct err *err) MUST_CHECK;
char *platform_text(struct arena *arena, const struct platform *platform);
/* Score of how well candidate runs on want: 0 no, higher is better (registry.md 1.9). */
int platform_match(const struct platform *want, const struct platform *candidate);
/* Of an index entry's "platform" (NULL: all members NULL), and the other way. */
void platform_of(const struct json *object, struct platform *out);
struct json *platform_json(struct arena *arena, const struct platform *platform);

struct descriptor {
	const char *media_type;
	const char *digest; /* validated by the reader of the document */
	int64_t size;
	struct json *annotations;  /* object or NULL */
	struct json *platform_raw; /* index entries */
	const char *artifact_type;
};

struct manifest {
	int64_t schema_version;
	const char *media_type;
	struct descriptor config;
	struct descriptor *layers;
	size_t layer_count;
	struct json *annotations;
};

struct index {
	int64_t schema_version;
	const char *media_type;
	struct descriptor *manifests;
	size_t manifest_count;
	struct json *annotations;
};

/* Both verify: schemaVersion 2, digests well-formed, sizes >= 0, media type agreeing with content_type if that is not NULL,
   no document that is both (CVE-2021-41190). */
int manifest_read(struct arena *arena, const char *text, size_t len, const char *content_type, struct manifest *out,
		  struct err *err) MUST_CHECK;
int index_read(struct arena *arena, const char *text, size_t len, const char *content_type, struct index *out,
	       struct err *err) MUST_CHECK;
/* Compact JSON, table order, mediaType always present. */
void manifest_write(struct arena *arena, struct strbuf *buf, const struct manifest *manifest);
void index_write(struct arena *arena, struct strbuf *buf, const struct index *index);

struct history {
	const char *created; /* RFC 3339 or NULL */
	const char *created_by;
	const char *comment;
	const char *author;
	bool empty_layer;
};

struct healthcheck {
	const char **test;
	size_t test_count;
	int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns, retries;
};

/*
 * The image configuration, to read and to derive from. Members that kiln does not know are kept (raw, config_raw) and
 * written again after the known ones; moby.buildkit.cache.v0 and moby.buildkit.buildinfo.v1 are dropped.
 */
struct image_config {
	const char *created;
	const char *author;
	struct platform platform;
	struct json *os_features;

	/* "config": */
	const char *user;
	struct json *exposed_ports; /* object of {} or NULL; likewise volumes */
	struct json *volumes;
	const char **env; /* K=V */
	size_t env_count;
	const char **entrypoint; /* NULL: null; count 0 with non-NULL pointer: [] */
	size_t entrypoint_count;
	const char **cmd;
	size_t cmd_count;
	const char *working_dir;
	struct json *labels;
	const char *stop_signal;
	bool args_escaped;
	struct healthcheck *healthcheck;
	const char **on_build;
	size_t on_build_count;
	const char **shell;
	size_t shell_count;
	struct json *config_raw; /* the base's "config" object with what is above taken out, or NULL */

	const char **diff_ids; /* "sha256:..." */
	size_t diff_id_count;
	struct history *history;
	size_t history_count;
	struct json *raw; /* the base's top level with what is above taken out, or NULL */
};

/* Reads the configuration of an image. Env entries without '=' or with an empty name or a NUL are dropped (*dropped counts
   them; security.md 1C CVE-2026-57231). Bases with missing history are tolerated; more non-empty history entries
   than diff_ids is tolerated as BuildKit does (forced empty from the bottom). A mismatch of types is ERR_INPUT. */
int image_config_read(struct arena *arena, const char *text, size_t len, struct image_config *out, size_t *dropped,
		      struct err *err) MUST_CHECK;
/* Members as BuildKit orders them (top level by the alphabet, inside as Go's structs: oci/config.c), maps sorted; the
   same struct gives the same bytes. */
void image_config_write(struct arena *arena, struct strbuf *buf, const struct image_config *config);
/* A deep enough copy to change without touching the original's arrays. Its arrays, and those of image_config_read, may be
   grown with ARENA_PUSH. */
struct image_config *image_config_clone(struct arena *arena, const struct image_config *config);
/* scratch for a platform: WorkingDir "/", Env PATH (docker's default). */
struct image_config *image_config_scratch(struct arena *arena, const struct platform *platform);
#define IMAGE_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const char *image_env_get(const struct image_config *config, const char *key); /* value, or NULL */
void image_env_set(struct arena *arena, struct image_config *config, const char *key, const char *value);
void image_history_add(struct arena *arena, struct image_config *config, const struct history *entry);

/* chain id of layers 0..count-1 (registry.md 3.2). */
void chain_id(const struct digest *diff_ids, size_t count, struct digest *out);

#endif
