/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/arena.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "stubs.h"

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* The kernel follows at most this many links in one path too. */
#define LINKS_MAX 40

static int set_mtime(int dir_fd, const struct stat *st)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, st->st_mtim };

	return futimens(dir_fd, times);
}

/* ---- making ---- */

static void remember(struct stubs *stubs, int parent_fd, const char *name, const struct stat *st)
{
	stubs->items = reallocarray(stubs->items, stubs->count + 1, sizeof(*stubs->items));
	if (!stubs->items)
		abort();
	struct stub *stub = &stubs->items[stubs->count++];
	*stub = (struct stub){ .parent_fd = parent_fd,
			       .dev = st->st_dev,
			       .ino = st->st_ino,
			       .uid = st->st_uid,
			       .gid = st->st_gid,
			       .is_dir = S_ISDIR(st->st_mode) };
	snprintf(stub->name, sizeof(stub->name), "%s", name);
}

/* The mode is set by hand, since mkdir and open obey the umask. Returns the new file's fd. */
static int create(int parent_fd, const char *name, bool is_dir)
{
	int fd;

	if (is_dir)
		fd = mkdirat(parent_fd, name, 0700) < 0 ? -1 : openat(parent_fd, name, OPEN_DIR);
	else
		fd = openat(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && fchmod(fd, is_dir ? 0755 : 0644) < 0) {
		scope_close_fd(&fd);
		return -1;
	}
	return fd;
}

static int make_one(struct stubs *stubs, int parent_fd, const char *name, bool is_dir, struct err *err)
{
	scope_fd int holder_fd = openat(parent_fd, ".", OPEN_DIR);
	struct stat before, st;

	if (holder_fd < 0 || fstat(holder_fd, &before) < 0)
		return err_errno(err, "make a mount point");
	scope_fd int fd = create(holder_fd, name, is_dir);
	if (fd < 0 || fstat(fd, &st) < 0 || set_mtime(holder_fd, &before) < 0)
		return err_errno(err, "make a mount point");
	remember(stubs, take_fd(&holder_fd), name, &st);
	return 0;
}

/* A path on its way: links that dangle are replaced by what they say, as root_make_dirs does. */
struct search {
	struct stubs *stubs;
	const struct root *root;
	struct arena arena;
	const char *path;
	bool is_dir;
	int links;
};

static void search_release(struct search *search)
{
	arena_release(&search->arena);
}

/* path[start, end) is a link that leads nowhere: what it says takes its place. */
static int follow_dangling(struct search *search, int parent_fd, const char *name, size_t start, size_t end,
			   struct err *err)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(parent_fd, name, target, sizeof(target) - 1);

	if (len < 0 || ++search->links > LINKS_MAX) {
		errno = len < 0 ? errno : ELOOP;
		return err_errno(err, "make a mount point");
	}
	target[len] = '\0';
	size_t kept = target[0] == '/' ? 0 : start;
	search->path = arena_printf(&search->arena, "%.*s%s%s", (int)kept, search->path, target, search->path + end);
	return 0;
}

/* path[0, start) is the open directory parent_fd, path[start, end) is missing in it. */
static int make_component(struct search *search, int parent_fd, size_t start, size_t end, struct err *err)
{
	const char *name = arena_strndup(&search->arena, search->path + start, end - start);
	bool is_last = !search->path[end + strspn(search->path + end, "/")];
	struct stat st;

	if (strlen(name) > NAME_MAX) {
		errno = ENAMETOOLONG;
		return err_errno(err, "make a mount point");
	}
	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
		return follow_dangling(search, parent_fd, name, start, end, err);
	return make_one(search->stubs, parent_fd, name, search->is_dir || !is_last, err);
}

static int open_prefix(struct search *search, size_t end, struct err *err)
{
	const char *prefix = arena_strndup(&search->arena, search->path, end);

	return root_open(search->root, prefix, O_PATH | O_DIRECTORY, 0, err);
}

/* Makes the first component that is missing. The kernel resolves each prefix whole, so "..", links and the policy mean
   the same here as in root_open. */
static int make_next(struct search *search, struct err *err)
{
	scope_fd int dir_fd = open_prefix(search, 0, err);
	struct err missing = { 0 };
	size_t end = 0;

	if (dir_fd < 0)
		return -1;
	for (;;) {
		size_t start = end + strspn(search->path + end, "/");
		end = start + strcspn(search->path + start, "/");
		scope_fd int next_fd = open_prefix(search, end, &missing);
		if (next_fd < 0 && err_is_errno(&missing, ENOENT))
			return make_component(search, dir_fd, start, end, err);
		if (next_fd < 0 || !search->path[end]) {
			if (err)
				*err = missing;
			return -1;
		}
		close(dir_fd);
		dir_fd = take_fd(&next_fd);
	}
}

static int check_type(int fd, bool is_dir, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, "stat");
	if (S_ISDIR(st.st_mode) != is_dir)
		return err_set(err, ERR_INPUT, "is %s in the image, and a mount point there must be %s",
			       is_dir ? "not a directory" : "a directory", is_dir ? "one" : "a file");
	return 0;
}

static int open_or_make(struct search *search, struct err *err)
{
	struct err missing = { 0 };

	for (;;) {
		scope_fd int fd = root_open(search->root, search->path, O_PATH, 0, &missing);
		if (fd >= 0)
			return check_type(fd, search->is_dir, err) < 0 ? -1 : take_fd(&fd);
		if (!err_is_errno(&missing, ENOENT)) {
			if (err)
				*err = missing;
			return -1;
		}
		if (make_next(search, err) < 0)
			return -1;
	}
}

int stubs_open(struct stubs *stubs, const struct root *root, const char *path, bool is_dir, struct err *err)
{
	__attribute__((cleanup(search_release))) struct search search = {
		.stubs = stubs, .root = root, .path = path, .is_dir = is_dir
	};
	char shown[512];
	int fd = open_or_make(&search, err);

	return fd < 0 ? err_wrap(err, "%s", err_printable(shown, sizeof(shown), path)) : fd;
}

/* A link at /dev, /proc or /sys is never an accident (CVE-2026-41579, CVE-2019-19921). */
int stubs_open_toplevel(struct stubs *stubs, const struct root *root, const char *name, struct err *err)
{
	struct stat st;

	if (fstatat(root->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return err_errno(err, "stat /%s", name);
		if (make_one(stubs, root->fd, name, true, err) < 0)
			return err_wrap(err, "/%s", name);
	} else if (!S_ISDIR(st.st_mode)) {
		return err_set(err, ERR_INPUT, "/%s of the image is %s, and kiln needs a directory there", name,
			       S_ISLNK(st.st_mode) ? "a symbolic link" : "a file");
	}
	int fd = openat(root->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_errno(err, "open /%s", name) : fd;
}

/* ---- removing ---- */

/* Still what we made, as far as anybody can tell: a stub lies under a mount, so only a parent of one can have changed. */
static bool is_unchanged(const struct stub *stub)
{
	struct stat st;

	if (fstatat(stub->parent_fd, stub->name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != stub->dev ||
	    st.st_ino != stub->ino || st.st_uid != stub->uid || st.st_gid != stub->gid)
		return false;
	if (stub->is_dir)
		return S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0755;
	return S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0644 && st.st_size == 0 && st.st_nlink == 1;
}

static int remove_one(const struct stub *stub, struct err *err)
{
	struct stat before;

	if (!is_unchanged(stub))
		return 0;
	if (fstat(stub->parent_fd, &before) < 0)
		return err_errno(err, "remove the mount point %s", stub->name);
	if (unlinkat(stub->parent_fd, stub->name, stub->is_dir ? AT_REMOVEDIR : 0) < 0)
		return errno == ENOTEMPTY ? 0 : err_errno(err, "remove the mount point %s", stub->name);
	if (set_mtime(stub->parent_fd, &before) < 0)
		return err_errno(err, "restore the time of the directory of %s", stub->name);
	return 0;
}

int stubs_remove(struct stubs *stubs, struct err *err)
{
	int result = 0;

	for (size_t i = stubs->count; i > 0; i--) {
		if (remove_one(&stubs->items[i - 1], result == 0 ? err : NULL) < 0)
			result = -1;
	}
	stubs_release(stubs);
	return result;
}

void stubs_release(struct stubs *stubs)
{
	for (size_t i = 0; i < stubs->count; i++)
		close(stubs->items[i].parent_fd);
	free(stubs->items);
	*stubs = (struct stubs){ 0 };
}
