/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_SANDBOX_IDMAP_H
#define KILN_SRC_SANDBOX_IDMAP_H

#include "kiln/sandbox/idmap.h"

/* The parts of id_map_plan that are pure, for tests. */

/* Lines of /proc/self/uid_map, each onto itself. */
int id_map_parse_own(const char *text, struct id_extent *extents, size_t *count, struct err *err) MUST_CHECK;
/* Appends to a map that is not empty the ranges that lines of /etc/subuid give to name (may be NULL) or number. */
void id_map_add_subids(const char *text, const char *name, const char *number, struct id_extent *extents,
		       size_t *count);
uint32_t id_map_first_free(const char *text);

#endif
