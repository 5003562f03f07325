/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/oci/image.h"

/*
 * The order of members is BuildKit's. Its exporter (exporter/containerimage/writer.go, patchImageConfig) puts the parts
 * into a Go map, and encoding/json sorts a map's keys: so the top level is in the order of the alphabet, members that
 * nobody knows included. The parts are Go structs and come in the order of their declarations: "config" as moby's
 * dockerspec.DockerOCIImageConfig (image-spec's ImageConfig, then Healthcheck, OnBuild, Shell), "rootfs" and "history"
 * as in image-spec.
 */

static const struct json_field healthcheck_fields[] = {
	JSON_STRINGS(struct healthcheck, "Test", test, test_count, JSON_OMIT_EMPTY),
	JSON_INTEGER(struct healthcheck, "Interval", interval_ns, JSON_OMIT_EMPTY),
	JSON_INTEGER(struct healthcheck, "Timeout", timeout_ns, JSON_OMIT_EMPTY),
	JSON_INTEGER(struct healthcheck, "StartPeriod", start_period_ns, JSON_OMIT_EMPTY),
	JSON_INTEGER(struct healthcheck, "StartInterval", start_interval_ns, JSON_OMIT_EMPTY),
	JSON_INTEGER(struct healthcheck, "Retries", retries, JSON_OMIT_EMPTY),
	JSON_END,
};

static const struct json_field config_fields[] = {
	JSON_STRING(struct image_config, "User", user, JSON_OMIT_EMPTY),
	JSON_VALUE(struct image_config, "ExposedPorts", exposed_ports, JSON_OMIT_EMPTY),
	JSON_STRINGS(struct image_config, "Env", env, env_count, JSON_OMIT_EMPTY),
	JSON_STRINGS(struct image_config, "Entrypoint", entrypoint, entrypoint_count, JSON_OMIT_EMPTY),
	JSON_STRINGS(struct image_config, "Cmd", cmd, cmd_count, JSON_OMIT_EMPTY),
	JSON_VALUE(struct image_config, "Volumes", volumes, JSON_OMIT_EMPTY),
	JSON_STRING(struct image_config, "WorkingDir", working_dir, JSON_OMIT_EMPTY),
	JSON_VALUE(struct image_config, "Labels", labels, JSON_OMIT_EMPTY),
	JSON_STRING(struct image_config, "StopSignal", stop_signal, JSON_OMIT_EMPTY),
	JSON_BOOLEAN(struct image_config, "ArgsEscaped", args_escaped, JSON_OMIT_EMPTY),
	JSON_END,
};

/* After "Healthcheck", which has a struct of its own. */
static const struct json_field docker_fields[] = {
	JSON_STRINGS(struct image_config, "OnBuild", on_build, on_build_count, JSON_OMIT_EMPTY),
	JSON_STRINGS(struct image_config, "Shell", shell, shell_count, JSON_OMIT_EMPTY),
	JSON_END,
};

static const struct json_field history_fields[] = {
	JSON_STRING(struct history, "created", created, JSON_OMIT_EMPTY),
	JSON_STRING(struct history, "created_by", created_by, JSON_OMIT_EMPTY),
	JSON_STRING(struct history, "author", author, JSON_OMIT_EMPTY),
	JSON_STRING(struct history, "comment", comment, JSON_OMIT_EMPTY),
	JSON_BOOLEAN(struct history, "empty_layer", empty_layer, JSON_OMIT_EMPTY),
	JSON_END,
};

static const struct json_field top_fields[] = {
	JSON_STRING(struct image_config, "architecture", platform.architecture, JSON_OMIT_EMPTY),
	JSON_STRING(struct image_config, "author", author, JSON_OMIT_EMPTY),
	JSON_STRING(struct image_config, "created", created, JSON_OMIT_EMPTY),
	JSON_STRUCTS(struct image_config, "history", history, history_count, history_fields, JSON_OMIT_EMPTY),
	JSON_STRING(struct image_config, "os", platform.os, JSON_OMIT_EMPTY),
	JSON_VALUE(struct image_config, "os.features", os_features, JSON_OMIT_EMPTY),
	JSON_STRING(struct image_config, "os.version", platform.os_version, JSON_OMIT_EMPTY),
	JSON_STRING(struct image_config, "variant", platform.variant, JSON_OMIT_EMPTY),
	JSON_END,
};

static const struct json_field rootfs_fields[] = {
	JSON_STRINGS(struct image_config, "diff_ids", diff_ids, diff_id_count, 0),
	JSON_END,
};

/* Caches and build records of BuildKit describe the image that they came with, not one derived from it. */
static const char *const dropped_members[] = { "moby.buildkit.cache.v0", "moby.buildkit.buildinfo.v1", NULL };

static void remove_known(struct arena *arena, struct json *object, const struct json_field *fields)
{
	for (; fields->name; fields++)
		json_set(arena, object, fields->name, NULL);
}

static struct json *or_null(struct json *object)
{
	return object->count > 0 ? object : NULL;
}

/* An object whose values are objects ({}), or strings if that is wanted. */
static int check_map(struct json *map, const char *name, enum json_type type, struct err *err)
{
	if (!map)
		return 0;
	if (map->type != JSON_OBJECT)
		return err_set(err, ERR_INPUT, "\"config\": \"%s\": has the wrong type", name);
	for (size_t i = 0; i < map->count; i++) {
		enum json_type found = map->members[i].value->type;
		if (found != type && !(type == JSON_OBJECT && found == JSON_NULL))
			return err_set(err, ERR_INPUT, "\"config\": \"%s\": a value has the wrong type", name);
	}
	return 0;
}

static int check_created(const char *created, const char *where, struct err *err)
{
	struct timespec t;

	if (created && time_parse_rfc3339(&t, created, err) < 0)
		return err_wrap(err, "\"%s\"", where);
	return 0;
}

static bool is_env(const char *entry)
{
	return entry[0] != '=' && strchr(entry, '=');
}

/* Entries without a name or a value make runtimes disagree about what the process sees. */
static void clean_env(struct image_config *config, size_t *dropped)
{
	size_t kept = 0;

	for (size_t i = 0; i < config->env_count; i++) {
		if (is_env(config->env[i]))
			config->env[kept++] = config->env[i];
	}
	if (dropped)
		*dropped = config->env_count - kept;
	config->env_count = kept;
}

static int read_healthcheck(struct arena *arena, const struct json *object, struct image_config *out, struct err *err)
{
	const struct json *value = json_get(object, "Healthcheck");

	if (!value || value->type == JSON_NULL)
		return 0;
	out->healthcheck = arena_new(arena, struct healthcheck);
	if (json_read(arena, value, healthcheck_fields, out->healthcheck, err) < 0)
		return err_wrap(err, "\"config\": \"Healthcheck\"");
	return 0;
}

static int read_config(struct arena *arena, const struct json *document, struct image_config *out, size_t *dropped,
		       struct err *err)
{
	struct json *object = json_get(document, "config");
	struct json *rest;

	if (dropped)
		*dropped = 0;
	if (!object || object->type == JSON_NULL)
		return 0;
	if (object->type != JSON_OBJECT)
		return err_set(err, ERR_INPUT, "\"config\": has the wrong type");
	if (json_read(arena, object, config_fields, out, err) < 0 ||
	    json_read(arena, object, docker_fields, out, err) < 0)
		return err_wrap(err, "\"config\"");
	if (read_healthcheck(arena, object, out, err) < 0 ||
	    check_map(out->exposed_ports, "ExposedPorts", JSON_OBJECT, err) < 0 ||
	    check_map(out->volumes, "Volumes", JSON_OBJECT, err) < 0 ||
	    check_map(out->labels, "Labels", JSON_STR, err) < 0)
		return -1;
	clean_env(out, dropped);
	rest = json_clone(arena, object);
	remove_known(arena, rest, config_fields);
	remove_known(arena, rest, docker_fields);
	json_set(arena, rest, "Healthcheck", NULL);
	out->config_raw = or_null(rest);
	return 0;
}

static int read_rootfs(struct arena *arena, const struct json *document, struct image_config *out, struct err *err)
{
	const struct json *rootfs = json_get(document, "rootfs");
	struct digest digest;

	if (!rootfs || rootfs->type != JSON_OBJECT)
		return err_set(err, ERR_INPUT, "\"rootfs\": is missing or has the wrong type");
	if (!text_equal(json_get_str(rootfs, "type"), "layers"))
		return err_set(err, ERR_INPUT, "\"rootfs\": its type is not \"layers\"");
	if (json_read(arena, rootfs, rootfs_fields, out, err) < 0)
		return err_wrap(err, "\"rootfs\"");
	if (out->diff_id_count > OCI_LAYERS_MAX)
		return err_set(err, ERR_INPUT, "\"rootfs\": it has %zu layers; at most %d are allowed",
			       out->diff_id_count, OCI_LAYERS_MAX);
	for (size_t i = 0; i < out->diff_id_count; i++) {
		if (digest_parse(&digest, out->diff_ids[i], err) < 0)
			return err_wrap(err, "\"rootfs\": \"diff_ids\" %zu", i);
	}
	return 0;
}

/* More entries that claim a layer than there are layers: the topmost ones are right and the rest, counted from the
   bottom, are forced to be empty, as BuildKit's normalizeLayersAndHistory does. */
static void repair_history(struct image_config *config)
{
	size_t claimed = 0;

	for (size_t i = 0; i < config->history_count; i++)
		claimed += !config->history[i].empty_layer;
	for (size_t i = 0; i < config->history_count && claimed > config->diff_id_count; i++) {
		if (config->history[i].empty_layer)
			continue;
		config->history[i].empty_layer = true;
		claimed--;
	}
}

static int check_history(const struct image_config *config, struct err *err)
{
	for (size_t i = 0; i < config->history_count; i++) {
		if (check_created(config->history[i].created, "created", err) < 0)
			return err_wrap(err, "\"history\" %zu", i);
	}
	return 0;
}

static void keep_rest(struct arena *arena, const struct json *document, struct image_config *out)
{
	struct json *rest = json_clone(arena, document);

	remove_known(arena, rest, top_fields);
	json_set(arena, rest, "config", NULL);
	json_set(arena, rest, "rootfs", NULL);
	for (const char *const *name = dropped_members; *name; name++)
		json_set(arena, rest, *name, NULL);
	out->raw = or_null(rest);
}

static int read_document(struct arena *arena, const struct json *document, struct image_config *out, size_t *dropped,
			 struct err *err)
{
	if (document->type != JSON_OBJECT)
		return err_set(err, ERR_INPUT, "it is not a JSON object");
	if (json_read(arena, document, top_fields, out, err) < 0)
		return -1;
	if (out->os_features && out->os_features->type != JSON_ARRAY)
		return err_set(err, ERR_INPUT, "\"os.features\": has the wrong type");
	if (read_config(arena, document, out, dropped, err) < 0 || read_rootfs(arena, document, out, err) < 0)
		return -1;
	if (check_created(out->created, "created", err) < 0 || check_history(out, err) < 0)
		return -1;
	repair_history(out);
	keep_rest(arena, document, out);
	return 0;
}

int image_config_read(struct arena *arena, const char *text, size_t len, struct image_config *out, size_t *dropped,
		      struct err *err)
{
	struct image_config config = { 0 };
	struct json *document;

	if (len > OCI_DOCUMENT_MAX)
		return err_set(err, ERR_INPUT, "image configuration: it is larger than %d bytes", OCI_DOCUMENT_MAX);
	document = json_parse(arena, text, len, err);
	if (!document || read_document(arena, document, &config, dropped, err) < 0)
		return err_wrap(err, "image configuration");
	*out = *image_config_clone(arena, &config);
	return 0;
}

static void merge(struct arena *arena, struct json *into, const struct json *from)
{
	for (size_t i = 0; from && i < from->count; i++)
		json_set(arena, into, from->members[i].key, from->members[i].value);
}

/* Go leaves out a map that is empty, and sorts one that is not. */
static struct json *sorted(struct arena *arena, const struct json *map)
{
	struct json *copy;

	if (!map || map->count == 0)
		return NULL;
	copy = json_clone(arena, map);
	json_sort_keys(copy);
	return copy;
}

static struct json *build_config(struct arena *arena, const struct image_config *config)
{
	struct image_config tidy = *config;
	struct json *object;

	tidy.exposed_ports = sorted(arena, config->exposed_ports);
	tidy.volumes = sorted(arena, config->volumes);
	tidy.labels = sorted(arena, config->labels);
	object = json_build(arena, config_fields, &tidy);
	if (config->healthcheck)
		json_set(arena, object, "Healthcheck", json_build(arena, healthcheck_fields, config->healthcheck));
	merge(arena, object, json_build(arena, docker_fields, &tidy));
	merge(arena, object, config->config_raw);
	return object;
}

static struct json *build_rootfs(struct arena *arena, const struct image_config *config)
{
	struct json *rootfs = json_object(arena);

	json_set(arena, rootfs, "type", json_str(arena, "layers"));
	json_set(arena, rootfs, "diff_ids", json_strs(arena, config->diff_ids, config->diff_id_count));
	return rootfs;
}

void image_config_write(struct arena *arena, struct strbuf *buf, const struct image_config *config)
{
	struct json *document = json_build(arena, top_fields, config);

	json_set(arena, document, "config", build_config(arena, config));
	json_set(arena, document, "rootfs", build_rootfs(arena, config));
	merge(arena, document, config->raw);
	json_sort_keys(document);
	json_write(buf, document);
}
