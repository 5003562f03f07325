/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <fcntl.h>
#include <sys/stat.h>

/*
 * --squash, as docker's classic builder did it: the layers above the base image become one, the history of the build
 * stays as entries without a layer, and one entry more, which names both images, has the layer.
 */

static int merge_job(int channel, void *arg, struct err *err)
{
	const struct stage_run *target = ((struct build *)arg)->target;
	const struct layer_node *node = ((struct build *)arg)->nodes[((struct build *)arg)->node_count - 1];
	size_t count;
	const int *lowers = stage_lowers(arg, target, &count);
	size_t added = count - target->base_layers;
	(void)channel;
	scope_fd int upper = file_make_dir(node->work.fd, "upper", 0755, err);
	if (upper < 0)
		return -1;
	if (fchmod(upper, 0755) < 0)
		return err_errno(err, "set the mode of the squashed layer");
	return layer_merge(lowers, added, lowers + added, target->base_layers, upper, err);
}

static struct layer_node *make_layer(struct build *build, struct err *err)
{
	struct stage_run base = *build->target;
	scope_proc struct proc job = PROC_EMPTY;
	struct layer_node *node = node_new(build);
	base.layer_count = base.base_layers;
	node->what = "--squash";
	node->created = build->now;
	if (store_work_new(build->store, &node->work, err) < 0 || proc_fork(&job, merge_job, build, err) < 0 ||
	    proc_wait(&job, NULL, err) < 0 || node_start_diff(build, &base, node, err) < 0 ||
	    node_finish_diff(build, node, err) < 0)
		return err_wrap(err, "squash"), NULL;
	return node;
}

/* What the squashed layer depends on: the stack, and where in it the base ends. False: there are too many layers to say. */
static bool squash_key(const struct stage_run *target, struct digest *key)
{
	struct digest chain, base;
	struct stage_run below = *target;
	below.layer_count = below.base_layers;
	if (!stage_chain(target, &chain) || !stage_chain(&below, &base))
		return false;
	scope_hasher struct hasher *hasher = hasher_new();
	hasher_text(hasher, "squash");
	hasher_field(hasher, chain.bytes, sizeof(chain.bytes));
	hasher_field(hasher, base.bytes, sizeof(base.bytes));
	hasher_final(hasher, key);
	return true;
}

static struct layer_node *find_or_make_layer(struct build *build, struct err *err)
{
	struct stage_run *target = build->target;
	struct cache_record record;
	struct digest key;
	struct err ignored;
	bool has_key = squash_key(target, &key);
	if (has_key && store_cache_get(build->store, build->arena, &key, &record, &ignored) == 1) {
		struct layer_node *node = node_from_store(build, &record.diff_id, NULL);
		if (node) {
			node->created = record.created;
			return node;
		}
	}
	struct layer_node *node = make_layer(build, err);
	if (!node || !has_key)
		return node;
	record = (struct cache_record){ .diff_id = node->diff_id, .created = node->created, .what = node->what };
	if (store_cache_put(build->store, &key, &record, &ignored) < 0)
		log_debug("cache record of the squashed layer: %s", ignored.msg);
	return node;
}

/* The words of moby's daemon/images/image_squash.go. */
static void rewrite_history(struct build *build, const struct layer_node *node, const struct digest *unsquashed)
{
	struct stage_run *target = build->target;
	struct image_config *config = target->config;
	struct timespec at = { .tv_sec = build->epoch != BUILD_NO_EPOCH ? build->epoch : node->created };
	struct history entry = { .created = time_rfc3339(build->arena, at) };
	for (size_t i = target->base_history; i < config->history_count; i++)
		config->history[i].empty_layer = true;
	if (digest_is_zero(&target->base_id))
		entry.comment = arena_printf(build->arena, "create new from %s", digest_str(build->arena, unsquashed));
	else
		entry.comment = arena_printf(build->arena, "merge %s to %s", digest_str(build->arena, unsquashed),
					     digest_str(build->arena, &target->base_id));
	image_history_add(build->arena, config, &entry);
	config->created = entry.created;
}

int squash_target(struct build *build, struct err *err)
{
	struct stage_run *target = build->target;
	scope_strbuf struct strbuf text = { 0 };
	struct digest unsquashed;
	if (target->layer_count <= target->base_layers)
		return 0;
	image_config_write(build->arena, &text, target->config);
	digest_bytes(&unsquashed, strbuf_str(&text), text.len);
	struct layer_node *node = target->layer_count == target->base_layers + 1 ? target->layers[target->base_layers]
										 : find_or_make_layer(build, err);
	if (!node)
		return -1;
	target->layer_count = target->base_layers;
	stage_push_layer(build, target, node);
	rewrite_history(build, node, &unsquashed);
	return 0;
}
