/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/base/text.h"
#include "kiln/layer/tree.h"

#include "marks.h"
#include "shown.h"

struct settle {
	int64_t clamp;
	bool has_file_marks;
	int depth;
};

static int clamp_entry(const struct settle *settle, int dir_fd, const char *name, const struct stat *st,
		       struct err *err)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = settle->clamp } };

	if (st->st_mtim.tv_sec < settle->clamp || (st->st_mtim.tv_sec == settle->clamp && st->st_mtim.tv_nsec == 0))
		return 0;
	if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "set the time of %s", SHOWN(name));
	return 0;
}

/* .wh.NAME becomes the device, if this file system takes it. If NAME is there too, the file was made again after it had been
   removed: then only a directory must remember that, as opaque. */
static int settle_whiteout_file(struct settle *settle, int dir_fd, const char *name, struct err *err)
{
	const char *target = layer_whiteout_target(name);
	bool is_file = false;
	struct stat st;

	if (fstatat(dir_fd, target, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		scope_fd int fd = openat(dir_fd, target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && layer_make_opaque(fd, &settle->has_file_marks, err) < 0)
			return -1;
	} else if (layer_make_whiteout(dir_fd, target, &is_file, err) < 0) {
		return -1;
	}
	if (is_file)
		settle->has_file_marks = true;
	else if (unlinkat(dir_fd, name, 0) < 0)
		return err_errno(err, "remove the mark %s", SHOWN(name));
	return 0;
}

static int remove_name(int dir_fd, const char *name, struct err *err)
{
	return unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT ? err_errno(err, "remove %s", SHOWN(name)) : 0;
}

static int settle_directory(struct settle *settle, int dir_fd, struct err *err);

static int settle_subdirectory(struct settle *settle, int dir_fd, const char *name, struct err *err)
{
	scope_fd int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, "open %s", SHOWN(name));
	if (++settle->depth > DEPTH_MAX)
		return fail_depth(err);
	int result = settle_directory(settle, fd, err);
	settle->depth--;
	return result < 0 ? err_wrap(err, "%s", SHOWN(name)) : 0;
}

/* A change of the directory while it is read could make readdir skip or repeat names, so marks are kept for later. */
static int settle_entry(struct settle *settle, int dir_fd, const struct dirent *entry, struct strvec *marks,
			struct err *err)
{
	const char *name = entry->d_name;
	bool may_be_mark = text_starts(name, MARK_PREFIX) || entry->d_type == DT_SOCK || entry->d_type == DT_UNKNOWN;
	bool may_be_linked = entry->d_type == DT_REG;
	bool is_directory = entry->d_type == DT_DIR;
	struct stat st;

	if (text_equal(name, ".") || text_equal(name, ".."))
		return 0;
	if (may_be_mark || may_be_linked || settle->clamp != INT64_MAX) {
		if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(err, "stat %s", SHOWN(name));
		is_directory = S_ISDIR(st.st_mode);
		if (S_ISSOCK(st.st_mode) ||
		    (text_starts(name, MARK_PREFIX) && layer_entry_mark(dir_fd, name, &st) != LAYER_ENTRY)) {
			strvec_push(marks, name);
			return 0;
		}
		if (S_ISREG(st.st_mode) && st.st_nlink > 1 && layer_tag_names(dir_fd, name, err) < 0)
			return -1;
	}
	if (is_directory && settle_subdirectory(settle, dir_fd, name, err) < 0)
		return -1;
	return settle->clamp == INT64_MAX ? 0 : clamp_entry(settle, dir_fd, name, &st, err);
}

static int settle_mark(struct settle *settle, int dir_fd, const char *name, struct err *err)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat %s", SHOWN(name));
	if (!S_ISSOCK(st.st_mode) && layer_entry_mark(dir_fd, name, &st) == LAYER_WHITEOUT)
		return settle_whiteout_file(settle, dir_fd, name, err);
	if (remove_name(dir_fd, name, err) < 0)
		return -1;
	return S_ISSOCK(st.st_mode) ? layer_make_whiteout(dir_fd, name, &settle->has_file_marks, err) : 0;
}

static int settle_marks(struct settle *settle, int dir_fd, const struct strvec *marks, bool is_opaque, struct err *err)
{
	bool is_file = false;

	for (size_t i = 0; i < marks->count; i++)
		if (settle_mark(settle, dir_fd, marks->items[i], err) < 0)
			return -1;
	(void)fremovexattr(dir_fd, FUSE_OPAQUE_XATTR);
	if (is_opaque && layer_make_opaque(dir_fd, &is_file, err) < 0)
		return -1;
	settle->has_file_marks |= is_file;
	return 0;
}

static int list(struct settle *settle, int dir_fd, struct strvec *marks, struct err *err)
{
	int own_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *stream = own_fd < 0 ? NULL : fdopendir(own_fd);
	const struct dirent *entry;

	if (!stream)
		return err_errno(err, "open a changed directory");
	while ((errno = 0, entry = readdir(stream)))
		if (settle_entry(settle, dir_fd, entry, marks, err) < 0)
			return -1;
	return errno ? err_errno(err, "list a changed directory") : 0;
}

static int keep_times(int dir_fd, const struct stat *st, struct err *err)
{
	if (futimens(dir_fd, (struct timespec[2]){ st->st_atim, st->st_mtim }) < 0)
		return err_errno(err, "set the time of a changed directory");
	return 0;
}

/* The image must not see that marks came and went: the directory's own time is set back. */
static int settle_directory(struct settle *settle, int dir_fd, struct err *err)
{
	scope_strvec struct strvec marks = { 0 };
	bool is_opaque = !dir_has_overlay_opaque(dir_fd) && layer_dir_is_opaque(dir_fd);
	struct stat st;

	if (fstat(dir_fd, &st) < 0)
		return err_errno(err, "stat a changed directory");
	if (list(settle, dir_fd, &marks, err) < 0)
		return -1;
	if (marks.count == 0 && !is_opaque)
		return 0;
	if (settle_marks(settle, dir_fd, &marks, is_opaque, err) < 0)
		return -1;
	return keep_times(dir_fd, &st, err);
}

int layer_tree_settle(int upper_fd, int64_t clamp, struct err *err)
{
	struct settle settle = { .clamp = clamp };
	struct stat st;

	if (settle_directory(&settle, upper_fd, err) < 0)
		return -1;
	if (fstat(upper_fd, &st) < 0)
		return err_errno(err, "stat the changes");
	if (settle.has_file_marks && (layer_note_file_marks(upper_fd, err) < 0 || keep_times(upper_fd, &st, err) < 0))
		return -1;
	return clamp == INT64_MAX ? 0 : clamp_entry(&settle, upper_fd, ".", &st, err);
}
