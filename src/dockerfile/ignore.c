/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "ignore.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/dockerfile/match.h"

/* moby/patternmatcher's MatchesOrParentMatches, and its ignorefile reader. */

struct ignore {
	struct program program;
	struct runner *runner;
	bool can_reinclude;
	bool excludes_all;
};

static struct ignore *finish(struct arena *arena, struct ignore *ignore)
{
	for (size_t i = 0; i < ignore->program.pattern_count; i++)
		ignore->can_reinclude = ignore->can_reinclude || ignore->program.reincludes[i];
	if (ignore->program.pattern_count > 0)
		ignore->runner = runner_new(arena, &ignore->program);
	return ignore;
}

/* A pattern that leaves nothing of the root. */
static void note_pattern(struct ignore *ignore, const char *pattern)
{
	static const char *const all[] = { "*", "**", "**/*" };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		ignore->excludes_all = ignore->excludes_all || strcmp(pattern, all[i]) == 0;
}

struct ignore *ignore_new(struct arena *arena, const char *const *patterns, size_t count, struct err *err)
{
	struct ignore *ignore = arena_new(arena, struct ignore);

	for (size_t i = 0; i < count; i++)
		if (program_add(arena, &ignore->program, patterns[i], err) < 0)
			return NULL;
	return finish(arena, ignore);
}

/* A line as the ignorefile reader passes it on. "!" alone stays, to be refused. */
static const char *clean_line(struct arena *arena, struct slice line)
{
	line = slice_trim(line);
	bool is_inverted = slice_starts(line, "!");
	if (is_inverted)
		line = slice_trim(slice_skip(line, 1));
	if (line.len == 0)
		return is_inverted ? "!" : "";
	const char *clean = path_go_clean(arena, slice_copy(arena, line));
	clean += clean[0] == '/' && clean[1];
	return is_inverted ? arena_printf(arena, "!%s", clean) : clean;
}

static int add_lines(struct arena *arena, struct ignore *ignore, const char *text, size_t len, struct err *err)
{
	struct line_reader reader;
	struct slice line;

	line_reader_init(&reader, arena, text, len);
	while (line_reader_raw(&reader, &line)) {
		if (slice_starts(line, "#"))
			continue;
		if (memchr(line.ptr, '\0', line.len)) {
			err_set(err, ERR_INPUT, "a NUL character in a pattern");
			return err_wrap(err, "line %d", reader.line);
		}
		const char *pattern = clean_line(arena, line);
		if (program_add(arena, &ignore->program, pattern, err) < 0)
			return err_wrap(err, "line %d", reader.line);
		note_pattern(ignore, pattern);
	}
	return 0;
}

struct ignore *ignore_parse(struct arena *arena, const char *text, size_t len, struct err *err)
{
	struct ignore *ignore = arena_new(arena, struct ignore);

	if (!text)
		return ignore;
	if (len > DOCKERFILE_MAX) {
		err_set(err, ERR_INPUT, "the ignore file is larger than %zu bytes", DOCKERFILE_MAX);
		return NULL;
	}
	if (add_lines(arena, ignore, text, len, err) < 0)
		return NULL;
	return finish(arena, ignore);
}

bool ignore_has_exceptions(const struct ignore *ignore)
{
	return ignore->can_reinclude;
}

bool ignore_excludes_all(const struct ignore *ignore)
{
	return ignore->excludes_all;
}

size_t ignore_count(const struct ignore *ignore)
{
	return ignore->program.pattern_count;
}

struct ignore_state ignore_root(const struct ignore *ignore)
{
	(void)ignore;
	return (struct ignore_state){ 0, false };
}

static struct ignore_state child(const struct ignore *ignore, const struct ignore_state *parent, struct slice path)
{
	if (!ignore->runner)
		return *parent;
	struct run_result result = runner_run(ignore->runner, path);
	if (result.matched <= parent->last)
		return *parent;
	return (struct ignore_state){ result.matched, !ignore->program.reincludes[result.matched - 1] };
}

struct ignore_state ignore_child(const struct ignore *ignore, const struct ignore_state *parent, const char *path,
				 struct arena *arena)
{
	(void)arena;
	return child(ignore, parent, SLICE(path));
}

bool ignore_matches(const struct ignore *ignore, const char *path)
{
	struct ignore_state state = ignore_root(ignore);
	struct slice whole = SLICE(path);

	if (!*path || strcmp(path, ".") == 0)
		return false;
	for (size_t i = 1; i <= whole.len; i++)
		if (i == whole.len || path[i] == '/')
			state = child(ignore, &state, (struct slice){ path, i });
	return state.excluded;
}

bool ignore_must_descend(const struct ignore *ignore, const struct ignore_state *state, const char *path)
{
	scope_strbuf struct strbuf below = { 0 };

	if (!state->excluded)
		return true;
	if (!ignore->can_reinclude)
		return false;
	strbuf_addf(&below, "%s/", path);
	return runner_run(ignore->runner, (struct slice){ strbuf_str(&below), below.len }).alive > state->last;
}
