/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"

/* A whole file: the limits, both passes, and the stages. */

/*
 * BuildKit parses all lines before it looks at the first instruction, so that an error of the second pass counts only
 * if there is none of the first anywhere. Here both passes run line by line, and that error is kept until the end.
 */
struct parser {
	struct arena *arena;
	struct dockerfile *file;
	struct line_reader reader;
	struct instruction *instructions;
	size_t count;     /* of nodes */
	bool is_complete; /* the first pass came to the end */
	bool has_failed;
	struct err late_err;
	struct dockerfile_place late_place;
	const char *late_word;
};

static int at(struct dockerfile_place *place, int first_line, int last_line)
{
	*place = (struct dockerfile_place){ first_line, last_line };
	return -1;
}

static int count_lines(const char *text, size_t len)
{
	int lines = 1;

	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	return lines;
}

static int check_text(const char *text, size_t len, struct dockerfile_place *place, struct err *err)
{
	bool is_utf16 = len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0);

	*place = (struct dockerfile_place){ 0, 0 };
	if (len == 0)
		return err_set(err, ERR_INPUT, "the Dockerfile cannot be empty");
	if (len > DOCKERFILE_MAX)
		return err_set(err, ERR_INPUT, "the Dockerfile is larger than %zu bytes", DOCKERFILE_MAX);
	if (is_utf16)
		return err_set(err, ERR_INPUT, "the Dockerfile is UTF-16 text: save it as UTF-8");
	const char *nul = memchr(text, '\0', len);
	if (!nul)
		return 0;
	int line = count_lines(text, (size_t)(nul - text));
	err_set(err, ERR_INPUT, "a NUL character on line %d", line);
	return at(place, line, line);
}

/* The bodies of heredocs come from behind the whole logical line. */
static int read_heredocs(struct parser *parser, struct node *node, struct err *err)
{
	if (!node->takes_heredocs || !strstr(node->line.ptr, "<<"))
		return 0;
	if (heredocs_from_line(parser->arena, node->line.ptr, &node->heredocs, &node->heredoc_count, err) < 0)
		return -1;
	int result = heredocs_read(&parser->reader, node->heredocs, node->heredoc_count, err);
	node->last_line = parser->reader.line;
	return result;
}

static void warn_empty_continuation(struct parser *parser, const struct logical_line *line)
{
	struct dockerfile *file = parser->file;
	struct dockerfile_warning *warning = ARENA_PUSH(parser->arena, file->warnings, file->warning_count);

	*warning = (struct dockerfile_warning){
		.line = line->last_line,
		.rule = "NoEmptyContinuation",
		.message = arena_printf(parser->arena, "Empty continuation line found in: %s", line->text.ptr),
	};
}

/* One line through the first pass. 1: a node; 0: the end; -1: an error. */
static int next_node(struct parser *parser, struct node *node, struct dockerfile_place *place, struct err *err)
{
	struct logical_line line;
	int found = line_reader_next(&parser->reader, &line, place, err);

	if (found <= 0)
		return found;
	if (line.has_empty_continuation)
		warn_empty_continuation(parser, &line);
	if (node_parse(parser->arena, &line, parser->reader.escape, node, err) < 0 ||
	    read_heredocs(parser, node, err) < 0)
		return at(place, line.first_line, parser->reader.line);
	parser->count++;
	return 1;
}

/* Stages point into one array of all instructions. */
static void add_instruction(struct arena *arena, struct dockerfile *file, struct instruction *instruction)
{
	if (instruction->kind == INSTRUCTION_FROM) {
		struct stage *stage = ARENA_PUSH(arena, file->stages, file->stage_count);
		*stage = (struct stage){ instruction, instruction->stage_name, instruction + 1, 0 };
	} else if (file->stage_count == 0) {
		file->global_args = file->global_arg_count ? file->global_args : instruction;
		file->global_arg_count++;
	} else {
		file->stages[file->stage_count - 1].count++;
	}
}

static int second_pass(struct parser *parser, const struct node *node, struct err *err)
{
	struct instruction *instruction = &parser->instructions[parser->count - 1];

	if (instruction_from_node(parser->arena, node, instruction, err) < 0)
		return err_wrap(err, "dockerfile parse error on line %d", node->first_line);
	bool needs_stage = node->kind != INSTRUCTION_FROM && node->kind != INSTRUCTION_ARG;
	if (needs_stage && parser->file->stage_count == 0)
		return err_set(err, ERR_INPUT, "no build stage in current context");
	add_instruction(parser->arena, parser->file, instruction);
	return 0;
}

/* An upper bound: only other lines can begin an instruction. Memory that stays untouched costs nothing. */
static size_t count_starts(const char *text, size_t len)
{
	size_t count = 0;

	for (const char *p = text, *end = text + len; p < end; p++) {
		count += *p != '\n' && *p != '#';
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p)
			break;
	}
	return count;
}

static int finish(struct parser *parser, struct dockerfile_place *place, struct err *err)
{
	parser->file->escape = parser->reader.escape;
	parser->is_complete = true;
	if (parser->count == 0) {
		err_set(err, ERR_INPUT, "file with no instructions");
		return at(place, parser->reader.line, parser->reader.line);
	}
	if (parser->has_failed) {
		if (err)
			*err = parser->late_err;
		return at(place, parser->late_place.first_line, parser->late_place.last_line);
	}
	if (parser->file->stage_count > 0)
		return 0;
	err_set(err, ERR_INPUT, "dockerfile contains no stages to build");
	return at(place, 0, 0);
}

static int run(struct parser *parser, struct dockerfile_place *place, struct err *err)
{
	struct node node;
	int found;

	while ((found = next_node(parser, &node, place, err)) > 0) {
		node.wrong = &parser->late_word;
		if (parser->has_failed || second_pass(parser, &node, &parser->late_err) == 0)
			continue;
		parser->has_failed = true;
		parser->late_place = (struct dockerfile_place){ node.first_line, node.last_line };
	}
	return found < 0 ? -1 : finish(parser, place, err);
}

struct dockerfile *dockerfile_parse(struct arena *arena, const char *name, const char *text, size_t len,
				    struct dockerfile_place *place, struct err *err)
{
	struct dockerfile_failure ignored;

	return dockerfile_parse_more(arena, name, text, len, place, &ignored, err);
}

struct dockerfile *dockerfile_parse_more(struct arena *arena, const char *name, const char *text, size_t len,
					 struct dockerfile_place *place, struct dockerfile_failure *failure,
					 struct err *err)
{
	*failure = (struct dockerfile_failure){ NULL, NULL };
	if (check_text(text, len, place, err) < 0)
		return NULL;
	struct dockerfile *file = arena_new(arena, struct dockerfile);
	file->name = arena_strdup(arena, name);
	file->source = arena_strndup(arena, text, len);
	file->source_len = len;
	file->syntax = directive_find(arena, text, len, "syntax");
	file->check = directive_find(arena, text, len, "check");
	struct parser parser = {
		.arena = arena,
		.file = file,
		.instructions = arena_array(arena, struct instruction, count_starts(text, len)),
	};
	line_reader_init(&parser.reader, arena, file->source, len);
	int result = run(&parser, place, err);
	line_reader_release(&parser.reader);
	if (result == 0)
		return file;
	if (parser.has_failed && parser.is_complete)
		*failure = (struct dockerfile_failure){ file, parser.late_word };
	return NULL;
}

static int check_trigger(const struct node *node, struct err *err)
{
	switch (node->kind) {
	case INSTRUCTION_ONBUILD:
		return err_set(err, ERR_INPUT, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
	case INSTRUCTION_FROM:
	case INSTRUCTION_MAINTAINER:
		return err_set(err, ERR_INPUT, "%s isn't allowed as an ONBUILD trigger",
			       instruction_name((enum instruction_kind)node->kind));
	default:
		return 0;
	}
}

/* The only node of a text. */
static int single_node(struct parser *parser, struct node *node, struct err *err)
{
	struct dockerfile_place place;
	struct node other;
	int found = next_node(parser, node, &place, err);

	if (found == 0)
		return err_set(err, ERR_INPUT, "file with no instructions");
	if (found > 0)
		found = next_node(parser, &other, &place, err);
	if (found > 0)
		return err_set(err, ERR_INPUT, "onbuild trigger should be a single expression");
	return found;
}

struct instruction *dockerfile_parse_trigger(struct arena *arena, const char *text, struct err *err)
{
	struct dockerfile file = { .source = text, .source_len = strlen(text) };
	struct parser parser = { .arena = arena, .file = &file };
	struct dockerfile_place place;
	struct node node;

	if (check_text(text, file.source_len, &place, err) < 0)
		return NULL;
	line_reader_init(&parser.reader, arena, text, file.source_len);
	int result = single_node(&parser, &node, err);
	line_reader_release(&parser.reader);
	struct instruction *instruction = arena_new(arena, struct instruction);
	if (result < 0 || check_trigger(&node, err) < 0 || instruction_from_node(arena, &node, instruction, err) < 0)
		return NULL;
	return instruction;
}
