/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

/*
 * Every kind of file in a store, damaged in every way that it can be: verify must find it, nothing may crash or hang, and
 * after a repair the store is sound and works.
 */

#define NAME "docker.io/library/app:latest"

/* The layer's blob is the tar itself, and it has no recipe: as one that was loaded. */
static struct digest put_loaded_layer(struct store *store, const char *text)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf tar = { 0 };
	struct digest layer = put_layer(store, text), blob;
	struct store_work work;
	struct layer_info info;
	struct err err = { 0 };
	char hex[DIGEST_HEX + 1], path[128];

	scope_writer struct writer *out = writer_strbuf(&tar);
	assert_ok(store_layer_tar(store, &layer, out, &err), err);
	assert_ok(store_blob_put(store, tar.ptr, tar.len, &blob, &err), err);
	assert_ok(store_layer_info(store, &arena, &layer, &info, &err), err);
	struct layer_blob known = { MEDIA_OCI_LAYER, digest_str(&arena, &blob), (int64_t)tar.len, "" };
	info.blobs = &known;
	info.blob_count = 1;
	assert_ok(store_work_new(store, &work, &err), err);
	snprintf(path, sizeof(path), "layers/%s", digest_hex(&layer, hex));
	assert_int_equal(renameat(store_fd(store), path, work.fd, "old"), 0);
	assert_int_equal(renameat(work.fd, "old/tree", work.fd, "tree"), 0);
	assert_ok(store_layer_publish(store, &work, "tree", NULL, &info, &err), err);
	store_work_end(store, &work);
	return layer;
}

static void fill(struct store *store)
{
	struct digest layers[] = { put_layer(store, "made here"), put_loaded_layer(store, "came from outside") };
	struct cache_record record = { layers[0], 1, "RUN x" };
	struct digest image = put_image(store, layers, 2, "u"), key;
	struct err err = { 0 };

	digest_bytes(&key, "key", 3);
	assert_ok(store_cache_put(store, &key, &record, &err), err);
	assert_ok(store_name_set(store, NAME, &image, &err), err);
}

/* ---- all files of the store, by name ---- */

static void list_files(int root, const char *dir, struct strvec *files)
{
	int fd = openat(root, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *stream = fdopendir(fd);

	assert_non_null(stream);
	for (struct dirent *entry; (entry = readdir(stream));) {
		scope_strbuf struct strbuf path = { 0 };
		struct stat st;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		strbuf_addf(&path, "%s/%s", dir, entry->d_name);
		assert_int_equal(fstatat(root, path.ptr, &st, AT_SYMLINK_NOFOLLOW), 0);
		strvec_push(files, path.ptr);
		if (S_ISDIR(st.st_mode))
			list_files(root, path.ptr, files);
	}
}

static void list_all(struct store *store, struct strvec *files)
{
	static const char *const dirs[] = { "blobs/sha256", "layers", "images", "names", "cache" };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		list_files(store_fd(store), dirs[i], files);
}

/* ---- damages: each returns false where it does not apply ---- */

static bool is_file(int root, const char *path, struct stat *st)
{
	return fstatat(root, path, st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st->st_mode);
}

/* Rewrites a file whatever its mode, and leaves its mode and time as they were. */
static void rewrite(int root, const char *path, const char *bytes, size_t len)
{
	struct stat st;

	assert_int_equal(fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	const struct timespec times[2] = { st.st_atim, st.st_mtim };
	assert_int_equal(fchmodat(root, path, 0600, 0), 0);
	scope_fd int fd = openat(root, path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(fchmod(fd, st.st_mode & 07777), 0);
	assert_int_equal(futimens(fd, times), 0);
}

static bool flip(int root, const char *path)
{
	scope_strbuf struct strbuf text = { 0 };
	struct stat st;

	if (!is_file(root, path, &st) || st.st_size == 0)
		return false;
	assert_int_equal(file_read(root, path, 1 << 20, &text, NULL), 0);
	/* In a record the last byte is a newline, and numbers may change unnoticed; the first bytes matter. */
	text.ptr[text.len / 2 > 3 ? 3 : text.len / 2] ^= 1;
	rewrite(root, path, text.ptr, text.len);
	return true;
}

static bool cut(int root, const char *path)
{
	scope_strbuf struct strbuf text = { 0 };
	struct stat st;

	if (!is_file(root, path, &st) || st.st_size < 3)
		return false;
	assert_int_equal(file_read(root, path, 1 << 20, &text, NULL), 0);
	rewrite(root, path, text.ptr, text.len - 2);
	return true;
}

static bool empty(int root, const char *path)
{
	struct stat st;

	if (!is_file(root, path, &st) || st.st_size == 0)
		return false;
	rewrite(root, path, "", 0);
	return true;
}

static bool fill_with_zeros(int root, const char *path)
{
	static const char zeros[1 << 16];
	struct stat st;

	if (!is_file(root, path, &st) || st.st_size == 0)
		return false;
	rewrite(root, path, zeros, (size_t)st.st_size);
	return true;
}

static bool replace(int root, const char *path)
{
	struct err err = { 0 };

	assert_ok(file_remove_tree(root, path, &err), err);
	return true;
}

static bool replace_by_dir(int root, const char *path)
{
	struct stat st;

	if (!is_file(root, path, &st) || !replace(root, path))
		return false;
	put_dir(root, path);
	return true;
}

static bool replace_by_link(int root, const char *path)
{
	if (!replace(root, path))
		return false;
	put_link(root, path, "/nowhere");
	return true;
}

static bool replace_by_fifo(int root, const char *path)
{
	return replace(root, path) && mkfifoat(root, path, 0600) == 0;
}

static bool change_mode(int root, const char *path)
{
	struct stat st;

	/* root reads what it likes, and blobs and records may have any mode. */
	if (!strstr(path, "/tree/") || fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISLNK(st.st_mode))
		return false;
	return fchmodat(root, path, 0711, 0) == 0;
}

struct damage {
	const char *name;
	bool (*apply)(int root, const char *path);
};
static const struct damage damages[] = {
	{ "flip a bit of", flip },
	{ "cut", cut },
	{ "empty", empty },
	{ "write zeros over", fill_with_zeros },
	{ "remove", replace },
	{ "replace by a directory", replace_by_dir },
	{ "replace by a link", replace_by_link },
	{ "replace by a fifo", replace_by_fifo },
	{ "change the mode of", change_mode },
};

/* What may be lost without harm: a missing record is no damage. */
static bool may_be_missing(const struct damage *damage, const char *path)
{
	return damage->apply == replace && (text_starts(path, "cache/") || text_starts(path, "names/"));
}

/* Everything that a command could do with such a store. None may crash; what they return does not matter. */
static void use(struct store *store)
{
	scope_arena struct arena arena = { 0 };
	struct store_name *names;
	struct image_record record;
	struct cache_record cached;
	struct store_usage usage;
	struct digest image, key;
	struct err err;
	size_t count;

	digest_bytes(&key, "key", 3);
	assert_ok(store_names(store, &arena, &names, &count, &err), err);
	assert_true(store_cache_get(store, &arena, &key, &cached, &err) >= 0);
	assert_ok(store_usage(store, &usage, &err), err);
	if (store_name_get(store, NAME, &image, &err) < 0 || store_image_get(store, &arena, &image, &record, &err) < 0)
		return;
	for (size_t i = 0; i < record.diff_id_count; i++) {
		scope_writer struct writer *out = writer_null();
		if (store_layer_tar(store, &record.diff_ids[i], out, &err) < 0)
			assert_true(err.kind == ERR_CORRUPT || err.kind == ERR_NOT_FOUND || err.kind == ERR_SYSTEM);
	}
}

static void damage_and_repair(struct scratch *scratch, const struct damage *damage, size_t number, int *applied)
{
	struct strvec files = { 0 }, found = { 0 };
	struct err err = { 0 };
	struct store *store = open_store(scratch, STORE_CREATE);

	fill(store);
	list_all(store, &files);
	if (number < files.count && damage->apply(store_fd(store), files.items[number])) {
		++*applied;
		int problems = verify_store(store, false, &found);
		if (problems == 0 && !may_be_missing(damage, files.items[number]))
			fail_msg("%s %s: not found", damage->name, files.items[number]);
		use(store);
		verify_store(store, true, NULL);
		strvec_release(&found);
		found = (struct strvec){ 0 };
		if (verify_store(store, false, &found) != 0)
			fail_msg("%s %s: after the repair: %s", damage->name, files.items[number], found.items[0]);
		use(store);
	}
	if (number % 8 == 0) {
		fill(store);
		assert_sound(store);
	}
	strvec_release(&files);
	strvec_release(&found);
	store_close(store);
	assert_ok(file_remove_tree(scratch->fd, "store", &err), err);
}

static void every_damage_of_every_file_is_found_and_repaired(void **state)
{
	struct scratch *scratch = *state;
	struct strvec files = { 0 };
	struct err err = { 0 };
	int applied = 0;

	struct store *store = open_store(scratch, STORE_CREATE);
	fill(store);
	list_all(store, &files);
	store_close(store);
	assert_ok(file_remove_tree(scratch->fd, "store", &err), err);
	assert_true(files.count > 15);
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		for (size_t j = 0; j < files.count; j++)
			damage_and_repair(scratch, &damages[i], j, &applied);
	}
	strvec_release(&files);
	assert_true(applied > 100);
}

static void swapped_blobs_are_found(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest a, b;
	char a_path[128], b_path[128], hex[DIGEST_HEX + 1];
	struct err err = { 0 };

	assert_ok(store_blob_put(store, "aaaa", 4, &a, &err), err);
	assert_ok(store_blob_put(store, "bbbb", 4, &b, &err), err);
	snprintf(a_path, sizeof(a_path), "blobs/sha256/%s", digest_hex(&a, hex));
	snprintf(b_path, sizeof(b_path), "blobs/sha256/%s", digest_hex(&b, hex));
	assert_int_equal(renameat2(store_fd(store), a_path, store_fd(store), b_path, RENAME_EXCHANGE), 0);
	assert_int_equal(verify_store(store, false, NULL), 2);
	assert_int_equal(verify_store(store, true, NULL), 2);
	assert_int_equal(count_names(store_fd(store), "blobs/sha256"), 0);
}

static void what_does_not_belong_in_a_store_is_found(void **state)
{
	static const char *const paths[] = { "blobs/sha256/x", "layers/x", "images/x", "names/%", "cache/x" };
	scope_store struct store *store = open_store(*state, STORE_CREATE);

	fill(store);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		put_file(store_fd(store), paths[i], "x");
	assert_int_equal(verify_store(store, false, NULL), ARRAY_LEN(paths));
	assert_int_equal(verify_store(store, true, NULL), ARRAY_LEN(paths));
	assert_sound(store);
	struct digest image;
	struct err err = { 0 };
	assert_ok(store_name_get(store, NAME, &image, &err), err);
}

static void something_more_in_a_loaded_tree_is_found(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct digest layer = put_loaded_layer(store, "x");
	struct strvec found = { 0 };
	char path[200], hex[DIGEST_HEX + 1];

	snprintf(path, sizeof(path), "layers/%s/tree/extra", digest_hex(&layer, hex));
	put_file(store_fd(store), path, "x");
	assert_int_equal(verify_store(store, false, &found), 1);
	assert_non_null(strstr(found.items[0], "extra"));
	assert_non_null(strstr(found.items[0], hex));
	strvec_release(&found);
}

/* A limit of nothing stands for a disk that is full. */
static void a_layer_that_cannot_be_checked_for_want_of_room_is_no_damage(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct rlimit saved, none;
	struct err err = { 0 };

	fill(store);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &saved), 0);
	none = (struct rlimit){ 0, saved.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	int problems = store_verify(store, true, NULL, NULL, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &saved), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(problems, -1);
	assert_true(err_is_errno(&err, EFBIG));
	assert_int_equal(store_verify(store, false, NULL, NULL, &err), 0);
}

static void a_store_in_use_is_not_repaired(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_store struct store *other = open_store(*state, 0);
	struct err err = { 0 };

	put_file(store_fd(other), "images/x", "x");
	assert_int_equal(store_verify(store, true, NULL, NULL, &err), -1);
	assert_true(err_is_errno(&err, EBUSY));
	assert_int_equal(verify_store(store, false, NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(every_damage_of_every_file_is_found_and_repaired),
		scratch_test(swapped_blobs_are_found),
		scratch_test(what_does_not_belong_in_a_store_is_found),
		scratch_test(something_more_in_a_loaded_tree_is_found),
		scratch_test(a_layer_that_cannot_be_checked_for_want_of_room_is_no_damage),
		scratch_test(a_store_in_use_is_not_repaired),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
