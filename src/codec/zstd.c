/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "decode.h"

#define LEVEL      3
#define WINDOW_LOG 27 /* 128 MiB, what zstd(1) decompresses without being asked to */

/* ---- reading ---- */

struct zstd_decoder {
	struct decoder base;
	ZSTD_DCtx *context;
	bool is_inside; /* a frame */
	uint32_t frames;
};

static int damaged(const struct window *window, const char *what, struct err *err)
{
	return err_set(err, ERR_CORRUPT, "%s: the zstd data %s", window->name, what);
}

/* 1 if a frame follows, 0 at the end. The magic number is looked at here because libzstd may have been built with the
   formats of before 1.0. */
static int next_frame(struct zstd_decoder *decoder, struct window *window, struct err *err)
{
	if (window_fill(window, 4, err) < 0)
		return -1;
	if (window_len(window) == 0)
		return 0;
	if (compression_sniff(window_at(window), window_len(window)) != COMPRESSION_ZSTD)
		return damaged(window, "has something else after its end", err);
	if (++decoder->frames > DECODE_MEMBERS_MAX)
		return damaged(window, "has more than 1,000,000 frames", err);
	return 1;
}

static ssize_t zstd_read(struct decoder *base, struct window *window, void *buf, size_t len, struct err *err)
{
	struct zstd_decoder *decoder = (struct zstd_decoder *)base;
	ZSTD_outBuffer out = { buf, len, 0 };

	while (out.pos == 0) {
		if (!decoder->is_inside) {
			int found = next_frame(decoder, window, err);
			if (found <= 0)
				return found;
		}
		if (window_len(window) == 0 && window_fill(window, 1, err) < 0)
			return -1;
		ZSTD_inBuffer in = { window_at(window), window_len(window), 0 };
		size_t result = ZSTD_decompressStream(decoder->context, &out, &in);
		if (ZSTD_isError(result))
			return err_set(err, ERR_CORRUPT, "%s: the zstd data is damaged: %s", window->name,
				       ZSTD_getErrorName(result));
		if (result != 0 && in.size == 0 && out.pos == 0 && window->is_ended)
			return damaged(window, "ends early", err);
		window_take(window, in.pos);
		decoder->is_inside = result != 0;
	}
	return (ssize_t)out.pos;
}

static void zstd_free(struct decoder *base)
{
	struct zstd_decoder *decoder = (struct zstd_decoder *)base;

	ZSTD_freeDCtx(decoder->context);
	free(decoder);
}

struct decoder *decoder_zstd(void)
{
	struct zstd_decoder *decoder = stream_alloc(sizeof(*decoder));

	decoder->base = (struct decoder){ zstd_read, zstd_free };
	decoder->context = ZSTD_createDCtx();
	if (!decoder->context ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(decoder->context, ZSTD_d_windowLogMax, WINDOW_LOG)))
		abort();
	return &decoder->base;
}

/* ---- writing ---- */

struct zstd_writer {
	struct writer base;
	struct writer *below;
	ZSTD_CCtx *context;
	uint8_t *out;
	size_t out_size;
	bool has_started;
};

const char *zstd_compressor(void)
{
	static char name[32];

	_Static_assert(LEVEL == 3, "the name says the level");
	snprintf(name, sizeof(name), "zstd-%s/3", ZSTD_versionString());
	return name;
}

/* libzstd starts its threads in the first call; signals are for the caller's thread. */
static size_t compress_some(struct zstd_writer *writer, ZSTD_outBuffer *out, ZSTD_inBuffer *in, ZSTD_EndDirective end)
{
	sigset_t all, before;

	if (writer->has_started)
		return ZSTD_compressStream2(writer->context, out, in, end);
	writer->has_started = true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	size_t result = ZSTD_compressStream2(writer->context, out, in, end);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}

static int zstd_compress(struct zstd_writer *writer, ZSTD_inBuffer in, ZSTD_EndDirective end, struct err *err)
{
	for (;;) {
		ZSTD_outBuffer out = { writer->out, writer->out_size, 0 };
		size_t result = compress_some(writer, &out, &in, end);
		if (ZSTD_isError(result))
			return err_set(err, ERR_UNSUPPORTED, "compress by zstd: %s", ZSTD_getErrorName(result));
		if (out.pos > 0 && writer->below->write(writer->below, out.dst, out.pos, err) < 0)
			return -1;
		if (in.pos == in.size && (end == ZSTD_e_continue || result == 0))
			return 0;
	}
}

static int zstd_write(struct writer *base, const void *bytes, size_t len, struct err *err)
{
	if (len == 0)
		return 0;
	return zstd_compress((struct zstd_writer *)base, (ZSTD_inBuffer){ bytes, len, 0 }, ZSTD_e_continue, err);
}

static int zstd_finish(struct writer *base, struct err *err)
{
	struct zstd_writer *writer = (struct zstd_writer *)base;

	if (zstd_compress(writer, (ZSTD_inBuffer){ "", 0, 0 }, ZSTD_e_end, err) < 0)
		return -1;
	return writer->below->finish(writer->below, err);
}

static void zstd_close(struct writer *base)
{
	struct zstd_writer *writer = (struct zstd_writer *)base;

	ZSTD_freeCCtx(writer->context);
	free(writer->out);
	scope_close_writer(&writer->below);
	free(writer);
}

static void set_parameter(ZSTD_CCtx *context, ZSTD_cParameter parameter, int value)
{
	if (ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)))
		abort();
}

static struct zstd_writer *new_writer(struct writer *below, int level)
{
	struct zstd_writer *writer = stream_alloc(sizeof(*writer));

	writer->base = (struct writer){ zstd_write, zstd_finish, zstd_close };
	writer->below = below;
	writer->out_size = ZSTD_CStreamOutSize();
	writer->out = stream_alloc(writer->out_size);
	writer->context = ZSTD_createCCtx();
	if (!writer->context)
		abort();
	set_parameter(writer->context, ZSTD_c_compressionLevel, level);
	return writer;
}

struct writer *writer_zstd(struct writer *below, unsigned threads)
{
	struct zstd_writer *writer = new_writer(below, LEVEL);

	set_parameter(writer->context, ZSTD_c_checksumFlag, 0);
	set_parameter(writer->context, ZSTD_c_contentSizeFlag, 0);
	/* Zero workers would be another algorithm with other bytes. */
	set_parameter(writer->context, ZSTD_c_nbWorkers, (int)compress_threads(threads));
	return &writer->base;
}

struct writer *writer_zstd_private(struct writer *below)
{
	struct zstd_writer *writer = new_writer(below, 1);

	/* Small tables: most of what comes here is a few KiB, and clearing large ones costs more than compressing it. */
	set_parameter(writer->context, ZSTD_c_windowLog, 17);
	set_parameter(writer->context, ZSTD_c_hashLog, 13);
	set_parameter(writer->context, ZSTD_c_checksumFlag, 1);
	return &writer->base;
}
