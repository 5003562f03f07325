/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "kiln/base/arena.h"
#include "kiln/context/context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether a text is a mode does not depend on the file, and a mode is nothing but mode bits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const mode_t modes[] = { 0, 0644, 0755, 07777, 01000, 06111 };
	struct arena arena = { 0 };
	const char *text = arena_strndup(&arena, (const char *)data, size);
	mode_t out;
	int first = chmod_apply(text, 0, false, &out, NULL);

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		for (int is_dir = 0; is_dir < 2; is_dir++) {
			out = 0;
			assert(chmod_apply(text, modes[i], is_dir, &out, NULL) == first);
			assert((out & ~(mode_t)07777) == 0);
		}
	}
	arena_release(&arena);
	return 0;
}
