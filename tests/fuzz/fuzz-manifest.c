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
	struct manifest manifest, again;

	if (manifest_read(&arena, (const char *)data, size, NULL, &manifest, NULL) == 0) {
		manifest_write(&arena, &first, &manifest);
		assert(manifest_read(&arena, first.ptr, first.len, manifest.media_type, &again, NULL) == 0);
		manifest_write(&arena, &second, &again);
		assert(strcmp(first.ptr, second.ptr) == 0);
	}
	strbuf_release(&first);
	strbuf_release(&second);
	arena_release(&arena);
	return 0;
}
