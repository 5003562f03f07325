/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#define MIB ((off_t)1 << 20)

static int open_new(const struct scratch *scratch, const char *name)
{
	int fd = openat(scratch->fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	return fd;
}

static off_t position(int fd)
{
	return lseek(fd, 0, SEEK_CUR);
}

/* Asserts that the files are byte for byte the same. */
static void assert_same(int a, int b)
{
	static char from_a[1 << 16], from_b[1 << 16];
	ssize_t count;

	for (off_t at = 0; (count = pread(a, from_a, sizeof(from_a), at)) > 0; at += count) {
		assert_int_equal(pread(b, from_b, sizeof(from_b), at), count);
		assert_memory_equal(from_a, from_b, (size_t)count);
	}
	assert_int_equal(lseek(a, 0, SEEK_END), lseek(b, 0, SEEK_END));
}

static void fill(int fd, size_t len)
{
	scope_free char *bytes = malloc(len + 1);
	uint32_t random = 1;

	for (size_t i = 0; i < len; i++) {
		random = random * 1664525 + 1013904223;
		bytes[i] = (char)(random >> 24);
	}
	assert_int_equal(pwrite(fd, bytes, len, 0), len);
}

static void files_of_all_sizes_are_copied_whole(void **state)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 65536, 65537, 3000000 };
	const struct scratch *scratch = *state;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		scope_fd int from = open_new(scratch, "from");
		scope_fd int to = open_new(scratch, "to");
		fill(from, sizes[i]);
		assert_ok(file_copy_data(from, to, -1, "from", &err), err);
		assert_int_equal(position(from), sizes[i]);
		assert_int_equal(position(to), sizes[i]);
		assert_same(from, to);
	}
}

/* The size is what lstat said before: the file may have another by now. */
static void small_files_are_copied_whole_whatever_their_size_was(void **state)
{
	static const struct {
		size_t is, was;
	} sizes[] = { { 0, 0 }, { 1, 1 }, { 65536, 65536 }, { 10, 20 }, { 20, 10 }, { 0, 10 }, { 70000, 65536 } };
	const struct scratch *scratch = *state;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		scope_fd int from = open_new(scratch, "from");
		scope_fd int to = open_new(scratch, "to");
		fill(from, sizes[i].is);
		assert_ok(file_copy_small(from, to, sizes[i].was, "from", &err), err);
		if (sizes[i].is <= FILE_SMALL)
			assert_same(from, to);
	}
}

/* Between file systems of different kinds the kernel does not copy, so read and write do. */
static void another_file_system_is_no_obstacle(void **state)
{
	const struct scratch *scratch = *state;
	scope_fd int from = memfd_create("from", MFD_CLOEXEC);
	scope_fd int to = open_new(scratch, "to");
	struct err err = { 0 };

	fill(from, 1000000);
	assert_ok(file_copy_data(from, to, -1, "from", &err), err);
	assert_same(from, to);
}

static void a_part_is_copied_between_current_offsets(void **state)
{
	const struct scratch *scratch = *state;
	scope_fd int from = open_new(scratch, "from");
	scope_fd int to = open_new(scratch, "to");
	struct err err = { 0 };

	put_file(scratch->fd, "from", "0123456789");
	put_file(scratch->fd, "to", "abcdefghij");
	lseek(from, 2, SEEK_SET);
	lseek(to, 5, SEEK_SET);
	assert_ok(file_copy_data(from, to, 3, "from", &err), err);
	assert_int_equal(position(from), 5);
	assert_int_equal(position(to), 8);
	assert_file(scratch->fd, "to", "abcde234ij");
	assert_ok(file_copy_data(from, to, 0, "from", &err), err);
	assert_ok(file_copy_data(from, to, -1, "from", &err), err);
	assert_file(scratch->fd, "to", "abcde23456789");
}

static void a_source_that_ends_early_is_an_error(void **state)
{
	const struct scratch *scratch = *state;
	scope_fd int from = open_new(scratch, "from");
	scope_fd int to = open_new(scratch, "to");
	struct err err = { 0 };

	put_file(scratch->fd, "from", "0123456789");
	assert_int_equal(file_copy_data(from, to, 15, "from", &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_string_equal(err.msg, "from ended 5 bytes early");
}

/* hole, data, hole, data, hole */
static void make_sparse(int fd)
{
	assert_int_equal(pwrite(fd, "first", 5, 100 * MIB), 5);
	assert_int_equal(pwrite(fd, "second", 6, 500 * MIB + 7), 6);
	assert_int_equal(ftruncate(fd, 1000 * MIB + 1), 0);
}

static void assert_sparse_copy(int to)
{
	char bytes[8] = { 0 };
	struct stat st;

	assert_int_equal(fstat(to, &st), 0);
	assert_int_equal(st.st_size, 1000 * MIB + 1);
	assert_true(st.st_blocks * 512 < MIB);
	assert_int_equal(pread(to, bytes, 5, 100 * MIB), 5);
	assert_string_equal(bytes, "first");
	assert_int_equal(pread(to, bytes, 6, 500 * MIB + 7), 6);
	assert_string_equal(bytes, "second");
}

static void holes_stay_holes(void **state)
{
	const struct scratch *scratch = *state;
	scope_fd int from = open_new(scratch, "from");
	scope_fd int to = open_new(scratch, "to");
	scope_fd int memory = memfd_create("memory", MFD_CLOEXEC);
	scope_fd int back = open_new(scratch, "back");
	struct err err = { 0 };

	make_sparse(from);
	assert_ok(file_copy_data(from, to, -1, "from", &err), err);
	assert_sparse_copy(to);
	assert_int_equal(position(to), 1000 * MIB + 1);
	lseek(to, 0, SEEK_SET);
	assert_ok(file_copy_data(to, memory, 1000 * MIB + 1, "to", &err), err);
	assert_sparse_copy(memory);
	lseek(memory, 0, SEEK_SET);
	assert_ok(file_copy_data(memory, back, -1, "memory", &err), err);
	assert_sparse_copy(back);
}

static void a_hole_overwrites_what_is_there(void **state)
{
	const struct scratch *scratch = *state;
	scope_fd int from = open_new(scratch, "from");
	scope_fd int to = open_new(scratch, "to");
	struct err err = { 0 };

	assert_int_equal(pwrite(from, "end", 3, MIB), 3);
	fill(to, 300000);
	assert_ok(file_copy_data(from, to, -1, "from", &err), err);
	assert_same(from, to);
}

static void a_part_of_a_sparse_file_is_copied(void **state)
{
	const struct scratch *scratch = *state;
	scope_fd int from = open_new(scratch, "from");
	scope_fd int to = open_new(scratch, "to");
	char bytes[8] = { 0 };
	struct err err = { 0 };

	make_sparse(from);
	lseek(from, 100 * MIB + 2, SEEK_SET);
	assert_ok(file_copy_data(from, to, 10, "from", &err), err);
	assert_int_equal(lseek(to, 0, SEEK_END), 10);
	assert_int_equal(pread(to, bytes, 8, 0), 8);
	assert_memory_equal(bytes, "rst\0\0\0\0\0", 8);
	assert_int_equal(file_copy_data(from, to, 2000 * MIB, "from", &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
}

/* Its size is 0 and the kernel does not copy it, but it has text. */
static void a_file_that_lies_about_its_size_is_copied(void **state)
{
	const struct scratch *scratch = *state;
	scope_fd int from = openat(AT_FDCWD, "/proc/version", O_RDONLY | O_CLOEXEC);
	scope_fd int to = open_new(scratch, "to");
	scope_strbuf struct strbuf text = { 0 };
	struct err err = { 0 };

	assert_ok(file_read(AT_FDCWD, "/proc/version", 10000, &text, &err), err);
	assert_ok(file_copy_data(from, to, -1, "version", &err), err);
	assert_true(text.len > 0);
	assert_file(scratch->fd, "to", text.ptr);
}

static void a_target_that_cannot_grow_is_an_error(void **state)
{
	const struct scratch *scratch = *state;
	scope_fd int from = open_new(scratch, "from");
	scope_fd int to = memfd_create("to", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct err err = { 0 };

	put_file(scratch->fd, "from", "0123456789");
	assert_int_equal(fcntl(to, F_ADD_SEALS, F_SEAL_GROW), 0);
	assert_int_equal(file_copy_data(from, to, -1, "from", &err), -1);
	assert_string_equal(err.msg, "write from: Operation not permitted");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(files_of_all_sizes_are_copied_whole),
		scratch_test(small_files_are_copied_whole_whatever_their_size_was),
		scratch_test(another_file_system_is_no_obstacle),
		scratch_test(a_part_is_copied_between_current_offsets),
		scratch_test(a_source_that_ends_early_is_an_error),
		scratch_test(holes_stay_holes),
		scratch_test(a_hole_overwrites_what_is_there),
		scratch_test(a_part_of_a_sparse_file_is_copied),
		scratch_test(a_file_that_lies_about_its_size_is_copied),
		scratch_test(a_target_that_cannot_grow_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
