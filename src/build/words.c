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

/* strconv.Quote for what can stand in a Dockerfile: UTF-8 stays, controls are escaped. */
char *go_quoted(struct arena *arena, const char *text)
{
	static const char *const names = "\aa\bb\ff\nn\rr\tt\vv\\\\\"\"";
	scope_strbuf struct strbuf buf = { 0 };
	strbuf_addch(&buf, '"');
	for (const char *p = text; *p; p++) {
		const char *name = NULL;
		for (const char *n = names; *n; n += 2)
			if (*n == *p)
				name = n + 1;
		if (name)
			strbuf_addf(&buf, "\\%c", *name);
		else if ((unsigned char)*p < 0x20 || *p == 0x7f)
			strbuf_addf(&buf, "\\x%02x", (unsigned char)*p);
		else
			strbuf_addch(&buf, *p);
	}
	strbuf_addch(&buf, '"');
	return arena_strdup(arena, strbuf_str(&buf));
}
