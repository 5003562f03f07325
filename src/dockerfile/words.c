/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"

void word_list_push(struct arena *arena, struct word_list *list, struct slice word)
{
	*ARENA_PUSH(arena, list->items, list->count) = slice_copy(arena, word);
}

const char **word_list_end(struct arena *arena, struct word_list *list)
{
	size_t used = list->count;

	*ARENA_PUSH(arena, list->items, used) = NULL;
	return list->items;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

bool split_first(struct slice text, struct slice *first, struct slice *rest)
{
	size_t len = 0;

	while (len < text.len && !is_blank(text.ptr[len]))
		len++;
	*first = (struct slice){ text.ptr, len };
	*rest = slice_skip(text, len);
	if (rest->len == 0)
		return false;
	while (rest->len > 0 && is_blank(*rest->ptr))
		*rest = slice_skip(*rest, 1);
	return true;
}

void split_blanks(struct arena *arena, struct slice text, struct word_list *list)
{
	struct slice first;
	bool has_more = text.len > 0;

	while (has_more) {
		has_more = split_first(text, &first, &text);
		word_list_push(arena, list, first);
	}
}

/* Takes one word of split_words; its quotes and escapes stay. An escape with nothing behind it is dropped. */
static void take_word(struct slice *text, char escape, struct strbuf *word, bool *has_quotes)
{
	uint32_t rune, quote = 0;

	while (text->len > 0) {
		size_t width = rune_decode(*text, &rune);
		if (!quote && rune_is_space(rune))
			return;
		if (quote && rune == quote) {
			quote = 0;
		} else if (!quote && (rune == '\'' || rune == '"')) {
			quote = rune;
			*has_quotes = true;
		} else if (rune == (unsigned char)escape && quote != '\'') {
			*text = slice_skip(*text, width);
			if (text->len == 0)
				return;
			strbuf_addch(word, escape);
			width = rune_decode(*text, &rune);
		}
		strbuf_add(word, text->ptr, width);
		*text = slice_skip(*text, width);
	}
}

void split_words(struct arena *arena, struct slice text, char escape, struct word_list *list)
{
	scope_strbuf struct strbuf word = { 0 };

	for (text = slice_trim_left(text); text.len > 0; text = slice_trim_left(text)) {
		bool has_quotes = false;
		strbuf_reset(&word);
		take_word(&text, escape, &word, &has_quotes);
		if (word.len > 0 || has_quotes)
			word_list_push(arena, list, (struct slice){ strbuf_str(&word), word.len });
	}
}

/* Takes one flag; its quotes and escapes are gone. Read by characters and not by bytes, so that UTF-8 survives, other
   than in BuildKit. */
static void take_flag(struct slice *text, char escape, struct strbuf *word)
{
	uint32_t rune, quote = 0;

	while (text->len > 0) {
		size_t width = rune_decode(*text, &rune);
		if (!quote && rune_is_space(rune))
			return;
		bool is_quote = quote ? rune == quote : rune == '\'' || rune == '"';
		if (is_quote) {
			quote = quote ? 0 : rune;
			*text = slice_skip(*text, width);
			continue;
		}
		if (rune == (unsigned char)escape) {
			*text = slice_skip(*text, width);
			if (text->len == 0)
				return;
			width = rune_decode(*text, &rune);
		}
		strbuf_add(word, text->ptr, width);
		*text = slice_skip(*text, width);
	}
}

struct slice split_flags(struct arena *arena, struct slice text, char escape, struct word_list *flags)
{
	scope_strbuf struct strbuf word = { 0 };

	for (;;) {
		text = slice_trim_left(text);
		if (!slice_starts(text, "--"))
			return text;
		strbuf_reset(&word);
		take_flag(&text, escape, &word);
		if (strcmp(strbuf_str(&word), "--") == 0)
			return text;
		word_list_push(arena, flags, (struct slice){ strbuf_str(&word), word.len });
	}
}
