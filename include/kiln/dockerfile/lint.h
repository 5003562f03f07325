/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_DOCKERFILE_LINT_H
#define KILN_DOCKERFILE_LINT_H

#include "kiln/base/arena.h"
#include "kiln/dockerfile/dockerfile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * BuildKit's build checks: a table of rules, each with the moment at which it is asked and a function (lint-rules.c).
 * Pure: what a rule must know beyond the text, build/ finds out while it evaluates the instructions, and hands over as
 * facts.
 *
 *	struct lint lint;
 *	lint_init(&lint, arena, file->check, err);
 *	lint_run(&lint, LINT_LINES, &(struct lint_facts){ .file = file });
 */
enum lint_moment {
	LINT_LINES,    /* the lines were read: the warnings of the parser */
	LINT_PARSED,   /* an instruction was parsed; also those before one that was not */
	LINT_FILE,     /* all were parsed */
	LINT_FROM,     /* a FROM was expanded, whether or not the target needs its stage */
	LINT_BASE,     /* the base image of a stage is known */
	LINT_EVALUATED /* an instruction of a stage was evaluated */
};

struct lint_rule {
	const char *name;
	const char *description;
	const char *url;      /* NULL: none */
	bool is_experimental; /* asked only where # check=experimental= names it */
};

/* A variable without a value, and the one that may have been meant (or NULL). */
struct lint_unset {
	const char *name;
	const char *nearest;
};

/* What holds depends on the moment. */
struct lint_facts {
	const struct dockerfile *file;         /* LINT_LINES, LINT_FILE */
	const struct instruction *instruction; /* all others */
	const struct lint_unset *unset;        /* LINT_FROM, LINT_EVALUATED */
	size_t unset_count;
	/* LINT_FROM */
	bool is_default_base_invalid;  /* the base's name, with the defaults of ARGs alone */
	bool is_target_platform;       /* --platform is $TARGETPLATFORM and nothing else */
	const char *constant_platform; /* --platform, if nothing was expanded in it and it is one; and its parts */
	const char *constant_os, *constant_architecture;
	/* LINT_BASE: where they are not the same */
	const char *base_name, *base_platform, *wanted_platform;
	/* LINT_EVALUATED */
	const char **words; /* ENV's names, EXPOSE's words, WORKDIR's path: expanded */
	size_t word_count;
	const char **ignored; /* COPY, ADD: sources that .dockerignore excludes */
	size_t ignored_count;
	const struct instruction *previous; /* CMD, ENTRYPOINT, HEALTHCHECK: the one before it in this stage */
	bool has_shell;                     /* a SHELL is set */
	bool has_workdir;                   /* this file has set one before, for this stage or its base */
};

struct lint_warning {
	const struct lint_rule *rule;
	const char *detail;
	int first_line, last_line;
};

struct lint_options {
	bool skips_all, is_experimental_all, is_error;
	uint32_t skipped, experimental; /* a bit for each rule */
};

struct lint {
	struct arena *arena;
	struct lint_options options;
	struct lint_warning *warnings;
	size_t count;
};

/* check is the value of the directive or of BUILDKIT_DOCKERFILE_CHECK, or NULL. */
int lint_init(struct lint *lint, struct arena *arena, const char *check, struct err *err) MUST_CHECK;
void lint_run(struct lint *lint, enum lint_moment moment, const struct lint_facts *facts);
/* By line. */
void lint_sort(struct lint *lint);
/* With error=true and a warning: "lint violation found for rules: A, B"; else NULL. */
const char *lint_violation(const struct lint *lint);
/* "RULE: DETAIL (line N)" */
char *lint_line(struct arena *arena, const struct lint_warning *warning);

/* What the comment above an instruction says of name ("# NAME text"), or NULL. */
const char *comment_about(struct arena *arena, const char *comment, const char *name);

#endif
