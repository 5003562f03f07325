/* SPDX-License-Identifier: Apache-2.0 */
#include "test-codec-util.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/codec/digest.h"
#include "kiln/codec/untar.h"

/* tests/golden/tar: good-NAME.tar.gz holds what good-NAME.list says (of Python's tarfile), bad-NAME.tar.gz is
   refused. */

static int golden_fd(void)
{
	char path[4096];
	const char *top = getenv("srcdir");

	snprintf(path, sizeof(path), "%s/tests/golden/tar", top ? top : ".");
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* The plain tar of a golden archive, by the reader under test in other programs. */
static void golden_read(const char *kind, const char *name, struct strbuf *tar)
{
	scope_fd int dir = golden_fd();
	char file[256];
	struct err err = { 0 };

	snprintf(file, sizeof(file), "%s-%s.tar.gz", kind, name);
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(drain_into(reader_inflate(reader_fd(fd, true, file), NULL, file), 4096, tar, &err), 0);
}

/* ---- a listing as the fixtures have it ---- */

static void add_escaped(struct strbuf *out, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)bytes[i];
		if (byte > 0x20 && byte < 0x7f && byte != '\\')
			strbuf_addch(out, (char)byte);
		else
			strbuf_addf(out, "\\x%02x", byte);
	}
}

static void add_item(struct strbuf *out, const struct untar_item *item)
{
	static const char types[] = {
		[UNTAR_FILE] = '-', [UNTAR_DIR] = 'd',  [UNTAR_SYMLINK] = 'l', [UNTAR_HARDLINK] = 'h',
		[UNTAR_FIFO] = 'p', [UNTAR_CHAR] = 'c', [UNTAR_BLOCK] = 'b'
	};
	size_t len = strlen(item->path);

	/* Python takes the '/' off a directory's name. */
	while (len > 0 && item->path[len - 1] == '/')
		len--;
	strbuf_addf(out, "%c %04o %u:%u %lld %lld %u:%u ", types[item->type], item->mode, item->uid, item->gid,
		    (long long)item->size, (long long)item->mtime, major(item->rdev), minor(item->rdev));
	add_escaped(out, item->path, len);
	if (item->link) {
		strbuf_addstr(out, " -> ");
		add_escaped(out, item->link, strlen(item->link));
	}
}

static int add_content(struct strbuf *out, struct untar *untar, size_t step, struct err *err)
{
	scope_hasher struct hasher *hasher = hasher_new();
	struct digest digest;
	char buf[65536], hex[DIGEST_HEX + 1];
	ssize_t count;

	while ((count = untar_read(untar, buf, step, err)) > 0)
		hasher_update(hasher, buf, (size_t)count);
	hasher_final(hasher, &digest);
	strbuf_addf(out, " %s", digest_hex(&digest, hex));
	return (int)count;
}

static int list(const struct strbuf *tar, unsigned flags, size_t step, bool skips, struct strbuf *out, struct err *err)
{
	scope_reader struct reader *reader = reader_drip(reader_bytes(tar->ptr, tar->len), step);
	scope_untar struct untar *untar = untar_open(reader, flags, "test.tar", err);
	struct untar_item item;
	int result = -1;

	while (untar && (result = untar_next(untar, &item, err)) > 0) {
		add_item(out, &item);
		if (item.type == UNTAR_FILE && !skips && add_content(out, untar, step < 65536 ? step : 65536, err) < 0)
			return -1;
		for (size_t i = 0; i < item.xattr_count; i++) {
			strbuf_addch(out, ' ');
			add_escaped(out, item.xattrs[i].name, strlen(item.xattrs[i].name));
			strbuf_addch(out, '=');
			add_escaped(out, item.xattrs[i].value, item.xattrs[i].len);
		}
		strbuf_addch(out, '\n');
	}
	return result;
}

/* ---- good archives ---- */

static const char *const without_end[] = { "no-end", "no-end-no-padding", "one-zero-block", "nothing", NULL };

static unsigned flags_for(const char *name)
{
	unsigned flags = strstr(name, "sparse") ? UNTAR_ALLOW_SPARSE : 0;

	for (const char *const *other = without_end; *other; other++) {
		if (text_equal(name, *other))
			flags |= UNTAR_ALLOW_NO_END;
	}
	return text_starts(name, "real-umoci") ? flags | UNTAR_ALLOW_NO_END : flags;
}

static void check_good(const char *name, size_t step)
{
	scope_fd int dir = golden_fd();
	scope_strbuf struct strbuf tar = { 0 }, expected = { 0 }, found = { 0 };
	char file[256];
	struct err err = { 0 };

	snprintf(file, sizeof(file), "good-%s.list", name);
	assert_int_equal(file_read(dir, file, 1 << 20, &expected, &err), 0);
	golden_read("good", name, &tar);
	if (list(&tar, flags_for(name), step, false, &found, &err) != 0)
		fail_msg("%s: %s", name, err.msg);
	if (strcmp(strbuf_str(&found), strbuf_str(&expected)) != 0)
		fail_msg("%s:\n%s, not\n%s", name, strbuf_str(&found), strbuf_str(&expected));
}

static size_t for_each_good(void (*check)(const char *name, size_t step), size_t step)
{
	scope_dir DIR *dir = fdopendir(golden_fd());
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char name[256];
		if (!text_starts(entry->d_name, "good-") || !text_ends(entry->d_name, ".list"))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)strlen(entry->d_name) - 10, entry->d_name + 5);
		check(name, step);
		count++;
	}
	return count;
}

static void every_good_archive_reads_as_python_reads_it(void **state)
{
	(void)state;
	assert_true(for_each_good(check_good, 1 << 20) >= 50);
}

static void it_reads_the_same_in_small_pieces(void **state)
{
	(void)state;
	assert_true(for_each_good(check_good, 700) >= 50);
	assert_true(for_each_good(check_good, 61) >= 50);
}

static size_t count_lines(const struct strbuf *text)
{
	size_t lines = 0;

	for (size_t i = 0; i < text->len; i++)
		lines += text->ptr[i] == '\n';
	return lines;
}

static void check_skipping(const char *name, size_t step)
{
	scope_strbuf struct strbuf tar = { 0 }, whole = { 0 }, skipped = { 0 };
	struct err err = { 0 };

	golden_read("good", name, &tar);
	assert_int_equal(list(&tar, flags_for(name), step, false, &whole, &err), 0);
	assert_int_equal(list(&tar, flags_for(name), step, true, &skipped, &err), 0);
	assert_int_equal(count_lines(&whole), count_lines(&skipped));
}

static void data_may_be_skipped(void **state)
{
	(void)state;
	assert_true(for_each_good(check_skipping, 3000) >= 50);
}

/* Only what the headers say differs: an archive cut at any place must not read as a whole one. */
static void an_archive_cut_anywhere_is_an_error(void **state)
{
	static const char *const names[] = { "types", "pax-all", "gnu-long", "sparse-1.0", "sparse-gnu-long" };

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(names); n++) {
		scope_strbuf struct strbuf tar = { 0 };
		golden_read("good", names[n], &tar);
		for (size_t len = 0; len < tar.len - 512; len += 37) {
			scope_strbuf struct strbuf found = { 0 };
			struct strbuf cut = { .ptr = tar.ptr, .len = len };
			struct err err = { 0 };
			assert_int_equal(list(&cut, UNTAR_ALLOW_SPARSE, 1 << 20, false, &found, &err), -1);
			assert_int_equal(err.kind, ERR_INPUT);
		}
	}
}

/* ---- flags ---- */

static void assert_refused(const char *kind, const char *name, unsigned flags, const char *words)
{
	scope_strbuf struct strbuf tar = { 0 }, found = { 0 };
	struct err err = { 0 };

	golden_read(kind, name, &tar);
	if (list(&tar, flags, 1 << 20, false, &found, &err) != -1)
		fail_msg("%s was read", name);
	if (err.kind != ERR_INPUT || !strstr(err.msg, words))
		fail_msg("%s: expected \"%s\" in \"%s\"", name, words, err.msg);
}

static void a_sparse_file_needs_leave(void **state)
{
	(void)state;
	assert_refused("good", "sparse-gnu", 0, "a sparse file is not accepted here");
	assert_refused("good", "sparse-0.0", 0, "a sparse file is not accepted here");
	assert_refused("good", "sparse-0.1", 0, "a sparse file is not accepted here");
	assert_refused("good", "sparse-1.0", 0, "a sparse file is not accepted here");
}

static void a_missing_end_needs_leave(void **state)
{
	(void)state;
	for (const char *const *name = without_end; *name; name++)
		assert_refused("good", *name, 0, "the archive has no end mark");
}

/* ---- bad archives ---- */

static const struct {
	const char *name, *words;
} refused[] = {
	{ "not-tar", "test.tar: this is no tar archive" },
	{ "short", "test.tar: this is no tar archive" },
	{ "checksum", "test.tar: at byte 1536 (\"f\"): the checksum of a header is wrong" },
	{ "checksum-base256", "the checksum of a header is wrong" },
	{ "type-z", "the type 'Z' of an entry is not known" },
	{ "type-7", "the type '7' of an entry is not known" },
	{ "type-v", "the type 'V' of an entry is not known" },
	{ "type-solaris-x", "the type 'X' of an entry is not known" },
	{ "type-control", "the type '\\x1b' of an entry is not known" },
	{ "magic", "unknown magic" },
	{ "magic-star", "a star header has a prefix without an end" },
	{ "gnu-times", "times that are no numbers" },
	{ "one-zero-block-then-entry", "the archive goes on behind a block of zeros" },
	{ "behind-end", "something stands behind the end of the archive" },
	{ "behind-end-byte", "something stands behind the end of the archive" },
	{ "hardlink-data", "a hard link has data" },
	{ "hardlink-pax-data", "a hard link has data" },
	{ "dir-pax-data", "something that is no file has data" },
	{ "slash-data", "\"d/\": a directory has data" },
	{ "slash-utf8-data", "a directory has data" },
	{ "uid-minus-one", "the user id 4294967295 is out of range" },
	{ "uid-negative", "the user id -2 is out of range" },
	{ "gid-huge", "pax record \"gid\": is no number in range" },
	{ "gid-octal", "the group id in a header is no number" },
	{ "mode-letters", "the mode in a header is no number" },
	{ "mtime-huge", "pax record \"mtime\": is no time in range" },
	{ "mtime-range", "the time 34359738369 is out of range" },
	{ "mtime-past", "the time -1099511627776 is out of range" },
	{ "mtime-words", "pax record \"mtime\": is no time in range" },
	{ "size-negative", "the size -512 is out of range" },
	{ "size-huge", "the size 1152921504606846976 is out of range" },
	{ "size-overflow", "the size in a header is no number" },
	{ "size-pax-negative", "pax record \"size\": is no number in range" },
	{ "size-pax-empty", "pax record \"size\": is no number in range" },
	{ "device", "the device number 4096 is out of range" },
	{ "global-path", "pax record \"path\": stands in a global header" },
	{ "global-size", "pax record \"size\": stands in a global header" },
	{ "global-uid", "pax record \"uid\": stands in a global header" },
	{ "global-inside", "a global header stands between the headers of an entry" },
	{ "globals", "more than 16 global headers" },
	{ "pax-twice", "pax record \"path\": is given twice" },
	{ "pax-nul", "pax record \"path\": holds a NUL byte" },
	{ "pax-nul-key", "a pax header has a malformed record" },
	{ "pax-nul-uname", "pax record \"uname\": holds a NUL byte" },
	{ "pax-empty-path", "pax record \"path\": is empty" },
	{ "pax-no-equals", "a pax header has a malformed record" },
	{ "pax-no-key", "a pax header has a malformed record" },
	{ "pax-no-newline", "a pax header has a malformed record" },
	{ "pax-length", "a pax header has a malformed record" },
	{ "pax-length-short", "a pax header has a malformed record" },
	{ "pax-length-letters", "a pax header has a malformed record" },
	{ "pax-rest", "a pax header has a malformed record" },
	{ "pax-l-key", "pax record \"LX\": is not a known key" },
	{ "pax-chain", "an entry has more than one 'x' header" },
	{ "pax-large", "a 'x' header is larger than 1 MiB" },
	{ "pax-alone", "a header is followed by no entry" },
	{ "pax-and-long", "a GNU and a pax header both give the name" },
	{ "pax-and-long-link", "a GNU and a pax header both give the name" },
	{ "long-twice", "an entry has more than one 'L' header" },
	{ "long-empty", "a long name is empty" },
	{ "long-nul", "a long name holds a NUL byte" },
	{ "long-alone", "a header is followed by no entry" },
	{ "symlink-empty", "\"s\": a link has no target" },
	{ "hardlink-empty", "\"h\": a link has no target" },
	{ "xattr-two-values", "\"f\": an extended attribute has two values" },
	{ "holesdata", "a form of sparse files that kiln does not read" },
	{ "schily-realsize", "a form of sparse files that kiln does not read" },
	{ "sparse-stray", "a sparse map belongs to something that is no sparse file" },
	{ "sparse-stray-size", "a sparse map belongs to something that is no sparse file" },
	{ "sparse-ustar", "a sparse map belongs to something that is no sparse file" },
	{ "sparse-no-map", "a sparse header has no size or no map" },
	{ "sparse-no-size", "a sparse header has no size or no map" },
	{ "sparse-order", "a sparse map is not in order" },
	{ "sparse-overlap", "a sparse map is not in order" },
	{ "sparse-beyond", "a sparse map ends behind the end of its file" },
	{ "sparse-stored", "a sparse map does not match the data that is stored" },
	{ "sparse-negative", "a sparse map is not in order" },
	{ "sparse-empty-block", "a sparse map has an empty block" },
	{ "sparse-on-dir", "a sparse map belongs to something that is no sparse file" },
	{ "sparse-size-alone", "the sparse map of a pax header is not complete" },
	{ "sparse-version", "a form of sparse files that kiln does not read" },
	{ "sparse-0-pairs", "the sparse map of a pax header is not complete" },
	{ "sparse-0-order", "pax record \"GNU.sparse.offset\": is out of order" },
	{ "sparse-0-count", "the sparse map of a pax header is not complete" },
	{ "sparse-0-map", "a sparse map has an offset without a length" },
	{ "sparse-0-map-words", "a sparse map holds something that is no number" },
	{ "sparse-1-lines", "a sparse map holds something that is no number" },
	{ "sparse-1-no-end", "a sparse map holds something that is no number" },
	{ "sparse-1-count", "a sparse map has more than 262144 extents" },
	{ "sparse-1-stored", "a sparse map does not match the data that is stored" },
	{ "sparse-1-huge", "a sparse file has no size or one out of range" },
	{ "sparse-unknown", "a form of sparse files that kiln does not read" },
	{ "no-end", "the archive has no end mark" },
	{ "cut-header", "the archive ends early" },
	{ "cut-data", "the archive ends early" },
	{ "cut-pax", "the archive ends early" },
	{ "cut-long", "the archive ends early" },
};

static void every_bad_archive_is_refused_for_its_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		unsigned flags = strstr(refused[i].name, "sparse") ? UNTAR_ALLOW_SPARSE : 0;
		assert_refused("bad", refused[i].name, flags, refused[i].words);
	}
}

static void no_bad_archive_is_forgotten(void **state)
{
	scope_dir DIR *dir = fdopendir(golden_fd());
	struct dirent *entry;
	size_t count = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += text_starts(entry->d_name, "bad-");
	assert_int_equal(count, ARRAY_LEN(refused));
}

/* With leave to have no end nothing else becomes acceptable. */
static void the_leave_for_a_missing_end_is_for_that_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		if (!text_equal(refused[i].name, "no-end"))
			assert_refused("bad", refused[i].name, UNTAR_ALLOW_NO_END | UNTAR_ALLOW_SPARSE,
				       refused[i].words);
	}
}

/* ---- errors from below ---- */

static ssize_t broken_read(struct reader *reader, void *buf, size_t len, struct err *err)
{
	(void)reader;
	(void)buf;
	(void)len;
	return err_set(err, ERR_REMOTE, "the line is dead");
}

static void broken_close(struct reader *reader)
{
	(void)reader;
}

static void an_error_below_comes_through_as_it_is(void **state)
{
	struct reader broken = { broken_read, broken_close };
	struct err err = { 0 };

	(void)state;
	assert_null(untar_open(&broken, 0, "test.tar", &err));
	assert_int_equal(err.kind, ERR_REMOTE);
	assert_string_equal(err.msg, "the line is dead");
}

static void names_are_wrapped_in_readable_form(void **state)
{
	(void)state;
	assert_refused("bad", "slash-utf8-data", 0, "test.tar: \"ő/\": a directory has data");
}

/* ---- sniffing ---- */

static int file_of(const void *bytes, size_t len)
{
	int fd = memfd_create("sniff", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int sniff(const void *bytes, size_t len, enum compression *compression)
{
	scope_fd int fd = file_of(bytes, len);
	struct err err = { 0 };
	int result = untar_sniff(fd, compression, &err);

	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	return result;
}

static void a_tar_is_recognised_whatever_its_compression(void **state)
{
	scope_strbuf struct strbuf tar = { 0 };
	enum compression found;

	(void)state;
	golden_read("good", "types", &tar);
	assert_int_equal(sniff(tar.ptr, tar.len, &found), 1);
	assert_int_equal(found, COMPRESSION_NONE);
	scope_strbuf struct strbuf gzip = compressed(writer_gzip, 1, tar.ptr, tar.len, tar.len);
	assert_int_equal(sniff(gzip.ptr, gzip.len, &found), 1);
	assert_int_equal(found, COMPRESSION_GZIP);
	scope_strbuf struct strbuf zstd = compressed(writer_zstd, 1, tar.ptr, tar.len, tar.len);
	assert_int_equal(sniff(zstd.ptr, zstd.len, &found), 1);
	assert_int_equal(found, COMPRESSION_ZSTD);
}

static void what_is_no_tar_is_not_recognised(void **state)
{
	char noise[2000];
	char zeros[1024] = { 0 };
	enum compression found;

	(void)state;
	fill_noise(noise, sizeof(noise), 1);
	assert_int_equal(sniff(noise, sizeof(noise), &found), 0);
	assert_int_equal(sniff("", 0, &found), 0);
	assert_int_equal(sniff("#!/bin/sh\n", 10, &found), 0);
	/* Go's reader finds no first header in an archive of nothing, so ADD copies the file. */
	assert_int_equal(sniff(zeros, sizeof(zeros), &found), 0);
	scope_strbuf struct strbuf gzip = compressed(writer_gzip, 1, noise, sizeof(noise), sizeof(noise));
	assert_int_equal(sniff(gzip.ptr, gzip.len, &found), 0);
	assert_int_equal(sniff(gzip.ptr, 15, &found), 0);
}

static void a_tar_that_is_refused_later_is_still_recognised(void **state)
{
	scope_strbuf struct strbuf tar = { 0 };
	enum compression found;

	(void)state;
	golden_read("bad", "type-z", &tar);
	assert_int_equal(sniff(tar.ptr, tar.len, &found), 1);
	golden_read("bad", "pax-nul", &tar);
	assert_int_equal(sniff(tar.ptr, tar.len, &found), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_good_archive_reads_as_python_reads_it),
		cmocka_unit_test(it_reads_the_same_in_small_pieces),
		cmocka_unit_test(data_may_be_skipped),
		cmocka_unit_test(an_archive_cut_anywhere_is_an_error),
		cmocka_unit_test(a_sparse_file_needs_leave),
		cmocka_unit_test(a_missing_end_needs_leave),
		cmocka_unit_test(every_bad_archive_is_refused_for_its_reason),
		cmocka_unit_test(no_bad_archive_is_forgotten),
		cmocka_unit_test(the_leave_for_a_missing_end_is_for_that_alone),
		cmocka_unit_test(an_error_below_comes_through_as_it_is),
		cmocka_unit_test(names_are_wrapped_in_readable_form),
		cmocka_unit_test(a_tar_is_recognised_whatever_its_compression),
		cmocka_unit_test(what_is_no_tar_is_not_recognised),
		cmocka_unit_test(a_tar_that_is_refused_later_is_still_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
