/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/layer/layer.h"
#include "kind.h"

/*
 * That a mount succeeds proves little: overlay on FUSE is silently read-only, without userxattr a lower directory cannot be
 * emptied. So a small stack is worked on as a step would, and the outcome is looked at.
 *
 *	lower:	file, dir/old		then: remove file, empty and remake dir, write dir/new
 *	wanted:	no file, and in dir new alone
 *
 * A kind that is chosen by us must be exact as well: what is copied up stays what it was. fuse-overlayfs 1.10 fails here, and
 * is used only by those who ask for it by name.
 *
 *	lower:	fifo, link, kept/in/file, all old	then: chmod fifo, rename link, write to kept/in/file
 *	wanted:	fifo is one, and it, the link, kept and kept/in have their modes and times
 */
static const char content[] = "kiln\n";

static int make_file(int dir_fd, const char *name, struct err *err)
{
	scope_fd int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

	return fd < 0 ? err_errno(err, "create %s", name) : file_write_fd(fd, content, sizeof(content) - 1, name, err);
}

static int make_lower(int scratch_fd, struct err *err)
{
	scope_fd int lower_fd = file_make_dir(scratch_fd, "lower", 0755, err);
	scope_fd int dir_fd = lower_fd < 0 ? -1 : file_make_dir(lower_fd, "dir", 0755, err);

	if (dir_fd < 0 || make_file(lower_fd, "file", err) < 0 || make_file(dir_fd, "old", err) < 0)
		return -1;
	return take_fd(&lower_fd);
}

/* ---- exactness ---- */

enum { LONG_AGO = 1000000000 };
static const struct {
	const char *path, *renamed;
	mode_t mode;
	const char *what;
} kept[] = {
	{ "fifo", "fifo", S_IFIFO | 0640, "a fifo" },
	{ "link", "moved", S_IFLNK | 0777, "a link" },
	{ "kept/in", "kept/in", S_IFDIR | 0755, "a directory" },
	{ "kept", "kept", S_IFDIR | S_ISGID | 0755, "a directory" },
};

static int make_kept(int lower_fd, struct err *err)
{
	static const struct timespec times[2] = { { .tv_sec = LONG_AGO }, { .tv_sec = LONG_AGO } };
	scope_fd int kept_fd = file_make_dir(lower_fd, "kept", 0755, err);
	scope_fd int in_fd = kept_fd < 0 ? -1 : file_make_dir(kept_fd, "in", 0755, err);

	if (in_fd < 0 || make_file(in_fd, "file", err) < 0)
		return -1;
	if (mkfifoat(lower_fd, "fifo", 0600) < 0 || symlinkat("file", lower_fd, "link") < 0)
		return err_errno(err, "make a fifo and a link");
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		if ((!S_ISLNK(kept[i].mode) && fchmodat(lower_fd, kept[i].path, kept[i].mode & 07777, 0) < 0) ||
		    utimensat(lower_fd, kept[i].path, times, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(err, "set the mode and time of %s", kept[i].path);
	}
	return 0;
}

static int work_in_kept(int root_fd, struct err *err)
{
	scope_fd int fd = openat(root_fd, "kept/in/file", O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, "open a file");
	if (fchmodat(root_fd, "fifo", 0600, 0) < 0 || fchmodat(root_fd, "fifo", 0640, 0) < 0)
		return err_errno(err, "change the mode of a fifo");
	if (renameat(root_fd, "link", root_fd, "moved") < 0)
		return err_errno(err, "rename a link");
	return file_write_fd(fd, content, sizeof(content) - 1, "a file", err);
}

static int check_kept(int upper_fd, struct err *err)
{
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		if (fstatat(upper_fd, kept[i].renamed, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(err, "stat %s", kept[i].renamed);
		if (st.st_mode != kept[i].mode || st.st_mtim.tv_sec != LONG_AGO)
			return err_set(err, ERR_UNSUPPORTED,
				       "it changes the type, mode or time of %s when it copies it up", kept[i].what);
	}
	return 0;
}

/* ---- trying ---- */

static int work_in(int root_fd, struct err *err)
{
	if (unlinkat(root_fd, "file", 0) < 0)
		return err_errno(err, "remove a file");
	if (unlinkat(root_fd, "dir/old", 0) < 0 || unlinkat(root_fd, "dir", AT_REMOVEDIR) < 0)
		return err_errno(err, "remove a directory");
	scope_fd int dir_fd = file_make_dir(root_fd, "dir", 0755, err);
	return dir_fd < 0 ? -1 : make_file(dir_fd, "new", err);
}

static bool holds_only(const struct stack_dir *dir, const char *name)
{
	scope_strvec struct strvec names = { 0 };

	return dir && stack_list(dir, &names, NULL) == 0 && names.count == 1 && strcmp(names.items[0], name) == 0;
}

static int check_outcome(int upper_fd, int lower_fd, struct err *err)
{
	const int layers[] = { upper_fd, lower_fd };
	scope_stack struct stack_dir *root = stack_open(layers, 2, err);
	scope_strbuf struct strbuf text = { 0 };
	struct stat st;
	int holder_fd;
	bool missing;

	if (!root)
		return -1;
	scope_stack struct stack_dir *dir = stack_child(root, "dir", &missing, NULL);
	int found = stack_find(root, "file", &holder_fd, &st, err);
	if (found != 0 || !holds_only(dir, "new"))
		return found < 0 ? -1 : err_set(err, ERR_UNSUPPORTED, "removed files come back");
	if (file_read(stack_top(dir), "new", 64, &text, NULL) < 0 || strcmp(strbuf_str(&text), content) != 0)
		return err_set(err, ERR_UNSUPPORTED, "written files do not keep their contents");
	return 0;
}

static int try_in(enum view_kind kind, bool must_be_exact, int scratch_fd, struct err *err)
{
	scope_fd int lower_fd = make_lower(scratch_fd, err);
	scope_fd int work_fd = lower_fd < 0 ? -1 : file_make_dir(scratch_fd, "view", 0700, err);
	scope_view struct view view = VIEW_EMPTY;
	struct view_spec spec = {
		.kind = kind, .work_fd = work_fd, .lowers = &lower_fd, .lower_count = 1, .session_fd = -1
	};

	if (work_fd < 0 || (must_be_exact && make_kept(lower_fd, err) < 0) || view_open(&view, &spec, err) < 0)
		return -1;
	if (work_in(view.root_fd, err) < 0 || (must_be_exact && work_in_kept(view.root_fd, err) < 0))
		return err_wrap(err, "%s", view_kind_name(kind));
	if (view_finish(&view, INT64_MAX, err) < 0)
		return -1;
	scope_fd int upper_fd = openat(work_fd, VIEW_UPPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (upper_fd < 0 || (must_be_exact && check_kept(upper_fd, err) < 0) ||
	    check_outcome(upper_fd, lower_fd, err) < 0)
		return err_wrap(err, "%s", view_kind_name(kind));
	return 0;
}

static int try_record(int dir_fd, const char *name, mode_t type, struct err *err)
{
	const struct owner somebody = { 1, 2 };
	struct owner found = { 0, 0 };
	scope_fd int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || owner_write(fd, type, &somebody) < 0 || owner_read(fd, type, &found) < 0 || found.gid != 2)
		return err_set(err, ERR_UNSUPPORTED,
			       "who owns a %s cannot be recorded here: the store needs a file system with extended "
			       "attributes (not NFS before 4.2, ramfs, or tmpfs before Linux 6.6), or isolation mapped",
			       name);
	return 0;
}

/* On isolation "single" owners are kept in xattrs (kiln/base/owner.h). Those of a link, fuse-overlayfs sets on what the link
   leads to. */
static int try_records(enum view_kind kind, int scratch_fd, struct err *err)
{
	if (!owners_are_recorded())
		return 0;
	if (kind == VIEW_FUSE)
		return err_set(
			err, ERR_UNSUPPORTED,
			"%s: it does not keep the owners of links where they have to be recorded (isolation single)",
			view_kind_name(kind));
	if (make_file(scratch_fd, "file", err) < 0)
		return -1;
	if (symlinkat("file", scratch_fd, "link") < 0)
		return err_errno(err, "make a link");
	return try_record(scratch_fd, "file", S_IFREG, err) < 0 ? -1 : try_record(scratch_fd, "link", S_IFLNK, err);
}

static int try_kind(enum view_kind kind, bool must_be_exact, int dir_fd, struct err *err)
{
	struct timespec now;
	char name[64];
	struct err cleaning;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(name, sizeof(name), ".view-probe-%ld-%lld", (long)getpid(), (long long)now.tv_nsec);
	scope_fd int scratch_fd = file_make_dir(dir_fd, name, 0700, err);
	if (scratch_fd < 0)
		return err_wrap(err, "the store cannot be written");
	int result = try_records(kind, scratch_fd, err);
	if (result == 0)
		result = try_in(kind, must_be_exact, scratch_fd, err);
	if (file_remove_tree(dir_fd, name, &cleaning) < 0)
		log_debug("%s", cleaning.msg);
	return result;
}

static void add_reason(struct strbuf *reasons, const struct err *err)
{
	log_debug("view: %s", err->msg);
	if (reasons)
		strbuf_addf(reasons, "%s%s", reasons->len ? "\n" : "", err->msg);
}

static int probe_all(int dir_fd, enum view_kind *chosen, struct strbuf *reasons, struct err *err)
{
	static const enum view_kind order[] = { VIEW_OVERLAY, VIEW_FUSE, VIEW_COPY };
	struct err reason;

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if (try_kind(order[i], true, dir_fd, &reason) == 0) {
			*chosen = order[i];
			return 0;
		}
		add_reason(reasons, &reason);
	}
	if (err)
		*err = reason;
	return -1;
}

int view_probe(enum view_kind want, int dir_fd, enum view_kind *chosen, struct strbuf *reasons, struct err *err)
{
	struct err reason;

	if (want == VIEW_AUTO)
		return probe_all(dir_fd, chosen, reasons, err);
	if (try_kind(want, false, dir_fd, &reason) < 0) {
		add_reason(reasons, &reason);
		return err_set(err, ERR_UNSUPPORTED, "the view %s", reason.msg);
	}
	*chosen = want;
	return 0;
}
