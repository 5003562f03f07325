/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_DOCKERFILE_IGNORE_H
#define KILN_DOCKERFILE_IGNORE_H

#include "internal.h"

/*
 * All patterns of a matcher as one row of elements, which is a nondeterministic automaton: a position is an index into the
 * row, and each pattern ends with an element of its own. ignore-compile.c writes it, ignore-run.c makes it
 * deterministic as paths ask for it.
 */
enum element_kind {
	ELEMENT_ONE,   /* one character of the test */
	ELEMENT_MANY,  /* any number of them */
	ELEMENT_DIRS,  /* (test* '/')? */
	ELEMENT_START, /* nothing, at the start of the path only */
	ELEMENT_END,   /* the pattern has matched */
};

enum element_test {
	TEST_RUNE,    /* .value */
	TEST_SET,     /* .value is an index into sets */
	TEST_NEWLINE, /* all but a newline */
	TEST_ALL,
};

struct element {
	unsigned char kind, test;
	uint32_t value;
	uint32_t pattern;
};

struct rune_set {
	bool is_negated;
	size_t first, count; /* in ranges */
};

struct set_range {
	uint32_t first, last;
};

struct program {
	struct element *elements;
	size_t count;
	struct rune_set *sets;
	size_t set_count;
	struct set_range *ranges;
	size_t range_count;
	uint32_t *starts; /* position of each pattern's first element */
	bool *reincludes; /* of each pattern: begins with '!' */
	size_t pattern_count;
};

/* Adds one pattern as patternmatcher.New takes it: trimmed, cleaned, with its '!'. "" is skipped. */
int program_add(struct arena *arena, struct program *program, const char *pattern, struct err *err) MUST_CHECK;
bool program_test(const struct program *program, const struct element *element, uint32_t rune);

struct runner;
struct runner *runner_new(struct arena *arena, const struct program *program);
struct run_result {
	uint32_t matched; /* the last pattern that matches, from 1 */
	uint32_t alive;   /* the last '!' pattern that something longer could match, from 1 */
};
struct run_result runner_run(struct runner *runner, struct slice path);

#endif
