/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_TAG_H
#define KILN_LAYER_TAG_H

/* The tag of a file that has, or had in a layer below, several names: see layer_tag_names. */
#define TAG_XATTR "user.kiln.names"
enum { TAG_MAX = 48 };

/* "" if there is none. */
void tag_read(int dir_fd, const char *name, char tag[TAG_MAX]);

#endif
