/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"
#include "kiln/dockerfile/mount.h"

#include <stdlib.h>
#include <string.h>

/* What a build takes from outside: BuildKit's dockerfile2llb/outline.go. */

/* ---- mounts of a RUN ---- */

static void note_mount(struct build *build, struct evaluated *stage, const struct instruction *in,
		       const struct run_mount *mount)
{
	const char *id = *mount->id ? mount->id : mount->source;
	struct build_parameter parameter = {
		.is_required = mount->is_required,
		.place = { in->first_line, in->last_line },
	};
	if (mount->type == RUN_MOUNT_SECRET) {
		parameter.name = *id ? id : path_base(mount->target);
		*ARENA_PUSH(build->arena, stage->secrets, stage->secret_count) = parameter;
	} else if (mount->type == RUN_MOUNT_SSH) {
		parameter.name = *id ? id : "default";
		*ARENA_PUSH(build->arena, stage->ssh, stage->ssh_count) = parameter;
	}
}

int evaluate_mounts(struct build *build, struct evaluated *stage, const struct instruction *in, struct err *err)
{
	for (size_t i = 0; i < in->flag_count; i++) {
		struct run_mount mount;
		if (strcmp(in->flags[i].name, "mount") != 0)
			continue;
		struct expander expander = stage_expander(build, &stage->run);
		if (run_mount_parse(build->arena, &expander, in->flags[i].value, &mount, err) < 0)
			return -1;
		note_mount(build, stage, in, &mount);
	}
	return 0;
}

/* ---- collecting ---- */

struct collector {
	struct build *build;
	struct build_outline *outline;
	struct names args, secrets, ssh;
	bool *visited; /* stages */
};

/* The last ARG of this name before the first FROM; NULL: none. */
static const struct instruction *find_global(const struct dockerfile *file, const char *name, size_t *pair)
{
	for (size_t i = file->global_arg_count; i > 0; i--) {
		const struct instruction *arg = &file->global_args[i - 1];
		for (*pair = arg->pair_count; *pair > 0; --*pair)
			if (strcmp(arg->pairs[*pair - 1].key, name) == 0)
				return arg;
	}
	return NULL;
}

static void add_parameter(struct collector *collector, struct names *seen, const struct build_parameter *parameter,
			  struct build_parameter **list, size_t *count)
{
	if (names_have(seen, parameter->name))
		return;
	names_add(collector->build->arena, seen, parameter->name, strlen(parameter->name));
	*ARENA_PUSH(collector->build->arena, *list, *count) = *parameter;
}

/* With those that its default was made of. */
static void add_global(struct collector *collector, const char *name)
{
	struct build *build = collector->build;
	size_t pair;
	const struct instruction *arg = find_global(build->file, name, &pair);
	if (!arg || names_have(&collector->args, name))
		return;
	const struct build_parameter parameter = {
		.name = name,
		.value = env_get(&build->global, name),
		.description = comment_about(build->arena, arg->comment, name),
		.place = { arg->first_line, arg->last_line },
	};
	add_parameter(collector, &collector->args, &parameter, &collector->outline->args,
		      &collector->outline->arg_count);
	struct names used = { 0 };
	const char *value = arg->pairs[pair - 1].value;
	if (!value || build_arg(build->spec, name) || !expand_globally(build, &build->global, value, &used, NULL, NULL))
		return;
	for (size_t i = 0; i < used.count; i++)
		add_global(collector, used.items[i]);
}

static void add_from(struct collector *collector, const struct instruction *from)
{
	struct build *build = collector->build;
	const char *const words[] = { from->base, from->platform };
	struct names used = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		const char *ignored = words[i] ? expand_globally(build, &build->global, words[i], &used, NULL, NULL)
					       : NULL;
		(void)ignored;
	}
	for (size_t i = 0; i < used.count; i++)
		add_global(collector, used.items[i]);
}

static void add_stage(struct collector *collector, struct stage_run *stage)
{
	struct build *build = collector->build;
	struct build_outline *outline = collector->outline;
	const struct evaluated *evaluated = &build->evaluated[stage->index];
	if (collector->visited[stage->index])
		return;
	collector->visited[stage->index] = true;
	add_from(collector, stage->stage->from);
	for (size_t i = 0; i < evaluated->inherited.count; i++)
		add_global(collector, evaluated->inherited.items[i]);
	for (size_t i = 0; i < evaluated->arg_count; i++)
		add_parameter(collector, &collector->args, &evaluated->args[i], &outline->args, &outline->arg_count);
	for (size_t i = 0; i < evaluated->secret_count; i++)
		add_parameter(collector, &collector->secrets, &evaluated->secrets[i], &outline->secrets,
			      &outline->secret_count);
	for (size_t i = 0; i < evaluated->ssh_count; i++)
		add_parameter(collector, &collector->ssh, &evaluated->ssh[i], &outline->ssh, &outline->ssh_count);
	if (stage->base_stage)
		add_stage(collector, stage->base_stage);
	for (size_t i = 0; i < stage->stage->count; i++) {
		const char *from = instruction_flag(&stage->stage->instructions[i], "from");
		struct stage_run *source = NULL;
		if (from && *from && plan_find_stage(build, stage, from, &source, NULL) == 0 && source)
			add_stage(collector, source);
	}
}

static int compare_places(const void *a, const void *b)
{
	const struct build_parameter *x = a, *y = b;
	if (x->place.first_line != y->place.first_line)
		return x->place.first_line < y->place.first_line ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void sort(struct build_parameter *list, size_t count)
{
	if (count)
		qsort(list, count, sizeof(*list), compare_places);
}

void outline_target(struct build *build, struct build_outline *outline)
{
	struct collector collector = {
		.build = build,
		.outline = outline,
		.visited = arena_array(build->arena, bool, build->stage_count + 1),
	};
	*outline = (struct build_outline){ .name = build->target->stage->name };
	if (outline->name)
		outline->description = comment_about(build->arena, build->target->stage->from->comment, outline->name);
	add_stage(&collector, build->target);
	sort(outline->args, outline->arg_count);
	sort(outline->secrets, outline->secret_count);
	sort(outline->ssh, outline->ssh_count);
}
