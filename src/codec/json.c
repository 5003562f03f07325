/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_parse.h>

#include "json-text.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/codec/json.h"

/*
 * Only yajl's callbacks are used. Its own tree lets the first of two equal keys win (Go lets the last), cuts strings at
 * \u0000, turns lone surrogates into '?', and overflows the stack on deep nesting; so what two readers could understand
 * differently is refused here, before or while yajl reads.
 */

#define DEPTH_MAX  64
#define VALUES_MAX 1000000

struct parser {
	struct arena *arena;
	struct json *root;
	struct json *open[DEPTH_MAX]; /* the containers that the parser is in */
	size_t depth;
	const char *key; /* of the value to come */
	size_t values;
	struct err refusal;
};

/* ---- the text ---- */

static int refuse_at(const char *text, size_t offset, struct err *err, const char *reason)
{
	size_t line = 1, start = 0;

	for (size_t i = 0; i < offset; i++) {
		if (text[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	return err_set(err, ERR_INPUT, "line %zu, column %zu: %s", line, offset - start + 1, reason);
}

/* The number of a \uXXXX at text, -1 if there is none: a malformed one is left for yajl to find. */
static int unicode_escape(const char *text, size_t left)
{
	int code = 0;

	if (left < 6 || text[0] != '\\' || text[1] != 'u')
		return -1;
	for (size_t i = 2; i < 6; i++) {
		const char *digits = "0123456789abcdef0123456789ABCDEF";
		const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
		if (!digit)
			return -1;
		code = code << 4 | (int)((digit - digits) & 15);
	}
	return code;
}

/* The length of the escape at text, 0 with *reason if it cannot stand. */
static size_t check_escape(const char *text, size_t left, const char **reason)
{
	int code = unicode_escape(text, left);
	bool is_high = code >= 0xd800 && code <= 0xdbff, is_low = code >= 0xdc00 && code <= 0xdfff;

	*reason = "a string holds a NUL character";
	if (code == 0)
		return 0;
	*reason = "a surrogate stands alone";
	if (is_low)
		return 0;
	if (is_high) {
		int next = unicode_escape(text + 6, left - 6);
		return next >= 0xdc00 && next <= 0xdfff ? 12 : 0;
	}
	return left > 1 ? 2 : 1;
}

static int check_text(const char *text, size_t len, struct err *err)
{
	size_t step;

	for (size_t i = 0; i < len; i += step) {
		const char *reason = text[i] ? "the text is not UTF-8" : "the text holds a NUL byte";
		if (text[i] == '\\')
			step = check_escape(text + i, len - i, &reason);
		else
			step = text[i] ? json_utf8_length(text + i, len - i) : 0;
		if (step == 0)
			return refuse_at(text, i, err, reason);
	}
	return 0;
}

/* ---- yajl's callbacks: 1 to go on, 0 to stop ---- */

static int refuse(struct parser *parser, const char *reason)
{
	err_set(&parser->refusal, ERR_INPUT, "%s", reason);
	return 0;
}

static int add(struct parser *parser, struct json *value)
{
	struct json *parent = parser->depth ? parser->open[parser->depth - 1] : NULL;

	if (++parser->values > VALUES_MAX)
		return refuse(parser, "more than 1,000,000 values");
	if (!parent) {
		parser->root = value;
	} else if (parent->type == JSON_ARRAY) {
		json_push(parser->arena, parent, value);
	} else {
		struct json_member *member = ARENA_PUSH(parser->arena, parent->members, parent->count);
		*member = (struct json_member){ parser->key, value };
	}
	return 1;
}

static int on_null(void *arg)
{
	struct parser *parser = arg;

	return add(parser, json_str(parser->arena, NULL));
}

static int on_bool(void *arg, int boolean)
{
	struct parser *parser = arg;

	return add(parser, json_bool(parser->arena, boolean));
}

static int on_number(void *arg, const char *digits, size_t len)
{
	struct parser *parser = arg;
	const char *literal = arena_strndup(parser->arena, digits, len);
	int64_t integer;

	if (strpbrk(literal, ".eE")) {
		struct json *real = json_str(parser->arena, literal);
		real->type = JSON_REAL;
		return add(parser, real);
	}
	if (parse_int64(&integer, literal, NULL) < 0)
		return refuse(parser, "an integer has more than 64 bits");
	return add(parser, json_int(parser->arena, integer));
}

static int on_string(void *arg, const unsigned char *text, size_t len)
{
	struct parser *parser = arg;

	return add(parser, json_str(parser->arena, arena_strndup(parser->arena, (const char *)text, len)));
}

static int on_key(void *arg, const unsigned char *text, size_t len)
{
	struct parser *parser = arg;

	parser->key = arena_strndup(parser->arena, (const char *)text, len);
	return 1;
}

static int open_container(struct parser *parser, struct json *container)
{
	if (parser->depth == DEPTH_MAX)
		return refuse(parser, "nested deeper than 64");
	if (!add(parser, container))
		return 0;
	parser->open[parser->depth++] = container;
	return 1;
}

static int on_object(void *arg)
{
	struct parser *parser = arg;

	return open_container(parser, json_object(parser->arena));
}

static int on_array(void *arg)
{
	struct parser *parser = arg;

	return open_container(parser, json_array(parser->arena));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int on_object_end(void *arg)
{
	struct parser *parser = arg;
	const struct json *object = parser->open[--parser->depth];
	scope_free const char **keys = calloc(object->count + 1, sizeof(*keys));

	if (!keys)
		abort();
	for (size_t i = 0; i < object->count; i++)
		keys[i] = object->members[i].key;
	qsort(keys, object->count, sizeof(*keys), by_text);
	for (size_t i = 1; i < object->count; i++) {
		if (strcmp(keys[i - 1], keys[i]) == 0) {
			char shown[256];
			err_printable(shown, sizeof(shown), keys[i]);
			err_set(&parser->refusal, ERR_INPUT,
				"the key \"%s\" is given twice in the object that ends here", shown);
			return 0;
		}
	}
	return 1;
}

static int on_array_end(void *arg)
{
	struct parser *parser = arg;

	parser->depth--;
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_bool,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_map_key = on_key,
	.yajl_start_map = on_object,
	.yajl_end_map = on_object_end,
	.yajl_start_array = on_array,
	.yajl_end_array = on_array_end,
};

/* ---- parsing ---- */

static int refuse_syntax(yajl_handle handle, const char *text, size_t len, struct err *err)
{
	unsigned char *words = yajl_get_error(handle, 0, (const unsigned char *)text, len);
	size_t offset = yajl_get_bytes_consumed(handle);
	char reason[256];

	err_printable(reason, sizeof(reason), words ? (const char *)words : "not JSON");
	yajl_free_error(handle, words);
	/* yajl ends its messages with a line feed. */
	char *end = strstr(reason, "\\x0a");
	if (end)
		*end = '\0';
	return refuse_at(text, offset < len ? offset : len, err, reason);
}

static int parse(struct parser *parser, yajl_handle handle, const char *text, size_t len, struct err *err)
{
	yajl_status status = yajl_parse(handle, (const unsigned char *)text, len);

	if (status == yajl_status_ok)
		status = yajl_complete_parse(handle);
	if (status == yajl_status_client_canceled)
		return refuse_at(text, yajl_get_bytes_consumed(handle), err, parser->refusal.msg);
	if (status != yajl_status_ok)
		return refuse_syntax(handle, text, len, err);
	assert(parser->root && parser->depth == 0);
	return 0;
}

struct json *json_parse(struct arena *arena, const char *text, size_t len, struct err *err)
{
	struct parser parser = { .arena = arena };

	if (check_text(text, len, err) < 0)
		return NULL;
	yajl_handle handle = yajl_alloc(&callbacks, NULL, &parser);
	if (!handle)
		abort();
	int result = parse(&parser, handle, text, len, err);
	yajl_free(handle);
	return result < 0 ? NULL : parser.root;
}

int json_parse_words(struct arena *arena, const char *text, const char ***words, size_t *count, struct err *err)
{
	const struct json *value = json_parse(arena, text, strlen(text), NULL);

	if (!value || value->type != JSON_ARRAY)
		return 0;
	const char **texts = arena_array(arena, const char *, value->count + 1);
	for (size_t i = 0; i < value->count; i++) {
		if (value->items[i]->type != JSON_STR)
			return err_set(err, ERR_INPUT,
				       "when using JSON array syntax, arrays must be comprised of strings only");
		texts[i] = value->items[i]->text;
	}
	*words = texts;
	*count = value->count;
	return 1;
}
