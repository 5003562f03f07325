/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"
#include "kiln/dockerfile/match.h"

/*
 * Go's filepath.Match. A pattern is a row of chunks with stars between; each chunk takes the first place where it fits,
 * which is enough since a star cannot pass a '/'. The whole pattern is checked before, so that matching may stop early.
 */

static int bad_pattern(struct err *err)
{
	return err_set(err, ERR_INPUT, "syntax error in pattern");
}

/* One end of a range in [...]. False if there is none, or if nothing follows: the ']' is missing then. */
static bool take_class_rune(struct slice *pattern, uint32_t *rune)
{
	if (pattern->len == 0 || *pattern->ptr == '-' || *pattern->ptr == ']')
		return false;
	if (*pattern->ptr == '\\')
		*pattern = slice_skip(*pattern, 1);
	if (pattern->len == 0)
		return false;
	*pattern = slice_skip(*pattern, rune_decode(*pattern, rune));
	return *rune < RUNE_INVALID && pattern->len > 0;
}

/* Behind '['. */
static bool take_class(struct slice *pattern, uint32_t rune, bool *matches)
{
	bool is_negated = slice_starts(*pattern, "^"), is_in = false;
	uint32_t low, high;

	*pattern = slice_skip(*pattern, is_negated);
	for (bool is_first = true; is_first || *pattern->ptr != ']'; is_first = false) {
		if (!take_class_rune(pattern, &low))
			return false;
		high = low;
		if (*pattern->ptr == '-') {
			*pattern = slice_skip(*pattern, 1);
			if (!take_class_rune(pattern, &high))
				return false;
		}
		is_in = is_in || (low <= rune && rune <= high);
	}
	*pattern = slice_skip(*pattern, 1);
	*matches = is_in != is_negated;
	return true;
}

static bool is_valid(struct slice pattern)
{
	bool ignored;

	while (pattern.len > 0) {
		char c = *pattern.ptr;
		pattern = slice_skip(pattern, 1);
		if (c == '[' && !take_class(&pattern, 0, &ignored))
			return false;
		if (c != '\\')
			continue;
		if (pattern.len == 0)
			return false;
		pattern = slice_skip(pattern, 1);
	}
	return true;
}

/* Up to the next star outside of brackets. An escaped bracket inside of brackets does not matter here, as in Go. */
static struct slice take_chunk(struct slice *pattern, bool *has_star)
{
	size_t len = 0;
	bool in_class = false;

	*has_star = slice_starts(*pattern, "*");
	while (slice_starts(*pattern, "*"))
		*pattern = slice_skip(*pattern, 1);
	for (; len < pattern->len; len++) {
		char c = pattern->ptr[len];
		if (c == '\\' && len + 1 < pattern->len)
			len++;
		else if (c == '[')
			in_class = true;
		else if (c == ']')
			in_class = false;
		else if (c == '*' && !in_class)
			break;
	}
	struct slice chunk = { pattern->ptr, len };
	*pattern = slice_skip(*pattern, len);
	return chunk;
}

/* Takes what chunk matches from the front of name. */
static bool match_chunk(struct slice chunk, struct slice *name)
{
	uint32_t rune;
	bool matches;

	while (chunk.len > 0) {
		if (name->len == 0)
			return false;
		char c = *chunk.ptr;
		chunk = slice_skip(chunk, 1);
		if (c == '[') {
			size_t width = rune_decode(*name, &rune);
			if (!take_class(&chunk, rune, &matches) || !matches)
				return false;
			*name = slice_skip(*name, width);
			continue;
		}
		if (c == '?') {
			if (*name->ptr == '/')
				return false;
			*name = slice_skip(*name, rune_decode(*name, &rune));
			continue;
		}
		if (c == '\\') {
			c = *chunk.ptr;
			chunk = slice_skip(chunk, 1);
		}
		if (*name->ptr != c)
			return false;
		*name = slice_skip(*name, 1);
	}
	return true;
}

/* The last chunk must take all that is left. */
static bool find_chunk(struct slice chunk, bool has_star, bool is_last, struct slice *name)
{
	for (struct slice from = *name;; from = slice_skip(from, 1)) {
		struct slice rest = from;
		if (match_chunk(chunk, &rest) && (rest.len == 0 || !is_last)) {
			*name = rest;
			return true;
		}
		if (!has_star || from.len == 0 || *from.ptr == '/')
			return false;
	}
}

static bool match(struct slice pattern, struct slice name)
{
	bool has_star;

	while (pattern.len > 0) {
		struct slice chunk = take_chunk(&pattern, &has_star);
		if (has_star && chunk.len == 0)
			return name.len == 0 || !memchr(name.ptr, '/', name.len);
		if (!find_chunk(chunk, has_star, pattern.len == 0, &name))
			return false;
	}
	return name.len == 0;
}

int path_match(const char *pattern, const char *path, struct err *err)
{
	if (!is_valid(SLICE(pattern)))
		return bad_pattern(err);
	return match(SLICE(pattern), SLICE(path));
}

bool path_is_pattern(const char *text)
{
	return text[strcspn(text, "*?[\\")] != '\0';
}
