/* SPDX-License-Identifier: Apache-2.0 */
#include "layer-scratch.h"

/* Recipes are written here as plain bytes, which layer_replay takes as well as compressed ones. */

static void put_number(struct strbuf *bytes, size_t width, uint64_t value)
{
	for (size_t i = 0; i < width; i++)
		strbuf_addch(bytes, (char)(value >> (8 * i)));
}

static void put_header(struct strbuf *bytes, const char *block, size_t len)
{
	strbuf_addch(bytes, 'H');
	put_number(bytes, 4, len);
	strbuf_add(bytes, block, len);
}

static void put_contents(struct strbuf *bytes, const char *path, size_t len, uint64_t size)
{
	strbuf_addch(bytes, 'F');
	put_number(bytes, 4, len);
	strbuf_add(bytes, path, len);
	put_number(bytes, 8, size);
}

static void put_end(struct strbuf *bytes, uint64_t total)
{
	strbuf_addch(bytes, 'E');
	put_number(bytes, 8, total);
}

static int replay(const struct strbuf *recipe, int tree_fd, struct strbuf *tar, struct err *err)
{
	scope_reader struct reader *reader = reader_bytes(recipe->ptr, recipe->len);
	scope_writer struct writer *out = writer_strbuf(tar);

	return layer_replay(reader, tree_fd, out, err);
}

static const char block[512] = "header";

static void begin(struct strbuf *bytes)
{
	strbuf_reset(bytes);
	strbuf_addstr(bytes, "kilnrcp1");
}

static void test_a_recipe_and_a_tree_are_the_tar(void **state)
{
	struct scratch *scratch = *state;
	scope_strbuf struct strbuf recipe = { 0 }, tar = { 0 };
	struct err err;

	put_dir(scratch->fd, "d");
	put_file(scratch->fd, "d/f", "hello");
	begin(&recipe);
	put_header(&recipe, block, 512);
	put_contents(&recipe, "d/f", 3, 5);
	put_end(&recipe, 2048);
	assert_ok(replay(&recipe, scratch->fd, &tar, &err), err);
	assert_int_equal(tar.len, 2048);
	assert_memory_equal(tar.ptr, block, 512);
	assert_memory_equal(tar.ptr + 512, "hello\0\0", 7);
}

static void must_fail(const struct strbuf *recipe, int tree_fd, const char *word)
{
	scope_strbuf struct strbuf tar = { 0 };
	struct err err = { 0 };

	assert_int_equal(replay(recipe, tree_fd, &tar, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	if (!strstr(err.msg, word))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, word);
}

static void test_a_tree_that_changed_is_named(void **state)
{
	struct scratch *scratch = *state;
	scope_strbuf struct strbuf recipe = { 0 };
	static const char *const paths[] = { "missing", "d/missing", "f/x", "d", "link", "fifo", "f" };

	put_dir(scratch->fd, "d");
	put_file(scratch->fd, "f", "four");
	put_link(scratch->fd, "link", "f");
	assert_int_equal(mkfifoat(scratch->fd, "fifo", 0600), 0);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		begin(&recipe);
		put_contents(&recipe, paths[i], strlen(paths[i]), 5);
		put_end(&recipe, 1536);
		must_fail(&recipe, scratch->fd, paths[i]);
	}
}

static void test_a_recipe_does_not_lead_out_of_the_tree(void **state)
{
	struct scratch *scratch = *state;
	scope_strbuf struct strbuf recipe = { 0 }, tar = { 0 };
	scope_fd int tree = make_tree(scratch->fd, "tree");
	static const char *const paths[] = { "../secret", "/../secret", "up/secret" };
	struct err err;

	put_file(scratch->fd, "secret", "12345");
	put_link(tree, "up", "..");
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		begin(&recipe);
		put_contents(&recipe, paths[i], strlen(paths[i]), 5);
		put_end(&recipe, 2048);
		assert_int_equal(replay(&recipe, tree, &tar, &err), -1);
		assert_null(strstr(strbuf_str(&tar), "12345"));
	}
}

static void test_damage_is_noticed(void **state)
{
	struct scratch *scratch = *state;
	scope_strbuf struct strbuf recipe = { 0 };

	put_file(scratch->fd, "f", "12345");
	strbuf_addstr(&recipe, "something else");
	must_fail(&recipe, scratch->fd, "does not begin");
	begin(&recipe);
	must_fail(&recipe, scratch->fd, "ends early");
	strbuf_addch(&recipe, 'X');
	must_fail(&recipe, scratch->fd, "unknown kind");
	begin(&recipe);
	put_header(&recipe, block, 511);
	must_fail(&recipe, scratch->fd, "512");
	begin(&recipe);
	put_header(&recipe, block, 0);
	must_fail(&recipe, scratch->fd, "out of range");
	begin(&recipe);
	strbuf_addch(&recipe, 'H');
	put_number(&recipe, 4, 1 << 30);
	must_fail(&recipe, scratch->fd, "out of range");
	begin(&recipe);
	put_contents(&recipe, "f\0x", 3, 5);
	must_fail(&recipe, scratch->fd, "NUL");
	begin(&recipe);
	put_contents(&recipe, "f", 1, UINT64_MAX);
	must_fail(&recipe, scratch->fd, "out of range");
	begin(&recipe);
	put_end(&recipe, 1025);
	must_fail(&recipe, scratch->fd, "add up");
	begin(&recipe);
	put_end(&recipe, 1024);
	strbuf_addch(&recipe, 'x');
	must_fail(&recipe, scratch->fd, "behind its end");
}

static void test_a_recipe_that_was_cut_is_noticed_wherever(void **state)
{
	struct scratch *scratch = *state;
	scope_result struct layer_result result = { 0 };
	struct err err;

	put_file(scratch->fd, "f", "12345");
	assert_ok(try_diff(&result, scratch->fd, NULL, 0, INT64_MAX, &err), err);
	for (size_t len = 0; len < result.recipe.len; len++) {
		scope_strbuf struct strbuf cut = { 0 }, tar = { 0 };
		strbuf_add(&cut, result.recipe.ptr, len);
		assert_int_equal(replay(&cut, scratch->fd, &tar, &err), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_a_recipe_and_a_tree_are_the_tar),
		scratch_test(test_a_tree_that_changed_is_named),
		scratch_test(test_a_recipe_does_not_lead_out_of_the_tree),
		scratch_test(test_damage_is_noticed),
		scratch_test(test_a_recipe_that_was_cut_is_noticed_wherever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
