/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_BUILD_INTERNAL_H
#define KILN_SRC_BUILD_INTERNAL_H

#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/proc.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/build/build.h"
#include "kiln/context/context.h"
#include "kiln/context/remote.h"
#include "kiln/dockerfile/expand.h"
#include "kiln/dockerfile/mount.h"
#include "kiln/image/image.h"
#include "kiln/layer/layer.h"
#include "kiln/oci/image.h"

#include <limits.h>

/* ---- variables ---- */

struct env {
	struct key_value *items; /* in the order of first setting */
	size_t count;
};
const char *env_get(const struct env *env, const char *key);
void env_set(struct arena *arena, struct env *env, const char *key, const char *value);

/* ---- layers of a stack (layers.c) ---- */

struct build;
struct stage_run;
struct step;
struct fetch;
struct named_context;
struct tree;

/* A layer's tree is there; its diff id may come later. Owned by the build. */
struct layer_node {
	int tree_fd;
	bool is_known;
	struct digest diff_id;
	int64_t created;
	/* While it is not known: */
	struct store_work work;
	struct proc diff;
	const struct layer_node *below; /* the node under it in the stack it was made on */
	size_t depth;                   /* nodes below */
	/* What later builds find it by: the layers below, and digests of the inputs of its step (a COPY --from has two: by what
	   it copies from, and by the files that it takes). */
	bool is_link;
	bool stands_alone; /* COPY --link: whatever lies below, it is the same */
	struct digest steps[2];
	size_t step_count;
	const struct step *source; /* copied from layers that were not known yet: the digest of its inputs is to come */
	bool is_saved;
	const char *what;
	const struct instruction *place;
};

struct layer_node *node_new(struct build *build);
struct layer_node *node_from_store(struct build *build, const struct digest *diff_id, struct err *err);
/* Starts the diff of work/"upper" against the stage's stack, which it is not yet part of. */
int node_start_diff(struct build *build, const struct stage_run *stage, struct layer_node *node,
		    struct err *err) MUST_CHECK;
/* The diff has ended: publishes the layer, and remembers it and those above it. */
int node_finish_diff(struct build *build, struct layer_node *node, struct err *err) MUST_CHECK;
size_t count_diffs(const struct build *build);
/* Remembers a node, if all that it is found by is known, and not before. */
void node_save_keys(struct build *build, struct layer_node *node);

/* What stands in the place of a parent for a layer that stands alone. */
void key_of_nothing(struct digest *out);
bool step_stands_alone(const struct step *step);
/* What a step depends on, but for what it stands on. A stage that it copies from counts by its layers, since two runs of one
   text need not make the same: false while they are not known. */
bool step_inputs_digest(const struct step *step, struct digest *out);
/* True if the cache has the step, by this digest of its inputs, on the layers that its stage has. A layer on its own is found
   whatever its stage stands on. */
bool cache_look_up(struct build *build, const struct step *step, const struct digest *own, struct cache_record *record);

/* ---- inputs of a step: its key, and its explanation ---- */

struct input {
	const char *name;  /* "command", "environment PATH", "files" */
	const char *value; /* short, or "sha256:..." */
};
struct inputs {
	struct input *items;
	size_t count;
};
void inputs_add(struct arena *arena, struct inputs *inputs, const char *name, const char *value);
void inputs_addf(struct arena *arena, struct inputs *inputs, const char *name, const char *fmt, ...) PRINTF_LIKE(4, 5);
void inputs_digest(const struct inputs *inputs, struct digest *out);
/* The key of a step on a parent, by the parent's key (definition: names a working tree of this build, and layers that
   stand alone) or by what its layers are (content: what the cache goes by). */
void key_of_step(const struct digest *parent, const struct digest *step, struct digest *out);
void key_of_chain(const struct digest *chain, const struct digest *step, struct digest *out);

/* ---- plan ---- */

enum base_kind { BASE_SCRATCH, BASE_STAGE, BASE_IMAGE };

struct step;

enum stage_status { STAGE_WAITING, STAGE_IDLE, STAGE_BUSY, STAGE_DONE };

struct stage_run {
	const struct stage *stage;
	size_t index;
	const char *name; /* for people: its name, or "stage-N" */
	bool is_needed;
	bool is_hidden_name; /* the only stage: "[2/5]" */
	bool is_uncached;    /* its steps run whatever the cache has */
	enum base_kind base;
	struct stage_run *base_stage;
	const char *base_name;
	struct platform platform; /* FROM --platform, else the build's; a stage as base has its own */
	struct tree *tree;        /* a named context that the stage stands on: it is copied first, on nothing */
	const struct instruction *tree_copy;

	enum stage_status status;
	struct image_config *config;
	struct env env;         /* ENV and ARG in effect: expansion and RUN see this */
	struct key_value *args; /* ARGs declared, in order, for history (distinct names) */
	size_t arg_count;
	size_t base_history; /* entries that came with the base image */
	size_t base_layers;  /* likewise, and its id; of the first base under several stages */
	struct digest base_id;
	bool cmd_set;               /* CMD in this stage: ENTRYPOINT then keeps it */
	struct layer_node **layers; /* bottom first */
	size_t layer_count;
	struct digest key;      /* identity of the file system in this build, by definition */
	struct digest base_key; /* as it was before the first step */

	struct instruction *triggers; /* ONBUILD of the base, run first */
	size_t trigger_count;
	size_t position;                  /* over triggers, then stage->instructions */
	unsigned step_number, step_total; /* of "[n/m]" */
	struct stage_run *waits_for;      /* COPY --from: the stage that the next step needs */
	const struct fetch *waits_fetch;  /* what the next step needs from elsewhere */
	struct step *step;                /* running */
	struct store_work session;        /* copy view's working tree */

	struct image *image;       /* the base, once it was looked up */
	bool is_dry;               /* evaluated only (check.c): no layers */
	struct unset_names *unset; /* where variables without a value are noted, or NULL */
};

/* Variables that expansions had no value for. */
struct unset_names {
	struct arena *arena;
	struct lint_unset *items;
	size_t count, word_start; /* in one word each counts once */
};

/* A stage or image that files are taken from. */
struct origin {
	struct stage_run *stage;
	struct image *image;
	const char *written; /* the image's name */
};

/* A mount of a RUN. */
struct step_mount {
	struct run_mount options;
	size_t rank;        /* among those of the instruction */
	const char *target; /* absolute; NULL: a secret that is a variable only */
	const char *source; /* clean */
	const char *id;     /* of a secret or agent */
	const char *env;    /* name of a secret's variable, or NULL */
	struct origin origin;
	struct tree *tree; /* a context */
	bool is_scratch;
	bool must_renew;       /* a cache that --no-cache empties first */
	struct copy_plan plan; /* what a bind mount shows */
	struct digest content; /* of it: of a stage's or image's files known in the job */
};

/* One step that makes a layer, while it is being made. */
struct step {
	struct build *build;
	struct stage_run *stage;
	const struct instruction *instruction;
	const struct instruction *place; /* whose lines to show: FROM for triggers */
	unsigned number;
	const char *name;
	int64_t started_ms;
	struct inputs inputs;
	struct digest step_digest, key;
	bool is_digest_whole; /* else it says nothing of the layers that the step copies from */
	const char *history;  /* created_by */
	struct store_work work;
	struct proc job;
	proc_work *run;     /* the job's function; arg is the step */
	int output_fd;      /* -1: none */
	struct strbuf line; /* an unfinished line of output */
	struct strbuf tail; /* the last lines, for the report of a failure */
	/* RUN */
	const char **argv;
	size_t argc;
	const struct heredoc *script; /* that is run as a file */
	struct step_mount *mounts;    /* by target */
	size_t mount_count;
	bool mounts_from; /* some are of a stage or image */
	/* COPY, ADD */
	struct copy_spec copy;
	struct copy_plan plan;
	const struct tree *tree; /* where its sources are, unless they are in a stage or image */
	struct digest content;   /* of the tree's files that it takes */
	struct remote_source *remotes;
	size_t remote_count;
	struct stage_run *from_stage;
	struct image *from_image;
	const char *chown, *chmod;
	bool is_add;
	bool is_link;       /* a layer of its own, made on nothing */
	bool is_link_owned; /* and its owner is a name, which the stage below knows */
	bool may_unpack, may_unpack_remote;
	const struct heredoc **heredocs;
	const char **heredoc_bodies;
	size_t heredoc_count;
	/* WORKDIR */
	const char *dir;
};

/* A directory that COPY reads (trees.c): the build context, or a named one. */
struct tree {
	const char *name;   /* for messages: "the build context", "the context deps" */
	const char *path;   /* a directory of the user's; NULL: fetched, or empty */
	const char *beside; /* the Dockerfile, whose own ignore file counts; NULL */
	struct fetch *fetch;
	int fd; /* -1 until something needs it */
	struct ignore *ignore;
	struct stat_cache *stat_cache;
	bool is_temporary;
};

struct build {
	struct store *store;
	struct arena *arena;
	const struct build_spec *spec;
	struct build_result *result;
	struct dockerfile *file;
	struct stage_run *stages;
	size_t stage_count;
	struct stage_run *target;
	struct env global;        /* global ARGs and platform arguments */
	struct env platform_args; /* these alone */
	struct platform platform; /* of the image */
	int64_t epoch;            /* BUILD_NO_EPOCH: none */
	int64_t clamp;            /* INT64_MAX without an epoch */
	int64_t now;
	enum view_kind view;        /* VIEW_AUTO until the first step that runs */
	struct build_spec own_spec; /* spec is this one: the given one, and the Dockerfile once it is read */
	struct tree context;
	struct named_context **named;
	size_t named_count;
	struct fetch **fetches;
	size_t fetch_count;
	struct network network;
	struct layer_node **nodes; /* all, to close */
	size_t node_count;
	unsigned next_number;
	unsigned running, limit;
	struct json *last_build; /* what --explain compares with */
	struct json *this_build;
	struct err failure; /* of the first step that failed */
	bool has_failed;
	struct digest *renewed; /* cache mounts that --no-cache has emptied */
	size_t renewed_count;
	struct lint lint;
	struct evaluated *evaluated; /* check.c: of each stage */
	const char *wrong_word;      /* that the last failed expansion was given */
};

int plan_build(struct build *build, struct err *err) MUST_CHECK;
/* The stage that COPY --from or a mount names, or NULL if it is an image. */
int plan_find_stage(struct build *build, const struct stage_run *from, const char *name, struct stage_run **out,
		    struct err *err) MUST_CHECK;
/* That of a mount on target: numbers are no stages there. */
int plan_find_mount_stage(struct build *build, const struct stage_run *from, const char *name, const char *target,
			  struct stage_run **out, struct err *err) MUST_CHECK;
void plan_need(struct build *build, struct stage_run *stage);
/* The stages that one instruction takes files from. */
void plan_need_sources(struct build *build, struct stage_run *stage, const struct instruction *instruction);
/* An image was not found: names the stage that may have been meant. Returns -1. */
int plan_suggest_stage(struct build *build, const struct stage_run *from, const char *name, struct err *err);
const char *build_arg(const struct build_spec *spec, const char *name);

/* ---- what is known without running anything (check.c, evaluate.c, outline.c) ---- */

/* The checks of the text, as soon as it is parsed; file holds what comes before an error if it is not whole. */
int check_parsed(struct build *build, const struct dockerfile *file, bool is_whole, struct err *err) MUST_CHECK;
/* Those of all FROMs, once the global arguments are known. */
void check_from(struct build *build);
/* What a COPY --from names exists, and nothing needs itself. */
int check_dependencies(struct build *build, struct err *err) MUST_CHECK;
/* Evaluates the instructions of the stages that are needed, or of all, on a state of its own: errors that need no step are
   found before the first one runs. */
int evaluate_stages(struct build *build, bool all, struct err *err) MUST_CHECK;
/* Names that an expression takes from the global arguments. */
struct names {
	const char **items;
	size_t count;
};
bool names_have(const struct names *names, const char *name);
void unset_names_add(struct unset_names *unset, const struct env *known, const char *name, size_t len);
void names_add(struct arena *arena, struct names *names, const char *name, size_t len);
/* Expands with the global arguments (or others in their place) and notes what had a value and what had none. */
char *expand_globally(struct build *build, const struct env *global, const char *word, struct names *used,
		      struct unset_names *unset, struct err *err) MUST_CHECK;

/* A stage while it is evaluated, and what the outline tells of it. */
struct evaluated {
	struct stage_run run;
	struct unset_names unset;
	bool is_done;
	bool is_unknown;  /* the base image is not there, so that its variables are not known */
	bool has_workdir; /* this file has set one */
	const struct instruction *last[INSTRUCTION_COUNT];
	struct names inherited; /* ARGs that are the global ones of their name */
	struct build_parameter *args, *secrets, *ssh;
	size_t arg_count, secret_count, ssh_count;
};
int evaluate_mounts(struct build *build, struct evaluated *stage, const struct instruction *in,
		    struct err *err) MUST_CHECK;
void outline_target(struct build *build, struct build_outline *outline);

/* ---- stage state ---- */

/* Prepares base configuration, variables and stack; the base stage is done. */
int stage_begin(struct build *build, struct stage_run *stage, struct err *err) MUST_CHECK;
const struct instruction *stage_next(struct stage_run *stage, bool *is_trigger);
struct expander stage_expander(struct build *build, struct stage_run *stage);
char *stage_expand(struct build *build, struct stage_run *stage, const char *word, struct err *err) MUST_CHECK;
void stage_fill_times(struct build *build, struct stage_run *stage);
void stage_history(struct build *build, struct stage_run *stage, const char *created_by, bool empty, int64_t created);
/* The SHELL in effect, then text. */
void stage_shell_command(struct build *build, const struct stage_run *stage, const char *text, const char ***argv,
			 size_t *argc);
char *stage_workdir_join(struct arena *arena, const struct stage_run *stage, const char *path);
void stage_push_layer(struct build *build, struct stage_run *stage, struct layer_node *node);
/* Trees of the stage's stack, topmost first; in the arena. */
const int *stage_lowers(struct build *build, const struct stage_run *stage, size_t *count);
const int *image_lowers(struct build *build, const struct image *image, struct err *err);
/* True and *chain if every diff id of the stack is known. */
bool stage_chain(const struct stage_run *stage, struct digest *chain);

/* Instructions without a layer. */
int metadata_apply(struct build *build, struct stage_run *stage, const struct instruction *instruction,
		   struct err *err) MUST_CHECK;

/* ---- steps: fill in step->inputs, ->history, ->run ---- */
enum step_ready { STEP_FAILED = -1, STEP_READY, STEP_WAITS /* for stage->waits_for */, STEP_HAS_NO_LAYER };
enum step_ready step_run_prepare(struct build *build, struct step *step, struct err *err) MUST_CHECK;
enum step_ready step_copy_prepare(struct build *build, struct step *step, struct err *err) MUST_CHECK;
enum step_ready step_workdir_prepare(struct build *build, struct step *step, struct err *err) MUST_CHECK;
/* Targets, sources and keys of a RUN's mounts. */
enum step_ready step_mounts_prepare(struct build *build, struct step *step, struct err *err) MUST_CHECK;
void step_mount_cache_id(const struct step *step, const struct step_mount *mount, struct digest *id);
/* A cache that begins as a copy of its source. */
bool step_mount_is_filled(const struct step_mount *mount);
/* A COPY --from, and a RUN that mounts files of a stage or image: what it takes is known only when its job runs. */
bool step_copies_from(const struct step *step);
/* The network of a RUN: its own flag, else the build's. */
enum network_mode step_network(const struct step *step);
/* COPY --link (step_link.c): onto an empty directory instead of a view. */
typedef int copy_onto_fn(struct step *step, const struct source *source, const struct root *dest,
			 const struct root *users, struct err *err);
int step_copy_link(struct step *step, const struct source *source, copy_onto_fn *copy_onto, struct err *err) MUST_CHECK;
void step_copy_take_link(struct step *step);
/* The build context, once something has opened it (tree_need). */
struct source context_source(const struct build *build);

/* ---- ADD of what is elsewhere (step_add.c) ---- */

struct remote_source {
	size_t before; /* sources in the tree that come before it */
	struct remote remote;
	const struct digest *expected; /* --checksum of a file */
	struct fetch *fetch;
};
/* What a source word names; COPY of what is elsewhere is an error. */
int step_add_check(struct build *build, enum instruction_kind kind, const char *word, struct remote *remote,
		   struct err *err) MUST_CHECK;
/* True if the word names something elsewhere: it is added to step->remotes. COPY cannot. */
int step_add_take(struct build *build, struct step *step, const char *word, bool *is_remote,
		  struct err *err) MUST_CHECK;
/* Flags that are about remote sources only. */
int step_add_flags(struct build *build, struct step *step, struct err *err) MUST_CHECK;
enum step_ready step_add_prepare(struct build *build, struct step *step, struct err *err);
/* In the job. */
int step_add_run(const struct step *step, const struct remote_source *source, const struct root *dest,
		 const struct copy_options *options, struct err *err) MUST_CHECK;
/* A tar, if fd is one, below the step's destination. */
int step_unpack(const struct step *step, int fd, const char *name, const struct root *dest,
		const struct copy_options *options, bool *unpacked, struct err *err) MUST_CHECK;
/* Used by the jobs. */
int step_open_view(struct step *step, struct view *view, struct err *err) MUST_CHECK;
int step_finish_view(struct step *step, struct view *view, struct err *err) MUST_CHECK;
/* For the shell-word display of a RUN: process "…" did not complete. */
char *words_joined(struct arena *arena, const char *const *words, size_t count);
char *go_quoted(struct arena *arena, const char *text);

/* ---- explanation (explain.c) ---- */
enum { EXPLAINED_FILES = 100000 };
/* Keeps the list of the files (copy_digest_list) that this digest stands for. */
void explain_note_files(struct build *build, const struct digest *content, const struct strbuf *list);
void explain_open(struct build *build);
/* Remembers the step, and if it missed and the user wants to know, says why. */
void explain_step(struct build *build, struct step *step, bool hit);
void explain_close(struct build *build);

/* ---- schedule, export ---- */
int schedule_run(struct build *build, struct err *err) MUST_CHECK;
void build_emit(struct build *build, const struct step *step, enum build_event_type type, const char *text, size_t len);
/* A word to the user that is not of the build checks. */
void build_warn(struct build *build, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);
int64_t clock_ms(void);
/* The signal that wants us to end, or 0; a descriptor that becomes readable with it. */
int build_interrupted(void);
int build_interrupt_fd(void);
bool makes_layer(const struct instruction *in);
/* What the job of a COPY --from found: see step_copy.c. */
struct copy_report {
	bool has_content, is_hit;
	bool is_unsure;             /* its inputs changed meanwhile: nothing may be found by its key */
	struct digest content_step; /* digest of the step's inputs, by content */
	struct digest diff_id;      /* of a hit */
	int64_t created;
};
/* ---- stages and images that files are taken from (origin.c) ---- */
int step_open_origin(struct step *step, const struct origin *origin, const char *work_name, bool is_writable,
		     struct view *view, struct err *err) MUST_CHECK;
const char *origin_name(struct build *build, const struct origin *origin);
/* 1 if the cache knows the step by its files; report says the rest. */
int step_look_by_files(struct step *step, const struct inputs *files, struct copy_report *report);
/* A step's output (output.c): a pipe whose write end is step->output_fd until the job has it. */
int output_open(struct step *step, int *read_end, struct err *err) MUST_CHECK;
/* Takes what is there; false when there is no more for now, or at the end. */
bool output_read(struct build *build, struct step *step);

/* An error if a RUN that the build would come to is of an architecture that does not run here. */
int foreign_check(struct build *build, struct err *err) MUST_CHECK;
/* The image that FROM, COPY --from or a mount names, by the rules of --pull. */
int build_image_from(struct build *build, const char *name, const struct platform *platform, struct image *image,
		     struct err *err) MUST_CHECK;

int commit_target(struct build *build, struct err *err) MUST_CHECK;
/* Makes one layer of the target's new ones, and its configuration's history say so. */
int squash_target(struct build *build, struct err *err) MUST_CHECK;
int export_outputs(struct build *build, const struct digest *image, struct err *err) MUST_CHECK;

#endif
