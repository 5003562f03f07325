/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "kiln/base/log.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#include "internal.h"

enum { HEADERS_MAX = 256, HEADER_BYTES_MAX = 64 << 10, TEXT_MAX = 64 << 10, CHUNK = 128 << 10 };

bool status_is_success(int status)
{
	return status >= 200 && status < 300;
}

static void free_list(struct curl_slist **list)
{
	libcurl.slist_free_all(*list);
}
#define scope_list __attribute__((cleanup(free_list)))

static void add_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = libcurl.slist_append(*list, line);

	if (!longer)
		abort();
	*list = longer;
}

/* ---- what comes ---- */

static int fail(struct transfer *transfer)
{
	transfer->has_failed = true;
	return -1;
}

/* "HTTP/1.1 200 OK": each response begins with one, those of 100-continue too. */
static void begin_response(struct transfer *transfer, const char *line)
{
	const char *space = strchr(line, ' ');
	int status = 0;

	for (const char *p = space ? space + 1 : ""; *p >= '0' && *p <= '9' && status < 1000; p++)
		status = status * 10 + (*p - '0');
	transfer->response->status = status;
	transfer->response->header_count = 0;
	transfer->response->headers = NULL;
	transfer->has_started = transfer->has_headers = false;
}

static void add_header(struct transfer *transfer, char *line)
{
	struct http_response *response = transfer->response;
	char *colon = strchr(line, ':');
	struct http_header *header;

	if (!colon)
		return;
	*colon = '\0';
	colon += 1 + strspn(colon + 1, " \t");
	header = ARENA_PUSH(&response->arena, response->headers, response->header_count);
	header->name = line;
	header->value = colon;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t len = size * count, end = len;

	transfer->header_bytes += len;
	if (transfer->header_bytes > HEADER_BYTES_MAX || transfer->response->header_count >= HEADERS_MAX) {
		err_set(transfer->err, ERR_REMOTE, "the server sends more than %d headers or %d bytes of them",
			HEADERS_MAX, HEADER_BYTES_MAX);
		fail(transfer);
		return 0;
	}
	while (end > 0 && strchr("\r\n \t", bytes[end - 1]))
		end--;
	char *line = arena_strndup(&transfer->response->arena, bytes, end);
	if (text_starts(line, "HTTP/"))
		begin_response(transfer, line);
	else if (end > 0)
		add_header(transfer, line);
	else
		transfer->has_headers = true;
	return len;
}

static int too_large(struct transfer *transfer)
{
	err_set(transfer->err, ERR_INPUT, "it is larger than %lld bytes", (long long)transfer->request->max_size);
	return fail(transfer);
}

/* "bytes 100-199/200": does the body begin where we asked it to? */
static bool continues_at(const struct http_response *response, int64_t position)
{
	const char *range = http_header(response, "Content-Range");
	scope_free char *first = NULL;
	int64_t start;

	if (!range || !text_starts(range, "bytes "))
		return false;
	range += strlen("bytes ");
	first = strndup(range, strcspn(range, "-"));
	if (!first)
		abort();
	return parse_int64(&start, first, NULL) == 0 && start == position;
}

/* Before the first byte of a body for the sink. */
static int begin_body(struct transfer *transfer)
{
	const struct http_request *request = transfer->request;
	int64_t length;
	const char *text = http_header(transfer->response, "Content-Length");

	transfer->has_started = true;
	if (transfer->response->status == 206 && !continues_at(transfer->response, transfer->position)) {
		err_set(transfer->err, ERR_REMOTE, "the server answers another range than the one that was asked for");
		return fail(transfer);
	}
	if (transfer->response->status != 206 && transfer->position > 0) {
		if (!request->sink->restart) {
			err_set(transfer->err, ERR_REMOTE, "the server cannot continue where the transfer stopped");
			return fail(transfer);
		}
		if (request->sink->restart(request->sink, transfer->err) < 0)
			return fail(transfer);
		transfer->position = 0;
	}
	if (request->max_size > 0 && text && parse_int64(&length, text, NULL) == 0 &&
	    length > request->max_size - transfer->position)
		return too_large(transfer);
	return 0;
}

static int to_sink(struct transfer *transfer, const void *bytes, size_t len)
{
	const struct http_request *request = transfer->request;

	if (!transfer->has_started && begin_body(transfer) < 0)
		return -1;
	if (request->max_size > 0 && (int64_t)len > request->max_size - transfer->position)
		return too_large(transfer);
	if (request->sink->write(request->sink, bytes, len, transfer->err) < 0)
		return fail(transfer);
	transfer->position += (int64_t)len;
	return 0;
}

static int to_text(struct transfer *transfer, const void *bytes, size_t len)
{
	struct strbuf *text = &transfer->response->text;
	size_t room = TEXT_MAX - text->len;

	if (len > room && status_is_success(transfer->response->status)) {
		err_set(transfer->err, ERR_REMOTE, "the answer is larger than %d bytes", TEXT_MAX);
		return fail(transfer);
	}
	strbuf_add(text, bytes, len < room ? len : room);
	return 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t len = size * count;
	bool is_wanted = transfer->request->sink && status_is_success(transfer->response->status);

	/* The body of an error may never end: what is kept of it is enough. */
	if (!is_wanted && transfer->response->text.len >= TEXT_MAX)
		return 0;
	return (is_wanted ? to_sink(transfer, bytes, len) : to_text(transfer, bytes, len)) < 0 ? 0 : len;
}

/* ---- what is sent ---- */

static size_t give_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	const struct http_body *body = transfer->body;
	int64_t left = body->size - transfer->sent;
	size_t len = size * count;
	ssize_t got;

	if ((int64_t)len > left)
		len = (size_t)left;
	if (body->bytes) {
		memcpy(bytes, (const char *)body->bytes + transfer->sent, len);
		got = (ssize_t)len;
	} else {
		do {
			got = pread(body->fd, bytes, len, body->offset + transfer->sent);
		} while (got < 0 && errno == EINTR);
	}
	if (got < 0 || (got == 0 && len > 0)) {
		if (got < 0)
			err_errno(transfer->err, "read what is to be sent");
		else
			err_set(transfer->err, ERR_INPUT, "what is to be sent became shorter");
		fail(transfer);
		return CURL_READFUNC_ABORT;
	}
	transfer->sent += got;
	return (size_t)got;
}

static int seek_body(void *arg, curl_off_t offset, int origin)
{
	struct transfer *transfer = arg;

	if (origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	transfer->sent = offset;
	return CURL_SEEKFUNC_OK;
}

/* A server must not be able to send us to the machine's own metadata service. */
static bool is_link_local(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)address;
		return (ntohl(in->sin_addr.s_addr) >> 16) == 0xa9fe;
	}
	if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)address;
		const uint8_t *bytes = in6->sin6_addr.s6_addr;
		return IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) ||
		       (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) && bytes[12] == 0xa9 && bytes[13] == 0xfe);
	}
	return false;
}

static curl_socket_t make_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct transfer *transfer = arg;

	(void)purpose;
	if (transfer->is_redirected && is_link_local(&address->addr)) {
		err_set(transfer->err, ERR_REMOTE, "it redirects to a link-local address, which kiln does not follow");
		fail(transfer);
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- the request ---- */

static bool is_credential(const char *name)
{
	return text_equal_nocase(name, "Authorization") || text_equal_nocase(name, "Cookie") ||
	       text_equal_nocase(name, "Proxy-Authorization");
}

static void set_headers(const struct transfer *transfer, struct curl_slist **list)
{
	const struct http_request *request = transfer->request;
	scope_strbuf struct strbuf line = { 0 };

	for (size_t i = 0; i < request->header_count; i++) {
		const struct http_header *header = &request->headers[i];
		if (!header->value || (is_credential(header->name) && !transfer->sends_credentials))
			continue;
		strbuf_reset(&line);
		strbuf_addf(&line, "%s: %s", header->name, header->value);
		add_line(list, strbuf_str(&line));
	}
	if (transfer->position > 0) {
		strbuf_reset(&line);
		strbuf_addf(&line, "Range: bytes=%lld-", (long long)transfer->position);
		add_line(list, strbuf_str(&line));
		strbuf_reset(&line);
		strbuf_addf(&line, "If-Range: %s", transfer->validator ? transfer->validator : "");
		if (transfer->validator)
			add_line(list, strbuf_str(&line));
	}
	libcurl.easy_setopt(transfer->http->curl, CURLOPT_HTTPHEADER, *list);
}

static void set_method(struct transfer *transfer)
{
	static const struct http_body empty = { .bytes = "" };
	CURL *curl = transfer->http->curl;
	const char *method = transfer->method;
	bool sends = text_equal(method, "POST") || text_equal(method, "PUT") || text_equal(method, "PATCH");

	if (!transfer->body && sends)
		transfer->body = &empty;
	if (transfer->body) {
		libcurl.easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		libcurl.easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
		libcurl.easy_setopt(curl, CURLOPT_READDATA, transfer);
		libcurl.easy_setopt(curl, CURLOPT_SEEKFUNCTION, seek_body);
		libcurl.easy_setopt(curl, CURLOPT_SEEKDATA, transfer);
		libcurl.easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)transfer->body->size);
	}
	if (text_equal(method, "HEAD"))
		libcurl.easy_setopt(curl, CURLOPT_NOBODY, 1L);
	else if (!text_equal(method, "GET") || transfer->body)
		libcurl.easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
}

/* libcurl reads the lower-case names, and not HTTP_PROXY, which a web server makes of a header for its CGI programs. Other
   tools of containers take it, where there is no such server. */
static void set_proxy(const struct transfer *transfer)
{
	const char *proxy = getenv("HTTP_PROXY");

	if (!transfer->target->is_https && proxy && *proxy && !getenv("http_proxy") && !getenv("REQUEST_METHOD"))
		libcurl.easy_setopt(transfer->http->curl, CURLOPT_PROXY, proxy);
}

static void set_certificates(CURL *curl)
{
	const char *file = getenv("SSL_CERT_FILE"), *folders = getenv("SSL_CERT_DIR");

	if (file && *file)
		libcurl.easy_setopt(curl, CURLOPT_CAINFO, file);
	if (folders && *folders)
		libcurl.easy_setopt(curl, CURLOPT_CAPATH, folders);
}

static void set_protocols(CURL *curl)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	libcurl.easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	libcurl.easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

static void set_limits(const struct transfer *transfer)
{
	const struct http_options *options = &transfer->http->options;
	CURL *curl = transfer->http->curl;

	libcurl.easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout_ms);
	libcurl.easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	libcurl.easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)options->stall_timeout_s);
	libcurl.easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	libcurl.easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)CHUNK);
}

static void set_credentials(const struct transfer *transfer)
{
	const struct target *target = transfer->target;
	CURL *curl = transfer->http->curl;

	libcurl.easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	if (!transfer->sends_credentials || (!target->user && !target->password))
		return;
	libcurl.easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	libcurl.easy_setopt(curl, CURLOPT_USERNAME, target->user ? target->user : "");
	libcurl.easy_setopt(curl, CURLOPT_PASSWORD, target->password ? target->password : "");
}

static void set_callbacks(struct transfer *transfer)
{
	CURL *curl = transfer->http->curl;

	libcurl.easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	libcurl.easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
	libcurl.easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	libcurl.easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
	libcurl.easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, make_socket);
	libcurl.easy_setopt(curl, CURLOPT_OPENSOCKETDATA, transfer);
	libcurl.easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	libcurl.easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
}

/* ---- how it ended ---- */

static bool is_worth_another_try(CURLcode code, const struct transfer *transfer)
{
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT: {
		curl_off_t connected = 0;
		/* Nobody is there, or nothing came for a while. */
		libcurl.easy_getinfo(transfer->http->curl, CURLINFO_CONNECT_TIME_T, &connected);
		return connected > 0;
	}
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return true;
	default:
		return false;
	}
}

static int explain(CURLcode code, const struct transfer *transfer, const char *detail, struct err *err)
{
	char shown[512];

	/* libcurl quotes a proxy that it cannot read, password and all. */
	if (code == CURLE_COULDNT_RESOLVE_PROXY)
		return err_set(err, ERR_REMOTE, "the proxy that the environment names is not found");
	if (code == CURLE_OPERATION_TIMEDOUT && is_worth_another_try(code, transfer))
		return err_set(err, ERR_REMOTE, "nothing came for %d seconds", transfer->http->options.stall_timeout_s);
	if (code == CURLE_PARTIAL_FILE)
		return err_set(err, ERR_REMOTE, "the connection ended in the middle of the body");
	return err_set(err, ERR_REMOTE, "%s",
		       err_printable(shown, sizeof(shown), *detail ? detail : libcurl.easy_strerror(code)));
}

enum exchange transfer_run(struct transfer *transfer, struct err *err)
{
	scope_list struct curl_slist *headers = NULL;
	char detail[CURL_ERROR_SIZE] = "";
	struct err failure = { 0 };
	CURL *curl = transfer->http->curl;
	CURLcode code;

	transfer->err = &failure;
	transfer->has_failed = transfer->has_started = transfer->has_headers = false;
	transfer->header_bytes = 0;
	transfer->sent = 0;
	transfer->response->status = 0;
	strbuf_reset(&transfer->response->text);

	libcurl.easy_reset(curl);
	libcurl.easy_setopt(curl, CURLOPT_URL, transfer->target->url);
	libcurl.easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
	libcurl.easy_setopt(curl, CURLOPT_USERAGENT, "kiln/" KILN_VERSION);
	set_protocols(curl);
	set_limits(transfer);
	set_credentials(transfer);
	set_callbacks(transfer);
	set_proxy(transfer);
	set_certificates(curl);
	set_method(transfer);
	set_headers(transfer, &headers);
	code = libcurl.easy_perform(curl);
	log_debug("%s %s: status %d, %s", transfer->method, transfer->target->shown, transfer->response->status,
		  libcurl.easy_strerror(code));

	/* libcurl takes a response that ends before its headers do for one without a body. */
	if (code == CURLE_OK && !transfer->has_headers)
		code = CURLE_GOT_NOTHING;
	bool has_enough = code == CURLE_WRITE_ERROR && !transfer->has_failed;
	if (code == CURLE_OK || has_enough) {
		/* A body of nothing has no first byte. */
		if (transfer->request->sink && status_is_success(transfer->response->status) &&
		    !transfer->has_started && begin_body(transfer) < 0)
			code = CURLE_WRITE_ERROR;
		else
			return EXCHANGE_DONE;
	}
	if (transfer->has_failed) {
		if (err)
			*err = failure;
		return EXCHANGE_FAILED;
	}
	bool is_broken = is_worth_another_try(code, transfer);
	explain(code, transfer, detail, err);
	return is_broken ? EXCHANGE_BROKE : EXCHANGE_FAILED;
}
