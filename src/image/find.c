/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kiln/base/text.h"

#include "internal.h"

int image_open(struct store *store, struct arena *arena, const struct digest *config, struct image *out,
	       struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct image image = { .id = *config };
	char id[DIGEST_TEXT + 1];
	size_t dropped;

	digest_text(config, id);
	if (store_image_get(store, arena, config, &image.record, err) < 0 ||
	    store_blob_read(store, config, OCI_DOCUMENT_MAX, &text, err) < 0 ||
	    image_config_read(arena, strbuf_str(&text), text.len, &image.config, &dropped, err) < 0)
		return err_wrap(err, "image %s", id);
	if (image.config.diff_id_count != image.record.diff_id_count)
		return err_set(err, ERR_CORRUPT, "image %s: its record in the store %s is damaged", id,
			       store_path(store));
	image.config_text = arena_strndup(arena, strbuf_str(&text), text.len);
	image.config_len = text.len;
	image.diff_ids = image.record.diff_ids;
	image.diff_id_count = image.record.diff_id_count;
	*out = image;
	return 0;
}

int image_open_stack(struct store *store, const struct digest *diff_ids, size_t count, int *fds, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		fds[i] = store_layer_open(store, &diff_ids[count - 1 - i], err);
		if (fds[i] >= 0)
			continue;
		while (i-- > 0)
			scope_close_fd(&fds[i]);
		return -1;
	}
	return 0;
}

/* ---- finding ---- */

/* NAME@DIGEST: the digest is that of the manifest, and of what has the digest there is only one. */
static int find_by_manifest(struct store *store, struct arena *arena, const char *digest_text, struct digest *config,
			    struct err *err)
{
	struct store_name *names;
	struct image_record record;
	struct digest manifest;
	size_t count;

	if (digest_parse(&manifest, digest_text, err) < 0 || store_names(store, arena, &names, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (store_image_get(store, arena, &names[i].config, &record, NULL) < 0 ||
		    !digest_equal(&record.manifest, &manifest))
			continue;
		*config = record.config;
		return 0;
	}
	return err_set(err, ERR_NOT_FOUND, "no image with the manifest %s", digest_text);
}

/* 0 found, 1 no such name, -1. */
static int find_by_name(struct store *store, struct arena *arena, const char *text, struct digest *config,
			struct err *err)
{
	struct reference reference;
	struct err cause = { 0 };
	int result;

	if (reference_parse(arena, text, &reference, NULL) < 0)
		return 1;
	if (reference.digest)
		result = find_by_manifest(store, arena, reference.digest, config, &cause);
	else
		result = store_name_get(store, reference_text(arena, &reference), config, &cause);
	if (result == 0)
		return 0;
	return cause.kind == ERR_NOT_FOUND ? 1 : err_status(err, cause.kind, cause.sys, "%s", cause.msg);
}

static bool is_id(const char *text)
{
	size_t len = strlen(text);

	return len >= 4 && len <= DIGEST_HEX && strspn(text, "0123456789abcdef") == len;
}

int image_find(struct store *store, struct arena *arena, const char *text, struct image *out, struct err *err)
{
	const char *hex = text_starts(text, "sha256:") ? text + strlen("sha256:") : text;
	struct digest config;
	struct err cause;
	char shown[256];
	int found = find_by_name(store, arena, text, &config, err);

	if (found < 0)
		return -1;
	if (found == 0)
		return image_open(store, arena, &config, out, err);
	if (is_id(hex) && store_image_by_prefix(store, hex, &config, &cause) == 0)
		return image_open(store, arena, &config, out, err);
	if (is_id(hex) && cause.kind != ERR_NOT_FOUND)
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	return err_set(err, ERR_NOT_FOUND,
		       "image \"%s\" is not in the store: see `kiln images`, or bring one in with `kiln load` or `kiln "
		       "import`",
		       err_printable(shown, sizeof(shown), text));
}

/* ---- FROM ---- */

static int from_name(struct store *store, struct arena *arena, const char *text, struct image *out, struct err *err)
{
	struct err cause = { 0 };
	char shown[256];

	if (image_find(store, arena, text, out, &cause) == 0)
		return 0;
	if (cause.kind != ERR_NOT_FOUND)
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	err_printable(shown, sizeof(shown), text);
	return err_set(
		err, ERR_NOT_FOUND,
		"image %s is not in the store, and this version of kiln does not fetch from registries: `skopeo copy "
		"docker://%s oci-archive:FILE` and `kiln load -i FILE` bring it in (docker save and podman save write "
		"files "
		"that load reads too), `kiln import DIR NAME` makes one of a root file system, and FROM takes "
		"oci:DIR, oci-archive:FILE and docker-archive:FILE directly",
		shown, shown);
}

static int from_transport(struct store *store, struct arena *arena, const struct image_source *source,
			  const struct platform *platform, struct image *out, struct err *err)
{
	struct load options = { .selector = source->selector, .platform = platform, .only_one = true };
	struct image_loaded *loaded;
	size_t count;

	if (load_run(store, arena, source->path, &options, &loaded, &count, err) < 0)
		return -1;
	return image_open(store, arena, &loaded[0].id, out, err);
}

int image_from(struct store *store, struct arena *arena, const char *text, const struct platform *platform,
	       struct image *out, struct err *err)
{
	struct image_source source;

	/* "sha256:..." and short ids are no names, but docker takes them. */
	if (image_source_parse(arena, text, &source, NULL) == 0 && source.transport != TRANSPORT_NAME)
		return from_transport(store, arena, &source, platform, out, err);
	return from_name(store, arena, text, out, err);
}
