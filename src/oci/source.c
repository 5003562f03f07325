/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/oci/reference.h"

static const struct {
	const char *prefix;
	enum transport transport;
} transports[] = {
	{ "oci:", TRANSPORT_OCI_DIR },
	{ "oci-archive:", TRANSPORT_OCI_ARCHIVE },
	{ "docker-archive:", TRANSPORT_DOCKER_ARCHIVE },
};

/* PATH[:SELECTOR]: the first colon ends the path, as with skopeo. */
static int parse_location(struct arena *arena, const char *text, const char *location, struct image_source *out,
			  struct err *err)
{
	const char *colon = strchr(location, ':');

	out->path = colon ? arena_strndup(arena, location, (size_t)(colon - location)) : arena_strdup(arena, location);
	out->selector = colon ? arena_strdup(arena, colon + 1) : NULL;
	if (!*out->path)
		return err_set(err, ERR_INPUT, "invalid image \"%s\": there is no path after the transport's name",
			       text);
	if (out->selector && !*out->selector)
		return err_set(err, ERR_INPUT, "invalid image \"%s\": there is nothing after the last \":\"", text);
	return 0;
}

int image_source_parse(struct arena *arena, const char *text, struct image_source *out, struct err *err)
{
	struct image_source result = { .transport = TRANSPORT_NAME };

	for (size_t i = 0; i < ARRAY_LEN(transports); i++) {
		if (!text_starts(text, transports[i].prefix))
			continue;
		result.transport = transports[i].transport;
		if (parse_location(arena, text, text + strlen(transports[i].prefix), &result, err) < 0)
			return -1;
		*out = result;
		return 0;
	}
	if (reference_parse(arena, text, &result.name, err) < 0)
		return -1;
	*out = result;
	return 0;
}
