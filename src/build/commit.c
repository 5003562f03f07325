/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

/* The target stage's state becomes the image. */

static void apply_labels(struct build *build, struct image_config *config)
{
	if (!build->spec->label_count)
		return;
	struct json *labels = config->labels ? json_clone(build->arena, config->labels) : json_object(build->arena);
	for (size_t i = 0; i < build->spec->label_count; i++)
		json_set(build->arena, labels, build->spec->labels[i].key,
			 json_str(build->arena, build->spec->labels[i].value));
	config->labels = labels;
}

static void set_layers(struct build *build, const struct stage_run *target)
{
	struct image_config *config = target->config;
	config->diff_ids = arena_array(build->arena, const char *, target->layer_count + 1);
	config->diff_id_count = target->layer_count;
	for (size_t i = 0; i < target->layer_count; i++)
		config->diff_ids[i] = digest_str(build->arena, &target->layers[i]->diff_id);
}

/* A root file system or the cache alone leaves no nameless image behind. */
static bool wants_image(const struct build_spec *spec)
{
	for (size_t i = 0; i < spec->output_count; i++) {
		enum build_output_type type = spec->outputs[i].type;
		if (type != BUILD_OUTPUT_LOCAL && type != BUILD_OUTPUT_TAR && type != BUILD_OUTPUT_NONE)
			return true;
	}
	return spec->output_count == 0 || spec->tag_count > 0;
}

/* Annotations that an earlier build gave the same image go with the option. A base image that is not changed at all is
   still the one that it came as, with its own. */
static int annotate(struct build *build, const struct digest *image, struct err *err)
{
	if (!build->spec->annotations && digest_equal(image, &build->target->base_id))
		return 0;
	return image_annotate(build->store, build->arena, image, build->spec->annotations, err);
}

int commit_target(struct build *build, struct err *err)
{
	struct stage_run *target = build->target;
	struct digest *image = &build->result->image;
	apply_labels(build, target->config);
	set_layers(build, target);
	stage_fill_times(build, target);
	if (build->spec->squash) {
		if (squash_target(build, err) < 0)
			return -1;
		set_layers(build, target);
	}
	if (!wants_image(build->spec))
		return 0;
	if (image_commit(build->store, build->arena, target->config, build->spec->tags, build->spec->tag_count, image,
			 err) < 0)
		return -1;
	return annotate(build, image, err);
}
