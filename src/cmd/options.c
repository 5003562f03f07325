/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <stdio.h>
#include <string.h>

static const struct option_spec *find_long(const struct option_spec *table, const char *name, size_t len)
{
	for (; table && table->name; table++)
		if (strlen(table->name) == len && memcmp(table->name, name, len) == 0)
			return table;
	return NULL;
}

static const struct option_spec *find_letter(const struct option_spec *table, char letter)
{
	for (; table && table->name; table++)
		if (table->letter == letter)
			return table;
	return NULL;
}

enum { TABLES = 3 };

static int unknown_option(const struct option_spec *const tables[TABLES], const char *word, size_t len, struct err *err)
{
	const char *names[256];
	size_t count = 0;
	for (size_t t = 0; t < TABLES; t++)
		for (const struct option_spec *o = tables[t]; o && o->name && count < ARRAY_LEN(names); o++)
			names[count++] = o->name;
	char name[64];
	snprintf(name, sizeof(name), "%.*s", (int)len, word);
	const char *nearest = text_nearest(name, names, count);
	if (nearest)
		return err_set(err, ERR_USAGE, "unknown flag: --%s (did you mean --%s?)", name, nearest);
	return err_set(err, ERR_USAGE, "unknown flag: --%s", name);
}

static bool takes_value(const struct option_spec *option)
{
	return option->kind == OPTION_STRING || option->kind == OPTION_LIST || option->kind == OPTION_IGNORED ||
	       option->kind == OPTION_REFUSED;
}

/* Go's strconv.ParseBool, which docker's flags are read by. */
static int parse_bool(const struct option_spec *option, const char *value, bool *out, struct err *err)
{
	static const char *const words[2][6] = { { "0", "f", "F", "false", "False", "FALSE" },
						 { "1", "t", "T", "true", "True", "TRUE" } };
	for (size_t i = 0; i < 2; i++) {
		for (size_t j = 0; j < ARRAY_LEN(words[i]); j++) {
			if (strcmp(value, words[i][j]) == 0) {
				*out = i == 1;
				return 0;
			}
		}
	}
	return err_set(err, ERR_USAGE, "invalid argument \"%s\" for \"--%s\" flag: it must be true or false", value,
		       option->name);
}

static int refuse(const struct option_spec *option, struct err *err)
{
	return err_set(err, ERR_UNSUPPORTED, "--%s: %s", option->name, option->help);
}

static int store_value(struct arena *arena, const struct option_spec *option, void *values, const char *value,
		       struct err *err)
{
	char *at = (char *)values + option->offset;
	bool flag = true;
	if (value && !takes_value(option) && option->kind != OPTION_OPTIONAL &&
	    parse_bool(option, value, &flag, err) < 0)
		return -1;
	switch (option->kind) {
	case OPTION_FLAG:
		*(bool *)at = flag;
		break;
	case OPTION_NOT_FLAG:
		*(bool *)at = !flag;
		break;
	case OPTION_OPTIONAL:
		*(const char **)at = value ? value : option->value;
		break;
	case OPTION_STRING:
		*(const char **)at = value;
		break;
	case OPTION_LIST: {
		struct strings *list = (struct strings *)at;
		*ARENA_PUSH(arena, list->items, list->count) = value;
		break;
	}
	case OPTION_REFUSED:
		return refuse(option, err);
	case OPTION_REFUSED_FLAG:
		return flag ? refuse(option, err) : 0;
	case OPTION_IGNORED_FLAG:
	case OPTION_IGNORED:
		if (option->help && flag)
			fprintf(stderr, "kiln: --%s is ignored: %s\n", option->name, option->help);
		break;
	}
	return 0;
}

struct parser {
	struct invocation *invocation;
	const struct option_spec *tables[TABLES]; /* the command's, the global ones, those of other tools */
	void *values[TABLES];
	int argc, at;
	char **argv;
};

static int take_option(struct parser *parser, size_t table, const struct option_spec *option, const char *value,
		       struct err *err)
{
	if (!value && takes_value(option)) {
		if (parser->at >= parser->argc)
			return err_set(err, ERR_USAGE, "flag needs an argument: --%s", option->name);
		value = parser->argv[parser->at++];
	}
	return store_value(parser->invocation->arena, option, parser->values[table], value, err);
}

static int parse_long(struct parser *parser, const char *word, struct err *err)
{
	const char *name = word + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	for (size_t t = 0; t < TABLES; t++) {
		const struct option_spec *option = find_long(parser->tables[t], name, len);
		if (option)
			return take_option(parser, t, option, equals ? equals + 1 : NULL, err);
	}
	return unknown_option(parser->tables, name, len, err);
}

/* -it, -tNAME, -t NAME, -t=NAME */
static int parse_short(struct parser *parser, const char *word, struct err *err)
{
	for (const char *p = word + 1; *p; p++) {
		const struct option_spec *option = NULL;
		size_t t;
		for (t = 0; t < TABLES; t++)
			if ((option = find_letter(parser->tables[t], *p)))
				break;
		if (!option)
			return err_set(err, ERR_USAGE, "unknown shorthand flag: '%c' in %s", *p, word);
		if (takes_value(option)) {
			const char *rest = p[1] == '=' ? p + 2 : p[1] ? p + 1 : NULL;
			return take_option(parser, t, option, rest, err);
		}
		/* -q=false */
		const char *value = p[1] == '=' ? p + 2 : NULL;
		if (store_value(parser->invocation->arena, option, parser->values[t], value, err) < 0)
			return -1;
		if (value)
			break;
	}
	return 0;
}

static int check_arguments(const struct invocation *invocation, struct err *err)
{
	const struct command *command = invocation->command;
	size_t count = invocation->arg_count, min = command->min_args, max = command->max_args;
	if (count >= min && count <= max)
		return 0;
	if (max == 0)
		return err_set(err, ERR_USAGE, "\"kiln %s\" accepts no arguments", command->name);
	size_t wanted = count < min ? min : max;
	return err_set(err, ERR_USAGE, "\"kiln %s\" requires %s%zu argument%s", command->name,
		       min == max    ? ""
		       : count < min ? "at least "
				     : "at most ",
		       wanted, wanted == 1 ? "" : "s");
}

int options_parse(struct invocation *invocation, const struct option_spec *globals, void *global_values, int argc,
		  char **argv, bool *wants_help, struct err *err)
{
	const struct command *command = invocation->command;
	struct parser parser = {
		.invocation = invocation,
		.tables = { command->options, globals, command->foreign },
		.values = { invocation->options, global_values, invocation->options },
		.argc = argc,
		.argv = argv,
	};
	bool only_args = false;
	while (parser.at < argc) {
		const char *word = argv[parser.at++];
		if (!only_args && strcmp(word, "--") == 0) {
			only_args = true;
		} else if (!only_args && (strcmp(word, "--help") == 0 ||
					  (strcmp(word, "-h") == 0 && !find_letter(command->options, 'h')))) {
			*wants_help = true;
			return 0;
		} else if (!only_args && word[0] == '-' && word[1]) {
			if ((word[1] == '-' ? parse_long(&parser, word, err) : parse_short(&parser, word, err)) < 0)
				return -1;
		} else {
			*ARENA_PUSH(invocation->arena, invocation->args, invocation->arg_count) = word;
			only_args |= command->stops_at_first_arg;
		}
	}
	return check_arguments(invocation, err);
}

void options_help(const struct command *command)
{
	printf("Usage: kiln %s %s\n\n%s\n", command->name, command->synopsis, command->summary);
	if (!command->options)
		return;
	printf("\nOptions:\n");
	for (const struct option_spec *o = command->options; o->name; o++) {
		if (!o->help)
			continue;
		const char *value = o->kind == OPTION_OPTIONAL ? NULL : o->value;
		char flag[64];
		snprintf(flag, sizeof(flag), "--%s%s%s", o->name, value ? " " : "", value ? value : "");
		if (o->letter)
			printf("  -%c, %-28s %s\n", o->letter, flag, o->help);
		else
			printf("      %-28s %s\n", flag, o->help);
	}
}
