/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <stdio.h>
#include <string.h>

/* A script for bash, made of the option tables: `source <(kiln completion bash)`. */

static void print_options(const struct option_spec *table)
{
	for (const struct option_spec *o = table; o && o->name; o++)
		if (o->help)
			printf(" --%s", o->name);
}

static void print_commands(void)
{
	for (const struct command *const *command = commands; *command; command++)
		printf(" %s", (*command)->name);
}

/* Options of each command, by a case that follows. */
static void print_option_cases(void)
{
	printf("\t\t'') words='--help");
	print_options(global_options);
	printf("' ;;\n");
	for (const struct command *const *command = commands; *command; command++) {
		printf("\t\t%s) words='--help", (*command)->name);
		print_options((*command)->options);
		printf("' ;;\n");
	}
}

/* Commands whose arguments are names of images; those of others are files. */
static void print_image_commands(void)
{
	const char *separator = "";
	for (const struct command *const *command = commands; *command; command++) {
		if (!strstr((*command)->synopsis, "IMAGE") && !strstr((*command)->synopsis, "REPOSITORY"))
			continue;
		printf("%s%s", separator, (*command)->name);
		separator = "|";
	}
}

/* The word behind one of these is no command. */
static void print_valued(const struct option_spec *table)
{
	const char *separator = "";
	for (const struct option_spec *o = table; o->name; o++) {
		if (!o->value)
			continue;
		printf("%s--%s", separator, o->name);
		separator = "|";
	}
}

static int print_completion(struct invocation *invocation, struct err *err)
{
	if (strcmp(invocation->args[0], "bash") != 0)
		return err_set(err, ERR_USAGE, "there is completion for bash, not for \"%s\"", invocation->args[0]);
	printf("# bash completion of kiln: source <(kiln completion bash)\n"
	       "_kiln() {\n"
	       "\tlocal word=${COMP_WORDS[COMP_CWORD]} command='' words='' i\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tcase ${COMP_WORDS[i - 1]} in\n"
	       "\t\t");
	print_valued(global_options);
	printf(") continue ;;\n"
	       "\t\tesac\n"
	       "\t\t[[ ${COMP_WORDS[i]} == -* || -n $command ]] || command=${COMP_WORDS[i]}\n"
	       "\tdone\n"
	       "\tif [[ $word == -* ]]; then\n"
	       "\t\tcase $command in\n");
	print_option_cases();
	printf("\t\tesac\n"
	       "\telse\n"
	       "\t\tcase $command in\n"
	       "\t\t'') words='");
	print_commands();
	printf("' ;;\n\t\t");
	print_image_commands();
	printf(") words=$(kiln images 2>/dev/null | awk 'NR > 1 { print $1 \":\" $2 }') ;;\n"
	       "\t\tesac\n"
	       "\tfi\n"
	       "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
	       "}\n"
	       "complete -o default -F _kiln kiln\n");
	return 0;
}

const struct command command_completion = {
	.name = "completion",
	.synopsis = "bash",
	.summary = "Print a script that completes command lines",
	.min_args = 1,
	.max_args = 1,
	.run = print_completion,
};
