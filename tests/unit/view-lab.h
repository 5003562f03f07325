/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TESTS_UNIT_VIEW_LAB_H
#define KILN_TESTS_UNIT_VIEW_LAB_H

#include "lab.h"

#include "kiln/layer/layer.h"
#include "kiln/view/view.h"

static inline int lab_find_kinds(struct lab *lab, struct err *err)
{
	static const enum view_kind all[] = { VIEW_OVERLAY, VIEW_FUSE, VIEW_COPY };
	const char *must_run = getenv("MUST_RUN");

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		enum view_kind chosen;
		struct err reason = { 0 };
		if (view_probe(all[i], lab->dir_fd, &chosen, NULL, &reason) == 0)
			lab->kinds[lab->kind_count++] = all[i];
		else
			fprintf(stderr, "# without %s\n", reason.msg);
	}
	CHECK(lab->kind_count > 0 && lab->kinds[lab->kind_count - 1] == VIEW_COPY);
	CHECK(!must_run || strcmp(must_run, "1") != 0 || lab->kind_count == ARRAY_LEN(all));
	return 0;
}

/* A lab that knows which views work. */
static inline void run_in_view_lab(void **state, lab_body *body)
{
	run_in_prepared_lab(state, lab_find_kinds, body);
}

static inline int lab_diff(int upper_fd, const int *lowers, size_t count, int64_t clamp, struct layer_stats *stats,
			   struct err *err)
{
	scope_writer struct writer *sink = writer_null();
	struct layer_diff_options options = { .clamp = clamp };

	return layer_diff(upper_fd, lowers, count, &options, sink, stats, err);
}

#endif
