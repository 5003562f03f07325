/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include "../../src/sandbox/idmap.h"

static void own_extents_are_mapped_onto_themselves(void **state)
{
	struct id_extent extents[ID_EXTENTS_MAX];
	struct err err = { 0 };
	size_t count;

	(void)state;
	assert_ok(id_map_parse_own("         0       1000          1\n         1     100000      65536\n", extents,
				   &count, &err),
		  err);
	assert_int_equal(count, 2);
	assert_int_equal(extents[0].inside, 0);
	assert_int_equal(extents[0].outside, 0);
	assert_int_equal(extents[0].count, 1);
	assert_int_equal(extents[1].inside, 1);
	assert_int_equal(extents[1].outside, 1);
	assert_int_equal(extents[1].count, 65536);

	assert_ok(id_map_parse_own("0 0 4294967295\n", extents, &count, &err), err);
	assert_int_equal(count, 1);
	assert_int_equal(extents[0].count, 4294967295);
}

static void a_namespace_without_ids_cannot_be_mapped(void **state)
{
	struct id_extent extents[ID_EXTENTS_MAX];
	struct err err = { 0 };
	size_t count;

	(void)state;
	assert_int_equal(id_map_parse_own("", extents, &count, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
}

static size_t subids(struct id_extent *extents, const char *text)
{
	size_t count = 1;

	extents[0] = (struct id_extent){ .inside = 0, .outside = 1000, .count = 1 };
	id_map_add_subids(text, "lk", "1000", extents, &count);
	return count;
}

static void sub_ids_follow_by_name_and_by_number(void **state)
{
	struct id_extent extents[ID_EXTENTS_MAX];

	(void)state;
	assert_int_equal(subids(extents, "other:1:5\nlk:100000:65536\nlkx:7:7\n# lk:1:1\n1000:300000:10\n"), 3);
	assert_int_equal(extents[1].inside, 1);
	assert_int_equal(extents[1].outside, 100000);
	assert_int_equal(extents[1].count, 65536);
	assert_int_equal(extents[2].inside, 65537);
	assert_int_equal(extents[2].outside, 300000);
	assert_int_equal(extents[2].count, 10);
}

static void damaged_sub_id_lines_are_passed_over(void **state)
{
	struct id_extent extents[ID_EXTENTS_MAX];

	(void)state;
	assert_int_equal(subids(extents, "lk\nlk:\nlk:1\nlk:x:1\nlk::\n:1:1\nlk:5:0\n\nlk:200000:7"), 2);
	assert_int_equal(extents[1].outside, 200000);
	assert_int_equal(extents[1].count, 7);
}

static void sub_ids_never_leave_the_range_of_ids(void **state)
{
	struct id_extent extents[ID_EXTENTS_MAX];

	(void)state;
	assert_int_equal(subids(extents, "lk:4294967290:65536\nlk:1:4294967295\nlk:5:5\n"), 3);
	assert_int_equal(extents[1].count, 5);
	assert_int_equal((uint64_t)extents[2].inside + extents[2].count, 4294967295);
}

static void the_remedy_names_ids_that_are_free(void **state)
{
	(void)state;
	assert_int_equal(id_map_first_free(""), 100000);
	assert_int_equal(id_map_first_free("a:100000:65536\nb:165536:65536\n"), 231072);
	assert_int_equal(id_map_first_free("b:165536:65536\na:1:5\n"), 231072);
	assert_int_equal(id_map_first_free("b:4294000000:967295\n"), 100000);
}

/* One id, and the rights to map it: as inside `unshare -r`. */
static int plan_with_one_id(int channel, void *arg, struct err *err)
{
	scope_free struct id_map *map = calloc(1, sizeof(*map));

	(void)channel;
	(void)arg;
	if (enter_namespaces(err) < 0)
		return -1;
	if (id_map_plan(map, err) == 0)
		return err_set(err, ERR_SYSTEM, "one id was enough");
	return strstr(err->msg, "has one id only") && err->kind == ERR_UNSUPPORTED ? 0 : -1;
}

static void one_id_is_not_enough(void **state)
{
	struct proc child = PROC_EMPTY;
	struct err err = { 0 };

	(void)state;
	assert_ok(proc_fork(&child, plan_with_one_id, NULL, &err), err);
	assert_ok(proc_wait(&child, NULL, &err), err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_extents_are_mapped_onto_themselves),
		cmocka_unit_test(a_namespace_without_ids_cannot_be_mapped),
		cmocka_unit_test(sub_ids_follow_by_name_and_by_number),
		cmocka_unit_test(damaged_sub_id_lines_are_passed_over),
		cmocka_unit_test(sub_ids_never_leave_the_range_of_ids),
		cmocka_unit_test(the_remedy_names_ids_that_are_free),
		cmocka_unit_test(one_id_is_not_enough),
	};

	return run_group_tests_with_namespaces(tests, 1);
}
