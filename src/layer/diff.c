/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kiln/base/arena.h"
#include "kiln/base/log.h"
#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/layer/diff.h"
#include "kiln/layer/tree.h"

#include "differ.h"
#include "marks.h"
#include "shown.h"

/* One name in a directory of upper. */
struct child {
	const char *name; /* of a whiteout: the removed name */
	bool is_whiteout;
};

/* One directory on the way from the root to what is looked at. */
struct level {
	struct level *parent;
	const struct layer_entry *entry; /* NULL: the root, which has no entry in a layer */
	int fd;
	const struct stack_dir *below; /* NULL: there is no such directory below */
	bool hides_below;              /* opaque, or within an opaque one: names that are not here are gone */
	bool is_emitted;

	struct arena arena;
	struct child *children;
	size_t count;
};

void differ_release(struct differ *differ)
{
	stack_close(differ->below);
	emit_release(&differ->emit);
	strbuf_release(&differ->path);
	links_release(&differ->emitted);
	links_release(&differ->groups);
}

static void level_release(struct level *level)
{
	arena_release(&level->arena);
}

/* An ancestor directory stands in the layer if anything below it does, so it is written when the first such thing is. */
static int emit_ancestors(struct differ *differ, struct level *level, struct err *err)
{
	struct node node = { .fd = -1 };

	if (!level->entry || level->is_emitted)
		return 0;
	if (emit_ancestors(differ, level->parent, err) < 0)
		return -1;
	level->is_emitted = true;
	node.entry = *level->entry;
	return emit_node(&differ->emit, &node, err);
}

/* ---- what is in a directory ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct child *)a)->name, ((const struct child *)b)->name);
}

/* d_type tells most entries from marks without an lstat. */
static int find_mark(const struct level *level, const char *dir_path, const struct dirent *entry, enum layer_mark *mark,
		     struct err *err)
{
	struct stat st;

	*mark = LAYER_ENTRY;
	if (entry->d_type != DT_CHR && entry->d_type != DT_UNKNOWN && !text_starts(entry->d_name, MARK_PREFIX))
		return 0;
	if (fstatat(level->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat %s/%s", SHOWN(dir_path), SHOWN(entry->d_name));
	*mark = layer_entry_mark(level->fd, entry->d_name, &st);
	if (*mark == LAYER_ENTRY && text_starts(entry->d_name, MARK_PREFIX))
		return err_set(err, ERR_INPUT,
			       "%s/%s: a name that begins with \"" MARK_PREFIX
			       "\" cannot be in a layer, where it would mean "
			       "that a file was removed; rename or remove it",
			       SHOWN(dir_path), SHOWN(entry->d_name));
	return 0;
}

static int add_child(struct level *level, const char *dir_path, const struct dirent *entry, struct err *err)
{
	const char *name = entry->d_name;
	enum layer_mark mark;

	if (text_equal(name, ".") || text_equal(name, ".."))
		return 0;
	if (find_mark(level, dir_path, entry, &mark, err) < 0)
		return -1;
	if (mark == LAYER_NOISE)
		return 0;
	struct child *child = ARENA_PUSH(&level->arena, level->children, level->count);
	*child = (struct child){
		.name = arena_strdup(&level->arena, mark == LAYER_WHITEOUT ? layer_whiteout_target(name) : name),
		.is_whiteout = mark == LAYER_WHITEOUT,
	};
	return 0;
}

static int list_children(struct level *level, const char *dir_path, struct err *err)
{
	int own_fd = openat(level->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *stream = own_fd < 0 ? NULL : fdopendir(own_fd);
	const struct dirent *entry;

	if (!stream)
		return err_errno(err, "open %s", SHOWN(dir_path));
	while ((errno = 0, entry = readdir(stream)))
		if (add_child(level, dir_path, entry, err) < 0)
			return -1;
	if (errno)
		return err_errno(err, "list %s", SHOWN(dir_path));
	if (level->count > 0)
		qsort(level->children, level->count, sizeof(level->children[0]), by_name);
	return 0;
}

static bool has_entry(const struct level *level, const char *name)
{
	struct child key = { .name = name };
	const struct child *found = level->count == 0 ? NULL
						      : bsearch(&key, level->children, level->count,
								sizeof(level->children[0]), by_name);

	return found && !found->is_whiteout;
}

/* ---- whiteouts ---- */

/* Appends "/name"; returns the length before. */
static size_t path_push(struct strbuf *path, const char *name)
{
	size_t before = path->len;

	if (before > 0)
		strbuf_addch(path, '/');
	strbuf_addstr(path, name);
	return before;
}

static int emit_removed(struct differ *differ, struct level *level, const char *name, struct err *err)
{
	size_t before = path_push(&differ->path, name);
	int result = emit_ancestors(differ, level, err);

	if (result == 0)
		result = emit_whiteout(&differ->emit, differ->path.ptr, err);
	strbuf_truncate(&differ->path, before);
	return result;
}

/* In a directory that hides what is below, all that is there and not here is gone. */
static int emit_hidden(struct differ *differ, struct level *level, struct err *err)
{
	scope_strvec struct strvec names = { 0 };

	if (stack_list(level->below, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		if (!has_entry(level, names.items[i]) && emit_removed(differ, level, names.items[i], err) < 0)
			return -1;
	return 0;
}

static int emit_whiteouts(struct differ *differ, struct level *level, struct err *err)
{
	int holder_fd;
	struct stat st;

	if (!level->below)
		return 0;
	if (level->hides_below)
		return emit_hidden(differ, level, err);
	for (size_t i = 0; i < level->count; i++) {
		const struct child *child = &level->children[i];
		if (!child->is_whiteout)
			continue;
		int found = stack_find(level->below, child->name, &holder_fd, &st, err);
		if (found < 0 || (found && emit_removed(differ, level, child->name, err) < 0))
			return -1;
	}
	return 0;
}

/* ---- entries ---- */

static bool owner_differs(const struct node *node, const struct stat *below)
{
	return !owners_are_recorded() && (node->entry.uid != below->st_uid || node->entry.gid != below->st_gid);
}

/* A regular file of no length may be a device's placeholder on one side and the device on the other. */
static bool surely_differs(const struct node *node, const struct stat *below, int64_t clamp)
{
	int64_t mtime = below->st_mtim.tv_sec < clamp ? below->st_mtim.tv_sec : clamp;

	if (S_ISREG(below->st_mode) && below->st_size == 0)
		return false;
	return node->entry.mode != below->st_mode || owner_differs(node, below) || node->entry.mtime != mtime ||
	       (S_ISREG(below->st_mode) && node->entry.size != below->st_size);
}

/* 1 if node is what is below, contents and all, 0, -1. */
static int equals_below(struct differ *differ, struct arena *arena, const struct node *node, const char *name,
			const struct counterpart *below, struct err *err)
{
	scope_node struct node lower = NODE_EMPTY;

	if (!below->exists || surely_differs(node, &below->st, differ->clamp))
		return 0;
	const struct node_place place = { below->holder_fd, name, node->entry.path, &below->st, false };
	if (node_load(&lower, &place, differ->clamp, arena, err) < 0)
		return err_wrap(err, "lower layer");
	if (!node_same_metadata(node, &lower))
		return 0;
	return S_ISREG(node->entry.mode) ? node_same_content(node, &lower, err) : 1;
}

static int diff_level(struct differ *differ, struct level *level, struct err *err);

static int diff_directory(struct differ *differ, struct level *parent, const struct node *node, const char *name,
			  const struct counterpart *below, struct err *err)
{
	bool missing;
	bool has_below = below->exists && S_ISDIR(below->st.st_mode);
	scope_stack struct stack_dir *dir_below = has_below ? stack_child(parent->below, name, &missing, err) : NULL;
	__attribute__((cleanup(level_release))) struct level level = {
		.parent = parent,
		.entry = &node->entry,
		.fd = node->fd,
		.below = dir_below,
		.hides_below = parent->hides_below || (has_below && layer_dir_is_opaque(node->fd)),
	};

	if (has_below && !dir_below)
		return missing ? err_set(err, ERR_SYSTEM, "%s changed in a lower layer", SHOWN(node->entry.path)) : -1;
	int same = equals_below(differ, &level.arena, node, name, below, err);
	if (same < 0 || (!same && emit_ancestors(differ, &level, err) < 0))
		return -1;
	return diff_level(differ, &level, err);
}

static int diff_file(struct differ *differ, struct level *level, const struct node *node, const char *name,
		     const struct counterpart *below, struct err *err)
{
	bool is_linked = node->st.st_nlink > 1;
	const struct link_inode *known = is_linked ? links_find(&differ->emitted, &node->st) : NULL;

	if (known && known->is_unchanged)
		return 0;
	if (!known) {
		int same = equals_below(differ, &level->arena, node, name, below, err);
		if (same > 0 && is_linked)
			same = diff_group_unchanged(differ, node, below, err);
		if (same != 0)
			return same < 0 ? -1 : 0;
	}
	if (emit_ancestors(differ, level, err) < 0)
		return -1;
	return diff_emit_linked(differ, node, err);
}

/* differ->path is that of the entry. */
static int diff_entry(struct differ *differ, struct level *level, const char *name, const struct stat *st,
		      struct err *err)
{
	scope_node struct node node = NODE_EMPTY;
	struct counterpart below = { 0 };
	/* A directory's entry waits for what is in it, while differ->path goes on. */
	const char *path = S_ISDIR(st->st_mode) ? arena_strdup(&level->arena, differ->path.ptr) : differ->path.ptr;

	if (differ->path.len >= PATH_MAX)
		return err_set(err, ERR_INPUT, "%s: the path is longer than %d bytes", SHOWN(path), PATH_MAX - 1);
	if (level->below) {
		int found = stack_find(level->below, name, &below.holder_fd, &below.st, err);
		if (found < 0)
			return -1;
		below.exists = found;
	}
	const struct node_place place = { level->fd, name, path, st, false };
	if (node_load(&node, &place, differ->clamp, &level->arena, err) < 0)
		return -1;
	if (S_ISDIR(node.entry.mode))
		return diff_directory(differ, level, &node, name, &below, err);
	return diff_file(differ, level, &node, name, &below, err);
}

static int diff_child(struct differ *differ, struct level *level, const char *name, struct err *err)
{
	size_t before = path_push(&differ->path, name);
	struct stat st;
	int result = 0;

	if (fstatat(level->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat %s", SHOWN(differ->path.ptr));
	if (S_ISSOCK(st.st_mode))
		log_debug("%s is a socket and is left out of the layer", SHOWN(differ->path.ptr));
	else
		result = diff_entry(differ, level, name, &st, err);
	strbuf_truncate(&differ->path, before);
	return result;
}

static int diff_level(struct differ *differ, struct level *level, struct err *err)
{
	if (list_children(level, level->entry ? level->entry->path : "", err) < 0 ||
	    emit_whiteouts(differ, level, err) < 0)
		return -1;
	for (size_t i = 0; i < level->count; i++)
		if (!level->children[i].is_whiteout && diff_child(differ, level, level->children[i].name, err) < 0)
			return -1;
	return 0;
}

static int diff_all(struct differ *differ, struct err *err)
{
	__attribute__((cleanup(level_release))) struct level root = {
		.fd = differ->upper_fd,
		.below = differ->below,
		.hides_below = layer_dir_is_opaque(differ->upper_fd),
	};

	return diff_level(differ, &root, err) < 0 ? -1 : emit_end(&differ->emit, err);
}

int layer_diff(int upper_fd, const int *lowers, size_t lower_count, const struct layer_diff_options *options,
	       struct writer *recipe_out, struct layer_stats *stats, struct err *err)
{
	scope_recipe_writer struct recipe_writer recipe = RECIPE_WRITER_EMPTY;
	struct digest diff_id;
	int64_t hashed;
	scope_writer struct writer *hash = writer_hash(NULL, &diff_id, &hashed);
	__attribute__((cleanup(differ_release))) struct differ differ = {
		.upper_fd = upper_fd,
		.below = stack_open(lowers, lower_count, err),
		.clamp = options->clamp,
		.emit = { .tar = hash, .recipe = &recipe },
	};

	if (!differ.below || recipe_begin(&recipe, recipe_out, err) < 0 || diff_all(&differ, err) < 0 ||
	    hash->finish(hash, err) < 0)
		return -1;
	*stats = differ.emit.stats;
	stats->diff_id = diff_id;
	return 0;
}
