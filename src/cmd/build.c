/* SPDX-License-Identifier: Apache-2.0 */
#include "build-output.h"
#include "build-run.h"
#include "build-values.h"
#include "call.h"
#include "command.h"
#include "progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DOCKERFILE_MAX = 1 << 20 };

struct build_options {
	const char *file, *target, *network, *progress;
	const char *call_text;
	bool check;
	struct strings build_args, labels, contexts;
	bool no_cache, quiet, explain;
	struct output_options output;
	struct value_options values;
	struct run_options run;
	/* filled in by prepare */
	struct build_spec spec;
	enum progress_style style;
	struct call call;
	struct strbuf text;
};

#define AT(member) offsetof(struct build_options, member)
static const struct option_spec options[] = {
	{ "file", 'f', OPTION_STRING, AT(file), "FILE",
	  "the Dockerfile (default CONTEXT/Dockerfile; - is standard input; a URL)" },
	{ "dockerfile", 0, OPTION_STRING, AT(file), "FILE", NULL },
	{ "tag", 't', OPTION_LIST, AT(output.tags), "NAME[:TAG]", "name for the image; may be repeated" },
	{ "destination", 'd', OPTION_LIST, AT(output.tags), "NAME", NULL },
	{ "build-arg", 0, OPTION_LIST, AT(build_args), "K[=V]", "value of an ARG; without =V from the environment" },
	{ "build-context", 0, OPTION_LIST, AT(contexts), "NAME=VALUE",
	  "what FROM NAME and --from=NAME read: a directory, docker-image://, oci-layout://, git or http(s)" },
	{ "target", 0, OPTION_STRING, AT(target), "STAGE", "build this stage" },
	{ "platform", 0, OPTION_LIST, AT(values.platforms), "OS/ARCH", "of the image (default: this machine's)" },
	{ "custom-platform", 0, OPTION_LIST, AT(values.platforms), "OS/ARCH", NULL },
	{ "os", 0, OPTION_STRING, AT(values.os), "OS", NULL },
	{ "arch", 0, OPTION_STRING, AT(values.architecture), "ARCH", NULL },
	{ "variant", 0, OPTION_STRING, AT(values.variant), "VARIANT", NULL },
	{ "label", 0, OPTION_LIST, AT(labels), "K=V", "label of the image" },
	{ "annotation", 0, OPTION_LIST, AT(output.annotations), "[TYPE:]K=V", "annotation of its manifest" },
	{ "no-cache", 0, OPTION_FLAG, AT(no_cache), NULL, "run every step" },
	{ "check", 0, OPTION_FLAG, AT(check), NULL, "check the Dockerfile, do not build: --call=check" },
	{ "call", 0, OPTION_STRING, AT(call_text), "METHOD",
	  "build, check, outline or targets; ,format=json and ,ignorestatus=true may follow" },
	{ "cache", 0, OPTION_NOT_FLAG, AT(no_cache), NULL, NULL },
	{ "no-cache-filter", 0, OPTION_LIST, AT(values.uncached), "STAGE[,...]", "run every step of these stages" },
	{ "cache-from", 0, OPTION_LIST, AT(values.cache_from), "SPEC", NULL },
	{ "cache-to", 0, OPTION_LIST, AT(values.cache_to), "SPEC", NULL },
	{ "pull", 0, OPTION_OPTIONAL, AT(values.pull), "always",
	  "--pull=missing (default), never, or always, as --pull alone" },
	{ "squash", 0, OPTION_FLAG, AT(values.squash), NULL, "make one layer of all that is new" },
	{ "single-snapshot", 0, OPTION_FLAG, AT(values.squash), NULL, NULL },
	{ "skip-unused-stages", 0, OPTION_NOT_FLAG, AT(values.all_stages), NULL,
	  "=false builds stages that the target does not need too" },
	{ "jobs", 0, OPTION_STRING, AT(values.jobs), "N", "steps that may run at a time" },
	{ "ignorefile", 0, OPTION_STRING, AT(values.ignorefile), "FILE", "instead of .dockerignore" },
	{ "http-proxy", 0, OPTION_FLAG, AT(values.http_proxy), NULL, "steps see the proxies of the environment" },
	{ "source-date-epoch", 0, OPTION_STRING, AT(values.epoch), "SECONDS", NULL },
	{ "timestamp", 0, OPTION_STRING, AT(values.epoch), "SECONDS", NULL },
	{ "provenance", 0, OPTION_STRING, AT(values.provenance), "SPEC", NULL },
	{ "sbom", 0, OPTION_STRING, AT(values.sbom), "SPEC", NULL },
	{ "attest", 0, OPTION_LIST, AT(values.attests), "SPEC", NULL },
	{ "allow", 0, OPTION_LIST, AT(output.allow), "ENTITLEMENT", NULL },
	{ "format", 0, OPTION_STRING, AT(values.format), "oci|docker", NULL },
	{ "context", 0, OPTION_STRING, AT(values.context), "DIR", NULL },
	{ "context-sub-path", 0, OPTION_STRING, AT(values.sub_path), "DIR", NULL },
	{ "explain", 0, OPTION_FLAG, AT(explain), NULL, "say for each step that runs why the cache did not have it" },
	{ "network", 0, OPTION_STRING, AT(network), "MODE", "network of RUN: host (default), none, private" },
	{ "secret", 0, OPTION_LIST, AT(run.secrets), "id=ID[,src=FILE|env=VAR]", "for RUN --mount=type=secret" },
	{ "ssh", 0, OPTION_LIST, AT(run.ssh), "default|ID[=SOCKET]", "agent for RUN --mount=type=ssh" },
	{ "add-host", 0, OPTION_LIST, AT(run.hosts), "HOST:IP", "line of /etc/hosts in RUN" },
	{ "ulimit", 0, OPTION_LIST, AT(run.limits), "NAME=SOFT[:HARD]", "limit of RUN" },
	{ "shm-size", 0, OPTION_STRING, AT(run.shm_size), "SIZE", "of /dev/shm in RUN (default 64m)" },
	{ "output", 'o', OPTION_LIST, AT(output.outputs), "SPEC",
	  "type=oci|docker|local|tar|image|cacheonly,dest=PATH (- is standard output); may be repeated" },
	{ "tar-path", 0, OPTION_STRING, AT(output.tar_path), "FILE", NULL },
	{ "oci-layout-path", 0, OPTION_STRING, AT(output.layout_path), "DIR", NULL },
	{ "quiet", 'q', OPTION_FLAG, AT(quiet), NULL, "print the image id only" },
	{ "progress", 0, OPTION_STRING, AT(progress), "STYLE", "auto, plain, quiet, json, rawjson" },
	{ "iidfile", 0, OPTION_STRING, AT(output.iidfile), "FILE", "write the image id to FILE" },
	{ "iidfile-raw", 0, OPTION_STRING, AT(output.iidfile_raw), "FILE", NULL },
	{ "metadata-file", 0, OPTION_STRING, AT(output.metadata_file), "FILE",
	  "write digests and names as JSON to FILE" },
	{ "digest-file", 0, OPTION_STRING, AT(output.digest_file), "FILE", NULL },
	{ "image-name-with-digest-file", 0, OPTION_STRING, AT(output.name_digest_file), "FILE", NULL },
	{ "image-name-tag-with-digest-file", 0, OPTION_STRING, AT(output.tag_digest_file), "FILE", NULL },
	{ NULL },
};

/* ---- reading what the user gave ---- */

static char *absolute(struct arena *arena, const char *path)
{
	if (path[0] == '/')
		return path_go_clean(arena, path);
	scope_free char *cwd = getcwd(NULL, 0);
	return path_go_clean(arena, arena_printf(arena, "%s/%s", cwd ? cwd : "", path));
}

static int take_pairs(struct arena *arena, const struct strings *list, bool from_environment, struct key_value **pairs,
		      size_t *count, const char *flag, struct err *err)
{
	for (size_t i = 0; i < list->count; i++) {
		struct key_value pair;
		if (!split_pair(arena, list->items[i], &pair.key, &pair.value)) {
			pair.value = from_environment ? getenv(pair.key) : "";
			if (!pair.value)
				continue;
		}
		if (!*pair.key)
			return err_set(err, ERR_USAGE, "invalid value \"%s\" for --%s: no name before '='",
				       list->items[i], flag);
		*ARENA_PUSH(arena, *pairs, *count) = pair;
	}
	return 0;
}

static int read_dockerfile_at(struct build_options *o, const char *path, struct err *err)
{
	if (strcmp(path, "-") == 0)
		return file_read_fd(STDIN_FILENO, DOCKERFILE_MAX, &o->text, "the Dockerfile on standard input", err);
	scope_fd int fd = file_open_user(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
	if (fd < 0)
		return -1;
	struct stat st;
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
		return err_set(err, ERR_INPUT, "%s is not a file", path);
	if (S_ISFIFO(st.st_mode) && fcntl(fd, F_SETFL, 0) < 0)
		return err_errno(err, "read %s", path);
	return file_read_fd(fd, DOCKERFILE_MAX, &o->text, path, err);
}

/* Beneath the context: a link out of it is not followed. */
static int read_default_dockerfile(struct build_options *o, struct arena *arena, const char *context, struct err *err)
{
	static const char *const names[] = { "Dockerfile", "dockerfile", "Containerfile" };
	scope_fd int dir = file_open_user(context, O_RDONLY | O_DIRECTORY, 0, err);
	if (dir < 0)
		return -1;
	struct root root = { dir, ROOT_CHROOT };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct err missing = { 0 };
		scope_fd int fd = root_open_regular(&root, names[i], &missing);
		if (fd < 0 && err_is_errno(&missing, ENOENT))
			continue;
		if (fd < 0) {
			*err = missing;
			return err_wrap(err, "failed to read dockerfile");
		}
		o->spec.dockerfile_name = names[i];
		o->spec.dockerfile_path = arena_printf(arena, "%s/%s", context, names[i]);
		return file_read_fd(fd, DOCKERFILE_MAX, &o->text, names[i], err);
	}
	return err_set(err, ERR_NOT_FOUND,
		       "failed to read dockerfile: open %s/Dockerfile: no such file or directory; name another with -f",
		       context);
}

/* A directory of that name comes first: github.com/x/y may be one. */
static int set_context(struct arena *arena, struct build_spec *spec, const char *text, struct err *err)
{
	struct stat st;
	spec->context = text;
	spec->context_kind = BUILD_CONTEXT_STDIN;
	if (strcmp(text, "-") == 0)
		return 0;
	spec->context_kind = BUILD_CONTEXT_DIRECTORY;
	if (fstatat(AT_FDCWD, text, &st, 0) == 0) {
		spec->context = absolute(arena, text);
		return S_ISDIR(st.st_mode)
			       ? 0
			       : err_set(err, ERR_INPUT, "unable to prepare context: %s is not a directory", text);
	}
	int why = errno;
	spec->context_kind = build_context_kind(arena, text);
	if (spec->context_kind != BUILD_CONTEXT_DIRECTORY)
		return 0;
	errno = why;
	if (why != ENOENT)
		return err_errno(err, "unable to prepare context: %s", text);
	return err_set(err, ERR_NOT_FOUND, "unable to prepare context: path \"%s\" not found", text);
}

/* True if the Dockerfile is in what is fetched, or is fetched itself: build_run reads it. */
static bool is_read_later(struct arena *arena, const struct build_spec *spec, const char *file)
{
	if (file && strcmp(file, "-") == 0)
		return false;
	return spec->context_kind != BUILD_CONTEXT_DIRECTORY ||
	       (file && faccessat(AT_FDCWD, file, F_OK, 0) < 0 &&
		build_context_kind(arena, file) == BUILD_CONTEXT_REMOTE);
}

static int read_dockerfile(struct invocation *invocation, struct build_options *o, struct err *err)
{
	bool is_stdin = o->file && strcmp(o->file, "-") == 0;
	if (!o->file) {
		if (read_default_dockerfile(o, invocation->arena, o->spec.context, err) < 0)
			return -1;
	} else {
		if (read_dockerfile_at(o, o->file, err) < 0)
			return err_wrap(err, "failed to read dockerfile");
		o->spec.dockerfile_name = is_stdin ? "Dockerfile" : o->file;
		o->spec.dockerfile_path = is_stdin ? NULL : absolute(invocation->arena, o->file);
	}
	if (o->text.len == 0)
		return err_set(err, ERR_INPUT, "the Dockerfile (%s) cannot be empty", o->spec.dockerfile_name);
	o->spec.text = o->text.ptr;
	o->spec.text_len = o->text.len;
	return 0;
}

static int read_inputs(struct invocation *invocation, struct build_options *o, struct err *err)
{
	if (set_context(invocation->arena, &o->spec, invocation->args[0], err) < 0)
		return -1;
	if (o->spec.context_kind == BUILD_CONTEXT_STDIN && o->file && strcmp(o->file, "-") == 0)
		return err_set(err, ERR_USAGE,
			       "invalid argument: can't use stdin for both build context and dockerfile");
	if (!is_read_later(invocation->arena, &o->spec, o->file))
		return read_dockerfile(invocation, o, err);
	o->spec.dockerfile_name = o->file;
	return 0;
}

static int take_contexts(struct arena *arena, struct build_options *o, struct err *err)
{
	struct key_value *contexts = arena_array(arena, struct key_value, o->contexts.count + 1);
	for (size_t i = 0; i < o->contexts.count; i++) {
		const char *text = o->contexts.items[i];
		if (!split_pair(arena, text, &contexts[i].key, &contexts[i].value) || !*contexts[i].key ||
		    !*contexts[i].value)
			return err_set(err, ERR_USAGE, "invalid context value: %s, expected key=value", text);
		if (!strstr(contexts[i].value, "://") &&
		    build_context_kind(arena, contexts[i].value) == BUILD_CONTEXT_DIRECTORY)
			contexts[i].value = absolute(arena, contexts[i].value);
	}
	o->spec.contexts = contexts;
	o->spec.context_count = o->contexts.count;
	return 0;
}

static int take_epoch(struct build_spec *spec, struct err *err)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	spec->epoch = BUILD_NO_EPOCH;
	if (text && *text && (parse_int64(&spec->epoch, text, NULL) < 0 || spec->epoch < 0))
		return err_set(err, ERR_USAGE, "invalid SOURCE_DATE_EPOCH: %s", text);
	return 0;
}

/* --context-sub-path: a directory of the context. */
static int take_sub_path(struct invocation *invocation, const char *sub_path, struct err *err)
{
	struct arena *arena = invocation->arena;
	const char **context = &invocation->args[0];
	switch (build_context_kind(arena, *context)) {
	case BUILD_CONTEXT_DIRECTORY:
		*context = path_join(arena, *context, sub_path);
		return 0;
	case BUILD_CONTEXT_REMOTE:
		*context = arena_printf(arena, "%s%s:%s", *context, strchr(*context, '#') ? "" : "#", sub_path);
		return 0;
	case BUILD_CONTEXT_STDIN:
		break;
	}
	return err_set(err, ERR_USAGE, "--context-sub-path cannot be used with a context on standard input");
}

/* kaniko's --context DIR stands for the argument. */
static int take_context(struct invocation *invocation, const struct value_options *o, struct err *err)
{
	const char *context = o->context;
	if (context && invocation->arg_count == 0) {
		if (text_starts(context, "dir://"))
			context += strlen("dir://");
		*ARENA_PUSH(invocation->arena, invocation->args, invocation->arg_count) = context;
	} else if (context) {
		return err_set(err, ERR_USAGE, "the context is given twice: --context %s and %s", context,
			       invocation->args[0]);
	}
	if (invocation->arg_count != 1)
		return err_set(
			err, ERR_USAGE,
			"\"kiln build\" requires 1 argument: the context, a directory, a URL or - for standard input");
	return o->sub_path ? take_sub_path(invocation, o->sub_path, err) : 0;
}

static int prepare(struct invocation *invocation, struct err *err)
{
	struct build_options *o = invocation->options;
	struct build_spec *spec = &o->spec;
	struct arena *arena = invocation->arena;
	struct key_value *args = NULL, *labels = NULL;
	spec->no_cache = o->no_cache;
	if (take_context(invocation, &o->values, err) < 0 || value_options_prepare(arena, &o->values, spec, err) < 0 ||
	    output_options_prepare(arena, &o->output, spec, err) < 0)
		return -1;
	add_implied_args(arena, &o->values, o->output.epoch, &o->build_args);
	if (take_pairs(arena, &o->build_args, true, &args, &spec->build_arg_count, "build-arg", err) < 0 ||
	    take_pairs(arena, &o->labels, false, &labels, &spec->label_count, "label", err) < 0 ||
	    take_contexts(arena, o, err) < 0)
		return -1;
	spec->build_args = args;
	spec->labels = labels;
	spec->target = o->target;
	spec->explain = o->explain;
	spec->view = invocation->view;
	if (o->network && network_mode_parse(&spec->network, o->network, err) < 0)
		return err->kind = ERR_USAGE, -1;
	if (run_options_prepare(arena, &o->run, spec, err) < 0)
		return -1;
	if (progress_parse(&o->style, o->quiet ? "quiet" : o->progress, err) < 0)
		return -1;
	if (call_parse(arena, o->call_text, o->check, &o->call, err) < 0 || take_epoch(spec, err) < 0 ||
	    read_inputs(invocation, o, err) < 0)
		return -1;
	return build_report_clear(&o->output, err);
}

/* ---- building ---- */

static bool stdout_is_taken(const struct build_spec *spec)
{
	for (size_t i = 0; i < spec->output_count; i++)
		if (spec->outputs[i].dest && strcmp(spec->outputs[i].dest, "-") == 0)
			return true;
	return false;
}

static int build_image(struct invocation *invocation, struct err *err)
{
	struct build_options *o = invocation->options;
	scope_store struct store *store = NULL;
	if (invocation_store(invocation, STORE_CREATE, &store, err) < 0)
		return -1;
	if (o->call.method != CALL_BUILD)
		return build_read(store, invocation->arena, &o->spec, err) < 0
			       ? -1
			       : call_run(invocation, store, &o->spec, &o->call, err);
	struct progress progress;
	progress_begin(&progress, o->style, stderr);
	o->spec.listener = progress_listener;
	o->spec.listener_arg = &progress;
	on_signals(build_interrupt);
	struct build_result result;
	if (build_run(store, invocation->arena, &o->spec, &result, err) < 0) {
		progress_failed(&progress, &result, err);
		return -1;
	}
	bool has_image = !digest_is_zero(&result.image);
	char id[DIGEST_TEXT + 1];
	digest_text(&result.image, id);
	progress_built(&progress, has_image ? id : NULL, o->spec.tags, o->spec.tag_count);
	if (build_report(store, invocation->arena, &o->output, &o->spec, &result, err) < 0)
		return -1;
	if (o->style == PROGRESS_QUIET && has_image && !stdout_is_taken(&o->spec))
		printf("%s\n", id);
	return 0;
}

const struct command command_build = {
	.name = "build",
	.synopsis = "[OPTIONS] DIRECTORY|URL|-",
	.summary = "Build an image from a Dockerfile",
	.options = options,
	.foreign = build_foreign_options,
	.options_size = sizeof(struct build_options),
	.max_args = SIZE_MAX, /* take_context counts them */
	.is_inside = true,
	.prepare = prepare,
	.run = build_image,
};
