/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "kiln/layer/tree.h"

#include "node.h"
#include "place.h"
#include "shown.h"

int place_file(int dir_fd, const char *name, const struct layer_entry *entry, struct err *err)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, entry->mode & 0777);

	return fd < 0 ? err_errno(err, "create %s", SHOWN(entry->path)) : fd;
}

int place_directory(int dir_fd, const char *name, const struct layer_entry *entry, struct err *err)
{
	int fd;

	if (mkdirat(dir_fd, name, 0700) < 0)
		return err_errno(err, "create directory %s", SHOWN(entry->path));
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_errno(err, "open directory %s", SHOWN(entry->path)) : fd;
}

static int fail_owner(const struct layer_entry *entry, struct err *err)
{
	if (errno == EINVAL)
		return err_set(
			err, ERR_UNSUPPORTED,
			"%s: its owner %u:%u is not mapped in this user namespace; give this user a larger range "
			"in /etc/subuid and /etc/subgid",
			SHOWN(entry->path), entry->uid, entry->gid);
	if (errno == EPERM)
		return err_set(err, ERR_UNSUPPORTED,
			       "%s: its owner %u:%u cannot be set without root or a user namespace", SHOWN(entry->path),
			       entry->uid, entry->gid);
	if (errno == EOPNOTSUPP && owners_are_recorded())
		return err_set(
			err, ERR_UNSUPPORTED,
			"%s: its owner %u:%u cannot be recorded: the file system holds no extended attributes (put "
			"the store on another one, or use isolation mapped)",
			SHOWN(entry->path), entry->uid, entry->gid);
	return err_errno(err, "set the owner of %s", SHOWN(entry->path));
}

int place_finish(int fd, const struct layer_entry *entry, struct err *err)
{
	struct stat st;
	bool is_owned;

	/* Most files are root's and were made with their mode: a look is cheaper than two changes. */
	if (fstat(fd, &st) < 0)
		return err_errno(err, "stat %s", SHOWN(entry->path));
	is_owned = !owners_are_recorded() && st.st_uid == entry->uid && st.st_gid == entry->gid;
	if (!is_owned && owner_set(fd, entry->uid, entry->gid) < 0)
		return fail_owner(entry, err);
	if (layer_write_xattrs(fd, entry->xattrs, entry->xattr_count, entry->path, err) < 0)
		return -1;
	if ((!is_owned || ((st.st_mode ^ entry->mode) & 07777)) && fchmod(fd, entry->mode & 07777) < 0)
		return err_errno(err, "set the mode of %s", SHOWN(entry->path));
	return 0;
}

static void fill_times(struct timespec times[2], const struct layer_entry *entry)
{
	times[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	times[1] = (struct timespec){ .tv_sec = entry->mtime };
}

int place_times(int fd, const struct layer_entry *entry, struct err *err)
{
	struct timespec times[2];

	fill_times(times, entry);
	return futimens(fd, times) < 0 ? err_errno(err, "set the time of %s", SHOWN(entry->path)) : 0;
}

/* What has no fd. chmod by name would follow a symlink, but this is no symlink, and the name was made by us just now in a
   tree that nobody else writes to; it is needed only for set-id bits, which chown has cleared. */
static int finish_by_name(int dir_fd, const char *name, const struct layer_entry *entry, struct err *err)
{
	struct timespec times[2];

	fill_times(times, entry);
	if (owner_set_at(dir_fd, name, entry->uid, entry->gid) < 0)
		return fail_owner(entry, err);
	if (!S_ISLNK(entry->mode) && (entry->mode & 07000) && fchmodat(dir_fd, name, entry->mode & 07777, 0) < 0)
		return err_errno(err, "set the mode of %s", SHOWN(entry->path));
	if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "set the time of %s", SHOWN(entry->path));
	return 0;
}

static int place_placeholder(int dir_fd, const char *name, const struct layer_entry *entry, struct err *err)
{
	char device[LAYER_DEVICE_MAX];
	scope_fd int fd = place_file(dir_fd, name, entry, err);
	int len = snprintf(device, sizeof(device), "%c:%u:%u", S_ISCHR(entry->mode) ? 'c' : 'b', major(entry->rdev),
			   minor(entry->rdev));

	if (fd < 0)
		return -1;
	if (fsetxattr(fd, DEVICE_XATTR, device, (size_t)len, 0) < 0)
		return err_errno(err, "note the device %s in an extended attribute", SHOWN(entry->path));
	return place_finish(fd, entry, err) < 0 ? -1 : place_times(fd, entry, err);
}

static int place_node(int dir_fd, const char *name, const struct layer_entry *entry, struct err *err)
{
	bool is_fifo = S_ISFIFO(entry->mode);

	if (mknodat(dir_fd, name, entry->mode, is_fifo ? 0 : entry->rdev) == 0)
		return finish_by_name(dir_fd, name, entry, err);
	if (errno == EPERM && !is_fifo)
		return place_placeholder(dir_fd, name, entry, err);
	return err_errno(err, "create %s", SHOWN(entry->path));
}

int place_other(int dir_fd, const char *name, const struct layer_entry *entry, struct err *err)
{
	if (!S_ISLNK(entry->mode))
		return place_node(dir_fd, name, entry, err);
	if (symlinkat(entry->link, dir_fd, name) < 0)
		return err_errno(err, "create the link %s", SHOWN(entry->path));
	return finish_by_name(dir_fd, name, entry, err);
}
