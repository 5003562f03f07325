/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"

/* One record by the rules of Go's encoding/csv, with its words: what docker's options with commas are read by. */

static int fail_at(const char *text, const char *at, const char *what, struct err *err)
{
	return err_set(err, ERR_USAGE, "parse error on line 1, column %zu: %s", (size_t)(at - text) + 1, what);
}

/* From behind the opening quote to behind the closing one; "" stands for a quote. */
static const char *take_quoted(const char *text, const char *at, struct strbuf *field, struct err *err)
{
	for (;; at++) {
		if (!*at) {
			fail_at(text, at, "extraneous or missing \" in quoted-field", err);
			return NULL;
		}
		if (*at != '"') {
			strbuf_addch(field, *at);
		} else if (at[1] == '"') {
			strbuf_addch(field, *at++);
		} else if (at[1] && at[1] != ',') {
			fail_at(text, at, "extraneous or missing \" in quoted-field", err);
			return NULL;
		} else {
			return at + 1;
		}
	}
}

static const char *take_plain(const char *text, const char *at, struct strbuf *field, struct err *err)
{
	size_t len = strcspn(at, ",");
	const char *quote = memchr(at, '"', len);

	if (quote) {
		fail_at(text, quote, "bare \" in non-quoted-field", err);
		return NULL;
	}
	strbuf_add(field, at, len);
	return at + len;
}

int csv_fields(struct arena *arena, const char *text, const char ***fields, size_t *count, struct err *err)
{
	const char **found = NULL, *at = text;
	size_t found_count = 0;

	for (;; at++) {
		scope_strbuf struct strbuf field = { 0 };
		at = *at == '"' ? take_quoted(text, at + 1, &field, err) : take_plain(text, at, &field, err);
		if (!at)
			return -1;
		*ARENA_PUSH(arena, found, found_count) = arena_strdup(arena, strbuf_str(&field));
		if (!*at)
			break;
	}
	*fields = found;
	*count = found_count;
	return 0;
}
