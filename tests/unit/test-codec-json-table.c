/* SPDX-License-Identifier: Apache-2.0 */
#include "test-codec-util.h"

#include "kiln/base/arena.h"
#include "kiln/base/scope.h"
#include "kiln/codec/json.h"

struct part {
	const char *name;
	int64_t size;
};

struct whole {
	const char *text;
	int64_t number;
	bool flag;
	const char **words;
	size_t word_count;
	struct part one;
	struct part *parts;
	size_t part_count;
	struct json *raw;
};

static const struct json_field part_fields[] = {
	JSON_STRING(struct part, "name", name, JSON_REQUIRED),
	JSON_INTEGER(struct part, "size", size, JSON_OMIT_EMPTY),
	JSON_END,
};

static const struct json_field required_fields[] = {
	JSON_STRING(struct whole, "text", text, JSON_REQUIRED),
	JSON_INTEGER(struct whole, "number", number, JSON_REQUIRED),
	JSON_BOOLEAN(struct whole, "flag", flag, 0),
	JSON_STRINGS(struct whole, "words", words, word_count, 0),
	JSON_STRUCT(struct whole, "one", one, part_fields, JSON_REQUIRED),
	JSON_STRUCTS(struct whole, "parts", parts, part_count, part_fields, 0),
	JSON_VALUE(struct whole, "raw", raw, 0),
	JSON_END,
};

static const struct json_field small_fields[] = {
	JSON_STRING(struct part, "name", name, JSON_OMIT_EMPTY),
	JSON_INTEGER(struct part, "size", size, JSON_OMIT_EMPTY),
	JSON_END,
};

static const struct json_field omit_fields[] = {
	JSON_STRING(struct whole, "text", text, JSON_OMIT_EMPTY),
	JSON_INTEGER(struct whole, "number", number, JSON_OMIT_EMPTY),
	JSON_BOOLEAN(struct whole, "flag", flag, JSON_OMIT_EMPTY),
	JSON_STRINGS(struct whole, "words", words, word_count, JSON_OMIT_EMPTY),
	JSON_STRUCT(struct whole, "one", one, small_fields, JSON_OMIT_EMPTY),
	JSON_STRUCTS(struct whole, "parts", parts, part_count, small_fields, JSON_OMIT_EMPTY),
	JSON_VALUE(struct whole, "raw", raw, JSON_OMIT_EMPTY),
	JSON_END,
};

#define FULL                                                                                                      \
	"{\"text\":\"x\",\"number\":7,\"flag\":true,\"words\":[\"a\",\"b\"],\"one\":{\"name\":\"n\",\"size\":1}," \
	"\"parts\":[{\"name\":\"p\"},{\"name\":\"q\",\"size\":2}],\"raw\":{\"any\":[1]}}"

static struct json *parsed(struct arena *arena, const char *text)
{
	struct err err = { 0 };
	struct json *value = json_parse(arena, text, strlen(text), &err);

	if (!value)
		fail_msg("%s: %s", text, err.msg);
	return value;
}

static void a_struct_is_filled_from_an_object(void **state)
{
	scope_arena struct arena arena = { 0 };
	struct whole whole = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(json_read(&arena, parsed(&arena, FULL), required_fields, &whole, &err), 0);
	assert_string_equal(whole.text, "x");
	assert_int_equal(whole.number, 7);
	assert_true(whole.flag);
	assert_int_equal(whole.word_count, 2);
	assert_string_equal(whole.words[1], "b");
	assert_null(whole.words[2]);
	assert_string_equal(whole.one.name, "n");
	assert_int_equal(whole.part_count, 2);
	assert_string_equal(whole.parts[1].name, "q");
	assert_int_equal(whole.parts[1].size, 2);
	assert_int_equal(whole.raw->type, JSON_OBJECT);
}

static void a_struct_gives_back_the_same_bytes(void **state)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf out = { 0 };
	struct whole whole = { 0 };

	(void)state;
	assert_int_equal(json_read(&arena, parsed(&arena, FULL), required_fields, &whole, NULL), 0);
	json_write(&out, json_build(&arena, required_fields, &whole));
	assert_string_equal(out.ptr, FULL);
}

static void unknown_members_and_nulls_are_passed_over(void **state)
{
	scope_arena struct arena arena = { 0 };
	struct whole whole = { .number = 0, .words = NULL };
	struct json *value = parsed(&arena,
				    "{\"x\":1,\"text\":\"t\",\"number\":0,\"one\":{\"name\":\"\"},\"words\":null,"
				    "\"flag\":null,\"raw\":null,\"parts\":null}");

	(void)state;
	assert_int_equal(json_read(&arena, value, required_fields, &whole, NULL), 0);
	assert_null(whole.words);
	assert_null(whole.parts);
	assert_null(whole.raw);
}

static void an_empty_list_is_not_null(void **state)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf out = { 0 };
	struct whole whole = { 0 };
	struct json *value = parsed(&arena,
				    "{\"text\":\"\",\"number\":0,\"one\":{\"name\":\"\"},\"words\":[],\"parts\":[]}");

	(void)state;
	assert_int_equal(json_read(&arena, value, required_fields, &whole, NULL), 0);
	assert_non_null(whole.words);
	assert_int_equal(whole.word_count, 0);
	json_write(&out, json_build(&arena, required_fields, &whole));
	assert_string_equal(out.ptr, "{\"text\":\"\",\"number\":0,\"flag\":false,\"words\":[],\"one\":{\"name\":\"\"},"
				     "\"parts\":[],\"raw\":null}");
}

static void what_is_empty_is_written_as_go_does(void **state)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf out = { 0 };
	struct whole whole = { 0 };

	(void)state;
	json_write(&out, json_build(&arena, required_fields, &whole));
	assert_string_equal(out.ptr,
			    "{\"text\":\"\",\"number\":0,\"flag\":false,\"words\":null,\"one\":{\"name\":\"\"},"
			    "\"parts\":[],\"raw\":null}");
	strbuf_reset(&out);
	json_write(&out, json_build(&arena, omit_fields, &whole));
	assert_string_equal(out.ptr, "{}");
}

static void a_mistake_names_its_path(void **state)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{ "[]", "has the wrong type" },
		{ "{}", "\"text\": is missing" },
		{ "{\"text\":null}", "\"text\": is missing" },
		{ "{\"text\":1}", "\"text\": has the wrong type" },
		{ "{\"text\":\"\",\"number\":\"1\"}", "\"number\": has the wrong type" },
		{ "{\"text\":\"\",\"number\":1.5}", "\"number\": has the wrong type" },
		{ "{\"text\":\"\",\"number\":1e3}", "\"number\": has the wrong type" },
		{ "{\"text\":\"\",\"number\":1,\"flag\":1}", "\"flag\": has the wrong type" },
		{ "{\"text\":\"\",\"number\":1,\"words\":\"a\"}", "\"words\": has the wrong type" },
		{ "{\"text\":\"\",\"number\":1,\"words\":[\"a\",null]}", "\"words\": [1]: has the wrong type" },
		{ "{\"text\":\"\",\"number\":1,\"one\":[]}", "\"one\": has the wrong type" },
		{ "{\"text\":\"\",\"number\":1,\"one\":{}}", "\"one\": \"name\": is missing" },
		{ "{\"text\":\"\",\"number\":1,\"one\":{\"name\":{}}}", "\"one\": \"name\": has the wrong type" },
		{ "{\"text\":\"\",\"number\":1,\"one\":{\"name\":\"\"},\"parts\":[{\"name\":\"\"},{\"name\":2}]}",
		  "\"parts\": [1]: \"name\": has the wrong type" },
		{ "{\"text\":\"\",\"number\":1,\"one\":{\"name\":\"\"},\"parts\":{}}",
		  "\"parts\": has the wrong type" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		scope_arena struct arena arena = { 0 };
		struct whole whole = { 0 };
		struct err err = { 0 };
		assert_int_equal(json_read(&arena, parsed(&arena, bad[i].text), required_fields, &whole, &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
		assert_string_equal(err.msg, bad[i].message);
	}
}

/* Go's decoder would take "Text" for "text". */
static void keys_are_case_sensitive(void **state)
{
	scope_arena struct arena arena = { 0 };
	struct part part = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(json_read(&arena, parsed(&arena, "{\"Name\":\"x\"}"), part_fields, &part, &err), -1);
	assert_string_equal(err.msg, "\"name\": is missing");
	assert_int_equal(json_read(&arena, NULL, part_fields, &part, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_struct_is_filled_from_an_object),
		cmocka_unit_test(a_struct_gives_back_the_same_bytes),
		cmocka_unit_test(unknown_members_and_nulls_are_passed_over),
		cmocka_unit_test(an_empty_list_is_not_null),
		cmocka_unit_test(what_is_empty_is_written_as_go_does),
		cmocka_unit_test(a_mistake_names_its_path),
		cmocka_unit_test(keys_are_case_sensitive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
