/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

static struct digest key_of(const char *text)
{
	struct digest digest;

	digest_bytes(&digest, text, strlen(text));
	return digest;
}

static const char *cache_path(const struct digest *key)
{
	static char path[128];
	char hex[DIGEST_HEX + 1];

	snprintf(path, sizeof(path), "cache/%s", digest_hex(key, hex));
	return path;
}

static int get(struct store *store, const struct digest *key, struct cache_record *record)
{
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	int found = store_cache_get(store, &arena, key, record, &err);

	if (found < 0)
		fail_msg("%s", err.msg);
	record->what = NULL;
	return found;
}

static void a_record_is_hit_while_its_layer_is_there(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest key = key_of("step"), other = key_of("other");
	struct cache_record record = { put_layer(store, "x"), 1234, "RUN make" }, found;
	struct err err = { 0 };
	char path[128], hex[DIGEST_HEX + 1];

	assert_int_equal(get(store, &key, &found), 0);
	assert_ok(store_cache_put(store, &key, &record, &err), err);
	assert_int_equal(store_cache_get(store, &arena, &key, &found, &err), 1);
	assert_true(digest_equal(&found.diff_id, &record.diff_id));
	assert_int_equal(found.created, 1234);
	assert_string_equal(found.what, "RUN make");
	assert_int_equal(get(store, &other, &found), 0);

	snprintf(path, sizeof(path), "layers/%s", digest_hex(&record.diff_id, hex));
	assert_ok(file_remove_tree(store_fd(store), path, &err), err);
	assert_int_equal(get(store, &key, &found), 0);
}

static void a_damaged_record_is_a_miss_and_goes_away(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "{}", "{\"layer\":\"sha256:x\"}", "{\"layer\":1}" };
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest key = key_of("step");
	struct cache_record record = { put_layer(store, "x"), 1, NULL }, found;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_ok(store_cache_put(store, &key, &record, &err), err);
		put_file(store_fd(store), cache_path(&key), texts[i]);
		assert_int_equal(get(store, &key, &found), 0);
		assert_false(has_name(store_fd(store), cache_path(&key)));
	}
	put_dir(store_fd(store), cache_path(&key));
	assert_int_equal(get(store, &key, &found), 0);
	assert_int_equal(mkfifoat(store_fd(store), cache_path(&key), 0600), 0);
	assert_int_equal(get(store, &key, &found), 0);
	assert_ok(store_cache_put(store, &key, &record, &err), err);
	assert_int_equal(get(store, &key, &found), 1);
}

static void a_damaged_layer_makes_its_record_a_miss(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest key = key_of("step");
	struct cache_record record = { put_layer(store, "x"), 1, NULL }, found;
	struct err err = { 0 };
	char path[200], hex[DIGEST_HEX + 1];

	assert_ok(store_cache_put(store, &key, &record, &err), err);
	snprintf(path, sizeof(path), "layers/%s/info", digest_hex(&record.diff_id, hex));
	put_file(store_fd(store), path, "");
	assert_int_equal(get(store, &key, &found), 0);
}

static void notes_come_back_or_are_not_there(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_strbuf struct strbuf text = { 0 };
	struct digest id = key_of("context");
	struct err err = { 0 };

	assert_int_equal(store_note_get(store, "build", &id, 100, &text, &err), 0);
	assert_ok(store_note_put(store, "build", &id, "abc", 3, &err), err);
	assert_ok(store_note_put(store, "build", &id, "defg", 4, &err), err);
	assert_int_equal(store_note_get(store, "other", &id, 100, &text, &err), 0);
	assert_int_equal(store_note_get(store, "build", &id, 3, &text, &err), 0);
	assert_int_equal(store_note_get(store, "build", &id, 4, &text, &err), 1);
	assert_string_equal(strbuf_str(&text), "defg");
	scope_fd int notes = store_notes_fd(store, &err);
	assert_int_equal(count_names(notes, "."), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_record_is_hit_while_its_layer_is_there),
		scratch_test(a_damaged_record_is_a_miss_and_goes_away),
		scratch_test(a_damaged_layer_makes_its_record_a_miss),
		scratch_test(notes_come_back_or_are_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
