/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "kiln/base/log.h"
#include "kiln/base/text.h"

#include "internal.h"

/*
 * How a store survives power loss without an fsync for every file.
 *
 * Blobs, layers and image records become visible by a rename, and their data reaches the disk when the kernel likes. Each
 * has an empty file unsynced/BOOT.DIR-HEX, made before the rename (under the guard, so that no two processes publish
 * one object). Before a name may point to anything, store_sync does one syncfs and takes away the files that were there
 * when it began. No such file: nothing to sync, and a cached build costs no disk at all.
 *
 * What has such a file of an earlier boot may be on disk by name only. No name reaches it (a name is written after the
 * sync), so the first command after the boot removes it; it will be made again. Journals write renames in order, so the
 * file is there if the object is.
 */

enum { RECOVER_WAIT_MS = 500, POLL_MS = 10 };

#define NO_BOOT_ID "0000000000000000"

static const char *boot_id(struct store *store)
{
	scope_strbuf struct strbuf text = { 0 };
	size_t len = 0;

	if (store->boot[0])
		return store->boot;
	/* Without /proc every boot looks the same, and nothing is ever taken for lost. */
	memcpy(store->boot, NO_BOOT_ID, sizeof(store->boot));
	if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, NULL) < 0)
		return store->boot;
	for (size_t i = 0; i < text.len && len < sizeof(store->boot) - 1; i++) {
		if (text.ptr[i] != '-' && text.ptr[i] != '\n')
			store->boot[len++] = text.ptr[i];
	}
	return store->boot;
}

int guard_take(struct store *store, struct err *err)
{
	int dir = store_refuse_read_only(store, err) < 0 ? -1 : store_dir_fd(store, DIR_UNSYNCED, err);
	scope_fd int fd = -1;

	if (dir < 0)
		return -1;
	fd = openat(dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "store %s: open unsynced/lock", store->path);
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return err_errno(err, "store %s: lock unsynced/lock", store->path);
	}
	return take_fd(&fd);
}

int sync_mark(struct store *store, enum store_dir dir, const struct digest *id, struct err *err)
{
	int unsynced = store_dir_fd(store, DIR_UNSYNCED, err);
	char hex[DIGEST_HEX + 1], name[128];

	if (unsynced < 0)
		return -1;
	snprintf(name, sizeof(name), "%s.%s-%s", boot_id(store), store_dir_name(dir), digest_hex(id, hex));
	scope_fd int fd = openat(unsynced, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "store %s: create unsynced/%s", store->path, name);
	return 0;
}

static int collect(void *arg, const char *name, struct err *err)
{
	struct strvec *names = arg;

	(void)err;
	if (!text_equal(name, "lock"))
		strvec_push(names, name);
	return 0;
}

static int list_unsynced(struct store *store, struct strvec *names, struct err *err)
{
	/* Under the guard, what has a file has been renamed, or never will be. */
	scope_fd int guard = guard_take(store, err);

	return guard < 0 ? -1 : store_each(store, DIR_UNSYNCED, collect, names, err);
}

int sync_dir(struct store *store, enum store_dir dir, struct err *err)
{
	int fd = store_dir_fd(store, dir, err);

	if (fd < 0)
		return -1;
	return fsync(fd) < 0 ? err_errno(err, "store %s: write %s to disk", store->path, store_dir_name(dir)) : 0;
}

int store_sync(struct store *store, struct err *err)
{
	scope_strvec struct strvec names = { 0 };
	int dir;

	if (store->flags & STORE_READ_ONLY)
		return 0;
	if (list_unsynced(store, &names, err) < 0)
		return -1;
	if (names.count == 0)
		return 0;
	if (syncfs(store->fd) < 0)
		return err_errno(err, "write the store %s to disk", store->path);
	dir = store_dir_fd(store, DIR_UNSYNCED, err);
	for (size_t i = 0; i < names.count; i++)
		unlinkat(dir, names.items[i], 0);
	/* Were these removals lost, the objects would be taken for lost too, and a name may soon reach them. */
	return sync_dir(store, DIR_UNSYNCED, err);
}

/* ---- after a power failure ---- */

static bool is_of_this_boot(struct store *store, const char *name)
{
	size_t len = strlen(boot_id(store));

	return strncmp(name, boot_id(store), len) == 0 && name[len] == '.';
}

/* BOOT.DIR-HEX; false for what kiln has not written. */
static bool parse_mark(const char *mark, enum store_dir *dir, const char **hex)
{
	static const enum store_dir kinds[] = { DIR_BLOBS, DIR_LAYERS, DIR_IMAGES };
	const char *dot = strchr(mark, '.');
	const char *dash = dot ? strrchr(dot, '-') : NULL;

	if (!dash || !is_hex_name(dash + 1))
		return false;
	*hex = dash + 1;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		*dir = kinds[i];
		if (strlen(store_dir_name(*dir)) == (size_t)(dash - dot - 1) &&
		    strncmp(store_dir_name(*dir), dot + 1, (size_t)(dash - dot - 1)) == 0)
			return true;
	}
	return false;
}

static bool is_whole_blob(struct store *store, const char *hex)
{
	struct digest expected, found;
	int64_t size;

	if (digest_parse_hex(&expected, hex, NULL) < 0)
		return false;
	int fd = store_blob_open(store, &expected, &size, NULL);
	if (fd < 0)
		return false;
	scope_reader struct reader *reader = reader_hash(reader_fd(fd, true, "blob"), &found, &size);
	return reader_drain(reader, NULL) == 0 && digest_equal(&expected, &found);
}

static int recover_one(struct store *store, struct store_work *work, const char *mark, struct err *err)
{
	enum store_dir dir;
	const char *hex;

	if (parse_mark(mark, &dir, &hex) && !(dir == DIR_BLOBS && is_whole_blob(store, hex))) {
		log_debug("store: %s/%s may have been lost with the power and is removed", store_dir_name(dir), hex);
		if (trash(store, work, dir, hex, err) < 0)
			return -1;
	}
	unlinkat(store->dirs[DIR_UNSYNCED], mark, 0);
	return 0;
}

static int recover(struct store *store, struct err *err)
{
	scope_strvec struct strvec names = { 0 };
	struct store_work work = STORE_WORK_EMPTY;
	int result = 0;

	if (list_unsynced(store, &names, err) < 0 || store_work_new(store, &work, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count && result == 0; i++) {
		if (!is_of_this_boot(store, names.items[i]))
			result = recover_one(store, &work, names.items[i], err);
	}
	/* Outside the user namespace trees cannot be deleted: then a later command sweeps them. */
	store_work_end(store, &work);
	return result;
}

struct search {
	struct store *store;
	bool found;
};

static int find_foreign(void *arg, const char *name, struct err *err)
{
	struct search *search = arg;

	(void)err;
	if (!text_equal(name, "lock") && !is_of_this_boot(search->store, name))
		search->found = true;
	return 0;
}

/* The exclusive lock is needed because another machine may share the store: its boot is not ours, and it is alive. Whoever runs on
   this machine came after the boot, and went through here first. */
int sync_recover(struct store *store, struct err *err)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	int result = 0;

	if (text_equal(boot_id(store), NO_BOOT_ID))
		return 0;
	for (int waited = 0; waited < RECOVER_WAIT_MS; waited += POLL_MS) {
		struct search search = { store, false };
		int taken;
		if (store_each(store, DIR_UNSYNCED, find_foreign, &search, err) < 0)
			return -1;
		if (!search.found)
			break;
		taken = lock_try(store->lock_fd, LOCK_EX, err);
		if (taken < 0)
			return -1;
		if (taken) {
			result = recover(store, err);
			break;
		}
		nanosleep(&pause, NULL);
	}
	return lock_shared(store->lock_fd, result < 0 ? NULL : err) < 0 ? -1 : result;
}
