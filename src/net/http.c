/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "kiln/base/log.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#include "internal.h"

/* Redirects and retries around single exchanges. */

enum { PAUSE_MAX_MS = 60 * 1000, PAUSES_MAX_MS = 5 * 60 * 1000 };

struct http *http_new(const struct http_options *options)
{
	struct http *http = calloc(1, sizeof(*http));

	if (!http)
		abort();
	if (options)
		http->options = *options;
	struct http_options *o = &http->options;
	o->connect_timeout_ms = o->connect_timeout_ms ? o->connect_timeout_ms : 30000;
	o->stall_timeout_s = o->stall_timeout_s ? o->stall_timeout_s : 60;
	o->tries = o->tries ? o->tries : 5;
	o->backoff_ms = o->backoff_ms ? o->backoff_ms : 500;
	o->redirects = o->redirects ? o->redirects : 10;
	return http;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	if (http->curl)
		libcurl.easy_cleanup(http->curl);
	free(http);
}

void http_response_release(struct http_response *response)
{
	arena_release(&response->arena);
	strbuf_release(&response->text);
	*response = (struct http_response)HTTP_RESPONSE_EMPTY;
}

const char *http_header(const struct http_response *response, const char *name)
{
	for (size_t i = 0; i < response->header_count; i++)
		if (text_equal_nocase(response->headers[i].name, name))
			return response->headers[i].value;
	return NULL;
}

/* ---- redirects ---- */

static bool is_redirect(const struct http_response *response)
{
	switch (response->status) {
	case 301:
	case 302:
	case 303:
	case 307:
	case 308:
		return http_header(response, "Location") != NULL;
	default:
		return false;
	}
}

/* 303, and 301 and 302 as all clients have it, turn what was sent into a question. */
static void change_method(struct transfer *transfer)
{
	int status = transfer->response->status;
	bool is_post = text_equal(transfer->method, "POST");

	if ((status == 303 && !text_equal(transfer->method, "HEAD")) || ((status == 301 || status == 302) && is_post)) {
		transfer->method = "GET";
		transfer->body = NULL;
	}
}

/* From the request's URL to where it ends. */
static enum exchange follow(struct transfer *transfer, const struct target *first, struct err *err)
{
	struct target target = *first, next;
	const struct http_request *request = transfer->request;
	struct http_response *response = transfer->response;
	int limit = transfer->http->options.redirects;

	transfer->method = request->method ? request->method : "GET";
	transfer->body = request->body;
	transfer->sends_credentials = true;
	transfer->is_redirected = false;
	for (int hops = 0;; hops++) {
		transfer->target = &target;
		enum exchange ended = transfer_run(transfer, err);
		response->url = target.url;
		if (ended != EXCHANGE_DONE) {
			err_wrap(err, "%s %s", transfer->method, target.shown);
			return ended;
		}
		if (!is_redirect(response) || (request->flags & HTTP_NO_REDIRECT))
			return EXCHANGE_DONE;
		if (hops >= limit) {
			err_set(err, ERR_REMOTE, "%s %s: more than %d redirects", transfer->method, first->shown,
				limit);
			return EXCHANGE_FAILED;
		}
		if (target_follow(&response->arena, &target, http_header(response, "Location"), &next, err) < 0) {
			err_wrap(err, "%s %s", transfer->method, target.shown);
			return EXCHANGE_FAILED;
		}
		change_method(transfer);
		/* Once away, for good: a way back may be somebody else's doing. */
		transfer->sends_credentials &= text_equal(next.origin, first->origin);
		next.user = transfer->sends_credentials ? first->user : NULL;
		next.password = transfer->sends_credentials ? first->password : NULL;
		transfer->is_redirected = true;
		target = next;
	}
}

/* ---- retries ---- */

static bool may_repeat(const struct http_request *request)
{
	const char *method = request->method ? request->method : "GET";

	if (request->flags & HTTP_NO_RETRY)
		return false;
	return (request->flags & HTTP_REPEATABLE) || (!text_equal(method, "POST") && !text_equal(method, "PATCH"));
}

static bool is_passing(int status)
{
	return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

/* Seconds, or a date; -1 if it says nothing that makes sense. */
static int64_t retry_after_ms(const struct http_response *response)
{
	const char *text = http_header(response, "Retry-After");
	int64_t seconds;

	if (!text)
		return -1;
	if (parse_int64(&seconds, text, NULL) < 0) {
		int64_t date = http_date(text);
		if (date < 0)
			return -1;
		seconds = date - (int64_t)time(NULL);
	}
	if (seconds < 0)
		return -1;
	return seconds > PAUSE_MAX_MS / 1000 ? PAUSE_MAX_MS : seconds * 1000;
}

static void sleep_ms(int64_t ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* What a body that broke off may go on by: the thing must still be the same. */
static const char *validator_of(const struct http_response *response)
{
	const char *etag = http_header(response, "ETag");

	if (etag && !text_starts(etag, "W/"))
		return etag;
	return http_header(response, "Last-Modified");
}

/* Makes the sink ready for another try. False if that cannot be. */
static bool prepare_again(struct transfer *transfer)
{
	const struct http_request *request = transfer->request;
	struct http_response *response = transfer->response;

	if (transfer->position == request->range_from)
		return true;
	if (request->flags & HTTP_IMMUTABLE)
		return true;
	if (status_is_success(response->status) && validator_of(response))
		transfer->validator = arena_strdup(&response->arena, validator_of(response));
	if (transfer->validator)
		return true;
	struct err ignored;
	if (!request->sink->restart || request->sink->restart(request->sink, &ignored) < 0)
		return false;
	transfer->position = 0;
	return true;
}

static int bad_status(const struct transfer *transfer, const struct target *first, struct err *err)
{
	int status = transfer->response->status;
	static const struct {
		int status;
		const char *words;
	} known[] = {
		{ 400, "bad request" }, { 401, "unauthorized" },      { 403, "forbidden" },    { 404, "not found" },
		{ 410, "gone" },        { 429, "too many requests" }, { 500, "server error" }, { 502, "bad gateway" },
		{ 503, "unavailable" }, { 504, "gateway timeout" },
	};
	const char *words = NULL;

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].status == status)
			words = known[i].words;
	return err_status(err, ERR_REMOTE, status, "%s %s: invalid response status %d%s%s%s",
			  transfer->request->method ? transfer->request->method : "GET", first->shown, status,
			  words ? " (" : "", words ? words : "", words ? ")" : "");
}

static int conclude(const struct transfer *transfer, const struct target *first, struct err *err)
{
	int status = transfer->response->status;
	unsigned flags = transfer->request->flags;

	transfer->response->size = transfer->position;
	if (status_is_success(status) || status == 304 || (flags & HTTP_ANY_STATUS) ||
	    ((flags & HTTP_NO_REDIRECT) && status >= 300 && status < 400))
		return 0;
	return bad_status(transfer, first, err);
}

int http_send(struct http *http, const struct http_request *request, struct http_response *response, struct err *err)
{
	struct target first;
	struct err cause = { 0 };
	struct transfer transfer = {
		.http = http, .request = request, .response = response, .position = request->range_from
	};
	int64_t pause = http->options.backoff_ms, paused = 0;

	http_response_release(response);
	if (libcurl_load(err) < 0)
		return -1;
	if (!http->curl && !(http->curl = libcurl.easy_init()))
		abort();
	if (target_parse(&response->arena, request->url, &first, err) < 0)
		return -1;
	for (int try = 1;; try++) {
		enum exchange ended = follow(&transfer, &first, &cause);
		bool is_last = try >= http->options.tries || !may_repeat(request) || paused > PAUSES_MAX_MS;
		/* A range that is no longer there: all of it, then. */
		bool is_off = ended == EXCHANGE_DONE && response->status == 416 &&
			      transfer.position > request->range_from;
		if (ended == EXCHANGE_FAILED || (ended == EXCHANGE_BROKE && is_last)) {
			if (err)
				*err = cause;
			return -1;
		}
		if (ended == EXCHANGE_DONE && !is_off && (!is_passing(response->status) || is_last))
			return conclude(&transfer, &first, err);
		if (is_off)
			transfer.validator = NULL;
		if ((is_off && is_last) || !prepare_again(&transfer)) {
			if (ended == EXCHANGE_DONE)
				return bad_status(&transfer, &first, err);
			if (err)
				*err = cause;
			return -1;
		}
		int64_t asked = ended == EXCHANGE_DONE ? retry_after_ms(response) : -1;
		int64_t wait = asked >= 0 ? asked : pause;
		log_debug("%s: try %d failed, another one in %lld ms", first.shown, try, (long long)wait);
		sleep_ms(wait);
		paused += wait;
		pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
	}
}
