/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_BUILD_FETCH_H
#define KILN_SRC_BUILD_FETCH_H

#include "internal.h"

/*
 * What a build gets from elsewhere, each by a job of its own beside the steps: a file by http, the commit that a git reference
 * means, or a whole tree for COPY. The same thing is fetched once in a build. A stage that needs one waits for it.
 *
 *	FETCH_FILE	a blob in the store; what the server said of it is a note, and an unchanged one is not sent again
 *	FETCH_COMMIT	an id: the step that copies the tree clones it, if the cache has not got the step
 *	FETCH_TREE	a directory "tree" in the work directory: a repository's, or an archive's by http or from standard input
 *			(what is no archive is a Dockerfile, and the tree is empty)
 */
enum fetch_kind { FETCH_FILE, FETCH_COMMIT, FETCH_TREE };

enum { FETCH_TAG = 512, FETCH_DATE = 64 };
/* Plain bytes: crosses a channel. */
struct fetch_result {
	struct digest digest; /* FETCH_FILE */
	int64_t size, time;   /* time: -1 if it has none */
	bool is_unchanged;
	bool is_archive; /* FETCH_TREE */
	char etag[FETCH_TAG], last_modified[FETCH_DATE];
	struct git_commit commit;
};

struct fetch {
	enum fetch_kind kind;
	const char *text; /* as given; NULL: standard input */
	struct remote remote;
	const struct digest *expected; /* FETCH_FILE --checksum, or NULL */
	struct build *build;
	enum { FETCH_NEW, FETCH_RUNNING, FETCH_DONE } status;
	struct proc job;
	struct store_work work;
	struct step *shown; /* for progress: its name and number */
	struct fetch_result result;
};

/* The build's one fetch of this kind of this text. place is the instruction that wants it, or NULL. */
struct fetch *fetch_of(struct build *build, enum fetch_kind kind, const char *text, const struct remote *remote,
		       const struct digest *expected, const struct instruction *place);
/* STEP_READY once it is done; else it is started, and the stage waits. */
enum step_ready fetch_need(struct build *build, struct stage_run *stage, struct fetch *fetch, struct err *err);
/* Its job has ended. */
int fetch_finish(struct build *build, struct fetch *fetch, struct err *err) MUST_CHECK;
/* Starts it and waits, without the loop: what must be there before anything else. */
int fetch_now(struct build *build, struct fetch *fetch, struct err *err) MUST_CHECK;
size_t count_fetches(const struct build *build); /* that run */
void fetch_release(struct build *build, struct fetch *fetch);

/* ---- trees that COPY reads (trees.c) ---- */

/* --build-context NAME=VALUE. Nothing of it is touched before something names it. */
struct named_context {
	const char *key;   /* canonical */
	const char *image; /* FROM's text for an image, "scratch", or NULL */
	struct tree tree;
};

int contexts_parse(struct build *build, struct err *err) MUST_CHECK;
/* The main context, as far as it must be there before the Dockerfile is read, and the Dockerfile if it is in it or remote.
   Without needs_tree a fetched context is left alone once the Dockerfile is known. */
int contexts_begin(struct build *build, bool needs_tree, struct err *err) MUST_CHECK;
struct named_context *context_find(const struct build *build, const char *name);
enum step_ready tree_need(struct build *build, struct stage_run *stage, struct tree *tree, struct err *err);
struct source tree_source(const struct tree *tree);
void tree_release(struct tree *tree);

/* Opens subdir of a fetched repository: every component must be a directory, none a link. */
int open_subdir(int dir_fd, const struct remote *remote, struct err *err) MUST_CHECK;

#endif
