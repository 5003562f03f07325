/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"

/* A whole file: the limits, both passes, and the stages. */

struct node_list {
	struct node *items;
	size_t count;
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
static int read_heredocs(struct arena *arena, struct line_reader *reader, struct node *node, struct err *err)
{
	if (!node->takes_heredocs || !strstr(node->line, "<<"))
		return 0;
	if (heredocs_from_line(arena, node->line, &node->heredocs, &node->heredoc_count, err) < 0)
		return -1;
	int result = heredocs_read(reader, node->heredocs, node->heredoc_count, err);
	node->last_line = reader->line;
	return result;
}

static int read_nodes(struct arena *arena, struct dockerfile *file, struct node_list *nodes,
		      struct dockerfile_place *place, struct err *err)
{
	scope_line_reader struct line_reader reader;
	struct logical_line line;
	int found;

	line_reader_init(&reader, arena, file->source, file->source_len);
	while ((found = line_reader_next(&reader, &line, place, err)) > 0) {
		if (line.has_empty_continuation) {
			struct dockerfile_warning *warning = ARENA_PUSH(arena, file->warnings, file->warning_count);
			warning->line = line.last_line;
			warning->rule = "NoEmptyContinuation";
			warning->message = arena_printf(arena, "Empty continuation line found in: %s", line.text.ptr);
		}
		struct node *node = ARENA_PUSH(arena, nodes->items, nodes->count);
		int result = node_parse(arena, &line, reader.escape, node, err);
		if (result == 0)
			result = read_heredocs(arena, &reader, node, err);
		if (result < 0)
			return at(place, node->first_line, reader.line);
	}
	file->escape = reader.escape;
	if (found == 0 && nodes->count == 0) {
		err_set(err, ERR_INPUT, "file with no instructions");
		return at(place, reader.line, reader.line);
	}
	return found;
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

static int build_stages(struct arena *arena, struct dockerfile *file, const struct node_list *nodes,
			struct dockerfile_place *place, struct err *err)
{
	struct instruction *instructions = arena_array(arena, struct instruction, nodes->count);

	for (size_t i = 0; i < nodes->count; i++) {
		const struct node *node = &nodes->items[i];
		if (instruction_from_node(arena, node, &instructions[i], err) < 0) {
			err_wrap(err, "dockerfile parse error on line %d", node->first_line);
			return at(place, node->first_line, node->last_line);
		}
		bool needs_stage = node->kind != INSTRUCTION_FROM && node->kind != INSTRUCTION_ARG;
		if (needs_stage && file->stage_count == 0) {
			err_set(err, ERR_INPUT, "no build stage in current context");
			return at(place, node->first_line, node->last_line);
		}
		add_instruction(arena, file, &instructions[i]);
	}
	if (file->stage_count > 0)
		return 0;
	err_set(err, ERR_INPUT, "dockerfile contains no stages to build");
	return at(place, 0, 0);
}

struct dockerfile *dockerfile_parse(struct arena *arena, const char *name, const char *text, size_t len,
				    struct dockerfile_place *place, struct err *err)
{
	struct node_list nodes = { 0 };

	if (check_text(text, len, place, err) < 0)
		return NULL;
	struct dockerfile *file = arena_new(arena, struct dockerfile);
	file->name = arena_strdup(arena, name);
	file->source = arena_strndup(arena, text, len);
	file->source_len = len;
	file->syntax = directive_find(arena, text, len, "syntax");
	file->check = directive_find(arena, text, len, "check");
	if (read_nodes(arena, file, &nodes, place, err) < 0 || build_stages(arena, file, &nodes, place, err) < 0)
		return NULL;
	return file;
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

struct instruction *dockerfile_parse_trigger(struct arena *arena, const char *text, struct err *err)
{
	struct node_list nodes = { 0 };
	struct dockerfile_place place;
	struct dockerfile file = { .source = text, .source_len = strlen(text) };

	if (check_text(text, file.source_len, &place, err) < 0 || read_nodes(arena, &file, &nodes, &place, err) < 0)
		return NULL;
	if (nodes.count != 1) {
		err_set(err, ERR_INPUT, "onbuild trigger should be a single expression");
		return NULL;
	}
	struct instruction *instruction = arena_new(arena, struct instruction);
	if (check_trigger(&nodes.items[0], err) < 0 ||
	    instruction_from_node(arena, &nodes.items[0], instruction, err) < 0)
		return NULL;
	return instruction;
}
