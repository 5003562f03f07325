/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kiln/base/scope.h"
#include "kiln/oci/image.h"

static void assert_platform(const char *text, const char *canonical)
{
	struct arena arena = { 0 };
	struct err err = { 0 };
	struct platform platform = { 0 };

	if (platform_parse(&arena, text, &platform, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(platform_text(&arena, &platform), canonical);
	arena_release(&arena);
}

static void texts_are_normalised(void **state)
{
	(void)state;
	assert_platform("linux/amd64", "linux/amd64");
	assert_platform("linux/x86_64", "linux/amd64");
	assert_platform("Linux/X86-64", "linux/amd64");
	assert_platform("linux/amd64/v1", "linux/amd64");
	assert_platform("linux/amd64/v3", "linux/amd64/v3");
	assert_platform("linux/aarch64/v8", "linux/arm64");
	assert_platform("linux/arm64/8", "linux/arm64");
	assert_platform("linux/arm64/v9", "linux/arm64/v9");
	assert_platform("linux/arm", "linux/arm/v7");
	assert_platform("linux/arm/6", "linux/arm/v6");
	assert_platform("linux/armel", "linux/arm/v6");
	assert_platform("linux/armhf", "linux/arm/v7");
	assert_platform("linux/i386", "linux/386");
	assert_platform("arm64", "linux/arm64");
	assert_platform("s390x", "linux/s390x");
	assert_platform("macos/arm64", "darwin/arm64");
	assert_platform("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64");
	assert_platform("linux()/amd64", "linux/amd64");
}

static void a_system_alone_gets_this_machines_architecture(void **state)
{
	struct arena arena = { 0 };
	struct platform platform, host = platform_host();

	(void)state;
	assert_int_equal(platform_parse(&arena, "linux", &platform, NULL), 0);
	assert_string_equal(platform.architecture, host.architecture);
	assert_int_equal(platform_match(&host, &platform) > 0, 1);
	arena_release(&arena);
}

static void nonsense_is_refused(void **state)
{
	static const char *const texts[] = { "",          "/",           "linux/",        "/amd64", "linux/amd64/v3/x",
					     "*/amd64",   "linux/am d",  "linux(1/amd64", "what",   "linux(1)x/amd64",
					     "linux/a\n", "linux/amd64/" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct arena arena = { 0 };
		struct platform platform;
		struct err err = { 0 };
		if (platform_parse(&arena, texts[i], &platform, &err) == 0)
			fail_msg("\"%s\" was accepted", texts[i]);
		assert_int_equal(err.kind, ERR_INPUT);
		assert_non_null(strstr(err.msg, "invalid platform"));
		arena_release(&arena);
	}
}

static int score(const char *want, const char *candidate)
{
	struct arena arena = { 0 };
	struct platform a, b;

	assert_int_equal(platform_parse(&arena, want, &a, NULL), 0);
	assert_int_equal(platform_parse(&arena, candidate, &b, NULL), 0);
	int result = platform_match(&a, &b);
	arena_release(&arena);
	return result;
}

static void an_older_generation_matches_and_a_newer_one_does_not(void **state)
{
	(void)state;
	assert_true(score("linux/arm64", "linux/arm64/v8") > 0);
	assert_true(score("linux/arm64/v8", "linux/arm64") > 0);
	assert_int_equal(score("linux/arm64", "linux/arm64/v8"), score("linux/arm64", "linux/arm64"));
	assert_int_equal(score("linux/arm64", "linux/arm64/v9"), 0);
	assert_true(score("linux/arm", "linux/arm/v7") > score("linux/arm", "linux/arm/v6"));
	assert_true(score("linux/arm", "linux/arm/v5") > 0);
	assert_int_equal(score("linux/arm/v6", "linux/arm/v7"), 0);
	assert_true(score("linux/amd64/v3", "linux/amd64/v2") > score("linux/amd64/v3", "linux/amd64"));
	assert_true(score("linux/amd64/v3", "linux/amd64") > 0);
	assert_int_equal(score("linux/amd64", "linux/amd64/v2"), 0);
	assert_int_equal(score("linux/amd64", "linux/arm64"), 0);
	assert_int_equal(score("linux/amd64", "windows/amd64"), 0);
	assert_true(score("linux/mips/odd", "linux/mips/odd") > 0);
	assert_int_equal(score("linux/mips/odd", "linux/mips/even"), 0);
}

static void a_candidate_that_says_nothing_never_matches(void **state)
{
	struct platform host = platform_host(), none = { 0 };
	struct platform unknown = { .os = "unknown", .architecture = "unknown" };

	(void)state;
	assert_int_equal(platform_match(&host, &none), 0);
	assert_int_equal(platform_match(&host, &unknown), 0);
	assert_true(platform_match(&host, &host) > 0);
}

static void index_entries_give_and_take_platforms(void **state)
{
	struct arena arena = { 0 };
	struct strbuf buf = { 0 };
	struct platform platform = { .os = "linux", .architecture = "arm", .variant = "v7" }, again;

	(void)state;
	struct json *object = platform_json(&arena, &platform);
	json_write(&buf, object);
	assert_string_equal(strbuf_str(&buf), "{\"architecture\":\"arm\",\"os\":\"linux\",\"variant\":\"v7\"}");
	platform_of(object, &again);
	assert_string_equal(platform_text(&arena, &again), "linux/arm/v7");
	platform_of(NULL, &again);
	assert_null(again.os);
	strbuf_release(&buf);
	arena_release(&arena);
}

static void a_list_holds_each_platform_once(void **state)
{
	scope_arena struct arena arena = { 0 };
	struct platform *list = NULL, host = platform_host();
	size_t count = 0;
	struct err err;

	(void)state;
	assert_int_equal(platform_parse_list(&arena, "linux/arm64,linux/arm/v7,linux/arm64/v8", &list, &count, &err),
			 0);
	assert_int_equal(count, 2);
	assert_string_equal(platform_text(&arena, &list[0]), "linux/arm64");
	assert_string_equal(platform_text(&arena, &list[1]), "linux/arm/v7");
	assert_int_equal(platform_parse_list(&arena, "Local", &list, &count, &err), 0);
	assert_string_equal(platform_text(&arena, &list[count - 1]), platform_text(&arena, &host));
	assert_int_equal(platform_parse_list(&arena, "linux/amd64,", &list, &count, &err), -1);
	assert_int_equal(platform_parse_list(&arena, "", &list, &count, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_normalised),
		cmocka_unit_test(a_system_alone_gets_this_machines_architecture),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(an_older_generation_matches_and_a_newer_one_does_not),
		cmocka_unit_test(a_candidate_that_says_nothing_never_matches),
		cmocka_unit_test(a_list_holds_each_platform_once),
		cmocka_unit_test(index_entries_give_and_take_platforms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
