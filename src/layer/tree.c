/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/layer/tree.h"

#include "marks.h"
#include "shown.h"

/* fuse-overlayfs gives its marker files this mode. A file that a RUN step calls .wh.NAME is hardly ever an empty
   executable that nobody else may read, so it stays an entry, and the differ refuses it. */
enum { MARKER_MODE = 0700 };

static bool is_marker_file(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_size == 0 && (st->st_mode & 07777) == MARKER_MODE;
}

static bool is_whiteout_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

enum layer_mark layer_entry_mark(int dir_fd, const char *name, const struct stat *st)
{
	(void)dir_fd;
	if (text_starts(name, MARK_PREFIX)) {
		bool is_mark = is_marker_file(st) || is_whiteout_device(st);

		if (is_mark && (text_starts(name, MARK_PREFIX MARK_PREFIX) || text_equal(name, FUSE_OPAQUE)))
			return LAYER_NOISE;
		return is_marker_file(st) && name[strlen(MARK_PREFIX)] ? LAYER_WHITEOUT : LAYER_ENTRY;
	}
	return is_whiteout_device(st) ? LAYER_WHITEOUT : LAYER_ENTRY;
}

const char *layer_whiteout_target(const char *name)
{
	return text_starts(name, MARK_PREFIX) ? name + strlen(MARK_PREFIX) : name;
}

static bool has_yes(int fd, const char *xattr)
{
	char value[2];

	return fgetxattr(fd, xattr, value, sizeof(value)) == 1 && value[0] == 'y';
}

static bool has_marker(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (is_marker_file(&st) || is_whiteout_device(&st));
}

bool dir_has_overlay_opaque(int dir_fd)
{
	return has_yes(dir_fd, OVERLAY_OPAQUE_XATTR);
}

bool layer_dir_is_opaque(int dir_fd)
{
	return dir_has_overlay_opaque(dir_fd) || has_yes(dir_fd, FUSE_OPAQUE_XATTR) ||
	       has_marker(dir_fd, FILE_OPAQUE) || has_marker(dir_fd, FUSE_OPAQUE);
}

int make_marker_file(int dir_fd, const char *name, struct err *err)
{
	scope_fd int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MARKER_MODE);

	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0 || fchmod(fd, MARKER_MODE) < 0)
		return err_errno(err, "make the mark %s", SHOWN(name));
	return 0;
}

int layer_make_whiteout(int dir_fd, const char *name, bool *is_file, struct err *err)
{
	char file[NAME_MAX + 1];
	int len;

	if (mknodat(dir_fd, name, S_IFCHR, makedev(0, 0)) == 0)
		return 0;
	if (errno != EPERM)
		return err_errno(err, "make the whiteout of %s", SHOWN(name));

	len = snprintf(file, sizeof(file), MARK_PREFIX "%s", name);
	if (len >= (int)sizeof(file)) {
		errno = ENAMETOOLONG;
		return err_errno(err, "make the whiteout of %s", SHOWN(name));
	}
	if (make_marker_file(dir_fd, file, err) < 0)
		return -1;
	*is_file = true;
	return 0;
}

int layer_make_opaque(int dir_fd, bool *is_file, struct err *err)
{
	if (fsetxattr(dir_fd, OVERLAY_OPAQUE_XATTR, "y", 1, 0) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EPERM)
		return err_errno(err, "mark a directory opaque");
	if (make_marker_file(dir_fd, FILE_OPAQUE, err) < 0)
		return -1;
	*is_file = true;
	return 0;
}

int layer_note_file_marks(int tree_fd, struct err *err)
{
	return make_marker_file(tree_fd, LAYER_FILE_MARKS, err);
}
