/* SPDX-License-Identifier: Apache-2.0 */
#include "layer-scratch.h"

static void put_hardlink(int dir_fd, const char *old, const char *new)
{
	assert_int_equal(linkat(dir_fd, old, dir_fd, new, 0), 0);
}

static void test_the_first_name_is_the_file_and_the_others_are_links(void **state)
{
	struct scratch *scratch = *state;
	scope_fd int upper = make_tree(scratch->fd, "upper");

	put_dir(upper, "d");
	put_file(upper, "d/a", "text");
	put_hardlink(upper, "d/a", "z");
	put_hardlink(upper, "d/a", "b");
	put_link(upper, "s1", "target");
	put_hardlink(upper, "s1", "s2");
	stamp(upper);
	assert_layer(upper, NULL, 0,
		     "f 644 4 b\n"
		     "d 755 0 d/\n"
		     "h 644 0 d/a -> b\n"
		     "l 777 0 s1 -> target\n"
		     "h 777 0 s2 -> s1\n"
		     "h 644 0 z -> b\n");
}

static void test_links_carry_no_attributes(void **state)
{
	struct scratch *scratch = *state;
	scope_fd int upper = make_tree(scratch->fd, "upper");

	put_file(upper, "a", "text");
	put_xattr(upper, "a", "user.k", "v");
	put_hardlink(upper, "a", "b");
	stamp(upper);
	assert_layer(upper, NULL, 0,
		     "f 644 4 a user.k=v\n"
		     "h 644 0 b -> a\n");
}

static void test_a_new_name_of_an_old_file_brings_the_old_name_along(void **state)
{
	struct scratch *scratch = *state;
	scope_fd int lower = make_tree(scratch->fd, "lower");
	scope_fd int upper = make_tree(scratch->fd, "upper");

	put_file(lower, "a", "text");
	put_file(upper, "a", "text");
	put_hardlink(upper, "a", "new");
	stamp(lower);
	stamp(upper);
	assert_layer(upper, &lower, 1,
		     "f 644 4 a\n"
		     "h 644 0 new -> a\n");
}

static void test_a_group_that_was_there_already_is_not_in_the_layer(void **state)
{
	struct scratch *scratch = *state;
	int trees[] = { make_tree(scratch->fd, "lower"), make_tree(scratch->fd, "upper") };

	for (int i = 0; i < 2; i++) {
		put_dir(trees[i], "d");
		put_file(trees[i], "d/a", "text");
		put_hardlink(trees[i], "d/a", "z");
		stamp(trees[i]);
	}
	assert_layer(trees[1], trees, 1, "");
	close(trees[0]);
	close(trees[1]);
}

static void test_equal_files_that_became_one_are_in_the_layer(void **state)
{
	struct scratch *scratch = *state;
	scope_fd int lower = make_tree(scratch->fd, "lower");
	scope_fd int upper = make_tree(scratch->fd, "upper");

	put_file(lower, "a", "text");
	put_file(lower, "b", "text");
	put_file(upper, "a", "text");
	put_hardlink(upper, "a", "b");
	stamp(lower);
	stamp(upper);
	assert_layer(upper, &lower, 1,
		     "f 644 4 a\n"
		     "h 644 0 b -> a\n");
}

static void test_files_that_only_look_the_same_stay_two(void **state)
{
	struct scratch *scratch = *state;
	scope_fd int lower = make_tree(scratch->fd, "lower");
	scope_fd int upper = make_tree(scratch->fd, "upper");

	put_file(lower, "a", "old");
	put_file(lower, "b", "old");
	put_file(upper, "a", "text");
	put_file(upper, "b", "text");
	stamp(lower);
	stamp(upper);
	assert_layer(upper, &lower, 1,
		     "f 644 4 a\n"
		     "f 644 4 b\n");
}

static void test_many_groups(void **state)
{
	struct scratch *scratch = *state;
	scope_fd int upper = make_tree(scratch->fd, "upper");
	scope_result struct layer_result result = { 0 };
	struct err err;
	char one[32], other[32];

	for (int i = 0; i < 500; i++) {
		snprintf(one, sizeof(one), "a%03d", i);
		snprintf(other, sizeof(other), "b%03d", i);
		put_file(upper, one, one);
		put_hardlink(upper, one, other);
	}
	stamp(upper);
	assert_ok(try_diff(&result, upper, NULL, 0, INT64_MAX, &err), err);
	assert_int_equal(result.stats.entries, 1000);
	assert_int_equal(result.stats.content, 2000);
	assert_non_null(strstr(strbuf_str(&result.list), "h 644 0 b499 -> a499\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_the_first_name_is_the_file_and_the_others_are_links),
		scratch_test(test_links_carry_no_attributes),
		scratch_test(test_a_new_name_of_an_old_file_brings_the_old_name_along),
		scratch_test(test_a_group_that_was_there_already_is_not_in_the_layer),
		scratch_test(test_equal_files_that_became_one_are_in_the_layer),
		scratch_test(test_files_that_only_look_the_same_stay_two),
		scratch_test(test_many_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
