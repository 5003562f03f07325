/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/scope.h"
#include "kiln/context/remote.h"
#include "kiln/net/http.h"

/* A file by http, asked for again only if it has changed. */

static const int64_t SIZE_MAX_BYTES = INT64_C(64) << 30; /* an endless body must end somewhere before the disk does */
static const int64_t TIME_MAX = INT64_C(1) << 33;        /* what octal digits of a tar header hold */

struct sink {
	struct http_sink base;
	struct remote_sink *below;
};

static int write_body(struct http_sink *base, const void *bytes, size_t len, struct err *err)
{
	struct sink *sink = (struct sink *)base;
	return sink->below->writer->write(sink->below->writer, bytes, len, err);
}

static int restart_body(struct http_sink *base, struct err *err)
{
	struct sink *sink = (struct sink *)base;
	return sink->below->restart(sink->below, err);
}

int64_t remote_time(const char *last_modified)
{
	int64_t time = last_modified ? http_date(last_modified) : -1;
	return time >= 0 && time < TIME_MAX ? time : -1;
}

int remote_fetch(struct arena *arena, const struct remote *remote, const struct remote_file *known,
		 struct remote_sink *sink, struct remote_file *file, struct err *err)
{
	scope_http struct http *http = http_new(NULL);
	scope_response struct http_response response = HTTP_RESPONSE_EMPTY;
	struct sink body = { { write_body, restart_body }, sink };
	const struct http_header headers[] = {
		{ "If-None-Match", known ? known->etag : NULL },
		{ "If-Modified-Since", known && !known->etag ? known->last_modified : NULL },
	};
	const struct http_request request = {
		.url = remote->url,
		.headers = headers,
		.header_count = ARRAY_LEN(headers),
		.sink = &body.base,
		.max_size = SIZE_MAX_BYTES,
	};
	if (http_send(http, &request, &response, err) < 0)
		return -1;
	if (response.status == 304 && !known)
		return err_status(err, ERR_REMOTE, 304, "GET %s: invalid response status 304 (nothing was known)",
				  http_shown(arena, remote->url));
	*file = (struct remote_file){
		.is_unchanged = response.status == 304,
		.etag = arena_strdup(arena, http_header(&response, "ETag")),
		.last_modified = arena_strdup(arena, http_header(&response, "Last-Modified")),
	};
	file->time = remote_time(file->last_modified);
	return 0;
}
