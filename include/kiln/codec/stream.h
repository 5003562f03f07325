/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_CODEC_STREAM_H
#define KILN_CODEC_STREAM_H

#include "kiln/base/err.h"
#include "kiln/codec/digest.h"

#include <stdint.h>
#include <sys/types.h>

/*
 * Bytes that flow. A reader is pulled, a writer is pushed; both are chained, and closing or finishing the outermost one
 * ends the chain that it owns. Memory is constant (64 KiB to 1 MiB a link) whatever flows.
 *
 *	fd -> hash (blob digest) -> inflate (by magic) -> hash (diff id) -> archive
 *	tar writer -> hash -> gzip -> hash -> fd
 */
struct reader {
	/* Up to len bytes; 0 at the end, -1 on error. May return less than len. */
	ssize_t (*read)(struct reader *reader, void *buf, size_t len, struct err *err);
	void (*close)(struct reader *reader); /* frees the reader and the one below it */
};

struct writer {
	int (*write)(struct writer *writer, const void *bytes, size_t len, struct err *err);
	/* Flushes what is buffered (trailers) here and below. Called once, before close; without it close abandons. */
	int (*finish)(struct writer *writer, struct err *err);
	void (*close)(struct writer *writer); /* frees the writer and the one below it */
};

static inline void scope_close_reader(struct reader **reader)
{
	if (*reader)
		(*reader)->close(*reader);
}
static inline void scope_close_writer(struct writer **writer)
{
	if (*writer)
		(*writer)->close(*writer);
}
#define scope_reader __attribute__((cleanup(scope_close_reader)))
#define scope_writer __attribute__((cleanup(scope_close_writer)))

/* Constructors never fail (out of memory aborts). fd is borrowed unless owned is true. name is for messages, copied. */
struct reader *reader_fd(int fd, bool owned, const char *name);
struct reader *reader_bytes(const void *bytes, size_t len); /* bytes outlive the reader */
/* Passes bytes through and hashes and counts them; *digest and *size (may be NULL) are set when the end has been read.
   The reader below is owned, here and in all that follow. */
struct reader *reader_hash(struct reader *below, struct digest *digest, int64_t *size);
/* At most limit bytes; one more is ERR_INPUT "NAME is larger than N bytes". */
struct reader *reader_limit(struct reader *below, int64_t limit, const char *name);

struct writer *writer_fd(int fd, bool owned, const char *name);
struct writer *writer_null(void);
struct strbuf;
struct writer *writer_strbuf(struct strbuf *buf);
/* *digest and *size are set by finish. With below NULL it is a sink. */
struct writer *writer_hash(struct writer *below, struct digest *digest, int64_t *size);

/* Reads exactly len bytes (ERR_CORRUPT "NAME ends early") / reads and drops the rest / moves everything. */
int reader_exact(struct reader *reader, void *buf, size_t len, const char *name, struct err *err) MUST_CHECK;
int reader_drain(struct reader *reader, struct err *err) MUST_CHECK;
int reader_pump(struct reader *reader, struct writer *writer, struct err *err) MUST_CHECK;

/* ---- compression --------------------------------------------------------------------------------------------- */

enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD, COMPRESSION_BZIP2, COMPRESSION_XZ };
const char *compression_name(enum compression compression);

/* What the first bytes say (up to 6 are looked at). */
enum compression compression_sniff(const void *bytes, size_t len);

/* Inflates by magic: plain, gzip (multi-member, every CRC and length checked, garbage after the end refused), zstd
   (multi-frame, skippable frames, window at most 128 MiB, checksums verified, no dictionaries). bzip2 and xz are
   ERR_UNSUPPORTED here; untar.h reads them for ADD. *found (may be NULL) is set at the first read. isa-l inflates
   when built with it, else zlib. ERR_CORRUPT names what is wrong. */
struct reader *reader_inflate(struct reader *below, enum compression *found, const char *name);

/* The canonical gzip of kiln: libdeflate level 6, fixed 1 MiB members, header 1f8b0800 00000000 00ff; the same input
   gives the same bytes on every machine with this libdeflate version and with any number of threads. threads 0: as many
   as cores, at most 8. They start with the first full MiB and end with close: in between the process must not fork
   (where threads cannot be had, the caller's compresses alone). The name to record is gzip_compressor(),
   "libdeflate-1.14/6". */
struct writer *writer_gzip(struct writer *below, unsigned threads);
const char *gzip_compressor(void);
/* zstd level 3, no checksum, no content size, always the multi-thread API (its bytes do not depend on the number): what
   `zstd -3 -T0 --no-check` makes of a pipe. Threads start with the first write. */
struct writer *writer_zstd(struct writer *below, unsigned threads);
/* zstd for what never leaves the store: fast to start, no thread, with a checksum; its bytes are nobody's business. */
struct writer *writer_zstd_private(struct writer *below);
const char *zstd_compressor(void);

#endif
