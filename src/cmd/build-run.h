/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CMD_BUILD_RUN_H
#define KILN_SRC_CMD_BUILD_RUN_H

#include "command.h"
#include "kiln/build/build.h"

/* Options of build that are about what its RUN steps get: secrets, agents, hosts, limits. */
struct run_options {
	struct strings secrets, ssh, hosts, limits;
	const char *shm_size;
};

/* Fills in spec, whose network is set. Secrets are read here, as the caller and only once. */
int run_options_prepare(struct arena *arena, const struct run_options *o, struct build_spec *spec,
			struct err *err) MUST_CHECK;

#endif
