/* SPDX-License-Identifier: Apache-2.0 */
#include "layer-scratch.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A lower tree and an upper one, as a view leaves it. */
struct pair {
	struct scratch *scratch;
	int lower, upper;
};

static int pair_setup(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	void *scratch;

	assert_int_equal(scratch_setup(&scratch), 0);
	pair->scratch = scratch;
	pair->lower = make_tree(pair->scratch->fd, "lower");
	pair->upper = make_tree(pair->scratch->fd, "upper");
	*state = pair;
	return 0;
}

static int pair_teardown(void **state)
{
	struct pair *pair = *state;
	void *scratch = pair->scratch;

	close(pair->lower);
	close(pair->upper);
	free(pair);
	return scratch_teardown(&scratch);
}

static void assert_pair(struct pair *pair, const char *expected)
{
	assert_layer(pair->upper, &pair->lower, 1, expected);
}

static void stamp_both(struct pair *pair)
{
	stamp(pair->lower);
	stamp(pair->upper);
}

static void test_nothing_gives_an_empty_tar(void **state)
{
	struct pair *pair = *state;
	scope_result struct layer_result result = { 0 };
	struct err err;

	assert_ok(try_diff(&result, pair->upper, NULL, 0, INT64_MAX, &err), err);
	assert_int_equal(result.tar.len, 1024);
	assert_int_equal(result.stats.entries, 0);
}

static void test_new_entries_of_every_type_come_with_their_ancestors(void **state)
{
	struct pair *pair = *state;

	put_dir(pair->upper, "a");
	put_dir(pair->upper, "a/b");
	put_file(pair->upper, "a/b/f", "hello");
	put_link(pair->upper, "a/b/s", "../no/where");
	assert_int_equal(mkfifoat(pair->upper, "a/b/p", 0600), 0);
	put_dir(pair->upper, "a-b");
	stamp_both(pair);
	assert_layer(pair->upper, NULL, 0,
		     "d 755 0 a/\n"
		     "d 755 0 a/b/\n"
		     "f 644 5 a/b/f\n"
		     "p 600 0 a/b/p\n"
		     "l 777 0 a/b/s -> ../no/where\n"
		     "d 755 0 a-b/\n");
}

static void test_what_equals_the_tree_below_is_not_in_the_layer(void **state)
{
	struct pair *pair = *state;

	for (int i = 0; i < 2; i++) {
		int tree = i ? pair->upper : pair->lower;
		put_dir(tree, "d");
		put_file(tree, "d/f", "same");
		put_link(tree, "d/l", "f");
	}
	stamp_both(pair);
	assert_pair(pair, "");
}

static void test_ancestors_of_a_change_are_in_the_layer_once(void **state)
{
	struct pair *pair = *state;

	for (int i = 0; i < 2; i++) {
		int tree = i ? pair->upper : pair->lower;
		put_dir(tree, "d");
		put_dir(tree, "d/e");
		put_dir(tree, "d/same");
		put_file(tree, "d/e/1", i ? "new text" : "old text");
		put_file(tree, "d/e/2", i ? "NEW" : "OLD");
	}
	stamp_both(pair);
	assert_pair(pair, "d 755 0 d/\n"
			  "d 755 0 d/e/\n"
			  "f 644 8 d/e/1\n"
			  "f 644 3 d/e/2\n");
}

static void test_metadata_alone_is_a_change(void **state)
{
	struct pair *pair = *state;

	for (int i = 0; i < 2; i++) {
		int tree = i ? pair->upper : pair->lower;
		put_file(tree, "mode", "x");
		put_file(tree, "same", "x");
		put_file(tree, "size", i ? "xx" : "x");
		put_file(tree, "time", "x");
		put_link(tree, "link", i ? "new" : "old");
		put_dir(tree, "dir");
	}
	assert_int_equal(fchmodat(pair->upper, "mode", 04755, 0), 0);
	assert_int_equal(fchmodat(pair->upper, "dir", 01777, 0), 0);
	stamp_both(pair);
	set_time(pair->upper, "time", STAMP + 1);
	assert_pair(pair, "d 1777 0 dir/\n"
			  "l 777 0 link -> new\n"
			  "f 4755 1 mode\n"
			  "f 644 2 size\n"
			  "f 644 1 time\n");
}

static void test_the_time_of_an_empty_file_counts_too(void **state)
{
	struct pair *pair = *state;

	put_file(pair->lower, "empty", "");
	put_file(pair->upper, "empty", "");
	put_file(pair->lower, "same", "");
	put_file(pair->upper, "same", "");
	stamp_both(pair);
	set_time(pair->upper, "empty", STAMP + 1);
	assert_pair(pair, "f 644 0 empty\n");
}

static void test_fractions_of_seconds_are_no_change(void **state)
{
	struct pair *pair = *state;
	const struct timespec times[2] = { { .tv_sec = STAMP }, { .tv_sec = STAMP, .tv_nsec = 999999999 } };

	put_file(pair->lower, "f", "x");
	put_file(pair->upper, "f", "x");
	stamp_both(pair);
	assert_int_equal(utimensat(pair->upper, "f", times, 0), 0);
	assert_pair(pair, "");
}

static void test_times_are_clamped_on_both_sides(void **state)
{
	struct pair *pair = *state;
	scope_result struct layer_result result = { 0 };
	struct err err;

	put_file(pair->lower, "f", "x");
	put_file(pair->upper, "f", "x");
	put_file(pair->upper, "new", "x");
	stamp_both(pair);
	set_time(pair->lower, "f", STAMP + 5);
	set_time(pair->upper, "f", STAMP + 6);
	set_time(pair->upper, "new", STAMP + 7);
	assert_ok(try_diff(&result, pair->upper, &pair->lower, 1, STAMP, &err), err);
	assert_string_equal(strbuf_str(&result.list), "f 644 1 new\n");
	char octal[13];
	snprintf(octal, sizeof(octal), "%011o", STAMP);
	assert_memory_equal(result.tar.ptr + 136, octal, 12);
}

static void test_a_difference_far_inside_a_large_file_is_found(void **state)
{
	struct pair *pair = *state;
	static char bytes[400000];

	for (int i = 0; i < 2; i++) {
		scope_fd int fd = openat(i ? pair->upper : pair->lower, "f", O_WRONLY | O_CREAT, 0644);
		memset(bytes, 'a', sizeof(bytes));
		bytes[399999] = i ? 'b' : 'a';
		assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	}
	stamp_both(pair);
	assert_pair(pair, "f 644 400000 f\n");
}

static void test_sparse_files_are_written_in_full(void **state)
{
	struct pair *pair = *state;
	scope_result struct layer_result result = { 0 };
	struct err err;
	scope_fd int fd = openat(pair->upper, "f", O_WRONLY | O_CREAT, 0644);

	assert_int_equal(pwrite(fd, "middle", 6, 1 << 20), 6);
	assert_int_equal(ftruncate(fd, 3 << 20), 0);
	stamp_both(pair);
	assert_ok(try_diff(&result, pair->upper, NULL, 0, INT64_MAX, &err), err);
	assert_int_equal(result.tar.len, 512 + (3 << 20) + 1024);
	assert_memory_equal(result.tar.ptr + 512 + (1 << 20), "middle", 6);
	assert_int_equal(result.stats.content, 3 << 20);
	assert_string_equal(result.stats.largest, "f");
	for (size_t i = 512; i < 512 + (1 << 20); i++)
		assert_int_equal(result.tar.ptr[i], 0);
}

static void test_whiteouts_come_first_and_only_for_what_is_below(void **state)
{
	struct pair *pair = *state;

	put_dir(pair->lower, "d");
	put_file(pair->lower, "d/gone2", "x");
	put_dir(pair->lower, "d/gone1");
	put_file(pair->lower, "d/gone1/inner", "x");
	put_dir(pair->upper, "d");
	put_file(pair->upper, "d/aaa", "x");
	put_whiteout(pair->upper, "d", "gone2");
	put_whiteout(pair->upper, "d", "gone1");
	put_whiteout(pair->upper, "d", "never-was");
	stamp_both(pair);
	assert_pair(pair, "d 755 0 d/\n"
			  "- d/gone1\n"
			  "- d/gone2\n"
			  "f 644 1 d/aaa\n");
}

static void test_a_replaced_type_needs_no_whiteout(void **state)
{
	struct pair *pair = *state;

	put_dir(pair->lower, "dir-to-file");
	put_file(pair->lower, "dir-to-file/x", "x");
	put_file(pair->lower, "file-to-dir", "x");
	put_link(pair->lower, "link-to-file", "x");
	put_file(pair->upper, "dir-to-file", "x");
	put_dir(pair->upper, "file-to-dir");
	put_file(pair->upper, "file-to-dir/y", "y");
	put_file(pair->upper, "link-to-file", "");
	stamp_both(pair);
	assert_pair(pair, "f 644 1 dir-to-file\n"
			  "d 755 0 file-to-dir/\n"
			  "f 644 1 file-to-dir/y\n"
			  "f 644 0 link-to-file\n");
}

static void test_an_opaque_directory_gives_explicit_whiteouts_and_only_changes(void **state)
{
	struct pair *pair = *state;

	put_dir(pair->lower, "d");
	put_dir(pair->lower, "d/sub");
	put_file(pair->lower, "d/sub/gone", "x");
	put_file(pair->lower, "d/sub/same", "x");
	put_file(pair->lower, "d/gone", "x");
	put_file(pair->lower, "d/same", "x");
	put_dir(pair->upper, "d");
	put_opaque(pair->upper, "d");
	put_dir(pair->upper, "d/sub");
	put_file(pair->upper, "d/sub/same", "x");
	put_file(pair->upper, "d/new", "x");
	put_file(pair->upper, "d/same", "x");
	stamp_both(pair);
	assert_pair(pair, "d 755 0 d/\n"
			  "- d/gone\n"
			  "f 644 1 d/new\n"
			  "d 755 0 d/sub/\n"
			  "- d/sub/gone\n");
}

static void test_an_opaque_mark_on_a_new_directory_is_noise(void **state)
{
	struct pair *pair = *state;

	put_dir(pair->upper, "new");
	put_opaque(pair->upper, "new");
	stamp_both(pair);
	assert_pair(pair, "d 755 0 new/\n");
}

static void test_whiteouts_in_lower_layers_hide_what_lies_deeper(void **state)
{
	struct pair *pair = *state;
	int lowers[] = { make_tree(pair->scratch->fd, "middle"), pair->lower };

	put_file(pair->lower, "f", "x");
	put_dir(pair->lower, "d");
	put_file(pair->lower, "d/old", "x");
	put_whiteout(lowers[0], "", "f");
	put_dir(lowers[0], "d");
	put_opaque(lowers[0], "d");
	put_whiteout(pair->upper, "", "f");
	put_dir(pair->upper, "d");
	put_whiteout(pair->upper, "d", "old");
	stamp_both(pair);
	stamp(lowers[0]);
	assert_layer(pair->upper, lowers, 2, "");
	close(lowers[0]);
}

static void test_sockets_are_left_out(void **state)
{
	struct pair *pair = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	scope_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/s", pair->upper);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_true(has_name(pair->upper, "s"));
	assert_pair(pair, "");
}

static void test_a_name_that_looks_like_a_whiteout_is_refused(void **state)
{
	struct pair *pair = *state;
	scope_result struct layer_result result = { 0 };
	struct err err;

	put_dir(pair->upper, "d");
	put_file(pair->upper, "d/.wh.x", "text");
	assert_int_equal(try_diff(&result, pair->upper, &pair->lower, 1, INT64_MAX, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_non_null(strstr(err.msg, "d/.wh.x"));
}

static void test_names_may_hold_any_byte(void **state)
{
	struct pair *pair = *state;

	put_file(pair->upper, "\xff\n\\ \x01", "x");
	stamp_both(pair);
	assert_pair(pair, "f 644 1 \xff\n\\ \x01\n");
}

static void test_only_content_attributes_are_in_the_layer(void **state)
{
	struct pair *pair = *state;

	put_file(pair->lower, "same", "x");
	put_file(pair->upper, "same", "x");
	put_file(pair->lower, "gone", "x");
	put_file(pair->upper, "gone", "x");
	put_file(pair->upper, "new", "x");
	put_xattr(pair->lower, "same", "user.k", "v");
	put_xattr(pair->upper, "same", "user.k", "v");
	put_xattr(pair->upper, "same", "user.overlay.origin", "x");
	put_xattr(pair->lower, "gone", "user.k", "v");
	put_xattr(pair->upper, "new", "user.z", "1");
	put_xattr(pair->upper, "new", "user.b", "2");
	put_xattr(pair->upper, "new", "user.overlay.overlay.opaque", "y");
	put_xattr(pair->upper, "new", "user.fuseoverlayfs.origin", "x");
	put_xattr(pair->upper, "new", "user.kiln.x", "x");
	stamp_both(pair);
	assert_pair(pair, "f 644 1 gone\n"
			  "f 644 1 new user.b=2 user.z=1\n");
}

static void test_an_attribute_name_that_a_tar_cannot_hold_is_refused(void **state)
{
	struct pair *pair = *state;
	scope_result struct layer_result result = { 0 };
	struct err err;

	put_file(pair->upper, "f", "x");
	put_xattr(pair->upper, "f", "user.a=b", "x");
	assert_int_equal(try_diff(&result, pair->upper, NULL, 0, INT64_MAX, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
}

static void test_device_placeholders_are_devices(void **state)
{
	struct pair *pair = *state;

	put_file(pair->upper, "null", "");
	put_xattr(pair->upper, "null", "user.kiln.dev", "c:1:3");
	put_file(pair->lower, "same", "");
	put_xattr(pair->lower, "same", "user.kiln.dev", "b:8:1");
	put_file(pair->upper, "same", "");
	put_xattr(pair->upper, "same", "user.kiln.dev", "b:8:1");
	put_file(pair->lower, "other", "");
	put_xattr(pair->lower, "other", "user.kiln.dev", "b:8:1");
	put_file(pair->upper, "other", "");
	put_xattr(pair->upper, "other", "user.kiln.dev", "b:8:2");
	stamp_both(pair);
	assert_pair(pair, "c 644 0 null 1:3\n"
			  "b 644 0 other 8:2\n");
}

static void test_a_forged_placeholder_is_refused(void **state)
{
	static const char *const forged[] = { "c:0:0", "x:1:3", "c:1", "c:1:3 ", "" };
	struct pair *pair = *state;

	put_file(pair->upper, "f", "");
	for (size_t i = 0; i + 1 < ARRAY_LEN(forged); i++) {
		scope_result struct layer_result result = { 0 };
		struct err err;

		put_xattr(pair->upper, "f", "user.kiln.dev", forged[i]);
		assert_int_equal(try_diff(&result, pair->upper, NULL, 0, INT64_MAX, &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
	}
}

static void test_the_recipe_writer_stays_the_callers(void **state)
{
	struct pair *pair = *state;
	scope_strbuf struct strbuf recipe = { 0 };
	scope_writer struct writer *out = writer_strbuf(&recipe);
	struct layer_stats stats;
	struct err err;

	assert_ok(layer_diff(pair->upper, NULL, 0, &(struct layer_diff_options){ INT64_MAX }, out, &stats, &err), err);
	assert_ok(out->write(out, "more", 4, &err), err);
}

/* 400 directories deep: one fd for each level, and one more below. */
static void make_deep(int tree_fd)
{
	int fd = openat(tree_fd, ".", O_RDONLY | O_DIRECTORY);

	for (int i = 0; i < 400; i++) {
		put_dir(fd, "d");
		int next = open_dir_at(fd, "d");
		close(fd);
		fd = next;
	}
	put_file(fd, "f", "x");
	close(fd);
}

static void test_a_deep_tree_needs_fds_and_says_so(void **state)
{
	struct pair *pair = *state;
	scope_result struct layer_result result = { 0 };
	scope_result struct layer_result again = { 0 };
	struct rlimit old, low;
	struct err err;

	make_deep(pair->upper);
	make_deep(pair->lower);
	stamp_both(pair);
	set_time(pair->lower, "d", STAMP - 1);
	assert_ok(try_diff(&result, pair->upper, &pair->lower, 1, INT64_MAX, &err), err);
	assert_string_equal(strbuf_str(&result.list), "d 755 0 d/\n");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){ 100, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	int status = try_diff(&again, pair->upper, &pair->lower, 1, INT64_MAX, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(status, -1);
	assert_true(err_is_errno(&err, EMFILE));
	assert_non_null(strstr(err.msg, "ulimit -n"));
}

#define pair_test(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(test_nothing_gives_an_empty_tar),
		pair_test(test_new_entries_of_every_type_come_with_their_ancestors),
		pair_test(test_what_equals_the_tree_below_is_not_in_the_layer),
		pair_test(test_ancestors_of_a_change_are_in_the_layer_once),
		pair_test(test_metadata_alone_is_a_change),
		pair_test(test_the_time_of_an_empty_file_counts_too),
		pair_test(test_fractions_of_seconds_are_no_change),
		pair_test(test_times_are_clamped_on_both_sides),
		pair_test(test_a_difference_far_inside_a_large_file_is_found),
		pair_test(test_sparse_files_are_written_in_full),
		pair_test(test_whiteouts_come_first_and_only_for_what_is_below),
		pair_test(test_a_replaced_type_needs_no_whiteout),
		pair_test(test_an_opaque_directory_gives_explicit_whiteouts_and_only_changes),
		pair_test(test_an_opaque_mark_on_a_new_directory_is_noise),
		pair_test(test_whiteouts_in_lower_layers_hide_what_lies_deeper),
		pair_test(test_sockets_are_left_out),
		pair_test(test_a_name_that_looks_like_a_whiteout_is_refused),
		pair_test(test_names_may_hold_any_byte),
		pair_test(test_only_content_attributes_are_in_the_layer),
		pair_test(test_an_attribute_name_that_a_tar_cannot_hold_is_refused),
		pair_test(test_device_placeholders_are_devices),
		pair_test(test_a_forged_placeholder_is_refused),
		pair_test(test_the_recipe_writer_stays_the_callers),
		pair_test(test_a_deep_tree_needs_fds_and_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
