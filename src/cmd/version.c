/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <stdio.h>

static int print_version(struct invocation *invocation, struct err *err)
{
	(void)invocation, (void)err;
	printf("kiln version %s\n", KILN_VERSION);
	return 0;
}

const struct command command_version = {
	.name = "version",
	.synopsis = "",
	.summary = "Print the version",
	.run = print_version,
};
