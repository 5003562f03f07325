/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "kiln/layer/tar.h"

#include "content.h"
#include "shown.h"

enum { CHUNK = 256 * 1024 };

int content_write_zeros(struct writer *out, int64_t len, struct err *err)
{
	static const char zeros[64 * 1024];

	while (len > 0) {
		size_t count = len < (int64_t)sizeof(zeros) ? (size_t)len : sizeof(zeros);
		if (out->write(out, zeros, count, err) < 0)
			return -1;
		len -= (int64_t)count;
	}
	return 0;
}

static int write_range(int fd, off_t from, off_t to, const char *path, struct writer *out, struct err *err)
{
	static char chunk[CHUNK];

	while (from < to) {
		ssize_t count = pread(fd, chunk, to - from < CHUNK ? (size_t)(to - from) : CHUNK, from);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return err_errno(err, "read %s", SHOWN(path));
		if (count == 0)
			return err_set(err, ERR_CORRUPT, "%s became shorter while it was read", SHOWN(path));
		if (out->write(out, chunk, (size_t)count, err) < 0)
			return -1;
		from += count;
	}
	return 0;
}

/* Where data begins at or after offset; the end if only a hole follows, offset itself if the file system cannot tell. */
static off_t next_data(int fd, off_t offset, off_t size)
{
	off_t data = lseek(fd, offset, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? size : offset;
	return data < size ? data : size;
}

static int write_sparse(int fd, off_t size, const char *path, struct writer *out, struct err *err)
{
	for (off_t offset = 0; offset < size;) {
		off_t data = next_data(fd, offset, size);
		off_t hole = data < size ? lseek(fd, data, SEEK_HOLE) : size;

		hole = hole < 0 || hole > size ? size : hole;
		if (content_write_zeros(out, data - offset, err) < 0 || write_range(fd, data, hole, path, out, err) < 0)
			return -1;
		offset = hole;
	}
	return 0;
}

int content_write(int fd, const struct stat *st, const char *path, struct writer *out, struct err *err)
{
	bool is_sparse = (off_t)st->st_blocks * 512 < st->st_size && st->st_size > CHUNK;
	int result;

	if (st->st_size > CHUNK)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	result = is_sparse ? write_sparse(fd, st->st_size, path, out, err)
			   : write_range(fd, 0, st->st_size, path, out, err);
	return result < 0 ? -1 : content_write_zeros(out, (int64_t)tar_padding(st->st_size), err);
}

/* ---- borrowed ends of a chain ---- */

struct borrowed_reader {
	struct reader reader;
	struct reader *below;
	int64_t *count;
};

static ssize_t borrowed_read(struct reader *reader, void *buf, size_t len, struct err *err)
{
	struct borrowed_reader *borrowed = (struct borrowed_reader *)reader;
	ssize_t count = borrowed->below->read(borrowed->below, buf, len, err);

	if (count > 0 && borrowed->count)
		*borrowed->count += count;
	return count;
}

static void borrowed_reader_close(struct reader *reader)
{
	free(reader);
}

struct reader *reader_borrow(struct reader *below, int64_t *count)
{
	struct borrowed_reader *borrowed = calloc(1, sizeof(*borrowed));

	if (!borrowed)
		abort();
	borrowed->reader = (struct reader){ borrowed_read, borrowed_reader_close };
	borrowed->below = below;
	borrowed->count = count;
	return &borrowed->reader;
}

struct borrowed_writer {
	struct writer writer;
	struct writer *below;
};

static int borrowed_write(struct writer *writer, const void *bytes, size_t len, struct err *err)
{
	struct writer *below = ((struct borrowed_writer *)writer)->below;

	return below->write(below, bytes, len, err);
}

static int borrowed_finish(struct writer *writer, struct err *err)
{
	(void)writer;
	(void)err;
	return 0;
}

static void borrowed_writer_close(struct writer *writer)
{
	free(writer);
}

struct writer *writer_borrow(struct writer *below)
{
	struct borrowed_writer *borrowed = calloc(1, sizeof(*borrowed));

	if (!borrowed)
		abort();
	borrowed->writer = (struct writer){ borrowed_write, borrowed_finish, borrowed_writer_close };
	borrowed->below = below;
	return &borrowed->writer;
}
