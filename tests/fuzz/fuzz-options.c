/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "kiln/base/text.h"
#include "kiln/oci/annotation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Fields that are written again, each quoted, are the same fields. */
static void check_csv(struct arena *arena, const char *text)
{
	struct strbuf again = { 0 };
	const char **fields, **found;
	size_t count, found_count;

	if (csv_fields(arena, text, &fields, &count, NULL) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		strbuf_addstr(&again, i ? ",\"" : "\"");
		for (const char *c = fields[i]; *c; c++)
			strbuf_addf(&again, *c == '"' ? "\"\"" : "%c", *c);
		strbuf_addch(&again, '"');
	}
	assert(csv_fields(arena, strbuf_str(&again), &found, &found_count, NULL) == 0 && found_count == count);
	for (size_t i = 0; i < count; i++)
		assert(strcmp(fields[i], found[i]) == 0);
	strbuf_release(&again);
}

static void check_annotations(struct arena *arena, const char *text)
{
	struct platform host = platform_host();
	struct annotations all = { 0 };

	if (annotation_parse(arena, text, &all, NULL) < 0)
		assert(all.count == 0);
	int added = annotation_parse_attribute(arena, text, "value", &all, NULL);
	assert(added <= 0 || *all.items[all.count - 1].key);
	annotations_of(arena, &all, ANNOTATION_MANIFEST, &host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct platform *platforms = NULL;
	size_t count = 0;
	const char *text = arena_strndup(&arena, (const char *)data, size);

	check_csv(&arena, text);
	check_annotations(&arena, text);
	if (platform_parse_list(&arena, text, &platforms, &count, NULL) == 0)
		assert(count > 0);
	arena_release(&arena);
	return 0;
}
