/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"
#include "kiln/base/file.h"
#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { LINKS_MAX = 40 };

/* ---- directories that are missing on the way: 0755 and root's, or what --chown and an octal --chmod say ---- */

static mode_t parent_mode(const struct copy_options *options)
{
	uint32_t octal;
	return options->chmod && parse_octal(&octal, options->chmod, 07777, NULL) == 0 ? octal : 0755;
}

static int own_new_dir(void *arg, int dir_fd, struct err *err)
{
	const struct copy_options *options = arg;
	if (options->set_owner && owner_set(dir_fd, options->uid, options->gid) < 0)
		return err_errno(err, "set the owner of a new directory");
	return 0;
}

static int make_dirs(const struct target_spec *target, const char *path, struct err *err)
{
	return root_make_dirs(target->root, path, parent_mode(target->options), own_new_dir,
			      (void *)(uintptr_t)target->options, err);
}

int copy_make_dir(struct arena *arena, const struct root *dest, const char *path, const struct copy_options *options,
		  const char **real, struct err *err)
{
	scope_fd int fd = root_make_dirs(dest, path, 0755, own_new_dir, (void *)(uintptr_t)options, err);
	if (fd < 0)
		return -1;
	*real = path_beneath(arena, dest, fd);
	return *real ? 0 : err_set(err, ERR_INPUT, "/%s is not beneath the root", path);
}

/* Type of what is at path, links followed; 0 if nothing is. */
static mode_t type_at(const struct root *root, const char *path)
{
	struct stat st;
	scope_fd int fd = root_open(root, path, O_PATH, 0, NULL);
	return fd >= 0 && fstat(fd, &st) == 0 ? st.st_mode & S_IFMT : 0;
}

/* ---- --parents: directories of the source are kept, with their mode, owner and time ---- */

static int keep_parent(const struct target_spec *target, const struct source *source, const char *from, const char *to,
		       struct err *err)
{
	struct stat st;
	if (type_at(target->root, to) == S_IFDIR)
		return 0;
	scope_fd int made = make_dirs(target, to, err);
	if (made < 0)
		return -1;
	scope_fd int from_fd = root_open(&source->root, from, O_PATH | O_NOFOLLOW, 0, NULL);
	if (from_fd < 0 || fstat(from_fd, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	if (source->keep_owner && owner_fill(from_fd, &st) < 0)
		return err_errno(err, "read who owns %s", from);
	scope_fd int fd = root_open(target->root, to, O_RDONLY | O_DIRECTORY, 0, err);
	if (fd < 0)
		return -1;
	if (!target->options->set_owner && source->keep_owner && owner_set(fd, st.st_uid, st.st_gid) < 0)
		return err_errno(err, "set the owner of %s", to);
	if (!target->options->chmod && fchmod(fd, st.st_mode & 07777) < 0)
		return err_errno(err, "set the mode of %s", to);
	return 0;
}

static int keep_parents(const struct target_spec *target, const struct source *source, const struct copy_item *item,
			struct err *err)
{
	scope_arena struct arena arena = { 0 };
	size_t own = strlen(item->path), kept = strlen(item->below) + 1 + strlen(item->base);
	if (!*item->below || own < kept)
		return 0;
	const char *top = arena_strndup(&arena, item->path, own - kept);
	for (const char *end = item->below; *end;) {
		end += strcspn(end, "/");
		const char *below = arena_strndup(&arena, item->below, (size_t)(end - item->below));
		if (keep_parent(target, source, path_join(&arena, top, below),
				path_join(&arena, target->plan->dest, below), err) < 0)
			return -1;
		end += strspn(end, "/");
	}
	return 0;
}

/* ---- targets ---- */

static int open_new_dir(const struct target_spec *target, const char *path, struct err *err)
{
	scope_fd int made = make_dirs(target, path, err);
	return made < 0 ? -1 : root_open(target->root, path, O_RDONLY | O_DIRECTORY, 0, err);
}

int target_open_dir(const struct target_spec *target, const struct source *source, const struct copy_item *item,
		    bool *existed, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	const char *path = path_clean(&arena, target->plan->dest);
	if (target->plan->parents) {
		if (keep_parents(target, source, item, err) < 0)
			return -1;
		path = path_join(&arena, path_join(&arena, path, item->below), item->base);
	}
	mode_t type = type_at(target->root, path);
	if (type != 0 && type != S_IFDIR)
		return err_set(err, ERR_INPUT, "cannot copy to non-directory: /%s", path);
	/* A destination that ends in '/' is made as a parent is: 0755, whatever the source's mode. */
	*existed = type == S_IFDIR || (target->plan->dest_is_dir && !target->plan->parents);
	return open_new_dir(target, path, err);
}

/* A destination that is a link is written through, dangling or not; the root is never left. */
static int follow_leaf(const struct target_spec *target, struct arena *arena, const char *path, const char **leaf,
		       struct err *err)
{
	for (int i = 0; i < LINKS_MAX; i++) {
		char text[4096];
		const char *base = path_base(path);
		const char *dir = base == path ? "" : arena_strndup(arena, path, (size_t)(base - path) - 1);
		scope_fd int parent = make_dirs(target, dir, err);
		if (parent < 0)
			return -1;
		ssize_t len = readlinkat(parent, base, text, sizeof(text) - 1);
		if (len < 0) {
			*leaf = base;
			return take_fd(&parent);
		}
		text[len] = '\0';
		/* ".." of a link counts from where the link really is. */
		const char *real_dir = path_beneath(arena, target->root, parent);
		path = path_clean(arena, text[0] == '/' ? text : path_join(arena, real_dir ? real_dir : dir, text));
		if (!*path)
			return err_set(err, ERR_INPUT, "cannot replace to directory / with file");
	}
	errno = ELOOP;
	return err_errno(err, "follow the link /%s", path);
}

int target_open_file(const struct target_spec *target, const struct source *source, const struct copy_item *item,
		     struct arena *arena, const char **leaf, struct err *err)
{
	const char *path = path_clean(arena, target->plan->dest);
	if (target->plan->parents) {
		if (keep_parents(target, source, item, err) < 0)
			return -1;
		path = path_join(arena, path_join(arena, path, item->below), item->base);
	} else if (!*path || target->plan->dest_is_dir || type_at(target->root, path) == S_IFDIR) {
		path = path_join(arena, path, item->base);
	}
	return follow_leaf(target, arena, path, leaf, err);
}

int target_clear(const struct root *root, int dir_fd, const char *name, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct stat st;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_errno(err, "stat %s", name);
	if (S_ISDIR(st.st_mode)) {
		const char *dir = path_beneath(&arena, root, dir_fd);
		return err_set(err, ERR_INPUT, "cannot replace to directory /%s with file",
			       path_join(&arena, dir ? dir : "", name));
	}
	if (unlinkat(dir_fd, name, 0) < 0)
		return err_errno(err, "replace %s", name);
	return 0;
}

int target_write(int dir_fd, const char *name, struct reader *contents, const struct stat *st, struct err *err)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, st->st_mtim };
	scope_fd int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "create %s", name);
	scope_writer struct writer *out = writer_fd(fd, false, name);
	if (reader_pump(contents, out, err) < 0 || out->finish(out, err) < 0)
		return -1;
	if (owner_set(fd, st->st_uid, st->st_gid) < 0 || fchmod(fd, st->st_mode & 07777) < 0 || futimens(fd, times) < 0)
		return err_errno(err, "set the owner, mode and time of %s", name);
	return 0;
}
