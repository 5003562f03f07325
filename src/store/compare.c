/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kiln/base/owner.h"
#include "kiln/base/text.h"
#include "kiln/layer/tree.h"

#include "verify.h"

/*
 * Two layer trees, `fresh` as a tar gives it and `tree` as it lies in the store. A tree that was an upper directory may
 * hold more (what equals the layers below is not in the layer) and may say "opaque" where the tar names what is gone.
 * Directories are opened by their paths, one at a time: depth costs neither stack nor descriptors.
 */

struct compare {
	struct root fresh, tree;
	unsigned flags;
	struct arena arena;
	const char **pending; /* directories */
	size_t pending_count;
};

/* One directory that both have, and what is being looked at in it. */
struct place {
	struct compare *compare;
	const char *path;
	int fresh_fd, tree_fd;
};

static int differs(const struct place *place, const char *name, const char *how, struct err *err)
{
	char shown[512];
	scope_arena struct arena arena = { 0 };

	return err_set(err, ERR_CORRUPT, "%s in its tree %s",
		       err_printable(shown, sizeof(shown), path_join(&arena, place->path, name)), how);
}

static int open_in(int dir_fd, const char *name, int flags)
{
	return openat(dir_fd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* ---- contents ---- */

static ssize_t read_full(int fd, char *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t count = read(fd, buf + done, len - done);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -1;
		if (count == 0)
			break;
		done += (size_t)count;
	}
	return (ssize_t)done;
}

static bool same_contents(const struct place *place, const char *name)
{
	scope_fd int a = open_in(place->fresh_fd, name, O_RDONLY);
	scope_fd int b = open_in(place->tree_fd, name, O_RDONLY);
	char from_a[16384], from_b[16384];
	ssize_t count;

	if (a < 0 || b < 0)
		return false;
	do {
		count = read_full(a, from_a, sizeof(from_a));
		if (count < 0 || read_full(b, from_b, sizeof(from_b)) != count ||
		    memcmp(from_a, from_b, (size_t)count) != 0)
			return false;
	} while (count > 0);
	return true;
}

static bool same_target(const struct place *place, const char *name)
{
	char a[PATH_MAX], b[PATH_MAX];
	ssize_t a_len = readlinkat(place->fresh_fd, name, a, sizeof(a));
	ssize_t b_len = readlinkat(place->tree_fd, name, b, sizeof(b));

	return a_len >= 0 && a_len == b_len && memcmp(a, b, (size_t)a_len) == 0;
}

static bool same_xattrs(const struct place *place, const char *name)
{
	scope_arena struct arena arena = { 0 };
	scope_fd int a = open_in(place->fresh_fd, name, O_PATH), b = open_in(place->tree_fd, name, O_PATH);
	const struct layer_xattr *from_a, *from_b;
	size_t a_count, b_count;

	if (a < 0 || b < 0 || layer_read_xattrs(&arena, a, &from_a, &a_count, NULL) < 0 ||
	    layer_read_xattrs(&arena, b, &from_b, &b_count, NULL) < 0 || a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++) {
		if (!text_equal(from_a[i].name, from_b[i].name) || from_a[i].len != from_b[i].len ||
		    memcmp(from_a[i].value, from_b[i].value, from_a[i].len) != 0)
			return false;
	}
	return true;
}

/* ---- entries ---- */

/* A device may be a placeholder on either side, as the rights of the process were that made it. */
static bool is_device(int dir_fd, const char *name, const struct stat *st)
{
	char path[64];

	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		return true;
	if (!S_ISREG(st->st_mode) || st->st_size > 0)
		return false;
	scope_fd int fd = open_in(dir_fd, name, O_PATH);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return getxattr(path, "user.kiln.dev", NULL, 0) >= 0;
}

static int compare_metadata(const struct place *place, const char *name, const struct stat *a, const struct stat *b,
			    struct err *err)
{
	if (S_ISDIR(a->st_mode) && (place->compare->flags & COMPARE_LOOSE_PARENTS))
		return 0;
	if (!S_ISLNK(a->st_mode) && (a->st_mode & 07777) != (b->st_mode & 07777))
		return differs(place, name, "has another mode", err);
	struct stat fresh = *a, kept = *b;
	if (owner_fill_at(place->fresh_fd, name, &fresh) < 0 || owner_fill_at(place->tree_fd, name, &kept) < 0 ||
	    fresh.st_uid != kept.st_uid || fresh.st_gid != kept.st_gid)
		return differs(place, name, "has another owner", err);
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
		return differs(place, name, "has another time", err);
	return same_xattrs(place, name) ? 0 : differs(place, name, "has other extended attributes", err);
}

static int compare_entry(const struct place *place, const char *name, const struct stat *a, struct err *err)
{
	struct stat b;

	if (fstatat(place->tree_fd, name, &b, AT_SYMLINK_NOFOLLOW) < 0 ||
	    layer_entry_mark(place->tree_fd, name, &b) == LAYER_WHITEOUT)
		return differs(place, name, "is missing", err);
	if (is_device(place->fresh_fd, name, a))
		return is_device(place->tree_fd, name, &b) ? 0 : differs(place, name, "is not a device", err);
	if ((a->st_mode & S_IFMT) != (b.st_mode & S_IFMT))
		return differs(place, name, "is of another type", err);
	if (S_ISREG(a->st_mode) && a->st_size != b.st_size)
		return differs(place, name, "has another size", err);
	if (compare_metadata(place, name, a, &b, err) < 0)
		return -1;
	if (S_ISLNK(a->st_mode) && !same_target(place, name))
		return differs(place, name, "points elsewhere", err);
	if (S_ISREG(a->st_mode) && (place->compare->flags & COMPARE_EXACT) && !same_contents(place, name))
		return differs(place, name, "has other contents", err);
	return 0;
}

/* The tree may say by an opaque directory above that all of it is gone, so only an exact one is held to its marks. */
static int compare_whiteout(const struct place *place, const char *name, struct err *err)
{
	const char *target = layer_whiteout_target(name);
	scope_arena struct arena arena = { 0 };
	const char *forms[] = { target, arena_printf(&arena, ".wh.%s", target) };
	struct stat st;

	if (!(place->compare->flags & COMPARE_EXACT))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (fstatat(place->tree_fd, forms[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    layer_entry_mark(place->tree_fd, forms[i], &st) == LAYER_WHITEOUT)
			return 0;
	}
	return differs(place, target, "is not marked as removed", err);
}

static int compare_name(void *arg, const char *name, struct err *err)
{
	struct place *place = arg;
	struct compare *compare = place->compare;
	struct stat st;

	if (fstatat(place->fresh_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat %s", name);
	switch (layer_entry_mark(place->fresh_fd, name, &st)) {
	case LAYER_NOISE:
		return 0;
	case LAYER_WHITEOUT:
		return compare_whiteout(place, name, err);
	case LAYER_ENTRY:
		break;
	}
	if (S_ISDIR(st.st_mode))
		*ARENA_PUSH(&compare->arena, compare->pending, compare->pending_count) = path_join(&compare->arena,
												   place->path, name);
	return compare_entry(place, name, &st, err);
}

/* The other way: what is in the tree and should not be. */
static int find_extra(void *arg, const char *name, struct err *err)
{
	struct place *place = arg;
	struct stat st, fresh;

	if (fstatat(place->tree_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat %s", name);
	if (layer_entry_mark(place->tree_fd, name, &st) != LAYER_ENTRY)
		return 0;
	if (fstatat(place->fresh_fd, name, &fresh, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return differs(place, name, "does not belong there", err);
}

/* ---- directories ---- */

static int compare_dir(struct compare *compare, const char *path, struct err *err)
{
	enum { FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW };
	scope_fd int fresh = root_open(&compare->fresh, path, FLAGS, 0, err);
	scope_fd int tree = fresh < 0 ? -1 : root_open(&compare->tree, path, FLAGS, 0, err);
	struct place place = { compare, path, fresh, tree };
	bool is_exact = compare->flags & COMPARE_EXACT;

	if (tree < 0)
		return -1;
	if (is_exact && layer_dir_is_opaque(fresh) != layer_dir_is_opaque(tree))
		return differs(&place, ".", "does not hide the same of the layers below", err);
	if (store_each_in(fresh, compare_name, &place, err) < 0)
		return -1;
	return is_exact ? store_each_in(tree, find_extra, &place, err) : 0;
}

int compare_trees(int fresh_fd, int tree_fd, unsigned flags, struct err *err)
{
	struct compare compare = { { fresh_fd, ROOT_BENEATH }, { tree_fd, ROOT_BENEATH }, flags, { 0 }, NULL, 0 };
	int result;

	*ARENA_PUSH(&compare.arena, compare.pending, compare.pending_count) = "";
	do {
		result = compare_dir(&compare, compare.pending[--compare.pending_count], err);
	} while (result == 0 && compare.pending_count > 0);
	arena_release(&compare.arena);
	return result;
}
