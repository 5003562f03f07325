/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <string.h>

/* Lists of words as Go's fmt package prints them in history entries. */

char *words_joined(struct arena *arena, const char *const *words, size_t count)
{
	scope_strbuf struct strbuf buf = { 0 };
	for (size_t i = 0; i < count; i++)
		strbuf_addf(&buf, "%s%s", i ? " " : "", words[i]);
	return arena_strdup(arena, strbuf_str(&buf));
}

/* strconv.Quote for what can stand in a Dockerfile: UTF-8 stays; quotes, controls and bytes that are no UTF-8 are escaped. */
char *go_quoted(struct arena *arena, const char *text)
{
	static const char named[] = "\a\b\f\n\r\t\v\\\"", letters[] = "abfnrtv\\\"";
	scope_strbuf struct strbuf buf = { 0 };
	strbuf_addch(&buf, '"');
	for (const char *p = text; *p;) {
		size_t plain = strcspn(p, named);
		char *printable = arena_alloc(arena, 4 * plain + 1);
		strbuf_addstr(&buf, err_printable(printable, 4 * plain + 1, arena_strndup(arena, p, plain)));
		p += plain;
		for (const char *name; *p && (name = strchr(named, *p)); p++)
			strbuf_addf(&buf, "\\%c", letters[name - named]);
	}
	strbuf_addch(&buf, '"');
	return arena_strdup(arena, strbuf_str(&buf));
}
