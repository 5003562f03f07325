/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_SANDBOX_PROFILE_H
#define KILN_SRC_SANDBOX_PROFILE_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"

#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A seccomp profile in docker's format, as it applies to this machine and to the capabilities of a step: rules whose
 * "includes" or "excludes" do not fit are gone. What is not understood is an error, since to ignore it could weaken.
 *
 * One thing is ours: a rule with "args" that denies goes before every rule that allows, so that "ioctl, but not
 * TIOCSTI" can be said. libseccomp itself would drop the denial.
 */
struct profile_rule {
	const char **names;
	size_t name_count;
	uint32_t action; /* SCMP_ACT_* with its errno */
	struct scmp_arg_cmp args[6];
	unsigned arg_count;
	bool any_arg; /* the conditions are alternatives: docker's meaning of one argument named twice */
};

enum { PROFILE_ARCHES_MAX = 8 };
struct profile {
	uint32_t default_action;
	uint32_t arches[PROFILE_ARCHES_MAX]; /* SCMP_ARCH_*, the native one first */
	size_t arch_count;
	struct profile_rule *rules;
	size_t rule_count;
};

/* For tests: the machine to apply to. Zero: this one. */
struct profile_host {
	uint32_t arch;
	unsigned kernel_major, kernel_minor;
};

int profile_parse(struct arena *arena, const char *text, size_t len, const struct profile_host *host,
		  struct profile *out, struct err *err) MUST_CHECK;

#endif
