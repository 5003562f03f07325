/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/dockerfile/expand.h"

/* Limits of the expansion. What it means is in tests/dockerfile/expand.case. */

#define MIB ((size_t)1024 * 1024)

struct variables {
	const char *names[64];
	const char *values[64];
	size_t count;
};

static const char *lookup(void *arg, const char *name, size_t len)
{
	struct variables *variables = arg;

	for (size_t i = 0; i < variables->count; i++)
		if (strlen(variables->names[i]) == len && memcmp(variables->names[i], name, len) == 0)
			return variables->values[i];
	return NULL;
}

static char *expand(struct arena *arena, struct variables *variables, const char *word, struct err *err)
{
	struct expander expander = { .escape = '\\', .lookup = lookup, .arg = variables };

	return expand_word(arena, &expander, word, err);
}

static char *repeat(struct arena *arena, const char *text, size_t count)
{
	scope_strbuf struct strbuf buf = { 0 };

	for (size_t i = 0; i < count; i++)
		strbuf_addstr(&buf, text);
	return arena_strdup(arena, strbuf_str(&buf));
}

static void a_word_may_grow_to_one_mebibyte_and_no_more(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	struct variables variables = { { "h" }, { repeat(&arena, "x", MIB / 2) }, 1 };

	char *whole = expand(&arena, &variables, "$h$h", &err);
	assert_non_null(whole);
	assert_int_equal(strlen(whole), MIB);
	assert_null(expand(&arena, &variables, "$h${h}y", &err));
	assert_int_equal(err.kind, ERR_INPUT);
	assert_string_equal(err.msg, "failed to process \"$h${h}y\": the result is larger than 1048576 bytes");
}

static void values_that_double_each_other_end_in_an_error(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	struct variables variables = { { "a0" }, { "xxxxxxxx" }, 1 };
	size_t level = 1;

	for (; level < 40; level++) {
		char *word = arena_printf(&arena, "${a%zu}${a%zu}", level - 1, level - 1);
		char *value = expand(&arena, &variables, word, &err);
		if (!value)
			break;
		variables.names[level] = arena_printf(&arena, "a%zu", level);
		variables.values[level] = value;
		variables.count++;
	}
	assert_int_equal(level, 18);
	assert_true(text_ends(err.msg, "the result is larger than 1048576 bytes"));
}

static char *nested(struct arena *arena, size_t depth)
{
	return arena_printf(arena, "%s%s", repeat(arena, "${a:-", depth), repeat(arena, "}", depth));
}

static void braces_nest_64_deep_and_no_deeper(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	struct variables none = { 0 };

	assert_string_equal(expand(&arena, &none, nested(&arena, 64), &err), "");
	assert_null(expand(&arena, &none, nested(&arena, 65), &err));
	assert_true(text_ends(err.msg, "${} is nested deeper than 64"));
	assert_null(expand(&arena, &none, nested(&arena, 100000), &err));
	assert_null(expand(&arena, &none, repeat(&arena, "${a:-", 100000), &err));
	assert_null(expand(&arena, &none, repeat(&arena, "${a/", 100000), &err));
}

static void operands_that_are_thrown_away_cost_work_too(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	struct variables variables = { { "v" }, { repeat(&arena, "x", MIB / 2) }, 1 };

	assert_null(expand(&arena, &variables, repeat(&arena, "${none:+$v}", 10000), &err));
	assert_true(text_ends(err.msg, "the expansion takes too much work"));
	assert_null(expand(&arena, &variables, repeat(&arena, "${v##*}", 10000), &err));
	assert_true(text_ends(err.msg, "the expansion takes too much work"));
	assert_string_equal(expand(&arena, &variables, repeat(&arena, "${v##*}", 20), &err), "");
}

/* Each of these takes a backtracking matcher longer than the universe is old. */
static void patterns_of_many_stars_are_linear(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	char *text = repeat(&arena, "a", 65536);
	char *stars = repeat(&arena, "*a", 60);
	struct variables variables = { { "v", "p" }, { text, stars }, 2 };

	assert_string_equal(expand(&arena, &variables, "${v#$p*b}", &err), text);
	assert_string_equal(expand(&arena, &variables, "${v##$p*b}", &err), text);
	assert_string_equal(expand(&arena, &variables, "${v%b$p}", &err), text);
	assert_string_equal(expand(&arena, &variables, "${v%%b*$p}", &err), text);
	assert_string_equal(expand(&arena, &variables, "${v/$p*b/x}", &err), text);
	assert_string_equal(expand(&arena, &variables, "${v//$p*b/x}", &err), text);
	assert_string_equal(expand(&arena, &variables, "${v//$p/x}", &err), "x");
	assert_int_equal(strlen(expand(&arena, &variables, "${v//a/bc}", &err)), 131072);
	assert_int_equal(strlen(expand(&arena, &variables, "${v//?/bc}", &err)), 131072);
}

static void many_lines_are_replaced_line_by_line(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	struct variables variables = { { "v" }, { repeat(&arena, "axbyc\n", 10000) }, 1 };
	char *replaced = expand(&arena, &variables, "${v//x*y/-}", &err);

	assert_non_null(replaced);
	assert_string_equal(replaced, repeat(&arena, "a-c\n", 10000));
}

static void a_long_pattern_is_an_answer_or_an_error(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	struct variables variables = {
		{ "v", "p" },
		{ repeat(&arena, "ab", 4096), repeat(&arena, "a?", 4096) },
		2,
	};

	assert_string_equal(expand(&arena, &variables, "${v#$p}", &err), "");
	assert_string_equal(expand(&arena, &variables, "${v%$p}", &err), "");
	variables.values[0] = variables.values[1] = repeat(&arena, "ab", MIB / 2);
	assert_null(expand(&arena, &variables, "${v#$p}", &err));
	assert_true(text_ends(err.msg, "the expansion takes too much work"));
}

/* A table row for each of 60,000 characters would be 60,000 times the pattern. */
static void a_pattern_of_many_different_characters_is_refused(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf pattern = { 0 };
	struct err err = { 0 };

	for (unsigned i = 0; i < 60000; i++)
		strbuf_addf(&pattern, "%c%c%c", 0xe1 + (int)(i >> 12), 0x80 | (int)(i >> 6 & 63), 0x80 | (int)(i & 63));
	struct variables variables = { { "v", "p" }, { "x", strbuf_str(&pattern) }, 2 };
	assert_null(expand(&arena, &variables, "${v#$p}", &err));
	assert_non_null(strstr(err.msg, "the pattern is too long"));
}

static void a_million_plain_characters_are_one_word(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	struct variables none = { 0 };
	char *text = repeat(&arena, "x", MIB);
	const char **words;
	size_t count;
	struct expander expander = { .escape = '\\' };

	assert_string_equal(expand(&arena, &none, text, &err), text);
	assert_int_equal(strlen(expand(&arena, &none, repeat(&arena, "\\x", MIB / 2), &err)), MIB / 2);
	assert_string_equal(expand(&arena, &none, repeat(&arena, "$x", 100000), &err), "");
	assert_int_equal(expand_words(&arena, &expander, repeat(&arena, "a ", 100000), &words, &count, &err), 0);
	assert_int_equal(count, 100000);
	assert_null(words[count]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_word_may_grow_to_one_mebibyte_and_no_more),
		cmocka_unit_test(values_that_double_each_other_end_in_an_error),
		cmocka_unit_test(braces_nest_64_deep_and_no_deeper),
		cmocka_unit_test(operands_that_are_thrown_away_cost_work_too),
		cmocka_unit_test(patterns_of_many_stars_are_linear),
		cmocka_unit_test(many_lines_are_replaced_line_by_line),
		cmocka_unit_test(a_long_pattern_is_an_answer_or_an_error),
		cmocka_unit_test(a_pattern_of_many_different_characters_is_refused),
		cmocka_unit_test(a_million_plain_characters_are_one_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
