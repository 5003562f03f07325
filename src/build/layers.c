/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * The layers of a build: found in the store, or made by a step. A made one joins its stage's stack at once; its diff
 * runs beside the next step, and when its diff id is known it is published and remembered in the step cache.
 */

struct layer_node *node_new(struct build *build)
{
	struct layer_node *node = arena_new(build->arena, struct layer_node);
	node->tree_fd = -1;
	node->work = (struct store_work)STORE_WORK_EMPTY;
	node->diff = (struct proc)PROC_EMPTY;
	*ARENA_PUSH(build->arena, build->nodes, build->node_count) = node;
	return node;
}

struct layer_node *node_from_store(struct build *build, const struct digest *diff_id, struct err *err)
{
	int tree_fd = store_layer_open(build->store, diff_id, err);
	if (tree_fd < 0)
		return NULL;
	struct layer_node *node = node_new(build);
	node->tree_fd = tree_fd;
	node->is_known = true;
	node->diff_id = *diff_id;
	return node;
}

/* ---- the step cache ---- */

static int get_record(struct build *build, const struct digest *key, struct cache_record *record)
{
	struct err err;
	int hit = store_cache_get(build->store, build->arena, key, record, &err);
	if (hit < 0)
		log_warn("step cache: %s", err.msg);
	return hit == 1;
}

static bool add_chain(const struct stage_run *stage, struct digest *out)
{
	struct digest inputs = *out, chain;
	if (!stage)
		return true;
	if (!stage_chain(stage, &chain))
		return false;
	key_of_chain(&chain, &inputs, out);
	return true;
}

bool step_inputs_digest(const struct step *step, struct digest *out)
{
	inputs_digest(&step->inputs, out);
	if (!add_chain(step->from_stage, out))
		return false;
	for (size_t i = 0; i < step->mount_count; i++)
		if (!add_chain(step->mounts[i].origin.stage, out))
			return false;
	return true;
}

/* How the parent came to be would not do: the same text may have run again elsewhere, and a layer holds what it changed of
   the files that it was made on. */
static bool look_up_on_layers(struct build *build, const struct stage_run *stage, const struct digest *step,
			      struct cache_record *record)
{
	struct digest chain, key;
	if (!stage_chain(stage, &chain))
		return false;
	key_of_chain(&chain, step, &key);
	return get_record(build, &key, record);
}

bool step_stands_alone(const struct step *step)
{
	return step->is_link && !step->is_link_owned;
}

bool cache_look_up(struct build *build, const struct step *step, const struct digest *own, struct cache_record *record)
{
	struct digest nothing, key;
	if (!step_stands_alone(step))
		return look_up_on_layers(build, step->stage, own, record);
	key_of_nothing(&nothing);
	key_of_step(&nothing, own, &key);
	return get_record(build, &key, record);
}

static void put_record(struct build *build, const struct layer_node *node, const struct digest *key)
{
	struct cache_record record = { .diff_id = node->diff_id, .created = node->created, .what = node->what };
	struct err err;
	if (store_cache_put(build->store, key, &record, &err) < 0)
		log_debug("cache record of %s: %s", node->what, err.msg);
}

/* The chain id of what lies below a node; false while a diff id of it is not known. */
static bool chain_below(const struct layer_node *node, struct digest *chain)
{
	struct digest ids[OCI_LAYERS_MAX];
	const struct layer_node *below = node->below;
	if (node->depth > OCI_LAYERS_MAX)
		return false;
	for (size_t i = node->depth; i > 0; i--, below = below->below) {
		if (!below->is_known)
			return false;
		ids[i - 1] = below->diff_id;
	}
	chain_id(ids, node->depth, chain);
	return true;
}

void node_save_keys(struct build *build, struct layer_node *node)
{
	struct digest parent, key;
	if (!node->is_known || node->is_saved)
		return;
	if (node->source) {
		if (!step_inputs_digest(node->source, &node->steps[node->step_count]))
			return;
		node->step_count++;
		node->source = NULL;
	}
	if (node->step_count == 0)
		return;
	if (node->stands_alone)
		key_of_nothing(&parent);
	else if (!chain_below(node, &parent))
		return;
	for (size_t i = 0; i < node->step_count; i++) {
		if (node->stands_alone)
			key_of_step(&parent, &node->steps[i], &key);
		else
			key_of_chain(&parent, &node->steps[i], &key);
		put_record(build, node, &key);
	}
	node->is_saved = true;
}

/* ---- diffs ---- */

struct diff_task {
	const struct layer_node *node;
	const int *lowers;
	size_t lower_count;
	int64_t clamp;
};

static int diff_job(int channel, void *arg, struct err *err)
{
	const struct diff_task *task = arg;
	scope_fd int fd = openat(task->node->work.fd, "recipe", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "create the layer's recipe");
	scope_writer struct writer *recipe = writer_fd(fd, false, "recipe");
	struct layer_diff_options options = { .clamp = task->clamp };
	struct layer_stats stats;
	if (layer_diff(task->node->tree_fd, task->lowers, task->lower_count, &options, recipe, &stats, err) < 0 ||
	    recipe->finish(recipe, err) < 0)
		return -1;
	return proc_reach(channel, 1, &stats, sizeof(stats), err);
}

int node_start_diff(struct build *build, const struct stage_run *stage, struct layer_node *node, struct err *err)
{
	struct diff_task task = { .node = node, .clamp = build->clamp };
	node->tree_fd = openat(node->work.fd, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (node->tree_fd < 0)
		return err_errno(err, "open the changes of %s", node->what);
	task.lowers = stage_lowers(build, stage, &task.lower_count);
	if (node->is_link)
		task.lower_count = 0;
	return proc_fork(&node->diff, diff_job, &task, err);
}

static int publish(struct build *build, struct layer_node *node, const struct layer_stats *stats, struct err *err)
{
	struct layer_info info = {
		.diff_id = stats->diff_id,
		.size = stats->size,
		.content = stats->content,
		.entries = stats->entries,
		.has_recipe = true,
	};
	if (store_layer_publish(build->store, &node->work, "upper", "recipe", &info, err) < 0)
		return -1;
	/* Where the store had this layer, ours stays in the work directory, and steps that run now or come stand on it:
	   it goes at the end of the build. */
	if (faccessat(node->work.fd, "upper", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		store_work_end(build->store, &node->work);
	node->diff_id = stats->diff_id;
	node->is_known = true;
	return 0;
}

int node_finish_diff(struct build *build, struct layer_node *node, struct err *err)
{
	scope_strbuf struct strbuf payload = { 0 };
	struct layer_stats stats;
	if (proc_wait(&node->diff, &payload, err) < 0)
		return err_wrap(err, "layer of %s", node->what);
	if (payload.len != sizeof(stats))
		return err_set(err, ERR_CORRUPT, "layer of %s: its job ended without a result", node->what);
	memcpy(&stats, payload.ptr, sizeof(stats));
	if (publish(build, node, &stats, err) < 0)
		return err_wrap(err, "layer of %s", node->what);
	/* Those above may have waited for this one. */
	for (size_t i = 0; i < build->node_count; i++)
		node_save_keys(build, build->nodes[i]);
	return 0;
}

size_t count_diffs(const struct build *build)
{
	size_t count = 0;
	for (size_t i = 0; i < build->node_count; i++)
		count += build->nodes[i]->diff.pidfd >= 0;
	return count;
}
