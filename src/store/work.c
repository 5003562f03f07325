/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "kiln/base/log.h"

#include "internal.h"

/*
 * Whoever holds the lock of tmp/RANDOM owns it: its maker for its life, or a sweeper that found it dead. The sweeper may
 * come between the maker's mkdir and its lock; then one of the two gets the lock and the other goes elsewhere.
 */

enum { TRIES = 100 };

static void random_name(char *out, size_t size)
{
	uint64_t number = 0;

	while (getrandom(&number, sizeof(number), 0) < 0 && errno == EINTR)
		;
	snprintf(out, size, "%016" PRIx64, number);
}

/* 1: ours; 0: somebody else's, or gone. */
static int take_lock(int dir_fd, int *lock_fd, struct err *err)
{
	scope_fd int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat ours, theirs;
	int taken;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(err, "open the lock of a work directory");
	taken = lock_try(fd, LOCK_EX, err);
	if (taken <= 0)
		return taken;
	if (fstat(fd, &ours) < 0 || fstatat(dir_fd, "lock", &theirs, AT_SYMLINK_NOFOLLOW) < 0 ||
	    ours.st_ino != theirs.st_ino)
		return 0;
	*lock_fd = take_fd(&fd);
	return 1;
}

/* 1, 0 if the name is not ours, -1. */
static int try_new(int tmp, struct store_work *work, struct err *err)
{
	int taken;

	random_name(work->name, sizeof(work->name));
	if (mkdirat(tmp, work->name, 0700) < 0)
		return errno == EEXIST ? 0 : err_errno(err, "create a work directory");
	scope_fd int fd = openat(tmp, work->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(err, "open a work directory");
	taken = take_lock(fd, &work->lock_fd, err);
	if (taken > 0)
		work->fd = take_fd(&fd);
	return taken;
}

int store_work_new(struct store *store, struct store_work *work, struct err *err)
{
	int tmp = store_refuse_read_only(store, err) < 0 ? -1 : store_dir_fd(store, DIR_TMP, err);
	int made = 0;

	*work = (struct store_work)STORE_WORK_EMPTY;
	if (tmp < 0)
		return -1;
	for (int i = 0; i < TRIES && made == 0; i++)
		made = try_new(tmp, work, err);
	if (made < 0)
		return err_wrap(err, "store %s", store->path);
	return made ? 0 : err_set(err, ERR_SYSTEM, "store %s: no work directory stays", store->path);
}

void store_work_end(struct store *store, struct store_work *work)
{
	struct err err;

	if (work->fd < 0)
		return;
	if (file_remove_tree(store->dirs[DIR_TMP], work->name, &err) < 0)
		log_debug("store: tmp/%s is left for later: %s", work->name, err.msg);
	scope_close_fd(&work->fd);
	scope_close_fd(&work->lock_fd);
	*work = (struct store_work)STORE_WORK_EMPTY;
}

static int sweep_one(void *arg, const char *name, struct err *err)
{
	struct store *store = arg;
	struct err ignored;
	scope_fd int lock = -1;
	int tmp = store->dirs[DIR_TMP];
	scope_fd int fd = openat(tmp, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	(void)err;
	if (fd < 0 || take_lock(fd, &lock, &ignored) <= 0)
		return 0;
	if (file_remove_tree(tmp, name, &ignored) < 0)
		log_debug("store: tmp/%s cannot be swept: %s", name, ignored.msg);
	return 0;
}

/* Never an error: what cannot be removed today (it belongs to sub-ids, and we are not in their namespace) will be. */
void work_sweep(struct store *store)
{
	struct err err;

	if (store_dir_fd(store, DIR_TMP, &err) < 0 || store_each(store, DIR_TMP, sweep_one, store, &err) < 0)
		log_debug("store: sweep: %s", err.msg);
}
