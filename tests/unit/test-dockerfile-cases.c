/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dockerfile-dump.h"
#include "kiln/base/file.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/dockerfile/dockerfile.h"
#include "kiln/dockerfile/expand.h"
#include "kiln/dockerfile/expose.h"
#include "kiln/dockerfile/lint.h"
#include "kiln/dockerfile/match.h"

/* Runs tests/dockerfile/ *.case: one cmocka test for each case. Their language is in tests/dockerfile/README.md. */

struct variable {
	const char *name, *value;
};

/* What the statements of a case work on. */
struct state {
	struct arena arena;
	const char *where; /* file and case, for messages */
	char escape;
	struct variable *variables;
	size_t variable_count;
	struct strbuf unset;
	struct strbuf expected, actual; /* of the last dockerfile block */
	bool has_file;
	struct ignore *ignore;
};

struct test_case {
	const char *name;
	const char *const *lines;
	size_t count;
};

/* ---- text ---- */

static const char *unescape(struct arena *arena, const char *text)
{
	scope_strbuf struct strbuf out = { 0 };
	static const char *const names = "n\nt\tr\rv\vf\f\\\\";

	for (; *text; text++) {
		unsigned code;
		const char *name = names;
		if (*text != '\\') {
			strbuf_addch(&out, *text);
			continue;
		}
		text++;
		while (*name && *name != *text)
			name += 2;
		if (*text == 'x' && sscanf(text + 1, "%2x", &code) == 1) {
			strbuf_addch(&out, (char)code);
			text += 2;
		} else {
			assert_true(*name);
			strbuf_addch(&out, name[1]);
		}
	}
	return arena_memdup(arena, strbuf_str(&out), out.len + 1);
}

/* ---- dockerfile blocks ---- */

static void lint_parsed(void *arg, const struct instruction *instruction)
{
	lint_run(arg, LINT_PARSED, &(struct lint_facts){ .instruction = instruction });
}

static void add_line(void *arg, const struct instruction *instruction)
{
	dump_instruction(arg, instruction);
}

static void parse_file(struct state *state, const char *text, size_t len)
{
	struct err err = { 0 };
	struct dockerfile_place place = { 0 };
	struct dockerfile *file = dockerfile_parse(&state->arena, "Dockerfile", text, len, &place, &err);

	state->has_file = true;
	if (!file) {
		strbuf_addf(&state->actual, "fails %d-%d %s\n", place.first_line, place.last_line, err.msg);
		return;
	}
	dump_each(file, add_line, &state->actual);
	for (size_t i = 0; i < file->warning_count; i++)
		strbuf_addf(&state->actual, "warns %d %s %s\n", file->warnings[i].line, file->warnings[i].rule,
			    file->warnings[i].message);
	if (file->escape != '\\')
		strbuf_addf(&state->actual, "escape %c\n", file->escape);
	if (file->syntax)
		strbuf_addf(&state->actual, "syntax %s\n", file->syntax);
	if (file->check)
		strbuf_addf(&state->actual, "check %s\n", file->check);
}

/* The checks of the text: those of a file with an error count up to there. */
static void lint_file(struct state *state, const char *text, size_t len)
{
	struct err err = { 0 };
	struct dockerfile_place place = { 0 };
	struct dockerfile_failure failure;
	struct lint lint;
	struct dockerfile *file = dockerfile_parse_more(&state->arena, "Dockerfile", text, len, &place, &failure, &err);
	const struct dockerfile *known = file ? file : failure.file;

	state->has_file = true;
	if (!file)
		strbuf_addf(&state->actual, "fails %d-%d %s\n", place.first_line, place.last_line, err.msg);
	if (!known)
		return;
	if (lint_init(&lint, &state->arena, known->check, &err) < 0) {
		strbuf_addf(&state->actual, "fails 0-0 %s\n", err.msg);
		return;
	}
	lint_run(&lint, LINT_LINES, &(struct lint_facts){ .file = known });
	dump_each(known, lint_parsed, &lint);
	if (file)
		lint_run(&lint, LINT_FILE, &(struct lint_facts){ .file = file });
	lint_sort(&lint);
	for (size_t i = 0; i < lint.count; i++)
		strbuf_addf(&state->actual, "warns %d-%d %s %s\n", lint.warnings[i].first_line,
			    lint.warnings[i].last_line, lint.warnings[i].rule->name, lint.warnings[i].detail);
	if (lint_violation(&lint))
		strbuf_addf(&state->actual, "fails 0-0 %s\n", lint_violation(&lint));
}

/* What the statements behind a block expect is compared when the next block or the end of the case comes. */
static void finish_file(struct state *state)
{
	if (state->has_file && strcmp(strbuf_str(&state->expected), strbuf_str(&state->actual)) != 0)
		fail_msg("%s\n--- expected\n%s--- got\n%s---", state->where, strbuf_str(&state->expected),
			 strbuf_str(&state->actual));
	strbuf_reset(&state->expected);
	strbuf_reset(&state->actual);
	state->has_file = false;
}

static void take_file(struct state *state, const char *options, const char *const *lines, size_t count)
{
	scope_strbuf struct strbuf text = { 0 };
	void (*take)(struct state * state, const char *text, size_t len) = *options == 'l' ? lint_file : parse_file;
	bool is_escaped = strstr(options, "escaped"), has_last = !strstr(options, "noeol");

	finish_file(state);
	for (size_t i = 0; i < count; i++)
		strbuf_addf(&text, "%s%s", lines[i], has_last || i + 1 < count ? "\n" : "");
	if (!is_escaped) {
		take(state, strbuf_str(&text), text.len);
		return;
	}
	/* A NUL of \x00 must not end the text, so lines are unescaped one at a time into memory with a length. */
	scope_strbuf struct strbuf bytes = { 0 };
	for (const char *p = strbuf_str(&text); *p; p++) {
		if (strncmp(p, "\\x00", 4) == 0) {
			strbuf_addch(&bytes, '\0');
			p += 3;
			continue;
		}
		char one[5] = { p[0], 0, 0, 0, 0 };
		size_t len = p[0] != '\\' ? 1 : p[1] == 'x' ? 4 : 2;
		memcpy(one, p, len);
		strbuf_addstr(&bytes, unescape(&state->arena, one));
		p += len - 1;
	}
	take(state, strbuf_str(&bytes), bytes.len);
}

/* ---- ignore blocks ---- */

static void take_ignore(struct state *state, const char *const *lines, size_t count, bool is_list)
{
	scope_strbuf struct strbuf text = { 0 };
	struct err err = { 0 };

	finish_file(state);
	state->has_file = true; /* so that an error that nobody expects fails the case */
	for (size_t i = 0; i < count; i++)
		strbuf_addf(&text, "%s\n", lines[i]);
	state->ignore = is_list ? ignore_new(&state->arena, lines, count, &err)
				: ignore_parse(&state->arena, strbuf_str(&text), text.len, &err);
	if (!state->ignore)
		strbuf_addf(&state->actual, "fails 0-0 %s\n", err.msg);
}

static struct ignore_state walk(const struct ignore *ignore, struct arena *arena, const char *path)
{
	struct ignore_state state = ignore_root(ignore);

	for (const char *p = path;; p++) {
		if (*p && *p != '/')
			continue;
		state = ignore_child(ignore, &state, arena_strndup(arena, path, (size_t)(p - path)), NULL);
		if (!*p)
			return state;
	}
}

static const char *do_path(struct state *state, const char *path, struct err *err)
{
	(void)err;
	bool walked = walk(state->ignore, &state->arena, path).excluded;
	if (walked != ignore_matches(state->ignore, path))
		fail_msg("%s: %s: a walk and the path alone differ", state->where, path);
	return walked ? "ignored" : "kept";
}

static const char *do_descend(struct state *state, const char *path, struct err *err)
{
	(void)err;
	struct ignore_state at = walk(state->ignore, &state->arena, path);
	return ignore_must_descend(state->ignore, &at, path) ? "yes" : "no";
}

/* ---- statements with a result ---- */

static const char *lookup(void *arg, const char *name, size_t len)
{
	struct state *state = arg;

	for (size_t i = state->variable_count; i > 0; i--) {
		const struct variable *variable = &state->variables[i - 1];
		if (strlen(variable->name) == len && memcmp(variable->name, name, len) == 0)
			return variable->value;
	}
	return NULL;
}

static void note_unset(void *arg, const char *name, size_t len)
{
	struct state *state = arg;

	strbuf_addch(&state->unset, ' ');
	strbuf_add(&state->unset, name, len);
}

static struct expander expander(struct state *state)
{
	strbuf_reset(&state->unset);
	return (struct expander){ state->escape, lookup, state, note_unset };
}

static const char *do_word(struct state *state, const char *text, struct err *err)
{
	struct expander with = expander(state);
	return expand_word(&state->arena, &with, text, err);
}

static const char *do_raw(struct state *state, const char *text, struct err *err)
{
	struct expander with = expander(state);
	return expand_raw(&state->arena, &with, text, err);
}

static const char *join(struct arena *arena, const char *const *words, size_t count, bool with_brackets)
{
	scope_strbuf struct strbuf out = { 0 };

	for (size_t i = 0; i < count; i++)
		strbuf_addf(&out, with_brackets ? "%s[%s]" : "%s%s", i ? " " : "", words[i]);
	return arena_strdup(arena, strbuf_str(&out));
}

static const char *do_words(struct state *state, const char *text, struct err *err)
{
	struct expander with = expander(state);
	const char **words;
	size_t count;

	if (expand_words(&state->arena, &with, text, &words, &count, err) < 0)
		return NULL;
	assert_null(words[count]);
	return join(&state->arena, words, count, true);
}

static const char *do_unset(struct state *state, const char *text, struct err *err)
{
	struct expander with = expander(state);

	if (!expand_word(&state->arena, &with, text, err))
		return NULL;
	return arena_strdup(&state->arena, state->unset.len ? state->unset.ptr + 1 : "");
}

static const char *do_expose(struct state *state, const char *text, struct err *err)
{
	const char **ports, **words = NULL;
	size_t port_count, count = 0;
	char *rest = arena_strdup(&state->arena, text), *word;

	while ((word = strsep(&rest, " ")))
		*ARENA_PUSH(&state->arena, words, count) = word;
	if (expose_ports(&state->arena, words, count, &ports, &port_count, err) < 0)
		return NULL;
	return join(&state->arena, ports, port_count, false);
}

static const char *do_signal(struct state *state, const char *text, struct err *err)
{
	(void)state;
	return stopsignal_check(text, err) < 0 ? NULL : "ok";
}

/* PATTERN PATH, or 'PATTERN' PATH if it holds blanks. */
static const char *do_match(struct state *state, const char *text, struct err *err)
{
	const char *blank = strrchr(text, ' ');

	assert_non_null(blank);
	char *pattern = arena_strndup(&state->arena, text, (size_t)(blank - text));
	int matched = path_match(pattern, strcmp(blank + 1, "''") == 0 ? "" : blank + 1, err);
	return matched < 0 ? NULL : matched ? "yes" : "no";
}

static const char *do_pattern(struct state *state, const char *text, struct err *err)
{
	(void)state, (void)err;
	return path_is_pattern(text) ? "yes" : "no";
}

static const char *do_trigger(struct state *state, const char *text, struct err *err)
{
	scope_strbuf struct strbuf out = { 0 };
	struct instruction *instruction = dockerfile_parse_trigger(&state->arena, text, err);

	if (!instruction)
		return NULL;
	dump_body(&out, instruction);
	return arena_strdup(&state->arena, strbuf_str(&out));
}

static const struct statement {
	const char *keyword;
	const char *(*run)(struct state *state, const char *text, struct err *err);
} statements[] = {
	{ "word", do_word },     { "raw", do_raw },         { "words", do_words },     { "unset", do_unset },
	{ "expose", do_expose }, { "signal", do_signal },   { "match", do_match },     { "pattern", do_pattern },
	{ "path", do_path },     { "descend", do_descend }, { "trigger", do_trigger },
};

static const struct statement *find_statement(const char *line, const char **text, bool *is_escaped)
{
	size_t len = strcspn(line, " '");

	*is_escaped = line[len] == '\'';
	*text = line + len + *is_escaped;
	for (size_t i = 0; i < ARRAY_LEN(statements); i++)
		if (strlen(statements[i].keyword) == len && strncmp(statements[i].keyword, line, len) == 0)
			return &statements[i];
	return NULL;
}

/* INPUT => RESULT, or INPUT =! ERROR. */
static void run_statement(struct state *state, const struct statement *statement, const char *text, bool is_escaped)
{
	const char *arrow = strstr(text, " =>"), *bang = strstr(text, " =!");
	const char *mark = arrow && (!bang || arrow < bang) ? arrow : bang;
	struct err err = { 0 };

	assert_non_null(mark);
	text += text < mark; /* the blank behind the keyword */
	const char *input = arena_strndup(&state->arena, text, (size_t)(mark - text));
	const char *wanted = mark + 3 + (mark[3] == ' ');
	if (is_escaped) {
		input = unescape(&state->arena, input);
		wanted = unescape(&state->arena, wanted);
	}
	const char *result = statement->run(state, input, &err);
	if (!result && (mark != bang || strcmp(err.msg, wanted) != 0))
		fail_msg("%s\n%s %s\nwanted: %s\nerror:  %s", state->where, statement->keyword, input, wanted, err.msg);
	if (result && (mark == bang || strcmp(result, wanted) != 0))
		fail_msg("%s\n%s %s\nwanted: %s\ngot:    %s", state->where, statement->keyword, input, wanted, result);
	if (!result)
		assert_int_equal(err.kind, ERR_INPUT);
}

/* ---- a case ---- */

static void take_set(struct state *state, const char *text)
{
	const char *equals = strchr(text, '=');

	assert_non_null(equals);
	*ARENA_PUSH(&state->arena, state->variables, state->variable_count) = (struct variable){
		arena_strndup(&state->arena, text, (size_t)(equals - text)),
		equals + 1,
	};
}

static bool is_expectation(const char *line)
{
	static const char *const keywords[] = { "fails ", "warns ", "escape ", "syntax ", "check " };

	for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
		if (text_starts(line, keywords[i]))
			return true;
	return *line >= '0' && *line <= '9';
}

/* Lines up to "---". */
static size_t block_length(const struct test_case *test, size_t first)
{
	size_t count = 0;

	while (first + count < test->count && strcmp(test->lines[first + count], "---") != 0)
		count++;
	assert_true(first + count < test->count);
	return count;
}

static size_t run_line(struct state *state, const struct test_case *test, size_t i)
{
	const char *line = test->lines[i], *text;
	bool is_dockerfile = text_starts(line, "dockerfile") || strcmp(line, "lint") == 0;
	bool is_escaped;

	if (is_dockerfile || strcmp(line, "ignore") == 0 || strcmp(line, "patterns") == 0) {
		size_t count = block_length(test, i + 1);
		if (is_dockerfile)
			take_file(state, line, test->lines + i + 1, count);
		else
			take_ignore(state, test->lines + i + 1, count, *line == 'p');
		return count + 2;
	}
	const struct statement *statement = find_statement(line, &text, &is_escaped);
	if (statement)
		run_statement(state, statement, text, is_escaped);
	else if (text_starts(line, "set "))
		take_set(state, line + 4);
	else if (text_starts(line, "set' "))
		take_set(state, unescape(&state->arena, line + 5));
	else if (!state->has_file && text_starts(line, "escape "))
		state->escape = line[7];
	else if (is_expectation(line))
		strbuf_addf(&state->expected, "%s\n", line);
	else if (*line && *line != '#')
		fail_msg("%s: a line that nobody understands: %s", state->where, line);
	return 1;
}

static void run_case(void **cmocka_state)
{
	const struct test_case *test = *cmocka_state;
	struct state state = { .where = test->name, .escape = '\\' };

	for (size_t i = 0; i < test->count;)
		i += run_line(&state, test, i);
	finish_file(&state);
	strbuf_release(&state.expected);
	strbuf_release(&state.actual);
	strbuf_release(&state.unset);
	arena_release(&state.arena);
}

/* ---- all cases ---- */

struct suite {
	struct arena arena;
	struct CMUnitTest *tests;
	size_t count;
};

static void add_case(struct suite *suite, const char *path, const char *title, const char *const *lines, size_t count)
{
	struct test_case *test = arena_new(&suite->arena, struct test_case);

	test->name = arena_printf(&suite->arena, "%s: %s", path_base(path), title);
	test->lines = lines;
	test->count = count;
	*ARENA_PUSH(&suite->arena, suite->tests, suite->count) = (struct CMUnitTest){
		.name = test->name,
		.test_func = run_case,
		.initial_state = test,
	};
}

static void add_file(struct suite *suite, const char *path)
{
	scope_strbuf struct strbuf text = { 0 };
	struct err err = { 0 };
	const char **lines = NULL, *title = NULL;
	size_t count = 0, first = 0;

	if (file_read(AT_FDCWD, path, 1 << 20, &text, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		exit(1);
	}
	char *rest = arena_strdup(&suite->arena, strbuf_str(&text)), *line;
	while ((line = strsep(&rest, "\n")))
		*ARENA_PUSH(&suite->arena, lines, count) = line;
	for (size_t i = 0; i <= count; i++) {
		bool is_title = i == count || text_starts(lines[i], "=== ");
		if (!is_title)
			continue;
		if (title)
			add_case(suite, path, title, lines + first, i - first);
		title = i < count ? lines[i] + 4 : NULL;
		first = i + 1;
	}
}

int main(void)
{
	struct suite suite = { 0 };
	const char *root = getenv("srcdir") ? getenv("srcdir") : ".";
	glob_t found;

	if (glob(arena_printf(&suite.arena, "%s/tests/dockerfile/*.case", root), 0, NULL, &found) != 0) {
		fprintf(stderr, "%s/tests/dockerfile has no cases\n", root);
		return 1;
	}
	for (size_t i = 0; i < found.gl_pathc; i++)
		add_file(&suite, found.gl_pathv[i]);
	globfree(&found);
	int failed = _cmocka_run_group_tests("dockerfile cases", suite.tests, suite.count, NULL, NULL);
	arena_release(&suite.arena);
	return failed;
}
