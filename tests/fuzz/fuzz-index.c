/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "kiln/oci/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read can be written, and reads back to the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct strbuf first = { 0 }, second = { 0 };
	struct index index, again;

	if (index_read(&arena, (const char *)data, size, NULL, &index, NULL) == 0) {
		index_write(&arena, &first, &index);
		assert(index_read(&arena, first.ptr, first.len, index.media_type, &again, NULL) == 0);
		index_write(&arena, &second, &again);
		assert(strcmp(first.ptr, second.ptr) == 0);
	}
	strbuf_release(&first);
	strbuf_release(&second);
	arena_release(&arena);
	return 0;
}
