/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <string.h>

/*
 * Why a step was not in the cache. Each build leaves a note of its steps and their inputs, kept per (context, Dockerfile): the
 * next one compares with it and names the first input that differs. For COPY and ADD a second note lists the files.
 * Notes may be lost; then there is nothing to compare with, and that is said.
 */

enum { NOTE_MAX = 16 << 20, FILES_MAX = 100000 };

static void note_id(const struct build *build, const char *more, struct digest *id)
{
	scope_hasher struct hasher *hasher = hasher_new();
	hasher_text(hasher, build->spec->context);
	hasher_text(hasher, build->spec->dockerfile_path);
	hasher_text(hasher, more);
	hasher_final(hasher, id);
}

void explain_open(struct build *build)
{
	build->this_build = json_array(build->arena);
	if (!build->spec->explain)
		return;
	struct digest id;
	scope_strbuf struct strbuf text = { 0 };
	note_id(build, "steps", &id);
	if (store_note_get(build->store, "build", &id, NOTE_MAX, &text, NULL) == 1)
		build->last_build = json_parse(build->arena, arena_memdup(build->arena, text.ptr, text.len), text.len, NULL);
}

void explain_close(struct build *build)
{
	struct digest id;
	scope_strbuf struct strbuf text = { 0 }, old = { 0 };
	if (!build->this_build || build->this_build->count == 0)
		return;
	note_id(build, "steps", &id);
	json_write(&text, build->this_build);
	if (store_note_get(build->store, "build", &id, NOTE_MAX, &old, NULL) == 1 && old.len == text.len &&
	    memcmp(old.ptr, text.ptr, text.len) == 0)
		return;
	struct err err;
	if (store_note_put(build->store, "build", &id, text.ptr, text.len, &err) < 0)
		log_debug("note of this build: %s", err.msg);
}

static struct json *step_note(struct build *build, const struct step *step)
{
	char hex[DIGEST_HEX + 1];
	struct json *note = json_object(build->arena);
	json_set(build->arena, note, "stage", json_int(build->arena, (int64_t)step->stage->index));
	json_set(build->arena, note, "position", json_int(build->arena, (int64_t)step->stage->position));
	json_set(build->arena, note, "parent", json_str(build->arena, arena_strdup(build->arena, digest_hex(&step->stage->key, hex))));
	struct json *inputs = json_array(build->arena);
	for (size_t i = 0; i < step->inputs.count; i++) {
		json_push(build->arena, inputs, json_str(build->arena, step->inputs.items[i].name));
		json_push(build->arena, inputs, json_str(build->arena, step->inputs.items[i].value));
	}
	json_set(build->arena, note, "inputs", inputs);
	return note;
}

static const struct json *find_last(const struct build *build, const struct step *step)
{
	const struct json *last = build->last_build;
	for (size_t i = 0; last && last->type == JSON_ARRAY && i < last->count; i++)
		if (json_get_int(last->items[i], "stage", -1) == (int64_t)step->stage->index &&
		    json_get_int(last->items[i], "position", -1) == (int64_t)step->stage->position)
			return last->items[i];
	return NULL;
}

/* ---- the files of a COPY ---- */

static void files_note_id(const struct build *build, const struct step *step, struct digest *id)
{
	note_id(build, arena_printf(build->arena, "files %zu %zu", step->stage->index, step->stage->position), id);
}

static const char *cut_line(char **at)
{
	char *line = *at;
	if (!line || !*line)
		return NULL;
	char *end = strchr(line, '\n');
	*at = end ? end + 1 : NULL;
	if (end)
		*end = '\0';
	return line;
}

/* Both lists are "path<TAB>digest\n", in one order: the first line that differs. */
static const char *first_difference(struct build *build, char *old, char *new)
{
	const char *a = cut_line(&old), *b = cut_line(&new);
	while (a && b && strcmp(a, b) == 0) {
		a = cut_line(&old);
		b = cut_line(&new);
	}
	if (!a && !b)
		return NULL;
	size_t a_len = a ? strcspn(a, "\t") : 0, b_len = b ? strcspn(b, "\t") : 0;
	if (a && b && a_len == b_len && memcmp(a, b, a_len) == 0)
		return arena_printf(build->arena, "%.*s changed (%.12s -> %.12s)", (int)a_len, a, a + a_len + 1,
				    b + b_len + 1);
	int order = !a ? 1 : !b ? -1 : strcmp(a, b);
	return order > 0 ? arena_printf(build->arena, "%.*s is new", (int)b_len, b)
			 : arena_printf(build->arena, "%.*s is gone", (int)a_len, a);
}

/* Lists the files that this step takes, compares with the last list, and leaves this one. */
static const char *explain_files(struct build *build, const struct step *step)
{
	struct source source = {
		.root = { build->context_fd, ROOT_CHROOT },
		.ignore = build->ignore,
		.cache = build->stat_cache,
		.name = "the build context",
	};
	scope_strbuf struct strbuf list = { 0 }, old = { 0 };
	struct digest digest, id;
	if (copy_digest_list(&source, &step->plan, &digest, &list, FILES_MAX, NULL) < 0)
		return NULL;
	files_note_id(build, step, &id);
	const char *difference = NULL;
	if (store_note_get(build->store, "files", &id, NOTE_MAX, &old, NULL) == 1)
		difference = first_difference(build, arena_strndup(build->arena, strbuf_str(&old), old.len),
					      arena_strndup(build->arena, strbuf_str(&list), list.len));
	struct err err;
	if (store_note_put(build->store, "files", &id, strbuf_str(&list), list.len, &err) < 0)
		log_debug("note of files: %s", err.msg);
	return difference;
}

/* ---- the answer ---- */

static const char *short_value(struct build *build, const char *text)
{
	enum { SHOWN = 60 };
	char printable[4 * SHOWN + 8];
	char *cut = arena_strndup(build->arena, text, SHOWN);
	err_printable(printable, sizeof(printable), cut);
	return arena_printf(build->arena, "\"%s%s\"", printable, strlen(text) > SHOWN ? "..." : "");
}

static const char *explain_input(struct build *build, const struct step *step, const char *name, const char *old,
				 const char *new, const char *files)
{
	(void)step;
	if (strcmp(name, "files") == 0)
		return files ? files : "the files that it copies changed";
	if (strcmp(name, "from") == 0)
		return "the stage or image that it copies from changed";
	return arena_printf(build->arena, "%s changed: %s -> %s", name, short_value(build, old), short_value(build, new));
}

static const char *explain_difference(struct build *build, const struct step *step, const struct json *last,
				      const char *files)
{
	const struct json *inputs = json_get(last, "inputs");
	size_t count = inputs && inputs->type == JSON_ARRAY ? inputs->count / 2 : 0;
	for (size_t i = 0; i < count || i < step->inputs.count; i++) {
		const char *name = i < count ? inputs->items[2 * i]->text : NULL;
		const char *value = i < count ? inputs->items[2 * i + 1]->text : NULL;
		const struct input *now = i < step->inputs.count ? &step->inputs.items[i] : NULL;
		if (!now || !name)
			return now ? arena_printf(build->arena, "%s is new: %s", now->name, short_value(build, now->value))
				   : arena_printf(build->arena, "%s is gone", name);
		if (strcmp(name, now->name) != 0)
			return arena_printf(build->arena, "%s is new: %s", now->name, short_value(build, now->value));
		if (!value || strcmp(value, now->value) != 0)
			return explain_input(build, step, now->name, value ? value : "", now->value, files);
	}
	char hex[DIGEST_HEX + 1];
	if (!text_equal(json_get_str(last, "parent"), digest_hex(&step->stage->key, hex)))
		return "the step before it changed";
	return "its layer is not in the store any more, or the last build did not finish it";
}

void explain_step(struct build *build, struct step *step, bool hit)
{
	json_push(build->arena, build->this_build, step_note(build, step));
	if (hit)
		return;
	bool from_context = step->plan.count > 0 && !step->from_stage && !step->from_image;
	const char *files = from_context ? explain_files(build, step) : NULL;
	if (!build->spec->explain)
		return;
	const struct json *last = find_last(build, step);
	const char *why = build->spec->no_cache ? "--no-cache was given"
			  : !last		? "there is no earlier build of this step to compare with"
						: explain_difference(build, step, last, files);
	build_emit(build, step, BUILD_STEP_EXPLAINED, why, strlen(why));
}
