/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decode.h"
#include "libarchive.h"
#include "tarcheck.h"

/*
 * bzip2 and xz, for archives that the user adds; layers never use them. libarchive gives xz at most 1 GiB of memory
 * (xz -9 takes 65 MiB), and bzip2 cannot ask for more than 4 MiB.
 */
struct filter_decoder {
	struct decoder base;
	int filter;
	struct archive *archive; /* NULL before the first read */
	struct feed feed;
	const char *block;
	size_t block_len;
};

static ssize_t pull_window(void *arg, void *buf, size_t len, struct err *err)
{
	struct window *window = arg;

	if (window_len(window) == 0 && window_fill(window, 1, err) < 0)
		return -1;
	size_t count = window_len(window) < len ? window_len(window) : len;
	memcpy(buf, window_at(window), count);
	window_take(window, count);
	return (ssize_t)count;
}

/* One filter, named: when it chooses itself, libarchive unpacks what is compressed twice twice. */
static int filter_open(struct filter_decoder *decoder, struct window *window, struct err *err)
{
	struct archive_entry *entry;

	decoder->archive = libarchive_new(err);
	if (!decoder->archive)
		return -1;
	decoder->feed.pull = pull_window;
	decoder->feed.arg = window;
	if (libarchive.read_append_filter(decoder->archive, decoder->filter) != ARCHIVE_OK ||
	    libarchive.read_set_format(decoder->archive, ARCHIVE_FORMAT_RAW) != ARCHIVE_OK)
		return feed_error(&decoder->feed, decoder->archive, window->name, err);
	if (feed_open(&decoder->feed, decoder->archive, window->name, err) < 0)
		return -1;
	if (libarchive.read_next_header(decoder->archive, &entry) != ARCHIVE_OK)
		return feed_error(&decoder->feed, decoder->archive, window->name, err);
	return 0;
}

/* libarchive stops at what is no other bzip2 stream and calls that the end. */
static int check_end(const struct filter_decoder *decoder, const struct window *window, struct err *err)
{
	if (libarchive.filter_bytes(decoder->archive, -1) == decoder->feed.given)
		return 0;
	return err_set(err, ERR_INPUT, "%s: the compressed data has something else after its end", window->name);
}

static ssize_t filter_read(struct decoder *base, struct window *window, void *buf, size_t len, struct err *err)
{
	struct filter_decoder *decoder = (struct filter_decoder *)base;

	if (!decoder->archive && filter_open(decoder, window, err) < 0)
		return -1;
	while (decoder->block_len == 0) {
		const void *block;
		int64_t offset;
		int result = libarchive.read_data_block(decoder->archive, &block, &decoder->block_len, &offset);
		if (result == ARCHIVE_EOF)
			return check_end(decoder, window, err);
		if (result != ARCHIVE_OK)
			return feed_error(&decoder->feed, decoder->archive, window->name, err);
		decoder->block = block;
	}
	size_t count = decoder->block_len < len ? decoder->block_len : len;
	memcpy(buf, decoder->block, count);
	decoder->block += count;
	decoder->block_len -= count;
	return (ssize_t)count;
}

static void filter_free(struct decoder *base)
{
	struct filter_decoder *decoder = (struct filter_decoder *)base;

	if (decoder->archive)
		libarchive.read_free(decoder->archive);
	free(decoder->feed.buf);
	free(decoder);
}

static struct decoder *filter_new(int filter)
{
	struct filter_decoder *decoder = stream_alloc(sizeof(*decoder));

	decoder->base = (struct decoder){ filter_read, filter_free };
	decoder->filter = filter;
	return &decoder->base;
}

static struct decoder *decoder_bzip2(void)
{
	return filter_new(ARCHIVE_FILTER_BZIP2);
}

static struct decoder *decoder_xz(void)
{
	return filter_new(ARCHIVE_FILTER_XZ);
}

static struct reader *decompress(struct reader *below, enum compression *found, const char *name)
{
	static decoder_new *const makers[COMPRESSION_COUNT] = {
		[COMPRESSION_NONE] = decoder_plain, [COMPRESSION_GZIP] = decoder_gzip,
		[COMPRESSION_ZSTD] = decoder_zstd,  [COMPRESSION_BZIP2] = decoder_bzip2,
		[COMPRESSION_XZ] = decoder_xz,
	};

	return reader_decode(below, makers, found, name);
}

struct reader *reader_decompress(struct reader *below, const char *name)
{
	return decompress(below, NULL, name);
}

/* Only the first block counts: an archive with something wrong further on is one, and an error when it is unpacked. */
int untar_sniff(int fd, enum compression *compression, struct err *err)
{
	enum compression found = COMPRESSION_NONE;
	scope_reader struct reader *reader = decompress(reader_fd(fd, false, "archive"), &found, "archive");
	struct tar_block block;
	struct err why = { 0 };
	int result = reader_exact(reader, &block, sizeof(block), "archive", &why);

	if (result < 0 && why.kind == ERR_SYSTEM) {
		if (err)
			*err = why;
		return -1;
	}
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(err, "rewind the archive");
	if (result < 0 || !tar_block_is_header(&block))
		return 0;
	*compression = found;
	return 1;
}
