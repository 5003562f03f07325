/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#include "internal.h"

/* libcurl's own parser takes URLs apart, so that what is checked here and what is connected to are the same. */

static void close_url(CURLU **url)
{
	if (*url)
		libcurl.url_cleanup(*url);
}
#define scope_url __attribute__((cleanup(close_url)))

/* A part in the arena, or NULL. */
static const char *part(struct arena *arena, CURLU *url, CURLUPart what, unsigned flags)
{
	char *text = NULL;
	const char *copy = NULL;

	if (libcurl.url_get(url, what, &text, flags) == CURLUE_OK)
		copy = arena_strdup(arena, text);
	libcurl.free(text);
	return copy;
}

static const char *shown_url(struct arena *arena, const char *scheme, const char *host, const char *port,
			     const char *path)
{
	char *text = arena_printf(arena, "%s://%s%s%s%s", scheme, host, port ? ":" : "", port ? port : "", path);
	size_t size = strlen(text) * 4 + 1;

	return err_printable(arena_alloc(arena, size), size, text);
}

static int take(struct arena *arena, CURLU *url, struct target *target, struct err *err)
{
	const char *scheme = part(arena, url, CURLUPART_SCHEME, 0);
	const char *host = part(arena, url, CURLUPART_HOST, 0);
	const char *port = part(arena, url, CURLUPART_PORT, 0);
	const char *path = part(arena, url, CURLUPART_PATH, 0);
	struct target found = {
		.user = part(arena, url, CURLUPART_USER, CURLU_URLDECODE),
		.password = part(arena, url, CURLUPART_PASSWORD, CURLU_URLDECODE),
	};

	if (!scheme || !host || !*host)
		return err_set(err, ERR_INPUT, "a URL without a host");
	found.is_https = text_equal_nocase(scheme, "https");
	if (!found.is_https && !text_equal_nocase(scheme, "http"))
		return err_set(err, ERR_INPUT, "a URL that is neither http nor https");
	found.shown = shown_url(arena, scheme, host, port, path ? path : "/");
	static const CURLUPart secret[] = { CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_FRAGMENT };
	for (size_t i = 0; i < ARRAY_LEN(secret); i++)
		libcurl.url_set(url, secret[i], NULL, 0);
	found.url = part(arena, url, CURLUPART_URL, 0);
	found.origin = arena_printf(arena, "%s://%s:%s", scheme, host,
				    part(arena, url, CURLUPART_PORT, CURLU_DEFAULT_PORT));
	for (char *p = (char *)(uintptr_t)found.origin; *p; p++)
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + ('a' - 'A') : *p);
	if (!found.url)
		return err_set(err, ERR_INPUT, "a URL that is not valid");
	*target = found;
	return 0;
}

int target_parse(struct arena *arena, const char *url, struct target *target, struct err *err)
{
	scope_url CURLU *parts = NULL;
	CURLUcode code;

	if (libcurl_load(err) < 0)
		return -1;
	parts = libcurl.url();
	if (!parts)
		abort();
	code = libcurl.url_set(parts, CURLUPART_URL, url,
			       CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE | CURLU_ALLOW_SPACE);
	if (code != CURLUE_OK)
		return err_set(err, ERR_INPUT, "a URL that is not valid");
	return take(arena, parts, target, err);
}

int target_follow(struct arena *arena, const struct target *from, const char *location, struct target *target,
		  struct err *err)
{
	scope_url CURLU *parts = libcurl.url();
	struct target found;

	if (!parts)
		abort();
	if (libcurl.url_set(parts, CURLUPART_URL, from->url, 0) != CURLUE_OK ||
	    libcurl.url_set(parts, CURLUPART_URL, location,
			    CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE | CURLU_ALLOW_SPACE) != CURLUE_OK)
		return err_set(err, ERR_REMOTE, "it redirects to a URL that is not valid");
	if (take(arena, parts, &found, err) < 0)
		return err_wrap(err, "it redirects to");
	found.user = found.password = NULL;
	if (from->is_https && !found.is_https)
		return err_set(err, ERR_REMOTE, "it redirects from https to http (%s), which kiln does not follow",
			       found.shown);
	*target = found;
	return 0;
}

char *http_shown(struct arena *arena, const char *url)
{
	struct target target;

	return arena_strdup(arena, target_parse(arena, url, &target, NULL) < 0 ? "(invalid URL)" : target.shown);
}

int64_t http_date(const char *text)
{
	time_t time = libcurl_load(NULL) < 0 ? -1 : libcurl.getdate(text, NULL);

	return time < 0 ? -1 : (int64_t)time;
}
