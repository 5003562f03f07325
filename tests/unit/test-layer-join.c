/* SPDX-License-Identifier: Apache-2.0 */
#include "layer-scratch.h"

#include <sys/stat.h>

/* Trees are put up as an overlay leaves them: a file that was copied up carries its tag. */
struct trees {
	int lower, upper;
};

static void put_hardlink(int dir_fd, const char *old, const char *new)
{
	assert_int_equal(linkat(dir_fd, old, dir_fd, new, 0), 0);
}

/* d/1, d/2 and e/3 are one file below. */
static struct trees make_trees(const struct scratch *scratch)
{
	struct trees trees = { make_tree(scratch->fd, "lower"), make_tree(scratch->fd, "upper") };
	struct err err;

	put_dir(trees.lower, "d");
	put_dir(trees.lower, "e");
	put_file(trees.lower, "d/1", "text");
	put_hardlink(trees.lower, "d/1", "d/2");
	put_hardlink(trees.lower, "d/1", "e/3");
	stamp(trees.lower);
	assert_ok(layer_tree_settle(trees.lower, INT64_MAX, &err), err);
	return trees;
}

static void close_trees(const struct trees *trees)
{
	close(trees->lower);
	close(trees->upper);
}

static void copy_up(const struct trees *trees, const char *to, const char *text)
{
	put_file(trees->upper, to, text);
	put_xattr(trees->upper, to, "user.kiln.names", "4.1600000000");
}

static void join(const struct trees *trees)
{
	struct err err;

	stamp(trees->upper);
	assert_ok(layer_tree_settle(trees->upper, INT64_MAX, &err), err);
	assert_ok(layer_join_names(trees->upper, &trees->lower, 1, INT64_MAX, &err), err);
}

static void a_change_through_one_name_is_one_of_all_names(void **state)
{
	struct trees trees = make_trees(*state);

	put_dir(trees.upper, "d");
	copy_up(&trees, "d/2", "changed");
	join(&trees);
	assert_layer(trees.upper, &trees.lower, 1,
		     "d 755 0 d/\n"
		     "f 644 7 d/1\n"
		     "h 644 0 d/2 -> d/1\n"
		     "d 755 0 e/\n"
		     "h 644 0 e/3 -> d/1\n");
	close_trees(&trees);
}

static void names_that_were_changed_alike_become_one_file_again(void **state)
{
	struct trees trees = make_trees(*state);
	struct stat one, other;

	put_dir(trees.upper, "d");
	copy_up(&trees, "d/1", "changed");
	copy_up(&trees, "d/2", "changed");
	join(&trees);
	assert_int_equal(fstatat(trees.upper, "d/2", &one, 0), 0);
	assert_int_equal(fstatat(trees.upper, "e/3", &other, 0), 0);
	assert_int_equal(one.st_ino, other.st_ino);
	assert_int_equal(one.st_nlink, 3);
	close_trees(&trees);
}

static void a_copy_without_a_change_follows_the_changed_one(void **state)
{
	struct trees trees = make_trees(*state);

	put_dir(trees.upper, "d");
	copy_up(&trees, "d/1", "text");
	copy_up(&trees, "d/2", "changed");
	join(&trees);
	assert_layer(trees.upper, &trees.lower, 1,
		     "d 755 0 d/\n"
		     "f 644 7 d/1\n"
		     "h 644 0 d/2 -> d/1\n"
		     "d 755 0 e/\n"
		     "h 644 0 e/3 -> d/1\n");
	close_trees(&trees);
}

static void names_that_were_changed_apart_stay_apart(void **state)
{
	struct trees trees = make_trees(*state);

	put_dir(trees.upper, "d");
	copy_up(&trees, "d/1", "one");
	copy_up(&trees, "d/2", "other");
	join(&trees);
	assert_layer(trees.upper, &trees.lower, 1,
		     "d 755 0 d/\n"
		     "f 644 3 d/1\n"
		     "f 644 5 d/2\n"
		     "d 755 0 e/\n"
		     "h 644 0 e/3 -> d/1\n");
	close_trees(&trees);
}

static void copies_without_a_change_are_no_change(void **state)
{
	struct trees trees = make_trees(*state);

	put_dir(trees.upper, "d");
	copy_up(&trees, "d/1", "text");
	join(&trees);
	assert_layer(trees.upper, &trees.lower, 1, "");
	assert_int_equal(faccessat(trees.upper, "e", F_OK, 0), -1);
	close_trees(&trees);
}

static void a_file_in_the_place_of_a_name_leaves_the_others_alone(void **state)
{
	struct trees trees = make_trees(*state);

	put_dir(trees.upper, "d");
	put_file(trees.upper, "d/2", "replaced");
	join(&trees);
	assert_layer(trees.upper, &trees.lower, 1,
		     "d 755 0 d/\n"
		     "f 644 8 d/2\n");
	close_trees(&trees);
}

static void a_removed_name_leaves_the_others_alone(void **state)
{
	struct trees trees = make_trees(*state);

	put_dir(trees.upper, "d");
	put_whiteout(trees.upper, "d", "2");
	join(&trees);
	assert_layer(trees.upper, &trees.lower, 1,
		     "d 755 0 d/\n"
		     "- d/2\n");
	close_trees(&trees);
}

static void a_further_name_brings_all_names(void **state)
{
	struct trees trees = make_trees(*state);

	put_dir(trees.upper, "d");
	copy_up(&trees, "d/2", "text");
	put_hardlink(trees.upper, "d/2", "d/4");
	join(&trees);
	assert_layer(trees.upper, &trees.lower, 1,
		     "d 755 0 d/\n"
		     "f 644 4 d/1\n"
		     "h 644 0 d/2 -> d/1\n"
		     "h 644 0 d/4 -> d/1\n"
		     "d 755 0 e/\n"
		     "h 644 0 e/3 -> d/1\n");
	close_trees(&trees);
}

static void a_further_name_of_a_copy_follows_the_changed_one(void **state)
{
	struct trees trees = make_trees(*state);

	put_dir(trees.upper, "d");
	copy_up(&trees, "d/1", "text");
	put_hardlink(trees.upper, "d/1", "d/4");
	copy_up(&trees, "d/2", "changed");
	join(&trees);
	assert_layer(trees.upper, &trees.lower, 1,
		     "d 755 0 d/\n"
		     "f 644 7 d/1\n"
		     "h 644 0 d/2 -> d/1\n"
		     "h 644 0 d/4 -> d/1\n"
		     "d 755 0 e/\n"
		     "h 644 0 e/3 -> d/1\n");
	close_trees(&trees);
}

static void a_name_that_moved_stays_a_name_of_the_file(void **state)
{
	struct trees trees = make_trees(*state);

	put_dir(trees.upper, "d");
	put_dir(trees.upper, "new");
	put_whiteout(trees.upper, "d", "1");
	copy_up(&trees, "new/9", "text");
	join(&trees);
	assert_layer(trees.upper, &trees.lower, 1,
		     "d 755 0 d/\n"
		     "- d/1\n"
		     "f 644 4 d/2\n"
		     "d 755 0 e/\n"
		     "h 644 0 e/3 -> d/2\n"
		     "d 755 0 new/\n"
		     "h 644 0 new/9 -> d/2\n");
	close_trees(&trees);
}

static void a_copy_with_attributes_beside_the_file_is_no_name_of_it(void **state)
{
	struct trees trees = make_trees(*state);

	put_dir(trees.upper, "d");
	copy_up(&trees, "d/backup", "text");
	join(&trees);
	assert_layer(trees.upper, &trees.lower, 1,
		     "d 755 0 d/\n"
		     "f 644 4 d/backup\n");
	close_trees(&trees);
}

static void nor_is_it_when_the_file_gets_a_further_name(void **state)
{
	struct trees trees = make_trees(*state);

	put_dir(trees.upper, "d");
	copy_up(&trees, "d/2", "text");
	put_hardlink(trees.upper, "d/2", "d/4");
	copy_up(&trees, "d/backup", "text");
	join(&trees);
	assert_layer(trees.upper, &trees.lower, 1,
		     "d 755 0 d/\n"
		     "f 644 4 d/1\n"
		     "h 644 0 d/2 -> d/1\n"
		     "h 644 0 d/4 -> d/1\n"
		     "f 644 4 d/backup\n"
		     "d 755 0 e/\n"
		     "h 644 0 e/3 -> d/1\n");
	close_trees(&trees);
}

static void names_that_a_layer_between_hides_do_not_come_back(void **state)
{
	const struct scratch *scratch = *state;
	struct trees trees = make_trees(scratch);
	int lowers[] = { make_tree(scratch->fd, "between"), trees.lower };
	struct err err;

	put_dir(lowers[0], "d");
	put_whiteout(lowers[0], "d", "1");
	put_file(lowers[0], "e", "no directory any more");
	stamp(lowers[0]);
	put_dir(trees.upper, "d");
	copy_up(&trees, "d/2", "changed");
	stamp(trees.upper);
	assert_ok(layer_tree_settle(trees.upper, INT64_MAX, &err), err);
	assert_ok(layer_join_names(trees.upper, lowers, 2, INT64_MAX, &err), err);
	assert_layer(trees.upper, lowers, 2,
		     "d 755 0 d/\n"
		     "f 644 7 d/2\n");
	close(lowers[0]);
	close_trees(&trees);
}

static void directories_keep_their_times(void **state)
{
	struct trees trees = make_trees(*state);
	struct stat st;

	put_dir(trees.upper, "d");
	copy_up(&trees, "d/2", "changed");
	join(&trees);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(fstatat(trees.upper, (const char *[]){ ".", "d", "e" }[i], &st, 0), 0);
		assert_int_equal(st.st_mtim.tv_sec, STAMP);
		assert_int_equal(st.st_mtim.tv_nsec, 0);
	}
	close_trees(&trees);
}

static void a_socket_leaves_what_it_replaced_removed(void **state)
{
	struct trees trees = make_trees(*state);

	put_dir(trees.upper, "d");
	put_file(trees.upper, "d/other", "x");
	assert_int_equal(mknodat(trees.upper, "d/2", S_IFSOCK | 0600, 0), 0);
	join(&trees);
	assert_layer(trees.upper, &trees.lower, 1,
		     "d 755 0 d/\n"
		     "- d/2\n"
		     "f 644 1 d/other\n");
	close_trees(&trees);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_change_through_one_name_is_one_of_all_names),
		scratch_test(names_that_were_changed_alike_become_one_file_again),
		scratch_test(a_copy_without_a_change_follows_the_changed_one),
		scratch_test(names_that_were_changed_apart_stay_apart),
		scratch_test(copies_without_a_change_are_no_change),
		scratch_test(a_file_in_the_place_of_a_name_leaves_the_others_alone),
		scratch_test(a_removed_name_leaves_the_others_alone),
		scratch_test(a_further_name_brings_all_names),
		scratch_test(a_further_name_of_a_copy_follows_the_changed_one),
		scratch_test(a_name_that_moved_stays_a_name_of_the_file),
		scratch_test(a_copy_with_attributes_beside_the_file_is_no_name_of_it),
		scratch_test(nor_is_it_when_the_file_gets_a_further_name),
		scratch_test(names_that_a_layer_between_hides_do_not_come_back),
		scratch_test(directories_keep_their_times),
		scratch_test(a_socket_leaves_what_it_replaced_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
