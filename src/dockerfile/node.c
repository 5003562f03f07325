/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"

/* The first pass over one logical line: keyword, flags, and the arguments in the form of each instruction. */

typedef int args_fn(struct arena *arena, struct slice text, char escape, struct node *node, struct err *err);

static int args_whole(struct arena *arena, struct slice text, char escape, struct node *node, struct err *err)
{
	(void)escape, (void)err;
	if (text.len == 0)
		return 0;
	if (node->args.count > 0) {
		word_list_push(arena, &node->args, text);
		return 0;
	}
	node->only_arg = slice_share(arena, text);
	node->args = (struct word_list){ &node->only_arg, 1 };
	return 0;
}

static int args_blanks(struct arena *arena, struct slice text, char escape, struct node *node, struct err *err)
{
	(void)escape, (void)err;
	split_blanks(arena, text, &node->args);
	return 0;
}

static int args_words(struct arena *arena, struct slice text, char escape, struct node *node, struct err *err)
{
	(void)err;
	split_words(arena, text, escape, &node->args);
	return 0;
}

/* 1: the text is an array of strings, now in node->args; 0: it is not JSON. */
static int take_json(struct arena *arena, struct slice text, struct node *node, struct err *err)
{
	struct word_list list = { 0 };
	bool has_nul = false;

	switch (json_words_read(arena, text, &list, &has_nul)) {
	case JSON_WORDS_INVALID:
		return 0;
	case JSON_WORDS_NOT_STRINGS:
		return err_set(err, ERR_INPUT,
			       "when using JSON array syntax, arrays must be comprised of strings only");
	case JSON_WORDS:
		break;
	}
	if (has_nul)
		return err_set(err, ERR_INPUT, "an argument holds a NUL character, which no program could be given");
	for (size_t i = 0; i < list.count; i++)
		*ARENA_PUSH(arena, node->args.items, node->args.count) = list.items[i];
	node->is_json = true;
	return 1;
}

static int args_json_or_whole(struct arena *arena, struct slice text, char escape, struct node *node, struct err *err)
{
	int is_json = take_json(arena, text, node, err);

	return is_json != 0 ? is_json : args_whole(arena, text, escape, node, err);
}

static int args_json_or_blanks(struct arena *arena, struct slice text, char escape, struct node *node, struct err *err)
{
	int is_json = take_json(arena, text, node, err);

	return is_json != 0 ? is_json : args_blanks(arena, text, escape, node, err);
}

static void push_pair(struct arena *arena, struct node *node, struct slice key, struct slice value)
{
	word_list_push(arena, &node->args, key);
	word_list_push(arena, &node->args, value);
}

/* KEY=VALUE ..., or, if the first word has no '=', KEY and the rest of the line. Keys and values alternate in args. */
static int args_pairs(struct arena *arena, struct slice text, const char *name, char escape, struct node *node,
		      struct err *err)
{
	struct word_list words = { 0 };
	struct slice key, value;

	split_words(arena, text, escape, &words);
	if (words.count == 0)
		return 0;
	if (!strchr(words.items[0], '=')) {
		if (!split_first(text, &key, &value))
			return err_set(err, ERR_INPUT, "%s must have two arguments", name);
		node->is_legacy_pair = true;
		push_pair(arena, node, key, value);
		return 0;
	}
	for (size_t i = 0; i < words.count; i++) {
		const char *word = words.items[i], *equals = strchr(word, '=');
		if (!equals)
			return err_set(err, ERR_INPUT,
				       "Syntax error - can't find = in %s. Must be of the form: name=value",
				       quoted(arena, word));
		push_pair(arena, node, (struct slice){ word, (size_t)(equals - word) }, SLICE(equals + 1));
	}
	return 0;
}

static int args_env(struct arena *arena, struct slice text, char escape, struct node *node, struct err *err)
{
	return args_pairs(arena, text, "ENV", escape, node, err);
}

static int args_label(struct arena *arena, struct slice text, char escape, struct node *node, struct err *err)
{
	return args_pairs(arena, text, "LABEL", escape, node, err);
}

/* NONE or CMD, then what it takes. */
static int args_healthcheck(struct arena *arena, struct slice text, char escape, struct node *node, struct err *err)
{
	struct slice type = { text.ptr, 0 };
	uint32_t rune;

	while (type.len < text.len) {
		size_t width = rune_decode(slice_skip(text, type.len), &rune);
		if (rune_is_space(rune))
			break;
		type.len += width;
	}
	if (type.len == 0)
		return 0;
	word_list_push(arena, &node->args, type);
	return args_json_or_whole(arena, slice_trim_left(slice_skip(text, type.len)), escape, node, err);
}

static args_fn args_onbuild;

static args_fn *const args_of[INSTRUCTION_COUNT] = {
	[INSTRUCTION_FROM] = args_blanks,
	[INSTRUCTION_ARG] = args_words,
	[INSTRUCTION_ENV] = args_env,
	[INSTRUCTION_LABEL] = args_label,
	[INSTRUCTION_RUN] = args_json_or_whole,
	[INSTRUCTION_COPY] = args_json_or_blanks,
	[INSTRUCTION_ADD] = args_json_or_blanks,
	[INSTRUCTION_WORKDIR] = args_whole,
	[INSTRUCTION_USER] = args_whole,
	[INSTRUCTION_CMD] = args_json_or_whole,
	[INSTRUCTION_ENTRYPOINT] = args_json_or_whole,
	[INSTRUCTION_EXPOSE] = args_blanks,
	[INSTRUCTION_VOLUME] = args_json_or_blanks,
	[INSTRUCTION_STOPSIGNAL] = args_whole,
	[INSTRUCTION_SHELL] = args_json_or_whole,
	[INSTRUCTION_HEALTHCHECK] = args_healthcheck,
	[INSTRUCTION_ONBUILD] = args_onbuild,
	[INSTRUCTION_MAINTAINER] = args_whole,
};

/* Keyword and flags; what is left, trimmed, is the text of the arguments. An unknown keyword takes any argument. */
static int split_line(struct arena *arena, struct slice line, char escape, struct slice *keyword, struct slice *text,
		      struct word_list *flags)
{
	struct slice rest;

	split_first(slice_trim(line), keyword, &rest);
	*text = slice_trim(split_flags(arena, rest, escape, flags));
	return instruction_kind_of(*keyword);
}

static bool may_take_heredocs(int kind, bool is_json)
{
	return !is_json && (kind == INSTRUCTION_RUN || kind == INSTRUCTION_COPY || kind == INSTRUCTION_ADD);
}

/*
 * The trigger is split too, since its errors count here; its result is thrown away. A chain of ONBUILDs, which the
 * second pass refuses, is walked and not recursed into.
 */
static int args_onbuild(struct arena *arena, struct slice text, char escape, struct node *node, struct err *err)
{
	struct node trigger = { 0 };
	struct slice keyword;

	if (text.len == 0)
		return 0;
	int kind = split_line(arena, text, escape, &keyword, &text, &trigger.flags);
	node->trigger_keyword = slice_copy(arena, keyword);
	bool is_chain = kind == INSTRUCTION_ONBUILD;
	while (kind == INSTRUCTION_ONBUILD && text.len > 0)
		kind = split_line(arena, text, escape, &keyword, &text, &trigger.flags);
	if (kind < 0 || kind == INSTRUCTION_ONBUILD)
		return 0;
	if (args_of[kind](arena, text, escape, &trigger, err) < 0)
		return -1;
	node->takes_heredocs = !is_chain && may_take_heredocs(kind, trigger.is_json);
	return 0;
}

int node_parse(struct arena *arena, const struct logical_line *line, char escape, struct node *node, struct err *err)
{
	struct slice keyword, text;

	*node = (struct node){
		.line = line->text,
		.first_line = line->first_line,
		.last_line = line->last_line,
		.comment = line->comment,
	};
	node->kind = split_line(arena, line->text, escape, &keyword, &text, &node->flags);
	if (node->kind < 0)
		node->keyword = slice_copy(arena, keyword);
	node->text = slice_share(arena, text);
	if (node->kind < 0)
		return 0;
	if (args_of[node->kind](arena, text, escape, node, err) < 0)
		return -1;
	if (node->kind != INSTRUCTION_ONBUILD)
		node->takes_heredocs = may_take_heredocs(node->kind, node->is_json);
	return 0;
}
