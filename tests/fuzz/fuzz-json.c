/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kiln/base/arena.h"
#include "kiln/base/strbuf.h"
#include "kiln/codec/json.h"

/* What was parsed can be written, and what was written parses to the same bytes again. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rewriting(struct arena *arena, const struct json *value,
			    void (*write)(struct strbuf *, const struct json *))
{
	scope_strbuf struct strbuf once = { 0 }, twice = { 0 };
	struct err err = { 0 };

	write(&once, value);
	const struct json *again = json_parse(arena, once.ptr, once.len, &err);
	if (!again)
		abort();
	write(&twice, again);
	if (once.len != twice.len || memcmp(once.ptr, twice.ptr, once.len) != 0)
		abort();
}

static void check_words(struct arena *arena, const uint8_t *data, size_t size)
{
	const char **words;
	size_t count;
	struct err err = { 0 };

	if (json_parse_words(arena, arena_strndup(arena, (const char *)data, size), &words, &count, &err) == 1 &&
	    words[count])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	const struct json *value = json_parse(&arena, (const char *)data, size, &err);

	if (!value) {
		if (err.kind != ERR_INPUT || !err.msg[0])
			abort();
	} else {
		check_rewriting(&arena, value, json_write);
		check_rewriting(&arena, value, json_write_pretty);
		check_rewriting(&arena, json_clone(&arena, value), json_write);
	}
	check_words(&arena, data, size);
	return 0;
}
