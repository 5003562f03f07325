/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/strbuf.h"
#include "scratch.h"

static void an_empty_buffer_is_an_empty_text(void **state)
{
	scope_strbuf struct strbuf buf = { 0 };

	(void)state;
	assert_string_equal(strbuf_str(&buf), "");
	strbuf_reset(&buf);
	strbuf_truncate(&buf, 5);
	strbuf_add(&buf, NULL, 0);
	assert_int_equal(buf.len, 0);
	assert_string_equal(strbuf_str(&buf), "");
}

static void a_buffer_grows_by_pieces(void **state)
{
	scope_strbuf struct strbuf buf = { 0 };

	(void)state;
	strbuf_addstr(&buf, "one");
	strbuf_addch(&buf, ' ');
	strbuf_addf(&buf, "%d %s", 2, "three");
	assert_string_equal(buf.ptr, "one 2 three");
	assert_int_equal(buf.len, 11);
	strbuf_add(&buf, "\0x", 2);
	assert_int_equal(buf.len, 13);
	assert_memory_equal(buf.ptr, "one 2 three\0x", 14);
	strbuf_truncate(&buf, 3);
	strbuf_truncate(&buf, 10);
	assert_string_equal(buf.ptr, "one");
}

static void a_million_bytes_cost_few_reservations(void **state)
{
	scope_strbuf struct strbuf buf = { 0 };
	int moves = 0;

	(void)state;
	for (int i = 0; i < 1000000; i++) {
		size_t cap = buf.cap;
		strbuf_addch(&buf, (char)('a' + i % 26));
		moves += buf.cap != cap;
		assert_true(buf.len < buf.cap && buf.ptr[buf.len] == '\0');
	}
	assert_true(moves < 20);
	for (int i = 0; i < 1000000; i++)
		assert_int_equal(buf.ptr[i], 'a' + i % 26);
}

static void a_reset_keeps_the_memory(void **state)
{
	scope_strbuf struct strbuf buf = { 0 };

	(void)state;
	strbuf_reserve(&buf, 1000);
	size_t cap = buf.cap;
	strbuf_addstr(&buf, "x");
	strbuf_reset(&buf);
	assert_int_equal(buf.cap, cap);
	assert_string_equal(buf.ptr, "");
}

static void a_detached_text_belongs_to_the_caller(void **state)
{
	struct strbuf buf = { 0 };

	(void)state;
	scope_free char *empty = strbuf_detach(&buf);
	assert_string_equal(empty, "");
	strbuf_addstr(&buf, "text");
	scope_free char *text = strbuf_detach(&buf);
	assert_string_equal(text, "text");
	assert_null(buf.ptr);
	assert_int_equal(buf.len + buf.cap, 0);
}

static void a_list_is_always_terminated(void **state)
{
	scope_strvec struct strvec vec = { 0 };

	(void)state;
	assert_non_null(strvec_argv(&vec));
	assert_null(strvec_argv(&vec)[0]);
	for (int i = 0; i < 100; i++) {
		strvec_pushf(&vec, "item %d", i);
		assert_null(strvec_argv(&vec)[i + 1]);
	}
	strvec_push(&vec, "last");
	assert_int_equal(vec.count, 101);
	assert_string_equal(vec.items[0], "item 0");
	assert_string_equal(vec.items[99], "item 99");
	assert_string_equal(vec.items[100], "last");
	assert_null(vec.items[101]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_buffer_is_an_empty_text),      cmocka_unit_test(a_buffer_grows_by_pieces),
		cmocka_unit_test(a_million_bytes_cost_few_reservations), cmocka_unit_test(a_reset_keeps_the_memory),
		cmocka_unit_test(a_detached_text_belongs_to_the_caller), cmocka_unit_test(a_list_is_always_terminated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
