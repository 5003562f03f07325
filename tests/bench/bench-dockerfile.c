/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/dockerfile/dockerfile.h"
#include "kiln/dockerfile/expand.h"
#include "kiln/dockerfile/lint.h"
#include "kiln/dockerfile/match.h"

/* Prints how long the dockerfile module takes for large inputs. The figures are for people: nothing is asserted. */

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print(const char *what, double time)
{
	printf("%-60s %9.2f ms\n", what, time * 1e3);
}

static void report(const char *what, double since)
{
	print(what, seconds() - since);
}

static void add(struct strbuf *text, const char *part, size_t count)
{
	for (size_t i = 0; i < count; i++)
		strbuf_addstr(text, part);
}

static double parse(const struct strbuf *text)
{
	scope_arena struct arena arena = { 0 };
	struct dockerfile_place place;
	struct err err = { 0 };
	double since = seconds();

	if (!dockerfile_parse(&arena, "Dockerfile", strbuf_str(text), text->len, &place, &err))
		printf("%s\n", err.msg);
	return seconds() - since;
}

/* The best of ten: the first runs pay for memory that the process does not have yet. */
static void bench_parse(const char *what, const char *part, size_t count)
{
	scope_strbuf struct strbuf text = { 0 };
	double best = 1e9;

	strbuf_addstr(&text, "FROM alpine\n");
	add(&text, part, count);
	for (unsigned i = 0; i < 10; i++) {
		double time = parse(&text);
		best = time < best ? time : best;
	}
	print(what, best);
}

/* The checks of the text alone. */
static void bench_lint(const char *what, const char *part, size_t count)
{
	scope_strbuf struct strbuf text = { 0 };
	scope_arena struct arena arena = { 0 };
	struct dockerfile_place place;
	struct err err = { 0 };
	struct lint lint;

	strbuf_addstr(&text, "FROM alpine\n");
	add(&text, part, count);
	struct dockerfile *file = dockerfile_parse(&arena, "Dockerfile", strbuf_str(&text), text.len, &place, &err);
	double since = seconds();
	if (!file || lint_init(&lint, &arena, NULL, &err) < 0) {
		printf("%s\n", err.msg);
		return;
	}
	for (size_t i = 0; i < file->stage_count; i++) {
		lint_run(&lint, LINT_PARSED, &(struct lint_facts){ .instruction = file->stages[i].from });
		for (size_t j = 0; j < file->stages[i].count; j++)
			lint_run(&lint, LINT_PARSED,
				 &(struct lint_facts){ .instruction = &file->stages[i].instructions[j] });
	}
	lint_run(&lint, LINT_FILE, &(struct lint_facts){ .file = file });
	lint_sort(&lint);
	report(what, since);
	printf("%60s %9zu warnings\n", "", lint.count);
}

static const char *lookup(void *arg, const char *name, size_t len)
{
	const char *const *values = arg;

	return len == 1 && *name == 'v' ? values[0] : len == 1 && *name == 'p' ? values[1] : NULL;
}

static void bench_expand(const char *what, const char *value, const char *pattern, const char *word)
{
	scope_arena struct arena arena = { 0 };
	const char *values[] = { value, pattern };
	struct expander expander = { .escape = '\\', .lookup = lookup, .arg = values };
	struct err err = { 0 };
	double since = seconds();

	if (!expand_word(&arena, &expander, word, &err))
		printf("%s: %s\n", what, err.msg);
	report(what, since);
}

static void expand_all(void)
{
	scope_strbuf struct strbuf text = { 0 }, stars = { 0 }, long_stars = { 0 };

	add(&text, "a", 65536);
	add(&stars, "*a", 60);
	add(&long_stars, "*a", 2000);
	const char *value = strbuf_str(&text);
	bench_expand("expand: ${v#*a*a...*b}, 60 stars, 64 KiB", value, strbuf_str(&stars), "${v#$p*b}");
	bench_expand("expand: ${v//*a*a...*b/x}, 60 stars, 64 KiB", value, strbuf_str(&stars), "${v//$p*b/x}");
	bench_expand("expand: ${v%%b*a*a...}, 2000 stars, 64 KiB", value, strbuf_str(&long_stars), "${v%%b$p}");
	bench_expand("expand: ${v//a/bc}, 64 KiB", value, "", "${v//a/bc}");
}

/* A tree of 200 directories of 1,000 files, walked as the context is. */
static void bench_ignore(const char *what, const struct strbuf *rules, unsigned directories, unsigned files)
{
	scope_arena struct arena arena = { 0 };
	struct err err = { 0 };
	size_t excluded = 0, count = 0;
	char path[256];
	double since = seconds();
	struct ignore *ignore = ignore_parse(&arena, strbuf_str(rules), rules->len, &err);

	if (!ignore) {
		printf("%s: %s\n", what, err.msg);
		return;
	}
	struct ignore_state root = ignore_root(ignore);
	for (unsigned i = 0; i < directories; i++) {
		int len = snprintf(path, sizeof(path), "module-%u/src", i);
		struct ignore_state state = ignore_child(ignore, &root, path, NULL);
		for (unsigned j = 0; j < files; j++) {
			snprintf(path + len, sizeof(path) - (size_t)len, "/component_%u.%s", j, j % 3 ? "c" : "o");
			excluded += ignore_child(ignore, &state, path, NULL).excluded;
			count++;
		}
	}
	report(what, since);
	printf("%60s %9zu of %zu excluded\n", "", excluded, count);
}

static void ignore_all(void)
{
	static const char *const forms[] = { "dir%u/file", "**/name%u",      "*.ext%u",
					     "**/*.o%u",   "module-%u/**/x", "!keep%u" };
	scope_strbuf struct strbuf rules = { 0 };

	for (unsigned i = 0; i < 500; i++) {
		strbuf_addf(&rules, forms[i % ARRAY_LEN(forms)], i);
		strbuf_addch(&rules, '\n');
	}
	strbuf_addstr(&rules, "**/*.o\n");
	bench_ignore("ignore: 501 rules, 200,000 paths", &rules, 200, 1000);
	for (unsigned i = 500; i < 5000; i++) {
		strbuf_addf(&rules, forms[i % ARRAY_LEN(forms)], i);
		strbuf_addch(&rules, '\n');
	}
	bench_ignore("ignore: 5,001 rules, 500,000 paths", &rules, 500, 1000);
}

int main(void)
{
	bench_parse("parse: 10,000 lines of RUN", "RUN apt-get update && apt-get install -y x\n", 10000);
	bench_parse("parse: 10,000 lines, mixed",
		    "# comment\nENV a=\"b c\" d=e\nCOPY --from=x --chown=a:b a b /c/\nCMD [\"a\", \"b c\"]\n"
		    "RUN x \\\n  && y\n",
		    1666);
	bench_parse("parse: 10,000 lines of ENV", "ENV PATH=/usr/local/bin:$PATH name=\"a value\"\n", 10000);
	bench_parse("parse: 10,000 instructions with a heredoc", "RUN <<E\nx\nE\n", 10000);
	bench_parse("parse: one instruction of 10,000 lines", "RUN x \\\n", 10000);
	bench_lint("lint: 10,000 lines of RUN", "RUN apt-get update && apt-get install -y x\n", 10000);
	bench_lint("lint: 20,000 stages of one name, in two cases", "from a AS B\nFROM b as b\n", 10000);
	expand_all();
	ignore_all();
	return 0;
}
