/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/arena.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/layer/tree.h"

#include "marks.h"
#include "shown.h"

struct stack_layer {
	int fd;
	bool has_file_marks; /* else .wh.NAME is not looked for */
};

struct stack_dir {
	size_t count;
	struct stack_layer layers[]; /* [0] topmost */
};

static struct stack_dir *stack_new(size_t room)
{
	struct stack_dir *dir = calloc(1, sizeof(*dir) + room * sizeof(dir->layers[0]));

	if (!dir)
		abort();
	return dir;
}

void stack_close(struct stack_dir *dir)
{
	int saved = errno;

	for (size_t i = 0; dir && i < dir->count; i++)
		close(dir->layers[i].fd);
	free(dir);
	errno = saved;
}

static int fail_open(const char *name, struct err *err)
{
	if (errno == EMFILE || errno == ENFILE)
		return err_errno(err,
				 "open %s (too many layers have a directory this deep; raise the limit with ulimit -n)",
				 SHOWN(name));
	return err_errno(err, "open %s in a lower layer", SHOWN(name));
}

static int open_dir(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool exists(int dir_fd, const char *name)
{
	return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

struct stack_dir *stack_open(const int *lowers, size_t count, struct err *err)
{
	scope_stack struct stack_dir *dir = stack_new(count);

	for (size_t i = 0; i < count; i++) {
		int fd = open_dir(lowers[i], ".");
		if (fd < 0)
			return fail_open("the root", err), NULL;
		dir->layers[dir->count++] = (struct stack_layer){ fd, exists(fd, LAYER_FILE_MARKS) };
	}
	return take_ptr(dir);
}

/* Does this layer remove name by a file? */
static bool has_whiteout_file(const struct stack_layer *layer, const char *name)
{
	char file[NAME_MAX + sizeof(MARK_PREFIX)];
	struct stat st;

	if (!layer->has_file_marks)
		return false;
	(void)snprintf(file, sizeof(file), MARK_PREFIX "%s", name);
	return fstatat(layer->fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       layer_entry_mark(layer->fd, file, &st) == LAYER_WHITEOUT;
}

static bool is_opaque(const struct stack_layer *layer)
{
	return layer->has_file_marks ? layer_dir_is_opaque(layer->fd) : dir_has_overlay_opaque(layer->fd);
}

/* A directory is merged downwards until a layer has something else of that name, a whiteout, or an opaque directory. */
struct stack_dir *stack_child(const struct stack_dir *dir, const char *name, bool *missing, struct err *err)
{
	scope_stack struct stack_dir *child = stack_new(dir->count);

	for (size_t i = 0; i < dir->count && !text_starts(name, MARK_PREFIX); i++) {
		const struct stack_layer *layer = &dir->layers[i];
		int fd = open_dir(layer->fd, name);

		if (fd < 0 && errno == ENOENT) {
			if (has_whiteout_file(layer, name))
				break;
			continue;
		}
		if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
			break;
		if (fd < 0)
			return fail_open(name, err), NULL;
		child->layers[child->count++] = (struct stack_layer){ fd, layer->has_file_marks };
		if (is_opaque(&child->layers[child->count - 1]))
			break;
	}
	*missing = child->count == 0;
	return child->count == 0 ? NULL : take_ptr(child);
}

int stack_find(const struct stack_dir *dir, const char *name, int *holder_fd, struct stat *st, struct err *err)
{
	if (text_starts(name, MARK_PREFIX))
		return 0;
	for (size_t i = 0; i < dir->count; i++) {
		const struct stack_layer *layer = &dir->layers[i];

		if (fstatat(layer->fd, name, st, AT_SYMLINK_NOFOLLOW) == 0) {
			*holder_fd = layer->fd;
			return layer_entry_mark(layer->fd, name, st) == LAYER_ENTRY;
		}
		if (errno != ENOENT)
			return err_errno(err, "stat %s in a lower layer", SHOWN(name));
		if (has_whiteout_file(layer, name))
			return 0;
	}
	return 0;
}

int stack_find_path(const struct stack_dir *dir, const char *path, int *holder_fd, struct stat *st, struct err *err)
{
	scope_stack struct stack_dir *opened = NULL;
	char name[NAME_MAX + 1];
	bool missing;
	int borrowed;

	for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
		size_t len = (size_t)(slash - path);
		if (len >= sizeof(name))
			return 0;
		memcpy(name, path, len);
		name[len] = '\0';

		struct stack_dir *child = stack_child(opened ? opened : dir, name, &missing, err);
		if (!child)
			return missing ? 0 : -1;
		stack_close(opened);
		opened = child;
	}
	int found = stack_find(opened ? opened : dir, path, &borrowed, st, err);
	if (found <= 0)
		return found;
	*holder_fd = fcntl(borrowed, F_DUPFD_CLOEXEC, 0);
	return *holder_fd < 0 ? fail_open(path, err) : 1;
}

int stack_top(const struct stack_dir *dir)
{
	return dir->count ? dir->layers[0].fd : -1;
}

/* ---- listing ---- */

struct listed {
	const char *name;
	size_t layer;
	bool is_removed;
};

struct listing {
	struct arena arena;
	struct listed *items;
	size_t count;
};

static void listing_release(struct listing *listing)
{
	arena_release(&listing->arena);
}

static int by_name_and_layer(const void *a, const void *b)
{
	const struct listed *one = a, *other = b;
	int order = strcmp(one->name, other->name);

	return order ? order : (one->layer > other->layer) - (one->layer < other->layer);
}

/* d_type spares an lstat for all that cannot be a mark. */
static int add_entry(struct listing *listing, const struct dirent *entry, int fd, size_t layer, struct err *err)
{
	bool may_be_mark = entry->d_type == DT_CHR || entry->d_type == DT_UNKNOWN ||
			   text_starts(entry->d_name, MARK_PREFIX);
	enum layer_mark mark = LAYER_ENTRY;
	struct stat st;

	if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
		return 0;
	if (may_be_mark) {
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(err, "stat %s in a lower layer", SHOWN(entry->d_name));
		mark = layer_entry_mark(fd, entry->d_name, &st);
		if (mark == LAYER_NOISE || (mark == LAYER_ENTRY && text_starts(entry->d_name, MARK_PREFIX)))
			return 0;
	}
	struct listed *added = ARENA_PUSH(&listing->arena, listing->items, listing->count);
	*added = (struct listed){
		.name = arena_strdup(&listing->arena,
				     mark == LAYER_WHITEOUT ? layer_whiteout_target(entry->d_name) : entry->d_name),
		.layer = layer,
		.is_removed = mark == LAYER_WHITEOUT,
	};
	return 0;
}

static int add_layer(struct listing *listing, int fd, size_t layer, struct err *err)
{
	int own_fd = open_dir(fd, ".");
	scope_dir DIR *stream = own_fd < 0 ? NULL : fdopendir(own_fd);
	const struct dirent *entry;

	if (!stream)
		return fail_open("a directory", err);
	while ((errno = 0, entry = readdir(stream)))
		if (add_entry(listing, entry, fd, layer, err) < 0)
			return -1;
	return errno ? err_errno(err, "list a directory of a lower layer") : 0;
}

int stack_list(const struct stack_dir *dir, struct strvec *names, struct err *err)
{
	__attribute__((cleanup(listing_release))) struct listing listing = { 0 };

	for (size_t i = 0; i < dir->count; i++)
		if (add_layer(&listing, dir->layers[i].fd, i, err) < 0)
			return -1;
	if (listing.count > 0)
		qsort(listing.items, listing.count, sizeof(listing.items[0]), by_name_and_layer);
	for (size_t i = 0; i < listing.count; i++) {
		bool is_hidden = i > 0 && text_equal(listing.items[i].name, listing.items[i - 1].name);
		if (!is_hidden && !listing.items[i].is_removed)
			strvec_push(names, listing.items[i].name);
	}
	return 0;
}
