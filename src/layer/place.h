/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_PLACE_H
#define KILN_LAYER_PLACE_H

#include "kiln/base/err.h"
#include "kiln/layer/tar.h"

/*
 * Creates single entries, by directory fd and name. Nothing is replaced or followed: where the name exists,
 * err_is_errno(err, EEXIST). The umask must be 0. entry->path is for messages.
 */

/* An empty file with the mode of entry but for the set-id bits; the fd is open for writing, the caller's. */
int place_file(int dir_fd, const char *name, const struct layer_entry *entry, struct err *err) MUST_CHECK;
/* A directory that only we may use; the fd is open for reading, the caller's. */
int place_directory(int dir_fd, const char *name, const struct layer_entry *entry, struct err *err) MUST_CHECK;
/* Owner, xattrs, mode of what was placed, in the order that loses none: chown clears set-id bits and capabilities. */
int place_finish(int fd, const struct layer_entry *entry, struct err *err) MUST_CHECK;
int place_times(int fd, const struct layer_entry *entry, struct err *err) MUST_CHECK;
/* A symlink, fifo or device, finished. A device that may not be made becomes a placeholder. */
int place_other(int dir_fd, const char *name, const struct layer_entry *entry, struct err *err) MUST_CHECK;

#endif
