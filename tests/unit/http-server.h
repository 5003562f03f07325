/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TESTS_UNIT_HTTP_SERVER_H
#define KILN_TESTS_UNIT_HTTP_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Needs scratch.h. A server on loopback, in a child of the test, that reads a request and gives the next answer of its
   script; what it was asked it writes to a pipe. */
struct answer {
	const char *head; /* sent before bytes, or NULL */
	const char *bytes;
	bool resets;    /* ends by a reset instead of a proper end */
	int stall_s;    /* waits before it ends */
	bool goes_on;   /* the connection stays for the next answer */
	size_t repeats; /* bytes is sent so many times more */
};

struct server {
	pid_t pid;
	int port;
	int asked; /* read end */
};

static inline void server_say(int fd, const char *bytes)
{
	for (size_t len = strlen(bytes); len > 0;) {
		ssize_t count = send(fd, bytes, len, MSG_NOSIGNAL);
		if (count <= 0)
			return;
		bytes += count;
		len -= (size_t)count;
	}
}

/* Head and body of one request; false at the end of the connection. */
static inline bool server_read(int fd, int asked)
{
	static char request[1 << 20];
	size_t len = 0, whole = 0;

	while (len + 1 < sizeof(request)) {
		ssize_t count = recv(fd, request + len, sizeof(request) - 1 - len, 0);
		if (count <= 0)
			return false;
		len += (size_t)count;
		request[len] = '\0';
		const char *end = strstr(request, "\r\n\r\n"), *length = strstr(request, "Content-Length: ");
		if (!end)
			continue;
		whole = (size_t)(end + 4 - request) + (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
		if (strstr(request, "Expect: 100-continue"))
			server_say(fd, "HTTP/1.1 100 Continue\r\n\r\n");
		if (len >= whole)
			break;
	}
	return write(asked, request, len) == (ssize_t)len;
}

static inline void server_answer(int fd, const struct answer *answer)
{
	const struct linger now = { .l_onoff = 1 };

	if (answer->head)
		server_say(fd, answer->head);
	for (size_t i = 0; i <= answer->repeats; i++)
		server_say(fd, answer->bytes);
	if (answer->stall_s)
		sleep((unsigned)answer->stall_s);
	if (answer->resets)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static inline void server_run(int listener, int asked, const struct answer *answers, size_t count)
{
	size_t next = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	while (next < count) {
		int fd = accept(listener, NULL, NULL);
		for (bool goes_on = fd >= 0; goes_on && next < count && server_read(fd, asked);) {
			server_answer(fd, &answers[next]);
			goes_on = answers[next++].goes_on;
		}
		close(fd);
	}
}

static inline struct server server_start(const struct answer *answers, size_t count)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	struct server server;
	int ends[2];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(listener >= 0 && pipe2(ends, O_CLOEXEC) == 0);
	assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 16), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	server.port = ntohs(address.sin_port);
	server.pid = fork();
	assert_true(server.pid >= 0);
	if (server.pid == 0) {
		close(ends[0]);
		server_run(listener, ends[1], answers, count);
		_exit(0);
	}
	close(listener);
	close(ends[1]);
	server.asked = ends[0];
	return server;
}

/* Ends it; what it was asked, all of it, in text. */
static inline void server_stop(struct server *server, struct strbuf *text)
{
	char bytes[4096];
	ssize_t count;

	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	while ((count = read(server->asked, bytes, sizeof(bytes))) > 0)
		strbuf_add(text, bytes, (size_t)count);
	close(server->asked);
}

#endif
