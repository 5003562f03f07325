/* SPDX-License-Identifier: Apache-2.0 */
#include "template.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"

enum { WORDS_MAX = 8, WORD_MAX = 256 };

/* One {{action}}. */
struct action {
	char words[WORDS_MAX][WORD_MAX];
	bool is_quoted[WORDS_MAX];
	size_t count;
};

static int refuse(const char *what, struct err *err)
{
	char shown[WORD_MAX];

	return err_set(err, ERR_USAGE,
		       "--format: \"%s\" is not understood: kiln knows {{.Field}}, {{json .Field}}, {{len .Field}} and "
		       "{{index .Field KEY}}; for more, pipe --format json through jq",
		       err_printable(shown, sizeof(shown), what));
}

/* ---- reading an action ---- */

static const char *read_word(const char *at, const char *end, char *word, bool *is_quoted)
{
	size_t len = 0;
	char quote = *at == '"' || *at == '`' ? *at++ : '\0';

	*is_quoted = quote;
	while (at < end && (quote ? *at != quote : !isspace((unsigned char)*at)) && len < WORD_MAX - 1)
		word[len++] = *at++;
	word[len] = '\0';
	if (quote && (at == end || *at != quote))
		return NULL;
	return at + (quote != '\0');
}

static int read_action(const char *at, const char *end, struct action *action, struct err *err)
{
	const char *start = at;

	action->count = 0;
	for (;;) {
		while (at < end && isspace((unsigned char)*at))
			at++;
		if (at >= end)
			return 0;
		const char *next = action->count < WORDS_MAX ? read_word(at, end, action->words[action->count],
									 &action->is_quoted[action->count])
							     : NULL;
		if (!next || next == at) {
			char text[WORD_MAX];
			snprintf(text, sizeof(text), "%.*s", (int)(end - start), start);
			return refuse(text, err);
		}
		action->count++;
		at = next;
	}
}

/* ---- evaluating it ---- */

static int fail_field(const struct json *value, const char *name, struct err *err)
{
	scope_strbuf struct strbuf names = { 0 };
	char shown[WORD_MAX];

	for (size_t i = 0; value->type == JSON_OBJECT && i < value->count; i++)
		strbuf_addf(&names, "%s.%s", i ? " " : "", value->members[i].key);
	return err_set(err, ERR_USAGE, "--format: there is no field .%s here%s%s",
		       err_printable(shown, sizeof(shown), name), names.len ? "; there are " : "", strbuf_str(&names));
}

static const struct json *member(const struct json *value, const char *name)
{
	for (size_t i = 0; value->type == JSON_OBJECT && i < value->count; i++)
		if (text_equal(value->members[i].key, name))
			return value->members[i].value;
	return NULL;
}

/* ".A.B" of value. Below null everything is null. */
static int follow(const struct json *value, const char *path, const struct json **out, struct err *err)
{
	char name[WORD_MAX];

	while (path[0] == '.' && path[1]) {
		size_t len = strcspn(path + 1, ".");
		snprintf(name, sizeof(name), "%.*s", (int)len, path + 1);
		path += 1 + len;
		if (value->type == JSON_NULL)
			continue;
		const struct json *next = member(value, name);
		if (!next)
			return fail_field(value, name, err);
		value = next;
	}
	*out = value;
	return text_equal(path, ".") || !*path ? 0 : refuse(path, err);
}

static int index_into(const struct json *value, const char *key, bool is_text, const struct json **out, struct err *err)
{
	static const struct json nothing = { .type = JSON_STR, .text = "" };
	char *end;

	if (is_text) {
		const struct json *found = member(value, key);
		*out = found ? found : &nothing;
		return 0;
	}
	unsigned long long number = strtoull(key, &end, 10);
	if (*end || !isdigit((unsigned char)key[0]))
		return refuse(key, err);
	if (value->type != JSON_ARRAY || number >= value->count)
		return err_set(err, ERR_USAGE, "--format: index %llu is out of range, there are %zu", number,
			       value->type == JSON_ARRAY ? value->count : 0);
	*out = value->items[number];
	return 0;
}

/* As Go prints it: [a b], map[k:v]. The lists that docker has as null print as empty ones. */
static void print(struct strbuf *out, const struct json *value)
{
	switch (value->type) {
	case JSON_STR:
		strbuf_addstr(out, value->text);
		break;
	case JSON_NULL:
		strbuf_addstr(out, "[]");
		break;
	case JSON_ARRAY:
		for (size_t i = 0; i < value->count; i++) {
			strbuf_addch(out, i ? ' ' : '[');
			print(out, value->items[i]);
		}
		strbuf_addstr(out, value->count ? "]" : "[]");
		break;
	case JSON_OBJECT:
		strbuf_addstr(out, "map[");
		for (size_t i = 0; i < value->count; i++) {
			strbuf_addf(out, "%s%s:", i ? " " : "", value->members[i].key);
			print(out, value->members[i].value);
		}
		strbuf_addch(out, ']');
		break;
	default:
		json_write(out, value);
	}
}

static size_t length(const struct json *value)
{
	return value->type == JSON_STR ? strlen(value->text) : value->count;
}

static int evaluate(struct strbuf *out, const struct action *action, const struct json *root, struct err *err)
{
	const char *name = action->words[0];
	const struct json *value = root;
	bool is_field = action->count == 1 && name[0] == '.' && !action->is_quoted[0];

	if (!is_field && (action->count < 2 || action->words[1][0] != '.'))
		return refuse(action->count ? name : "", err);
	if (follow(root, is_field ? name : action->words[1], &value, err) < 0)
		return -1;
	if (is_field)
		print(out, value);
	else if (text_equal(name, "json") && action->count == 2)
		json_write(out, value);
	else if (text_equal(name, "len") && action->count == 2)
		strbuf_addf(out, "%zu", length(value));
	else if (text_equal(name, "index")) {
		for (size_t i = 2; i < action->count; i++)
			if (index_into(value, action->words[i], action->is_quoted[i], &value, err) < 0)
				return -1;
		print(out, value);
	} else {
		return refuse(name, err);
	}
	return 0;
}

/* ---- the whole ---- */

static const char *add_text(struct strbuf *out, const char *at)
{
	bool is_escape = at[0] == '\\' && (at[1] == 't' || at[1] == 'n');

	strbuf_addch(out, !is_escape ? at[0] : at[1] == 't' ? '\t' : '\n');
	return at + 1 + is_escape;
}

int template_render(struct strbuf *out, const char *template, const struct json *value, struct err *err)
{
	struct action action;

	for (const char *at = template; *at;) {
		if (!text_starts(at, "{{")) {
			at = add_text(out, at);
			continue;
		}
		const char *end = strstr(at, "}}");
		if (!end)
			return err_set(err, ERR_USAGE, "--format: \"{{\" without \"}}\" in %s", template);
		if (read_action(at + 2, end, &action, err) < 0 || evaluate(out, &action, value, err) < 0)
			return -1;
		at = end + 2;
	}
	strbuf_addch(out, '\n');
	return 0;
}

enum format format_of(const char *text)
{
	if (!text || text_equal(text, "table"))
		return FORMAT_TABLE;
	return text_equal(text, "json") ? FORMAT_JSON : FORMAT_TEMPLATE;
}

int format_print(const char *text, const struct json *row, struct err *err)
{
	scope_strbuf struct strbuf line = { 0 };

	if (format_of(text) == FORMAT_JSON) {
		json_write(&line, row);
		strbuf_addch(&line, '\n');
	} else if (text_starts(text, "table ")) {
		return err_set(err, ERR_USAGE,
			       "--format: kiln's only table is \"table\"; give the template without that word");
	} else if (template_render(&line, text, row, err) < 0) {
		return -1;
	}
	fputs(strbuf_str(&line), stdout);
	return 0;
}
