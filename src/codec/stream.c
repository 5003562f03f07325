/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decode.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/codec/stream.h"

#define PUMP_SIZE ((size_t)128 * 1024)

void *stream_alloc(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		abort();
	return memory;
}

char *stream_strdup(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	return copy;
}

/* ---- readers ---- */

struct fd_reader {
	struct reader base;
	int fd;
	bool owned;
	char *name;
};

static ssize_t fd_read(struct reader *base, void *buf, size_t len, struct err *err)
{
	struct fd_reader *reader = (struct fd_reader *)base;
	ssize_t count;

	do
		count = read(reader->fd, buf, len);
	while (count < 0 && errno == EINTR);
	return count < 0 ? err_errno(err, "read %s", reader->name) : count;
}

static void fd_reader_close(struct reader *base)
{
	struct fd_reader *reader = (struct fd_reader *)base;

	if (reader->owned)
		scope_close_fd(&reader->fd);
	free(reader->name);
	free(reader);
}

struct reader *reader_fd(int fd, bool owned, const char *name)
{
	struct fd_reader *reader = stream_alloc(sizeof(*reader));

	reader->base = (struct reader){ fd_read, fd_reader_close };
	reader->fd = fd;
	reader->owned = owned;
	reader->name = stream_strdup(name);
	return &reader->base;
}

struct bytes_reader {
	struct reader base;
	const char *next;
	size_t left;
};

static ssize_t bytes_read(struct reader *base, void *buf, size_t len, struct err *err)
{
	struct bytes_reader *reader = (struct bytes_reader *)base;
	size_t count = len < reader->left ? len : reader->left;

	(void)err;
	if (count > 0)
		memcpy(buf, reader->next, count);
	reader->next += count;
	reader->left -= count;
	return (ssize_t)count;
}

static void bytes_reader_close(struct reader *base)
{
	free(base);
}

struct reader *reader_bytes(const void *bytes, size_t len)
{
	struct bytes_reader *reader = stream_alloc(sizeof(*reader));

	reader->base = (struct reader){ bytes_read, bytes_reader_close };
	reader->next = len ? bytes : "";
	reader->left = len;
	return &reader->base;
}

struct hash_reader {
	struct reader base;
	struct reader *below;
	struct hasher *hasher; /* NULL once the result is given */
	struct digest *digest;
	int64_t *size;
	int64_t count;
};

static ssize_t hash_read(struct reader *base, void *buf, size_t len, struct err *err)
{
	struct hash_reader *reader = (struct hash_reader *)base;
	ssize_t count = reader->below->read(reader->below, buf, len, err);

	if (count < 0 || len == 0 || !reader->hasher)
		return count;
	hasher_update(reader->hasher, buf, (size_t)count);
	reader->count += count;
	if (count == 0) {
		hasher_final(reader->hasher, reader->digest);
		hasher_free(take_ptr(reader->hasher));
		if (reader->size)
			*reader->size = reader->count;
	}
	return count;
}

static void hash_reader_close(struct reader *base)
{
	struct hash_reader *reader = (struct hash_reader *)base;

	hasher_free(reader->hasher);
	scope_close_reader(&reader->below);
	free(reader);
}

struct reader *reader_hash(struct reader *below, struct digest *digest, int64_t *size)
{
	struct hash_reader *reader = stream_alloc(sizeof(*reader));

	reader->base = (struct reader){ hash_read, hash_reader_close };
	reader->below = below;
	reader->hasher = hasher_new();
	reader->digest = digest;
	reader->size = size;
	return &reader->base;
}

struct limit_reader {
	struct reader base;
	struct reader *below;
	int64_t limit, left;
	char *name;
};

/* One byte more than is left is asked for, to tell a stream that ends at the limit from one that does not. */
static ssize_t limit_read(struct reader *base, void *buf, size_t len, struct err *err)
{
	struct limit_reader *reader = (struct limit_reader *)base;
	char probe;

	if (len == 0)
		return 0;
	if (reader->left == 0) {
		ssize_t more = reader->below->read(reader->below, &probe, 1, err);
		if (more <= 0)
			return more;
		return err_set(err, ERR_INPUT, "%s is larger than %lld bytes", reader->name, (long long)reader->limit);
	}
	if ((uint64_t)reader->left < len)
		len = (size_t)reader->left;
	ssize_t count = reader->below->read(reader->below, buf, len, err);
	if (count > 0)
		reader->left -= count;
	return count;
}

static void limit_reader_close(struct reader *base)
{
	struct limit_reader *reader = (struct limit_reader *)base;

	scope_close_reader(&reader->below);
	free(reader->name);
	free(reader);
}

struct reader *reader_limit(struct reader *below, int64_t limit, const char *name)
{
	struct limit_reader *reader = stream_alloc(sizeof(*reader));

	assert(limit >= 0);
	reader->base = (struct reader){ limit_read, limit_reader_close };
	reader->below = below;
	reader->limit = reader->left = limit;
	reader->name = stream_strdup(name);
	return &reader->base;
}

/* ---- writers ---- */

struct fd_writer {
	struct writer base;
	int fd;
	bool owned;
	char *name;
};

static int fd_write(struct writer *base, const void *bytes, size_t len, struct err *err)
{
	struct fd_writer *writer = (struct fd_writer *)base;
	const char *next = bytes;

	while (len > 0) {
		ssize_t count = write(writer->fd, next, len);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return err_errno(err, "write %s", writer->name);
		next += count;
		len -= (size_t)count;
	}
	return 0;
}

static int nothing_to_finish(struct writer *base, struct err *err)
{
	(void)base;
	(void)err;
	return 0;
}

static void fd_writer_close(struct writer *base)
{
	struct fd_writer *writer = (struct fd_writer *)base;

	if (writer->owned)
		scope_close_fd(&writer->fd);
	free(writer->name);
	free(writer);
}

/* A file system may report a lost write only at close(2): network file systems do. */
static int fd_finish(struct writer *base, struct err *err)
{
	struct fd_writer *writer = (struct fd_writer *)base;

	if (writer->owned && close(take_fd(&writer->fd)) < 0 && errno != EINTR)
		return err_errno(err, "close %s", writer->name);
	return 0;
}

struct writer *writer_fd(int fd, bool owned, const char *name)
{
	struct fd_writer *writer = stream_alloc(sizeof(*writer));

	writer->base = (struct writer){ fd_write, fd_finish, fd_writer_close };
	writer->fd = fd;
	writer->owned = owned;
	writer->name = stream_strdup(name);
	return &writer->base;
}

static int null_write(struct writer *base, const void *bytes, size_t len, struct err *err)
{
	(void)base;
	(void)bytes;
	(void)len;
	(void)err;
	return 0;
}

static void plain_writer_close(struct writer *base)
{
	free(base);
}

struct writer *writer_null(void)
{
	struct writer *writer = stream_alloc(sizeof(*writer));

	*writer = (struct writer){ null_write, nothing_to_finish, plain_writer_close };
	return writer;
}

struct strbuf_writer {
	struct writer base;
	struct strbuf *buf;
};

static int strbuf_write(struct writer *base, const void *bytes, size_t len, struct err *err)
{
	(void)err;
	strbuf_add(((struct strbuf_writer *)base)->buf, bytes, len);
	return 0;
}

struct writer *writer_strbuf(struct strbuf *buf)
{
	struct strbuf_writer *writer = stream_alloc(sizeof(*writer));

	writer->base = (struct writer){ strbuf_write, nothing_to_finish, plain_writer_close };
	writer->buf = buf;
	return &writer->base;
}

struct hash_writer {
	struct writer base;
	struct writer *below; /* may be NULL */
	struct hasher *hasher;
	struct digest *digest;
	int64_t *size;
	int64_t count;
};

static int hash_write(struct writer *base, const void *bytes, size_t len, struct err *err)
{
	struct hash_writer *writer = (struct hash_writer *)base;

	hasher_update(writer->hasher, bytes, len);
	writer->count += (int64_t)len;
	return writer->below ? writer->below->write(writer->below, bytes, len, err) : 0;
}

static int hash_finish(struct writer *base, struct err *err)
{
	struct hash_writer *writer = (struct hash_writer *)base;

	if (writer->below && writer->below->finish(writer->below, err) < 0)
		return -1;
	hasher_final(writer->hasher, writer->digest);
	if (writer->size)
		*writer->size = writer->count;
	return 0;
}

static void hash_writer_close(struct writer *base)
{
	struct hash_writer *writer = (struct hash_writer *)base;

	hasher_free(writer->hasher);
	scope_close_writer(&writer->below);
	free(writer);
}

struct writer *writer_hash(struct writer *below, struct digest *digest, int64_t *size)
{
	struct hash_writer *writer = stream_alloc(sizeof(*writer));

	writer->base = (struct writer){ hash_write, hash_finish, hash_writer_close };
	writer->below = below;
	writer->hasher = hasher_new();
	writer->digest = digest;
	writer->size = size;
	return &writer->base;
}

/* ---- moving bytes ---- */

int reader_exact(struct reader *reader, void *buf, size_t len, const char *name, struct err *err)
{
	char *next = buf;

	while (len > 0) {
		ssize_t count = reader->read(reader, next, len, err);
		if (count < 0)
			return -1;
		if (count == 0)
			return err_set(err, ERR_CORRUPT, "%s ends early", name);
		next += count;
		len -= (size_t)count;
	}
	return 0;
}

int reader_pump(struct reader *reader, struct writer *writer, struct err *err)
{
	scope_free char *buf = stream_alloc(PUMP_SIZE);

	for (;;) {
		ssize_t count = reader->read(reader, buf, PUMP_SIZE, err);
		if (count <= 0)
			return (int)count;
		if (writer->write(writer, buf, (size_t)count, err) < 0)
			return -1;
	}
}

int reader_drain(struct reader *reader, struct err *err)
{
	scope_writer struct writer *nowhere = writer_null();

	return reader_pump(reader, nowhere, err);
}
