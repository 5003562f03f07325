/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "kiln/base/file.h"
#include "kiln/base/scope.h"

/* The first reservation for a file; the one byte more finds the end without a second reservation. */
static size_t expected_size(int fd, size_t limit)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 4096)
		return 4096;
	return (size_t)st.st_size < limit ? (size_t)st.st_size + 1 : limit;
}

int file_read_fd(int fd, size_t limit, struct strbuf *buf, const char *name, struct err *err)
{
	size_t start = buf->len;
	ssize_t count;

	strbuf_reserve(buf, expected_size(fd, limit));
	do {
		if (buf->cap - buf->len < 2)
			strbuf_reserve(buf, buf->len - start);
		count = read(fd, buf->ptr + buf->len, buf->cap - buf->len - 1);
		if (count > 0)
			buf->len += (size_t)count;
	} while ((count > 0 && buf->len - start <= limit) || (count < 0 && errno == EINTR));
	buf->ptr[buf->len] = '\0';

	if (count >= 0 && buf->len - start <= limit)
		return 0;
	int saved = errno;
	strbuf_truncate(buf, start);
	if (count >= 0)
		return err_set(err, ERR_INPUT, "%s is larger than %zu bytes", name, limit);
	errno = saved;
	return err_errno(err, "read %s", name);
}

int file_read(int dir_fd, const char *path, size_t limit, struct strbuf *buf, struct err *err)
{
	scope_fd int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, "open %s", path);
	return file_read_fd(fd, limit, buf, path, err);
}

int file_write_fd(int fd, const void *bytes, size_t len, const char *name, struct err *err)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t count = write(fd, at, len);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return err_errno(err, "write %s", name);
		at += count;
		len -= (size_t)count;
	}
	return 0;
}

int file_open_user(const char *path, int flags, mode_t mode, struct err *err)
{
	int fd;

	do {
		fd = openat(AT_FDCWD, path, flags | O_CLOEXEC, mode);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? err_errno(err, "open %s", path) : fd;
}

int file_make_dir(int dir_fd, const char *name, mode_t mode, struct err *err)
{
	if (mkdirat(dir_fd, name, mode) < 0 && errno != EEXIST)
		return err_errno(err, "make directory %s", name);
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_errno(err, "open directory %s", name) : fd;
}
