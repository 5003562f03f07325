/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <string.h>

#include "internal.h"

/* `<<NAME` in RUN, COPY and ADD: BuildKit's parser.ParseHeredoc. Lexed with '\' whatever the escape directive says. */

static int lex_words(struct arena *arena, const char *text, bool raw_quotes, const char *wanted, struct word_list *list,
		     struct err *err)
{
	static const struct expander nothing_set = { .escape = '\\' };
	scope_strbuf struct strbuf out = { 0 };
	struct lex_words words = { .arena = arena, .wanted = wanted };
	struct lexer lexer = {
		.rest = SLICE(text),
		.expander = &nothing_set,
		.raw_quotes = raw_quotes,
		.raw_escapes = wanted != NULL, /* the word is lexed once more */
		.keep_unset = true,
		.words = &words,
		.arena = arena,
	};
	int result = lex_run(&lexer, &out, err);

	lex_words_release(&words);
	*list = words.list;
	return result;
}

static size_t count_quotes(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == '\'' || *text == '"';
	return count;
}

/* Without digits there is no descriptor; too many of them are the largest one. */
static int descriptor(const char *digits, size_t count)
{
	int value = count > 0 ? 0 : -1;

	for (size_t i = 0; i < count; i++) {
		if (value > (INT_MAX - 9) / 10)
			return INT_MAX;
		value = value * 10 + (digits[i] - '0');
	}
	return value;
}

int heredoc_from_word(struct arena *arena, const char *word, struct heredoc *heredoc, struct err *err)
{
	struct word_list names, raw_names;
	size_t digits = strspn(word, "0123456789");
	const char *rest = word + digits;

	if (strncmp(rest, "<<", 2) != 0)
		return 0;
	rest += 2;
	bool chomp = *rest == '-';
	rest += chomp;
	rest += strspn(rest, " \t\n\f\r");
	if (!*rest || strchr(rest, '<'))
		return 0;
	if (lex_words(arena, rest, false, NULL, &names, err) < 0)
		return err_wrap(err, "failed to process %s", quoted(arena, rest));
	if (names.count != 1)
		return 0;
	/* A name that loses a quote was quoted somewhere: then its body is literal. */
	if (lex_words(arena, rest, true, NULL, &raw_names, err) < 0)
		return -1;
	if (raw_names.count != 1)
		return err_set(err, ERR_INPUT, "internal lexing of heredoc produced inconsistent results: %s",
			       shown(arena, rest));
	*heredoc = (struct heredoc){
		.name = names.items[0],
		.fd = descriptor(word, digits),
		.expand = count_quotes(names.items[0]) == count_quotes(raw_names.items[0]),
		.chomp = chomp,
	};
	return 1;
}

int heredocs_from_line(struct arena *arena, const char *line, struct heredoc **heredocs, size_t *count, struct err *err)
{
	struct word_list words;
	struct heredoc heredoc;

	/* What cannot be lexed as shell words has no heredoc: an apostrophe in a RUN is no error. */
	if (lex_words(arena, line, true, "<<", &words, NULL) < 0)
		return 0;
	for (size_t i = 0; i < words.count; i++) {
		int found = heredoc_from_word(arena, words.items[i], &heredoc, err);
		if (found < 0)
			return -1;
		if (found)
			*ARENA_PUSH(arena, *heredocs, *count) = heredoc;
	}
	return 0;
}

/* The terminator is a whole line; leading tabs do not count with <<-. */
static bool is_terminator(struct slice line, const struct heredoc *heredoc)
{
	while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
		line.len--;
	while (heredoc->chomp && line.len > 0 && *line.ptr == '\t')
		line = slice_skip(line, 1);
	return slice_equal(line, heredoc->name);
}

char *heredoc_chomp(struct arena *arena, const char *body)
{
	char *copy = arena_strdup(arena, body), *to = copy;
	bool at_start = true;

	for (const char *from = body; *from; from++) {
		if (at_start && *from == '\t')
			continue;
		at_start = *from == '\n';
		*to++ = *from;
	}
	*to = '\0';
	return copy;
}

static int read_body(struct line_reader *reader, struct heredoc *heredoc, struct err *err)
{
	struct slice line, body = { reader->rest.ptr, 0 };

	while (line_reader_raw(reader, &line)) {
		if (!is_terminator(line, heredoc)) {
			body.len += line.len;
			continue;
		}
		heredoc->raw_body = slice_copy(reader->arena, body);
		heredoc->body = heredoc->chomp ? heredoc_chomp(reader->arena, heredoc->raw_body) : heredoc->raw_body;
		return 0;
	}
	return err_set(err, ERR_INPUT, "unterminated heredoc");
}

int heredocs_read(struct line_reader *reader, struct heredoc *heredocs, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++)
		if (read_body(reader, &heredocs[i], err) < 0)
			return -1;
	return 0;
}
