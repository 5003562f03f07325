/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kiln/base/log.h"
#include "kiln/base/scope.h"
#include "mount.h"
#include "setup.h"

/* /dev: a tmpfs that is filled before it is attached, with the host's nodes bound in it, since nobody can make one in a
   user namespace. */

#define SHM_SIZE ((int64_t)64 << 20)

static const struct {
	const char *name;
	unsigned major, minor;
} nodes[] = {
	{ "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 }, { "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};

static const struct {
	const char *name, *target;
} links[] = {
	{ "fd", "/proc/self/fd" },       { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" }, { "ptmx", "pts/ptmx" },
};

static const char *const dirs[] = { "pts", "shm", "mqueue" };

/* The nodes are mount points to be: empty files. */
static int fill(int dev_fd, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
		scope_fd int fd = openat(dev_fd, nodes[i].name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			return err_errno(err, "make %s", nodes[i].name);
	}
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		if (symlinkat(links[i].target, dev_fd, links[i].name) < 0)
			return err_errno(err, "make %s", links[i].name);
	}
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		if (mkdirat(dev_fd, dirs[i], 0755) < 0)
			return err_errno(err, "make %s", dirs[i]);
	}
	return 0;
}

/* Inside our own tmpfs; what is mounted there is not passed. */
static int open_target(int dev_fd, const char *name, struct err *err)
{
	int fd = openat(dev_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_errno(err, "open %s", name) : fd;
}

static int bind_node(int dev_fd, size_t index, struct err *err)
{
	const char *name = nodes[index].name;
	struct err failed = { 0 };
	struct stat st;
	char path[32];

	snprintf(path, sizeof(path), "/dev/%s", name);
	scope_fd int mount_fd = mount_clone(AT_FDCWD, path, 0, &failed);
	if (mount_fd < 0 && err_is_errno(&failed, ENOENT) && index > 0) {
		log_debug("cage: the host has no %s", path);
		return unlinkat(dev_fd, name, 0) < 0 ? err_errno(err, "remove %s", path) : 0;
	}
	if (mount_fd < 0) {
		if (err)
			*err = failed;
		return -1;
	}
	if (fstat(mount_fd, &st) < 0)
		return err_errno(err, "stat %s", path);
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(nodes[index].major, nodes[index].minor))
		return err_set(err, ERR_UNSUPPORTED, "%s of the host is not the device that it should be", path);
	scope_fd int target_fd = open_target(dev_fd, name, err);
	if (target_fd < 0 || mount_restrict(mount_fd, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, err) < 0)
		return -1;
	return mount_attach(mount_fd, target_fd, path, err);
}

static int mount_inside(int dev_fd, const char *name, int mount_fd, struct err *err)
{
	scope_fd int owned_fd = mount_fd;
	scope_fd int target_fd = open_target(dev_fd, name, err);

	return target_fd < 0 ? -1 : mount_attach(owned_fd, target_fd, name, err);
}

/* Group 5 is tty on every distribution; where it is not mapped the kernel says EINVAL. */
static int mount_pts(int dev_fd, struct err *err)
{
	const struct mount_option with_group[] = {
		{ "newinstance", NULL }, { "ptmxmode", "0666" }, { "mode", "0620" }, { "gid", "5" }, { NULL, NULL }
	};
	const struct mount_option without_group[] = {
		{ "newinstance", NULL }, { "ptmxmode", "0666" }, { "mode", "0620" }, { NULL, NULL }
	};
	const uint64_t attrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	struct err failed = { 0 };
	int mount_fd = mount_new("devpts", with_group, attrs, &failed);

	if (mount_fd < 0)
		mount_fd = mount_new("devpts", without_group, attrs, err);
	return mount_fd < 0 ? -1 : mount_inside(dev_fd, "pts", mount_fd, err);
}

static int mount_shm(const struct setup *setup, int dev_fd, struct err *err)
{
	char size[32];
	const struct mount_option options[] = { { "mode", "1777" }, { "size", size }, { NULL, NULL } };

	snprintf(size, sizeof(size), "%" PRId64, setup->cage->shm_size > 0 ? setup->cage->shm_size : SHM_SIZE);
	int mount_fd = mount_new("tmpfs", options, MOUNT_CLOSED, err);
	return mount_fd < 0 ? -1 : mount_inside(dev_fd, "shm", mount_fd, err);
}

/* Kernels may be built without. */
static int mount_mqueue(int dev_fd, struct err *err)
{
	struct err failed = { 0 };
	int mount_fd = mount_new("mqueue", NULL, MOUNT_CLOSED, &failed);

	if (mount_fd < 0) {
		log_debug("cage: %s", failed.msg);
		return 0;
	}
	return mount_inside(dev_fd, "mqueue", mount_fd, err);
}

int setup_dev(struct setup *setup, struct err *err)
{
	const struct mount_option options[] = { { "mode", "0755" }, { "size", "64m" }, { NULL, NULL } };
	scope_fd int target_fd = setup_open_toplevel(setup, "dev", err);

	if (target_fd < 0)
		return -1;
	scope_fd int dev_fd = mount_new("tmpfs", options, MOUNT_ATTR_NOSUID, err);
	if (dev_fd < 0 || fill(dev_fd, err) < 0 || mount_attach(dev_fd, target_fd, "/dev", err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
		if (bind_node(dev_fd, i, err) < 0)
			return -1;
	}
	if (mount_pts(dev_fd, err) < 0 || mount_shm(setup, dev_fd, err) < 0)
		return -1;
	return mount_mqueue(dev_fd, err);
}
