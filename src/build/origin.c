/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <string.h>

/* Stages and images that a step takes files from: COPY --from, and mounts. */

/* What is written to a stage's tree would be found there by its next step, so a writable one is never its session's. */
int step_open_origin(struct step *step, const struct origin *origin, const char *work_name, bool is_writable,
		     struct view *view, struct err *err)
{
	struct build *build = step->build;
	size_t count;
	const int *lowers;
	char text[DIGEST_TEXT + 1];
	bool may_share = origin->stage && !is_writable;
	if (origin->stage) {
		lowers = stage_lowers(build, origin->stage, &count);
	} else {
		lowers = image_lowers(build, origin->image, err);
		count = origin->image->diff_id_count;
	}
	scope_fd int work = lowers ? file_make_dir(step->work.fd, work_name, 0700, err) : -1;
	if (work < 0)
		return -1;
	const struct view_spec spec = {
		.kind = build->view,
		.work_fd = work,
		.lowers = lowers,
		.lower_count = count,
		.read_only = !is_writable,
		.session_fd = may_share ? origin->stage->session.fd : -1,
		.stack_id = may_share ? digest_text(&origin->stage->key, text) : NULL,
	};
	return view_open(view, &spec, err);
}

const char *origin_name(struct build *build, const struct origin *origin)
{
	return origin->stage ? arena_printf(build->arena, "stage %s", origin->stage->name)
			     : arena_printf(build->arena, "image %s", origin->written);
}

/* A step that takes files from a stage or image is also known by these files, wherever they are, so that a stage that came
   out the same is a hit. */
int step_look_by_files(struct step *step, const struct inputs *files, struct copy_report *report)
{
	struct build *build = step->build;
	struct inputs inputs = { 0 };
	struct cache_record record;
	for (size_t i = 0; i < step->inputs.count; i++) {
		const struct input *input = &step->inputs.items[i];
		if (strcmp(input->name, "from") != 0 && strcmp(input->name, "source") != 0)
			inputs_add(build->arena, &inputs, input->name, input->value);
	}
	for (size_t i = 0; i < files->count; i++)
		inputs_add(build->arena, &inputs, files->items[i].name, files->items[i].value);
	inputs_digest(&inputs, &report->content_step);
	report->has_content = true;
	if (step->stage->is_uncached || !cache_look_up(build, step, &report->content_step, &record))
		return 0;
	report->is_hit = true;
	report->diff_id = record.diff_id;
	report->created = record.created;
	return 1;
}
