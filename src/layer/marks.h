/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_MARKS_H
#define KILN_LAYER_MARKS_H

#include "kiln/base/err.h"

#include <stdbool.h>

/* How removed names and emptied directories are written down, in trees and in tars. */
#define MARK_PREFIX          ".wh."
#define FILE_OPAQUE          ".wh..wh..opq"
#define FUSE_OPAQUE          ".wh..opq"
#define OVERLAY_OPAQUE_XATTR "user.overlay.opaque"
#define FUSE_OPAQUE_XATTR    "user.fuseoverlayfs.opaque"

bool dir_has_overlay_opaque(int dir_fd);
int make_marker_file(int dir_fd, const char *name, struct err *err) MUST_CHECK;

#endif
