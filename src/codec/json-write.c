/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "json-text.h"
#include "kiln/base/scope.h"
#include "kiln/codec/json.h"

/* The bytes of Go's encoding/json with SetEscapeHTML(false), since Go 1.22: what the same values look like when the
   other tools of this trade write them. */

size_t json_utf8_length(const char *text, size_t left)
{
	static const struct {
		unsigned char first, last, second_min, second_max;
		size_t len;
	} forms[] = {
		{ 0x00, 0x7f, 0x80, 0xbf, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const unsigned char *bytes = (const unsigned char *)text;

	for (size_t n = 0; left > 0 && n < ARRAY_LEN(forms); n++) {
		if (bytes[0] < forms[n].first || bytes[0] > forms[n].last)
			continue;
		if (left < forms[n].len)
			return 0;
		if (forms[n].len > 1 && (bytes[1] < forms[n].second_min || bytes[1] > forms[n].second_max))
			return 0;
		for (size_t i = 2; i < forms[n].len; i++) {
			if ((bytes[i] & 0xc0) != 0x80)
				return 0;
		}
		return forms[n].len;
	}
	return 0;
}

/* The escape of the character of len bytes at text, NULL if it stands for itself. */
static const char *escape_of(const char *text, size_t len)
{
	static const char *const controls[0x20] = {
		"\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007",
		"\\b",     "\\t",     "\\n",     "\\u000b", "\\f",     "\\r",     "\\u000e", "\\u000f",
		"\\u0010", "\\u0011", "\\u0012", "\\u0013", "\\u0014", "\\u0015", "\\u0016", "\\u0017",
		"\\u0018", "\\u0019", "\\u001a", "\\u001b", "\\u001c", "\\u001d", "\\u001e", "\\u001f",
	};

	if (len == 0)
		return "\\ufffd";
	if ((unsigned char)*text < 0x20)
		return controls[(unsigned char)*text];
	if (*text == '"')
		return "\\\"";
	if (*text == '\\')
		return "\\\\";
	/* Line separators, which JavaScript took for the end of a line inside a string. */
	if (len == 3 && memcmp(text, "\xe2\x80\xa8", 3) == 0)
		return "\\u2028";
	if (len == 3 && memcmp(text, "\xe2\x80\xa9", 3) == 0)
		return "\\u2029";
	return NULL;
}

void json_write_string(struct strbuf *buf, const char *text)
{
	size_t left = strlen(text), plain = 0;

	strbuf_addch(buf, '"');
	while (plain < left) {
		size_t len = json_utf8_length(text + plain, left - plain);
		const char *escape = escape_of(text + plain, len);
		if (!escape) {
			plain += len;
			continue;
		}
		strbuf_add(buf, text, plain);
		strbuf_addstr(buf, escape);
		text += plain + (len ? len : 1);
		left -= plain + (len ? len : 1);
		plain = 0;
	}
	strbuf_add(buf, text, plain);
	strbuf_addch(buf, '"');
}

/* depth < 0: compact. */
static void write_value(struct strbuf *buf, const struct json *value, int depth);

static void new_line(struct strbuf *buf, int depth)
{
	if (depth < 0)
		return;
	strbuf_addch(buf, '\n');
	for (int i = 0; i < depth; i++)
		strbuf_addstr(buf, "  ");
}

static void write_array(struct strbuf *buf, const struct json *array, int depth)
{
	int inside = depth < 0 ? depth : depth + 1;

	strbuf_addch(buf, '[');
	for (size_t i = 0; i < array->count; i++) {
		if (i > 0)
			strbuf_addch(buf, ',');
		new_line(buf, inside);
		write_value(buf, array->items[i], inside);
	}
	if (array->count > 0)
		new_line(buf, depth);
	strbuf_addch(buf, ']');
}

static void write_object(struct strbuf *buf, const struct json *object, int depth)
{
	int inside = depth < 0 ? depth : depth + 1;

	strbuf_addch(buf, '{');
	for (size_t i = 0; i < object->count; i++) {
		if (i > 0)
			strbuf_addch(buf, ',');
		new_line(buf, inside);
		json_write_string(buf, object->members[i].key);
		strbuf_addstr(buf, depth < 0 ? ":" : ": ");
		write_value(buf, object->members[i].value, inside);
	}
	if (object->count > 0)
		new_line(buf, depth);
	strbuf_addch(buf, '}');
}

static void write_value(struct strbuf *buf, const struct json *value, int depth)
{
	switch (value->type) {
	case JSON_NULL:
		strbuf_addstr(buf, "null");
		return;
	case JSON_BOOL:
		strbuf_addstr(buf, value->boolean ? "true" : "false");
		return;
	case JSON_INT:
		strbuf_addf(buf, "%lld", (long long)value->integer);
		return;
	case JSON_REAL:
		strbuf_addstr(buf, value->text);
		return;
	case JSON_STR:
		json_write_string(buf, value->text);
		return;
	case JSON_ARRAY:
		write_array(buf, value, depth);
		return;
	case JSON_OBJECT:
		write_object(buf, value, depth);
		return;
	}
	assert(!"a type of JSON value");
}

void json_write(struct strbuf *buf, const struct json *value)
{
	write_value(buf, value, -1);
}

void json_write_pretty(struct strbuf *buf, const struct json *value)
{
	write_value(buf, value, 0);
}
