/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/dockerfile/expand.h"
#include "kiln/dockerfile/expose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input: a character for the escape, then lines: the values of A, B and C, and the rest is the word. */
struct input {
	struct expander expander;
	const char *values[3];
	const char *word;
};

static const char *lookup(void *arg, const char *name, size_t len)
{
	struct input *input = arg;

	return len == 1 && *name >= 'A' && *name <= 'C' ? input->values[*name - 'A'] : NULL;
}

static const char *take_line(char **rest)
{
	const char *line = strsep(rest, "\n");

	return line ? line : "";
}

static void split(struct arena *arena, const uint8_t *data, size_t size, struct input *input)
{
	char *rest = arena_strndup(arena, (const char *)data, size);

	input->expander = (struct expander){ *rest == '`' ? '`' : '\\', lookup, input, NULL };
	rest += *rest != '\0';
	for (size_t i = 0; i < ARRAY_LEN(input->values); i++)
		input->values[i] = take_line(&rest);
	input->word = rest ? rest : "";
}

static void check_word(struct arena *arena, struct input *input)
{
	const char **words;
	size_t count;
	char *word = expand_word(arena, &input->expander, input->word, NULL);
	char *raw = expand_raw(arena, &input->expander, input->word, NULL);
	bool is_plain = !input->word[strcspn(input->word, "$'\"\\`")];

	assert(!word || strlen(word) <= 1 << 20);
	assert(!raw || strlen(raw) <= 1 << 20);
	if (is_plain)
		assert(strcmp(word, input->word) == 0 && strcmp(raw, input->word) == 0);
	int split_words = expand_words(arena, &input->expander, input->word, &words, &count, NULL);
	assert((split_words == 0) == (word != NULL));
	if (split_words < 0)
		return;
	assert(!words[count]);
	for (size_t i = 0; i < count; i++)
		assert(*words[i]);
	const char **ports;
	size_t port_count;
	if (expose_ports(arena, words, count, &ports, &port_count, NULL) == 0)
		assert(port_count <= 3 * 65536 && !ports[port_count]);
	(void)!stopsignal_check(word, NULL);
}

/* ---- a second opinion on patterns: backtracking, for short ones ---- */

static bool matches(const char *pattern, const char *text, size_t len)
{
	if (!*pattern)
		return len == 0;
	if (*pattern == '*')
		return matches(pattern + 1, text, len) ||
		       (len > 0 && *text != '\n' && matches(pattern, text + 1, len - 1));
	return len > 0 && (*pattern == '?' ? *text != '\n' : *pattern == *text) &&
	       matches(pattern + 1, text + 1, len - 1);
}

static void assert_gives(struct arena *arena, struct input *input, const char *word, const char *expected)
{
	char *result = expand_word(arena, &input->expander, word, NULL);

	assert(result && strcmp(result, expected) == 0);
}

static void check_affixes(struct arena *arena, struct input *input, const char *value, const char *pattern)
{
	size_t len = strlen(value);
	size_t prefixes[2] = { 0, 0 }, suffixes[2] = { 0, 0 }; /* shortest, longest */
	bool has_prefix = false, has_suffix = false;

	for (size_t i = 0; i <= len; i++) {
		if (matches(pattern, value, i)) {
			prefixes[1] = i;
			prefixes[0] = has_prefix ? prefixes[0] : i;
			has_prefix = true;
		}
		if (matches(pattern, value + len - i, i)) {
			suffixes[1] = i;
			suffixes[0] = has_suffix ? suffixes[0] : i;
			has_suffix = true;
		}
	}
	assert_gives(arena, input, "${A#$B}", value + prefixes[0]);
	assert_gives(arena, input, "${A##$B}", value + prefixes[1]);
	assert_gives(arena, input, "${A%$B}", arena_strndup(arena, value, len - suffixes[0]));
	assert_gives(arena, input, "${A%%$B}", arena_strndup(arena, value, len - suffixes[1]));
}

/* The leftmost match at or after from, and the longest of these. */
static bool find(const char *pattern, const char *value, size_t from, size_t *start, size_t *end)
{
	size_t len = strlen(value);

	for (*start = from; *start <= len; ++*start)
		for (*end = len + 1; (*end)-- > *start;)
			if (matches(pattern, value + *start, *end - *start))
				return true;
	return false;
}

static void check_replacements(struct arena *arena, struct input *input, const char *value, const char *pattern)
{
	scope_strbuf struct strbuf first = { 0 }, all = { 0 };
	size_t start, end, done = 0, from = 0, len = strlen(value);

	if (find(pattern, value, 0, &start, &end)) {
		strbuf_add(&first, value, start);
		strbuf_addf(&first, "<>%s", value + end);
	} else {
		strbuf_addstr(&first, value);
	}
	while (from <= len && find(pattern, value, from, &start, &end)) {
		strbuf_add(&all, value + done, start - done);
		if (end > done || start == 0)
			strbuf_addstr(&all, "<>");
		done = end;
		from = from + 1 > end ? from + 1 : end;
	}
	strbuf_addstr(&all, value + done);
	assert_gives(arena, input, "${A/$B/<>}", strbuf_str(&first));
	assert_gives(arena, input, "${A//$B/<>}", strbuf_str(&all));
}

static bool is_short_ascii(const char *text, size_t max)
{
	for (size_t i = 0; text[i]; i++)
		if (i == max || (unsigned char)text[i] >= 0x80 || text[i] == '\\')
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct input input;

	if (size > 65536)
		return 0;
	split(&arena, data, size, &input);
	check_word(&arena, &input);
	/* The word serves as the value, so that it may hold newlines. */
	const char *value = input.word, *pattern = input.values[1];
	if (is_short_ascii(value, 12) && is_short_ascii(pattern, 8) && *pattern != '#' && *pattern != '%') {
		input.values[0] = value;
		check_affixes(&arena, &input, value, pattern);
		check_replacements(&arena, &input, value, pattern);
	}
	arena_release(&arena);
	return 0;
}
