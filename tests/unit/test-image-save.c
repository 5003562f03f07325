/* SPDX-License-Identifier: Apache-2.0 */
#include "image-fixture.h"

#define NAME "docker.io/library/app:v1"

static void save(struct store *store, struct scratch *scratch, enum save_format format, const struct digest *images,
		 const char *const *names, size_t count, const char *to, struct digest *manifest)
{
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	scope_fd int fd = format == SAVE_OCI_DIR
				  ? -1
				  : openat(scratch->fd, to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	const struct save_spec spec = { .format = format,
					.images = images,
					.names = names,
					.count = count,
					.out_fd = fd,
					.out_path = scratch_path(scratch, &arena, to),
					.epoch = INT64_MIN };

	assert_ok(image_save(store, &arena, &spec, manifest, &err), err);
}

static struct digest put_two_layers(struct store *store)
{
	struct digest layers[] = { put_layer(store, "below"), put_layer(store, "above") };

	return put_image(store, layers, 2, "u");
}

static struct store *open_second(struct scratch *scratch)
{
	scope_arena struct arena arena = { 0 };
	struct store *store = NULL;
	struct err err = { 0 };

	assert_ok(store_open(&store, scratch_path(scratch, &arena, "second"), STORE_CREATE, &err), err);
	return store;
}

static void read_file(struct scratch *scratch, const char *name, struct strbuf *bytes)
{
	struct err err = { 0 };

	assert_ok(file_read(scratch->fd, name, 64 << 20, bytes, &err), err);
}

static void assert_same_files(struct scratch *scratch, const char *a, const char *b)
{
	scope_strbuf struct strbuf x = { 0 }, y = { 0 };

	read_file(scratch, a, &x);
	read_file(scratch, b, &y);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.ptr, y.ptr, x.len);
}

static void what_is_saved_loads_as_the_same_image(void **state)
{
	static const enum save_format formats[] = { SAVE_OCI_ARCHIVE, SAVE_OCI_DIR, SAVE_DOCKER_ARCHIVE };
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	struct digest image = put_two_layers(store);
	const char *name = NAME;

	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		scope_arena struct arena arena = { 0 };
		struct image_loaded *loaded;
		struct err err = { 0 };
		size_t count;
		save(store, scratch, formats[i], &image, &name, 1, "saved", NULL);
		struct store *second = open_second(scratch);
		assert_ok(image_load(second, &arena, scratch_path(scratch, &arena, "saved"), NULL, true, NULL, &loaded,
				     &count, &err),
			  err);
		assert_int_equal(count, 1);
		assert_true(digest_equal(&loaded[0].id, &image));
		assert_string_equal(loaded[0].names[0], NAME);
		assert_sound(second);
		store_close(second);
		assert_ok(file_remove_tree(scratch->fd, "second", &err), err);
		assert_ok(file_remove_tree(scratch->fd, "saved", &err), err);
	}
}

static void the_same_image_gives_the_same_bytes(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	struct digest image = put_two_layers(store), first, again, other;
	const char *name = NAME;

	save(store, scratch, SAVE_OCI_ARCHIVE, &image, &name, 1, "a", &first);
	save(store, scratch, SAVE_OCI_ARCHIVE, &image, &name, 1, "b", &again);
	assert_same_files(scratch, "a", "b");
	assert_true(digest_equal(&first, &again));
	save(store, scratch, SAVE_DOCKER_ARCHIVE, &image, &name, 1, "c", &again);
	save(store, scratch, SAVE_DOCKER_ARCHIVE, &image, &name, 1, "d", NULL);
	assert_same_files(scratch, "c", "d");
	assert_true(digest_equal(&first, &again));

	/* Another store, where the layers were made in another order. */
	scope_store struct store *second = open_second(scratch);
	struct digest layers[2] = { { { 0 } }, put_layer(second, "above") };
	layers[0] = put_layer(second, "below");
	struct digest same = put_image(second, layers, 2, "u");
	save(second, scratch, SAVE_OCI_ARCHIVE, &same, &name, 1, "e", &other);
	assert_same_files(scratch, "a", "e");
	assert_true(digest_equal(&first, &other));
}

static void the_bytes_of_an_archive_are_fixed(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_strbuf struct strbuf archive = { 0 }, config = { 0 };
	scope_arena struct arena arena = { 0 };
	struct image_record record = { .created = 1 };
	struct platform platform = { .os = "linux", .architecture = "amd64" };
	struct err err = { 0 };
	const char *name = NAME;

	image_config_write(&arena, &config, image_config_scratch(&arena, &platform));
	assert_ok(store_blob_put(store, config.ptr, config.len, &record.config, &err), err);
	assert_ok(store_image_put(store, &record, &err), err);
	save(store, scratch, SAVE_OCI_ARCHIVE, &record.config, &name, 1, "a", NULL);
	read_file(scratch, "a", &archive);
	assert_string_equal(digest_of(&arena, &archive),
			    "sha256:b54edb10c421649e9b143720c0dacc43f3a51ca91c5cbb8edd332be9043ae235");
	save(store, scratch, SAVE_DOCKER_ARCHIVE, &record.config, &name, 1, "b", NULL);
	strbuf_reset(&archive);
	read_file(scratch, "b", &archive);
	assert_string_equal(digest_of(&arena, &archive),
			    "sha256:ca31ac5f5adb03b541ab651c1a9a4dac20f440a7351145ef4459b761565d8678");
}

static void layers_are_compressed_once_and_remembered(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest image = put_two_layers(store), manifest, remembered;
	scope_strbuf struct strbuf text = { 0 };
	struct image opened;
	struct layer_info info;
	struct err err = { 0 };

	assert_ok(image_manifest(store, &arena, &image, &text, &manifest, &err), err);
	assert_ok(image_open(store, &arena, &image, &opened, &err), err);
	assert_true(digest_equal(&opened.record.manifest, &manifest));
	for (size_t i = 0; i < 2; i++) {
		assert_ok(store_layer_info(store, &arena, &opened.diff_ids[i], &info, &err), err);
		assert_int_equal(info.blob_count, 1);
		assert_string_equal(info.blobs[0].compressor, gzip_compressor());
	}
	int blobs = count_names(store_fd(store), "blobs/sha256");
	strbuf_reset(&text);
	assert_ok(image_manifest(store, &arena, &image, &text, &remembered, &err), err);
	assert_true(digest_equal(&remembered, &manifest));
	assert_int_equal(count_names(store_fd(store), "blobs/sha256"), blobs);
	assert_sound(store);
}

static void layers_and_manifests_leave_as_they_came(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_strbuf struct strbuf tar = { 0 }, zstd = { 0 }, config = { 0 }, manifest = { 0 }, archive = { 0 },
				   text = { 0 };
	scope_arena struct arena arena = { 0 };
	struct image_loaded *loaded;
	struct digest digest, id;
	struct err err = { 0 };
	size_t count;

	make_layer_tar(&tar, "etc/text", "hello");
	compress_into(&zstd, &tar, COMPRESSION_ZSTD);
	make_config(&arena, &config, NULL, &tar, 1);
	strbuf_addf(&manifest,
		    "{ \"schemaVersion\": 2, \"mediaType\": \"%s\", \"config\": "
		    "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu},"
		    "\"layers\": [ {\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu} ], "
		    "\"annotations\":{\"k\":\"v\"} }",
		    MEDIA_OCI_MANIFEST, MEDIA_OCI_CONFIG, digest_of(&arena, &config), config.len, MEDIA_OCI_LAYER_ZSTD,
		    digest_of(&arena, &zstd), zstd.len);
	tar_bytes(&archive, blob_path_of(&arena, &zstd), &zstd);
	tar_bytes(&archive, blob_path_of(&arena, &config), &config);
	tar_bytes(&archive, blob_path_of(&arena, &manifest), &manifest);
	tar_file(&archive, "index.json",
		 arena_printf(
			 &arena,
			 "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu}]}",
			 MEDIA_OCI_MANIFEST, digest_of(&arena, &manifest), manifest.len));
	tar_end(&archive);
	const char *path = write_archive(scratch, &arena, "in", &archive);
	assert_ok(image_load(store, &arena, path, NULL, true, NULL, &loaded, &count, &err), err);
	id = loaded[0].id;
	assert_ok(image_manifest(store, &arena, &id, &text, &digest, &err), err);
	assert_string_equal(strbuf_str(&text), strbuf_str(&manifest));
	assert_string_equal(digest_str(&arena, &digest), digest_of(&arena, &manifest));

	/* On top of it, what kiln made: the layer below stays as it came. */
	struct digest layers[2];
	assert_int_equal(digest_parse(&layers[0], digest_of(&arena, &tar), NULL), 0);
	layers[1] = put_layer(store, "mine");
	struct digest derived = put_image(store, layers, 2, "u");
	strbuf_reset(&text);
	assert_ok(image_manifest(store, &arena, &derived, &text, &digest, &err), err);
	assert_non_null(strstr(strbuf_str(&text), digest_of(&arena, &zstd)));
	assert_non_null(strstr(strbuf_str(&text), MEDIA_OCI_LAYER_ZSTD));
	assert_non_null(strstr(strbuf_str(&text), MEDIA_OCI_LAYER_GZIP));
}

static void a_layer_that_came_uncompressed_leaves_compressed(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_store struct store *second = open_second(scratch);
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	struct digest image = put_two_layers(store), manifest;
	struct image_loaded *loaded;
	struct err err = { 0 };
	size_t count;

	save(store, scratch, SAVE_DOCKER_ARCHIVE, &image, NULL, 1, "plain", NULL);
	assert_ok(image_load(second, &arena, scratch_path(scratch, &arena, "plain"), NULL, true, NULL, &loaded, &count,
			     &err),
		  err);
	assert_ok(image_manifest(second, &arena, &image, &text, &manifest, &err), err);
	assert_null(strstr(strbuf_str(&text), "\"" MEDIA_OCI_LAYER "\""));
	/* And as the store that made the image would have compressed it. */
	struct digest original;
	save(store, scratch, SAVE_OCI_ARCHIVE, &image, NULL, 1, "oci", &original);
	assert_true(digest_equal(&manifest, &original));
}

static void a_directory_is_added_to_and_names_move(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_strbuf struct strbuf text = { 0 };
	scope_arena struct arena arena = { 0 };
	struct digest layer = put_layer(store, "x");
	struct digest first = put_image(store, &layer, 1, "1"), second = put_image(store, &layer, 1, "2");
	const char *v1 = NAME, *v2 = "docker.io/library/app:v2";
	struct index index;

	save(store, scratch, SAVE_OCI_DIR, &first, &v1, 1, "dir", NULL);
	save(store, scratch, SAVE_OCI_DIR, &second, &v2, 1, "dir", NULL);
	save(store, scratch, SAVE_OCI_DIR, &second, &v1, 1, "dir", NULL);
	read_file(scratch, "dir/index.json", &text);
	assert_int_equal(index_read(&arena, text.ptr, text.len, NULL, &index, NULL), 0);
	assert_int_equal(index.manifest_count, 2);
	assert_string_equal(index.manifests[0].digest, index.manifests[1].digest);
	assert_file(scratch->fd, "dir/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	/* 2 configurations, 2 manifests, 1 layer. */
	assert_int_equal(count_names(scratch->fd, "dir/blobs/sha256"), 5);
}

static void one_image_under_two_names_is_stored_once(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_store struct store *second = open_second(scratch);
	scope_arena struct arena arena = { 0 };
	struct digest image = put_two_layers(store);
	struct digest images[] = { image, image, image };
	const char *const names[] = { NAME, "docker.io/library/app:v2", NAME };

	for (int i = 0; i < 2; i++) {
		struct image_loaded *loaded;
		struct err err = { 0 };
		size_t count;
		save(store, scratch, i ? SAVE_DOCKER_ARCHIVE : SAVE_OCI_ARCHIVE, images, names, 3, "a", NULL);
		assert_ok(image_load(second, &arena, scratch_path(scratch, &arena, "a"), NULL, true, NULL, &loaded,
				     &count, &err),
			  err);
		assert_int_equal(count, 1);
		assert_int_equal(loaded[0].name_count, 2);
	}
}

static void damage_does_not_leave_the_store(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest image = put_two_layers(store);
	struct image opened;
	struct layer_info info;
	struct err err = { 0 };

	save(store, scratch, SAVE_OCI_ARCHIVE, &image, NULL, 1, "good", NULL);
	assert_ok(image_open(store, &arena, &image, &opened, &err), err);
	assert_ok(store_layer_info(store, &arena, &opened.diff_ids[0], &info, &err), err);
	const char *blob = arena_printf(&arena, "blobs/sha256/%s", info.blobs[0].digest + strlen("sha256:"));
	char *bytes = arena_alloc(&arena, (size_t)info.blobs[0].size);
	assert_int_equal(unlinkat(store_fd(store), blob, 0), 0);
	assert_ok(file_replace(store_fd(store), blob, 0444, bytes, (size_t)info.blobs[0].size, false, &err), err);
	scope_fd int fd = openat(scratch->fd, "bad", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	const struct save_spec spec = { .images = &image, .count = 1, .out_fd = fd, .epoch = 0 };
	assert_int_equal(image_save(store, &arena, &spec, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_non_null(strstr(err.msg, info.blobs[0].digest));

	char hex[DIGEST_HEX + 1];
	put_file(store_fd(store), arena_printf(&arena, "layers/%s/tree/etc/text", digest_hex(&opened.diff_ids[0], hex)),
		 "BELOW");
	const struct save_spec docker = { .format = SAVE_DOCKER_ARCHIVE, .images = &image, .count = 1, .out_fd = fd };
	assert_int_equal(image_save(store, &arena, &docker, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(what_is_saved_loads_as_the_same_image),
		scratch_test(the_same_image_gives_the_same_bytes),
		scratch_test(the_bytes_of_an_archive_are_fixed),
		scratch_test(layers_are_compressed_once_and_remembered),
		scratch_test(layers_and_manifests_leave_as_they_came),
		scratch_test(a_layer_that_came_uncompressed_leaves_compressed),
		scratch_test(a_directory_is_added_to_and_names_move),
		scratch_test(one_image_under_two_names_is_stored_once),
		scratch_test(damage_does_not_leave_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
