/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CMD_CALL_H
#define KILN_SRC_CMD_CALL_H

#include "command.h"
#include "kiln/build/build.h"

/* build --call: what is asked of a Dockerfile instead of building it, with buildx's words and JSON. */
enum call_method { CALL_BUILD, CALL_CHECK, CALL_OUTLINE, CALL_TARGETS };

struct call {
	enum call_method method;
	bool is_json;
	bool ignores_status; /* warnings do not make the exit status 1 */
};

/* "check", "outline,format=json", "check,ignorestatus=true"; NULL is build. */
int call_parse(struct arena *arena, const char *text, bool check, struct call *call, struct err *err) MUST_CHECK;
/* Answers on standard output; sets the invocation's status. */
int call_run(struct invocation *invocation, struct store *store, const struct build_spec *spec, const struct call *call,
	     struct err *err) MUST_CHECK;

#endif
