/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_NET_HTTP_H
#define KILN_NET_HTTP_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * One HTTP request at a time (libcurl), for what a build fetches and for registries: http and https only, proxies of the
 * environment, certificates of $SSL_CERT_FILE and $SSL_CERT_DIR or of the system. A client keeps its connections for the next request; it blocks, so it
 * belongs into a child process (several at a time are several children).
 *
 *	scope_http struct http *http = http_new(NULL);
 *	scope_response struct http_response response = HTTP_RESPONSE_EMPTY;
 *	const struct http_request request = { .url = url, .sink = &file.sink };
 *	if (http_send(http, &request, &response, err) < 0)
 *		return -1;
 *	etag = http_header(&response, "ETag");
 *
 * Redirects are followed here, not by libcurl: at most 10, never from https to http, and what proves who we are goes to the
 * first origin (scheme, host, port) only. 429, 5xx, and connections that break are tried again after a growing pause, or
 * after what Retry-After says; a body that broke off goes on where it stopped if the server can, else the sink starts anew.
 * No message names a password or a query: a URL is shown as SCHEME://HOST/PATH.
 */
struct http;

struct http_options {
	int connect_timeout_ms; /* 0: 30 s */
	int stall_timeout_s;    /* 0: 60 s during which nothing comes */
	int tries;              /* 0: 5 */
	int backoff_ms;         /* before the second try, then doubled; 0: 500 */
	int redirects;          /* 0: 10 */
};
/* options may be NULL. Never NULL. */
struct http *http_new(const struct http_options *options);
void http_free(struct http *http); /* NULL is fine */

static inline void scope_free_http(struct http **http)
{
	http_free(*http);
}
#define scope_http __attribute__((cleanup(scope_free_http)))

struct http_header {
	const char *name, *value;
};

/* Where the body of a 2xx goes, as it comes. A function that fails ends the request with its error. */
struct http_sink {
	int (*write)(struct http_sink *sink, const void *bytes, size_t len, struct err *err);
	/* All that was written is void, what range_from stands for too: the body comes again from its start. NULL: a body that
	   broke off and cannot be continued is an error. */
	int (*restart)(struct http_sink *sink, struct err *err);
};

/* What is sent. May be sent more than once (redirects 307 and 308, retries), so it is memory or a seekable file. */
struct http_body {
	const void *bytes; /* NULL: from fd */
	int fd;            /* borrowed; its offset is not used */
	off_t offset;
	int64_t size;
};

enum http_flags {
	HTTP_ANY_STATUS = 1 << 0,  /* every final status is a result for the caller, its body in response->text */
	HTTP_NO_REDIRECT = 1 << 1, /* a 3xx is a result too */
	HTTP_REPEATABLE = 1 << 2,  /* POST and PATCH may be tried again too: GET, HEAD, PUT and DELETE always may */
	HTTP_NO_RETRY = 1 << 3,
	HTTP_IMMUTABLE = 1 << 4 /* the URL means the same bytes for ever: a broken body goes on without a validator */
};

struct http_request {
	const char *method; /* NULL: GET */
	const char *url;    /* user:password@ in it is sent as Basic credentials, to its origin only */
	/* Go to every host on the way, but for Authorization and Cookie, which only go to the first. A NULL value is passed
	   over. */
	const struct http_header *headers;
	size_t header_count;
	const struct http_body *body;
	struct http_sink *sink; /* NULL: into response->text */
	int64_t range_from; /* the sink has so many bytes already: asks for the rest, and restarts it if all comes */
	int64_t max_size;   /* of the body, 0: none; more is ERR_INPUT */
	unsigned flags;
};

struct http_response {
	struct arena arena; /* of all below */
	int status;
	int64_t size; /* bytes that the sink has, those before range_from too */
	struct http_header *headers;
	size_t header_count;
	const char *url;    /* where it came from at last, without credentials; whole */
	struct strbuf text; /* what no sink took: at most 64 KiB of it */
};
#define HTTP_RESPONSE_EMPTY \
	{                   \
		.status = 0 \
	}
void http_response_release(struct http_response *response);
#define scope_response __attribute__((cleanup(http_response_release)))

/* 2xx and 304 are success. All else is ERR_REMOTE with the status in .sys ("GET https://h/x: invalid response status 404"), 0 if there was none.
   response is written on failure too: its status and headers, if any came. */
int http_send(struct http *http, const struct http_request *request, struct http_response *response,
	      struct err *err) MUST_CHECK;

/* The first header of that name, or NULL. */
const char *http_header(const struct http_response *response, const char *name);

/* Seconds since 1970 of an HTTP date; -1 if it is none. */
int64_t http_date(const char *text);

/* SCHEME://HOST[:PORT]/PATH for messages: no credentials, no query, printable. In the arena. "(invalid URL)" if it is none. */
char *http_shown(struct arena *arena, const char *url);

#endif
