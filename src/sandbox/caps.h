/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_SANDBOX_CAPS_H
#define KILN_SRC_SANDBOX_CAPS_H

#include "kiln/base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/capability.h>

/* The capabilities of a step: the eleven that podman gives, which is three fewer than docker. No package of the workload
   list misses the others, and fewer break setcap and kill (security.md 2.1). */
uint64_t caps_of_step(void); /* as a mask */
bool caps_step_has(cap_value_t cap);

/* Whether this process could use cap now. */
bool caps_are_effective(cap_value_t cap);

/* Takes all but those of a step out of the bounding set. */
int caps_bound(struct err *err) MUST_CHECK;
/* Sets permitted and effective to mask; inheritable and ambient are emptied. */
int caps_set(uint64_t mask, struct err *err) MUST_CHECK;

#endif
