/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include <string.h>

/* Which stages there are, what each stands on, and which of them the target needs. */

static const int64_t EPOCH_MAX = INT64_C(1) << 35; /* what a tar header holds in its octal digits: the year 3058 */

const char *build_arg(const struct build_spec *spec, const char *name)
{
	for (size_t i = spec->build_arg_count; i > 0; i--)
		if (strcmp(spec->build_args[i - 1].key, name) == 0)
			return spec->build_args[i - 1].value;
	return NULL;
}

static const char *lookup_global(void *arg, const char *name, size_t len)
{
	const struct build *build = arg;
	for (size_t i = build->global.count; i > 0; i--) {
		const struct key_value *item = &build->global.items[i - 1];
		if (strlen(item->key) == len && memcmp(item->key, name, len) == 0)
			return item->value;
	}
	return NULL;
}

static struct expander global_expander(struct build *build)
{
	return (struct expander){ .escape = build->file->escape, .lookup = lookup_global, .arg = build };
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

/* TARGETSTAGE and the platform arguments: dockerfile.md 1.7 ARG. --build-arg overrides each. */
static void set_platform_args(struct build *build, const char *target_name)
{
	const struct platform host = platform_host(), *target = &build->platform;
	const struct key_value values[] = {
		{ "BUILDPLATFORM", platform_text(build->arena, &host) },
		{ "BUILDOS", host.os },
		{ "BUILDOSVERSION", "" },
		{ "BUILDARCH", host.architecture },
		{ "BUILDVARIANT", or_empty(host.variant) },
		{ "TARGETPLATFORM", platform_text(build->arena, target) },
		{ "TARGETOS", target->os },
		{ "TARGETOSVERSION", or_empty(target->os_version) },
		{ "TARGETARCH", target->architecture },
		{ "TARGETVARIANT", or_empty(target->variant) },
		{ "TARGETSTAGE", target_name },
	};
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		const char *given = build_arg(build->spec, values[i].key);
		env_set(build->arena, &build->global, values[i].key, given ? given : values[i].value);
		env_set(build->arena, &build->platform_args, values[i].key, given ? given : values[i].value);
	}
}

static int set_global_args(struct build *build, struct err *err)
{
	struct dockerfile *file = build->file;
	for (size_t i = 0; i < file->global_arg_count; i++) {
		const struct instruction *arg = &file->global_args[i];
		for (size_t j = 0; j < arg->pair_count; j++) {
			const char *value = build_arg(build->spec, arg->pairs[j].key);
			if (!value && arg->pairs[j].value) {
				struct expander expander = global_expander(build);
				value = expand_word(build->arena, &expander, arg->pairs[j].value, err);
				if (!value) {
					build->wrong_word = arg->pairs[j].value;
					build->result->place = (struct dockerfile_place){ arg->first_line,
											  arg->last_line };
					return -1;
				}
			}
			if (value)
				env_set(build->arena, &build->global, arg->pairs[j].key, value);
		}
	}
	return 0;
}

static struct stage_run *stage_by_name(struct build *build, const char *name, size_t before)
{
	for (size_t i = before; i > 0; i--)
		if (build->stages[i - 1].stage->name && text_equal_nocase(build->stages[i - 1].stage->name, name))
			return &build->stages[i - 1];
	return NULL;
}

int plan_find_stage(struct build *build, const struct stage_run *from, const char *name, struct stage_run **out,
		    struct err *err)
{
	*out = NULL;
	int64_t index;
	if (parse_int64(&index, name, NULL) == 0) {
		if (index < 0 || (size_t)index >= build->stage_count)
			return err_set(err, ERR_INPUT, "invalid stage index %s", name);
		*out = &build->stages[index];
	} else {
		*out = stage_by_name(build, name, from->index);
		if (!*out)
			*out = stage_by_name(build, name, build->stage_count);
	}
	if (*out && (*out)->index == from->index)
		return err_set(err, ERR_INPUT, "circular dependency detected on stage: %s", from->name);
	if (*out && (*out)->index > from->index)
		return err_set(err, ERR_INPUT,
			       "cannot copy from stage \"%s\", it needs to be defined before current stage \"%s\"",
			       name, from->name);
	return 0;
}

static const char *nearest_stage(struct build *build, const char *name, size_t before)
{
	const char **names = arena_array(build->arena, const char *, build->stage_count);
	size_t count = 0;
	for (size_t i = 0; i < before; i++)
		if (build->stages[i].stage->name)
			names[count++] = build->stages[i].stage->name;
	return text_nearest(name, names, count);
}

int plan_suggest_stage(struct build *build, const struct stage_run *from, const char *name, struct err *err)
{
	const char *nearest = err->kind == ERR_NOT_FOUND ? nearest_stage(build, name, from->index) : NULL;
	return nearest ? err_wrap(err, "%s is no stage (did you mean %s?)", name, nearest) : -1;
}

/* Names the global argument that may have been meant by one that has no value. */
static const char *meant(struct build *build, const struct unset_names *unset)
{
	for (size_t i = 0; i < unset->count; i++)
		if (unset->items[i].nearest)
			return arena_printf(build->arena, " (did you mean %s?)", unset->items[i].nearest);
	return "";
}

static int resolve_platform(struct build *build, struct stage_run *stage, struct err *err)
{
	const char *text = stage->stage->from->platform;
	struct unset_names unset = { .arena = build->arena };
	struct err cause;
	stage->platform = build->platform;
	if (!text)
		return 0;
	build->wrong_word = text;
	const char *platform = expand_globally(build, &build->global, text, NULL, &unset, err);
	if (!platform)
		return -1;
	if (!*platform)
		return err_set(err, ERR_INPUT, "empty platform value from expression %s%s", text, meant(build, &unset));
	if (platform_parse(build->arena, platform, &stage->platform, &cause) < 0)
		return err_set(err, ERR_INPUT, "failed to parse platform %s: %s%s", text, cause.msg,
			       meant(build, &unset));
	build->wrong_word = NULL;
	return 0;
}

/* The stage stands on a named context: an image, or files. */
static void stand_on(struct stage_run *stage, struct named_context *named)
{
	bool is_image = named->image && strcmp(named->image, "scratch") != 0;
	stage->base = is_image ? BASE_IMAGE : BASE_SCRATCH;
	if (is_image)
		stage->base_name = named->image;
	else if (!named->image)
		stage->tree = &named->tree;
}

/* A named context that is called like the stage stands for all of it. */
static void replace_stage(struct build *build, struct stage_run *stage, struct named_context *named)
{
	struct stage *empty = arena_memdup(build->arena, stage->stage, sizeof(*stage->stage));
	empty->count = 0;
	stage->stage = empty;
	stage->platform = build->platform;
	stage->base_name = stage->stage->name;
	stand_on(stage, named);
}

static int resolve_base(struct build *build, struct stage_run *stage, struct err *err)
{
	struct named_context *named = stage->stage->name ? context_find(build, stage->stage->name) : NULL;
	if (named) {
		replace_stage(build, stage, named);
		return 0;
	}
	const struct instruction *from = stage->stage->from;
	struct expander expander = global_expander(build);
	const char *base = expand_word(build->arena, &expander, from->base, err);
	build->wrong_word = base && *base ? NULL : from->base;
	if (!base)
		return -1;
	if (!*base)
		return err_set(err, ERR_INPUT, "base name (%s) should not be blank", from->base);
	if (resolve_platform(build, stage, err) < 0)
		return -1;
	stage->base_name = base;
	stage->base = strcmp(base, "scratch") == 0 ? BASE_SCRATCH : BASE_IMAGE;
	/* An earlier stage is found by the exact text: names are lower-case, so `FROM Build` is an image. */
	for (size_t i = stage->index; i > 0; i--) {
		if (text_equal(build->stages[i - 1].stage->name, base)) {
			stage->base = BASE_STAGE;
			stage->base_stage = &build->stages[i - 1];
			return 0;
		}
	}
	if (stage->base == BASE_IMAGE && (named = context_find(build, base)))
		stand_on(stage, named);
	return 0;
}

int plan_find_mount_stage(struct build *build, const struct stage_run *from, const char *name, const char *target,
			  struct stage_run **out, struct err *err)
{
	*out = stage_by_name(build, name, from->index);
	if (!*out)
		*out = stage_by_name(build, name, build->stage_count);
	if (*out && (*out)->index == from->index)
		return err_set(err, ERR_INPUT, "circular dependency detected on stage: %s", from->name);
	if (*out && (*out)->index > from->index)
		return err_set(err, ERR_INPUT,
			       "cannot mount from stage \"%s\" to \"%s\", stage needs to be defined before current "
			       "command",
			       name, target);
	return 0;
}

void plan_need_sources(struct build *build, struct stage_run *stage, const struct instruction *in)
{
	struct stage_run *other = NULL;
	const char *from = in->kind == INSTRUCTION_COPY ? instruction_flag(in, "from") : NULL;
	if (from && *from && !context_find(build, from) && plan_find_stage(build, stage, from, &other, NULL) == 0 &&
	    other)
		plan_need(build, other);
	for (size_t i = 0; in->kind == INSTRUCTION_RUN && i < in->flag_count; i++) {
		if (strcmp(in->flags[i].name, "mount") != 0)
			continue;
		from = run_mount_from(build->arena, in->flags[i].value);
		if (*from && !context_find(build, from) &&
		    plan_find_mount_stage(build, stage, from, "", &other, NULL) == 0 && other)
			plan_need(build, other);
	}
}

void plan_need(struct build *build, struct stage_run *stage)
{
	if (stage->is_needed)
		return;
	stage->is_needed = true;
	if (stage->base_stage)
		plan_need(build, stage->base_stage);
	for (size_t i = 0; i < stage->stage->count; i++)
		plan_need_sources(build, stage, &stage->stage->instructions[i]);
}

static int choose_target(struct build *build, struct err *err)
{
	const char *name = build->spec->target;
	if (!name || !*name) {
		build->target = &build->stages[build->stage_count - 1];
		return 0;
	}
	build->target = stage_by_name(build, name, build->stage_count);
	if (build->target)
		return 0;
	const char *nearest = nearest_stage(build, name, build->stage_count);
	return err_set(err, ERR_USAGE, "target stage \"%s\" could not be found%s%s%s", name,
		       nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}

static unsigned count_steps(const struct stage *stage)
{
	unsigned steps = 0;
	for (size_t i = 0; i < stage->count; i++)
		steps += makes_layer(&stage->instructions[i]);
	return steps;
}

/* An integer of seconds since 1970, from --build-arg, the environment or a global ARG's default, in this order; an empty
   --build-arg takes back what the others say. */
static int find_epoch(struct build *build, struct err *err)
{
	const char *text = build_arg(build->spec, "SOURCE_DATE_EPOCH");
	build->epoch = text ? BUILD_NO_EPOCH : build->spec->epoch;
	if (!text && build->epoch == BUILD_NO_EPOCH)
		text = env_get(&build->global, "SOURCE_DATE_EPOCH");
	if (text && *text &&
	    (parse_int64(&build->epoch, text, NULL) < 0 || build->epoch < 0 || build->epoch > EPOCH_MAX))
		return err_set(err, ERR_INPUT, "invalid SOURCE_DATE_EPOCH: %s", text);
	build->clamp = build->epoch == BUILD_NO_EPOCH ? INT64_MAX : build->epoch;
	return 0;
}

static bool is_filtered(const struct build_spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->uncached_count; i++)
		if (text_equal_nocase(spec->uncached_stages[i], or_empty(name)))
			return true;
	return false;
}

/* BuildKit says nothing of a name that is no stage's, and the user wonders why it is cached. */
static void warn_of_filters(struct build *build)
{
	for (size_t i = 0; i < build->spec->uncached_count; i++) {
		const char *name = build->spec->uncached_stages[i];
		if (!*name || stage_by_name(build, name, build->stage_count))
			continue;
		const char *nearest = nearest_stage(build, name, build->stage_count);
		build_warn(build, 0, "--no-cache-filter %s: there is no stage of this name%s%s%s", name,
			   nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
	}
}

int plan_build(struct build *build, struct err *err)
{
	struct dockerfile *file = build->file;
	build->platform = build->spec->platform ? *build->spec->platform : platform_host();
	build->stage_count = file->stage_count;
	build->stages = arena_array(build->arena, struct stage_run, file->stage_count);
	for (size_t i = 0; i < file->stage_count; i++) {
		struct stage_run *stage = &build->stages[i];
		stage->stage = &file->stages[i];
		stage->index = i;
		stage->session = (struct store_work)STORE_WORK_EMPTY;
		stage->name = stage->stage->name ? stage->stage->name : arena_printf(build->arena, "stage-%zu", i);
		stage->is_hidden_name = file->stage_count == 1;
		stage->is_uncached = build->spec->no_cache || is_filtered(build->spec, stage->stage->name);
	}
	if (choose_target(build, err) < 0)
		return -1;
	set_platform_args(build, build->target->stage->name ? build->target->stage->name : "default");
	if (set_global_args(build, err) < 0 || find_epoch(build, err) < 0)
		return -1;
	check_from(build);
	for (size_t i = 0; i < build->stage_count; i++) {
		struct stage_run *stage = &build->stages[i];
		if (resolve_base(build, stage, err) < 0) {
			build->result->place = (struct dockerfile_place){ stage->stage->from->first_line,
									  stage->stage->from->last_line };
			return -1;
		}
		stage->step_total = (stage->base == BASE_IMAGE) + count_steps(stage->stage);
	}
	plan_need(build, build->target);
	for (size_t i = 0; build->spec->all_stages && i < build->stage_count; i++)
		plan_need(build, &build->stages[i]);
	warn_of_filters(build);
	return check_dependencies(build, err);
}
