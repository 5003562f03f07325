/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "mount.h"
#include "setup.h"

/*
 * What mounts are cloned from, in a tmpfs that the step does not see:
 *
 *	hosts, resolv.conf, hostname, empty-file, empty-directory
 *	mount-N			the contents of a file of the cage
 *	mount-N/secret		those of a secret, on a tmpfs of its own
 *	tree-N			a tree of the cage
 */

/* Room in the tmpfs beside the contents: each file begins a page. */
#define FILES_SLACK ((int64_t)1 << 20)
#define SECRET_NAME "secret"

struct file_spec {
	const char *name;
	const void *bytes;
	size_t len;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

/* A tmpfs takes records from Linux 6.6 on. Without one the file is shown as root's, and can be used all the same. */
int setup_give(int fd, uid_t uid, gid_t gid)
{
	int result = owner_set(fd, uid, gid);

	return result < 0 && errno == EOPNOTSUPP && owners_are_recorded() ? 0 : result;
}

static int put_file(int dir_fd, const struct file_spec *spec, struct err *err)
{
	scope_fd int fd = openat(dir_fd, spec->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(err, "make the file %s", spec->name);
	if (spec->len > 0 && file_write_fd(fd, spec->bytes, spec->len, spec->name, err) < 0)
		return -1;
	if (setup_give(fd, spec->uid, spec->gid) < 0 || fchmod(fd, spec->mode) < 0)
		return err_errno(err, "give the file %s its owner", spec->name);
	return 0;
}

static int64_t size_of_files(const struct setup *setup)
{
	size_t size = setup->hosts.len + setup->resolv_conf.len + setup->hostname.len;

	for (size_t i = 0; i < setup->cage->mount_count; i++)
		size += setup->cage->mounts[i].type == CAGE_FILE ? setup->cage->mounts[i].len + 4096 : 0;
	return (int64_t)size + FILES_SLACK;
}

const char *setup_file_name(const struct cage_mount *mount, size_t index, char name[FILES_NAME])
{
	snprintf(name, FILES_NAME, mount->type == CAGE_SECRET ? "mount-%zu/" SECRET_NAME : "mount-%zu", index);
	return name;
}

static int put_cage_files(const struct setup *setup, int dir_fd, struct err *err)
{
	char name[FILES_NAME];

	for (size_t i = 0; i < setup->cage->mount_count; i++) {
		const struct cage_mount *mount = &setup->cage->mounts[i];
		const struct file_spec spec = { setup_file_name(mount, i, name),
						mount->bytes,
						mount->len,
						mount->mode & 07777,
						mount->uid,
						mount->gid };
		if (mount->type == CAGE_FILE && put_file(dir_fd, &spec, err) < 0)
			return err_wrap(err, "%s", mount->target);
	}
	return 0;
}

static int put_files(const struct setup *setup, int dir_fd, struct err *err)
{
	const struct file_spec specs[] = {
		{ FILES_EMPTY_FILE, NULL, 0, 0444, 0, 0 },
		{ "hosts", setup->hosts.ptr, setup->hosts.len, 0644, 0, 0 },
		{ "resolv.conf", setup->resolv_conf.ptr, setup->resolv_conf.len, 0644, 0, 0 },
		{ "hostname", setup->hostname.ptr, setup->hostname.len, 0644, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		if (put_file(dir_fd, &specs[i], err) < 0)
			return -1;
	}
	if (mkdirat(dir_fd, FILES_EMPTY_DIR, 0555) < 0)
		return err_errno(err, "make a directory");
	return put_cage_files(setup, dir_fd, err);
}

static int new_tmpfs(int64_t size_bytes, bool may_swap, struct err *err)
{
	char size[32];
	const struct mount_option options[] = {
		{ "size", size }, { "mode", "0755" }, { may_swap ? NULL : "noswap", NULL }, { NULL, NULL }
	};

	snprintf(size, sizeof(size), "%" PRId64, size_bytes);
	return mount_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
}

/* ---- secrets and trees ---- */

static int attach_below(int mount_fd, int dir_fd, const char *name, struct err *err)
{
	if (mkdirat(dir_fd, name, 0700) < 0)
		return err_errno(err, "make a directory");
	scope_fd int target_fd = openat(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return target_fd < 0 ? err_errno(err, "open a directory") : mount_attach(mount_fd, target_fd, name, err);
}

/* Linux 6.4 can keep a tmpfs out of swap, where it is not a user namespace that asks. */
static int put_secret(int dir_fd, const struct cage_mount *mount, size_t index, struct err *err)
{
	const struct file_spec spec = { SECRET_NAME,         mount->bytes, mount->len,
					mount->mode & 07777, mount->uid,   mount->gid };
	int64_t size = (int64_t)mount->len + 2 * 4096;
	char name[FILES_NAME];
	scope_fd int locked_fd = new_tmpfs(size, false, NULL);
	scope_fd int mount_fd = locked_fd >= 0 ? take_fd(&locked_fd) : new_tmpfs(size, true, err);

	if (mount_fd < 0 || put_file(mount_fd, &spec, err) < 0)
		return -1;
	snprintf(name, sizeof(name), "mount-%zu", index);
	return attach_below(mount_fd, dir_fd, name, err);
}

static int put_trees(const struct setup *setup, struct err *err)
{
	const struct cage *cage = setup->cage;
	char name[FILES_NAME];

	for (size_t i = 0; i < cage->mount_count; i++) {
		if (cage->mounts[i].type == CAGE_SECRET && put_secret(setup->files_fd, &cage->mounts[i], i, err) < 0)
			return err_wrap(err, "%s", cage->mounts[i].target);
	}
	for (size_t i = 0; i < cage->tree_count; i++) {
		snprintf(name, sizeof(name), "tree-%zu", i);
		if (attach_below(cage->trees[i], setup->files_fd, name, err) < 0)
			return err_wrap(err, "the source of a mount");
	}
	return 0;
}

int setup_files(struct setup *setup, struct err *err)
{
	setup->files_fd = new_tmpfs(size_of_files(setup), true, err);
	if (setup->files_fd < 0 || put_files(setup, setup->files_fd, err) < 0)
		return -1;
	/* Only from what is attached can be cloned, and only on what is attached can be mounted. */
	scope_fd int target_fd = setup_open_toplevel(setup, "dev", err);
	if (target_fd < 0 || mount_attach(setup->files_fd, target_fd, "/dev", err) < 0)
		return -1;
	return put_trees(setup, err);
}
