/* SPDX-License-Identifier: Apache-2.0 */
#include "build-run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_MAX = 500 * 1024 }; /* BuildKit's */

static int usage(struct err *err, const char *option)
{
	err->kind = ERR_USAGE;
	return err_wrap(err, "--%s", option);
}

/* ---- secrets: buildx's util/buildflags/secrets.go, BuildKit's secretsprovider ---- */

struct secret_words {
	const char *id, *path, *env, *type;
};

static int take_secret_word(struct arena *arena, const char *field, struct secret_words *words, struct err *err)
{
	const char *key, *value;
	if (!split_pair(arena, field, &key, &value))
		return err_set(err, ERR_USAGE, "invalid field '%s' must be a key=value pair", field);
	if (text_equal_nocase(key, "id"))
		words->id = value;
	else if (text_equal_nocase(key, "source") || text_equal_nocase(key, "src"))
		words->path = value;
	else if (text_equal_nocase(key, "env"))
		words->env = value;
	else if (!text_equal_nocase(key, "type"))
		return err_set(err, ERR_USAGE, "unexpected key '%s' in '%s'", key, field);
	else if (strcmp(value, "file") != 0 && strcmp(value, "env") != 0)
		return err_set(err, ERR_USAGE, "unsupported secret type \"%s\"", value);
	else
		words->type = value;
	return 0;
}

/* Without a source it is the variable of that name, if there is one, else the file. */
static int find_secret(struct secret_words *words, struct err *err)
{
	if (text_equal(words->type, "env") && !words->env) {
		words->env = words->path;
		words->path = NULL;
	}
	if (!words->id || !*words->id)
		return err_set(err, ERR_USAGE, "secret missing ID");
	if (!words->env && !words->path) {
		words->env = getenv(words->id) ? words->id : NULL;
		words->path = words->env ? NULL : words->id;
	}
	return 0;
}

static int read_secret_file(const char *path, struct strbuf *bytes, struct err *err)
{
	struct stat st;
	scope_fd int fd = file_open_user(path, O_RDONLY | O_NOCTTY, 0, err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(err, ERR_INPUT, "%s is a directory", path);
	return file_read_fd(fd, SECRET_MAX, bytes, path, err);
}

static int read_secret(struct arena *arena, const struct secret_words *words, struct build_secret *secret,
		       struct err *err)
{
	scope_strbuf struct strbuf bytes = { 0 };
	const char *value = words->env ? getenv(words->env) : NULL;
	if (words->env)
		strbuf_addstr(&bytes, value ? value : "");
	else if (read_secret_file(words->path, &bytes, err) < 0)
		return -1;
	if (bytes.len > SECRET_MAX)
		return err_set(err, ERR_INPUT, "it is too big, max size 500KB");
	*secret = (struct build_secret){ words->id, arena_memdup(arena, strbuf_str(&bytes), bytes.len + 1), bytes.len };
	if (bytes.ptr)
		explicit_bzero(bytes.ptr, bytes.len);
	return 0;
}

static int take_secrets(struct arena *arena, const struct run_options *o, struct build_spec *spec, struct err *err)
{
	struct build_secret *secrets = arena_array(arena, struct build_secret, o->secrets.count + 1);
	for (size_t i = 0; i < o->secrets.count; i++) {
		struct secret_words words = { 0 };
		const char **fields;
		size_t count;
		if (csv_fields(arena, o->secrets.items[i], &fields, &count, err) < 0)
			return usage(err, "secret");
		for (size_t j = 0; j < count; j++)
			if (take_secret_word(arena, fields[j], &words, err) < 0)
				return usage(err, "secret");
		if (find_secret(&words, err) < 0)
			return usage(err, "secret");
		if (read_secret(arena, &words, &secrets[i], err) < 0)
			return err_wrap(err, "--secret %s", words.id);
	}
	spec->secrets = secrets;
	spec->secret_count = o->secrets.count;
	return 0;
}

/* ---- ssh: buildx's util/buildflags/ssh.go, BuildKit's sshprovider ---- */

static int check_agent(const char *path, struct err *err)
{
	struct stat st;
	if (fstatat(AT_FDCWD, path, &st, 0) < 0)
		return err_errno(err, "%s", path);
	if (S_ISSOCK(st.st_mode))
		return 0;
	return err_set(err, ERR_UNSUPPORTED,
		       "%s is no socket, and kiln forwards agents, not key files: `eval $(ssh-agent); ssh-add %s`, "
		       "then --ssh default",
		       path, path);
}

static int take_agent(struct arena *arena, const char *text, struct build_ssh *ssh, struct err *err)
{
	const char *path = NULL;
	if (!split_pair(arena, text, &ssh->id, &path))
		path = NULL;
	if (!*ssh->id)
		ssh->id = "default";
	if (!path || !*path)
		path = getenv("SSH_AUTH_SOCK");
	if (!path || !*path)
		return err_set(err, ERR_USAGE, "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set");
	if (strchr(path, ','))
		return err_set(err, ERR_USAGE, "only single socket allowed");
	scope_free char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
	ssh->path = cwd ? arena_printf(arena, "%s/%s", cwd, path) : path;
	return check_agent(ssh->path, err);
}

static int take_agents(struct arena *arena, const struct run_options *o, struct build_spec *spec, struct err *err)
{
	struct build_ssh *ssh = arena_array(arena, struct build_ssh, o->ssh.count + 1);
	for (size_t i = 0; i < o->ssh.count; i++) {
		if (take_agent(arena, o->ssh.items[i], &ssh[i], err) < 0)
			return err_wrap(err, "--ssh %s", o->ssh.items[i]);
		for (size_t j = 0; j < i; j++)
			if (strcmp(ssh[j].id, ssh[i].id) == 0)
				return err_set(err, ERR_USAGE, "--ssh: duplicate agent ID \"%s\"", ssh[i].id);
	}
	spec->ssh = ssh;
	spec->ssh_count = o->ssh.count;
	return 0;
}

/* ---- hosts ---- */

static bool is_address(const char *text)
{
	struct in6_addr address;
	return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

/* NAME:ADDRESS or NAME=ADDRESS; an IPv6 address may stand in brackets. */
static const char *parse_host(struct arena *arena, const struct build_spec *spec, const char *text, struct err *err)
{
	size_t len = strcspn(text, "=:");
	const char *address = text[len] ? text + len + 1 : "";
	size_t address_len = strlen(address);
	if (len == 0 || !*address || strpbrk(text, " \t\r\n"))
		return err_set(err, ERR_USAGE, "bad format for add-host: \"%s\"", text), NULL;
	if (address[0] == '[' && address[address_len - 1] == ']')
		address = arena_strndup(arena, address + 1, address_len - 2);
	/* On the host's network the host is where the step is; the private one does not reach it. */
	if (strcmp(address, "host-gateway") == 0 && spec->network == NETWORK_PRIVATE)
		return err_set(err, ERR_USAGE, "host-gateway: a private network does not reach the host"), NULL;
	if (strcmp(address, "host-gateway") == 0)
		address = "127.0.0.1";
	if (!is_address(address))
		return err_set(err, ERR_USAGE, "invalid IP address in add-host: \"%s\"", address), NULL;
	return arena_printf(arena, "%.*s %s", (int)len, text, address);
}

static int take_hosts(struct arena *arena, const struct run_options *o, struct build_spec *spec, struct err *err)
{
	const char **hosts = arena_array(arena, const char *, o->hosts.count + 1);
	for (size_t i = 0; i < o->hosts.count; i++) {
		hosts[i] = parse_host(arena, spec, o->hosts.items[i], err);
		if (!hosts[i])
			return -1;
	}
	spec->extra_hosts = hosts;
	return 0;
}

/* ---- limits ---- */

static int take_limits(struct arena *arena, const struct run_options *o, struct build_spec *spec, struct err *err)
{
	struct cage_limit *limits = arena_array(arena, struct cage_limit, o->limits.count + 1);
	for (size_t i = 0; i < o->limits.count; i++)
		if (cage_limit_parse(&limits[i], o->limits.items[i], err) < 0)
			return usage(err, "ulimit");
	spec->limits = limits;
	spec->limit_count = o->limits.count;
	if (!o->shm_size)
		return 0;
	if (parse_bytes(&spec->shm_size, o->shm_size, err) < 0)
		return usage(err, "shm-size");
	return 0;
}

int run_options_prepare(struct arena *arena, const struct run_options *o, struct build_spec *spec, struct err *err)
{
	return take_secrets(arena, o, spec, err) < 0 || take_agents(arena, o, spec, err) < 0 ||
			       take_hosts(arena, o, spec, err) < 0 || take_limits(arena, o, spec, err) < 0
		       ? -1
		       : 0;
}
