/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "kiln/base/file.h"
#include "kiln/base/scope.h"

#define TRIES_MAX 100

static void fd_path(char *out, size_t size, int fd)
{
	snprintf(out, size, "/proc/self/fd/%d", fd);
}

static void random_name(char *out, size_t size)
{
	uint64_t number;

	/* Up to 256 bytes come whole, and the only error that a caller can meet is EINTR before the pool is ready. */
	while (getrandom(&number, sizeof(number), 0) < 0)
		assert(errno == EINTR);
	snprintf(out, size, ".tmp-%016" PRIx64, number);
}

/* Nameless, so that nothing is left even after SIGKILL. It can be given a name only through /proc, which a minimal
   chroot may lack: then it is useless. */
static int open_nameless(int dir_fd, mode_t mode)
{
	char path[32];
	scope_fd int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);

	if (fd < 0)
		return -1;
	fd_path(path, sizeof(path), fd);
	return faccessat(AT_FDCWD, path, F_OK, 0) < 0 ? -1 : take_fd(&fd);
}

static int open_named(struct new_file *file, int dir_fd, mode_t mode)
{
	int fd = -1;

	for (int i = 0; i < TRIES_MAX && fd < 0; i++) {
		random_name(file->tmp, sizeof(file->tmp));
		fd = openat(dir_fd, file->tmp, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, mode);
		if (fd < 0 && errno != EEXIST && errno != EINTR)
			break;
	}
	if (fd < 0)
		file->tmp[0] = '\0';
	return fd;
}

int new_file_create(struct new_file *file, int dir_fd, mode_t mode, struct err *err)
{
	*file = (struct new_file)NEW_FILE_EMPTY;
	/* Each file system refuses O_TMPFILE in its own words; if the reason is a real one, the named file meets it too. */
	file->fd = open_nameless(dir_fd, mode);
	if (file->fd < 0)
		file->fd = open_named(file, dir_fd, mode);
	if (file->fd < 0)
		return err_errno(err, "create a temporary file");
	file->dir_fd = dir_fd;
	if (fchmod(file->fd, mode) < 0) {
		err_errno(err, "set the mode of a temporary file");
		new_file_release(file);
		return -1;
	}
	return 0;
}

static int link_as(const struct new_file *file, const char *name)
{
	char path[32];

	fd_path(path, sizeof(path), file->fd);
	return linkat(AT_FDCWD, path, file->dir_fd, name, AT_SYMLINK_FOLLOW);
}

static int link_as_temporary(struct new_file *file)
{
	int result = -1;

	for (int i = 0; i < TRIES_MAX; i++) {
		random_name(file->tmp, sizeof(file->tmp));
		result = link_as(file, file->tmp);
		if (result == 0 || errno != EEXIST)
			break;
	}
	if (result < 0)
		file->tmp[0] = '\0';
	return result;
}

/* linkat never replaces, so an existing name needs a temporary one that is renamed over it. */
static int give_name(struct new_file *file, const char *name)
{
	if (!file->tmp[0]) {
		if (link_as(file, name) == 0)
			return 0;
		if (errno != EEXIST || link_as_temporary(file) < 0)
			return -1;
	}
	if (renameat(file->dir_fd, file->tmp, file->dir_fd, name) < 0)
		return -1;
	file->tmp[0] = '\0';
	return 0;
}

/* dir_fd may be O_PATH, which fsync refuses. */
static int sync_dir(int dir_fd)
{
	scope_fd int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -1 : fsync(fd);
}

int new_file_publish(struct new_file *file, const char *name, bool sync, struct err *err)
{
	if (sync && fdatasync(file->fd) < 0)
		return err_errno(err, "write %s to disk", name);
	if (give_name(file, name) < 0)
		return err_errno(err, "publish %s", name);
	if (sync && sync_dir(file->dir_fd) < 0)
		return err_errno(err, "write the directory of %s to disk", name);
	return 0;
}

void new_file_release(struct new_file *file)
{
	int saved = errno;

	if (file->tmp[0])
		unlinkat(file->dir_fd, file->tmp, 0);
	if (file->fd >= 0)
		close(file->fd);
	*file = (struct new_file)NEW_FILE_EMPTY;
	errno = saved;
}

int file_replace(int dir_fd, const char *name, mode_t mode, const void *bytes, size_t len, bool sync, struct err *err)
{
	scope_new_file struct new_file file = NEW_FILE_EMPTY;

	if (new_file_create(&file, dir_fd, mode, err) < 0)
		return err_wrap(err, "replace %s", name);
	if (file_write_fd(file.fd, bytes, len, name, err) < 0)
		return -1;
	return new_file_publish(&file, name, sync, err);
}
