/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_OCI_ANNOTATION_H
#define KILN_OCI_ANNOTATION_H

#include "kiln/oci/image.h"

/* Annotations as build's command line names them: which document each belongs to, and for which platform. Pure. */
enum annotation_target {
	ANNOTATION_MANIFEST,
	ANNOTATION_INDEX,
	ANNOTATION_MANIFEST_DESCRIPTOR,
	ANNOTATION_INDEX_DESCRIPTOR
};

struct annotation {
	enum annotation_target target;
	bool has_platform; /* else it is for all */
	struct platform platform;
	const char *key, *value;
};

struct annotations {
	struct annotation *items;
	size_t count;
};

/* --annotation "[TYPE[PLATFORM],...:]KEY=VALUE": adds one for each type. buildx's grammar and words, ERR_USAGE. */
int annotation_parse(struct arena *arena, const char *text, struct annotations *out, struct err *err) MUST_CHECK;
/* -o's attribute "annotation[-TYPE][[PLATFORM]].KEY" (BuildKit's exptypes): 1 added, 0 it is no annotation, -1. */
int annotation_parse_attribute(struct arena *arena, const char *name, const char *value, struct annotations *out,
			       struct err *err) MUST_CHECK;
/* Those of one document of an image of this platform as a JSON object with sorted keys; NULL if there are none. */
struct json *annotations_of(struct arena *arena, const struct annotations *all, enum annotation_target target,
			    const struct platform *platform);

#endif
