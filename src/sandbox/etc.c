/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "etc.h"
#include "kiln/base/file.h"
#include "kiln/base/text.h"

#define RESOLV_CONF_MAX ((size_t)65536)

static int add_extra(struct strbuf *text, const char *line, struct err *err)
{
	size_t name_len = strcspn(line, " \t");
	const char *address = line + name_len + strspn(line + name_len, " \t");
	char shown[256];

	if (name_len == 0 || !*address || strpbrk(line, "\r\n"))
		return err_set(err, ERR_INPUT, "\"%s\" is no line for /etc/hosts: a name and an address",
			       err_printable(shown, sizeof(shown), line));
	strbuf_addf(text, "%s\t%.*s\n", address, (int)name_len, line);
	return 0;
}

int etc_hosts(struct strbuf *text, const char *hostname, const char *const *extra, struct err *err)
{
	strbuf_addf(text,
		    "127.0.0.1\tlocalhost %s\n"
		    "::1\tlocalhost ip6-localhost ip6-loopback\n"
		    "fe00::\tip6-localnet\n"
		    "ff00::\tip6-mcastprefix\n"
		    "ff02::1\tip6-allnodes\n"
		    "ff02::2\tip6-allrouters\n",
		    hostname);
	for (; extra && *extra; extra++) {
		if (add_extra(text, *extra, err) < 0)
			return -1;
	}
	return 0;
}

static const char *next_line(const char *line)
{
	line += strcspn(line, "\n");
	return *line ? line + 1 : line;
}

/* The address of a "nameserver" line and its length, or NULL. */
static const char *find_server(const char *line, size_t *len)
{
	static const char key[] = "nameserver";

	line += strspn(line, " \t");
	if (strncmp(line, key, strlen(key)) != 0)
		return NULL;
	line += strlen(key);
	if (*line != ' ' && *line != '\t')
		return NULL;
	line += strspn(line, " \t");
	*len = strcspn(line, " \t\r\n");
	return line;
}

bool etc_names_only_stub(const char *text)
{
	static const char stub[] = "127.0.0.53";
	bool names_stub = false;
	size_t len;

	for (const char *line = text; *line; line = next_line(line)) {
		const char *server = find_server(line, &len);
		if (server && (len != strlen(stub) || memcmp(server, stub, len) != 0))
			return false;
		names_stub |= server != NULL;
	}
	return names_stub;
}

static bool is_on_loopback(const char *server, size_t len)
{
	return text_starts(server, "127.") || (len == 3 && memcmp(server, "::1", 3) == 0);
}

void etc_private_resolv_conf(struct strbuf *text, const char *host, const char *nameserver)
{
	size_t len;

	if (nameserver)
		strbuf_addf(text, "nameserver %s\n", nameserver);
	for (const char *line = host; *line; line = next_line(line)) {
		const char *server = find_server(line, &len);
		if (server && (nameserver || is_on_loopback(server, len)))
			continue;
		strbuf_add(text, line, strcspn(line, "\n"));
		strbuf_addch(text, '\n');
	}
}

void etc_host_resolv_conf(struct strbuf *text)
{
	scope_strbuf struct strbuf real = { 0 };

	if (file_read(AT_FDCWD, "/etc/resolv.conf", RESOLV_CONF_MAX, text, NULL) < 0) {
		strbuf_reset(text);
		return;
	}
	if (etc_names_only_stub(strbuf_str(text)) &&
	    file_read(AT_FDCWD, "/run/systemd/resolve/resolv.conf", RESOLV_CONF_MAX, &real, NULL) == 0) {
		strbuf_reset(text);
		strbuf_add(text, real.ptr, real.len);
	}
}
