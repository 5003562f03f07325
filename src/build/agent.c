/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kiln/base/owner.h"

/*
 * What a step reaches at SSH_AUTH_SOCK: not the user's agent but this, which passes on the requests that list keys and sign,
 * and refuses all others: a step must not add, remove or lock keys. One process listens, and one each serves a connection.
 *
 * A message is a length of four bytes, most significant first, a type, and what belongs to it (draft-miller-ssh-agent).
 */

enum { MESSAGE_MAX = 256 << 10, CONNECTIONS_MAX = 32 };
enum { AGENT_FAILURE = 5, AGENT_LIST_KEYS = 11, AGENT_SIGN = 13 };

#define SOCKET "agent"

struct server {
	int listener;
	const char *agent; /* path */
	int client;        /* of the connection that is served */
};

/* ---- messages ---- */

static bool read_all(int fd, uint8_t *bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t got = read(fd, bytes + done, len - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t put = send(fd, bytes + done, len - done, MSG_NOSIGNAL);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		done += (size_t)put;
	}
	return true;
}

/* With its length in front. */
static bool read_message(int fd, uint8_t *message, size_t *len)
{
	if (!read_all(fd, message, 4))
		return false;
	uint32_t body = (uint32_t)message[0] << 24 | (uint32_t)message[1] << 16 | (uint32_t)message[2] << 8 |
			message[3];
	*len = 4 + (size_t)body;
	return body > 0 && body <= MESSAGE_MAX && read_all(fd, message + 4, body);
}

/* ---- one connection ---- */

/* By a descriptor, since the path may be longer than an address can be. */
static int connect_to(const char *path, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	scope_fd int place = openat(AT_FDCWD, path, O_PATH | O_CLOEXEC);
	scope_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (place < 0 || fd < 0)
		return err_errno(err, "open the ssh agent %s", path);
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", place);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_errno(err, "connect to the ssh agent %s", path);
	return take_fd(&fd);
}

static bool answer(int client, int agent, uint8_t *message, size_t len)
{
	static const uint8_t failure[] = { 0, 0, 0, 1, AGENT_FAILURE };
	if (message[4] != AGENT_LIST_KEYS && message[4] != AGENT_SIGN)
		return write_all(client, failure, sizeof(failure));
	return write_all(agent, message, len) && read_message(agent, message, &len) && write_all(client, message, len);
}

static int serve(int channel, void *arg, struct err *err)
{
	static uint8_t message[4 + MESSAGE_MAX];
	const struct server *server = arg;
	size_t len;
	(void)channel;
	scope_fd int agent = connect_to(server->agent, err);
	if (agent < 0)
		return -1;
	while (read_message(server->client, message, &len) && answer(server->client, agent, message, len))
		;
	return 0;
}

/* ---- all connections ---- */

static size_t poll_all(const struct server *server, struct proc *served, struct pollfd *polled)
{
	size_t free_slot = CONNECTIONS_MAX;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		polled[i] = (struct pollfd){ .fd = served[i].pidfd, .events = POLLIN };
		if (served[i].pidfd < 0)
			free_slot = i;
	}
	polled[CONNECTIONS_MAX] = (struct pollfd){ .fd = free_slot < CONNECTIONS_MAX ? server->listener : -1,
						   .events = POLLIN };
	while (poll(polled, CONNECTIONS_MAX + 1, -1) < 0 && errno == EINTR)
		;
	return free_slot;
}

static void accept_one(struct server *server, struct proc *slot)
{
	struct err err;
	scope_fd int client = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
	server->client = client;
	if (client >= 0 && proc_fork(slot, serve, server, &err) < 0)
		log_debug("ssh agent: %s", err.msg);
}

NO_RETURN static int listen_on(int channel, void *arg, struct err *err)
{
	struct server *server = arg;
	struct proc served[CONNECTIONS_MAX];
	struct pollfd polled[CONNECTIONS_MAX + 1];
	(void)channel, (void)err;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		served[i] = (struct proc)PROC_EMPTY;
	for (;;) {
		size_t free_slot = poll_all(server, served, polled);
		for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
			struct err why;
			if (polled[i].revents && proc_wait(&served[i], NULL, &why) < 0)
				log_debug("ssh agent: %s", why.msg);
		}
		if (polled[CONNECTIONS_MAX].revents)
			accept_one(server, &served[free_slot]);
	}
}

static int bind_socket(int dir_fd, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	scope_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, "make a socket");
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" SOCKET, dir_fd);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, CONNECTIONS_MAX) < 0)
		return err_errno(err, "make a socket for the step");
	return take_fd(&fd);
}

int agent_start(struct proc *agent, const struct agent_spec *spec, int dir_fd, struct err *err)
{
	scope_fd int probe = connect_to(spec->agent, err);
	scope_fd int listener = probe < 0 ? -1 : bind_socket(dir_fd, err);
	struct server server = { .listener = listener, .agent = spec->agent, .client = -1 };
	if (listener < 0)
		return -1;
	if (fchmodat(dir_fd, SOCKET, spec->mode, 0) < 0 || owner_set_at(dir_fd, SOCKET, spec->uid, spec->gid) < 0)
		return err_errno(err, "give the socket its owner");
	scope_fd int place = openat(dir_fd, SOCKET, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (place < 0)
		return err_errno(err, "open the socket");
	return proc_fork(agent, listen_on, &server, err) < 0 ? -1 : take_fd(&place);
}
