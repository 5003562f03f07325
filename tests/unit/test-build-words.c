/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include "../../src/build/internal.h"

static void words_are_joined_by_single_blanks(void **state)
{
	scope_arena struct arena arena = { 0 };
	const char *const words[] = { "/bin/sh", "-c", "echo  a", "" };

	(void)state;
	assert_string_equal(words_joined(&arena, words, 4), "/bin/sh -c echo  a ");
	assert_string_equal(words_joined(&arena, words, 1), "/bin/sh");
	assert_string_equal(words_joined(&arena, words, 0), "");
	assert_string_equal(words_joined(&arena, NULL, 0), "");
}

/* What Go's %q prints of the same bytes. */
static void quoted_words_are_those_of_go(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "\"\"" },
		{ "plain", "\"plain\"" },
		{ "two words", "\"two words\"" },
		{ "a\"b\\c", "\"a\\\"b\\\\c\"" },
		{ "\"\"", "\"\\\"\\\"\"" },
		{ "\a\b\f\n\r\t\v", "\"\\a\\b\\f\\n\\r\\t\\v\"" },
		{ "line\nline", "\"line\\nline\"" },
		{ "\001\033[31m\177", "\"\\x01\\x1b[31m\\x7f\"" },
		{ "gr\303\274n \342\202\254 \360\237\220\213", "\"gr\303\274n \342\202\254 \360\237\220\213\"" },
		{ "bad\377\303", "\"bad\\xff\\xc3\"" },
		{ "'single' $HOME 100%s", "\"'single' $HOME 100%s\"" },
	};
	scope_arena struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(go_quoted(&arena, cases[i].text), cases[i].want);
}

static void a_long_word_is_quoted_whole(void **state)
{
	enum { LEN = 100000 };
	scope_arena struct arena arena = { 0 };
	char *text = arena_alloc(&arena, LEN + 1);

	(void)state;
	memset(text, '\n', LEN);
	assert_int_equal(strlen(go_quoted(&arena, text)), 2 * LEN + 2);
	memset(text, 'x', LEN);
	assert_int_equal(strlen(go_quoted(&arena, text)), LEN + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_joined_by_single_blanks),
		cmocka_unit_test(quoted_words_are_those_of_go),
		cmocka_unit_test(a_long_word_is_quoted_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
