/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <dirent.h>
#include <sys/file.h>

#define NAME "docker.io/library/app:latest"

/* unsynced/ without its lock. */
static int count_unsynced(struct store *store)
{
	return count_names(store_fd(store), "unsynced") - has_name(store_fd(store), "unsynced/lock");
}

static struct digest put_small_image(struct store *store)
{
	struct digest layer = put_layer(store, "text");

	return put_image(store, &layer, 1, "u");
}

static void what_is_published_is_noted_until_a_name_reaches_it(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest image = put_small_image(store);
	struct err err = { 0 };

	assert_int_equal(count_unsynced(store), 3);
	assert_ok(store_name_set(store, NAME, &image, &err), err);
	assert_int_equal(count_unsynced(store), 0);
	put_small_image(store);
	assert_int_equal(count_unsynced(store), 0);
}

static void what_another_process_left_unsynced_is_synced_too(void **state)
{
	struct scratch *scratch = *state;
	struct store *first = open_store(scratch, STORE_CREATE);
	struct digest image = put_small_image(first);
	struct err err = { 0 };

	store_close(first);
	scope_store struct store *second = open_store(scratch, 0);
	assert_int_equal(count_unsynced(second), 3);
	assert_ok(store_name_set(second, NAME, &image, &err), err);
	assert_int_equal(count_unsynced(second), 0);
}

/* As if the machine had been switched off since: what was noted in this boot was noted in another one. */
static void pretend_reboot(struct scratch *scratch)
{
	int fd = openat(scratch->fd, "store/unsynced", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *dir = fdopendir(fd);

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		char name[300];
		const char *dot = strchr(entry->d_name, '.');
		if (!dot || dot == entry->d_name)
			continue;
		snprintf(name, sizeof(name), "feedfeedfeedfeed%s", dot);
		assert_int_equal(renameat(dirfd(dir), entry->d_name, dirfd(dir), name), 0);
	}
}

static void after_a_power_failure_only_what_was_synced_is_left(void **state)
{
	struct scratch *scratch = *state;
	scope_arena struct arena arena = { 0 };
	struct store *store = open_store(scratch, STORE_CREATE);
	struct digest kept = put_small_image(store), lost_layer, lost;
	struct image_record record;
	struct err err = { 0 };

	assert_ok(store_name_set(store, NAME, &kept, &err), err);
	lost_layer = put_layer(store, "not synced");
	lost = put_image(store, &lost_layer, 1, "v");
	store_close(store);
	pretend_reboot(scratch);

	scope_store struct store *after = open_store(scratch, 0);
	assert_int_equal(count_unsynced(after), 0);
	assert_false(store_layer_has(after, &lost_layer));
	assert_int_equal(store_image_get(after, &arena, &lost, &record, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	/* Blobs say themselves whether they are whole. */
	assert_true(store_blob_has(after, &lost, NULL));
	assert_ok(store_name_get(after, NAME, &lost, &err), err);
	assert_true(digest_equal(&lost, &kept));
	assert_int_equal(count_names(store_fd(after), "tmp"), 0);
	assert_sound(after);
}

static void a_blob_that_lost_its_bytes_is_removed(void **state)
{
	struct scratch *scratch = *state;
	struct store *store = open_store(scratch, STORE_CREATE);
	char path[128], hex[DIGEST_HEX + 1];
	struct digest digest;
	struct err err = { 0 };

	assert_ok(store_blob_put(store, "hello", 5, &digest, &err), err);
	snprintf(path, sizeof(path), "blobs/sha256/%s", digest_hex(&digest, hex));
	assert_int_equal(unlinkat(store_fd(store), path, 0), 0);
	put_file(store_fd(store), path, "");
	store_close(store);
	pretend_reboot(scratch);
	scope_store struct store *after = open_store(scratch, STORE_NO_SWEEP);
	assert_false(store_blob_has(after, &digest, NULL));
	assert_int_equal(count_unsynced(after), 0);
}

/* A store on NFS: the other machine's boot is another one, and it is alive. */
static void what_another_machine_is_working_on_is_left_alone(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *theirs = open_store(scratch, STORE_CREATE);
	struct digest layer = put_layer(theirs, "text");

	pretend_reboot(scratch);
	scope_store struct store *ours = open_store(scratch, 0);
	assert_true(store_layer_has(ours, &layer));
	assert_int_equal(count_unsynced(ours), 1);
	struct err err = { 0 };
	assert_ok(store_sync(ours, &err), err);
	assert_int_equal(count_unsynced(ours), 0);
}

static void a_read_only_command_recovers_nothing(void **state)
{
	struct scratch *scratch = *state;
	struct store *store = open_store(scratch, STORE_CREATE);

	put_layer(store, "text");
	store_close(store);
	pretend_reboot(scratch);
	scope_store struct store *reader = open_store(scratch, STORE_READ_ONLY);
	assert_int_equal(count_unsynced(reader), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(what_is_published_is_noted_until_a_name_reaches_it),
		scratch_test(what_another_process_left_unsynced_is_synced_too),
		scratch_test(after_a_power_failure_only_what_was_synced_is_left),
		scratch_test(a_blob_that_lost_its_bytes_is_removed),
		scratch_test(what_another_machine_is_working_on_is_left_alone),
		scratch_test(a_read_only_command_recovers_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
