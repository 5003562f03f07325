/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CMD_PROGRESS_H
#define KILN_SRC_CMD_PROGRESS_H

#include "kiln/base/strbuf.h"
#include "kiln/build/build.h"

#include <stdio.h>

/* How a build is shown: docker's plain form (whole logs, never clipped), nothing, or one JSON object a line, in kiln's form
   or in BuildKit's. */
enum progress_style { PROGRESS_PLAIN, PROGRESS_QUIET, PROGRESS_JSON, PROGRESS_RAWJSON };

struct progress {
	enum progress_style style;
	FILE *out;
	unsigned last_step; /* of the line printed last: a blank line goes between steps */
	bool last_has_ended;
	unsigned step_max;
	struct strvec started;  /* rawjson: when each step began, by its number */
	struct strbuf warnings; /* of the build checks, a line each, until they are printed */
	size_t warning_count;
};

int progress_parse(enum progress_style *style, const char *text,
		   struct err *err) MUST_CHECK; /* NULL: $BUILDKIT_PROGRESS, or auto, which is plain */
void progress_begin(struct progress *progress, enum progress_style style, FILE *out);
build_listener progress_listener; /* arg is the struct progress */
/* The end: the image (NULL: none was asked for) and its names, or the last output of the failed step and the lines of the Dockerfile. */
void progress_built(struct progress *progress, const char *id, const char *const *names, size_t count);
void progress_failed(struct progress *progress, const struct build_result *result, struct err *err);

/* progress-json.c */
void progress_json_event(struct progress *progress, const struct build_event *event);
void progress_json_built(struct progress *progress, const char *id, const char *const *names, size_t count);
void progress_json_failed(struct progress *progress, const struct build_result *result, const struct err *err);
void progress_rawjson_event(struct progress *progress, const struct build_event *event);

#endif
