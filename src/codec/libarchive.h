/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CODEC_LIBARCHIVE_H
#define KILN_SRC_CODEC_LIBARCHIVE_H

#include "kiln/base/err.h"

#include <archive.h>
#include <archive_entry.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* libarchive is loaded when the first archive is read: with it come ICU, libxml2 and a dozen others. */
/* clang-format off */
#define LIBARCHIVE_FUNCTIONS(X)                                                                               \
	X(read_new) X(read_free) X(read_open) X(read_set_format) X(read_append_filter) X(read_next_header)     \
	X(read_header_position) X(read_data_block) X(filter_bytes) X(error_string) X(set_error)                \
	X(entry_pathname) X(entry_symlink) X(entry_hardlink) X(entry_uid) X(entry_gid) X(entry_mode)           \
	X(entry_size) X(entry_xattr_reset) X(entry_xattr_next)
/* clang-format on */

struct libarchive {
#define LIBARCHIVE_MEMBER(name) __typeof__(archive_##name) *name;
	LIBARCHIVE_FUNCTIONS(LIBARCHIVE_MEMBER)
#undef LIBARCHIVE_MEMBER
};
extern struct libarchive libarchive;

/* A reader; the library is loaded. NULL if it cannot be. */
struct archive *libarchive_new(struct err *err) MUST_CHECK;

/*
 * What libarchive reads from: gives it bytes by our rules and keeps the error that its own interface would lose. It
 * lies at a fixed address from feed_open to archive_read_free.
 */
struct feed {
	ssize_t (*pull)(void *arg, void *buf, size_t len, struct err *err);
	void *arg;
	void *buf;     /* malloc'ed by feed_open, freed by the owner */
	int64_t given; /* bytes so far */
	struct err err;
	bool has_failed;
};

int feed_open(struct feed *feed, struct archive *archive, const char *name, struct err *err) MUST_CHECK;
/* What archive says, or what pull said before: always -1. */
int feed_error(const struct feed *feed, struct archive *archive, const char *name, struct err *err);

#endif
