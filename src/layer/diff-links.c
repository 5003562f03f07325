/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/root.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#include "differ.h"
#include "shown.h"

/*
 * Hard links in a layer (registry.md 3.7 rule 10).
 *
 * A group is what becomes one file with several names. The first of its names in the walk is emitted as the file, the
 * others as links to it; all of its names in upper are emitted, or none. Names are in one group if they are one inode of
 * upper: layer_join_names has seen to it that they are, whatever the view.
 * A group is unchanged if its first name equals the entry below and all its names in upper are names of one file below.
 */

/* ---- all groups of upper ---- */

static int scan_directory(struct differ *differ, int dir_fd, struct strbuf *path, struct err *err);

static int scan_entry(struct differ *differ, int dir_fd, const char *name, struct strbuf *path, struct err *err)
{
	struct stat st;

	if (path->len > PATH_MAX)
		return fail_depth(err);
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat %s", SHOWN(strbuf_str(path)));
	if (layer_entry_mark(dir_fd, name, &st) != LAYER_ENTRY)
		return 0;
	if (!S_ISDIR(st.st_mode)) {
		if (st.st_nlink > 1)
			strvec_push(&links_add(&differ->groups, &st)->paths, path->ptr);
		return 0;
	}
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_errno(err, "open %s", SHOWN(path->ptr)) : scan_directory(differ, fd, path, err);
}

/* Owns dir_fd. */
static int scan_directory(struct differ *differ, int dir_fd, struct strbuf *path, struct err *err)
{
	scope_dir DIR *stream = fdopendir(dir_fd);
	const struct dirent *entry;
	size_t before = path->len;

	if (!stream)
		return err_errno(err, "list %s", SHOWN(strbuf_str(path)));
	while ((errno = 0, entry = readdir(stream))) {
		if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
			continue;
		if (before > 0)
			strbuf_addch(path, '/');
		strbuf_addstr(path, entry->d_name);
		if (scan_entry(differ, dir_fd, entry->d_name, path, err) < 0)
			return -1;
		strbuf_truncate(path, before);
	}
	return errno ? err_errno(err, "list %s", SHOWN(strbuf_str(path))) : 0;
}

/* Needed only where a name of a group equals what is below and so might not be emitted: a walk of its own, once. */
static int find_groups(struct differ *differ, struct err *err)
{
	scope_strbuf struct strbuf path = { 0 };
	int fd;

	if (differ->has_groups)
		return 0;
	differ->has_groups = true;
	fd = openat(differ->upper_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_errno(err, "open the changes") : scan_directory(differ, fd, &path, err);
}

/* 1 if path is that file below, 0, -1. */
static int is_file_below(const struct differ *differ, const char *path, const struct stat *file, struct err *err)
{
	scope_fd int holder_fd = -1;
	struct stat st;
	int found = stack_find_path(differ->below, path, &holder_fd, &st, err);

	return found <= 0 ? found : st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

int diff_group_unchanged(struct differ *differ, const struct node *node, const struct counterpart *below,
			 struct err *err)
{
	if (find_groups(differ, err) < 0)
		return -1;
	const struct link_inode *group = links_find(&differ->groups, &node->st);

	for (size_t i = 0; group && i < group->paths.count; i++) {
		int same = is_file_below(differ, group->paths.items[i], &below->st, err);
		if (same <= 0)
			return same;
	}
	links_add(&differ->emitted, &node->st)->is_unchanged = true;
	return 1;
}

/* ---- emitting ---- */

int diff_emit_linked(struct differ *differ, const struct node *node, struct err *err)
{
	struct link_inode *inode = node->st.st_nlink > 1 ? links_add(&differ->emitted, &node->st) : NULL;

	if (inode && inode->paths.count > 0)
		return emit_link(&differ->emit, node, inode->paths.items[0], err);
	if (inode)
		strvec_push(&inode->paths, node->entry.path);
	return emit_node(&differ->emit, node, err);
}
