/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#include "kiln/base/arena.h"
#include "kiln/base/root.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

/* The kernel follows at most this many links in one path too. */
#define LINKS_MAX 40

/* EAGAIN means that some rename or mount on the machine raced with a "..": common on a busy one, but not without end.
   It has a limit because O_NONBLOCK on a leased file says EAGAIN as well. */
#define RACES_MAX 1000

static const uint64_t resolve_flags[] = {
	[ROOT_CHROOT] = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	[ROOT_BENEATH] = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
};

/* The only openat2 in the program. A leading '/' is the root under both policies, so it is taken away here: BENEATH
   would refuse it. */
static int open_beneath(const struct root *root, const char *path, int flags, mode_t mode)
{
	bool makes_file = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
		.mode = makes_file ? mode & 07777 : 0,
		.resolve = resolve_flags[root->policy],
	};
	const char *inside = path + strspn(path, "/");
	int races = 0, fd;

	do {
		fd = (int)syscall(SYS_openat2, root->fd, *inside ? inside : ".", &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || (errno == EAGAIN && ++races < RACES_MAX)));
	return fd;
}

/* EPERM has honest reasons too (an immutable file), so the root itself is asked. */
static bool openat2_is_blocked(const struct root *root)
{
	int saved = errno;
	scope_fd int probe = open_beneath(root, ".", O_PATH, 0);
	bool is_blocked = probe < 0 && (errno == ENOSYS || errno == EPERM);

	errno = saved;
	return is_blocked;
}

static int fail(const struct root *root, const char *verb, const char *path, struct err *err)
{
	int saved = errno;
	char shown[512];

	if ((errno == ENOSYS || errno == EPERM) && openat2_is_blocked(root))
		return err_set(err, ERR_UNSUPPORTED, "openat2 is blocked (kernel before 5.6, or a seccomp filter)");
	err_printable(shown, sizeof(shown), *path ? path : "/");
	errno = saved;
	if (errno == EXDEV || (errno == ELOOP && root->policy == ROOT_BENEATH))
		return err_errno(err, "%s %s beneath its root", verb, shown);
	return err_errno(err, "%s %s", verb, shown);
}

int root_open(const struct root *root, const char *path, int flags, mode_t mode, struct err *err)
{
	int fd = open_beneath(root, path, flags, mode);

	return fd < 0 ? fail(root, "open", path, err) : fd;
}

int root_open_parent(const struct root *root, const char *path, const char **leaf, struct err *err)
{
	const char *name = path_base(path);
	size_t parent_len = (size_t)(name - path);
	char parent[PATH_MAX], shown[512];

	/* A leaf with a '/' behind it would make the *at calls follow a link, so such a path must be cleaned first. */
	if (!*name || text_equal(name, ".") || text_equal(name, ".."))
		return err_set(err, ERR_INPUT, "\"%s\" does not name a file in a directory",
			       err_printable(shown, sizeof(shown), path));
	if (parent_len >= sizeof(parent)) {
		errno = ENAMETOOLONG;
		return fail(root, "open", path, err);
	}
	memcpy(parent, path, parent_len);
	parent[parent_len] = '\0';

	int fd = open_beneath(root, parent, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fail(root, "open the directory of", path, err);
	*leaf = name;
	return fd;
}

/* What root_make_dirs knows while it walks: `path` changes when a dangling link is replaced by what it says. */
struct make_dirs {
	const struct root *root;
	struct arena arena;
	const char *path;
	mode_t mode;
	int (*made)(void *arg, int dir_fd, struct err *err);
	void *arg;
	int links;
};

static void make_dirs_release(struct make_dirs *make)
{
	arena_release(&make->arena);
}

/* Made as 0700 and then given its mode, since mkdir obeys the umask and inherits a set-group-id bit. */
static int make_dir(const struct make_dirs *make, int parent_fd, const char *name, struct err *err)
{
	scope_fd int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fchmod(fd, make->mode) < 0)
		return fail(make->root, "make directory", make->path, err);
	return make->made ? make->made(make->arg, fd, err) : 0;
}

/* The component path[start, end) is there and still leads nowhere: what its link says takes its place, and the walk begins
   again. This makes the target of /var/run -> /run, as a path that goes through it asks for. If it is no link, another
   process has just made it, and the next walk finds it. */
static int follow_dangling(struct make_dirs *make, int parent_fd, size_t start, size_t end, struct err *err)
{
	char target[PATH_MAX];
	const char *name = arena_strndup(&make->arena, make->path + start, end - start);
	ssize_t len = readlinkat(parent_fd, name, target, sizeof(target) - 1);

	if (++make->links > LINKS_MAX || (len >= 0 && make->root->policy == ROOT_BENEATH)) {
		errno = ELOOP;
		return fail(make->root, "make directory", make->path, err);
	}
	if (len < 0)
		return 0;
	target[len] = '\0';
	size_t before = target[0] == '/' ? 0 : start;
	make->path = arena_printf(&make->arena, "%.*s%s%s", (int)before, make->path, target, make->path + end);
	return 0;
}

enum walk_result { WALK_FAILED = -1, WALK_DONE, WALK_AGAIN };

/* Makes path[start, end) in parent_fd unless it is there. */
static enum walk_result make_component(struct make_dirs *make, int parent_fd, size_t start, size_t end, struct err *err)
{
	char name[NAME_MAX + 1];
	size_t len = end - start;

	if (len > NAME_MAX) {
		errno = ENAMETOOLONG;
		return fail(make->root, "make directory", make->path, err), WALK_FAILED;
	}
	memcpy(name, make->path + start, len);
	name[len] = '\0';
	if (mkdirat(parent_fd, name, 0700) == 0)
		return make_dir(make, parent_fd, name, err) < 0 ? WALK_FAILED : WALK_DONE;
	if (errno != EEXIST)
		return fail(make->root, "make directory", make->path, err), WALK_FAILED;
	return follow_dangling(make, parent_fd, start, end, err) < 0 ? WALK_FAILED : WALK_AGAIN;
}

/* One walk from the root. Each prefix is resolved whole by the kernel, so "..", links and the policy mean the same here
   as in root_open. */
static enum walk_result walk(struct make_dirs *make, int *out_fd, struct err *err)
{
	scope_fd int dir_fd = open_beneath(make->root, "", O_PATH | O_DIRECTORY, 0);
	char prefix[PATH_MAX];
	size_t end = 0, len = strlen(make->path);

	if (dir_fd < 0)
		return fail(make->root, "open", "/", err), WALK_FAILED;
	if (len >= sizeof(prefix)) {
		errno = ENAMETOOLONG;
		return fail(make->root, "make directory", make->path, err), WALK_FAILED;
	}
	for (;;) {
		size_t start = end + strspn(make->path + end, "/");
		if (!make->path[start])
			break;
		end = start + strcspn(make->path + start, "/");
		memcpy(prefix, make->path, end);
		prefix[end] = '\0';

		int fd = open_beneath(make->root, prefix, O_PATH | O_DIRECTORY, 0);
		if (fd < 0 && errno == ENOENT) {
			enum walk_result result = make_component(make, dir_fd, start, end, err);
			if (result != WALK_DONE)
				return result;
			fd = open_beneath(make->root, prefix, O_PATH | O_DIRECTORY, 0);
		}
		if (fd < 0)
			return fail(make->root, "make directory", make->path, err), WALK_FAILED;
		close(dir_fd);
		dir_fd = fd;
	}
	*out_fd = take_fd(&dir_fd);
	return WALK_DONE;
}

int root_make_dirs(const struct root *root, const char *path, mode_t mode,
		   int (*made)(void *arg, int dir_fd, struct err *err), void *arg, struct err *err)
{
	__attribute__((cleanup(make_dirs_release))) struct make_dirs make = {
		.root = root, .path = path, .mode = mode, .made = made, .arg = arg
	};
	int fd = open_beneath(root, path, O_PATH | O_DIRECTORY, 0);
	enum walk_result result = WALK_AGAIN;

	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		return fail(root, "make directory", path, err);
	while (result == WALK_AGAIN)
		result = walk(&make, &fd, err);
	return result == WALK_DONE ? fd : -1;
}

int root_stat(const struct root *root, const char *path, struct stat *st, struct err *err)
{
	struct stat found;
	scope_fd int fd = open_beneath(root, path, O_PATH | O_NOFOLLOW, 0);

	if (fd < 0 || fstat(fd, &found) < 0)
		return fail(root, "stat", path, err);
	*st = found;
	return 0;
}

static int check_regular(int fd, const struct root *root, const char *path, struct err *err)
{
	struct stat st;
	char shown[512];

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(root, "open", path, err);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT, "%s is not a regular file", err_printable(shown, sizeof(shown), path));
	return 0;
}

/* Opening a device can already act on it (a tape rewinds, a watchdog arms), so the type is looked at before the file is
   opened; and after, since the name may mean another file by then. */
int root_open_regular(const struct root *root, const char *path, struct err *err)
{
	scope_fd int place = open_beneath(root, path, O_PATH, 0);

	if (check_regular(place, root, path, err) < 0)
		return -1;
	scope_fd int fd = open_beneath(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (check_regular(fd, root, path, err) < 0)
		return -1;
	return take_fd(&fd);
}
