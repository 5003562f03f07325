/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "kiln/base/log.h"
#include "kiln/base/text.h"

#include "internal.h"

/*
 * Cache mounts: directories that live from build to build.
 *
 *	mounts/HEX/guard	flock: whoever looks for, makes or gives up a copy holds it
 *	mounts/HEX/N/lock	flock: shared or exclusive while the copy N is in use
 *	mounts/HEX/N/tree	the directory itself
 *	mounts/HEX/old-RANDOM	a copy that was given up; removed when it is idle
 *
 * There is more than one copy only where one was in use by somebody who would not share it. A lock is held by a step's job
 * and so ends with it, however that ends. A copy is made in a work directory and renamed.
 */

#define GUARD "guard"
#define LOCK  "lock"
#define TREE  "tree"
#define OLD   "old-"

enum { COPIES_MAX = 1000, POLL_MS = 50, POLLS_UNTIL_TOLD = 10 };

/* What is done with one directory mounts/HEX. */
struct place {
	struct store *store;
	const struct store_mount_spec *spec;
	int dir_fd;
};

static int open_place(struct store *store, const struct digest *id, int *dir_fd, struct err *err)
{
	char hex[DIGEST_HEX + 1];
	int mounts = store_refuse_read_only(store, err) < 0 ? -1 : store_dir_fd(store, DIR_MOUNTS, err);

	*dir_fd = mounts < 0 ? -1 : file_make_dir(mounts, digest_hex(id, hex), 0700, err);
	return *dir_fd < 0 ? -1 : 0;
}

static int take_guard(int dir_fd, struct err *err)
{
	scope_fd int fd = openat(dir_fd, GUARD, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(err, "open the guard of a cache mount");
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return err_errno(err, "lock a cache mount (does the store's file system have locks?)");
	}
	return take_fd(&fd);
}

/* ---- copies that were given up ---- */

static int retire(int dir_fd, const char *name, struct err *err)
{
	uint64_t number = 0;
	char old[32];

	while (getrandom(&number, sizeof(number), 0) < 0 && errno == EINTR)
		;
	snprintf(old, sizeof(old), OLD "%016" PRIx64, number);
	if (renameat(dir_fd, name, dir_fd, old) < 0 && errno != ENOENT)
		return err_errno(err, "give up the copy %s of a cache mount", name);
	return 0;
}

static bool is_copy(const char *name)
{
	int64_t number;

	return parse_int64(&number, name, NULL) == 0;
}

static int retire_copy(void *arg, const char *name, struct err *err)
{
	const struct place *place = arg;

	return is_copy(name) ? retire(place->dir_fd, name, err) : 0;
}

int store_mount_forget(struct store *store, const struct digest *id, struct err *err)
{
	struct place place = { .store = store };
	scope_fd int dir_fd = -1;

	if (open_place(store, id, &dir_fd, err) < 0)
		return -1;
	scope_fd int guard = take_guard(dir_fd, err);
	place.dir_fd = dir_fd;
	return guard < 0 ? -1 : store_each_in(dir_fd, retire_copy, &place, err);
}

/* Moves what nobody uses into a work directory; its removal takes long and is done without the guard. */
static int sweep_old(void *arg, const char *name, struct err *err)
{
	struct store_work *work = ((void **)arg)[0];
	const struct place *place = ((void **)arg)[1];

	(void)err;
	if (!text_starts(name, OLD))
		return 0;
	scope_fd int copy_fd = openat(place->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	scope_fd int lock_fd = copy_fd < 0 ? -1 : openat(copy_fd, LOCK, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (lock_fd >= 0 && lock_try(lock_fd, LOCK_EX, NULL) != 1)
		return 0;
	if (work->fd < 0 && store_work_new(place->store, work, NULL) < 0)
		return 0;
	if (renameat(place->dir_fd, name, work->fd, name) < 0)
		log_debug("store: the old cache mount %s stays: %s", name, strerror(errno));
	return 0;
}

/* ---- taking one ---- */

/* 1, 0 if it is in use, -1. *lock_fd is taken with operation. */
static int lock_copy(int copy_fd, int operation, int *lock_fd, struct err *err)
{
	scope_fd int fd = openat(copy_fd, LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	int taken = fd < 0 ? err_errno(err, "open the lock of a cache mount") : lock_try(fd, operation, err);

	if (taken == 1)
		*lock_fd = take_fd(&fd);
	return taken;
}

static int use_copy(int copy_fd, int *lock_fd, struct store_mount *mount, struct err *err)
{
	mount->fd = openat(copy_fd, TREE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (mount->fd < 0)
		return err_errno(err, "open a cache mount");
	mount->lock_fd = take_fd(lock_fd);
	return 1;
}

static int open_copy(int dir_fd, size_t number, char name[16])
{
	snprintf(name, 16, "%zu", number);
	return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* One that others share at this moment; else, so that a second copy made in a rush is not used for ever, the first that is
   idle. 1, 0 if all are in use, -1. */
static int find_copy(const struct place *place, struct store_mount *mount, bool *is_any, struct err *err)
{
	bool is_shared = place->spec->sharing == STORE_MOUNT_SHARED;
	scope_fd int idle_fd = -1, idle_lock = -1;
	char name[16];

	for (size_t i = 0; i < COPIES_MAX; i++) {
		scope_fd int lock_fd = -1;
		scope_fd int copy_fd = open_copy(place->dir_fd, i, name);
		if (copy_fd < 0)
			continue;
		if (faccessat(copy_fd, TREE, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
			if (retire(place->dir_fd, name, err) < 0)
				return -1;
			continue;
		}
		*is_any = true;
		int taken = lock_copy(copy_fd, LOCK_EX, &lock_fd, err);
		if (taken == 0 && is_shared)
			taken = lock_copy(copy_fd, LOCK_SH, &lock_fd, err) == 1 ? 2 : 0;
		if (taken < 0)
			return -1;
		if (taken == 2)
			return use_copy(copy_fd, &lock_fd, mount, err);
		if (taken == 1 && idle_fd < 0) {
			idle_fd = take_fd(&copy_fd);
			idle_lock = take_fd(&lock_fd);
		}
	}
	if (idle_fd < 0)
		return 0;
	/* Not at once, but whoever could come between waits at the guard. */
	if (is_shared && lock_try(idle_lock, LOCK_SH, err) != 1)
		return -1;
	return use_copy(idle_fd, &idle_lock, mount, err);
}

static int make_tree(const struct place *place, int work_fd, struct err *err)
{
	scope_fd int copy_fd = file_make_dir(work_fd, "copy", 0700, err);
	scope_fd int tree_fd = copy_fd < 0 ? -1 : file_make_dir(copy_fd, TREE, 0755, err);

	if (tree_fd < 0)
		return -1;
	return place->spec->fill ? place->spec->fill(place->spec->arg, tree_fd, err) : 0;
}

/* The first free number is found by looking: copies are few. */
static int publish_copy(const struct place *place, int work_fd, struct err *err)
{
	char name[16];

	for (size_t i = 0; i < COPIES_MAX; i++) {
		scope_fd int copy_fd = open_copy(place->dir_fd, i, name);
		if (copy_fd >= 0)
			continue;
		if (renameat(work_fd, "copy", place->dir_fd, name) < 0)
			return err_errno(err, "publish a cache mount");
		return 0;
	}
	return err_set(err, ERR_SYSTEM, "there are %d copies of this cache mount in use", COPIES_MAX);
}

static int make_copy(const struct place *place, struct err *err)
{
	struct store_work work = STORE_WORK_EMPTY;
	int made = store_work_new(place->store, &work, err);

	if (made == 0)
		made = make_tree(place, work.fd, err);
	if (made == 0)
		made = publish_copy(place, work.fd, err);
	store_work_end(place->store, &work);
	return made;
}

/* 1, 0 if the caller has to wait, -1. */
static int try_open(const struct place *place, struct store_mount *mount, struct store_work *trash, struct err *err)
{
	scope_fd int guard = take_guard(place->dir_fd, err);
	void *sweep[] = { trash, (void *)(uintptr_t)place };
	bool is_any = false, is_new = false;

	if (guard < 0 || store_each_in(place->dir_fd, sweep_old, sweep, err) < 0)
		return -1;
	int found = find_copy(place, mount, &is_any, err);
	if (found == 0 && (!is_any || place->spec->sharing != STORE_MOUNT_LOCKED)) {
		if (make_copy(place, err) < 0)
			return -1;
		found = find_copy(place, mount, &is_new, err);
	}
	return found;
}

static int wait_and_open(const struct place *place, struct store_mount *mount, struct store_work *trash,
			 struct err *err)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	int opened;

	for (int waited = 0; (opened = try_open(place, mount, trash, err)) == 0; waited++) {
		if (waited == POLLS_UNTIL_TOLD && place->spec->waits)
			place->spec->waits(place->spec->arg);
		nanosleep(&pause, NULL);
	}
	return opened < 0 ? -1 : 0;
}

int store_mount_open(struct store *store, const struct store_mount_spec *spec, struct store_mount *mount,
		     struct err *err)
{
	struct store_work trash = STORE_WORK_EMPTY;
	struct place place = { .store = store, .spec = spec };
	struct store_mount opened = STORE_MOUNT_EMPTY;
	scope_fd int dir_fd = -1;

	if (open_place(store, &spec->id, &dir_fd, err) < 0)
		return -1;
	place.dir_fd = dir_fd;
	int result = wait_and_open(&place, &opened, &trash, err);
	store_work_end(store, &trash);
	if (result == 0)
		*mount = opened;
	return result;
}

void store_mount_close(struct store_mount *mount)
{
	scope_close_fd(&mount->fd);
	scope_close_fd(&mount->lock_fd);
	*mount = (struct store_mount)STORE_MOUNT_EMPTY;
}
