/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/*
 * Patterns of ${v#p}, ${v%p} and ${v/p/r}. All states of the pattern run over the text at once, one bit each, so the
 * cost is text times pattern / 64 whatever the stars are. BuildKit uses regular expressions with greedy or reluctant
 * stars; here this is the same as the longest or the shortest match, since a pattern has no alternatives. A suffix is a
 * prefix of the reversed text by the reversed pattern.
 */

/* Above every rune. */
#define ANY  0x120000u
#define STAR 0x120001u

/* Words of one table: above this a pattern is no pattern that somebody wrote. */
#define TABLE_MAX ((size_t)1 << 20)

struct table {
	uint64_t *rows;  /* for each class: which positions step over it */
	uint64_t *stars; /* positions that are a star */
};

struct glob {
	uint32_t *elements;
	size_t count;
	size_t words;    /* of a set of positions 0..count */
	uint32_t *runes; /* the literal ones, sorted: the classes; then "another", then "newline" */
	size_t rune_count;
	struct table forward, backward;
	uint64_t *set; /* the positions of the current run */
};

static int compare_runes(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static size_t class_of(const struct glob *glob, uint32_t rune)
{
	size_t low = 0, high = glob->rune_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (glob->runes[middle] == rune)
			return middle;
		if (glob->runes[middle] < rune)
			low = middle + 1;
		else
			high = middle;
	}
	return glob->rune_count + (rune == '\n');
}

/* One element of the pattern. '}' and '/' are escaped because of the ${} around them, other characters that are not
   special must not be. */
static int take_element(struct arena *arena, struct slice *pattern, uint32_t *element, struct err *err)
{
	uint32_t rune;
	size_t width = rune_decode(*pattern, &rune);

	*pattern = slice_skip(*pattern, width);
	*element = rune == '*' ? STAR : rune == '?' ? ANY : rune;
	if (rune != '\\')
		return 0;
	struct slice escaped = *pattern;
	width = pattern->len > 0 ? rune_decode(*pattern, &rune) : 0;
	if (width == 0 || rune >= 0x80 || !strchr("}/*?\\", (int)rune)) {
		escaped.len = width;
		return err_set(err, ERR_INPUT, "invalid escape '\\%s'", shown(arena, slice_copy(arena, escaped)));
	}
	*pattern = slice_skip(*pattern, width);
	*element = rune;
	return 0;
}

static void find_classes(struct arena *arena, struct glob *glob)
{
	size_t used = 0;

	glob->runes = arena_array(arena, uint32_t, glob->count + 1);
	for (size_t i = 0; i < glob->count; i++)
		if (glob->elements[i] < ANY)
			glob->runes[used++] = glob->elements[i];
	qsort(glob->runes, used, sizeof(*glob->runes), compare_runes);
	for (size_t i = 0; i < used; i++)
		if (i == 0 || glob->runes[i] != glob->runes[i - 1])
			glob->runes[glob->rune_count++] = glob->runes[i];
}

static void add_to_table(const struct glob *glob, struct table *table, size_t position, uint32_t element)
{
	uint64_t bit = (uint64_t)1 << (position & 63);
	size_t word = position / 64;
	size_t classes = glob->rune_count + 1; /* without "newline" */

	if (element == STAR)
		table->stars[word] |= bit;
	else if (element != ANY)
		table->rows[class_of(glob, element) * glob->words + word] |= bit;
	else
		for (size_t i = 0; i < classes; i++)
			if (i == glob->rune_count || glob->runes[i] != '\n')
				table->rows[i * glob->words + word] |= bit;
}

static void fill_table(struct arena *arena, const struct glob *glob, struct table *table, bool backward)
{
	table->rows = arena_array(arena, uint64_t, (glob->rune_count + 2) * glob->words);
	table->stars = arena_array(arena, uint64_t, glob->words);
	for (size_t i = 0; i < glob->count; i++)
		add_to_table(glob, table, i, glob->elements[backward ? glob->count - 1 - i : i]);
}

struct glob *glob_new(struct arena *arena, struct slice pattern, struct err *err)
{
	struct glob *glob = arena_new(arena, struct glob);
	uint32_t element;

	while (pattern.len > 0) {
		if (take_element(arena, &pattern, &element, err) < 0)
			return NULL;
		bool is_repeated_star = element == STAR && glob->count > 0 && glob->elements[glob->count - 1] == STAR;
		if (!is_repeated_star)
			*ARENA_PUSH(arena, glob->elements, glob->count) = element;
	}
	glob->words = glob->count / 64 + 1;
	find_classes(arena, glob);
	if ((glob->rune_count + 2) * glob->words > TABLE_MAX) {
		err_set(err, ERR_INPUT, "the pattern is too long");
		return NULL;
	}
	fill_table(arena, glob, &glob->forward, false);
	fill_table(arena, glob, &glob->backward, true);
	glob->set = arena_array(arena, uint64_t, glob->words);
	return glob;
}

size_t glob_cost(const struct glob *glob, size_t count)
{
	return 2 * glob->words * (count + glob->rune_count + 1);
}

struct glob_text glob_text(struct arena *arena, struct slice bytes)
{
	struct glob_text text = {
		.runes = arena_array(arena, uint32_t, bytes.len),
		.offsets = arena_array(arena, size_t, bytes.len + 1),
	};
	size_t at = 0;

	while (at < bytes.len) {
		text.offsets[text.count] = at;
		at += rune_decode(slice_skip(bytes, at), &text.runes[text.count++]);
	}
	text.offsets[text.count] = at;
	return text;
}

/* ---- running ---- */

struct run {
	const struct glob *glob;
	const struct table *table;
	uint64_t *set;
};

static struct run run_new(const struct glob *glob, const struct table *table)
{
	memset(glob->set, 0, glob->words * sizeof(*glob->set));
	return (struct run){ glob, table, glob->set };
}

/* A star may be passed by. Two never follow each other. */
static void run_start(struct run *run)
{
	run->set[0] |= 1 | (run->table->stars[0] & 1) << 1;
}

static bool run_accepts(const struct run *run)
{
	return run->set[run->glob->count / 64] >> (run->glob->count & 63) & 1;
}

/* False if no state is left. */
static bool run_step(struct run *run, uint32_t rune)
{
	const uint64_t *row = run->table->rows + class_of(run->glob, rune) * run->glob->words;
	uint64_t carry = 0, passed = 0, any = 0;

	for (size_t i = 0; i < run->glob->words; i++) {
		uint64_t moved = run->set[i] & row[i];
		uint64_t stays = rune == '\n' ? 0 : run->set[i] & run->table->stars[i];
		uint64_t next = moved << 1 | carry | stays | passed;
		uint64_t skips = next & run->table->stars[i];
		next |= skips << 1;
		carry = moved >> 63;
		passed = skips >> 63;
		run->set[i] = next;
		any |= next;
	}
	return any != 0;
}

static ssize_t match_front(const struct glob *glob, const struct glob_text *text, bool backward, bool longest)
{
	struct run run = run_new(glob, backward ? &glob->backward : &glob->forward);
	ssize_t found = -1;

	run_start(&run);
	for (size_t i = 0;; i++) {
		if (run_accepts(&run))
			found = (ssize_t)i;
		if (i == text->count || (found >= 0 && !longest))
			return found;
		if (!run_step(&run, text->runes[backward ? text->count - 1 - i : i]))
			return found;
	}
}

ssize_t glob_prefix(const struct glob *glob, const struct glob_text *text, bool longest)
{
	return match_front(glob, text, false, longest);
}

ssize_t glob_suffix(const struct glob *glob, const struct glob_text *text, bool longest)
{
	return match_front(glob, text, true, longest);
}

/* Where a match begins is where the reversed pattern ends, run backwards from everywhere at once. */
struct glob_search glob_search(struct arena *arena, const struct glob *glob, const struct glob_text *text)
{
	struct glob_search search = { glob, text, arena_array(arena, uint64_t, text->count / 64 + 1) };
	struct run run = run_new(glob, &glob->backward);

	for (size_t i = text->count;; i--) {
		run_start(&run);
		if (run_accepts(&run))
			search.starts[i / 64] |= (uint64_t)1 << (i & 63);
		if (i == 0)
			return search;
		run_step(&run, text->runes[i - 1]);
	}
}

/*
 * The run to the longest match goes on to the end of the line if the pattern has a star, but then no other match begins
 * before that end: all runs of a search together pass over the text a few times.
 */
bool glob_search_next(const struct glob_search *search, size_t from, size_t *start, size_t *end)
{
	const struct glob_text *text = search->text;
	size_t at = from;

	while (at <= text->count && !(search->starts[at / 64] >> (at & 63) & 1))
		at++;
	if (at > text->count)
		return false;
	*start = *end = at;
	struct run run = run_new(search->glob, &search->glob->forward);
	run_start(&run);
	for (;; at++) {
		if (run_accepts(&run))
			*end = at;
		if (at == text->count || !run_step(&run, text->runes[at]))
			return true;
	}
}
