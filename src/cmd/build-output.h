/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CMD_BUILD_OUTPUT_H
#define KILN_SRC_CMD_BUILD_OUTPUT_H

#include "command.h"
#include "kiln/build/build.h"
#include "kiln/oci/annotation.h"

/* What a build leaves: names, -o, annotations (build-output.c), and files that tell of it (build-report.c). */
struct output_options {
	struct strings tags, outputs, annotations, allow;
	const char *tar_path, *layout_path; /* kaniko's spellings of two outputs */
	const char *iidfile, *iidfile_raw, *metadata_file;
	const char *digest_file, *name_digest_file, *tag_digest_file;
	/* Filled in by output_options_prepare: */
	struct build_output *list;
	size_t count;
	const char **names;
	size_t name_count;
	struct annotations annotated;
	const char *epoch; /* -o source-date-epoch=, or NULL */
};

/* Fills in tags, outputs and annotations of spec, whose platform is set. */
int output_options_prepare(struct arena *arena, struct output_options *o, struct build_spec *spec,
			   struct err *err) MUST_CHECK;
/* --iidfile, --metadata-file and the digest files: those of an earlier build go first, so that a build that fails leaves
   none (buildx). */
int build_report_clear(const struct output_options *o, struct err *err) MUST_CHECK;
int build_report(struct store *store, struct arena *arena, const struct output_options *o,
		 const struct build_spec *spec, const struct build_result *result, struct err *err) MUST_CHECK;
bool outputs_are_rootfs(const struct build_output *outputs, size_t count);

#endif
