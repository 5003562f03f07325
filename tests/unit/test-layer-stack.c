/* SPDX-License-Identifier: Apache-2.0 */
#include "layer-scratch.h"

/* Three layers, [0] topmost. */
struct stack {
	struct scratch *scratch;
	int layers[3];
};

static int stack_setup(void **state)
{
	struct stack *stack = calloc(1, sizeof(*stack));
	void *scratch;
	char name[32];

	assert_int_equal(scratch_setup(&scratch), 0);
	stack->scratch = scratch;
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "layer%d", i);
		stack->layers[i] = make_tree(stack->scratch->fd, name);
	}
	*state = stack;
	return 0;
}

static int stack_teardown(void **state)
{
	struct stack *stack = *state;
	void *scratch = stack->scratch;

	for (int i = 0; i < 3; i++)
		close(stack->layers[i]);
	free(stack);
	return scratch_teardown(&scratch);
}

static void fill(struct stack *stack)
{
	int top = stack->layers[0], middle = stack->layers[1], bottom = stack->layers[2];

	put_file(bottom, "a", "bottom");
	put_file(bottom, "b", "bottom");
	put_file(bottom, "removed", "bottom");
	put_dir(bottom, "d");
	put_file(bottom, "d/1", "bottom");
	put_file(bottom, "d/2", "bottom");
	put_dir(bottom, "opaque");
	put_file(bottom, "opaque/old", "bottom");
	put_dir(bottom, "cut");
	put_file(bottom, "cut/old", "bottom");
	put_dir(bottom, "again");
	put_file(bottom, "again/old", "bottom");

	put_file(middle, "a", "middle");
	put_whiteout(middle, "", "removed");
	put_dir(middle, "d");
	put_whiteout(middle, "d", "1");
	put_file(middle, "d/3", "middle");
	put_file(middle, "cut", "a file between");
	put_whiteout(middle, "", "again");
	put_dir(middle, "opaque");
	put_opaque(middle, "opaque");
	put_file(middle, "opaque/middle", "middle");

	put_dir(top, "d");
	put_file(top, "d/3", "top");
	put_dir(top, "opaque");
	put_file(top, "opaque/top", "top");
	put_dir(top, "cut");
	put_file(top, "cut/new", "top");
	put_dir(top, "again");
	put_link(top, "link", "d");
}

static void assert_names(const struct stack_dir *dir, const char *expected)
{
	scope_strvec struct strvec names = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	struct err err;

	assert_ok(stack_list(dir, &names, &err), err);
	for (size_t i = 0; i < names.count; i++)
		strbuf_addf(&text, "%s%s", i ? " " : "", names.items[i]);
	assert_string_equal(strbuf_str(&text), expected);
}

static void test_a_stack_lists_what_is_visible(void **state)
{
	struct stack *stack = *state;
	static const char *const dirs[][2] = {
		{ "d", "2 3" }, { "opaque", "middle top" }, { "cut", "new" }, { "again", "" }
	};
	struct err err;

	fill(stack);
	scope_stack struct stack_dir *root = stack_open(stack->layers, 3, &err);
	assert_non_null(root);
	assert_names(root, "a again b cut d link opaque");
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		bool missing;
		scope_stack struct stack_dir *child = stack_child(root, dirs[i][0], &missing, &err);
		assert_non_null(child);
		assert_names(child, dirs[i][1]);
	}
}

static void test_a_stack_finds_the_topmost_entry(void **state)
{
	struct stack *stack = *state;
	struct err err;
	struct stat st;
	int holder;
	bool missing;

	fill(stack);
	scope_stack struct stack_dir *root = stack_open(stack->layers, 3, &err);
	assert_int_equal(stack_find(root, "a", &holder, &st, &err), 1);
	assert_file(holder, "a", "middle");
	assert_int_equal(stack_find(root, "b", &holder, &st, &err), 1);
	assert_int_equal(stack_find(root, "removed", &holder, &st, &err), 0);
	assert_int_equal(stack_find(root, "nothing", &holder, &st, &err), 0);
	assert_int_equal(stack_find(root, LAYER_FILE_MARKS, &holder, &st, &err), 0);
	assert_int_equal(stack_find_path(root, "d/1", &holder, &st, &err), 0);
	assert_int_equal(stack_find_path(root, "link/3", &holder, &st, &err), 0);
	assert_int_equal(stack_find_path(root, "again/old", &holder, &st, &err), 0);
	assert_int_equal(stack_find_path(root, "d/3", &holder, &st, &err), 1);
	assert_file(holder, "3", "top");
	close(holder);
	assert_null(stack_child(root, "a", &missing, &err));
	assert_true(missing);
	assert_null(stack_child(root, "link", &missing, &err));
	assert_true(missing);
	assert_null(stack_child(root, "removed", &missing, &err));
	assert_true(missing);
}

static void test_an_empty_stack_is_an_empty_tree(void **state)
{
	struct stack *stack = *state;
	struct err err;
	struct stat st;
	int holder;
	scope_stack struct stack_dir *root = stack_open(NULL, 0, &err);
	scope_fd int to = make_tree(stack->scratch->fd, "to");

	assert_non_null(root);
	assert_names(root, "");
	assert_int_equal(stack_find(root, "a", &holder, &st, &err), 0);
	assert_ok(layer_copy_stack(NULL, 0, to, &err), err);
	assert_int_equal(count_names(to, "."), 0);
}

/* More: entries of every kind, links within a layer, metadata. */
static void fill_more(struct stack *stack)
{
	int bottom = stack->layers[2];

	fill(stack);
	assert_int_equal(linkat(bottom, "d/2", bottom, "hard", 0), 0);
	put_link(bottom, "s", "gone");
	assert_int_equal(mkfifoat(bottom, "fifo", 0600), 0);
	put_file(bottom, "null", "");
	put_xattr(bottom, "null", "user.kiln.dev", "c:1:3");
	put_xattr(bottom, "b", "user.k", "v");
	assert_int_equal(fchmodat(bottom, "b", 04711, 0), 0);
	for (int i = 0; i < 3; i++)
		stamp(stack->layers[i]);
	assert_int_equal(fchmodat(stack->layers[0], "d", 0500, 0), 0);
	assert_int_equal(fchmod(stack->layers[0], 0711), 0);
}

static const char more_listing[] = "f 644 6 a\n"
				   "d 755 0 again/\n"
				   "f 4711 6 b user.k=v\n"
				   "d 755 0 cut/\n"
				   "f 644 3 cut/new\n"
				   "d 500 0 d/\n"
				   "f 644 6 d/2\n"
				   "f 644 3 d/3\n"
				   "p 600 0 fifo\n"
				   "h 644 0 hard -> d/2\n"
				   "l 777 0 link -> d\n"
				   "c 644 0 null 1:3\n"
				   "d 755 0 opaque/\n"
				   "f 644 6 opaque/middle\n"
				   "f 644 3 opaque/top\n"
				   "l 777 0 s -> gone\n";

static void test_a_stack_is_one_canonical_tar(void **state)
{
	struct stack *stack = *state;
	scope_strbuf struct strbuf tar = { 0 }, list = { 0 };
	scope_writer struct writer *out = writer_strbuf(&tar);
	struct err err;

	fill_more(stack);
	assert_ok(layer_tar_stack(stack->layers, 3, INT64_MAX, out, &err), err);
	list_tar(&list, &tar);
	assert_string_equal(list.ptr, more_listing);
	assert_int_equal(fchmodat(stack->layers[0], "d", 0700, 0), 0);
}

static void test_a_copied_stack_is_the_same_tree(void **state)
{
	struct stack *stack = *state;
	scope_fd int to = make_tree(stack->scratch->fd, "to");
	scope_result struct layer_result result = { 0 };
	struct err err;
	struct stat st;

	fill_more(stack);
	assert_ok(layer_copy_stack(stack->layers, 3, to, &err), err);
	assert_layer(to, stack->layers, 3, "");
	assert_ok(try_diff(&result, to, NULL, 0, INT64_MAX, &err), err);
	assert_string_equal(strbuf_str(&result.list), more_listing);
	assert_int_equal(fstat(to, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(st.st_mtim.tv_sec, STAMP);
	assert_int_equal(fchmodat(stack->layers[0], "d", 0700, 0), 0);
	assert_int_equal(fchmodat(to, "d", 0700, 0), 0);
}

static void test_one_entry_is_copied_with_all_it_has(void **state)
{
	struct stack *stack = *state;
	static const char *const names[] = { "b", "s", "fifo", "null", "opaque" };
	int from = stack->layers[2], to = make_tree(stack->scratch->fd, "to");
	mode_t old_mask = umask(077);
	struct err err;
	struct stat st;

	fill_more(stack);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(fstatat(from, names[i], &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_ok(layer_copy_entry(from, names[i], &st, to, names[i], &err), err);
		assert_int_equal(layer_copy_entry(from, names[i], &st, to, names[i], &err), -1);
		assert_true(err_is_errno(&err, EEXIST));
	}
	assert_int_equal(umask(old_mask), 077);
	assert_int_equal(count_names(to, "opaque"), 0);
	assert_layer(to, &from, 1, "");
	assert_int_equal(fchmodat(stack->layers[0], "d", 0700, 0), 0);
	close(to);
}

#define stack_test(name) cmocka_unit_test_setup_teardown(name, stack_setup, stack_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		stack_test(test_a_stack_lists_what_is_visible),   stack_test(test_a_stack_finds_the_topmost_entry),
		stack_test(test_an_empty_stack_is_an_empty_tree), stack_test(test_a_stack_is_one_canonical_tar),
		stack_test(test_a_copied_stack_is_the_same_tree), stack_test(test_one_entry_is_copied_with_all_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
