/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A shell (or a program) in the store's user namespace: there the files of sub-ids are the user's to look at and remove. */

static int unshare_run(struct invocation *invocation, struct err *err)
{
	(void)err;
	const char *shell = getenv("SHELL");
	const char **argv = arena_array(invocation->arena, const char *, invocation->arg_count + 2);
	for (size_t i = 0; i < invocation->arg_count; i++)
		argv[i] = invocation->args[i];
	if (invocation->arg_count == 0)
		argv[0] = shell && *shell ? shell : "/bin/sh";
	setenv("KILN_ROOT", invocation->store_path, 1);
	execvp(argv[0], (char *const *)argv);
	invocation->status = errno == ENOENT ? 127 : 126;
	fprintf(stderr, "kiln: run %s: %s\n", argv[0], strerror(errno));
	return 0;
}

const struct command command_unshare = {
	.name = "unshare",
	.synopsis = "[COMMAND [ARG...]]",
	.summary = "Run a shell in the store's user namespace",
	.max_args = SIZE_MAX,
	.stops_at_first_arg = true,
	.is_inside = true,
	.run = unshare_run,
};
