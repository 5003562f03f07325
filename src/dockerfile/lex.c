/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"

/*
 * BuildKit's frontend/dockerfile/shell lexer: quotes, escapes, and in substitute.c what begins with '$'. It serves the
 * expansion of words and, with its raw modes, the search for heredocs in a line.
 */

int lex_spend(struct lexer *lexer, size_t work, struct err *err)
{
	lexer->work += work;
	if (lexer->work > LEX_WORK_MAX)
		return err_set(err, ERR_INPUT, "the expansion takes too much work");
	return 0;
}

int lex_add(struct lexer *lexer, struct strbuf *out, const char *bytes, size_t len, struct err *err)
{
	if (len > LEX_OUTPUT_MAX || out->len > LEX_OUTPUT_MAX - len)
		return err_set(err, ERR_INPUT, "the result is larger than %zu bytes", LEX_OUTPUT_MAX);
	if (lex_spend(lexer, len, err) < 0)
		return -1;
	strbuf_add(out, bytes, len);
	return 0;
}

/* ---- words: what a line falls apart into ---- */

static void end_word(struct lex_words *words)
{
	if (words->word.len == 0)
		return;
	const char *word = strbuf_str(&words->word);
	if (!words->wanted || strstr(word, words->wanted))
		word_list_push(words->arena, &words->list, (struct slice){ word, words->word.len });
	strbuf_reset(&words->word);
	words->in_word = false;
}

static void add_raw(struct lex_words *words, const char *bytes, size_t len)
{
	strbuf_add(&words->word, bytes, len);
	words->in_word = true;
}

static void add_split(struct lex_words *words, struct slice text)
{
	uint32_t rune;

	while (text.len > 0) {
		size_t width = rune_decode(text, &rune);
		if (!rune_is_space(rune))
			add_raw(words, text.ptr, width);
		else if (words->in_word)
			end_word(words);
		text = slice_skip(text, width);
	}
}

void lex_words_release(struct lex_words *words)
{
	strbuf_release(&words->word);
}

/* ---- the lexer ---- */

/* Words are those of the outermost level. */
static struct lex_words *current_words(const struct lexer *lexer)
{
	return lexer->depth == 0 ? lexer->words : NULL;
}

static int unterminated(struct lexer *lexer, const char *quote, struct err *err)
{
	lexer->rest = slice_skip(lexer->rest, lexer->rest.len);
	return err_set(err, ERR_INPUT, "unexpected end of statement while looking for matching %s", quote);
}

static int take_single_quotes(struct lexer *lexer, struct strbuf *out, struct err *err)
{
	struct slice inner = slice_skip(lexer->rest, 1);
	const char *end = inner.len ? memchr(inner.ptr, '\'', inner.len) : NULL;

	if (!end)
		return unterminated(lexer, "single-quote", err);
	inner.len = (size_t)(end - inner.ptr);
	lexer->rest = slice_skip(lexer->rest, inner.len + 2);
	if (lexer->raw_quotes)
		return lex_add(lexer, out, inner.ptr - 1, inner.len + 2, err);
	return lex_add(lexer, out, inner.ptr, inner.len, err);
}

/* At an escape character inside double quotes: it escapes '"', '$' and itself, and stands for itself before others. */
static int take_quoted_escape(struct lexer *lexer, struct strbuf *out, struct err *err)
{
	char escape = lexer->expander->escape;

	lexer->rest = slice_skip(lexer->rest, 1);
	if (lexer->raw_escapes && lex_add(lexer, out, &escape, 1, err) < 0)
		return -1;
	if (lexer->rest.len == 0)
		return 0;
	char next = *lexer->rest.ptr;
	if (next != '"' && next != '$' && next != escape)
		return lex_add(lexer, out, &escape, 1, err);
	lexer->rest = slice_skip(lexer->rest, 1);
	return lex_add(lexer, out, &next, 1, err);
}

static int take_double_quotes(struct lexer *lexer, struct strbuf *out, struct err *err)
{
	lexer->rest = slice_skip(lexer->rest, 1);
	if (lexer->raw_quotes && lex_add(lexer, out, "\"", 1, err) < 0)
		return -1;
	while (lexer->rest.len > 0) {
		char c = *lexer->rest.ptr;
		int result;
		if (c == '"') {
			lexer->rest = slice_skip(lexer->rest, 1);
			return lexer->raw_quotes ? lex_add(lexer, out, "\"", 1, err) : 0;
		}
		if (c == '$') {
			result = lex_dollar(lexer, out, err);
		} else if (c == lexer->expander->escape) {
			result = take_quoted_escape(lexer, out, err);
		} else {
			result = lex_add(lexer, out, lexer->rest.ptr, 1, err);
			lexer->rest = slice_skip(lexer->rest, 1);
		}
		if (result < 0)
			return -1;
	}
	return unterminated(lexer, "double-quote", err);
}

/* `<<` keeps the blanks behind it in its word, so that `<< EOF` is a heredoc; `<<-` does not. */
static int take_less(struct lexer *lexer, struct strbuf *out, struct err *err)
{
	size_t len = 1;

	if (slice_starts(lexer->rest, "<<"))
		for (len = 2; len < lexer->rest.len && strchr(" \t\r", lexer->rest.ptr[len]); len++)
			;
	int result = lex_add(lexer, out, lexer->rest.ptr, len, err);
	lexer->rest = slice_skip(lexer->rest, len);
	return result;
}

/* An escape takes the next character out of its meaning, whichever it is; at the end it is nothing. */
static int take_escape(struct lexer *lexer, struct strbuf *out, struct err *err)
{
	struct lex_words *words = current_words(lexer);
	const char *from = lexer->rest.ptr + !lexer->raw_escapes;
	uint32_t rune;

	lexer->rest = slice_skip(lexer->rest, 1);
	if (lexer->rest.len > 0)
		lexer->rest = slice_skip(lexer->rest, rune_decode(lexer->rest, &rune));
	size_t len = (size_t)(lexer->rest.ptr - from);
	if (words && len > 0)
		add_raw(words, from, len);
	return lex_add(lexer, out, from, len, err);
}

/* As many characters as mean only themselves; at least one. */
static int take_plain(struct lexer *lexer, char stop, struct strbuf *out, struct err *err)
{
	struct lex_words *words = current_words(lexer);
	size_t len = 1;

	while (len < lexer->rest.len) {
		char c = lexer->rest.ptr[len];
		if (c == '$' || c == '\'' || c == '"' || c == '<' || c == lexer->expander->escape ||
		    (stop && c == stop))
			break;
		len++;
	}
	if (words)
		add_split(words, (struct slice){ lexer->rest.ptr, len });
	int result = lex_add(lexer, out, lexer->rest.ptr, len, err);
	lexer->rest = slice_skip(lexer->rest, len);
	return result;
}

static int take_next(struct lexer *lexer, char stop, struct strbuf *out, struct err *err)
{
	struct lex_words *words = current_words(lexer);
	size_t before = out->len;
	char c = *lexer->rest.ptr;
	int result;

	if (c == '$')
		result = lex_dollar(lexer, out, err);
	else if (c == '\'' && !lexer->skip_quotes)
		result = take_single_quotes(lexer, out, err);
	else if (c == '"' && !lexer->skip_quotes)
		result = take_double_quotes(lexer, out, err);
	else if (c == '<')
		result = take_less(lexer, out, err);
	else if (c == lexer->expander->escape)
		return take_escape(lexer, out, err);
	else
		return take_plain(lexer, stop, out, err);
	if (result < 0 || !words)
		return result;
	struct slice added = { strbuf_str(out) + before, out->len - before };
	if (c == '$')
		add_split(words, added);
	else
		add_raw(words, added.ptr, added.len);
	return 0;
}

static int run_until(struct lexer *lexer, char stop, struct strbuf *out, struct err *err)
{
	while (lexer->rest.len > 0) {
		if (stop && *lexer->rest.ptr == stop) {
			lexer->rest = slice_skip(lexer->rest, 1);
			return 0;
		}
		if (take_next(lexer, stop, out, err) < 0)
			return -1;
	}
	if (stop)
		return err_set(err, ERR_INPUT, "unexpected end of statement while looking for matching %c", stop);
	return 0;
}

int lex_until(struct lexer *lexer, char stop, bool raw_escapes, struct strbuf *out, struct err *err)
{
	bool outer = lexer->raw_escapes;

	lexer->raw_escapes = raw_escapes;
	int result = run_until(lexer, stop, out, err);
	lexer->raw_escapes = outer;
	return result;
}

int lex_run(struct lexer *lexer, struct strbuf *out, struct err *err)
{
	if (lex_until(lexer, '\0', lexer->raw_escapes, out, err) < 0)
		return -1;
	if (lexer->words)
		end_word(lexer->words);
	return 0;
}
