/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SANDBOX_FOREIGN_H
#define KILN_SANDBOX_FOREIGN_H

#include <stdbool.h>

/* Does this machine execute Linux programs of this architecture (GOARCH's word): itself, or through an emulator that is
   registered with the kernel (binfmt_misc)? The kernel is asked, with a program of that architecture that does nothing;
   where it cannot be asked, the answer is yes. */
bool foreign_runs(const char *architecture);

#endif
