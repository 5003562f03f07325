/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#include "node.h"
#include "shown.h"

/* The kernel shows this for an id that has no place in our user namespace (/proc/sys/kernel/overflowuid). */
enum { OVERFLOW_ID = 65534 };

static bool map_covers(const char *map, unsigned id)
{
	scope_file FILE *file = fopen(map, "re");
	unsigned inside, outside, count;

	if (!file)
		return true;
	while (fscanf(file, "%u %u %u", &inside, &outside, &count) == 3)
		if (id >= inside && id - inside < count)
			return true;
	return false;
}

void node_close(struct node *node)
{
	scope_close_fd(&node->fd);
	node->fd = -1;
}

/* 65534 is an honest id too, so the map is asked. Where owners are recorded the map knows none of them. */
static int check_ids(const struct stat *st, const char *path, struct err *err)
{
	if (owners_are_recorded())
		return 0;
	if (st->st_uid == OVERFLOW_ID && !map_covers("/proc/self/uid_map", OVERFLOW_ID))
		return err_set(err, ERR_INPUT,
			       "%s: its owner is not mapped in this user namespace, so it cannot be in a layer",
			       SHOWN(path));
	if (st->st_gid == OVERFLOW_ID && !map_covers("/proc/self/gid_map", OVERFLOW_ID))
		return err_set(err, ERR_INPUT,
			       "%s: its group is not mapped in this user namespace, so it cannot be in a layer",
			       SHOWN(path));
	return 0;
}

/* A fifo that was renamed over the file meanwhile must not make us wait. O_NOATIME spares an inode write for each file
   read, but only an owner may ask for it. */
static int open_quietly(int dir_fd, const char *name, int flags)
{
	int fd;

	flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	fd = openat(dir_fd, name, flags | O_NOATIME);
	return fd < 0 && errno == EPERM ? openat(dir_fd, name, flags) : fd;
}

static int parse_device(struct layer_entry *entry, const char *text, struct err *err)
{
	unsigned dev_major, dev_minor;
	char type;
	int end = 0;

	if (sscanf(text, "%c:%u:%u%n", &type, &dev_major, &dev_minor, &end) != 3 || text[end] ||
	    (type != 'c' && type != 'b') || (dev_major == 0 && dev_minor == 0))
		return err_set(err, ERR_INPUT, "%s: its attribute " DEVICE_XATTR " does not name a device: \"%s\"",
			       SHOWN(entry->path), SHOWN(text));
	entry->mode = (entry->mode & 07777) | (type == 'c' ? S_IFCHR : S_IFBLK);
	entry->rdev = makedev(dev_major, dev_minor);
	return 0;
}

static int load_opened(struct node *node, struct arena *arena, int dir_fd, const char *name, struct err *err)
{
	struct layer_entry *entry = &node->entry;
	struct node_xattrs xattrs;

	node->fd = open_quietly(dir_fd, name, S_ISDIR(entry->mode) ? O_DIRECTORY : 0);
	if (node->fd < 0 && (errno == EMFILE || errno == ENFILE))
		return err_errno(err,
				 "open %s (too many layers have a directory this deep; raise the limit with ulimit -n)",
				 SHOWN(entry->path));
	if (node->fd < 0)
		return err_errno(err, "open %s", SHOWN(entry->path));
	if (node_read_xattrs(&xattrs, arena, node->fd, entry->path, err) < 0)
		return -1;
	entry->xattrs = xattrs.items;
	entry->xattr_count = xattrs.count;
	if (S_ISREG(entry->mode) && entry->size == 0 && xattrs.device[0])
		return parse_device(entry, xattrs.device, err);
	return 0;
}

static int load_link(struct node *node, struct arena *arena, int dir_fd, const char *name, struct err *err)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(dir_fd, name, target, sizeof(target));

	if (len < 0 || len == sizeof(target))
		return err_errno(err, "read the link %s", SHOWN(node->entry.path));
	node->entry.link = arena_strndup(arena, target, (size_t)len);
	return 0;
}

/* Symlinks, devices and fifos have no content xattrs: the kernel refuses user.* there, and capabilities mean nothing. */
static int load(struct node *node, struct arena *arena, int dir_fd, const char *name, struct err *err)
{
	switch (node->entry.mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
		return load_opened(node, arena, dir_fd, name, err);
	case S_IFLNK:
		return load_link(node, arena, dir_fd, name, err);
	default:
		return 0;
	}
}

/* The record, if there is one, says who the owner is. */
static int load_owner(struct node *node, const struct node_place *place, struct err *err)
{
	struct stat st = *place->st;
	int result = node->fd >= 0 ? owner_fill(node->fd, &st) : owner_fill_at(place->dir_fd, place->name, &st);

	if (result < 0)
		return err_errno(err, "read who owns %s", SHOWN(place->path));
	node->entry.uid = st.st_uid;
	node->entry.gid = st.st_gid;
	return 0;
}

int node_load(struct node *node, const struct node_place *place, int64_t clamp, struct arena *arena, struct err *err)
{
	const struct stat *st = place->st;
	int64_t mtime = st->st_mtim.tv_sec;
	struct node loaded = {
		.st = *st,
		.entry = {
			.path = place->path,
			.mode = st->st_mode,
			.uid = st->st_uid,
			.gid = st->st_gid,
			.size = S_ISREG(st->st_mode) ? st->st_size : 0,
			.mtime = mtime > clamp ? clamp : mtime,
			.rdev = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) ? st->st_rdev : 0,
		},
		.fd = -1,
	};

	if (check_ids(st, place->path, err) < 0 || load(&loaded, arena, place->dir_fd, place->name, err) < 0 ||
	    (owners_are_recorded() && !place->has_owner && load_owner(&loaded, place, err) < 0)) {
		node_close(&loaded);
		return -1;
	}
	*node = loaded;
	return 0;
}

static bool same_xattrs(const struct layer_entry *a, const struct layer_entry *b)
{
	if (a->xattr_count != b->xattr_count)
		return false;
	for (size_t i = 0; i < a->xattr_count; i++) {
		const struct layer_xattr *one = &a->xattrs[i], *other = &b->xattrs[i];

		if (!text_equal(one->name, other->name) || one->len != other->len ||
		    memcmp(one->value, other->value, one->len) != 0)
			return false;
	}
	return true;
}

bool node_same_metadata(const struct node *a, const struct node *b)
{
	const struct layer_entry *one = &a->entry, *other = &b->entry;

	return one->mode == other->mode && one->uid == other->uid && one->gid == other->gid &&
	       one->size == other->size && one->mtime == other->mtime && one->rdev == other->rdev &&
	       text_equal(one->link, other->link) && same_xattrs(one, other);
}

/* Fills buf from offset, or says that the file is not what lstat saw. */
static int read_at(const struct node *node, char *buf, size_t len, off_t offset, struct err *err)
{
	while (len > 0) {
		ssize_t count = pread(node->fd, buf, len, offset);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return err_errno(err, "read %s", SHOWN(node->entry.path));
		if (count == 0)
			return err_set(err, ERR_CORRUPT, "%s became shorter while it was read",
				       SHOWN(node->entry.path));
		buf += count;
		len -= (size_t)count;
		offset += count;
	}
	return 0;
}

int node_same_content(const struct node *a, const struct node *b, struct err *err)
{
	static char one[128 * 1024], other[128 * 1024];
	off_t size = a->st.st_size;

	for (off_t offset = 0; offset < size; offset += (off_t)sizeof(one)) {
		size_t len = size - offset < (off_t)sizeof(one) ? (size_t)(size - offset) : sizeof(one);

		if (read_at(a, one, len, offset, err) < 0 || read_at(b, other, len, offset, err) < 0)
			return -1;
		if (memcmp(one, other, len) != 0)
			return 0;
	}
	return 1;
}
