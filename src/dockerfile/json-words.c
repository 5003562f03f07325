/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"

/*
 * The exec form: one JSON array of strings, as Go's encoding/json reads it. What is no valid JSON is the shell form,
 * what is an array of other things is an error, so all of JSON must be recognised; only strings are kept.
 */

/* Go refuses deeper documents. */
#define DEPTH_MAX 10000

struct json_reader {
	struct slice rest;
	unsigned char is_object[DEPTH_MAX / 8 + 1]; /* a bit per open bracket */
	unsigned depth;
};

static void skip_spaces(struct json_reader *reader)
{
	while (reader->rest.len > 0 && strchr(" \t\r\n", *reader->rest.ptr))
		reader->rest = slice_skip(reader->rest, 1);
}

static bool take(struct json_reader *reader, char c)
{
	if (reader->rest.len == 0 || *reader->rest.ptr != c)
		return false;
	reader->rest = slice_skip(reader->rest, 1);
	return true;
}

static bool take_literal(struct json_reader *reader, const char *text)
{
	if (!slice_starts(reader->rest, text))
		return false;
	reader->rest = slice_skip(reader->rest, strlen(text));
	return true;
}

static size_t take_digits(struct json_reader *reader)
{
	size_t count = 0;

	while (reader->rest.len > 0 && *reader->rest.ptr >= '0' && *reader->rest.ptr <= '9') {
		reader->rest = slice_skip(reader->rest, 1);
		count++;
	}
	return count;
}

static bool take_number(struct json_reader *reader)
{
	take(reader, '-');
	if (!take(reader, '0') && take_digits(reader) == 0)
		return false;
	if (take(reader, '.') && take_digits(reader) == 0)
		return false;
	if (take(reader, 'e') || take(reader, 'E')) {
		if (!take(reader, '+'))
			take(reader, '-');
		return take_digits(reader) > 0;
	}
	return true;
}

/* Four hexadecimal digits at p, or -1. */
static int32_t hex4(const char *p, const char *end)
{
	static const char digits[] = "0123456789abcdef";
	int32_t value = 0;

	if (end - p < 4)
		return -1;
	for (size_t i = 0; i < 4; i++) {
		char c = ascii_lower(p[i]);
		const char *digit = c ? strchr(digits, c) : NULL;
		if (!digit)
			return -1;
		value = value << 4 | (int32_t)(digit - digits);
	}
	return value;
}

static void add_rune(struct strbuf *buf, uint32_t rune)
{
	char bytes[4];

	strbuf_add(buf, bytes, rune_encode(bytes, rune));
}

/* Behind "\u": a pair of surrogates is one character, a lone one is U+FFFD. */
static bool take_unicode(struct json_reader *reader, struct strbuf *buf)
{
	const char *end = reader->rest.ptr + reader->rest.len;
	int32_t first = hex4(reader->rest.ptr, end);

	if (first < 0)
		return false;
	reader->rest = slice_skip(reader->rest, 4);
	if (first < 0xd800 || first > 0xdfff) {
		add_rune(buf, (uint32_t)first);
		return true;
	}
	int32_t second = slice_starts(reader->rest, "\\u") ? hex4(reader->rest.ptr + 2, end) : -1;
	if (first > 0xdbff || second < 0xdc00 || second > 0xdfff) {
		add_rune(buf, 0xfffd);
		return true;
	}
	reader->rest = slice_skip(reader->rest, 6);
	add_rune(buf, 0x10000 + ((uint32_t)(first - 0xd800) << 10 | (uint32_t)(second - 0xdc00)));
	return true;
}

static bool take_escape(struct json_reader *reader, struct strbuf *buf)
{
	static const char names[] = "\"\"\\\\//b\bf\fn\nr\rt\t";

	for (const char *name = names; *name; name += 2) {
		if (take(reader, name[0])) {
			strbuf_addch(buf, name[1]);
			return true;
		}
	}
	return take(reader, 'u') && take_unicode(reader, buf);
}

/* Behind the opening quote. */
static bool take_string(struct json_reader *reader, struct strbuf *buf)
{
	uint32_t rune;

	while (reader->rest.len > 0) {
		if (take(reader, '"'))
			return true;
		if (take(reader, '\\')) {
			if (!take_escape(reader, buf))
				return false;
			continue;
		}
		size_t width = rune_decode(reader->rest, &rune);
		if (rune < 0x20)
			return false;
		if (rune < RUNE_INVALID)
			strbuf_add(buf, reader->rest.ptr, width);
		else
			add_rune(buf, 0xfffd);
		reader->rest = slice_skip(reader->rest, width);
	}
	return false;
}

static bool open_bracket(struct json_reader *reader, bool is_object)
{
	if (reader->depth == DEPTH_MAX)
		return false;
	unsigned char bit = (unsigned char)(1u << (reader->depth & 7));
	unsigned char *byte = &reader->is_object[reader->depth++ / 8];
	*byte = (unsigned char)(is_object ? *byte | bit : *byte & ~bit);
	return true;
}

static bool in_object(const struct json_reader *reader)
{
	unsigned top = reader->depth - 1;

	return reader->is_object[top / 8] >> (top & 7) & 1;
}

/* "key": */
static bool take_key(struct json_reader *reader, struct strbuf *scratch)
{
	skip_spaces(reader);
	if (!take(reader, '"') || !take_string(reader, scratch))
		return false;
	skip_spaces(reader);
	return take(reader, ':');
}

/* Closes what ends here, and takes the comma before the next value. *is_done when the outermost array is closed. */
static bool take_after_value(struct json_reader *reader, struct strbuf *scratch, bool *is_done)
{
	for (;;) {
		skip_spaces(reader);
		if (take(reader, ','))
			return !in_object(reader) || take_key(reader, scratch);
		if (!take(reader, in_object(reader) ? '}' : ']'))
			return false;
		if (--reader->depth == 0) {
			*is_done = true;
			return true;
		}
	}
}

/* An opening bracket, with the key that an object begins with. *is_empty if it is closed at once. */
static bool take_opening(struct json_reader *reader, struct strbuf *scratch, bool *is_opening, bool *is_empty)
{
	bool is_object = slice_starts(reader->rest, "{");

	*is_opening = is_object || slice_starts(reader->rest, "[");
	if (!*is_opening)
		return true;
	reader->rest = slice_skip(reader->rest, 1);
	if (!open_bracket(reader, is_object))
		return false;
	skip_spaces(reader);
	*is_empty = slice_starts(reader->rest, is_object ? "}" : "]");
	return *is_empty || !is_object || take_key(reader, scratch);
}

static bool take_scalar(struct json_reader *reader, struct strbuf *string, bool *is_string)
{
	*is_string = take(reader, '"');
	if (*is_string)
		return take_string(reader, string);
	return take_literal(reader, "true") || take_literal(reader, "false") || take_literal(reader, "null") ||
	       take_number(reader);
}

enum json_words json_words_read(struct arena *arena, struct slice text, struct word_list *list, bool *has_nul)
{
	struct json_reader reader = { .rest = slice_trim_left(text) };
	scope_strbuf struct strbuf string = { 0 };
	bool is_opening, is_empty = false, is_string, is_done = false, has_others = false;

	if (!slice_starts(reader.rest, "[") || !take_opening(&reader, &string, &is_opening, &is_empty))
		return JSON_WORDS_INVALID;
	while (!is_done) {
		strbuf_reset(&string);
		skip_spaces(&reader);
		if (!is_empty) {
			if (!take_opening(&reader, &string, &is_opening, &is_empty))
				return JSON_WORDS_INVALID;
			has_others = has_others || is_opening;
			if (is_opening && !is_empty)
				continue;
			if (!is_opening && !take_scalar(&reader, &string, &is_string))
				return JSON_WORDS_INVALID;
			if (!is_opening && reader.depth == 1) {
				has_others = has_others || !is_string;
				*has_nul = *has_nul || strlen(strbuf_str(&string)) != string.len;
				word_list_push(arena, list, (struct slice){ strbuf_str(&string), string.len });
			}
		}
		is_empty = false;
		if (!take_after_value(&reader, &string, &is_done))
			return JSON_WORDS_INVALID;
	}
	skip_spaces(&reader);
	if (reader.rest.len > 0)
		return JSON_WORDS_INVALID;
	return has_others ? JSON_WORDS_NOT_STRINGS : JSON_WORDS;
}
