/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "../unit/dockerfile-dump.h"
#include "kiln/base/text.h"
#include "kiln/dockerfile/dockerfile.h"
#include "kiln/dockerfile/lint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was parsed can be written, one logical line per instruction, and parses to the same again. */
struct writer {
	struct arena *arena;
	struct strbuf text;   /* the file written anew */
	struct strbuf bodies; /* what each instruction is, without its place and comment */
	char escape;
	bool is_faithful; /* nothing was met that one line cannot say */
};

/* A trimmed line that ends with an escape would continue. */
static bool would_continue(const char *line, char escape)
{
	size_t len = strlen(line);

	return len > 0 && line[len - 1] == escape && (len == 1 || line[len - 2] != escape);
}

/* A trigger keeps the blanks at the end of its line, which original does not have. */
static bool has_trimmed_trigger(struct arena *arena, const struct instruction *instruction)
{
	const char *trigger = instruction->trigger;

	return trigger && !text_ends(instruction->original, arena_strndup(arena, trigger, strcspn(trigger, "\n")));
}

static void check_words(const struct instruction *instruction)
{
	assert(instruction->words && !instruction->words[instruction->word_count]);
	for (size_t i = 0; i < instruction->word_count; i++)
		assert(instruction->words[i]);
	if (instruction->test)
		assert(!instruction->test[instruction->test_count]);
	for (size_t i = 0; i < instruction->heredoc_count; i++)
		assert(instruction->heredocs[i].body && instruction->heredocs[i].raw_body);
	assert(instruction->text && instruction->original);
	assert(instruction->first_line >= 1 && instruction->last_line >= instruction->first_line);
}

static void write_instruction(void *arg, const struct instruction *instruction)
{
	struct writer *writer = arg;
	struct instruction copy = *instruction;
	bool is_copy = instruction->kind == INSTRUCTION_COPY || instruction->kind == INSTRUCTION_ADD;

	check_words(instruction);
	copy.comment = NULL;
	dump_body(&writer->bodies, &copy);
	strbuf_addch(&writer->bodies, '\n');
	strbuf_addf(&writer->text, "%s\n", instruction->original);
	/* COPY keeps the heredocs of its words, which quotes can make others than those of the line. */
	if (would_continue(instruction->original, writer->escape) || (is_copy && strstr(instruction->original, "<<")) ||
	    has_trimmed_trigger(writer->arena, instruction))
		writer->is_faithful = false;
	for (size_t i = 0; i < instruction->heredoc_count; i++)
		strbuf_addf(&writer->text, "%s%s\n", instruction->heredocs[i].raw_body, instruction->heredocs[i].name);
}

static void write_file(struct writer *writer, const struct dockerfile *file)
{
	writer->escape = file->escape;
	if (file->escape != '\\')
		strbuf_addf(&writer->text, "# escape=%c\n", file->escape);
	dump_each(file, write_instruction, writer);
}

static void check_file(struct arena *arena, const struct dockerfile *file)
{
	struct writer first = { .arena = arena, .is_faithful = true }, second = first;
	struct dockerfile_place place;

	write_file(&first, file);
	if (first.is_faithful && first.text.len <= 1 << 20) {
		const struct dockerfile *again = dockerfile_parse(arena, "again", strbuf_str(&first.text),
								  first.text.len, &place, NULL);
		assert(again);
		write_file(&second, again);
		assert(strcmp(strbuf_str(&first.bodies), strbuf_str(&second.bodies)) == 0);
	}
	strbuf_release(&first.text);
	strbuf_release(&first.bodies);
	strbuf_release(&second.text);
	strbuf_release(&second.bodies);
}

static void lint_instruction(void *arg, const struct instruction *instruction)
{
	const struct lint_unset unset = { instruction->text, instruction->original };
	struct lint_facts facts = {
		.instruction = instruction,
		.unset = &unset,
		.unset_count = 1,
		.words = instruction->words,
		.word_count = instruction->word_count,
		.ignored = instruction->words,
		.ignored_count = instruction->word_count,
	};

	lint_run(arg, LINT_PARSED, &facts);
	if (instruction->kind == INSTRUCTION_FROM)
		lint_run(arg, LINT_FROM, &facts);
	else
		lint_run(arg, LINT_EVALUATED, &facts);
}

/* Each warning is at a line of the file and says something. */
static void check_lint(struct arena *arena, const struct dockerfile *file, const struct dockerfile_failure *failure)
{
	const struct dockerfile *known = file ? file : failure->file;
	struct lint lint;

	if (!known || lint_init(&lint, arena, known->check, NULL) < 0)
		return;
	lint_run(&lint, LINT_LINES, &(struct lint_facts){ .file = known });
	dump_each(known, lint_instruction, &lint);
	if (file)
		lint_run(&lint, LINT_FILE, &(struct lint_facts){ .file = file });
	lint_sort(&lint);
	for (size_t i = 0; i < lint.count; i++) {
		assert(lint.warnings[i].first_line >= 1 && *lint.warnings[i].detail);
		assert(lint.warnings[i].last_line >= lint.warnings[i].first_line);
		assert(i == 0 || lint.warnings[i].first_line >= lint.warnings[i - 1].first_line);
	}
	assert(!lint_violation(&lint) || lint.count > 0);
}

/* What the parser blames is a word; if it stands there as it was written, its columns are in the line. */
static void check_word(const char *text, size_t size, const struct dockerfile_place *place, const char *word)
{
	struct dockerfile_columns columns;
	struct arena arena = { 0 };

	if (word && dockerfile_find_word(text, size, place, word, &columns)) {
		assert(columns.line >= place->first_line && columns.line <= place->last_line);
		assert(columns.first >= 1 && columns.last >= columns.first);
		assert(dockerfile_excerpt_word(&arena, "x", text, size, place, &columns));
	}
	arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct dockerfile_place place = { 0 };
	struct err err = { 0 };
	const char *text = arena_memdup(&arena, data, size);
	struct dockerfile_failure failure;
	struct dockerfile *file = dockerfile_parse_more(&arena, "Dockerfile", text, size, &place, &failure, &err);

	check_lint(&arena, file, &failure);
	check_word(text, size, &place, failure.word);
	if (file) {
		check_file(&arena, file);
	} else {
		assert(err.kind == ERR_INPUT && *err.msg);
		for (const char *p = err.msg; *p; p++)
			assert((unsigned char)*p >= ' ');
		assert(dockerfile_excerpt(&arena, NULL, "Dockerfile", text, size, &place));
	}
	struct instruction *trigger = dockerfile_parse_trigger(&arena, arena_strndup(&arena, text, size), NULL);
	if (trigger)
		check_words(trigger);
	arena_release(&arena);
	return 0;
}
