/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kiln/base/scope.h"
#include "mount.h"

/* A message of a file system context begins with "e " (error), "w " or "i ". */
static int fail_with_log(int fs_fd, const char *type, struct err *err)
{
	int saved = errno;
	char line[256], shown[256];
	ssize_t len = read(fs_fd, line, sizeof(line) - 1);

	errno = saved;
	if (len <= 2)
		return err_errno(err, "mount %s", type);
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
	err_printable(shown, sizeof(shown), line + 2);
	errno = saved;
	return err_errno(err, "mount %s (%s)", type, shown);
}

/* The source is what df shows; no file system of ours has one. */
static int configure(int fs_fd, const char *type, const struct mount_option *options)
{
	if (fsconfig(fs_fd, FSCONFIG_SET_STRING, "source", type, 0) < 0)
		return -1;
	for (; options && options->key; options++) {
		unsigned command = options->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
		if (fsconfig(fs_fd, command, options->key, options->value, 0) < 0)
			return -1;
	}
	return fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

int mount_new(const char *type, const struct mount_option *options, uint64_t attrs, struct err *err)
{
	scope_fd int fs_fd = fsopen(type, FSOPEN_CLOEXEC);

	if (fs_fd < 0)
		return err_errno(err, "mount %s", type);
	if (configure(fs_fd, type, options) < 0)
		return fail_with_log(fs_fd, type, err);
	int mount_fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, (unsigned)attrs);
	return mount_fd < 0 ? fail_with_log(fs_fd, type, err) : mount_fd;
}

int mount_clone(int dir_fd, const char *path, unsigned flags, struct err *err)
{
	unsigned how = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | flags;
	int mount_fd = open_tree(dir_fd, path, how);

	return mount_fd < 0 ? err_errno(err, "clone the mount of %s", *path ? path : "a directory") : mount_fd;
}

int mount_restrict(int mount_fd, uint64_t attrs, unsigned flags, struct err *err)
{
	struct mount_attr attr = { .attr_set = attrs };

	if (mount_setattr(mount_fd, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr)) == 0)
		return 0;
	if (errno == ENOSYS)
		return err_set(err, ERR_UNSUPPORTED, "mount_setattr is missing: kiln needs Linux 5.12");
	return err_errno(err, "restrict a mount");
}

int mount_attach(int mount_fd, int target_fd, const char *name, struct err *err)
{
	if (move_mount(mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0)
		return 0;
	return err_errno(err, "mount on %s", name);
}

int mount_bind(const struct mount_bind *bind, int target_fd, const char *name, struct err *err)
{
	scope_fd int mount_fd = mount_clone(bind->from_fd, bind->from, bind->flags, err);

	if (mount_fd < 0 || mount_restrict(mount_fd, bind->attrs, bind->flags, err) < 0)
		return -1;
	return mount_attach(mount_fd, target_fd, name, err);
}
