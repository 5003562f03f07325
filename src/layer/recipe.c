/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "kiln/base/root.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/layer/recipe.h"
#include "kiln/layer/tar.h"

#include "content.h"
#include "recipe-writer.h"
#include "shown.h"

/*
 * A recipe is zstd of:
 *
 *	"kilnrcp1"
 *	'H' u32 length, bytes			header blocks, as they are in the tar
 *	'F' u32 length, path, u64 size		contents of that file of the tree, then zeros to the next block
 *	'E' u64 total				1024 zeros; the tar is `total` bytes long
 *
 * Numbers are little-endian. Nothing follows 'E'.
 */
static const char magic[8] = { 'k', 'i', 'l', 'n', 'r', 'c', 'p', '1' };

/* Two blocks, and at most 1 MiB of pax records: tar.c writes no more. */
enum { HEADER_MAX = (1 << 20) + 4 * TAR_BLOCK };
#define SIZE_LIMIT (INT64_MAX / 4)

/* ---- writing ---- */

int recipe_begin(struct recipe_writer *recipe, struct writer *out, struct err *err)
{
	recipe->zstd = writer_zstd_private(writer_borrow(out));
	return recipe->zstd->write(recipe->zstd, magic, sizeof(magic), err);
}

static void store_le(uint8_t *bytes, size_t count, uint64_t value)
{
	for (size_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
}

static int put_record(struct recipe_writer *recipe, char tag, const void *bytes, size_t len, struct err *err)
{
	uint8_t head[5] = { (uint8_t)tag };

	store_le(head + 1, 4, len);
	if (recipe->zstd->write(recipe->zstd, head, sizeof(head), err) < 0)
		return -1;
	return recipe->zstd->write(recipe->zstd, bytes, len, err);
}

int recipe_header(struct recipe_writer *recipe, const void *blocks, size_t len, struct err *err)
{
	return put_record(recipe, 'H', blocks, len, err);
}

int recipe_file(struct recipe_writer *recipe, const char *path, int64_t size, struct err *err)
{
	uint8_t bytes[8];

	store_le(bytes, sizeof(bytes), (uint64_t)size);
	if (put_record(recipe, 'F', path, strlen(path), err) < 0)
		return -1;
	return recipe->zstd->write(recipe->zstd, bytes, sizeof(bytes), err);
}

int recipe_end(struct recipe_writer *recipe, int64_t total, struct err *err)
{
	uint8_t bytes[9] = { 'E' };

	store_le(bytes + 1, 8, (uint64_t)total);
	if (recipe->zstd->write(recipe->zstd, bytes, sizeof(bytes), err) < 0)
		return -1;
	return recipe->zstd->finish(recipe->zstd, err);
}

void recipe_release(struct recipe_writer *recipe)
{
	scope_close_writer(&recipe->zstd);
	recipe->zstd = NULL;
}

/* ---- replaying ---- */

struct replay {
	struct reader *in;
	struct root tree;
	struct writer *out;
	int64_t total;
	struct strbuf bytes; /* of the current record */
};

static void replay_release(struct replay *replay)
{
	strbuf_release(&replay->bytes);
	scope_close_reader(&replay->in);
}

static int fail_damaged(const char *what, struct err *err)
{
	return err_set(err, ERR_CORRUPT, "the recipe of the layer is damaged: %s", what);
}

static int get_number(struct replay *replay, size_t width, int64_t *value, struct err *err)
{
	uint8_t bytes[8];
	uint64_t number = 0;

	if (reader_exact(replay->in, bytes, width, "the recipe of the layer", err) < 0)
		return -1;
	for (size_t i = width; i-- > 0;)
		number = number << 8 | bytes[i];
	if (number > (uint64_t)SIZE_LIMIT)
		return fail_damaged("a number is out of range", err);
	*value = (int64_t)number;
	return 0;
}

/* Length and bytes into replay->bytes. */
static int get_bytes(struct replay *replay, int64_t max, struct err *err)
{
	int64_t len = 0;

	if (get_number(replay, 4, &len, err) < 0)
		return -1;
	if (len == 0 || len > max)
		return fail_damaged("a record's length is out of range", err);
	strbuf_reset(&replay->bytes);
	strbuf_reserve(&replay->bytes, (size_t)len);
	replay->bytes.len = (size_t)len;
	replay->bytes.ptr[len] = '\0';
	return reader_exact(replay->in, replay->bytes.ptr, (size_t)len, "the recipe of the layer", err);
}

static int count(struct replay *replay, int64_t len, struct err *err)
{
	if (len > SIZE_LIMIT - replay->total)
		return fail_damaged("its sizes are out of range", err);
	replay->total += len;
	return 0;
}

static int replay_header(struct replay *replay, struct err *err)
{
	if (get_bytes(replay, HEADER_MAX, err) < 0)
		return -1;
	if (replay->bytes.len % TAR_BLOCK != 0)
		return fail_damaged("a header is no multiple of 512 bytes", err);
	if (count(replay, (int64_t)replay->bytes.len, err) < 0)
		return -1;
	return replay->out->write(replay->out, replay->bytes.ptr, replay->bytes.len, err);
}

static int fail_file(const char *path, const char *what, struct err *err)
{
	return err_set(err, ERR_CORRUPT, "the tree of the layer is damaged: %s %s", SHOWN(path), what);
}

static int open_file(const struct replay *replay, int64_t size, struct stat *st, struct err *err)
{
	const char *path = replay->bytes.ptr;
	struct err cause;
	scope_fd int fd = root_open_regular(&replay->tree, path, &cause);

	if (fd < 0 && (err_is_errno(&cause, ENOENT) || err_is_errno(&cause, ENOTDIR)))
		return fail_file(path, "is missing", err);
	if (fd < 0 && (cause.kind == ERR_INPUT || err_is_errno(&cause, ELOOP)))
		return fail_file(path, "is not a file", err);
	if (fd < 0)
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	if (fstat(fd, st) < 0)
		return err_errno(err, "stat %s", SHOWN(path));
	if (st->st_size != size)
		return fail_file(path, "has not the size that was recorded", err);
	return take_fd(&fd);
}

static int replay_file(struct replay *replay, struct err *err)
{
	struct stat st;
	int64_t size = 0;

	if (get_bytes(replay, PATH_MAX - 1, err) < 0 || get_number(replay, 8, &size, err) < 0)
		return -1;
	if (strlen(replay->bytes.ptr) != replay->bytes.len)
		return fail_damaged("a path holds a NUL", err);
	scope_fd int fd = open_file(replay, size, &st, err);
	if (fd < 0 || count(replay, size + (int64_t)tar_padding(size), err) < 0)
		return -1;
	return content_write(fd, &st, replay->bytes.ptr, replay->out, err);
}

static int replay_end(struct replay *replay, struct err *err)
{
	int64_t total = 0;
	char more;

	if (get_number(replay, 8, &total, err) < 0 || count(replay, TAR_TRAILER, err) < 0)
		return -1;
	if (total != replay->total)
		return fail_damaged("the sizes do not add up", err);
	ssize_t left = replay->in->read(replay->in, &more, 1, err);
	if (left != 0)
		return left < 0 ? -1 : fail_damaged("there is something behind its end", err);
	return content_write_zeros(replay->out, TAR_TRAILER, err);
}

static int check_magic(struct replay *replay, struct err *err)
{
	char found[sizeof(magic)];

	if (reader_exact(replay->in, found, sizeof(found), "the recipe of the layer", err) < 0)
		return -1;
	return memcmp(found, magic, sizeof(magic)) == 0 ? 0 : fail_damaged("it does not begin like one", err);
}

int layer_replay(struct reader *recipe, int tree_fd, struct writer *out, struct err *err)
{
	__attribute__((cleanup(replay_release))) struct replay replay = {
		.in = reader_inflate(reader_borrow(recipe, NULL), NULL, "the recipe of the layer"),
		.tree = { tree_fd, ROOT_BENEATH },
		.out = out,
	};
	char tag;

	if (check_magic(&replay, err) < 0)
		return -1;
	for (;;) {
		if (reader_exact(replay.in, &tag, 1, "the recipe of the layer", err) < 0)
			return -1;
		if (tag == 'E')
			return replay_end(&replay, err);
		if (tag != 'H' && tag != 'F')
			return fail_damaged("a record is of an unknown kind", err);
		if ((tag == 'H' ? replay_header(&replay, err) : replay_file(&replay, err)) < 0)
			return -1;
	}
}
