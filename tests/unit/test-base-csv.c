/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include "kiln/base/text.h"

/* The fields with | between, or the error. */
static void assert_fields(const char *text, const char *expected)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf found = { 0 };
	const char **fields;
	size_t count;
	struct err err = { 0 };

	if (csv_fields(&arena, text, &fields, &count, &err) < 0) {
		assert_int_equal(err.kind, ERR_USAGE);
		assert_string_equal(err.msg, expected);
		return;
	}
	for (size_t i = 0; i < count; i++)
		strbuf_addf(&found, "%s%s", i ? "|" : "", fields[i]);
	assert_string_equal(strbuf_str(&found), expected);
}

static void fields_are_parted_by_commas(void **state)
{
	(void)state;
	assert_fields("type=oci,dest=x.tar", "type=oci|dest=x.tar");
	assert_fields("one", "one");
	assert_fields("", "");
	assert_fields(",a,", "|a|");
	assert_fields(" a , b ", " a | b ");
}

static void a_quoted_field_may_hold_commas_and_doubled_quotes(void **state)
{
	(void)state;
	assert_fields("type=oci,\"name=a,b\"", "type=oci|name=a,b");
	assert_fields("\"say \"\"x\"\"\",y", "say \"x\"|y");
	assert_fields("\"\"", "");
	assert_fields("\"\",\"\"", "|");
	assert_fields("\"two\nlines\"", "two\nlines");
}

static void a_stray_quote_is_an_error_with_gos_words_and_column(void **state)
{
	(void)state;
	assert_fields("a,b=\"c\"", "parse error on line 1, column 5: bare \" in non-quoted-field");
	assert_fields("\"a\"b", "parse error on line 1, column 3: extraneous or missing \" in quoted-field");
	assert_fields("\"a", "parse error on line 1, column 3: extraneous or missing \" in quoted-field");
	assert_fields(" \"a\"", "parse error on line 1, column 2: bare \" in non-quoted-field");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_parted_by_commas),
		cmocka_unit_test(a_quoted_field_may_hold_commas_and_doubled_quotes),
		cmocka_unit_test(a_stray_quote_is_an_error_with_gos_words_and_column),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
