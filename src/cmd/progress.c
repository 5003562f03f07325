/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"
#include "kiln/base/scope.h"

#include <stdlib.h>
#include <string.h>

int progress_parse(enum progress_style *style, const char *text, struct err *err)
{
	static const struct {
		const char *name;
		enum progress_style style;
	} styles[] = {
		{ "auto", PROGRESS_PLAIN },      { "plain", PROGRESS_PLAIN }, { "tty", PROGRESS_PLAIN },
		{ "quiet", PROGRESS_QUIET },     { "none", PROGRESS_QUIET },  { "json", PROGRESS_JSON },
		{ "rawjson", PROGRESS_RAWJSON },
	};
	const char *from_environment = getenv("BUILDKIT_PROGRESS");
	if (!text)
		text = from_environment && *from_environment ? from_environment : "auto";
	for (size_t i = 0; i < ARRAY_LEN(styles); i++) {
		if (strcmp(text, styles[i].name) == 0) {
			*style = styles[i].style;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE, "invalid progress \"%s\": auto, plain, tty, quiet, none, json or rawjson", text);
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

void progress_listener(void *arg, const struct build_event *event)
{
	struct progress *progress = arg;
	if (event->step > progress->step_max)
		progress->step_max = event->step;
	if (progress->style == PROGRESS_PLAIN)
		print_plain(progress, event);
	else if (progress->style == PROGRESS_JSON)
		progress_json_event(progress, event);
	else if (progress->style == PROGRESS_RAWJSON)
		progress_rawjson_event(progress, event);
	fflush(progress->out);
}

void progress_built(struct progress *progress, const char *id, const char *const *names, size_t count)
{
	if (id && progress->style == PROGRESS_PLAIN) {
		unsigned step = progress->step_max + 1;
		fprintf(progress->out, "\n#%u exporting to image\n#%u writing image %s done\n", step, step, id);
		for (size_t i = 0; i < count; i++)
			fprintf(progress->out, "#%u naming to %s done\n", step, names[i]);
		fprintf(progress->out, "#%u DONE\n", step);
	} else if (id && progress->style == PROGRESS_JSON) {
		progress_json_built(progress, id, names, count);
	}
	print_warnings(progress);
	strvec_release(&progress->started);
	fflush(progress->out);
}

void progress_failed(struct progress *progress, const struct build_result *result, struct err *err)
{
	strvec_release(&progress->started);
	if (progress->style == PROGRESS_JSON)
		progress_json_failed(progress, result, err);
	if (progress->style == PROGRESS_JSON || progress->style == PROGRESS_RAWJSON)
		return;
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
