/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_VIEW_FUSE_REPAIR_H
#define KILN_SRC_VIEW_FUSE_REPAIR_H

#include "kiln/base/err.h"
#include "kiln/layer/layer.h"

#include <time.h>

/*
 * What fuse-overlayfs 1.10 does that no program asked for, when it copies something up (upstream issue 400 is the first):
 *
 *	a directory that receives it gets the present as its mtime
 *	a directory loses its setuid and setgid bits
 *	a symbolic link gets the present as its mtime
 *
 * Here upper gets back what the stack below says, where nothing tells of a change by the step: a directory's time if all
 * entries in upper were copied up, its bits if the rest of its mode is the same, a link's time if its target is the same; and
 * no time that is before `start`, since somebody set that.
 *
 * What cannot be told: a directory in which, in one step, something was copied up and something else was made and removed,
 * or whose time was set before the copying up; whether a file lost its setuid and setgid bits by a chown or a write, as it
 * should, or by a touch, a rename, a link. What cannot be mended: a fifo that is copied up becomes an empty file of root; files
 * that the step makes in a copied-up setgid directory do not get its group; a renamed link gets the present; a link of a lower
 * layer where a directory has taken its place is followed all the same. So view_probe does not choose this version by itself.
 */
int fuse_repair(int upper_fd, const struct stack_dir *below, const struct timespec *start, struct err *err) MUST_CHECK;

#endif
