/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_DOCKERFILE_EXPOSE_H
#define KILN_DOCKERFILE_EXPOSE_H

#include "kiln/base/arena.h"

#include <stddef.h>

/* What EXPOSE and STOPSIGNAL say once their words are expanded. Pure. */

/* Words like "80", "8000-8010/udp" or "[ip:][host:]port" -> a NULL-terminated list of "80/tcp", each once. The order is
   that of the words (which the parser has sorted, as BuildKit does before it expands them) and ascending in a range. Errors
   in BuildKit's words. */
int expose_ports(struct arena *arena, const char *const *words, size_t count, const char ***ports, size_t *port_count,
		 struct err *err) MUST_CHECK;

/* A signal's name, with or without SIG, in any case, or a number above 0; else "invalid signal: x". */
int stopsignal_check(const char *name, struct err *err) MUST_CHECK;

#endif
