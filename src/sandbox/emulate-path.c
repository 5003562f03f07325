/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "emulate.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

/*
 * Paths of a process. The supervisor has the same mounts and, as a rule, the same root, so most paths mean to it what they
 * mean to the process once their beginning is right. They do not
 *	- where the process has changed its root, and
 *	- where the path leads through /proc/self, which is the supervisor's own.
 * Then the path is walked here, component by component.
 */

#define LINKS_MAX 40

int tracee_dir(const struct call *call)
{
	return call->row->dir < 0 ? AT_FDCWD : (int)call_arg(call, call->row->dir);
}

/* ---- where a path begins ---- */

/* The open file, or the working directory, of the process. */
static int open_start(const struct call *call, int dir_fd)
{
	char name[48];

	if (dir_fd == AT_FDCWD)
		snprintf(name, sizeof(name), "%d/cwd", call->proc_pid);
	else if (dir_fd >= 0)
		snprintf(name, sizeof(name), "%d/fd/%d", call->proc_pid, dir_fd);
	else
		return -EBADF;
	int fd = openat(call->emulator->proc_fd, name, O_PATH | O_CLOEXEC);
	return fd >= 0 ? fd : errno == ENOENT && dir_fd != AT_FDCWD ? -EBADF : -errno;
}

static int open_root(const struct call *call)
{
	char name[32];

	snprintf(name, sizeof(name), "%d/root", call->proc_pid);
	int fd = openat(call->emulator->proc_fd, name, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || !path[len]);
}

static bool may_be_chrooted(struct call *call)
{
	struct creds creds;

	return call->emulator->has_chroots && (tracee_creds(call, &creds) < 0 || creds.is_chrooted);
}

bool tracee_quick_path(struct call *call, int dir_fd, const char *path, char *out, size_t size)
{
	int len;

	if (may_be_chrooted(call))
		return false;
	if (path[0] == '/') {
		if (is_below(path, "/proc") || is_below(path, "/dev"))
			return false;
		len = snprintf(out, size, "%s", path);
	} else if (dir_fd == AT_FDCWD) {
		len = snprintf(out, size, "/proc/%d/cwd/%s", call->proc_pid, path);
	} else {
		len = snprintf(out, size, "/proc/%d/fd/%d%s%s", call->proc_pid, dir_fd, *path ? "/" : "", path);
	}
	return len > 0 && (size_t)len < size;
}

/* ---- the walk ---- */

struct walk {
	const struct call *call;
	int root_fd, at_fd;
	char *text; /* what the rest points into */
	const char *rest;
	int links;
};

static void walk_release(struct walk *walk)
{
	if (walk->root_fd >= 0)
		scope_close_fd(&walk->root_fd);
	if (walk->at_fd >= 0)
		scope_close_fd(&walk->at_fd);
	free(walk->text);
}

static void go_to(struct walk *walk, int fd)
{
	if (walk->at_fd >= 0)
		close(walk->at_fd);
	walk->at_fd = fd;
}

static bool are_same(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int go_up(struct walk *walk)
{
	if (are_same(walk->at_fd, walk->root_fd))
		return 0;
	int fd = openat(walk->at_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	go_to(walk, fd);
	return 0;
}

static int replace_rest(struct walk *walk, const char *target)
{
	char *text;

	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	if (asprintf(&text, "%s%s%s", target, *walk->rest ? "/" : "", walk->rest) < 0)
		abort();
	free(walk->text);
	walk->text = text;
	walk->rest = text + strspn(text, "/");
	if (target[0] != '/')
		return 0;
	int fd = fcntl(walk->root_fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	go_to(walk, fd);
	return 0;
}

static bool is_in_proc(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == PROC_SUPER_MAGIC;
}

/* Links of /proc: self is the process that asks, those to files have no path that could be walked, the rest are relative. */
static int follow_in_proc(struct walk *walk, int link_fd, const char *name)
{
	char target[PATH_MAX];
	ssize_t len;

	if (text_equal(name, "self"))
		snprintf(target, sizeof(target), "%d", walk->call->proc_pid);
	else if (text_equal(name, "thread-self"))
		snprintf(target, sizeof(target), "%d/task/%d", walk->call->proc_pid, walk->call->proc_pid);
	else if (text_equal(name, "mounts") || text_equal(name, "net")) {
		len = readlinkat(link_fd, "", target, sizeof(target) - 1);
		if (len < 0)
			return -errno;
		target[len] = '\0';
	} else {
		int fd = openat(walk->at_fd, name, O_PATH | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		go_to(walk, fd);
		return 0;
	}
	return replace_rest(walk, target);
}

static int follow(struct walk *walk, int link_fd, const char *name)
{
	char target[PATH_MAX];

	if (is_in_proc(link_fd))
		return follow_in_proc(walk, link_fd, name);
	ssize_t len = readlinkat(link_fd, "", target, sizeof(target) - 1);
	if (len < 0)
		return -errno;
	target[len] = '\0';
	return replace_rest(walk, target);
}

static int go_down(struct walk *walk, const char *name, bool is_last, bool follows)
{
	scope_fd int fd = openat(walk->at_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode) && (!is_last || follows))
		return follow(walk, fd, name);
	if (!is_last && !S_ISDIR(st.st_mode))
		return -ENOTDIR;
	go_to(walk, take_fd(&fd));
	return 0;
}

static int walk_step(struct walk *walk, bool follows)
{
	char name[NAME_MAX + 1];
	size_t len = strcspn(walk->rest, "/");

	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, walk->rest, len);
	name[len] = '\0';
	walk->rest += len;
	/* "link/" means what the link leads to. */
	bool is_last = !*walk->rest;
	walk->rest += strspn(walk->rest, "/");
	if (text_equal(name, "."))
		return 0;
	return text_equal(name, "..") ? go_up(walk) : go_down(walk, name, is_last, follows);
}

static int walk_path(const struct call *call, int dir_fd, const char *path, bool follows)
{
	__attribute__((
		cleanup(walk_release))) struct walk walk = { .call = call, .root_fd = open_root(call), .at_fd = -1 };

	if (walk.root_fd < 0)
		return walk.root_fd;
	walk.text = strdup(path);
	if (!walk.text)
		abort();
	walk.rest = walk.text + strspn(walk.text, "/");
	int start = path[0] == '/' ? fcntl(walk.root_fd, F_DUPFD_CLOEXEC, 3) : open_start(call, dir_fd);
	if (start < 0)
		return start;
	walk.at_fd = start;
	while (*walk.rest) {
		int result = walk_step(&walk, follows);
		if (result < 0)
			return result;
	}
	return take_fd(&walk.at_fd);
}

/* ---- files ---- */

/* Without magic links, and within one mount: else the path could lead through /proc/self, to the supervisor's own files. */
static int open_plainly(const struct call *call, int dir_fd, const char *path, bool follows)
{
	const struct open_how how = { .flags = O_PATH | O_CLOEXEC | (follows ? 0 : O_NOFOLLOW),
				      .resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };
	int start = path[0] == '/' ? AT_FDCWD : open_start(call, dir_fd);

	if (start < 0 && start != AT_FDCWD)
		return start;
	int fd = (int)syscall(SYS_openat2, start, path, &how, sizeof(how));
	int result = fd < 0 ? -errno : fd;
	if (start >= 0)
		close(start);
	return result;
}

int tracee_open_at(struct call *call, int dir_fd, const char *path, bool follow)
{
	if (!*path)
		return -ENOENT;
	if (!may_be_chrooted(call) && !is_below(path, "/proc") && !is_below(path, "/dev")) {
		int result = open_plainly(call, dir_fd, path, follow);
		if (result != -ELOOP && result != -EXDEV)
			return result;
	}
	return walk_path(call, dir_fd, path, follow);
}

int tracee_open(struct call *call, int flags)
{
	int result = tracee_read_path(call);

	if (result < 0)
		return result;
	int fd = call->row->path < 0 || (!call->path[0] && (flags & AT_EMPTY_PATH))
			 ? open_start(call, tracee_dir(call))
			 : tracee_open_at(call, tracee_dir(call), call->path, !(flags & AT_SYMLINK_NOFOLLOW));
	if (fd >= 0 && !tracee_is_valid(call)) {
		close(fd);
		return -ESRCH;
	}
	return fd;
}

int tracee_open_parent(struct call *call, int dir_fd, char *path, char **leaf)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	char *slash = strrchr(path, '/');
	*leaf = slash ? slash + 1 : path;
	if (!**leaf)
		return len == 0 ? -ENOENT : -EEXIST;
	if (text_equal(*leaf, ".") || text_equal(*leaf, ".."))
		return -EEXIST;
	if (!slash)
		return tracee_open_at(call, dir_fd, ".", true);
	if (slash == path)
		return tracee_open_at(call, dir_fd, "/", true);
	*slash = '\0';
	int fd = tracee_open_at(call, dir_fd, path, true);
	*slash = '/';
	return fd;
}

/* ---- what is seen ---- */

static void read_device(struct seen *seen)
{
	char path[32];

	seen->device[0] = '\0';
	if (!S_ISREG(seen->st.st_mode) || seen->st.st_size > 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", seen->fd);
	ssize_t len = getxattr(path, DEVICE_XATTR, seen->device, sizeof(seen->device) - 1);
	seen->device[len > 0 ? len : 0] = '\0';
}

int seen_load(struct seen *seen)
{
	struct owner owner;

	if (fstat(seen->fd, &seen->st) < 0)
		return -errno;
	int found = owner_read(seen->fd, seen->st.st_mode, &owner);
	seen->is_foreign = seen->st.st_uid != 0 || is_in_proc(seen->fd);
	seen->is_recorded = found > 0;
	if (found > 0) {
		seen->st.st_uid = owner.uid;
		seen->st.st_gid = owner.gid;
	}
	read_device(seen);
	return 0;
}

struct creds_file seen_as_file(const struct seen *seen)
{
	return (struct creds_file){ seen->st.st_mode, seen->st.st_uid, seen->st.st_gid };
}
