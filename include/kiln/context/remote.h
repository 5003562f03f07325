/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_CONTEXT_REMOTE_H
#define KILN_CONTEXT_REMOTE_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"
#include "kiln/codec/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What comes from elsewhere: ADD of URLs and git repositories, and contexts that are no directories. The parser (remote.c)
 * is pure; what fetches (remote-http.c, git.c, archive.c) blocks, so it runs in jobs.
 *
 *	remote_parse(&arena, "https://host/r.git#v1:src", REMOTE_IN_DOCKERFILE, &remote, err)
 *		-> REMOTE_GIT, url "https://host/r.git", ref "v1", subdir "src"
 */
enum remote_kind { REMOTE_NONE /* a path */, REMOTE_HTTP, REMOTE_GIT };
enum remote_place {
	REMOTE_IN_DOCKERFILE,
	REMOTE_ON_COMMAND_LINE /* github.com/OWNER/NAME is a repository there, and a path in a Dockerfile */
};

struct remote {
	enum remote_kind kind;
	const char *url;   /* HTTP: as given, with its credentials. GIT: without them */
	const char *shown; /* for people, history and logs: no credentials */
	const char *file;  /* HTTP: what ADD calls it; NULL if the URL names nothing that can be a file's name */
	/* GIT */
	const char *user, *password; /* for https and http, NULL: none */
	const char *ref;             /* as given, refs/... by branch= and tag=; "": the default branch */
	const char *subdir;          /* clean; "": all of it */
	const char *checksum;        /* beginning of the commit's or annotated tag's id, or NULL */
	bool keeps_git_dir;
	bool no_submodules;
	bool has_checkout_times; /* mtime=checkout: else every file has the time of the commit */
};

/* A text that is no remote source is REMOTE_NONE and no error. ERR_INPUT for one that is malformed, or that a git program could take for
   an option. */
int remote_parse(struct arena *arena, const char *text, enum remote_place place, struct remote *remote,
		 struct err *err) MUST_CHECK;
/* --checksum of ADD for git: hexadecimal digits. */
int remote_check_commit(const char *text, struct err *err) MUST_CHECK;

/* text with the credentials of every URL in it made unreadable: user and password, and values of parameters that are called
   like secrets. In the arena; text itself if there are none. */
const char *remote_redact(struct arena *arena, const char *text);

/* ---- http (remote-http.c) ---- */

/* Where a body goes: a writer, which is neither finished nor closed; restart gives a new one when all comes again. */
struct remote_sink {
	struct writer *writer;
	int (*restart)(struct remote_sink *sink, struct err *err);
};

struct remote_file {
	bool is_unchanged;                /* 304: what was known still holds, nothing was written */
	const char *etag, *last_modified; /* of the answer, or NULL; in the arena */
	int64_t time;                     /* of Last-Modified, -1: none that makes sense */
};
/* GETs remote->url. known (may be NULL) are the validators of what the caller has. */
int remote_fetch(struct arena *arena, const struct remote *remote, const struct remote_file *known,
		 struct remote_sink *sink, struct remote_file *file, struct err *err) MUST_CHECK;
/* Seconds of a Last-Modified header; -1 if a file cannot have that time. */
int64_t remote_time(const char *last_modified);

/* ---- git (git.c, git-run.c): the git program, in a clean environment, with nothing of the user's but agent and known hosts ---- */

enum { GIT_ID = 64, GIT_REF = 512 };
/* Plain bytes: crosses a channel. */
struct git_commit {
	char id[GIT_ID + 1];   /* of the commit */
	char tag[GIT_ID + 1];  /* of an annotated tag that was named, or "" */
	char ref[GIT_REF + 1]; /* its full name at the remote, or "" if an id was named */
};
/* Asks the repository which commit is meant: one exchange, nothing is fetched. checksum is compared. */
int git_resolve(const struct remote *remote, struct git_commit *commit, struct err *err) MUST_CHECK;
/* Makes the commit's tree in an empty directory: submodules too, .git gone or tidied, times set. */
int git_checkout(const struct remote *remote, const struct git_commit *commit, int dir_fd, struct err *err) MUST_CHECK;

/* ---- archives (archive.c) ---- */

/* A stream (read to its end) that is a tar, compressed or not, is unpacked into the empty directory dir_fd, everything
   owned by root: 1. Anything else is a Dockerfile, which goes to text if it is no longer than limit: 0. below is borrowed. */
int context_unpack(struct reader *below, int dir_fd, size_t limit, const char *name, struct strbuf *text,
		   struct err *err) MUST_CHECK;

#endif
