/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CMD_COMMAND_H
#define KILN_SRC_CMD_COMMAND_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"
#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/base/text.h"
#include "kiln/sandbox/sandbox.h"
#include "kiln/store/store.h"
#include "kiln/view/view.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * A command is a constant: its name, what help says, its options as a table, and a function. Options are parsed into the
 * command's own struct, whose members the table names.
 *
 * Exit status: 0; 1 for a failure; 125 for wrong usage (docker's); `kiln run` also 126, 127 and the program's own.
 */
enum { EXIT_FAILED = 1, EXIT_USAGE = 125 };

enum option_kind {
	OPTION_FLAG,         /* bool; --name, --name=true|false */
	OPTION_NOT_FLAG,     /* bool, but --name=false sets it: what docker does unless told otherwise */
	OPTION_STRING,       /* const char *; the last wins */
	OPTION_OPTIONAL,     /* const char *; a value comes behind '=' only */
	OPTION_LIST,         /* struct strings */
	OPTION_IGNORED_FLAG, /* accepted for the sake of docker and others; the user is told why */
	OPTION_IGNORED,
	OPTION_REFUSED_FLAG, /* known, and not to be had: why, and what to do. --name=false passes */
	OPTION_REFUSED
};

struct strings {
	const char **items;
	size_t count;
};

struct option_spec {
	const char *name; /* without "--"; NULL ends the table */
	char letter;      /* 0: none */
	enum option_kind kind;
	size_t offset;
	const char *value; /* what help calls the value, NULL for flags; of OPTION_OPTIONAL: what --name alone means */
	const char *help;  /* NULL: not shown; of ignored and refused ones: why */
};

/* What every command gets. */
struct invocation {
	const struct command *command;
	struct arena *arena;
	const char *store_path;
	enum isolation isolation;
	enum view_kind view;
	void *options; /* the command's struct */
	const char **args;
	size_t arg_count;
	int status; /* what the command wants to exit with when it returns 0 */
};

struct command {
	const char *name;
	const char *synopsis; /* after the name: "[OPTIONS] IMAGE [ARG...]" */
	const char *summary;
	const struct option_spec *options; /* NULL-name terminated, or NULL */
	const struct option_spec
		*foreign; /* likewise: options of other tools that are ignored or refused; not in help */
	size_t options_size;
	size_t min_args, max_args;
	bool stops_at_first_arg; /* what follows the first argument is not ours: run, unshare */
	bool is_inside;          /* runs as root of the user namespace */
	/* For checks that must see the world as the caller does: runs before is_inside takes effect. May be NULL. */
	int (*prepare)(struct invocation *invocation, struct err *err);
	int (*run)(struct invocation *invocation, struct err *err);
};

extern const struct command command_build, command_import, command_images, command_history, command_inspect,
	command_tag, command_rmi, command_save, command_load, command_run, command_unshare, command_system,
	command_doctor, command_completion, command_version;

/* Of main.c: all commands, NULL at the end; options that every command has. */
extern const struct command *const commands[];
extern const struct option_spec global_options[];

/* options.c: takes argv after the command's name apart. */
int options_parse(struct invocation *invocation, const struct option_spec *globals, void *global_values, int argc,
		  char **argv, bool *wants_help, struct err *err) MUST_CHECK;
void options_help(const struct command *command);

/* The rung to enter: what was asked for, or what the store was made on. */
enum isolation invocation_isolation(const struct invocation *invocation);
/* Opens the store; flags as store_open. */
int invocation_store(struct invocation *invocation, unsigned flags, struct store **store, struct err *err) MUST_CHECK;
/* "app" -> "docker.io/library/app:latest" */
const char *canonical_name(struct arena *arena, const char *text, struct err *err) MUST_CHECK;
/* "K=V" taken apart; false if there is no '='. */
struct key_value;
bool split_pair(struct arena *arena, const char *text, const char **key, const char **value);
/* Forwards SIGINT, SIGTERM, SIGHUP, SIGQUIT to fn. */
void on_signals(void (*fn)(int));
/* Columns with two or more spaces between, as docker prints tables. cells is rows * columns. */
void print_table(const char *const *cells, size_t rows, size_t columns);

#endif
