/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"

#include "shown.h"
#include "walk.h"

struct walk {
	const struct visitor *visitor;
	int64_t clamp;
	struct strbuf path;
	int depth;
};

static int walk_directory(struct walk *walk, const struct stack_dir *dir, struct err *err);

static int walk_into(struct walk *walk, const struct stack_dir *dir, const struct node *node, const char *name,
		     struct err *err)
{
	const struct visitor *visitor = walk->visitor;
	bool missing = false;
	scope_stack struct stack_dir *child = stack_child(dir, name, &missing, err);

	if (!child)
		return missing ? err_set(err, ERR_SYSTEM, "%s changed in a lower layer", SHOWN(node->entry.path)) : -1;
	if (++walk->depth > DEPTH_MAX)
		return fail_depth(err);
	if (walk_directory(walk, child, err) < 0)
		return -1;
	walk->depth--;
	return visitor->leave ? visitor->leave(visitor->arg, node, err) : 0;
}

static int walk_entry(struct walk *walk, const struct stack_dir *dir, struct arena *arena, const char *name,
		      struct err *err)
{
	scope_node struct node node = NODE_EMPTY;
	char *path = arena_strdup(arena, walk->path.ptr);
	struct stat st;
	struct node_place place = { .name = name, .path = path, .st = &st };
	int found = stack_find(dir, name, &place.dir_fd, &st, err);

	if (found <= 0 || S_ISSOCK(st.st_mode))
		return found < 0 ? -1 : 0;
	if (node_load(&node, &place, walk->clamp, arena, err) < 0 ||
	    walk->visitor->visit(walk->visitor->arg, &node, name, err) < 0)
		return -1;
	return S_ISDIR(st.st_mode) ? walk_into(walk, dir, &node, name, err) : 0;
}

static int walk_directory(struct walk *walk, const struct stack_dir *dir, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	scope_strvec struct strvec names = { 0 };
	size_t before = walk->path.len;

	if (stack_list(dir, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		if (before > 0)
			strbuf_addch(&walk->path, '/');
		strbuf_addstr(&walk->path, names.items[i]);
		if (walk_entry(walk, dir, &arena, names.items[i], err) < 0)
			return -1;
		strbuf_truncate(&walk->path, before);
	}
	return 0;
}

int stack_walk(const struct stack_dir *root, int64_t clamp, const struct visitor *visitor, struct err *err)
{
	struct walk walk = { .visitor = visitor, .clamp = clamp };
	int result = walk_directory(&walk, root, err);

	strbuf_release(&walk.path);
	return result;
}
