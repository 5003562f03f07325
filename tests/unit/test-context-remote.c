/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include "kiln/base/text.h"
#include "kiln/context/remote.h"

static struct arena arena;

static int release_arena(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

static struct remote parsed(const char *text, enum remote_place place)
{
	struct remote remote;
	struct err err = { 0 };

	if (remote_parse(&arena, text, place, &remote, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	return remote;
}

static void paths_are_not_remote(void **state)
{
	static const char *const paths[] = { "",          ".",         "a",      "a/b.git",
					     "./x",       "../x.git",  "/abs",   "ftp://h/x",
					     "file:///x", "http:/h/x", "HTTP//", "c:/x",
					     "user@host", "a b@c:d",   "x:y@z",  "oci:dir:tag",
					     "ext::sh",   "https:host" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (parsed(paths[i], REMOTE_IN_DOCKERFILE).kind != REMOTE_NONE)
			fail_msg("%s is a path", paths[i]);
}

static void git_references_are_taken_apart_as_buildkit_does(void **state)
{
	static const struct {
		const char *text, *url, *ref, *subdir;
	} cases[] = {
		{ "https://host/r.git", "https://host/r.git", "", "" },
		{ "http://host:8080/a/r.git#main", "http://host:8080/a/r.git", "main", "" },
		{ "https://host/r.git#v1:src/x", "https://host/r.git", "v1", "src/x" },
		{ "https://host/r.git#:src", "https://host/r.git", "", "src" },
		{ "https://host/r.git#v1:", "https://host/r.git", "v1", "" },
		{ "https://host/r.git#main:../../escape", "https://host/r.git", "main", "escape" },
		{ "https://host/r.git#main:dir/../../escape", "https://host/r.git", "main", "escape" },
		{ "https://host/r.git#main:/abs/./x//y", "https://host/r.git", "main", "abs/x/y" },
		{ "https://host/r.git?ref=v1", "https://host/r.git", "v1", "" },
		{ "https://host/r.git?branch=b&subdir=d", "https://host/r.git", "refs/heads/b", "d" },
		{ "https://host/r.git?tag=t%2F1", "https://host/r.git", "refs/tags/t/1", "" },
		{ "https://host/r.git?subdir=../../e", "https://host/r.git", "", "e" },
		{ "git://host/r", "git://host/r", "", "" },
		{ "ssh://git@host:2222/a/r#x", "ssh://git@host:2222/a/r", "x", "" },
		{ "git@host:a/r.git#x:y", "git@host:a/r.git", "x", "y" },
		{ "deploy@host.example:r", "deploy@host.example:r", "", "" },
		{ "https://user:pw@host/r.git", "https://host/r.git", "", "" },
		{ "https://token@host/r.git#x", "https://host/r.git", "x", "" },
		{ "ssh://user:pw@host/r.git", "ssh://user@host/r.git", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct remote remote = parsed(cases[i].text, REMOTE_IN_DOCKERFILE);
		assert_int_equal(remote.kind, REMOTE_GIT);
		assert_string_equal(remote.url, cases[i].url);
		assert_string_equal(remote.ref, cases[i].ref);
		assert_string_equal(remote.subdir, cases[i].subdir);
	}
}

static void parameters_of_a_repository_are_read(void **state)
{
	struct remote remote;

	(void)state;
	remote = parsed(
		"https://h/r.git?keep-git-dir=true&submodules=false&mtime=checkout&checksum=0ab&fetch-by-commit",
		REMOTE_IN_DOCKERFILE);
	assert_true(remote.keeps_git_dir && remote.no_submodules && remote.has_checkout_times);
	assert_string_equal(remote.checksum, "0ab");
	remote = parsed("https://h/r.git?keep-git-dir=0&submodules&mtime=commit&commit=0ab&checksum=0ab",
			REMOTE_IN_DOCKERFILE);
	assert_false(remote.keeps_git_dir || remote.no_submodules || remote.has_checkout_times);
	remote = parsed("https://me%40here:p%3Aw@h/r.git", REMOTE_IN_DOCKERFILE);
	assert_string_equal(remote.user, "me@here");
	assert_string_equal(remote.password, "p:w");
}

static void what_is_malformed_or_an_option_is_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "https://h/r.git#--upload-pack=x", "invalid git ref \"--upload-pack=x\"" },
		{ "https://h/r.git?ref=-x", "invalid git ref" },
		{ "https://h/r.git#a..b", "invalid git ref" },
		{ "https://h/r.git#*", "invalid git ref" },
		{ "https://h/r.git#a b", "invalid git ref" },
		{ "https://h/r.git#v1?x", "invalid git ref" },
		{ "ssh://-oProxyCommand=x/r", "a host cannot begin with \"-\"" },
		{ "ssh://u@-oProxyCommand=x/r", "a host cannot begin with \"-\"" },
		{ "-u@host:r", "a host cannot begin with \"-\"" },
		{ "u@-host:r", "a host cannot begin with \"-\"" },
		{ "git:///r.git", "it has no host" },
		{ "http://", "it has no host" },
		{ "https:///x", "it has no host" },
		{ "https://h/x\ny", "it has a control character" },
		{ "https://h/r.git?ref=a%0ab", "control character" },
		{ "https://h/r.git?ref=a#b", "ref conflict" },
		{ "https://h/r.git?branch=a&tag=b", "ref conflict" },
		{ "https://h/r.git?subdir=a#:b", "subdir conflict" },
		{ "https://h/r.git?commit=0a&checksum=0b", "checksum conflict" },
		{ "https://h/r.git?nonsense=1", "unexpected query \"nonsense\"" },
		{ "https://h/r.git?checksum=xyz", "expected hex commit hash" },
		{ "https://h/r.git?keep-git-dir=maybe", "true or false" },
		{ "https://h/r.git?mtime=never", "checkout or commit" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct remote remote;
		struct err err = { 0 };
		if (remote_parse(&arena, cases[i].text, REMOTE_IN_DOCKERFILE, &remote, &err) == 0)
			fail_msg("%s was taken", cases[i].text);
		assert_int_equal(err.kind, ERR_INPUT);
		if (!strstr(err.msg, cases[i].says))
			fail_msg("%s: \"%s\" is not in \"%s\"", cases[i].text, cases[i].says, err.msg);
	}
}

/* NULL: there is none, and ADD refuses it. */
static void a_file_is_called_by_the_end_of_its_path(void **state)
{
	static const struct {
		const char *text, *file;
	} cases[] = {
		{ "http://h/a/file.tar.gz", "file.tar.gz" },
		{ "http://h/a/b/", "b" },
		{ "http://h", "__unnamed__" },
		{ "http://h/", "__unnamed__" },
		{ "http://h?x=/y", "__unnamed__" },
		{ "http://h/f?name=g#frag/ment", "f" },
		{ "http://h/a%20b", "a b" },
		{ "http://h/..%2f..%2fx", "x" },
		{ "http://h/..%2f..", NULL },
		{ "http://h/.", NULL },
		{ "http://h/a/..", NULL },
		{ "http://h/a%00b", NULL },
		{ "http://h/a%0Ab", NULL },
		{ "http://h/100%", "100%" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct remote remote = parsed(cases[i].text, REMOTE_IN_DOCKERFILE);
		assert_int_equal(remote.kind, REMOTE_HTTP);
		if (!text_equal(remote.file, cases[i].file))
			fail_msg("%s is called %s", cases[i].text, remote.file ? remote.file : "(nothing)");
	}
}

static void the_short_form_is_a_repository_on_the_command_line_only(void **state)
{
	(void)state;
	struct remote remote = parsed("github.com/owner/name#v1", REMOTE_ON_COMMAND_LINE);
	assert_int_equal(remote.kind, REMOTE_GIT);
	assert_string_equal(remote.url, "https://github.com/owner/name");
	assert_string_equal(remote.ref, "v1");
	assert_int_equal(parsed("github.com/owner/name", REMOTE_IN_DOCKERFILE).kind, REMOTE_NONE);
}

static void credentials_are_made_unreadable_wherever_they_are(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{ "plain text: a@b", "plain text: a@b" },
		{ "https://host/x?y=z", "https://host/x?y=z" },
		{ "https://u:canary@host/x", "https://xxxxx:xxxxx@host/x" },
		{ "https://canary@host/x", "https://xxxxx@host/x" },
		{ "ssh://git@host/x", "ssh://git@host/x" },
		{ "ssh://u:canary@host/x", "ssh://xxxxx:xxxxx@host/x" },
		{ "https://u:can@ary@host/x", "https://xxxxx:xxxxx@host/x" },
		{ "https://u:can/ary@host/x", "https://xxxxx:xxxxx@host/x" },
		{ "https://u:can?ary@host/x", "https://xxxxx:xxxxx@host/x" },
		{ "https://u:can#ary@host/x", "https://xxxxx:xxxxx@host/x" },
		{ "https://host:8080/@scope/x", "https://host:8080/@scope/x" },
		{ "https://[::1]:80/@scope", "https://[::1]:80/@scope" },
		{ "https://h/x?access_token=canary&b=c", "https://h/x?access_token=xxxxx&b=c" },
		{ "https://h/x?b=c&X-Amz-Signature=canary", "https://h/x?b=c&X-Amz-Signature=xxxxx" },
		{ "https://h/x?sig=canary#f", "https://h/x?sig=xxxxx#f" },
		{ "ADD https://u:canary@h/x https://canary@i/y?key=canary /z",
		  "ADD https://xxxxx:xxxxx@h/x https://xxxxx@i/y?key=xxxxx /z" },
		{ "\"https://u:canary@h\",", "\"https://xxxxx:xxxxx@h\"," },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(remote_redact(&arena, cases[i].text), cases[i].shown);
	assert_string_equal(parsed("https://u:canary@h/f?token=canary", REMOTE_IN_DOCKERFILE).shown,
			    "https://xxxxx:xxxxx@h/f?token=xxxxx");
}

static void an_error_does_not_name_credentials(void **state)
{
	static const char *const texts[] = { "https://u:canary@h/r.git#-x", "https://u:canary@/r.git",
					     "https://u:canary@h/r.git?nonsense", "https://:canary@/x" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct remote remote;
		struct err err = { 0 };
		assert_int_equal(remote_parse(&arena, texts[i], REMOTE_IN_DOCKERFILE, &remote, &err), -1);
		assert_null(strstr(err.msg, "canary"));
	}
}

static void a_time_that_no_file_can_have_is_none(void **state)
{
	(void)state;
	assert_int_equal(remote_time("Thu, 01 Jan 1970 00:01:00 GMT"), 60);
	assert_int_equal(remote_time("Sun, 13 Sep 2020 12:26:40 GMT"), 1600000000);
	assert_int_equal(remote_time("Mon, 01 Jan 1900 00:00:00 GMT"), -1);
	assert_int_equal(remote_time("Fri, 31 Dec 9999 23:59:59 GMT"), -1);
	assert_int_equal(remote_time("garbage"), -1);
	assert_int_equal(remote_time(NULL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(paths_are_not_remote, release_arena),
		cmocka_unit_test_teardown(git_references_are_taken_apart_as_buildkit_does, release_arena),
		cmocka_unit_test_teardown(parameters_of_a_repository_are_read, release_arena),
		cmocka_unit_test_teardown(what_is_malformed_or_an_option_is_refused, release_arena),
		cmocka_unit_test_teardown(a_file_is_called_by_the_end_of_its_path, release_arena),
		cmocka_unit_test_teardown(the_short_form_is_a_repository_on_the_command_line_only, release_arena),
		cmocka_unit_test_teardown(credentials_are_made_unreadable_wherever_they_are, release_arena),
		cmocka_unit_test_teardown(an_error_does_not_name_credentials, release_arena),
		cmocka_unit_test_teardown(a_time_that_no_file_can_have_is_none, release_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
