/* SPDX-License-Identifier: Apache-2.0 */
#include "build-output.h"
#include "kiln/codec/json.h"
#include "kiln/image/image.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files that tell a script what was built. */

struct report {
	struct arena *arena;
	const struct build_spec *spec;
	const struct build_result *result;
	struct digest manifest;
	size_t manifest_size;
	const char *created;
};

static int write_text(const char *path, const char *text, struct err *err)
{
	if (strcmp(path, "-") == 0)
		return file_write_fd(STDOUT_FILENO, text, strlen(text), "standard output", err);
	scope_fd int fd = file_open_user(path, O_WRONLY | O_CREAT | O_TRUNC, 0644, err);
	return fd < 0 ? -1 : file_write_fd(fd, text, strlen(text), path, err);
}

/* ---- --metadata-file ---- */

static const char *joined_names(const struct report *report)
{
	scope_strbuf struct strbuf text = { 0 };
	for (size_t i = 0; i < report->spec->tag_count; i++)
		strbuf_addf(&text, "%s%s", i ? "," : "", report->spec->tags[i]);
	return arena_strdup(report->arena, strbuf_str(&text));
}

static struct json *describe_manifest(const struct report *report, const char *config)
{
	struct arena *arena = report->arena;
	const struct json *more = report->spec->descriptor_annotations;
	struct json *descriptor = json_object(arena);
	struct json *annotations = more ? json_clone(arena, more) : json_object(arena);
	json_set(arena, annotations, "config.digest", json_str(arena, config));
	json_set(arena, annotations, "org.opencontainers.image.created", json_str(arena, report->created));
	json_sort_keys(annotations);
	json_set(arena, descriptor, "annotations", annotations);
	json_set(arena, descriptor, "digest", json_str(arena, digest_str(arena, &report->manifest)));
	json_set(arena, descriptor, "mediaType", json_str(arena, MEDIA_OCI_MANIFEST));
	json_set(arena, descriptor, "size", json_int(arena, (int64_t)report->manifest_size));
	return descriptor;
}

/* buildx's keys, sorted and indented as it does: those of a builder that keeps records of builds are left out. */
static int write_metadata(const struct report *report, const char *path, struct err *err)
{
	struct arena *arena = report->arena;
	struct json *out = json_object(arena);
	scope_strbuf struct strbuf text = { 0 };
	if (!digest_is_zero(&report->result->image)) {
		const char *config = digest_str(arena, &report->result->image);
		json_set(arena, out, "containerimage.config.digest", json_str(arena, config));
		json_set(arena, out, "containerimage.descriptor", describe_manifest(report, config));
		json_set(arena, out, "containerimage.digest", json_str(arena, digest_str(arena, &report->manifest)));
		if (report->spec->tag_count)
			json_set(arena, out, "image.name", json_str(arena, joined_names(report)));
	}
	json_write_pretty(&text, out);
	return write_text(path, strbuf_str(&text), err);
}

/* ---- kaniko's digest files ---- */

/* NAME[:TAG]@DIGEST, a line for each name. */
static int write_names(const struct report *report, const char *path, bool with_tag, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	const char *digest = digest_str(report->arena, &report->manifest);
	for (size_t i = 0; i < report->spec->tag_count; i++) {
		struct reference reference;
		if (reference_parse(report->arena, report->spec->tags[i], &reference, err) < 0)
			return -1;
		strbuf_addf(&text, "%s/%s%s%s@%s\n", reference.registry, reference.repository, with_tag ? ":" : "",
			    with_tag ? reference.tag : "", digest);
	}
	return write_text(path, strbuf_str(&text), err);
}

/* ---- all ---- */

static const char *const *paths_of(const struct output_options *o, size_t *count)
{
	static const char *paths[6];
	const char *const all[] = { o->iidfile,     o->iidfile_raw,      o->metadata_file,
				    o->digest_file, o->name_digest_file, o->tag_digest_file };
	_Static_assert(ARRAY_LEN(paths) == ARRAY_LEN(all), "one place for each");
	*count = 0;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i])
			paths[(*count)++] = all[i];
	return paths;
}

int build_report_clear(const struct output_options *o, struct err *err)
{
	size_t count;
	const char *const *paths = paths_of(o, &count);
	for (size_t i = 0; i < count; i++) {
		struct stat st;
		if (fstatat(AT_FDCWD, paths[i], &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (unlinkat(AT_FDCWD, paths[i], 0) < 0)
			return err_errno(err, "remove the %s of an earlier build", paths[i]);
	}
	return 0;
}

/* Making a manifest compresses the layers, so it is done only for who asks. */
static int find_manifest(struct store *store, struct report *report, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct image image;
	if (digest_is_zero(&report->result->image))
		return 0;
	if (image_open(store, report->arena, &report->result->image, &image, err) < 0 ||
	    image_manifest(store, report->arena, &report->result->image, &text, &report->manifest, err) < 0)
		return -1;
	report->manifest_size = text.len;
	report->created = image.config.created;
	return 0;
}

int build_report(struct store *store, struct arena *arena, const struct output_options *o,
		 const struct build_spec *spec, const struct build_result *result, struct err *err)
{
	struct report report = { .arena = arena, .spec = spec, .result = result };
	const char *id = digest_str(arena, &result->image);
	if (o->iidfile && write_text(o->iidfile, id, err) < 0)
		return -1;
	if (o->iidfile_raw && write_text(o->iidfile_raw, strchr(id, ':') + 1, err) < 0)
		return -1;
	if (!o->metadata_file && !o->digest_file && !o->name_digest_file && !o->tag_digest_file)
		return 0;
	if (find_manifest(store, &report, err) < 0)
		return -1;
	if (o->metadata_file && write_metadata(&report, o->metadata_file, err) < 0)
		return -1;
	if (o->digest_file && write_text(o->digest_file, digest_str(arena, &report.manifest), err) < 0)
		return -1;
	if (o->name_digest_file && write_names(&report, o->name_digest_file, false, err) < 0)
		return -1;
	return o->tag_digest_file ? write_names(&report, o->tag_digest_file, true, err) : 0;
}
