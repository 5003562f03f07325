/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include <stdlib.h>
#include <string.h>

/*
 * RUN --mount, in the coordinator: what each mount is, what the step waits for because of it, and its part of the key. The
 * step's job then makes them (mounts_open.c).
 *
 * In the key is what a command can see without being told to look away: where something is mounted, whether it can write there,
 * and the files of bind mounts. What caches, secrets and agents hold is not.
 */

#define SECRETS_DIR "/run/secrets"
#define AGENT_PATH  "/run/buildkit/ssh_agent"

static bool has_origin(const struct step_mount *mount)
{
	return mount->origin.stage || mount->origin.image;
}

/* ---- targets ---- */

static const char *absolute_target(struct build *build, const struct stage_run *stage, const char *target)
{
	return path_go_clean(build->arena, stage_workdir_join(build->arena, stage, target));
}

/* path.Base of Go, which drops slashes at the end. */
static const char *go_base(struct arena *arena, const char *path)
{
	const char *base = path_base(path_go_clean(arena, path));
	return *base ? base : "/";
}

static void take_secret(struct build *build, struct step_mount *mount)
{
	const struct run_mount *options = &mount->options;
	mount->id = *options->source ? options->source
		    : *options->id   ? options->id
				     : go_base(build->arena, options->target);
	if (options->env)
		mount->env = *options->env ? options->env : mount->id;
	if (*options->target)
		mount->target = options->target;
	else if (!options->env)
		mount->target = arena_printf(build->arena, SECRETS_DIR "/%s", go_base(build->arena, mount->id));
}

static void take_agent(struct build *build, struct step_mount *mount, size_t number)
{
	const struct run_mount *options = &mount->options;
	mount->id = *options->id ? options->id : "default";
	mount->target = *options->target ? options->target : arena_printf(build->arena, AGENT_PATH ".%zu", number);
}

static int take_target(struct build *build, struct step *step, struct step_mount *mount, struct err *err)
{
	size_t agents = 0;
	for (size_t i = 0; i < step->mount_count; i++)
		agents += step->mounts[i].options.type == RUN_MOUNT_SSH;
	mount->target = mount->options.target;
	if (mount->options.type == RUN_MOUNT_SECRET) {
		mount->target = NULL;
		take_secret(build, mount);
	} else if (mount->options.type == RUN_MOUNT_SSH) {
		take_agent(build, mount, agents);
	}
	if (!mount->target)
		return 0;
	mount->target = absolute_target(build, step->stage, mount->target);
	return strcmp(mount->target, "/") == 0 ? err_set(err, ERR_INPUT, "invalid mount target \"/\"") : 0;
}

/* ---- sources ---- */

static enum step_ready take_image(struct build *build, struct step *step, struct step_mount *mount, const char *name,
				  struct err *err)
{
	struct image *image = arena_new(build->arena, struct image);
	if (strcmp(name, "scratch") == 0) {
		mount->is_scratch = true;
		return STEP_READY;
	}
	if (build_image_from(build, name, &build->platform, image, err) < 0) {
		plan_suggest_stage(build, step->stage, name, err);
		return STEP_FAILED;
	}
	mount->origin.image = image;
	mount->origin.written = name;
	return STEP_READY;
}

static enum step_ready take_tree(struct build *build, struct step *step, struct step_mount *mount, struct tree *tree,
				 struct err *err)
{
	mount->tree = tree;
	return tree_need(build, step->stage, tree, err);
}

/* Numbers are no stages here but images (trap 34). */
static enum step_ready take_origin(struct build *build, struct step *step, struct step_mount *mount, const char *name,
				   struct err *err)
{
	struct named_context *named = context_find(build, name);
	if (named && named->image)
		return take_image(build, step, mount, named->image, err);
	if (named)
		return take_tree(build, step, mount, &named->tree, err);
	if (plan_find_mount_stage(build, step->stage, name, mount->target, &mount->origin.stage, err) < 0)
		return STEP_FAILED;
	struct stage_run *stage = mount->origin.stage;
	if (stage) {
		plan_need(build, stage);
		if (stage->status == STAGE_DONE)
			return STEP_READY;
		step->stage->waits_for = stage;
		return STEP_WAITS;
	}
	return take_image(build, step, mount, name, err);
}

static enum step_ready take_source(struct build *build, struct step *step, struct step_mount *mount, const char *text,
				   struct err *err)
{
	const struct run_mount *options = &mount->options;
	const char *from = run_mount_from(build->arena, text);
	mount->source = path_clean(build->arena, options->source);
	if (options->type != RUN_MOUNT_BIND && options->type != RUN_MOUNT_CACHE)
		return STEP_READY;
	if (*from)
		return take_origin(build, step, mount, from, err);
	return options->type == RUN_MOUNT_BIND ? take_tree(build, step, mount, &build->context, err) : STEP_READY;
}

static enum step_ready take_mount(struct build *build, struct step *step, const char *text, struct err *err)
{
	struct expander expander = stage_expander(build, step->stage);
	struct step_mount mount = { 0 };
	if (run_mount_parse(build->arena, &expander, text, &mount.options, err) < 0 ||
	    take_target(build, step, &mount, err) < 0)
		return STEP_FAILED;
	enum step_ready ready = take_source(build, step, &mount, text, err);
	if (ready == STEP_READY)
		*ARENA_PUSH(build->arena, step->mounts, step->mount_count) = mount;
	return ready;
}

/* ---- caches ---- */

static bool has_owner(const struct run_mount *options)
{
	return options->has_mode || options->has_uid || options->has_gid;
}

/* Without a source, an owner or mode makes it another cache, which begins empty (traps 41 and 42). */
void step_mount_cache_id(const struct step *step, const struct step_mount *mount, struct digest *id)
{
	const struct run_mount *options = &mount->options;
	const char *space = build_arg(step->build->spec, "BUILDKIT_CACHE_MOUNT_NS");
	scope_arena struct arena arena = { 0 };
	scope_hasher struct hasher *hasher = hasher_new();
	hasher_text(hasher, space ? space : "");
	hasher_text(hasher, *options->id ? options->id : path_go_clean(&arena, options->target));
	if (has_origin(mount) || mount->tree)
		hasher_field(hasher, mount->content.bytes, sizeof(mount->content.bytes));
	if (!*mount->source && has_owner(options)) {
		hasher_int(hasher, options->has_mode ? options->mode : 0755);
		hasher_int(hasher, options->uid);
		hasher_int(hasher, options->gid);
	}
	hasher_final(hasher, id);
}

bool step_mount_is_filled(const struct step_mount *mount)
{
	return (has_origin(mount) || mount->tree) && (*mount->source || !has_owner(&mount->options));
}

/* ---- the key ---- */

static const char *access_word(const struct run_mount *options)
{
	return options->is_read_only ? "ro" : "rw";
}

static const char *describe(struct build *build, const struct step_mount *mount)
{
	const struct run_mount *options = &mount->options;
	const char *owner = arena_printf(build->arena, "%o %u:%u", options->has_mode ? options->mode : UINT32_MAX,
					 options->uid, options->gid);
	switch (options->type) {
	case RUN_MOUNT_BIND:
		return arena_printf(build->arena, "bind %s%s", access_word(options), mount->is_scratch ? " empty" : "");
	case RUN_MOUNT_CACHE:
		return arena_printf(build->arena, "cache %s %s", access_word(options), owner);
	case RUN_MOUNT_TMPFS:
		return arena_printf(build->arena, "tmpfs %s %lld", access_word(options),
				    (long long)options->size_bytes);
	case RUN_MOUNT_SECRET:
		return arena_printf(build->arena, "secret %s %s", mount->id, owner);
	case RUN_MOUNT_SSH:
		break;
	}
	return arena_printf(build->arena, "ssh %s %s", mount->id, owner);
}

static int add_tree(struct build *build, struct step *step, struct step_mount *mount, struct err *err)
{
	struct source source = tree_source(mount->tree);
	if (copy_select_path(build->arena, &source, mount->source, &mount->plan, err) < 0)
		return -1;
	/* The step sees the target's name and not the source's. */
	mount->plan.items[0].base = "";
	if (copy_digest(&source, &mount->plan, &mount->content, NULL, NULL, err) < 0)
		return -1;
	inputs_add(build->arena, &step->inputs, arena_printf(build->arena, "files on %s", mount->target),
		   digest_str(build->arena, &mount->content));
	return 0;
}

static void add_origin(struct build *build, struct step *step, const struct step_mount *mount)
{
	struct digest chain;
	if (mount->origin.stage)
		chain = mount->origin.stage->key;
	else
		chain_id(mount->origin.image->diff_ids, mount->origin.image->diff_id_count, &chain);
	inputs_add(build->arena, &step->inputs, "from", digest_str(build->arena, &chain));
	inputs_add(build->arena, &step->inputs, "source", mount->source);
	step->mounts_from = true;
}

static int add_input(struct build *build, struct step *step, struct step_mount *mount, struct err *err)
{
	inputs_add(build->arena, &step->inputs,
		   arena_printf(build->arena, "mount on %s%s", mount->target ? mount->target : "",
				mount->env ? arena_printf(build->arena, " $%s", mount->env) : ""),
		   describe(build, mount));
	if (has_origin(mount))
		add_origin(build, step, mount);
	return mount->tree ? add_tree(build, step, mount, err) : 0;
}

static int compare_mounts(const void *a, const void *b)
{
	const struct step_mount *x = a, *y = b;
	int order = strcmp(x->target ? x->target : "", y->target ? y->target : "");
	return order ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

/* A name for a cache as long as the files that it may begin with are not known: good enough to tell caches of one build apart. */
static void name_cache(const struct step *step, const struct step_mount *mount, struct digest *name)
{
	struct digest id;
	scope_hasher struct hasher *hasher = hasher_new();
	step_mount_cache_id(step, mount, &id);
	hasher_field(hasher, id.bytes, sizeof(id.bytes));
	if (has_origin(mount)) {
		hasher_text(hasher, mount->origin.stage ? mount->origin.stage->name : mount->origin.written);
		hasher_text(hasher, mount->source);
	}
	hasher_final(hasher, name);
}

/* --no-cache empties the caches of the steps that it is about (trap 43): once, so that later steps find what earlier ones
   left. */
static void renew_caches(struct build *build, const struct step *step)
{
	for (size_t i = 0; step->stage->is_uncached && i < step->mount_count; i++) {
		struct digest name;
		bool is_done = false;
		if (step->mounts[i].options.type != RUN_MOUNT_CACHE)
			continue;
		name_cache(step, &step->mounts[i], &name);
		for (size_t j = 0; j < build->renewed_count; j++)
			is_done |= digest_equal(&build->renewed[j], &name);
		step->mounts[i].must_renew = !is_done;
		if (!is_done)
			*ARENA_PUSH(build->arena, build->renewed, build->renewed_count) = name;
	}
}

enum step_ready step_mounts_prepare(struct build *build, struct step *step, struct err *err)
{
	const struct instruction *in = step->instruction;
	for (size_t i = 0; i < in->flag_count; i++) {
		if (strcmp(in->flags[i].name, "mount") != 0)
			continue;
		enum step_ready ready = take_mount(build, step, in->flags[i].value, err);
		if (ready != STEP_READY)
			return ready;
	}
	for (size_t i = 0; i < step->mount_count; i++)
		step->mounts[i].rank = i;
	if (step->mount_count > 1)
		qsort(step->mounts, step->mount_count, sizeof(*step->mounts), compare_mounts);
	for (size_t i = 0; i < step->mount_count; i++)
		if (add_input(build, step, &step->mounts[i], err) < 0)
			return STEP_FAILED;
	renew_caches(build, step);
	return STEP_READY;
}
