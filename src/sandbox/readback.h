/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_SANDBOX_READBACK_H
#define KILN_SRC_SANDBOX_READBACK_H

#include "kiln/base/err.h"
#include "kiln/sandbox/user.h"

#include <stdbool.h>
#include <stdint.h>

/* What the text of /proc/PID/status must say before a command runs. A difference is an error: some layer around us took
   our calls and did something else (GHSA-7236-3392-c5c6). */
struct readback {
	const struct user *user;
	uint64_t caps, bounding;
	bool no_new_privs;
	bool keeps_groups; /* those of the caller */
};

int readback_check(const char *status, const struct readback *wanted, struct err *err) MUST_CHECK;

/* What the text of /proc/PID/mountinfo must say: one root, and nothing that hides another or hangs outside. */
int readback_check_mounts(const char *mountinfo, struct err *err) MUST_CHECK;

#endif
