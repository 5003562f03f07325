/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "changes.h"
#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/layer/layer.h"
#include "signature.h"

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* One directory on the way down. */
struct level {
	const char *name; /* in the listing of the level above */
	int fd;           /* while a lower level is walked; or -1 */
	struct listing now, then;
	size_t next_now, next_then; /* where the search for sub-directories stands */
	bool is_new;                /* nothing to compare with */
	bool replaces;              /* it was something else before */
};

/* Levels that stay open while what is below them is walked. */
#define OPEN_LEVELS 64

/*
 * Trees may be deeper than a process may have files: below the first levels only the lowest directory is open, and the way up
 * is "..". Directories in upper are made when the first change in them is seen, so they always are the first upper_count of
 * the levels; of them only the lowest is open.
 */
struct walk {
	const struct changes *changes;
	struct level *levels;
	size_t count, cap;
	int tree_fd;
	int upper_fd;
	size_t upper_count;
	bool has_file_marks; /* upper has files that stand in for whiteouts or marks */
	struct timespec newest;
};

static void walk_release(struct walk *walk)
{
	for (size_t i = 0; i < walk->count; i++) {
		listing_release(&walk->levels[i].now);
		listing_release(&walk->levels[i].then);
		scope_close_fd(&walk->levels[i].fd);
	}
	free(walk->levels);
	scope_close_fd(&walk->tree_fd);
	scope_close_fd(&walk->upper_fd);
}

static struct level *top(const struct walk *walk)
{
	return &walk->levels[walk->count - 1];
}

/* For messages: the path in the tree, or the end of a long one. name is an entry of the lowest level, or NULL. */
static int fail_at(const struct walk *walk, const char *name, struct err *err)
{
	scope_strbuf struct strbuf path = { 0 };
	size_t first = walk->count > 20 ? walk->count - 20 : 1;
	char shown[1024];

	for (size_t i = first; i < walk->count; i++)
		strbuf_addf(&path, "/%s", walk->levels[i].name);
	if (name || path.len == 0)
		strbuf_addf(&path, "/%s", name ? name : "");
	return err_wrap(err, "%s", err_printable(shown, sizeof(shown), path.ptr));
}

static int replace_fd(int *fd, int next)
{
	if (next < 0)
		return -1;
	close(*fd);
	*fd = next;
	return 0;
}

static int move_fd(int *fd, const char *name)
{
	return replace_fd(fd, openat(*fd, name, OPEN_DIR));
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

static void note_newest(struct walk *walk, const struct signature *signature)
{
	struct timespec changed = { .tv_sec = signature->ctime, .tv_nsec = signature->ctime_ns };

	if (is_later(&changed, &walk->newest))
		walk->newest = changed;
}

/* ---- upper ---- */

/* Makes in upper the directory of the next level; tree_fd is the directory above it, and becomes the one of that level. */
static int make_upper_level(struct walk *walk, int *tree_fd, struct err *err)
{
	const char *name = walk->levels[walk->upper_count].name;
	struct stat st;

	if (fstatat(*tree_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || owner_fill_at(*tree_fd, name, &st) < 0)
		return err_errno(err, "stat %s", name);
	if (layer_copy_entry(*tree_fd, name, &st, walk->upper_fd, name, err) < 0)
		return -1;
	if (move_fd(&walk->upper_fd, name) < 0 || move_fd(tree_fd, name) < 0)
		return err_errno(err, "open %s", name);
	walk->upper_count++;
	return 0;
}

static int make_upper(struct walk *walk, struct err *err)
{
	scope_fd int tree_fd = -1;

	if (walk->upper_count == walk->count)
		return 0;
	tree_fd = fcntl(walk->tree_fd, F_DUPFD_CLOEXEC, 3);
	if (tree_fd < 0)
		return err_errno(err, "open the working tree");
	for (size_t i = walk->count; i > walk->upper_count; i--) {
		if (move_fd(&tree_fd, "..") < 0)
			return err_errno(err, "open ..");
	}
	while (walk->upper_count < walk->count) {
		if (make_upper_level(walk, &tree_fd, err) < 0)
			return -1;
	}
	return 0;
}

static bool is_after(const struct signature *signature, int64_t clamp)
{
	return signature->mtime > clamp || (signature->mtime == clamp && signature->mtime_ns > 0);
}

/* A directory's time has changed in upper while it was filled. One that is only on the way to a change keeps a late time
   in the tree, as the layers below have it, but not in this layer. */
static int close_upper(struct walk *walk, struct err *err)
{
	const struct signature *self = &top(walk)->now.self;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = self->mtime, .tv_nsec = self->mtime_ns } };

	if (is_after(self, walk->changes->clamp))
		times[1] = (struct timespec){ .tv_sec = walk->changes->clamp };
	if (walk->count == 1 && walk->has_file_marks && layer_note_file_marks(walk->upper_fd, err) < 0)
		return -1;
	if (futimens(walk->upper_fd, times) < 0)
		return err_errno(err, "set the time of a changed directory");
	walk->upper_count--;
	return walk->upper_count > 0 && move_fd(&walk->upper_fd, "..") < 0 ? err_errno(err, "open ..") : 0;
}

static int remove_in_upper(struct walk *walk, const char *name, struct err *err)
{
	return make_upper(walk, err) < 0 ? -1 : layer_make_whiteout(walk->upper_fd, name, &walk->has_file_marks, err);
}

/* ---- entries ---- */

/* Times behind the clamp are cut in the tree as well, so that the next step sees what the layer says. Returns the new lstat in
   *st and *signature. */
static int clamp_entry(struct walk *walk, const char *name, struct signature *signature, struct stat *st,
		       struct err *err)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = walk->changes->clamp } };

	if (is_after(signature, walk->changes->clamp) && utimensat(walk->tree_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "set the time");
	if (fstatat(walk->tree_fd, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat");
	*signature = signature_of(st);
	return 0;
}

/* The names of one inode become the names of one inode. links_fd keeps a short name for each, since paths may be too long
   to link from, and its table needs no memory. */
static int copy_linked(struct walk *walk, const char *name, const struct stat *st, struct err *err)
{
	char link[32];

	snprintf(link, sizeof(link), "%" PRIx64, (uint64_t)st->st_ino);
	if (linkat(walk->changes->links_fd, link, walk->upper_fd, name, 0) == 0)
		return 0;
	if (errno != ENOENT)
		return err_errno(err, "link");
	if (layer_copy_entry(walk->tree_fd, name, st, walk->upper_fd, name, err) < 0)
		return -1;
	if (S_ISREG(st->st_mode) && layer_tag_names(walk->upper_fd, name, err) < 0)
		return -1;
	return linkat(walk->upper_fd, name, walk->changes->links_fd, link, 0) < 0 ? err_errno(err, "link") : 0;
}

static int copy_out(struct walk *walk, struct listed *entry, const char *name, struct err *err)
{
	struct stat st;

	if (make_upper(walk, err) < 0 || clamp_entry(walk, name, &entry->signature, &st, err) < 0)
		return -1;
	if (S_ISCHR(st.st_mode) && st.st_rdev == 0)
		return err_set(err, ERR_INPUT,
			       "a character device 0:0 cannot be in a layer, where it means a removed file");
	if (owner_fill_at(walk->tree_fd, name, &st) < 0)
		return err_errno(err, "read who owns it");
	return st.st_nlink > 1 ? copy_linked(walk, name, &st, err)
			       : layer_copy_entry(walk->tree_fd, name, &st, walk->upper_fd, name, err);
}

/* Layers hold no sockets, so they end with the step that made them. The directory must not show that. */
static int drop_sockets(struct walk *walk, struct listing *now, struct err *err)
{
	size_t kept = 0;
	struct stat st;

	for (size_t i = 0; i < now->count; i++) {
		if (!S_ISSOCK(now->entries[i].signature.mode))
			now->entries[kept++] = now->entries[i];
		else if (unlinkat(walk->tree_fd, listing_name(now, i), 0) < 0)
			return err_errno(err, "remove the socket %s", listing_name(now, i));
	}
	if (kept == now->count)
		return 0;
	now->count = kept;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
				     { .tv_sec = now->self.mtime, .tv_nsec = now->self.mtime_ns } };
	if (futimens(walk->tree_fd, times) < 0 || fstat(walk->tree_fd, &st) < 0)
		return err_errno(err, "set the time of a directory");
	now->self = signature_of(&st);
	return 0;
}

/* ---- directories ---- */

/* The next name of a level's two listings: in now, in then, or in both. Null when there is none. */
static const char *next_name(const struct level *level, size_t i, size_t j, bool *in_now, bool *in_then)
{
	const char *a = i < level->now.count ? listing_name(&level->now, i) : NULL;
	const char *b = j < level->then.count ? listing_name(&level->then, j) : NULL;
	int order = !a ? 1 : !b ? -1 : strcmp(a, b);

	*in_now = a && order <= 0;
	*in_then = b && order >= 0;
	return *in_now ? a : b;
}

/* Directories that are kept or new are seen to when they are entered. */
static int compare_entry(struct walk *walk, const char *name, struct listed *now, const struct listed *then,
			 struct err *err)
{
	if (!now)
		return remove_in_upper(walk, name, err);
	if (signature_is_dir(&now->signature) || (then && signature_equal(&now->signature, &then->signature)))
		return 0;
	return copy_out(walk, now, name, err);
}

static int compare_entries(struct walk *walk, struct err *err)
{
	struct level *level = top(walk);
	bool in_now, in_then;
	const char *name;

	for (size_t i = 0, j = 0; (name = next_name(level, i, j, &in_now, &in_then)); i += in_now, j += in_then) {
		if (compare_entry(walk, name, in_now ? &level->now.entries[i] : NULL,
				  in_then ? &level->then.entries[j] : NULL, err) < 0)
			return fail_at(walk, name, err);
	}
	return 0;
}

static int compare_self(struct walk *walk, struct err *err)
{
	struct level *level = top(walk);
	struct stat st;

	if (!level->is_new && signature_equal(&level->now.self, &level->then.self))
		return 0;
	if (clamp_entry(walk, ".", &level->now.self, &st, err) < 0 || make_upper(walk, err) < 0)
		return fail_at(walk, NULL, err);
	return level->replaces ? layer_make_opaque(walk->upper_fd, &walk->has_file_marks, err) : 0;
}

/* Reads the directory, and what was recorded of it. */
static int read_level(struct walk *walk, struct err *err)
{
	struct level *level = top(walk);

	if (walk->changes->then && !level->is_new && signatures_read(walk->changes->then, &level->then, err) < 0)
		return -1;
	if (listing_scan(&level->now, walk->tree_fd, &level->then, err) < 0)
		return fail_at(walk, NULL, err);
	return 0;
}

static int compare(struct walk *walk, struct err *err)
{
	if (drop_sockets(walk, &top(walk)->now, err) < 0)
		return fail_at(walk, NULL, err);
	return compare_self(walk, err) < 0 || compare_entries(walk, err) < 0 ? -1 : 0;
}

static struct level *push_level(struct walk *walk)
{
	if (walk->count == walk->cap) {
		walk->cap = walk->cap ? walk->cap * 2 : 32;
		walk->levels = reallocarray(walk->levels, walk->cap, sizeof(*walk->levels));
		if (!walk->levels)
			abort();
	}
	walk->levels[walk->count] = (struct level){ .fd = -1 };
	return &walk->levels[walk->count++];
}

static int go_down(struct walk *walk, const char *name, struct err *err)
{
	int fd = openat(walk->tree_fd, name, OPEN_DIR);

	if (fd < 0)
		return err_errno(err, "open"), fail_at(walk, name, err);
	if (walk->count > 0 && walk->count <= OPEN_LEVELS)
		top(walk)->fd = walk->tree_fd;
	else
		close(walk->tree_fd);
	walk->tree_fd = fd;
	return 0;
}

/* From the level that was just left. The step has ended, so nobody moves directories; should one be moved nevertheless, its
   ".." is somewhere else. */
static int go_up(struct walk *walk, struct err *err)
{
	struct level *level = top(walk);
	struct stat st;

	if (level->fd >= 0)
		return replace_fd(&walk->tree_fd, take_fd(&level->fd));
	if (move_fd(&walk->tree_fd, "..") < 0 || fstat(walk->tree_fd, &st) < 0)
		return err_errno(err, "open .."), fail_at(walk, NULL, err);
	if (st.st_ino != level->now.self.ino)
		return err_set(err, ERR_CORRUPT, "the directory was moved while it was read"), fail_at(walk, NULL, err);
	return 0;
}

/* name is an entry of the lowest level, or "." for the root. */
static int enter(struct walk *walk, const char *name, bool is_new, bool replaces, struct err *err)
{
	struct level *level;

	if (go_down(walk, name, err) < 0)
		return -1;
	level = push_level(walk);
	level->name = name;
	level->is_new = is_new;
	level->replaces = replaces;
	if (read_level(walk, err) < 0 || (walk->changes->then && compare(walk, err) < 0))
		return -1;
	note_newest(walk, &level->now.self);
	for (size_t i = 0; i < level->now.count; i++)
		note_newest(walk, &level->now.entries[i].signature);
	return signatures_write(walk->changes->now, &level->now, err);
}

static int leave(struct walk *walk, struct err *err)
{
	struct level *level = top(walk);

	if (walk->changes->then && walk->upper_count == walk->count && close_upper(walk, err) < 0)
		return fail_at(walk, NULL, err);
	listing_release(&level->now);
	listing_release(&level->then);
	walk->count--;
	return walk->count > 0 ? go_up(walk, err) : 0;
}

/* Enters the next sub-directory of the lowest level, or leaves it. The signatures of directories that are gone are passed
   over when their turn comes. */
static int step(struct walk *walk, struct err *err)
{
	struct level *level = top(walk);
	bool in_now, in_then;
	const char *name;

	while ((name = next_name(level, level->next_now, level->next_then, &in_now, &in_then))) {
		bool is_dir = in_now && signature_is_dir(&level->now.entries[level->next_now].signature);
		bool was_dir = in_then && signature_is_dir(&level->then.entries[level->next_then].signature);

		level->next_now += in_now;
		level->next_then += in_then;
		if (is_dir)
			return enter(walk, name, !was_dir, in_then && !was_dir, err);
		if (was_dir && signatures_skip(walk->changes->then, err) < 0)
			return -1;
	}
	return leave(walk, err);
}

int changes_pass(const struct changes *changes, struct timespec *newest, struct err *err)
{
	__attribute__((cleanup(walk_release))) struct walk walk = {
		.changes = changes,
		.tree_fd = fcntl(changes->tree_fd, F_DUPFD_CLOEXEC, 3),
		.upper_fd = changes->then ? fcntl(changes->upper_fd, F_DUPFD_CLOEXEC, 3) : -1,
		.upper_count = 1,
	};

	if (walk.tree_fd < 0 || (changes->then && walk.upper_fd < 0))
		return err_errno(err, "open the working tree");
	if (signatures_begin(changes->now, err) < 0 || enter(&walk, ".", !changes->then, false, err) < 0)
		return -1;
	while (walk.count > 0) {
		if (step(&walk, err) < 0)
			return -1;
	}
	*newest = walk.newest;
	return 0;
}
