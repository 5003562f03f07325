/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

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
	int64_t first; /* offset of the first of them, -1 without any */
	bool has_x, has_name, has_link;
	unsigned globals;
	struct tar_pax pax;
	struct strbuf path, link; /* from them; empty if the header's own count */
	char special_type;
	struct strbuf special;
	size_t special_left;

	struct tar_entry entry;
	struct tar_sparse sparse;
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

void tar_entry_release(struct tar_entry *entry)
{
	free(take_ptr(entry->path));
	free(take_ptr(entry->link));
}

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

static bool has_specials(const struct tarcheck *check)
{
	return check->has_x || check->has_name || check->has_link;
}

static void skip_data(struct tarcheck *check, int64_t data, size_t padding)
{
	check->data_left = data;
	check->padding_left = padding;
	check->state = data || padding ? IN_DATA : AT_HEADER;
}

/* All headers of the entry are read; stored is what follows in the stream. */
static int finish_entry(struct tarcheck *check, int64_t stored, struct err *err)
{
	if (check->sparse.kind == TAR_SPARSE_GNU || check->sparse.kind == TAR_SPARSE_PAX_0) {
		if (tar_sparse_finish(&check->sparse, stored, err) < 0)
			return -1;
	}
	if (check->sparse.kind != TAR_SPARSE_NONE) {
		check->entry.is_sparse = true;
		check->entry.size = check->sparse.realsize;
	}
	queue_push(check, &check->entry);
	check->entry = (struct tar_entry){ 0 };
	check->first = -1;
	check->has_x = check->has_name = check->has_link = false;
	strbuf_reset(&check->path);
	strbuf_reset(&check->link);
	skip_data(check, stored, padding_of(stored));
	if (check->sparse.kind == TAR_SPARSE_PAX_1)
		check->state = IN_MAP;
	return 0;
}

static int start_gnu_sparse(struct tarcheck *check, const struct tar_block *block, struct err *err)
{
	struct tar_sparse *sparse = &check->sparse;

	tar_sparse_init(sparse, TAR_SPARSE_GNU);
	if (!block->gnu.realsize[0] || !block->gnu.sparse[0].offset[0] ||
	    !tar_number(block->gnu.realsize, sizeof(block->gnu.realsize), &sparse->realsize))
		return err_set(err, ERR_INPUT, "a sparse header has no size or no map");
	if (tar_sparse_fields(sparse, block->gnu.sparse, ARRAY_LEN(block->gnu.sparse), err) < 0)
		return -1;
	if (block->gnu.is_extended) {
		check->state = IN_EXTENSION;
		return 0;
	}
	return finish_entry(check, check->entry.size, err);
}

static int on_extension(struct tarcheck *check, struct err *err)
{
	const struct tar_sparse_block *block = &check->block.extension;

	if (tar_sparse_fields(&check->sparse, block->sparse, ARRAY_LEN(block->sparse), err) < 0)
		return -1;
	/* Every block but the last must bring extents, or the chain could go on for ever. */
	if (block->is_extended && !block->sparse[0].offset[0])
		return err_set(err, ERR_INPUT, "a sparse map has an empty block");
	return block->is_extended ? 0 : finish_entry(check, check->entry.size, err);
}

static int header_number(const char *what, const char *field, size_t len, int64_t *out, struct err *err)
{
	if (!tar_number(field, len, out))
		return err_set(err, ERR_INPUT, "the %s in a header is no number", what);
	return 0;
}

/* Numbers from the header, or from the pax header where that has them. */
static int read_numbers(struct tarcheck *check, const struct tar_block *block, int64_t *size, struct err *err)
{
	const struct tar_pax *pax = check->has_x ? &check->pax : &(const struct tar_pax){ 0 };
	int64_t mode, uid, gid, mtime;

	if (header_number("mode", block->mode, sizeof(block->mode), &mode, err) < 0 ||
	    header_number("user id", block->uid, sizeof(block->uid), &uid, err) < 0 ||
	    header_number("group id", block->gid, sizeof(block->gid), &gid, err) < 0 ||
	    header_number("size", block->size, sizeof(block->size), size, err) < 0 ||
	    header_number("time", block->mtime, sizeof(block->mtime), &mtime, err) < 0)
		return -1;
	uid = pax->has_uid ? pax->uid : uid;
	gid = pax->has_gid ? pax->gid : gid;
	*size = pax->has_size ? pax->size : *size;
	mtime = pax->has_mtime ? pax->mtime : mtime;
	if (tar_range("mode", mode, 0, UINT32_MAX, err) < 0 || tar_range("user id", uid, 0, TAR_ID_MAX, err) < 0 ||
	    tar_range("group id", gid, 0, TAR_ID_MAX, err) < 0 || tar_range("size", *size, 0, TAR_SIZE_MAX, err) < 0 ||
	    tar_range("time", mtime, TAR_MTIME_MIN, TAR_MTIME_MAX, err) < 0)
		return -1;
	check->entry.mode = (mode_t)mode;
	check->entry.uid = (uid_t)uid;
	check->entry.gid = (gid_t)gid;
	check->entry.mtime = mtime;
	return 0;
}

/* Limits of the kernel's dev_t. */
static int read_device(struct tarcheck *check, const struct tar_block *block, struct err *err)
{
	int64_t major, minor;

	if (header_number("device number", block->major, sizeof(block->major), &major, err) < 0 ||
	    header_number("device number", block->minor, sizeof(block->minor), &minor, err) < 0 ||
	    tar_range("device number", major, 0, 0xfff, err) < 0 ||
	    tar_range("device number", minor, 0, 0xfffff, err) < 0)
		return -1;
	check->entry.rdev = makedev((unsigned)major, (unsigned)minor);
	return 0;
}

/* libarchive expands a map in any GNU header, others only in that of a sparse file. */
static bool has_stray_map(const struct tar_block *block)
{
	const char *from = (const char *)block->gnu.sparse;
	const char *to = block->gnu.realsize + sizeof(block->gnu.realsize);

	while (from < to && *from == '\0')
		from++;
	return from < to;
}

static int check_type(const struct tarcheck *check, char type, int format, int64_t size, struct err *err)
{
	bool is_file = type == '0' || type == 'S';

	if (!strchr("0123456S", type)) {
		char shown[8] = { type, '\0' }, printable[8];
		return err_set(err, ERR_INPUT, "the type '%s' of an entry is not known",
			       err_printable(printable, sizeof(printable), shown));
	}
	if (type == 'S' && !(check->flags & UNTAR_ALLOW_SPARSE))
		return err_set(err, ERR_INPUT, "a sparse file is not accepted here");
	if ((type == 'S' && format != TAR_GNU) || (check->sparse.kind != TAR_SPARSE_NONE && type != '0'))
		return err_set(err, ERR_INPUT, "a sparse map belongs to something that is no sparse file");
	/* What follows is data to some readers and a header to others. A size in the header of a directory or a symbolic
	   link is ignored by all that unpack. */
	if (type == '1' && size != 0)
		return err_set(err, ERR_INPUT, "a hard link has data");
	if (!is_file && check->has_x && check->pax.has_size && size != 0)
		return err_set(err, ERR_INPUT, "something that is no file has data");
	return 0;
}

static char *header_text(const char *field, size_t len)
{
	char *text = strndup(field, len);

	if (!text)
		abort();
	return text;
}

static char *header_path(const struct tar_block *block, int format)
{
	scope_strbuf struct strbuf path = { 0 };

	if (format == TAR_USTAR && block->prefix[0]) {
		strbuf_add(&path, block->prefix, strnlen(block->prefix, sizeof(block->prefix)));
		if (path.ptr[path.len - 1] != '/')
			strbuf_addch(&path, '/');
	}
	strbuf_add(&path, block->name, strnlen(block->name, sizeof(block->name)));
	return strbuf_detach(&path);
}

static void read_names(struct tarcheck *check, const struct tar_block *block, int format)
{
	struct tar_entry *entry = &check->entry;

	entry->path = check->path.len ? strbuf_detach(&check->path) : header_path(block, format);
	if (entry->type == '1' || entry->type == '2')
		entry->link = check->link.len ? strbuf_detach(&check->link)
					      : header_text(block->link, sizeof(block->link));
}

static int on_entry(struct tarcheck *check, const struct tar_block *block, struct err *err)
{
	int format = tar_block_format(block, err);
	char type = block->type ? block->type : '0';
	int64_t size;

	if (format < 0)
		return -1;
	check->entry = (struct tar_entry){ .offset = check->first, .type = type == 'S' ? '0' : type };
	tar_sparse_init(&check->sparse, TAR_SPARSE_NONE);
	if (check->has_x)
		check->sparse = check->pax.sparse;
	if (read_numbers(check, block, &size, err) < 0 || check_type(check, type, format, size, err) < 0)
		return -1;
	if (format == TAR_GNU && type != 'S' && has_stray_map(block))
		return err_set(err, ERR_INPUT, "a sparse map belongs to something that is no sparse file");
	if ((type == '3' || type == '4') && format != TAR_V7 && read_device(check, block, err) < 0)
		return -1;
	check->entry.size = check->entry.type == '0' ? size : 0;
	read_names(check, block, format);
	if (type == 'S')
		return start_gnu_sparse(check, block, err);
	return finish_entry(check, check->entry.size, err);
}

/* ---- headers before the entry's own ---- */

static int start_special(struct tarcheck *check, const struct tar_block *block, struct err *err)
{
	bool *seen = block->type == 'x' ? &check->has_x : block->type == 'L' ? &check->has_name : &check->has_link;
	int64_t size;

	if (header_number("size", block->size, sizeof(block->size), &size, err) < 0)
		return -1;
	if (size < 0 || size > TAR_SPECIAL_MAX)
		return err_set(err, ERR_INPUT, "a '%c' header is larger than 1 MiB", block->type);
	if (block->type == 'g') {
		/* Go forgets the headers that stand before a global one. */
		if (has_specials(check))
			return err_set(err, ERR_INPUT, "a global header stands between the headers of an entry");
		if (++check->globals > GLOBALS_MAX)
			return err_set(err, ERR_INPUT, "more than %d global headers", GLOBALS_MAX);
	} else {
		if (*seen)
			return err_set(err, ERR_INPUT, "an entry has more than one '%c' header", block->type);
		*seen = true;
	}
	check->special_type = block->type;
	check->special_left = (size_t)size;
	strbuf_reset(&check->special);
	strbuf_reserve(&check->special, (size_t)size);
	check->state = IN_SPECIAL;
	return 0;
}

/* GNU tar lets the pax header win, libarchive and Go the long name. */
static int set_name(struct strbuf *name, const char *text, struct err *err)
{
	if (name->len > 0)
		return err_set(err, ERR_INPUT, "a GNU and a pax header both give the name");
	strbuf_addstr(name, text);
	return 0;
}

static int take_long_name(const struct strbuf *body, struct strbuf *name, struct err *err)
{
	size_t len = strlen(strbuf_str(body));

	if (len == 0)
		return err_set(err, ERR_INPUT, "a long name is empty");
	for (size_t i = len; i < body->len; i++) {
		if (body->ptr[i] != '\0')
			return err_set(err, ERR_INPUT, "a long name holds a NUL byte");
	}
	return set_name(name, body->ptr, err);
}

static int take_pax(struct tarcheck *check, struct err *err)
{
	struct tar_pax *pax = &check->pax;

	if (tar_pax_parse(pax, check->special.ptr, check->special.len, check->flags, err) < 0)
		return -1;
	if (pax->path && set_name(&check->path, pax->path, err) < 0)
		return -1;
	return pax->link ? set_name(&check->link, pax->link, err) : 0;
}

static int on_special(struct tarcheck *check, struct err *err)
{
	struct strbuf *body = &check->special;

	skip_data(check, 0, padding_of((int64_t)body->len));
	switch (check->special_type) {
	case 'x':
		return take_pax(check, err);
	case 'g':
		return tar_pax_check_global(body->ptr, body->len, err);
	case 'L':
		return take_long_name(body, &check->path, err);
	default:
		return take_long_name(body, &check->link, err);
	}
}

/* ---- blocks ---- */

static int on_zero_block(struct tarcheck *check, struct err *err)
{
	if (has_specials(check))
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
		int is_last = tar_sparse_byte(&check->sparse, bytes[i], err);
		if (is_last < 0)
			return -1;
		check->data_left--;
		check->offset++;
		if (!is_last)
			continue;
		int64_t stored = check->data_left - (int64_t)padding_of(check->sparse.map_len);
		if (tar_sparse_finish(&check->sparse, stored, err) < 0)
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
	bool is_whole = !has_specials(check) && check->fill == 0 &&
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
	strbuf_release(&check->path);
	strbuf_release(&check->link);
	strbuf_release(&check->special);
	free(check->queue);
	free(check->name);
	free(check);
}
