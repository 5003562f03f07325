/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>

#include "kiln/context/context.h"

/* Each test has a context "c" and the cache file "stat" beside it. */
struct fixture {
	struct scratch *scratch;
	int context_fd;
};

static struct fixture fixture_of(void **state)
{
	struct scratch *scratch = *state;

	if (!has_name(scratch->fd, "c"))
		put_dir(scratch->fd, "c");
	return (struct fixture){ scratch, openat(scratch->fd, "c", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
}

/* One build: the digest of everything, and how many files the cache knew. */
static struct digest build(const struct fixture *fixture, int64_t *hits)
{
	scope_arena struct arena arena = { 0 };
	struct stat_cache *cache = stat_cache_open(fixture->scratch->fd, "stat");
	struct source source = { .root = { fixture->context_fd, ROOT_CHROOT }, .cache = cache };
	const char *word = ".";
	struct copy_spec spec = { .sources = &word, .source_count = 1, .dest = "/n" };
	struct copy_plan plan;
	struct digest digest;
	struct err err = { 0 };

	assert_ok(copy_select(&arena, &source, &spec, &plan, &err), err);
	assert_ok(copy_digest(&source, &plan, &digest, NULL, NULL, &err), err);
	*hits = stat_cache_hits(cache);
	stat_cache_close(cache, true);
	return digest;
}

/* Longer than the cache takes a file system's clock to blur. */
static void come_to_rest(void)
{
	usleep(150000);
}

static void files_at_rest_are_read_once(void **state)
{
	struct fixture fixture = fixture_of(state);
	int64_t hits;

	put_file(fixture.context_fd, "a", "1");
	put_dir(fixture.context_fd, "d");
	put_file(fixture.context_fd, "d/b", "2");
	come_to_rest();
	struct digest first = build(&fixture, &hits);
	assert_int_equal(hits, 0);
	struct digest second = build(&fixture, &hits);
	assert_int_equal(hits, 2);
	assert_true(digest_equal(&first, &second));
	close(fixture.context_fd);
}

static void what_was_just_changed_is_not_remembered(void **state)
{
	struct fixture fixture = fixture_of(state);
	int64_t hits;

	put_file(fixture.context_fd, "old", "1");
	come_to_rest();
	put_file(fixture.context_fd, "new", "1");
	build(&fixture, &hits);
	build(&fixture, &hits);
	assert_int_equal(hits, 1);
	close(fixture.context_fd);
}

static void put_back_mtime(int dir_fd, const char *name, const struct stat *st)
{
	assert_int_equal(utimensat(dir_fd, name, (struct timespec[]){ st->st_atim, st->st_mtim }, 0), 0);
}

static void a_change_of_the_same_size_with_the_time_put_back_is_seen(void **state)
{
	struct fixture fixture = fixture_of(state);
	struct stat st;
	int64_t hits;

	put_file(fixture.context_fd, "f", "one");
	come_to_rest();
	struct digest first = build(&fixture, &hits);
	assert_int_equal(fstatat(fixture.context_fd, "f", &st, 0), 0);
	put_file(fixture.context_fd, "f", "two");
	put_back_mtime(fixture.context_fd, "f", &st);
	struct digest second = build(&fixture, &hits);
	assert_int_equal(hits, 0);
	assert_false(digest_equal(&first, &second));
	close(fixture.context_fd);
}

static void another_file_of_the_same_stamps_is_read(void **state)
{
	struct fixture fixture = fixture_of(state);
	struct stat st;
	int64_t hits;

	put_file(fixture.context_fd, "f", "one");
	put_file(fixture.context_fd, "g", "two");
	assert_int_equal(fstatat(fixture.context_fd, "f", &st, 0), 0);
	put_back_mtime(fixture.context_fd, "g", &st);
	come_to_rest();
	struct digest first = build(&fixture, &hits);
	assert_int_equal(renameat(fixture.context_fd, "g", fixture.context_fd, "f"), 0);
	put_file(fixture.context_fd, "g", "two");
	struct digest second = build(&fixture, &hits);
	assert_int_equal(hits, 0);
	assert_false(digest_equal(&first, &second));
	close(fixture.context_fd);
}

/* A cache that was cut anywhere, or has a bit turned, may know less, but never says something wrong. */
static void a_damaged_cache_is_only_slower(void **state)
{
	struct fixture fixture = fixture_of(state);
	scope_strbuf struct strbuf whole = { 0 };
	struct err err = { 0 };
	int64_t hits;

	put_file(fixture.context_fd, "a", "1");
	put_file(fixture.context_fd, "bb", "22");
	come_to_rest();
	struct digest right = build(&fixture, &hits);
	assert_ok(file_read(fixture.scratch->fd, "stat", 1 << 20, &whole, &err), err);
	for (size_t len = 0; len < whole.len; len += 7) {
		assert_ok(file_replace(fixture.scratch->fd, "stat", 0600, whole.ptr, len, false, &err), err);
		struct digest found = build(&fixture, &hits);
		assert_true(digest_equal(&right, &found));
	}
	for (size_t i = 0; i < whole.len; i += 3) {
		whole.ptr[i] ^= 4;
		assert_ok(file_replace(fixture.scratch->fd, "stat", 0600, whole.ptr, whole.len, false, &err), err);
		struct digest found = build(&fixture, &hits);
		assert_true(digest_equal(&right, &found));
		whole.ptr[i] ^= 4;
	}
	assert_ok(file_replace(fixture.scratch->fd, "stat", 0600, "garbage", 7, false, &err), err);
	struct digest found = build(&fixture, &hits);
	assert_true(digest_equal(&right, &found));
	assert_int_equal(hits, 0);
	close(fixture.context_fd);
}

static void the_cache_is_not_written_unless_asked(void **state)
{
	struct fixture fixture = fixture_of(state);

	stat_cache_close(stat_cache_open(fixture.scratch->fd, "stat"), true);
	stat_cache_close(NULL, true);
	assert_false(has_name(fixture.scratch->fd, "stat"));
	close(fixture.context_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(files_at_rest_are_read_once),
		scratch_test(what_was_just_changed_is_not_remembered),
		scratch_test(a_change_of_the_same_size_with_the_time_put_back_is_seen),
		scratch_test(another_file_of_the_same_stamps_is_read),
		scratch_test(a_damaged_cache_is_only_slower),
		scratch_test(the_cache_is_not_written_unless_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
