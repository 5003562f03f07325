/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CODEC_LIBARCHIVE_H
#define KILN_SRC_CODEC_LIBARCHIVE_H

#include "kiln/base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct archive;

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
