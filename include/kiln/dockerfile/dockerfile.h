/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_DOCKERFILE_DOCKERFILE_H
#define KILN_DOCKERFILE_DOCKERFILE_H

#include "kiln/base/arena.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Text of a Dockerfile -> stages of instructions with places. Pure: no file, no environment. Everything lives in the
 * arena given. Semantics: BuildKit's parser and instructions packages (see tests/dockerfile/ for the rules, one case
 * each). What an instruction *does* is build/'s business; here its words are split, its flags and forms checked.
 */
enum instruction_kind {
	INSTRUCTION_FROM,
	INSTRUCTION_ARG,
	INSTRUCTION_ENV,
	INSTRUCTION_LABEL,
	INSTRUCTION_RUN,
	INSTRUCTION_COPY,
	INSTRUCTION_ADD,
	INSTRUCTION_WORKDIR,
	INSTRUCTION_USER,
	INSTRUCTION_CMD,
	INSTRUCTION_ENTRYPOINT,
	INSTRUCTION_EXPOSE,
	INSTRUCTION_VOLUME,
	INSTRUCTION_STOPSIGNAL,
	INSTRUCTION_SHELL,
	INSTRUCTION_HEALTHCHECK,
	INSTRUCTION_ONBUILD,
	INSTRUCTION_MAINTAINER,
	INSTRUCTION_COUNT
};

const char *instruction_name(enum instruction_kind kind); /* "FROM" */

struct key_value {
	const char *key;
	const char *value; /* NULL: none was given (ARG X) */
};

/* --name=value; value is "" for `--link` alone, with has_value false. */
struct instruction_flag {
	const char *name;
	const char *value;
	bool has_value;
};

struct heredoc {
	const char *name;     /* delimiter without quotes: also the file name in COPY */
	const char *body;     /* verbatim; tabs are already stripped for <<- (chomp) when used by COPY; see raw_body */
	const char *raw_body; /* verbatim, tabs kept: what a RUN's shell gets */
	int fd;               /* digits before <<, -1 if none */
	bool expand;          /* delimiter was not quoted */
	bool chomp;           /* <<- */
};

struct instruction {
	enum instruction_kind kind;
	int first_line, last_line; /* 1-based, inclusive, heredoc bodies included */
	const char *original; /* the logical line: continuations joined, comments dropped, leading keyword included;
				      for progress and history labels. Heredocs: the first line only. */
	const char *text;     /* what follows the keyword and the flags, trimmed; RUN/CMD/ENTRYPOINT shell form is
				      exactly this */
	const char *comment;  /* doc comment above (joined), or NULL */
	struct instruction_flag *flags;
	size_t flag_count;
	bool is_json;       /* exec form */
	const char **words; /* never NULL, NULL-terminated. Exec form: the argv; COPY/ADD: sources then destination,
				      still unexpanded (split at blanks, quotes kept for expansion; JSON: as is); EXPOSE
				      (sorted), VOLUME, SHELL: the words; WORKDIR, USER, STOPSIGNAL, MAINTAINER: one word,
				      the rest of the line */
	size_t word_count;
	struct key_value *pairs; /* ENV, LABEL, ARG */
	size_t pair_count;
	bool is_legacy_pair;      /* ENV k v */
	struct heredoc *heredocs; /* in the order of the line. COPY/ADD: those of its words, in their order */
	size_t heredoc_count;
	const struct heredoc **word_heredocs; /* COPY/ADD: for each word the heredoc that it is, or NULL for a file */
	bool is_heredoc_command; /* RUN: the text is one heredoc and nothing else, so its body is the command */

	/* FROM */
	const char *base;       /* unexpanded */
	const char *stage_name; /* lower-cased, NULL if none */
	const char *platform;   /* unexpanded, NULL if none */

	/* HEALTHCHECK: durations in ns, 0 = not given; test is ["NONE"], ["CMD", ...] or ["CMD-SHELL", text],
	   NULL-terminated */
	const char **test;
	size_t test_count;
	int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns;
	int64_t retries;

	/* ONBUILD: the trigger, as text (keyword, heredocs and all); parsed when it fires. */
	const char *trigger;
};

/* The value of a flag, or NULL. */
const char *instruction_flag(const struct instruction *instruction, const char *name);
/* COPY --link and friends: given without value or with "true". */
bool instruction_flag_is_set(const struct instruction *instruction, const char *name);

struct stage {
	const struct instruction *from;
	const char *name;                 /* NULL if unnamed */
	struct instruction *instructions; /* without FROM */
	size_t count;
};

struct dockerfile {
	const char *name;   /* for messages: "Dockerfile" as the user named it */
	const char *source; /* the text, for excerpts */
	size_t source_len;
	char escape;                     /* '\\' or '`' */
	const char *syntax;              /* # syntax= value, NULL if none: accepted, never pulled */
	const char *check;               /* # check= value, NULL if none */
	struct instruction *global_args; /* ARG before the first FROM */
	size_t global_arg_count;
	struct stage *stages;
	size_t stage_count;
	struct dockerfile_warning {
		int line;
		const char *rule; /* lint rule name, e.g. "NoEmptyContinuation" */
		const char *message;
	} * warnings;
	size_t warning_count;
};

/* Where an error is, for the excerpt. Lines are 1-based, 0 = unknown. */
struct dockerfile_place {
	int first_line, last_line;
};

/* Parses a whole file of at most 1 MiB. On failure *place says where, and err has BuildKit's words (prefix "dockerfile parse
   error on line N: " exactly where BuildKit has it). Unknown instructions, unknown flags, missing arguments, stage
   names, JSON forms are all checked here. */
struct dockerfile *dockerfile_parse(struct arena *arena, const char *name, const char *text, size_t len,
				    struct dockerfile_place *place, struct err *err) MUST_CHECK;

/* As dockerfile_parse, and on failure says what more is known of it. */
struct dockerfile_failure {
	struct dockerfile *file; /* with what was parsed before the instruction that is wrong, or NULL */
	const char *word;        /* what is wrong in it, as it was written, or NULL */
};
struct dockerfile *dockerfile_parse_more(struct arena *arena, const char *name, const char *text, size_t len,
					 struct dockerfile_place *place, struct dockerfile_failure *failure,
					 struct err *err) MUST_CHECK;

/* Parses one ONBUILD trigger (escape '\\'): exactly one instruction, not FROM/ONBUILD/MAINTAINER. */
struct instruction *dockerfile_parse_trigger(struct arena *arena, const char *text, struct err *err) MUST_CHECK;

/* The excerpt of BuildKit's client: "NAME:LINE\n----\n   1 |     FROM x\n   2 | >>> RUN y\n----\n", with two lines before
   and after a single one, one with a range (all lines of a range are marked). Control characters are made visible. ""
   if the place is unknown. */
char *dockerfile_excerpt(struct arena *arena, const struct dockerfile *file_or_null, const char *name, const char *text,
			 size_t len, const struct dockerfile_place *place);

/* Where in the lines of a place a word stands, as it was written: the first that is not a part of a longer one. Columns are
   1-based and count characters. False if it is not there in one piece. */
struct dockerfile_columns {
	int line;
	int first, last;
};
bool dockerfile_find_word(const char *text, size_t len, const struct dockerfile_place *place, const char *word,
			  struct dockerfile_columns *columns);
/* dockerfile_excerpt with "^^^^" below that word, if columns is not NULL. */
char *dockerfile_excerpt_word(struct arena *arena, const char *name, const char *text, size_t len,
			      const struct dockerfile_place *place, const struct dockerfile_columns *columns);

#endif
