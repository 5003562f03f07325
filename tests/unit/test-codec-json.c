/* SPDX-License-Identifier: Apache-2.0 */
#include "test-codec-util.h"

#include "kiln/base/arena.h"
#include "kiln/base/scope.h"
#include "kiln/codec/json.h"

static void assert_refused(const char *text, size_t len, const char *words)
{
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };

	if (json_parse(&arena, text, len, &err))
		fail_msg("%.80s was parsed", text);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_says(&err, words);
}

static struct strbuf rewritten(const char *text)
{
	scope_arena struct arena arena = { 0 };
	struct strbuf out = { 0 };
	struct err err = { 0 };
	struct json *value = json_parse(&arena, text, strlen(text), &err);

	if (!value)
		fail_msg("%s: %s", text, err.msg);
	json_write(&out, value);
	return out;
}

static void assert_rewritten(const char *text, const char *expected)
{
	scope_strbuf struct strbuf out = rewritten(text);

	assert_string_equal(strbuf_str(&out), expected);
}

/* ---- parsing ---- */

static void every_type_of_value_is_kept(void **state)
{
	scope_arena struct arena arena = { 0 };
	static const char text[] =
		"{\"n\":null,\"t\":true,\"f\":false,\"i\":-12,\"r\":1.50,\"s\":\"x\",\"a\":[1,[]],\"o\":{}}";
	struct err err = { 0 };
	struct json *value = json_parse(&arena, text, strlen(text), &err);

	(void)state;
	assert_non_null(value);
	assert_int_equal(value->type, JSON_OBJECT);
	assert_int_equal(value->count, 8);
	assert_int_equal(json_get(value, "n")->type, JSON_NULL);
	assert_true(json_get_bool(value, "t", false));
	assert_false(json_get_bool(value, "f", true));
	assert_int_equal(json_get_int(value, "i", 0), -12);
	assert_int_equal(json_get(value, "r")->type, JSON_REAL);
	assert_string_equal(json_get(value, "r")->text, "1.50");
	assert_string_equal(json_get_str(value, "s"), "x");
	assert_int_equal(json_get(value, "a")->count, 2);
	assert_int_equal(json_get(value, "o")->count, 0);
}

static void lookups_tolerate_what_is_not_there(void **state)
{
	scope_arena struct arena arena = { 0 };
	struct json *object = json_object(&arena);

	(void)state;
	json_set(&arena, object, "s", json_str(&arena, "x"));
	assert_null(json_get(NULL, "s"));
	assert_null(json_get(object, "missing"));
	assert_null(json_get(json_get(object, "s"), "deeper"));
	assert_null(json_get_str(object, "missing"));
	assert_int_equal(json_get_int(object, "s", 7), 7);
	assert_true(json_get_bool(object, "s", true));
}

static void what_is_written_is_what_was_read(void **state)
{
	static const char *const same[] = {
		"null",
		"true",
		"false",
		"0",
		"-1",
		"9223372036854775807",
		"-9223372036854775808",
		"1.0",
		"1e400",
		"-0.5E-3",
		"\"\"",
		"[]",
		"{}",
		"[[[1],2],{\"a\":{}}]",
		"{\"b\":1,\"a\":2,\"\":3}",
		"\"\xc5\x91 \xf0\x9f\x98\x80\"",
		"\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\"",
		"\"</script>&\x7f\"",
		"\"\\u2028\\u2029\"",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		assert_rewritten(same[i], same[i]);
}

static void writing_has_one_form_only(void **state)
{
	(void)state;
	assert_rewritten(" { \"a\" : [ 1 , 2 ] }\r\n\t", "{\"a\":[1,2]}");
	assert_rewritten("\"\\/\\u0041\\u00e9\\u2028\"", "\"/A\xc3\xa9\\u2028\"");
	assert_rewritten("\"\\u000b\\u0008\\u000c\"", "\"\\u000b\\b\\f\"");
	assert_rewritten("\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"");
	assert_rewritten("\"\xe2\x80\xa8\"", "\"\\u2028\"");
	assert_rewritten("-0", "0");
}

static void pretty_is_for_people(void **state)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf out = { 0 };
	static const char text[] = "{\"a\":[1,{\"b\":null}],\"c\":{},\"d\":[]}";

	(void)state;
	json_write_pretty(&out, json_parse(&arena, text, strlen(text), NULL));
	assert_string_equal(out.ptr, "{\n  \"a\": [\n    1,\n    {\n      \"b\": null\n    }\n  ],\n  \"c\": {},\n"
				     "  \"d\": []\n}");
}

static void bytes_that_are_no_utf8_are_replaced_as_go_does(void **state)
{
	scope_strbuf struct strbuf out = { 0 };

	(void)state;
	json_write_string(&out, "a\xff\xc3(\xed\xa0\x80\xf4\x90\x80\x80z\xe2\x82");
	assert_string_equal(out.ptr,
			    "\"a\\ufffd\\ufffd(\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffdz\\ufffd\\ufffd\"");
}

static void what_two_readers_would_take_differently_is_refused(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{ "{\"a\":1,\"b\":2,\"a\":3}", "line 1, column 20: the key \"a\" is given twice" },
		{ "{\"x\":{\"a\":1,\"\\u0061\":3}}", "the key \"a\" is given twice" },
		{ "\"x\\u0000y\"", "line 1, column 3: a string holds a NUL character" },
		{ "{\"\\u0000\":1}", "a string holds a NUL character" },
		{ "\"\\ud800\"", "a surrogate stands alone" },
		{ "\"\\ud800\\u0041\"", "a surrogate stands alone" },
		{ "\"\\ud800x\\udc00\"", "a surrogate stands alone" },
		{ "\"\\udc00\\ud800\"", "a surrogate stands alone" },
		{ "\"\\ud800\\ud800\"", "a surrogate stands alone" },
		{ "\"\xff\"", "line 1, column 2: the text is not UTF-8" },
		{ "\"\xc0\x80\"", "the text is not UTF-8" },
		{ "\"\xed\xa0\x80\"", "the text is not UTF-8" },
		{ "\"\xf4\x90\x80\x80\"", "the text is not UTF-8" },
		{ "9223372036854775808", "an integer has more than 64 bits" },
		{ "-9223372036854775809", "an integer has more than 64 bits" },
		{ "[100000000000000000000]", "an integer has more than 64 bits" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_refused(bad[i].text, strlen(bad[i].text), bad[i].words);
	assert_refused("[1]\0[2]", 7, "line 1, column 4: the text holds a NUL byte");
	assert_refused("\"\xe2\x82", 3, "the text is not UTF-8");
}

static void what_is_not_json_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"[",
		"[1",
		"[1,",
		"[1,]",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{a:1}",
		"'a'",
		"01",
		"1.",
		".5",
		"-",
		"+1",
		"1e",
		"0x10",
		"nul",
		"True",
		"NaN",
		"Infinity",
		"[1] 2",
		"[1][2]",
		"{}}",
		"]",
		"\"a",
		"\"\\x\"",
		"\"\\u12\"",
		"\"\\u12g4\"",
		"\"a\nb\"",
		"\"a\tb\"",
		"\"\x01\"",
		"/* c */ 1",
		"1 // c",
		"[1 2]",
		"\xef\xbb\xbf{}",
		"{\"a\":1 \"b\":2}",
		",",
		":",
		"\"\\",
		"\"\\u",
		"tru",
		"[,1]",
		"{,}",
		"{1:2}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_refused(bad[i], strlen(bad[i]), "line 1, column ");
}

static void a_mistake_has_a_place(void **state)
{
	static const char text[] = "{\n  \"a\": 1,\n  \"b\": oops\n}\n";

	(void)state;
	assert_refused(text, strlen(text), "line 3, column ");
}

static struct strbuf nested(size_t depth)
{
	struct strbuf text = { 0 };

	for (size_t i = 0; i < depth; i++)
		strbuf_addch(&text, '[');
	for (size_t i = 0; i < depth; i++)
		strbuf_addch(&text, ']');
	return text;
}

static void nesting_has_a_limit(void **state)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf fits = nested(64), deep = nested(65), abyss = nested(2000000);

	(void)state;
	assert_non_null(json_parse(&arena, fits.ptr, fits.len, NULL));
	assert_refused(deep.ptr, deep.len, "line 1, column 66: nested deeper than 64");
	assert_refused(abyss.ptr, abyss.len / 2, "nested deeper than 64");
	assert_refused(abyss.ptr, abyss.len, "nested deeper than 64");
}

static void the_number_of_values_has_a_limit(void **state)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	(void)state;
	strbuf_addch(&text, '[');
	for (size_t i = 0; i < 999998; i++)
		strbuf_addstr(&text, "1,");
	strbuf_addstr(&text, "1]");
	assert_non_null(json_parse(&arena, text.ptr, text.len, NULL));
	strbuf_truncate(&text, text.len - 1);
	strbuf_addstr(&text, ",1]");
	assert_refused(text.ptr, text.len, "more than 1,000,000 values");
}

/* 100,000 keys: quadratic work would take minutes. */
static void many_keys_are_checked_quickly(void **state)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	(void)state;
	strbuf_addch(&text, '{');
	for (size_t i = 0; i < 100000; i++)
		strbuf_addf(&text, "\"key%zu\":1,", i);
	strbuf_addstr(&text, "\"last\":1}");
	assert_non_null(json_parse(&arena, text.ptr, text.len, NULL));
	strbuf_truncate(&text, text.len - 1);
	strbuf_addstr(&text, ",\"key50000\":2}");
	assert_refused(text.ptr, text.len, "the key \"key50000\" is given twice");
}

static void keys_are_shown_printable(void **state)
{
	static const char text[] = "{\"\\u001b]0;\":1,\"\\u001b]0;\":1}";

	(void)state;
	assert_refused(text, strlen(text), "the key \"\\x1b]0;\" is given twice");
}

/* ---- words ---- */

static void an_array_of_strings_is_the_exec_form(void **state)
{
	scope_arena struct arena arena = { 0 };
	const char **words = NULL;
	size_t count = 0;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(json_parse_words(&arena, " [\"sh\", \"-c\", \"a \\\"b\\\" \xc5\x91\"] ", &words, &count, &err),
			 1);
	assert_int_equal(count, 3);
	assert_string_equal(words[0], "sh");
	assert_string_equal(words[2], "a \"b\" \xc5\x91");
	assert_null(words[3]);
	assert_int_equal(json_parse_words(&arena, "[]", &words, &count, &err), 1);
	assert_int_equal(count, 0);
	assert_null(words[0]);
}

static void what_is_no_array_is_the_shell_form(void **state)
{
	static const char *const shell[] = { "echo hi",   "['a']", "[\"a\"",   "[\"a\"]x", "[]random string",
					     "{\"a\":1}", "\"a\"", "[\"a\",]", "",         "[ -f x ] && y" };
	scope_arena struct arena arena = { 0 };
	const char **words = NULL;
	size_t count = 99;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shell); i++)
		assert_int_equal(json_parse_words(&arena, shell[i], &words, &count, NULL), 0);
	assert_null(words);
	assert_int_equal(count, 99);
}

static void an_array_of_other_things_is_an_error(void **state)
{
	static const char *const bad[] = { "[1]", "[\"a\", 1]", "[null]", "[[\"a\"]]", "[{}]", "[true]" };
	scope_arena struct arena arena = { 0 };
	const char **words;
	size_t count;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = { 0 };
		assert_int_equal(json_parse_words(&arena, bad[i], &words, &count, &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
		assert_string_equal(err.msg, "when using JSON array syntax, arrays must be comprised of strings only");
	}
}

/* ---- values ---- */

static void assert_value(const struct json *value, const char *expected)
{
	scope_strbuf struct strbuf out = { 0 };

	json_write(&out, value);
	assert_string_equal(out.ptr, expected);
}

static void members_are_replaced_appended_and_removed(void **state)
{
	scope_arena struct arena arena = { 0 };
	struct json *object = json_object(&arena);
	static const char *const keys[] = { "c", "a", "b", "d", "e", "f" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		json_set(&arena, object, keys[i], json_int(&arena, (int64_t)i));
	json_set(&arena, object, "a", json_str(&arena, "new"));
	json_set(&arena, object, "d", NULL);
	json_set(&arena, object, "e", NULL);
	json_set(&arena, object, "missing", NULL);
	assert_value(object, "{\"c\":0,\"a\":\"new\",\"b\":2,\"f\":5}");
	json_set(&arena, object, "g", json_bool(&arena, true));
	json_set(&arena, object, "h", json_str(&arena, NULL));
	assert_value(object, "{\"c\":0,\"a\":\"new\",\"b\":2,\"f\":5,\"g\":true,\"h\":null}");
	json_sort_keys(object);
	assert_value(object, "{\"a\":\"new\",\"b\":2,\"c\":0,\"f\":5,\"g\":true,\"h\":null}");
}

static void keys_sort_by_bytes(void **state)
{
	scope_arena struct arena arena = { 0 };
	static const char text[] = "{\"b\":1,\"\xc5\x91\":2,\"B\":3,\"a.b\":4,\"a\":5,\"a-b\":6}";
	struct json *value = json_parse(&arena, text, strlen(text), NULL);

	(void)state;
	json_sort_keys(value);
	assert_value(value, "{\"B\":3,\"a\":5,\"a-b\":6,\"a.b\":4,\"b\":1,\"\xc5\x91\":2}");
	json_sort_keys(NULL);
	json_sort_keys(json_str(&arena, "x"));
}

static void a_parsed_value_may_be_added_to(void **state)
{
	scope_arena struct arena arena = { 0 };

	(void)state;
	for (size_t count = 0; count < 20; count++) {
		scope_strbuf struct strbuf text = { 0 };
		strbuf_addch(&text, '[');
		for (size_t i = 0; i < count; i++)
			strbuf_addstr(&text, i ? ",1" : "1");
		strbuf_addch(&text, ']');
		struct json *array = json_parse(&arena, text.ptr, text.len, NULL);
		struct json *copy = json_clone(&arena, array);
		for (size_t i = 0; i < 10; i++) {
			json_push(&arena, array, json_int(&arena, 2));
			json_push(&arena, copy, json_int(&arena, 2));
		}
		assert_int_equal(array->count, count + 10);
		assert_int_equal(array->items[count + 9]->integer, 2);
		assert_int_equal(copy->items[count + 9]->integer, 2);
	}
}

static void a_clone_shares_nothing(void **state)
{
	scope_arena struct arena arena = { 0 };
	static const char text[] = "{\"a\":[1,2.5,\"x\",true,null],\"o\":{\"k\":\"v\"}}";
	struct json *copy;
	{
		scope_arena struct arena other = { 0 };
		copy = json_clone(&arena, json_parse(&other, text, strlen(text), NULL));
	}

	(void)state;
	assert_value(copy, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_of_value_is_kept),
		cmocka_unit_test(lookups_tolerate_what_is_not_there),
		cmocka_unit_test(what_is_written_is_what_was_read),
		cmocka_unit_test(writing_has_one_form_only),
		cmocka_unit_test(pretty_is_for_people),
		cmocka_unit_test(bytes_that_are_no_utf8_are_replaced_as_go_does),
		cmocka_unit_test(what_two_readers_would_take_differently_is_refused),
		cmocka_unit_test(what_is_not_json_is_refused),
		cmocka_unit_test(a_mistake_has_a_place),
		cmocka_unit_test(nesting_has_a_limit),
		cmocka_unit_test(the_number_of_values_has_a_limit),
		cmocka_unit_test(many_keys_are_checked_quickly),
		cmocka_unit_test(keys_are_shown_printable),
		cmocka_unit_test(an_array_of_strings_is_the_exec_form),
		cmocka_unit_test(what_is_no_array_is_the_shell_form),
		cmocka_unit_test(an_array_of_other_things_is_an_error),
		cmocka_unit_test(members_are_replaced_appended_and_removed),
		cmocka_unit_test(keys_sort_by_bytes),
		cmocka_unit_test(a_parsed_value_may_be_added_to),
		cmocka_unit_test(a_clone_shares_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
