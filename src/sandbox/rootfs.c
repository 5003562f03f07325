/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "mount.h"
#include "setup.h"

/*
 * The root of a step, and the files that are mounted in it.
 *
 * The new root is mounted on the old one. A look-up of an absolute path still begins at the old root, so its /proc, /sys
 * and /dev stay in reach until pivot_root. Then it is taken off with all that is on it: one unmounting, since each has to
 * wait for every processor. For the same reason the tmpfs with our files is left where nobody sees it, under /dev.
 */

/* ---- the root ---- */

int setup_open_toplevel(const struct setup *setup, const char *name, struct err *err)
{
	int fd = openat(setup->root.fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_errno(err, "open /%s of the image", name) : fd;
}

int setup_root(struct setup *setup, struct err *err)
{
	scope_fd int old_fd = openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (old_fd < 0)
		return err_errno(err, "open /");
	setup->root = (struct root){ setup->tree_fd, ROOT_CHROOT };
	if (mount_restrict(setup->tree_fd, MOUNT_ATTR_NODEV, 0, err) < 0)
		return -1;
	return mount_attach(setup->tree_fd, old_fd, "/", err);
}

/* ---- what is mounted in it ---- */

struct target {
	const char *path; /* cleaned */
	const char *file; /* one of our own, in files_fd; or NULL: */
	size_t index;     /* in cage->mounts */
};

/* By path, so that what is mounted in a mount comes after it; the order of the cage for one path. */
static int compare_targets(const void *a, const void *b)
{
	const struct target *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	if (order != 0)
		return order;
	if (!x->file != !y->file)
		return x->file ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static int mount_tmpfs(const struct cage_mount *mount, struct err *err)
{
	char size[32], mode[32], uid[32], gid[32];
	struct mount_option options[5] = { { "mode", mode }, { "uid", uid }, { "gid", gid } };

	snprintf(mode, sizeof(mode), "%o", mount->mode ? mount->mode & 07777 : 01777);
	snprintf(uid, sizeof(uid), "%" PRIu32, owners_are_recorded() ? 0 : mount->uid);
	snprintf(gid, sizeof(gid), "%" PRIu32, owners_are_recorded() ? 0 : mount->gid);
	snprintf(size, sizeof(size), "%" PRId64, mount->size);
	if (mount->size > 0)
		options[3] = (struct mount_option){ "size", size };
	scope_fd int fd = mount_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
	if (fd >= 0 && owners_are_recorded() && setup_give(fd, mount->uid, mount->gid) < 0)
		return err_errno(err, "give it to user %" PRIu32, mount->uid);
	return take_fd(&fd);
}

/* The detached mount, owned by the caller. */
static int mount_source(const struct setup *setup, const struct target *target, struct err *err)
{
	const struct cage_mount *mount = &setup->cage->mounts[target->index];
	char name[FILES_NAME];
	int fd;

	if (target->file)
		return mount_clone(setup->files_fd, target->file, 0, err);
	switch (mount->type) {
	case CAGE_TMPFS:
		return mount_tmpfs(mount, err);
	case CAGE_FILE:
	case CAGE_SECRET:
		return mount_clone(setup->files_fd, setup_file_name(mount, target->index, name), 0, err);
	case CAGE_BIND:
		if (mount->is_in_tree)
			return mount_clone(mount->source_fd, "", AT_RECURSIVE, err);
		fd = fcntl(setup->source_fds[target->index], F_DUPFD_CLOEXEC, 3);
		return fd < 0 ? err_errno(err, "duplicate a file") : fd;
	}
	return err_set(err, ERR_INPUT, "unknown type of mount %d", (int)mount->type);
}

static uint64_t mount_attrs(const struct setup *setup, const struct target *target)
{
	const struct cage_mount *mount = &setup->cage->mounts[target->index];
	uint64_t attrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

	if (target->file || mount->type == CAGE_SECRET)
		return MOUNT_ATTR_RDONLY | MOUNT_CLOSED;
	if (mount->read_only)
		attrs |= MOUNT_ATTR_RDONLY;
	if (mount->type == CAGE_FILE && !(mount->mode & 0111))
		attrs |= MOUNT_ATTR_NOEXEC;
	return attrs;
}

static bool source_is_dir(int mount_fd)
{
	struct stat st;

	return fstat(mount_fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int mount_target(struct setup *setup, const struct target *target, struct err *err)
{
	/* What is made here lies in another mount of the step, not in the image: nothing has to be taken away. */
	scope_stubs struct stubs stubs = { 0 };
	struct err failed = { 0 };

	if (!*target->path)
		return err_set(err, ERR_INPUT, "nothing can be mounted on the root itself");
	scope_fd int mount_fd = mount_source(setup, target, err);
	if (mount_fd < 0 || mount_restrict(mount_fd, mount_attrs(setup, target), AT_RECURSIVE, err) < 0)
		return -1;
	scope_fd int target_fd = stubs_open(&stubs, &setup->root, target->path, source_is_dir(mount_fd), &failed);
	if (target_fd >= 0)
		return mount_attach(mount_fd, target_fd, target->path, err);
	if (target->file && err_is_errno(&failed, EROFS)) {
		log_debug("cage: a read-only mount without %s stays as it is", target->path);
		return 0;
	}
	if (err)
		*err = failed;
	return -1;
}

static struct target *list_targets(struct arena *arena, const struct cage *cage, size_t *count)
{
	static const struct target own[] = { { "etc/hosts", "hosts", 0 },
					     { "etc/resolv.conf", "resolv.conf", 1 },
					     { "etc/hostname", "hostname", 2 } };
	struct target *targets = arena_array(arena, struct target, ARRAY_LEN(own) + cage->mount_count);

	memcpy(targets, own, sizeof(own));
	for (size_t i = 0; i < cage->mount_count; i++)
		targets[ARRAY_LEN(own) + i] = (struct target){ .path = path_clean(arena, cage->mounts[i].target),
							       .index = i };
	*count = ARRAY_LEN(own) + cage->mount_count;
	qsort(targets, *count, sizeof(*targets), compare_targets);
	return targets;
}

int setup_mounts(struct setup *setup, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	size_t count;
	const struct target *targets = list_targets(&arena, setup->cage, &count);

	for (size_t i = 0; i < count; i++) {
		if (mount_target(setup, &targets[i], err) < 0)
			return err_wrap(err, "/%s", targets[i].path);
	}
	return 0;
}

/* ---- the change of root ---- */

/* The old root comes to lie on the new one, from where it is taken off: no directory for it is needed (pivot_root(2)).
   That it is gone is checked at the end (readback.h). */
int setup_pivot(struct setup *setup, struct err *err)
{
	if (fchdir(setup->root.fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_errno(err, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_errno(err, "leave the old root");
	return 0;
}

static int give_to_user(void *arg, int dir_fd, struct err *err)
{
	const struct user *user = arg;

	return owner_set(dir_fd, user->uid, user->gid) < 0 ? err_errno(err, "give it to user %" PRIu32, user->uid) : 0;
}

/* The kernel writes "(unreachable)" in front of what lies outside the root (CVE-2024-21626). */
static int check_cwd(struct err *err)
{
	char path[PATH_MAX];

	if (syscall(SYS_getcwd, path, sizeof(path)) < 0)
		return err_errno(err, "getcwd");
	return path[0] == '/' ? 0 : err_set(err, ERR_INPUT, "it lies outside the step's root");
}

/* Entered as root, as docker does: the user may have no right to. */
int setup_cwd(struct setup *setup, struct err *err)
{
	const char *cwd = setup->cage->cwd ? setup->cage->cwd : "/";
	struct user user = setup->cage->user;
	char shown[512];

	scope_fd int fd = root_make_dirs(&setup->root, cwd, 0755, give_to_user, &user, err);
	if (fd >= 0 && fchdir(fd) < 0)
		err_errno(err, "enter it");
	else if (fd >= 0 && check_cwd(err) == 0)
		return 0;
	return err_wrap(err, "%s", err_printable(shown, sizeof(shown), cwd));
}

/* ---- stdin, stdout, stderr ---- */

/* Above the three, so that none of them is overwritten before it is duplicated. */
static int duplicate(int fd, struct err *err)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? err_errno(err, "duplicate standard file %d", fd) : copy;
}

static int open_stdin(const struct setup *setup, struct err *err)
{
	if (setup->cage->stdin_fd >= 0)
		return duplicate(setup->cage->stdin_fd, err);
	return root_open(&setup->root, "dev/null", O_RDONLY, 0, err);
}

/* A pipe belongs to who made it, and opening /dev/stdout opens it anew; files of the caller stay what they are. */
static int give_pipe(const struct setup *setup, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, "stat standard file %d", fd);
	if (!S_ISFIFO(st.st_mode) && !(setup->cage->tty && S_ISCHR(st.st_mode) && isatty(fd)))
		return 0;
	if (fchown(fd, setup->cage->user.uid, (gid_t)-1) < 0)
		log_debug("cage: standard file %d cannot be given to the user", fd);
	return 0;
}

int setup_stdio(struct setup *setup, struct err *err)
{
	scope_fd int in = open_stdin(setup, err);
	scope_fd int out = in < 0 ? -1 : duplicate(setup->cage->stdout_fd, err);
	scope_fd int errors = out < 0 ? -1 : duplicate(setup->cage->stderr_fd, err);
	const int fds[] = { in, out, errors };

	if (errors < 0)
		return -1;
	for (int i = 0; i < 3; i++) {
		if (dup2(fds[i], i) < 0)
			return err_errno(err, "set standard file %d", i);
		if ((i > 0 || setup->cage->stdin_fd >= 0) && give_pipe(setup, i, err) < 0)
			return -1;
	}
	if (setup->cage->tty && ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
		return err_errno(err, "make the terminal the controlling one");
	return 0;
}
