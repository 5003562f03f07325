/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

static void a_message_has_its_kind_and_text(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(err_set(&err, ERR_INPUT, "line %d is %s", 3, "wrong"), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_int_equal(err.sys, 0);
	assert_string_equal(err.msg, "line 3 is wrong");
}

static void a_system_error_has_its_errno_and_words_and_keeps_errno(void **state)
{
	struct err err = { 0 };

	(void)state;
	errno = ENOENT;
	assert_int_equal(err_errno(&err, "open %s", "a"), -1);
	assert_int_equal(errno, ENOENT);
	assert_string_equal(err.msg, "open a: No such file or directory");
	assert_true(err_is_errno(&err, ENOENT));
	assert_false(err_is_errno(&err, EACCES));
	assert_false(err_is_errno(NULL, ENOENT));
	err.kind = ERR_COMMAND;
	assert_false(err_is_errno(&err, ENOENT));
}

static void a_wrap_goes_in_front_and_keeps_kind_and_number(void **state)
{
	struct err err = { 0 };

	(void)state;
	err_status(&err, ERR_COMMAND, 137, "killed");
	assert_int_equal(err_wrap(&err, "Dockerfile:%d", 3), -1);
	assert_string_equal(err.msg, "Dockerfile:3: killed");
	assert_int_equal(err.kind, ERR_COMMAND);
	assert_int_equal(err.sys, 137);
}

static void an_error_may_be_wrapped_by_its_own_words(void **state)
{
	struct err err = { 0 };

	(void)state;
	err_set(&err, ERR_INPUT, "inner");
	err_wrap(&err, "%s again", err.msg);
	assert_string_equal(err.msg, "inner again: inner");
}

static void nobody_needs_to_listen(void **state)
{
	(void)state;
	errno = EIO;
	assert_int_equal(err_set(NULL, ERR_INPUT, "x"), -1);
	assert_int_equal(err_errno(NULL, "x"), -1);
	assert_int_equal(err_wrap(NULL, "x"), -1);
	assert_int_equal(err_status(NULL, ERR_COMMAND, 1, "x"), -1);
	assert_int_equal(errno, EIO);
}

static void a_long_message_loses_its_end(void **state)
{
	struct err err = { 0 };
	char text[4000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&err, ERR_INPUT, "%s", text);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	err_wrap(&err, "begin");
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_memory_equal(err.msg, "begin: xxx", 10);
	errno = EIO;
	err_errno(&err, "%s", text);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
}

static void a_cut_never_splits_a_character(void **state)
{
	struct err err = { 0 };
	char text[4000], shown[sizeof(err.msg)];

	(void)state;
	for (size_t shift = 0; shift < 5; shift++) {
		memset(text, 'x', shift);
		for (size_t at = shift; at < sizeof(text) - 4; at += 3)
			memcpy(text + at, "\xe2\x82\xac", 4);
		err_set(&err, ERR_INPUT, "%s", text);
		assert_in_range(strlen(err.msg), sizeof(err.msg) - 3, sizeof(err.msg) - 1);
		assert_string_equal(err_printable(shown, sizeof(shown), err.msg), err.msg);
	}
}

static void foreign_bytes_are_made_printable(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "", "" },
		{ "plain text", "plain text" },
		{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "a\nb\x1b[2J\x7f", "a\\x0ab\\x1b[2J\\x7f" },
		{ "\xff", "\\xff" },
		{ "\xc3", "\\xc3" },
		{ "\xc3(", "\\xc3(" },
		{ "\xc0\x80", "\\xc0\\x80" },                   /* overlong NUL */
		{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },          /* overlong slash */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },          /* surrogate */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* above U+10FFFF */
		{ "\xc2\x9b", "\\xc2\\x9b" },                   /* C1: a terminal's CSI */
		{ "\xe2\x80\xae", "\\xe2\\x80\\xae" },          /* right-to-left override */
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(err_printable(out, sizeof(out), cases[i].from), cases[i].to);
}

static void printable_text_fits_and_is_never_cut_inside(void **state)
{
	char out[16];

	(void)state;
	for (unsigned long size = 1; size < sizeof(out); size++) {
		memset(out, '#', sizeof(out));
		err_printable(out, size, "a\n\xe2\x82\xac");
		assert_int_equal(out[size], '#');
		size_t len = strlen(out);
		assert_true(len < size);
		assert_true(len == 0 || len == 1 || len == 5 || len == 8);
	}
	assert_string_equal(err_printable(out, 9, "a\n\xe2\x82\xac"), "a\\x0a\xe2\x82\xac");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_has_its_kind_and_text),
		cmocka_unit_test(a_system_error_has_its_errno_and_words_and_keeps_errno),
		cmocka_unit_test(a_wrap_goes_in_front_and_keeps_kind_and_number),
		cmocka_unit_test(an_error_may_be_wrapped_by_its_own_words),
		cmocka_unit_test(nobody_needs_to_listen),
		cmocka_unit_test(a_long_message_loses_its_end),
		cmocka_unit_test(a_cut_never_splits_a_character),
		cmocka_unit_test(foreign_bytes_are_made_printable),
		cmocka_unit_test(printable_text_fits_and_is_never_cut_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
