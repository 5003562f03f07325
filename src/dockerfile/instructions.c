/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/dockerfile/mount.h"

/*
 * The second pass: one node -> one struct instruction. Whether arguments or flags are looked at first differs between
 * instructions, as it does in BuildKit's instructions/parse.go: it decides which of two errors is reported.
 */

typedef int parse_fn(struct arena *arena, const struct node *node, struct instruction *instruction, struct err *err);

struct instruction_spec {
	const char *name;
	parse_fn *parse;
	const struct flag_spec *flags;
};
static const struct instruction_spec specs[INSTRUCTION_COUNT];

static int check_flags(struct arena *arena, const struct node *node, struct instruction *instruction, struct err *err)
{
	return flags_check(arena, specs[node->kind].flags, node, instruction, err);
}

static int needs_one(const struct node *node, struct err *err)
{
	return err_set(err, ERR_INPUT, "%s requires at least one argument", specs[node->kind].name);
}

static void take_words(struct arena *arena, const struct node *node, struct instruction *instruction)
{
	size_t count = node->args.count;

	instruction->words = arena_array(arena, const char *, count + 1);
	if (count > 0)
		memcpy(instruction->words, node->args.items, count * sizeof(*instruction->words));
	instruction->word_count = count;
}

/* ---- FROM ---- */

static char *lower(struct arena *arena, const char *text)
{
	char *copy = arena_strdup(arena, text);

	for (char *p = copy; *p; p++)
		*p = ascii_lower(*p);
	return copy;
}

static int take_stage_name(struct arena *arena, const struct node *node, struct instruction *instruction,
			   struct err *err)
{
	const struct word_list *args = &node->args;

	if (args->count == 1)
		return 0;
	if (args->count != 3 || !text_equal_nocase(args->items[1], "as"))
		return err_set(err, ERR_INPUT, "FROM requires either one or three arguments");
	char *name = lower(arena, args->items[2]);
	bool is_valid = *name >= 'a' && *name <= 'z' && !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.")];
	node_blame(node, args->items[2]);
	if (!is_valid)
		return err_set(err, ERR_INPUT,
			       "invalid name for build stage: %s, name can't start with a number or contain symbols",
			       quoted(arena, args->items[2]));
	node_blame(node, NULL);
	instruction->stage_name = name;
	return 0;
}

static int parse_from(struct arena *arena, const struct node *node, struct instruction *instruction, struct err *err)
{
	if (take_stage_name(arena, node, instruction, err) < 0 || check_flags(arena, node, instruction, err) < 0)
		return -1;
	take_words(arena, node, instruction);
	instruction->base = node->args.items[0];
	const char *platform = instruction_flag(instruction, "platform");
	instruction->platform = platform && *platform ? platform : NULL;
	return 0;
}

/* ---- names and values ---- */

/* Flags are ignored here, like in BuildKit. */
static int parse_arg(struct arena *arena, const struct node *node, struct instruction *instruction, struct err *err)
{
	if (node->args.count == 0)
		return needs_one(node, err);
	for (size_t i = 0; i < node->args.count; i++) {
		const char *word = node->args.items[i], *equals = strchr(word, '=');
		if (equals == word)
			return err_set(err, ERR_INPUT, "ARG names can not be blank");
		struct key_value *pair = ARENA_PUSH(arena, instruction->pairs, instruction->pair_count);
		pair->key = equals ? arena_strndup(arena, word, (size_t)(equals - word)) : word;
		pair->value = equals ? equals + 1 : NULL;
	}
	return 0;
}

static int parse_pairs(struct arena *arena, const struct node *node, struct instruction *instruction, struct err *err)
{
	const struct word_list *args = &node->args;

	if (check_flags(arena, node, instruction, err) < 0)
		return -1;
	if (args->count == 0)
		return needs_one(node, err);
	for (size_t i = 0; i + 1 < args->count; i += 2) {
		if (!*args->items[i])
			return err_set(err, ERR_INPUT, "%s names can not be blank", specs[node->kind].name);
		struct key_value *pair = ARENA_PUSH(arena, instruction->pairs, instruction->pair_count);
		*pair = (struct key_value){ args->items[i], args->items[i + 1] };
	}
	instruction->is_legacy_pair = node->is_legacy_pair;
	return 0;
}

/* ---- commands ---- */

static int parse_command(struct arena *arena, const struct node *node, struct instruction *instruction, struct err *err)
{
	if (check_flags(arena, node, instruction, err) < 0)
		return -1;
	if (node->is_json)
		take_words(arena, node, instruction);
	return 0;
}

static int check_choice(struct arena *arena, const struct instruction *instruction, const char *flag,
			const char *const *choices, const char *before, const char *after, struct err *err)
{
	const char *value = instruction_flag(instruction, flag);

	if (!value)
		return 0;
	for (; *choices; choices++)
		if (strcmp(*choices, value) == 0)
			return 0;
	return err_set(err, ERR_INPUT, "%s%s%s", before, quoted(arena, value), after);
}

/* Devices first, then mounts, as the hooks of BuildKit are called. */
static int check_lists(struct arena *arena, const struct instruction *instruction, struct err *err)
{
	struct run_device device;

	for (size_t i = 0; i < instruction->flag_count; i++)
		if (strcmp(instruction->flags[i].name, "device") == 0 &&
		    run_device_parse(arena, instruction->flags[i].value, &device, err) < 0)
			return -1;
	for (size_t i = 0; i < instruction->flag_count; i++)
		if (strcmp(instruction->flags[i].name, "mount") == 0 &&
		    run_mount_check(arena, instruction->flags[i].value, err) < 0)
			return -1;
	return 0;
}

static int parse_run(struct arena *arena, const struct node *node, struct instruction *instruction, struct err *err)
{
	static const char *const networks[] = { "default", "none", "host", NULL };
	static const char *const securities[] = { "insecure", "sandbox", NULL };

	if (parse_command(arena, node, instruction, err) < 0)
		return -1;
	struct heredoc whole;
	instruction->is_heredoc_command = node->heredoc_count > 0 &&
					  heredoc_from_word(arena, node->text, &whole, NULL) > 0;
	if (check_lists(arena, instruction, err) < 0 ||
	    check_choice(arena, instruction, "network", networks, "invalid network mode ", "", err) < 0)
		return -1;
	return check_choice(arena, instruction, "security", securities, "security ", " is not valid", err);
}

static int parse_shell(struct arena *arena, const struct node *node, struct instruction *instruction, struct err *err)
{
	if (check_flags(arena, node, instruction, err) < 0)
		return -1;
	if (node->args.count == 0)
		return needs_one(node, err);
	if (!node->is_json)
		return err_set(err, ERR_INPUT, "SHELL requires the arguments to be in JSON form");
	take_words(arena, node, instruction);
	return 0;
}

/* ---- files ---- */

static int parse_copy(struct arena *arena, const struct node *node, struct instruction *instruction, struct err *err)
{
	const char *name = specs[node->kind].name;

	if (node->args.count < 2)
		return err_set(
			err, ERR_INPUT,
			"%s requires at least two arguments, but only one was provided. Destination could not be "
			"determined",
			name);
	if (check_flags(arena, node, instruction, err) < 0)
		return -1;
	return copy_words(arena, name, node, instruction, err);
}

/* ---- the rest of the line, or words ---- */

static int parse_one(struct arena *arena, const struct node *node, struct instruction *instruction, struct err *err)
{
	if (node->args.count != 1)
		return err_set(err, ERR_INPUT, "%s requires exactly one argument", specs[node->kind].name);
	take_words(arena, node, instruction);
	return specs[node->kind].flags ? check_flags(arena, node, instruction, err) : 0;
}

static int compare_words(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted before they are expanded, which decides their order in the history. */
static int parse_expose(struct arena *arena, const struct node *node, struct instruction *instruction, struct err *err)
{
	if (node->args.count == 0)
		return needs_one(node, err);
	if (check_flags(arena, node, instruction, err) < 0)
		return -1;
	take_words(arena, node, instruction);
	qsort(instruction->words, instruction->word_count, sizeof(*instruction->words), compare_words);
	return 0;
}

static int parse_volume(struct arena *arena, const struct node *node, struct instruction *instruction, struct err *err)
{
	if (node->args.count == 0)
		return needs_one(node, err);
	if (check_flags(arena, node, instruction, err) < 0)
		return -1;
	take_words(arena, node, instruction);
	for (size_t i = 0; i < instruction->word_count; i++) {
		struct slice word = slice_trim(SLICE(instruction->words[i]));
		if (word.len == 0)
			return err_set(err, ERR_INPUT, "VOLUME specified can not be an empty string");
		instruction->words[i] = slice_copy(arena, word);
	}
	return 0;
}

/* ---- ONBUILD ---- */

/* The line without its first word, and the heredocs as they stood below it: parsed again when it fires. */
static const char *trigger_text(struct arena *arena, const struct node *node)
{
	scope_strbuf struct strbuf text = { 0 };
	const char *line = node->line.ptr + strlen("ONBUILD");

	strbuf_addstr(&text, line + strspn(line, " \t\n\f\r"));
	for (size_t i = 0; i < node->heredoc_count; i++)
		strbuf_addf(&text, "\n%s%s", node->heredocs[i].raw_body, node->heredocs[i].name);
	return arena_strdup(arena, strbuf_str(&text));
}

static int parse_onbuild(struct arena *arena, const struct node *node, struct instruction *instruction, struct err *err)
{
	const char *keyword = node->trigger_keyword;

	if (!keyword)
		return needs_one(node, err);
	if (check_flags(arena, node, instruction, err) < 0)
		return -1;
	if (text_equal_nocase(keyword, "ONBUILD"))
		return err_set(err, ERR_INPUT, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
	if (text_equal_nocase(keyword, "FROM") || text_equal_nocase(keyword, "MAINTAINER"))
		return err_set(err, ERR_INPUT, "%s isn't allowed as an ONBUILD trigger",
			       specs[instruction_kind_of(SLICE(keyword))].name);
	instruction->trigger = trigger_text(arena, node);
	return 0;
}

/* ---- the table ---- */

static const struct flag_spec no_flags[] = { { NULL, FLAG_TEXT } };
static const struct flag_spec from_flags[] = { { "platform", FLAG_TEXT }, { NULL, FLAG_TEXT } };
static const struct flag_spec run_flags[] = {
	{ "mount", FLAG_LIST },  { "network", FLAG_TEXT }, { "security", FLAG_TEXT },
	{ "device", FLAG_LIST }, { NULL, FLAG_TEXT },
};
static const struct flag_spec copy_flags[] = {
	{ "from", FLAG_TEXT },    { "chown", FLAG_TEXT },   { "chmod", FLAG_TEXT }, { "link", FLAG_BOOL },
	{ "parents", FLAG_BOOL }, { "exclude", FLAG_LIST }, { NULL, FLAG_TEXT },
};
static const struct flag_spec add_flags[] = {
	{ "chown", FLAG_TEXT },        { "chmod", FLAG_TEXT },    { "link", FLAG_BOOL },   { "exclude", FLAG_LIST },
	{ "keep-git-dir", FLAG_BOOL }, { "checksum", FLAG_TEXT }, { "unpack", FLAG_BOOL }, { NULL, FLAG_TEXT },
};

/* Without a list of flags whatever stands there is ignored. */
static const struct instruction_spec specs[INSTRUCTION_COUNT] = {
	[INSTRUCTION_FROM] = { "FROM", parse_from, from_flags },
	[INSTRUCTION_ARG] = { "ARG", parse_arg, NULL },
	[INSTRUCTION_ENV] = { "ENV", parse_pairs, no_flags },
	[INSTRUCTION_LABEL] = { "LABEL", parse_pairs, no_flags },
	[INSTRUCTION_RUN] = { "RUN", parse_run, run_flags },
	[INSTRUCTION_COPY] = { "COPY", parse_copy, copy_flags },
	[INSTRUCTION_ADD] = { "ADD", parse_copy, add_flags },
	[INSTRUCTION_WORKDIR] = { "WORKDIR", parse_one, no_flags },
	[INSTRUCTION_USER] = { "USER", parse_one, no_flags },
	[INSTRUCTION_CMD] = { "CMD", parse_command, no_flags },
	[INSTRUCTION_ENTRYPOINT] = { "ENTRYPOINT", parse_command, no_flags },
	[INSTRUCTION_EXPOSE] = { "EXPOSE", parse_expose, no_flags },
	[INSTRUCTION_VOLUME] = { "VOLUME", parse_volume, no_flags },
	[INSTRUCTION_STOPSIGNAL] = { "STOPSIGNAL", parse_one, NULL },
	[INSTRUCTION_SHELL] = { "SHELL", parse_shell, no_flags },
	[INSTRUCTION_HEALTHCHECK] = { "HEALTHCHECK", healthcheck_from_node, NULL },
	[INSTRUCTION_ONBUILD] = { "ONBUILD", parse_onbuild, no_flags },
	[INSTRUCTION_MAINTAINER] = { "MAINTAINER", parse_one, no_flags },
};

const char *instruction_name(enum instruction_kind kind)
{
	return specs[kind].name;
}

int instruction_kind_of(struct slice keyword)
{
	for (size_t i = 0; i < INSTRUCTION_COUNT; i++)
		if (slice_equal_nocase(keyword, specs[i].name))
			return (int)i;
	return -1;
}

void node_blame(const struct node *node, const char *word)
{
	if (node->wrong)
		*node->wrong = word;
}

/* The suggestion is in capitals if the word was. */
static int unknown_instruction(struct arena *arena, const struct node *node, struct err *err)
{
	const char *names[INSTRUCTION_COUNT];

	for (size_t i = 0; i < INSTRUCTION_COUNT; i++)
		names[i] = specs[i].name;
	const char *nearest = text_nearest(node->keyword, names, INSTRUCTION_COUNT);
	node_blame(node, node->keyword);
	if (!nearest)
		return err_set(err, ERR_INPUT, "unknown instruction: %s", shown(arena, node->keyword));
	bool has_lower = false;
	for (const char *p = node->keyword; *p; p++)
		has_lower = has_lower || (*p >= 'a' && *p <= 'z');
	return err_set(err, ERR_INPUT, "unknown instruction: %s (did you mean %s?)", shown(arena, node->keyword),
		       has_lower ? lower(arena, nearest) : nearest);
}

int instruction_from_node(struct arena *arena, const struct node *node, struct instruction *instruction,
			  struct err *err)
{
	static const char *nothing[] = { NULL };

	if (node->kind < 0)
		return unknown_instruction(arena, node, err);
	*instruction = (struct instruction){
		.kind = (enum instruction_kind)node->kind,
		.first_line = node->first_line,
		.last_line = node->last_line,
		.original = slice_share(arena, slice_trim(node->line)),
		.text = node->text,
		.comment = node->comment,
		.is_json = node->is_json,
		.words = nothing,
		.heredocs = node->heredocs,
		.heredoc_count = node->heredoc_count,
	};
	return specs[node->kind].parse(arena, node, instruction, err);
}
