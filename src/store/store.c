/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kiln/base/text.h"
#include "kiln/store/store.h"

#include "internal.h"

#define VERSION_TEXT   "kiln store 1\n"
#define VERSION_PREFIX "kiln store "
enum { VERSION = 1, OPEN_TRIES = 8 };

static const struct {
	const char *name;  /* in the root */
	const char *below; /* a directory in it, or NULL */
} layout[DIR_COUNT] = {
	[DIR_BLOBS] = { "blobs", "sha256" }, [DIR_LAYERS] = { "layers", NULL }, [DIR_IMAGES] = { "images", NULL },
	[DIR_NAMES] = { "names", NULL },     [DIR_CACHE] = { "cache", NULL },   [DIR_NOTES] = { "notes", NULL },
	[DIR_MOUNTS] = { "mounts", NULL },   [DIR_TMP] = { "tmp", NULL },       [DIR_UNSYNCED] = { "unsynced", NULL },
};

const char *store_dir_name(enum store_dir dir)
{
	return layout[dir].name;
}

char *store_default_path(struct arena *arena)
{
	const char *root = getenv("KILN_ROOT"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	const char *tmp = getenv("TMPDIR");

	if (root && *root)
		return arena_strdup(arena, root);
	/* The base directory specification: a relative path is to be ignored. */
	if (data && *data == '/')
		return path_join(arena, data, "kiln");
	if (home && *home == '/')
		return path_join(arena, home, ".local/share/kiln");
	return arena_printf(arena, "%s/kiln-%ju", tmp && *tmp == '/' ? tmp : "/tmp", (uintmax_t)geteuid());
}

/* ---- directories ---- */

static int make_dir(const struct root *root, const char *path, struct err *err)
{
	scope_fd int made = root_make_dirs(root, path, 0700, NULL, NULL, err);

	/* What comes back is O_PATH, which fsync refuses. */
	return made < 0 ? -1 : root_open(root, path, O_RDONLY | O_DIRECTORY, 0, err);
}

int store_dir_fd(struct store *store, enum store_dir dir, struct err *err)
{
	struct root root = { store->fd, ROOT_BENEATH };
	struct err cause = { 0 };
	char path[32];

	if (store->dirs[dir] >= 0)
		return store->dirs[dir];
	snprintf(path, sizeof(path), "%s%s%s", layout[dir].name, layout[dir].below ? "/" : "",
		 layout[dir].below ? layout[dir].below : "");
	store->dirs[dir] = root_open(&root, path, O_RDONLY | O_DIRECTORY, 0, &cause);
	if (store->dirs[dir] < 0 && err_is_errno(&cause, ENOENT) && !(store->flags & STORE_READ_ONLY))
		store->dirs[dir] = make_dir(&root, path, &cause);
	if (store->dirs[dir] < 0)
		return err_status(err, cause.kind, cause.sys, "store %s: %s", store->path, cause.msg);
	return store->dirs[dir];
}

int store_each_in(int dir_fd, store_each_name *each, void *arg, struct err *err)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!stream) {
		err_errno(err, "open a directory of the store");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	for (errno = 0; (entry = readdir(stream)); errno = 0) {
		if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
			continue;
		if (each(arg, entry->d_name, err) < 0)
			return -1;
	}
	return errno ? err_errno(err, "read a directory of the store") : 0;
}

int store_each(struct store *store, enum store_dir dir, store_each_name *each, void *arg, struct err *err)
{
	struct err cause;
	int fd = store_dir_fd(store, dir, &cause);

	if (fd < 0 && (store->flags & STORE_READ_ONLY) && err_is_errno(&cause, ENOENT))
		return 0;
	if (fd < 0)
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	return store_each_in(fd, each, arg, err);
}

bool store_is_temporary(const char *name)
{
	return text_starts(name, ".tmp-");
}

int store_refuse_read_only(const struct store *store, struct err *err)
{
	if (store->flags & STORE_READ_ONLY)
		return err_status(err, ERR_SYSTEM, EROFS, "store %s: it is read-only", store->path);
	return 0;
}

/* ---- the root ---- */

/* Whoever may write here can make us run what they like, so only the owner may. Inside the user namespace that kiln makes,
   the owner of the store and the effective user are both seen as root. */
static int check_owner(const struct stat *st, const char *path, struct err *err)
{
	if (st->st_uid != geteuid())
		return err_set(
			err, ERR_UNSUPPORTED,
			"store %s: it belongs to user %ju, not to you (%ju): set KILN_ROOT to a directory of your own",
			path, (uintmax_t)st->st_uid, (uintmax_t)geteuid());
	if (S_ISDIR(st->st_mode) && (st->st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(err, ERR_UNSUPPORTED, "store %s: others may write to it (mode %04o): chmod 700 %s", path,
			       (unsigned)st->st_mode & 07777, path);
	return 0;
}

int store_open_root(const char *path, struct err *err)
{
	scope_fd int place = openat(AT_FDCWD, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	scope_fd int fd = -1;
	struct stat st;

	if (place < 0 || fstat(place, &st) < 0)
		return err_errno(err, "store %s", path);
	if (S_ISLNK(st.st_mode) && check_owner(&st, path, err) < 0)
		return -1;
	fd = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "store %s", path);
	return check_owner(&st, path, err) < 0 ? -1 : take_fd(&fd);
}

static int make_parents(const char *path, struct err *err)
{
	scope_free char *copy = strdup(path);

	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdirat(AT_FDCWD, copy, 0700) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
			return err_errno(err, "create %s", copy);
		*slash = '/';
	}
	return 0;
}

static int make_root(const char *path, struct err *err)
{
	if (make_parents(path, err) < 0)
		return -1;
	if (mkdirat(AT_FDCWD, path, 0700) < 0 && errno != EEXIST)
		return err_errno(err, "create the store %s", path);
	return store_open_root(path, err);
}

static int open_or_make_root(const char *path, unsigned flags, struct err *err)
{
	struct err cause;
	int fd = store_open_root(path, &cause);

	if (fd >= 0)
		return fd;
	if (!err_is_errno(&cause, ENOENT))
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	if (!(flags & STORE_CREATE))
		return err_set(err, ERR_NOT_FOUND, "store %s: there is none yet", path);
	return make_root(path, err);
}

/* ---- version ---- */

static int is_foreign(void *arg, const char *name, struct err *err)
{
	bool *yes = arg;

	(void)err;
	for (size_t i = 0; i < DIR_COUNT; i++) {
		if (text_equal(name, layout[i].name))
			return 0;
	}
	if (!text_equal(name, "lock") && !text_equal(name, "version") && !text_equal(name, "owners") &&
	    !store_is_temporary(name))
		*yes = false;
	return 0;
}

int store_looks_like_one(int dir_fd, bool *yes, struct err *err)
{
	*yes = true;
	return store_each_in(dir_fd, is_foreign, yes, err);
}

/* `version` is written last, so a directory without it is a store that was not finished, or none at all: before anything
   is written to it, it is looked at, for somebody will say `--root $HOME`. */
static int check_may_be_store(struct store *store, struct err *err)
{
	bool is_ours;

	if (faccessat(store->fd, "version", F_OK, 0) == 0)
		return 0;
	if (store_looks_like_one(store->fd, &is_ours, err) < 0)
		return -1;
	if (!is_ours)
		return err_set(err, ERR_USAGE,
			       "store %s: the directory is not empty and is not a store: choose another one",
			       store->path);
	if (!(store->flags & STORE_CREATE))
		return err_set(err, ERR_NOT_FOUND, "store %s: there is none yet", store->path);
	return 0;
}

static int make_layout(struct store *store, struct err *err)
{
	if (!(store->flags & STORE_CREATE) || (store->flags & STORE_READ_ONLY))
		return err_set(err, ERR_NOT_FOUND, "store %s: there is none yet", store->path);
	for (int dir = 0; dir < DIR_COUNT; dir++) {
		if (store_dir_fd(store, dir, err) < 0)
			return -1;
	}
	return file_replace(store->fd, "version", 0600, VERSION_TEXT, strlen(VERSION_TEXT), false, err);
}

int store_read_version(int root_fd, struct strbuf *text, struct err *err)
{
	struct root root = { root_fd, ROOT_BENEATH };
	scope_fd int fd = root_open_regular(&root, "version", err);

	return fd < 0 ? -1 : file_read_fd(fd, 64, text, "version", err);
}

static int check_version(struct store *store, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct err cause = { 0 };
	int64_t version;

	if (store_read_version(store->fd, &text, &cause) < 0 && err_is_errno(&cause, ENOENT))
		return make_layout(store, err);
	if (text.len > 0 && text.ptr[text.len - 1] == '\n')
		strbuf_truncate(&text, text.len - 1);
	if (!text_starts(strbuf_str(&text), VERSION_PREFIX) ||
	    parse_int64(&version, text.ptr + strlen(VERSION_PREFIX), &cause) < 0 || version < 1)
		return err_set(err, ERR_CORRUPT,
			       "store %s: its file \"version\" is damaged: `kiln system reset` makes a new store",
			       store->path);
	if (version > VERSION)
		return err_set(err, ERR_UNSUPPORTED,
			       "store %s: it was made by a newer kiln (version %lld of the store, this one knows %d): "
			       "use that, or "
			       "set KILN_ROOT to another directory",
			       store->path, (long long)version, VERSION);
	return 0;
}

/* ---- open and close ---- */

static struct store *store_new(const char *path, unsigned flags)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		abort();
	store->path = strdup(path);
	if (!store->path)
		abort();
	store->flags = flags;
	store->fd = store->lock_fd = -1;
	for (int dir = 0; dir < DIR_COUNT; dir++)
		store->dirs[dir] = -1;
	return store;
}

static void scope_discard(struct store **store)
{
	store_close(*store);
}

/* 1: the store was reset under our hands. */
static int open_once(const char *path, unsigned flags, struct store **out, struct err *err)
{
	__attribute__((cleanup(scope_discard))) struct store *store = store_new(path, flags);
	int locked;

	store->fd = open_or_make_root(path, flags, err);
	if (store->fd < 0 || check_may_be_store(store, err) < 0)
		return -1;
	locked = lock_open(store, err);
	if (locked != 0)
		return locked;
	if (check_version(store, err) < 0)
		return -1;
	*out = take_ptr(store);
	return 0;
}

int store_open(struct store **out, const char *path, unsigned flags, struct err *err)
{
	scope_store struct store *store = NULL;
	int result = 1;

	for (int i = 0; i < OPEN_TRIES && result == 1; i++)
		result = open_once(path, flags, &store, err);
	if (result == 1)
		return err_set(err, ERR_SYSTEM, "store %s: it goes away as often as it is opened", path);
	if (result < 0)
		return -1;
	if (!(store->flags & STORE_READ_ONLY) && sync_recover(store, err) < 0)
		return -1;
	/* Who is not inside the user namespace looks into no tree. */
	if (!(store->flags & (STORE_READ_ONLY | STORE_NO_SWEEP))) {
		if (store_settle_form(store, err) < 0)
			return -1;
		work_sweep(store);
	}
	*out = take_ptr(store);
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	for (int dir = 0; dir < DIR_COUNT; dir++)
		scope_close_fd(&store->dirs[dir]);
	scope_close_fd(&store->lock_fd);
	scope_close_fd(&store->fd);
	free(store->path);
	free(store);
}

const char *store_path(const struct store *store)
{
	return store->path;
}

int store_fd(const struct store *store)
{
	return store->fd;
}
