/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_CMD_TERMINAL_H
#define KILN_CMD_TERMINAL_H

#include "kiln/base/proc.h"

/*
 * The terminal of `kiln run --tty`. The caller's own cannot be handed in: it is the controlling one of another session,
 * and the kernel refuses it as that of the step. So the step gets a new one, and a child copies between the two.
 */
struct terminal {
	int fd; /* the step's side */
	struct proc relay;
};
#define TERMINAL_EMPTY                        \
	{                                     \
		.fd = -1, .relay = PROC_EMPTY \
	}

/* With is_interactive what is typed reaches the step, key by key; docker's error if standard input is no terminal. */
int terminal_open(struct terminal *terminal, bool is_interactive, struct err *err) MUST_CHECK;
/* Waits for the last of the output. Safe on TERMINAL_EMPTY. */
void terminal_close(struct terminal *terminal);

#endif
