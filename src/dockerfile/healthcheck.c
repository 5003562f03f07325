/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#define SHORTEST_NS 1000000

static const struct flag_spec flags[] = {
	{ "interval", FLAG_TEXT },       { "timeout", FLAG_TEXT }, { "start-period", FLAG_TEXT },
	{ "start-interval", FLAG_TEXT }, { "retries", FLAG_TEXT }, { NULL, FLAG_TEXT },
};

/* 0 and an empty value both mean "not given". */
static int take_duration(struct arena *arena, const struct instruction *instruction, const char *name, int64_t *ns,
			 struct err *err)
{
	const char *text = instruction_flag(instruction, name);

	if (!text || !*text)
		return 0;
	if (duration_parse(arena, text, ns, err) < 0)
		return -1;
	if (*ns != 0 && *ns < SHORTEST_NS)
		return err_set(err, ERR_INPUT, "Interval \"%s\" cannot be less than 1ms", name);
	return 0;
}

/* As strconv.ParseInt(text, 10, 32), which takes a '+' too. */
static int take_retries(struct arena *arena, struct instruction *instruction, struct err *err)
{
	const char *text = instruction_flag(instruction, "retries");
	int64_t value;

	if (!text || !*text)
		return 0;
	bool has_plus = text[0] == '+' && text[1] != '-';
	const char *digits = text + (*text == '+' || *text == '-');
	if (!*digits || digits[strspn(digits, "0123456789")])
		return err_set(err, ERR_INPUT, "strconv.ParseInt: parsing %s: invalid syntax", quoted(arena, text));
	if (parse_int64(&value, text + has_plus, NULL) < 0 || value > INT32_MAX || value < INT32_MIN)
		return err_set(err, ERR_INPUT, "strconv.ParseInt: parsing %s: value out of range", quoted(arena, text));
	if (value < 0)
		return err_set(err, ERR_INPUT, "--retries cannot be negative (%lld)", (long long)value);
	instruction->retries = value;
	return 0;
}

static int take_times(struct arena *arena, struct instruction *instruction, struct err *err)
{
	const struct {
		const char *name;
		int64_t *ns;
	} times[] = {
		{ "interval", &instruction->interval_ns },
		{ "timeout", &instruction->timeout_ns },
		{ "start-period", &instruction->start_period_ns },
		{ "start-interval", &instruction->start_interval_ns },
	};

	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		if (take_duration(arena, instruction, times[i].name, times[i].ns, err) < 0)
			return -1;
	return take_retries(arena, instruction, err);
}

static void set_test(struct arena *arena, const struct node *node, const char *type, struct instruction *instruction)
{
	struct word_list test = { 0 };

	word_list_push(arena, &test, SLICE(type));
	for (size_t i = 1; i < node->args.count; i++)
		*ARENA_PUSH(arena, test.items, test.count) = node->args.items[i];
	instruction->test = word_list_end(arena, &test);
	instruction->test_count = test.count;
}

int healthcheck_from_node(struct arena *arena, const struct node *node, struct instruction *instruction,
			  struct err *err)
{
	const struct word_list *args = &node->args;

	if (args->count == 0)
		return err_set(err, ERR_INPUT, "HEALTHCHECK requires at least one argument");
	if (text_equal_nocase(args->items[0], "NONE")) {
		if (args->count > 1)
			return err_set(err, ERR_INPUT, "HEALTHCHECK NONE takes no arguments");
		set_test(arena, node, "NONE", instruction);
		return 0;
	}
	if (flags_check(arena, flags, node, instruction, err) < 0)
		return -1;
	if (!text_equal_nocase(args->items[0], "CMD")) {
		char *type = arena_strdup(arena, args->items[0]);
		for (char *p = type; *p; p++)
			*p = ascii_upper(*p);
		return err_set(err, ERR_INPUT, "Unknown type %s in HEALTHCHECK (try CMD)", quoted(arena, type));
	}
	if (args->count == 1)
		return err_set(err, ERR_INPUT, "Missing command after HEALTHCHECK CMD");
	set_test(arena, node, node->is_json ? "CMD" : "CMD-SHELL", instruction);
	return take_times(arena, instruction, err);
}
