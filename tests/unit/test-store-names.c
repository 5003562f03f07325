/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#define NAME "docker.io/library/app:latest"

static void set_name(struct store *store, const char *name, const struct digest *image)
{
	struct err err = { 0 };

	assert_ok(store_name_set(store, name, image, &err), err);
}

static void assert_points_to(struct store *store, const char *name, const struct digest *image)
{
	struct digest found;
	struct err err = { 0 };

	assert_ok(store_name_get(store, name, &found, &err), err);
	assert_true(digest_equal(&found, image));
}

static void a_name_points_to_the_image_that_it_was_set_to_last(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest first = put_image(store, NULL, 0, "1"), second = put_image(store, NULL, 0, "2");
	struct digest found;
	struct err err = { 0 };

	assert_int_equal(store_name_get(store, NAME, &found, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	set_name(store, NAME, &first);
	assert_points_to(store, NAME, &first);
	set_name(store, NAME, &second);
	assert_points_to(store, NAME, &second);
	assert_ok(store_name_remove(store, NAME, &err), err);
	assert_int_equal(store_name_get(store, NAME, &found, &err), -1);
	assert_int_equal(store_name_remove(store, NAME, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void a_name_never_points_to_an_image_that_is_not_there(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest nothing;
	struct err err = { 0 };

	digest_bytes(&nothing, "nothing", 7);
	assert_int_equal(store_name_set(store, NAME, &nothing, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(count_names(store_fd(store), "names"), 0);
}

static void names_that_differ_little_are_different_files_and_none_is_too_long(void **state)
{
	static const char *const names[] = { NAME,
					     "docker.io/library/app:Latest",
					     "docker.io/library/app:LATEST",
					     "docker.io/library%2fapp:latest",
					     "docker.io/library_app:latest",
					     "..",
					     ".",
					     ".tmp-x",
					     "a/../b",
					     "caf\xc3\xa9" };
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest images[ARRAY_LEN(names) + 2];
	const char *all[ARRAY_LEN(names) + 2];
	char long_name[400];

	memset(long_name, 'x', sizeof(long_name));
	long_name[399] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (i < ARRAY_LEN(names))
			all[i] = names[i];
		else
			all[i] = arena_printf(&arena, "%s%zu", long_name, i);
		images[i] = put_image(store, NULL, 0, all[i]);
		set_name(store, all[i], &images[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		assert_points_to(store, all[i], &images[i]);
	assert_int_equal(count_names(store_fd(store), "names"), ARRAY_LEN(all));
}

static void names_come_newest_first_and_then_images_without_one(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest a = put_image(store, NULL, 0, "a"), b = put_image(store, NULL, 0, "b");
	struct store_name *names;
	struct err err = { 0 };
	size_t count;

	assert_ok(store_names(store, &arena, &names, &count, &err), err);
	assert_int_equal(count, 2);
	set_name(store, "z", &a);
	set_name(store, "y", &a);
	assert_ok(store_names(store, &arena, &names, &count, &err), err);
	assert_int_equal(count, 3);
	assert_true(names[0].set_at >= names[1].set_at);
	assert_non_null(names[1].name);
	assert_null(names[2].name);
	assert_true(digest_equal(&names[2].config, &b));
}

static void a_damaged_name_is_reported_and_hides_no_other(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest image = put_image(store, NULL, 0, "a"), found;
	struct store_name *names;
	struct err err = { 0 };
	size_t count;

	set_name(store, "good", &image);
	set_name(store, "bad", &image);
	put_file(store_fd(store), "names/bad", "{\"name\":\"good\",\"image\":\"x\"}");
	assert_int_equal(store_name_get(store, "bad", &found, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_ok(store_names(store, &arena, &names, &count, &err), err);
	assert_int_equal(count, 1);
	assert_string_equal(names[0].name, "good");
	set_name(store, "bad", &image);
	assert_points_to(store, "bad", &image);
}

static void images_are_found_by_the_beginning_of_their_id(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest image = put_image(store, NULL, 0, "a"), found;
	char hex[DIGEST_HEX + 1], path[128];
	struct err err = { 0 };

	digest_hex(&image, hex);
	assert_ok(store_image_by_prefix(store, hex, &found, &err), err);
	assert_true(digest_equal(&found, &image));
	snprintf(path, sizeof(path), "images/%.12s%s", hex, "0000000000000000000000000000000000000000000000000000");
	put_file(store_fd(store), path, "");
	hex[12] = '\0';
	assert_int_equal(store_image_by_prefix(store, hex, &found, &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	assert_int_equal(unlinkat(store_fd(store), path, 0), 0);
	assert_ok(store_image_by_prefix(store, hex, &found, &err), err);
	hex[3] = '\0';
	assert_int_equal(store_image_by_prefix(store, hex, &found, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(store_image_by_prefix(store, "../..", &found, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void a_manifest_is_added_to_a_record_and_never_lost_again(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest image = put_image(store, NULL, 0, "a");
	struct image_record record;
	struct err err = { 0 };

	assert_ok(store_image_get(store, &arena, &image, &record, &err), err);
	assert_true(digest_is_zero(&record.manifest));
	record.manifest = image;
	record.manifest_type = MEDIA_OCI_MANIFEST;
	record.created = 7;
	assert_ok(store_image_put(store, &record, &err), err);
	put_image(store, NULL, 0, "a");
	assert_ok(store_image_get(store, &arena, &image, &record, &err), err);
	assert_true(digest_equal(&record.manifest, &image));
	assert_string_equal(record.manifest_type, MEDIA_OCI_MANIFEST);
	assert_int_equal(record.created, 1000);
}

static void a_removed_image_takes_its_names_with_it(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest image = put_image(store, NULL, 0, "a"), other = put_image(store, NULL, 0, "b"), found;
	struct image_record record;
	struct err err = { 0 };

	set_name(store, "one", &image);
	set_name(store, "two", &image);
	set_name(store, "three", &other);
	assert_ok(store_image_remove(store, &image, &err), err);
	assert_int_equal(store_name_get(store, "one", &found, &err), -1);
	assert_int_equal(store_name_get(store, "two", &found, &err), -1);
	assert_points_to(store, "three", &other);
	assert_int_equal(store_image_get(store, &arena, &image, &record, &err), -1);
	assert_int_equal(store_image_remove(store, &image, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_name_points_to_the_image_that_it_was_set_to_last),
		scratch_test(a_name_never_points_to_an_image_that_is_not_there),
		scratch_test(names_that_differ_little_are_different_files_and_none_is_too_long),
		scratch_test(names_come_newest_first_and_then_images_without_one),
		scratch_test(a_damaged_name_is_reported_and_hides_no_other),
		scratch_test(images_are_found_by_the_beginning_of_their_id),
		scratch_test(a_manifest_is_added_to_a_record_and_never_lost_again),
		scratch_test(a_removed_image_takes_its_names_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
