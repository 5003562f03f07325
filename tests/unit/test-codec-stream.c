/* SPDX-License-Identifier: Apache-2.0 */
#include "test-codec-util.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kiln/base/scope.h"

static int memory_file(void)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void a_file_is_written_and_read_back(void **state)
{
	scope_fd int fd = memory_file();
	scope_strbuf struct strbuf out = { 0 };
	struct err err = { 0 };
	char bytes[10000];

	(void)state;
	fill_noise(bytes, sizeof(bytes), 1);
	struct writer *writer = writer_fd(fd, false, "file");
	assert_int_equal(writer->write(writer, bytes, sizeof(bytes), &err), 0);
	assert_int_equal(writer->finish(writer, &err), 0);
	writer->close(writer);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(drain_into(reader_fd(fd, false, "file"), 999, &out, &err), 0);
	assert_bytes(&out, bytes, sizeof(bytes));
	assert_true(fcntl(fd, F_GETFD) >= 0);
}

static void an_owned_fd_is_closed_and_a_borrowed_one_is_not(void **state)
{
	int fds[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = memory_file();
	struct reader *reader = reader_fd(fds[0], true, "file");
	reader->close(reader);
	struct writer *writer = writer_fd(fds[1], true, "file");
	writer->close(writer);
	writer = writer_fd(fds[2], true, "file");
	assert_int_equal(writer->finish(writer, NULL), 0);
	assert_int_equal(fcntl(fds[2], F_GETFD), -1);
	writer->close(writer);
	writer = writer_fd(fds[3], false, "file");
	writer->close(writer);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	assert_int_equal(fcntl(fds[1], F_GETFD), -1);
	assert_int_equal(close(fds[3]), 0);
}

static void errors_name_the_stream(void **state)
{
	struct err err = { 0 };
	char byte;
	struct reader *reader = reader_fd(-1, false, "layer 3");
	struct writer *writer = writer_fd(-1, false, "layer 4");

	(void)state;
	assert_int_equal(reader->read(reader, &byte, 1, &err), -1);
	assert_string_equal(err.msg, "read layer 3: Bad file descriptor");
	assert_int_equal(writer->write(writer, "x", 1, &err), -1);
	assert_string_equal(err.msg, "write layer 4: Bad file descriptor");
	assert_int_equal(err.kind, ERR_SYSTEM);
	reader->close(reader);
	writer->close(writer);
}

static void a_reader_hashes_what_passes(void **state)
{
	struct digest digest = { { 0 } }, expected;
	int64_t size = -1;
	scope_strbuf struct strbuf out = { 0 };
	struct reader *reader = reader_hash(reader_drip(reader_bytes("hello", 5), 2), &digest, &size);

	(void)state;
	assert_int_equal(drain_into(reader, 100, &out, NULL), 0);
	assert_bytes(&out, "hello", 5);
	digest_bytes(&expected, "hello", 5);
	assert_true(digest_equal(&digest, &expected));
	assert_int_equal(size, 5);
}

static void the_end_may_be_read_twice(void **state)
{
	struct digest digest = { { 0 } }, expected;
	int64_t size = -1;
	char buf[8];
	struct reader *reader = reader_hash(reader_bytes(NULL, 0), &digest, &size);

	(void)state;
	assert_int_equal(reader->read(reader, buf, 8, NULL), 0);
	assert_int_equal(reader->read(reader, buf, 8, NULL), 0);
	reader->close(reader);
	digest_bytes(&expected, "", 0);
	assert_true(digest_equal(&digest, &expected));
	assert_int_equal(size, 0);
}

static void an_unread_stream_has_no_digest(void **state)
{
	struct digest digest = { { 0 } };
	int64_t size = -1;
	char buf[5];
	struct reader *reader = reader_hash(reader_bytes("hello", 5), &digest, &size);

	(void)state;
	assert_int_equal(reader->read(reader, buf, 5, NULL), 5);
	assert_int_equal(reader->read(reader, buf, 0, NULL), 0);
	reader->close(reader);
	assert_true(digest_is_zero(&digest));
	assert_int_equal(size, -1);
}

static void a_limit_lets_exactly_as_much_pass(void **state)
{
	(void)state;
	for (size_t step = 1; step < 8; step++) {
		scope_strbuf struct strbuf fits = { 0 }, more = { 0 };
		struct err err = { 0 };
		assert_int_equal(drain_into(reader_limit(reader_bytes("hello", 5), 5, "token"), step, &fits, &err), 0);
		assert_bytes(&fits, "hello", 5);
		assert_int_equal(drain_into(reader_limit(reader_bytes("hello!", 6), 5, "token"), step, &more, &err),
				 -1);
		assert_int_equal(err.kind, ERR_INPUT);
		assert_string_equal(err.msg, "token is larger than 5 bytes");
		assert_bytes(&more, "hello", 5);
	}
	scope_strbuf struct strbuf none = { 0 };
	assert_int_equal(drain_into(reader_limit(reader_bytes("", 0), 0, "token"), 8, &none, NULL), 0);
	assert_int_equal(drain_into(reader_limit(reader_bytes("x", 1), 0, "token"), 8, &none, NULL), -1);
}

static void writers_hash_and_pass_on(void **state)
{
	struct digest digest, expected;
	int64_t size;
	scope_strbuf struct strbuf out = { 0 };
	struct writer *writer = writer_hash(writer_strbuf(&out), &digest, &size);

	(void)state;
	assert_int_equal(writer->write(writer, "hel", 3, NULL), 0);
	assert_int_equal(writer->write(writer, "lo", 2, NULL), 0);
	assert_int_equal(writer->finish(writer, NULL), 0);
	writer->close(writer);
	digest_bytes(&expected, "hello", 5);
	assert_true(digest_equal(&digest, &expected));
	assert_int_equal(size, 5);
	assert_bytes(&out, "hello", 5);
}

static void a_hash_may_be_a_sink(void **state)
{
	struct digest digest, expected;
	struct writer *writer = writer_hash(NULL, &digest, NULL);

	(void)state;
	assert_int_equal(writer->write(writer, "hello", 5, NULL), 0);
	assert_int_equal(writer->finish(writer, NULL), 0);
	writer->close(writer);
	digest_bytes(&expected, "hello", 5);
	assert_true(digest_equal(&digest, &expected));
}

static void exact_reads_are_exact(void **state)
{
	struct err err = { 0 };
	char buf[6] = "";
	struct reader *reader = reader_drip(reader_bytes("hello!", 6), 2);

	(void)state;
	assert_int_equal(reader_exact(reader, buf, 5, "record", &err), 0);
	assert_string_equal(buf, "hello");
	assert_int_equal(reader_exact(reader, buf, 2, "record", &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_string_equal(err.msg, "record ends early");
	reader->close(reader);
}

static void pumping_moves_everything(void **state)
{
	scope_strbuf struct strbuf out = { 0 };
	scope_free char *bytes = malloc(300000);
	struct err err = { 0 };

	(void)state;
	assert_non_null(bytes);
	fill_noise(bytes, 300000, 3);
	{
		scope_reader struct reader *reader = reader_drip(reader_bytes(bytes, 300000), 100001);
		scope_writer struct writer *writer = writer_strbuf(&out);
		assert_int_equal(reader_pump(reader, writer, &err), 0);
		assert_int_equal(reader_drain(reader, &err), 0);
	}
	assert_bytes(&out, bytes, 300000);
	scope_reader struct reader *rest = reader_limit(reader_bytes(bytes, 300000), 299999, "blob");
	assert_int_equal(reader_drain(rest, &err), -1);
	assert_string_equal(err.msg, "blob is larger than 299999 bytes");
}

static void a_full_disk_stops_a_pump(void **state)
{
	scope_reader struct reader *reader = reader_bytes("hello", 5);
	scope_writer struct writer *writer = writer_fd(open("/dev/full", O_WRONLY | O_CLOEXEC), true, "blob");
	struct err err = { 0 };

	(void)state;
	assert_int_equal(reader_pump(reader, writer, &err), -1);
	assert_string_equal(err.msg, "write blob: No space left on device");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_written_and_read_back),
		cmocka_unit_test(an_owned_fd_is_closed_and_a_borrowed_one_is_not),
		cmocka_unit_test(errors_name_the_stream),
		cmocka_unit_test(a_reader_hashes_what_passes),
		cmocka_unit_test(the_end_may_be_read_twice),
		cmocka_unit_test(an_unread_stream_has_no_digest),
		cmocka_unit_test(a_limit_lets_exactly_as_much_pass),
		cmocka_unit_test(writers_hash_and_pass_on),
		cmocka_unit_test(a_hash_may_be_a_sink),
		cmocka_unit_test(exact_reads_are_exact),
		cmocka_unit_test(pumping_moves_everything),
		cmocka_unit_test(a_full_disk_stops_a_pump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
