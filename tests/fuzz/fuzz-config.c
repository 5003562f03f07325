/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "kiln/oci/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read can be written, and reads back to the same bytes, also by way of a copy. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct strbuf first = { 0 }, second = { 0 };
	struct image_config config, again;
	size_t dropped;

	if (image_config_read(&arena, (const char *)data, size, &config, &dropped, NULL) == 0) {
		image_config_write(&arena, &first, &config);
		assert(image_config_read(&arena, first.ptr, first.len, &again, &dropped, NULL) == 0);
		assert(dropped == 0);
		image_config_write(&arena, &second, image_config_clone(&arena, &again));
		assert(strcmp(first.ptr, second.ptr) == 0);
	}
	strbuf_release(&first);
	strbuf_release(&second);
	arena_release(&arena);
	return 0;
}
