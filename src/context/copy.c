/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/file.h"
#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/base/text.h"
#include "kiln/layer/layer.h"
#include "target.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/*
 * Copying a plan onto a view's root. An item lands on a target (target.c); below it the walk goes down and a stack of open
 * directories goes with it, so that everything nested is done by name in an open directory. Directories get their owner,
 * mode and times when they are left, since filling them needs other ones.
 */

struct link_name { /* the first copy of a file with several names */
	dev_t dev;
	ino_t ino;
	char *path;
	ino_t copy_ino; /* what lies at path now may be another file: items can overwrite each other */
};

struct open_dir {
	int fd;
	bool keeps_metadata; /* an existing directory that an item lands on: only its time changes */
};

struct copying {
	const struct source *source;
	const struct copy_item *item;
	const struct target_spec *target;
	struct open_dir *dirs;
	size_t depth, room;
	void *links; /* tsearch tree of struct link_name */
};

/* ---- metadata ---- */

/* What the copy of an entry is to be: everything that the options change, in one place. */
static int wanted_stat(const struct copying *copying, const struct stat *from, struct stat *st, struct err *err)
{
	const struct copy_options *options = copying->target->options;
	*st = *from;
	if (options->set_owner) {
		st->st_uid = options->uid;
		st->st_gid = options->gid;
	} else if (!copying->source->keep_owner) {
		st->st_uid = st->st_gid = 0;
	}
	if (st->st_mtim.tv_sec > options->clamp)
		st->st_mtim = (struct timespec){ .tv_sec = options->clamp };
	mode_t mode = st->st_mode & 07777;
	if (options->chmod && !S_ISLNK(st->st_mode) &&
	    chmod_apply(options->chmod, mode, S_ISDIR(st->st_mode), &mode, err) < 0)
		return -1;
	st->st_mode = (st->st_mode & S_IFMT) | mode;
	return 0;
}

static int copy_xattrs(const struct walk_entry *entry, int to_fd, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	const struct layer_xattr *xattrs;
	size_t count;
	scope_fd int from = openat(entry->dir_fd, entry->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return err_errno(err, "open the directory %s", entry->path);
	if (layer_read_xattrs(&arena, from, &xattrs, &count, err) < 0)
		return -1;
	return layer_write_xattrs(to_fd, xattrs, count, entry->path, err);
}

static int finish_dir(const struct copying *copying, const struct walk_entry *entry, const struct open_dir *dir,
		      struct err *err)
{
	struct stat st;
	if (wanted_stat(copying, &entry->st, &st, err) < 0)
		return -1;
	if (!dir->keeps_metadata) {
		if (owner_set(dir->fd, st.st_uid, st.st_gid) < 0 || fchmod(dir->fd, st.st_mode & 07777) < 0)
			return err_errno(err, "set the owner and mode of the copy of %s", entry->path);
		if (copy_xattrs(entry, dir->fd, err) < 0)
			return -1;
	}
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, st.st_mtim };
	if (futimens(dir->fd, times) < 0)
		return err_errno(err, "set the time of the copy of %s", entry->path);
	return 0;
}

/* ---- the stack of directories ---- */

static void push_dir(struct copying *copying, int fd, bool keeps_metadata)
{
	if (copying->depth == copying->room) {
		copying->room = copying->room ? copying->room * 2 : 32;
		copying->dirs = reallocarray(copying->dirs, copying->room, sizeof(*copying->dirs));
		if (!copying->dirs)
			abort();
	}
	copying->dirs[copying->depth++] = (struct open_dir){ fd, keeps_metadata };
}

static int leave_dir(void *arg, const struct walk_entry *entry, struct err *err)
{
	struct copying *copying = arg;
	struct open_dir *dir = &copying->dirs[--copying->depth];
	int result = finish_dir(copying, entry, dir, err);
	close(dir->fd);
	return result;
}

/* ---- hard links within one copy ---- */

static int compare_links(const void *a, const void *b)
{
	const struct link_name *x = a, *y = b;
	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static void free_link(void *link)
{
	free(((struct link_name *)link)->path);
	free(link);
}

static void remember_link(struct copying *copying, const struct stat *st, int dir_fd, const char *name)
{
	scope_arena struct arena arena = { 0 };
	struct stat copy;
	const char *dir = path_beneath(&arena, copying->target->root, dir_fd);
	if (!dir || fstatat(dir_fd, name, &copy, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	struct link_name *link = calloc(1, sizeof(*link));
	char *path = strdup(path_join(&arena, dir, name));
	if (!link || !path)
		abort();
	*link = (struct link_name){ st->st_dev, st->st_ino, path, copy.st_ino };
	struct link_name **found = tsearch(link, &copying->links, compare_links);
	if (!found)
		abort();
	if (*found == link)
		return;
	/* The copy that was first is gone; this one takes its place. */
	free_link(*found);
	*found = link;
}

/* 1 if the entry became another name of a file that was copied before. */
static int link_to_first(struct copying *copying, const struct walk_entry *entry, int dir_fd, const char *name,
			 struct err *err)
{
	const struct link_name key = { .dev = entry->st.st_dev, .ino = entry->st.st_ino };
	if (!S_ISREG(entry->st.st_mode) || entry->st.st_nlink < 2)
		return 0;
	struct link_name **found = tfind(&key, &copying->links, compare_links);
	if (!found)
		return 0;
	const char *leaf;
	struct stat copy;
	scope_fd int parent = root_open_parent(copying->target->root, (*found)->path, &leaf, NULL);
	if (parent < 0 || fstatat(parent, leaf, &copy, AT_SYMLINK_NOFOLLOW) < 0 || copy.st_ino != (*found)->copy_ino)
		return 0;
	if (linkat(parent, leaf, dir_fd, name, 0) < 0)
		return err_errno(err, "link the copy of %s", entry->path);
	return 1;
}

/* ---- entries ---- */

static int place_file(struct copying *copying, const struct walk_entry *entry, int dir_fd, const char *name,
		      struct err *err)
{
	struct stat st;
	if (target_clear(copying->target->root, dir_fd, name, err) < 0 ||
	    wanted_stat(copying, &entry->st, &st, err) < 0)
		return -1;
	int linked = link_to_first(copying, entry, dir_fd, name, err);
	if (linked != 0)
		return linked < 0 ? -1 : 0;
	if (S_ISSOCK(entry->st.st_mode)) {
		scope_reader struct reader *empty = reader_bytes("", 0);
		return target_write(dir_fd, name, empty, &st, err);
	}
	if (layer_copy_entry(entry->dir_fd, entry->name, &st, dir_fd, name, err) < 0)
		return err_wrap(err, "copy %s", entry->path);
	if (S_ISREG(entry->st.st_mode) && entry->st.st_nlink > 1)
		remember_link(copying, &entry->st, dir_fd, name);
	return 0;
}

static int not_a_directory(const struct copying *copying, int dir_fd, const char *name, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	const char *dir = path_beneath(&arena, copying->target->root, dir_fd);
	return err_set(err, ERR_INPUT, "cannot copy to non-directory: /%s", path_join(&arena, dir ? dir : "", name));
}

static int enter_dir(struct copying *copying, const struct walk_entry *entry, int dir_fd, const char *name,
		     struct err *err)
{
	struct stat st;
	/* The mode until it is left: only we are here. */
	if (mkdirat(dir_fd, name, 0700) < 0) {
		if (errno != EEXIST || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(err, "make the directory for %s", entry->path);
		if (!S_ISDIR(st.st_mode))
			return not_a_directory(copying, dir_fd, name, err);
	}
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "open the directory for %s", entry->path);
	push_dir(copying, fd, false);
	return 0;
}

static int visit_item(struct copying *copying, const struct walk_entry *entry, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	if (S_ISDIR(entry->st.st_mode)) {
		bool existed;
		int fd = target_open_dir(copying->target, copying->source, copying->item, &existed, err);
		if (fd < 0)
			return -1;
		push_dir(copying, fd, existed);
		return 0;
	}
	const char *leaf;
	scope_fd int parent = target_open_file(copying->target, copying->source, copying->item, &arena, &leaf, err);
	return parent < 0 ? -1 : place_file(copying, entry, parent, leaf, err);
}

static int visit(void *arg, const struct walk_entry *entry, struct err *err)
{
	struct copying *copying = arg;
	if (!*entry->below)
		return visit_item(copying, entry, err);
	int dir_fd = copying->dirs[copying->depth - 1].fd;
	return S_ISDIR(entry->st.st_mode) ? enter_dir(copying, entry, dir_fd, entry->name, err)
					  : place_file(copying, entry, dir_fd, entry->name, err);
}

int copy_run(const struct source *source, const struct copy_plan *plan, const struct root *dest,
	     const struct copy_options *options, struct err *err)
{
	const struct target_spec target = { dest, plan, options };
	struct copying copying = { .source = source, .target = &target };
	struct walker walker = { source, plan, visit, leave_dir, &copying };
	int result = 0;
	for (size_t i = 0; i < plan->count && result == 0; i++) {
		copying.item = &plan->items[i];
		result = walk_item(&walker, copying.item, err);
	}
	while (copying.depth > 0)
		close(copying.dirs[--copying.depth].fd);
	free(copying.dirs);
	tdestroy(copying.links, free_link);
	return result;
}

int copy_write_stream(const struct root *dest, const char *plan_dest, const struct copy_stream *file,
		      const struct copy_options *options, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	const struct copy_plan plan = { .dest = plan_dest, .dest_is_dir = text_ends(plan_dest, "/") };
	const struct copy_item item = { .path = file->name, .base = file->name, .below = "" };
	const struct target_spec target = { dest, &plan, options };
	const int64_t time_wanted = file->time < 0 ? (int64_t)time(NULL) : file->time;
	mode_t mode = file->mode;
	if (options->chmod && chmod_apply(options->chmod, mode, false, &mode, err) < 0)
		return -1;
	struct stat st = { .st_mode = S_IFREG | mode };
	st.st_mtim.tv_sec = time_wanted < options->clamp ? time_wanted : options->clamp;
	if (options->set_owner) {
		st.st_uid = options->uid;
		st.st_gid = options->gid;
	}
	const char *leaf;
	scope_fd int parent = target_open_file(&target, NULL, &item, &arena, &leaf, err);
	if (parent < 0 || target_clear(dest, parent, leaf, err) < 0)
		return -1;
	return target_write(parent, leaf, file->contents, &st, err);
}

int copy_write_file(const struct root *dest, const char *plan_dest, const char *name, const void *bytes, size_t len,
		    const struct copy_options *options, struct err *err)
{
	scope_reader struct reader *contents = reader_bytes(bytes, len);
	const struct copy_stream file = { .name = name, .contents = contents, .mode = 0644, .time = -1 };
	return copy_write_stream(dest, plan_dest, &file, options, err);
}
