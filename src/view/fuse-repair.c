/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fuse-repair.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

/* What the entries of a directory in upper say about it. */
struct evidence {
	bool is_changed; /* a name came, went, or means another file */
	bool has_copies; /* something was copied up into it */
};

static int repair_dir(const struct timespec *start, int upper_fd, const struct stack_dir *below, struct err *err);

/* The program notes on a regular file that it copied it up. */
static bool is_copied_file(int dir_fd, const char *name)
{
	scope_fd int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 && fgetxattr(fd, "user.fuseoverlayfs.origin", NULL, 0) >= 0;
}

static bool is_same_link(int dir_fd, int below_fd, const char *name)
{
	char one[PATH_MAX], other[PATH_MAX];
	ssize_t len = readlinkat(dir_fd, name, one, sizeof(one));

	return len >= 0 && readlinkat(below_fd, name, other, sizeof(other)) == len &&
	       memcmp(one, other, (size_t)len) == 0;
}

static bool is_copied(int dir_fd, const char *name, const struct stat *st, int below_fd, const struct stat *below)
{
	if ((st->st_mode & S_IFMT) != (below->st_mode & S_IFMT))
		return false;
	if (S_ISREG(st->st_mode))
		return is_copied_file(dir_fd, name);
	return S_ISLNK(st->st_mode) ? is_same_link(dir_fd, below_fd, name) : st->st_rdev == below->st_rdev;
}

/* A directory that is also below was made by copying up, unless it hides what is below. */
static int weigh_dir(const struct timespec *start, int upper_fd, const struct stack_dir *below, const char *name,
		     struct evidence *evidence, struct err *err)
{
	bool missing;
	scope_fd int dir_fd = openat(upper_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	scope_stack struct stack_dir *child = stack_child(below, name, &missing, err);

	if (!child && !missing)
		return -1;
	if (dir_fd < 0)
		return err_errno(err, "open a changed directory");
	if (!child || layer_dir_is_opaque(dir_fd)) {
		evidence->is_changed = true;
		return 0;
	}
	evidence->has_copies = true;
	return repair_dir(start, dir_fd, child, err);
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* Gives an entry (or ".") the time of what it was copied from. */
static int restore_time(const struct timespec *start, int dir_fd, const char *name, const struct stat *st,
			const struct stat *below, struct err *err)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, below->st_mtim };

	if (is_before(&st->st_mtim, start) || utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return err_errno(err, "set the time of a changed entry");
}

static int weigh_other(const struct timespec *start, int upper_fd, const struct stack_dir *below, const char *name,
		       const struct stat *st, struct evidence *evidence, struct err *err)
{
	struct stat below_st;
	int below_fd, found = stack_find(below, name, &below_fd, &below_st, err);

	if (found < 0)
		return -1;
	if (!found || !is_copied(upper_fd, name, st, below_fd, &below_st)) {
		evidence->is_changed = true;
		return 0;
	}
	evidence->has_copies = true;
	return S_ISLNK(st->st_mode) ? restore_time(start, upper_fd, name, st, &below_st, err) : 0;
}

static int weigh(const struct timespec *start, int upper_fd, const struct stack_dir *below, const char *name,
		 struct evidence *evidence, struct err *err)
{
	struct stat st;

	if (fstatat(upper_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat a changed entry");
	switch (layer_entry_mark(upper_fd, name, &st)) {
	case LAYER_NOISE:
		return 0;
	case LAYER_WHITEOUT:
		evidence->is_changed = true;
		return 0;
	case LAYER_ENTRY:
		break;
	}
	return S_ISDIR(st.st_mode) ? weigh_dir(start, upper_fd, below, name, evidence, err)
				   : weigh_other(start, upper_fd, below, name, &st, evidence, err);
}

static int weigh_all(const struct timespec *start, int upper_fd, const struct stack_dir *below,
		     struct evidence *evidence, struct err *err)
{
	int list_fd = openat(upper_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
	const struct dirent *entry;

	if (!dir)
		return err_errno(err, "list a changed directory");
	while ((errno = 0, entry = readdir(dir))) {
		if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
			continue;
		if (weigh(start, upper_fd, below, entry->d_name, evidence, err) < 0)
			return -1;
	}
	return errno ? err_errno(err, "list a changed directory") : 0;
}

static int restore_bits(int dir_fd, const struct stat *st, const struct stat *below, struct err *err)
{
	mode_t lost = below->st_mode & ~st->st_mode & (S_ISUID | S_ISGID);

	if (!lost || ((st->st_mode ^ below->st_mode) & 01777))
		return 0;
	return fchmod(dir_fd, (st->st_mode | lost) & 07777) < 0 ? err_errno(err, "set the mode of a directory") : 0;
}

/* A directory that is in upper and below. */
static int repair_dir(const struct timespec *start, int upper_fd, const struct stack_dir *below, struct err *err)
{
	struct evidence evidence = { 0 };
	struct stat st, below_st;

	if (weigh_all(start, upper_fd, below, &evidence, err) < 0)
		return -1;
	if (fstat(upper_fd, &st) < 0 || fstat(stack_top(below), &below_st) < 0)
		return err_errno(err, "stat a changed directory");
	if (restore_bits(upper_fd, &st, &below_st, err) < 0)
		return -1;
	return !evidence.is_changed && evidence.has_copies ? restore_time(start, upper_fd, ".", &st, &below_st, err)
							   : 0;
}

int fuse_repair(int upper_fd, const struct stack_dir *below, const struct timespec *start, struct err *err)
{
	return stack_top(below) < 0 ? 0 : repair_dir(start, upper_fd, below, err);
}
