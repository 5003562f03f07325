/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/scope.h"

#define CHUNK ((size_t)FILE_SMALL)

/* Positions are kept here and not in the fds, so that each way of copying can take over where the last one stopped. */
struct copy {
	int from_fd, to_fd;
	off_t from, to; /* next byte to read, and where it goes */
	off_t end;      /* of what is wanted of the source; INT64_MAX: to its end */
	off_t to_size;  /* the target as it was: beyond it a hole may stay a hole */
	bool has_range; /* copy_file_range works between these two */
	const char *name;
};

static int fail(const struct copy *copy, const char *verb, struct err *err)
{
	return err_errno(err, "%s %s", verb, copy->name);
}

/* The whole file in one call where extents can be shared. A target of another file system, kind or alignment is refused
   by the kernel, which costs one call. */
static bool clone_whole(struct copy *copy, const struct stat *source)
{
	if (copy->from != 0 || copy->to != 0 || copy->to_size != 0 || copy->end < source->st_size ||
	    source->st_size == 0 || ioctl(copy->to_fd, FICLONE, copy->from_fd) < 0)
		return false;
	copy->from = copy->to = source->st_size;
	return true;
}

static bool is_unsupported(int sys)
{
	return sys == EXDEV || sys == EINVAL || sys == ENOSYS || sys == EOPNOTSUPP || sys == EPERM || sys == EBADF ||
	       sys == ETXTBSY || sys == EISDIR;
}

/* Inside the kernel, up to `end` or to what the kernel says is the end (procfs and some network file systems say it too
   early, so read() has the last word). */
static int copy_in_kernel(struct copy *copy, off_t end, struct err *err)
{
	while (copy->has_range && copy->from < end) {
		off_t left = end - copy->from;
		size_t want = left < (1 << 30) ? (size_t)left : 1 << 30;
		ssize_t count = copy_file_range(copy->from_fd, &copy->from, copy->to_fd, &copy->to, want, 0);

		if (count == 0)
			return 0;
		if (count < 0 && is_unsupported(errno))
			copy->has_range = false;
		else if (count < 0 && errno != EINTR)
			return fail(copy, "copy", err);
	}
	return 0;
}

static int write_at(struct copy *copy, const char *bytes, size_t len, struct err *err)
{
	while (len > 0) {
		ssize_t count = pwrite(copy->to_fd, bytes, len, copy->to);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return fail(copy, "write", err);
		bytes += count;
		len -= (size_t)count;
		copy->to += count;
	}
	return 0;
}

/* Returns 1 if `end` was reached, 0 if the source ended before. */
static int copy_range(struct copy *copy, off_t end, struct err *err)
{
	char bytes[CHUNK];

	if (copy_in_kernel(copy, end, err) < 0)
		return -1;
	while (copy->from < end) {
		off_t left = end - copy->from;
		ssize_t count = pread(copy->from_fd, bytes, left < (off_t)CHUNK ? (size_t)left : CHUNK, copy->from);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return fail(copy, "read", err);
		if (count == 0)
			return 0;
		if (write_at(copy, bytes, (size_t)count, err) < 0)
			return -1;
		copy->from += count;
	}
	return 1;
}

/* Skips a hole of the source; where the target already has bytes, zeros are copied instead. */
static int copy_hole(struct copy *copy, off_t end, struct err *err)
{
	off_t covered = copy->to_size - copy->to;

	if (covered > 0 && copy_range(copy, end - copy->from < covered ? end : copy->from + covered, err) < 0)
		return -1;
	if (copy->from < end) {
		copy->to += end - copy->from;
		copy->from = end;
	}
	return 0;
}

static int copy_sparse(struct copy *copy, off_t size, struct err *err)
{
	off_t end = copy->end < size ? copy->end : size;

	while (copy->from < end) {
		off_t data = lseek(copy->from_fd, copy->from, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			return copy_range(copy, copy->end, err);
		data = data < 0 || data > end ? end : data;
		if (data > copy->from && copy_hole(copy, data, err) < 0)
			return -1;
		if (copy->from >= end)
			break;
		off_t hole = lseek(copy->from_fd, copy->from, SEEK_HOLE);
		int result = copy_range(copy, hole < 0 || hole > end ? end : hole, err);
		if (result <= 0)
			return result;
	}
	return 1;
}

/* The target ends where the copy ends, even if the source ends in a hole; and both fds stand behind what was copied. */
static int finish(const struct copy *copy, struct err *err)
{
	struct stat st;

	if (fstat(copy->to_fd, &st) < 0)
		return fail(copy, "stat", err);
	if (st.st_size < copy->to && ftruncate(copy->to_fd, copy->to) < 0)
		return fail(copy, "write", err);
	if (lseek(copy->from_fd, copy->from, SEEK_SET) < 0 || lseek(copy->to_fd, copy->to, SEEK_SET) < 0)
		return fail(copy, "seek", err);
	return 0;
}

int file_copy_data(int from_fd, int to_fd, off_t len, const char *name, struct err *err)
{
	struct stat source, target;
	struct copy copy = {
		.from_fd = from_fd,
		.to_fd = to_fd,
		.from = lseek(from_fd, 0, SEEK_CUR),
		.to = lseek(to_fd, 0, SEEK_CUR),
		.has_range = true,
		.name = name,
	};
	int result = 1;

	if (copy.from < 0 || copy.to < 0 || fstat(from_fd, &source) < 0 || fstat(to_fd, &target) < 0)
		return fail(&copy, "copy", err);
	copy.end = len < 0 || len > INT64_MAX - copy.from ? INT64_MAX : copy.from + len;
	copy.to_size = target.st_size;

	if (!clone_whole(&copy, &source)) {
		bool is_sparse = (off_t)source.st_blocks * 512 < source.st_size;
		result = is_sparse ? copy_sparse(&copy, source.st_size, err) : copy_range(&copy, copy.end, err);
	}
	if (result < 0 || finish(&copy, err) < 0)
		return -1;
	if (len >= 0 && copy.from < copy.end)
		return err_set(err, ERR_INPUT, "%s ended %lld bytes early", name, (long long)(copy.end - copy.from));
	return 0;
}

int file_copy_small(int from_fd, int to_fd, size_t size, const char *name, struct err *err)
{
	char bytes[CHUNK];
	ssize_t count;

	do {
		count = read(from_fd, bytes, CHUNK);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return err_errno(err, "read %s", name);
		if (count > 0 && file_write_fd(to_fd, bytes, (size_t)count, name, err) < 0)
			return -1;
	} while (count != 0 && (size_t)count != size);
	return 0;
}
