/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/arena.h"
#include "scratch.h"

static bool is_zero(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

static void memory_is_zeroed_aligned_and_apart(void **state)
{
	scope_arena struct arena arena = { 0 };
	size_t total = 0;

	(void)state;
	for (size_t size = 0; size < 300000; size = size * 3 / 2 + 1) {
		char *a = arena_alloc(&arena, size), *b = arena_alloc(&arena, size);
		assert_int_equal((uintptr_t)a % _Alignof(max_align_t), 0);
		assert_int_equal((uintptr_t)b % _Alignof(max_align_t), 0);
		assert_true(is_zero(a, size));
		memset(a, 0xff, size);
		assert_true(is_zero(b, size));
		memset(b, 0xff, size);
		total += 2 * size;
		assert_int_equal(arena.total, total);
	}
}

static void many_small_pieces_do_not_overlap(void **state)
{
	scope_arena struct arena arena = { 0 };
	enum { COUNT = 50000 };
	static char *texts[COUNT];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		texts[i] = arena_printf(&arena, "text %d", i);
		if (i % 100 == 0)
			assert_true(is_zero(arena_alloc(&arena, (size_t)i), (size_t)i));
	}
	for (int i = 0; i < COUNT; i++) {
		char expected[32];
		snprintf(expected, sizeof(expected), "text %d", i);
		assert_string_equal(texts[i], expected);
	}
}

static void text_is_copied(void **state)
{
	scope_arena struct arena arena = { 0 };
	char text[] = "abcdef";

	(void)state;
	char *whole = arena_strdup(&arena, text), *part = arena_strndup(&arena, text, 3);
	char *beyond = arena_strndup(&arena, text, 100), *bytes = arena_memdup(&arena, "a\0b", 3);
	memset(text, 'x', 6);
	assert_string_equal(whole, "abcdef");
	assert_string_equal(part, "abc");
	assert_string_equal(beyond, "abcdef");
	assert_memory_equal(bytes, "a\0b", 3);
	assert_null(arena_strdup(&arena, NULL));
	assert_non_null(arena_memdup(&arena, NULL, 0));
}

static void an_array_grows_and_keeps_its_elements(void **state)
{
	struct pair {
		int a;
		char b;
	};
	scope_arena struct arena arena = { 0 };
	struct pair *pairs = NULL;
	size_t count = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		struct pair *pair = ARENA_PUSH(&arena, pairs, count);
		assert_ptr_equal(pair, &pairs[i]);
		assert_int_equal(pair->a, 0);
		assert_int_equal(pair->b, 0);
		*pair = (struct pair){ .a = i, .b = 'b' };
	}
	assert_int_equal(count, 10000);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(pairs[i].a, i);
	/* Doubling: all copies together are below four times the last. */
	assert_true(arena.total < 4 * 16384 * sizeof(struct pair));
}

static void a_shortened_array_gives_zeroed_elements_again(void **state)
{
	scope_arena struct arena arena = { 0 };
	int *numbers = NULL;
	size_t count = 0;

	(void)state;
	for (int i = 0; i < 9; i++)
		*ARENA_PUSH(&arena, numbers, count) = 7;
	for (count = 3; count < 20;)
		assert_int_equal(*ARENA_PUSH(&arena, numbers, count), 0);
	assert_int_equal(numbers[2], 7);
}

static void a_released_arena_is_empty_and_usable(void **state)
{
	struct arena arena = { 0 };

	(void)state;
	arena_release(&arena);
	arena_alloc(&arena, 10);
	errno = EIO;
	arena_release(&arena);
	assert_int_equal(errno, EIO);
	assert_null(arena.blocks);
	assert_int_equal(arena.total, 0);
	assert_string_equal(arena_strdup(&arena, "x"), "x");
	arena_release(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
		cmocka_unit_test(many_small_pieces_do_not_overlap),
		cmocka_unit_test(text_is_copied),
		cmocka_unit_test(an_array_grows_and_keeps_its_elements),
		cmocka_unit_test(a_shortened_array_gives_zeroed_elements_again),
		cmocka_unit_test(a_released_arena_is_empty_and_usable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
