/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <time.h>

#include "kiln/base/arena.h"
#include "kiln/base/strbuf.h"
#include "kiln/base/text.h"
#include "kiln/net/http.h"

#include "http-server.h"

#define OK(body)      "HTTP/1.1 200 OK\r\nContent-Length: " #body "\r\n"
#define CLOSED        "Connection: close\r\n\r\n"
#define OK_HELLO      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"e\"\r\n" CLOSED "hello"
#define STATUS(words) "HTTP/1.1 " words "\r\nContent-Length: 0\r\n" CLOSED

/* ---- a sink that collects ---- */

struct sink {
	struct http_sink base;
	struct strbuf text;
	int restarts;
	bool fails;
};

static int sink_write(struct http_sink *base, const void *bytes, size_t len, struct err *err)
{
	struct sink *sink = (struct sink *)base;

	if (sink->fails)
		return err_set(err, ERR_SYSTEM, "the disk is full");
	strbuf_add(&sink->text, bytes, len);
	return 0;
}

static int sink_restart(struct http_sink *base, struct err *err)
{
	struct sink *sink = (struct sink *)base;

	(void)err;
	sink->restarts++;
	strbuf_reset(&sink->text);
	return 0;
}

#define SINK                                                  \
	{                                                     \
		{ sink_write, sink_restart }, { 0 }, 0, false \
	}

/* ---- one request against a script ---- */

struct lab {
	struct http *http;
	struct server server;
	struct http_response response;
	struct sink sink;
	struct strbuf asked;
	struct arena arena;
	struct err err;
};

static int lab_setup(void **state)
{
	static const char *const names[] = { "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy" };
	static const struct http_options options = { .stall_timeout_s = 1, .backoff_ms = 1, .tries = 4 };
	struct lab *lab = calloc(1, sizeof(*lab));

	assert_non_null(lab);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unsetenv(names[i]);
	lab->http = http_new(&options);
	lab->sink = (struct sink)SINK;
	*state = lab;
	return 0;
}

static int lab_teardown(void **state)
{
	struct lab *lab = *state;

	http_free(lab->http);
	http_response_release(&lab->response);
	strbuf_release(&lab->sink.text);
	strbuf_release(&lab->asked);
	arena_release(&lab->arena);
	free(lab);
	return 0;
}

static const char *url_of(struct lab *lab, const char *rest)
{
	return arena_printf(&lab->arena, "http://127.0.0.1:%d%s", lab->server.port, rest);
}

static int ask(struct lab *lab, struct http_request request, const struct answer *answers, size_t count,
	       const char *path)
{
	lab->server = server_start(answers, count);
	request.url = path[0] == '/' ? url_of(lab, path) : arena_printf(&lab->arena, path, lab->server.port);
	if (!request.sink)
		request.sink = &lab->sink.base;
	int result = http_send(lab->http, &request, &lab->response, &lab->err);
	server_stop(&lab->server, &lab->asked);
	return result;
}

static int get(struct lab *lab, const struct answer *answers, size_t count)
{
	return ask(lab, (struct http_request){ 0 }, answers, count, "/f");
}

#define GET(lab, answers) get(lab, answers, ARRAY_LEN(answers))

static size_t requests(const struct lab *lab)
{
	size_t count = 0;

	for (const char *p = strbuf_str(&lab->asked); (p = strstr(p, " HTTP/1.1\r\n")); p++)
		count++;
	return count;
}

#define assert_says(text, part)                                          \
	do {                                                             \
		if (!strstr(text, part))                                 \
			fail_msg("\"%s\" is not in \"%s\"", part, text); \
	} while (0)

/* ---- tests ---- */

static void a_body_reaches_the_sink_and_headers_the_caller(void **state)
{
	static const struct answer answers[] = { { .bytes = OK_HELLO } };
	struct lab *lab = *state;

	if (GET(lab, answers) < 0)
		fail_msg("%s", lab->err.msg);
	assert_int_equal(lab->response.status, 200);
	assert_int_equal(lab->response.size, 5);
	assert_string_equal(strbuf_str(&lab->sink.text), "hello");
	assert_string_equal(http_header(&lab->response, "etag"), "\"e\"");
	assert_null(http_header(&lab->response, "Missing"));
	assert_says(strbuf_str(&lab->asked), "GET /f HTTP/1.1\r\n");
	assert_says(strbuf_str(&lab->asked), "User-Agent: kiln/");
}

static void a_status_is_an_error_that_names_the_url_without_its_secrets(void **state)
{
	static const struct answer answers[] = { { .bytes = STATUS("404 Not Found") } };
	struct lab *lab = *state;

	assert_int_equal(
		ask(lab, (struct http_request){ 0 }, answers, 1, "http://me:canary@127.0.0.1:%d/a/f?token=canary"), -1);
	assert_int_equal(lab->err.kind, ERR_REMOTE);
	assert_int_equal(lab->err.sys, 404);
	assert_says(lab->err.msg, "/a/f: invalid response status 404");
	assert_null(strstr(lab->err.msg, "canary"));
	/* me:canary */
	assert_says(strbuf_str(&lab->asked), "Authorization: Basic bWU6Y2FuYXJ5\r\n");
}

static void passing_failures_are_tried_again(void **state)
{
	static const struct answer answers[] = {
		{ .bytes = STATUS("503 Unavailable") },
		{ .bytes = "", .resets = true },
		{ .bytes = "HTTP/1.1 429 Slow\r\nRetry-After: 0\r\nContent-Length: 0\r\n" CLOSED },
		{ .bytes = OK_HELLO },
	};
	struct lab *lab = *state;

	if (GET(lab, answers) < 0)
		fail_msg("%s", lab->err.msg);
	assert_string_equal(strbuf_str(&lab->sink.text), "hello");
	assert_int_equal(requests(lab), 4);
}

static void tries_come_to_an_end(void **state)
{
	static const struct answer answers[] = {
		{ .bytes = STATUS("503 A") }, { .bytes = STATUS("502 B") }, { .bytes = STATUS("500 C") },
		{ .bytes = STATUS("504 D") }, { .bytes = OK_HELLO },
	};
	struct lab *lab = *state;

	assert_int_equal(GET(lab, answers), -1);
	assert_int_equal(lab->err.sys, 504);
	assert_int_equal(requests(lab), 4);
}

static void what_is_wrong_for_good_is_not_tried_again(void **state)
{
	static const struct answer answers[] = { { .bytes = STATUS("403 No") }, { .bytes = OK_HELLO } };
	struct lab *lab = *state;

	assert_int_equal(GET(lab, answers), -1);
	assert_int_equal(requests(lab), 1);
}

static void a_post_is_sent_once_unless_it_may_be_repeated(void **state)
{
	static const struct answer answers[] = { { .bytes = STATUS("503 A") }, { .bytes = OK_HELLO } };
	static const struct http_body body = { .bytes = "what", .size = 4 };
	struct lab *lab = *state;

	assert_int_equal(ask(lab, (struct http_request){ .method = "POST", .body = &body }, answers, 2, "/p"), -1);
	assert_int_equal(lab->err.sys, 503);
	assert_int_equal(requests(lab), 1);
	strbuf_reset(&lab->asked);
	assert_int_equal(ask(lab, (struct http_request){ .method = "POST", .body = &body, .flags = HTTP_REPEATABLE },
			     answers, 2, "/p"),
			 0);
	assert_int_equal(requests(lab), 2);
	assert_says(strbuf_str(&lab->asked), "Content-Length: 4\r\n");
	assert_true(text_ends(strbuf_str(&lab->asked), "\r\n\r\nwhat"));
}

static void a_body_that_broke_off_goes_on_where_it_stopped(void **state)
{
	static const struct answer answers[] = {
		{ .bytes = OK(10) "ETag: \"e\"\r\n\r\n01234" },
		{ .bytes = "HTTP/1.1 206 Partial\r\nContent-Length: 5\r\nContent-Range: bytes 5-9/10\r\n" CLOSED
			   "56789" },
	};
	struct lab *lab = *state;

	if (GET(lab, answers) < 0)
		fail_msg("%s", lab->err.msg);
	assert_string_equal(strbuf_str(&lab->sink.text), "0123456789");
	assert_int_equal(lab->response.size, 10);
	assert_int_equal(lab->sink.restarts, 0);
	assert_says(strbuf_str(&lab->asked), "Range: bytes=5-\r\n");
	assert_says(strbuf_str(&lab->asked), "If-Range: \"e\"\r\n");
}

static void a_body_that_changed_meanwhile_starts_anew(void **state)
{
	static const struct answer answers[] = {
		{ .bytes = OK(10) "ETag: \"e\"\r\n\r\n01234" },
		{ .bytes = OK(3) "ETag: \"f\"\r\n" CLOSED "new" },
	};
	struct lab *lab = *state;

	assert_int_equal(GET(lab, answers), 0);
	assert_string_equal(strbuf_str(&lab->sink.text), "new");
	assert_int_equal(lab->sink.restarts, 1);
	assert_int_equal(lab->response.size, 3);
}

static void without_a_validator_nothing_is_continued(void **state)
{
	static const struct answer answers[] = { { .bytes = OK(10) "\r\n01234" }, { .bytes = OK_HELLO } };
	struct lab *lab = *state;

	assert_int_equal(GET(lab, answers), 0);
	assert_string_equal(strbuf_str(&lab->sink.text), "hello");
	assert_int_equal(lab->sink.restarts, 1);
	assert_null(strstr(strbuf_str(&lab->asked), "Range:"));
}

static void another_range_than_asked_for_is_refused(void **state)
{
	static const struct answer answers[] = {
		{ .bytes = OK(10) "ETag: \"e\"\r\n\r\n01234" },
		{ .bytes = "HTTP/1.1 206 Partial\r\nContent-Length: 9\r\nContent-Range: bytes 1-9/10\r\n" CLOSED
			   "123456789" },
	};
	struct lab *lab = *state;

	assert_int_equal(GET(lab, answers), -1);
	assert_says(lab->err.msg, "another range than the one that was asked for");
}

static void a_caller_may_begin_in_the_middle(void **state)
{
	static const struct answer answers[] = {
		{ .bytes = "HTTP/1.1 206 Partial\r\nContent-Length: 2\r\nContent-Range: bytes 3-4/5\r\n" CLOSED
			   "lo" }
	};
	struct lab *lab = *state;

	assert_int_equal(ask(lab, (struct http_request){ .range_from = 3 }, answers, 1, "/f"), 0);
	assert_string_equal(strbuf_str(&lab->sink.text), "lo");
	assert_int_equal(lab->response.size, 5);
}

static void a_stall_ends_and_is_said(void **state)
{
	static const struct answer answers[] = { { .bytes = OK(10) "\r\n01", .stall_s = 30 } };
	struct lab *lab = *state;
	time_t begin = time(NULL);

	assert_int_equal(ask(lab, (struct http_request){ .flags = HTTP_NO_RETRY }, answers, 1, "/f"), -1);
	assert_says(lab->err.msg, "nothing came for 1 seconds");
	assert_true(time(NULL) - begin < 20);
}

static void an_endless_body_ends_at_the_limit(void **state)
{
	static const struct answer endless[] = { { .bytes = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123456789",
						   .repeats = 100000 } };
	static const struct answer announced[] = { { .bytes = OK(1000000000) "\r\n0" } };
	struct lab *lab = *state;

	assert_int_equal(ask(lab, (struct http_request){ .max_size = 100 }, endless, 1, "/f"), -1);
	assert_int_equal(lab->err.kind, ERR_INPUT);
	assert_says(lab->err.msg, "it is larger than 100 bytes");
	assert_true(lab->sink.text.len <= 100);
	strbuf_reset(&lab->sink.text);
	assert_int_equal(ask(lab, (struct http_request){ .max_size = 100 }, announced, 1, "/f"), -1);
	assert_says(lab->err.msg, "it is larger than 100 bytes");
	assert_int_equal(lab->sink.text.len, 0);
}

static void headers_that_are_endless_or_cut_off_are_refused(void **state)
{
	static const struct answer answers[] = { { .bytes = "HTTP/1.1 200 OK\r\nX: 1\r\n" } };
	static const struct answer many[] = { { .head = "HTTP/1.1 200 OK\r\n", .bytes = "X: 1\r\n", .repeats = 1000 } };
	struct lab *lab = *state;

	assert_int_equal(ask(lab, (struct http_request){ .flags = HTTP_NO_RETRY }, answers, 1, "/f"), -1);
	assert_int_equal(lab->err.kind, ERR_REMOTE);
	assert_int_equal(ask(lab, (struct http_request){ .flags = HTTP_NO_RETRY }, many, 1, "/f"), -1);
	assert_says(lab->err.msg, "more than 256 headers");
}

static void the_error_of_the_sink_comes_through(void **state)
{
	static const struct answer answers[] = { { .bytes = OK_HELLO }, { .bytes = OK_HELLO } };
	struct lab *lab = *state;

	lab->sink.fails = true;
	assert_int_equal(GET(lab, answers), -1);
	assert_int_equal(lab->err.kind, ERR_SYSTEM);
	assert_says(lab->err.msg, "the disk is full");
	assert_int_equal(requests(lab), 1);
}

static void a_redirect_keeps_credentials_on_its_own_origin_only(void **state)
{
	static const struct answer here[] = {
		{ .bytes = "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n" CLOSED },
		{ .bytes = OK_HELLO },
	};
	static const struct answer other[] = { { .bytes = OK_HELLO } };
	static const struct http_header headers[] = {
		{ "Authorization", "Bearer canary" }, { "Cookie", "canary" }, { "Accept", "x/y" }, { "Unset", NULL }
	};
	const struct http_request request = { .headers = headers, .header_count = ARRAY_LEN(headers) };
	struct lab *lab = *state;

	assert_int_equal(ask(lab, request, here, 2, "/f"), 0);
	const char *second = strstr(strbuf_str(&lab->asked), "GET /there");
	assert_non_null(second);
	assert_says(second, "Authorization: Bearer canary");

	/* The same machine and another port is another origin. */
	struct server elsewhere = server_start(other, 1);
	struct strbuf asked = { 0 };
	const struct answer away[] = { { .bytes = arena_printf(
						 &lab->arena,
						 "HTTP/1.1 307 Away\r\nLocation: "
						 "http://x:y@127.0.0.1:%d/z\r\nContent-Length: 0\r\n" CLOSED,
						 elsewhere.port) } };
	strbuf_reset(&lab->asked);
	strbuf_reset(&lab->sink.text);
	assert_int_equal(ask(lab, request, away, 1, "http://me:canary@127.0.0.1:%d/f"), 0);
	server_stop(&elsewhere, &asked);
	assert_says(strbuf_str(&lab->asked), "canary");
	assert_says(strbuf_str(&asked), "GET /z HTTP/1.1\r\n");
	assert_says(strbuf_str(&asked), "Accept: x/y\r\n");
	assert_null(strstr(strbuf_str(&asked), "canary"));
	assert_null(strstr(strbuf_str(&asked), "Authorization"));
	strbuf_release(&asked);
}

static void redirects_come_to_an_end_and_stay_with_http(void **state)
{
	static const struct answer loop[] = {
		{ .bytes = "HTTP/1.1 302 Loop\r\nLocation: /f\r\nContent-Length: 0\r\n\r\n", .goes_on = true },
		{ .bytes = "HTTP/1.1 302 Loop\r\nLocation: /f\r\nContent-Length: 0\r\n\r\n", .goes_on = true },
		{ .bytes = "HTTP/1.1 302 Loop\r\nLocation: /f\r\nContent-Length: 0\r\n\r\n", .goes_on = true },
	};
	static const char *const places[] = { "file:///etc/passwd", "gopher://127.0.0.1/x", "ftp://127.0.0.1/",
					      "http://", "http://169.254.169.254/latest/meta-data" };
	static const struct http_options options = { .redirects = 2 };
	struct lab *lab = *state;

	http_free(lab->http);
	lab->http = http_new(&options);
	assert_int_equal(GET(lab, loop), -1);
	assert_says(lab->err.msg, "more than 2 redirects");
	assert_int_equal(requests(lab), 3);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		const struct answer answers[] = {
			{ .bytes = arena_printf(&lab->arena,
						"HTTP/1.1 301 M\r\nLocation: %s\r\nContent-Length: 0\r\n" CLOSED,
						places[i]) },
		};
		assert_int_equal(GET(lab, answers), -1);
		assert_says(lab->err.msg, "it redirects to");
	}
}

static void a_redirected_post_becomes_a_get_and_a_308_does_not(void **state)
{
	static const struct answer found[] = {
		{ .bytes = "HTTP/1.1 303 See\r\nLocation: /g\r\nContent-Length: 0\r\n" CLOSED },
		{ .bytes = OK_HELLO },
	};
	static const struct answer moved[] = {
		{ .bytes = "HTTP/1.1 308 Moved\r\nLocation: /g\r\nContent-Length: 0\r\n" CLOSED },
		{ .bytes = OK_HELLO },
	};
	static const struct http_body body = { .bytes = "what", .size = 4 };
	const struct http_request request = { .method = "POST", .body = &body };
	struct lab *lab = *state;

	assert_int_equal(ask(lab, request, found, 2, "/p"), 0);
	assert_says(strbuf_str(&lab->asked), "GET /g HTTP/1.1");
	strbuf_reset(&lab->asked);
	assert_int_equal(ask(lab, request, moved, 2, "/p"), 0);
	assert_says(strbuf_str(&lab->asked), "POST /g HTTP/1.1");
	assert_true(text_ends(strbuf_str(&lab->asked), "what"));
}

static void any_status_and_its_text_may_be_asked_for(void **state)
{
	static const struct answer answers[] = {
		{ .bytes = "HTTP/1.1 401 Who\r\nWWW-Authenticate: Bearer realm=\"r\"\r\nContent-Length: 3\r\n" CLOSED
			   "who" }
	};
	struct lab *lab = *state;

	assert_int_equal(ask(lab, (struct http_request){ .flags = HTTP_ANY_STATUS }, answers, 1, "/f"), 0);
	assert_int_equal(lab->response.status, 401);
	assert_string_equal(strbuf_str(&lab->response.text), "who");
	assert_string_equal(http_header(&lab->response, "WWW-Authenticate"), "Bearer realm=\"r\"");
	assert_int_equal(lab->sink.text.len, 0);
}

static void an_unchanged_file_is_a_304_without_a_body(void **state)
{
	static const struct answer answers[] = { { .bytes = "HTTP/1.1 304 Same\r\nETag: \"e\"\r\n" CLOSED } };
	static const struct http_header headers[] = { { "If-None-Match", "\"e\"" } };
	struct lab *lab = *state;

	assert_int_equal(ask(lab, (struct http_request){ .headers = headers, .header_count = 1 }, answers, 1, "/f"), 0);
	assert_int_equal(lab->response.status, 304);
	assert_int_equal(lab->sink.text.len, 0);
	assert_says(strbuf_str(&lab->asked), "If-None-Match: \"e\"\r\n");
}

static void head_has_headers_and_no_body(void **state)
{
	static const struct answer answers[] = { { .bytes = OK(1000) "ETag: \"e\"\r\n" CLOSED } };
	struct lab *lab = *state;

	assert_int_equal(ask(lab, (struct http_request){ .method = "HEAD" }, answers, 1, "/f"), 0);
	assert_string_equal(http_header(&lab->response, "Content-Length"), "1000");
	assert_says(strbuf_str(&lab->asked), "HEAD /f HTTP/1.1\r\n");
}

static void a_file_is_sent_from_its_descriptor(void **state)
{
	static const struct answer answers[] = { { .bytes = STATUS("503 A") }, { .bytes = STATUS("201 Made") } };
	struct lab *lab = *state;
	scope_fd int fd = memfd_create("body", MFD_CLOEXEC);

	assert_int_equal(write(fd, "xxcontents", 10), 10);
	const struct http_body body = { .fd = fd, .offset = 2, .size = 8 };
	assert_int_equal(ask(lab, (struct http_request){ .method = "PUT", .body = &body }, answers, 2, "/u"), 0);
	assert_int_equal(lab->response.status, 201);
	assert_int_equal(requests(lab), 2);
	assert_true(text_ends(strbuf_str(&lab->asked), "\r\n\r\ncontents"));
	const struct http_body longer = { .fd = fd, .offset = 2, .size = 80 };
	assert_int_equal(ask(lab, (struct http_request){ .method = "PUT", .body = &longer }, answers, 2, "/u"), -1);
	assert_says(lab->err.msg, "what is to be sent became shorter");
}

static void a_connection_is_used_again(void **state)
{
	static const struct answer answers[] = {
		{ .bytes = OK(1) "\r\na", .goes_on = true },
		{ .bytes = OK(1) "\r\nb", .goes_on = true },
	};
	struct lab *lab = *state;

	/* One connection has the whole script: a second one would wait for ever. */
	lab->server = server_start(answers, 2);
	const struct http_request request = { .url = url_of(lab, "/f"),
					      .sink = &lab->sink.base,
					      .flags = HTTP_NO_RETRY };
	assert_int_equal(http_send(lab->http, &request, &lab->response, &lab->err), 0);
	assert_int_equal(http_send(lab->http, &request, &lab->response, &lab->err), 0);
	server_stop(&lab->server, &lab->asked);
	assert_string_equal(strbuf_str(&lab->sink.text), "ab");
}

static void a_proxy_of_the_environment_is_used_and_its_password_not_told(void **state)
{
	static const struct answer answers[] = { { .bytes = OK_HELLO } };
	struct lab *lab = *state;

	lab->server = server_start(answers, 1);
	setenv("HTTP_PROXY", arena_printf(&lab->arena, "http://u:canary@127.0.0.1:%d", lab->server.port), 1);
	setenv("no_proxy", "direct.invalid", 1);
	const struct http_request request = { .url = "http://host.invalid/f", .sink = &lab->sink.base };
	if (http_send(lab->http, &request, &lab->response, &lab->err) < 0)
		fail_msg("%s", lab->err.msg);
	server_stop(&lab->server, &lab->asked);
	assert_says(strbuf_str(&lab->asked), "GET http://host.invalid/f HTTP/1.1\r\n");
	setenv("HTTP_PROXY", "http://u:canary@proxy.invalid:1", 1);
	assert_int_equal(http_send(lab->http, &request, &lab->response, &lab->err), -1);
	assert_null(strstr(lab->err.msg, "canary"));
	setenv("HTTP_PROXY", "nonsense://u:canary@", 1);
	assert_int_equal(http_send(lab->http, &request, &lab->response, &lab->err), -1);
	assert_null(strstr(lab->err.msg, "canary"));
	unsetenv("HTTP_PROXY");
	unsetenv("no_proxy");
}

static void urls_that_are_none_are_refused(void **state)
{
	static const char *const urls[] = {
		"", "x", "file:///etc/passwd", "ftp://h/x", "http://", "http://h\n/x", "https://u:can/ary@h/x"
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		const struct http_request request = { .url = urls[i], .flags = HTTP_NO_RETRY };
		assert_int_equal(http_send(lab->http, &request, &lab->response, &lab->err), -1);
		assert_null(strstr(lab->err.msg, "ary"));
	}
	assert_string_equal(http_shown(&lab->arena, "https://u:canary@h:1/p?q=canary#f"), "https://h:1/p");
	assert_string_equal(http_shown(&lab->arena, "nonsense"), "(invalid URL)");
}

static void nobody_at_the_port_is_said_at_once(void **state)
{
	struct lab *lab = *state;

	lab->server = server_start(NULL, 0);
	const struct http_request request = { .url = url_of(lab, "/f") };
	server_stop(&lab->server, &lab->asked);
	assert_int_equal(http_send(lab->http, &request, &lab->response, &lab->err), -1);
	assert_int_equal(lab->err.kind, ERR_REMOTE);
	assert_says(lab->err.msg, "/f: Failed to connect to 127.0.0.1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_body_reaches_the_sink_and_headers_the_caller),
		TEST(a_status_is_an_error_that_names_the_url_without_its_secrets),
		TEST(passing_failures_are_tried_again),
		TEST(tries_come_to_an_end),
		TEST(what_is_wrong_for_good_is_not_tried_again),
		TEST(a_post_is_sent_once_unless_it_may_be_repeated),
		TEST(a_body_that_broke_off_goes_on_where_it_stopped),
		TEST(a_body_that_changed_meanwhile_starts_anew),
		TEST(without_a_validator_nothing_is_continued),
		TEST(another_range_than_asked_for_is_refused),
		TEST(a_caller_may_begin_in_the_middle),
		TEST(a_stall_ends_and_is_said),
		TEST(an_endless_body_ends_at_the_limit),
		TEST(headers_that_are_endless_or_cut_off_are_refused),
		TEST(the_error_of_the_sink_comes_through),
		TEST(a_redirect_keeps_credentials_on_its_own_origin_only),
		TEST(redirects_come_to_an_end_and_stay_with_http),
		TEST(a_redirected_post_becomes_a_get_and_a_308_does_not),
		TEST(any_status_and_its_text_may_be_asked_for),
		TEST(an_unchanged_file_is_a_304_without_a_body),
		TEST(head_has_headers_and_no_body),
		TEST(a_file_is_sent_from_its_descriptor),
		TEST(a_connection_is_used_again),
		TEST(a_proxy_of_the_environment_is_used_and_its_password_not_told),
		TEST(urls_that_are_none_are_refused),
		TEST(nobody_at_the_port_is_said_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
