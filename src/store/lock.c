/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "internal.h"

/*
 * flock(2) belongs to the open file description: children inherit it and it ends when the last of them is gone, however
 * they end.
 */

enum { POLL_MS = 20 };

static int lock_wait(int fd, int operation, struct err *err)
{
	while (flock(fd, operation) < 0) {
		if (errno != EINTR)
			return err_errno(err, "lock the store (does its file system have locks?)");
	}
	return 0;
}

int lock_try(int fd, int operation, struct err *err)
{
	while (flock(fd, operation | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return 0;
		if (errno != EINTR)
			return err_errno(err, "lock the store (does its file system have locks?)");
	}
	return 1;
}

int lock_shared(int lock_fd, struct err *err)
{
	return lock_fd < 0 ? 0 : lock_wait(lock_fd, LOCK_SH, err);
}

int lock_exclusive(int lock_fd, int wait_ms, struct err *err)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	int taken;

	/* A lock that cannot be raised at once is lost, so two that try do not wait for each other. */
	for (int waited = 0;; waited += POLL_MS) {
		taken = lock_try(lock_fd, LOCK_EX, err);
		if (taken != 0 || waited >= wait_ms)
			break;
		nanosleep(&pause, NULL);
	}
	if (taken > 0)
		return 0;
	if (lock_shared(lock_fd, taken < 0 ? NULL : err) < 0 || taken < 0)
		return -1;
	return err_status(err, ERR_SYSTEM, EBUSY, "the store is in use by another kiln");
}

/* `system reset` holds the lock while it removes the store: then the file that we waited for is not the store's any more. */
static int is_current(struct store *store, bool *current, struct err *err)
{
	struct stat ours, theirs;

	if (fstat(store->lock_fd, &ours) < 0)
		return err_errno(err, "store %s: stat lock", store->path);
	*current = fstatat(store->fd, "lock", &theirs, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_ino == theirs.st_ino &&
		   ours.st_dev == theirs.st_dev;
	return 0;
}

static int open_lock(struct store *store)
{
	int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = -1;

	if (!(store->flags & STORE_READ_ONLY)) {
		fd = openat(store->fd, "lock", flags | O_RDWR | O_CREAT, 0600);
		/* `images` works on a store that lies on a read-only file system. */
		if (fd >= 0 || (errno != EROFS && errno != EACCES))
			return fd;
		store->flags |= STORE_READ_ONLY;
	}
	return openat(store->fd, "lock", flags | O_RDONLY);
}

int lock_open(struct store *store, struct err *err)
{
	bool current;

	store->lock_fd = open_lock(store);
	if (store->lock_fd < 0 && errno == ENOENT)
		return store->flags & STORE_READ_ONLY ? 0 : 1;
	if (store->lock_fd < 0)
		return err_errno(err, "store %s: open lock", store->path);
	if (lock_wait(store->lock_fd, LOCK_SH, err) < 0) {
		if (store->flags & STORE_READ_ONLY)
			return 0;
		return err_wrap(err, "store %s", store->path);
	}
	if (is_current(store, &current, err) < 0)
		return -1;
	return current ? 0 : 1;
}
