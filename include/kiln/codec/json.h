/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_CODEC_JSON_H
#define KILN_CODEC_JSON_H

#include "kiln/base/arena.h"
#include "kiln/base/strbuf.h"

#include <stddef.h>
#include <stdint.h>

/*
 * JSON, strictly. libyajl's callback parser is used in codec/json.c and nowhere else; values are ours, in an arena.
 * Refused with ERR_INPUT and the place: duplicate keys, NUL (raw or \u0000), lone surrogates and invalid UTF-8,
 * comments, text after the value, depth over 64, more than 1,000,000 values, integers outside int64. Numbers with a
 * fraction or exponent are kept as their text.
 */
enum json_type { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STR, JSON_ARRAY, JSON_OBJECT };

struct json_member;
struct json {
	enum json_type type;
	bool boolean;
	int64_t integer;
	const char *text;            /* JSON_STR, and the literal of JSON_REAL */
	struct json **items;         /* JSON_ARRAY */
	struct json_member *members; /* JSON_OBJECT, in the order of the document */
	size_t count;                /* of items or members */
};

struct json_member {
	const char *key;
	struct json *value;
};

/* ---- values ---- */
struct json *json_parse(struct arena *arena, const char *text, size_t len, struct err *err) MUST_CHECK;
/* For the Dockerfile's exec form: an array of strings only. Returns 1 and *words (NULL-terminated) and *count if text
   is a valid JSON array of strings; 0 if it is not valid JSON or not an array (the shell form then); -1 with ERR_INPUT
   "when using JSON array syntax, arrays must be comprised of strings only". */
int json_parse_words(struct arena *arena, const char *text, const char ***words, size_t *count,
		     struct err *err) MUST_CHECK;

/* Lookups tolerate NULL and the wrong type by returning NULL / the fallback. */
struct json *json_get(const struct json *object, const char *key);
const char *json_get_str(const struct json *object, const char *key);
int64_t json_get_int(const struct json *object, const char *key, int64_t fallback);
bool json_get_bool(const struct json *object, const char *key, bool fallback);

struct json *json_object(struct arena *arena);
struct json *json_array(struct arena *arena);
struct json *json_str(struct arena *arena, const char *text); /* NULL gives null */
struct json *json_int(struct arena *arena, int64_t value);
struct json *json_bool(struct arena *arena, bool value);
struct json *json_strs(struct arena *arena, const char *const *texts, size_t count);
/* Replaces in place or appends; value NULL removes the key. key is borrowed. */
void json_set(struct arena *arena, struct json *object, const char *key, struct json *value);
void json_push(struct arena *arena, struct json *array, struct json *value);
struct json *json_clone(struct arena *arena, const struct json *value);
/* Go's encoding/json sorts map keys: for Labels, ExposedPorts, Volumes, annotations. */
void json_sort_keys(struct json *object);

/* Compact, one way only, the bytes of Go's encoding/json (1.22 or later, SetEscapeHTML(false)): no spaces, \" \\ \b \f
   \n \r \t escapes, other controls \u00xx, \u2028 and \u2029, \ufffd for each byte that is no UTF-8, all else raw. */
void json_write(struct strbuf *buf, const struct json *value);
/* Two-space indentation, for people. */
void json_write_pretty(struct strbuf *buf, const struct json *value);
void json_write_string(struct strbuf *buf, const char *text);

/* ---- structs by table ---- */
enum json_kind {
	JSON_FIELD_STR,
	JSON_FIELD_INT,
	JSON_FIELD_BOOL,
	JSON_FIELD_STRS,
	JSON_FIELD_OBJECT,
	JSON_FIELD_OBJECTS,
	JSON_FIELD_RAW
};
enum json_field_flags { JSON_REQUIRED = 1 << 0, JSON_OMIT_EMPTY = 1 << 1 };

/* One member of a struct: STR const char *, INT int64_t, BOOL bool, STRS const char ** + size_t count, OBJECT a nested
   struct by value, OBJECTS a pointer to an array of structs + size_t count, RAW struct json *. */
struct json_field {
	const char *name;
	enum json_kind kind;
	unsigned flags;
	size_t offset, count_offset, size;
	const struct json_field *fields;
};

#define JSON_STRING(type, key, member, flag)                                  \
	{                                                                     \
		key, JSON_FIELD_STR, flag, offsetof(type, member), 0, 0, NULL \
	}
#define JSON_INTEGER(type, key, member, flag)                                 \
	{                                                                     \
		key, JSON_FIELD_INT, flag, offsetof(type, member), 0, 0, NULL \
	}
#define JSON_BOOLEAN(type, key, member, flag)                                  \
	{                                                                      \
		key, JSON_FIELD_BOOL, flag, offsetof(type, member), 0, 0, NULL \
	}
#define JSON_STRINGS(type, key, member, count, flag)                                               \
	{                                                                                          \
		key, JSON_FIELD_STRS, flag, offsetof(type, member), offsetof(type, count), 0, NULL \
	}
#define JSON_STRUCT(type, key, member, table, flag)                               \
	{                                                                         \
		key, JSON_FIELD_OBJECT, flag, offsetof(type, member), 0, 0, table \
	}
#define JSON_STRUCTS(type, key, member, count, table, flag)                                   \
	{                                                                                     \
		key, JSON_FIELD_OBJECTS, flag, offsetof(type, member), offsetof(type, count), \
			sizeof(*((type *)0)->member), table                                   \
	}
#define JSON_VALUE(type, key, member, flag)                                   \
	{                                                                     \
		key, JSON_FIELD_RAW, flag, offsetof(type, member), 0, 0, NULL \
	}
#define JSON_END                          \
	{                                 \
		NULL, 0, 0, 0, 0, 0, NULL \
	}

/* Fills *out (zeroed by the caller) from an object; unknown keys are ignored; a missing JSON_REQUIRED or a wrong type
   is ERR_INPUT naming the path: "config": "mediaType": has the wrong type. null counts as missing. */
int json_read(struct arena *arena, const struct json *value, const struct json_field *fields, void *out,
	      struct err *err) MUST_CHECK;
/* The other way, members in table order. What is empty is left out with JSON_OMIT_EMPTY (Go's omitempty, and an OBJECT
   without members); without it a NULL STR is "", a NULL STRS or RAW is null, an STRS or OBJECTS of none is [].
   json_read gives an empty [] an address, so that it stays one. */
struct json *json_build(struct arena *arena, const struct json_field *fields, const void *in);

#endif
