/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_DOCKERFILE_LINT_H
#define KILN_SRC_DOCKERFILE_LINT_H

#include "internal.h"
#include "kiln/dockerfile/lint.h"

/* lint-rules.c has the table; lint.c runs it. */

typedef void rule_fn(struct lint *lint, const struct lint_rule *rule, const struct lint_facts *facts);

struct rule_row {
	struct lint_rule rule;
	enum lint_moment moment;
	rule_fn *check;
};

enum { RULE_COUNT = 22 };
extern const struct rule_row lint_rules[RULE_COUNT];

/* A warning at an instruction, unless the file or the comment above the instruction skips the rule. */
void lint_warn(struct lint *lint, const struct lint_rule *rule, const struct instruction *where, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* As lint_warn, but the comment that counts is above another instruction. */
void lint_warn_at(struct lint *lint, const struct lint_rule *rule, const struct instruction *where,
		  const struct instruction *commented, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* At a line that belongs to no instruction. */
void lint_warn_line(struct lint *lint, const struct lint_rule *rule, int line, const char *detail);

#endif
