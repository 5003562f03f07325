/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <string.h>

/* The build checks of the text and of FROM lines, and what stages say of each other: BuildKit's convert.go up to the point
   where it looks at the first image. */

int check_parsed(struct build *build, const struct dockerfile *file, bool is_whole, struct err *err)
{
	const char *given = build_arg(build->spec, "BUILDKIT_DOCKERFILE_CHECK");
	if (lint_init(&build->lint, build->arena, given ? given : file->check, err) < 0)
		return -1;
	lint_run(&build->lint, LINT_LINES, &(struct lint_facts){ .file = file });
	for (size_t i = 0; i < file->global_arg_count; i++)
		lint_run(&build->lint, LINT_PARSED, &(struct lint_facts){ .instruction = &file->global_args[i] });
	for (size_t i = 0; i < file->stage_count; i++) {
		const struct stage *stage = &file->stages[i];
		lint_run(&build->lint, LINT_PARSED, &(struct lint_facts){ .instruction = stage->from });
		for (size_t j = 0; j < stage->count; j++)
			lint_run(&build->lint, LINT_PARSED,
				 &(struct lint_facts){ .instruction = &stage->instructions[j] });
	}
	if (is_whole)
		lint_run(&build->lint, LINT_FILE, &(struct lint_facts){ .file = file });
	return 0;
}

/* ---- names ---- */

bool names_have(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->items[i], name) == 0)
			return true;
	return false;
}

void names_add(struct arena *arena, struct names *names, const char *name, size_t len)
{
	const char *copy = arena_strndup(arena, name, len);
	if (!names_have(names, copy))
		*ARENA_PUSH(arena, names->items, names->count) = copy;
}

void unset_names_add(struct unset_names *unset, const struct env *known, const char *name, size_t len)
{
	static const char *const never_set[] = { "BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE" };
	const char *copy = arena_strndup(unset->arena, name, len);
	for (size_t i = unset->word_start; i < unset->count; i++)
		if (strcmp(unset->items[i].name, copy) == 0)
			return;
	for (size_t i = 0; i < ARRAY_LEN(never_set); i++)
		if (strcmp(copy, never_set[i]) == 0)
			return;
	const char **keys = arena_array(unset->arena, const char *, known->count + 1);
	for (size_t i = 0; i < known->count; i++)
		keys[i] = known->items[i].key;
	struct lint_unset *item = ARENA_PUSH(unset->arena, unset->items, unset->count);
	*item = (struct lint_unset){ copy, text_nearest(copy, keys, known->count) };
}

/* ---- FROM ---- */

struct global_lookup {
	struct arena *arena;
	const struct env *env;
	struct names *used;
	struct unset_names *unset;
};

static const char *look_up(void *arg, const char *name, size_t len)
{
	struct global_lookup *lookup = arg;
	const char *value = env_get(lookup->env, arena_strndup(lookup->arena, name, len));
	if (value && lookup->used)
		names_add(lookup->arena, lookup->used, name, len);
	return value;
}

static void note_unset(void *arg, const char *name, size_t len)
{
	struct global_lookup *lookup = arg;
	unset_names_add(lookup->unset, lookup->env, name, len);
}

char *expand_globally(struct build *build, const struct env *global, const char *word, struct names *used,
		      struct unset_names *unset, struct err *err)
{
	struct global_lookup lookup = { build->arena, global, used, unset };
	struct expander expander = { build->file->escape, look_up, &lookup, unset ? note_unset : NULL };
	if (unset)
		unset->word_start = unset->count;
	return expand_word(build->arena, &expander, word, err);
}

/* The global arguments as they would be without --build-arg; false if one of them cannot be expanded. */
static bool default_args(struct build *build, struct env *env)
{
	for (size_t i = 0; i < build->platform_args.count; i++)
		env_set(build->arena, env, build->platform_args.items[i].key, build->platform_args.items[i].value);
	for (size_t i = 0; i < build->file->global_arg_count; i++) {
		const struct instruction *arg = &build->file->global_args[i];
		for (size_t j = 0; j < arg->pair_count; j++) {
			if (!arg->pairs[j].value)
				continue;
			const char *value = expand_globally(build, env, arg->pairs[j].value, NULL, NULL, NULL);
			if (!value)
				return false;
			env_set(build->arena, env, arg->pairs[j].key, value);
		}
	}
	return true;
}

/* A global ARG without a value is declared all the same. */
static bool is_declared(const struct dockerfile *file, const char *name)
{
	for (size_t i = 0; i < file->global_arg_count; i++)
		for (size_t j = 0; j < file->global_args[i].pair_count; j++)
			if (strcmp(file->global_args[i].pairs[j].key, name) == 0)
				return true;
	return false;
}

static void drop_declared(const struct dockerfile *file, struct unset_names *unset)
{
	size_t kept = 0;
	for (size_t i = 0; i < unset->count; i++)
		if (!is_declared(file, unset->items[i].name))
			unset->items[kept++] = unset->items[i];
	unset->count = kept;
}

static void check_platform(struct build *build, const char *expanded, const struct names *used,
			   const struct unset_names *unset, struct lint_facts *facts)
{
	const char *target = env_get(&build->global, "TARGETPLATFORM");
	if (used->count == 1 && unset->count == 0 && strcmp(used->items[0], "TARGETPLATFORM") == 0)
		facts->is_target_platform = text_equal(expanded, target);
	struct platform platform;
	if (used->count || unset->count || platform_parse(build->arena, expanded, &platform, NULL) < 0)
		return;
	facts->constant_platform = expanded;
	facts->constant_os = platform.os;
	facts->constant_architecture = platform.architecture;
}

static bool is_bad_name(struct build *build, const struct env *defaults, const char *base)
{
	struct image_source source;
	const char *name = expand_globally(build, defaults, base, NULL, NULL, NULL);
	return name && (!*name || image_source_parse(build->arena, name, &source, NULL) < 0);
}

static void check_one_from(struct build *build, const struct instruction *from, const struct env *defaults)
{
	struct unset_names unset = { .arena = build->arena };
	struct lint_facts facts = { .instruction = from };
	struct names used = { 0 };
	facts.is_default_base_invalid = defaults && is_bad_name(build, defaults, from->base);
	if (!expand_globally(build, &build->global, from->base, NULL, &unset, NULL))
		unset.count = 0;
	if (from->platform) {
		struct unset_names own = { .arena = build->arena };
		const char *platform = expand_globally(build, &build->global, from->platform, &used, &own, NULL);
		if (platform)
			check_platform(build, platform, &used, &own, &facts);
		for (size_t i = 0; i < own.count; i++)
			*ARENA_PUSH(build->arena, unset.items, unset.count) = own.items[i];
	}
	drop_declared(build->file, &unset);
	facts.unset = unset.items;
	facts.unset_count = unset.count;
	lint_run(&build->lint, LINT_FROM, &facts);
}

void check_from(struct build *build)
{
	struct env defaults = { 0 };
	bool has_defaults = default_args(build, &defaults);
	for (size_t i = 0; i < build->stage_count; i++)
		check_one_from(build, build->stages[i].stage->from, has_defaults ? &defaults : NULL);
}

/* ---- what stages take from each other ---- */

struct visit {
	bool is_done, is_open;
};

static int fail_at(struct build *build, const struct instruction *place)
{
	build->result->place = (struct dockerfile_place){ place->first_line, place->last_line };
	return -1;
}

/* The stage that an instruction copies from; NULL: none, or an image. */
static int find_source(struct build *build, const struct stage_run *stage, const struct instruction *in,
		       struct stage_run **source, struct err *err)
{
	const char *from = in->kind == INSTRUCTION_COPY ? instruction_flag(in, "from") : NULL;
	*source = NULL;
	if (!from || !*from)
		return 0;
	if (strchr(from, '$'))
		return err_set(err, ERR_INPUT,
			       "variable expansion is not supported for --from, define a new stage with FROM using ARG "
			       "from global scope as a workaround");
	struct err late = { 0 };
	if (plan_find_stage(build, stage, from, source, &late) == 0 || *source)
		return 0;
	*err = late;
	return -1;
}

static int visit_stage(struct build *build, struct visit *visits, struct stage_run *stage, struct err *err)
{
	struct visit *visit = &visits[stage->index];
	if (visit->is_done)
		return 0;
	visit->is_done = visit->is_open = true;
	for (size_t i = 0; i < stage->stage->count; i++) {
		const struct instruction *in = &stage->stage->instructions[i];
		struct stage_run *source;
		if (find_source(build, stage, in, &source, err) < 0)
			return fail_at(build, in);
		if (!source)
			continue;
		if (visits[source->index].is_open) {
			err_set(err, ERR_INPUT, "circular dependency detected on stage: %s", source->name);
			return fail_at(build, in);
		}
		if (visit_stage(build, visits, source, err) < 0)
			return -1;
	}
	visit->is_open = false;
	return 0;
}

int check_dependencies(struct build *build, struct err *err)
{
	struct visit *visits = arena_array(build->arena, struct visit, build->stage_count + 1);
	for (size_t i = 0; i < build->stage_count; i++)
		if (visit_stage(build, visits, &build->stages[i], err) < 0)
			return -1;
	return 0;
}
