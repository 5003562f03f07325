/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/codec/json.h"

/* Structs by table, both ways: one function per kind of member. */

/* ---- reading ---- */

static int wrong_type(struct err *err)
{
	return err_set(err, ERR_INPUT, "has the wrong type");
}

static int read_str(struct arena *arena, const struct json *value, const struct json_field *field, char *out,
		    struct err *err)
{
	(void)arena;
	if (value->type != JSON_STR)
		return wrong_type(err);
	*(const char **)(void *)(out + field->offset) = value->text;
	return 0;
}

static int read_int(struct arena *arena, const struct json *value, const struct json_field *field, char *out,
		    struct err *err)
{
	(void)arena;
	if (value->type != JSON_INT)
		return wrong_type(err);
	*(int64_t *)(void *)(out + field->offset) = value->integer;
	return 0;
}

static int read_bool(struct arena *arena, const struct json *value, const struct json_field *field, char *out,
		     struct err *err)
{
	(void)arena;
	if (value->type != JSON_BOOL)
		return wrong_type(err);
	*(bool *)(out + field->offset) = value->boolean;
	return 0;
}

/* [] is not null: both lists have room for a NULL at their end, so an empty one has an address too. */
static int read_strs(struct arena *arena, const struct json *value, const struct json_field *field, char *out,
		     struct err *err)
{
	if (value->type != JSON_ARRAY)
		return wrong_type(err);
	const char **texts = arena_array(arena, const char *, value->count + 1);
	for (size_t i = 0; i < value->count; i++) {
		if (value->items[i]->type != JSON_STR)
			return err_set(err, ERR_INPUT, "[%zu]: has the wrong type", i);
		texts[i] = value->items[i]->text;
	}
	*(const char ***)(void *)(out + field->offset) = texts;
	*(size_t *)(void *)(out + field->count_offset) = value->count;
	return 0;
}

static int read_object(struct arena *arena, const struct json *value, const struct json_field *field, char *out,
		       struct err *err)
{
	return json_read(arena, value, field->fields, out + field->offset, err);
}

static int read_objects(struct arena *arena, const struct json *value, const struct json_field *field, char *out,
			struct err *err)
{
	if (value->type != JSON_ARRAY)
		return wrong_type(err);
	char *structs = arena_calloc(arena, value->count + 1, field->size);
	for (size_t i = 0; i < value->count; i++) {
		if (json_read(arena, value->items[i], field->fields, structs + i * field->size, err) < 0)
			return err_wrap(err, "[%zu]", i);
	}
	*(char **)(void *)(out + field->offset) = structs;
	*(size_t *)(void *)(out + field->count_offset) = value->count;
	return 0;
}

static int read_raw(struct arena *arena, const struct json *value, const struct json_field *field, char *out,
		    struct err *err)
{
	(void)arena;
	(void)err;
	*(const struct json **)(void *)(out + field->offset) = value;
	return 0;
}

typedef int read_kind(struct arena *arena, const struct json *value, const struct json_field *field, char *out,
		      struct err *err);
static read_kind *const read_kinds[] = {
	[JSON_FIELD_STR] = read_str,   [JSON_FIELD_INT] = read_int,       [JSON_FIELD_BOOL] = read_bool,
	[JSON_FIELD_STRS] = read_strs, [JSON_FIELD_OBJECT] = read_object, [JSON_FIELD_OBJECTS] = read_objects,
	[JSON_FIELD_RAW] = read_raw,
};

int json_read(struct arena *arena, const struct json *value, const struct json_field *fields, void *out,
	      struct err *err)
{
	if (!value || value->type != JSON_OBJECT)
		return wrong_type(err);
	for (const struct json_field *field = fields; field->name; field++) {
		const struct json *member = json_get(value, field->name);
		bool is_missing = !member || member->type == JSON_NULL;
		if (is_missing && (field->flags & JSON_REQUIRED))
			return err_set(err, ERR_INPUT, "\"%s\": is missing", field->name);
		if (!is_missing && read_kinds[field->kind](arena, member, field, out, err) < 0)
			return err_wrap(err, "\"%s\"", field->name);
	}
	return 0;
}

/* ---- building ---- */

/* The value of a member, and whether it is what Go's omitempty leaves out. */
struct built {
	struct json *value;
	bool is_empty;
};

static struct built build_str(struct arena *arena, const struct json_field *field, const char *in)
{
	const char *text = *(const char *const *)(const void *)(in + field->offset);

	return (struct built){ json_str(arena, text ? text : ""), !text || !*text };
}

static struct built build_int(struct arena *arena, const struct json_field *field, const char *in)
{
	int64_t integer = *(const int64_t *)(const void *)(in + field->offset);

	return (struct built){ json_int(arena, integer), integer == 0 };
}

static struct built build_bool(struct arena *arena, const struct json_field *field, const char *in)
{
	bool boolean = *(const bool *)(in + field->offset);

	return (struct built){ json_bool(arena, boolean), !boolean };
}

static struct built build_strs(struct arena *arena, const struct json_field *field, const char *in)
{
	const char *const *texts = *(const char *const *const *)(const void *)(in + field->offset);
	size_t count = *(const size_t *)(const void *)(in + field->count_offset);

	if (!texts)
		return (struct built){ json_str(arena, NULL), true };
	return (struct built){ json_strs(arena, texts, count), count == 0 };
}

static struct built build_object(struct arena *arena, const struct json_field *field, const char *in)
{
	struct json *object = json_build(arena, field->fields, in + field->offset);

	return (struct built){ object, object->count == 0 };
}

static struct built build_objects(struct arena *arena, const struct json_field *field, const char *in)
{
	const char *structs = *(const char *const *)(const void *)(in + field->offset);
	size_t count = *(const size_t *)(const void *)(in + field->count_offset);
	struct json *array = json_array(arena);

	for (size_t i = 0; i < count; i++)
		json_push(arena, array, json_build(arena, field->fields, structs + i * field->size));
	return (struct built){ array, count == 0 };
}

static struct built build_raw(struct arena *arena, const struct json_field *field, const char *in)
{
	struct json *value = *(struct json *const *)(const void *)(in + field->offset);

	return (struct built){ value ? value : json_str(arena, NULL), !value };
}

typedef struct built build_kind(struct arena *arena, const struct json_field *field, const char *in);
static build_kind *const build_kinds[] = {
	[JSON_FIELD_STR] = build_str,   [JSON_FIELD_INT] = build_int,       [JSON_FIELD_BOOL] = build_bool,
	[JSON_FIELD_STRS] = build_strs, [JSON_FIELD_OBJECT] = build_object, [JSON_FIELD_OBJECTS] = build_objects,
	[JSON_FIELD_RAW] = build_raw,
};

struct json *json_build(struct arena *arena, const struct json_field *fields, const void *in)
{
	struct json *object = json_object(arena);

	for (const struct json_field *field = fields; field->name; field++) {
		struct built built = build_kinds[field->kind](arena, field, in);
		if (!built.is_empty || !(field->flags & JSON_OMIT_EMPTY))
			json_set(arena, object, field->name, built.value);
	}
	return object;
}
