/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_VIEW_CHANGES_H
#define KILN_SRC_VIEW_CHANGES_H

#include "kiln/base/err.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

/*
 * One pass over a working tree: compares every entry with the signatures of the last pass, writes those that the next
 * one will want, and copies what differs out as a settled layer tree. It costs an lstat for each entry; files are opened only if they
 * differ. What differs may still be equal to the layers below (the last name of a file lost a sister): the differ sees to that.
 */
struct changes {
	int tree_fd;
	FILE *then; /* NULL: nothing is compared or copied, the tree is only recorded */
	FILE *now;
	int upper_fd;  /* an empty directory */
	int links_fd;  /* an empty directory on its file system: a name for each inode with several */
	int64_t clamp; /* changed entries with a later mtime get this one, in the tree too; INT64_MAX: none */
};

/* *newest is the latest ctime in the tree. */
int changes_pass(const struct changes *changes, struct timespec *newest, struct err *err) MUST_CHECK;

#endif
