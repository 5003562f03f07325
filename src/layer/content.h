/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_CONTENT_H
#define KILN_LAYER_CONTENT_H

#include "kiln/base/err.h"
#include "kiln/codec/stream.h"

#include <stdint.h>
#include <sys/stat.h>

/* Writes the contents of a regular file (fd at any offset, st its fstat) and the zeros that fill its last tar block.
   Holes are not read. A file that is not st_size long any more is ERR_CORRUPT. */
int content_write(int fd, const struct stat *st, const char *path, struct writer *out, struct err *err) MUST_CHECK;
int content_write_zeros(struct writer *out, int64_t len, struct err *err) MUST_CHECK;

/* A reader or writer that passes everything to one that it does not own: for chains that end at the caller's. */
struct reader *reader_borrow(struct reader *below, int64_t *count); /* count, if not NULL: of bytes passed */
struct writer *writer_borrow(struct writer *below);

#endif
