/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kiln/base/text.h"
#include "kiln/codec/digest.h"
#include "kiln/oci/reference.h"

/*
 * The grammar of github.com/distribution/reference (regexp.go, normalize.go), matched by hand: each match_ function
 * returns how many bytes of the slice its production takes from the start, 0 if it does not begin there.
 */

#define DEFAULT_REGISTRY "docker.io"
#define LEGACY_REGISTRY  "index.docker.io"
#define OFFICIAL_PREFIX  "library/"

enum { NAME_MAX_BYTES = 255, TAG_MAX_BYTES = 128, TEXT_MAX_BYTES = 1024 };

struct slice {
	const char *ptr;
	size_t len;
};

static struct slice slice_from(struct slice text, size_t start)
{
	return (struct slice){ text.ptr + start, text.len - start };
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_alnum(char c)
{
	return is_digit(c) || is_lower(c) || is_upper(c);
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static size_t find_byte(struct slice text, char c)
{
	const char *found = text.len ? memchr(text.ptr, c, text.len) : NULL;

	return found ? (size_t)(found - text.ptr) : text.len;
}

static bool has_upper(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (is_upper(text.ptr[i]))
			return true;
	}
	return false;
}

/* [a-z0-9]+ */
static size_t match_alphanumeric(struct slice text)
{
	size_t len = 0;

	while (len < text.len && (is_lower(text.ptr[len]) || is_digit(text.ptr[len])))
		len++;
	return len;
}

/* One period, one or two underscores, or any number of dashes. */
static size_t match_separator(struct slice text)
{
	size_t len = 0;

	if (text.len == 0)
		return 0;
	if (text.ptr[0] == '.')
		return 1;
	if (text.ptr[0] == '_')
		return text.len > 1 && text.ptr[1] == '_' ? 2 : 1;
	while (len < text.len && text.ptr[len] == '-')
		len++;
	return len;
}

static size_t match_path_component(struct slice text)
{
	size_t len = match_alphanumeric(text);

	while (len > 0) {
		size_t separator = match_separator(slice_from(text, len));
		size_t word = match_alphanumeric(slice_from(text, len + separator));
		if (separator == 0 || word == 0)
			break;
		len += separator + word;
	}
	return len;
}

static bool is_repository(struct slice text)
{
	for (;;) {
		size_t len = match_path_component(text);
		if (len == 0)
			return false;
		if (len == text.len)
			return true;
		if (text.ptr[len] != '/')
			return false;
		text = slice_from(text, len + 1);
	}
}

static bool is_domain_label(struct slice text)
{
	if (text.len == 0 || !is_alnum(text.ptr[0]) || !is_alnum(text.ptr[text.len - 1]))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (!is_alnum(text.ptr[i]) && text.ptr[i] != '-')
			return false;
	}
	return true;
}

static bool is_domain_name(struct slice text)
{
	for (;;) {
		size_t len = find_byte(text, '.');
		if (!is_domain_label((struct slice){ text.ptr, len }))
			return false;
		if (len == text.len)
			return true;
		text = slice_from(text, len + 1);
	}
}

/* "[...]" with hexadecimal digits and colons: zones and embedded IPv4 are left out on purpose, as by distribution. */
static size_t match_ipv6(struct slice text)
{
	size_t len = 1;

	if (text.len < 3 || text.ptr[0] != '[')
		return 0;
	while (len < text.len && (is_hex(text.ptr[len]) || text.ptr[len] == ':'))
		len++;
	return len > 1 && len < text.len && text.ptr[len] == ']' ? len + 1 : 0;
}

static bool is_port(struct slice text)
{
	if (text.len < 2 || text.ptr[0] != ':')
		return false;
	for (size_t i = 1; i < text.len; i++) {
		if (!is_digit(text.ptr[i]))
			return false;
	}
	return true;
}

static bool is_registry(struct slice text)
{
	size_t host = match_ipv6(text);

	if (host == 0) {
		host = find_byte(text, ':');
		if (!is_domain_name((struct slice){ text.ptr, host }))
			return false;
	}
	return host == text.len || is_port(slice_from(text, host));
}

static bool is_tag(struct slice text)
{
	if (text.len == 0 || text.len > TAG_MAX_BYTES)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (!is_alnum(c) && c != '_' && (i == 0 || (c != '.' && c != '-')))
			return false;
	}
	return true;
}

static bool is_identifier(const char *text)
{
	size_t len = 0;

	while (is_digit(text[len]) || (text[len] >= 'a' && text[len] <= 'f'))
		len++;
	return len == DIGEST_HEX && text[len] == '\0';
}

static bool slice_equal(struct slice text, const char *literal)
{
	return text.len == strlen(literal) && memcmp(text.ptr, literal, text.len) == 0;
}

/* The first component is a registry if it is "localhost", has a '.' or a ':', or an upper-case letter, which no
   repository may have. */
static bool names_registry(struct slice component)
{
	return slice_equal(component, "localhost") || find_byte(component, '.') < component.len ||
	       find_byte(component, ':') < component.len || has_upper(component);
}

static int invalid(struct err *err, const char *text, const char *why)
{
	char shown[160];

	return err_set(err, ERR_INPUT, "invalid reference \"%s\": %s", err_printable(shown, sizeof(shown), text), why);
}

/* Splits REMAINDER = REPOSITORY[:TAG][@DIGEST] and checks the parts. */
static int parse_remainder(struct arena *arena, const char *text, struct slice remainder, struct slice *repository,
			   struct reference *out, struct err *err)
{
	size_t at = find_byte(remainder, '@');
	struct slice name = { remainder.ptr, at };
	size_t colon = find_byte(name, ':');
	struct slice tag = slice_from(name, colon);
	struct digest digest;

	*repository = (struct slice){ name.ptr, colon };
	if (has_upper(*repository))
		return err_set(err, ERR_INPUT, "invalid reference \"%s\": repository name (%.*s) must be lowercase",
			       text, (int)repository->len, repository->ptr);
	if (!is_repository(*repository))
		return invalid(err, text, "the name must be lower-case words separated by one of . _ __ - /");
	if (tag.len > 0) {
		tag = slice_from(tag, 1);
		if (!is_tag(tag))
			return invalid(err, text,
				       "the tag must be up to 128 letters, digits and . _ - and not begin with . or -");
		out->tag = arena_strndup(arena, tag.ptr, tag.len);
	}
	if (at < remainder.len) {
		out->digest = arena_strndup(arena, remainder.ptr + at + 1, remainder.len - at - 1);
		if (digest_parse(&digest, out->digest, err) < 0)
			return err_wrap(err, "invalid reference \"%s\"", text);
	}
	if (!out->tag && !out->digest)
		out->tag = "latest";
	return 0;
}

static int check_printable(const char *text, struct err *err)
{
	if (!*text)
		return err_set(err, ERR_INPUT, "invalid reference \"\": it is empty");
	for (const char *c = text; *c; c++) {
		if (*c < 0x21 || *c > 0x7e)
			return invalid(err, text, "it has a blank, a control or a non-ASCII character");
	}
	return 0;
}

int reference_parse(struct arena *arena, const char *text, struct reference *out, struct err *err)
{
	struct reference result = { .registry = DEFAULT_REGISTRY };
	struct slice whole = { text, strlen(text) };
	struct slice remainder = whole, repository;
	size_t slash = find_byte(whole, '/');
	struct slice first = { text, slash };
	const char *prefix = "";

	if (whole.len > TEXT_MAX_BYTES)
		return err_set(err, ERR_INPUT, "invalid reference: it is longer than %d bytes", TEXT_MAX_BYTES);
	if (check_printable(text, err) < 0)
		return -1;
	if (is_identifier(text))
		return invalid(err, text, "a name cannot be 64 hexadecimal digits");
	if (slash < whole.len && names_registry(first)) {
		if (!is_registry(first))
			return invalid(err, text,
				       "the registry must be a host name or address, with a port or without");
		remainder = slice_from(whole, slash + 1);
		if (!slice_equal(first, LEGACY_REGISTRY))
			result.registry = arena_strndup(arena, first.ptr, first.len);
	}
	if (text_equal(result.registry, DEFAULT_REGISTRY) && find_byte(remainder, '/') == remainder.len)
		prefix = OFFICIAL_PREFIX;
	if (parse_remainder(arena, text, remainder, &repository, &result, err) < 0)
		return -1;
	result.repository = arena_printf(arena, "%s%.*s", prefix, (int)repository.len, repository.ptr);
	if (strlen(result.registry) + 1 + strlen(result.repository) > NAME_MAX_BYTES)
		return invalid(err, text, "registry and name together are longer than 255 bytes");
	*out = result;
	return 0;
}

static char *with_suffix(struct arena *arena, const char *name, const struct reference *reference)
{
	return arena_printf(arena, "%s%s%s%s%s", name, reference->tag ? ":" : "", reference->tag ? reference->tag : "",
			    reference->digest ? "@" : "", reference->digest ? reference->digest : "");
}

char *reference_text(struct arena *arena, const struct reference *reference)
{
	return with_suffix(arena, path_join(arena, reference->registry, reference->repository), reference);
}

/* "docker.io/example.org/x" keeps its registry: without it, it would be x of another one. */
char *reference_familiar_name(struct arena *arena, const struct reference *reference)
{
	const char *rest = reference->repository + strlen(OFFICIAL_PREFIX);
	struct slice first = { reference->repository, strcspn(reference->repository, "/") };
	bool is_ambiguous = first.ptr[first.len] == '/' && names_registry(first);

	if (!text_equal(reference->registry, DEFAULT_REGISTRY) || is_ambiguous)
		return path_join(arena, reference->registry, reference->repository);
	if (text_starts(reference->repository, OFFICIAL_PREFIX) && !strchr(rest, '/'))
		return arena_strdup(arena, rest);
	return arena_strdup(arena, reference->repository);
}

char *reference_familiar(struct arena *arena, const struct reference *reference)
{
	return with_suffix(arena, reference_familiar_name(arena, reference), reference);
}
