/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_VIEW_KIND_H
#define KILN_SRC_VIEW_KIND_H

#include "kiln/base/err.h"
#include "kiln/view/view.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What the three kinds of view do differently. view.c does what they share: it keeps work_fd, closes root_fd and
 * empties the struct.
 */
struct view_ops {
	/* Sets root_fd, is_mount, helper, state. The lowers of spec are all different. */
	int (*open)(struct view *view, const struct view_spec *spec, struct err *err);
	/* root_fd is still open. Ends all use of the tree and leaves work_fd/"upper" as a settled layer tree. */
	int (*finish)(struct view *view, int64_t clamp, struct err *err);
	/* root_fd is closed. Frees the state and ends the helper, whatever was reached. */
	void (*release)(struct view *view);
};

extern const struct view_ops overlay_ops;
extern const struct view_ops fuse_ops;
extern const struct view_ops copy_ops;

/* What lies in work_fd. Only "upper" is left by view_finish. */
#define VIEW_UPPER     "upper"
#define VIEW_WORK      "work"   /* overlay's and fuse-overlayfs' scratch */
#define VIEW_MERGED    "merged" /* a mount point */
#define VIEW_EMPTY_DIR "empty"  /* stands for a layer where the kernel wants one */

/* "/proc/self/fd/7" or "/proc/self/fd/7/upper": how a directory that we only know by fd is named to somebody else. */
enum { FD_PATH_MAX = 64 };
char *view_fd_path(char out[FD_PATH_MAX], int fd, const char *below);

/* Owner, mode and times of one root for another. */
int view_copy_root_attributes(int from_fd, int to_fd, struct err *err) MUST_CHECK;
/* Makes "upper" with the attributes of the topmost lower's root, since a union shows its uppermost root, and "work". */
int view_make_upper(const struct view *view, const struct view_spec *spec, struct err *err) MUST_CHECK;
/* Makes work_fd/"empty" and opens it. */
int view_make_empty(const struct view *view, struct err *err) MUST_CHECK;
/* Turns the mount on work_fd/"merged" into a detached one and returns its root. */
int view_detach_merged(const struct view *view, struct err *err) MUST_CHECK;
/* layer_tree_settle and layer_join_names for work_fd/"upper". */
int view_settle_upper(const struct view *view, int64_t clamp, struct err *err) MUST_CHECK;
/* Removes all but "upper" from work_fd. */
int view_remove_scratch(const struct view *view, struct err *err) MUST_CHECK;

/* For tests: overlay is mounted as on Linux before 6.8. */
extern bool view_overlay_is_legacy;

#endif
