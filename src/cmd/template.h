/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_CMD_TEMPLATE_H
#define KILN_CMD_TEMPLATE_H

#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"
#include "kiln/codec/json.h"

/*
 * What scripts use of docker's `--format`: Go templates with fields and four functions.
 *
 *	{{.}}  {{.Config.User}}  {{json .X}}  {{len .X}}  {{index .X 0}}  {{index .Config.Labels "a.b"}}
 *
 * \t and \n in the text are a tab and a newline. Anything else of the language is refused by name. A field that does not
 * exist is an error that lists those that do.
 */
/* Appends value through the template and a newline. Errors are ERR_USAGE. */
int template_render(struct strbuf *out, const char *template, const struct json *value, struct err *err) MUST_CHECK;

/* --format: is it "json", a table (NULL or "table"), or a template? */
enum format { FORMAT_TABLE, FORMAT_JSON, FORMAT_TEMPLATE };
enum format format_of(const char *text);
/* One line for a row, as JSON or through the template, on standard output. */
int format_print(const char *text, const struct json *row, struct err *err) MUST_CHECK;

#endif
