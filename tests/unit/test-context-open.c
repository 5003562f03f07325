/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>

#include "kiln/context/context.h"

static int open_context(const struct scratch *scratch, struct arena *arena, const char *dockerfile,
			struct ignore **ignore, struct err *err)
{
	const char *path = arena_printf(arena, "%s/c", scratch->path);

	return context_open(arena, path, dockerfile ? arena_printf(arena, "%s/%s", scratch->path, dockerfile) : NULL,
			    ignore, err);
}

static bool ignores(const struct scratch *scratch, const char *dockerfile, const char *path)
{
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	struct ignore *ignore;
	scope_fd int fd = open_context(scratch, &arena, dockerfile, &ignore, &err);

	assert_ok(fd, err);
	return ignore_matches(ignore, path);
}

static void without_rules_nothing_is_ignored(void **state)
{
	const struct scratch *scratch = *state;

	put_dir(scratch->fd, "c");
	assert_false(ignores(scratch, NULL, "f"));
	assert_false(ignores(scratch, "c/Dockerfile", "f"));
}

static void the_rules_beside_the_dockerfile_replace_those_of_the_context(void **state)
{
	const struct scratch *scratch = *state;

	put_dir(scratch->fd, "c");
	put_dir(scratch->fd, "elsewhere");
	put_file(scratch->fd, "c/.dockerignore", "of-context\n");
	put_file(scratch->fd, "elsewhere/D.dockerignore", "of-dockerfile\n");
	assert_true(ignores(scratch, NULL, "of-context"));
	assert_true(ignores(scratch, "c/Dockerfile", "of-context"));
	assert_true(ignores(scratch, "elsewhere/D", "of-dockerfile"));
	assert_false(ignores(scratch, "elsewhere/D", "of-context"));
	put_file(scratch->fd, "elsewhere/E.dockerignore", "");
	assert_false(ignores(scratch, "elsewhere/E", "of-context"));
}

static void assert_refused(const struct scratch *scratch, const char *text)
{
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	struct ignore *ignore;

	assert_int_equal(open_context(scratch, &arena, NULL, &ignore, &err), -1);
	if (!strstr(err.msg, text))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, text);
}

static void rules_that_cannot_be_read_are_an_error(void **state)
{
	const struct scratch *scratch = *state;

	put_dir(scratch->fd, "c");
	put_file(scratch->fd, "c/.dockerignore", "ok\n[bad\n");
	assert_refused(scratch, ".dockerignore");
	assert_int_equal(unlinkat(scratch->fd, "c/.dockerignore", 0), 0);
	put_dir(scratch->fd, "c/.dockerignore");
	assert_refused(scratch, ".dockerignore");
	assert_int_equal(unlinkat(scratch->fd, "c/.dockerignore", AT_REMOVEDIR), 0);
	assert_int_equal(mknodat(scratch->fd, "c/.dockerignore", S_IFIFO | 0644, 0), 0);
	assert_refused(scratch, ".dockerignore");
	assert_int_equal(unlinkat(scratch->fd, "c/.dockerignore", 0), 0);
	scope_fd int fd = openat(scratch->fd, "c/.dockerignore", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(fd, (1 << 20) + 1), 0);
	assert_refused(scratch, ".dockerignore");
}

/* CVE-2022-4122: the file is a link to what is not in the context. */
static void rules_outside_the_context_are_not_read(void **state)
{
	const struct scratch *scratch = *state;

	put_dir(scratch->fd, "c");
	put_file(scratch->fd, "secret", "f\n");
	put_link(scratch->fd, "c/.dockerignore", "../secret");
	assert_false(ignores(scratch, NULL, "f"));
	put_file(scratch->fd, "c/inside", "f\n");
	assert_int_equal(unlinkat(scratch->fd, "c/.dockerignore", 0), 0);
	put_link(scratch->fd, "c/.dockerignore", "/inside");
	assert_true(ignores(scratch, NULL, "f"));
}

static void a_context_that_is_none_is_named(void **state)
{
	const struct scratch *scratch = *state;

	assert_refused(scratch, "/c");
	put_file(scratch->fd, "c", "a file");
	assert_refused(scratch, "/c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(without_rules_nothing_is_ignored),
		scratch_test(the_rules_beside_the_dockerfile_replace_those_of_the_context),
		scratch_test(rules_that_cannot_be_read_are_an_error),
		scratch_test(rules_outside_the_context_are_not_read),
		scratch_test(a_context_that_is_none_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
