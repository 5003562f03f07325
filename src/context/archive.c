/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/codec/untar.h"
#include "kiln/context/remote.h"
#include "kiln/layer/layer.h"

#include <stdlib.h>
#include <string.h>

/* A context that comes as a stream. What it is is decided by its first block, before anything is written: a stream that
   begins as an archive and ends as something else is an error, never a Dockerfile (CVE-2026-44517). */

enum { CHECKSUM_AT = 148, CHECKSUM_LEN = 8 };

/* ---- a reader of what was read already, and the rest ---- */

struct head_reader {
	struct reader base;
	struct reader *below; /* borrowed, as head is */
	const char *head;
	size_t left;
};

static ssize_t read_head(struct reader *base, void *buf, size_t len, struct err *err)
{
	struct head_reader *reader = (struct head_reader *)base;
	if (!reader->left)
		return reader->below->read(reader->below, buf, len, err);
	size_t count = len < reader->left ? len : reader->left;
	memcpy(buf, reader->head, count);
	reader->head += count;
	reader->left -= count;
	return (ssize_t)count;
}

static void close_head(struct reader *base)
{
	free(base);
}

static struct reader *reader_head(const char *head, size_t len, struct reader *below)
{
	struct head_reader *reader = calloc(1, sizeof(*reader));
	if (!reader)
		abort();
	*reader = (struct head_reader){ { read_head, close_head }, below, head, len };
	return &reader->base;
}

/* ---- what it is ---- */

/* A whole block, or all that there is. */
static int read_block(struct reader *reader, char *block, size_t *len, struct err *err)
{
	for (*len = 0; *len < TAR_BLOCK;) {
		ssize_t got = reader->read(reader, block + *len, TAR_BLOCK - *len, err);
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		*len += (size_t)got;
	}
	return 0;
}

/* A header's checksum is the sum of its bytes with the checksum's own taken as blanks. */
static bool is_tar_header(const char *block, size_t len)
{
	unsigned long sum = 0, stored = 0;
	const char *digit = block + CHECKSUM_AT, *end = digit + CHECKSUM_LEN;
	if (len < TAR_BLOCK)
		return false;
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_LEN ? ' ' : (unsigned char)block[i];
	while (digit < end && *digit == ' ')
		digit++;
	for (; digit < end && *digit >= '0' && *digit <= '7'; digit++)
		stored = stored * 8 + (unsigned long)(*digit - '0');
	return stored > 0 && stored == sum;
}

static int unpack(struct reader *stream, int dir_fd, const char *name, struct err *err)
{
	/* COPY gives everything to root, and ids that this user has not got must not matter. */
	const struct layer_apply_options options = { .flags = LAYER_APPLY_PLAIN, .override_owner = true };
	struct layer_stats stats;
	scope_reader struct reader *tar = reader_decompress(stream, name);
	if (layer_apply(tar, dir_fd, &options, name, &stats, err) < 0)
		return err_wrap(err, "unpack %s", name);
	return 1;
}

static int read_text(struct reader *stream, size_t limit, struct strbuf *text, struct err *err)
{
	scope_writer struct writer *out = writer_strbuf(text);
	scope_reader struct reader *reader = reader_limit(stream, (int64_t)limit, "the Dockerfile");
	return reader_pump(reader, out, err) < 0 ? -1 : 0;
}

int context_unpack(struct reader *below, int dir_fd, size_t limit, const char *name, struct strbuf *text,
		   struct err *err)
{
	char block[TAR_BLOCK];
	size_t len;
	if (read_block(below, block, &len, err) < 0)
		return -1;
	struct reader *stream = reader_head(block, len, below);
	if (compression_sniff(block, len) != COMPRESSION_NONE || is_tar_header(block, len))
		return unpack(stream, dir_fd, name, err);
	return read_text(stream, limit, text, err);
}
