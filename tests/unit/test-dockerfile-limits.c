/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/dockerfile/dockerfile.h"

/* Large and hostile files. What the language means is in the cases of tests/dockerfile. */

#define MIB ((size_t)1024 * 1024)

static void add(struct strbuf *text, const char *part, size_t count)
{
	for (size_t i = 0; i < count; i++)
		strbuf_addstr(text, part);
}

static struct dockerfile *parse(struct arena *arena, const struct strbuf *text)
{
	struct dockerfile_place place;
	struct err err = { 0 };
	struct dockerfile *file = dockerfile_parse(arena, "Dockerfile", strbuf_str(text), text->len, &place, &err);

	if (!file)
		fail_msg("%s", err.msg);
	return file;
}

static void assert_error(const struct strbuf *text, const char *message)
{
	scope_arena struct arena arena = { 0 };
	struct dockerfile_place place;
	struct err err = { 0 };

	assert_null(dockerfile_parse(&arena, "Dockerfile", strbuf_str(text), text->len, &place, &err));
	assert_int_equal(err.kind, ERR_INPUT);
	assert_string_equal(err.msg, message);
}

static void a_file_has_at_most_one_mebibyte(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	add(&text, "FROM a\nRUN ", 1);
	add(&text, "x", MIB - text.len);
	struct dockerfile *file = parse(&arena, &text);
	assert_int_equal(strlen(file->stages[0].instructions[0].text), MIB - 11);
	strbuf_addch(&text, 'x');
	assert_error(&text, "the Dockerfile is larger than 1048576 bytes");
}

static void a_line_may_be_as_long_as_the_file(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	add(&text, "FROM a\nENV a=", 1);
	add(&text, "0123456789abcdef", 5000);
	struct dockerfile *file = parse(&arena, &text);
	assert_int_equal(strlen(file->stages[0].instructions[0].pairs[0].value), 80000);
}

static void ten_thousand_continuations_are_one_line(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	add(&text, "FROM a\nRUN x \\\n", 1);
	add(&text, "  && y \\\n# comment\n\n", 10000);
	add(&text, "  z\n", 1);
	struct dockerfile *file = parse(&arena, &text);
	assert_int_equal(file->stages[0].count, 1);
	assert_int_equal(file->stages[0].instructions[0].last_line, 30003);
	assert_int_equal(file->warning_count, 1);
}

static void ten_thousand_heredocs_on_one_line_have_their_bodies(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	add(&text, "FROM a\nCOPY", 1);
	for (unsigned i = 0; i < 10000; i++)
		strbuf_addf(&text, " <<-f%u", i);
	strbuf_addstr(&text, " /d/\n");
	for (unsigned i = 0; i < 10000; i++)
		strbuf_addf(&text, "\tbody %u\n\tf%u\n", i, i);
	const struct instruction *copy = &parse(&arena, &text)->stages[0].instructions[0];
	assert_int_equal(copy->heredoc_count, 10000);
	assert_int_equal(copy->word_count, 10001);
	assert_string_equal(copy->heredocs[9999].body, "body 9999\n");
	assert_ptr_equal(copy->word_heredocs[5000], &copy->heredocs[5000]);
	assert_null(copy->word_heredocs[10000]);
}

static void ten_thousand_heredocs_of_one_name_share_one_body(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	add(&text, "FROM a\nCOPY", 1);
	add(&text, " <<-A", 10000);
	add(&text, " /d/\n", 1);
	add(&text, "A\n", 9999);
	add(&text, "\tlast\n", 50000);
	add(&text, "A\n", 1);
	const struct instruction *copy = &parse(&arena, &text)->stages[0].instructions[0];
	assert_int_equal(copy->heredoc_count, 10000);
	assert_ptr_equal(copy->heredocs[0].body, copy->heredocs[9999].body);
	assert_int_equal(strlen(copy->heredocs[0].body), 250000);
	assert_true(arena.total < 64 * MIB);
}

static void ten_thousand_instructions_with_heredocs(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	add(&text, "FROM a\n", 1);
	add(&text, "RUN <<E\nx\nE\n", 10000);
	struct dockerfile *file = parse(&arena, &text);
	assert_int_equal(file->stages[0].count, 10000);
	assert_string_equal(file->stages[0].instructions[9999].heredocs[0].body, "x\n");
}

static void a_terminator_may_be_longer_than_any_buffer(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	add(&text, "FROM a\nRUN <<", 1);
	add(&text, "E", 100000);
	add(&text, "\nx\n", 1);
	add(&text, "E", 100000);
	assert_string_equal(parse(&arena, &text)->stages[0].instructions[0].heredocs[0].body, "x\n");
}

static void ten_thousand_stages(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	add(&text, "ARG v\n", 1);
	for (unsigned i = 0; i < 10000; i++)
		strbuf_addf(&text, "FROM a AS s%u\nRUN x\n", i);
	struct dockerfile *file = parse(&arena, &text);
	assert_int_equal(file->stage_count, 10000);
	assert_int_equal(file->global_arg_count, 1);
	assert_string_equal(file->stages[9999].name, "s9999");
	assert_int_equal(file->stages[9999].count, 1);
	assert_int_equal(file->stages[9999].instructions[0].first_line, 20001);
}

static void arrays_of_many_words_are_read(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	add(&text, "FROM a\nCMD [\"\"", 1);
	add(&text, ",\"\"", 300000);
	add(&text, "]\n", 1);
	const struct instruction *cmd = &parse(&arena, &text)->stages[0].instructions[0];
	assert_true(cmd->is_json);
	assert_int_equal(cmd->word_count, 300001);
	assert_null(cmd->words[300001]);
}

/* Go's reader gives up beyond 10,000 levels; what it cannot read is the shell form. */
static void brackets_nest_ten_thousand_deep_and_no_deeper(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	add(&text, "FROM a\nCMD ", 1);
	add(&text, "[", 10000);
	add(&text, "]", 10000);
	assert_error(&text, "when using JSON array syntax, arrays must be comprised of strings only");
	strbuf_reset(&text);
	add(&text, "FROM a\nCMD ", 1);
	add(&text, "[", 10001);
	add(&text, "]", 10001);
	assert_false(parse(&arena, &text)->stages[0].instructions[0].is_json);
	strbuf_reset(&text);
	add(&text, "FROM a\nCMD ", 1);
	add(&text, "[{\"a\":", 150000);
	assert_false(parse(&arena, &text)->stages[0].instructions[0].is_json);
}

static void a_chain_of_onbuilds_does_not_overflow_the_stack(void **state)
{
	(void)state;
	scope_strbuf struct strbuf text = { 0 };

	add(&text, "FROM a\n", 1);
	add(&text, "ONBUILD ", 130000);
	add(&text, "RUN x\n", 1);
	assert_error(&text, "dockerfile parse error on line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
}

static void many_pairs_flags_and_comments_are_read(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	add(&text, "# comment\n", 20000);
	add(&text, "FROM a\nENV", 1);
	add(&text, " a=b", 100000);
	add(&text, "\nRUN", 1);
	add(&text, " --mount=x", 20000);
	add(&text, " y\n", 1);
	struct dockerfile *file = parse(&arena, &text);
	assert_int_equal(strlen(file->stages[0].from->comment), 8 * 20000 - 1);
	assert_int_equal(file->stages[0].instructions[0].pair_count, 100000);
	assert_int_equal(file->stages[0].instructions[1].flag_count, 20000);
}

static void a_message_is_short_and_has_no_controls(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	struct dockerfile_place place;
	struct err err = { 0 };

	add(&text, "FROM a\n", 1);
	add(&text, "\x1b]0;x\a", 10000);
	assert_null(dockerfile_parse(&arena, "x", strbuf_str(&text), text.len, &place, &err));
	assert_true(strlen(err.msg) < 400);
	for (const char *p = err.msg; *p; p++)
		assert_true(*p >= ' ');
}

/* ---- dockerfile_excerpt ---- */

static void assert_excerpt(const char *text, int first, int last, const char *expected)
{
	scope_arena struct arena arena = { 0 };
	struct dockerfile_place place = { first, last };

	assert_string_equal(dockerfile_excerpt(&arena, NULL, "Dockerfile", text, strlen(text), &place), expected);
}

#define RULE "--------------------\n"

static void an_excerpt_marks_a_line_among_its_neighbours(void **state)
{
	(void)state;
	assert_excerpt("a\nb\nc\nd\ne\nf\n", 3, 3,
		       "Dockerfile:3\n" RULE
		       "   1 |     a\n   2 |     b\n   3 | >>> c\n   4 |     d\n   5 |     e\n" RULE);
	assert_excerpt("a\nb\nc\nd\ne\nf\n", 1, 1,
		       "Dockerfile:1\n" RULE "   1 | >>> a\n   2 |     b\n   3 |     c\n" RULE);
	assert_excerpt("a", 1, 1, "Dockerfile:1\n" RULE "   1 | >>> a\n" RULE);
}

static void an_excerpt_marks_every_line_of_a_range(void **state)
{
	(void)state;
	assert_excerpt("a\nb\nc\nd\ne\nf\n", 3, 4,
		       "Dockerfile:3\n" RULE "   2 |     b\n   3 | >>> c\n   4 | >>> d\n   5 |     e\n" RULE);
	assert_excerpt("a\nb", 1, 9, "Dockerfile:1\n" RULE "   1 | >>> a\n   2 | >>> b\n" RULE);
}

static void an_excerpt_of_an_unknown_place_is_empty(void **state)
{
	(void)state;
	assert_excerpt("a\n", 0, 0, "");
	assert_excerpt("a\n", 3, 3, "");
	assert_excerpt("", 0, 0, "");
}

static void an_excerpt_shows_control_characters(void **state)
{
	(void)state;
	assert_excerpt("\tx\x1b[31m\r\n\xff é\n", 1, 1,
		       "Dockerfile:1\n" RULE "   1 | >>> \tx\\x1b[31m\n   2 |     \\xff é\n   3 |     \n" RULE);
}

static void an_excerpt_cuts_long_lines(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	struct dockerfile_place place = { 1, 1 };

	add(&text, "x", MIB);
	const char *excerpt = dockerfile_excerpt(&arena, NULL, "D", strbuf_str(&text), text.len, &place);
	assert_true(strlen(excerpt) < 2000);
	assert_non_null(strstr(excerpt, "xxx...\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_has_at_most_one_mebibyte),
		cmocka_unit_test(a_line_may_be_as_long_as_the_file),
		cmocka_unit_test(ten_thousand_continuations_are_one_line),
		cmocka_unit_test(ten_thousand_heredocs_on_one_line_have_their_bodies),
		cmocka_unit_test(ten_thousand_heredocs_of_one_name_share_one_body),
		cmocka_unit_test(ten_thousand_instructions_with_heredocs),
		cmocka_unit_test(a_terminator_may_be_longer_than_any_buffer),
		cmocka_unit_test(ten_thousand_stages),
		cmocka_unit_test(arrays_of_many_words_are_read),
		cmocka_unit_test(brackets_nest_ten_thousand_deep_and_no_deeper),
		cmocka_unit_test(a_chain_of_onbuilds_does_not_overflow_the_stack),
		cmocka_unit_test(many_pairs_flags_and_comments_are_read),
		cmocka_unit_test(a_message_is_short_and_has_no_controls),
		cmocka_unit_test(an_excerpt_marks_a_line_among_its_neighbours),
		cmocka_unit_test(an_excerpt_marks_every_line_of_a_range),
		cmocka_unit_test(an_excerpt_of_an_unknown_place_is_empty),
		cmocka_unit_test(an_excerpt_shows_control_characters),
		cmocka_unit_test(an_excerpt_cuts_long_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
