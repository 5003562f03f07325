/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "tarcheck.h"

#define GLOBALS_MAX 16

enum state {
	AT_HEADER,
	IN_SPECIAL,   /* the body of an 'x', 'g', 'L' or 'K' header */
	IN_EXTENSION, /* more blocks of a GNU sparse header */
	IN_MAP,       /* the lines before the data of a pax sparse file */
	IN_DATA,      /* and its padding */
	AT_END,       /* behind the first zero block */
	IN_TAIL       /* behind the second */
};

struct tarcheck {
	struct reader *below;
	unsigned flags;
	char *name;
	enum state state;
	int64_t offset; /* of the next byte to be checked */
	bool is_ended;
	size_t zeros; /* of an end that below did not have, still to be given */
	char label[sizeof(((struct tar_block *)0)->name) + 1]; /* name in the last header, for messages */

	union {
		struct tar_block header;
		struct tar_sparse_block extension;
	} block;
	size_t fill; /* bytes of block that are there */

	/* The headers before the entry's own. */
	struct tar_specials specials;
	int64_t first; /* offset of the first of them, -1 without any */
	unsigned globals;
	char special_type;
	struct strbuf special;
	size_t special_left;

	struct tar_entry entry; /* while its headers come in */
	struct tar_sparse map;  /* while its lines come in before the data */
	int64_t data_left;
	size_t padding_left;

	/* Entries that are understood and not yet asked for. */
	struct tar_entry *queue;
	size_t queue_start, queue_end, queue_cap;
};

static size_t padding_of(int64_t size)
{
	return (size_t)(-size & (TAR_BLOCK - 1));
}

/* ---- entries ---- */

static void queue_push(struct tarcheck *check, const struct tar_entry *entry)
{
	if (check->queue_start == check->queue_end)
		check->queue_start = check->queue_end = 0;
	if (check->queue_end == check->queue_cap) {
		check->queue_cap = check->queue_cap ? 2 * check->queue_cap : 64;
		check->queue = reallocarray(check->queue, check->queue_cap, sizeof(*check->queue));
		if (!check->queue)
			abort();
	}
	check->queue[check->queue_end++] = *entry;
}

bool tarcheck_next(struct tarcheck *check, struct tar_entry *entry)
{
	if (check->queue_start == check->queue_end)
		return false;
	*entry = check->queue[check->queue_start++];
	return true;
}

static void skip_data(struct tarcheck *check, int64_t data, size_t padding)
{
	check->data_left = data;
	check->padding_left = padding;
	check->state = data || padding ? IN_DATA : AT_HEADER;
}

/* All headers of the entry are read. */
static int finish_entry(struct tarcheck *check, struct err *err)
{
	struct tar_entry *entry = &check->entry;
	enum tar_sparse_kind kind = entry->sparse.kind;

	if (kind == TAR_SPARSE_GNU || kind == TAR_SPARSE_PAX_0) {
		if (tar_sparse_finish(&entry->sparse, entry->stored, err) < 0)
			return -1;
	}
	entry->size = kind == TAR_SPARSE_NONE ? entry->stored : entry->sparse.realsize;
	entry->offset = check->first;
	skip_data(check, entry->stored, padding_of(entry->stored));
	if (kind == TAR_SPARSE_PAX_1) {
		check->map = entry->sparse;
		check->state = IN_MAP;
	}
	queue_push(check, entry);
	*entry = (struct tar_entry){ 0 };
	tar_specials_reset(&check->specials);
	check->first = -1;
	return 0;
}

static int on_entry(struct tarcheck *check, const struct tar_block *block, struct err *err)
{
	if (tar_entry_read(&check->entry, &check->specials, block, check->flags, err) < 0)
		return -1;
	if (check->entry.sparse.kind != TAR_SPARSE_GNU || !block->gnu.is_extended)
		return finish_entry(check, err);
	check->state = IN_EXTENSION;
	return 0;
}

static int on_extension(struct tarcheck *check, struct err *err)
{
	const struct tar_sparse_block *block = &check->block.extension;

	if (tar_sparse_fields(&check->entry.sparse, block->sparse, ARRAY_LEN(block->sparse), err) < 0)
		return -1;
	if (!block->is_extended)
		return finish_entry(check, err);
	/* Every block but the last must bring extents, or the chain could go on for ever. */
	return block->sparse[0].offset[0] ? 0 : err_set(err, ERR_INPUT, "a sparse map has an empty block");
}

/* ---- headers before the entry's own ---- */

static int start_special(struct tarcheck *check, const struct tar_block *block, struct err *err)
{
	if (block->type == 'g' && ++check->globals > GLOBALS_MAX)
		return err_set(err, ERR_INPUT, "more than %d global headers", GLOBALS_MAX);
	if (tar_special_start(&check->specials, block, &check->special_left, err) < 0)
		return -1;
	check->special_type = block->type;
	strbuf_reset(&check->special);
	strbuf_reserve(&check->special, check->special_left);
	check->state = IN_SPECIAL;
	return 0;
}

static int on_special(struct tarcheck *check, struct err *err)
{
	skip_data(check, 0, padding_of((int64_t)check->special.len));
	return tar_special_finish(&check->specials, check->special_type, &check->special, check->flags, err);
}

/* ---- blocks ---- */

static int on_zero_block(struct tarcheck *check, struct err *err)
{
	if (tar_specials_any(&check->specials))
		return err_set(err, ERR_INPUT, "a header is followed by no entry");
	check->state = AT_END;
	return 0;
}

static int on_header(struct tarcheck *check, struct err *err)
{
	const struct tar_block *block = &check->block.header;
	int64_t start = check->offset - TAR_BLOCK;

	if (tar_block_is_zero(block))
		return on_zero_block(check, err);
	if (!tar_block_is_header(block))
		return err_set(err, ERR_INPUT,
			       start == 0 ? "this is no tar archive" : "the checksum of a header is wrong");
	memcpy(check->label, block->name, sizeof(block->name));
	if (check->first < 0)
		check->first = start;
	if (block->type && strchr("xgLK", block->type))
		return start_special(check, block, err);
	return on_entry(check, block, err);
}

/* libarchive and GNU tar stop at one zero block, others go on: an entry could hide behind it. */
static int on_second_end(struct tarcheck *check, struct err *err)
{
	if (!tar_block_is_zero(&check->block.header))
		return err_set(err, ERR_INPUT, "the archive goes on behind a block of zeros");
	check->state = IN_TAIL;
	return 0;
}

static ssize_t take_block(struct tarcheck *check, const char *bytes, size_t len, struct err *err)
{
	size_t room = TAR_BLOCK - check->fill, count = len < room ? len : room;

	memcpy((char *)&check->block + check->fill, bytes, count);
	check->fill += count;
	check->offset += (int64_t)count;
	if (check->fill < TAR_BLOCK)
		return (ssize_t)count;
	check->fill = 0;
	int result = check->state == AT_HEADER      ? on_header(check, err)
		     : check->state == IN_EXTENSION ? on_extension(check, err)
						    : on_second_end(check, err);
	return result < 0 ? -1 : (ssize_t)count;
}

static ssize_t take_special(struct tarcheck *check, const char *bytes, size_t len, struct err *err)
{
	size_t count = len < check->special_left ? len : check->special_left;

	strbuf_add(&check->special, bytes, count);
	check->special_left -= count;
	check->offset += (int64_t)count;
	if (check->special_left == 0 && on_special(check, err) < 0)
		return -1;
	return (ssize_t)count;
}

static ssize_t take_map(struct tarcheck *check, const char *bytes, size_t len, struct err *err)
{
	for (size_t i = 0; i < len; i++) {
		if (check->data_left == 0)
			return err_set(err, ERR_INPUT, "a sparse map has no end");
		int is_last = tar_sparse_byte(&check->map, bytes[i], err);
		if (is_last < 0)
			return -1;
		check->data_left--;
		check->offset++;
		if (!is_last)
			continue;
		int64_t stored = check->data_left - (int64_t)padding_of(check->map.map_len);
		if (tar_sparse_finish(&check->map, stored, err) < 0)
			return -1;
		skip_data(check, check->data_left, check->padding_left);
		return (ssize_t)(i + 1);
	}
	return (ssize_t)len;
}

static ssize_t take_data(struct tarcheck *check, const char *bytes, size_t len, struct err *err)
{
	uint64_t data = (uint64_t)check->data_left;
	size_t count = data < len ? (size_t)data : len;
	size_t padding = len - count < check->padding_left ? len - count : check->padding_left;

	(void)bytes;
	(void)err;
	skip_data(check, check->data_left - (int64_t)count, check->padding_left - padding);
	check->offset += (int64_t)(count + padding);
	return (ssize_t)(count + padding);
}

static ssize_t take_tail(struct tarcheck *check, const char *bytes, size_t len, struct err *err)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != '\0')
			return err_set(err, ERR_INPUT, "something stands behind the end of the archive");
	}
	check->offset += (int64_t)len;
	return (ssize_t)len;
}

/* ---- the stream ---- */

static int take_all(struct tarcheck *check, const char *bytes, size_t len, struct err *err)
{
	static ssize_t (*const takers[])(struct tarcheck *, const char *, size_t, struct err *) = {
		[AT_HEADER] = take_block, [IN_SPECIAL] = take_special, [IN_EXTENSION] = take_block, [IN_MAP] = take_map,
		[IN_DATA] = take_data,    [AT_END] = take_block,       [IN_TAIL] = take_tail,
	};

	while (len > 0) {
		ssize_t count = takers[check->state](check, bytes, len, err);
		if (count < 0)
			return -1;
		bytes += count;
		len -= (size_t)count;
	}
	return 0;
}

/* The stream below has ended: is that an end? If so, with how many zeros more would it be a complete one? */
static int check_end(struct tarcheck *check, struct err *err)
{
	bool is_whole = !tar_specials_any(&check->specials) && check->fill == 0 &&
			(check->state == AT_HEADER || (check->state == IN_DATA && check->data_left == 0));

	if (check->state == IN_TAIL)
		return 0;
	if (check->state == AT_END && (check->flags & UNTAR_ALLOW_NO_END))
		return 0;
	if (check->state == AT_END || (is_whole && !(check->flags & UNTAR_ALLOW_NO_END)))
		return err_set(err, ERR_INPUT, "the archive has no end mark, it may have been cut off");
	if (!is_whole)
		return err_set(err, ERR_INPUT, check->label[0] ? "the archive ends early" : "this is no tar archive");
	check->zeros = 2 * TAR_BLOCK + (check->state == IN_DATA ? check->padding_left : 0);
	return 0;
}

static int wrap(const struct tarcheck *check, struct err *err)
{
	char shown[512];

	if (!check->label[0])
		return err_wrap(err, "%s", check->name);
	return err_wrap(err, "%s: at byte %lld (\"%s\")", check->name, (long long)check->offset,
			err_printable(shown, sizeof(shown), check->label));
}

ssize_t tarcheck_read(struct tarcheck *check, void *buf, size_t len, struct err *err)
{
	if (!check->is_ended) {
		ssize_t count = check->below->read(check->below, buf, len, err);
		if (count < 0)
			return -1;
		if (count > 0)
			return take_all(check, buf, (size_t)count, err) < 0 ? wrap(check, err) : count;
		check->is_ended = true;
		if (check_end(check, err) < 0)
			return wrap(check, err);
	}
	size_t zeros = check->zeros < len ? check->zeros : len;
	memset(buf, 0, zeros);
	check->zeros -= zeros;
	return (ssize_t)zeros;
}

struct tarcheck *tarcheck_open(struct reader *below, unsigned flags, const char *name)
{
	struct tarcheck *check = stream_alloc(sizeof(*check));

	check->below = below;
	check->flags = flags;
	check->name = stream_strdup(name);
	check->first = -1;
	return check;
}

void tarcheck_close(struct tarcheck *check)
{
	if (!check)
		return;
	struct tar_entry entry;
	while (tarcheck_next(check, &entry))
		tar_entry_release(&entry);
	tar_entry_release(&check->entry);
	tar_specials_release(&check->specials);
	strbuf_release(&check->special);
	free(check->queue);
	free(check->name);
	free(check);
}
