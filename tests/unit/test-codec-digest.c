/* SPDX-License-Identifier: Apache-2.0 */
#include "test-codec-util.h"

#include "kiln/codec/digest.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void known_hashes_come_out(void **state)
{
	struct digest digest;
	char text[DIGEST_TEXT + 1], hex[DIGEST_HEX + 1];

	(void)state;
	digest_bytes(&digest, "", 0);
	assert_string_equal(digest_text(&digest, text), "sha256:" EMPTY);
	digest_bytes(&digest, "abc", 3);
	assert_string_equal(digest_hex(&digest, hex), ABC);
}

static void a_digest_survives_being_text(void **state)
{
	struct arena arena = { 0 };
	struct digest digest, again;
	struct err err = { 0 };

	(void)state;
	digest_bytes(&digest, "abc", 3);
	const char *text = digest_str(&arena, &digest);
	assert_string_equal(text, "sha256:" ABC);
	assert_int_equal(digest_parse(&again, text, &err), 0);
	assert_true(digest_equal(&digest, &again));
	assert_int_equal(digest_parse_hex(&again, ABC, &err), 0);
	assert_true(digest_equal(&digest, &again));
	arena_release(&arena);
}

static void only_the_one_form_of_a_digest_is_taken(void **state)
{
	static const char *const bad[] = {
		"",
		"sha256",
		"sha256:",
		ABC,
		"sha256:" ABC "0",
		"sha256:ba78",
		"SHA256:" ABC,
		"sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
		"sha256:../../../etc/passwd",
		" sha256:" ABC,
		"sha256:" ABC "\n",
		"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ag",
		"md5:d41d8cd98f00b204e9800998ecf8427e",
	};
	struct digest before, digest;
	struct err err;

	(void)state;
	memset(&before, 0x55, sizeof(before));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		digest = before;
		memset(&err, 0, sizeof(err));
		assert_int_equal(digest_parse(&digest, bad[i], &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
		assert_true(digest_equal(&digest, &before));
	}
	assert_int_equal(digest_parse(&digest, NULL, &err), -1);
	assert_int_equal(digest_parse_hex(&digest, "sha256:" ABC, &err), -1);
	assert_int_equal(digest_parse_hex(&digest, NULL, &err), -1);
}

static void the_text_is_quoted_printable(void **state)
{
	struct digest digest;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(digest_parse(&digest, "sha256:\x1b[2J", &err), -1);
	assert_says(&err, "\"sha256:\\x1b[2J\" is not a digest");
}

static void sha512_is_unsupported_and_not_wrong(void **state)
{
	struct digest digest;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(digest_parse(&digest, "sha512:" ABC ABC, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
}

static void zero_is_told_from_the_rest(void **state)
{
	struct digest digest = { { 0 } };

	(void)state;
	assert_true(digest_is_zero(&digest));
	digest.bytes[31] = 1;
	assert_false(digest_is_zero(&digest));
}

static void a_hasher_hashes_in_pieces_and_again_after_reset(void **state)
{
	struct hasher *hasher = hasher_new();
	struct digest whole, pieces;

	(void)state;
	digest_bytes(&whole, "abc", 3);
	for (int i = 0; i < 2; i++) {
		hasher_update(hasher, "a", 1);
		hasher_update(hasher, "", 0);
		hasher_update(hasher, "bc", 2);
		hasher_final(hasher, &pieces);
		assert_true(digest_equal(&whole, &pieces));
		hasher_reset(hasher);
	}
	hasher_free(hasher);
	hasher_free(NULL);
}

static struct digest key_of(const char *const *texts, size_t count)
{
	struct hasher *hasher = hasher_new();
	struct digest digest;

	for (size_t i = 0; i < count; i++)
		hasher_text(hasher, texts[i]);
	hasher_final(hasher, &digest);
	hasher_free(hasher);
	return digest;
}

static void fields_do_not_run_together(void **state)
{
	const struct {
		const char *texts[3];
		size_t count;
	} keys[] = {
		{ { "ab", "c" }, 2 },   { { "a", "bc" }, 2 }, { { "abc" }, 1 },       { { "abc", "" }, 2 },
		{ { "abc", NULL }, 2 }, { { "", "abc" }, 2 }, { { NULL, "abc" }, 2 }, { { "" }, 1 },
		{ { NULL }, 1 },        { { NULL }, 0 },
	};
	size_t count = sizeof(keys) / sizeof(*keys);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct digest one = key_of(keys[i].texts, keys[i].count);
		for (size_t j = 0; j < i; j++) {
			struct digest other = key_of(keys[j].texts, keys[j].count);
			assert_false(digest_equal(&one, &other));
		}
	}
}

/* Cache keys are kept on disk: their bytes must not depend on the machine. */
static void fields_have_fixed_bytes(void **state)
{
	static const char expected[] = "\2\0\0\0\0\0\0\0ab"
				       "\377\377\377\377\377\377\377\377"
				       "\10\0\0\0\0\0\0\0\376\377\377\377\377\377\377\377";
	struct hasher *hasher = hasher_new();
	struct digest fields, bytes;

	(void)state;
	hasher_field(hasher, "ab", 2);
	hasher_text(hasher, NULL);
	hasher_int(hasher, -2);
	hasher_final(hasher, &fields);
	hasher_free(hasher);
	digest_bytes(&bytes, expected, sizeof(expected) - 1);
	assert_true(digest_equal(&fields, &bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_hashes_come_out),
		cmocka_unit_test(a_digest_survives_being_text),
		cmocka_unit_test(only_the_one_form_of_a_digest_is_taken),
		cmocka_unit_test(the_text_is_quoted_printable),
		cmocka_unit_test(sha512_is_unsupported_and_not_wrong),
		cmocka_unit_test(zero_is_told_from_the_rest),
		cmocka_unit_test(a_hasher_hashes_in_pieces_and_again_after_reset),
		cmocka_unit_test(fields_do_not_run_together),
		cmocka_unit_test(fields_have_fixed_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
