/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "kiln/base/file.h"
#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/layer/layer.h"
#include "kiln/view/view.h"
#include "kind.h"

static const struct {
	const char *name;
	const struct view_ops *ops;
} kinds[] = {
	[VIEW_AUTO] = { "auto", NULL },
	[VIEW_OVERLAY] = { "overlay", &overlay_ops },
	[VIEW_FUSE] = { "fuse-overlayfs", &fuse_ops },
	[VIEW_COPY] = { "copy", &copy_ops },
};

const char *view_kind_name(enum view_kind kind)
{
	return kinds[kind].name;
}

int view_kind_parse(enum view_kind *kind, const char *text, struct err *err)
{
	char shown[128];

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (text_equal(text, kinds[i].name)) {
			*kind = (enum view_kind)i;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE, "\"%s\" is no kind of view: use auto, overlay, fuse-overlayfs or copy",
		       err_printable(shown, sizeof(shown), text));
}

char *view_fd_path(char out[FD_PATH_MAX], int fd, const char *below)
{
	snprintf(out, FD_PATH_MAX, "/proc/self/fd/%d%s%s", fd, *below ? "/" : "", below);
	return out;
}

int view_copy_root_attributes(int from_fd, int to_fd, struct err *err)
{
	struct stat st;

	if (fstat(from_fd, &st) < 0 || owner_fill(from_fd, &st) < 0)
		return err_errno(err, "stat the root of the view");
	if (owner_set(to_fd, st.st_uid, st.st_gid) < 0 || fchmod(to_fd, st.st_mode & 07777) < 0 ||
	    futimens(to_fd, (const struct timespec[]){ st.st_atim, st.st_mtim }) < 0)
		return err_errno(err, "prepare the root of the view");
	return 0;
}

int view_make_upper(const struct view *view, const struct view_spec *spec, struct err *err)
{
	scope_fd int work_fd = file_make_dir(view->work_fd, VIEW_WORK, 0700, err);
	scope_fd int upper_fd = work_fd < 0 ? -1 : file_make_dir(view->work_fd, VIEW_UPPER, 0755, err);

	if (upper_fd < 0)
		return -1;
	return spec->lower_count > 0 ? view_copy_root_attributes(spec->lowers[0], upper_fd, err) : 0;
}

int view_make_empty(const struct view *view, struct err *err)
{
	return file_make_dir(view->work_fd, VIEW_EMPTY_DIR, 0755, err);
}

int view_detach_merged(const struct view *view, struct err *err)
{
	char target[FD_PATH_MAX];
	scope_fd int root_fd = open_tree(view->work_fd, VIEW_MERGED, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (root_fd < 0)
		err_errno(err, "take the mounted tree");
	if (umount2(view_fd_path(target, view->work_fd, VIEW_MERGED), MNT_DETACH) < 0 && root_fd >= 0)
		return err_errno(err, "detach the mounted tree");
	return take_fd(&root_fd);
}

int view_remove_scratch(const struct view *view, struct err *err)
{
	static const char *const names[] = { VIEW_WORK, VIEW_MERGED, VIEW_EMPTY_DIR };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (file_remove_tree(view->work_fd, names[i], err) < 0)
			return -1;
	}
	return 0;
}

/* Images hold the same layer twice (two RUNs that changed nothing), and the kernel refuses a directory that is given twice
   (ELOOP). Whatever a layer shows or hides, its uppermost occurrence shows and hides too, so the lower ones go. */
static int set_lowers(struct view *view, const struct view_spec *spec, struct err *err)
{
	scope_free int *fds = calloc(spec->lower_count + 1, sizeof(*fds));
	scope_free struct stat *seen = calloc(spec->lower_count + 1, sizeof(*seen));
	size_t used = 0;

	if (!fds || !seen)
		abort();
	for (size_t i = 0, j; i < spec->lower_count; i++) {
		if (fstat(spec->lowers[i], &seen[used]) < 0)
			return err_errno(err, "stat layer %zu", i);
		for (j = 0; seen[j].st_ino != seen[used].st_ino || seen[j].st_dev != seen[used].st_dev; j++)
			;
		if (j == used)
			fds[used++] = spec->lowers[i];
	}
	view->lowers = take_ptr(fds);
	view->lower_count = used;
	return 0;
}

int view_open(struct view *view, const struct view_spec *spec, struct err *err)
{
	struct view_spec distinct = *spec;

	assert(spec->kind != VIEW_AUTO);
	*view = (struct view)VIEW_EMPTY;
	if (set_lowers(view, spec, err) < 0)
		return -1;
	distinct.lowers = view->lowers;
	distinct.lower_count = view->lower_count;
	view->kind = spec->kind;
	view->work_fd = fcntl(spec->work_fd, F_DUPFD_CLOEXEC, 3);
	if (view->work_fd < 0) {
		err_errno(err, "open the work directory of the view");
		view_release(view);
		return -1;
	}
	if (kinds[view->kind].ops->open(view, &distinct, err) < 0) {
		view_release(view);
		return err_wrap(err, "%s", view_kind_name(spec->kind));
	}
	return 0;
}

int view_settle_upper(const struct view *view, int64_t clamp, struct err *err)
{
	scope_fd int upper_fd = openat(view->work_fd, VIEW_UPPER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (upper_fd < 0)
		return err_errno(err, "open the changes of the view");
	if (layer_tree_settle(upper_fd, clamp, err) < 0)
		return -1;
	return layer_join_names(upper_fd, view->lowers, view->lower_count, clamp, err);
}

int view_finish(struct view *view, int64_t clamp, struct err *err)
{
	enum view_kind kind = view->kind;
	int result = kinds[kind].ops->finish(view, clamp, err);

	view_release(view);
	return result < 0 ? err_wrap(err, "%s", view_kind_name(kind)) : 0;
}

void view_release(struct view *view)
{
	if (view->kind == VIEW_AUTO)
		return;
	scope_close_fd(&view->root_fd);
	view->root_fd = -1;
	kinds[view->kind].ops->release(view);
	scope_close_fd(&view->work_fd);
	free(view->lowers);
	*view = (struct view)VIEW_EMPTY;
}
