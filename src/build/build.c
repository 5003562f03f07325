/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* From a specification to an image: set-up, the loop, the configuration, the exports. */

static volatile sig_atomic_t interrupted;
static int interrupt_pipe[2] = { -1, -1 };

void build_interrupt(int signal)
{
	interrupted = signal;
	if (interrupt_pipe[1] >= 0) {
		ssize_t ignored = write(interrupt_pipe[1], "", 1);
		(void)ignored;
	}
}

int build_interrupted(void)
{
	return interrupted;
}

int build_interrupt_fd(void)
{
	return interrupt_pipe[0];
}

int64_t clock_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void build_emit(struct build *build, const struct step *step, enum build_event_type type, const char *text, size_t len)
{
	if (!build->spec->listener)
		return;
	struct build_event event = {
		.type = type,
		.step = step->number,
		.name = step->name,
		.text = text ? text : "",
		.len = text ? len : 0,
		.at_ms = clock_ms() - step->started_ms,
		.line = step->place->first_line,
	};
	build->spec->listener(build->spec->listener_arg, &event);
}

void build_warn(struct build *build, int line, const char *fmt, ...)
{
	if (!build->spec->listener)
		return;
	va_list args;
	va_start(args, fmt);
	char *text = arena_vprintf(build->arena, fmt, args);
	va_end(args);
	struct build_event event = {
		.type = BUILD_WARNING, .name = "", .text = text, .len = strlen(text), .line = line
	};
	build->spec->listener(build->spec->listener_arg, &event);
}

static void apply_labels(struct build *build, struct image_config *config)
{
	if (!build->spec->label_count)
		return;
	struct json *labels = config->labels ? json_clone(build->arena, config->labels) : json_object(build->arena);
	for (size_t i = 0; i < build->spec->label_count; i++)
		json_set(build->arena, labels, build->spec->labels[i].key,
			 json_str(build->arena, build->spec->labels[i].value));
	config->labels = labels;
}

/* The target stage's state becomes the image. */
static int commit_target(struct build *build, struct err *err)
{
	struct stage_run *target = build->target;
	struct image_config *config = target->config;
	apply_labels(build, config);
	config->diff_ids = arena_array(build->arena, const char *, target->layer_count + 1);
	config->diff_id_count = target->layer_count;
	for (size_t i = 0; i < target->layer_count; i++)
		config->diff_ids[i] = digest_str(build->arena, &target->layers[i]->diff_id);
	stage_fill_times(build, target);
	return image_commit(build->store, build->arena, config, build->spec->tags, build->spec->tag_count,
			    &build->result->image, err);
}

static void release(struct build *build)
{
	network_stop(&build->network);
	stat_cache_close(build->stat_cache, true);
	for (size_t i = 0; i < build->node_count; i++) {
		proc_kill(&build->nodes[i]->diff);
		if (build->nodes[i]->tree_fd >= 0)
			close(build->nodes[i]->tree_fd);
		store_work_end(build->store, &build->nodes[i]->work);
	}
	for (size_t i = 0; i < build->stage_count; i++)
		store_work_end(build->store, &build->stages[i].session);
	if (build->context_fd >= 0)
		close(build->context_fd);
	close(interrupt_pipe[0]);
	close(interrupt_pipe[1]);
	interrupt_pipe[0] = interrupt_pipe[1] = -1;
}

static int run(struct build *build, struct err *err)
{
	build->file = dockerfile_parse(build->arena, build->spec->dockerfile_name, build->spec->text,
				       build->spec->text_len, &build->result->place, err);
	if (!build->file || plan_build(build, err) < 0)
		return -1;
	explain_open(build);
	int scheduled = schedule_run(build, err);
	explain_close(build);
	if (scheduled < 0)
		return -1;
	build->result->place = (struct dockerfile_place){ 0, 0 };
	if (commit_target(build, err) < 0)
		return -1;
	return export_outputs(build, &build->result->image, err);
}

int build_run(struct store *store, struct arena *arena, const struct build_spec *spec, struct build_result *result,
	      struct err *err)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct build build = {
		.store = store,
		.arena = arena,
		.spec = spec,
		.result = result,
		.context_fd = -1,
		.network = NETWORK_EMPTY,
		.now = time(NULL),
		.limit = cores > 2 ? (unsigned)cores : 2,
	};
	*result = (struct build_result){ .excerpt = "", .failed_step = NULL, .failed_output = "" };
	if (pipe2(interrupt_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(err, "make a pipe");
	int built = run(&build, err);
	if (built < 0 && result->place.first_line > 0)
		result->excerpt = dockerfile_excerpt(arena, build.file, spec->dockerfile_name, spec->text,
						     spec->text_len, &result->place);
	release(&build);
	return built;
}
