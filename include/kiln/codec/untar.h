/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_CODEC_UNTAR_H
#define KILN_CODEC_UNTAR_H

#include "kiln/base/err.h"
#include "kiln/codec/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Reading tar archives entry by entry. Two readers see the same bytes: codec/tarcheck.c (our own, strict) says what
 * each entry is, libarchive (tar only, no filters; setlocale is never called) gives data, sparse files and extended
 * attributes, and an archive that the two understand differently is refused. Refused before libarchive sees it is all
 * that other readers disagree about (security.md 3C): unknown type flags, bad checksums, a hard link with data, NUL in
 * pax values, duplicate pax keys, names, sizes, ids, times or attributes in a global header, more than one 'x', 'L' or
 * 'K' per entry, more than 16 'g', numbers malformed or out of range (ids up to 2^32-2, times within -2^33..2^35),
 * special headers over 1 MiB, sparse files (unless allowed), sparse maps that do not fit their data, anything but zeros
 * after the end. All are ERR_INPUT; errors of the reader below come through as they are.
 *
 *	struct untar *untar = untar_open(tar, 0, "layer.tar", err);
 *	while ((more = untar_next(untar, &item, err)) > 0)
 *		if (item.type == UNTAR_FILE)
 *			while ((count = untar_read(untar, buf, sizeof(buf), err)) > 0)
 */
struct untar_xattr {
	const char *name; /* "user.x", "security.capability" */
	const void *value;
	size_t len;
};

enum untar_type { UNTAR_FILE, UNTAR_DIR, UNTAR_SYMLINK, UNTAR_HARDLINK, UNTAR_FIFO, UNTAR_CHAR, UNTAR_BLOCK };

/* Valid until the next untar_next. */
struct untar_item {
	enum untar_type type;
	const char *path; /* bytes as in the archive, never NULL; may be "", absolute, hold ".." : the caller cleans */
	const char *link; /* target of a symlink or hard link, never empty; NULL for all else */
	mode_t mode;      /* & 07777 */
	uid_t uid;
	gid_t gid;
	int64_t size;
	int64_t mtime; /* seconds, floored */
	dev_t rdev;
	const struct untar_xattr *xattrs; /* SCHILY.xattr.* and LIBARCHIVE.xattr.*, by name, none twice */
	size_t xattr_count;
};

struct untar;
enum untar_flags {
	UNTAR_ALLOW_SPARSE = 1 << 0, /* GNU and pax sparse files: ADD and load of foreign layers */
	UNTAR_ALLOW_NO_END = 1 << 1  /* the two zero blocks may be missing: layers whose digest is verified */
};

/* The reader below is borrowed and must give plain tar. */
struct untar *untar_open(struct reader *below, unsigned flags, const char *name, struct err *err) MUST_CHECK;
/* 1 and *item, 0 at the end (the rest of the reader is drained), -1. */
int untar_next(struct untar *untar, struct untar_item *item, struct err *err) MUST_CHECK;
/* Data of the current file, holes as zeros; 0 at its end. Large requests are quick: 64 KiB and more. */
ssize_t untar_read(struct untar *untar, void *buf, size_t len, struct err *err) MUST_CHECK;
void untar_close(struct untar *untar); /* NULL is fine */

static inline void scope_close_untar(struct untar **untar)
{
	untar_close(*untar);
}
#define scope_untar __attribute__((cleanup(scope_close_untar)))

/* For ADD and `kiln import`: does fd (seekable, at offset 0, left there) hold a tar, maybe compressed by gzip, bzip2,
   xz or zstd? Go's test: after decompression the first block is a header (so an archive of nothing is none). 1 and
   *compression, 0, or -1 if it cannot be read. */
int untar_sniff(int fd, enum compression *compression, struct err *err) MUST_CHECK;
/* A reader of the plain tar in below (owned) whatever its compression: as reader_inflate, and bzip2 and xz by
   libarchive, which gives xz at most 1 GiB of memory. What is compressed twice is unpacked once. */
struct reader *reader_decompress(struct reader *below, const char *name);

#endif
