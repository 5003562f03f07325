/* SPDX-License-Identifier: Apache-2.0 */
#include "git-run.h"
#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* A commit of a repository: which one a name means, and its tree in a directory. */

enum { DEPTH_MAX = 1000 };

static bool is_id(const char *text)
{
	size_t len = strspn(text, "0123456789abcdefABCDEF");
	return text[len] == '\0' && (len == 40 || len == 64);
}

/* ---- which commit ---- */

/* "ID<TAB>NAME" of a line of ls-remote. */
static bool parse_line(struct arena *arena, const char *line, const char **id, const char **name)
{
	size_t len = strcspn(line, "\t\n"), rest;
	if (line[len] != '\t' || len > GIT_ID)
		return false;
	rest = strcspn(line + len + 1, "\r\n");
	*id = arena_strndup(arena, line, len);
	*name = arena_strndup(arena, line + len + 1, rest);
	return is_id(*id);
}

/* The id of a name in the list, or NULL. */
static const char *id_of(struct arena *arena, const char *list, const char *wanted)
{
	const char *id, *name;
	for (const char *line = list; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (parse_line(arena, line, &id, &name) && strcmp(name, wanted) == 0)
			return id;
	return NULL;
}

/* Full names that a short one may mean; git-checkout prefers branches, and so does BuildKit. */
static void list_candidates(struct arena *arena, const char *ref, const char *names[3])
{
	names[0] = names[1] = names[2] = NULL;
	if (!*ref || strcmp(ref, "HEAD") == 0) {
		names[0] = "HEAD";
	} else if (text_starts(ref, "refs/")) {
		names[0] = ref;
	} else {
		names[0] = arena_printf(arena, "refs/heads/%s", ref);
		names[1] = arena_printf(arena, "refs/tags/%s", ref);
		names[2] = arena_printf(arena, "refs/%s", ref);
	}
}

static int choose(struct arena *arena, const struct remote *remote, const char *const names[3], const char *list,
		  struct git_commit *commit, struct err *err)
{
	for (size_t i = 0; i < 3 && names[i]; i++) {
		const char *id = id_of(arena, list, names[i]);
		const char *peeled = id_of(arena, list, arena_printf(arena, "%s^{}", names[i]));
		if (!id)
			continue;
		snprintf(commit->id, sizeof(commit->id), "%s", peeled ? peeled : id);
		snprintf(commit->tag, sizeof(commit->tag), "%s", peeled ? id : "");
		snprintf(commit->ref, sizeof(commit->ref), "%s", names[i]);
		return 0;
	}
	if (!*remote->ref)
		return err_set(err, ERR_NOT_FOUND, "the repository %s has no default branch", remote->shown);
	return err_set(err, ERR_NOT_FOUND, "the repository %s does not contain the ref %s", remote->shown, remote->ref);
}

static int ask(struct arena *arena, const struct remote *remote, struct git_commit *commit, struct err *err)
{
	scope_git struct git git;
	scope_strbuf struct strbuf list = { 0 };
	const char *names[3];
	list_candidates(arena, remote->ref, names);
	const char *arguments[] = {
		"ls-remote", "--quiet", "--end-of-options", remote->url, NULL, NULL, NULL, NULL, NULL, NULL, NULL
	};
	for (size_t i = 0, at = 4; i < 3 && names[i]; i++) {
		arguments[at++] = names[i];
		arguments[at++] = arena_printf(arena, "%s^{}", names[i]);
	}
	git_init(&git, remote, -1);
	if (git_run(&git, arguments, GIT_ANSWER_MS, &list, err) < 0)
		return err_wrap(err, "read %s", remote->shown);
	return choose(arena, remote, names, strbuf_str(&list), commit, err);
}

static bool begins_nocase(const char *text, const char *beginning)
{
	for (; *beginning; text++, beginning++)
		if (tolower((unsigned char)*text) != tolower((unsigned char)*beginning))
			return false;
	return true;
}

int git_resolve(const struct remote *remote, struct git_commit *commit, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct git_commit found = { 0 };
	if (is_id(remote->ref)) {
		snprintf(found.id, sizeof(found.id), "%s", remote->ref);
		for (char *p = found.id; *p; p++)
			*p = (char)tolower((unsigned char)*p);
	} else if (ask(&arena, remote, &found, err) < 0) {
		return -1;
	}
	if (remote->checksum && !begins_nocase(found.id, remote->checksum) &&
	    !begins_nocase(found.tag, remote->checksum))
		return err_set(err, ERR_CORRUPT, "%s: expected checksum to match %s, got %s", remote->shown,
			       remote->checksum, found.id);
	*commit = found;
	return 0;
}

/* ---- its objects ---- */

static bool has_commit(const struct git *git, const struct git_commit *commit)
{
	scope_arena struct arena arena = { 0 };
	const char *arguments[] = { "cat-file", "-e", arena_printf(&arena, "%s^{commit}", commit->id), NULL };
	struct err ignored;
	return git_run(git, arguments, GIT_ANSWER_MS, NULL, &ignored) == 0;
}

/* By its name, as every server knows it; by its id, which most give; and where that is not allowed, or the server is
   only files behind http, everything. */
static int fetch(const struct git *git, const struct git_commit *commit, bool keeps_refs, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	bool keeps_ref = keeps_refs && text_starts(commit->ref, "refs/");
	const char *by_name[] = { "fetch",
				  "--quiet",
				  "--depth=1",
				  "--no-tags",
				  "--update-head-ok",
				  "origin",
				  keeps_ref ? arena_printf(&arena, "+%s:%s", commit->ref, commit->ref) : commit->ref,
				  NULL };
	const char *by_id[] = { "fetch", "--quiet", "--depth=1", "--no-tags", "origin", commit->id, NULL };
	const char *all[] = { "fetch",
			      "--quiet",
			      "--no-tags",
			      "origin",
			      "+refs/heads/*:refs/remotes/origin/*",
			      "+refs/tags/*:refs/tags/*",
			      NULL };
	const char *const *const ways[] = { by_name, by_id, all };
	struct err cause = { 0 };
	for (size_t i = *commit->ref ? 0 : 1; i < ARRAY_LEN(ways); i++) {
		if (git_run(git, ways[i], GIT_TRANSFER_MS, NULL, &cause) < 0) {
			log_debug("%s", cause.msg);
			continue;
		}
		if (has_commit(git, commit))
			return 0;
		err_set(&cause, ERR_NOT_FOUND, "the commit %s is not in it", commit->id);
	}
	if (err)
		*err = cause;
	return -1;
}

/* ---- its tree ---- */

static int check_out(const struct git *git, const struct git_commit *commit, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	const char *arguments[] = {
		"checkout", "--quiet", "--force", "--detach", arena_printf(&arena, "%s^{commit}", commit->id), NULL
	};
	return git_run(git, arguments, GIT_TRANSFER_MS, NULL, err);
}

static int update_submodules(const struct git *git, const struct remote *remote, struct err *err)
{
	static const char *const arguments[] = { "submodule",   "--quiet",   "update", "--init",
						 "--recursive", "--depth=1", NULL };
	struct stat st;
	if (remote->no_submodules || fstatat(git->dir_fd, ".gitmodules", &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return 0;
	return git_run(git, arguments, GIT_TRANSFER_MS, NULL, err) < 0 ? err_wrap(err, "submodules") : 0;
}

static int commit_time(const struct git *git, int64_t *time, struct err *err)
{
	static const char *const arguments[] = { "log", "-1", "--format=%ct", "HEAD", NULL };
	scope_strbuf struct strbuf text = { 0 };
	if (git_run(git, arguments, GIT_ANSWER_MS, &text, err) < 0)
		return -1;
	strbuf_truncate(&text, strcspn(strbuf_str(&text), "\n"));
	return parse_int64(time, strbuf_str(&text), err);
}

struct tidying {
	bool keeps_git_dir;
	bool sets_times;
	int64_t time;
};

static int tidy_dir(const struct tidying *tidying, int fd, int depth, struct err *err);

static int set_time(const struct tidying *tidying, int dir_fd, const char *name, struct err *err)
{
	const struct timespec times[2] = { { .tv_sec = tidying->time }, { .tv_sec = tidying->time } };
	if (tidying->sets_times && utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "set the time of %s", name);
	return 0;
}

/* git has no entry called .git in a tree, so what has the name is a repository's own. */
static int tidy_entry(const struct tidying *tidying, int dir_fd, const char *name, int depth, struct err *err)
{
	struct stat st;
	if (!tidying->keeps_git_dir && strcmp(name, ".git") == 0)
		return file_remove_tree(dir_fd, name, err);
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat %s", name);
	if (S_ISDIR(st.st_mode)) {
		scope_fd int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return err_errno(err, "open %s", name);
		if (tidy_dir(tidying, fd, depth + 1, err) < 0)
			return -1;
	}
	return set_time(tidying, dir_fd, name, err);
}

static int tidy_dir(const struct tidying *tidying, int fd, int depth, struct err *err)
{
	if (depth > DEPTH_MAX)
		return err_set(err, ERR_INPUT, "the tree is deeper than %d directories", DEPTH_MAX);
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	scope_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir)
		return err_errno(err, "read a directory");
	for (const struct dirent *entry; (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (tidy_entry(tidying, fd, entry->d_name, depth, err) < 0)
			return -1;
	}
	return 0;
}

/* A .git that is kept is to depend on the commit: no record of how and when it was fetched, and an index without what
   stat says of the files, which git fills in again when it is asked. The same in submodules. */
static int tidy_git_dir(const struct git *git, struct err *err)
{
	static const char *const made[] = { "FETCH_HEAD", "ORIG_HEAD", "logs", "hooks", "index" };
	static const char *const arguments[] = { "read-tree", "HEAD", NULL };
	static const char *const submodules[] = {
		"submodule",
		"--quiet",
		"foreach",
		"--recursive",
		"dir=$(git rev-parse --absolute-git-dir) && "
		"rm -rf \"$dir/FETCH_HEAD\" \"$dir/ORIG_HEAD\" \"$dir/logs\" \"$dir/hooks\" "
		"\"$dir/index\" && git read-tree HEAD",
		NULL
	};
	scope_fd int fd = openat(git->dir_fd, ".git", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "open .git");
	for (size_t i = 0; i < ARRAY_LEN(made); i++)
		if (file_remove_tree(fd, made[i], err) < 0)
			return -1;
	if (git_run(git, arguments, GIT_ANSWER_MS, NULL, err) < 0)
		return -1;
	return git_run(git, submodules, GIT_ANSWER_MS, NULL, err);
}

static int tidy(const struct git *git, const struct remote *remote, struct err *err)
{
	struct tidying tidying = { .keeps_git_dir = remote->keeps_git_dir, .sets_times = !remote->has_checkout_times };
	if (commit_time(git, &tidying.time, err) < 0 || (remote->keeps_git_dir && tidy_git_dir(git, err) < 0) ||
	    tidy_dir(&tidying, git->dir_fd, 0, err) < 0)
		return -1;
	return set_time(&tidying, git->dir_fd, ".", err);
}

static int begin(const struct git *git, const struct remote *remote, struct err *err)
{
	static const char *const init[] = { "init", "--quiet", ".", NULL };
	const char *origin[] = { "config", "remote.origin.url", remote->url, NULL };
	if (git_run(git, init, GIT_ANSWER_MS, NULL, err) < 0)
		return -1;
	return git_run(git, origin, GIT_ANSWER_MS, NULL, err);
}

int git_checkout(const struct remote *remote, const struct git_commit *commit, int dir_fd, struct err *err)
{
	scope_git struct git git;
	git_init(&git, remote, dir_fd);
	if (begin(&git, remote, err) < 0 || fetch(&git, commit, remote->keeps_git_dir, err) < 0 ||
	    check_out(&git, commit, err) < 0 || update_submodules(&git, remote, err) < 0 || tidy(&git, remote, err) < 0)
		return err_wrap(err, "fetch %s", remote->shown);
	return 0;
}
