/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "../unit/ignore-naive.h"
#include "kiln/base/scope.h"
#include "kiln/dockerfile/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input: rules, an empty line, then paths. */

#define RULES_MAX   8
#define PATTERN_MAX 32
#define PATH_MAX_   64

/* A walk and the path alone agree, and what is kept can be reached. */
static bool check_walk(struct arena *arena, const struct ignore *ignore, const char *path)
{
	struct ignore_state state = ignore_root(ignore);
	bool is_kept = !ignore_matches(ignore, path);

	for (const char *p = path;; p++) {
		if (*p && *p != '/')
			continue;
		const char *part = arena_strndup(arena, path, (size_t)(p - path));
		state = ignore_child(ignore, &state, part, NULL);
		if (!*p)
			break;
		bool is_open = ignore_must_descend(ignore, &state, part);
		assert(is_open || !is_kept);
	}
	assert(state.excluded == !is_kept);
	return state.excluded;
}

/* Go's filepath.Match by backtracking, without brackets and escapes. */
static bool naive_path_match(const char *pattern, const char *path)
{
	if (!*pattern)
		return !*path;
	if (*pattern == '*')
		return naive_path_match(pattern + 1, path) ||
		       (*path && *path != '/' && naive_path_match(pattern, path + 1));
	return *path && (*pattern == '?' ? *path != '/' : *pattern == *path) && naive_path_match(pattern + 1, path + 1);
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

static void check_path_match(const char *pattern, const char *path)
{
	struct err err = { 0 };
	int matched = path_match(pattern, path, &err);

	assert(matched >= 0 || strcmp(err.msg, "syntax error in pattern") == 0);
	if (naive_takes(pattern) && is_printable(path) && strlen(pattern) <= 12 && strlen(path) <= 16)
		assert(matched == naive_path_match(pattern, path));
	if (!path_is_pattern(pattern))
		assert(matched == (strcmp(pattern, path) == 0));
}

static void check_list(struct arena *arena, const char *const *rules, size_t count, const char *path)
{
	struct ignore *ignore = ignore_new(arena, rules, count, NULL);

	if (!ignore || count > RULES_MAX || strlen(path) > PATH_MAX_)
		return;
	bool excluded = check_walk(arena, ignore, path);
	for (size_t i = 0; i < count; i++)
		if (!naive_takes(rules[i]) || strlen(rules[i]) > PATTERN_MAX)
			return;
	if (is_printable(path))
		assert(excluded == naive_ignores(arena, rules, count, path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	const char **rules = NULL;
	size_t count = 0;

	if (size > 65536)
		return 0;
	struct ignore *file = ignore_parse(&arena, size ? (const char *)data : "", size, NULL);
	char *rest = arena_strndup(&arena, (const char *)data, size), *line;
	while ((line = strsep(&rest, "\n")) && *line)
		if (count < RULES_MAX + 1)
			*ARENA_PUSH(&arena, rules, count) = line;
	while ((line = strsep(&rest, "\n"))) {
		const char *path = path_clean(&arena, line);
		if (count > 0)
			check_path_match(rules[0], path);
		if (!*path)
			continue;
		if (file && strlen(path) < 4096)
			check_walk(&arena, file, path);
		check_list(&arena, rules, count, path);
	}
	arena_release(&arena);
	return 0;
}
