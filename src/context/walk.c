/* SPDX-License-Identifier: Apache-2.0 */
#include "walk.h"
#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH_MAX = 4096 };

/* A directory on the way down. */
struct level {
	const struct level *parent;
	struct walk_entry entry;
	struct ignore_state ignored, excluded;
	bool visited;
	unsigned depth;
};

static int visit_level(const struct walker *walker, struct level *level, struct err *err)
{
	if (level->visited)
		return 0;
	if (level->parent && visit_level(walker, (struct level *)(uintptr_t)level->parent, err) < 0)
		return -1;
	level->visited = true;
	return walker->visit(walker->arg, &level->entry, err);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_names(int fd, struct strvec *names, const char *path, struct err *err)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	scope_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir)
		return err_errno(err, "read the directory %s", path);
	errno = 0;
	for (const struct dirent *entry; (entry = readdir(dir)); errno = 0)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			strvec_push(names, entry->d_name);
	if (errno != 0)
		return err_errno(err, "read the directory %s", path);
	if (names->count > 0)
		qsort(names->items, names->count, sizeof(*names->items), compare_names);
	return 0;
}

static struct ignore_state child_state(const struct ignore *ignore, const struct ignore_state *parent, const char *path)
{
	return ignore ? ignore_child(ignore, parent, path, NULL) : (struct ignore_state){ 0 };
}

static bool may_hold_more(const struct ignore *ignore, const struct ignore_state *state, const char *path)
{
	return !ignore || !state->excluded || ignore_must_descend(ignore, state, path);
}

static int walk_directory(const struct walker *walker, struct level *level, struct err *err);

static int walk_entry(const struct walker *walker, struct level *parent, int dir_fd, const char *name, struct err *err)
{
	scope_free char *path = NULL, *below = NULL;
	const char *dir_path = parent->entry.path, *dir_below = parent->entry.below;
	if (asprintf(&path, "%s%s%s", dir_path, *dir_path ? "/" : "", name) < 0 ||
	    asprintf(&below, "%s%s%s", dir_below, *dir_below ? "/" : "", name) < 0)
		abort();
	struct level level = {
		.parent = parent,
		.entry = { .path = path, .below = below, .dir_fd = dir_fd, .name = name },
		.ignored = child_state(walker->source->ignore, &parent->ignored, path),
		.excluded = child_state(walker->plan->exclude, &parent->excluded, below),
		.depth = parent->depth + 1,
	};
	bool is_taken = !level.ignored.excluded && !level.excluded.excluded;
	if (!is_taken && (!may_hold_more(walker->source->ignore, &level.ignored, path) ||
			  !may_hold_more(walker->plan->exclude, &level.excluded, below)))
		return 0;
	if (fstatat(dir_fd, name, &level.entry.st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat %s (did it go away while it was read?)", path);
	if (walker->source->keep_owner && owner_fill_at(dir_fd, name, &level.entry.st) < 0)
		return err_errno(err, "read who owns %s", path);
	if (is_taken && visit_level(walker, &level, err) < 0)
		return -1;
	return S_ISDIR(level.entry.st.st_mode) ? walk_directory(walker, &level, err) : 0;
}

static int walk_directory(const struct walker *walker, struct level *level, struct err *err)
{
	if (level->depth > DEPTH_MAX)
		return err_set(err, ERR_INPUT, "%s is deeper than %d directories", level->entry.path, DEPTH_MAX);
	scope_fd int fd = openat(level->entry.dir_fd, level->entry.name,
				 O_RDONLY | O_DIRECTORY | O_CLOEXEC | (level->parent ? O_NOFOLLOW : 0));
	if (fd < 0)
		return err_errno(err, "open the directory %s", level->entry.path);
	scope_strvec struct strvec names = { 0 };
	if (list_names(fd, &names, level->entry.path, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		if (walk_entry(walker, level, fd, names.items[i], err) < 0)
			return -1;
	if (level->visited && walker->leave)
		return walker->leave(walker->arg, &level->entry, err);
	return 0;
}

/* The state that a walk from the top would have had at path. */
static struct ignore_state state_at(const struct ignore *ignore, const char *path)
{
	if (!ignore)
		return (struct ignore_state){ 0 };
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

int walk_item(const struct walker *walker, const struct copy_item *item, struct err *err)
{
	const char *leaf = ".";
	scope_fd int parent = *item->path ? root_open_parent(&walker->source->root, item->path, &leaf, err)
					  : fcntl(walker->source->root.fd, F_DUPFD_CLOEXEC, 3);
	if (parent < 0)
		return -1;
	struct level level = {
		.entry = { .path = item->path, .below = "", .dir_fd = parent, .name = leaf, .st = item->st },
		.ignored = state_at(walker->source->ignore, item->path),
	};
	if (walker->plan->exclude) {
		level.excluded = ignore_root(walker->plan->exclude);
		/* A file's own name is what --exclude speaks of; a directory's contents are. */
		if (!S_ISDIR(item->st.st_mode) && ignore_matches(walker->plan->exclude, item->base))
			return 0;
	}
	if (visit_level(walker, &level, err) < 0)
		return -1;
	return S_ISDIR(item->st.st_mode) ? walk_directory(walker, &level, err) : 0;
}

static char *link_text(struct arena *arena, int fd)
{
	enum { PATH_BYTES = 4096 };
	char name[64], text[PATH_BYTES];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	ssize_t len = readlinkat(AT_FDCWD, name, text, sizeof(text));
	return len > 0 && len < PATH_BYTES ? arena_strndup(arena, text, (size_t)len) : NULL;
}

char *path_beneath(struct arena *arena, const struct root *root, int fd)
{
	const char *top = link_text(arena, root->fd), *path = link_text(arena, fd);
	if (!top || !path || !text_starts(path, top))
		return NULL;
	path += strlen(top);
	if (*path && *path != '/' && !text_ends(top, "/"))
		return NULL;
	return path_clean(arena, path);
}
