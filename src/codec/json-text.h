/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CODEC_JSON_TEXT_H
#define KILN_SRC_CODEC_JSON_TEXT_H

#include <stddef.h>

/* Length of the UTF-8 character (Unicode 15, table 3-7) that begins the `left` bytes at text, or 0 if they are not
   one. */
size_t json_utf8_length(const char *text, size_t left);

#endif
