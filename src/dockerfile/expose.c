/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <string.h>

#include "internal.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/dockerfile/expose.h"

/* BuildKit's dockerfile2llb/convert_expose.go. */

#define PORTS 65536

static const char *const protocols[] = { "tcp", "udp", "sctp" };

/* Which ports were added already, a bit for each protocol. */
struct seen {
	unsigned char ports[PORTS];
};

struct range {
	uint32_t first, last;
};

static bool parse_port(const char *text, size_t len, uint32_t *port)
{
	*port = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*port = *port * 10 + (uint32_t)(text[i] - '0');
		if (*port >= PORTS)
			return false;
	}
	return len > 0;
}

static bool parse_range(const char *text, struct range *range)
{
	const char *dash = strchr(text, '-');

	if (!dash) {
		bool is_valid = parse_port(text, strlen(text), &range->first);
		range->last = range->first;
		return is_valid;
	}
	return parse_port(text, (size_t)(dash - text), &range->first) &&
	       parse_port(dash + 1, strlen(dash + 1), &range->last) && range->last >= range->first;
}

/* As Go's net.ParseIP: no zone. */
static bool is_address(const char *text)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* An IPv6 address may stand in brackets. */
static int check_address(struct arena *arena, const char *text, struct err *err)
{
	size_t len = strlen(text);
	const char *inner = text;

	if (len == 0)
		return 0;
	if (*text == '[' && text[len - 1] == ']')
		inner = arena_strndup(arena, text + 1, len - 2);
	if (!*inner || is_address(inner))
		return 0;
	return err_set(err, ERR_INPUT, "invalid IP address: %s", shown(arena, inner));
}

/* [ip:][host port:]container port: text is cut at its last two colons. */
static void split_colons(char *text, const char **address, const char **host, const char **container)
{
	char *colon = strrchr(text, ':');

	*address = *host = "";
	*container = colon ? colon + 1 : text;
	if (!colon)
		return;
	*colon = '\0';
	char *other = strrchr(text, ':');
	*host = other ? other + 1 : text;
	if (!other)
		return;
	*other = '\0';
	*address = text;
}

/* Cuts "/proto" off; without one it is tcp. Index into protocols, or -1. */
static int take_protocol(struct arena *arena, char *port, struct err *err)
{
	char *whole = arena_strdup(arena, port), *slash = strchr(port, '/');

	if (slash)
		*slash = '\0';
	if (!*port)
		return err_set(err, ERR_INPUT, "invalid port: %s: no port specified", quoted(arena, whole));
	if (!slash || !slash[1])
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (text_equal_nocase(slash + 1, protocols[i]))
			return (int)i;
	for (char *p = slash + 1; *p; p++)
		*p = ascii_lower(*p);
	return err_set(err, ERR_INPUT, "invalid proto: %s", shown(arena, slash + 1));
}

static int check_host_range(struct arena *arena, const char *container, const struct range *range, const char *host,
			    struct err *err)
{
	struct range host_range;

	if (!*host)
		return 0;
	if (!parse_range(host, &host_range))
		return err_set(err, ERR_INPUT, "invalid hostPort: %s", shown(arena, host));
	if (range->first == range->last || range->last - range->first == host_range.last - host_range.first)
		return 0;
	return err_set(err, ERR_INPUT, "invalid ranges specified for container and host Ports: %s and %s",
		       shown(arena, container), shown(arena, host));
}

/* The protocol's index; the host's part is only checked. */
static int parse_word(struct arena *arena, const char *word, struct range *range, struct err *err)
{
	const char *address, *host, *container;

	split_colons(arena_strdup(arena, word), &address, &host, &container);
	char *port = arena_strdup(arena, container);
	int protocol = take_protocol(arena, port, err);
	if (protocol < 0 || check_address(arena, address, err) < 0)
		return -1;
	if (!parse_range(port, range))
		return err_set(err, ERR_INPUT, "invalid containerPort: %s", shown(arena, port));
	return check_host_range(arena, port, range, host, err) < 0 ? -1 : protocol;
}

int expose_ports(struct arena *arena, const char *const *words, size_t count, const char ***ports, size_t *port_count,
		 struct err *err)
{
	scope_arena struct arena scratch = { 0 };
	struct seen *seen = arena_new(&scratch, struct seen);
	struct word_list list = { 0 };
	struct range range = { 0, 0 };

	for (size_t i = 0; i < count; i++) {
		int protocol = parse_word(&scratch, words[i], &range, err);
		if (protocol < 0)
			return -1;
		for (uint32_t port = range.first; port <= range.last; port++) {
			if (seen->ports[port] >> protocol & 1)
				continue;
			seen->ports[port] |= (unsigned char)(1 << protocol);
			*ARENA_PUSH(arena, list.items, list.count) = arena_printf(arena, "%u/%s", port,
										  protocols[protocol]);
		}
	}
	*ports = word_list_end(arena, &list);
	*port_count = list.count;
	return 0;
}
