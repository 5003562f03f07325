/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "emulate.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

/*
 * What stat says. Nearly all files of an image are root's and have no record: one look tells that, and the kernel answers.
 * In the table, a is the argument with the buffer, b that with statx's mask.
 */

static bool is_of_interest(const char *name)
{
	return text_equal(name, OWNER_XATTR) || text_equal(name, DEVICE_XATTR) ||
	       text_equal(name, "security.capability");
}

/* False only if there certainly is no record. */
static bool may_have_record(const char *path, bool follow)
{
	char names[4096];
	ssize_t len = follow ? listxattr(path, names, sizeof(names)) : llistxattr(path, names, sizeof(names));

	if (len < 0)
		return errno == ERANGE;
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		if (is_of_interest(name))
			return true;
	}
	return false;
}

/* 1 if *seen is a file that the kernel would show otherwise, 0, -errno. */
static int look(struct call *call, struct seen *seen)
{
	char quick[QUICK_PATH_MAX];
	int flags = call_flags(call);
	int result = tracee_read_path(call);

	if (result < 0)
		return 0;
	bool is_open_file = call->row->path < 0 || (!call->path[0] && (flags & AT_EMPTY_PATH));
	if (!call->path[0] && !is_open_file)
		return 0;
	bool is_quick = tracee_quick_path(call, tracee_dir(call), call->path, quick, sizeof(quick));
	if (is_quick && !may_have_record(quick, is_open_file || !(flags & AT_SYMLINK_NOFOLLOW)))
		return 0;
	seen->fd = tracee_open(call, flags);
	/* What cannot be opened, the kernel says best why. */
	if (seen->fd < 0)
		return 0;
	return seen_load(seen) == 0 && (seen->is_recorded || seen->device[0]);
}

static bool parse_device(const struct seen *seen, mode_t *mode, unsigned *dev_major, unsigned *dev_minor)
{
	char type;

	if (!seen->device[0] || sscanf(seen->device, "%c:%u:%u", &type, dev_major, dev_minor) != 3)
		return false;
	*mode = (*mode & 07777) | (type == 'b' ? S_IFBLK : S_IFCHR);
	return true;
}

static void patch_device(const struct seen *seen, struct stat *st)
{
	unsigned dev_major, dev_minor;

	if (parse_device(seen, &st->st_mode, &dev_major, &dev_minor))
		st->st_rdev = makedev(dev_major, dev_minor);
}

#if defined(__x86_64__)
/* struct stat64 of i386. */
struct compat_stat {
	uint64_t dev;
	uint8_t pad0[4];
	uint32_t ino32, mode, nlink, uid, gid;
	uint64_t rdev;
	uint8_t pad3[4];
	int64_t size;
	uint32_t blksize;
	uint64_t blocks;
	uint32_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
	uint64_t ino;
} __attribute__((packed));
_Static_assert(sizeof(struct compat_stat) == 96, "struct stat64 of i386");

static int write_compat(const struct call *call, const struct stat *st)
{
	const struct compat_stat out = {
		.dev = st->st_dev,
		.ino32 = (uint32_t)st->st_ino,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.rdev = st->st_rdev,
		.size = st->st_size,
		.blksize = (uint32_t)st->st_blksize,
		.blocks = (uint64_t)st->st_blocks,
		.atime = (uint32_t)st->st_atim.tv_sec,
		.atime_nsec = (uint32_t)st->st_atim.tv_nsec,
		.mtime = (uint32_t)st->st_mtim.tv_sec,
		.mtime_nsec = (uint32_t)st->st_mtim.tv_nsec,
		.ctime = (uint32_t)st->st_ctim.tv_sec,
		.ctime_nsec = (uint32_t)st->st_ctim.tv_nsec,
		.ino = st->st_ino,
	};

	return tracee_write(call, call_arg(call, call->row->a), &out, sizeof(out));
}
#else
static int write_compat(const struct call *call, const struct stat *st)
{
	(void)call;
	(void)st;
	return -ENOSYS;
}
#endif

int64_t call_stat(struct call *call)
{
	struct seen seen = { .fd = -1 };
	int found = look(call, &seen);
	scope_fd int fd = seen.fd;

	if (found <= 0)
		return ANSWER_CONTINUE;
	patch_device(&seen, &seen.st);
	if (call->is_compat)
		return write_compat(call, &seen.st);
	/* glibc's struct is the kernel's on all 64-bit machines. */
	return tracee_write(call, call_arg(call, call->row->a), &seen.st, sizeof(seen.st));
}

int64_t call_statx(struct call *call)
{
	struct seen seen = { .fd = -1 };
	int found = look(call, &seen);
	scope_fd int fd = seen.fd;
	struct statx out;
	unsigned dev_major, dev_minor;
	mode_t mode;

	if (found <= 0)
		return ANSWER_CONTINUE;
	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, (unsigned)call_arg(call, call->row->b), &out) < 0)
		return -errno;
	out.stx_uid = seen.st.st_uid;
	out.stx_gid = seen.st.st_gid;
	mode = out.stx_mode;
	if (parse_device(&seen, &mode, &dev_major, &dev_minor)) {
		out.stx_mode = (uint16_t)mode;
		out.stx_rdev_major = dev_major;
		out.stx_rdev_minor = dev_minor;
	}
	return tracee_write(call, call_arg(call, call->row->a), &out, sizeof(out));
}
