/* SPDX-License-Identifier: Apache-2.0 */
#include "test-codec-util.h"

#include <dirent.h>
#include <libdeflate.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "kiln/base/scope.h"

#define MEMBER ((size_t)1 << 20)
#define BIG    (11 * MEMBER + 12345)

static char big[BIG];

static void assert_inflates(const struct strbuf *packed, enum compression kind, const void *expected, size_t len)
{
	scope_strbuf struct strbuf out = { 0 };
	enum compression found = COMPRESSION_NONE;
	struct err err = { 0 };

	if (drain_into(reader_inflate(reader_bytes(packed->ptr, packed->len), &found, "blob"), 4096, &out, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(found, kind);
	assert_bytes(&out, expected, len);
}

static void assert_same(const struct strbuf *a, const struct strbuf *b)
{
	assert_bytes(a, b->ptr, b->len);
}

static size_t count_threads(void)
{
	scope_dir DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	return count;
}

/* ---- gzip ---- */

static void a_member_has_the_canonical_header(void **state)
{
	scope_strbuf struct strbuf packed = compressed(writer_gzip, 1, "hello", 5, 5);

	(void)state;
	assert_memory_equal(packed.ptr, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
	assert_inflates(&packed, COMPRESSION_GZIP, "hello", 5);
}

static void nothing_becomes_one_empty_member(void **state)
{
	static const char expected[] = "\x1f\x8b\x08\0\0\0\0\0\0\xff\1\0\0\xff\xff\0\0\0\0\0\0\0\0";

	(void)state;
	for (unsigned threads = 0; threads < 4; threads++) {
		scope_strbuf struct strbuf packed = compressed(writer_gzip, threads, "", 0, 1);
		assert_bytes(&packed, expected, sizeof(expected) - 1);
	}
}

/* A member for each MiB, as libdeflate alone would make it; no empty one when the size is a multiple. */
static void members_are_those_of_libdeflate(void **state)
{
	static const size_t sizes[] = { 1, MEMBER - 1, MEMBER, MEMBER + 1, 2 * MEMBER, 3 * MEMBER + 7 };
	struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(6);
	size_t bound = libdeflate_gzip_compress_bound(compressor, MEMBER);
	scope_free char *member = malloc(bound);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		scope_strbuf struct strbuf expected = { 0 };
		for (size_t at = 0; at < sizes[i]; at += MEMBER) {
			size_t len = sizes[i] - at < MEMBER ? sizes[i] - at : MEMBER;
			strbuf_add(&expected, member,
				   libdeflate_gzip_compress(compressor, big + at, len, member, bound));
		}
		scope_strbuf struct strbuf packed = compressed(writer_gzip, 2, big, sizes[i], 65536);
		assert_same(&packed, &expected);
	}
	libdeflate_free_compressor(compressor);
}

static void the_bytes_depend_on_the_input_alone(struct writer *(*make)(struct writer *, unsigned),
						enum compression kind)
{
	static const struct {
		unsigned threads;
		size_t step;
	} ways[] = { { 0, 65536 }, { 1, 9999 }, { 2, 65536 }, { 3, BIG }, { 4, 1000003 }, { 8, MEMBER }, { 99, 4096 } };
	scope_strbuf struct strbuf first = compressed(make, 1, big, BIG, BIG);

	assert_inflates(&first, kind, big, BIG);
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		scope_strbuf struct strbuf other = compressed(make, ways[i].threads, big, BIG, ways[i].step);
		assert_same(&other, &first);
	}
}

static void gzip_does_not_depend_on_threads_or_pieces(void **state)
{
	(void)state;
	the_bytes_depend_on_the_input_alone(writer_gzip, COMPRESSION_GZIP);
}

static void small_output_starts_no_thread(void **state)
{
	size_t before = count_threads();
	scope_strbuf struct strbuf out = { 0 };
	struct writer *writer = writer_gzip(writer_strbuf(&out), 4);

	(void)state;
	assert_int_equal(writer->write(writer, big, MEMBER - 1, NULL), 0);
	assert_int_equal(count_threads(), before);
	assert_int_equal(writer->write(writer, big, 1, NULL), 0);
	assert_int_equal(count_threads(), before + 4);
	assert_int_equal(writer->finish(writer, NULL), 0);
	writer->close(writer);
	assert_int_equal(count_threads(), before);
}

static void one_thread_stays_one(void **state)
{
	size_t before = count_threads();
	scope_strbuf struct strbuf out = { 0 };
	struct writer *writer = writer_gzip(writer_strbuf(&out), 1);

	(void)state;
	assert_int_equal(writer->write(writer, big, BIG, NULL), 0);
	assert_int_equal(count_threads(), before);
	writer->close(writer);
}

/* ---- both ---- */

static int failing_write(struct writer *writer, const void *bytes, size_t len, struct err *err)
{
	(void)writer;
	(void)bytes;
	(void)len;
	return err_set(err, ERR_REMOTE, "the line is dead");
}

static int failing_finish(struct writer *writer, struct err *err)
{
	(void)writer;
	return err_set(err, ERR_REMOTE, "finished after a failure");
}

static void failing_close(struct writer *writer)
{
	(void)writer;
}

static void an_error_below_comes_through(void **state)
{
	size_t before = count_threads();
	struct writer *(*const makes[])(struct writer *, unsigned) = { writer_gzip, writer_zstd };
	struct writer failing = { failing_write, failing_finish, failing_close };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(makes); i++) {
		for (unsigned threads = 1; threads < 4; threads++) {
			struct err err = { 0 };
			struct writer *writer = makes[i](&failing, threads);
			int result = writer->write(writer, big, BIG, &err);
			if (result == 0)
				result = writer->finish(writer, &err);
			assert_int_equal(result, -1);
			assert_string_equal(err.msg, "the line is dead");
			writer->close(writer);
		}
	}
	assert_int_equal(count_threads(), before);
}

static void an_unfinished_writer_may_be_closed(void **state)
{
	size_t before = count_threads();
	struct writer *(*const makes[])(struct writer *, unsigned) = { writer_gzip, writer_zstd };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(makes); i++) {
		struct writer *writer = makes[i](writer_null(), 2);
		writer->close(writer);
		writer = makes[i](writer_null(), 2);
		assert_int_equal(writer->write(writer, big, BIG, NULL), 0);
		writer->close(writer);
	}
	assert_int_equal(count_threads(), before);
}

static volatile sig_atomic_t caught_by;

static void on_signal(int number)
{
	(void)number;
	caught_by = (int)gettid();
}

/* The loop of the caller waits for its signals; one taken by a worker would be lost to it. */
static void signals_stay_with_the_caller(void **state)
{
	size_t before = count_threads();
	struct writer *(*const makes[])(struct writer *, unsigned) = { writer_gzip, writer_zstd };
	struct sigaction action = { .sa_handler = on_signal }, old_action;
	sigset_t usr1, old;

	(void)state;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	assert_int_equal(sigaction(SIGUSR1, &action, &old_action), 0);
	for (size_t i = 0; i < ARRAY_LEN(makes); i++) {
		struct writer *writer = makes[i](writer_null(), 3);
		assert_int_equal(writer->write(writer, big, BIG, NULL), 0);
		assert_true(count_threads() > before);
		caught_by = 0;
		/* With the caller's thread not taking it, any other that does is wrong. */
		sigprocmask(SIG_BLOCK, &usr1, &old);
		kill(getpid(), SIGUSR1);
		usleep(20000);
		assert_int_equal(caught_by, 0);
		sigprocmask(SIG_SETMASK, &old, NULL);
		assert_int_equal(caught_by, gettid());
		writer->close(writer);
	}
	sigaction(SIGUSR1, &old_action, NULL);
}

static void compressors_say_their_versions(void **state)
{
	unsigned a, b, c, level;

	(void)state;
	assert_int_equal(sscanf(gzip_compressor(), "libdeflate-%u.%u/%u", &a, &b, &level), 3);
	assert_int_equal(level, 6);
	assert_int_equal(sscanf(zstd_compressor(), "zstd-%u.%u.%u/%u", &a, &b, &c, &level), 4);
	assert_int_equal(level, 3);
}

/* ---- zstd ---- */

static void zstd_does_not_depend_on_threads_or_pieces(void **state)
{
	(void)state;
	the_bytes_depend_on_the_input_alone(writer_zstd, COMPRESSION_ZSTD);
}

static void small_zstd_does_not_depend_on_them_either(void **state)
{
	static const size_t sizes[] = { 0, 1, 5000, 600000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		scope_strbuf struct strbuf one = compressed(writer_zstd, 1, big, sizes[i], BIG);
		assert_inflates(&one, COMPRESSION_ZSTD, big, sizes[i]);
		for (unsigned threads = 2; threads < 5; threads++) {
			scope_strbuf struct strbuf other = compressed(writer_zstd, threads, big, sizes[i], 777);
			assert_same(&other, &one);
		}
	}
}

static void a_zstd_frame_has_neither_checksum_nor_size(void **state)
{
	scope_strbuf struct strbuf packed = compressed(writer_zstd, 1, big, 5000, 5000);

	(void)state;
	assert_memory_equal(packed.ptr, "\x28\xb5\x2f\xfd", 4);
	/* RFC 8878 3.1.1.1.1: no content size, not a single segment, no checksum, no dictionary. */
	assert_int_equal(packed.ptr[4], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_member_has_the_canonical_header),
		cmocka_unit_test(nothing_becomes_one_empty_member),
		cmocka_unit_test(members_are_those_of_libdeflate),
		cmocka_unit_test(gzip_does_not_depend_on_threads_or_pieces),
		cmocka_unit_test(small_output_starts_no_thread),
		cmocka_unit_test(one_thread_stays_one),
		cmocka_unit_test(an_error_below_comes_through),
		cmocka_unit_test(an_unfinished_writer_may_be_closed),
		cmocka_unit_test(signals_stay_with_the_caller),
		cmocka_unit_test(compressors_say_their_versions),
		cmocka_unit_test(zstd_does_not_depend_on_threads_or_pieces),
		cmocka_unit_test(small_zstd_does_not_depend_on_them_either),
		cmocka_unit_test(a_zstd_frame_has_neither_checksum_nor_size),
	};

	fill_text(big, BIG);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
