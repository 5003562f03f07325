/* SPDX-License-Identifier: Apache-2.0 */
#include "layer-scratch.h"

#include <limits.h>

#include "kiln/codec/digest.h"

#define TIME   1700000000
#define REG    (S_IFREG | 0644)
#define DIR_   (S_IFDIR | 0755)
#define LNK    (S_IFLNK | 0777)
#define ALL(p) .path = (p), .mtime = TIME

/* makedev, as a constant. */
#define DEVICE(major, minor) (((dev_t)(major) << 8) | ((dev_t)((minor) & ~0xff) << 12) | ((minor)&0xff))

static const unsigned char caps[20] = { 1, 0, 0, 2, 0, 4 };
static char as_60_bs_39[101], long_101[102], long_dir_99[100], cut[121], names_255[256], deep[20 * 51], link_100[101],
	link_101[102], name_120[121], link_130[131], m_101[102], p_100[103], n_975[976];

static char *repeat(char *out, char c, size_t count)
{
	memset(out, c, count);
	out[count] = '\0';
	return out;
}

static void fill_names(void)
{
	repeat(as_60_bs_39, 'a', 60);
	as_60_bs_39[60] = '/';
	repeat(as_60_bs_39 + 61, 'b', 39);
	snprintf(long_101, sizeof(long_101), "%sc", as_60_bs_39);
	repeat(long_dir_99, 'd', 99);
	repeat(cut, 'e', 99);
	cut[99] = '/';
	repeat(cut + 100, 'f', 20);
	repeat(names_255, 'g', 255);
	for (size_t i = 0; i < 20; i++) {
		repeat(deep + i * 51, 'h', 50);
		if (i < 19)
			deep[i * 51 + 50] = '/';
	}
	repeat(link_100, 't', 100);
	repeat(link_101, 't', 101);
	repeat(name_120, 'k', 120);
	repeat(link_130, 'l', 130);
	repeat(m_101, 'm', 101);
	memcpy(p_100, "o/", 2);
	repeat(p_100 + 2, 'p', 100);
	repeat(n_975, 'n', 975);
}

static const struct layer_xattr caps_only[] = { { "security.capability", caps, sizeof(caps) } };
static const struct layer_xattr three[] = { { "security.capability", caps, sizeof(caps) },
					    { "user.a", "\0\n=", 3 },
					    { "user.b", "2", 1 } };
static const struct layer_xattr one[] = { { "user.k", "v", 1 } };
static const struct layer_xattr ns[] = {
	{ "user.k", n_975, 75 }, { "user.k", n_975, 76 }, { "user.k", n_975, 77 }, { "user.k", n_975, 975 }
};

static const struct {
	const char *name;
	struct layer_entry entry;
} cases[] = {
	{ "file", { ALL("bin/sh"), .mode = S_IFREG | 0755, .size = 5 } },
	{ "empty-file", { .path = "f", .mode = REG, .uid = 1, .gid = 2 } },
	{ "directory", { ALL("usr/lib"), .mode = DIR_ } },
	{ "sticky-directory", { ALL("tmp"), .mode = S_IFDIR | 01777 } },
	{ "set-user-id", { ALL("sudo"), .mode = S_IFREG | 04755, .size = 1 } },
	{ "symlink", { ALL("lib"), .mode = LNK, .link = "usr/lib" } },
	{ "hard-link", { ALL("b"), .mode = REG, .size = 77, .link = "a", .is_hardlink = true } },
	{ "fifo", { ALL("p"), .mode = S_IFIFO | 0600 } },
	{ "character-device", { ALL("null"), .mode = S_IFCHR | 0666, .rdev = DEVICE(1, 3) } },
	{ "block-device", { ALL("disk"), .mode = S_IFBLK | 0660, .rdev = DEVICE(259, 1048575) } },
	{ "path-of-100", { ALL(as_60_bs_39), .mode = REG } },
	{ "path-of-101", { ALL(long_101), .mode = REG } },
	{ "directory-of-100", { ALL(long_dir_99), .mode = DIR_ } },
	{ "directory-of-101", { ALL(as_60_bs_39), .mode = DIR_ } },
	{ "cut-at-slash", { ALL(cut), .mode = REG } },
	{ "long-top-name", { ALL(names_255), .mode = REG } },
	{ "deep-path", { ALL(deep), .mode = REG } },
	{ "utf-8", { ALL("F\xc5\x91tan\xc3\xbas\xc3\xadtv\xc3\xa1ny.crt"), .mode = REG } },
	{ "utf-8-directory", { ALL("\xc3\xb6"), .mode = DIR_ } },
	{ "not-utf-8", { ALL("x\xff/\x80y"), .mode = REG } },
	{ "strange-ascii", { ALL("a b\n\\\"'\x01\x7f"), .mode = REG } },
	{ "link-of-100", { ALL("s"), .mode = LNK, .link = link_100 } },
	{ "link-of-101", { ALL("s"), .mode = LNK, .link = link_101 } },
	{ "utf-8-link", { ALL("s"), .mode = LNK, .link = "../\xc5\xb1" } },
	{ "long-hard-link",
	  { ALL(name_120), .mode = REG, .link = link_130, .is_hardlink = true, .xattrs = one, .xattr_count = 1 } },
	{ "ids-that-fit", { ALL("f"), .mode = REG, .uid = 2097151, .gid = 2097151 } },
	{ "large-uid", { ALL("f"), .mode = REG, .uid = 2097152 } },
	{ "large-gid", { ALL("f"), .mode = REG, .gid = 4294967294U } },
	{ "size-that-fits", { ALL("f"), .mode = REG, .size = (INT64_C(1) << 33) - 1 } },
	{ "large-size", { ALL("f"), .mode = REG, .size = INT64_C(1) << 33 } },
	{ "before-1970", { .path = "f", .mode = REG, .mtime = -1 } },
	{ "long-before-1970", { .path = "f", .mode = REG, .mtime = -(INT64_C(1) << 33) } },
	{ "time-that-fits", { .path = "f", .mode = REG, .mtime = (INT64_C(1) << 33) - 1 } },
	{ "late", { .path = "f", .mode = REG, .mtime = INT64_C(1) << 33 } },
	{ "capabilities", { ALL("ping"), .mode = S_IFREG | 0755, .xattrs = caps_only, .xattr_count = 1 } },
	{ "attributes", { ALL("f"), .mode = REG, .xattrs = three, .xattr_count = 3 } },
	{ "attributes-and-all",
	  { .path = m_101,
	    .mode = DIR_,
	    .uid = 3000000,
	    .gid = 3000000,
	    .mtime = -5,
	    .xattrs = one,
	    .xattr_count = 1 } },
	{ "record-of-99", { ALL("f"), .mode = REG, .xattrs = &ns[0], .xattr_count = 1 } },
	{ "record-of-100", { ALL("f"), .mode = REG, .xattrs = &ns[1], .xattr_count = 1 } },
	{ "record-of-101", { ALL("f"), .mode = REG, .xattrs = &ns[2], .xattr_count = 1 } },
	{ "record-of-1000", { ALL("f"), .mode = REG, .xattrs = &ns[3], .xattr_count = 1 } },
};

static const struct {
	const char *name, *path;
} whiteouts[] = { { "whiteout", "etc/passwd" }, { "top-whiteout", "x" }, { "long-whiteout", p_100 } };

static void read_golden(struct strbuf *text)
{
	const char *srcdir = getenv("srcdir");
	char path[PATH_MAX];
	struct err err;

	snprintf(path, sizeof(path), "%s/tests/golden/layers/headers.sha256", srcdir ? srcdir : ".");
	assert_ok(file_read(AT_FDCWD, path, 1 << 20, text, &err), err);
}

static void assert_golden(const char *golden, const char *name, const struct strbuf *blocks)
{
	char line[200], hex[DIGEST_HEX + 1];
	struct digest digest;

	assert_int_equal(blocks->len % 512, 0);
	digest_bytes(&digest, blocks->ptr, blocks->len);
	snprintf(line, sizeof(line), "%s  %s\n", digest_hex(&digest, hex), name);
	if (!strstr(golden, line))
		fail_msg("%s: the bytes are not those of the golden file", name);
}

static void test_headers_have_the_golden_bytes(void **state)
{
	scope_strbuf struct strbuf golden = { 0 };
	struct err err;

	(void)state;
	read_golden(&golden);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		scope_strbuf struct strbuf blocks = { 0 };
		assert_ok(tar_header(&blocks, &cases[i].entry, &err), err);
		assert_golden(golden.ptr, cases[i].name, &blocks);
	}
	for (size_t i = 0; i < ARRAY_LEN(whiteouts); i++) {
		scope_strbuf struct strbuf blocks = { 0 };
		assert_ok(tar_whiteout(&blocks, whiteouts[i].path, &err), err);
		assert_golden(golden.ptr, whiteouts[i].name, &blocks);
	}
}

static void test_every_golden_case_is_tried(void **state)
{
	scope_strbuf struct strbuf golden = { 0 };
	size_t lines = 0;

	(void)state;
	read_golden(&golden);
	for (const char *c = golden.ptr; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, ARRAY_LEN(cases) + ARRAY_LEN(whiteouts));
}

/* Our own reader, which is libarchive behind a strict check, must see what was written. */
static void test_headers_read_back(void **state)
{
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct layer_entry *entry = &cases[i].entry;
		scope_strbuf struct strbuf tar = { 0 };
		struct untar_item item;

		if (entry->mtime >= INT64_C(1) << 33)
			continue;
		assert_ok(tar_header(&tar, entry, &err), err);
		raw_end(&tar);
		scope_reader struct reader *reader = reader_bytes(tar.ptr, tar.len);
		scope_untar struct untar *untar = untar_open(reader, 0, "x", &err);
		assert_non_null(untar);
		if (untar_next(untar, &item, &err) != 1)
			fail_msg("%s: %s", cases[i].name, err.msg);
		assert_memory_equal(item.path, entry->path, strlen(entry->path));
		assert_int_equal(item.mode, entry->mode & 07777);
		assert_int_equal(item.uid, entry->uid);
		assert_int_equal(item.gid, entry->gid);
		assert_true(item.mtime == entry->mtime);
		assert_true(item.size == (entry->is_hardlink || !S_ISREG(entry->mode) ? 0 : entry->size));
		if (entry->link)
			assert_string_equal(item.link, entry->link);
		assert_int_equal(item.xattr_count, entry->is_hardlink ? 0 : entry->xattr_count);
	}
}

static void test_what_a_tar_cannot_hold_is_refused(void **state)
{
	static const struct layer_xattr equals[] = { { "user.a=b", "v", 1 } };
	static char large[1 << 20];
	const struct layer_xattr too_large[] = { { "user.k", large, sizeof(large) } };
	const struct layer_entry refused[] = {
		{ .path = "s", .mode = S_IFSOCK | 0644 },
		{ .path = "d", .mode = S_IFCHR, .rdev = makedev(1 << 21, 0) },
		{ .path = "f", .mode = REG, .xattrs = equals, .xattr_count = 1 },
		{ .path = "f", .mode = REG, .xattrs = too_large, .xattr_count = 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		scope_strbuf struct strbuf blocks = { 0 };
		struct err err;
		assert_int_equal(tar_header(&blocks, &refused[i], &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
	}
}

static void test_padding_fills_blocks(void **state)
{
	(void)state;
	assert_int_equal(tar_padding(0), 0);
	assert_int_equal(tar_padding(1), 511);
	assert_int_equal(tar_padding(511), 1);
	assert_int_equal(tar_padding(512), 0);
	assert_int_equal(tar_padding((INT64_C(1) << 40) + 513), 511);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers_have_the_golden_bytes),
		cmocka_unit_test(test_every_golden_case_is_tried),
		cmocka_unit_test(test_headers_read_back),
		cmocka_unit_test(test_what_a_tar_cannot_hold_is_refused),
		cmocka_unit_test(test_padding_fills_blocks),
	};

	fill_names();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
