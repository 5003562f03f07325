/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/dockerfile/lint.h"

/* The rules that need facts of an evaluation, and what is said of a place in a file. The rules of the text alone are in
   tests/dockerfile/lint.case. */

struct fixture {
	struct arena arena;
	struct lint lint;
	const struct dockerfile *file;
};

static void parse(struct fixture *fixture, const char *text)
{
	struct dockerfile_place place;
	struct err err = { 0 };

	fixture->file = dockerfile_parse(&fixture->arena, "Dockerfile", text, strlen(text), &place, &err);
	assert_non_null(fixture->file);
	assert_int_equal(lint_init(&fixture->lint, &fixture->arena, fixture->file->check, &err), 0);
}

/* The instruction with this number behind the first FROM. */
static const struct instruction *instruction(const struct fixture *fixture, size_t index)
{
	return &fixture->file->stages[0].instructions[index];
}

static void says(struct fixture *fixture, enum lint_moment moment, const struct lint_facts *facts, const char *expected)
{
	scope_strbuf struct strbuf text = { 0 };

	fixture->lint.count = 0;
	fixture->lint.warnings = NULL;
	lint_run(&fixture->lint, moment, facts);
	for (size_t i = 0; i < fixture->lint.count; i++)
		strbuf_addf(&text, "%s%s", i ? "\n" : "", lint_line(&fixture->arena, &fixture->lint.warnings[i]));
	assert_string_equal(strbuf_str(&text), expected);
}

static void release(struct fixture *fixture)
{
	arena_release(&fixture->arena);
}

/* ---- FROM ---- */

static void undefined_arguments_of_from_are_named(void **state)
{
	struct fixture f = { 0 };
	static const struct lint_unset unset[] = { { "BULIDPLATFORM", "BUILDPLATFORM" }, { "version", NULL } };

	(void)state;
	parse(&f, "FROM --platform=$BULIDPLATFORM a:$version\n");
	const struct lint_facts facts = { .instruction = f.file->stages[0].from, .unset = unset, .unset_count = 2 };
	says(&f, LINT_FROM, &facts,
	     "UndefinedArgInFrom: FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?) (line "
	     "1)\n"
	     "UndefinedArgInFrom: FROM argument 'version' is not declared (line 1)");
	release(&f);
}

static void defaults_that_give_no_name_are_shown(void **state)
{
	struct fixture f = { 0 };

	(void)state;
	parse(&f, "ARG V\nFROM busybox:$V\n");
	const struct lint_facts facts = { .instruction = f.file->stages[0].from, .is_default_base_invalid = true };
	says(&f, LINT_FROM, &facts,
	     "InvalidDefaultArgInFrom: Default value for ARG busybox:$V results in empty or invalid base image name "
	     "(line "
	     "2)");
	release(&f);
}

static void the_target_platform_is_the_default(void **state)
{
	struct fixture f = { 0 };

	(void)state;
	parse(&f, "FROM --platform=${TARGETPLATFORM} scratch\n");
	const struct lint_facts facts = { .instruction = f.file->stages[0].from, .is_target_platform = true };
	says(&f, LINT_FROM, &facts,
	     "RedundantTargetPlatform: Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this "
	     "is "
	     "the default behavior (line 1)");
	release(&f);
}

static void a_constant_platform_is_wrong_but_in_a_stage_named_after_it(void **state)
{
	struct fixture f = { 0 };
	struct lint_facts facts = { .constant_platform = "linux/amd64",
				    .constant_os = "linux",
				    .constant_architecture = "amd64" };

	(void)state;
	parse(&f, "FROM --platform=linux/amd64 scratch\nFROM --platform=linux/amd64 scratch AS my_amd64_stage\n"
		  "FROM --platform=linux/amd64 scratch AS linux\n");
	facts.instruction = f.file->stages[0].from;
	says(&f, LINT_FROM, &facts,
	     "FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value \"linux/amd64\" "
	     "(line "
	     "1)");
	facts.instruction = f.file->stages[1].from;
	says(&f, LINT_FROM, &facts, "");
	facts.instruction = f.file->stages[2].from;
	says(&f, LINT_FROM, &facts, "");
	release(&f);
}

static void a_base_of_another_platform_is_named(void **state)
{
	struct fixture f = { 0 };

	(void)state;
	parse(&f, "FROM busybox\n");
	const struct lint_facts facts = { .instruction = f.file->stages[0].from,
					  .base_name = "busybox",
					  .base_platform = "linux/arm64",
					  .wanted_platform = "linux/amd64" };
	says(&f, LINT_BASE, &facts,
	     "InvalidBaseImagePlatform: Base image busybox was pulled with platform \"linux/arm64\", expected "
	     "\"linux/amd64\" for current build (line 1)");
	assert_null(f.lint.warnings[0].rule->url);
	release(&f);
}

/* ---- instructions ---- */

static void unset_variables_are_named_with_what_may_be_meant(void **state)
{
	struct fixture f = { 0 };
	static const struct lint_unset unset[] = { { "PAHT", "PATH" }, { "foo", NULL } };

	(void)state;
	parse(&f, "FROM scratch\nENV PATH=$PAHT:$foo\n");
	const struct lint_facts facts = { .instruction = instruction(&f, 0), .unset = unset, .unset_count = 2 };
	says(&f, LINT_EVALUATED, &facts,
	     "UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?) (line 2)\n"
	     "UndefinedVar: Usage of undefined variable '$foo' (line 2)");
	release(&f);
}

static void the_shell_form_of_a_command_wants_a_SHELL(void **state)
{
	struct fixture f = { 0 };
	struct lint_facts facts = { 0 };

	(void)state;
	parse(&f, "FROM scratch\nCMD a\nentrypoint b\nCMD [\"a\"]\nRUN a\n");
	facts.instruction = instruction(&f, 0);
	says(&f, LINT_EVALUATED, &facts,
	     "JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS "
	     "signals "
	     "(line 2)");
	facts.instruction = instruction(&f, 1);
	says(&f, LINT_EVALUATED, &facts,
	     "JSONArgsRecommended: JSON arguments recommended for entrypoint to prevent unintended behavior related to "
	     "OS "
	     "signals (line 3)");
	facts.instruction = instruction(&f, 2);
	says(&f, LINT_EVALUATED, &facts, "");
	facts.instruction = instruction(&f, 3);
	says(&f, LINT_EVALUATED, &facts, "");
	facts.instruction = instruction(&f, 0);
	facts.has_shell = true;
	says(&f, LINT_EVALUATED, &facts, "");
	release(&f);
}

static void a_second_command_is_said_of_the_first(void **state)
{
	struct fixture f = { 0 };

	(void)state;
	parse(&f, "FROM scratch\nCMD [\"a\"]\nCMD [\"b\"]\n");
	const struct lint_facts facts = { .instruction = instruction(&f, 1), .previous = instruction(&f, 0) };
	says(&f, LINT_EVALUATED, &facts,
	     "MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because "
	     "only "
	     "the last one will be used (line 2)");
	release(&f);
}

static void the_old_form_of_ENV_and_LABEL_is_shown_anew(void **state)
{
	struct fixture f = { 0 };
	struct lint_facts facts = { 0 };

	(void)state;
	parse(&f, "FROM scratch\nENV k v\nLABEL k v\nENV k=v\n");
	facts.instruction = instruction(&f, 0);
	says(&f, LINT_EVALUATED, &facts,
	     "LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format (line "
	     "2)");
	facts.instruction = instruction(&f, 1);
	says(&f, LINT_EVALUATED, &facts,
	     "LegacyKeyValueFormat: \"LABEL key=value\" should be used instead of legacy \"LABEL key value\" format "
	     "(line "
	     "3)");
	facts.instruction = instruction(&f, 2);
	says(&f, LINT_EVALUATED, &facts, "");
	release(&f);
}

static void the_first_workdir_is_expected_to_be_absolute(void **state)
{
	struct fixture f = { 0 };
	static const char *relative[] = { "app/" }, *absolute[] = { "/app" };
	struct lint_facts facts = { .words = relative, .word_count = 1 };

	(void)state;
	parse(&f, "FROM scratch\nWORKDIR app/\n");
	facts.instruction = instruction(&f, 0);
	says(&f, LINT_EVALUATED, &facts,
	     "WorkdirRelativePath: Relative workdir \"app/\" can have unexpected results if the base image changes "
	     "(line "
	     "2)");
	facts.has_workdir = true;
	says(&f, LINT_EVALUATED, &facts, "");
	facts.has_workdir = false;
	facts.words = absolute;
	says(&f, LINT_EVALUATED, &facts, "");
	release(&f);
}

static bool is_called_secret(struct fixture *f, const char *name)
{
	const struct lint_facts facts = { .instruction = instruction(f, 0), .words = &name, .word_count = 1 };

	f->lint.count = 0;
	f->lint.warnings = NULL;
	lint_run(&f->lint, LINT_EVALUATED, &facts);
	return f->lint.count == 1 && strcmp(f->lint.warnings[0].rule->name, "SecretsUsedInArgOrEnv") == 0;
}

static void names_of_secrets_are_words_between_underscores_in_any_case(void **state)
{
	static const char *const secrets[] = { "apikey",  "auth",   "AUTH",         "credential",  "x_credentials",
					       "git_key", "KEY",    "SUPER_Secret", "password",    "pword",
					       "passwd",  "secret", "_token_",      "a_PASSWORD_b" };
	static const char *const harmless[] = { "sunflower",    "keyboard", "monkey",        "PUBLIC_KEY",
						"public_token", "key_file", "SECRET_FILE",   "auth_version",
						"GPGKEY",       "tokens",   "authorization", "" };
	struct fixture f = { 0 };

	(void)state;
	parse(&f, "FROM scratch\nENV a=b\n");
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
		if (!is_called_secret(&f, secrets[i]))
			fail_msg("%s", secrets[i]);
	for (size_t i = 0; i < ARRAY_LEN(harmless); i++)
		if (is_called_secret(&f, harmless[i]))
			fail_msg("%s", harmless[i]);
	release(&f);
}

static void secrets_in_ARG_are_named(void **state)
{
	struct fixture f = { 0 };

	(void)state;
	parse(&f, "FROM scratch\nARG SECRET_PASSPHRASE x=1 auth=bar\n");
	says(&f, LINT_EVALUATED, &(struct lint_facts){ .instruction = instruction(&f, 0) },
	     "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"SECRET_PASSPHRASE\") "
	     "(line 2)\n"
	     "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"auth\") (line 2)");
	release(&f);
}

static void ignored_sources_are_named(void **state)
{
	struct fixture f = { 0 };
	static const char *ignored[] = { "Dockerfile" };
	struct lint_facts facts = { .ignored = ignored, .ignored_count = 1 };

	(void)state;
	parse(&f, "FROM scratch\nCOPY Dockerfile .\nADD Dockerfile .\n");
	facts.instruction = instruction(&f, 0);
	says(&f, LINT_EVALUATED, &facts,
	     "CopyIgnoredFile: Attempting to Copy file \"Dockerfile\" that is excluded by .dockerignore (line 2)");
	facts.instruction = instruction(&f, 1);
	says(&f, LINT_EVALUATED, &facts,
	     "CopyIgnoredFile: Attempting to Add file \"Dockerfile\" that is excluded by .dockerignore (line 3)");
	release(&f);
}

static void ports_are_expected_bare_and_protocols_in_lower_case(void **state)
{
	struct fixture f = { 0 };
	static const char *words[] = { "80/TcP", "80/tcp", "5000:5000", "127.0.0.1:80:80/UDP", ":80", "[::1]:1:1" };
	struct lint_facts facts = { .words = words, .word_count = ARRAY_LEN(words) };

	(void)state;
	parse(&f, "FROM scratch\nEXPOSE 1\n");
	facts.instruction = instruction(&f, 0);
	says(&f, LINT_EVALUATED, &facts,
	     "ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase (line 2)\n"
	     "ExposeProtoCasing: Defined protocol '127.0.0.1:80:80/UDP' in EXPOSE instruction should be lowercase "
	     "(line 2)\n"
	     "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found "
	     "'5000:5000' (line 2)\n"
	     "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found "
	     "'127.0.0.1:80:80/UDP' (line 2)\n"
	     "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found "
	     "'[::1]:1:1' (line 2)");
	release(&f);
}

/* ---- places ---- */

static void a_comment_tells_of_the_name_that_it_begins_with(void **state)
{
	struct fixture f = { 0 };

	(void)state;
	parse(&f, "FROM scratch\n# other this is other\n# BAR is a number\n# BAR twice\nARG BAR=456\nARG FOO\n");
	assert_string_equal(comment_about(&f.arena, instruction(&f, 0)->comment, "BAR"), "is a number");
	assert_null(comment_about(&f.arena, instruction(&f, 0)->comment, "BA"));
	assert_null(comment_about(&f.arena, instruction(&f, 1)->comment, "FOO"));
	release(&f);
}

static void find(const char *text, int first, int last, const char *word, int line, int column, int end)
{
	const struct dockerfile_place place = { first, last };
	struct dockerfile_columns columns = { 0 };

	assert_int_equal(dockerfile_find_word(text, strlen(text), &place, word, &columns), line > 0);
	assert_int_equal(columns.line, line);
	assert_int_equal(columns.first, column);
	assert_int_equal(columns.last, end);
}

static void a_word_is_found_in_the_lines_of_its_place(void **state)
{
	(void)state;
	find("FROM a\nRUN --mont=x y\n", 2, 2, "--mont", 2, 5, 10);
	find("FROM a\nRUN --mont=x y\n", 1, 1, "--mont", 0, 0, 0);
	find("RUN \\\n  --mont y\n", 1, 2, "--mont", 2, 3, 8);
	find("RUN --monty --mont y\n", 1, 1, "--mont", 1, 13, 18);
	find("ENV \xc3\xa4=$X\n", 1, 1, "$X", 1, 7, 8);
	find("FRUM", 1, 1, "FRUM", 1, 1, 4);
	find("RUN a", 1, 1, "", 0, 0, 0);
	find("aa aaa aa", 1, 1, "aa", 1, 1, 2);
}

static void the_excerpt_marks_the_word(void **state)
{
	struct fixture f = { 0 };
	const char *text = "FROM a\n\tRUN --mont=x y\n";
	const struct dockerfile_place place = { 2, 2 };
	struct dockerfile_columns columns;

	(void)state;
	assert_true(dockerfile_find_word(text, strlen(text), &place, "--mont", &columns));
	assert_string_equal(dockerfile_excerpt_word(&f.arena, "Dockerfile", text, strlen(text), &place, &columns),
			    "Dockerfile:2\n"
			    "--------------------\n"
			    "   1 |     FROM a\n"
			    "   2 | >>> \tRUN --mont=x y\n"
			    "     |     \t    ^^^^^^\n"
			    "   3 |     \n"
			    "--------------------\n");
	release(&f);
}

static void the_parser_says_which_word_is_wrong(void **state)
{
	static const struct {
		const char *text, *word;
	} cases[] = {
		{ "FROM a\nFRUM b\n", "FRUM" },
		{ "FROM a\nRUN --mont=x y\n", "--mont" },
		{ "FROM a\nCOPY --chown=a --chown=b c d\n", "--chown" },
		{ "FROM a\nCOPY --link=maybe c d\n", "--link" },
		{ "FROM a AS 1x\n", "1x" },
		{ "FROM a\nSHELL x\n", NULL },
		{ "FROM a\nRUN <<E\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena = { 0 };
		struct dockerfile_place place;
		struct dockerfile_failure failure;
		struct err err;
		assert_null(dockerfile_parse_more(&arena, "x", cases[i].text, strlen(cases[i].text), &place, &failure,
						  &err));
		if (cases[i].word)
			assert_string_equal(failure.word, cases[i].word);
		else
			assert_null(failure.word);
		arena_release(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(undefined_arguments_of_from_are_named),
		cmocka_unit_test(defaults_that_give_no_name_are_shown),
		cmocka_unit_test(the_target_platform_is_the_default),
		cmocka_unit_test(a_constant_platform_is_wrong_but_in_a_stage_named_after_it),
		cmocka_unit_test(a_base_of_another_platform_is_named),
		cmocka_unit_test(unset_variables_are_named_with_what_may_be_meant),
		cmocka_unit_test(the_shell_form_of_a_command_wants_a_SHELL),
		cmocka_unit_test(a_second_command_is_said_of_the_first),
		cmocka_unit_test(the_old_form_of_ENV_and_LABEL_is_shown_anew),
		cmocka_unit_test(the_first_workdir_is_expected_to_be_absolute),
		cmocka_unit_test(names_of_secrets_are_words_between_underscores_in_any_case),
		cmocka_unit_test(secrets_in_ARG_are_named),
		cmocka_unit_test(ignored_sources_are_named),
		cmocka_unit_test(ports_are_expected_bare_and_protocols_in_lower_case),
		cmocka_unit_test(a_comment_tells_of_the_name_that_it_begins_with),
		cmocka_unit_test(a_word_is_found_in_the_lines_of_its_place),
		cmocka_unit_test(the_excerpt_marks_the_word),
		cmocka_unit_test(the_parser_says_which_word_is_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
