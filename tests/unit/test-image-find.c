/* SPDX-License-Identifier: Apache-2.0 */
#include "image-fixture.h"

#define NAME "docker.io/library/app:latest"

static void set_name(struct store *store, const char *name, const struct digest *image)
{
	struct err err = { 0 };

	assert_ok(store_name_set(store, name, image, &err), err);
}

static void images_are_found_by_name_first_and_then_by_id(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest first = put_image(store, NULL, 0, "1"), second = put_image(store, NULL, 0, "2");
	struct image image;
	struct err err = { 0 };
	char hex[DIGEST_HEX + 1];

	set_name(store, NAME, &first);
	assert_ok(image_find(store, &arena, "app", &image, &err), err);
	assert_true(digest_equal(&image.id, &first));
	assert_string_equal(image.config.user, "1");
	assert_ok(image_find(store, &arena, NAME, &image, &err), err);
	assert_ok(image_find(store, &arena, digest_str(&arena, &second), &image, &err), err);
	assert_true(digest_equal(&image.id, &second));
	assert_ok(image_find(store, &arena, digest_hex(&second, hex), &image, &err), err);
	assert_ok(image_find(store, &arena, arena_strndup(&arena, hex, 12), &image, &err), err);
	assert_true(digest_equal(&image.id, &second));
	/* A name that looks like the beginning of an id. */
	const char *name = arena_printf(&arena, "docker.io/library/%.12s:latest", hex);
	set_name(store, name, &first);
	assert_ok(image_find(store, &arena, arena_strndup(&arena, hex, 12), &image, &err), err);
	assert_true(digest_equal(&image.id, &first));
}

static void a_digest_after_a_name_is_that_of_the_manifest(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	struct digest id = put_image(store, NULL, 0, "1"), manifest;
	struct image image;
	struct err err = { 0 };

	assert_ok(image_manifest(store, &arena, &id, &text, &manifest, &err), err);
	assert_ok(
		image_find(store, &arena, arena_printf(&arena, "app@%s", digest_str(&arena, &manifest)), &image, &err),
		err);
	assert_true(digest_equal(&image.id, &id));
	assert_int_equal(
		image_find(store, &arena, arena_printf(&arena, "app@%s", digest_str(&arena, &id)), &image, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void what_is_missing_is_said_with_a_way_to_get_it(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct platform host = platform_host();
	struct image image;
	struct err err = { 0 };

	assert_int_equal(image_find(store, &arena, "debian:12", &image, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(err.msg, "\"debian:12\""));
	assert_non_null(strstr(err.msg, "kiln images"));
	assert_int_equal(image_from(store, &arena, "debian:12", &host, &image, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(err.msg, "does not fetch from registries"));
	assert_non_null(strstr(err.msg, "kiln load"));
	assert_non_null(strstr(err.msg, "kiln import"));
	assert_non_null(strstr(err.msg, "oci-archive:"));
	assert_int_equal(image_find(store, &arena, "Bad Name", &image, &err), -1);
	assert_int_equal(image_find(store, &arena, "\x1b[31m", &image, &err), -1);
	assert_null(strchr(err.msg, '\x1b'));
}

static void a_damaged_image_is_told_from_a_missing_one(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest id = put_image(store, NULL, 0, "1");
	struct image image;
	struct err err = { 0 };
	char hex[DIGEST_HEX + 1];
	const char *blob = arena_printf(&arena, "blobs/sha256/%s", digest_hex(&id, hex));

	set_name(store, NAME, &id);
	assert_int_equal(unlinkat(store_fd(store), blob, 0), 0);
	assert_int_equal(image_find(store, &arena, "app", &image, &err), -1);
	assert_non_null(strstr(err.msg, hex));
	put_file(store_fd(store), blob, "{}");
	assert_int_equal(image_find(store, &arena, "app", &image, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
}

static void from_takes_archives_and_directories_without_a_name(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest layer = put_layer(store, "x"),
		      images[] = { put_image(store, &layer, 1, "1"), put_image(store, &layer, 1, "2") };
	const char *const names[] = { "docker.io/library/app:v1", "docker.io/library/app:v2" };
	struct platform host = platform_host();
	struct image image;
	struct err err = { 0 };

	static const char *const files[] = { "dir", "oci", "docker" };
	static const enum save_format formats[] = { SAVE_OCI_DIR, SAVE_OCI_ARCHIVE, SAVE_DOCKER_ARCHIVE };
	for (size_t i = 0; i < 3; i++) {
		scope_fd int fd = i ? openat(scratch->fd, files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
		const struct save_spec spec = { .format = formats[i],
						.images = images,
						.names = names,
						.count = 2,
						.out_fd = fd,
						.out_path = scratch_path(scratch, &arena, files[i]) };
		assert_ok(image_save(store, &arena, &spec, NULL, &err), err);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct store *second = NULL;
		scope_strbuf struct strbuf text = { 0 };
		assert_ok(store_open(&second, scratch_path(scratch, &arena, "second"), STORE_CREATE, &err), err);
		strbuf_addf(&text,
			    i == 0   ? "oci:%s/dir"
			    : i == 1 ? "oci-archive:%s/oci"
				     : "docker-archive:%s/docker",
			    scratch->path);
		assert_int_equal(image_from(second, &arena, strbuf_str(&text), &host, &image, &err), -1);
		assert_non_null(strstr(err.msg, "it has 2 images"));
		assert_empty(second);
		strbuf_addstr(&text, i == 2 ? ":app:v2" : ":v2");
		assert_ok(image_from(second, &arena, strbuf_str(&text), &host, &image, &err), err);
		assert_true(digest_equal(&image.id, &images[1]));
		assert_int_equal(count_names(store_fd(second), "names"), 0);
		assert_int_equal(count_names(store_fd(second), "images"), 1);
		store_close(second);
		assert_ok(file_remove_tree(scratch->fd, "second", &err), err);
	}
}

static void a_commit_writes_configuration_record_and_names(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest layer = put_layer(store, "x"), id, missing;
	struct platform host = platform_host();
	struct image_config *config = image_config_scratch(&arena, &host);
	const char *const names[] = { NAME, "docker.io/library/app:v1" };
	struct layer_info info;
	struct image image;
	struct err err = { 0 };

	*ARENA_PUSH(&arena, config->diff_ids, config->diff_id_count) = digest_str(&arena, &layer);
	assert_ok(image_commit(store, &arena, config, names, 2, &id, &err), err);
	assert_ok(image_find(store, &arena, "app:v1", &image, &err), err);
	assert_true(digest_equal(&image.id, &id));
	assert_ok(store_layer_info(store, &arena, &layer, &info, &err), err);
	assert_int_equal(image.record.size, info.size);
	int fds[1];
	assert_ok(image_open_stack(store, image.diff_ids, image.diff_id_count, fds, &err), err);
	assert_file(fds[0], "etc/text", "x");
	close(fds[0]);

	digest_bytes(&missing, "missing", 7);
	*ARENA_PUSH(&arena, config->diff_ids, config->diff_id_count) = digest_str(&arena, &missing);
	assert_int_equal(image_commit(store, &arena, config, names, 2, &id, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	struct digest both[] = { layer, missing };
	int two[2];
	assert_int_equal(image_open_stack(store, both, 2, two, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(images_are_found_by_name_first_and_then_by_id),
		scratch_test(a_digest_after_a_name_is_that_of_the_manifest),
		scratch_test(what_is_missing_is_said_with_a_way_to_get_it),
		scratch_test(a_damaged_image_is_told_from_a_missing_one),
		scratch_test(from_takes_archives_and_directories_without_a_name),
		scratch_test(a_commit_writes_configuration_record_and_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
