/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ignore-naive.h"
#include "kiln/base/scope.h"
#include "kiln/dockerfile/match.h"

/* The automaton against a slow second opinion, and its limits. What patterns mean is in tests/dockerfile/ignore.case. */

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 16;
}

static const char *random_text(struct arena *arena, uint32_t *seed, const char *const *parts, size_t count, size_t max)
{
	scope_strbuf struct strbuf text = { 0 };

	for (size_t n = 1 + next_random(seed) % max; n > 0; n--)
		strbuf_addstr(&text, parts[next_random(seed) % count]);
	return arena_strdup(arena, strbuf_str(&text));
}

static const char *random_pattern(struct arena *arena, uint32_t *seed)
{
	static const char *const parts[] = { "a", "b", "ab", "/", "/", "*", "**", "**/", "?", ".", "*.b", "a/" };
	const char *text = random_text(arena, seed, parts, ARRAY_LEN(parts), 5);

	return next_random(seed) % 4 == 0 ? arena_printf(arena, "!%s", text) : text;
}

static const char *random_path(struct arena *arena, uint32_t *seed)
{
	static const char *const parts[] = { "a", "b", "ab", "/", ".", "x", "a/b" };
	const char *clean = path_clean(arena, random_text(arena, seed, parts, ARRAY_LEN(parts), 8));

	return *clean ? clean : "a";
}

static bool walk(const struct ignore *ignore, struct arena *arena, const char *path)
{
	struct ignore_state state = ignore_root(ignore);

	for (const char *p = path;; p++) {
		if (*p && *p != '/')
			continue;
		const char *part = arena_strndup(arena, path, (size_t)(p - path));
		state = ignore_child(ignore, &state, part, NULL);
		if (!*p)
			return state.excluded;
	}
}

/* If a path is not excluded, no excluded directory above it may have been left out of the walk. */
static void assert_reachable(const struct ignore *ignore, struct arena *arena, const char *path)
{
	struct ignore_state state = ignore_root(ignore);

	for (const char *p = path; *p; p++) {
		if (*p != '/')
			continue;
		const char *directory = arena_strndup(arena, path, (size_t)(p - path));
		state = ignore_child(ignore, &state, directory, NULL);
		if (!ignore_must_descend(ignore, &state, directory))
			fail_msg("%s is kept, but nothing leads to it through %s", path, directory);
	}
}

static void all_patterns_at_once_say_what_each_says_alone(void **state)
{
	(void)state;
	uint32_t seed = 1;

	for (unsigned round = 0; round < 2000; round++) {
		scope_arena struct arena arena = { 0 };
		const char *patterns[6];
		struct err err = { 0 };
		size_t count = 1 + next_random(&seed) % ARRAY_LEN(patterns);
		for (size_t i = 0; i < count; i++)
			patterns[i] = random_pattern(&arena, &seed);
		struct ignore *ignore = ignore_new(&arena, patterns, count, &err);
		if (!ignore)
			continue;
		for (unsigned i = 0; i < 20; i++) {
			const char *path = random_path(&arena, &seed);
			bool expected = naive_ignores(&arena, patterns, count, path);
			if (ignore_matches(ignore, path) != expected || walk(ignore, &arena, path) != expected)
				fail_msg("round %u: %s: expected %d (%s ... of %zu)", round, path, expected,
					 patterns[0], count);
			if (!expected)
				assert_reachable(ignore, &arena, path);
		}
	}
}

static void thousands_of_patterns_make_one_automaton(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	struct err err = { 0 };

	for (unsigned i = 0; i < 5000; i++)
		strbuf_addf(&text, "%s%u%s\n", i % 3 ? "dir/f" : "**/g", i, i % 5 ? "" : "*.o");
	struct ignore *ignore = ignore_parse(&arena, strbuf_str(&text), text.len, &err);
	assert_non_null(ignore);
	assert_int_equal(ignore_count(ignore), 5000);
	assert_true(ignore_matches(ignore, "dir/f4999"));
	assert_true(ignore_matches(ignore, "a/b/g3"));
	assert_true(ignore_matches(ignore, "a/b/g15x.o"));
	assert_true(ignore_matches(ignore, "dir/f5z.o/below"));
	assert_false(ignore_matches(ignore, "dir/f5"));
	assert_false(ignore_matches(ignore, "dir/f5000"));
}

/* Each path below asks for states that no other needs, so that the cache is emptied several times. */
static void a_full_cache_starts_anew(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	struct err err = { 0 };

	for (unsigned i = 0; i < 2000; i++)
		strbuf_addf(&text, "p%04u/*x%04u\n", i, i);
	strbuf_addstr(&text, "*.end\n!p1999.end\n");
	struct ignore *ignore = ignore_parse(&arena, strbuf_str(&text), text.len, &err);
	assert_non_null(ignore);
	for (unsigned i = 0; i < 2000; i++) {
		assert_true(ignore_matches(ignore, arena_printf(&arena, "p%04u/a%uxx%04u", i, i, i)));
		assert_false(ignore_matches(ignore, arena_printf(&arena, "p%04u/a%uxx%04u", i, i, (i + 1) % 2000)));
	}
	assert_true(ignore_matches(ignore, "p1998.end"));
	assert_false(ignore_matches(ignore, "p1999.end"));
}

static void a_pattern_may_be_as_large_as_the_file(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	struct err err = { 0 };

	for (size_t i = 0; i < 1048576; i++)
		strbuf_addch(&text, "*a"[i % 2]);
	struct ignore *ignore = ignore_parse(&arena, strbuf_str(&text), text.len, &err);
	assert_non_null(ignore);
	assert_false(ignore_matches(ignore, "aaaa/b"));
	strbuf_addch(&text, 'a');
	assert_null(ignore_parse(&arena, strbuf_str(&text), text.len, &err));
	assert_string_equal(err.msg, "the ignore file is larger than 1048576 bytes");
}

static void many_stars_and_long_paths_are_linear(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf pattern = { 0 }, path = { 0 };
	struct err err = { 0 };

	for (unsigned i = 0; i < 500; i++)
		strbuf_addstr(&pattern, i % 2 ? "**/" : "*a");
	strbuf_addstr(&pattern, "b\n");
	for (unsigned i = 0; i < 4000; i++)
		strbuf_addstr(&path, i % 8 == 7 ? "/" : "a");
	strbuf_addstr(&path, "c");
	struct ignore *ignore = ignore_parse(&arena, strbuf_str(&pattern), pattern.len, &err);
	assert_non_null(ignore);
	assert_false(ignore_matches(ignore, strbuf_str(&path)));
	char *star = arena_printf(&arena, "%.*s", 400, strbuf_str(&pattern));
	assert_int_equal(path_match(star, strbuf_str(&path), &err), 0);
}

static void a_nul_in_the_file_is_refused(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };

	assert_null(ignore_parse(&arena, "a\nb\0c\n", 6, &err));
	assert_string_equal(err.msg, "line 2: a NUL character in a pattern");
}

static void bytes_that_are_no_characters_match_themselves(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	const char *text = "a\xff\n*\xfe.x\nb?c\nd[^e]f\n";
	struct ignore *ignore = ignore_parse(&arena, text, strlen(text), &err);

	assert_non_null(ignore);
	assert_true(ignore_matches(ignore, "a\xff"));
	assert_false(ignore_matches(ignore, "a\xfe"));
	assert_true(ignore_matches(ignore, "zz\xfe.x"));
	assert_false(ignore_matches(ignore, "zz\xfd.x"));
	assert_true(ignore_matches(ignore, "b\xffz") == false);
	assert_true(ignore_matches(ignore, "b\xff"
					   "c"));
	assert_true(ignore_matches(ignore, "d\xff"
					   "f"));
}

static void newlines_in_names_are_characters(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	const char *const patterns[] = { "a*b", "c/**", "**/d", "e/**/f" };
	struct err err = { 0 };
	struct ignore *ignore = ignore_new(&arena, patterns, 4, &err);

	assert_true(ignore_matches(ignore, "a\nb"));
	assert_true(ignore_matches(ignore, "c/\n/x"));
	assert_true(ignore_matches(ignore, "\n/d"));
	/* Go's '.' stops at one. */
	assert_false(ignore_matches(ignore, "e/\n/f"));
}

static void an_empty_matcher_ignores_nothing(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	const char *const star[] = { "*" };
	struct err err = { 0 };
	struct ignore *ignore = ignore_parse(&arena, NULL, 0, &err);
	struct ignore_state root = ignore_root(ignore);

	assert_int_equal(ignore_count(ignore), 0);
	assert_false(ignore_matches(ignore, "a"));
	assert_false(ignore_child(ignore, &root, "a", NULL).excluded);
	assert_non_null(ignore_new(&arena, NULL, 0, &err));
	ignore = ignore_new(&arena, star, 1, &err);
	assert_false(ignore_matches(ignore, "."));
	assert_false(ignore_matches(ignore, ""));
	assert_true(ignore_matches(ignore, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_patterns_at_once_say_what_each_says_alone),
		cmocka_unit_test(thousands_of_patterns_make_one_automaton),
		cmocka_unit_test(a_full_cache_starts_anew),
		cmocka_unit_test(a_pattern_may_be_as_large_as_the_file),
		cmocka_unit_test(many_stars_and_long_paths_are_linear),
		cmocka_unit_test(a_nul_in_the_file_is_refused),
		cmocka_unit_test(bytes_that_are_no_characters_match_themselves),
		cmocka_unit_test(newlines_in_names_are_characters),
		cmocka_unit_test(an_empty_matcher_ignores_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
