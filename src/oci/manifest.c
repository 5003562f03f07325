/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/oci/image.h"

static const struct json_field descriptor_fields[] = {
	JSON_STRING(struct descriptor, "mediaType", media_type, JSON_REQUIRED),
	JSON_STRING(struct descriptor, "digest", digest, JSON_REQUIRED),
	JSON_INTEGER(struct descriptor, "size", size, JSON_REQUIRED),
	JSON_VALUE(struct descriptor, "annotations", annotations, JSON_OMIT_EMPTY),
	JSON_VALUE(struct descriptor, "platform", platform_raw, JSON_OMIT_EMPTY),
	JSON_STRING(struct descriptor, "artifactType", artifact_type, JSON_OMIT_EMPTY),
	JSON_END,
};

static const struct json_field manifest_fields[] = {
	JSON_INTEGER(struct manifest, "schemaVersion", schema_version, JSON_REQUIRED),
	JSON_STRING(struct manifest, "mediaType", media_type, JSON_OMIT_EMPTY),
	JSON_STRUCT(struct manifest, "config", config, descriptor_fields, JSON_REQUIRED),
	JSON_STRUCTS(struct manifest, "layers", layers, layer_count, descriptor_fields, JSON_REQUIRED),
	JSON_VALUE(struct manifest, "annotations", annotations, JSON_OMIT_EMPTY),
	JSON_END,
};

static const struct json_field index_fields[] = {
	JSON_INTEGER(struct index, "schemaVersion", schema_version, JSON_REQUIRED),
	JSON_STRING(struct index, "mediaType", media_type, JSON_OMIT_EMPTY),
	JSON_STRUCTS(struct index, "manifests", manifests, manifest_count, descriptor_fields, JSON_REQUIRED),
	JSON_VALUE(struct index, "annotations", annotations, JSON_OMIT_EMPTY),
	JSON_END,
};

/* What a kind of document may call itself, and the members that only the other kind has. */
struct document_kind {
	const char *name;
	const char *oci_type, *docker_type;
	const char *const *foreign;
};

static const char *const not_in_manifest[] = { "manifests", "fsLayers", NULL };
static const char *const not_in_index[] = { "layers", "config", "fsLayers", NULL };
static const struct document_kind manifest_kind = { "manifest", MEDIA_OCI_MANIFEST, MEDIA_DOCKER_MANIFEST,
						    not_in_manifest };
static const struct document_kind index_kind = { "index", MEDIA_OCI_INDEX, MEDIA_DOCKER_INDEX, not_in_index };

static struct json *parse_document(struct arena *arena, const char *text, size_t len, const struct document_kind *kind,
				   struct err *err)
{
	struct json *document;

	if (len > OCI_DOCUMENT_MAX) {
		err_set(err, ERR_INPUT, "the %s is larger than %d bytes", kind->name, OCI_DOCUMENT_MAX);
		return NULL;
	}
	document = json_parse(arena, text, len, err);
	if (!document) {
		err_wrap(err, "%s", kind->name);
		return NULL;
	}
	if (document->type != JSON_OBJECT) {
		err_set(err, ERR_INPUT, "the %s is not a JSON object", kind->name);
		return NULL;
	}
	/* The same bytes could be read as an index by one tool and as a manifest by another (CVE-2021-41190). */
	for (const char *const *member = kind->foreign; *member; member++) {
		if (json_get(document, *member)) {
			err_set(err, ERR_INPUT, "the %s has a member \"%s\", which belongs to another kind of document",
				kind->name, *member);
			return NULL;
		}
	}
	return document;
}

static size_t media_type_len(const char *text)
{
	return strcspn(text, "; \t");
}

static bool media_type_equal(const char *a, const char *b)
{
	size_t len = media_type_len(a);

	return len == media_type_len(b) && memcmp(a, b, len) == 0;
}

/* The document's own type rules; without one, that of the transfer; without any, it is the OCI one. */
static int check_media_type(struct arena *arena, const struct document_kind *kind, const char *content_type,
			    const char **media_type, struct err *err)
{
	const char *type = *media_type && **media_type ? *media_type : content_type;
	char shown[160];

	if (!type)
		type = kind->oci_type;
	if (!media_type_equal(type, kind->oci_type) && !media_type_equal(type, kind->docker_type))
		return err_set(err, ERR_INPUT, "\"%s\" is not the media type of an %s",
			       err_printable(shown, sizeof(shown), type),
			       kind == &index_kind ? "image index" : "image manifest");
	if (content_type && !media_type_equal(type, content_type))
		return err_set(err, ERR_INPUT, "the %s says \"%s\" of itself but was given as \"%s\"", kind->name, type,
			       err_printable(shown, sizeof(shown), content_type));
	*media_type = arena_strndup(arena, type, media_type_len(type));
	return 0;
}

static int check_schema_version(int64_t version, const struct document_kind *kind, struct err *err)
{
	if (version == 1)
		return err_set(err, ERR_UNSUPPORTED, "the %s has the old schema version 1, which kiln does not read",
			       kind->name);
	if (version != 2)
		return err_set(err, ERR_INPUT, "the %s has schema version %lld, not 2", kind->name, (long long)version);
	return 0;
}

static int check_descriptor(const struct descriptor *descriptor, struct err *err)
{
	struct digest digest;

	if (digest_parse(&digest, descriptor->digest, err) < 0)
		return -1;
	if (descriptor->size < 0)
		return err_set(err, ERR_INPUT, "%s: its size is %lld", descriptor->digest, (long long)descriptor->size);
	if (descriptor->annotations && descriptor->annotations->type != JSON_OBJECT)
		return err_set(err, ERR_INPUT, "%s: \"annotations\" is not an object", descriptor->digest);
	if (descriptor->platform_raw && descriptor->platform_raw->type != JSON_OBJECT)
		return err_set(err, ERR_INPUT, "%s: \"platform\" is not an object", descriptor->digest);
	return 0;
}

static int check_descriptors(const struct descriptor *descriptors, size_t count, const char *member, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		if (check_descriptor(&descriptors[i], err) < 0)
			return err_wrap(err, "\"%s\" %zu", member, i);
	}
	return 0;
}

int manifest_read(struct arena *arena, const char *text, size_t len, const char *content_type, struct manifest *out,
		  struct err *err)
{
	struct manifest manifest = { 0 };
	struct json *document = parse_document(arena, text, len, &manifest_kind, err);

	if (!document)
		return -1;
	/* Schema 1 has no "config", and its reader deserves to be told what the matter is. */
	if (check_schema_version(json_get_int(document, "schemaVersion", 2), &manifest_kind, err) < 0)
		return -1;
	if (json_read(arena, document, manifest_fields, &manifest, err) < 0)
		return err_wrap(err, "manifest");
	if (check_media_type(arena, &manifest_kind, content_type, &manifest.media_type, err) < 0)
		return -1;
	if (manifest.layer_count > OCI_LAYERS_MAX)
		return err_set(err, ERR_INPUT, "the manifest has %zu layers; at most %d are allowed",
			       manifest.layer_count, OCI_LAYERS_MAX);
	if (check_descriptor(&manifest.config, err) < 0)
		return err_wrap(err, "manifest: \"config\"");
	if (check_descriptors(manifest.layers, manifest.layer_count, "layers", err) < 0)
		return err_wrap(err, "manifest");
	*out = manifest;
	return 0;
}

int index_read(struct arena *arena, const char *text, size_t len, const char *content_type, struct index *out,
	       struct err *err)
{
	struct index index = { 0 };
	struct json *document = parse_document(arena, text, len, &index_kind, err);

	if (!document)
		return -1;
	if (check_schema_version(json_get_int(document, "schemaVersion", 2), &index_kind, err) < 0)
		return -1;
	if (json_read(arena, document, index_fields, &index, err) < 0)
		return err_wrap(err, "index");
	if (check_media_type(arena, &index_kind, content_type, &index.media_type, err) < 0)
		return -1;
	if (check_descriptors(index.manifests, index.manifest_count, "manifests", err) < 0)
		return err_wrap(err, "index");
	*out = index;
	return 0;
}

void manifest_write(struct arena *arena, struct strbuf *buf, const struct manifest *manifest)
{
	struct manifest whole = *manifest;

	whole.schema_version = 2;
	if (!whole.media_type)
		whole.media_type = MEDIA_OCI_MANIFEST;
	json_write(buf, json_build(arena, manifest_fields, &whole));
}

void index_write(struct arena *arena, struct strbuf *buf, const struct index *index)
{
	struct index whole = *index;

	whole.schema_version = 2;
	if (!whole.media_type)
		whole.media_type = MEDIA_OCI_INDEX;
	json_write(buf, json_build(arena, index_fields, &whole));
}

void chain_id(const struct digest *diff_ids, size_t count, struct digest *out)
{
	char text[2 * DIGEST_TEXT + 2];

	*out = (struct digest){ 0 };
	if (count > 0)
		*out = diff_ids[0];
	for (size_t i = 1; i < count; i++) {
		digest_text(out, text);
		text[DIGEST_TEXT] = ' ';
		digest_text(&diff_ids[i], text + DIGEST_TEXT + 1);
		digest_bytes(out, text, 2 * DIGEST_TEXT + 1);
	}
}
