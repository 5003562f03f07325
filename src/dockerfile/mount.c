/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "internal.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/dockerfile/mount.h"

/* Options are taken in the order in which they stand, since some of them are refused for the type that is known so far
   (trap 40). */

static const char *const type_names[] = { "bind", "cache", "tmpfs", "secret", "ssh" };
static const char *const sharing_names[] = { "shared", "private", "locked" };

const char *run_mount_type_name(enum run_mount_type type)
{
	return type_names[type];
}

struct reading {
	struct arena *arena;
	struct run_mount mount;
	const char *field;       /* as written */
	const char *key, *value; /* the key in lower case; the value expanded, NULL if there is no '=' */
	bool has_access;         /* ro or rw was said */
	bool has_sharing;
};

/* ---- words of errors ---- */

static int did_you_mean(const struct reading *reading, const char *word, const char *const *names, size_t count,
			struct err *err)
{
	const char *nearest = text_nearest(word, names, count);

	return nearest ? err_set(err, ERR_INPUT, "%s (did you mean %s?)", arena_strdup(reading->arena, err->msg),
				 nearest)
		       : -1;
}

static int refuse_for_type(const struct reading *reading, struct err *err)
{
	return err_set(err, ERR_INPUT, "unexpected key '%s' for mount type '%s'", reading->key,
		       type_names[reading->mount.type]);
}

static int bad_value(const struct reading *reading, struct err *err)
{
	return err_set(err, ERR_INPUT, "invalid value for %s: %s", reading->key, shown(reading->arena, reading->value));
}

static int bad_number(const struct reading *reading, struct err *err)
{
	return err_set(err, ERR_INPUT, "invalid value %s for %s", shown(reading->arena, reading->value), reading->key);
}

/* ---- values ---- */

int go_bool_parse(bool *out, const char *text)
{
	static const char *const words[] = { "0", "f", "F", "false", "FALSE", "False",
					     "1", "t", "T", "true",  "TRUE",  "True" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(text, words[i]) == 0) {
			*out = i >= ARRAY_LEN(words) / 2;
			return 0;
		}
	}
	return -1;
}

static int take_bool(const struct reading *reading, bool *out, struct err *err)
{
	*out = true;
	return !reading->value || go_bool_parse(out, reading->value) == 0 ? 0 : bad_value(reading, err);
}

static int index_of(const char *word, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal_nocase(word, names[i]))
			return (int)i;
	return -1;
}

static int take_type(struct reading *reading, struct err *err)
{
	struct err unknown = { 0 };
	int type = index_of(reading->value, type_names, ARRAY_LEN(type_names));

	if (type < 0) {
		err = err ? err : &unknown;
		err_set(err, ERR_INPUT, "unsupported mount type %s", quoted(reading->arena, reading->value));
		return did_you_mean(reading, reading->value, type_names, ARRAY_LEN(type_names), err);
	}
	reading->mount.type = (enum run_mount_type)type;
	return 0;
}

static int take_sharing(struct reading *reading, struct err *err)
{
	struct err unknown = { 0 };
	int sharing = index_of(reading->value, sharing_names, ARRAY_LEN(sharing_names));

	if (sharing < 0) {
		err = err ? err : &unknown;
		err_set(err, ERR_INPUT, "unsupported sharing value %s", quoted(reading->arena, reading->value));
		return did_you_mean(reading, reading->value, sharing_names, ARRAY_LEN(sharing_names), err);
	}
	reading->mount.sharing = (enum run_mount_sharing)sharing;
	reading->has_sharing = true;
	return 0;
}

static int take_read_only(struct reading *reading, struct err *err)
{
	reading->has_access = true;
	return take_bool(reading, &reading->mount.is_read_only, err);
}

static int take_read_write(struct reading *reading, struct err *err)
{
	bool is_writable;

	if (take_bool(reading, &is_writable, err) < 0)
		return -1;
	reading->has_access = true;
	reading->mount.is_read_only = !is_writable;
	return 0;
}

static int take_required(struct reading *reading, struct err *err)
{
	if (reading->mount.type != RUN_MOUNT_SECRET && reading->mount.type != RUN_MOUNT_SSH)
		return refuse_for_type(reading, err);
	return take_bool(reading, &reading->mount.is_required, err);
}

static int take_size(struct reading *reading, struct err *err)
{
	if (reading->mount.type != RUN_MOUNT_TMPFS)
		return refuse_for_type(reading, err);
	return parse_bytes(&reading->mount.size_bytes, reading->value, NULL) < 0 ? bad_value(reading, err) : 0;
}

static int take_mode(struct reading *reading, struct err *err)
{
	reading->mount.has_mode = true;
	return parse_octal(&reading->mount.mode, reading->value, UINT32_MAX, NULL) < 0 ? bad_number(reading, err) : 0;
}

static int take_uid(struct reading *reading, struct err *err)
{
	reading->mount.has_uid = true;
	return parse_uint32(&reading->mount.uid, reading->value, NULL) < 0 ? bad_number(reading, err) : 0;
}

static int take_gid(struct reading *reading, struct err *err)
{
	reading->mount.has_gid = true;
	return parse_uint32(&reading->mount.gid, reading->value, NULL) < 0 ? bad_number(reading, err) : 0;
}

/* ---- the table ---- */

static const struct option {
	const char *key;
	int (*take)(struct reading *reading, struct err *err); /* NULL: the text itself */
	size_t offset;                                         /* of that text in struct run_mount */
	bool may_be_bare;
} options[] = {
	{ "type", take_type, 0, false },
	{ "from", NULL, offsetof(struct run_mount, from), false },
	{ "source", NULL, offsetof(struct run_mount, source), false },
	{ "src", NULL, offsetof(struct run_mount, source), false },
	{ "target", NULL, offsetof(struct run_mount, target), false },
	{ "dst", NULL, offsetof(struct run_mount, target), false },
	{ "destination", NULL, offsetof(struct run_mount, target), false },
	{ "readonly", take_read_only, 0, true },
	{ "ro", take_read_only, 0, true },
	{ "readwrite", take_read_write, 0, true },
	{ "rw", take_read_write, 0, true },
	{ "required", take_required, 0, true },
	{ "size", take_size, 0, false },
	{ "id", NULL, offsetof(struct run_mount, id), false },
	{ "sharing", take_sharing, 0, false },
	{ "mode", take_mode, 0, false },
	{ "uid", take_uid, 0, false },
	{ "gid", take_gid, 0, false },
	{ "env", NULL, offsetof(struct run_mount, env), false },
};

static const struct option *find_option(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (strcmp(options[i].key, key) == 0)
			return &options[i];
	return NULL;
}

static int unknown_option(const struct reading *reading, struct err *err)
{
	struct err unknown = { 0 };
	const char *keys[ARRAY_LEN(options)];

	err = err ? err : &unknown;
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		keys[i] = options[i].key;
	err_set(err, ERR_INPUT, "unexpected key '%s' in '%s'", shown(reading->arena, reading->key),
		shown(reading->arena, reading->field));
	return did_you_mean(reading, reading->key, keys, ARRAY_LEN(keys), err);
}

static int take_option(struct reading *reading, struct err *err)
{
	const struct option *option = find_option(reading->key);

	if (!reading->value && (!option || !option->may_be_bare))
		return err_set(err, ERR_INPUT, "invalid field '%s' must be a key=value pair",
			       shown(reading->arena, reading->field));
	if (!option)
		return unknown_option(reading, err);
	if (option->take)
		return option->take(reading, err);
	*(const char **)((char *)&reading->mount + option->offset) = reading->value;
	return 0;
}

/* ---- one field ---- */

static void split_field(struct arena *arena, const char *field, const char **key, const char **value)
{
	const char *equals = strchr(field, '=');
	char *lower = arena_strndup(arena, field, equals ? (size_t)(equals - field) : strlen(field));

	for (char *p = lower; *p; p++)
		*p = ascii_lower(*p);
	*key = lower;
	*value = equals ? equals + 1 : NULL;
}

static int take_field(struct reading *reading, const struct expander *expander, const char *field, struct err *err)
{
	reading->field = field;
	split_field(reading->arena, field, &reading->key, &reading->value);
	if (reading->value && strcmp(reading->key, "from") != 0) {
		reading->value = expand_word(reading->arena, expander, reading->value, err);
		if (!reading->value)
			return -1;
	}
	return take_option(reading, err);
}

/* ---- what does not go together ---- */

static int check_owner(const struct run_mount *mount, struct err *err)
{
	const char *wrong = mount->has_mode ? "mode" : mount->has_uid ? "uid" : mount->has_gid ? "gid" : NULL;

	if (wrong && (mount->type == RUN_MOUNT_BIND || mount->type == RUN_MOUNT_TMPFS))
		return err_set(err, ERR_INPUT, "%s not allowed for \"%s\" type mounts", wrong, type_names[mount->type]);
	return 0;
}

static int check_secret(const struct reading *reading, struct err *err)
{
	const struct run_mount *mount = &reading->mount;

	if (*mount->from)
		return err_set(err, ERR_INPUT, "secret mount should not have a from");
	if (reading->has_sharing)
		return err_set(err, ERR_INPUT, "secret mount should not define sharing");
	if (!*mount->source && !*mount->target && !*mount->id)
		return err_set(err, ERR_INPUT, "invalid secret mount. one of source, target required");
	if (*mount->source && *mount->id)
		return err_set(err, ERR_INPUT, "both source and id can't be set");
	return 0;
}

static int check_whole(struct reading *reading, struct err *err)
{
	struct run_mount *mount = &reading->mount;

	if (check_owner(mount, err) < 0 || (mount->type == RUN_MOUNT_SECRET && check_secret(reading, err) < 0))
		return -1;
	if (reading->has_sharing && mount->type != RUN_MOUNT_CACHE)
		return err_set(err, ERR_INPUT, "invalid cache sharing set for %s mount", type_names[mount->type]);
	if (mount->type == RUN_MOUNT_SSH && *mount->source)
		return err_set(err, ERR_INPUT, "ssh does not support source");
	if (!reading->has_access)
		mount->is_read_only = mount->type != RUN_MOUNT_CACHE && mount->type != RUN_MOUNT_TMPFS;
	return 0;
}

/* ---- the whole ---- */

static int split(struct arena *arena, const char *text, const char ***fields, size_t *count, struct err *err)
{
	if (!*text)
		return err_set(err, ERR_INPUT, "failed to parse csv mounts: EOF");
	if (csv_fields(arena, text, fields, count, err) == 0)
		return 0;
	if (err)
		err->kind = ERR_INPUT;
	return err_wrap(err, "failed to parse csv mounts");
}

int run_mount_parse(struct arena *arena, const struct expander *expander, const char *text, struct run_mount *mount,
		    struct err *err)
{
	struct reading reading = { .arena = arena, .mount = { .from = "", .source = "", .target = "", .id = "" } };
	const char **fields;
	size_t count;

	if (split(arena, text, &fields, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (take_field(&reading, expander, fields[i], err) < 0)
			return -1;
	if (check_whole(&reading, err) < 0)
		return -1;
	*mount = reading.mount;
	return 0;
}

int run_mount_check(struct arena *arena, const char *text, struct err *err)
{
	const char **fields, *key, *value;
	size_t count;

	if (split(arena, text, &fields, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		split_field(arena, fields[i], &key, &value);
		const char *dollar = value && strcmp(key, "from") == 0 ? strchr(value, '$') : NULL;
		if (dollar && dollar[1])
			return err_set(err, ERR_INPUT,
				       "'%s' doesn't support variable expansion, define alias stage instead", key);
	}
	return 0;
}

const char *run_mount_from(struct arena *arena, const char *text)
{
	const char **fields, *key, *value, *from = "";
	size_t count;

	if (split(arena, text, &fields, &count, NULL) < 0)
		return "";
	for (size_t i = 0; i < count; i++) {
		split_field(arena, fields[i], &key, &value);
		if (value && strcmp(key, "from") == 0)
			from = value;
	}
	return from;
}
