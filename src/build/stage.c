/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include <fcntl.h>
#include <string.h>

/* One stage's state: configuration, variables in effect, stack of layers. */

void stage_push_layer(struct build *build, struct stage_run *stage, struct layer_node *node)
{
	node->below = stage->layer_count ? stage->layers[stage->layer_count - 1] : NULL;
	node->depth = stage->layer_count;
	*ARENA_PUSH(build->arena, stage->layers, stage->layer_count) = node;
}

const int *stage_lowers(struct build *build, const struct stage_run *stage, size_t *count)
{
	int *fds = arena_array(build->arena, int, stage->layer_count + 1);
	for (size_t i = 0; i < stage->layer_count; i++)
		fds[i] = stage->layers[stage->layer_count - 1 - i]->tree_fd;
	*count = stage->layer_count;
	return fds;
}

bool stage_chain(const struct stage_run *stage, struct digest *chain)
{
	struct digest ids[OCI_LAYERS_MAX];
	if (stage->layer_count > OCI_LAYERS_MAX)
		return false;
	for (size_t i = 0; i < stage->layer_count; i++) {
		if (!stage->layers[i]->is_known)
			return false;
		ids[i] = stage->layers[i]->diff_id;
	}
	chain_id(ids, stage->layer_count, chain);
	return true;
}

static const char *lookup_stage(void *arg, const char *name, size_t len)
{
	const struct stage_run *stage = arg;
	for (size_t i = stage->env.count; i > 0; i--) {
		const struct key_value *item = &stage->env.items[i - 1];
		if (strlen(item->key) == len && memcmp(item->key, name, len) == 0)
			return item->value;
	}
	return NULL;
}

/* A name that the stage declared, with or without a value, is no mistake. */
static void note_unset(void *arg, const char *name, size_t len)
{
	struct stage_run *stage = arg;
	for (size_t i = 0; i < stage->arg_count; i++)
		if (strlen(stage->args[i].key) == len && memcmp(stage->args[i].key, name, len) == 0)
			return;
	unset_names_add(stage->unset, &stage->env, name, len);
}

struct expander stage_expander(struct build *build, struct stage_run *stage)
{
	if (stage->unset)
		stage->unset->word_start = stage->unset->count;
	return (struct expander){ .escape = build->file->escape,
				  .lookup = lookup_stage,
				  .arg = stage,
				  .unset = stage->unset ? note_unset : NULL };
}

char *stage_expand(struct build *build, struct stage_run *stage, const char *word, struct err *err)
{
	struct expander expander = stage_expander(build, stage);
	char *result = expand_word(build->arena, &expander, word, err);
	if (!result)
		build->wrong_word = word;
	return result;
}

char *stage_workdir_join(struct arena *arena, const struct stage_run *stage, const char *path)
{
	if (path[0] == '/')
		return arena_strdup(arena, path);
	const char *dir = stage->config->working_dir && *stage->config->working_dir ? stage->config->working_dir : "/";
	return arena_printf(arena, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, path);
}

/* An entry without a layer has no time of its own yet: stage_fill_times gives it one. */
void stage_history(struct build *build, struct stage_run *stage, const char *created_by, bool empty, int64_t created)
{
	struct timespec at = { .tv_sec = build->epoch != BUILD_NO_EPOCH ? build->epoch : created };
	struct history entry = {
		.created = empty && build->epoch == BUILD_NO_EPOCH ? NULL : time_rfc3339(build->arena, at),
		.created_by = created_by,
		.comment = "buildkit.dockerfile.v0",
		.empty_layer = empty,
	};
	image_history_add(build->arena, stage->config, &entry);
}

/* Entries without a time take that of the layer before them, or of the first layer that is not the base's, as BuildKit does
   it: a build that is all cached then gives the image that it gave before. */
void stage_fill_times(struct build *build, struct stage_run *stage)
{
	struct image_config *config = stage->config;
	const char *created = NULL;
	for (size_t i = 0; i < config->history_count && (i < stage->base_history || !created); i++)
		if (config->history[i].created)
			created = config->history[i].created;
	for (size_t i = stage->base_history; i < config->history_count; i++)
		if (config->history[i].created) {
			created = config->history[i].created;
			break;
		}
	for (size_t i = stage->base_history; i < config->history_count; i++) {
		if (!config->history[i].created)
			config->history[i].created = created;
		created = config->history[i].created;
	}
	struct timespec now = { .tv_sec = build->epoch != BUILD_NO_EPOCH ? build->epoch : build->now };
	config->created = created ? created : time_rfc3339(build->arena, now);
}

void stage_shell_command(struct build *build, const struct stage_run *stage, const char *text, const char ***argv,
			 size_t *argc)
{
	static const char *const default_shell[] = { "/bin/sh", "-c" };
	const char *const *shell = default_shell;
	size_t count = ARRAY_LEN(default_shell);
	if (stage->config->shell_count) {
		shell = stage->config->shell;
		count = stage->config->shell_count;
	}
	*argv = arena_array(build->arena, const char *, count + 2);
	for (size_t i = 0; i < count; i++)
		(*argv)[i] = shell[i];
	(*argv)[count] = text;
	*argc = count + 1;
}

static int push_image_layers(struct build *build, struct stage_run *stage, const struct image *image, struct err *err)
{
	for (size_t i = 0; i < image->diff_id_count; i++) {
		struct layer_node *node = node_from_store(build, &image->diff_ids[i], err);
		if (!node)
			return err_wrap(err, "base image %s", stage->base_name);
		stage_push_layer(build, stage, node);
	}
	return 0;
}

const int *image_lowers(struct build *build, const struct image *image, struct err *err)
{
	int *fds = arena_array(build->arena, int, image->diff_id_count + 1);
	for (size_t i = 0; i < image->diff_id_count; i++) {
		struct layer_node *node = node_from_store(build, &image->diff_ids[i], err);
		if (!node)
			return NULL;
		fds[image->diff_id_count - 1 - i] = node->tree_fd;
	}
	return fds;
}

/* Many stages of one base look for it once. */
static struct image *find_looked_up(const struct build *build, const struct stage_run *stage)
{
	for (size_t i = 0; i < build->stage_count; i++) {
		const struct stage_run *other = &build->stages[i];
		if (other->image && text_equal(other->base_name, stage->base_name) &&
		    text_equal(other->platform.os, stage->platform.os) &&
		    text_equal(other->platform.architecture, stage->platform.architecture) &&
		    text_equal(other->platform.variant, stage->platform.variant))
			return other->image;
	}
	return NULL;
}

/* What is not there because it is no name at all is a mistake in the Dockerfile. */
static int explain_name(struct build *build, const struct stage_run *stage, struct err *err)
{
	struct image_source source;
	struct err cause;
	if (err->kind != ERR_NOT_FOUND || image_source_parse(build->arena, stage->base_name, &source, &cause) == 0)
		return -1;
	return err_set(err, ERR_INPUT, "failed to parse stage name %s: %s", go_quoted(build->arena, stage->base_name),
		       cause.msg);
}

static int begin_from_image(struct build *build, struct stage_run *stage, struct err *err)
{
	if (!stage->image)
		stage->image = find_looked_up(build, stage);
	if (!stage->image) {
		struct image *image = arena_new(build->arena, struct image);
		if (build_image_from(build, stage->base_name, &stage->platform, image, err) < 0) {
			plan_suggest_stage(build, stage, stage->base_name, err);
			return explain_name(build, stage, err);
		}
		stage->image = image;
	}
	stage->config = image_config_clone(build->arena, &stage->image->config);
	/* What another builder wrote may be relative or end with a slash: BuildKit's NormalizeWorkdir. */
	const char *dir = stage->config->working_dir;
	if (dir && *dir)
		stage->config->working_dir = path_go_clean(build->arena, path_join(build->arena, "/", dir));
	stage->base_history = stage->image->config.history_count;
	stage->base_layers = stage->image->diff_id_count;
	stage->base_id = stage->image->id;
	if (stage->is_dry)
		return 0;
	if (push_image_layers(build, stage, stage->image, err) < 0)
		return -1;
	struct digest chain;
	if (!stage_chain(stage, &chain))
		return err_set(err, ERR_INPUT, "image %s has more than %d layers", stage->base_name, OCI_LAYERS_MAX);
	stage->key = chain;
	return 0;
}

static void begin_from_stage(struct build *build, struct stage_run *stage)
{
	const struct stage_run *base = stage->base_stage;
	stage->config = image_config_clone(build->arena, base->config);
	for (size_t i = 0; i < base->layer_count; i++)
		*ARENA_PUSH(build->arena, stage->layers, stage->layer_count) = base->layers[i];
	stage->key = base->key;
	stage->base_history = base->base_history;
	stage->base_layers = base->base_layers;
	stage->base_id = base->base_id;
	for (size_t i = 0; i < base->env.count; i++)
		*ARENA_PUSH(build->arena, stage->env.items, stage->env.count) = base->env.items[i];
	for (size_t i = 0; i < base->arg_count; i++)
		*ARENA_PUSH(build->arena, stage->args, stage->arg_count) = base->args[i];
}

/* `FROM files`, where --build-context says that files is a directory: as if it were FROM scratch and COPY . / of it. */
static void copy_tree_first(struct build *build, struct stage_run *stage)
{
	static const char *words[] = { ".", "/", NULL };
	struct instruction *slot = ARENA_PUSH(build->arena, stage->triggers, stage->trigger_count);
	*slot = (struct instruction){
		.kind = INSTRUCTION_COPY,
		.first_line = stage->stage->from->first_line,
		.last_line = stage->stage->from->last_line,
		.original = arena_printf(build->arena, "FROM %s", stage->base_name),
		.text = ". /",
		.words = words,
		.word_count = 2,
	};
	stage->tree_copy = slot;
	stage->step_total++;
}

/* ONBUILD of the base runs once, here, and is not inherited further. */
static int take_triggers(struct build *build, struct stage_run *stage, struct err *err)
{
	struct image_config *config = stage->config;
	for (size_t i = 0; i < config->on_build_count; i++) {
		struct instruction *trigger = dockerfile_parse_trigger(build->arena, config->on_build[i], err);
		if (!trigger)
			return err_wrap(err, "ONBUILD %s of %s", config->on_build[i], stage->base_name);
		stage->step_total += makes_layer(trigger);
		struct instruction *slot = ARENA_PUSH(build->arena, stage->triggers, stage->trigger_count);
		*slot = *trigger;
		slot->first_line = stage->stage->from->first_line;
		slot->last_line = stage->stage->from->last_line;
		plan_need_sources(build, stage, slot);
	}
	config->on_build = NULL;
	config->on_build_count = 0;
	return 0;
}

int stage_begin(struct build *build, struct stage_run *stage, struct err *err)
{
	switch (stage->base) {
	case BASE_SCRATCH:
		/* FROM --platform does not count here: BuildKit's emptyImage has the target's. */
		stage->config = image_config_scratch(build->arena, &build->platform);
		digest_bytes(&stage->key, "scratch", 7);
		break;
	case BASE_STAGE:
		begin_from_stage(build, stage);
		break;
	case BASE_IMAGE:
		if (begin_from_image(build, stage, err) < 0)
			return -1;
		break;
	}
	stage->base_key = stage->key;
	struct image_config *config = stage->config;
	if (!image_env_get(config, "PATH"))
		image_env_set(build->arena, config, "PATH", IMAGE_DEFAULT_PATH);
	if (stage->base != BASE_STAGE) {
		for (size_t i = 0; i < config->env_count; i++) {
			const char *equals = strchr(config->env[i], '=');
			const char *key = arena_strndup(build->arena, config->env[i],
							(size_t)(equals - config->env[i]));
			env_set(build->arena, &stage->env, key, equals + 1);
		}
	} else if (!env_get(&stage->env, "PATH")) {
		env_set(build->arena, &stage->env, "PATH", IMAGE_DEFAULT_PATH);
	}
	if (stage->tree)
		copy_tree_first(build, stage);
	return take_triggers(build, stage, err);
}

const struct instruction *stage_next(struct stage_run *stage, bool *is_trigger)
{
	*is_trigger = stage->position < stage->trigger_count;
	if (*is_trigger)
		return &stage->triggers[stage->position];
	size_t i = stage->position - stage->trigger_count;
	return i < stage->stage->count ? &stage->stage->instructions[i] : NULL;
}
