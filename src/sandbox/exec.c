/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/base/text.h"
#include "setup.h"

/* Finding and becoming the command, as the user and in the root of the step. The words are docker's. */

#define NOFILE_SOFT 1024

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Go's words for an errno begin with a small letter. */
static int fail_to_exec(const char *fmt, const char *program, int sys, struct err *err)
{
	char text[128], shown[512];
	enum err_kind kind = sys == ENOENT || sys == ENOTDIR ? ERR_NOT_FOUND : ERR_SYSTEM;

	snprintf(text, sizeof(text), "%s", strerror(sys));
	text[0] = (char)tolower((unsigned char)text[0]);
	return err_status(err, kind, sys, fmt, err_printable(shown, sizeof(shown), program), text);
}

static const char *get_env(const char *const *envp, const char *name)
{
	size_t len = strlen(name);

	for (; envp && *envp; envp++) {
		if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=')
			return *envp + len + 1;
	}
	return NULL;
}

/* Through no magic link: /proc/self/exe is kiln itself at this moment (CVE-2019-5736). A script's interpreter line may still
   name it; that process can read kiln's file but not write it, which is busy for as long as the build runs. */
static int check_program(const struct setup *setup, const char *path)
{
	struct err failed = { 0 };
	struct stat st;
	scope_fd int fd = root_open(&setup->root, path, O_PATH, 0, &failed);

	if (fd < 0) {
		errno = failed.sys ? failed.sys : EACCES;
		return -1;
	}
	if (fstat(fd, &st) < 0)
		return -1;
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return -1;
	}
	return faccessat(fd, "", X_OK, AT_EACCESS | AT_EMPTY_PATH);
}

/* Relative folders are passed over: what lies in the working directory is not meant by a bare name. */
static int search(const struct setup *setup, const char *folders, const char *name, struct strbuf *path)
{
	int reason = ENOENT;

	for (size_t len; *folders; folders += len + (folders[len] == ':')) {
		len = strcspn(folders, ":");
		if (folders[0] != '/')
			continue;
		strbuf_reset(path);
		strbuf_addf(path, "%.*s/%s", (int)len, folders, name);
		if (check_program(setup, strbuf_str(path)) == 0)
			return 0;
		if (errno == EACCES)
			reason = EACCES;
	}
	errno = reason;
	return -1;
}

static int find_by_name(const struct setup *setup, const char *name, struct strbuf *path, struct err *err)
{
	const char *folders = get_env(setup->cage->envp, "PATH");
	char shown[512];

	if (*name && search(setup, folders ? folders : DEFAULT_PATH, name, path) == 0)
		return 0;
	if (*name && errno == EACCES)
		return fail_to_exec("exec: \"%s\": %s", name, EACCES, err);
	return err_status(err, ERR_NOT_FOUND, ENOENT, "exec: \"%s\": executable file not found in $PATH",
			  err_printable(shown, sizeof(shown), name));
}

static int find_by_path(const struct setup *setup, const char *name, struct strbuf *path, struct err *err)
{
	char cwd[PATH_MAX];

	if (name[0] != '/') {
		if (!getcwd(cwd, sizeof(cwd)))
			return err_errno(err, "getcwd");
		strbuf_addf(path, "%s/", cwd);
	}
	strbuf_addstr(path, name);
	if (check_program(setup, strbuf_str(path)) == 0)
		return 0;
	/* Go's stat names itself. */
	if (errno == EACCES || errno == EISDIR)
		return fail_to_exec("exec: \"%s\": %s", name, errno, err);
	return fail_to_exec("exec: \"%1$s\": stat %1$s: %2$s", name, errno, err);
}

static void list_env(const struct cage *cage, struct strvec *env)
{
	for (const char *const *entry = cage->envp; entry && *entry; entry++)
		strvec_push(env, *entry);
	if (!get_env(cage->envp, "HOME"))
		strvec_pushf(env, "HOME=%s", cage->user.home ? cage->user.home : "/");
}

/* Everything but stdio, known or not (security.md finding 5). The channel closes itself with exec; until then it tells why
   there is none. */
static int close_others(int channel, struct err *err)
{
	if ((channel > 3 && syscall(SYS_close_range, 3U, (unsigned)channel - 1, 0U) < 0) ||
	    syscall(SYS_close_range, (unsigned)channel + 1, ~0U, 0U) < 0)
		return err_errno(err, "close_range");
	return 0;
}

/* Only ever lowered. Old package managers close every file up to the soft limit, one by one. As late as this, since a
   builder may have more files open. */
static int limit_files(struct err *err)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_errno(err, "getrlimit");
	if (files.rlim_cur <= NOFILE_SOFT)
		return 0;
	files.rlim_cur = NOFILE_SOFT;
	return setrlimit(RLIMIT_NOFILE, &files) < 0 ? err_errno(err, "setrlimit") : 0;
}

int setup_exec(struct setup *setup, struct err *err)
{
	const struct cage *cage = setup->cage;
	scope_strbuf struct strbuf path = { 0 };
	scope_strvec struct strvec env = { 0 };

	list_env(cage, &env);
	if ((strchr(cage->argv[0], '/') ? find_by_path(setup, cage->argv[0], &path, err)
					: find_by_name(setup, cage->argv[0], &path, err)) < 0 ||
	    close_others(setup->channel, err) < 0 || limit_files(err) < 0 || setup_limits(cage, err) < 0)
		return -1;
	execve(strbuf_str(&path), (char *const *)(uintptr_t)cage->argv, strvec_argv(&env));
	return fail_to_exec("exec %s: %s", strbuf_str(&path), errno, err);
}
