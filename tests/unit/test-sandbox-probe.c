/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox-range.h"

#include <sys/wait.h>

#include "kiln/sandbox/probe.h"

static const struct probe_fact *find_fact(const struct probe_fact *facts, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(facts[i].name, name) == 0)
			return &facts[i];
	}
	fail_msg("no fact \"%s\"", name);
	return NULL;
}

static int count_files(void)
{
	return count_names(AT_FDCWD, "/proc/self/fd");
}

static void every_fact_has_a_detail_and_a_failed_one_says_why(void **state)
{
	static const char *const names[] = { "user namespace",   "range of ids",         "newuidmap",   "newgidmap",
					     "isolation mapped", "isolation single",     "fresh /proc", "seccomp",
					     "openat2",          "namespaces of a step", "/dev/fuse",   "/dev/net/tun",
					     "network helper" };
	scope_arena struct arena arena = { 0 };
	struct probe_fact *facts;
	struct err err = { 0 };
	int before = count_files();
	size_t count;

	(void)state;
	assert_ok(sandbox_probe(&arena, &facts, &count, &err), err);
	assert_int_equal(count, ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct probe_fact *fact = find_fact(facts, count, names[i]);
		assert_true(strlen(fact->detail) > 0);
		if (fact->works)
			assert_int_equal(strncmp(fact->detail, "yes", 3), 0);
		else
			assert_true(strlen(fact->detail) > 4);
		assert_true(!fact->works || !fact->remedy);
	}
	assert_int_equal(count_files(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void what_works_is_found_to_work(void **state)
{
	scope_arena struct arena arena = { 0 };
	struct probe_fact *facts;
	struct err err = { 0 };
	size_t count;

	(void)state;
	assert_ok(sandbox_probe(&arena, &facts, &count, &err), err);
	bool can_enter = has_range_of_ids();
	assert_int_equal(find_fact(facts, count, "isolation mapped")->works, can_enter);
	assert_true(find_fact(facts, count, "openat2")->works);
	assert_true(find_fact(facts, count, "seccomp")->works);
	if (can_enter) {
		assert_true(find_fact(facts, count, "user namespace")->works);
		assert_true(find_fact(facts, count, "range of ids")->works);
		assert_true(find_fact(facts, count, "namespaces of a step")->works);
	}
	assert_int_equal(find_fact(facts, count, "/dev/fuse")->works,
			 faccessat(AT_FDCWD, "/dev/fuse", R_OK | W_OK, AT_EACCESS) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fact_has_a_detail_and_a_failed_one_says_why),
		cmocka_unit_test(what_works_is_found_to_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
