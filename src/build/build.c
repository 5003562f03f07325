/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* From a specification to an image: set-up, the loop, the image, the exports. */

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t loop_has_ended;
static int interrupt_pipe[2] = { -1, -1 };

/* Signals that come together are one request: who signals a whole process group reaches us twice, by kiln's first process too. */
enum { TOGETHER_MS = 500 };

/* The loop ends in order, and lets the diffs that run come to their end. Who asks again does not want to wait for them, and
   behind the loop nobody looks: then the process ends, which the store bears at any time. */
void build_interrupt(int number)
{
	static int64_t first_ms;
	if (loop_has_ended || (interrupted && clock_ms() - first_ms > TOGETHER_MS)) {
		signal(number, SIG_DFL);
		raise(number);
		return;
	}
	if (!interrupted)
		first_ms = clock_ms();
	interrupted = number;
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

/* What the build checks found, by line. */
static void report_warnings(struct build *build)
{
	if (!build->lint.count)
		return;
	lint_sort(&build->lint);
	build->result->warnings = build->lint.warnings;
	build->result->warning_count = build->lint.count;
	for (size_t i = 0; build->spec->listener && i < build->lint.count; i++) {
		const struct lint_warning *warning = &build->lint.warnings[i];
		struct build_event event = {
			.type = BUILD_WARNING,
			.name = "",
			.text = warning->detail,
			.len = strlen(warning->detail),
			.line = warning->first_line,
			.warning = warning,
		};
		build->spec->listener(build->spec->listener_arg, &event);
	}
}

static void release(struct build *build)
{
	network_stop(&build->network);
	for (size_t i = 0; i < build->fetch_count; i++)
		fetch_release(build, build->fetches[i]);
	for (size_t i = 0; i < build->named_count; i++)
		tree_release(&build->named[i]->tree);
	tree_release(&build->context);
	for (size_t i = 0; i < build->node_count; i++) {
		proc_kill(&build->nodes[i]->diff);
		if (build->nodes[i]->tree_fd >= 0)
			close(build->nodes[i]->tree_fd);
		store_work_end(build->store, &build->nodes[i]->work);
	}
	for (size_t i = 0; i < build->stage_count; i++)
		store_work_end(build->store, &build->stages[i].session);
	close(interrupt_pipe[0]);
	close(interrupt_pipe[1]);
	interrupt_pipe[0] = interrupt_pipe[1] = -1;
}

static int parse(struct build *build, struct err *err)
{
	struct dockerfile_failure failure;
	build->file = dockerfile_parse_more(build->arena, build->spec->dockerfile_name, build->spec->text,
					    build->spec->text_len, &build->result->place, &failure, err);
	if (build->file)
		return check_parsed(build, build->file, true, err);
	build->wrong_word = failure.word;
	/* Wrong options of the checks are reported rather than what is wrong in the file, as BuildKit does. */
	if (failure.file && check_parsed(build, failure.file, false, err) < 0)
		build->wrong_word = NULL;
	return -1;
}

/* With error=true what the checks found is an error at the first of them. */
static int check_violation(struct build *build, struct err *err)
{
	const char *violation = lint_violation(&build->lint);
	if (!violation)
		return 0;
	lint_sort(&build->lint);
	build->result->place = (struct dockerfile_place){ build->lint.warnings[0].first_line,
							  build->lint.warnings[0].last_line };
	return err_set(err, ERR_INPUT, "%s", violation);
}

/* All that can be done without running anything. */
static int evaluate(struct build *build, bool all_stages, struct err *err)
{
	int result = parse(build, err);
	if (result == 0)
		result = plan_build(build, err);
	if (result == 0)
		result = evaluate_stages(build, all_stages, err);
	if (result == 0)
		result = check_violation(build, err);
	report_warnings(build);
	return result;
}

static int run(struct build *build, struct err *err)
{
	if (contexts_begin(build, true, err) < 0 || evaluate(build, false, err) < 0)
		return -1;
	build->wrong_word = NULL;
	if (foreign_check(build, err) < 0)
		return -1;
	explain_open(build);
	int scheduled = schedule_run(build, err);
	loop_has_ended = scheduled == 0;
	explain_close(build);
	if (scheduled < 0)
		return -1;
	build->result->place = (struct dockerfile_place){ 0, 0 };
	if (commit_target(build, err) < 0)
		return -1;
	return export_outputs(build, &build->result->image, err);
}

/* The lines around an error, and the word in them, if they are known. */
static void explain_place(const struct build *build, struct build_result *result)
{
	const struct build_spec *spec = build->spec;
	const char *word = build->wrong_word;
	if (result->place.first_line <= 0)
		return;
	bool has_word = word &&
			dockerfile_find_word(spec->text, spec->text_len, &result->place, word, &result->columns);
	const char *excerpt = dockerfile_excerpt_word(build->arena, spec->dockerfile_name, spec->text, spec->text_len,
						      &result->place, has_word ? &result->columns : NULL);
	result->excerpt = remote_redact(build->arena, excerpt);
}

typedef int build_work(struct build *build, void *arg, struct err *err);

static int with_build(struct store *store, struct arena *arena, const struct build_spec *spec,
		      struct build_result *result, build_work *work, void *arg, struct err *err)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct build build = {
		.store = store,
		.arena = arena,
		.own_spec = *spec,
		.result = result,
		.context = { .fd = -1 },
		.network = NETWORK_EMPTY,
		.now = time(NULL),
		.limit = spec->jobs  ? spec->jobs
			 : cores > 2 ? (unsigned)cores
				     : 2,
	};
	build.spec = &build.own_spec;
	*result = (struct build_result){ .excerpt = "", .failed_step = NULL, .failed_output = "" };
	if (pipe2(interrupt_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(err, "make a pipe");
	int done = work(&build, arg, err);
	if (done < 0)
		explain_place(&build, result);
	release(&build);
	return done;
}

static int run_work(struct build *build, void *arg, struct err *err)
{
	(void)arg;
	return run(build, err);
}

int build_run(struct store *store, struct arena *arena, const struct build_spec *spec, struct build_result *result,
	      struct err *err)
{
	return with_build(store, arena, spec, result, run_work, NULL, err);
}

static int read_work(struct build *build, void *arg, struct err *err)
{
	struct build_spec *spec = arg;
	if (contexts_begin(build, true, err) < 0)
		return -1;
	*spec = build->own_spec;
	return 0;
}

int build_read(struct store *store, struct arena *arena, struct build_spec *spec, struct err *err)
{
	struct build_result result;
	return spec->text ? 0 : with_build(store, arena, spec, &result, read_work, spec, err);
}

static int check_work(struct build *build, void *arg, struct err *err)
{
	(void)arg;
	bool all_stages = !build->spec->target || !*build->spec->target;
	return contexts_begin(build, false, err) < 0 ? -1 : evaluate(build, all_stages, err);
}

int build_check(struct store *store, struct arena *arena, const struct build_spec *spec, struct build_result *result,
		struct err *err)
{
	return with_build(store, arena, spec, result, check_work, NULL, err);
}

static int outline_work(struct build *build, void *arg, struct err *err)
{
	if (contexts_begin(build, false, err) < 0 || evaluate(build, false, err) < 0)
		return -1;
	outline_target(build, arg);
	return 0;
}

int build_outline(struct store *store, struct arena *arena, const struct build_spec *spec, struct build_result *result,
		  struct build_outline *outline, struct err *err)
{
	return with_build(store, arena, spec, result, outline_work, outline, err);
}
