/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"

static int run(struct arena *arena, const struct expander *expander, const char *word, enum expand_mode mode,
	       struct lex_words *words, struct strbuf *out, struct err *err)
{
	struct lexer lexer = {
		.rest = SLICE(word),
		.expander = expander,
		.skip_quotes = mode == EXPAND_RAW,
		.words = words,
		.arena = arena,
	};

	if (lex_run(&lexer, out, err) < 0)
		return err_wrap(err, "failed to process %s", quoted(arena, word));
	return 0;
}

static char *expand(struct arena *arena, const struct expander *expander, const char *word, enum expand_mode mode,
		    struct err *err)
{
	scope_strbuf struct strbuf out = { 0 };

	if (run(arena, expander, word, mode, NULL, &out, err) < 0)
		return NULL;
	return arena_strndup(arena, strbuf_str(&out), out.len);
}

char *expand_word(struct arena *arena, const struct expander *expander, const char *word, struct err *err)
{
	return expand(arena, expander, word, EXPAND_WORD, err);
}

char *expand_raw(struct arena *arena, const struct expander *expander, const char *text, struct err *err)
{
	return expand(arena, expander, text, EXPAND_RAW, err);
}

int expand_words(struct arena *arena, const struct expander *expander, const char *word, const char ***words,
		 size_t *count, struct err *err)
{
	scope_strbuf struct strbuf out = { 0 };
	struct lex_words found = { .arena = arena };
	int result = run(arena, expander, word, EXPAND_WORDS, &found, &out, err);

	lex_words_release(&found);
	if (result < 0)
		return -1;
	*words = word_list_end(arena, &found.list);
	*count = found.list.count;
	return 0;
}
