/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/context/remote.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#include <ctype.h>
#include <string.h>

/* Texts that may name something elsewhere, as BuildKit reads them (dockerfile.md 1.7 ADD, 2.1). Pure. */

static bool is_web(const char *text)
{
	return text_starts(text, "http://") || text_starts(text, "https://");
}

static bool is_host_char(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '-';
}

/* user@host:path */
static bool is_scp(const char *text)
{
	const char *p = text;
	while (isalnum((unsigned char)*p) || *p == '_' || *p == '-')
		p++;
	if (p == text || *p++ != '@')
		return false;
	const char *host = p;
	while (is_host_char(*p))
		p++;
	return p > host && *p == ':';
}

/* Up to its query and fragment. */
static size_t address_len(const char *text)
{
	return strcspn(text, "?#");
}

static bool is_git(const char *text)
{
	size_t len = address_len(text);
	if (text_starts(text, "git://") || text_starts(text, "ssh://"))
		return true;
	if (is_web(text))
		return len > 4 && strncmp(text + len - 4, ".git", 4) == 0;
	return is_scp(text);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX undone; what is no such thing stays. NULL if a byte of it is a control character. */
static char *decode(struct arena *arena, const char *text, size_t len)
{
	char *out = arena_alloc(arena, len + 1), *to = out;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '%' && i + 2 < len && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
			c = (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
			i += 2;
		}
		if ((unsigned char)c < 0x20 || c == 0x7f)
			return NULL;
		*to++ = c;
	}
	return out;
}

static int refuse_controls(const char *text, struct err *err)
{
	char shown[256];
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return err_set(err, ERR_INPUT, "invalid URL \"%s\": it has a control character",
				       err_printable(shown, sizeof(shown), text));
	return 0;
}

/* ---- credentials ---- */

/* Where the authority of a URL begins in text, or NULL. */
static const char *authority(const char *text)
{
	const char *p = strstr(text, "://");
	return p ? p + 3 : NULL;
}

/* The '@' behind the credentials of an authority, or NULL: the last one, since a password may have one in it. A password with
   a bare '/', '?' or '#' is malformed, and must be recognised all the same: "user:pa/ss@host" has no port "pa". */
static const char *find_at(const char *start)
{
	const char *at = NULL, *colon = NULL;
	bool is_malformed = false;
	for (const char *p = start; *p && !strchr(" \t\r\n\"'`<>", *p); p++) {
		if (*p == '@') {
			at = p;
		} else if (*p == ':' && !is_malformed && *start != '[') {
			colon = p;
		} else if (strchr("/?#", *p) && !is_malformed) {
			is_malformed = !at && colon && strspn(colon + 1, "0123456789") != (size_t)(p - colon) - 1;
			if (!is_malformed)
				break;
		}
	}
	return at;
}

static bool is_secret_key(const char *key, size_t len)
{
	static const char *const words[] = { "token", "secret", "passw", "signature", "credential", "auth", "key" };
	char name[64];
	if (len >= sizeof(name))
		return false;
	for (size_t i = 0; i <= len; i++)
		name[i] = i < len ? (char)tolower((unsigned char)key[i]) : '\0';
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strstr(name, words[i]))
			return true;
	return strcmp(name, "sig") == 0 || strcmp(name, "pwd") == 0 || strcmp(name, "pass") == 0;
}

static bool ends_url(char c)
{
	return c == '\0' || strchr(" \t\r\n\"'`<>", c);
}

/* From the '?' of a URL to its end. Returns where that is. */
static const char *redact_query(struct strbuf *out, const char *p)
{
	while (!ends_url(*p) && *p != '#') {
		size_t key = strcspn(p + 1, "=&# \t\r\n\"'`<>");
		strbuf_add(out, p, key + 1);
		bool is_secret = is_secret_key(p + 1, key);
		p += key + 1;
		if (*p != '=')
			continue;
		size_t value = strcspn(p + 1, "&# \t\r\n\"'`<>");
		if (is_secret && value)
			strbuf_addstr(out, "=xxxxx");
		else
			strbuf_add(out, p, value + 1);
		p += value + 1;
	}
	return p;
}

/* A user of ssh is no secret: git@host. */
static bool is_ssh(const char *text, const char *start)
{
	return start - text >= 6 && (strncmp(start - 6, "ssh://", 6) == 0 || strncmp(start - 6, "git://", 6) == 0);
}

/* One URL, from its authority on. Returns where it ends. */
static const char *redact_url(struct strbuf *out, const char *text, const char *start)
{
	const char *at = find_at(start), *p = start;
	if (at) {
		bool has_password = memchr(start, ':', (size_t)(at - start)) != NULL;
		if (!has_password && is_ssh(text, start))
			strbuf_add(out, start, (size_t)(at - start));
		else
			strbuf_addstr(out, has_password ? "xxxxx:xxxxx" : "xxxxx");
		p = at;
	}
	size_t plain = strcspn(p, "? \t\r\n\"'`<>");
	strbuf_add(out, p, plain);
	p += plain;
	return *p == '?' ? redact_query(out, p) : p;
}

const char *remote_redact(struct arena *arena, const char *text)
{
	scope_strbuf struct strbuf out = { 0 };
	const char *p = text;
	for (const char *start; (start = authority(p));) {
		strbuf_add(&out, p, (size_t)(start - p));
		p = redact_url(&out, text, start);
	}
	if (p == text)
		return text;
	strbuf_addstr(&out, p);
	return arena_strdup(arena, strbuf_str(&out));
}

/* ---- http ---- */

/* The last element of the path, as Go's path.Base of the decoded one; BuildKit's name for none. */
static const char *file_name(struct arena *arena, const char *url)
{
	const char *path = authority(url);
	path += strcspn(path, "/?#");
	char *decoded = decode(arena, path, address_len(path));
	if (!decoded)
		return NULL;
	size_t len = strlen(decoded);
	while (len > 0 && decoded[len - 1] == '/')
		decoded[--len] = '\0';
	if (len == 0)
		return "__unnamed__";
	const char *base = path_base(decoded);
	return strcmp(base, ".") == 0 || strcmp(base, "..") == 0 ? NULL : base;
}

static int parse_http(struct arena *arena, const char *text, struct remote *remote, struct err *err)
{
	const char *start = authority(text), *at = find_at(start);
	const char *host = at ? at + 1 : start;
	if (!is_host_char(*host) && *host != '[')
		return err_set(err, ERR_INPUT, "invalid URL \"%s\": it has no host", remote_redact(arena, text));
	*remote = (struct remote){ .kind = REMOTE_HTTP, .ref = "", .subdir = "" };
	remote->url = arena_strndup(arena, text, strcspn(text, "#"));
	remote->shown = remote_redact(arena, text);
	remote->file = file_name(arena, text);
	return 0;
}

/* ---- git ---- */

/* git-check-ref-format, and that nothing takes it for an option or a pattern. */
static int check_ref(const char *ref, struct err *err)
{
	char shown[256];
	bool is_bad = ref[0] == '-' || strlen(ref) >= GIT_REF - 16 || strpbrk(ref, " ~^:?*[\\") || strstr(ref, "..") ||
		      strstr(ref, "@{") || strstr(ref, "//") || ref[0] == '/' || text_ends(ref, "/") ||
		      text_ends(ref, ".lock") || text_ends(ref, ".");
	return is_bad ? err_set(err, ERR_INPUT, "invalid git ref \"%s\"", err_printable(shown, sizeof(shown), ref)) : 0;
}

int remote_check_commit(const char *text, struct err *err)
{
	size_t len = strspn(text, "0123456789abcdefABCDEF");
	char shown[128];
	if (len == 0 || text[len] || len > GIT_ID)
		return err_set(err, ERR_INPUT, "invalid checksum \"%s\": expected hex commit hash",
			       err_printable(shown, sizeof(shown), text));
	return 0;
}

static int parse_bool(const char *key, const char *value, bool *out, struct err *err)
{
	static const char *const yes[] = { "", "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		if (strcmp(value, yes[i]) == 0)
			return *out = true, 0;
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		if (strcmp(value, no[i]) == 0)
			return *out = false, 0;
	return err_set(err, ERR_INPUT, "invalid value \"%s\" for %s: true or false", value, key);
}

static int set_ref(struct remote *remote, const char *ref, struct err *err)
{
	if (*remote->ref)
		return err_set(err, ERR_INPUT, "ref conflict: \"%s\" and \"%s\" are both given", remote->ref, ref);
	remote->ref = ref;
	return 0;
}

static int set_subdir(struct arena *arena, struct remote *remote, const char *subdir, struct err *err)
{
	if (*remote->subdir)
		return err_set(err, ERR_INPUT, "subdir conflict: \"%s\" and \"%s\" are both given", remote->subdir,
			       subdir);
	remote->subdir = path_clean(arena, subdir);
	return 0;
}

static int take_mtime(struct remote *remote, const char *value, struct err *err)
{
	if (strcmp(value, "checkout") != 0 && strcmp(value, "commit") != 0)
		return err_set(err, ERR_INPUT, "invalid mtime \"%s\": checkout or commit", value);
	remote->has_checkout_times = strcmp(value, "checkout") == 0;
	return 0;
}

static int take_parameter(struct arena *arena, struct remote *remote, const char *key, const char *value,
			  struct err *err)
{
	bool flag = false;
	char shown[128];
	if (strcmp(key, "ref") == 0)
		return set_ref(remote, value, err);
	if (strcmp(key, "branch") == 0)
		return set_ref(remote, arena_printf(arena, "refs/heads/%s", value), err);
	if (strcmp(key, "tag") == 0)
		return set_ref(remote, arena_printf(arena, "refs/tags/%s", value), err);
	if (strcmp(key, "subdir") == 0)
		return set_subdir(arena, remote, value, err);
	if (strcmp(key, "checksum") == 0 || strcmp(key, "commit") == 0) {
		if (remote->checksum && strcmp(remote->checksum, value) != 0)
			return err_set(err, ERR_INPUT, "checksum conflict: \"%s\" and \"%s\" are both given",
				       remote->checksum, value);
		remote->checksum = value;
		return remote_check_commit(value, err);
	}
	if (strcmp(key, "mtime") == 0)
		return take_mtime(remote, value, err);
	if (strcmp(key, "keep-git-dir") == 0)
		return parse_bool(key, value, &remote->keeps_git_dir, err);
	/* A commit that is named is always fetched by its id first. */
	if (strcmp(key, "fetch-by-commit") == 0)
		return parse_bool(key, value, &flag, err);
	if (strcmp(key, "submodules") == 0) {
		if (parse_bool(key, value, &flag, err) < 0)
			return -1;
		remote->no_submodules = !flag;
		return 0;
	}
	return err_set(err, ERR_INPUT, "unexpected query \"%s\"", err_printable(shown, sizeof(shown), key));
}

static int take_query(struct arena *arena, struct remote *remote, const char *query, size_t len, struct err *err)
{
	for (const char *p = query, *end = query + len; p < end;) {
		size_t part = strcspn(p, "&#");
		if (part > (size_t)(end - p))
			part = (size_t)(end - p);
		const char *equals = memchr(p, '=', part);
		size_t key_len = equals ? (size_t)(equals - p) : part;
		const char *key = decode(arena, p, key_len);
		const char *value = equals ? decode(arena, equals + 1, part - key_len - 1) : "";
		if (!key || !value)
			return err_set(err, ERR_INPUT, "a query with a control character");
		if (part && take_parameter(arena, remote, key, value, err) < 0)
			return -1;
		p += part + 1;
	}
	return 0;
}

/* ref[:subdir] */
static int take_fragment(struct arena *arena, struct remote *remote, const char *fragment, struct err *err)
{
	size_t len = strcspn(fragment, ":");
	if (len && set_ref(remote, arena_strndup(arena, fragment, len), err) < 0)
		return -1;
	if (fragment[len] && fragment[len + 1])
		return set_subdir(arena, remote, fragment + len + 1, err);
	return 0;
}

/* Credentials leave the URL: it is an argument of programs, and may be kept in .git/config. */
static int take_address(struct arena *arena, struct remote *remote, const char *address, struct err *err)
{
	const char *start = authority(address);
	remote->url = address;
	const char *at = start ? find_at(start) : strchr(address, '@');
	const char *host = at ? at + 1 : start;
	if (!is_host_char(*host) && *host != '[')
		return err_set(err, ERR_INPUT, "it has no host");
	if (*host == '-' || *address == '-' || (start && *start == '-'))
		return err_set(err, ERR_INPUT, "a host cannot begin with \"-\"");
	if (!at || !start)
		return 0;
	const char *colon = memchr(start, ':', (size_t)(at - start));
	const char *end = colon ? colon : at;
	if (is_web(address)) {
		remote->user = decode(arena, start, (size_t)(end - start));
		remote->password = colon ? decode(arena, colon + 1, (size_t)(at - colon) - 1) : "";
		if (!remote->user || !remote->password)
			return err_set(err, ERR_INPUT, "its credentials have a control character");
		end = start;
	}
	remote->url = arena_printf(arena, "%.*s%.*s%s%s", (int)(start - address), address, (int)(end - start), start,
				   end > start ? "@" : "", host);
	return 0;
}

static int take_git(struct arena *arena, const char *text, struct remote *remote, struct err *err)
{
	size_t len = address_len(text);
	const char *address = arena_strndup(arena, text, len);
	const char *fragment = strchr(text, '#');
	size_t query_len = text[len] == '?' ? strcspn(text + len + 1, "#") : 0;
	if (take_address(arena, remote, address, err) < 0 ||
	    (query_len && take_query(arena, remote, text + len + 1, query_len, err) < 0) ||
	    (fragment && take_fragment(arena, remote, fragment + 1, err) < 0))
		return -1;
	return *remote->ref ? check_ref(remote->ref, err) : 0;
}

static int parse_git(struct arena *arena, const char *text, struct remote *remote, struct err *err)
{
	struct remote found = { .kind = REMOTE_GIT, .ref = "", .subdir = "", .shown = remote_redact(arena, text) };
	if (take_git(arena, text, &found, err) < 0)
		return err_wrap(err, "invalid git reference \"%s\"", found.shown);
	*remote = found;
	return 0;
}

int remote_parse(struct arena *arena, const char *text, enum remote_place place, struct remote *remote, struct err *err)
{
	bool is_short = place == REMOTE_ON_COMMAND_LINE && text_starts(text, "github.com/");
	if (!is_short && !is_git(text) && !is_web(text)) {
		*remote = (struct remote){ .kind = REMOTE_NONE, .ref = "", .subdir = "" };
		return 0;
	}
	if (refuse_controls(text, err) < 0)
		return -1;
	if (is_short)
		return parse_git(arena, arena_printf(arena, "https://%s", text), remote, err);
	return is_git(text) ? parse_git(arena, text, remote, err) : parse_http(arena, text, remote, err);
}
