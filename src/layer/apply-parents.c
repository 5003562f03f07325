/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#include "applier.h"
#include "place.h"
#include "shown.h"

/*
 * The directories that entries stand in. Nearly always the tree has the directory, and the kernel finds it beneath the root.
 * Else the path is resolved here, through links of the tree and of what is below, to one without links, and what the
 * tree lacks of it is made.
 */

/* As the kernel's own limit. */
enum { LINKS_MAX = 40 };

void applier_forget_parent(struct applier *applier)
{
	applier->parent_is_stale = true;
}

int applier_open_merged(struct applier *applier, struct err *err)
{
	const struct layer_apply_options *options = applier->options;
	scope_free int *fds = calloc(options->lower_count + 1, sizeof(*fds));

	if (!fds)
		abort();
	fds[0] = applier->root.fd;
	for (size_t i = 0; i < options->lower_count; i++)
		fds[i + 1] = options->lowers[i];
	stack_close(applier->merged);
	applier->merged = stack_open(fds, options->lower_count + 1, err);
	return applier->merged ? 0 : -1;
}

/* What is at path, whose parents are no links, in the tree or below it? 1 and the directory that holds it, 0, -1. */
static int look_up(const struct applier *applier, const char *path, int *holder_fd, struct stat *st, struct err *err)
{
	const char *leaf;
	struct err cause;

	if (applier->merged)
		return stack_find_path(applier->merged, path, holder_fd, st, err);
	scope_fd int fd = root_open_parent(&applier->root, path, &leaf, &cause);
	if (fd >= 0 && fstatat(fd, leaf, st, AT_SYMLINK_NOFOLLOW) == 0) {
		*holder_fd = take_fd(&fd);
		return 1;
	}
	if (fd >= 0 ? errno == ENOENT : err_is_errno(&cause, ENOENT) || err_is_errno(&cause, ENOTDIR))
		return 0;
	return fd >= 0 ? err_errno(err, "stat %s", SHOWN(path))
		       : err_status(err, cause.kind, cause.sys, "%s", cause.msg);
}

/* Takes the first component of *rest into name; false at the end. */
static bool next_name(const char **rest, char name[NAME_MAX + 1], int *sys)
{
	const char *start = *rest + strspn(*rest, "/");
	size_t len = strcspn(start, "/");

	*sys = len > NAME_MAX ? ENAMETOOLONG : 0;
	if (len == 0 || *sys)
		return false;
	memcpy(name, start, len);
	name[len] = '\0';
	*rest = start + len;
	return true;
}

static void path_pop(struct strbuf *path)
{
	const char *slash = path->len ? strrchr(path->ptr, '/') : NULL;

	strbuf_truncate(path, slash ? (size_t)(slash - path->ptr) : 0);
}

static void path_add(struct strbuf *path, const char *name)
{
	if (path->len > 0)
		strbuf_addch(path, '/');
	strbuf_addstr(path, name);
}

/* If out names a link, what it says goes before *rest (whose text is then in *text), and out loses the link. */
static int follow(struct applier *applier, struct strbuf *out, struct strbuf *text, const char **rest, int *links,
		  struct err *err)
{
	char target[PATH_MAX];
	scope_fd int holder_fd = -1;
	scope_strbuf struct strbuf replaced = { 0 };
	struct stat st;
	int found = look_up(applier, out->ptr, &holder_fd, &st, err);

	if (found <= 0 || !S_ISLNK(st.st_mode))
		return found < 0 ? -1 : 0;
	ssize_t len = readlinkat(holder_fd, path_base(out->ptr), target, sizeof(target));
	if (len < 0 || len == sizeof(target))
		return err_errno(err, "read the link %s", SHOWN(out->ptr));
	if (++*links > LINKS_MAX) {
		errno = ELOOP;
		return err_errno(err, "follow %s", SHOWN(out->ptr));
	}
	path_pop(out);
	if (target[0] == '/')
		strbuf_truncate(out, 0);
	strbuf_add(&replaced, target, (size_t)len);
	strbuf_addch(&replaced, '/');
	strbuf_addstr(&replaced, *rest);

	struct strbuf old = *text;
	*text = replaced;
	replaced = old;
	*rest = text->ptr;
	return 0;
}

/* Writes to out the path of the directory that `path` means, without links. It need not exist. ".." cannot leave the root. */
static int resolve(struct applier *applier, const char *path, struct strbuf *out, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	char name[NAME_MAX + 1];
	int links = 0, sys;

	strbuf_addstr(&text, path);
	for (const char *rest = text.ptr; next_name(&rest, name, &sys);) {
		if (text_equal(name, "."))
			continue;
		if (text_equal(name, "..")) {
			path_pop(out);
			continue;
		}
		path_add(out, name);
		if (follow(applier, out, &text, &rest, &links, err) < 0)
			return -1;
	}
	errno = sys;
	return sys ? err_errno(err, "open %s", SHOWN(path)) : 0;
}

static int copy_up(int holder_fd, const char *name, struct stat *st, int to_fd, struct err *err)
{
	if (owner_fill_at(holder_fd, name, st) < 0)
		return err_errno(err, "read who owns %s", SHOWN(name));
	return layer_copy_entry(holder_fd, name, st, to_fd, name, err);
}

/* Metadata from below if there is such a directory, else as if by `mkdir -p`. */
static int make_dir(struct applier *applier, int parent_fd, const char *name, const char *path, struct err *err)
{
	scope_fd int holder_fd = -1;
	struct layer_entry entry = { .path = path, .mode = S_IFDIR | 0755, .uid = geteuid(), .gid = getegid() };
	bool was_removed = false;
	struct stat st;
	int found = look_up(applier, path, &holder_fd, &st, err);

	if (found < 0)
		return -1;
	if (found && !S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return err_errno(err, "make directory %s", SHOWN(path));
	}
	if (applier_unhide(applier, parent_fd, name, &was_removed, err) < 0)
		return -1;
	if (found) {
		if (copy_up(holder_fd, name, &st, parent_fd, err) < 0)
			return -1;
		entry.mode = st.st_mode;
		entry.mtime = st.st_mtim.tv_sec;
	} else {
		scope_fd int made = place_directory(parent_fd, name, &entry, err);
		if (made < 0 || place_finish(made, &entry, err) < 0 ||
		    (was_removed && applier_make_opaque(applier, made, err) < 0))
			return -1;
		applier->stats.implied++;
	}
	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat %s", SHOWN(path));
	applier_set_late(applier, &st, path, entry.mode, entry.mtime);
	return 0;
}

static int open_name(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens `path`, which has no links, making what is missing. */
static int make_dirs(struct applier *applier, const char *path, struct err *err)
{
	scope_strbuf struct strbuf done = { 0 };
	scope_fd int dir_fd = open_name(applier->root.fd, ".");
	char name[NAME_MAX + 1];
	int sys;

	for (const char *rest = path; dir_fd >= 0 && next_name(&rest, name, &sys);) {
		path_add(&done, name);
		int fd = open_name(dir_fd, name);
		if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
			if (make_dir(applier, dir_fd, name, done.ptr, err) < 0)
				return -1;
			fd = open_name(dir_fd, name);
		}
		if (fd < 0)
			return err_errno(err, "open %s", SHOWN(done.ptr));
		close(dir_fd);
		dir_fd = fd;
	}
	return dir_fd < 0 ? err_errno(err, "open the tree") : take_fd(&dir_fd);
}

static int open_dir(struct applier *applier, const char *path, struct err *err)
{
	scope_strbuf struct strbuf resolved = { 0 };
	struct err cause;
	int fd = root_open(&applier->root, path, O_PATH | O_DIRECTORY, 0, &cause);

	if (fd >= 0)
		return fd;
	if (!err_is_errno(&cause, ENOENT) && !err_is_errno(&cause, ENOTDIR))
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	if (resolve(applier, path, &resolved, err) < 0)
		return -1;
	return make_dirs(applier, strbuf_str(&resolved), err);
}

int applier_parent(struct applier *applier, const char *path, struct err *err)
{
	size_t len = (size_t)(path_base(path) - path);
	bool is_same = applier->parent_fd >= 0 && !applier->parent_is_stale && applier->parent_path.len == len &&
		       (len == 0 || memcmp(applier->parent_path.ptr, path, len) == 0);

	if (is_same)
		return applier->parent_fd;
	scope_close_fd(&applier->parent_fd);
	applier->parent_fd = -1;
	strbuf_reset(&applier->parent_path);
	strbuf_add(&applier->parent_path, path, len);
	applier->parent_fd = open_dir(applier, strbuf_str(&applier->parent_path), err);
	applier->parent_is_stale = false;
	return applier->parent_fd;
}

int applier_bring_up(struct applier *applier, const char *path, int *dir_fd, struct err *err)
{
	scope_strbuf struct strbuf resolved = { 0 };
	scope_fd int holder_fd = -1;
	const char *leaf = path_base(path);
	char *dir = arena_strndup(&applier->arena, path, (size_t)(leaf - path));
	struct stat st, there;

	if (resolve(applier, dir, &resolved, err) < 0)
		return -1;
	path_add(&resolved, leaf);
	int found = look_up(applier, resolved.ptr, &holder_fd, &st, err);
	if (found <= 0)
		return found;
	path_pop(&resolved);
	scope_fd int fd = make_dirs(applier, strbuf_str(&resolved), err);
	if (fd < 0)
		return -1;
	bool is_here = fstatat(fd, leaf, &there, AT_SYMLINK_NOFOLLOW) == 0;
	if (!is_here && !S_ISDIR(st.st_mode) && copy_up(holder_fd, leaf, &st, fd, err) < 0)
		return -1;
	*dir_fd = take_fd(&fd);
	return is_here || !S_ISDIR(st.st_mode);
}
