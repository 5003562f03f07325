/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_DOCKERFILE_EXPAND_H
#define KILN_DOCKERFILE_EXPAND_H

#include "kiln/base/arena.h"

#include <stddef.h>

/*
 * Word expansion: BuildKit's frontend/dockerfile/shell lexer. Pure. All ${} modifiers, operands evaluated eagerly; glob
 * patterns in linear time; a word may grow to 1 MiB and nest 64 deep, more is ERR_INPUT.
 */
enum expand_mode {
	EXPAND_WORD,  /* quotes removed, one word (nearly everywhere) */
	EXPAND_WORDS, /* results of unquoted expansion are split on blanks (EXPOSE) */
	EXPAND_RAW    /* heredoc bodies: quotes literal, escapes dropped */
};

/* Value of a variable, or NULL if unset. */
typedef const char *expand_lookup(void *arg, const char *name, size_t len);

struct expander {
	char escape;
	expand_lookup *lookup;
	void *arg;
	/* Called for each name that had no value and no operator giving one, for lint; may be NULL. */
	void (*unset)(void *arg, const char *name, size_t len);
};

/* Errors are wrapped as BuildKit does: failed to process "WORD": MSG. */
char *expand_word(struct arena *arena, const struct expander *expander, const char *word, struct err *err) MUST_CHECK;
int expand_words(struct arena *arena, const struct expander *expander, const char *word, const char ***words,
		 size_t *count, struct err *err) MUST_CHECK;
char *expand_raw(struct arena *arena, const struct expander *expander, const char *text, struct err *err) MUST_CHECK;

#endif
