/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/base/text.h"
#include "kiln/codec/json.h"

#include <string.h>

int progress_parse(enum progress_style *style, const char *text, struct err *err)
{
	static const struct {
		const char *name;
		enum progress_style style;
	} styles[] = {
		{ "auto", PROGRESS_PLAIN },   { "plain", PROGRESS_PLAIN }, { "tty", PROGRESS_PLAIN },
		{ "quiet", PROGRESS_QUIET },  { "none", PROGRESS_QUIET },  { "json", PROGRESS_JSON },
		{ "rawjson", PROGRESS_JSON },
	};
	for (size_t i = 0; i < ARRAY_LEN(styles); i++) {
		if (strcmp(text, styles[i].name) == 0) {
			*style = styles[i].style;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE, "invalid progress \"%s\": auto, plain, quiet or json", text);
}

void progress_begin(struct progress *progress, enum progress_style style, FILE *out)
{
	*progress = (struct progress){ .style = style, .out = out };
}

/* Names come from the Dockerfile: control characters are shown, not sent to the terminal. Output of a step is the
   step's own and passes as it is. */
static void print_visible(FILE *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			fprintf(out, *p == '\n' || *p == '\t' ? " " : "\\x%02x", (unsigned char)*p);
		else
			fputc(*p, out);
	}
}

/* Docker shows them when all is over, so that they are read. */
static void keep_warning(struct progress *progress, const struct lint_warning *warning)
{
	scope_arena struct arena arena = { 0 };
	strbuf_addf(&progress->warnings, " - %s\n", lint_line(&arena, warning));
	progress->warning_count++;
}

static void print_warnings(struct progress *progress)
{
	if (progress->style == PROGRESS_PLAIN && progress->warning_count) {
		fprintf(progress->out, "\n %zu warning%s found (use --check to expand):\n", progress->warning_count,
			progress->warning_count == 1 ? "" : "s");
		for (const char *line = strbuf_str(&progress->warnings); *line; line = strchr(line, '\n') + 1) {
			scope_free char *text = strndup(line, strcspn(line, "\n"));
			print_visible(progress->out, text);
			fputc('\n', progress->out);
		}
	}
	strbuf_release(&progress->warnings);
	progress->warning_count = 0;
}

static void print_plain(struct progress *progress, const struct build_event *event)
{
	FILE *out = progress->out;
	if (event->warning) {
		keep_warning(progress, event->warning);
		return;
	}
	if (event->type == BUILD_WARNING) {
		fprintf(out, "warning: ");
		print_visible(out, event->text);
		fprintf(out, event->line ? " (line %d)\n" : "\n", event->line);
		return;
	}
	if (event->step != progress->last_step) {
		if (progress->last_step && !progress->last_has_ended)
			fprintf(out, "#%u ...\n", progress->last_step);
		if (progress->last_step)
			fputc('\n', out);
		/* Steps of stages that run at the same time take turns; each turn says whose it is. */
		if (event->type != BUILD_STEP_STARTED) {
			fprintf(out, "#%u ", event->step);
			print_visible(out, event->name);
			fputc('\n', out);
		}
		progress->last_step = event->step;
	}
	progress->last_has_ended = event->type == BUILD_STEP_CACHED || event->type == BUILD_STEP_DONE ||
				   event->type == BUILD_STEP_FAILED || event->type == BUILD_STEP_CANCELED;
	double seconds = (double)event->at_ms / 1000;
	fprintf(out, "#%u ", event->step);
	switch (event->type) {
	case BUILD_STEP_STARTED:
		print_visible(out, event->name);
		break;
	case BUILD_STEP_OUTPUT:
		fprintf(out, "%.3f ", seconds);
		fwrite(event->text, 1, event->len, out);
		break;
	case BUILD_STEP_CACHED:
		fprintf(out, "CACHED");
		break;
	case BUILD_STEP_DONE:
		fprintf(out, "DONE %.1fs", seconds);
		break;
	case BUILD_STEP_FAILED:
		fprintf(out, "ERROR: ");
		print_visible(out, event->text);
		break;
	case BUILD_STEP_CANCELED:
		fprintf(out, "CANCELED");
		break;
	case BUILD_STEP_EXPLAINED:
		fprintf(out, "MISS: ");
		print_visible(out, event->text);
		break;
	case BUILD_WARNING:
		break;
	}
	fputc('\n', out);
}

static const char *const type_names[] = {
	[BUILD_STEP_STARTED] = "started", [BUILD_STEP_OUTPUT] = "output", [BUILD_STEP_CACHED] = "cached",
	[BUILD_STEP_DONE] = "done",       [BUILD_STEP_FAILED] = "failed", [BUILD_STEP_CANCELED] = "canceled",
	[BUILD_STEP_EXPLAINED] = "miss",  [BUILD_WARNING] = "warning",
};

/* Output may be any bytes, and JSON is UTF-8: what is not is escaped as \xNN by err_printable. */
static const char *as_utf8(struct arena *arena, const char *text, size_t len)
{
	size_t size = len * 4 + 1;
	char *out = arena_alloc(arena, size);
	return err_printable(out, size, arena_strndup(arena, text, len));
}

static void print_json(struct progress *progress, const struct build_event *event)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf line = { 0 };
	struct json *object = json_object(&arena);
	json_set(&arena, object, "event", json_str(&arena, type_names[event->type]));
	if (event->step) {
		json_set(&arena, object, "step", json_int(&arena, event->step));
		json_set(&arena, object, "name", json_str(&arena, event->name));
		json_set(&arena, object, "ms", json_int(&arena, event->at_ms));
	}
	if (event->line)
		json_set(&arena, object, "line", json_int(&arena, event->line));
	if (event->warning) {
		json_set(&arena, object, "rule", json_str(&arena, event->warning->rule->name));
		json_set(&arena, object, "description", json_str(&arena, event->warning->rule->description));
		if (event->warning->rule->url)
			json_set(&arena, object, "url", json_str(&arena, event->warning->rule->url));
	}
	if (event->len || event->type == BUILD_STEP_OUTPUT)
		json_set(&arena, object, "text", json_str(&arena, as_utf8(&arena, event->text, event->len)));
	json_write(&line, object);
	fprintf(progress->out, "%s\n", strbuf_str(&line));
}

void progress_listener(void *arg, const struct build_event *event)
{
	struct progress *progress = arg;
	if (event->step > progress->step_max)
		progress->step_max = event->step;
	if (progress->style == PROGRESS_PLAIN)
		print_plain(progress, event);
	else if (progress->style == PROGRESS_JSON)
		print_json(progress, event);
	fflush(progress->out);
}

void progress_built(struct progress *progress, const char *id, const char *const *names, size_t count)
{
	if (progress->style == PROGRESS_PLAIN) {
		unsigned step = progress->step_max + 1;
		fprintf(progress->out, "\n#%u exporting to image\n#%u writing image %s done\n", step, step, id);
		for (size_t i = 0; i < count; i++)
			fprintf(progress->out, "#%u naming to %s done\n", step, names[i]);
		fprintf(progress->out, "#%u DONE\n", step);
	} else if (progress->style == PROGRESS_JSON) {
		fprintf(progress->out, "{\"event\":\"image\",\"id\":\"%s\"}\n", id);
	}
	print_warnings(progress);
	fflush(progress->out);
}

static void print_failure_json(struct progress *progress, const struct build_result *result, const struct err *err)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	struct json *object = json_object(&arena);
	const struct {
		const char *key;
		int value;
	} numbers[] = {
		{ "line", result->place.first_line },    { "last_line", result->place.last_line },
		{ "word_line", result->columns.line },   { "first_column", result->columns.first },
		{ "last_column", result->columns.last },
	};
	json_set(&arena, object, "event", json_str(&arena, "failed"));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (numbers[i].value > 0)
			json_set(&arena, object, numbers[i].key, json_int(&arena, numbers[i].value));
	json_set(&arena, object, "text", json_str(&arena, as_utf8(&arena, err->msg, strlen(err->msg))));
	json_write(&text, object);
	fprintf(progress->out, "%s\n", strbuf_str(&text));
}

void progress_failed(struct progress *progress, const struct build_result *result, struct err *err)
{
	if (progress->style == PROGRESS_JSON) {
		print_failure_json(progress, result, err);
		return;
	}
	if (result->failed_step && *result->failed_output) {
		fprintf(progress->out, "------\n > ");
		print_visible(progress->out, result->failed_step);
		fprintf(progress->out, ":\n%s------\n", result->failed_output);
	}
	print_warnings(progress);
	if (*result->excerpt)
		fprintf(progress->out, "%s", result->excerpt);
	fflush(progress->out);
}
