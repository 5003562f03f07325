/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_BUILD_BUILD_H
#define KILN_BUILD_BUILD_H

#include "kiln/base/arena.h"
#include "kiln/codec/digest.h"
#include "kiln/dockerfile/dockerfile.h"
#include "kiln/dockerfile/lint.h"
#include "kiln/oci/image.h"
#include "kiln/sandbox/sandbox.h"
#include "kiln/store/store.h"
#include "kiln/view/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A Dockerfile and a context become an image. Runs inside the coordinator (sandbox_enter): one thread, one poll loop, and
 * child processes ("jobs") for everything that takes time:
 *
 *	plan.c		which stages, what each is based on and copies from
 *	evaluate.c	all instructions, before the first step: errors, and facts for the build checks (check.c) and
 *			the outline (outline.c)
 *	stage.c		one stage's state: configuration, variables, stack of layers; metadata.c changes it
 *	key.c		what a step's result depends on: the cache key; explain.c tells what of it changed
 *	step_*.c	one file per kind of step that makes a layer
 *	layers.c	layers found and made: diffs, publishing, the step cache
 *	schedule.c	the loop: advances stages, starts jobs, collects what they made; output.c reads what they print
 *	foreign.c	steps that this machine cannot execute
 *	commit.c	the target's state becomes an image; squash.c makes one layer of its new ones
 *	export.c	-o
 *
 * A layer joins its stage's stack as soon as its tree is there; its diff runs beside the next step.
 */

enum build_event_type {
	BUILD_STEP_STARTED,
	BUILD_STEP_OUTPUT, /* text: one line, without its newline */
	BUILD_STEP_CACHED,
	BUILD_STEP_DONE,
	BUILD_STEP_FAILED,    /* text: the error */
	BUILD_STEP_CANCELED,  /* another one failed */
	BUILD_STEP_EXPLAINED, /* text: why the cache had nothing */
	BUILD_WARNING
};

struct build_event {
	enum build_event_type type;
	unsigned step;    /* 1, 2, 3 in the order of starting */
	const char *name; /* "[build 2/5] RUN make" */
	const char *text;
	size_t len;
	int64_t at_ms;                      /* since the step started */
	int line;                           /* of the Dockerfile, 0 if none */
	const struct lint_warning *warning; /* BUILD_WARNING: of a build check, else NULL */
};

typedef void build_listener(void *arg, const struct build_event *event);

enum build_output_type {
	BUILD_OUTPUT_OCI,
	BUILD_OUTPUT_OCI_DIR,
	BUILD_OUTPUT_DOCKER,
	BUILD_OUTPUT_LOCAL,
	BUILD_OUTPUT_TAR,
	BUILD_OUTPUT_IMAGE, /* in the store, as a build without outputs */
	BUILD_OUTPUT_NONE   /* only the step cache */
};
struct build_output {
	enum build_output_type type;
	const char *dest;         /* "-" is stdout, but for the two that are directories; NULL: the last two */
	const char *const *names; /* canonical: in the archive or layout; NULL: the tags */
	size_t name_count;
	bool is_mirror; /* BUILD_OUTPUT_LOCAL: what is not of the result goes */
};

/* --secret: read before the build begins. */
struct build_secret {
	const char *id;
	const void *bytes;
	size_t len;
};
/* --ssh: the socket of an agent, an absolute path. */
struct build_ssh {
	const char *id;
	const char *path;
};

enum build_pull { BUILD_PULL_MISSING, BUILD_PULL_ALWAYS, BUILD_PULL_NEVER };

#define BUILD_NO_EPOCH INT64_MIN

/* What a context is called on the command line. A remote one is a git or http(s) URL. */
enum build_context_kind { BUILD_CONTEXT_DIRECTORY, BUILD_CONTEXT_STDIN, BUILD_CONTEXT_REMOTE };
enum build_context_kind build_context_kind(struct arena *arena, const char *text);

struct build_spec {
	const char *context; /* absolute path of a directory, or a URL */
	enum build_context_kind context_kind;
	const struct key_value *contexts; /* --build-context: key and value; directories are absolute paths */
	size_t context_count;
	const char *dockerfile_name; /* for messages */
	const char *dockerfile_path; /* where it was read, NULL: standard input, or not a file of the user's */
	/* Of the Dockerfile. NULL: dockerfile_name is its URL, or its path in a context that is no directory (NULL: the usual
	   names), and build_run reads it. */
	const char *text;
	size_t text_len;
	const char *const *tags; /* canonical names */
	size_t tag_count;
	const struct key_value *build_args; /* values are never NULL */
	size_t build_arg_count;
	const struct key_value *labels;
	size_t label_count;
	struct json *annotations;            /* of the manifest: an object with sorted keys, or NULL */
	struct json *descriptor_annotations; /* likewise, of what points to the manifest */
	const char *target;                  /* NULL: the last stage */
	const struct platform *platform;     /* NULL: this machine's */
	enum build_pull pull;
	bool no_cache;
	const char *const *uncached_stages; /* --no-cache for these alone, in any case; "" is a stage without a name */
	size_t uncached_count;
	bool squash;            /* what is new becomes one layer */
	bool all_stages;        /* also those that the target does not need */
	unsigned jobs;          /* steps at a time; 0: as there are processors */
	const char *ignorefile; /* instead of the context's .dockerignore; NULL: that */
	bool explain;
	enum network_mode network;
	const struct build_secret *secrets; /* of two with one id the last counts */
	size_t secret_count;
	const struct build_ssh *ssh;
	size_t ssh_count;
	const char *const *extra_hosts; /* "name ip", NULL-terminated, or NULL */
	const struct cage_limit *limits;
	size_t limit_count;
	int64_t shm_size; /* 0: the default */
	enum view_kind view;
	int64_t epoch; /* SOURCE_DATE_EPOCH of the environment, or BUILD_NO_EPOCH; a build argument wins */
	const struct build_output *outputs;
	size_t output_count;
	build_listener *listener;
	void *listener_arg;
};

struct build_result {
	struct digest image;           /* id: digest of the configuration; zero if the outputs need none */
	struct dockerfile_place place; /* on failure: where in the Dockerfile */
	const char *excerpt;           /* on failure: its lines, or "" */
	const char *failed_step;       /* on failure of a step: its name, and the last lines of its output */
	const char *failed_output;
	struct dockerfile_columns columns;   /* on failure: of the word that is wrong; line 0: not known */
	const struct lint_warning *warnings; /* of the build checks, by line; on failure too */
	size_t warning_count;
};

/* Builds. On failure everything that was built before stays in the store and in the cache. result's texts live in arena. A signal that
   arrived (build_interrupt) ends it with ERR_INTERRUPTED. */
int build_run(struct store *store, struct arena *arena, const struct build_spec *spec, struct build_result *result,
	      struct err *err) MUST_CHECK;

/* What --call wants to know; nothing is run, and of a context that is fetched only the Dockerfile counts. */
struct build_parameter {
	const char *name;
	const char *value;       /* of an ARG, or NULL */
	const char *description; /* from the comment above, or NULL */
	bool is_required;
	struct dockerfile_place place;
};
struct build_outline {
	const char *name, *description; /* of the target, or NULL */
	struct build_parameter *args, *secrets, *ssh;
	size_t arg_count, secret_count, ssh_count;
};

/* Fetches the Dockerfile of a spec that has no text yet. */
int build_read(struct store *store, struct arena *arena, struct build_spec *spec, struct err *err) MUST_CHECK;
/* The build checks, on all stages if no target is named. What they found is in result, also when an error in the Dockerfile
   ends them. A base image that is not in the store is taken for an empty one. */
int build_check(struct store *store, struct arena *arena, const struct build_spec *spec, struct build_result *result,
		struct err *err) MUST_CHECK;
/* What the target takes from outside: arguments, secrets, ssh. */
int build_outline(struct store *store, struct arena *arena, const struct build_spec *spec, struct build_result *result,
		  struct build_outline *outline, struct err *err) MUST_CHECK;

/* `--change` of import and commit: Dockerfile instructions that make no layer (CMD ENTRYPOINT ENV EXPOSE LABEL ONBUILD STOPSIGNAL
   USER VOLUME WORKDIR and HEALTHCHECK SHELL MAINTAINER), applied to a configuration without leaving history. */
struct image_config;
int build_apply_changes(struct arena *arena, struct image_config *config, const char *const *changes, size_t count,
			struct err *err) MUST_CHECK;

/* For signal handlers: the build ends as soon as it can; asked again, or while it writes its result, the process ends. */
void build_interrupt(int number);

#endif
