/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <stdlib.h>
#include <time.h>

#include "kill.h"

/*
 * A process that changes a store is killed at each of its system calls, one after the other. The next one must find the store
 * sound, with every name pointing to a whole image, and nothing left over.
 */

#define NAME "docker.io/library/app:latest"

static void write_image(struct scratch *scratch, int round)
{
	struct store *store = open_store(scratch, STORE_CREATE);
	char text[32];
	struct err err = { 0 };

	snprintf(text, sizeof(text), "round %d", round);
	struct digest layers[] = { put_layer(store, text), put_layer(store, "always the same") };
	struct digest image = put_image(store, layers, 2, text), key;
	struct cache_record record = { layers[0], round, text };
	digest_bytes(&key, text, strlen(text));
	if (store_cache_put(store, &key, &record, &err) < 0 || store_name_set(store, NAME, &image, &err) < 0)
		fail_msg("%s", err.msg);
	store_close(store);
}

static void write_and_prune(struct scratch *scratch, int round)
{
	struct err err = { 0 };

	write_image(scratch, round);
	struct store *store = open_store(scratch, 0);
	assert_ok(store_name_remove(store, NAME, &err), err);
	assert_ok(store_prune(store, PRUNE_DANGLING | PRUNE_CACHE, 1000, NULL, &err), err);
	store_close(store);
	write_image(scratch, round);
}

static void remove_image(struct scratch *scratch, int round)
{
	struct err err = { 0 };
	struct digest image;

	write_image(scratch, round);
	struct store *store = open_store(scratch, 0);
	assert_ok(store_name_get(store, NAME, &image, &err), err);
	assert_ok(store_image_remove(store, &image, &err), err);
	store_close(store);
}

static void make_and_reset(struct scratch *scratch, int round)
{
	struct err err = { 0 };
	char path[300];

	(void)round;
	store_close(open_store(scratch, STORE_CREATE));
	snprintf(path, sizeof(path), "%s/store", scratch->path);
	assert_ok(store_reset(path, 0, &err), err);
}

static void assert_survived(struct scratch *scratch)
{
	struct store *store = open_store(scratch, STORE_CREATE);

	assert_sound(store);
	assert_int_equal(count_names(store_fd(store), "tmp"), 0);
	store_close(store);
}

static void survive(struct scratch *scratch, operation *run)
{
	int round = 0, points = 0;
	struct err err = { 0 };

	/* The first calls, which make a store, and then with steps that do not fall into the rhythm of a loop. Now and then a
	   new store, so that there are not too many layers to verify. */
	for (int calls = 1; kill_at(run, scratch, round++, calls); calls += calls < 40 ? 2 : 17) {
		assert_survived(scratch);
		if (++points % 4 == 0)
			assert_ok(file_remove_tree(scratch->fd, "store", &err), err);
	}
	assert_true(points > 20);
	assert_survived(scratch);
}

static void writing_can_be_killed_anywhere(void **state)
{
	survive(*state, write_image);
}

static void pruning_can_be_killed_anywhere(void **state)
{
	survive(*state, write_and_prune);
}

static void removing_can_be_killed_anywhere(void **state)
{
	survive(*state, remove_image);
}

static void making_and_resetting_can_be_killed_anywhere(void **state)
{
	survive(*state, make_and_reset);
}

/* ---- many at a time ---- */

enum { WRITERS = 6, ROUNDS = 8 };

static void write_many(struct scratch *scratch, int writer)
{
	struct store *store = open_store(scratch, STORE_CREATE);
	struct err err = { 0 };
	char text[64], name[64];

	for (int i = 0; i < ROUNDS; i++) {
		/* Half of the layers are everybody's, and all fight for one name besides their own. */
		snprintf(text, sizeof(text), "shared %d", i);
		struct digest layers[2] = { put_layer(store, text) };
		snprintf(text, sizeof(text), "writer %d round %d", writer, i);
		layers[1] = put_layer(store, text);
		struct digest image = put_image(store, layers, 2, text);
		snprintf(name, sizeof(name), "docker.io/library/w%d:latest", writer);
		assert_ok(store_name_set(store, name, &image, &err), err);
		assert_ok(store_name_set(store, NAME, &image, &err), err);
	}
	store_close(store);
}

static void prune_often(struct scratch *scratch, int number)
{
	(void)number;
	for (int i = 0; i < 20; i++) {
		const struct timespec pause = { .tv_nsec = 5000000 };
		struct store *store = open_store(scratch, STORE_CREATE);
		struct err err = { 0 };
		if (store_prune(store, PRUNE_CACHE | PRUNE_DANGLING, 20, NULL, &err) < 0 && !err_is_errno(&err, EBUSY))
			fail_msg("%s", err.msg);
		store_close(store);
		nanosleep(&pause, NULL);
	}
}

static pid_t start(operation *run, struct scratch *scratch, int number)
{
	pid_t pid = fork();

	/* kill(-1) would be the end of everything. */
	assert_true(pid >= 0);
	if (pid == 0) {
		run(scratch, number);
		_exit(0);
	}
	return pid;
}

static void many_writers_and_a_pruner_share_a_store(void **state)
{
	struct scratch *scratch = *state;
	pid_t pids[WRITERS + 1];
	struct err err = { 0 };
	int status;

	for (int i = 0; i < WRITERS; i++)
		pids[i] = start(write_many, scratch, i);
	pids[WRITERS] = start(prune_often, scratch, 0);
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	scope_store struct store *store = open_store(scratch, 0);
	assert_sound(store);
	for (int i = 0; i < WRITERS; i++) {
		scope_arena struct arena arena = { 0 };
		struct digest image;
		assert_ok(store_name_get(store, arena_printf(&arena, "docker.io/library/w%d:latest", i), &image, &err),
			  err);
	}
	assert_int_equal(count_names(store_fd(store), "tmp"), 0);
}

static void writers_that_are_killed_disturb_no_other(void **state)
{
	struct scratch *scratch = *state;
	pid_t pids[WRITERS];
	int status;

	for (int i = 0; i < WRITERS; i++)
		pids[i] = start(write_many, scratch, i);
	for (int i = 0; i < WRITERS; i += 2) {
		const struct timespec pause = { .tv_nsec = 10000000 * (i + 1) };
		nanosleep(&pause, NULL);
		kill(pids[i], SIGKILL);
	}
	for (int i = 0; i < WRITERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		if (i % 2)
			assert_int_equal(status, 0);
	}
	assert_survived(scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(writing_can_be_killed_anywhere),
		scratch_test(pruning_can_be_killed_anywhere),
		scratch_test(removing_can_be_killed_anywhere),
		scratch_test(making_and_resetting_can_be_killed_anywhere),
		scratch_test(many_writers_and_a_pruner_share_a_store),
		scratch_test(writers_that_are_killed_disturb_no_other),
	};

	/* A few hundred syncfs would have to wait for whatever else is being written to a real disk. */
	if (faccessat(AT_FDCWD, "/dev/shm", W_OK, 0) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
