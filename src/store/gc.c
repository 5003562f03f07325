/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "kiln/base/text.h"

#include "internal.h"

/*
 * Under the exclusive lock nothing runs that could hold what nothing reaches, so there are no pins. The lock is held for
 * marking and for renames into a work directory; deleting takes long and comes after. From the top down (names, images,
 * records, layers, blobs), so that being killed at any point leaves nothing that points to what is gone.
 */

int trash(struct store *store, struct store_work *work, enum store_dir dir, const char *name, struct err *err)
{
	int from = store_dir_fd(store, dir, err);
	char to[NAME_MAX + 32];

	if (from < 0)
		return -1;
	snprintf(to, sizeof(to), "%s.%.*s", store_dir_name(dir), 200, name);
	if (renameat(from, name, work->fd, to) == 0 || errno == ENOENT)
		return 0;
	return err_errno(err, "store %s: remove %s/%s", store->path, store_dir_name(dir), name);
}

/* ---- prune ---- */

struct sweep {
	struct store *store;
	struct store_work *work;
	enum store_dir dir;
	const struct digest_set *keep; /* NULL: nothing stays */
	bool all_names;                /* also what is not named by a digest */
};

static int sweep_one(void *arg, const char *name, struct err *err)
{
	const struct sweep *sweep = arg;
	struct digest digest;
	bool is_hex = is_hex_name(name) && digest_parse_hex(&digest, name, err) == 0;

	if (is_hex && sweep->keep && digest_set_has(sweep->keep, &digest))
		return 0;
	if (!is_hex && !sweep->all_names && !store_is_temporary(name))
		return 0;
	return trash(sweep->store, sweep->work, sweep->dir, name, err);
}

static int sweep_dir(struct store *store, struct store_work *work, enum store_dir dir, const struct digest_set *keep,
		     bool all_names, struct err *err)
{
	struct sweep sweep = { store, work, dir, keep, all_names };

	return store_each(store, dir, sweep_one, &sweep, err);
}

/* A record whose layer is gone is a miss for ever. */
static int sweep_cache_record(void *arg, const char *name, struct err *err)
{
	const struct sweep *sweep = arg;
	scope_arena struct arena arena = { 0 };
	struct cache_record record;
	struct err cause;

	if (is_hex_name(name) && cache_record_read(sweep->store, &arena, name, &record, &cause) > 0 &&
	    store_layer_has(sweep->store, &record.diff_id))
		return 0;
	return trash(sweep->store, sweep->work, DIR_CACHE, name, err);
}

static int sweep_cache(struct store *store, struct store_work *work, unsigned flags, struct err *err)
{
	struct sweep sweep = { store, work, DIR_CACHE, NULL, true };

	if (!(flags & PRUNE_CACHE))
		return store_each(store, DIR_CACHE, sweep_cache_record, &sweep, err);
	if (sweep_dir(store, work, DIR_CACHE, NULL, true, err) < 0 ||
	    sweep_dir(store, work, DIR_NOTES, NULL, true, err) < 0)
		return -1;
	return sweep_dir(store, work, DIR_MOUNTS, NULL, true, err);
}

static int sweep_images(struct store *store, struct store_work *work, unsigned flags, const struct marks *marks,
			struct err *err)
{
	if (sweep_dir(store, work, DIR_NAMES, NULL, flags & PRUNE_IMAGES, err) < 0 ||
	    sync_dir(store, DIR_NAMES, err) < 0)
		return -1;
	if (sweep_dir(store, work, DIR_IMAGES, &marks->images, false, err) < 0)
		return -1;
	/* A disk must not keep an image whose layers it has forgotten. */
	return sync_dir(store, DIR_IMAGES, err);
}

static int collect_garbage(struct store *store, struct store_work *work, unsigned flags, struct err *err)
{
	scope_marks struct marks marks = { 0 };

	if (mark_images(store, flags, &marks, err) < 0)
		return -1;
	if (!(flags & PRUNE_CACHE) && mark_cache(store, &marks, err) < 0)
		return -1;
	if (mark_finish(store, &marks, err) < 0 || sweep_images(store, work, flags, &marks, err) < 0 ||
	    sweep_cache(store, work, flags, err) < 0 ||
	    sweep_dir(store, work, DIR_LAYERS, &marks.layers, false, err) < 0)
		return -1;
	return sweep_dir(store, work, DIR_BLOBS, &marks.blobs, false, err);
}

int store_prune(struct store *store, unsigned flags, int wait_ms, int64_t *freed, struct err *err)
{
	struct store_work work = STORE_WORK_EMPTY;
	int64_t bytes = 0, empty = 0;
	int result;

	if (store_refuse_read_only(store, err) < 0 || lock_exclusive(store->lock_fd, wait_ms, err) < 0)
		return -1;
	/* Nothing else runs, so whatever else lies in tmp/ is dead. */
	work_sweep(store);
	result = store_work_new(store, &work, err);
	if (result == 0)
		result = file_tree_usage(store->dirs[DIR_TMP], work.name, &empty, err);
	if (result == 0)
		result = collect_garbage(store, &work, flags, err);
	if (lock_shared(store->lock_fd, result < 0 ? NULL : err) < 0)
		result = -1;
	if (result == 0)
		result = file_tree_usage(store->dirs[DIR_TMP], work.name, &bytes, err);
	store_work_end(store, &work);
	if (result == 0 && freed)
		*freed = bytes - empty;
	return result;
}

/* ---- usage ---- */

struct measuring {
	struct store *store;
	const struct digest_set *of_images;
	int64_t count;
	int64_t image_bytes, other_bytes;
	enum store_dir dir;
};

static int measure_one(void *arg, const char *name, struct err *err)
{
	struct measuring *measuring = arg;
	struct digest digest;
	int64_t bytes = 0;
	bool of_image;

	if (!is_hex_name(name) || digest_parse_hex(&digest, name, err) < 0)
		return 0;
	if (file_tree_usage(measuring->store->dirs[measuring->dir], name, &bytes, err) < 0)
		return -1;
	of_image = digest_set_has(measuring->of_images, &digest);
	measuring->count++;
	*(of_image ? &measuring->image_bytes : &measuring->other_bytes) += bytes;
	return 0;
}

static int measure(struct store *store, enum store_dir dir, const struct digest_set *of_images,
		   struct measuring *result, struct err *err)
{
	*result = (struct measuring){ .store = store, .of_images = of_images, .dir = dir };
	return store_each(store, dir, measure_one, result, err);
}

static int count_one(void *arg, const char *name, struct err *err)
{
	int64_t *count = arg;

	(void)err;
	*count += is_hex_name(name);
	return 0;
}

int store_usage(struct store *store, struct store_usage *usage, struct err *err)
{
	static const char *const others[] = { "names", "images", "cache", "notes", "tmp", "unsynced" };
	scope_marks struct marks marks = { 0 };
	struct measuring layers, blobs;
	struct store_usage result = { 0 };

	if (mark_images(store, 0, &marks, err) < 0 || mark_finish(store, &marks, err) < 0 ||
	    measure(store, DIR_LAYERS, &marks.layers, &layers, err) < 0 ||
	    measure(store, DIR_BLOBS, &marks.blobs, &blobs, err) < 0 ||
	    store_each(store, DIR_IMAGES, count_one, &result.images, err) < 0 ||
	    store_each(store, DIR_CACHE, count_one, &result.cache_records, err) < 0 ||
	    store_each(store, DIR_MOUNTS, count_one, &result.mounts, err) < 0 ||
	    file_tree_usage(store->fd, "mounts", &result.mount_bytes, err) < 0)
		return -1;
	result.layers = layers.count;
	result.layer_bytes = layers.image_bytes + layers.other_bytes;
	result.image_bytes = layers.image_bytes + blobs.image_bytes;
	result.cache_bytes = layers.other_bytes + blobs.other_bytes;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		int64_t bytes = 0;
		if (file_tree_usage(store->fd, others[i], &bytes, err) < 0)
			return err_wrap(err, "store %s", store->path);
		result.other_bytes += bytes;
	}
	*usage = result;
	return 0;
}

/* ---- reset ---- */

static int remove_contents(int fd, struct err *err)
{
	for (int dir = 0; dir < DIR_COUNT; dir++) {
		if (file_remove_tree(fd, store_dir_name(dir), err) < 0)
			return -1;
	}
	/* Until here it can be seen that this is a store, and the removal can be begun again. */
	if ((unlinkat(fd, "owners", 0) < 0 && errno != ENOENT) || (unlinkat(fd, "version", 0) < 0 && errno != ENOENT) ||
	    (unlinkat(fd, "lock", 0) < 0 && errno != ENOENT))
		return err_errno(err, "remove version and lock");
	return 0;
}

static int check_is_store(int fd, struct err *err)
{
	scope_strbuf struct strbuf version = { 0 };
	bool is_ours;

	if (store_read_version(fd, &version, NULL) == 0 && text_starts(strbuf_str(&version), "kiln store "))
		return 0;
	if (store_looks_like_one(fd, &is_ours, err) < 0)
		return -1;
	return is_ours ? 0 : err_set(err, ERR_USAGE, "it holds other things and no store: nothing was removed");
}

static int reset_open(int fd, int wait_ms, struct err *err)
{
	scope_fd int lock = openat(fd, "lock", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (check_is_store(fd, err) < 0)
		return -1;
	if (lock >= 0 && lock_exclusive(lock, wait_ms, err) < 0)
		return -1;
	return remove_contents(fd, err);
}

int store_reset(const char *path, int wait_ms, struct err *err)
{
	struct err cause;
	scope_fd int fd = store_open_root(path, &cause);

	if (fd < 0)
		return err_is_errno(&cause, ENOENT) ? 0 : err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	if (reset_open(fd, wait_ms, err) < 0)
		return err_wrap(err, "remove the store %s", path);
	/* A mount point, a link to the directory, or other files in it: then the directory itself stays. */
	if (unlinkat(AT_FDCWD, path, AT_REMOVEDIR) < 0 && errno != EBUSY && errno != ENOTDIR && errno != ENOTEMPTY &&
	    errno != EEXIST && errno != EACCES && errno != EPERM && errno != EROFS)
		return err_errno(err, "remove %s", path);
	return 0;
}
