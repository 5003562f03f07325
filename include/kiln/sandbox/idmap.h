/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SANDBOX_IDMAP_H
#define KILN_SANDBOX_IDMAP_H

#include "kiln/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Which ids of the caller become which ids in the user namespace.
 *
 * With CAP_SETUID and CAP_SETGID in our own namespace (real root, root of a container, kiln in kiln) every extent of
 * /proc/self/uid_map is mapped onto itself. Else the caller's own id becomes 0 and its sub-ids follow from 1 on, in the
 * order of /etc/subuid: lines by name and by number count, several ranges are concatenated.
 */
struct id_extent {
	uint32_t inside, outside, count;
};

enum { ID_EXTENTS_MAX = 340 }; /* Linux 4.15 */

struct id_map {
	struct id_extent uids[ID_EXTENTS_MAX];
	size_t uid_count;
	struct id_extent gids[ID_EXTENTS_MAX];
	size_t gid_count;
	bool by_helper; /* newuidmap and newgidmap write it; else we do */
	bool is_single; /* one id: the kernel wants setgroups(2) given up for it */
};

/* ERR_UNSUPPORTED says what is missing and the line that adds it ("usermod --add-subuids ... USER", package uidmap). */
int id_map_plan(struct id_map *map, struct err *err) MUST_CHECK;

/* Our own id as root and nothing else: what every user namespace can have. */
void id_map_plan_single(struct id_map *map);

/* Gives the map to the user namespace of pid, a child that waits in a new one. */
int id_map_write(const struct id_map *map, pid_t pid, struct err *err) MUST_CHECK;

/* How many ids the namespace has. */
uint64_t id_map_uids(const struct id_map *map);
uint64_t id_map_gids(const struct id_map *map);

#endif
