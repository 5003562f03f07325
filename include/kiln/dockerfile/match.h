/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_DOCKERFILE_MATCH_H
#define KILN_DOCKERFILE_MATCH_H

#include "kiln/base/arena.h"

#include <stddef.h>

/*
 * Patterns. Two languages: Go's filepath.Match (COPY and ADD sources), and moby/patternmatcher (.dockerignore,
 * --exclude, --parents). Pure, no recursion on input size, no quadratic inputs: 500 rules over 200,000 paths < 1 s.
 */

/* Go's filepath.Match on the whole path: * and ? do not match '/', [a-z] [^a-z], \ escapes. 1, 0, or -1 with ERR_INPUT
   "syntax error in pattern". */
int path_match(const char *pattern, const char *path, struct err *err) MUST_CHECK;
/* True if it holds * ? [ or \. */
bool path_is_pattern(const char *text);

struct ignore;

/* Reads the text of a .dockerignore (at most 1 MiB): BOM, comments in column 0, trimming, '!', cleaning. Errors name the
   line. NULL text gives an empty matcher. The patterns become one automaton, built as paths need it, in memory that is
   set aside here: the cost of a path is its length, whatever the number of patterns. */
struct ignore *ignore_parse(struct arena *arena, const char *text, size_t len, struct err *err) MUST_CHECK;
/* From a list of patterns (--exclude). */
struct ignore *ignore_new(struct arena *arena, const char *const *patterns, size_t count, struct err *err) MUST_CHECK;

/*
 * Is path (clean, relative) excluded? The last pattern that matches it or one of its parents decides. A walk carries the
 * state of a directory to its entries, so that parents are not matched again:
 *
 *	struct ignore_state root = ignore_root(ignore);
 *	struct ignore_state a = ignore_child(ignore, &root, "a", NULL);
 *	struct ignore_state b = ignore_child(ignore, &a, "a/b", NULL);
 */
struct ignore_state {
	size_t last; /* the last pattern that matched, from 1; 0: none */
	bool excluded;
};
struct ignore_state ignore_root(const struct ignore *ignore);
/* The state of path, a child of the directory with state parent. A state is a plain value: arena is not used and may be
   NULL. */
struct ignore_state ignore_child(const struct ignore *ignore, const struct ignore_state *parent, const char *path,
				 struct arena *arena);
/* One path alone (walks its parents itself). "" and "." are never excluded. */
bool ignore_matches(const struct ignore *ignore, const char *path);
/* An excluded directory must still be walked when a '!' pattern could match below it. */
bool ignore_must_descend(const struct ignore *ignore, const struct ignore_state *state, const char *path);
size_t ignore_count(const struct ignore *ignore);
/* For lint: is there a '!' pattern; does one ("*", "**" or its like) exclude all that is in the root? */
bool ignore_has_exceptions(const struct ignore *ignore);
bool ignore_excludes_all(const struct ignore *ignore);

#endif
