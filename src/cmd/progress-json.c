/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/base/text.h"
#include "kiln/codec/digest.h"
#include "kiln/codec/json.h"
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Progress for programs: docs/progress-json.md has both forms. */

static void print_line(struct progress *progress, const struct json *object)
{
	scope_strbuf struct strbuf line = { 0 };
	json_write(&line, object);
	fprintf(progress->out, "%s\n", strbuf_str(&line));
}

/* ---- kiln's own form: one event a line ---- */

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

void progress_json_event(struct progress *progress, const struct build_event *event)
{
	scope_arena struct arena arena = { 0 };
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
	print_line(progress, object);
}

void progress_json_built(struct progress *progress, const char *id, const char *const *names, size_t count)
{
	scope_arena struct arena arena = { 0 };
	struct json *object = json_object(&arena);
	json_set(&arena, object, "event", json_str(&arena, "image"));
	json_set(&arena, object, "id", json_str(&arena, id));
	json_set(&arena, object, "names", json_strs(&arena, names, count));
	print_line(progress, object);
}

void progress_json_failed(struct progress *progress, const struct build_result *result, const struct err *err)
{
	scope_arena struct arena arena = { 0 };
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
	print_line(progress, object);
}

/* ---- BuildKit's form: a SolveStatus a line ---- */

static const char *now_text(struct arena *arena)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return time_rfc3339(arena, now);
}

/* Every status of a step says the same. Steps are numbered in the order of starting. */
static const char *started_text(struct progress *progress, struct arena *arena, const struct build_event *event)
{
	while (progress->started.count < event->step)
		strvec_push(&progress->started, now_text(arena));
	return progress->started.items[event->step - 1];
}

/* Readers use it as a name only. */
static const char *vertex_digest(struct arena *arena, const struct build_event *event)
{
	const char *text = arena_printf(arena, "%u %s", event->step, event->name);
	struct digest digest;
	digest_bytes(&digest, text, strlen(text));
	return digest_str(arena, &digest);
}

static const char *base64(struct arena *arena, const char *bytes, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = (const unsigned char *)bytes;
	char *out = arena_alloc(arena, (len + 2) / 3 * 4 + 1), *at = out;
	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t three = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
				 (left > 2 ? in[i + 2] : 0);
		*at++ = letters[three >> 18 & 63];
		*at++ = letters[three >> 12 & 63];
		*at++ = left > 1 ? letters[three >> 6 & 63] : '=';
		*at++ = left > 2 ? letters[three & 63] : '=';
	}
	return out;
}

static void print_status(struct progress *progress, struct arena *arena, const char *member, struct json *item)
{
	struct json *status = json_object(arena), *list = json_array(arena);
	json_push(arena, list, item);
	json_set(arena, status, member, list);
	print_line(progress, status);
}

static void print_vertex(struct progress *progress, struct arena *arena, const struct build_event *event)
{
	struct json *vertex = json_object(arena);
	json_set(arena, vertex, "digest", json_str(arena, vertex_digest(arena, event)));
	json_set(arena, vertex, "name", json_str(arena, as_utf8(arena, event->name, strlen(event->name))));
	json_set(arena, vertex, "started", json_str(arena, started_text(progress, arena, event)));
	if (event->type != BUILD_STEP_STARTED)
		json_set(arena, vertex, "completed", json_str(arena, now_text(arena)));
	if (event->type == BUILD_STEP_CACHED)
		json_set(arena, vertex, "cached", json_bool(arena, true));
	if (event->type == BUILD_STEP_FAILED)
		json_set(arena, vertex, "error", json_str(arena, as_utf8(arena, event->text, event->len)));
	if (event->type == BUILD_STEP_CANCELED)
		json_set(arena, vertex, "error", json_str(arena, "context canceled"));
	print_status(progress, arena, "vertexes", vertex);
}

/* Of a step (stream 1 is its standard output), or a word of kiln's about it (2). */
static void print_log(struct progress *progress, struct arena *arena, const struct build_event *event, int stream)
{
	struct json *log = json_object(arena);
	json_set(arena, log, "vertex", json_str(arena, vertex_digest(arena, event)));
	json_set(arena, log, "stream", json_int(arena, stream));
	/* A line may hold any byte, NUL too, so it is not copied as text. */
	char *bytes = arena_alloc(arena, event->len + 1);
	memcpy(bytes, event->text, event->len);
	bytes[event->len] = '\n';
	json_set(arena, log, "data", json_str(arena, base64(arena, bytes, event->len + 1)));
	json_set(arena, log, "timestamp", json_str(arena, now_text(arena)));
	print_status(progress, arena, "logs", log);
}

static void print_warning(struct progress *progress, struct arena *arena, const struct build_event *event)
{
	struct json *warning = json_object(arena);
	const char *text = as_utf8(arena, event->text, event->len);
	json_set(arena, warning, "level", json_int(arena, 1));
	json_set(arena, warning, "short", json_str(arena, base64(arena, text, strlen(text))));
	if (event->warning) {
		const char *const detail[] = { event->warning->rule->description };
		struct json *details = json_array(arena);
		json_push(arena, details, json_str(arena, base64(arena, detail[0], strlen(detail[0]))));
		json_set(arena, warning, "detail", details);
		if (event->warning->rule->url)
			json_set(arena, warning, "url", json_str(arena, event->warning->rule->url));
	}
	if (event->line) {
		struct json *range = json_object(arena), *ranges = json_array(arena), *start = json_object(arena);
		json_set(arena, start, "line", json_int(arena, event->line));
		json_set(arena, range, "start", start);
		json_set(arena, range, "end", start);
		json_push(arena, ranges, range);
		json_set(arena, warning, "range", ranges);
	}
	print_status(progress, arena, "warnings", warning);
}

void progress_rawjson_event(struct progress *progress, const struct build_event *event)
{
	scope_arena struct arena arena = { 0 };
	if (event->type == BUILD_WARNING)
		print_warning(progress, &arena, event);
	else if (event->type == BUILD_STEP_OUTPUT || event->type == BUILD_STEP_EXPLAINED)
		print_log(progress, &arena, event, event->type == BUILD_STEP_OUTPUT ? 1 : 2);
	else
		print_vertex(progress, &arena, event);
}
