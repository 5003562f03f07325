/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_SHOWN_H
#define KILN_LAYER_SHOWN_H

#include "kiln/base/err.h"

enum { SHOWN_MAX = 512 };

/* A name of the image, made fit for a message. It lives until the end of the block. */
#define SHOWN(path) err_printable((char[SHOWN_MAX]){ 0 }, SHOWN_MAX, (path))

/* Trees are walked by recursion, and a RUN step can nest directories without end. Deeper ones could not be opened by name
   (PATH_MAX), so nothing honest is refused. */
enum { DEPTH_MAX = 2048 };
#define fail_depth(err) err_set((err), ERR_INPUT, "directories are nested deeper than %d levels", DEPTH_MAX)

#endif
