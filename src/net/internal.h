/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_NET_INTERNAL_H
#define KILN_SRC_NET_INTERNAL_H

#include "kiln/base/arena.h"
#include "kiln/net/http.h"

#include "libcurl.h"

/* ---- url.c ---- */

/* An http(s) URL taken apart; all in an arena. */
struct target {
	const char *url;    /* for libcurl: without credentials and fragment */
	const char *shown;  /* for people: without the query too */
	const char *origin; /* scheme, host and port */
	bool is_https;
	const char *user, *password; /* NULL: none */
};
int target_parse(struct arena *arena, const char *url, struct target *target, struct err *err) MUST_CHECK;
/* Where a Location header leads. Credentials in it are dropped. */
int target_follow(struct arena *arena, const struct target *from, const char *location, struct target *target,
		  struct err *err) MUST_CHECK;

/* ---- transfer.c: one exchange, neither redirected nor repeated ---- */

struct http {
	CURL *curl;
	struct http_options options;
};

struct transfer {
	struct http *http;
	const struct http_request *request;
	struct http_response *response;
	const struct target *target;
	const char *method;
	const struct http_body *body;
	bool sends_credentials;
	bool is_redirected;
	int64_t position;      /* bytes that the sink has; kept from one exchange to the next */
	const char *validator; /* for If-Range, or NULL */
	/* of this exchange */
	struct err *err;
	bool has_failed; /* err is set: no other try helps */
	bool has_started;
	bool has_headers; /* all of them, with the empty line that ends them */
	size_t header_bytes;
	int64_t sent;
};

enum exchange { EXCHANGE_DONE, EXCHANGE_BROKE /* worth another try; err is set */, EXCHANGE_FAILED };
enum exchange transfer_run(struct transfer *transfer, struct err *err);
bool status_is_success(int status);

#endif
