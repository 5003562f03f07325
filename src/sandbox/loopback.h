/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_SANDBOX_LOOPBACK_H
#define KILN_SRC_SANDBOX_LOOPBACK_H

#include "kiln/base/err.h"

/* Switches on "lo" of this process's network namespace, which the kernel leaves off in a new one. */
int loopback_up(struct err *err) MUST_CHECK;

#endif
