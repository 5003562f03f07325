/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CMD_BUILD_VALUES_H
#define KILN_SRC_CMD_BUILD_VALUES_H

#include "command.h"
#include "kiln/build/build.h"

/* Options of build that become one member of its specification each. */
struct value_options {
	struct strings platforms, uncached, cache_from, cache_to, attests;
	const char *os, *architecture, *variant;
	const char *pull, *jobs, *epoch, *ignorefile, *format, *provenance, *sbom, *context, *sub_path;
	bool squash, all_stages, http_proxy;
};

int value_options_prepare(struct arena *arena, struct value_options *o, struct build_spec *spec,
			  struct err *err) MUST_CHECK;
/* Build arguments that nobody typed: proxies of docker's configuration and, with --http-proxy, of the environment; an
   epoch that was given as another option. What the list has already stays. */
void add_implied_args(struct arena *arena, const struct value_options *o, const char *output_epoch,
		      struct strings *build_args);

/* Options that other tools' users type: ignored, or refused with a reason (build-foreign.c). */
extern const struct option_spec build_foreign_options[];

#endif
