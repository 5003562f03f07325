/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "lint.h"

/* Which rules are asked, and what they say: BuildKit's frontend/dockerfile/linter/linter.go. */

static uint32_t rule_bit(struct slice name)
{
	for (size_t i = 0; i < RULE_COUNT; i++)
		if (slice_equal(name, lint_rules[i].rule.name))
			return UINT32_C(1) << i;
	return 0;
}

/* Up to a character, which is taken; false at the end. */
static bool next_field(struct slice *rest, char stop, struct slice *field)
{
	if (!rest->ptr)
		return false;
	const char *end = rest->len ? memchr(rest->ptr, stop, rest->len) : NULL;
	*field = (struct slice){ rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len };
	*rest = end ? slice_skip(*rest, field->len + 1) : (struct slice){ NULL, 0 };
	return true;
}

/* Names that are no rule's do not count. */
static void take_rules(struct slice list, bool *all, uint32_t *rules)
{
	struct slice name;

	if (slice_equal(list, "all")) {
		*all = true;
		return;
	}
	while (next_field(&list, ',', &name))
		*rules |= rule_bit(slice_trim(name));
}

/* Go's strconv.ParseBool. */
static bool parse_bool(struct slice text, bool *value)
{
	static const char *const words[] = { "1", "t", "T", "true",  "TRUE",  "True",
					     "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!slice_equal(text, words[i]))
			continue;
		*value = i < ARRAY_LEN(words) / 2;
		return true;
	}
	return false;
}

static int take_option(struct arena *arena, struct slice option, struct lint_options *options, struct err *err)
{
	struct slice key, value = option;

	next_field(&value, '=', &key);
	if (!value.ptr)
		return err_set(err, ERR_INPUT, "invalid check option %s", quoted(arena, slice_copy(arena, option)));
	key = slice_trim(key);
	value = slice_trim(value);
	if (slice_equal(key, "skip"))
		take_rules(value, &options->skips_all, &options->skipped);
	else if (slice_equal(key, "experimental"))
		take_rules(value, &options->is_experimental_all, &options->experimental);
	else if (!slice_equal(key, "error"))
		return err_set(err, ERR_INPUT, "invalid check option %s", quoted(arena, slice_copy(arena, key)));
	else if (!parse_bool(value, &options->is_error))
		return err_set(err, ERR_INPUT, "failed to parse check option %s: %s is neither true nor false",
			       quoted(arena, slice_copy(arena, option)), quoted(arena, slice_copy(arena, value)));
	return 0;
}

static int parse_options(struct arena *arena, struct slice check, struct lint_options *options, struct err *err)
{
	struct slice option;

	check = slice_trim(check);
	if (check.len == 0)
		return 0;
	while (next_field(&check, ';', &option))
		if (take_option(arena, option, options, err) < 0)
			return -1;
	return 0;
}

int lint_init(struct lint *lint, struct arena *arena, const char *check, struct err *err)
{
	*lint = (struct lint){ .arena = arena };
	if (check && parse_options(arena, SLICE(check), &lint->options, err) < 0)
		return err_wrap(err, "failed to parse check options");
	return 0;
}

/* ---- the comment above an instruction ---- */

const char *comment_about(struct arena *arena, const char *comment, const char *name)
{
	struct slice rest = comment ? SLICE(comment) : (struct slice){ NULL, 0 }, line;
	size_t len = strlen(name);

	while (next_field(&rest, '\n', &line))
		if (len > 0 && line.len > len && memcmp(line.ptr, name, len) == 0 && line.ptr[len] == ' ')
			return slice_copy(arena, slice_skip(line, len + 1));
	return NULL;
}

/* "check=VALUE", of which the first word counts. */
static bool is_check(struct slice line, struct slice *value)
{
	struct slice key;

	*value = line;
	next_field(value, '=', &key);
	if (!value->ptr || !slice_equal_nocase(slice_trim(key), "check"))
		return false;
	*value = slice_trim(*value);
	const char *blank = value->len ? memchr(value->ptr, ' ', value->len) : NULL;
	value->len = blank ? (size_t)(blank - value->ptr) : value->len;
	return true;
}

/* Only the first counts, and one that cannot be read leaves all as it is. */
static struct lint_options own_options(struct arena *arena, const char *comment)
{
	struct slice rest = comment ? SLICE(comment) : (struct slice){ NULL, 0 }, line, value;
	struct lint_options options = { 0 };

	while (next_field(&rest, '\n', &line)) {
		if (!is_check(line, &value))
			continue;
		if (parse_options(arena, value, &options, NULL) < 0)
			options = (struct lint_options){ 0 };
		break;
	}
	return options;
}

/* ---- warnings ---- */

static bool is_asked(const struct lint_options *options, const struct lint_rule *rule)
{
	uint32_t bit = rule_bit(SLICE(rule->name));

	if (rule->is_experimental)
		return options->is_experimental_all || options->experimental & bit;
	return !options->skips_all && !(options->skipped & bit);
}

static bool is_wanted(const struct lint *lint, const struct lint_rule *rule, const struct instruction *commented)
{
	struct lint_options own = own_options(lint->arena, commented ? commented->comment : NULL);

	if (rule->is_experimental)
		return is_asked(&lint->options, rule) || is_asked(&own, rule);
	return is_asked(&lint->options, rule) && is_asked(&own, rule);
}

static void add(struct lint *lint, const struct lint_rule *rule, int first_line, int last_line, const char *detail)
{
	struct lint_warning *warning = ARENA_PUSH(lint->arena, lint->warnings, lint->count);

	*warning = (struct lint_warning){ rule, detail, first_line, last_line };
}

void lint_warn(struct lint *lint, const struct lint_rule *rule, const struct instruction *where, const char *fmt, ...)
{
	va_list args;

	if (!is_wanted(lint, rule, where))
		return;
	va_start(args, fmt);
	add(lint, rule, where->first_line, where->last_line, arena_vprintf(lint->arena, fmt, args));
	va_end(args);
}

void lint_warn_at(struct lint *lint, const struct lint_rule *rule, const struct instruction *where,
		  const struct instruction *commented, const char *fmt, ...)
{
	va_list args;

	if (!is_wanted(lint, rule, commented))
		return;
	va_start(args, fmt);
	add(lint, rule, where->first_line, where->last_line, arena_vprintf(lint->arena, fmt, args));
	va_end(args);
}

void lint_warn_line(struct lint *lint, const struct lint_rule *rule, int line, const char *detail)
{
	if (is_wanted(lint, rule, NULL))
		add(lint, rule, line, line, detail);
}

void lint_run(struct lint *lint, enum lint_moment moment, const struct lint_facts *facts)
{
	for (size_t i = 0; i < RULE_COUNT; i++)
		if (lint_rules[i].moment == moment)
			lint_rules[i].check(lint, &lint_rules[i].rule, facts);
}

/* Those of one line stay as they came: they are neighbours in one array. */
static int compare_lines(const void *a, const void *b)
{
	const struct lint_warning *x = *(const struct lint_warning *const *)a;
	const struct lint_warning *y = *(const struct lint_warning *const *)b;

	if (x->first_line != y->first_line)
		return x->first_line < y->first_line ? -1 : 1;
	return x < y ? -1 : x > y;
}

void lint_sort(struct lint *lint)
{
	const struct lint_warning **order = arena_array(lint->arena, const struct lint_warning *, lint->count + 1);
	struct lint_warning *sorted = arena_array(lint->arena, struct lint_warning, lint->count + 1);

	for (size_t i = 0; i < lint->count; i++)
		order[i] = &lint->warnings[i];
	qsort(order, lint->count, sizeof(*order), compare_lines);
	for (size_t i = 0; i < lint->count; i++)
		sorted[i] = *order[i];
	if (lint->count > 0)
		memcpy(lint->warnings, sorted, lint->count * sizeof(*sorted));
}

const char *lint_violation(const struct lint *lint)
{
	scope_strbuf struct strbuf text = { 0 };
	uint32_t seen = 0;

	if (!lint->options.is_error || lint->count == 0)
		return NULL;
	strbuf_addstr(&text, "lint violation found for rules:");
	for (size_t i = 0; i < lint->count; i++) {
		uint32_t bit = rule_bit(SLICE(lint->warnings[i].rule->name));
		if (!(seen & bit))
			strbuf_addf(&text, "%s %s", seen ? "," : "", lint->warnings[i].rule->name);
		seen |= bit;
	}
	return arena_strdup(lint->arena, strbuf_str(&text));
}

char *lint_line(struct arena *arena, const struct lint_warning *warning)
{
	return arena_printf(arena, "%s: %s (line %d)", warning->rule->name, warning->detail, warning->first_line);
}
