/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "internal.h"

/* ---- a reader that copies what it passes on ---- */

struct tee {
	struct reader reader;
	struct reader *below;
	int fd;
};

static ssize_t tee_read(struct reader *reader, void *buf, size_t len, struct err *err)
{
	struct tee *tee = (struct tee *)reader;
	ssize_t count = tee->below->read(tee->below, buf, len, err);

	if (count > 0 && tee->fd >= 0 && file_write_fd(tee->fd, buf, (size_t)count, "a blob", err) < 0)
		return -1;
	return count;
}

static void tee_close(struct reader *reader)
{
	free(reader);
}

struct reader *reader_tee(struct reader *below, int fd)
{
	struct tee *tee = calloc(1, sizeof(*tee));

	if (!tee)
		abort();
	*tee = (struct tee){ { tee_read, tee_close }, below, fd };
	return &tee->reader;
}

/* ---- a writer that stays the caller's ---- */

struct lent {
	struct writer writer;
	struct writer *below;
};

static int lent_write(struct writer *writer, const void *bytes, size_t len, struct err *err)
{
	struct writer *below = ((struct lent *)writer)->below;

	return below->write(below, bytes, len, err);
}

static int lent_finish(struct writer *writer, struct err *err)
{
	(void)writer;
	(void)err;
	return 0;
}

static void lent_close(struct writer *writer)
{
	free(writer);
}

struct writer *writer_lend(struct writer *below)
{
	struct lent *lent = calloc(1, sizeof(*lent));

	if (!lent)
		abort();
	*lent = (struct lent){ { lent_write, lent_finish, lent_close }, below };
	return &lent->writer;
}
