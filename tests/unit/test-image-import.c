/* SPDX-License-Identifier: Apache-2.0 */
#include "image-fixture.h"

#define NAME  "docker.io/library/base:1"
#define EPOCH 1000000000

static int import(struct scratch *scratch, struct store *store, struct arena *arena, const char *path,
		  struct digest *id, struct err *err)
{
	struct platform platform = platform_host();
	struct image_config *config = image_config_scratch(arena, &platform);

	return image_import(store, arena, path[0] == '-' ? path : scratch_path(scratch, arena, path), config, EPOCH,
			    NULL, NAME, id, err);
}

static struct digest imported(struct scratch *scratch, struct store *store, const char *path)
{
	scope_arena struct arena arena = { 0 };
	struct digest id;
	struct err err = { 0 };

	assert_ok(import(scratch, store, &arena, path, &id, &err), err);
	return id;
}

static void make_rootfs_tar(struct strbuf *tar, bool is_messy)
{
	if (is_messy) {
		tar_add(tar, ".", S_IFDIR | 0755, "", 0, NULL, false);
		tar_add(tar, "./etc/", S_IFDIR | 0755, "", 0, NULL, false);
		tar_file(tar, "./etc/text", "old");
		tar_file(tar, "./etc/text", "hello");
		tar_symlink(tar, "./bin", "usr/bin");
	} else {
		tar_symlink(tar, "bin", "usr/bin");
		tar_dir(tar, "etc");
		tar_file(tar, "etc/text", "hello");
	}
	tar_end(tar);
}

static void however_it_comes_the_same_tree_is_the_same_image(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_strbuf struct strbuf plain = { 0 }, messy = { 0 }, gzip = { 0 }, zstd = { 0 };
	scope_arena struct arena arena = { 0 };

	make_rootfs_tar(&plain, false);
	make_rootfs_tar(&messy, true);
	compress_into(&gzip, &plain, COMPRESSION_GZIP);
	compress_into(&zstd, &messy, COMPRESSION_ZSTD);
	write_archive(scratch, &arena, "plain", &plain);
	write_archive(scratch, &arena, "messy", &messy);
	write_archive(scratch, &arena, "gzip", &gzip);
	write_archive(scratch, &arena, "zstd", &zstd);
	put_dir(scratch->fd, "dir");
	put_dir(scratch->fd, "dir/etc");
	put_file(scratch->fd, "dir/etc/text", "hello");
	put_link(scratch->fd, "dir/bin", "usr/bin");

	struct digest first = imported(scratch, store, "plain");
	static const char *const others[] = { "messy", "gzip", "zstd", "dir" };
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct digest other = imported(scratch, store, others[i]);
		if (!digest_equal(&first, &other))
			fail_msg("%s gives another image", others[i]);
	}
	assert_int_equal(count_names(store_fd(store), "layers"), 1);
	assert_int_equal(count_names(store_fd(store), "tmp"), 0);
	assert_sound(store);
}

static void an_imported_image_has_a_name_a_history_and_no_blob(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_strbuf struct strbuf tar = { 0 };
	scope_arena struct arena arena = { 0 };
	struct layer_info info;
	struct image image;
	struct err err = { 0 };

	make_rootfs_tar(&tar, false);
	write_archive(scratch, &arena, "tar", &tar);
	struct digest id = imported(scratch, store, "tar");
	assert_ok(image_find(store, &arena, "base:1", &image, &err), err);
	assert_true(digest_equal(&image.id, &id));
	assert_string_equal(image.config.created, "2001-09-09T01:46:40Z");
	assert_int_equal(image.config.history_count, 1);
	assert_string_equal(image.config.history[0].comment, "Imported from -");
	assert_string_equal(image.config.history[0].created, "2001-09-09T01:46:40Z");
	assert_ok(store_layer_info(store, &arena, &image.diff_ids[0], &info, &err), err);
	assert_true(info.has_recipe);
	assert_int_equal(info.blob_count, 0);
	assert_int_equal(image.record.size, info.size);
	assert_int_equal(count_names(store_fd(store), "blobs/sha256"), 1);
}

static void standard_input_is_read(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_strbuf struct strbuf tar = { 0 };
	scope_arena struct arena arena = { 0 };

	make_rootfs_tar(&tar, false);
	write_archive(scratch, &arena, "tar", &tar);
	struct digest from_file = imported(scratch, store, "tar");
	scope_fd int saved = dup(STDIN_FILENO);
	scope_fd int fd = openat(scratch->fd, "tar", O_RDONLY | O_CLOEXEC);
	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	struct digest from_stdin = imported(scratch, store, "-");
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	assert_true(digest_equal(&from_file, &from_stdin));
}

static void assert_refused(struct scratch *scratch, const char *path, const char *why)
{
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	scope_arena struct arena arena = { 0 };
	struct digest id;
	struct err err = { 0 };

	assert_int_equal(import(scratch, store, &arena, path, &id, &err), -1);
	if (!strstr(err.msg, why))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
	assert_empty(store);
}

static void what_cannot_be_a_root_file_system_is_refused(void **state)
{
	struct scratch *scratch = *state;
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf tar = { 0 };

	assert_refused(scratch, "missing", "missing");
	put_file(scratch->fd, "text", "no archive, but long enough to be looked at");
	assert_refused(scratch, "text", "text");
	tar_file(&tar, "etc/.wh.gone", "x");
	tar_end(&tar);
	write_archive(scratch, &arena, "marks", &tar);
	assert_refused(scratch, "marks", ".wh.gone");
	strbuf_reset(&tar);
	tar_file(&tar, "../out", "x");
	tar_end(&tar);
	write_archive(scratch, &arena, "out", &tar);
	assert_refused(scratch, "out", "..");
	assert_false(has_name(scratch->fd, "out/../../out"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(however_it_comes_the_same_tree_is_the_same_image),
		scratch_test(an_imported_image_has_a_name_a_history_and_no_blob),
		scratch_test(standard_input_is_read),
		scratch_test(what_cannot_be_a_root_file_system_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
