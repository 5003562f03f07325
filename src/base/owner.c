/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kiln/base/owner.h"
#include "kiln/base/scope.h"

#define CAPABILITY_XATTR "security.capability"

/* In the upper words of a capability set, where no kernel has bits: "kiln", "own1". */
#define MARK_PERMITTED   UINT32_C(0x6b696c6e)
#define MARK_INHERITABLE UINT32_C(0x6f776e31)

enum { TEXT_MAX = 24 };

static bool is_recorded;

void owners_record(bool recorded)
{
	is_recorded = recorded;
}

bool owners_are_recorded(void)
{
	return is_recorded;
}

static bool takes_user_xattrs(mode_t type)
{
	return S_ISREG(type) || S_ISDIR(type);
}

/* ---- xattrs of an fd, which may be O_PATH: the f*xattr calls refuse those ---- */

static const char *path_of(int fd, char path[32])
{
	(void)snprintf(path, 32, "/proc/self/fd/%d", fd);
	return path;
}

static ssize_t get(int fd, const char *name, void *value, size_t size)
{
	char path[32];
	ssize_t len = fgetxattr(fd, name, value, size);

	return len < 0 && errno == EBADF ? getxattr(path_of(fd, path), name, value, size) : len;
}

static int set(int fd, const char *name, const void *value, size_t len)
{
	char path[32];
	int result = fsetxattr(fd, name, value, len, 0);

	return result < 0 && errno == EBADF ? setxattr(path_of(fd, path), name, value, len, 0) : result;
}

static int drop(int fd, const char *name)
{
	char path[32];
	int result = fremovexattr(fd, name);

	if (result < 0 && errno == EBADF)
		result = removexattr(path_of(fd, path), name);
	/* Where there are no xattrs there is no record. */
	return result < 0 && (errno == ENODATA || errno == EOPNOTSUPP) ? 0 : result;
}

/* ---- the two forms ---- */

static int parse_id(const char **at, char end, uint32_t *id)
{
	char *rest;
	unsigned long long number;

	if (**at < '0' || **at > '9')
		return -1;
	number = strtoull(*at, &rest, 10);
	if (*rest != end || number >= UINT32_MAX)
		return -1;
	*id = (uint32_t)number;
	*at = rest + (end != '\0');
	return 0;
}

static int parse_text(const char *text, struct owner *owner)
{
	if (parse_id(&text, ':', &owner->uid) == 0 && parse_id(&text, '\0', &owner->gid) == 0)
		return 1;
	errno = EINVAL;
	return -1;
}

bool owner_is_record(const void *value, size_t len)
{
	struct vfs_cap_data data;

	/* Revision 3 is revision 2 with an id behind it. */
	if (len != sizeof(data) && len != sizeof(struct vfs_ns_cap_data))
		return false;
	memcpy(&data, value, sizeof(data));
	return le32toh(data.data[1].permitted) == MARK_PERMITTED &&
	       le32toh(data.data[1].inheritable) == MARK_INHERITABLE;
}

static int read_capability(int fd, struct owner *owner)
{
	struct vfs_ns_cap_data value;
	ssize_t len = get(fd, CAPABILITY_XATTR, &value, sizeof(value));

	if (len < 0)
		return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -1;
	if (!owner_is_record(&value, (size_t)len))
		return 0;
	*owner = (struct owner){ le32toh(value.data[0].permitted), le32toh(value.data[0].inheritable) };
	return 1;
}

static int write_capability(int fd, const struct owner *owner)
{
	const struct vfs_cap_data value = {
		.magic_etc = htole32(VFS_CAP_REVISION_2),
		.data = { { htole32(owner->uid), htole32(owner->gid) },
			  { htole32(MARK_PERMITTED), htole32(MARK_INHERITABLE) } },
	};

	return set(fd, CAPABILITY_XATTR, &value, sizeof(value));
}

int owner_read(int fd, mode_t type, struct owner *owner)
{
	char text[TEXT_MAX + 1];
	ssize_t len;

	if (!takes_user_xattrs(type))
		return read_capability(fd, owner);
	len = get(fd, OWNER_XATTR, text, TEXT_MAX);
	if (len < 0)
		return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -1;
	text[len] = '\0';
	return parse_text(text, owner);
}

int owner_write(int fd, mode_t type, const struct owner *owner)
{
	char text[TEXT_MAX + 1];
	int len;

	if (owner->uid == 0 && owner->gid == 0)
		return drop(fd, takes_user_xattrs(type) ? OWNER_XATTR : CAPABILITY_XATTR);
	if (!takes_user_xattrs(type))
		return write_capability(fd, owner);
	len = snprintf(text, sizeof(text), "%u:%u", owner->uid, owner->gid);
	return set(fd, OWNER_XATTR, text, (size_t)len);
}

/* ---- chown and stat ---- */

static uid_t ours(uid_t id)
{
	return id == (uid_t)-1 ? id : 0;
}

static int record(int fd, uid_t uid, gid_t gid)
{
	struct owner owner = { 0, 0 };
	struct stat st;

	if (fchownat(fd, "", ours(uid), ours(gid), AT_EMPTY_PATH) < 0 || fstat(fd, &st) < 0)
		return -1;
	if ((uid == (uid_t)-1 || gid == (gid_t)-1) && owner_read(fd, st.st_mode, &owner) < 0)
		return -1;
	if (uid != (uid_t)-1)
		owner.uid = uid;
	if (gid != (gid_t)-1)
		owner.gid = gid;
	return owner_write(fd, st.st_mode, &owner);
}

int owner_set(int fd, uid_t uid, gid_t gid)
{
	return is_recorded ? record(fd, uid, gid) : fchownat(fd, "", uid, gid, AT_EMPTY_PATH);
}

static int open_path(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

int owner_set_at(int dir_fd, const char *name, uid_t uid, gid_t gid)
{
	if (!is_recorded)
		return fchownat(dir_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW);
	scope_fd int fd = open_path(dir_fd, name);
	return fd < 0 ? -1 : record(fd, uid, gid);
}

int owner_fill(int fd, struct stat *st)
{
	struct owner owner;
	int found = is_recorded ? owner_read(fd, st->st_mode, &owner) : 0;

	if (found > 0) {
		st->st_uid = owner.uid;
		st->st_gid = owner.gid;
	}
	return found < 0 ? -1 : 0;
}

int owner_fill_at(int dir_fd, const char *name, struct stat *st)
{
	if (!is_recorded)
		return 0;
	scope_fd int fd = open_path(dir_fd, name);
	return fd < 0 ? -1 : owner_fill(fd, st);
}
