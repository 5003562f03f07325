/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"
#include "kiln/base/text.h"

/* --name=value of one instruction against what it may have: BuildKit's instructions/bflag.go. */

static const struct flag_spec *find_spec(const struct flag_spec *specs, const char *name)
{
	for (; specs->name; specs++)
		if (strcmp(specs->name, name) == 0)
			return specs;
	return NULL;
}

static int unknown_flag(struct arena *arena, const struct flag_spec *specs, const char *name, struct err *err)
{
	const char **names = NULL;
	size_t count = 0;

	for (; specs->name; specs++)
		*ARENA_PUSH(arena, names, count) = specs->name;
	const char *nearest = count ? text_nearest(name, names, count) : NULL;
	if (!nearest)
		return err_set(err, ERR_INPUT, "unknown flag: --%s", shown(arena, name));
	return err_set(err, ERR_INPUT, "unknown flag: --%s (did you mean %s?)", shown(arena, name), nearest);
}

static int check_value(struct arena *arena, const struct flag_spec *spec, const struct instruction_flag *flag,
		       struct err *err)
{
	if (spec->type != FLAG_BOOL && flag->has_value)
		return 0;
	bool is_missing = spec->type == FLAG_BOOL ? flag->has_value && !*flag->value : !flag->has_value;
	if (is_missing)
		return err_set(err, ERR_INPUT, "missing a value on flag: --%s", spec->name);
	if (!*flag->value || text_equal_nocase(flag->value, "true") || text_equal_nocase(flag->value, "false"))
		return 0;
	return err_set(err, ERR_INPUT, "expecting boolean value for flag --%s, not: %s", spec->name,
		       shown(arena, flag->value));
}

static struct instruction_flag split_flag(struct arena *arena, const char *word)
{
	const char *name = word + 2, *equals = strchr(name, '=');

	return (struct instruction_flag){
		.name = arena_strndup(arena, name, equals ? (size_t)(equals - name) : strlen(name)),
		.value = equals ? equals + 1 : "",
		.has_value = equals != NULL,
	};
}

/* The flag without its value, and nothing where quotes or escapes made it another than what was written. */
static void blame_flag(struct arena *arena, const struct node *node, const char *word)
{
	node_blame(node, arena_strndup(arena, word, strcspn(word, "=")));
}

static int check_flag(struct arena *arena, const struct flag_spec *specs, struct instruction *instruction,
		      const struct instruction_flag *flag, struct err *err)
{
	const struct flag_spec *spec = find_spec(specs, flag->name);

	if (!spec)
		return unknown_flag(arena, specs, flag->name, err);
	if (spec->type != FLAG_LIST && instruction_flag(instruction, flag->name))
		return err_set(err, ERR_INPUT, "duplicate flag specified: --%s", spec->name);
	return check_value(arena, spec, flag, err);
}

int flags_check(struct arena *arena, const struct flag_spec *specs, const struct node *node,
		struct instruction *instruction, struct err *err)
{
	for (size_t i = 0; i < node->flags.count; i++) {
		struct instruction_flag flag = split_flag(arena, node->flags.items[i]);
		if (check_flag(arena, specs, instruction, &flag, err) < 0) {
			blame_flag(arena, node, node->flags.items[i]);
			return -1;
		}
		*ARENA_PUSH(arena, instruction->flags, instruction->flag_count) = flag;
	}
	return 0;
}

const char *instruction_flag(const struct instruction *instruction, const char *name)
{
	for (size_t i = 0; i < instruction->flag_count; i++)
		if (strcmp(instruction->flags[i].name, name) == 0)
			return instruction->flags[i].value;
	return NULL;
}

bool instruction_flag_is_set(const struct instruction *instruction, const char *name)
{
	const char *value = instruction_flag(instruction, name);

	return value && (!*value || text_equal_nocase(value, "true"));
}
