/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/layer/layer.h"
#include "kind.h"

/*
 * That a mount succeeds proves little: overlay on FUSE is silently read-only, without userxattr a lower directory cannot be
 * emptied. So a small stack is worked on as a step would, and the outcome is looked at.
 *
 *	lower:	file, dir/old		then: remove file, empty and remake dir, write dir/new
 *	wanted:	dir/new and nothing else
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
	bool missing;

	if (!root)
		return -1;
	scope_stack struct stack_dir *dir = stack_child(root, "dir", &missing, NULL);
	if (!holds_only(root, "dir") || !holds_only(dir, "new"))
		return err_set(err, ERR_UNSUPPORTED, "removed files come back");
	if (file_read(stack_top(dir), "new", 64, &text, NULL) < 0 || strcmp(strbuf_str(&text), content) != 0)
		return err_set(err, ERR_UNSUPPORTED, "written files do not keep their contents");
	return 0;
}

static int try_in(enum view_kind kind, int scratch_fd, struct err *err)
{
	scope_fd int lower_fd = make_lower(scratch_fd, err);
	scope_fd int work_fd = lower_fd < 0 ? -1 : file_make_dir(scratch_fd, "view", 0700, err);
	scope_view struct view view = VIEW_EMPTY;
	struct view_spec spec = {
		.kind = kind, .work_fd = work_fd, .lowers = &lower_fd, .lower_count = 1, .session_fd = -1
	};

	if (work_fd < 0 || view_open(&view, &spec, err) < 0)
		return -1;
	if (work_in(view.root_fd, err) < 0)
		return err_wrap(err, "%s", view_kind_name(kind));
	if (view_finish(&view, INT64_MAX, err) < 0)
		return -1;
	scope_fd int upper_fd = openat(work_fd, VIEW_UPPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (upper_fd < 0 || check_outcome(upper_fd, lower_fd, err) < 0)
		return err_wrap(err, "%s", view_kind_name(kind));
	return 0;
}

static int try_kind(enum view_kind kind, int dir_fd, struct err *err)
{
	struct timespec now;
	char name[64];
	struct err cleaning;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(name, sizeof(name), ".view-probe-%ld-%lld", (long)getpid(), (long long)now.tv_nsec);
	scope_fd int scratch_fd = file_make_dir(dir_fd, name, 0700, err);
	if (scratch_fd < 0)
		return -1;
	int result = try_in(kind, scratch_fd, err);
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

/* Both are exact. fuse-overlayfs has to be asked for by name: what it copies up may come out different (fuse-repair.h), and
   then the layer would depend on where it was built. */
static int probe_all(int dir_fd, enum view_kind *chosen, struct strbuf *reasons, struct err *err)
{
	static const enum view_kind order[] = { VIEW_OVERLAY, VIEW_COPY };
	struct err reason;

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if (try_kind(order[i], dir_fd, &reason) == 0) {
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
	if (try_kind(want, dir_fd, &reason) < 0) {
		add_reason(reasons, &reason);
		return err_set(err, ERR_UNSUPPORTED, "the view %s", reason.msg);
	}
	*chosen = want;
	return 0;
}
