/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/text.h"
#include "scratch.h"

static void whole_numbers_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} cases[] = {
		{ "0", 0 },
		{ "007", 7 },
		{ "-1", -1 },
		{ "9223372036854775807", INT64_MAX },
		{ "-9223372036854775808", INT64_MIN },
	};
	struct err err = { 0 };
	int64_t value;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ok(parse_int64(&value, cases[i].text, &err), err);
		assert_int_equal(value, cases[i].value);
	}
}

static void other_texts_are_not_numbers(void **state)
{
	static const char *const cases[] = { "",
					     " 1",
					     "1 ",
					     "+1",
					     "-",
					     "--1",
					     "- 1",
					     "0x10",
					     "1e3",
					     "1.0",
					     "1\n",
					     "abc",
					     "٣",
					     "9223372036854775808",
					     "-9223372036854775809" };
	int64_t value = 42;
	uint32_t small = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = { 0 };
		assert_int_equal(parse_int64(&value, cases[i], &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
		assert_int_equal(parse_uint32(&small, cases[i], &err), -1);
	}
	assert_int_equal(value, 42);
	assert_int_equal(small, 42);
}

static void an_error_names_the_text_printably(void **state)
{
	struct err err = { 0 };
	int64_t value;

	(void)state;
	assert_int_equal(parse_int64(&value, "1\x1b", &err), -1);
	assert_string_equal(err.msg, "\"1\\x1b\" is not a whole number");
}

static void small_numbers_have_their_range(void **state)
{
	struct err err = { 0 };
	uint32_t value;

	(void)state;
	assert_ok(parse_uint32(&value, "4294967295", &err), err);
	assert_int_equal(value, UINT32_MAX);
	assert_int_equal(parse_uint32(&value, "4294967296", &err), -1);
	assert_int_equal(parse_uint32(&value, "-1", &err), -1);
}

static void octal_numbers_have_their_range(void **state)
{
	static const char *const wrong[] = { "", "8", "0o7", "-7", "10000", "7 ", " 7", "77777777777777777777777777" };
	struct err err = { 0 };
	uint32_t value;

	(void)state;
	assert_ok(parse_octal(&value, "0755", 07777, &err), err);
	assert_int_equal(value, 0755);
	assert_ok(parse_octal(&value, "7777", 07777, &err), err);
	assert_int_equal(value, 07777);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(parse_octal(&value, wrong[i], 07777, &err), -1);
}

static void sizes_are_read_as_docker_reads_them(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} cases[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "32.3", 32 },
		{ "32b", 32 },
		{ "10kb", 10240 },
		{ "10K", 10240 },
		{ "32kib", 32768 },
		{ "32 kb", 32768 },
		{ "64m", 64 << 20 },
		{ "1.5g", 1610612736 },
		{ "0.3K", 307 },
		{ "32Tb", 32LL << 40 },
		{ "32.5PiB", 65LL << 49 },
		{ "9223372036854775807", INT64_MAX },
	};
	static const char *const wrong[] = { "",       "k",    "-1",    "+1",  " 1",
					     "1x",     "1kk",  "1kbb",  "1bb", "1ib",
					     "1k b",   "1  k", "0x1",   "1e3", "inf",
					     "nan",    ".5g",  "1.2.3", "8e",  "9223372036854775808",
					     "1kiB\n", "hello" };
	struct err err = { 0 };
	int64_t value;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ok(parse_bytes(&value, cases[i].text, &err), err);
		assert_int_equal(value, cases[i].value);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		if (parse_bytes(&value, wrong[i], &err) == 0)
			fail_msg("\"%s\" was read as %lld", wrong[i], (long long)value);
	}
}

static void texts_are_compared(void **state)
{
	(void)state;
	assert_true(text_equal("a", "a") && text_equal(NULL, NULL));
	assert_false(text_equal("a", "b") || text_equal("a", NULL) || text_equal(NULL, "a"));
	assert_true(text_starts("abc", "ab") && text_starts("abc", "") && text_starts("", ""));
	assert_false(text_starts("ab", "abc") || text_starts("abc", "b"));
	assert_true(text_ends("abc", "bc") && text_ends("abc", "") && text_ends("abc", "abc"));
	assert_false(text_ends("bc", "abc") || text_ends("abc", "ab"));
	assert_true(text_equal_nocase("From", "FROM") && text_equal_nocase(NULL, NULL) && text_equal_nocase("", ""));
	assert_false(text_equal_nocase("from", "fro") || text_equal_nocase("fro", "from") ||
		     text_equal_nocase("@", "`") || text_equal_nocase("a", NULL));
}

static void the_nearest_word_is_suggested(void **state)
{
	static const char *const words[] = { "FROM", "RUN", "COPY", "ENTRYPOINT", "HEALTHCHECK" };
	char endless[200];

	(void)state;
	assert_string_equal(text_nearest("FORM", words, ARRAY_LEN(words)), "FROM");
	assert_string_equal(text_nearest("frm", words, ARRAY_LEN(words)), "FROM");
	assert_string_equal(text_nearest("COPPY", words, ARRAY_LEN(words)), "COPY");
	assert_string_equal(text_nearest("ENTRPOINT", words, ARRAY_LEN(words)), "ENTRYPOINT");
	assert_string_equal(text_nearest("copy", words, ARRAY_LEN(words)), "COPY");
	assert_string_equal(text_nearest("HEALTHCEK", words, ARRAY_LEN(words)), "HEALTHCHECK");
	assert_null(text_nearest("HEALTCEK", words, ARRAY_LEN(words)));
	assert_null(text_nearest("VOLUME", words, ARRAY_LEN(words)));
	assert_null(text_nearest("x", words, 0));
	memset(endless, 'a', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	const char *const itself[] = { endless };
	assert_null(text_nearest(endless, words, ARRAY_LEN(words)));
	assert_null(text_nearest("a", itself, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_numbers_are_read),
		cmocka_unit_test(other_texts_are_not_numbers),
		cmocka_unit_test(an_error_names_the_text_printably),
		cmocka_unit_test(small_numbers_have_their_range),
		cmocka_unit_test(octal_numbers_have_their_range),
		cmocka_unit_test(sizes_are_read_as_docker_reads_them),
		cmocka_unit_test(texts_are_compared),
		cmocka_unit_test(the_nearest_word_is_suggested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
