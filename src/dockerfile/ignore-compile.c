/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "ignore.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/dockerfile/match.h"

/*
 * A pattern becomes the text of a regular expression, exactly as moby/patternmatcher writes it, and that is read here
 * with Go's rules for the little that can stand in it. The detour keeps what nobody would design: "[*]" is not a class
 * with a star, and "^" in the middle never matches. One thing differs: behind a '\' every character means itself, also
 * the letters that are classes in a regular expression.
 */

enum pattern_type { PATTERN_EXACT, PATTERN_PREFIX, PATTERN_SUFFIX, PATTERN_REGEXP };

/* ---- pattern -> text ---- */

/* At "**": eats a '/' behind it too. */
static void take_double_star(struct slice *rest, enum pattern_type *type, struct strbuf *out)
{
	*rest = slice_skip(*rest, 2);
	if (slice_starts(*rest, "/"))
		*rest = slice_skip(*rest, 1);
	if (rest->len > 0) {
		strbuf_addstr(out, "(.*/)?");
		*type = PATTERN_REGEXP;
	} else if (*type == PATTERN_EXACT) {
		*type = PATTERN_PREFIX;
	} else {
		strbuf_addstr(out, ".*");
		*type = PATTERN_REGEXP;
	}
}

static void take_character(struct slice *rest, enum pattern_type *type, struct strbuf *out)
{
	char c = *rest->ptr;

	*rest = slice_skip(*rest, 1);
	switch (c) {
	case '*':
		strbuf_addstr(out, "[^/]*");
		*type = PATTERN_REGEXP;
		break;
	case '?':
		strbuf_addstr(out, "[^/]");
		*type = PATTERN_REGEXP;
		break;
	case '[':
	case ']':
		strbuf_addch(out, c);
		*type = PATTERN_REGEXP;
		break;
	case '\\':
		strbuf_addch(out, c);
		if (rest->len > 0) {
			strbuf_addch(out, *rest->ptr);
			*rest = slice_skip(*rest, 1);
			*type = PATTERN_REGEXP;
		}
		break;
	default:
		if (strchr(".+(){}|$", c))
			strbuf_addch(out, '\\');
		strbuf_addch(out, c);
	}
}

static enum pattern_type to_regexp(const char *pattern, struct strbuf *out)
{
	enum pattern_type type = PATTERN_EXACT;
	struct slice rest = SLICE(pattern);

	while (rest.len > 0) {
		bool is_first = rest.ptr == pattern;
		if (!slice_starts(rest, "**")) {
			take_character(&rest, &type, out);
			continue;
		}
		take_double_star(&rest, &type, out);
		if (is_first)
			type = PATTERN_SUFFIX;
	}
	return type;
}

/* ---- text -> elements ---- */

static struct element *add(struct arena *arena, struct program *program, enum element_kind kind, enum element_test test,
			   uint32_t value)
{
	struct element *element = ARENA_PUSH(arena, program->elements, program->count);

	*element = (struct element){ (unsigned char)kind, (unsigned char)test, value,
				     (uint32_t)program->pattern_count };
	return element;
}

static void add_literal(struct arena *arena, struct program *program, struct slice text)
{
	uint32_t rune;

	while (text.len > 0) {
		size_t width = rune_decode(text, &rune);
		add(arena, program, ELEMENT_ONE, TEST_RUNE, rune);
		text = slice_skip(text, width);
	}
}

static void add_range(struct arena *arena, struct program *program, uint32_t first, uint32_t last)
{
	*ARENA_PUSH(arena, program->ranges, program->range_count) = (struct set_range){ first, last };
	program->sets[program->set_count - 1].count++;
}

/* [:name:], as Go knows them: ASCII only. Pairs of ends. */
static const struct posix_class {
	const char *name;
	const char *ranges;
} posix_classes[] = {
	{ "alnum", "09AZaz" },  { "alpha", "AZaz" },     { "ascii", NULL },     { "blank", "\t\t  " },
	{ "cntrl", NULL },      { "digit", "09" },       { "graph", "!~" },     { "lower", "az" },
	{ "print", " ~" },      { "punct", "!/:@[`{~" }, { "space", "\t\r  " }, { "upper", "AZ" },
	{ "word", "09AZ__az" }, { "xdigit", "09AFaf" },
};

static void add_pair(struct arena *arena, struct program *program, uint32_t first, uint32_t last, uint32_t *next,
		     bool is_negated)
{
	if (!is_negated)
		add_range(arena, program, first, last);
	else if (first > *next)
		add_range(arena, program, *next, first - 1);
	*next = last + 1;
}

/* A negated one is what lies between its ranges. */
static void add_posix(struct arena *arena, struct program *program, const struct posix_class *class, bool is_negated)
{
	uint32_t next = 0;

	if (class->ranges) {
		for (const char *p = class->ranges; *p; p += 2)
			add_pair(arena, program, (unsigned char)p[0], (unsigned char)p[1], &next, is_negated);
	} else if (strcmp(class->name, "ascii") == 0) {
		add_pair(arena, program, 0, 0x7f, &next, is_negated);
	} else {
		add_pair(arena, program, 0, 0x1f, &next, is_negated);
		add_pair(arena, program, 0x7f, 0x7f, &next, is_negated);
	}
	if (is_negated)
		add_range(arena, program, next, UINT32_MAX);
}

/* 1: taken; 0: no such thing here; -1: a name that is none. */
static int take_posix(struct arena *arena, struct program *program, struct slice *rest)
{
	if (!slice_starts(*rest, "[:"))
		return 0;
	const char *end = memmem(rest->ptr + 2, rest->len - 2, ":]", 2);
	if (!end)
		return 0;
	struct slice name = { rest->ptr + 2, (size_t)(end - rest->ptr) - 2 };
	bool is_negated = slice_starts(name, "^");
	name = slice_skip(name, is_negated);
	*rest = slice_skip(*rest, (size_t)(end - rest->ptr) + 2);
	for (size_t i = 0; i < ARRAY_LEN(posix_classes); i++) {
		if (slice_equal(name, posix_classes[i].name)) {
			add_posix(arena, program, &posix_classes[i], is_negated);
			return 1;
		}
	}
	return -1;
}

static bool take_class_rune(struct slice *rest, uint32_t *rune)
{
	if (slice_starts(*rest, "\\"))
		*rest = slice_skip(*rest, 1);
	if (rest->len == 0)
		return false;
	*rest = slice_skip(*rest, rune_decode(*rest, rune));
	return true;
}

/* Behind '[', with the rules of regexp/syntax: a ']' in front and a '-' anywhere may stand for themselves. */
static bool take_class(struct arena *arena, struct program *program, struct slice *rest)
{
	struct rune_set *set = ARENA_PUSH(arena, program->sets, program->set_count);
	uint32_t first, last;

	*set = (struct rune_set){ slice_starts(*rest, "^"), program->range_count, 0 };
	*rest = slice_skip(*rest, set->is_negated);
	for (bool is_start = true; is_start || !slice_starts(*rest, "]"); is_start = false) {
		int posix = take_posix(arena, program, rest);
		if (posix < 0)
			return false;
		if (posix > 0)
			continue;
		if (!take_class_rune(rest, &first))
			return false;
		last = first;
		if (rest->len >= 2 && rest->ptr[0] == '-' && rest->ptr[1] != ']') {
			*rest = slice_skip(*rest, 1);
			if (!take_class_rune(rest, &last) || last < first)
				return false;
		}
		add_range(arena, program, first, last);
	}
	*rest = slice_skip(*rest, 1);
	return true;
}

/* Two in a row match what one does. */
static void add_dirs(struct arena *arena, struct program *program, enum element_test test, size_t start)
{
	bool is_repeated = program->count > start && program->elements[program->count - 1].kind == ELEMENT_DIRS;

	if (!is_repeated)
		add(arena, program, ELEMENT_DIRS, test, 0);
}

static bool from_regexp(struct arena *arena, struct program *program, struct slice rest, size_t start)
{
	uint32_t rune;

	while (rest.len > 0) {
		if (slice_starts(rest, "(.*/)?")) {
			add_dirs(arena, program, TEST_NEWLINE, start);
			rest = slice_skip(rest, 6);
		} else if (slice_starts(rest, ".*")) {
			add(arena, program, ELEMENT_MANY, TEST_NEWLINE, 0);
			rest = slice_skip(rest, 2);
		} else if (slice_starts(rest, "^")) {
			add(arena, program, ELEMENT_START, TEST_ALL, 0);
			rest = slice_skip(rest, 1);
		} else if (slice_starts(rest, "[")) {
			rest = slice_skip(rest, 1);
			if (!take_class(arena, program, &rest))
				return false;
			bool is_many = slice_starts(rest, "*");
			add(arena, program, is_many ? ELEMENT_MANY : ELEMENT_ONE, TEST_SET,
			    (uint32_t)program->set_count - 1);
			rest = slice_skip(rest, is_many);
		} else {
			rest = slice_skip(rest, slice_starts(rest, "\\") && rest.len > 1);
			size_t width = rune_decode(rest, &rune);
			add(arena, program, ELEMENT_ONE, TEST_RUNE, rune);
			rest = slice_skip(rest, width);
		}
	}
	return true;
}

static int compile(struct arena *arena, struct program *program, const char *pattern, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	size_t start = program->count, len = strlen(pattern);

	switch (to_regexp(pattern, &text)) {
	case PATTERN_EXACT:
		add_literal(arena, program, SLICE(pattern));
		break;
	case PATTERN_PREFIX:
		add_literal(arena, program, (struct slice){ pattern, len - 2 });
		add(arena, program, ELEMENT_MANY, TEST_ALL, 0);
		break;
	case PATTERN_SUFFIX:
		if (pattern[2] == '/')
			add(arena, program, ELEMENT_DIRS, TEST_ALL, 0);
		else
			add(arena, program, ELEMENT_MANY, TEST_ALL, 0);
		add_literal(arena, program, SLICE(pattern + 2 + (pattern[2] == '/')));
		break;
	case PATTERN_REGEXP:
		if (!from_regexp(arena, program, (struct slice){ strbuf_str(&text), text.len }, start))
			return err_set(err, ERR_INPUT, "syntax error in pattern %s", quoted(arena, pattern));
	}
	add(arena, program, ELEMENT_END, TEST_ALL, 0);
	return 0;
}

int program_add(struct arena *arena, struct program *program, const char *pattern, struct err *err)
{
	struct slice trimmed = slice_trim(SLICE(pattern));

	if (trimmed.len == 0)
		return 0;
	const char *clean = path_go_clean(arena, slice_copy(arena, trimmed));
	bool reincludes = *clean == '!';
	if (reincludes && !clean[1])
		return err_set(err, ERR_INPUT, "illegal exclusion pattern: \"!\"");
	clean += reincludes;
	if (path_match(clean, ".", NULL) < 0)
		return err_set(err, ERR_INPUT, "syntax error in pattern %s", quoted(arena, clean));
	size_t count = program->pattern_count;
	*ARENA_PUSH(arena, program->starts, count) = (uint32_t)program->count;
	if (compile(arena, program, clean, err) < 0)
		return -1;
	*ARENA_PUSH(arena, program->reincludes, program->pattern_count) = reincludes;
	return 0;
}

static bool in_set(const struct program *program, const struct rune_set *set, uint32_t rune)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct set_range *range = &program->ranges[set->first + i];
		if (range->first <= rune && rune <= range->last)
			return !set->is_negated;
	}
	return set->is_negated;
}

bool program_test(const struct program *program, const struct element *element, uint32_t rune)
{
	switch (element->test) {
	case TEST_RUNE:
		return element->value == rune;
	case TEST_SET:
		return in_set(program, &program->sets[element->value], rune);
	case TEST_NEWLINE:
		return rune != '\n';
	default:
		return true;
	}
}
