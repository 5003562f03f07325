/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_VIEW_VIEW_H
#define KILN_VIEW_VIEW_H

#include "kiln/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A writable tree on top of read-only layer trees (layer/tree.h says what a layer tree is), and afterwards its changes as a new
 * layer tree. Three kinds behind one table. All give the same layer; fuse-overlayfs does so as far as the program itself does
 * (src/view/fuse-repair.h): it is chosen only where the probe finds it exact.
 *
 *	overlay		kernel overlay, userxattr (Linux 5.11), by fsopen/fsmount with lowerdir+ (6.8: up to 500 layers);
 *			else mount(2) with /proc/self/fd/N lowers while the option page lasts. Detached: no mount point.
 *	fuse-overlayfs	the program, one process per view; it dies with us (parent-death signal) and on release.
 *	copy		one working tree per session (a build stage), no mount: changes are found in one pass by comparing
 *			recorded stat signatures (type, mode, uid, gid, size, mtime, ctime, ino) and are copied out.
 *
 * Life: view_open -> use root_fd -> view_finish (changes are in work_fd/"upper", settled) or view_release (abandoned).
 * The caller owns work_fd (an empty directory on the store's file system) and removes it; it may be renamed while the
 * view is open. We must be root in a user namespace (or real root) with a private mount namespace of our own.
 */
enum view_kind { VIEW_AUTO, VIEW_OVERLAY, VIEW_FUSE, VIEW_COPY };
const char *view_kind_name(enum view_kind kind); /* "auto", "overlay", "fuse-overlayfs", "copy" */
int view_kind_parse(enum view_kind *kind, const char *text, struct err *err) MUST_CHECK;

struct view_spec {
	enum view_kind kind; /* not VIEW_AUTO: view_probe first */
	int work_fd;
	const int *lowers;  /* layer trees, [0] topmost; readable directory fds, which stay open as long as the view */
	size_t lower_count; /* 0: FROM scratch */
	bool read_only;     /* no changes wanted: COPY --from, kiln run uses a writable one that is abandoned */
	/* copy only: a directory that lives as long as the stage. The working tree in it is reused when it stands for
	   stack_id (any text that names the lowers; NULL: never reuse), and stands for next_id after view_finish. A
	   view that is released without finish makes the next open build the tree anew. read_only copy views of a stack build a private
	   tree in work_fd unless the session's tree stands for stack_id. */
	int session_fd; /* -1: none */
	const char *stack_id, *next_id;
};

struct view {
	enum view_kind kind;
	int root_fd; /* the merged tree: usable as dirfd, and by open_tree/move_mount; owned by the view */
	int work_fd; /* dup */
	int *lowers; /* those of the spec, each once: the array is the view's, the fds are borrowed */
	size_t lower_count;
	bool is_mount; /* root_fd is the root of a mount (detached or not): the cage may move_mount or bind it */
	pid_t helper;  /* fuse-overlayfs, or -1 */
	void *state;
};
#define VIEW_EMPTY                                         \
	{                                                  \
		.root_fd = -1, .work_fd = -1, .helper = -1 \
	}

int view_open(struct view *view, const struct view_spec *spec, struct err *err) MUST_CHECK;
/* Ends the view and leaves work_fd/"upper" as a settled layer tree (layer_tree_settle with clamp: mtimes later than
   clamp seconds become clamp; INT64_MAX: none). In the copy view the working tree's times are clamped too, so that the next
   step sees what the layer says. */
int view_finish(struct view *view, int64_t clamp, struct err *err) MUST_CHECK;
void view_release(struct view *view);
#define scope_view __attribute__((cleanup(view_release)))

/* Does kind really work with a store at dir_fd? Mounts, writes, removes a lower directory (whiteout + opaque), reads
   back, in a throw-away directory beneath dir_fd, which is left clean (lockdown.md section 2, ladder STORE). VIEW_AUTO
   chooses overlay, else fuse-overlayfs, else copy; these must also be exact, so that the layer does not depend on where it was
   built. It appends the reason ("overlay: mount: EPERM ...") to reasons if not NULL. A kind that is asked for by name and does
   not work is ERR_UNSUPPORTED with its reason. */
struct strbuf;
int view_probe(enum view_kind want, int dir_fd, enum view_kind *chosen, struct strbuf *reasons,
	       struct err *err) MUST_CHECK;

#endif
