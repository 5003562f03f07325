/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/root.h"
#include "kiln/base/scope.h"
#include "kiln/layer/tree.h"

#include "links.h"
#include "place.h"
#include "shown.h"
#include "walk.h"

/* ---- one entry ---- */

static int copy_contents(const struct node *node, int fd, struct err *err)
{
	const struct stat *st = &node->st;
	bool has_holes = (off_t)st->st_blocks * 512 < st->st_size;

	return st->st_size <= FILE_SMALL && !has_holes
		       ? file_copy_small(node->fd, fd, (size_t)st->st_size, SHOWN(node->entry.path), err)
		       : file_copy_data(node->fd, fd, -1, SHOWN(node->entry.path), err);
}

static int copy_file(const struct node *node, int to_dir, const char *to_name, struct err *err)
{
	scope_fd int fd = place_file(to_dir, to_name, &node->entry, err);

	if (fd < 0 || copy_contents(node, fd, err) < 0 || place_finish(fd, &node->entry, err) < 0)
		return -1;
	return place_times(fd, &node->entry, err);
}

static int copy_directory(const struct node *node, int to_dir, const char *to_name, struct err *err)
{
	scope_fd int fd = place_directory(to_dir, to_name, &node->entry, err);

	if (fd < 0 || place_finish(fd, &node->entry, err) < 0)
		return -1;
	return place_times(fd, &node->entry, err);
}

/* The umask is 0. */
static int copy_node(const struct node *node, int to_dir, const char *to_name, struct err *err)
{
	switch (node->entry.mode & S_IFMT) {
	case S_IFREG:
		return copy_file(node, to_dir, to_name, err);
	case S_IFDIR:
		return copy_directory(node, to_dir, to_name, err);
	case S_IFSOCK:
		return err_set(err, ERR_INPUT, "%s: a socket cannot be copied", SHOWN(node->entry.path));
	default:
		return place_other(to_dir, to_name, &node->entry, err);
	}
}

int layer_copy_entry(int from_dir, const char *from_name, const struct stat *st, int to_dir, const char *to_name,
		     struct err *err)
{
	scope_arena struct arena arena = { 0 };
	scope_node struct node node = NODE_EMPTY;
	const struct node_place place = { from_dir, from_name, from_name, st, true };

	if (node_load(&node, &place, INT64_MAX, &arena, err) < 0)
		return -1;
	mode_t old_mask = umask(0);
	int result = copy_node(&node, to_dir, to_name, err);
	umask(old_mask);
	return result;
}

/* ---- a whole stack ---- */

struct copy {
	int to_fd;
	struct links links;
	int *dirs; /* of the directories that we are in, open */
	size_t depth, room;
};

static void copy_release(struct copy *copy)
{
	while (copy->depth > 0)
		close(copy->dirs[--copy->depth]);
	free(copy->dirs);
	links_release(&copy->links);
}

static int current_dir(const struct copy *copy)
{
	return copy->depth ? copy->dirs[copy->depth - 1] : copy->to_fd;
}

/* Owner and mode are set when it is full: a mode may forbid to fill it. */
static int enter(struct copy *copy, const struct node *node, const char *name, struct err *err)
{
	int fd = place_directory(current_dir(copy), name, &node->entry, err);

	if (fd < 0)
		return -1;
	if (copy->depth == copy->room) {
		copy->room = copy->room ? copy->room * 2 : 32;
		copy->dirs = reallocarray(copy->dirs, copy->room, sizeof(*copy->dirs));
		if (!copy->dirs)
			abort();
	}
	copy->dirs[copy->depth++] = fd;
	return 0;
}

static int leave(void *arg, const struct node *node, struct err *err)
{
	struct copy *copy = arg;
	scope_fd int fd = copy->dirs[--copy->depth];

	return place_finish(fd, &node->entry, err) < 0 ? -1 : place_times(fd, &node->entry, err);
}

static int link_to(const struct copy *copy, const char *first, const struct node *node, const char *name,
		   struct err *err)
{
	const struct root root = { copy->to_fd, ROOT_BENEATH };
	const char *leaf;
	scope_fd int fd = root_open_parent(&root, first, &leaf, err);

	if (fd < 0)
		return -1;
	if (linkat(fd, leaf, current_dir(copy), name, 0) < 0)
		return err_errno(err, "link %s to %s", SHOWN(node->entry.path), SHOWN(first));
	return 0;
}

static int visit(void *arg, const struct node *node, const char *name, struct err *err)
{
	struct copy *copy = arg;
	struct link_inode *inode;

	if (S_ISDIR(node->entry.mode))
		return enter(copy, node, name, err);
	if (node->st.st_nlink > 1) {
		inode = links_add(&copy->links, &node->st);
		if (inode->paths.count > 0)
			return link_to(copy, inode->paths.items[0], node, name, err);
		strvec_push(&inode->paths, node->entry.path);
	}
	return copy_node(node, current_dir(copy), name, err);
}

static int copy_root(const struct stack_dir *root, int to_fd, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	scope_node struct node node = NODE_EMPTY;
	struct stat st;
	const struct node_place place = { stack_top(root), ".", "/", &st, false };

	if (place.dir_fd < 0)
		return 0;
	if (fstat(place.dir_fd, &st) < 0)
		return err_errno(err, "stat the root");
	if (node_load(&node, &place, INT64_MAX, &arena, err) < 0 || place_finish(to_fd, &node.entry, err) < 0)
		return -1;
	return place_times(to_fd, &node.entry, err);
}

int layer_copy_stack(const int *lowers, size_t count, int to_fd, struct err *err)
{
	scope_stack struct stack_dir *root = stack_open(lowers, count, err);
	__attribute__((cleanup(copy_release))) struct copy copy = { .to_fd = to_fd };
	const struct visitor visitor = { visit, leave, &copy };

	if (!root)
		return -1;
	mode_t old_mask = umask(0);
	int result = stack_walk(root, INT64_MAX, &visitor, err);
	if (result == 0)
		result = copy_root(root, to_fd, err);
	umask(old_mask);
	return result;
}
