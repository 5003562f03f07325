/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#define NOWHERE "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct digest digest_of(const char *text)
{
	struct digest digest;

	assert_int_equal(digest_parse(&digest, text, NULL), 0);
	return digest;
}

static void a_published_layer_is_there_with_its_tree_and_its_sizes(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct layer_info info;
	struct err err = { 0 };
	struct digest layer = put_layer(store, "hello");

	assert_true(store_layer_has(store, &layer));
	scope_fd int tree = store_layer_open(store, &layer, &err);
	assert_file(tree, "etc/text", "hello");
	assert_ok(store_layer_info(store, &arena, &layer, &info, &err), err);
	assert_true(digest_equal(&info.diff_id, &layer));
	assert_true(info.has_recipe);
	assert_int_equal(info.content, 5);
	assert_int_equal(info.entries, 3);
	assert_int_equal(info.blob_count, 0);
	assert_int_equal(count_names(store_fd(store), "tmp"), 0);
}

static void the_tar_of_a_layer_is_made_again_from_recipe_and_tree(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct layer_info info;
	struct digest found;
	int64_t size;
	struct err err = { 0 };
	struct digest layer = put_layer(store, "hello");

	scope_writer struct writer *out = writer_hash(NULL, &found, &size);
	assert_ok(store_layer_tar(store, &layer, out, &err), err);
	assert_ok(out->finish(out, &err), err);
	assert_true(digest_equal(&found, &layer));
	assert_ok(store_layer_info(store, &arena, &layer, &info, &err), err);
	assert_int_equal(size, info.size);
}

static void publishing_twice_keeps_the_first_layer(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest first = put_layer(store, "same");
	struct digest second = put_layer(store, "same");

	assert_true(digest_equal(&first, &second));
	assert_int_equal(count_names(store_fd(store), "layers"), 1);
	assert_int_equal(count_names(store_fd(store), "tmp"), 0);
}

static void a_damaged_layer_is_replaced(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest layer = put_layer(store, "text");
	char path[200], hex[DIGEST_HEX + 1];

	snprintf(path, sizeof(path), "layers/%s/info", digest_hex(&layer, hex));
	put_file(store_fd(store), path, "{");
	assert_false(store_layer_has(store, &layer));
	put_layer(store, "text");
	assert_true(store_layer_has(store, &layer));
	assert_sound(store);
}

static void missing_and_damaged_layers_are_told_apart(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest nowhere = digest_of(NOWHERE), layer = put_layer(store, "text");
	struct layer_info info;
	struct err err = { 0 };
	char path[200], hex[DIGEST_HEX + 1];

	assert_false(store_layer_has(store, &nowhere));
	assert_int_equal(store_layer_open(store, &nowhere, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(err.msg, NOWHERE));
	assert_int_equal(store_layer_info(store, &arena, &nowhere, &info, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	snprintf(path, sizeof(path), "layers/%s/info", digest_hex(&layer, hex));
	put_file(store_fd(store), path, "not json");
	assert_int_equal(store_layer_info(store, &arena, &layer, &info, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_non_null(strstr(err.msg, hex));
}

static void a_changed_file_in_a_tree_is_noticed_and_named(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest layer = put_layer(store, "text");
	struct err err = { 0 };
	char path[200], hex[DIGEST_HEX + 1];

	scope_writer struct writer *out = writer_null();
	snprintf(path, sizeof(path), "layers/%s/tree/etc/text", digest_hex(&layer, hex));
	put_file(store_fd(store), path, "TEXT");
	assert_int_equal(store_layer_tar(store, &layer, out, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_non_null(strstr(err.msg, hex));
	put_file(store_fd(store), path, "longer than before");
	assert_int_equal(store_layer_tar(store, &layer, out, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_non_null(strstr(err.msg, "etc/text"));
}

static void compressed_forms_are_remembered_once_each(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest layer = put_layer(store, "text");
	struct layer_blob gzip = { MEDIA_OCI_LAYER_GZIP, NOWHERE, 7, "libdeflate-1.14/6" };
	struct layer_info info;
	struct err err = { 0 };

	assert_ok(store_layer_add_blob(store, &layer, &gzip, &err), err);
	gzip.size = 8;
	assert_ok(store_layer_add_blob(store, &layer, &gzip, &err), err);
	assert_ok(store_layer_info(store, &arena, &layer, &info, &err), err);
	assert_int_equal(info.blob_count, 1);
	assert_int_equal(info.blobs[0].size, 8);
	assert_string_equal(info.blobs[0].compressor, "libdeflate-1.14/6");
	assert_true(info.has_recipe);
}

static void a_layer_without_a_recipe_comes_from_its_blob(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_strbuf struct strbuf tar = { 0 }, again = { 0 };
	struct digest layer = put_layer(store, "text");
	struct store_blob blob;
	struct store_work work;
	struct err err = { 0 };

	scope_writer struct writer *out = writer_strbuf(&tar);
	assert_ok(store_layer_tar(store, &layer, out, &err), err);
	assert_ok(store_blob_new(store, &blob, &err), err);
	scope_writer struct writer *gzip = writer_gzip(writer_strbuf(&again), 1);
	assert_ok(gzip->write(gzip, tar.ptr, tar.len, &err), err);
	assert_ok(gzip->finish(gzip, &err), err);
	assert_ok(blob.writer->write(blob.writer, again.ptr, again.len, &err), err);
	assert_ok(store_blob_commit(store, &blob, NULL, &err), err);

	/* The same layer again, as if it had been loaded. */
	scope_arena struct arena arena = { 0 };
	struct layer_blob known = { MEDIA_OCI_LAYER_GZIP, digest_str(&arena, &blob.digest), blob.size, "" };
	struct layer_info info = { .diff_id = layer, .size = (int64_t)tar.len, .blobs = &known, .blob_count = 1 };
	assert_ok(store_work_new(store, &work, &err), err);
	char hex[DIGEST_HEX + 1], path[200];
	snprintf(path, sizeof(path), "layers/%s/tree", digest_hex(&layer, hex));
	assert_int_equal(renameat(store_fd(store), path, work.fd, "tree"), 0);
	assert_ok(store_layer_publish(store, &work, "tree", NULL, &info, &err), err);
	store_work_end(store, &work);

	strbuf_reset(&again);
	scope_writer struct writer *from_blob = writer_strbuf(&again);
	assert_ok(store_layer_tar(store, &layer, from_blob, &err), err);
	assert_int_equal(again.len, tar.len);
	assert_memory_equal(again.ptr, tar.ptr, tar.len);
	assert_sound(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_published_layer_is_there_with_its_tree_and_its_sizes),
		scratch_test(the_tar_of_a_layer_is_made_again_from_recipe_and_tree),
		scratch_test(publishing_twice_keeps_the_first_layer),
		scratch_test(a_damaged_layer_is_replaced),
		scratch_test(missing_and_damaged_layers_are_told_apart),
		scratch_test(a_changed_file_in_a_tree_is_noticed_and_named),
		scratch_test(compressed_forms_are_remembered_once_each),
		scratch_test(a_layer_without_a_recipe_comes_from_its_blob),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
