/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "kiln/base/scope.h"

#define WINDOW_SIZE ((size_t)128 * 1024)

static const struct {
	const char *name, *magic;
	size_t magic_len;
} formats[COMPRESSION_COUNT] = {
	[COMPRESSION_NONE] = { "none", "", 0 },
	[COMPRESSION_GZIP] = { "gzip", "\x1f\x8b\x08", 3 },
	[COMPRESSION_ZSTD] = { "zstd", "\x28\xb5\x2f\xfd", 4 },
	[COMPRESSION_BZIP2] = { "bzip2", "BZh", 3 },
	[COMPRESSION_XZ] = { "xz",
			     "\xfd"
			     "7zXZ\0",
			     6 },
};

const char *compression_name(enum compression compression)
{
	assert((unsigned)compression < COMPRESSION_COUNT);
	return formats[compression].name;
}

/* RFC 8878 3.1.2: 0x184D2A50 to 0x184D2A5F, little-endian. pzstd and the seekable format begin with one. */
static bool is_skippable_frame(const uint8_t *bytes, size_t len)
{
	return len >= 4 && (bytes[0] & 0xf0) == 0x50 && memcmp(bytes + 1, "\x2a\x4d\x18", 3) == 0;
}

enum compression compression_sniff(const void *bytes, size_t len)
{
	for (size_t kind = COMPRESSION_GZIP; kind < COMPRESSION_COUNT; kind++) {
		if (len >= formats[kind].magic_len && memcmp(bytes, formats[kind].magic, formats[kind].magic_len) == 0)
			return (enum compression)kind;
	}
	return is_skippable_frame(bytes, len) ? COMPRESSION_ZSTD : COMPRESSION_NONE;
}

/* ---- window ---- */

int window_fill(struct window *window, size_t want, struct err *err)
{
	assert(want <= 64);
	if (window_len(window) < want && WINDOW_SIZE - window->start < want) {
		memmove(window->bytes, window_at(window), window_len(window));
		window->end -= window->start;
		window->start = 0;
	}
	if (window->start == window->end)
		window->start = window->end = 0;
	while (window_len(window) < want && !window->is_ended) {
		ssize_t count = window->below->read(window->below, window->bytes + window->end,
						    WINDOW_SIZE - window->end, err);
		if (count < 0)
			return -1;
		window->end += (size_t)count;
		window->is_ended = count == 0;
	}
	return 0;
}

/* ---- no compression ---- */

static ssize_t plain_read(struct decoder *decoder, struct window *window, void *buf, size_t len, struct err *err)
{
	size_t count = window_len(window);

	(void)decoder;
	if (count == 0)
		return window->is_ended ? 0 : window->below->read(window->below, buf, len, err);
	count = count < len ? count : len;
	memcpy(buf, window_at(window), count);
	window_take(window, count);
	return (ssize_t)count;
}

static void plain_free(struct decoder *decoder)
{
	free(decoder);
}

struct decoder *decoder_plain(void)
{
	struct decoder *decoder = stream_alloc(sizeof(*decoder));

	*decoder = (struct decoder){ plain_read, plain_free };
	return decoder;
}

/* ---- the reader ---- */

struct decode_reader {
	struct reader base;
	struct window window;
	decoder_new *const *makers;
	struct decoder *decoder; /* NULL before the first read */
	enum compression *found;
	char *name;
	bool has_failed;
};

static int choose_decoder(struct decode_reader *reader, struct err *err)
{
	if (window_fill(&reader->window, 6, err) < 0)
		return -1;
	enum compression kind = compression_sniff(window_at(&reader->window), window_len(&reader->window));
	if (!reader->makers[kind])
		return err_set(err, ERR_UNSUPPORTED, "%s is compressed by %s, which kiln does not read here",
			       reader->name, compression_name(kind));
	reader->decoder = reader->makers[kind]();
	if (reader->found)
		*reader->found = kind;
	return 0;
}

/* A damaged stream stays damaged: a decoder's state after an error means nothing. */
static ssize_t decode_read(struct reader *base, void *buf, size_t len, struct err *err)
{
	struct decode_reader *reader = (struct decode_reader *)base;

	if (reader->has_failed)
		return err_set(err, ERR_CORRUPT, "%s was read beyond an error", reader->name);
	if (len == 0)
		return 0;
	ssize_t count = -1;
	if (reader->decoder || choose_decoder(reader, err) == 0)
		count = reader->decoder->read(reader->decoder, &reader->window, buf, len, err);
	reader->has_failed = count < 0;
	return count;
}

static void decode_reader_close(struct reader *base)
{
	struct decode_reader *reader = (struct decode_reader *)base;

	if (reader->decoder)
		reader->decoder->free(reader->decoder);
	scope_close_reader(&reader->window.below);
	free(reader->window.bytes);
	free(reader->name);
	free(reader);
}

struct reader *reader_decode(struct reader *below, decoder_new *const *makers, enum compression *found,
			     const char *name)
{
	struct decode_reader *reader = stream_alloc(sizeof(*reader));

	reader->base = (struct reader){ decode_read, decode_reader_close };
	reader->makers = makers;
	reader->found = found;
	reader->name = stream_strdup(name);
	reader->window.below = below;
	reader->window.name = reader->name;
	reader->window.bytes = stream_alloc(WINDOW_SIZE);
	return &reader->base;
}

struct reader *reader_inflate(struct reader *below, enum compression *found, const char *name)
{
	static decoder_new *const makers[COMPRESSION_COUNT] = {
		[COMPRESSION_NONE] = decoder_plain,
		[COMPRESSION_GZIP] = decoder_gzip,
		[COMPRESSION_ZSTD] = decoder_zstd,
	};

	return reader_decode(below, makers, found, name);
}
