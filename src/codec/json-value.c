/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kiln/codec/json.h"

/* ---- looking ---- */

static struct json_member *find(const struct json *object, const char *key)
{
	if (!object || object->type != JSON_OBJECT)
		return NULL;
	for (size_t i = 0; i < object->count; i++) {
		if (strcmp(object->members[i].key, key) == 0)
			return &object->members[i];
	}
	return NULL;
}

struct json *json_get(const struct json *object, const char *key)
{
	const struct json_member *member = find(object, key);

	return member ? member->value : NULL;
}

const char *json_get_str(const struct json *object, const char *key)
{
	const struct json *value = json_get(object, key);

	return value && value->type == JSON_STR ? value->text : NULL;
}

int64_t json_get_int(const struct json *object, const char *key, int64_t fallback)
{
	const struct json *value = json_get(object, key);

	return value && value->type == JSON_INT ? value->integer : fallback;
}

bool json_get_bool(const struct json *object, const char *key, bool fallback)
{
	const struct json *value = json_get(object, key);

	return value && value->type == JSON_BOOL ? value->boolean : fallback;
}

/* ---- making ---- */

static struct json *value_new(struct arena *arena, enum json_type type)
{
	struct json *value = arena_new(arena, struct json);

	value->type = type;
	return value;
}

struct json *json_object(struct arena *arena)
{
	return value_new(arena, JSON_OBJECT);
}

struct json *json_array(struct arena *arena)
{
	return value_new(arena, JSON_ARRAY);
}

struct json *json_str(struct arena *arena, const char *text)
{
	struct json *value = value_new(arena, text ? JSON_STR : JSON_NULL);

	value->text = text;
	return value;
}

struct json *json_int(struct arena *arena, int64_t integer)
{
	struct json *value = value_new(arena, JSON_INT);

	value->integer = integer;
	return value;
}

struct json *json_bool(struct arena *arena, bool boolean)
{
	struct json *value = value_new(arena, JSON_BOOL);

	value->boolean = boolean;
	return value;
}

struct json *json_strs(struct arena *arena, const char *const *texts, size_t count)
{
	struct json *array = json_array(arena);

	for (size_t i = 0; i < count; i++)
		json_push(arena, array, json_str(arena, texts[i]));
	return array;
}

/* ---- changing ---- */

void json_set(struct arena *arena, struct json *object, const char *key, struct json *value)
{
	struct json_member *member = find(object, key);

	assert(object->type == JSON_OBJECT);
	if (member && value) {
		member->value = value;
	} else if (member) {
		size_t behind = object->count - (size_t)(member - object->members) - 1;
		memmove(member, member + 1, behind * sizeof(*member));
		object->count--;
	} else if (value) {
		member = ARENA_PUSH(arena, object->members, object->count);
		*member = (struct json_member){ key, value };
	}
}

void json_push(struct arena *arena, struct json *array, struct json *value)
{
	assert(array->type == JSON_ARRAY);
	*ARENA_PUSH(arena, array->items, array->count) = value;
}

struct json *json_clone(struct arena *arena, const struct json *value)
{
	struct json *copy = value_new(arena, value->type);

	copy->boolean = value->boolean;
	copy->integer = value->integer;
	copy->text = arena_strdup(arena, value->text);
	if (value->type == JSON_ARRAY) {
		for (size_t i = 0; i < value->count; i++)
			json_push(arena, copy, json_clone(arena, value->items[i]));
	}
	if (value->type == JSON_OBJECT) {
		for (size_t i = 0; i < value->count; i++) {
			struct json_member *member = ARENA_PUSH(arena, copy->members, copy->count);
			member->key = arena_strdup(arena, value->members[i].key);
			member->value = json_clone(arena, value->members[i].value);
		}
	}
	return copy;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct json_member *)a)->key, ((const struct json_member *)b)->key);
}

void json_sort_keys(struct json *object)
{
	if (object && object->type == JSON_OBJECT && object->count > 1)
		qsort(object->members, object->count, sizeof(*object->members), by_key);
}
