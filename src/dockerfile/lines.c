/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "internal.h"
#include "kiln/base/scope.h"

/* Physical lines into logical ones: BuildKit's parser.Parse and directives.go. */

static const char *const directive_names[] = { "syntax", "escape", "check" };

void line_reader_init(struct line_reader *reader, struct arena *arena, const char *text, size_t len)
{
	*reader = (struct line_reader){ .arena = arena, .rest = { text, len }, .escape = '\\' };
	if (slice_starts(reader->rest, "\xef\xbb\xbf"))
		reader->rest = slice_skip(reader->rest, 3);
}

void line_reader_release(struct line_reader *reader)
{
	strbuf_release(&reader->joined);
	strbuf_release(&reader->comments);
}

bool line_reader_raw(struct line_reader *reader, struct slice *line)
{
	if (reader->rest.len == 0)
		return false;
	const char *newline = memchr(reader->rest.ptr, '\n', reader->rest.len);
	size_t len = newline ? (size_t)(newline + 1 - reader->rest.ptr) : reader->rest.len;
	*line = (struct slice){ reader->rest.ptr, len };
	reader->rest = slice_skip(reader->rest, len);
	reader->line++;
	return true;
}

static struct slice trim_newline(struct slice line)
{
	while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
		line.len--;
	return line;
}

static bool is_comment(struct slice line)
{
	return slice_starts(slice_trim_left(line), "#");
}

/* Blanks as \s of Go's regexp has them. */
static bool is_regexp_space(char c)
{
	return c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == ' ';
}

static struct slice skip_regexp_spaces(struct slice text)
{
	while (text.len > 0 && is_regexp_space(*text.ptr))
		text = slice_skip(text, 1);
	return text;
}

/*
 * `([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$` behind the '#' and blanks. A value of nothing but blanks is its last blank,
 * as the regular expression has it: "# escape=  " is an error and not a comment.
 */
static bool directive_split(struct slice line, struct slice *key, struct slice *value)
{
	if (!slice_starts(line, "#"))
		return false;
	struct slice rest = slice_trim_left(slice_skip(line, 1));
	*key = (struct slice){ rest.ptr, 0 };
	if (rest.len == 0 || !isalpha((unsigned char)*rest.ptr))
		return false;
	while (key->len < rest.len && isalnum((unsigned char)rest.ptr[key->len]))
		key->len++;
	rest = skip_regexp_spaces(slice_skip(rest, key->len));
	if (!slice_starts(rest, "="))
		return false;
	rest = slice_skip(rest, 1);
	*value = skip_regexp_spaces(rest);
	if (value->len == 0 && rest.len > 0)
		*value = (struct slice){ value->ptr - 1, 1 };
	else
		while (value->len > 0 && is_regexp_space(value->ptr[value->len - 1]))
			value->len--;
	return value->len > 0;
}

static int directive_index(struct slice key)
{
	for (size_t i = 0; i < ARRAY_LEN(directive_names); i++)
		if (slice_equal_nocase(key, directive_names[i]))
			return (int)i;
	return -1;
}

char *directive_find(struct arena *arena, const char *text, size_t len, const char *key)
{
	struct line_reader reader;
	struct slice line, name, value;
	unsigned seen = 0;

	line_reader_init(&reader, arena, text, len);
	while (line_reader_raw(&reader, &line)) {
		if (reader.line == 1 && slice_starts(line, "#!"))
			continue;
		if (!directive_split(trim_newline(line), &name, &value))
			return NULL;
		int index = directive_index(name);
		if (index < 0 || seen & 1u << index)
			return NULL;
		seen |= 1u << index;
		if (strcmp(directive_names[index], key) != 0)
			continue;
		const char *blank = memchr(value.ptr, ' ', value.len);
		return arena_strndup(arena, value.ptr, blank ? (size_t)(blank - value.ptr) : value.len);
	}
	return NULL;
}

/* 1: the line is a directive; 0: it is not, and none follows. */
static int take_directive(struct line_reader *reader, struct slice line, struct err *err)
{
	struct slice key, value;

	if (reader->directives_done)
		return 0;
	int index = directive_split(line, &key, &value) ? directive_index(key) : -1;
	if (index < 0) {
		reader->directives_done = true;
		return 0;
	}
	if (reader->directives_seen & 1u << index)
		return err_set(err, ERR_INPUT, "only one %s parser directive can be used", directive_names[index]);
	reader->directives_seen |= 1u << index;
	if (strcmp(directive_names[index], "escape") != 0)
		return 1;
	if (!slice_equal(value, "\\") && !slice_equal(value, "`"))
		return err_set(err, ERR_INPUT, "invalid escape token '%s' does not match ` or \\",
			       shown(reader->arena, slice_copy(reader->arena, value)));
	reader->escape = *value.ptr;
	return 1;
}

/* The first byte is dropped whether or not it is the '#': an indented comment keeps its mark. A bare '#' starts anew. */
static void keep_comment(struct line_reader *reader, struct slice line)
{
	struct slice comment = slice_trim(slice_skip(line, 1));

	if (comment.len == 0) {
		strbuf_reset(&reader->comments);
		return;
	}
	if (reader->comments.len > 0)
		strbuf_addch(&reader->comments, '\n');
	strbuf_add(&reader->comments, comment.ptr, comment.len);
}

/* Removes an escape character at the end of line, with the blanks behind it; an escaped one does not continue. */
static bool take_continuation(struct slice *line, char escape)
{
	size_t len = line->len;

	while (len > 0 && (line->ptr[len - 1] == ' ' || line->ptr[len - 1] == '\t'))
		len--;
	if (len == 0 || line->ptr[len - 1] != escape)
		return false;
	if (len > 1 && line->ptr[len - 2] == escape)
		return false;
	line->len = len - 1;
	return true;
}

/* The first physical line that is neither blank nor a comment. */
static int first_line(struct line_reader *reader, struct slice *text, bool *continues, struct err *err)
{
	struct slice raw;

	while (line_reader_raw(reader, &raw)) {
		*text = slice_trim_left(trim_newline(raw));
		int is_directive = take_directive(reader, *text, err);
		if (is_directive < 0)
			return -1;
		if (is_comment(raw)) {
			if (!is_directive)
				keep_comment(reader, raw);
			continue;
		}
		*continues = take_continuation(text, reader->escape);
		if (*continues || text->len > 0)
			return 1;
	}
	return 0;
}

int line_reader_next(struct line_reader *reader, struct logical_line *line, struct dockerfile_place *place,
		     struct err *err)
{
	struct slice text, raw;
	bool continues;
	int found = first_line(reader, &text, &continues, err);

	if (found < 0) /* BuildKit counts the line after it has looked at it, so its errors name the line before. */
		*place = (struct dockerfile_place){ reader->line - 1, reader->line - 1 };
	if (found <= 0)
		return found;
	*line = (struct logical_line){ .first_line = reader->line };
	strbuf_reset(&reader->joined);
	strbuf_add(&reader->joined, text.ptr, text.len);
	while (continues && line_reader_raw(reader, &raw)) {
		text = trim_newline(raw);
		if (is_comment(text))
			continue;
		if (slice_trim_left(text).len == 0) {
			line->has_empty_continuation = true;
			continue;
		}
		continues = take_continuation(&text, reader->escape);
		strbuf_add(&reader->joined, text.ptr, text.len);
	}
	line->last_line = reader->line;
	line->text = (struct slice){ arena_strndup(reader->arena, strbuf_str(&reader->joined), reader->joined.len),
				     reader->joined.len };
	line->comment = reader->comments.len ? arena_strdup(reader->arena, reader->comments.ptr) : NULL;
	strbuf_reset(&reader->comments);
	return 1;
}
