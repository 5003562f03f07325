/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The loop. Stages advance as far as they can without waiting; a step that the cache does not have becomes a job; a job
 * that ends gives a tree, which joins the stack at once, and whose diff is a job of its own beside the next step. When
 * something fails, the steps that run are killed but the diffs are waited for: what was built stays built.
 */

enum { OUTPUT_CHUNK = 64 << 10, TAIL_MAX = 8 << 10 };

/* ---- layers ---- */

static struct layer_node *node_from_store(struct build *build, const struct digest *diff_id, struct err *err)
{
	struct layer_node *node = node_new(build);
	node->tree_fd = store_layer_open(build->store, diff_id, err);
	if (node->tree_fd < 0)
		return NULL;
	node->is_known = true;
	node->diff_id = *diff_id;
	return node;
}

static void put_key(struct build *build, const struct layer_node *node, const struct digest *key)
{
	struct cache_record record = { .diff_id = node->diff_id, .created = node->created, .what = node->what };
	struct err err;
	if (store_cache_put(build->store, key, &record, &err) < 0)
		log_debug("cache record of %s: %s", node->what, err.msg);
}

/* Remembers what can be remembered of a node: by definition as soon as its own diff id is known, by content when those below are too. */
static void save_keys(struct build *build, struct layer_node *node)
{
	if (!node->has_key || !node->is_known)
		return;
	if (!node->key_saved) {
		put_key(build, node, &node->key);
		if (node->has_extra_key)
			put_key(build, node, &node->extra_key);
		node->key_saved = true;
	}
	if (node->chain_saved || node->depth >= OCI_LAYERS_MAX)
		return;
	struct digest ids[OCI_LAYERS_MAX], chain, key;
	const struct layer_node *below = node->below;
	for (size_t i = node->depth; i > 0; i--, below = below->below) {
		if (!below->is_known)
			return;
		ids[i - 1] = below->diff_id;
	}
	chain_id(ids, node->depth, &chain);
	key_of_chain(&chain, &node->step, &key);
	put_key(build, node, &key);
	node->chain_saved = true;
}

struct diff_task {
	struct build *build;
	struct layer_node *node;
	const int *lowers;
	size_t lower_count;
};

static int diff_job(int channel, void *arg, struct err *err)
{
	const struct diff_task *task = arg;
	struct layer_node *node = task->node;
	scope_fd int fd = openat(node->work.fd, "recipe", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "create the layer's recipe");
	scope_writer struct writer *recipe = writer_fd(fd, false, "recipe");
	struct layer_diff_options options = { .clamp = task->build->clamp };
	struct layer_stats stats;
	if (layer_diff(node->tree_fd, task->lowers, task->lower_count, &options, recipe, &stats, err) < 0 ||
	    recipe->finish(recipe, err) < 0)
		return -1;
	return proc_reach(channel, 1, &stats, sizeof(stats), err);
}

static int start_diff(struct build *build, struct step *step, struct layer_node *node, struct err *err)
{
	struct diff_task task = { .build = build, .node = node };
	node->tree_fd = openat(node->work.fd, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (node->tree_fd < 0)
		return err_errno(err, "open the changes of %s", step->name);
	task.lowers = stage_lowers(build, step->stage, &task.lower_count);
	return proc_fork(&node->diff, diff_job, &task, err);
}

static int finish_diff(struct build *build, struct layer_node *node, struct err *err)
{
	scope_strbuf struct strbuf payload = { 0 };
	struct layer_stats stats;
	if (proc_wait(&node->diff, &payload, err) < 0)
		return err_wrap(err, "layer of %s", node->what);
	if (payload.len != sizeof(stats))
		return err_set(err, ERR_CORRUPT, "layer of %s: its job ended without a result", node->what);
	memcpy(&stats, payload.ptr, sizeof(stats));
	struct layer_info info = {
		.diff_id = stats.diff_id,
		.size = stats.size,
		.content = stats.content,
		.entries = stats.entries,
		.has_recipe = true,
	};
	if (store_layer_publish(build->store, &node->work, "upper", "recipe", &info, err) < 0)
		return err_wrap(err, "layer of %s", node->what);
	/* Where the store had this layer, ours stays in the work directory, and steps that run now or come stand on it:
	   it goes at the end of the build. */
	if (faccessat(node->work.fd, "upper", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		store_work_end(build->store, &node->work);
	node->diff_id = stats.diff_id;
	node->is_known = true;
	for (size_t i = 0; i < build->node_count; i++)
		save_keys(build, build->nodes[i]);
	return 0;
}

/* ---- steps ---- */

static void fail(struct build *build, const struct instruction *place, const struct step *step, const struct err *err)
{
	if (build->has_failed)
		return;
	build->has_failed = true;
	build->failure = *err;
	if (place)
		build->result->place = (struct dockerfile_place){ place->first_line, place->last_line };
	if (step && step->number) {
		build->result->failed_step = step->name;
		build->result->failed_output = arena_strdup(build->arena, strbuf_str(&step->tail));
		build_emit(build, step, BUILD_STEP_FAILED, err->msg, strlen(err->msg));
	}
}

static void emit_line(struct build *build, struct step *step)
{
	build_emit(build, step, BUILD_STEP_OUTPUT, strbuf_str(&step->line), step->line.len);
	strbuf_add(&step->tail, strbuf_str(&step->line), step->line.len);
	strbuf_addch(&step->tail, '\n');
	if (step->tail.len > TAIL_MAX) {
		char *cut = memchr(step->tail.ptr + step->tail.len - TAIL_MAX / 2, '\n', TAIL_MAX / 2);
		size_t from = (size_t)(cut + 1 - step->tail.ptr);
		memmove(step->tail.ptr, step->tail.ptr + from, step->tail.len - from);
		strbuf_truncate(&step->tail, step->tail.len - from);
	}
	strbuf_reset(&step->line);
}

/* Reads what is there; closes at the end. */
static void read_output(struct build *build, struct step *step)
{
	static char chunk[OUTPUT_CHUNK];
	while (step->output_fd >= 0) {
		ssize_t got = read(step->output_fd, chunk, sizeof(chunk));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			close(take_fd(&step->output_fd));
			if (step->line.len)
				emit_line(build, step);
			return;
		}
		for (const char *p = chunk, *end = chunk + got; p < end;) {
			const char *newline = memchr(p, '\n', (size_t)(end - p));
			size_t len = (size_t)((newline ? newline : end) - p);
			strbuf_add(&step->line, p, len);
			if (newline || step->line.len > OUTPUT_CHUNK)
				emit_line(build, step);
			p += len + (newline != NULL);
		}
	}
}

static void step_release(struct build *build, struct step *step)
{
	proc_kill(&step->job);
	if (step->output_fd >= 0)
		close(take_fd(&step->output_fd));
	store_work_end(build->store, &step->work);
	strbuf_release(&step->line);
	strbuf_release(&step->tail);
}

/* The new layer joins its stage, whatever it came from. */
static void stage_takes(struct build *build, struct stage_run *stage, struct step *step, struct layer_node *node)
{
	node->what = arena_strdup(build->arena, step->instruction->original);
	node->place = step->place;
	node->step = step->step_digest;
	node->key = step->key;
	node->has_key = true;
	bool empty_layer = step->instruction->kind == INSTRUCTION_WORKDIR && strcmp(step->dir, "/") == 0;
	if (!empty_layer)
		stage_push_layer(build, stage, node);
	stage->key = step->key;
	stage_history(build, stage, step->history, empty_layer, node->created);
	stage->position++;
	save_keys(build, node);
}

static int take_result(struct build *build, struct step *step, const struct strbuf *payload, struct err *err)
{
	struct stage_run *stage = step->stage;
	struct copy_report report = { 0 };
	if (payload->len == sizeof(report))
		memcpy(&report, payload->ptr, sizeof(report));
	struct layer_node *node;
	if (report.is_hit) {
		node = node_from_store(build, &report.diff_id, err);
		if (!node)
			return -1;
	} else {
		node = node_new(build);
		node->work = step->work;
		step->work = (struct store_work)STORE_WORK_EMPTY;
		if (start_diff(build, step, node, err) < 0)
			return -1;
	}
	node->created = build->now;
	node->has_extra_key = report.has_key;
	node->extra_key = report.key;
	stage_takes(build, stage, step, node);
	build_emit(build, step, report.is_hit ? BUILD_STEP_CACHED : BUILD_STEP_DONE, NULL, 0);
	return 0;
}

static void finish_step(struct build *build, struct stage_run *stage)
{
	struct step *step = stage->step;
	scope_strbuf struct strbuf payload = { 0 };
	struct err err;
	int ended = proc_wait(&step->job, &payload, &err);
	read_output(build, step);
	stage->step = NULL;
	stage->status = STAGE_IDLE;
	build->running--;
	if (ended < 0 || take_result(build, step, &payload, &err) < 0)
		fail(build, step->place, step, &err);
	step_release(build, step);
}

static int open_output(struct step *step, int *read_end, struct err *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe for the step's output");
	*read_end = ends[0];
	step->output_fd = ends[1];
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
		return err_errno(err, "make a pipe non-blocking");
	return 0;
}

static bool wants_network(const struct step *step)
{
	const char *network = instruction_flag(step->instruction, "network");
	return step->instruction->kind == INSTRUCTION_RUN && step->build->spec->network == NETWORK_PRIVATE &&
	       (!network || strcmp(network, "default") == 0);
}

static int start_job(struct build *build, struct step *step, struct err *err)
{
	struct stage_run *stage = step->stage;
	/* Probing mounts things; a build that is all cached must not pay for it. */
	if (build->view == VIEW_AUTO &&
	    view_probe(build->spec->view, store_fd(build->store), &build->view, NULL, err) < 0)
		return -1;
	if (build->view == VIEW_COPY && stage->session.fd < 0 && store_work_new(build->store, &stage->session, err) < 0)
		return -1;
	if (store_work_new(build->store, &step->work, err) < 0)
		return -1;
	if (wants_network(step) && build->network.netns_fd < 0 && network_start(&build->network, err) < 0)
		return -1;
	int read_end = -1;
	if (step->instruction->kind == INSTRUCTION_RUN && (cage_prepare(NULL, err) < 0 || open_output(step, &read_end, err) < 0))
		return -1;
	int started = proc_fork(&step->job, step->run, step, err);
	if (step->output_fd >= 0)
		close(step->output_fd);
	step->output_fd = read_end;
	if (started < 0)
		return -1;
	stage->step = step;
	stage->status = STAGE_BUSY;
	build->running++;
	return 0;
}

/* ---- the cache ---- */

static bool look_up(struct build *build, struct step *step, struct cache_record *record)
{
	struct err err;
	struct digest chain;
	if (build->spec->no_cache && step->instruction->kind != INSTRUCTION_WORKDIR)
		return false;
	int hit = store_cache_get(build->store, build->arena, &step->key, record, &err);
	if (hit == 0 && stage_chain(step->stage, &chain)) {
		key_of_chain(&chain, &step->step_digest, &step->chain_key);
		hit = store_cache_get(build->store, build->arena, &step->chain_key, record, &err);
	}
	if (hit < 0)
		log_warn("step cache: %s", err.msg);
	return hit == 1;
}

static int take_hit(struct build *build, struct step *step, const struct cache_record *record, struct err *err)
{
	struct layer_node *node = node_from_store(build, &record->diff_id, err);
	if (!node)
		return -1;
	node->created = record->created;
	build_emit(build, step, BUILD_STEP_CACHED, NULL, 0);
	explain_step(build, step, true);
	stage_takes(build, step->stage, step, node);
	return 0;
}

/* ---- advancing ---- */

static bool makes_layer(const struct instruction *in)
{
	return in->kind == INSTRUCTION_RUN || in->kind == INSTRUCTION_COPY || in->kind == INSTRUCTION_ADD ||
	       in->kind == INSTRUCTION_WORKDIR;
}

const char *step_name(struct build *build, struct stage_run *stage, const char *text)
{
	if (stage->is_hidden_name)
		return arena_printf(build->arena, "[%u/%u] %s", stage->step_number, stage->step_total, text);
	return arena_printf(build->arena, "[%s %u/%u] %s", stage->name, stage->step_number, stage->step_total, text);
}

/* 0: goes on (cached, or a job runs); 1: must wait; -1. */
static int begin_step(struct build *build, struct stage_run *stage, const struct instruction *in, bool is_trigger,
		      struct err *err)
{
	if (build->running >= build->limit)
		return 1;
	struct step *step = arena_new(build->arena, struct step);
	step->build = build;
	step->stage = stage;
	step->instruction = in;
	step->place = is_trigger ? stage->stage->from : in;
	step->output_fd = -1;
	step->work = (struct store_work)STORE_WORK_EMPTY;
	step->job = (struct proc)PROC_EMPTY;
	step->started_ms = clock_ms();
	int ready = in->kind == INSTRUCTION_RUN	      ? step_run_prepare(build, step, err)
		    : in->kind == INSTRUCTION_WORKDIR ? step_workdir_prepare(build, step, err)
						      : step_copy_prepare(build, step, err);
	if (ready != 0)
		return ready;
	if (build->epoch != BUILD_NO_EPOCH)
		inputs_addf(build->arena, &step->inputs, "SOURCE_DATE_EPOCH", "%lld", (long long)build->epoch);
	inputs_digest(&step->inputs, &step->step_digest);
	key_of_step(&stage->key, &step->step_digest, &step->key);

	stage->step_number++;
	step->number = ++build->next_number;
	step->name = step_name(build, stage, is_trigger ? arena_printf(build->arena, "ONBUILD %s", in->original)
							: in->original);
	build_emit(build, step, BUILD_STEP_STARTED, NULL, 0);
	struct cache_record record;
	if (look_up(build, step, &record) && take_hit(build, step, &record, NULL) == 0)
		return 0;
	explain_step(build, step, false);
	if (start_job(build, step, err) < 0) {
		fail(build, step->place, step, err);
		step_release(build, step);
		return -1;
	}
	return 0;
}

static int begin_stage(struct build *build, struct stage_run *stage, struct err *err)
{
	struct instruction from = *stage->stage->from;
	struct step step = { .build = build, .stage = stage, .instruction = &from, .started_ms = clock_ms() };
	step.place = stage->stage->from;
	stage->step_number = 1;
	step.number = ++build->next_number;
	step.name = step_name(build, stage, arena_printf(build->arena, "FROM %s", stage->base_name));
	build_emit(build, &step, BUILD_STEP_STARTED, NULL, 0);
	if (stage_begin(build, stage, err) < 0) {
		fail(build, step.place, &step, err);
		return -1;
	}
	stage->status = STAGE_IDLE;
	build_emit(build, &step, stage->base == BASE_IMAGE ? BUILD_STEP_CACHED : BUILD_STEP_DONE, NULL, 0);
	return 0;
}

/* Goes on with a stage as far as it can. */
static int advance_stage(struct build *build, struct stage_run *stage, struct err *err)
{
	if (stage->status == STAGE_WAITING) {
		if (stage->base_stage && stage->base_stage->status != STAGE_DONE)
			return 0;
		if (begin_stage(build, stage, err) < 0)
			return -1;
	}
	while (stage->status == STAGE_IDLE && !build_interrupted()) {
		bool is_trigger;
		const struct instruction *in = stage_next(stage, &is_trigger);
		if (!in) {
			stage->status = STAGE_DONE;
			return 0;
		}
		const struct instruction *place = is_trigger ? stage->stage->from : in;
		int result = 0;
		if (makes_layer(in)) {
			result = begin_step(build, stage, in, is_trigger, err);
		} else {
			result = metadata_apply(build, stage, in, err);
			stage->position++;
		}
		if (result < 0)
			fail(build, place, NULL, err);
		if (result != 0)
			return result < 0 ? -1 : 0;
	}
	return 0;
}

/* A stage that became done may let an earlier one in the list go on, so until nothing changes. */
static int advance_all(struct build *build, struct err *err)
{
	bool changed = true;
	while (changed) {
		changed = false;
		for (size_t i = 0; i < build->stage_count; i++) {
			struct stage_run *stage = &build->stages[i];
			if (!stage->is_needed || stage->status == STAGE_DONE || stage->status == STAGE_BUSY)
				continue;
			if (advance_stage(build, stage, err) < 0)
				return -1;
			changed |= stage->status == STAGE_DONE;
		}
	}
	return 0;
}

/* ---- waiting ---- */

static size_t count_diffs(const struct build *build)
{
	size_t count = 0;
	for (size_t i = 0; i < build->node_count; i++)
		count += build->nodes[i]->diff.pidfd >= 0;
	return count;
}

static void handle_diffs(struct build *build, struct pollfd *polled, struct layer_node **owners, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct err err;
		if (polled[i].revents && finish_diff(build, owners[i], &err) < 0)
			fail(build, owners[i]->place, NULL, &err);
	}
}

/* Waits for something to end or to say something, and takes it in. */
static void wait_events(struct build *build)
{
	struct pollfd polled[1 + 3 * 64];
	struct layer_node *nodes[64];
	struct stage_run *stages[64];
	size_t node_count = 0, stage_count = 0, n = 0;
	for (size_t i = 0; i < build->node_count && node_count < ARRAY_LEN(nodes); i++) {
		if (build->nodes[i]->diff.pidfd >= 0) {
			polled[n++] = (struct pollfd){ .fd = build->nodes[i]->diff.pidfd, .events = POLLIN };
			nodes[node_count++] = build->nodes[i];
		}
	}
	for (size_t i = 0; i < build->stage_count && stage_count < ARRAY_LEN(stages); i++) {
		const struct step *step = build->stages[i].step;
		if (step) {
			polled[n++] = (struct pollfd){ .fd = step->output_fd, .events = POLLIN };
			polled[n++] = (struct pollfd){ .fd = step->job.pidfd, .events = POLLIN };
			stages[stage_count++] = &build->stages[i];
		}
	}
	polled[n++] = (struct pollfd){ .fd = build_interrupted() ? -1 : build_interrupt_fd(), .events = POLLIN };
	if (poll(polled, n, -1) < 0)
		return;
	for (size_t i = 0; i < stage_count; i++) {
		const struct pollfd *output = &polled[node_count + 2 * i], *ended = output + 1;
		if (output->revents)
			read_output(build, stages[i]->step);
		if (ended->revents)
			finish_step(build, stages[i]);
	}
	handle_diffs(build, polled, nodes, node_count);
}

static void kill_steps(struct build *build)
{
	for (size_t i = 0; i < build->stage_count; i++) {
		struct stage_run *stage = &build->stages[i];
		if (!stage->step)
			continue;
		step_release(build, stage->step);
		stage->step = NULL;
		stage->status = STAGE_IDLE;
		build->running--;
	}
}

static bool is_stuck(const struct build *build)
{
	return build->running == 0 && count_diffs(build) == 0;
}

int schedule_run(struct build *build, struct err *err)
{
	struct err ignored;
	while (!build->has_failed && !build_interrupted()) {
		if (advance_all(build, &ignored) < 0)
			break;
		if (build->target->status == STAGE_DONE && count_diffs(build) == 0)
			return 0;
		if (is_stuck(build))
			return err_set(err, ERR_INPUT, "circular dependency detected between the stages of %s",
				       build->file->name);
		wait_events(build);
	}
	kill_steps(build);
	while (count_diffs(build) > 0)
		wait_events(build);
	if (build_interrupted())
		return err_status(err, ERR_INTERRUPTED, build_interrupted(), "interrupted");
	*err = build->failure;
	return -1;
}
