/* SPDX-License-Identifier: Apache-2.0 */
#include "build-output.h"
#include "kiln/oci/reference.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -t, -o and --annotation, by buildx's util/buildflags/export.go and build/opt.go: the same grammar, and its words where
   the mistake is the same. */

static const struct {
	const char *name;
	enum build_output_type type;
} types[] = {
	{ "oci", BUILD_OUTPUT_OCI }, { "docker", BUILD_OUTPUT_DOCKER }, { "local", BUILD_OUTPUT_LOCAL },
	{ "tar", BUILD_OUTPUT_TAR }, { "image", BUILD_OUTPUT_IMAGE },   { "cacheonly", BUILD_OUTPUT_NONE },
};

/* One -o while it is read. */
struct reading {
	struct arena *arena;
	struct output_options *o;
	const char *text;
	struct build_output output;
	bool has_type, is_directory;
};

/* ---- attributes ---- */

static int no_push(const char *what, struct err *err)
{
	return err_set(
		err, ERR_UNSUPPORTED,
		"%s: this version of kiln does not push. Write an archive with -o type=oci,dest=FILE and copy it to "
		"the registry with `skopeo copy oci-archive:FILE docker://NAME`",
		what);
}

static int take_type(struct reading *reading, const char *value, struct err *err)
{
	const char *names[ARRAY_LEN(types)];
	if (strcmp(value, "registry") == 0)
		return no_push("--output type=registry", err);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		names[i] = types[i].name;
		if (strcmp(value, names[i]) == 0) {
			reading->output.type = types[i].type;
			reading->has_type = true;
			return 0;
		}
	}
	const char *nearest = text_nearest(value, names, ARRAY_LEN(names));
	return err_set(err, ERR_USAGE, "unknown output type \"%s\": oci, docker, local, tar, image or cacheonly%s%s%s",
		       value, nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}

static int take_dest(struct reading *reading, const char *value, struct err *err)
{
	(void)err;
	reading->output.dest = value;
	return 0;
}

static int take_bool(const struct reading *reading, const char *value, bool *out, struct err *err)
{
	if (!text_equal_nocase(value, "true") && !text_equal_nocase(value, "false") && strcmp(value, "1") != 0 &&
	    strcmp(value, "0") != 0)
		return err_set(err, ERR_USAGE, "--output %s: \"%s\" is neither true nor false", reading->text, value);
	*out = text_equal_nocase(value, "true") || strcmp(value, "1") == 0;
	return 0;
}

static int take_tar(struct reading *reading, const char *value, struct err *err)
{
	bool is_tar;
	if (take_bool(reading, value, &is_tar, err) < 0)
		return -1;
	reading->is_directory = !is_tar;
	return 0;
}

static int take_push(struct reading *reading, const char *value, struct err *err)
{
	bool push;
	if (take_bool(reading, value, &push, err) < 0)
		return -1;
	return push ? no_push("--output push=true", err) : 0;
}

static int take_mode(struct reading *reading, const char *value, struct err *err)
{
	if (strcmp(value, "copy") != 0 && strcmp(value, "delete") != 0)
		return err_set(err, ERR_USAGE, "--output %s: the mode is copy or delete", reading->text);
	reading->output.is_mirror = strcmp(value, "delete") == 0;
	return 0;
}

static int take_epoch(struct reading *reading, const char *value, struct err *err)
{
	if (reading->o->epoch && strcmp(reading->o->epoch, value) != 0)
		return err_set(err, ERR_USAGE, "--output: two different source-date-epoch: %s and %s",
			       reading->o->epoch, value);
	reading->o->epoch = value;
	return 0;
}

/* Several are one field of the CSV: type=image,"name=a,b". */
static int take_name(struct reading *reading, const char *value, struct err *err)
{
	const char **names = NULL;
	size_t count = 0;
	for (const char *at = value; *value; at++) {
		size_t len = strcspn(at, ",");
		const char *name = canonical_name(reading->arena, arena_strndup(reading->arena, at, len), err);
		if (!name)
			return err->kind = ERR_USAGE, err_wrap(err, "--output %s", reading->text);
		*ARENA_PUSH(reading->arena, names, count) = name;
		at += len;
		if (!*at)
			break;
	}
	reading->output.names = names;
	reading->output.name_count = count;
	return 0;
}

static const struct {
	const char *name;
	int (*take)(struct reading *reading, const char *value, struct err *err);
} attributes[] = {
	{ "type", take_type },
	{ "dest", take_dest },
	{ "tar", take_tar },
	{ "push", take_push },
	{ "mode", take_mode },
	{ "name", take_name },
	{ "source-date-epoch", take_epoch },
};

/* What kiln does anyway, or never: other values are refused, or (NULL: every value) mean nothing here. */
static const struct {
	const char *name, *value, *why;
} fixed_attributes[] = {
	{ "compression", "gzip", "layers leave kiln as gzip" },
	{ "compression-level", NULL, NULL },
	{ "force-compression", "false", "layers that came compressed leave as they came" },
	{ "oci-mediatypes", "true", "kiln writes OCI manifests; `skopeo copy --format v2s2` converts" },
	{ "oci-artifact", NULL, NULL },
	{ "attestation-inline", NULL, NULL },
	{ "attestation-prefix", NULL, NULL },
	{ "rewrite-timestamp", NULL, NULL },
	{ "prefer-nondist-layers", "false", "kiln knows no non-distributable layers" },
	{ "platform-split", "false", "there is one platform, so there is no folder for each" },
	{ "store", "true", "an image is always kept in the store" },
	{ "unpack", NULL, NULL },
	{ "dangling-name-prefix", NULL, NULL },
	{ "name-canonical", NULL, NULL },
	{ "push-by-digest", "false", "this version of kiln does not push" },
	{ "registry.insecure", NULL, NULL },
};

static int take_fixed(const struct reading *reading, const char *key, const char *value, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(fixed_attributes); i++) {
		if (strcmp(key, fixed_attributes[i].name) != 0)
			continue;
		const char *wanted = fixed_attributes[i].value;
		if (!wanted || text_equal_nocase(value, wanted))
			return 0;
		return err_set(err, ERR_UNSUPPORTED, "--output %s: %s=%s is not to be had: %s", reading->text, key,
			       value, fixed_attributes[i].why);
	}
	return err_set(err, ERR_USAGE, "unknown attribute \"%s\" in --output %s", key, reading->text);
}

static int take_field(struct reading *reading, char *field, struct err *err)
{
	const char *key, *value;
	if (!split_pair(reading->arena, field, &key, &value))
		return err_set(err, ERR_USAGE, "invalid value %s in --output: it must be KEY=VALUE", field);
	for (char *c = field; *c && *c != '='; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	field += strspn(field, " \t");
	size_t len = strcspn(field, "=");
	while (len > 0 && strchr(" \t", field[len - 1]))
		len--;
	key = arena_strndup(reading->arena, field, len);
	int added = annotation_parse_attribute(reading->arena, key, value, &reading->o->annotated, err);
	if (added != 0)
		return added < 0 ? -1 : 0;
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		if (strcmp(key, attributes[i].name) == 0)
			return attributes[i].take(reading, value, err);
	return take_fixed(reading, key, value, err);
}

/* ---- one output ---- */

static bool is_dir_type(enum build_output_type type)
{
	return type == BUILD_OUTPUT_LOCAL || type == BUILD_OUTPUT_OCI_DIR;
}

static int check_dest(const struct reading *reading, struct err *err)
{
	const struct build_output *output = &reading->output;
	struct stat st;
	if (is_dir_type(output->type) && !output->dest)
		return err_set(err, ERR_USAGE, "--output %s: dest is required", reading->text);
	if (is_dir_type(output->type) && strcmp(output->dest, "-") == 0)
		return err_set(err, ERR_USAGE, "--output %s: dest cannot be stdout", reading->text);
	if (strcmp(output->dest, "-") == 0)
		return isatty(STDOUT_FILENO) ? err_set(err, ERR_USAGE,
						       "--output %s: refusing to write an archive to a terminal: give "
						       "a file with dest",
						       reading->text)
					     : 0;
	if (fstatat(AT_FDCWD, output->dest, &st, 0) < 0)
		return 0;
	if (is_dir_type(output->type) && !S_ISDIR(st.st_mode))
		return err_set(err, ERR_USAGE, "--output %s: %s is not a directory", reading->text, output->dest);
	if (!is_dir_type(output->type) && S_ISDIR(st.st_mode))
		return err_set(err, ERR_USAGE, "--output %s: %s is a directory", reading->text, output->dest);
	return 0;
}

static int settle(struct reading *reading, struct err *err)
{
	struct build_output *output = &reading->output;
	if (!reading->has_type)
		return err_set(err, ERR_USAGE, "--output %s: type is required", reading->text);
	if (output->type == BUILD_OUTPUT_OCI && reading->is_directory)
		output->type = BUILD_OUTPUT_OCI_DIR;
	/* docker's own store is where `type=docker` without a file goes. */
	if (output->type == BUILD_OUTPUT_DOCKER && !output->dest)
		output->type = BUILD_OUTPUT_IMAGE;
	if (output->type == BUILD_OUTPUT_IMAGE || output->type == BUILD_OUTPUT_NONE) {
		output->dest = NULL;
		return 0;
	}
	if (!output->dest && !is_dir_type(output->type))
		output->dest = "-";
	return check_dest(reading, err);
}

/* "type=oci,dest=x.tar", a bare DIR (local), or "-" (tar on standard output). */
static int parse_output(struct arena *arena, struct output_options *o, const char *text, struct err *err)
{
	struct reading reading = { .arena = arena, .o = o, .text = text };
	const char **fields;
	size_t count;
	if (csv_fields(arena, text, &fields, &count, err) < 0)
		return err_wrap(err, "--output %s", text);
	if (count == 1 && strcmp(fields[0], text) == 0 && !text_starts(text, "type=") && !strchr(text, '=')) {
		reading.output.type = strcmp(text, "-") == 0 ? BUILD_OUTPUT_TAR : BUILD_OUTPUT_LOCAL;
		reading.output.dest = text;
		reading.has_type = true;
	} else {
		for (size_t i = 0; i < count; i++)
			if (take_field(&reading, arena_strdup(arena, fields[i]), err) < 0)
				return -1;
	}
	if (settle(&reading, err) < 0)
		return -1;
	*ARENA_PUSH(arena, o->list, o->count) = reading.output;
	return 0;
}

/* ---- all of them ---- */

static void add_simple(struct arena *arena, struct output_options *o, enum build_output_type type, const char *dest,
		       const char *name)
{
	struct build_output *output = ARENA_PUSH(arena, o->list, o->count);
	*output = (struct build_output){ .type = type, .dest = dest };
	if (name) {
		output->names = arena_memdup(arena, &name, sizeof(name));
		output->name_count = 1;
	}
}

/* buildah's and skopeo's -t oci:DIR[:TAG] and so on: an output, not a name in the store. */
static int take_transport(struct arena *arena, struct output_options *o, const struct image_source *source,
			  struct err *err)
{
	bool is_docker = source->transport == TRANSPORT_DOCKER_ARCHIVE;
	const char *name = NULL;
	/* In a layout a word alone is the tag of the entry, and no name. */
	if (source->selector && !is_docker && !strpbrk(source->selector, ":/"))
		name = arena_printf(arena, ":%s", source->selector);
	else if (source->selector && !(name = canonical_name(arena, source->selector, err)))
		return err->kind = ERR_USAGE, -1;
	enum build_output_type type = source->transport == TRANSPORT_OCI_DIR       ? BUILD_OUTPUT_OCI_DIR
				      : source->transport == TRANSPORT_OCI_ARCHIVE ? BUILD_OUTPUT_OCI
										   : BUILD_OUTPUT_DOCKER;
	add_simple(arena, o, type, source->path, name);
	return 0;
}

static int take_tags(struct arena *arena, struct output_options *o, struct err *err)
{
	for (size_t i = 0; i < o->tags.count; i++) {
		const char *text = o->tags.items[i];
		struct image_source source;
		if (image_source_parse(arena, text, &source, err) < 0)
			return err->kind = ERR_USAGE, err_wrap(err, "invalid tag \"%s\"", text);
		if (source.transport != TRANSPORT_NAME) {
			if (take_transport(arena, o, &source, err) < 0)
				return -1;
		} else if (source.name.digest) {
			return err_set(err, ERR_USAGE,
				       "invalid tag \"%s\": refusing to create a tag with a digest reference", text);
		} else {
			*ARENA_PUSH(arena, o->names, o->name_count) = reference_text(arena, &source.name);
		}
	}
	return 0;
}

/* A name of an image output is a name in the store, unless -t says others (buildx's build/opt.go). */
static void take_image_names(struct arena *arena, struct output_options *o)
{
	size_t given = o->name_count;
	for (size_t i = 0; i < o->count; i++) {
		struct build_output *output = &o->list[i];
		for (size_t j = 0; output->type == BUILD_OUTPUT_IMAGE && !given && j < output->name_count; j++)
			*ARENA_PUSH(arena, o->names, o->name_count) = output->names[j];
		if (given && o->tags.count && output->names && !is_dir_type(output->type))
			output->names = NULL;
	}
}

static const char *whole_path(struct arena *arena, const char *path)
{
	scope_free char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
	return path_go_clean(arena, cwd ? arena_printf(arena, "%s/%s", cwd, path) : path);
}

/* Two that write to one place: the second would take away what the first wrote. A layout is added to. */
static int check_conflicts(struct arena *arena, const struct output_options *o, struct err *err)
{
	for (size_t i = 0; i < o->count; i++) {
		for (size_t j = 0; o->list[i].dest && j < i; j++) {
			const char *one = o->list[j].dest, *other = o->list[i].dest;
			bool are_layouts = o->list[i].type == BUILD_OUTPUT_OCI_DIR &&
					   o->list[j].type == BUILD_OUTPUT_OCI_DIR;
			if (!one || are_layouts || strcmp(whole_path(arena, one), whole_path(arena, other)) != 0)
				continue;
			return err_set(err, ERR_USAGE, "--output: two outputs write to %s",
				       strcmp(other, "-") == 0 ? "standard output" : other);
		}
	}
	return 0;
}

/* buildx wants to be told twice before it empties a directory that is not clearly the build's own. */
static int check_mirrors(struct arena *arena, const struct output_options *o, struct err *err)
{
	bool is_allowed = false;
	for (size_t i = 0; i < o->allow.count; i++)
		is_allowed |= strcmp(o->allow.items[i], "buildx.local.delete") == 0;
	for (size_t i = 0; i < o->count && !is_allowed; i++) {
		if (!o->list[i].is_mirror)
			continue;
		const char *here = whole_path(arena, "."), *dest = whole_path(arena, o->list[i].dest);
		size_t len = strlen(here);
		if (strncmp(dest, here, len) == 0 && dest[len] == '/')
			continue;
		return err_set(
			err, ERR_USAGE,
			"--output mode=delete would empty %s, which is not below the current directory: allow it "
			"with --allow buildx.local.delete",
			dest);
	}
	return 0;
}

static int check_allowed(const struct output_options *o, struct err *err)
{
	static const char *const fine[] = { "network.host", "buildx.local.delete" };
	for (size_t i = 0; i < o->allow.count; i++) {
		const char *what = o->allow.items[i];
		if (strcmp(what, fine[0]) == 0 || strcmp(what, fine[1]) == 0)
			continue;
		if (text_starts(what, "security.insecure") || text_starts(what, "device"))
			return err_set(err, ERR_UNSUPPORTED,
				       "--allow %s: a step never gets more rights or devices than kiln's cage gives",
				       what);
		return err_set(err, ERR_USAGE, "invalid entitlement \"%s\": network.host or buildx.local.delete", what);
	}
	return 0;
}

static int take_annotations(struct arena *arena, struct output_options *o, struct build_spec *spec, struct err *err)
{
	const struct platform host = platform_host();
	const struct platform *platform = spec->platform ? spec->platform : &host;
	for (size_t i = 0; i < o->annotations.count; i++)
		if (annotation_parse(arena, o->annotations.items[i], &o->annotated, err) < 0)
			return -1;
	/* BuildKit's words: one platform has no index of its own. */
	if (annotations_of(arena, &o->annotated, ANNOTATION_INDEX, platform) ||
	    annotations_of(arena, &o->annotated, ANNOTATION_INDEX_DESCRIPTOR, platform))
		return err_set(err, ERR_USAGE, "index annotations not supported for single platform export");
	spec->annotations = annotations_of(arena, &o->annotated, ANNOTATION_MANIFEST, platform);
	spec->descriptor_annotations = annotations_of(arena, &o->annotated, ANNOTATION_MANIFEST_DESCRIPTOR, platform);
	return 0;
}

bool outputs_are_rootfs(const struct build_output *outputs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (outputs[i].type != BUILD_OUTPUT_LOCAL && outputs[i].type != BUILD_OUTPUT_TAR)
			return false;
	return count > 0;
}

int output_options_prepare(struct arena *arena, struct output_options *o, struct build_spec *spec, struct err *err)
{
	for (size_t i = 0; i < o->outputs.count; i++)
		if (*o->outputs.items[i] && parse_output(arena, o, o->outputs.items[i], err) < 0)
			return -1;
	if (o->tar_path)
		add_simple(arena, o, BUILD_OUTPUT_DOCKER, o->tar_path, NULL);
	if (o->layout_path)
		add_simple(arena, o, BUILD_OUTPUT_OCI_DIR, o->layout_path, NULL);
	if (take_tags(arena, o, err) < 0)
		return -1;
	take_image_names(arena, o);
	if (check_conflicts(arena, o, err) < 0 || check_allowed(o, err) < 0 || check_mirrors(arena, o, err) < 0)
		return -1;
	if ((o->iidfile || o->iidfile_raw) && outputs_are_rootfs(o->list, o->count))
		return err_set(err, ERR_USAGE, "local and tar exporters are incompatible with image ID file");
	spec->tags = o->names;
	spec->tag_count = o->name_count;
	spec->outputs = o->list;
	spec->output_count = o->count;
	return take_annotations(arena, o, spec, err);
}
