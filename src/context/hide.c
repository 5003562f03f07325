/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/file.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/base/text.h"
#include "kiln/layer/tree.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH_MAX = 4096 };

struct hiding {
	const struct ignore *ignore; /* NULL: nothing is ignored */
	size_t count;
};

/* A directory on the way down, and its counterpart in the tree, which is made when something in it is to be hidden. */
struct level {
	struct level *parent;
	const char *path, *name;
	int dir_fd;  /* the directory */
	int tree_fd; /* -1: not made yet */
	struct ignore_state state;
	bool shows_something;
	unsigned depth;
};

static int make_counterpart(struct level *level, struct err *err)
{
	struct stat st;
	if (level->tree_fd >= 0)
		return 0;
	if (make_counterpart(level->parent, err) < 0)
		return -1;
	if (fstat(level->dir_fd, &st) < 0)
		return err_errno(err, "stat %s", level->path);
	if (layer_copy_entry(level->parent->dir_fd, level->name, &st, level->parent->tree_fd, level->name, err) < 0)
		return -1;
	level->tree_fd = openat(level->parent->tree_fd, level->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return level->tree_fd < 0 ? err_errno(err, "open %s", level->path) : 0;
}

static int hide(struct hiding *hiding, struct level *level, const char *name, struct err *err)
{
	bool is_file = false;
	if (make_counterpart(level, err) < 0 || layer_make_whiteout(level->tree_fd, name, &is_file, err) < 0)
		return -1;
	if (is_file)
		return err_set(err, ERR_UNSUPPORTED, "the kernel gives no whiteouts here");
	hiding->count++;
	return 0;
}

/* Whiteouts have changed the time that the step would see. */
static int restore_time(const struct level *level, struct err *err)
{
	struct stat st;
	if (level->tree_fd < 0)
		return 0;
	if (fstat(level->dir_fd, &st) < 0)
		return err_errno(err, "stat %s", level->path);
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, st.st_mtim };
	return futimens(level->tree_fd, times) < 0 ? err_errno(err, "set the time of %s", level->path) : 0;
}

static int hide_in(struct hiding *hiding, struct level *level, struct err *err);

static int hide_below(struct hiding *hiding, struct level *level, struct level *child, struct err *err)
{
	scope_fd int dir_fd = openat(level->dir_fd, child->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir_fd < 0)
		return err_errno(err, "open the directory %s", child->path);
	child->dir_fd = dir_fd;
	size_t before = hiding->count;
	int result = hide_in(hiding, child, err);
	if (result == 0 && !child->state.excluded)
		child->shows_something = true;
	if (result == 0 && child->shows_something)
		result = restore_time(child, err);
	if (result == 0 && !child->shows_something) {
		hiding->count = before;
		result = child->tree_fd >= 0 ? file_remove_tree(level->tree_fd, child->name, err) : 0;
		if (result == 0)
			result = hide(hiding, level, child->name, err);
	}
	scope_close_fd(&child->tree_fd);
	level->shows_something |= child->shows_something;
	return result;
}

static mode_t type_of(int dir_fd, const struct dirent *entry)
{
	struct stat st;
	if (entry->d_type != DT_UNKNOWN)
		return DTTOIF(entry->d_type);
	return fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : st.st_mode & S_IFMT;
}

static int look_at(struct hiding *hiding, struct level *level, const struct dirent *entry, struct err *err)
{
	scope_free char *path = NULL;
	if (asprintf(&path, "%s%s%s", level->path, *level->path ? "/" : "", entry->d_name) < 0)
		abort();
	struct level child = { .parent = level,
			       .path = path,
			       .name = entry->d_name,
			       .dir_fd = -1,
			       .tree_fd = -1,
			       .depth = level->depth + 1 };
	if (hiding->ignore)
		child.state = ignore_child(hiding->ignore, &level->state, path, NULL);
	mode_t type = type_of(level->dir_fd, entry);
	bool is_hidden = child.state.excluded || type == S_IFSOCK;
	if (type == S_IFDIR && (!is_hidden || ignore_must_descend(hiding->ignore, &child.state, path)))
		return hide_below(hiding, level, &child, err);
	if (is_hidden)
		return hide(hiding, level, entry->d_name, err);
	level->shows_something = true;
	return 0;
}

static int hide_in(struct hiding *hiding, struct level *level, struct err *err)
{
	if (level->depth > DEPTH_MAX)
		return err_set(err, ERR_INPUT, "%s is deeper than %d directories", level->path, DEPTH_MAX);
	int copy = openat(level->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir)
		return err_errno(err, "read the directory %s", level->path);
	errno = 0;
	for (const struct dirent *entry; (entry = readdir(dir)); errno = 0)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    look_at(hiding, level, entry, err) < 0)
			return -1;
	return errno ? err_errno(err, "read the directory %s", level->path) : 0;
}

/* The state that a walk from the top would have had at path. */
static struct ignore_state state_at(const struct ignore *ignore, const char *path)
{
	struct ignore_state state = ignore_root(ignore);
	scope_free char *prefix = strdup(path);
	if (!prefix)
		abort();
	for (char *p = prefix; *p;) {
		p += strcspn(p, "/");
		char saved = *p;
		*p = '\0';
		state = ignore_child(ignore, &state, prefix, NULL);
		*p = saved;
		p += saved == '/';
	}
	return state;
}

int context_hide(const struct source *source, const char *path, int tree_fd, size_t *count, struct err *err)
{
	struct hiding hiding = { .ignore = source->ignore };
	struct level top = { .path = path, .name = "", .tree_fd = tree_fd };
	struct stat st;
	scope_fd int dir_fd = root_open(&source->root, path, O_RDONLY | O_DIRECTORY, 0, err);
	if (dir_fd < 0)
		return -1;
	if (source->ignore)
		top.state = state_at(source->ignore, path);
	top.dir_fd = dir_fd;
	if (hide_in(&hiding, &top, err) < 0)
		return -1;
	if (fstat(dir_fd, &st) < 0 || fchmod(tree_fd, st.st_mode & 07777) < 0)
		return err_errno(err, "set the mode of what hides parts of the context");
	if (restore_time(&top, err) < 0)
		return -1;
	*count = hiding.count;
	return 0;
}
