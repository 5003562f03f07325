/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "kiln/oci/image.h"
#include "kiln/oci/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A canonical name is its own canonical name, and its familiar form means the same. */
static void check_reference(struct arena *arena, const char *text)
{
	struct reference reference, again;

	if (reference_parse(arena, text, &reference, NULL) < 0)
		return;
	const char *whole = reference_text(arena, &reference);
	assert(reference_parse(arena, whole, &again, NULL) == 0);
	assert(strcmp(reference_text(arena, &again), whole) == 0);
	assert(reference_parse(arena, reference_familiar(arena, &reference), &again, NULL) == 0);
	assert(strcmp(reference_text(arena, &again), whole) == 0);
}

static void check_platform(struct arena *arena, const char *text)
{
	struct platform platform, again;

	if (platform_parse(arena, text, &platform, NULL) < 0)
		return;
	const char *whole = platform_text(arena, &platform);
	assert(platform_parse(arena, whole, &again, NULL) == 0);
	assert(strcmp(platform_text(arena, &again), whole) == 0);
	assert(platform_match(&platform, &again) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct image_source source;
	const char *text = arena_strndup(&arena, (const char *)data, size);

	check_reference(&arena, text);
	check_platform(&arena, text);
	if (image_source_parse(&arena, text, &source, NULL) == 0 && source.transport != TRANSPORT_NAME)
		assert(source.path && *source.path);
	arena_release(&arena);
	return 0;
}
