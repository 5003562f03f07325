/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TESTS_UNIT_DOCKERFILE_DUMP_H
#define KILN_TESTS_UNIT_DOCKERFILE_DUMP_H

#include "kiln/base/strbuf.h"
#include "kiln/dockerfile/dockerfile.h"

/* An instruction as one line of text: the format is in tests/dockerfile/README.md. */

static inline void dump_string(struct strbuf *out, const char *text)
{
	static const char *const names = "\nn\tt\rr\\\\\"\"";

	strbuf_addch(out, '"');
	for (const char *p = text; *p; p++) {
		const char *name = names;
		while (*name && *name != *p)
			name += 2;
		if (*name)
			strbuf_addf(out, "\\%c", name[1]);
		else if ((unsigned char)*p < 0x20 || *p == 0x7f)
			strbuf_addf(out, "\\x%02x", (unsigned char)*p);
		else
			strbuf_addch(out, *p);
	}
	strbuf_addch(out, '"');
}

static inline void dump_field(struct strbuf *out, const char *name, const char *text)
{
	if (!text)
		return;
	strbuf_addf(out, " %s=", name);
	dump_string(out, text);
}

static inline void dump_number(struct strbuf *out, const char *name, int64_t number)
{
	if (number)
		strbuf_addf(out, " %s=%lld", name, (long long)number);
}

static inline void dump_flags(struct strbuf *out, const struct instruction *instruction)
{
	for (size_t i = 0; i < instruction->flag_count; i++) {
		strbuf_addf(out, " --%s", instruction->flags[i].name);
		if (!instruction->flags[i].has_value)
			continue;
		strbuf_addch(out, '=');
		dump_string(out, instruction->flags[i].value);
	}
}

static inline void dump_words(struct strbuf *out, const struct instruction *instruction)
{
	for (size_t i = 0; i < instruction->word_count; i++) {
		const struct heredoc *heredoc = instruction->word_heredocs ? instruction->word_heredocs[i] : NULL;
		strbuf_addch(out, ' ');
		if (heredoc)
			strbuf_addf(out, "@%zu", (size_t)(heredoc - instruction->heredocs));
		else
			dump_string(out, instruction->words[i]);
	}
}

static inline void dump_pairs(struct strbuf *out, const struct instruction *instruction)
{
	if (instruction->is_legacy_pair)
		strbuf_addstr(out, " legacy");
	for (size_t i = 0; i < instruction->pair_count; i++) {
		strbuf_addch(out, ' ');
		dump_string(out, instruction->pairs[i].key);
		if (!instruction->pairs[i].value)
			continue;
		strbuf_addch(out, '=');
		dump_string(out, instruction->pairs[i].value);
	}
}

static inline void dump_heredocs(struct strbuf *out, const struct instruction *instruction)
{
	for (size_t i = 0; i < instruction->heredoc_count; i++) {
		const struct heredoc *heredoc = &instruction->heredocs[i];
		strbuf_addstr(out, heredoc->chomp ? " <<-" : " <<");
		dump_string(out, heredoc->name);
		if (heredoc->fd >= 0)
			strbuf_addf(out, " fd=%d", heredoc->fd);
		if (!heredoc->expand)
			strbuf_addstr(out, " literal");
		dump_field(out, "body", heredoc->body);
		if (heredoc->chomp)
			dump_field(out, "raw", heredoc->raw_body);
	}
	if (instruction->is_heredoc_command)
		strbuf_addstr(out, " whole");
}

static inline void dump_health(struct strbuf *out, const struct instruction *instruction)
{
	for (size_t i = 0; i < instruction->test_count; i++) {
		strbuf_addch(out, ' ');
		dump_string(out, instruction->test[i]);
	}
	dump_number(out, "interval", instruction->interval_ns);
	dump_number(out, "timeout", instruction->timeout_ns);
	dump_number(out, "start-period", instruction->start_period_ns);
	dump_number(out, "start-interval", instruction->start_interval_ns);
	dump_number(out, "retries", instruction->retries);
}

static inline bool dump_is_shell_form(const struct instruction *instruction)
{
	return !instruction->is_json && (instruction->kind == INSTRUCTION_RUN || instruction->kind == INSTRUCTION_CMD ||
					 instruction->kind == INSTRUCTION_ENTRYPOINT);
}

static inline void dump_body(struct strbuf *out, const struct instruction *instruction)
{
	strbuf_addstr(out, instruction_name(instruction->kind));
	dump_flags(out, instruction);
	if (instruction->is_json)
		strbuf_addstr(out, " json");
	if (instruction->kind == INSTRUCTION_FROM) {
		dump_field(out, "base", instruction->base);
		dump_field(out, "as", instruction->stage_name);
		dump_field(out, "platform", instruction->platform);
	} else if (dump_is_shell_form(instruction)) {
		strbuf_addch(out, ' ');
		dump_string(out, instruction->text);
	} else {
		dump_words(out, instruction);
	}
	dump_pairs(out, instruction);
	dump_health(out, instruction);
	dump_heredocs(out, instruction);
	dump_field(out, "trigger", instruction->trigger);
	dump_field(out, "comment", instruction->comment);
}

static inline void dump_instruction(struct strbuf *out, const struct instruction *instruction)
{
	strbuf_addf(out, "%d", instruction->first_line);
	if (instruction->last_line != instruction->first_line)
		strbuf_addf(out, "-%d", instruction->last_line);
	strbuf_addstr(out, ": ");
	dump_body(out, instruction);
	strbuf_addch(out, '\n');
}

/* Each instruction of a file in order. */
static inline void dump_each(const struct dockerfile *file, void (*each)(void *arg, const struct instruction *),
			     void *arg)
{
	for (size_t i = 0; i < file->global_arg_count; i++)
		each(arg, &file->global_args[i]);
	for (size_t i = 0; i < file->stage_count; i++) {
		each(arg, file->stages[i].from);
		for (size_t j = 0; j < file->stages[i].count; j++)
			each(arg, &file->stages[i].instructions[j]);
	}
}

#endif
