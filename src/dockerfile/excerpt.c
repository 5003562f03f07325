/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* The lines around an error: BuildKit's solver/errdefs.Source.Print. */

/* What is shown of one line. */
#define WIDTH_MAX 1000
#define RULE      "--------------------\n"

/* Tabs stay; what would move the cursor or hide text does not. */
static void add_visible(struct strbuf *buf, struct slice line)
{
	char bytes[5] = "", out[32];
	uint32_t rune;

	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	bool is_cut = line.len > WIDTH_MAX;
	line.len = is_cut ? WIDTH_MAX : line.len;
	while (line.len > 0) {
		size_t width = rune_decode(line, &rune);
		if (rune == '\t' || (rune >= ' ' && rune < 0x7f)) {
			strbuf_addch(buf, (char)rune);
		} else {
			memcpy(bytes, line.ptr, width);
			bytes[width] = '\0';
			strbuf_addstr(buf, rune ? err_printable(out, sizeof(out), bytes) : "\\x00");
		}
		line = slice_skip(line, width);
	}
	strbuf_addstr(buf, is_cut ? "..." : "");
}

/* An empty last line, behind the last newline, counts; more than enough is not counted. */
static int count_lines(const char *text, size_t len, int enough)
{
	const char *end = text + len, *newline = text;
	int count = 1;

	while (count < enough && (newline = memchr(newline, '\n', (size_t)(end - newline)))) {
		count++;
		newline++;
	}
	return count;
}

/* One line gets four lines of company, several get two: as many as fit above and below. */
static void pad(int *first, int *last, int count)
{
	int wanted = *first == *last ? 4 : 2;

	for (int added = 0; added < wanted; added++) {
		if (*first > 1) {
			--*first;
			added++;
		}
		if (*last != count) {
			++*last;
			added++;
		}
	}
}

static struct slice take_line(struct slice *rest)
{
	const char *newline = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
	struct slice line = { rest->ptr, newline ? (size_t)(newline - rest->ptr) : rest->len };

	*rest = slice_skip(*rest, line.len + (newline != NULL));
	return line;
}

/* ---- one word of it ---- */

static bool is_word_end(struct slice line, size_t at)
{
	return at >= line.len || strchr(" \t\v\f\r=", line.ptr[at]);
}

static int count_characters(struct slice text)
{
	uint32_t rune;
	int count = 0;

	for (; text.len > 0; text = slice_skip(text, rune_decode(text, &rune)))
		count++;
	return count;
}

/* In one line; false if it is not there as a whole. */
static bool find_in_line(struct slice line, const char *word, struct dockerfile_columns *columns)
{
	size_t len = strlen(word);

	for (struct slice rest = line; rest.len >= len;) {
		const char *found = memmem(rest.ptr, rest.len, word, len);
		if (!found)
			return false;
		size_t at = (size_t)(found - line.ptr);
		if ((at == 0 || is_word_end(line, at - 1)) && is_word_end(line, at + len)) {
			columns->first = count_characters((struct slice){ line.ptr, at }) + 1;
			columns->last = columns->first + count_characters((struct slice){ found, len }) - 1;
			return true;
		}
		rest = slice_skip(rest, (size_t)(found + 1 - rest.ptr));
	}
	return false;
}

bool dockerfile_find_word(const char *text, size_t len, const struct dockerfile_place *place, const char *word,
			  struct dockerfile_columns *columns)
{
	struct slice rest = { text, len };

	if (!*word)
		return false;
	for (int i = 1; i <= place->last_line && rest.len > 0; i++) {
		struct slice line = take_line(&rest);
		if (i < place->first_line || !find_in_line(line, word, columns))
			continue;
		columns->line = i;
		return true;
	}
	return false;
}

/* As wide as the line shows what is before the word: tabs stay. */
static void add_marks(struct strbuf *buf, struct slice line, const struct dockerfile_columns *columns)
{
	scope_strbuf struct strbuf before = { 0 };
	struct slice rest = line;
	uint32_t rune;

	for (int i = 1; i < columns->first && rest.len > 0; i++)
		rest = slice_skip(rest, rune_decode(rest, &rune));
	if ((size_t)(rest.ptr - line.ptr) > WIDTH_MAX)
		return;
	add_visible(&before, (struct slice){ line.ptr, (size_t)(rest.ptr - line.ptr) });
	int digits = snprintf(NULL, 0, "%3d", columns->line);
	strbuf_addf(buf, " %*s |     ", digits, "");
	for (rest = SLICE(strbuf_str(&before)); rest.len > 0; rest = slice_skip(rest, rune_decode(rest, &rune)))
		strbuf_addch(buf, *rest.ptr == '\t' ? '\t' : ' ');
	for (int i = columns->first; i <= columns->last; i++)
		strbuf_addch(buf, '^');
	strbuf_addch(buf, '\n');
}

char *dockerfile_excerpt(struct arena *arena, const struct dockerfile *file_or_null, const char *name, const char *text,
			 size_t len, const struct dockerfile_place *place)
{
	return dockerfile_excerpt_word(arena, file_or_null ? file_or_null->name : name, text, len, place, NULL);
}

char *dockerfile_excerpt_word(struct arena *arena, const char *name, const char *text, size_t len,
			      const struct dockerfile_place *place, const struct dockerfile_columns *columns)
{
	scope_strbuf struct strbuf buf = { 0 };
	struct slice rest = { text, len };
	int count = count_lines(text, len,
				(place->last_line > place->first_line ? place->last_line : place->first_line) + 5);
	int first = place->first_line, last = place->last_line < first ? first : place->last_line;

	if (first < 1 || first > count)
		return arena_strdup(arena, "");
	last = last > count ? count : last;
	pad(&first, &last, count);
	strbuf_addf(&buf, "%s:%d\n" RULE, shown(arena, name), place->first_line);
	for (int i = 1; i <= last; i++) {
		struct slice line = take_line(&rest);
		bool is_marked = i >= place->first_line && (i <= place->last_line || i == place->first_line);
		if (i < first)
			continue;
		strbuf_addf(&buf, " %3d | %s ", i, is_marked ? ">>>" : "   ");
		add_visible(&buf, line);
		strbuf_addch(&buf, '\n');
		if (columns && columns->line == i)
			add_marks(&buf, line, columns);
	}
	strbuf_addstr(&buf, RULE);
	return arena_strdup(arena, strbuf_str(&buf));
}
