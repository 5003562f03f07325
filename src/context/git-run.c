/* SPDX-License-Identifier: Apache-2.0 */
#include "git-run.h"
#include "kiln/base/proc.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * A repository is somebody else's, and git does a lot when it is told to: hooks, filters, helpers, aliases. So it gets an
 * environment made here: no configuration of the system or the user, no hooks, no prompts, four protocols. Settings go by
 * environment and not by -c, since every user can read the arguments of a process, and some settings are credentials.
 */

/* What of the caller's environment it needs to reach the network. */
static const char *const passed_on[] = {
	"PATH",        "TMPDIR",    "SSH_AUTH_SOCK", "http_proxy", "https_proxy", "HTTP_PROXY",
	"HTTPS_PROXY", "all_proxy", "ALL_PROXY",     "no_proxy",   "NO_PROXY",
};

static const char *const fixed[] = {
	"HOME=/nonexistent",
	"LC_ALL=C",
	"GIT_CONFIG_NOSYSTEM=1",
	"GIT_CONFIG_GLOBAL=/dev/null",
	"GIT_ATTR_NOSYSTEM=1",
	"GIT_TERMINAL_PROMPT=0",
	"GIT_TEMPLATE_DIR=",
	"GIT_NO_REPLACE_OBJECTS=1",
	"GIT_OPTIONAL_LOCKS=0",
	"GIT_ADVICE=0",
	/* Overrides every protocol.*.allow: no file, no ext, and what a remote helper may be called. */
	"GIT_ALLOW_PROTOCOL=https:http:ssh:git",
};

static const char *const settings[][2] = {
	{ "core.hooksPath", "/dev/null" },
	{ "core.fsmonitor", "false" },
	{ "core.attributesFile", "/dev/null" },
	{ "core.excludesFile", "/dev/null" },
	{ "core.logAllRefUpdates", "false" },
	{ "core.autocrlf", "false" },
	{ "core.symlinks", "true" },
	{ "core.fileMode", "true" },
	{ "core.askPass", "" },
	{ "credential.helper", "" },
	{ "protocol.allow", "never" },
	{ "protocol.file.allow", "never" },
	{ "protocol.ext.allow", "never" },
	{ "transfer.bundleURI", "false" },
	{ "submodule.recurse", "false" },
	{ "fetch.recurseSubmodules", "false" },
	{ "gc.auto", "0" },
	{ "maintenance.auto", "false" },
	{ "advice.detachedHead", "false" },
	{ "init.defaultBranch", "main" },
	{ "http.lowSpeedLimit", "1" },
	{ "http.lowSpeedTime", "60" },
};

static void set(struct git *git, unsigned *count, const char *key, const char *value)
{
	strvec_pushf(&git->envp, "GIT_CONFIG_KEY_%u=%s", *count, key);
	strvec_pushf(&git->envp, "GIT_CONFIG_VALUE_%u=%s", *count, value);
	++*count;
}

static char *base64(struct arena *arena, const char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = strlen(text);
	char *out = arena_alloc(arena, len / 3 * 4 + 5), *to = out;
	for (size_t i = 0; i < len; i += 3) {
		unsigned long bits = (unsigned long)(unsigned char)text[i] << 16;
		if (i + 1 < len)
			bits |= (unsigned long)(unsigned char)text[i + 1] << 8;
		if (i + 2 < len)
			bits |= (unsigned char)text[i + 2];
		*to++ = digits[bits >> 18 & 63];
		*to++ = digits[bits >> 12 & 63];
		*to++ = i + 1 < len ? digits[bits >> 6 & 63] : '=';
		*to++ = i + 2 < len ? digits[bits & 63] : '=';
	}
	return out;
}

/* As a header for this origin: submodules there get it, other hosts do not, and nothing of it is written to .git. */
static void set_credentials(struct git *git, unsigned *count, const struct remote *remote)
{
	scope_arena struct arena arena = { 0 };
	if (!remote->user)
		return;
	size_t origin = strcspn(remote->url + strcspn(remote->url, ":") + 3, "/") + strcspn(remote->url, ":") + 3;
	const char *pair = arena_printf(&arena, "%s:%s", remote->user, remote->password ? remote->password : "");
	set(git, count, arena_printf(&arena, "http.%.*s/.extraHeader", (int)origin, remote->url),
	    arena_printf(&arena, "Authorization: Basic %s", base64(&arena, pair)));
	/* git sends the header along to wherever the host redirects it. */
	set(git, count, "http.followRedirects", "false");
}

/* The user's home by its name, since ssh would take the one of root, who we are in the user namespace. */
static void set_ssh(struct git *git)
{
	static const char *const keys[] = { "id_ed25519", "id_ecdsa", "id_rsa" };
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf command = { 0 };
	const char *home = getenv("HOME");
	strbuf_addstr(&command, "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=30 "
				"-o ServerAliveInterval=20 -o PermitLocalCommand=no");
	/* The command is read by a shell. */
	if (home && home[0] == '/' && !strpbrk(home, "'\"\\\n")) {
		strbuf_addf(&command, " -o 'UserKnownHostsFile=\"%s/.ssh/known_hosts\"'", home);
		for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
			const char *key = arena_printf(&arena, "%s/.ssh/%s", home, keys[i]);
			if (faccessat(AT_FDCWD, key, R_OK, 0) == 0)
				strbuf_addf(&command, " -o 'IdentityFile=\"%s\"'", key);
		}
	}
	strvec_pushf(&git->envp, "GIT_SSH_COMMAND=%s", strbuf_str(&command));
	strvec_push(&git->envp, "GIT_SSH_VARIANT=ssh");
}

static void set_certificates(struct git *git)
{
	const char *file = getenv("SSL_CERT_FILE"), *folders = getenv("SSL_CERT_DIR");
	if (file && *file)
		strvec_pushf(&git->envp, "GIT_SSL_CAINFO=%s", file);
	if (folders && *folders)
		strvec_pushf(&git->envp, "GIT_SSL_CAPATH=%s", folders);
}

void git_init(struct git *git, const struct remote *remote, int dir_fd)
{
	unsigned count = 0;
	*git = (struct git){ .dir_fd = dir_fd };
	for (size_t i = 0; i < ARRAY_LEN(passed_on); i++) {
		const char *value = getenv(passed_on[i]);
		if (value && *value)
			strvec_pushf(&git->envp, "%s=%s", passed_on[i], value);
	}
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		strvec_push(&git->envp, fixed[i]);
	set_ssh(git);
	set_certificates(git);
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		set(git, &count, settings[i][0], settings[i][1]);
	set_credentials(git, &count, remote);
	strvec_pushf(&git->envp, "GIT_CONFIG_COUNT=%u", count);
	/* Outside of a repository it must not find the one that the user may stand in. */
	if (dir_fd < 0)
		strvec_push(&git->envp, "GIT_DIR=/nonexistent");
}

void git_release(struct git *git)
{
	strvec_release(&git->envp);
}

/* The line that says why: "fatal: ..." if there is one; the last ones are often advice. */
static const char *reason(struct arena *arena, const char *text)
{
	static const char *const marks[] = { "fatal: ", "error: ", "ssh: ", "remote: " };
	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		const char *line = strstr(text, marks[i]);
		if (!line)
			continue;
		line += i < 2 ? strlen(marks[i]) : 0;
		size_t len = strcspn(line, "\r\n"), size = len * 4 + 1;
		return err_printable(arena_alloc(arena, size), size, arena_strndup(arena, line, len));
	}
	return NULL;
}

static int explain(const struct err *cause, const struct strbuf *said, const char *command, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	const char *why = reason(&arena, strbuf_str(said));
	if (cause->kind == ERR_NOT_FOUND)
		return err_set(err, ERR_NOT_FOUND, "git is not installed: it is what kiln reads repositories with");
	if (cause->kind == ERR_COMMAND && why)
		return err_status(err, ERR_COMMAND, cause->sys, "git %s: %s", command, why);
	if (err)
		*err = *cause;
	return -1;
}

int git_run(const struct git *git, const char *const *arguments, int timeout_ms, struct strbuf *out, struct err *err)
{
	scope_strvec struct strvec argv = { 0 };
	scope_strbuf struct strbuf said = { 0 };
	const int keep[] = { git->dir_fd, -1 };
	struct err cause;
	strvec_push(&argv, "git");
	strvec_push(&argv, "-C");
	if (git->dir_fd >= 0)
		strvec_pushf(&argv, "/proc/self/fd/%d", git->dir_fd);
	else
		strvec_push(&argv, "/");
	for (size_t i = 0; arguments[i]; i++)
		strvec_push(&argv, arguments[i]);
	const struct proc_run run = {
		.argv = (const char *const *)strvec_argv(&argv),
		.envp = (const char *const *)strvec_argv(&git->envp),
		.keep = keep,
		.timeout_ms = timeout_ms,
		.out = out,
		.err_out = &said,
	};
	return proc_run(&run, &cause) < 0 ? explain(&cause, &said, arguments[0], err) : 0;
}
