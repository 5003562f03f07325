/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include <string.h>

/*
 * Why a step was not in the cache. Each build leaves a note of its steps and their inputs, kept per (context, Dockerfile): the
 * next one compares with it and names the first input that differs. For the files of a COPY or ADD the input is a digest, and
 * a second note, kept per digest, lists what it stands for. Notes may be lost; then there is nothing to compare with, and
 * that is said.
 */

enum { NOTE_MAX = 16 << 20 };

static void note_id(const struct build *build, struct digest *id)
{
	scope_hasher struct hasher *hasher = hasher_new();
	hasher_text(hasher, build->spec->context);
	hasher_text(hasher, build->spec->dockerfile_path);
	hasher_final(hasher, id);
}

void explain_open(struct build *build)
{
	build->this_build = json_array(build->arena);
	if (!build->spec->explain)
		return;
	struct digest id;
	scope_strbuf struct strbuf text = { 0 };
	note_id(build, &id);
	if (store_note_get(build->store, "build", &id, NOTE_MAX, &text, NULL) == 1)
		build->last_build = json_parse(build->arena, arena_memdup(build->arena, text.ptr, text.len), text.len,
					       NULL);
}

void explain_close(struct build *build)
{
	struct digest id;
	scope_strbuf struct strbuf text = { 0 }, old = { 0 };
	if (!build->this_build || build->this_build->count == 0)
		return;
	note_id(build, &id);
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
	struct arena *arena = build->arena;
	struct json *note = json_object(arena), *inputs = json_array(arena);
	json_set(arena, note, "stage", json_int(arena, (int64_t)step->stage->index));
	json_set(arena, note, "step", json_int(arena, step->stage->step_number));
	json_set(arena, note, "parent", json_str(arena, digest_str(arena, &step->stage->key)));
	for (size_t i = 0; i < step->inputs.count; i++) {
		json_push(arena, inputs, json_str(arena, step->inputs.items[i].name));
		json_push(arena, inputs, json_str(arena, step->inputs.items[i].value));
	}
	json_set(arena, note, "inputs", inputs);
	return note;
}

static bool has_same_inputs(const struct json *note, const struct inputs *inputs)
{
	const struct json *list = json_get(note, "inputs");
	if (!list || list->type != JSON_ARRAY || list->count != 2 * inputs->count)
		return false;
	for (size_t i = 0; i < inputs->count; i++)
		if (!text_equal(list->items[2 * i]->text, inputs->items[i].name) ||
		    !text_equal(list->items[2 * i + 1]->text, inputs->items[i].value))
			return false;
	return true;
}

/* The step of the last build to compare with: one of the same stage with the same inputs, since steps may have been added
   or removed before it; else the one in the same place. */
static const struct json *find_last(const struct build *build, const struct step *step)
{
	const struct json *last = build->last_build, *in_place = NULL;
	for (size_t i = 0; last && last->type == JSON_ARRAY && i < last->count; i++) {
		const struct json *note = last->items[i];
		if (json_get_int(note, "stage", -1) != (int64_t)step->stage->index)
			continue;
		if (has_same_inputs(note, &step->inputs))
			return note;
		if (json_get_int(note, "step", -1) == step->stage->step_number)
			in_place = note;
	}
	return in_place;
}

/* ---- the files of a COPY ---- */

void explain_note_files(struct build *build, const struct digest *content, const struct strbuf *list)
{
	struct err err;
	if (store_note_put(build->store, "files", content, strbuf_str(list), list->len, &err) < 0)
		log_debug("note of files: %s", err.msg);
}

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');
	return end ? end + 1 : line + strlen(line);
}

/* Whether a list, "path<TAB>digest-mode\n" a line, has the path of a line like that. */
static bool lists_path(const char *list, const char *line)
{
	size_t len = strcspn(line, "\t") + 1;
	for (; *list; list = next_line(list))
		if (strncmp(list, line, len) == 0)
			return true;
	return false;
}

/* Both lists are in the order of copying: the first line that differs. */
static const char *first_difference(struct build *build, const char *old, const char *new)
{
	enum { SHOWN = 12 }; /* of a digest */
	const char *a = old, *b = new;
	while (*a && *b && next_line(a) - a == next_line(b) - b && strncmp(a, b, (size_t)(next_line(a) - a)) == 0) {
		a = next_line(a);
		b = next_line(b);
	}
	int a_len = (int)strcspn(a, "\t"), b_len = (int)strcspn(b, "\t");
	if (!*a && !*b)
		return NULL;
	if (*b && !lists_path(old, b))
		return arena_printf(build->arena, "%.*s is new", b_len, b);
	if (*a && !lists_path(new, a))
		return arena_printf(build->arena, "%.*s is gone", a_len, a);
	if (!*a || !*b || a_len != b_len || memcmp(a, b, (size_t)a_len) != 0)
		return "the files that it copies come in another order";
	const char *was = a + a_len + 1, *is = b + b_len + 1;
	if (*was == '-' || *is == '-' || strncmp(was, is, DIGEST_HEX) == 0)
		return arena_printf(build->arena, "%.*s has another type, mode or attribute", a_len, a);
	return arena_printf(build->arena, "%.*s changed (%.*s -> %.*s)", a_len, a, SHOWN, was, SHOWN, is);
}

/* What differs between the files of the last build and those that the step takes now. */
static const char *explain_files(struct build *build, const struct step *step, const char *last)
{
	static const char *const unknown = "the files that it copies changed";
	struct source source = tree_source(step->tree);
	scope_strbuf struct strbuf new = { 0 }, old = { 0 };
	struct digest digest;
	if (step_copies_from(step) || !step->tree || digest_parse(&digest, last, NULL) < 0 ||
	    store_note_get(build->store, "files", &digest, NOTE_MAX, &old, NULL) != 1 ||
	    copy_digest_list(&source, &step->plan, &digest, &new, EXPLAINED_FILES, NULL) < 0)
		return unknown;
	const char *difference = first_difference(build, strbuf_str(&old), strbuf_str(&new));
	return difference ? difference : unknown;
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

/* Names may stand there more than once (the words of a command): the same one is the one of the same rank. */
static const char *last_value(const struct json *inputs, const char *name, size_t rank)
{
	for (size_t i = 0; i + 1 < inputs->count; i += 2)
		if (text_equal(inputs->items[i]->text, name) && rank-- == 0)
			return inputs->items[i + 1]->text;
	return NULL;
}

static size_t count_before(const struct inputs *inputs, size_t end, const char *name)
{
	size_t count = 0;
	for (size_t i = 0; i < end; i++)
		count += strcmp(inputs->items[i].name, name) == 0;
	return count;
}

static const char *explain_input(struct build *build, const struct step *step, const struct input *now,
				 const char *last)
{
	if (!last)
		return arena_printf(build->arena, "%s is new: %s", now->name, short_value(build, now->value));
	if (strcmp(now->name, "files") == 0)
		return explain_files(build, step, last);
	if (strcmp(now->name, "from") == 0)
		return "the stage or image that it copies from changed";
	return arena_printf(build->arena, "%s changed: %s -> %s", now->name, short_value(build, last),
			    short_value(build, now->value));
}

static const char *explain_inputs(struct build *build, const struct step *step, const struct json *last)
{
	const struct inputs *inputs = &step->inputs;
	for (size_t i = 0; i < inputs->count; i++) {
		const struct input *now = &inputs->items[i];
		const char *value = last_value(last, now->name, count_before(inputs, i, now->name));
		if (!text_equal(value, now->value))
			return explain_input(build, step, now, value);
	}
	for (size_t i = 0; i + 1 < last->count; i += 2) {
		const char *name = last->items[i]->text;
		size_t rank = 0;
		for (size_t j = 0; j < i; j += 2)
			rank += text_equal(last->items[j]->text, name);
		if (name && count_before(inputs, inputs->count, name) <= rank)
			return arena_printf(build->arena, "%s is gone", name);
	}
	return NULL;
}

static const char *explain_difference(struct build *build, const struct step *step, const struct json *last)
{
	const struct json *inputs = json_get(last, "inputs");
	char parent[DIGEST_TEXT + 1];
	const char *why = inputs && inputs->type == JSON_ARRAY ? explain_inputs(build, step, inputs) : NULL;
	if (why)
		return why;
	if (!text_equal(json_get_str(last, "parent"), digest_text(&step->stage->key, parent)))
		return digest_equal(&step->stage->key, &step->stage->base_key)
			       ? "the image or stage that it stands on changed"
			       : "the step before it changed";
	return "what it needs was made anew, its layer is not in the store any more, or the last build did not finish "
	       "it";
}

static const char *uncached_why(const struct build *build)
{
	return build->spec->no_cache ? "--no-cache was given" : "--no-cache-filter names its stage";
}

void explain_step(struct build *build, struct step *step, bool is_hit)
{
	json_push(build->arena, build->this_build, step_note(build, step));
	if (is_hit || !build->spec->explain)
		return;
	const struct json *last = find_last(build, step);
	const char *why = step->stage->is_uncached ? uncached_why(build)
			  : !last                  ? "there is no earlier build of this step to compare with"
						   : explain_difference(build, step, last);
	build_emit(build, step, BUILD_STEP_EXPLAINED, why, strlen(why));
}
