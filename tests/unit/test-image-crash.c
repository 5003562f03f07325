/* SPDX-License-Identifier: Apache-2.0 */
#include "image-fixture.h"

#include <stdlib.h>
#include <time.h>

#include "kill.h"

/* Loading, importing and saving are killed at each of their system calls: the store is sound, nothing is left over, and the
   same command then succeeds. Their children go with them. */

static const char *path_of(struct scratch *scratch, const char *name)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/%s", scratch->path, name);
	return path;
}

static void load_archive(struct scratch *scratch, int round)
{
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct image_loaded *loaded;
	struct err err = { 0 };
	size_t count;

	(void)round;
	assert_ok(image_load(store, &arena, path_of(scratch, "archive"), NULL, true, NULL, &loaded, &count, &err), err);
}

static void import_tar(struct scratch *scratch, int round)
{
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct platform host = platform_host();
	struct digest id;
	struct err err = { 0 };

	assert_ok(image_import(store, &arena, path_of(scratch, "rootfs"), image_config_scratch(&arena, &host), round,
			       NULL, "docker.io/library/base:1", &id, &err),
		  err);
}

static void save_image(struct scratch *scratch, int round)
{
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest id;
	struct err err = { 0 };

	import_tar(scratch, round);
	assert_ok(store_name_get(store, "docker.io/library/base:1", &id, &err), err);
	const struct save_spec spec = {
		.format = SAVE_OCI_DIR, .images = &id, .count = 1, .out_path = path_of(scratch, "saved"), .epoch = 0
	};
	assert_ok(image_save(store, &arena, &spec, NULL, &err), err);
}

static void make_inputs(struct scratch *scratch)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf tar = { 0 }, rootfs = { 0 }, config = { 0 };
	struct strbuf layers[2] = { { 0 } };

	make_layer_tar(&layers[0], "etc/one", "1");
	make_layer_tar(&layers[1], "etc/two", "2");
	make_config(&arena, &config, NULL, layers, 2);
	tar_bytes(&tar, "config", &config);
	tar_bytes(&tar, "a", &layers[0]);
	tar_bytes(&tar, "b", &layers[1]);
	tar_file(&tar, "manifest.json", "[{\"Config\":\"config\",\"RepoTags\":[\"app:1\"],\"Layers\":[\"a\",\"b\"]}]");
	tar_end(&tar);
	write_archive(scratch, &arena, "archive", &tar);
	make_layer_tar(&rootfs, "etc/passwd", "root");
	write_archive(scratch, &arena, "rootfs", &rootfs);
	strbuf_release(&layers[0]);
	strbuf_release(&layers[1]);
}

/* A child that was just killed may still hold the lock of a work directory. */
static void assert_survived(struct scratch *scratch)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	int left = 1;

	for (int i = 0; i < 500 && left > 0; i++) {
		struct store *store = open_store(scratch, STORE_CREATE);
		left = count_names(store_fd(store), "tmp");
		if (left == 0)
			assert_sound(store);
		store_close(store);
		if (left > 0)
			nanosleep(&pause, NULL);
	}
	assert_int_equal(left, 0);
}

static void survive(struct scratch *scratch, operation *run)
{
	int round = 0, points = 0;
	struct err err = { 0 };

	make_inputs(scratch);
	for (int calls = 20; kill_at(run, scratch, round++, calls); calls += 9) {
		assert_survived(scratch);
		if (++points % 4 == 0)
			assert_ok(file_remove_tree(scratch->fd, "store", &err), err);
	}
	assert_true(points > 10);
	assert_survived(scratch);
}

static void loading_can_be_killed_anywhere(void **state)
{
	survive(*state, load_archive);
}

static void importing_can_be_killed_anywhere(void **state)
{
	survive(*state, import_tar);
}

static void saving_can_be_killed_anywhere(void **state)
{
	struct scratch *scratch = *state;
	scope_strbuf struct strbuf text = { 0 };
	scope_arena struct arena arena = { 0 };
	struct index index;
	struct err err = { 0 };

	survive(scratch, save_image);
	assert_ok(file_read(scratch->fd, "saved/index.json", 1 << 20, &text, &err), err);
	assert_ok(index_read(&arena, text.ptr, text.len, NULL, &index, &err), err);
	assert_true(index.manifest_count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(loading_can_be_killed_anywhere),
		scratch_test(importing_can_be_killed_anywhere),
		scratch_test(saving_can_be_killed_anywhere),
	};

	if (faccessat(AT_FDCWD, "/dev/shm", W_OK, 0) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
