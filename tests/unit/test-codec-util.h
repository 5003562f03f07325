/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TEST_CODEC_UTIL_H
#define KILN_TEST_CODEC_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kiln/base/strbuf.h"
#include "kiln/codec/stream.h"

/* A reader that gives at most `step` bytes at a time, as pipes and sockets do. */
struct drip_reader {
	struct reader base;
	struct reader *below;
	size_t step;
};

static inline ssize_t drip_read(struct reader *base, void *buf, size_t len, struct err *err)
{
	struct drip_reader *reader = (struct drip_reader *)base;

	return reader->below->read(reader->below, buf, len < reader->step ? len : reader->step, err);
}

static inline void drip_close(struct reader *base)
{
	scope_close_reader(&((struct drip_reader *)base)->below);
	free(base);
}

static inline struct reader *reader_drip(struct reader *below, size_t step)
{
	struct drip_reader *reader = calloc(1, sizeof(*reader));

	assert_non_null(reader);
	*reader = (struct drip_reader){ { drip_read, drip_close }, below, step };
	return &reader->base;
}

/* Reads all of reader with requests of `step` bytes and closes it. 0, or -1 with err. */
static inline int drain_into(struct reader *reader, size_t step, struct strbuf *out, struct err *err)
{
	char buf[4096];
	ssize_t count;

	assert_true(step <= sizeof(buf));
	while ((count = reader->read(reader, buf, step, err)) > 0)
		strbuf_add(out, buf, (size_t)count);
	reader->close(reader);
	return (int)count;
}

static inline void assert_bytes(const struct strbuf *buf, const void *bytes, size_t len)
{
	assert_int_equal(buf->len, len);
	if (len > 0)
		assert_memory_equal(buf->ptr, bytes, len);
}

#define assert_says(err, words)                                                     \
	do {                                                                        \
		if (!strstr((err)->msg, (words)))                                   \
			fail_msg("expected \"%s\" in \"%s\"", (words), (err)->msg); \
	} while (0)

/* Bytes that look random, the same every time. */
static inline void fill_noise(void *buf, size_t len, uint32_t seed)
{
	uint8_t *bytes = buf;

	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(seed >> 24);
	}
}

/* Bytes that compress by about a half. */
static inline void fill_text(void *buf, size_t len)
{
	char *bytes = buf;

	fill_noise(buf, len, 7);
	for (size_t i = 0; i < len; i++)
		bytes[i] = "abcdefghijklmnop"[bytes[i] & 15];
	for (size_t i = 8192; i + 1000 < len; i += 8192)
		memmove(bytes + i, bytes + i - 5000, 1000);
}

static inline struct strbuf compressed(struct writer *(*make)(struct writer *, unsigned), unsigned threads,
				       const void *bytes, size_t len, size_t step)
{
	struct strbuf out = { 0 };
	struct err err = { 0 };
	struct writer *writer = make(writer_strbuf(&out), threads);

	for (size_t i = 0; i < len; i += step) {
		size_t count = len - i < step ? len - i : step;
		assert_int_equal(writer->write(writer, (const char *)bytes + i, count, &err), 0);
	}
	assert_int_equal(writer->finish(writer, &err), 0);
	writer->close(writer);
	return out;
}

#endif
