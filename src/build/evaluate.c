/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include <string.h>

/*
 * Every instruction of the stages that are needed is evaluated on a state of its own before the first step runs, as BuildKit
 * does it: words are expanded and options checked, so that an error in the last line costs no build, and the checks
 * get their facts.
 */

/* ---- words ---- */

/* For facts: what is unset was or will be noted by the evaluation itself. */
static const char *expand_quietly(struct build *build, struct stage_run *stage, const char *word)
{
	struct unset_names *unset = stage->unset;
	stage->unset = NULL;
	const char *result = stage_expand(build, stage, word, NULL);
	stage->unset = unset;
	return result;
}

static void add_word(struct build *build, struct lint_facts *facts, const char *word)
{
	if (word)
		*ARENA_PUSH(build->arena, facts->words, facts->word_count) = word;
}

static void take_env_names(struct build *build, struct stage_run *stage, struct lint_facts *facts)
{
	for (size_t i = 0; i < facts->instruction->pair_count; i++)
		add_word(build, facts, expand_quietly(build, stage, facts->instruction->pairs[i].key));
}

static void take_ports(struct build *build, struct stage_run *stage, struct lint_facts *facts)
{
	const struct instruction *in = facts->instruction;
	for (size_t i = 0; i < in->word_count; i++) {
		struct expander expander = stage_expander(build, stage);
		const char **words;
		size_t count;
		expander.unset = NULL;
		if (expand_words(build->arena, &expander, in->words[i], &words, &count, NULL) < 0)
			return;
		for (size_t j = 0; j < count; j++)
			add_word(build, facts, words[j]);
	}
}

/* ---- instructions with a step of their own ---- */

static int evaluate_workdir(struct build *build, struct evaluated *stage, struct lint_facts *facts, struct err *err)
{
	const char *path = stage_expand(build, &stage->run, facts->instruction->words[0], err);
	if (!path)
		return -1;
	add_word(build, facts, path);
	stage->run.config->working_dir = path_go_clean(
		build->arena, stage_workdir_join(build->arena, &stage->run, *path ? path : "."));
	return 0;
}

/* Where a '!' pattern may bring files back, nothing is said. */
static bool is_ignored(const struct ignore *ignore, struct arena *arena, const char *source)
{
	const char *path = path_clean(arena, source);
	if (ignore_has_exceptions(ignore))
		return false;
	return *path ? ignore_matches(ignore, path) : ignore_excludes_all(ignore);
}

static int take_ignored(struct build *build, const char *const *sources, size_t count, struct lint_facts *facts,
			struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		struct remote remote;
		if (step_add_check(build, facts->instruction->kind, sources[i], &remote, err) < 0)
			return -1;
		/* A fetched context has no ignore rules. */
		if (remote.kind != REMOTE_NONE || !build->context.path)
			continue;
		if (tree_need(build, NULL, &build->context, err) != STEP_READY)
			return -1;
		if (is_ignored(build->context.ignore, build->arena, sources[i]))
			*ARENA_PUSH(build->arena, facts->ignored, facts->ignored_count) = path_go_clean(build->arena,
													sources[i]);
	}
	return 0;
}

static int expand_sources(struct build *build, struct stage_run *stage, const struct instruction *in,
			  const char ***sources, size_t *count, struct err *err)
{
	for (size_t i = 0; i < in->word_count; i++) {
		const struct heredoc *heredoc = in->word_heredocs ? in->word_heredocs[i] : NULL;
		if (heredoc && heredoc->expand) {
			struct expander expander = stage_expander(build, stage);
			expander.escape = '\\';
			if (!expand_raw(build->arena, &expander, heredoc->body, err))
				return -1;
		}
		if (heredoc)
			continue;
		const char *word = stage_expand(build, stage, in->words[i], err);
		if (!word)
			return -1;
		if (i + 1 < in->word_count)
			*ARENA_PUSH(build->arena, *sources, *count) = word;
	}
	return 0;
}

static int evaluate_copy(struct build *build, struct evaluated *stage, struct lint_facts *facts, struct err *err)
{
	static const char *const expanded[] = { "chown", "chmod", "checksum" };
	const struct instruction *in = facts->instruction;
	const char *from = instruction_flag(in, "from");
	if (in == stage->run.tree_copy)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(expanded); i++) {
		const char *value = instruction_flag(in, expanded[i]);
		const char *result = value ? stage_expand(build, &stage->run, value, err) : "";
		mode_t ignored;
		if (!result || (strcmp(expanded[i], "chmod") == 0 && *result &&
				chmod_apply(result, 0644, false, &ignored, err) < 0))
			return -1;
	}
	const char **sources = NULL;
	size_t count = 0;
	if (expand_sources(build, &stage->run, in, &sources, &count, err) < 0)
		return -1;
	return from && *from ? 0 : take_ignored(build, sources, count, facts, err);
}

/* ---- ARG ---- */

static const char *value_of_arg(const struct stage_run *stage, const char *name)
{
	for (size_t i = 0; i < stage->arg_count; i++)
		if (strcmp(stage->args[i].key, name) == 0)
			return stage->args[i].value;
	return NULL;
}

/* For the outline. What has neither a default here nor a --build-arg is the global argument of its name. */
static void note_args(struct build *build, struct evaluated *stage, const struct instruction *in)
{
	for (size_t i = 0; i < in->pair_count; i++) {
		const char *name = in->pairs[i].key;
		if (!in->pairs[i].value && !build_arg(build->spec, name) && env_get(&build->global, name)) {
			names_add(build->arena, &stage->inherited, name, strlen(name));
			continue;
		}
		*ARENA_PUSH(build->arena, stage->args, stage->arg_count) = (struct build_parameter){
			.name = name,
			.value = value_of_arg(&stage->run, name),
			.description = comment_about(build->arena, in->comment, name),
			.place = { in->first_line, in->last_line },
		};
	}
}

/* ---- one instruction ---- */

static int evaluate_kind(struct build *build, struct evaluated *stage, struct lint_facts *facts, struct err *err)
{
	const struct instruction *in = facts->instruction;
	switch (in->kind) {
	case INSTRUCTION_RUN:
		return evaluate_mounts(build, stage, in, err);
	case INSTRUCTION_COPY:
	case INSTRUCTION_ADD:
		return evaluate_copy(build, stage, facts, err);
	case INSTRUCTION_WORKDIR:
		return evaluate_workdir(build, stage, facts, err);
	case INSTRUCTION_ENV:
		take_env_names(build, &stage->run, facts);
		break;
	case INSTRUCTION_EXPOSE:
		take_ports(build, &stage->run, facts);
		break;
	default:
		break;
	}
	if (metadata_apply(build, &stage->run, in, err) < 0)
		return -1;
	if (in->kind == INSTRUCTION_ARG)
		note_args(build, stage, in);
	return 0;
}

static bool is_used_once(enum instruction_kind kind)
{
	return kind == INSTRUCTION_CMD || kind == INSTRUCTION_ENTRYPOINT || kind == INSTRUCTION_HEALTHCHECK;
}

static int evaluate_instruction(struct build *build, struct evaluated *stage, const struct instruction *in,
				struct err *err)
{
	struct lint_facts facts = {
		.instruction = in,
		.previous = is_used_once(in->kind) ? stage->last[in->kind] : NULL,
		.has_shell = stage->run.config->shell_count > 0,
		.has_workdir = stage->has_workdir,
	};
	stage->unset.count = stage->unset.word_start = 0;
	int result = evaluate_kind(build, stage, &facts, err);
	facts.unset = stage->unset.items;
	facts.unset_count = stage->is_unknown ? 0 : stage->unset.count;
	lint_run(&build->lint, LINT_EVALUATED, &facts);
	stage->last[in->kind] = in;
	stage->has_workdir |= in->kind == INSTRUCTION_WORKDIR;
	stage->unset.items = NULL;
	return result;
}

/* ---- stages ---- */

static void check_base(struct build *build, const struct stage_run *stage)
{
	const struct platform *wanted = &stage->platform, *found = &stage->config->platform;
	if (stage->base != BASE_IMAGE ||
	    (text_equal(wanted->os, found->os) && text_equal(wanted->architecture, found->architecture)))
		return;
	lint_run(&build->lint, LINT_BASE,
		 &(struct lint_facts){
			 .instruction = stage->stage->from,
			 .base_name = stage->base_name,
			 .base_platform = platform_text(build->arena, found),
			 .wanted_platform = platform_text(build->arena, wanted),
		 });
}

/* Without the base image, its variables are not known, and nothing is said of those that seem unset. The step that needs it
   will say that it is not there. */
static int begin(struct build *build, struct evaluated *stage, struct err *err)
{
	struct err cause = { 0 };
	struct evaluated *base = stage->run.base_stage ? &build->evaluated[stage->run.base_stage->index] : NULL;
	if (base) {
		stage->is_unknown = base->is_unknown;
		stage->has_workdir = base->has_workdir;
		stage->run.base_stage = &base->run;
	}
	if (stage_begin(build, &stage->run, &cause) == 0) {
		check_base(build, &stage->run);
		return 0;
	}
	if (cause.kind != ERR_NOT_FOUND) {
		*err = cause;
		return -1;
	}
	stage->is_unknown = true;
	stage->run.base = BASE_SCRATCH;
	return stage_begin(build, &stage->run, err);
}

static int fail_at(struct build *build, const struct instruction *place)
{
	build->result->place = (struct dockerfile_place){ place->first_line, place->last_line };
	return -1;
}

static int evaluate_stage(struct build *build, struct evaluated *stage, struct err *err)
{
	struct stage_run *real = &build->stages[stage->run.index];
	bool is_trigger;
	stage->is_done = true;
	if (begin(build, stage, err) < 0)
		return fail_at(build, real->stage->from);
	real->image = stage->run.image;
	for (const struct instruction *in; (in = stage_next(&stage->run, &is_trigger)); stage->run.position++)
		if (evaluate_instruction(build, stage, in, err) < 0)
			return fail_at(build, is_trigger ? real->stage->from : in);
	return 0;
}

static void prepare(struct build *build, struct evaluated *stage, const struct stage_run *real)
{
	stage->run = *real;
	stage->run.is_dry = true;
	stage->unset.arena = build->arena;
	stage->run.unset = &stage->unset;
}

/* A trigger of a base image may need a stage that nothing else did, so until no more are. */
int evaluate_stages(struct build *build, bool all, struct err *err)
{
	build->evaluated = arena_array(build->arena, struct evaluated, build->stage_count + 1);
	for (size_t i = 0; i < build->stage_count; i++)
		prepare(build, &build->evaluated[i], &build->stages[i]);
	for (bool has_more = true; has_more;) {
		has_more = false;
		for (size_t i = 0; i < build->stage_count; i++) {
			struct evaluated *stage = &build->evaluated[i];
			if (stage->is_done || (!all && !build->stages[i].is_needed))
				continue;
			if (evaluate_stage(build, stage, err) < 0)
				return -1;
			has_more = true;
		}
	}
	return 0;
}
