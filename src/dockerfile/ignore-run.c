/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "ignore.h"

/*
 * Runs all patterns over a path at once. A state is a set of positions; states and the ways between them are found when
 * a path first needs them and kept in a cache of fixed size, which starts anew when it is full. Characters that no
 * pattern tells apart share a class, so a step is two look-ups.
 */

#define UNKNOWN (-1)

/* Ints of the table of ways: 4 MiB. */
#define TABLE_MAX  ((size_t)1 << 20)
#define STATES_MAX ((size_t)4096)
#define STATES_MIN ((size_t)8) /* a power of two */
/* Positions of all states. */
#define POOL_MAX ((size_t)1 << 20)

struct state {
	size_t first, count; /* positions in the pool, ascending */
	uint32_t matched, alive;
};

struct runner {
	const struct program *program;
	uint32_t *bounds; /* first character of each class, ascending; bounds[0] is 0 */
	size_t class_count;
	uint16_t ascii[128];
	struct state *states;
	size_t state_count, state_max;
	int32_t start;
	int32_t *ways;  /* state * class_count + class -> state */
	int32_t *table; /* hash -> state */
	size_t table_size;
	uint32_t *pool;
	size_t pool_used, pool_size;
	/* For one step: positions that are in, and those whose successors by nothing are in too. */
	uint64_t *present, *entered;
	size_t words;
	uint32_t *scratch;
};

/* ---- classes of characters ---- */

static int compare_bounds(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void add_bounds(struct arena *arena, uint32_t **bounds, size_t *count, uint32_t first, uint32_t last)
{
	*ARENA_PUSH(arena, *bounds, *count) = first;
	if (last < UINT32_MAX)
		*ARENA_PUSH(arena, *bounds, *count) = last + 1;
}

static void find_classes(struct arena *arena, struct runner *runner)
{
	const struct program *program = runner->program;
	size_t count = 0;

	*ARENA_PUSH(arena, runner->bounds, count) = 0;
	add_bounds(arena, &runner->bounds, &count, '/', '/');
	add_bounds(arena, &runner->bounds, &count, '\n', '\n');
	for (size_t i = 0; i < program->count; i++)
		if (program->elements[i].kind <= ELEMENT_MANY && program->elements[i].test == TEST_RUNE)
			add_bounds(arena, &runner->bounds, &count, program->elements[i].value,
				   program->elements[i].value);
	for (size_t i = 0; i < program->range_count; i++)
		add_bounds(arena, &runner->bounds, &count, program->ranges[i].first, program->ranges[i].last);
	qsort(runner->bounds, count, sizeof(*runner->bounds), compare_bounds);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || runner->bounds[i] != runner->bounds[i - 1])
			runner->bounds[runner->class_count++] = runner->bounds[i];
}

static size_t class_of(const struct runner *runner, uint32_t rune)
{
	size_t low = 0, high = runner->class_count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (runner->bounds[middle] <= rune)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* ---- sets of positions ---- */

/* Adds a position, and what follows it by nothing. */
static void enter(struct runner *runner, size_t position, bool at_start)
{
	for (;; position++) {
		uint64_t bit = (uint64_t)1 << (position & 63);
		const struct element *element = &runner->program->elements[position];
		if (runner->entered[position / 64] & bit)
			return;
		runner->entered[position / 64] |= bit;
		if (element->kind != ELEMENT_START)
			runner->present[position / 64] |= bit;
		else if (!at_start)
			return;
		if (element->kind == ELEMENT_ONE || element->kind == ELEMENT_END)
			return;
	}
}

static void step_position(struct runner *runner, uint32_t position, uint32_t rune)
{
	const struct element *element = &runner->program->elements[position];

	if (element->kind == ELEMENT_END)
		return;
	bool passes = program_test(runner->program, element, rune);
	if (element->kind == ELEMENT_ONE && passes)
		enter(runner, position + 1, false);
	if (element->kind == ELEMENT_MANY && passes)
		enter(runner, position, false);
	if (element->kind != ELEMENT_DIRS)
		return;
	/* Inside of "(.*" + "/)?" only a '/' leads out. */
	if (passes)
		runner->present[position / 64] |= (uint64_t)1 << (position & 63);
	if (rune == '/')
		enter(runner, position + 1, false);
}

static size_t collect(struct runner *runner)
{
	size_t count = 0;

	for (size_t i = 0; i < runner->words; i++)
		for (uint64_t bits = runner->present[i]; bits; bits &= bits - 1)
			runner->scratch[count++] = (uint32_t)(i * 64) + (uint32_t)__builtin_ctzll(bits);
	memset(runner->present, 0, runner->words * sizeof(*runner->present));
	memset(runner->entered, 0, runner->words * sizeof(*runner->entered));
	return count;
}

/* ---- states ---- */

static size_t hash(const uint32_t *positions, size_t count)
{
	uint64_t value = 0xcbf29ce484222325u;

	for (size_t i = 0; i < count; i++)
		value = (value ^ positions[i]) * 0x100000001b3u;
	return (size_t)(value ^ value >> 29);
}

static int32_t *find_slot(struct runner *runner, const uint32_t *positions, size_t count)
{
	size_t at = hash(positions, count) & (runner->table_size - 1);

	for (;; at = (at + 1) & (runner->table_size - 1)) {
		int32_t *slot = &runner->table[at];
		if (*slot == UNKNOWN)
			return slot;
		const struct state *state = &runner->states[*slot];
		if (state->count == count &&
		    memcmp(runner->pool + state->first, positions, count * sizeof(*positions)) == 0)
			return slot;
	}
}

static void forget_states(struct runner *runner)
{
	runner->state_count = 0;
	runner->pool_used = 0;
	runner->start = UNKNOWN;
	memset(runner->table, 0xff, runner->table_size * sizeof(*runner->table));
}

/* The set in scratch as a state. */
static int32_t add_state(struct runner *runner, size_t count)
{
	int32_t *slot = find_slot(runner, runner->scratch, count);

	if (*slot != UNKNOWN)
		return *slot;
	int32_t index = *slot = (int32_t)runner->state_count++;
	struct state *state = &runner->states[index];
	*state = (struct state){ runner->pool_used, count, 0, 0 };
	memcpy(runner->pool + runner->pool_used, runner->scratch, count * sizeof(*runner->scratch));
	runner->pool_used += count;
	for (size_t i = 0; i < count; i++) {
		const struct element *element = &runner->program->elements[runner->scratch[i]];
		if (element->kind == ELEMENT_END)
			state->matched = element->pattern + 1;
		else if (runner->program->reincludes[element->pattern])
			state->alive = element->pattern + 1;
	}
	memset(runner->ways + (size_t)index * runner->class_count, 0xff, runner->class_count * sizeof(*runner->ways));
	return index;
}

static bool has_room(const struct runner *runner, size_t count)
{
	return runner->state_count < runner->state_max && runner->pool_used + count <= runner->pool_size;
}

static int32_t start_state(struct runner *runner)
{
	if (runner->start != UNKNOWN)
		return runner->start;
	for (size_t i = 0; i < runner->program->pattern_count; i++)
		enter(runner, runner->program->starts[i], true);
	size_t count = collect(runner);
	if (!has_room(runner, count))
		forget_states(runner);
	runner->start = add_state(runner, count);
	return runner->start;
}

/* A full cache is emptied: then `from` is gone, and the way to the new state is not kept. */
static int32_t next_state(struct runner *runner, int32_t from, size_t class)
{
	const struct state *state = &runner->states[from];

	for (size_t i = 0; i < state->count; i++)
		step_position(runner, runner->pool[state->first + i], runner->bounds[class]);
	size_t count = collect(runner);
	if (has_room(runner, count)) {
		int32_t to = add_state(runner, count);
		runner->ways[(size_t)from * runner->class_count + class] = to;
		return to;
	}
	forget_states(runner);
	return add_state(runner, count);
}

static size_t clamp(size_t value, size_t low, size_t high)
{
	return value < low ? low : value > high ? high : value;
}

struct runner *runner_new(struct arena *arena, const struct program *program)
{
	struct runner *runner = arena_new(arena, struct runner);

	runner->program = program;
	find_classes(arena, runner);
	for (uint32_t c = 0; c < 128; c++)
		runner->ascii[c] = (uint16_t)class_of(runner, c);
	runner->state_max = clamp(8 * program->count, STATES_MIN, STATES_MAX);
	runner->state_max = clamp(TABLE_MAX / runner->class_count, STATES_MIN, runner->state_max);
	runner->states = arena_array(arena, struct state, runner->state_max);
	runner->ways = arena_array(arena, int32_t, runner->state_max * runner->class_count);
	for (runner->table_size = STATES_MIN; runner->table_size < 2 * runner->state_max;)
		runner->table_size *= 2;
	runner->table = arena_array(arena, int32_t, runner->table_size);
	runner->pool_size = clamp(16 * program->count, 2 * program->count, 2 * program->count + POOL_MAX);
	runner->pool = arena_array(arena, uint32_t, runner->pool_size);
	runner->words = program->count / 64 + 1;
	runner->present = arena_array(arena, uint64_t, runner->words);
	runner->entered = arena_array(arena, uint64_t, runner->words);
	runner->scratch = arena_array(arena, uint32_t, program->count);
	forget_states(runner);
	return runner;
}

struct run_result runner_run(struct runner *runner, struct slice path)
{
	int32_t at = start_state(runner);
	uint32_t rune;

	while (path.len > 0 && runner->states[at].count > 0) {
		unsigned char c = (unsigned char)*path.ptr;
		size_t width = 1;
		size_t class = runner->ascii[c & 127];
		if (c >= 128) {
			width = rune_decode(path, &rune);
			class = class_of(runner, rune);
		}
		int32_t next = runner->ways[(size_t)at * runner->class_count + class];
		at = next != UNKNOWN ? next : next_state(runner, at, class);
		path = slice_skip(path, width);
	}
	return (struct run_result){ runner->states[at].matched, runner->states[at].alive };
}
