/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"
#include "kiln/base/scope.h"
#include "letters.h"

/* The smallest code of each length: what is below is an overlong form. */
static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };

static size_t sequence_length(unsigned char lead)
{
	if (lead < 0x80)
		return 1;
	if (lead < 0xc2)
		return 0;
	return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
}

size_t rune_decode(struct slice text, uint32_t *rune)
{
	const unsigned char *p = (const unsigned char *)text.ptr;
	size_t len = sequence_length(p[0]);

	if (len == 1) {
		*rune = p[0];
		return 1;
	}
	*rune = RUNE_INVALID + p[0];
	if (len == 0 || len > text.len)
		return 1;
	uint32_t code = p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 1;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < smallest[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 1;
	*rune = code;
	return len;
}

size_t rune_encode(char out[4], uint32_t rune)
{
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	size_t len = rune < 0x80 ? 1 : rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;

	if (rune >= RUNE_INVALID) {
		out[0] = (char)(rune - RUNE_INVALID);
		return 1;
	}
	for (size_t i = len; i > 1; i--, rune >>= 6)
		out[i - 1] = (char)(0x80 | (rune & 0x3f));
	out[0] = (char)(lead[len] | rune);
	return len;
}

bool rune_is_space(uint32_t rune)
{
	if (rune < 0x80)
		return rune == ' ' || (rune >= '\t' && rune <= '\r');
	return rune == 0x85 || rune == 0xa0 || rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200a) || rune == 0x2028 ||
	       rune == 0x2029 || rune == 0x202f || rune == 0x205f || rune == 0x3000;
}

static bool in_ranges(const struct rune_range *ranges, size_t count, uint32_t rune)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (rune > ranges[middle].last)
			low = middle + 1;
		else if (rune < ranges[middle].first)
			high = middle;
		else
			return true;
	}
	return false;
}

bool rune_is_letter(uint32_t rune)
{
	if (rune < 0x80)
		return (rune | 0x20) >= 'a' && (rune | 0x20) <= 'z';
	return in_ranges(letters, ARRAY_LEN(letters), rune);
}

bool rune_is_digit(uint32_t rune)
{
	if (rune < 0x80)
		return rune >= '0' && rune <= '9';
	return in_ranges(digits, ARRAY_LEN(digits), rune);
}

struct slice slice_skip(struct slice text, size_t count)
{
	return (struct slice){ text.ptr + count, text.len - count };
}

struct slice slice_trim_left(struct slice text)
{
	uint32_t rune;

	while (text.len > 0) {
		size_t width = rune_decode(text, &rune);
		if (!rune_is_space(rune))
			break;
		text = slice_skip(text, width);
	}
	return text;
}

/* Bytes of the last character of text, which is not empty. */
static size_t last_rune(struct slice text, uint32_t *rune)
{
	for (size_t width = text.len < 4 ? text.len : 4; width > 1; width--)
		if (rune_decode((struct slice){ text.ptr + text.len - width, width }, rune) == width)
			return width;
	return rune_decode((struct slice){ text.ptr + text.len - 1, 1 }, rune);
}

struct slice slice_trim(struct slice text)
{
	uint32_t rune;

	text = slice_trim_left(text);
	while (text.len > 0) {
		size_t width = last_rune(text, &rune);
		if (!rune_is_space(rune))
			break;
		text.len -= width;
	}
	return text;
}

bool slice_starts(struct slice text, const char *prefix)
{
	size_t len = strlen(prefix);

	return text.len >= len && memcmp(text.ptr, prefix, len) == 0;
}

bool slice_equal(struct slice text, const char *other)
{
	return text.len == strlen(other) && memcmp(text.ptr, other, text.len) == 0;
}

static const char lower_letters[] = "abcdefghijklmnopqrstuvwxyz";
static const char upper_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

char ascii_lower(char c)
{
	if (c < 'A' || c > 'Z')
		return c;
	return lower_letters[c - 'A'];
}

char ascii_upper(char c)
{
	if (c < 'a' || c > 'z')
		return c;
	return upper_letters[c - 'a'];
}

bool slice_equal_nocase(struct slice text, const char *other)
{
	if (text.len != strlen(other))
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (ascii_lower(text.ptr[i]) != ascii_lower(other[i]))
			return false;
	return true;
}

char *slice_copy(struct arena *arena, struct slice text)
{
	return arena_strndup(arena, text.ptr, text.len);
}

const char *slice_share(struct arena *arena, struct slice text)
{
	return text.ptr[text.len] ? slice_copy(arena, text) : text.ptr;
}

/* What of text is shown: at most SHOWN_MAX bytes, never half a character. */
static struct slice cut(const char *text)
{
	struct slice rest = { text, strnlen(text, SHOWN_MAX + 4) };
	size_t len = 0;
	uint32_t rune;

	while (len < rest.len) {
		size_t width = rune_decode(slice_skip(rest, len), &rune);
		if (len + width > SHOWN_MAX)
			break;
		len += width;
	}
	return (struct slice){ text, len };
}

/* Like Go, which shows what has no glyph by its number. */
static bool has_glyph(uint32_t rune)
{
	return rune >= 0x20 && !(rune >= 0x7f && rune <= 0xa0) && rune != 0xad && rune != 0xfeff &&
	       !(rune >= 0x2000 && rune <= 0x200f) && !(rune >= 0x2028 && rune <= 0x202f) &&
	       !(rune >= 0x205f && rune <= 0x206f) && rune < RUNE_INVALID;
}

static void add_quoted_rune(struct strbuf *buf, uint32_t rune, const char *bytes, size_t width)
{
	static const char *const names = "\aa\bb\ff\nn\rr\tt\vv\\\\\"\"";

	for (const char *name = names; *name; name += 2) {
		if (rune == (unsigned char)*name) {
			strbuf_addf(buf, "\\%c", name[1]);
			return;
		}
	}
	if (has_glyph(rune))
		strbuf_add(buf, bytes, width);
	else if (rune < 0x80 || rune >= RUNE_INVALID)
		strbuf_addf(buf, "\\x%02x", (unsigned)(rune < 0x80 ? rune : rune - RUNE_INVALID));
	else
		strbuf_addf(buf, "\\u%04x", (unsigned)rune);
}

char *quoted(struct arena *arena, const char *text)
{
	scope_strbuf struct strbuf buf = { 0 };
	struct slice rest = cut(text);
	bool is_cut = text[rest.len] != '\0';
	uint32_t rune;

	strbuf_addch(&buf, '"');
	while (rest.len > 0) {
		size_t width = rune_decode(rest, &rune);
		add_quoted_rune(&buf, rune, rest.ptr, width);
		rest = slice_skip(rest, width);
	}
	strbuf_addstr(&buf, is_cut ? "...\"" : "\"");
	return arena_strdup(arena, strbuf_str(&buf));
}

char *shown(struct arena *arena, const char *text)
{
	char out[4 * SHOWN_MAX + 1];
	struct slice part = cut(text);
	char *copy = slice_copy(arena, part);

	return arena_printf(arena, "%s%s", err_printable(out, sizeof(out), copy), text[part.len] ? "..." : "");
}
