/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CODEC_DECODE_H
#define KILN_SRC_CODEC_DECODE_H

#include "kiln/codec/stream.h"

#include <stddef.h>
#include <stdint.h>

/* Zeroed memory for the links of a chain. Out of memory aborts. */
void *stream_alloc(size_t size);
char *stream_strdup(const char *text);

/* As many as the processors this process may use if wanted is 0; at most 8. */
unsigned compress_threads(unsigned wanted);

/* Members of a gzip or frames of a zstd stream: more is a stream made to waste time. */
#define DECODE_MEMBERS_MAX 1000000

/* A view on a reader, in which a decoder looks at bytes before it takes them. */
struct window {
	struct reader *below;
	const char *name;
	uint8_t *bytes;
	size_t start, end;
	bool is_ended; /* below has no more than what is in bytes */
};

/* Makes at least `want` bytes (64 at most) visible unless the stream ends before. */
int window_fill(struct window *window, size_t want, struct err *err) MUST_CHECK;

static inline const uint8_t *window_at(const struct window *window)
{
	return window->bytes + window->start;
}

static inline size_t window_len(const struct window *window)
{
	return window->end - window->start;
}

static inline void window_take(struct window *window, size_t count)
{
	window->start += count;
}

/* One compression format. It gives 0 only at a proper end with nothing after it. */
struct decoder {
	ssize_t (*read)(struct decoder *decoder, struct window *window, void *buf, size_t len, struct err *err);
	void (*free)(struct decoder *decoder);
};

typedef struct decoder *decoder_new(void);
struct decoder *decoder_plain(void);
struct decoder *decoder_gzip(void);
struct decoder *decoder_zstd(void);

#define COMPRESSION_COUNT (COMPRESSION_XZ + 1)

/* A reader that picks one of makers (indexed by enum compression, NULL for what is not supported) by the first
   bytes. */
struct reader *reader_decode(struct reader *below, decoder_new *const *makers, enum compression *found,
			     const char *name);

#endif
