/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TESTS_UNIT_LAYER_SCRATCH_H
#define KILN_TESTS_UNIT_LAYER_SCRATCH_H

#include "scratch.h"

#include <errno.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kiln/base/text.h"
#include "kiln/codec/untar.h"
#include "kiln/layer/layer.h"

/* Trees and tars for the tests of layer/. Everything is made with times that are whole seconds: see stamp. */
enum { STAMP = 1600000000 };

static inline int make_tree(int dir_fd, const char *name)
{
	put_dir(dir_fd, name);
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline void set_time(int dir_fd, const char *path, int64_t seconds)
{
	const struct timespec times[2] = { { .tv_sec = seconds }, { .tv_sec = seconds } };

	assert_int_equal(utimensat(dir_fd, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

/* Sets the time of everything below dir_fd, and of itself, to STAMP. */
static inline void stamp(int dir_fd)
{
	int own_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *stream = fdopendir(own_fd);

	assert_non_null(stream);
	for (struct dirent *entry; (entry = readdir(stream));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		scope_fd int fd = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			stamp(fd);
		set_time(dir_fd, entry->d_name, STAMP);
	}
	set_time(dir_fd, ".", STAMP);
}

static inline int open_dir_at(int dir_fd, const char *path)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* Where this user may make no devices, as a file. */
static inline void put_whiteout(int tree_fd, const char *dir, const char *name)
{
	scope_fd int fd = open_dir_at(tree_fd, *dir ? dir : ".");
	bool is_file = false;
	struct err err;

	assert_ok(layer_make_whiteout(fd, name, &is_file, &err), err);
	if (is_file)
		assert_ok(layer_note_file_marks(tree_fd, &err), err);
}

static inline void put_opaque(int tree_fd, const char *dir)
{
	scope_fd int fd = open_dir_at(tree_fd, dir);
	bool is_file = false;
	struct err err;

	assert_ok(layer_make_opaque(fd, &is_file, &err), err);
	if (is_file)
		assert_ok(layer_note_file_marks(tree_fd, &err), err);
}

static inline void put_xattr(int dir_fd, const char *path, const char *name, const char *value)
{
	scope_fd int fd = openat(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fsetxattr(fd, name, value, strlen(value), 0), 0);
}

/* ---- tars by hand: entries that our own writer would never make ---- */

struct raw {
	char type;
	const char *path;
	const char *body, *link;
	int mode; /* 0: 0644, or 0755 for directories */
	int dev_major, dev_minor;
	const char *pax; /* records of an 'x' block before it */
};

static inline void raw_octal(char *field, size_t width, unsigned long value)
{
	for (size_t i = width - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
}

/* "LENGTH KEY=VALUE\n"; all records made here are 10 to 99 bytes long. */
static inline void raw_record(struct strbuf *records, const char *key, const char *value)
{
	size_t len = strlen(key) + strlen(value) + 5;

	assert_in_range(len, 10, 99);
	strbuf_addf(records, "%zu %s=%s\n", len, key, value);
}

static inline void raw_block(struct strbuf *tar, const struct raw *raw, size_t size)
{
	char block[512] = { 0 };
	unsigned sum = 0;
	int mode = raw->mode ? raw->mode : raw->type == '5' ? 0755 : 0644;

	assert_true(strlen(raw->path) <= 100);
	memcpy(block, raw->path, strlen(raw->path));
	raw_octal(block + 100, 8, (unsigned long)mode);
	raw_octal(block + 108, 8, geteuid());
	raw_octal(block + 116, 8, getegid());
	raw_octal(block + 124, 12, size);
	raw_octal(block + 136, 12, STAMP);
	block[156] = raw->type;
	if (raw->link)
		memcpy(block + 157, raw->link, strlen(raw->link));
	memcpy(block + 257, "ustar\00000", 8);
	raw_octal(block + 329, 8, (unsigned long)raw->dev_major);
	raw_octal(block + 337, 8, (unsigned long)raw->dev_minor);
	memset(block + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(block); i++)
		sum += (unsigned char)block[i];
	snprintf(block + 148, 8, "%06o", sum);
	block[155] = ' ';
	strbuf_add(tar, block, sizeof(block));
}

static inline void raw_body(struct strbuf *tar, const char *body, size_t size)
{
	static const char zeros[512];

	strbuf_add(tar, body, size);
	strbuf_add(tar, zeros, -size & 511);
}

static inline void raw_add(struct strbuf *tar, const struct raw *raw)
{
	size_t size = raw->body ? strlen(raw->body) : 0;

	if (raw->pax) {
		raw_block(tar, &(struct raw){ .type = 'x', .path = "x" }, strlen(raw->pax));
		raw_body(tar, raw->pax, strlen(raw->pax));
	}
	raw_block(tar, raw, size);
	raw_body(tar, raw->body ? raw->body : "", size);
}

static inline void raw_end(struct strbuf *tar)
{
	static const char zeros[1024];

	strbuf_add(tar, zeros, sizeof(zeros));
}

static inline int apply_bytes(const struct strbuf *tar, int tree_fd, const struct layer_apply_options *options,
			      struct layer_stats *stats, struct err *err)
{
	scope_reader struct reader *reader = reader_bytes(tar->ptr, tar->len);

	return layer_apply(reader, tree_fd, options, "x.tar", stats, err);
}

static inline int apply_raw(const struct raw *raws, size_t count, int tree_fd, unsigned flags, struct err *err)
{
	scope_strbuf struct strbuf tar = { 0 };
	struct layer_stats stats;

	for (size_t i = 0; i < count; i++)
		raw_add(&tar, &raws[i]);
	raw_end(&tar);
	return apply_bytes(&tar, tree_fd, &(struct layer_apply_options){ .flags = flags }, &stats, err);
}

/* ---- what is in a tar ---- */

/* "f 644 5 a/x\n" for each entry: type, mode, size, path, "-> link". Whiteouts are "- path". */
static inline void list_tar(struct strbuf *list, const struct strbuf *tar)
{
	static const char letters[] = "fdlhpcb";
	scope_reader struct reader *reader = reader_bytes(tar->ptr, tar->len);
	struct err err = { 0 };
	scope_untar struct untar *untar = untar_open(reader, 0, "the tar", &err);
	struct untar_item item;
	int more;

	assert_non_null(untar);
	while ((more = untar_next(untar, &item, &err)) > 0) {
		const char *base = item.type == UNTAR_DIR ? "" : path_base(item.path);
		if (strncmp(base, ".wh.", 4) == 0) {
			strbuf_addf(list, "- %.*s%s\n", (int)(base - item.path), item.path, base + 4);
			continue;
		}
		strbuf_addf(list, "%c %o %lld %s", letters[item.type], item.mode, (long long)item.size, item.path);
		if (item.type == UNTAR_SYMLINK || item.type == UNTAR_HARDLINK)
			strbuf_addf(list, " -> %s", item.link);
		if (item.type == UNTAR_CHAR || item.type == UNTAR_BLOCK)
			strbuf_addf(list, " %u:%u", major(item.rdev), minor(item.rdev));
		for (size_t i = 0; i < item.xattr_count; i++)
			strbuf_addf(list, " %s=%.*s", item.xattrs[i].name, (int)item.xattrs[i].len,
				    (const char *)item.xattrs[i].value);
		strbuf_addch(list, '\n');
	}
	assert_ok(more, err);
}

struct layer_result {
	struct layer_stats stats;
	struct strbuf recipe, tar, list;
};

static inline void layer_result_release(struct layer_result *result)
{
	strbuf_release(&result->recipe);
	strbuf_release(&result->tar);
	strbuf_release(&result->list);
}
#define scope_result __attribute__((cleanup(layer_result_release)))

/* Diffs and replays, and checks that the two agree. */
static inline int try_diff(struct layer_result *result, int upper_fd, const int *lowers, size_t count, int64_t clamp,
			   struct err *err)
{
	scope_writer struct writer *out = writer_strbuf(&result->recipe);
	scope_writer struct writer *tar = writer_strbuf(&result->tar);
	struct digest digest;

	if (layer_diff(upper_fd, lowers, count, &(struct layer_diff_options){ clamp }, out, &result->stats, err) < 0)
		return -1;
	assert_ok(out->finish(out, err), *err);
	scope_reader struct reader *recipe = reader_bytes(result->recipe.ptr, result->recipe.len);
	assert_ok(layer_replay(recipe, upper_fd, tar, err), *err);
	assert_ok(tar->finish(tar, err), *err);
	digest_bytes(&digest, result->tar.ptr, result->tar.len);
	assert_true(digest_equal(&digest, &result->stats.diff_id));
	assert_int_equal(result->stats.size, result->tar.len);
	list_tar(&result->list, &result->tar);
	return 0;
}

static inline void assert_layer(int upper_fd, const int *lowers, size_t count, const char *expected)
{
	scope_result struct layer_result result = { 0 };
	struct err err = { 0 };

	assert_ok(try_diff(&result, upper_fd, lowers, count, INT64_MAX, &err), err);
	assert_string_equal(strbuf_str(&result.list), expected);
}

#endif
