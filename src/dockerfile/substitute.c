/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"
#include "kiln/base/scope.h"

/* $NAME, ${NAME} and ${NAME<operator>...}: BuildKit's shell/lex.go. Operands are expanded whether they are used or not. */

/* A message that the Dockerfile's author wrote for its readers is shown whole. */
#define MESSAGE_MAX 1024

struct variable {
	struct slice name;
	const char *value; /* "" if unset */
	bool is_set;
};

static bool is_special(uint32_t rune)
{
	return rune < 0x80 && rune != 0 && strchr("@*#?-$!0", (int)rune);
}

/* A run of digits, one special character, or a name; may be empty. */
static struct slice take_name(struct lexer *lexer)
{
	struct slice name = { lexer->rest.ptr, 0 };
	bool is_number = false;
	uint32_t rune;

	while (lexer->rest.len > 0) {
		size_t width = rune_decode(lexer->rest, &rune);
		if (name.len == 0) {
			is_number = rune_is_digit(rune);
			if (!is_number && is_special(rune)) {
				name.len = width;
				lexer->rest = slice_skip(lexer->rest, width);
				break;
			}
		}
		bool belongs = rune_is_digit(rune) || (!is_number && (rune_is_letter(rune) || rune == '_'));
		if (!belongs)
			break;
		name.len += width;
		lexer->rest = slice_skip(lexer->rest, width);
	}
	return name;
}

static struct variable look_up(const struct lexer *lexer, struct slice name)
{
	const struct expander *expander = lexer->expander;
	const char *value = expander->lookup ? expander->lookup(expander->arg, name.ptr, name.len) : NULL;

	return (struct variable){ name, value ? value : "", value != NULL };
}

static void report_unset(const struct lexer *lexer, const struct variable *variable)
{
	if (!variable->is_set && lexer->expander->unset)
		lexer->expander->unset(lexer->expander->arg, variable->name.ptr, variable->name.len);
}

static int add_text(struct lexer *lexer, struct strbuf *out, const char *text, struct err *err)
{
	return lex_add(lexer, out, text, strlen(text), err);
}

static int syntax_error(const char *what, struct err *err)
{
	return err_set(err, ERR_INPUT, "syntax error: %s", what);
}

/* What stands before `stop`. A word that ends first lacks that character, whatever else was open. */
static int take_operand(struct lexer *lexer, char stop, bool raw_escapes, const char *missing, struct strbuf *out,
			struct err *err)
{
	if (lexer->depth == LEX_NESTING_MAX)
		return err_set(err, ERR_INPUT, "${} is nested deeper than %d", LEX_NESTING_MAX);
	lexer->depth++;
	int result = lex_until(lexer, stop, raw_escapes, out, err);
	lexer->depth--;
	if (result < 0 && lexer->rest.len == 0)
		return syntax_error(missing, err);
	return result;
}

/* The reference as it was written, but for its operands. */
static int keep_reference(struct lexer *lexer, const struct variable *variable, const char *operator,
			  const struct strbuf * word, struct strbuf *out, struct err *err)
{
	if (lex_add(lexer, out, "${", 2, err) < 0 ||
	    lex_add(lexer, out, variable->name.ptr, variable->name.len, err) < 0 ||
	    add_text(lexer, out, operator, err) < 0 || lex_add(lexer, out, strbuf_str(word), word->len, err) < 0)
		return -1;
	return lex_add(lexer, out, "}", 1, err);
}

static int require(struct lexer *lexer, const struct variable *variable, bool empty_is_unset, const struct strbuf *word,
		   struct strbuf *out, struct err *err)
{
	char message[MESSAGE_MAX] = "";
	bool is_missing = !variable->is_set || (empty_is_unset && !*variable->value);

	if (!is_missing)
		return add_text(lexer, out, variable->value, err);
	if (word->len > 0)
		err_printable(message, sizeof(message), strbuf_str(word));
	const char *standard = variable->is_set ? "is not allowed to be empty" : "is not allowed to be unset";
	return err_set(err, ERR_INPUT, "%s: %s", shown(lexer->arena, slice_copy(lexer->arena, variable->name)),
		       word->len > 0 ? message : standard);
}

/* -, +, ? and their forms with a colon. */
static int apply_default(struct lexer *lexer, const struct variable *variable, char operator, bool empty_is_unset,
			 const struct strbuf *word, struct strbuf *out, struct err *err)
{
	bool is_missing = !variable->is_set || (empty_is_unset && !*variable->value);

	switch (operator) {
	case '-':
		if (!is_missing)
			return add_text(lexer, out, variable->value, err);
		return lex_add(lexer, out, strbuf_str(word), word->len, err);
	case '+':
		return is_missing ? 0 : lex_add(lexer, out, strbuf_str(word), word->len, err);
	default:
		return require(lexer, variable, empty_is_unset, word, out, err);
	}
}

static struct glob *compile(struct lexer *lexer, struct arena *scratch, struct slice pattern, size_t passes, size_t len,
			    struct err *err)
{
	struct glob *glob = glob_new(scratch, pattern, err);

	if (!glob) {
		err_wrap(err, "invalid pattern (%s) in substitution", shown(scratch, slice_copy(scratch, pattern)));
		return NULL;
	}
	return lex_spend(lexer, passes * glob_cost(glob, len), err) < 0 ? NULL : glob;
}

/* # ## % %%: a second character in front of the pattern asks for the longest match, even one that a variable gave. */
static int remove_affix(struct lexer *lexer, const struct variable *variable, char operator, const struct strbuf * word,
			struct strbuf *out, struct err *err)
{
	scope_arena struct arena scratch = { 0 };
	struct slice pattern = { strbuf_str(word), word->len };
	bool longest = pattern.len > 0 && *pattern.ptr == operator;
	size_t len = strlen(variable->value);

	if (longest)
		pattern = slice_skip(pattern, 1);
	struct glob *glob = compile(lexer, &scratch, pattern, 1, len, err);
	if (!glob)
		return -1;
	struct glob_text text = glob_text(&scratch, (struct slice){ variable->value, len });
	ssize_t matched = operator== '#' ? glob_prefix(glob, &text, longest) : glob_suffix(glob, &text, longest);
	size_t count = matched > 0 ? (size_t)matched : 0;
	if (operator== '#')
		return add_text(lexer, out, variable->value + text.offsets[count], err);
	return lex_add(lexer, out, variable->value, text.offsets[text.count - count], err);
}

/* ---- ${v/p/r} and ${v//p/r} ---- */

struct replacement {
	struct slice value;
	const struct glob_text *text;
	struct slice template;
};

static struct slice matched_bytes(const struct replacement *replacement, size_t start, size_t end)
{
	const size_t *offsets = replacement->text->offsets;

	return (struct slice){ replacement->value.ptr + offsets[start], offsets[end] - offsets[start] };
}

/* A group's name behind '$': letters, digits and '_', or those in braces. 0 if it is none. */
static size_t group_length(struct slice text, struct slice *name)
{
	bool in_braces = slice_starts(text, "{");
	uint32_t rune;

	*name = slice_skip(text, in_braces);
	struct slice rest = *name;
	while (rest.len > 0) {
		size_t width = rune_decode(rest, &rune);
		if (rune != '_' && !rune_is_letter(rune) && !rune_is_digit(rune))
			break;
		rest = slice_skip(rest, width);
	}
	name->len -= rest.len;
	if (name->len == 0 || (in_braces && !slice_starts(rest, "}")))
		return 0;
	return name->len + 2 * in_braces;
}

/* The template goes through Go's regexp.Expand: $$ is '$', $0 the match, and every other group is empty. */
static int add_template(struct lexer *lexer, struct slice template, struct slice match, struct strbuf *out,
			struct err *err)
{
	struct slice name;

	while (template.len > 0) {
		const char *dollar = memchr(template.ptr, '$', template.len);
		size_t before = dollar ? (size_t)(dollar - template.ptr) : template.len;
		if (lex_add(lexer, out, template.ptr, before, err) < 0)
			return -1;
		template = slice_skip(template, before + (dollar != NULL));
		if (!dollar)
			return 0;
		bool is_double = slice_starts(template, "$");
		size_t len = is_double ? 1 : group_length(template, &name);
		if ((len == 0 || is_double) && lex_add(lexer, out, "$", 1, err) < 0)
			return -1;
		if (len > 0 && !is_double && slice_equal(name, "0") &&
		    lex_add(lexer, out, match.ptr, match.len, err) < 0)
			return -1;
		template = slice_skip(template, len);
	}
	return 0;
}

static int replace_first(struct lexer *lexer, const struct replacement *replacement, const struct glob_search *search,
			 struct strbuf *out, struct err *err)
{
	size_t start, end;

	if (!glob_search_next(search, 0, &start, &end))
		return lex_add(lexer, out, replacement->value.ptr, replacement->value.len, err);
	struct slice match = matched_bytes(replacement, start, end);
	struct slice before = { replacement->value.ptr, (size_t)(match.ptr - replacement->value.ptr) };
	struct slice after = slice_skip(replacement->value, before.len + match.len);
	if (lex_add(lexer, out, before.ptr, before.len, err) < 0 ||
	    lex_add(lexer, out, replacement->template.ptr, replacement->template.len, err) < 0)
		return -1;
	return lex_add(lexer, out, after.ptr, after.len, err);
}

/* As regexp.ReplaceAllString: an empty match right behind another one is none. */
static int replace_all(struct lexer *lexer, const struct replacement *replacement, const struct glob_search *search,
		       struct strbuf *out, struct err *err)
{
	size_t start, end, done = 0, from = 0;

	while (from <= replacement->text->count && glob_search_next(search, from, &start, &end)) {
		struct slice between = matched_bytes(replacement, done, start);
		if (lex_add(lexer, out, between.ptr, between.len, err) < 0)
			return -1;
		struct slice match = matched_bytes(replacement, start, end);
		if ((end > done || start == 0) && add_template(lexer, replacement->template, match, out, err) < 0)
			return -1;
		done = end;
		from = from + 1 > end ? from + 1 : end;
	}
	struct slice rest = matched_bytes(replacement, done, replacement->text->count);
	return lex_add(lexer, out, rest.ptr, rest.len, err);
}

static int replace(struct lexer *lexer, const struct variable *variable, bool all, struct slice pattern,
		   struct slice template, struct strbuf *out, struct err *err)
{
	scope_arena struct arena scratch = { 0 };
	struct slice value = { variable->value, strlen(variable->value) };
	struct glob *glob = compile(lexer, &scratch, pattern, 2, value.len, err);

	if (!glob)
		return -1;
	struct glob_text text = glob_text(&scratch, value);
	struct glob_search search = glob_search(&scratch, glob, &text);
	struct replacement replacement = { value, &text, template };
	return all ? replace_all(lexer, &replacement, &search, out, err)
		   : replace_first(lexer, &replacement, &search, out, err);
}

static int take_replacement(struct lexer *lexer, struct slice name, struct strbuf *out, struct err *err)
{
	scope_strbuf struct strbuf word = { 0 };
	bool all = slice_starts(lexer->rest, "/");

	lexer->rest = slice_skip(lexer->rest, all);
	if (take_operand(lexer, '/', true, "missing '/' in ${}", &word, err) < 0)
		return -1;
	size_t pattern_len = word.len;
	if (lex_add(lexer, &word, "/", 1, err) < 0 || take_operand(lexer, '}', true, "missing '}'", &word, err) < 0)
		return -1;
	struct variable variable = look_up(lexer, name);
	if (!variable.is_set && lexer->keep_unset)
		return keep_reference(lexer, &variable, "/", &word, out, err);
	report_unset(lexer, &variable);
	struct slice pattern = { word.ptr, pattern_len };
	struct slice template = { word.ptr + pattern_len + 1, word.len - pattern_len - 1 };
	return replace(lexer, &variable, all, pattern, template, out, err);
}

/* ---- the forms ---- */

static int unsupported(struct lexer *lexer, struct slice modifier, struct err *err)
{
	return err_set(err, ERR_INPUT, "unsupported modifier (%s) in substitution",
		       shown(lexer->arena, slice_copy(lexer->arena, modifier)));
}

/* Behind the name: `modifier` is the operator, with its colon. */
static int take_modified(struct lexer *lexer, struct slice name, struct slice modifier, struct strbuf *out,
			 struct err *err)
{
	scope_strbuf struct strbuf word = { 0 };
	bool empty_is_unset = *modifier.ptr == ':';
	char operator= modifier.ptr[empty_is_unset];
	bool is_pattern = operator== '#' || operator== '%';

	if (empty_is_unset && is_pattern)
		return unsupported(lexer, modifier, err);
	if (take_operand(lexer, '}', is_pattern, "missing '}'", &word, err) < 0)
		return -1;
	struct variable variable = look_up(lexer, name);
	if (!variable.is_set && lexer->keep_unset)
		return keep_reference(lexer, &variable, slice_copy(lexer->arena, modifier), &word, out, err);
	if (is_pattern) {
		report_unset(lexer, &variable);
		return remove_affix(lexer, &variable, operator, & word, out, err);
	}
	if (!strchr("-+?", operator))
		return unsupported(lexer, modifier, err);
	return apply_default(lexer, &variable, operator, empty_is_unset, &word, out, err);
}

static int take_plain_value(struct lexer *lexer, struct slice name, bool in_braces, struct strbuf *out, struct err *err)
{
	struct variable variable = look_up(lexer, name);
	static const struct strbuf nothing;

	if (!variable.is_set && lexer->keep_unset) {
		if (in_braces)
			return keep_reference(lexer, &variable, "", &nothing, out, err);
		return lex_add(lexer, out, name.ptr - 1, name.len + 1, err);
	}
	report_unset(lexer, &variable);
	return add_text(lexer, out, variable.value, err);
}

/* Behind "${". */
static int take_braces(struct lexer *lexer, struct strbuf *out, struct err *err)
{
	uint32_t rune;

	if (lexer->rest.len == 0)
		return syntax_error("missing '}'", err);
	if (strchr("{}:", *lexer->rest.ptr))
		return syntax_error("bad substitution", err);
	struct slice name = take_name(lexer);
	if (lexer->rest.len == 0)
		return syntax_error("missing '}'", err);
	struct slice modifier = { lexer->rest.ptr, rune_decode(lexer->rest, &rune) };
	lexer->rest = slice_skip(lexer->rest, modifier.len);
	if (rune == '}')
		return take_plain_value(lexer, name, true, out, err);
	if (rune == '/')
		return take_replacement(lexer, name, out, err);
	if (rune == ':') {
		if (lexer->rest.len == 0)
			return syntax_error("missing '}'", err);
		size_t width = rune_decode(lexer->rest, &rune);
		lexer->rest = slice_skip(lexer->rest, width);
		modifier.len += width;
		return take_modified(lexer, name, modifier, out, err);
	}
	if (rune >= 0x80 || !strchr("+-?#%", (int)rune))
		return unsupported(lexer, modifier, err);
	return take_modified(lexer, name, modifier, out, err);
}

int lex_dollar(struct lexer *lexer, struct strbuf *out, struct err *err)
{
	lexer->rest = slice_skip(lexer->rest, 1);
	if (slice_starts(lexer->rest, "{")) {
		lexer->rest = slice_skip(lexer->rest, 1);
		return take_braces(lexer, out, err);
	}
	struct slice name = take_name(lexer);
	if (name.len == 0)
		return lex_add(lexer, out, "$", 1, err);
	return take_plain_value(lexer, name, false, out, err);
}
