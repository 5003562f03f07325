/* SPDX-License-Identifier: Apache-2.0 */
#include "layer-scratch.h"

/* Squashing: [0] and [1] become one layer on [2]. */
enum { TOP, MIDDLE, BOTTOM, LAYERS };

struct stack {
	struct scratch *scratch;
	int layers[LAYERS];
	int merged;
};

static int stack_setup(void **state)
{
	struct stack *stack = calloc(1, sizeof(*stack));
	void *scratch;
	char name[32];

	assert_int_equal(scratch_setup(&scratch), 0);
	stack->scratch = scratch;
	for (int i = 0; i < LAYERS; i++) {
		snprintf(name, sizeof(name), "layer%d", i);
		stack->layers[i] = make_tree(stack->scratch->fd, name);
	}
	stack->merged = make_tree(stack->scratch->fd, "merged");
	*state = stack;
	return 0;
}

static int stack_teardown(void **state)
{
	struct stack *stack = *state;
	void *scratch = stack->scratch;

	for (int i = 0; i < LAYERS; i++)
		close(stack->layers[i]);
	close(stack->merged);
	free(stack);
	return scratch_teardown(&scratch);
}

static void fill(const struct stack *stack)
{
	int top = stack->layers[TOP], middle = stack->layers[MIDDLE], bottom = stack->layers[BOTTOM];

	put_file(bottom, "kept", "bottom");
	put_file(bottom, "changed", "bottom");
	put_file(bottom, "removed", "bottom");
	put_dir(bottom, "untouched");
	put_file(bottom, "untouched/1", "bottom");
	put_dir(bottom, "d");
	put_file(bottom, "d/1", "bottom");
	put_file(bottom, "d/2", "bottom");
	put_dir(bottom, "opaque");
	put_file(bottom, "opaque/old", "bottom");
	put_dir(bottom, "cut");
	put_file(bottom, "cut/old", "bottom");
	put_dir(bottom, "was-dir");
	put_file(bottom, "was-dir/old", "bottom");
	put_file(bottom, "was-file", "bottom");

	put_file(middle, "changed", "middle");
	put_file(middle, "came and went", "middle");
	put_whiteout(middle, "", "removed");
	put_dir(middle, "d");
	put_whiteout(middle, "d", "1");
	put_file(middle, "d/3", "middle");
	assert_int_equal(linkat(middle, "d/3", middle, "hard", 0), 0);
	put_file(middle, "cut", "a file between");
	put_file(middle, "was-dir", "now a file");
	put_dir(middle, "was-file");
	put_file(middle, "was-file/new", "middle");

	put_whiteout(top, "", "came and went");
	put_dir(top, "opaque");
	put_opaque(top, "opaque");
	put_file(top, "opaque/new", "top");
	put_dir(top, "cut");
	put_file(top, "cut/new", "top");
	for (int i = 0; i < LAYERS; i++)
		stamp(stack->layers[i]);
}

static void list_stack(const int *layers, size_t count, struct strbuf *list)
{
	scope_strbuf struct strbuf tar = { 0 };
	scope_writer struct writer *out = writer_strbuf(&tar);
	struct err err;

	assert_ok(layer_tar_stack(layers, count, INT64_MAX, out, &err), err);
	list_tar(list, &tar);
}

static void the_merged_layer_on_the_lowers_shows_what_the_layers_showed(void **state)
{
	struct stack *stack = *state;
	scope_strbuf struct strbuf before = { 0 }, after = { 0 };
	struct err err;

	fill(stack);
	assert_ok(layer_merge(stack->layers, 2, &stack->layers[BOTTOM], 1, stack->merged, &err), err);
	list_stack(stack->layers, LAYERS, &before);
	list_stack((const int[]){ stack->merged, stack->layers[BOTTOM] }, 2, &after);
	assert_string_equal(strbuf_str(&after), strbuf_str(&before));
}

static void its_layer_holds_what_changed_and_each_removed_name_once(void **state)
{
	struct stack *stack = *state;
	struct err err;

	fill(stack);
	assert_ok(layer_merge(stack->layers, 2, &stack->layers[BOTTOM], 1, stack->merged, &err), err);
	assert_layer(stack->merged, &stack->layers[BOTTOM], 1,
		     "- removed\n"
		     "f 644 6 changed\n"
		     "d 755 0 cut/\n"
		     "- cut/old\n"
		     "f 644 3 cut/new\n"
		     "d 755 0 d/\n"
		     "- d/1\n"
		     "f 644 6 d/3\n"
		     "h 644 0 hard -> d/3\n"
		     "d 755 0 opaque/\n"
		     "- opaque/old\n"
		     "f 644 3 opaque/new\n"
		     "f 644 10 was-dir\n"
		     "d 755 0 was-file/\n"
		     "f 644 6 was-file/new\n");
}

static void without_lowers_it_is_the_tree_itself(void **state)
{
	struct stack *stack = *state;
	scope_strbuf struct strbuf before = { 0 }, after = { 0 };
	struct err err;

	fill(stack);
	assert_ok(layer_merge(stack->layers, LAYERS, NULL, 0, stack->merged, &err), err);
	list_stack(stack->layers, LAYERS, &before);
	list_stack(&stack->merged, 1, &after);
	assert_string_equal(strbuf_str(&after), strbuf_str(&before));
}

static void marks_leave_the_time_of_their_directory(void **state)
{
	struct stack *stack = *state;
	struct err err;
	struct stat st;

	fill(stack);
	assert_ok(layer_merge(stack->layers, 2, &stack->layers[BOTTOM], 1, stack->merged, &err), err);
	assert_int_equal(fstatat(stack->merged, "d", &st, 0), 0);
	assert_int_equal(st.st_mtim.tv_sec, STAMP);
	assert_int_equal(fstatat(stack->merged, "untouched", &st, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_merged_layer_on_the_lowers_shows_what_the_layers_showed,
						stack_setup, stack_teardown),
		cmocka_unit_test_setup_teardown(its_layer_holds_what_changed_and_each_removed_name_once, stack_setup,
						stack_teardown),
		cmocka_unit_test_setup_teardown(without_lowers_it_is_the_tree_itself, stack_setup, stack_teardown),
		cmocka_unit_test_setup_teardown(marks_leave_the_time_of_their_directory, stack_setup, stack_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
