/* SPDX-License-Identifier: Apache-2.0 */
#include "image-fixture.h"

/* One image of two layers as docker save writes it; the parts can be changed before it is put together. */
struct archive {
	struct arena arena;
	struct strbuf layers[2], config, tar;
	const char *layer_paths[2];
	const char *config_path;
	const char *tags; /* JSON */
	bool is_reversed;
};

static void archive_init(struct archive *archive)
{
	*archive = (struct archive){ .tags = "[\"app:1\"]" };
	make_layer_tar(&archive->layers[0], "etc/one", "first");
	make_layer_tar(&archive->layers[1], "etc/two", "second");
	make_config(&archive->arena, &archive->config, NULL, archive->layers, 2);
	archive->layer_paths[0] = "aaaa/layer.tar";
	archive->layer_paths[1] = "bbbb/layer.tar";
	archive->config_path = arena_printf(&archive->arena, "%s.json", hex_of(&archive->arena, &archive->config));
}

static void archive_release(struct archive *archive)
{
	strbuf_release(&archive->layers[0]);
	strbuf_release(&archive->layers[1]);
	strbuf_release(&archive->config);
	strbuf_release(&archive->tar);
	arena_release(&archive->arena);
}

static const char *manifest_json(struct archive *archive)
{
	return arena_printf(&archive->arena, "[{\"Config\":\"%s\",\"RepoTags\":%s,\"Layers\":[\"%s\",\"%s\"]}]",
			    archive->config_path, archive->tags, archive->layer_paths[0], archive->layer_paths[1]);
}

static void archive_build(struct archive *archive)
{
	if (!archive->is_reversed) {
		tar_file(&archive->tar, "manifest.json", manifest_json(archive));
		tar_bytes(&archive->tar, archive->config_path, &archive->config);
	}
	tar_bytes(&archive->tar, archive->layer_paths[1], &archive->layers[1]);
	tar_bytes(&archive->tar, archive->layer_paths[0], &archive->layers[0]);
	if (archive->is_reversed) {
		tar_bytes(&archive->tar, archive->config_path, &archive->config);
		tar_file(&archive->tar, "manifest.json", manifest_json(archive));
	}
	tar_end(&archive->tar);
}

/* Loads bytes from a file and expects the image, with its name. */
static void assert_loads(struct scratch *scratch, struct archive *archive, const struct strbuf *bytes)
{
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	struct image_loaded *loaded;
	struct image image;
	struct err err = { 0 };
	size_t count;
	const char *path = write_archive(scratch, &archive->arena, "archive", bytes);

	assert_ok(image_load(store, &archive->arena, path, NULL, true, NULL, &loaded, &count, &err), err);
	assert_int_equal(count, 1);
	assert_string_equal(digest_str(&archive->arena, &loaded[0].id), digest_of(&archive->arena, &archive->config));
	assert_ok(image_find(store, &archive->arena, "app:1", &image, &err), err);
	assert_int_equal(image.diff_id_count, 2);
	assert_layer_file(store, &image.diff_ids[0], "etc/one", "first");
	assert_layer_file(store, &image.diff_ids[1], "etc/two", "second");
	assert_int_equal(count_names(store_fd(store), "tmp"), 0);
	assert_sound(store);
}

static void assert_fails(struct scratch *scratch, struct archive *archive, enum err_kind kind, const char *why)
{
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	struct image_loaded *loaded;
	struct err err = { 0 };
	size_t count;
	const char *path = write_archive(scratch, &archive->arena, "archive", &archive->tar);

	assert_int_equal(image_load(store, &archive->arena, path, NULL, true, NULL, &loaded, &count, &err), -1);
	if (!strstr(err.msg, why))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
	assert_int_equal(err.kind, kind);
	assert_empty(store);
}

static void an_archive_loads_whatever_the_order_of_its_entries(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct scratch *scratch = *state;
		struct archive archive;
		struct err err = { 0 };
		archive_init(&archive);
		archive.is_reversed = i;
		archive_build(&archive);
		assert_loads(scratch, &archive, &archive.tar);
		assert_ok(file_remove_tree(scratch->fd, "store", &err), err);
		archive_release(&archive);
	}
}

static void an_archive_may_be_compressed_outside(void **state)
{
	static const enum compression compressions[] = { COMPRESSION_GZIP, COMPRESSION_ZSTD };

	for (size_t i = 0; i < ARRAY_LEN(compressions); i++) {
		struct scratch *scratch = *state;
		struct archive archive;
		struct strbuf compressed = { 0 };
		struct err err = { 0 };
		archive_init(&archive);
		archive_build(&archive);
		compress_into(&compressed, &archive.tar, compressions[i]);
		assert_loads(scratch, &archive, &compressed);
		assert_ok(file_remove_tree(scratch->fd, "store", &err), err);
		strbuf_release(&compressed);
		archive_release(&archive);
	}
}

static void layers_may_be_compressed_inside(void **state)
{
	struct archive archive;
	struct strbuf plain[2];

	archive_init(&archive);
	for (int i = 0; i < 2; i++) {
		plain[i] = archive.layers[i];
		archive.layers[i] = (struct strbuf){ 0 };
		compress_into(&archive.layers[i], &plain[i], i ? COMPRESSION_ZSTD : COMPRESSION_GZIP);
		strbuf_release(&plain[i]);
	}
	archive_build(&archive);
	assert_loads(*state, &archive, &archive.tar);
	archive_release(&archive);
}

static void layers_may_be_links_to_other_entries(void **state)
{
	struct archive archive;

	archive_init(&archive);
	tar_file(&archive.tar, "manifest.json", manifest_json(&archive));
	tar_bytes(&archive.tar, archive.config_path, &archive.config);
	tar_symlink(&archive.tar, "aaaa/layer.tar", "../first.tar");
	tar_symlink(&archive.tar, "bbbb/layer.tar", "../cccc/layer.tar");
	tar_symlink(&archive.tar, "cccc/layer.tar", "../second.tar");
	tar_bytes(&archive.tar, "first.tar", &archive.layers[0]);
	tar_bytes(&archive.tar, "second.tar", &archive.layers[1]);
	tar_end(&archive.tar);
	assert_loads(*state, &archive, &archive.tar);
	archive_release(&archive);
}

static void links_that_go_round_or_out_are_refused(void **state)
{
	static const char *const targets[] = { "layer.tar", "../../../etc/passwd", "/etc/passwd", "../nowhere" };

	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		struct archive archive;
		archive_init(&archive);
		tar_file(&archive.tar, "manifest.json", manifest_json(&archive));
		tar_bytes(&archive.tar, archive.config_path, &archive.config);
		tar_symlink(&archive.tar, "aaaa/layer.tar", targets[i]);
		tar_bytes(&archive.tar, archive.layer_paths[1], &archive.layers[1]);
		tar_end(&archive.tar);
		assert_fails(*state, &archive, ERR_NOT_FOUND, "aaaa/layer.tar");
		archive_release(&archive);
	}
}

static void an_archive_without_names_loads_by_id(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct archive archive;
	struct image_loaded *loaded;
	struct image image;
	struct err err = { 0 };
	size_t count;

	archive_init(&archive);
	archive.tags = "null";
	archive_build(&archive);
	const char *path = write_archive(*state, &archive.arena, "archive", &archive.tar);
	assert_ok(image_load(store, &archive.arena, path, NULL, true, NULL, &loaded, &count, &err), err);
	assert_int_equal(loaded[0].name_count, 0);
	const char *id = digest_str(&archive.arena, &loaded[0].id);
	assert_ok(image_find(store, &archive.arena, arena_strndup(&archive.arena, id, 7 + 8), &image, &err), err);
	assert_int_equal(count_names(store_fd(store), "names"), 0);
	/* It has to survive like any other. */
	assert_int_equal(count_names(store_fd(store), "unsynced"), 1);
	archive_release(&archive);
}

static void one_of_several_images_can_be_chosen(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct archive archive;
	struct image_loaded *loaded;
	struct strbuf config = { 0 };
	struct err err = { 0 };
	size_t count;

	archive_init(&archive);
	make_config(&archive.arena, &config, NULL, archive.layers, 1);
	tar_file(&archive.tar, "manifest.json",
		 arena_printf(&archive.arena,
			      "[{\"Config\":\"c1\",\"RepoTags\":[\"app:1\",\"app:one\"],\"Layers\":[\"a\",\"b\"]},"
			      "{\"Config\":\"c2\",\"RepoTags\":[\"localhost/other:2\"],\"Layers\":[\"a\"]}]"));
	tar_bytes(&archive.tar, "c1", &archive.config);
	tar_bytes(&archive.tar, "c2", &config);
	tar_bytes(&archive.tar, "a", &archive.layers[0]);
	tar_bytes(&archive.tar, "b", &archive.layers[1]);
	tar_end(&archive.tar);
	const char *path = write_archive(*state, &archive.arena, "archive", &archive.tar);
	assert_int_equal(image_load(store, &archive.arena, path, "app:2", true, NULL, &loaded, &count, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(err.msg, "app:1, app:one, localhost/other:2"));
	assert_ok(image_load(store, &archive.arena, path, "localhost/other:2", false, NULL, &loaded, &count, &err),
		  err);
	assert_int_equal(count, 1);
	assert_string_equal(digest_str(&archive.arena, &loaded[0].id), digest_of(&archive.arena, &config));
	assert_int_equal(count_names(store_fd(store), "layers"), 1);
	assert_int_equal(count_names(store_fd(store), "names"), 0);
	assert_ok(image_load(store, &archive.arena, path, NULL, true, NULL, &loaded, &count, &err), err);
	assert_int_equal(count, 2);
	assert_int_equal(loaded[0].name_count, 2);
	assert_int_equal(count_names(store_fd(store), "names"), 3);
	assert_int_equal(count_names(store_fd(store), "layers"), 2);
	assert_sound(store);
	strbuf_release(&config);
	archive_release(&archive);
}

static void damaged_archives_leave_nothing_behind(void **state)
{
	struct archive archive;

	archive_init(&archive);
	archive.layers[1].ptr[TAR_BLOCK + 10] ^= 1; /* the checksum of the second header */
	archive_build(&archive);
	assert_fails(*state, &archive, ERR_CORRUPT, "it is damaged: uncompressed it has the digest");
	archive_release(&archive);

	archive_init(&archive);
	archive.layers[1].ptr[2 * TAR_BLOCK + 1] ^= 1; /* contents */
	archive_build(&archive);
	assert_fails(*state, &archive, ERR_CORRUPT, "uncompressed it has the digest");
	archive_release(&archive);

	archive_init(&archive);
	archive.config.ptr[archive.config.len - 2] = ' ';
	archive.config_path = arena_printf(&archive.arena, "%.60s0000.json", archive.config_path);
	archive_build(&archive);
	assert_fails(*state, &archive, ERR_CORRUPT, "another digest");
	archive_release(&archive);

	archive_init(&archive);
	archive_build(&archive);
	strbuf_truncate(&archive.tar, archive.tar.len - TAR_TRAILER - 700);
	assert_fails(*state, &archive, ERR_INPUT, "archive");
	archive_release(&archive);
}

static void archives_that_contradict_themselves_are_refused(void **state)
{
	struct archive archive;

	archive_init(&archive);
	tar_file(&archive.tar, "manifest.json",
		 arena_printf(&archive.arena, "[{\"Config\":\"%s\",\"Layers\":[\"aaaa/layer.tar\"]}]",
			      archive.config_path));
	archive.layer_paths[0] = "aaaa/layer.tar";
	tar_bytes(&archive.tar, archive.config_path, &archive.config);
	tar_bytes(&archive.tar, "aaaa/layer.tar", &archive.layers[0]);
	tar_end(&archive.tar);
	assert_fails(*state, &archive, ERR_INPUT, "1 layers and its configuration 2");
	archive_release(&archive);

	archive_init(&archive);
	archive.layer_paths[1] = archive.layer_paths[0];
	archive_build(&archive);
	assert_fails(*state, &archive, ERR_INPUT, "twice");
	archive_release(&archive);

	archive_init(&archive);
	archive.layer_paths[0] = "../layer.tar";
	archive_build(&archive);
	assert_fails(*state, &archive, ERR_INPUT, "..");
	archive_release(&archive);
}

static void what_is_no_image_archive_is_told_so(void **state)
{
	struct archive archive;

	archive_init(&archive);
	tar_file(&archive.tar, "repositories", "{}");
	tar_end(&archive.tar);
	assert_fails(*state, &archive, ERR_UNSUPPORTED, "older than 1.10");
	archive_release(&archive);

	archive_init(&archive);
	make_layer_tar(&archive.tar, "etc/passwd", "x");
	assert_fails(*state, &archive, ERR_INPUT, "kiln import");
	archive_release(&archive);

	archive_init(&archive);
	strbuf_addstr(&archive.tar, "this is no archive at all, only some text that is long enough to be looked at");
	assert_fails(*state, &archive, ERR_INPUT, "archive");
	archive_release(&archive);

	archive_init(&archive);
	tar_file(&archive.tar, "manifest.json", "{}");
	tar_end(&archive.tar);
	assert_fails(*state, &archive, ERR_INPUT, "not a list");
	archive_release(&archive);
}

static void layers_that_the_store_has_are_not_unpacked_again(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	struct archive archive;
	struct image_loaded *loaded;
	struct stat before, after;
	struct err err = { 0 };
	size_t count;

	archive_init(&archive);
	archive_build(&archive);
	const char *path = write_archive(scratch, &archive.arena, "archive", &archive.tar);
	const char *tree = arena_printf(&archive.arena, "store/layers/%s/tree",
					hex_of(&archive.arena, &archive.layers[0]));
	assert_ok(image_load(store, &archive.arena, path, NULL, true, NULL, &loaded, &count, &err), err);
	assert_int_equal(fstatat(scratch->fd, tree, &before, 0), 0);
	assert_ok(image_load(store, &archive.arena, path, NULL, true, NULL, &loaded, &count, &err), err);
	assert_int_equal(fstatat(scratch->fd, tree, &after, 0), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(count_names(store_fd(store), "images"), 1);
	archive_release(&archive);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(an_archive_loads_whatever_the_order_of_its_entries),
		scratch_test(an_archive_may_be_compressed_outside),
		scratch_test(layers_may_be_compressed_inside),
		scratch_test(layers_may_be_links_to_other_entries),
		scratch_test(links_that_go_round_or_out_are_refused),
		scratch_test(an_archive_without_names_loads_by_id),
		scratch_test(one_of_several_images_can_be_chosen),
		scratch_test(damaged_archives_leave_nothing_behind),
		scratch_test(archives_that_contradict_themselves_are_refused),
		scratch_test(what_is_no_image_archive_is_told_so),
		scratch_test(layers_that_the_store_has_are_not_unpacked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
