/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SANDBOX_PROBE_H
#define KILN_SANDBOX_PROBE_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Facts for `kiln doctor`, each found by doing the real call, in a throw-away child where it changes something. Texts are in the
   arena. */
struct probe_fact {
	const char *name; /* "user namespace", "newuidmap", "/dev/fuse" */
	bool works;
	const char *detail; /* "yes, 65536 ids", "unshare: EPERM" */
	const char *remedy; /* one line, or NULL */
};
int sandbox_probe(struct arena *arena, struct probe_fact **facts, size_t *count, struct err *err) MUST_CHECK;

#endif
