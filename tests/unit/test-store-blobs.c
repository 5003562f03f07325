/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

static struct digest put_blob(struct store *store, const char *text)
{
	struct digest digest;
	struct err err = { 0 };

	assert_ok(store_blob_put(store, text, strlen(text), &digest, &err), err);
	return digest;
}

static const char *blob_path(const struct digest *digest)
{
	static char path[128];
	char hex[DIGEST_HEX + 1];

	snprintf(path, sizeof(path), "blobs/sha256/%s", digest_hex(digest, hex));
	return path;
}

static void a_blob_comes_back_as_it_was(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_strbuf struct strbuf text = { 0 };
	struct digest digest = put_blob(store, "hello"), again = put_blob(store, "hello");
	struct err err = { 0 };
	int64_t size;

	assert_true(digest_equal(&digest, &again));
	assert_true(store_blob_has(store, &digest, &size));
	assert_int_equal(size, 5);
	assert_ok(store_blob_read(store, &digest, 5, &text, &err), err);
	assert_string_equal(strbuf_str(&text), "hello");
	scope_fd int fd = store_blob_open(store, &digest, &size, &err);
	assert_true(fd >= 0);
	assert_int_equal(store_blob_read(store, &digest, 4, &text, &err), -1);
}

static void a_blob_is_written_as_it_arrives_and_checked(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest expected;
	struct store_blob blob;
	struct err err = { 0 };

	digest_bytes(&expected, "abcdef", 6);
	assert_ok(store_blob_new(store, &blob, &err), err);
	assert_ok(blob.writer->write(blob.writer, "abc", 3, &err), err);
	assert_ok(blob.writer->write(blob.writer, "def", 3, &err), err);
	assert_false(store_blob_has(store, &expected, NULL));
	assert_ok(store_blob_commit(store, &blob, &expected, &err), err);
	assert_true(digest_equal(&blob.digest, &expected));
	assert_int_equal(blob.size, 6);
	assert_true(store_blob_has(store, &expected, NULL));
}

static void a_blob_with_another_digest_than_expected_leaves_nothing(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest expected;
	struct store_blob blob;
	struct err err = { 0 };

	digest_bytes(&expected, "other", 5);
	assert_ok(store_blob_new(store, &blob, &err), err);
	assert_ok(blob.writer->write(blob.writer, "abc", 3, &err), err);
	assert_int_equal(store_blob_commit(store, &blob, &expected, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_ok(store_blob_new(store, &blob, &err), err);
	store_blob_abandon(&blob);
	store_blob_abandon(&blob);
	assert_int_equal(count_names(store_fd(store), "blobs/sha256"), 0);
}

static void a_file_of_the_work_directory_can_become_a_blob(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct store_work work;
	struct digest digest;
	struct err err = { 0 };

	assert_ok(store_work_new(store, &work, &err), err);
	put_file(work.fd, "file", "hello");
	put_file(work.fd, "again", "hello");
	digest_bytes(&digest, "hello", 5);
	assert_ok(store_blob_adopt(store, &work, "file", &digest, &err), err);
	assert_false(has_name(work.fd, "file"));
	assert_ok(store_blob_adopt(store, &work, "again", &digest, &err), err);
	assert_int_equal(store_blob_adopt(store, &work, "missing", &digest, &err), -1);
	store_work_end(store, &work);
	assert_true(store_blob_has(store, &digest, NULL));
	assert_int_equal(count_names(store_fd(store), "blobs/sha256"), 1);
}

static void missing_and_damaged_blobs_are_told_apart(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_strbuf struct strbuf text = { 0 };
	struct digest digest = put_blob(store, "hello"), missing;
	struct err err = { 0 };

	digest_bytes(&missing, "x", 1);
	assert_int_equal(store_blob_open(store, &missing, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(unlinkat(store_fd(store), blob_path(&digest), 0), 0);
	put_file(store_fd(store), blob_path(&digest), "hellO");
	assert_int_equal(store_blob_read(store, &digest, 100, &text, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_int_equal(text.len, 0);
}

static void what_is_no_file_is_no_blob_and_does_not_hang(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest digest = put_blob(store, "hello");
	struct err err = { 0 };

	assert_int_equal(unlinkat(store_fd(store), blob_path(&digest), 0), 0);
	assert_int_equal(mkfifoat(store_fd(store), blob_path(&digest), 0600), 0);
	assert_false(store_blob_has(store, &digest, NULL));
	assert_int_equal(store_blob_open(store, &digest, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_int_equal(unlinkat(store_fd(store), blob_path(&digest), 0), 0);
	put_link(store_fd(store), blob_path(&digest), "/etc/passwd");
	assert_false(store_blob_has(store, &digest, NULL));
	assert_int_equal(store_blob_open(store, &digest, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
}

static void a_cut_blob_is_replaced_by_the_next_writer(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest digest = put_blob(store, "hello");

	assert_int_equal(unlinkat(store_fd(store), blob_path(&digest), 0), 0);
	put_file(store_fd(store), blob_path(&digest), "");
	put_blob(store, "hello");
	assert_file(store_fd(store), blob_path(&digest), "hello");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_blob_comes_back_as_it_was),
		scratch_test(a_blob_is_written_as_it_arrives_and_checked),
		scratch_test(a_blob_with_another_digest_than_expected_leaves_nothing),
		scratch_test(a_file_of_the_work_directory_can_become_a_blob),
		scratch_test(missing_and_damaged_blobs_are_told_apart),
		scratch_test(what_is_no_file_is_no_blob_and_does_not_hang),
		scratch_test(a_cut_blob_is_replaced_by_the_next_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
