/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_ISAL
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#else
#include <zlib.h>
#endif

#include "decode.h"

/*
 * Reading gzip (RFC 1952). The header is read here, so that both libraries accept the same streams and a field without
 * an end stays small; the library inflates one member and verifies the CRC and the length after it.
 */

#define FIELD_MAX  ((size_t)64 * 1024)
#define OUTPUT_MAX ((size_t)1 << 30) /* of one call: both libraries count in 32 bits */

enum { FLAG_HCRC = 1 << 1, FLAG_EXTRA = 1 << 2, FLAG_NAME = 1 << 3, FLAG_COMMENT = 1 << 4, FLAGS_RESERVED = 0xe0 };

/* ---- the library ---- */

enum engine_result { ENGINE_MORE, ENGINE_END, ENGINE_BAD_DATA, ENGINE_BAD_CHECK };

#ifdef HAVE_ISAL
struct engine {
	struct inflate_state state;
};

static void engine_start(struct engine *engine)
{
	isal_inflate_init(&engine->state);
	engine->state.crc_flag = ISAL_GZIP_NO_HDR_VER;
}

static void engine_stop(struct engine *engine)
{
	(void)engine;
}

/* Takes from in and gives to out what it can, and advances both. ISA-L keeps up to 8 bytes of input for itself, which
   the trailer of a member uses up. */
static enum engine_result engine_run(struct engine *engine, const uint8_t **in, size_t in_len, uint8_t **out,
				     size_t out_len)
{
	struct inflate_state *state = &engine->state;

	state->next_in = (uint8_t *)*in;
	state->avail_in = (uint32_t)in_len;
	state->next_out = *out;
	state->avail_out = (uint32_t)out_len;
	int result = isal_inflate(state);
	*in = state->next_in;
	*out = state->next_out;
	if (result == ISAL_INCORRECT_CHECKSUM)
		return ENGINE_BAD_CHECK;
	if (result != ISAL_DECOMP_OK)
		return ENGINE_BAD_DATA;
	return state->block_state == ISAL_BLOCK_FINISH ? ENGINE_END : ENGINE_MORE;
}

static uint32_t header_crc(uint32_t crc, uint8_t byte)
{
	return crc32_gzip_refl(crc, &byte, 1);
}
#else
struct engine {
	z_stream stream;
	bool is_ready;
};

/* zlib verifies the trailer only of a member whose header it has read, so it gets the shortest one. */
static void engine_start(struct engine *engine)
{
	static const uint8_t header[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff };
	int result = engine->is_ready ? inflateReset(&engine->stream) : inflateInit2(&engine->stream, 31);

	if (result != Z_OK)
		abort();
	engine->is_ready = true;
	engine->stream.next_in = (Bytef *)header;
	engine->stream.avail_in = sizeof(header);
	engine->stream.next_out = (Bytef *)header;
	engine->stream.avail_out = 0;
	inflate(&engine->stream, Z_NO_FLUSH);
}

static void engine_stop(struct engine *engine)
{
	if (engine->is_ready)
		inflateEnd(&engine->stream);
}

static enum engine_result engine_run(struct engine *engine, const uint8_t **in, size_t in_len, uint8_t **out,
				     size_t out_len)
{
	z_stream *stream = &engine->stream;

	stream->next_in = (Bytef *)*in;
	stream->avail_in = (uInt)in_len;
	stream->next_out = *out;
	stream->avail_out = (uInt)out_len;
	int result = inflate(stream, Z_NO_FLUSH);
	*in = stream->next_in;
	*out = stream->next_out;
	if (result == Z_DATA_ERROR && stream->msg && strstr(stream->msg, "check"))
		return ENGINE_BAD_CHECK;
	if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
		return ENGINE_BAD_DATA;
	return result == Z_STREAM_END ? ENGINE_END : ENGINE_MORE;
}

static uint32_t header_crc(uint32_t crc, uint8_t byte)
{
	return (uint32_t)crc32(crc, &byte, 1);
}
#endif

/* ---- the header of a member ---- */

struct gzip_decoder {
	struct decoder base;
	struct engine engine;
	bool is_inside; /* a member */
	uint32_t members;
	uint32_t crc; /* of the header so far */
};

static int damaged(const struct window *window, const char *what, struct err *err)
{
	return err_set(err, ERR_CORRUPT, "%s: the gzip data %s", window->name, what);
}

/* The next byte of a header, 0 to 255. */
static int header_byte(struct gzip_decoder *decoder, struct window *window, struct err *err)
{
	if (window_len(window) == 0 && window_fill(window, 1, err) < 0)
		return -1;
	if (window_len(window) == 0)
		return damaged(window, "ends early", err);
	uint8_t byte = *window_at(window);
	window_take(window, 1);
	decoder->crc = header_crc(decoder->crc, byte);
	return byte;
}

static int header_uint16(struct gzip_decoder *decoder, struct window *window, struct err *err)
{
	int low = header_byte(decoder, window, err);
	int high = low < 0 ? -1 : header_byte(decoder, window, err);

	return high < 0 ? -1 : high << 8 | low;
}

static int skip_extra(struct gzip_decoder *decoder, struct window *window, struct err *err)
{
	int left = header_uint16(decoder, window, err);

	while (left > 0) {
		if (header_byte(decoder, window, err) < 0)
			return -1;
		left--;
	}
	return left;
}

static int skip_text(struct gzip_decoder *decoder, struct window *window, struct err *err)
{
	for (size_t i = 0; i < FIELD_MAX; i++) {
		int byte = header_byte(decoder, window, err);
		if (byte <= 0)
			return byte;
	}
	return damaged(window, "has a header field of more than 64 KiB", err);
}

static int check_header_crc(struct gzip_decoder *decoder, struct window *window, struct err *err)
{
	int expected = (int)(decoder->crc & 0xffff);
	int stored = header_uint16(decoder, window, err);

	if (stored < 0)
		return -1;
	return stored == expected ? 0 : damaged(window, "has a header with a wrong checksum", err);
}

static int read_header(struct gzip_decoder *decoder, struct window *window, struct err *err)
{
	uint8_t fixed[10];

	decoder->crc = 0;
	for (size_t i = 0; i < sizeof(fixed); i++) {
		int byte = header_byte(decoder, window, err);
		if (byte < 0)
			return -1;
		fixed[i] = (uint8_t)byte;
	}
	uint8_t flags = fixed[3];
	if (flags & FLAGS_RESERVED)
		return damaged(window, "has a header with reserved flags", err);
	if ((flags & FLAG_EXTRA) && skip_extra(decoder, window, err) < 0)
		return -1;
	if ((flags & FLAG_NAME) && skip_text(decoder, window, err) < 0)
		return -1;
	if ((flags & FLAG_COMMENT) && skip_text(decoder, window, err) < 0)
		return -1;
	return flags & FLAG_HCRC ? check_header_crc(decoder, window, err) : 0;
}

/* 1 if a member follows, 0 at the end. */
static int next_member(struct gzip_decoder *decoder, struct window *window, struct err *err)
{
	if (window_fill(window, 3, err) < 0)
		return -1;
	if (window_len(window) == 0)
		return 0;
	if (compression_sniff(window_at(window), window_len(window)) != COMPRESSION_GZIP)
		return damaged(window, "has something else after its end", err);
	if (++decoder->members > DECODE_MEMBERS_MAX)
		return damaged(window, "has more than 1,000,000 members", err);
	if (read_header(decoder, window, err) < 0)
		return -1;
	engine_start(&decoder->engine);
	return 1;
}

/* ---- its data ---- */

/* Bytes given, 0 if it needs more input or the member has ended. */
static ssize_t inflate_some(struct gzip_decoder *decoder, struct window *window, void *buf, size_t len, struct err *err)
{
	const uint8_t *in = window_at(window);
	uint8_t *out = buf;
	enum engine_result result = engine_run(&decoder->engine, &in, window_len(window), &out,
					       len < OUTPUT_MAX ? len : OUTPUT_MAX);
	size_t taken = (size_t)(in - window_at(window)), given = (size_t)(out - (uint8_t *)buf);

	if (result == ENGINE_BAD_CHECK)
		return damaged(window, "does not match its checksum or length", err);
	if (result == ENGINE_BAD_DATA)
		return damaged(window, "is damaged", err);
	if (result == ENGINE_MORE && given == 0 && taken == 0 && window->is_ended)
		return damaged(window, "ends early", err);
	window_take(window, taken);
	decoder->is_inside = result != ENGINE_END;
	return (ssize_t)given;
}

static ssize_t gzip_read(struct decoder *base, struct window *window, void *buf, size_t len, struct err *err)
{
	struct gzip_decoder *decoder = (struct gzip_decoder *)base;

	for (;;) {
		if (!decoder->is_inside) {
			int found = next_member(decoder, window, err);
			if (found <= 0)
				return found;
			decoder->is_inside = true;
		}
		if (window_len(window) == 0 && window_fill(window, 1, err) < 0)
			return -1;
		ssize_t count = inflate_some(decoder, window, buf, len, err);
		if (count != 0)
			return count;
	}
}

static void gzip_free(struct decoder *base)
{
	struct gzip_decoder *decoder = (struct gzip_decoder *)base;

	engine_stop(&decoder->engine);
	free(decoder);
}

struct decoder *decoder_gzip(void)
{
	struct gzip_decoder *decoder = stream_alloc(sizeof(*decoder));

	decoder->base = (struct decoder){ gzip_read, gzip_free };
	return &decoder->base;
}
