/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"
#include "kiln/codec/json.h"

#include <stdio.h>
#include <string.h>

/* ---- the option ---- */

static int parse_method(const char *text, enum call_method *method, struct err *err)
{
	static const char *const names[] = {
		[CALL_BUILD] = "build",
		[CALL_CHECK] = "check",
		[CALL_OUTLINE] = "outline",
		[CALL_TARGETS] = "targets",
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		*method = (enum call_method)i;
		return 0;
	}
	const char *nearest = text_nearest(text, names, ARRAY_LEN(names));
	return err_set(err, ERR_USAGE, "unknown method \"%s\" for --call: build, check, outline or targets%s%s%s", text,
		       nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}

static int parse_field(const char *key, const char *value, struct call *call, struct err *err)
{
	bool is_yes = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
	bool is_no = strcmp(value, "false") == 0 || strcmp(value, "0") == 0;
	if (strcmp(key, "format") == 0) {
		call->is_json = strcmp(value, "json") == 0;
		if (!call->is_json && strcmp(value, "text") != 0)
			return err_set(err, ERR_USAGE, "unknown format \"%s\" for --call: text or json", value);
		return 0;
	}
	if (strcmp(key, "ignorestatus") != 0)
		return err_set(err, ERR_USAGE, "unknown option \"%s\" in --call: format or ignorestatus", key);
	if (!is_yes && !is_no)
		return err_set(err, ERR_USAGE, "invalid ignorestatus value \"%s\" in --call: true or false", value);
	call->ignores_status = is_yes;
	return 0;
}

int call_parse(struct arena *arena, const char *text, bool check, struct call *call, struct err *err)
{
	*call = (struct call){ .method = check ? CALL_CHECK : CALL_BUILD };
	for (const char *p = text ? text : ""; *p;) {
		size_t len = strcspn(p, ",");
		const char *key, *value;
		bool is_pair = split_pair(arena, arena_strndup(arena, p, len), &key, &value);
		p += len + (p[len] == ',');
		if ((is_pair ? parse_field(key, value, call, err) : parse_method(key, &call->method, err)) < 0)
			return -1;
	}
	if (check && call->method != CALL_CHECK)
		return err_set(err, ERR_USAGE, "--check and --call=%s exclude each other", text);
	return 0;
}

/* ---- JSON, in the member names of BuildKit's subrequests ---- */

static const char *base64(struct arena *arena, const char *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *out = arena_alloc(arena, (len + 2) / 3 * 4 + 1), *to = out;
	for (size_t i = 0; i < len; i += 3) {
		unsigned char three[3] = { 0 };
		memcpy(three, bytes + i, len - i < 3 ? len - i : 3);
		*to++ = digits[three[0] >> 2];
		*to++ = digits[(three[0] & 3) << 4 | three[1] >> 4];
		*to++ = i + 1 < len ? digits[(three[1] & 15) << 2 | three[2] >> 6] : '=';
		*to++ = i + 2 < len ? digits[three[2] & 63] : '=';
	}
	return out;
}

/* A range for each line, as BuildKit has it. */
static struct json *location(struct arena *arena, int first_line, int last_line)
{
	struct json *out = json_object(arena), *ranges = json_array(arena);
	for (int line = first_line; line > 0 && line <= last_line; line++) {
		struct json *range = json_object(arena);
		static const char *const ends[] = { "start", "end" };
		for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
			struct json *position = json_object(arena);
			json_set(arena, position, "line", json_int(arena, line));
			json_set(arena, range, ends[i], position);
		}
		json_push(arena, ranges, range);
	}
	if (ranges->count)
		json_set(arena, out, "ranges", ranges);
	return out;
}

static void set_text(struct arena *arena, struct json *object, const char *key, const char *text)
{
	if (text && *text)
		json_set(arena, object, key, json_str(arena, text));
}

static struct json *sources(struct arena *arena, const struct build_spec *spec)
{
	struct json *list = json_array(arena);
	json_push(arena, list, json_str(arena, base64(arena, spec->text, spec->text_len)));
	return list;
}

static void print_json(const struct json *value)
{
	scope_strbuf struct strbuf text = { 0 };
	json_write_pretty(&text, value);
	printf("%s\n", strbuf_str(&text));
}

/* Bytes of the Dockerfile in a message: control characters are shown. */
static void print_visible(struct arena *arena, const char *text)
{
	size_t size = 4 * strlen(text) + 1;
	printf("%s", err_printable(arena_alloc(arena, size), size, text));
}

/* ---- check ---- */

static struct json *warnings_json(struct arena *arena, const struct build_result *result)
{
	struct json *list = json_array(arena);
	for (size_t i = 0; i < result->warning_count; i++) {
		const struct lint_warning *warning = &result->warnings[i];
		struct json *item = json_object(arena);
		json_set(arena, item, "ruleName", json_str(arena, warning->rule->name));
		set_text(arena, item, "description", warning->rule->description);
		set_text(arena, item, "url", warning->rule->url);
		set_text(arena, item, "detail", warning->detail);
		json_set(arena, item, "location", location(arena, warning->first_line, warning->last_line));
		json_push(arena, list, item);
	}
	return list;
}

static void print_check_json(struct arena *arena, const struct build_spec *spec, const struct build_result *result,
			     const struct err *error)
{
	struct json *out = json_object(arena), *list = json_array(arena), *source = json_object(arena);
	json_set(arena, source, "filename", json_str(arena, spec->dockerfile_name));
	json_set(arena, source, "data", json_str(arena, base64(arena, spec->text, spec->text_len)));
	json_set(arena, source, "language", json_str(arena, "Dockerfile"));
	json_push(arena, list, source);
	json_set(arena, out, "warnings", warnings_json(arena, result));
	json_set(arena, out, "sources", list);
	if (error) {
		struct json *object = json_object(arena);
		json_set(arena, object, "message", json_str(arena, error->msg));
		json_set(arena, object, "location", location(arena, result->place.first_line, result->place.last_line));
		json_set(arena, out, "buildError", object);
	}
	print_json(out);
}

static void print_warning(struct arena *arena, const struct build_spec *spec, const struct lint_warning *warning)
{
	const struct dockerfile_place place = { warning->first_line, warning->last_line };
	printf("\nWARNING: %s%s%s\n", warning->rule->name, warning->rule->url ? " - " : "",
	       warning->rule->url ? warning->rule->url : "");
	print_visible(arena, warning->detail);
	printf("\n%s", dockerfile_excerpt_word(arena, spec->dockerfile_name, spec->text, spec->text_len, &place, NULL));
}

static void print_check_text(struct arena *arena, const struct build_spec *spec, const struct build_result *result,
			     const struct err *error)
{
	size_t count = result->warning_count;
	if (count)
		printf("Check complete, %zu warning%s been found!\n", count, count == 1 ? " has" : "s have");
	for (size_t i = 0; i < count; i++)
		print_warning(arena, spec, &result->warnings[i]);
	if (!count && !error)
		printf("Check complete, no warnings found.\n");
}

static int call_check(struct invocation *invocation, struct store *store, const struct build_spec *spec,
		      const struct call *call, struct err *err)
{
	struct arena *arena = invocation->arena;
	struct build_result result;
	struct err error = { 0 };
	bool has_error = build_check(store, arena, spec, &result, &error) < 0;
	(call->is_json ? print_check_json : print_check_text)(arena, spec, &result, has_error ? &error : NULL);
	if (result.warning_count && !call->ignores_status)
		invocation->status = EXIT_FAILED;
	if (!has_error)
		return 0;
	fflush(stdout);
	fprintf(stderr, "%s%s", result.warning_count && !call->is_json ? "\n" : "", result.excerpt);
	*err = error;
	return -1;
}

/* ---- outline ---- */

static struct json *parameters_json(struct arena *arena, const struct build_parameter *list, size_t count)
{
	struct json *out = json_array(arena);
	for (size_t i = 0; i < count; i++) {
		struct json *item = json_object(arena);
		json_set(arena, item, "name", json_str(arena, list[i].name));
		set_text(arena, item, "description", list[i].description);
		set_text(arena, item, "value", list[i].value);
		if (list[i].is_required)
			json_set(arena, item, "required", json_bool(arena, true));
		json_set(arena, item, "location", location(arena, list[i].place.first_line, list[i].place.last_line));
		json_push(arena, out, item);
	}
	return out;
}

static void print_outline_json(struct arena *arena, const struct build_spec *spec, const struct build_outline *outline)
{
	struct json *out = json_object(arena);
	set_text(arena, out, "name", outline->name);
	set_text(arena, out, "description", outline->description);
	if (outline->arg_count)
		json_set(arena, out, "args", parameters_json(arena, outline->args, outline->arg_count));
	if (outline->secret_count)
		json_set(arena, out, "secrets", parameters_json(arena, outline->secrets, outline->secret_count));
	if (outline->ssh_count)
		json_set(arena, out, "ssh", parameters_json(arena, outline->ssh, outline->ssh_count));
	json_set(arena, out, "sources", sources(arena, spec));
	print_json(out);
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static void print_args(struct arena *arena, const struct build_outline *outline)
{
	const char **cells = NULL;
	size_t count = 0;
	if (!outline->arg_count)
		return;
	*ARENA_PUSH(arena, cells, count) = "BUILD ARG";
	*ARENA_PUSH(arena, cells, count) = "VALUE";
	*ARENA_PUSH(arena, cells, count) = "DESCRIPTION";
	for (size_t i = 0; i < outline->arg_count; i++) {
		*ARENA_PUSH(arena, cells, count) = outline->args[i].name;
		*ARENA_PUSH(arena, cells, count) = or_empty(outline->args[i].value);
		*ARENA_PUSH(arena, cells, count) = or_empty(outline->args[i].description);
	}
	print_table(cells, count / 3, 3);
	printf("\n");
}

static void print_needs(struct arena *arena, const char *title, const struct build_parameter *list, size_t list_count)
{
	const char **cells = NULL;
	size_t count = 0;
	if (!list_count)
		return;
	*ARENA_PUSH(arena, cells, count) = title;
	*ARENA_PUSH(arena, cells, count) = "REQUIRED";
	for (size_t i = 0; i < list_count; i++) {
		*ARENA_PUSH(arena, cells, count) = list[i].name;
		*ARENA_PUSH(arena, cells, count) = list[i].is_required ? "true" : "";
	}
	print_table(cells, count / 2, 2);
	printf("\n");
}

static void print_outline_text(struct arena *arena, const struct build_outline *outline)
{
	if (outline->name && outline->description)
		printf("TARGET:      %s\nDESCRIPTION: %s\n\n", outline->name, outline->description);
	else if (outline->name)
		printf("TARGET: %s\n\n", outline->name);
	print_args(arena, outline);
	print_needs(arena, "SECRET", outline->secrets, outline->secret_count);
	print_needs(arena, "SSH", outline->ssh, outline->ssh_count);
}

static int call_outline(struct invocation *invocation, struct store *store, const struct build_spec *spec,
			const struct call *call, struct err *err)
{
	struct build_result result;
	struct build_outline outline;
	if (build_outline(store, invocation->arena, spec, &result, &outline, err) < 0) {
		fprintf(stderr, "%s", result.excerpt);
		return -1;
	}
	if (call->is_json)
		print_outline_json(invocation->arena, spec, &outline);
	else
		print_outline_text(invocation->arena, &outline);
	return 0;
}

/* ---- targets ---- */

static const char *description_of(struct arena *arena, const struct stage *stage)
{
	return stage->name ? comment_about(arena, stage->from->comment, stage->name) : NULL;
}

static void print_targets_json(struct arena *arena, const struct build_spec *spec, const struct dockerfile *file)
{
	struct json *out = json_object(arena), *list = json_array(arena);
	for (size_t i = 0; i < file->stage_count; i++) {
		const struct stage *stage = &file->stages[i];
		struct json *item = json_object(arena);
		set_text(arena, item, "name", stage->name);
		if (i + 1 == file->stage_count)
			json_set(arena, item, "default", json_bool(arena, true));
		set_text(arena, item, "description", description_of(arena, stage));
		set_text(arena, item, "base", stage->from->base);
		set_text(arena, item, "platform", stage->from->platform);
		json_set(arena, item, "location", location(arena, stage->from->first_line, stage->from->last_line));
		json_push(arena, list, item);
	}
	json_set(arena, out, "targets", list);
	json_set(arena, out, "sources", sources(arena, spec));
	print_json(out);
}

/* A stage that has no name and is not the default cannot be asked for, but is listed as BuildKit lists it. */
static void print_targets_text(struct arena *arena, const struct dockerfile *file)
{
	const char **names = arena_array(arena, const char *, file->stage_count);
	size_t width = strlen("TARGET");
	for (size_t i = 0; i < file->stage_count; i++) {
		const char *name = file->stages[i].name;
		bool is_default = i + 1 == file->stage_count;
		names[i] = arena_printf(arena, "%s%s%s", or_empty(name), name && is_default ? " " : "",
					is_default ? "(default)" : "");
		width = strlen(names[i]) > width ? strlen(names[i]) : width;
	}
	printf("%-*s DESCRIPTION\n", (int)width, "TARGET");
	for (size_t i = 0; i < file->stage_count; i++)
		printf("%-*s %s\n", (int)width, names[i], or_empty(description_of(arena, &file->stages[i])));
}

static int call_targets(struct invocation *invocation, const struct build_spec *spec, const struct call *call,
			struct err *err)
{
	struct arena *arena = invocation->arena;
	struct dockerfile_place place;
	const struct dockerfile *file = dockerfile_parse(arena, spec->dockerfile_name, spec->text, spec->text_len,
							 &place, err);
	if (!file) {
		fprintf(stderr, "%s",
			dockerfile_excerpt_word(arena, spec->dockerfile_name, spec->text, spec->text_len, &place,
						NULL));
		return -1;
	}
	if (call->is_json)
		print_targets_json(arena, spec, file);
	else
		print_targets_text(arena, file);
	return 0;
}

int call_run(struct invocation *invocation, struct store *store, const struct build_spec *spec, const struct call *call,
	     struct err *err)
{
	switch (call->method) {
	case CALL_OUTLINE:
		return call_outline(invocation, store, spec, call, err);
	case CALL_TARGETS:
		return call_targets(invocation, spec, call, err);
	case CALL_CHECK:
	case CALL_BUILD:
		break;
	}
	return call_check(invocation, store, spec, call, err);
}
