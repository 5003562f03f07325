/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <strings.h>

/* Steps of another architecture. Nothing runs if one of them cannot: a build that fails in its last stage for want of an
   emulator has wasted the time of all others. What is only copied needs none. */

/* Where a RUN is, or the FROM of an image that brings one; NULL: there is none. */
static const struct instruction *first_run(const struct stage_run *stage)
{
	const struct image_config *base = stage->image ? &stage->image->config : NULL;
	for (size_t i = 0; base && i < base->on_build_count; i++)
		if (strncasecmp(base->on_build[i], "RUN", 3) == 0)
			return stage->stage->from;
	for (size_t i = 0; i < stage->stage->count; i++)
		if (stage->stage->instructions[i].kind == INSTRUCTION_RUN)
			return &stage->stage->instructions[i];
	return NULL;
}

/* An image may be of another platform than was asked for, and it is its programs that run. NULL: it is not there, and the
   step that needs it will say so. */
static const struct platform *platform_of_stage(const struct stage_run *stage)
{
	while (stage->base_stage)
		stage = stage->base_stage;
	if (stage->base == BASE_IMAGE)
		return stage->image ? &stage->image->config.platform : NULL;
	return &stage->platform;
}

static int check_stage(struct build *build, const struct stage_run *stage, struct err *err)
{
	const struct instruction *run = first_run(stage);
	const struct platform *platform = platform_of_stage(stage), host = platform_host();
	if (!run || !platform || (text_equal(platform->os, "linux") && foreign_runs(platform->architecture)))
		return 0;
	build->result->place = (struct dockerfile_place){ run->first_line, run->last_line };
	return err_set(
		err, ERR_UNSUPPORTED,
		"stage %s has a RUN for %s, and this machine (%s) does not execute its programs: install an "
		"emulator (Debian and Ubuntu: `apt-get install qemu-user-static`, which registers qemu with "
		"binfmt_misc), or let the stage run on this machine with FROM --platform=$BUILDPLATFORM and copy "
		"its result",
		stage->name, platform_text(build->arena, platform), platform_text(build->arena, &host));
}

int foreign_check(struct build *build, struct err *err)
{
	for (size_t i = 0; i < build->stage_count; i++)
		if (build->stages[i].is_needed && check_stage(build, &build->stages[i], err) < 0)
			return -1;
	return 0;
}

int build_image_from(struct build *build, const char *name, const struct platform *platform, struct image *image,
		     struct err *err)
{
	struct image_source source;
	bool is_name = image_source_parse(build->arena, name, &source, NULL) == 0 && source.transport == TRANSPORT_NAME;
	if (is_name && build->spec->pull == BUILD_PULL_ALWAYS)
		return err_set(
			err, ERR_UNSUPPORTED,
			"%s cannot be pulled: this version of kiln does not fetch from registries. Bring it in with "
			"`kiln load` (for example of what `skopeo copy docker://%s oci-archive:FILE` writes) and build "
			"without --pull",
			name, name);
	if (image_from(build->store, build->arena, name, platform, image, err) == 0)
		return 0;
	if (is_name && build->spec->pull == BUILD_PULL_NEVER && err->kind == ERR_NOT_FOUND)
		return err_set(err, ERR_NOT_FOUND, "image %s is not in the store, and --pull=never fetches none", name);
	return -1;
}
