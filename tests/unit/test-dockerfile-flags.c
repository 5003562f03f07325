/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kiln/dockerfile/dockerfile.h"

/* How the rest of kiln asks for what was parsed. */

static const struct instruction *parse_one(struct arena *arena, const char *line)
{
	const char *text = arena_printf(arena, "FROM alpine\n%s\n", line);
	struct dockerfile_place place;
	struct err err = { 0 };
	struct dockerfile *file = dockerfile_parse(arena, "Dockerfile", text, strlen(text), &place, &err);

	if (!file)
		fail_msg("%s", err.msg);
	return &file->stages[0].instructions[0];
}

static void a_switch_is_set_without_a_value_or_with_true(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };

	assert_true(instruction_flag_is_set(parse_one(&arena, "COPY --link a b"), "link"));
	assert_true(instruction_flag_is_set(parse_one(&arena, "COPY --link=true a b"), "link"));
	assert_true(instruction_flag_is_set(parse_one(&arena, "COPY --link=True a b"), "link"));
	assert_false(instruction_flag_is_set(parse_one(&arena, "COPY --link=false a b"), "link"));
	assert_false(instruction_flag_is_set(parse_one(&arena, "COPY a b"), "link"));
}

static void a_flag_that_was_not_given_has_no_value(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	const struct instruction *copy = parse_one(&arena, "COPY --from= --chown=x --exclude=a --exclude=b a b");

	assert_string_equal(instruction_flag(copy, "from"), "");
	assert_string_equal(instruction_flag(copy, "chown"), "x");
	assert_string_equal(instruction_flag(copy, "exclude"), "a");
	assert_null(instruction_flag(copy, "chmod"));
	assert_null(instruction_flag(parse_one(&arena, "STOPSIGNAL --x=y TERM"), "x"));
}

static void the_original_line_is_whole_and_trimmed(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	const struct instruction *run = parse_one(&arena, "  Run --network=none a \\\n# c\n  b  ");

	assert_string_equal(run->original, "Run --network=none a   b");
	assert_string_equal(run->text, "a   b");
	assert_int_equal(run->first_line, 2);
	assert_int_equal(run->last_line, 4);
	assert_string_equal(parse_one(&arena, "COPY --link <<A <<B /d\nx\nA\ny\nB")->original,
			    "COPY --link <<A <<B /d");
}

static void every_instruction_has_its_name(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };

	assert_string_equal(instruction_name(INSTRUCTION_FROM), "FROM");
	assert_string_equal(instruction_name(INSTRUCTION_MAINTAINER), "MAINTAINER");
	assert_string_equal(instruction_name(parse_one(&arena, "healthcheck none")->kind), "HEALTHCHECK");
}

static void words_are_never_null(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };

	assert_null(parse_one(&arena, "RUN")->words[0]);
	assert_null(parse_one(&arena, "CMD []")->words[0]);
	assert_null(parse_one(&arena, "ENV a=b")->words[0]);
	assert_null(parse_one(&arena, "SHELL [\"a\"]")->words[1]);
}

static void a_file_keeps_its_name_and_text(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };
	char text[] = "# syntax=a\nFROM x AS y\n";
	char name[] = "my.Dockerfile";
	struct dockerfile_place place;
	struct err err = { 0 };
	struct dockerfile *file = dockerfile_parse(&arena, name, text, strlen(text), &place, &err);

	assert_non_null(file);
	memset(text, 'z', sizeof(text) - 1);
	memset(name, 'z', sizeof(name) - 1);
	assert_string_equal(file->name, "my.Dockerfile");
	assert_string_equal(file->source, "# syntax=a\nFROM x AS y\n");
	assert_int_equal(file->source_len, 23);
	assert_string_equal(file->stages[0].name, "y");
	assert_string_equal(file->stages[0].from->base, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_switch_is_set_without_a_value_or_with_true),
		cmocka_unit_test(a_flag_that_was_not_given_has_no_value),
		cmocka_unit_test(the_original_line_is_whole_and_trimmed),
		cmocka_unit_test(every_instruction_has_its_name),
		cmocka_unit_test(words_are_never_null),
		cmocka_unit_test(a_file_keeps_its_name_and_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
