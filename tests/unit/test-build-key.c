/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include "../../src/build/internal.h"

/* ---- variables ---- */

static void a_variable_keeps_its_place_when_it_is_set_again(void **state)
{
	scope_arena struct arena arena = { 0 };
	struct env env = { 0 };

	(void)state;
	assert_null(env_get(&env, "A"));
	env_set(&arena, &env, "A", "1");
	env_set(&arena, &env, "B", "2");
	env_set(&arena, &env, "A", "3");
	env_set(&arena, &env, "E", "");
	assert_int_equal(env.count, 3);
	assert_string_equal(env.items[0].key, "A");
	assert_string_equal(env.items[0].value, "3");
	assert_string_equal(env.items[1].key, "B");
	assert_string_equal(env_get(&env, "E"), "");
	assert_null(env_get(&env, "a"));
	assert_null(env_get(&env, ""));
}

static void a_variable_owns_its_texts(void **state)
{
	scope_arena struct arena arena = { 0 };
	struct env env = { 0 };
	char key[] = "KEY", value[] = "value";

	(void)state;
	env_set(&arena, &env, key, value);
	memset(key, 'x', 3);
	memset(value, 'x', 5);
	assert_string_equal(env_get(&env, "KEY"), "value");
}

/* ---- inputs ---- */

struct pair {
	const char *name, *value;
};

static struct digest digest_of(const struct pair *pairs, size_t count)
{
	scope_arena struct arena arena = { 0 };
	struct inputs inputs = { 0 };
	struct digest digest;

	for (size_t i = 0; i < count; i++)
		inputs_add(&arena, &inputs, pairs[i].name, pairs[i].value);
	inputs_digest(&inputs, &digest);
	return digest;
}

#define DIGEST_OF(...) \
	digest_of((const struct pair[]){ __VA_ARGS__ }, ARRAY_LEN(((const struct pair[]){ __VA_ARGS__ })))

static void assert_differ(struct digest a, struct digest b)
{
	assert_false(digest_equal(&a, &b));
}

static void equal_inputs_have_equal_digests(void **state)
{
	struct digest a = DIGEST_OF({ "instruction", "RUN" }, { "command", "true" });
	struct digest b = DIGEST_OF({ "instruction", "RUN" }, { "command", "true" });

	(void)state;
	assert_true(digest_equal(&a, &b));
}

static void names_values_order_and_borders_count(void **state)
{
	struct digest a = DIGEST_OF({ "a", "b" }, { "c", "d" });

	(void)state;
	assert_differ(a, DIGEST_OF({ "c", "d" }, { "a", "b" }));
	assert_differ(a, DIGEST_OF({ "a", "b" }, { "c", "e" }));
	assert_differ(a, DIGEST_OF({ "a", "b" }, { "e", "d" }));
	assert_differ(a, DIGEST_OF({ "a", "b" }));
	assert_differ(a, DIGEST_OF({ "a", "bc" }, { "", "d" }));
	assert_differ(a, DIGEST_OF({ "a", "bcd" }));
	assert_differ(a, DIGEST_OF({ "ab", "" }, { "c", "d" }));
	assert_differ(DIGEST_OF({ "a", "1" }, { "a", "2" }), DIGEST_OF({ "a", "12" }));
}

static void a_value_that_is_missing_counts_as_an_empty_one(void **state)
{
	struct digest a = DIGEST_OF({ "user", NULL });
	struct digest b = DIGEST_OF({ "user", "" });

	(void)state;
	assert_true(digest_equal(&a, &b));
}

static void a_formatted_input_is_like_a_plain_one(void **state)
{
	scope_arena struct arena arena = { 0 };
	struct inputs inputs = { 0 };
	struct digest a, b = DIGEST_OF({ "options", "parents=1 unpack=0" });

	(void)state;
	inputs_addf(&arena, &inputs, "options", "parents=%d unpack=%d", 1, 0);
	inputs_digest(&inputs, &a);
	assert_true(digest_equal(&a, &b));
}

/* ---- keys ---- */

static struct digest digest_text_of(const char *text)
{
	struct digest digest;

	digest_bytes(&digest, text, strlen(text));
	return digest;
}

static void a_key_joins_parent_and_step_and_says_which_kind_the_parent_is(void **state)
{
	struct digest one = digest_text_of("one"), two = digest_text_of("two"), step, chain, swapped, other;

	(void)state;
	key_of_step(&one, &two, &step);
	key_of_chain(&one, &two, &chain);
	key_of_step(&two, &one, &swapped);
	key_of_step(&one, &one, &other);
	assert_differ(step, chain);
	assert_differ(step, swapped);
	assert_differ(step, other);
	key_of_step(&one, &two, &other);
	assert_true(digest_equal(&step, &other));
}

/* Stores out there are full of records under these keys: a change of how they are made loses all of them, so it must be
   meant. Then KEY_VERSION says so too. */
static void keys_are_what_they_were_in_the_last_release(void **state)
{
	char text[DIGEST_TEXT + 1];
	struct digest inputs = DIGEST_OF({ "instruction", "RUN" }, { "command", "/bin/sh" }, { "command", "-c" },
					 { "command", "true" });
	struct digest parent = digest_text_of("parent"), key;

	(void)state;
	assert_string_equal(digest_text(&inputs, text),
			    "sha256:b067b37501fee7d61dbd59808fceb5702139fa329e5ad6c16b96965c650ebf88");
	key_of_step(&parent, &inputs, &key);
	assert_string_equal(digest_text(&key, text),
			    "sha256:b2bdf9c12b43fa42056d816637df94666e5b5c52192e1a1dc3cc205151a277f1");
	key_of_chain(&parent, &inputs, &key);
	assert_string_equal(digest_text(&key, text),
			    "sha256:f41e5f001e91af6aaafcc0605b48d434a1a9bb8070a4f222b48c2296ccadea5b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_variable_keeps_its_place_when_it_is_set_again),
		cmocka_unit_test(a_variable_owns_its_texts),
		cmocka_unit_test(equal_inputs_have_equal_digests),
		cmocka_unit_test(names_values_order_and_borders_count),
		cmocka_unit_test(a_value_that_is_missing_counts_as_an_empty_one),
		cmocka_unit_test(a_formatted_input_is_like_a_plain_one),
		cmocka_unit_test(a_key_joins_parent_and_step_and_says_which_kind_the_parent_is),
		cmocka_unit_test(keys_are_what_they_were_in_the_last_release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
