/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/sandbox/idmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever /etc/subuid or /proc/self/uid_map says, the ids inside follow each other and all ids stay below 2^32-1. */
static void check(const struct id_extent *extents, size_t count)
{
	uint64_t next = 0;

	assert(count <= ID_EXTENTS_MAX);
	for (size_t i = 0; i < count; i++) {
		assert(extents[i].inside == next);
		assert(extents[i].count > 0);
		next += extents[i].count;
		assert(next <= UINT32_MAX);
		assert((uint64_t)extents[i].outside + extents[i].count <= UINT32_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct id_extent extents[ID_EXTENTS_MAX];
	size_t count = 1;
	char *text = strndup((const char *)data, size);

	if (!text)
		abort();
	extents[0] = (struct id_extent){ .inside = 0, .outside = 1000, .count = 1 };
	id_map_add_subids(text, "lk", "1000", extents, &count);
	check(extents, count);
	assert(id_map_first_free(text) >= 100000);
	if (id_map_parse_own(text, extents, &count, NULL) == 0)
		assert(count > 0 && count <= ID_EXTENTS_MAX);
	free(text);
	return 0;
}
