/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/text.h"
#include "scratch.h"

/* Every text of these characters up to this length: all ways in which dots and slashes can meet. */
static const char alphabet[] = "a./";
#define LENGTH_MAX 9

static void image_paths_are_cleaned(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "", "" },
		{ "/", "" },
		{ ".", "" },
		{ "..", "" },
		{ "/../..", "" },
		{ "a", "a" },
		{ "/a/b", "a/b" },
		{ "./a//b/./c/", "a/b/c" },
		{ "../x", "x" },
		{ "a/../../b", "b" },
		{ "a/b/../c", "a/c" },
		{ "...", "..." },
		{ "..a/.b./c..", "..a/.b./c.." },
	};
	scope_arena struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(path_clean(&arena, cases[i].from), cases[i].to);
}

/* The cases of Go's own test of path.Clean. */
static void paths_are_cleaned_as_go_cleans_them(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "", "." },
		{ "abc", "abc" },
		{ "abc/def", "abc/def" },
		{ "a/b/c", "a/b/c" },
		{ ".", "." },
		{ "..", ".." },
		{ "../..", "../.." },
		{ "../../abc", "../../abc" },
		{ "/abc", "/abc" },
		{ "/", "/" },
		{ "abc/", "abc" },
		{ "abc/def/", "abc/def" },
		{ "a/b/c/", "a/b/c" },
		{ "./", "." },
		{ "../", ".." },
		{ "../../", "../.." },
		{ "/abc/", "/abc" },
		{ "abc//def//ghi", "abc/def/ghi" },
		{ "//abc", "/abc" },
		{ "///abc", "/abc" },
		{ "//abc//", "/abc" },
		{ "abc//", "abc" },
		{ "abc/./def", "abc/def" },
		{ "/./abc/def", "/abc/def" },
		{ "abc/.", "abc" },
		{ "abc/def/ghi/../jkl", "abc/def/jkl" },
		{ "abc/def/../ghi/../jkl", "abc/jkl" },
		{ "abc/def/..", "abc" },
		{ "abc/def/../..", "." },
		{ "/abc/def/../..", "/" },
		{ "abc/def/../../..", ".." },
		{ "/abc/def/../../..", "/" },
		{ "abc/def/../../../ghi/jkl/../../../mno", "../../mno" },
		{ "abc/./../def", "def" },
		{ "abc//./../def", "def" },
		{ "abc/../../././../def", "../../def" },
	};
	scope_arena struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(path_go_clean(&arena, cases[i].from), cases[i].to);
}

/* What path_clean means, told in another way: a stack of names. */
static void model_clean(char *out, size_t size, const char *path)
{
	char copy[64], *names[32], *rest = copy, *name;
	size_t count = 0;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((name = strsep(&rest, "/"))) {
		if (strcmp(name, "..") == 0)
			count -= count > 0;
		else if (*name && strcmp(name, ".") != 0)
			names[count++] = name;
	}
	*out = '\0';
	for (size_t i = 0, len = 0; i < count; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", i > 0 ? "/" : "", names[i]);
}

static void check_clean(const char *path)
{
	scope_arena struct arena arena = { 0 };
	char expected[64];

	model_clean(expected, sizeof(expected), path);
	const char *clean = path_clean(&arena, path);
	if (strcmp(clean, expected) != 0)
		fail_msg("path_clean(\"%s\") is \"%s\", not \"%s\"", path, clean, expected);
	assert_string_equal(path_clean(&arena, clean), clean);
	assert_false(path_has_dotdot(clean));

	const char *rooted = arena_printf(&arena, "/%s", path);
	assert_string_equal(path_go_clean(&arena, rooted), arena_printf(&arena, "/%s", expected));
	const char *go = path_go_clean(&arena, path);
	assert_string_equal(path_go_clean(&arena, go), go);
	if (path[0] != '/' && !path_has_dotdot(go) && strcmp(go, ".") != 0)
		assert_string_equal(go, expected);
}

/* Counts in base strlen(alphabet): the next text of the same length, or false after the last. */
static bool next_text(char *text)
{
	for (; *text; text++) {
		const char *digit = strchr(alphabet, *text);
		*text = digit[1] ? digit[1] : alphabet[0];
		if (digit[1])
			return true;
	}
	return false;
}

static void every_short_path_is_cleaned_by_the_rule(void **state)
{
	size_t count = 0;

	(void)state;
	for (size_t len = 0; len <= LENGTH_MAX; len++) {
		char text[LENGTH_MAX + 1] = { 0 };
		memset(text, alphabet[0], len);
		do {
			check_clean(text);
			count++;
		} while (next_text(text));
	}
	assert_int_equal(count, 29524); /* (3^10 - 1) / 2 */
}

static void a_dotdot_is_found_as_a_component_only(void **state)
{
	(void)state;
	assert_true(path_has_dotdot("..") && path_has_dotdot("a/../b") && path_has_dotdot("/..") &&
		    path_has_dotdot("a/.."));
	assert_false(path_has_dotdot("") || path_has_dotdot("...") || path_has_dotdot("a..b/..c/d..") ||
		     path_has_dotdot("."));
}

static void the_last_component_is_found(void **state)
{
	const char *path = "a/b/c";

	(void)state;
	assert_ptr_equal(path_base(path), path + 4);
	assert_string_equal(path_base("c"), "c");
	assert_string_equal(path_base("/"), "");
	assert_string_equal(path_base(""), "");
}

static void paths_are_joined_by_one_slash(void **state)
{
	static const struct {
		const char *a, *b, *joined;
	} cases[] = {
		{ "", "", "" },
		{ "a", "", "a" },
		{ "", "b", "b" },
		{ "a", "b", "a/b" },
		{ "a/", "b", "a/b" },
		{ "a", "/b", "a/b" },
		{ "a/", "/b", "a/b" },
		{ "/", "b", "/b" },
		{ "/", "/b", "/b" },
		{ "", "/b", "/b" },
		{ "/a/b", "c/d", "/a/b/c/d" },
	};
	scope_arena struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(path_join(&arena, cases[i].a, cases[i].b), cases[i].joined);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_paths_are_cleaned),
		cmocka_unit_test(paths_are_cleaned_as_go_cleans_them),
		cmocka_unit_test(every_short_path_is_cleaned_by_the_rule),
		cmocka_unit_test(a_dotdot_is_found_as_a_component_only),
		cmocka_unit_test(the_last_component_is_found),
		cmocka_unit_test(paths_are_joined_by_one_slash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
