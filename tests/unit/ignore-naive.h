/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TESTS_UNIT_IGNORE_NAIVE_H
#define KILN_TESTS_UNIT_IGNORE_NAIVE_H

#include <regex.h>
#include <stdbool.h>
#include <string.h>

#include "kiln/base/arena.h"
#include "kiln/base/strbuf.h"
#include "kiln/base/text.h"

/*
 * moby/patternmatcher the slow way, as a second opinion: each pattern is matched against a path and each of its parents
 * by the C library's regular expressions. ASCII patterns without brackets and backslashes only, since POSIX and Go
 * read those differently.
 */

static inline bool naive_takes(const char *pattern)
{
	for (const char *p = pattern; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("[]\\", *p))
			return false;
	return true;
}

/* The regular expression that patternmatcher writes; *type is 'e'xact, 'p'refix, 's'uffix or 'r'egexp. */
static inline void naive_translate(const char *pattern, struct strbuf *out, char *type)
{
	*type = 'e';
	strbuf_addch(out, '^');
	for (size_t i = 0; pattern[i]; i++) {
		bool is_first = i == 0;
		if (pattern[i] == '*' && pattern[i + 1] == '*') {
			i++;
			i += pattern[i + 1] == '/';
			bool is_last = !pattern[i + 1];
			strbuf_addstr(out, is_last ? ".*" : "(.*/)?");
			*type = is_first ? 's' : is_last && *type == 'e' ? 'p' : 'r';
		} else if (pattern[i] == '*' || pattern[i] == '?') {
			strbuf_addstr(out, pattern[i] == '*' ? "[^/]*" : "[^/]");
			*type = 'r';
		} else {
			if (strchr(".+(){}|$", pattern[i]))
				strbuf_addch(out, '\\');
			strbuf_addch(out, pattern[i]);
		}
	}
	strbuf_addch(out, '$');
}

static inline bool naive_match_one(const char *pattern, const char *path)
{
	scope_strbuf struct strbuf text = { 0 };
	size_t len = strlen(pattern);
	regex_t regex;
	char type;

	naive_translate(pattern, &text, &type);
	if (type == 'e')
		return strcmp(pattern, path) == 0;
	if (type == 'p')
		return strncmp(pattern, path, len - 2) == 0;
	if (type == 's')
		return text_ends(path, pattern + 2) || (pattern[2] == '/' && strcmp(path, pattern + 3) == 0);
	if (regcomp(&regex, strbuf_str(&text), REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	bool matched = regexec(&regex, path, 0, NULL, 0) == 0;
	regfree(&regex);
	return matched;
}

static inline bool naive_match(struct arena *arena, const char *pattern, const char *path)
{
	for (const char *p = path;; p++) {
		if (*p && *p != '/')
			continue;
		if (naive_match_one(pattern, arena_strndup(arena, path, (size_t)(p - path))))
			return true;
		if (!*p)
			return false;
	}
}

/* Patterns as --exclude has them: already trimmed. */
static inline bool naive_ignores(struct arena *arena, const char *const *patterns, size_t count, const char *path)
{
	bool excluded = false;

	for (size_t i = 0; i < count; i++) {
		const char *clean = path_go_clean(arena, patterns[i]);
		bool reincludes = *clean == '!';
		if (naive_match(arena, clean + reincludes, path))
			excluded = !reincludes;
	}
	return excluded;
}

#endif
