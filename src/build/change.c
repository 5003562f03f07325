/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <string.h>

/* Single instructions on a configuration: `kiln import --change`. */

static int apply_one(struct build *build, struct stage_run *stage, const char *change, struct err *err)
{
	struct dockerfile_place place;
	const char *text = arena_printf(build->arena, "FROM scratch\n%s\n", change);
	build->file = dockerfile_parse(build->arena, "--change", text, strlen(text), &place, err);
	if (!build->file)
		return -1;
	if (build->file->stage_count != 1 || build->file->stages[0].count != 1)
		return err_set(err, ERR_USAGE, "one instruction is wanted");
	const struct instruction *in = &build->file->stages[0].instructions[0];
	switch (in->kind) {
	case INSTRUCTION_RUN:
	case INSTRUCTION_COPY:
	case INSTRUCTION_ADD:
	case INSTRUCTION_FROM:
	case INSTRUCTION_ARG:
		return err_set(err, ERR_USAGE, "%s is not a valid change: it would need a build",
			       instruction_name(in->kind));
	case INSTRUCTION_WORKDIR:
		stage->config->working_dir = path_go_clean(build->arena,
							   stage_workdir_join(build->arena, stage, in->words[0]));
		return 0;
	default:
		return metadata_apply(build, stage, in, err);
	}
}

int build_apply_changes(struct arena *arena, struct image_config *config, const char *const *changes, size_t count,
			struct err *err)
{
	const struct build_spec spec = { .epoch = BUILD_NO_EPOCH };
	struct build build = { .arena = arena, .spec = &spec, .epoch = BUILD_NO_EPOCH };
	struct stage_run stage = { .config = config };
	const char *created = config->created;
	for (size_t i = 0; i < config->env_count; i++) {
		const char *equals = strchr(config->env[i], '=');
		const char *key = arena_strndup(arena, config->env[i], (size_t)(equals - config->env[i]));
		env_set(arena, &stage.env, key, equals + 1);
	}
	for (size_t i = 0; i < count; i++)
		if (apply_one(&build, &stage, changes[i], err) < 0)
			return err_wrap(err, "--change %s", changes[i]);
	config->history = NULL;
	config->history_count = 0;
	config->created = created;
	return 0;
}
