/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

/* One store with everything that can be reached in one way only. */
struct world {
	struct store *store;
	struct digest base, top, cached, loose;   /* layers */
	struct digest named, unnamed;             /* images: base + top; base */
	struct digest manifest, compressed, lost; /* blobs */
	struct digest key;
};

static void put_cache(struct world *world)
{
	struct cache_record record = { world->cached, 1, "RUN x" };
	struct err err = { 0 };

	digest_bytes(&world->key, "key", 3);
	assert_ok(store_cache_put(world->store, &world->key, &record, &err), err);
	assert_ok(store_note_put(world->store, "build", &world->key, "x", 1, &err), err);
	put_dir(store_fd(world->store), "mounts/aaaa");
	put_file(store_fd(world->store), "mounts/aaaa/file", "cache mount");
}

static void put_blobs(struct world *world)
{
	scope_arena struct arena arena = { 0 };
	struct layer_blob blob = { MEDIA_OCI_LAYER_GZIP, NULL, 10, "" };
	struct image_record record;
	struct err err = { 0 };

	assert_ok(store_blob_put(world->store, "manifest", 8, &world->manifest, &err), err);
	assert_ok(store_blob_put(world->store, "compressed", 10, &world->compressed, &err), err);
	assert_ok(store_blob_put(world->store, "lost", 4, &world->lost, &err), err);
	blob.digest = digest_str(&arena, &world->compressed);
	assert_ok(store_layer_add_blob(world->store, &world->top, &blob, &err), err);
	assert_ok(store_image_get(world->store, &arena, &world->named, &record, &err), err);
	record.manifest = world->manifest;
	record.manifest_type = MEDIA_OCI_MANIFEST;
	assert_ok(store_image_put(world->store, &record, &err), err);
}

static struct world make_world(struct scratch *scratch)
{
	struct world world = { .store = open_store(scratch, STORE_CREATE) };
	struct err err = { 0 };

	world.base = put_layer(world.store, "base");
	world.top = put_layer(world.store, "top");
	world.cached = put_layer(world.store, "cached");
	world.loose = put_layer(world.store, "loose");
	struct digest both[] = { world.base, world.top };
	world.named = put_image(world.store, both, 2, "named");
	world.unnamed = put_image(world.store, &world.base, 1, "unnamed");
	put_blobs(&world);
	put_cache(&world);
	assert_ok(store_name_set(world.store, "docker.io/library/a:b", &world.named, &err), err);
	return world;
}

static int64_t prune(struct world *world, unsigned flags)
{
	struct err err = { 0 };
	int64_t freed = -1;

	assert_ok(store_prune(world->store, flags, 0, &freed, &err), err);
	assert_int_equal(count_names(store_fd(world->store), "tmp"), 0);
	return freed;
}

static bool has_image(struct world *world, const struct digest *image)
{
	scope_arena struct arena arena = { 0 };
	struct image_record record;

	return store_image_get(world->store, &arena, image, &record, NULL) == 0;
}

static void a_plain_prune_removes_only_what_nothing_reaches(void **state)
{
	struct world world = make_world(*state);

	assert_true(prune(&world, 0) > 0);
	assert_false(store_layer_has(world.store, &world.loose));
	assert_false(store_blob_has(world.store, &world.lost, NULL));
	assert_true(store_layer_has(world.store, &world.base));
	assert_true(store_layer_has(world.store, &world.top));
	assert_true(store_layer_has(world.store, &world.cached));
	assert_true(store_blob_has(world.store, &world.manifest, NULL));
	assert_true(store_blob_has(world.store, &world.compressed, NULL));
	assert_true(has_image(&world, &world.unnamed));
	assert_int_equal(prune(&world, 0), 0);
	store_close(world.store);
}

static void pruning_the_cache_keeps_the_images(void **state)
{
	struct world world = make_world(*state);

	prune(&world, PRUNE_CACHE);
	assert_false(store_layer_has(world.store, &world.cached));
	assert_int_equal(count_names(store_fd(world.store), "cache"), 0);
	assert_int_equal(count_names(store_fd(world.store), "notes"), 0);
	assert_int_equal(count_names(store_fd(world.store), "mounts"), 0);
	assert_true(has_image(&world, &world.named));
	assert_true(has_image(&world, &world.unnamed));
	assert_true(store_layer_has(world.store, &world.top));
	store_close(world.store);
}

static void pruning_dangling_images_keeps_named_ones_and_the_cache(void **state)
{
	struct world world = make_world(*state);

	prune(&world, PRUNE_DANGLING);
	assert_false(has_image(&world, &world.unnamed));
	assert_false(store_blob_has(world.store, &world.unnamed, NULL));
	assert_true(has_image(&world, &world.named));
	assert_true(store_layer_has(world.store, &world.base));
	assert_true(store_layer_has(world.store, &world.cached));
	store_close(world.store);
}

static void pruning_everything_leaves_an_empty_store(void **state)
{
	struct world world = make_world(*state);

	prune(&world, PRUNE_CACHE | PRUNE_DANGLING | PRUNE_IMAGES);
	assert_int_equal(count_names(store_fd(world.store), "names"), 0);
	assert_int_equal(count_names(store_fd(world.store), "images"), 0);
	assert_int_equal(count_names(store_fd(world.store), "layers"), 0);
	assert_int_equal(count_names(store_fd(world.store), "blobs/sha256"), 0);
	put_layer(world.store, "again");
	assert_sound(world.store);
	store_close(world.store);
}

static void pruning_images_keeps_what_the_cache_reaches(void **state)
{
	struct world world = make_world(*state);

	prune(&world, PRUNE_IMAGES);
	assert_false(has_image(&world, &world.named));
	assert_true(store_layer_has(world.store, &world.cached));
	assert_false(store_layer_has(world.store, &world.base));
	store_close(world.store);
}

static void cache_records_without_their_layer_go_with_it(void **state)
{
	struct world world = make_world(*state);
	char path[128], hex[DIGEST_HEX + 1];
	struct err err = { 0 };

	snprintf(path, sizeof(path), "layers/%s", digest_hex(&world.cached, hex));
	assert_ok(file_remove_tree(store_fd(world.store), path, &err), err);
	put_file(store_fd(world.store), "cache/.tmp-0123", "left by a kill");
	prune(&world, 0);
	assert_int_equal(count_names(store_fd(world.store), "cache"), 0);
	store_close(world.store);
}

static void a_store_in_use_is_not_pruned(void **state)
{
	struct world world = make_world(*state);
	struct err err = { 0 };
	int64_t freed;

	struct store *other = open_store(*state, 0);
	assert_int_equal(store_prune(world.store, 0, 50, &freed, &err), -1);
	assert_true(err_is_errno(&err, EBUSY));
	assert_true(store_layer_has(world.store, &world.loose));
	store_close(other);
	prune(&world, 0);
	/* The lock is shared again. */
	store_close(open_store(*state, 0));
	store_close(world.store);
}

static void usage_tells_images_from_cache(void **state)
{
	struct world world = make_world(*state);
	struct store_usage usage;
	struct err err = { 0 };

	assert_ok(store_usage(world.store, &usage, &err), err);
	assert_int_equal(usage.images, 2);
	assert_int_equal(usage.layers, 4);
	assert_int_equal(usage.cache_records, 1);
	assert_true(usage.image_bytes > 0);
	assert_true(usage.cache_bytes > 0);
	assert_true(usage.layer_bytes > usage.cache_bytes);
	assert_true(usage.other_bytes > 0);
	prune(&world, PRUNE_CACHE | PRUNE_DANGLING | PRUNE_IMAGES);
	assert_ok(store_usage(world.store, &usage, &err), err);
	assert_int_equal(usage.image_bytes + usage.cache_bytes + usage.layer_bytes, 0);
	store_close(world.store);
}

/* ---- reset ---- */

static int reset(struct scratch *scratch, const char *name, struct err *err)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", scratch->path, name);
	return store_reset(path, 0, err);
}

static void a_reset_removes_the_whole_store_even_a_damaged_one(void **state)
{
	struct scratch *scratch = *state;
	struct world world = make_world(scratch);
	struct err err = { 0 };

	assert_int_equal(reset(scratch, "store", &err), -1);
	assert_true(err_is_errno(&err, EBUSY));
	store_close(world.store);
	assert_ok(reset(scratch, "store", &err), err);
	assert_false(has_name(scratch->fd, "store"));
	assert_ok(reset(scratch, "store", &err), err);

	store_close(open_store(scratch, STORE_CREATE));
	put_file(scratch->fd, "store/version", "garbage");
	assert_int_equal(unlinkat(scratch->fd, "store/lock", 0), 0);
	assert_ok(reset(scratch, "store", &err), err);
	assert_false(has_name(scratch->fd, "store"));
}

static void a_reset_removes_nothing_else(void **state)
{
	struct scratch *scratch = *state;
	struct err err = { 0 };

	put_dir(scratch->fd, "home");
	put_dir(scratch->fd, "home/images");
	put_file(scratch->fd, "home/thesis.tex", "x");
	assert_int_equal(reset(scratch, "home", &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	assert_int_equal(count_names(scratch->fd, "home"), 2);
	store_close(open_store(scratch, STORE_CREATE));
	put_file(scratch->fd, "store/mine", "x");
	assert_ok(reset(scratch, "store", &err), err);
	assert_int_equal(count_names(scratch->fd, "store"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_plain_prune_removes_only_what_nothing_reaches),
		scratch_test(pruning_the_cache_keeps_the_images),
		scratch_test(pruning_dangling_images_keeps_named_ones_and_the_cache),
		scratch_test(pruning_everything_leaves_an_empty_store),
		scratch_test(pruning_images_keeps_what_the_cache_reaches),
		scratch_test(cache_records_without_their_layer_go_with_it),
		scratch_test(a_store_in_use_is_not_pruned),
		scratch_test(usage_tells_images_from_cache),
		scratch_test(a_reset_removes_the_whole_store_even_a_damaged_one),
		scratch_test(a_reset_removes_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
