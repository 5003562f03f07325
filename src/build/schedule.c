/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The loop. Stages advance as far as they can without waiting; a step that the cache does not have becomes a job; a job
 * that ends gives a tree, which joins the stack at once, and whose diff is a job of its own beside the next step. When
 * something fails, the steps that run are killed but the diffs are waited for: what was built stays built.
 */

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
	node->what = remote_redact(build->arena, step->instruction->original);
	node->place = step->place;
	stage_push_layer(build, stage, node);
	stage->key = step->key;
	stage_history(build, stage, step->history, false, node->created);
	stage->position++;
	node_save_keys(build, node);
}

/* What a step made of files that changed while it ran is good for this build and for no other. */
static void forget_key(struct build *build, struct step *step)
{
	while (getrandom(step->key.bytes, sizeof(step->key.bytes), 0) < 0 && errno == EINTR)
		;
	build_warn(build, step->place->first_line,
		   "the build context changed while this step used it: the next build runs it again");
}

static struct layer_node *node_of_result(struct build *build, struct step *step, const struct copy_report *report,
					 struct err *err)
{
	struct layer_node *node = report->is_hit ? node_from_store(build, &report->diff_id, err) : node_new(build);
	if (!node)
		return NULL;
	node->created = report->is_hit ? report->created : build->now;
	node->is_link = step->is_link;
	node->stands_alone = step_stands_alone(step);
	if (report->is_unsure)
		forget_key(build, step);
	else if (step->is_digest_whole)
		node->steps[node->step_count++] = step->step_digest;
	else
		node->source = step;
	if (report->is_hit)
		return node;
	if (report->has_content && !report->is_unsure)
		node->steps[node->step_count++] = report->content_step;
	node->what = remote_redact(build->arena, step->instruction->original);
	node->work = step->work;
	step->work = (struct store_work)STORE_WORK_EMPTY;
	return node_start_diff(build, step->stage, node, err) < 0 ? NULL : node;
}

static int take_result(struct build *build, struct step *step, const struct strbuf *payload, struct err *err)
{
	struct copy_report report = { 0 };
	if (payload->len == sizeof(report))
		memcpy(&report, payload->ptr, sizeof(report));
	struct layer_node *node = node_of_result(build, step, &report, err);
	if (!node)
		return -1;
	if (step_copies_from(step))
		explain_step(build, step, report.is_hit);
	stage_takes(build, step->stage, step, node);
	build_emit(build, step, report.is_hit ? BUILD_STEP_CACHED : BUILD_STEP_DONE, NULL, 0);
	return 0;
}

static void finish_step(struct build *build, struct stage_run *stage)
{
	struct step *step = stage->step;
	scope_strbuf struct strbuf payload = { 0 };
	struct err err;
	int ended = proc_wait(&step->job, &payload, &err);
	while (output_read(build, step))
		;
	stage->step = NULL;
	stage->status = STAGE_IDLE;
	build->running--;
	if (ended < 0 || take_result(build, step, &payload, &err) < 0)
		fail(build, step->place, step, &err);
	step_release(build, step);
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
	bool is_run = step->instruction->kind == INSTRUCTION_RUN;
	if (is_run && step_network(step) == NETWORK_PRIVATE && build->network.netns_fd < 0 &&
	    network_start(&build->network, err) < 0)
		return -1;
	int read_end = -1;
	if (is_run && (cage_prepare(NULL, err) < 0 || output_open(step, &read_end, err) < 0))
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

/* ---- advancing ---- */

bool makes_layer(const struct instruction *in)
{
	return in->kind == INSTRUCTION_RUN || in->kind == INSTRUCTION_COPY || in->kind == INSTRUCTION_ADD ||
	       in->kind == INSTRUCTION_WORKDIR;
}

/* True if the cache has the step: then it is done. */
static bool take_hit(struct build *build, struct step *step)
{
	struct cache_record record;
	if (step->stage->is_uncached && step->instruction->kind != INSTRUCTION_WORKDIR)
		return false;
	/* Its job will look at what there is to copy. */
	if (!step->is_digest_whole)
		return false;
	bool is_hit = cache_look_up(build, step, &step->step_digest, &record);
	struct layer_node *node = is_hit ? node_from_store(build, &record.diff_id, NULL) : NULL;
	if (!node)
		return false;
	node->created = record.created;
	node->stands_alone = step_stands_alone(step);
	build_emit(build, step, BUILD_STEP_CACHED, NULL, 0);
	explain_step(build, step, true);
	stage_takes(build, step->stage, step, node);
	return true;
}

/* "[build 2/5]": the number is as wide as the last one, as BuildKit has it. */
static const char *step_name(struct build *build, const struct stage_run *stage, const char *text)
{
	int width = 1;
	for (unsigned n = stage->step_total; n >= 10; n /= 10)
		width++;
	return arena_printf(build->arena, "[%s%s%*u/%u] %s", stage->is_hidden_name ? "" : stage->name,
			    stage->is_hidden_name ? "" : " ", width, stage->step_number, stage->step_total, text);
}

/* What the user sees of an instruction: its line with the keyword in capitals, and of a here-document that is the whole
   command its first line. */
static const char *step_label(struct build *build, const struct instruction *in, bool is_trigger)
{
	const char *first = "";
	size_t len = 0;
	bool has_more = false;
	if (in->kind == INSTRUCTION_RUN && in->is_heredoc_command) {
		first = in->heredocs[0].body + strspn(in->heredocs[0].body, " \t\r\n");
		len = strcspn(first, "\r\n");
		has_more = first[len + strspn(first + len, " \t\r\n")] != '\0';
	}
	const char *rest = in->original + strcspn(in->original, " \t\v\f\r");
	const char *label = arena_printf(build->arena, "%s%s%s%s%.*s%s%s", is_trigger ? "ONBUILD " : "",
					 instruction_name(in->kind), rest, len ? " (" : "", (int)len, first,
					 has_more ? "..." : "", len ? ")" : "");
	return remote_redact(build->arena, label);
}

static struct step *step_new(struct build *build, struct stage_run *stage, const struct instruction *in,
			     bool is_trigger)
{
	struct step *step = arena_new(build->arena, struct step);
	step->build = build;
	step->stage = stage;
	step->instruction = in;
	step->place = is_trigger ? stage->stage->from : in;
	step->output_fd = -1;
	step->work = (struct store_work)STORE_WORK_EMPTY;
	step->job = (struct proc)PROC_EMPTY;
	step->started_ms = clock_ms();
	return step;
}

static enum step_ready prepare_step(struct build *build, struct step *step, struct err *err)
{
	switch (step->instruction->kind) {
	case INSTRUCTION_RUN:
		return step_run_prepare(build, step, err);
	case INSTRUCTION_WORKDIR:
		return step_workdir_prepare(build, step, err);
	default:
		return step_copy_prepare(build, step, err);
	}
}

static int begin_step(struct build *build, struct step *step, const char *label, struct err *err)
{
	struct stage_run *stage = step->stage;
	if (build->epoch != BUILD_NO_EPOCH)
		inputs_addf(build->arena, &step->inputs, "SOURCE_DATE_EPOCH", "%lld", (long long)build->epoch);
	struct digest definition;
	inputs_digest(&step->inputs, &definition);
	key_of_step(&stage->key, &definition, &step->key);
	step->is_digest_whole = step_inputs_digest(step, &step->step_digest);

	stage->step_number++;
	step->number = ++build->next_number;
	step->name = step_name(build, stage, label);
	build_emit(build, step, BUILD_STEP_STARTED, NULL, 0);
	if (take_hit(build, step))
		return 0;
	/* A COPY --from may still turn out to be a hit, by what it takes. */
	if (!step_copies_from(step))
		explain_step(build, step, false);
	if (start_job(build, step, err) == 0)
		return 0;
	fail(build, step->place, step, err);
	step_release(build, step);
	return -1;
}

/* 0: goes on (cached, or a job runs); 1: must wait; -1. */
static int next_step(struct build *build, struct stage_run *stage, const struct instruction *in, bool is_trigger,
		     struct err *err)
{
	if (build->running >= build->limit)
		return 1;
	struct step *step = step_new(build, stage, in, is_trigger);
	switch (prepare_step(build, step, err)) {
	case STEP_READY:
		return begin_step(build, step, step_label(build, in, is_trigger && in != stage->tree_copy), err);
	case STEP_WAITS:
		return 1;
	case STEP_HAS_NO_LAYER:
		stage_history(build, stage, step->history, true, build->now);
		stage->position++;
		return 0;
	case STEP_FAILED:
		break;
	}
	return -1;
}

/* Only an image as base is a step of its own, as BuildKit has it. */
static int begin_stage(struct build *build, struct stage_run *stage, struct err *err)
{
	struct step *step = step_new(build, stage, stage->stage->from, false);
	if (stage->base == BASE_IMAGE) {
		stage->step_number = 1;
		step->number = ++build->next_number;
		step->name = step_name(build, stage, arena_printf(build->arena, "FROM %s", stage->base_name));
		build_emit(build, step, BUILD_STEP_STARTED, NULL, 0);
	}
	if (stage_begin(build, stage, err) < 0) {
		fail(build, step->place, step, err);
		return -1;
	}
	stage->status = STAGE_IDLE;
	if (stage->base == BASE_IMAGE)
		build_emit(build, step, BUILD_STEP_CACHED, NULL, 0);
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
	if (stage->waits_for && stage->waits_for->status != STAGE_DONE)
		return 0;
	stage->waits_for = NULL;
	if (stage->waits_fetch && stage->waits_fetch->status != FETCH_DONE)
		return 0;
	stage->waits_fetch = NULL;
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
			result = next_step(build, stage, in, is_trigger, err);
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

static void handle_diffs(struct build *build, struct pollfd *polled, struct layer_node **owners, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct err err;
		if (polled[i].revents && node_finish_diff(build, owners[i], &err) < 0)
			fail(build, owners[i]->place, NULL, &err);
	}
}

static void finish_fetch(struct build *build, struct fetch *fetch)
{
	struct err err;
	if (fetch_finish(build, fetch, &err) < 0)
		fail(build, fetch->shown->place, fetch->shown, &err);
}

/* Waits for something to end or to say something, and takes it in. */
static void wait_events(struct build *build)
{
	struct pollfd polled[1 + 4 * 64];
	struct layer_node *nodes[64];
	struct stage_run *stages[64];
	struct fetch *fetches[64];
	size_t node_count = 0, stage_count = 0, fetch_count = 0, n = 0;
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
	for (size_t i = 0; i < build->fetch_count && fetch_count < ARRAY_LEN(fetches); i++) {
		if (build->fetches[i]->status == FETCH_RUNNING) {
			polled[n++] = (struct pollfd){ .fd = build->fetches[i]->job.pidfd, .events = POLLIN };
			fetches[fetch_count++] = build->fetches[i];
		}
	}
	polled[n++] = (struct pollfd){ .fd = build_interrupted() ? -1 : build_interrupt_fd(), .events = POLLIN };
	if (poll(polled, n, -1) < 0)
		return;
	for (size_t i = 0; i < stage_count; i++) {
		const struct pollfd *output = &polled[node_count + 2 * i], *ended = output + 1;
		if (output->revents)
			output_read(build, stages[i]->step);
		if (ended->revents)
			finish_step(build, stages[i]);
	}
	for (size_t i = 0; i < fetch_count; i++)
		if (polled[node_count + 2 * stage_count + i].revents)
			finish_fetch(build, fetches[i]);
	handle_diffs(build, polled, nodes, node_count);
}

static void kill_steps(struct build *build)
{
	for (size_t i = 0; i < build->fetch_count; i++) {
		if (build->fetches[i]->status != FETCH_RUNNING)
			continue;
		build_emit(build, build->fetches[i]->shown, BUILD_STEP_CANCELED, NULL, 0);
		proc_kill(&build->fetches[i]->job);
		build->fetches[i]->status = FETCH_NEW;
	}
	for (size_t i = 0; i < build->stage_count; i++) {
		struct stage_run *stage = &build->stages[i];
		if (!stage->step)
			continue;
		build_emit(build, stage->step, BUILD_STEP_CANCELED, NULL, 0);
		step_release(build, stage->step);
		stage->step = NULL;
		stage->status = STAGE_IDLE;
		build->running--;
	}
}

static bool is_stuck(const struct build *build)
{
	return build->running == 0 && count_diffs(build) == 0 && count_fetches(build) == 0;
}

static bool is_done(const struct build *build)
{
	for (size_t i = 0; build->spec->all_stages && i < build->stage_count; i++)
		if (build->stages[i].status != STAGE_DONE)
			return false;
	return build->target->status == STAGE_DONE;
}

int schedule_run(struct build *build, struct err *err)
{
	struct err ignored;
	while (!build->has_failed && !build_interrupted()) {
		if (advance_all(build, &ignored) < 0)
			break;
		if (is_done(build) && count_diffs(build) == 0)
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
