/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/build/build.h"
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
	const char *file, *target, *network, *progress, *iidfile;
	const char *call_text;
	bool check;
	struct strings tags, build_args, labels, outputs;
	bool no_cache, quiet, explain;
	/* filled in by prepare */
	struct build_spec spec;
	enum progress_style style;
	struct call call;
	struct strbuf text;
};

#define AT(member) offsetof(struct build_options, member)
static const struct option_spec options[] = {
	{ "file", 'f', OPTION_STRING, AT(file), "FILE",
	  "the Dockerfile (default CONTEXT/Dockerfile; - is standard input)" },
	{ "dockerfile", 0, OPTION_STRING, AT(file), "FILE", NULL },
	{ "tag", 't', OPTION_LIST, AT(tags), "NAME[:TAG]", "name for the image; may be repeated" },
	{ "destination", 0, OPTION_LIST, AT(tags), "NAME", NULL },
	{ "build-arg", 0, OPTION_LIST, AT(build_args), "K[=V]", "value of an ARG; without =V from the environment" },
	{ "target", 0, OPTION_STRING, AT(target), "STAGE", "build this stage" },
	{ "label", 0, OPTION_LIST, AT(labels), "K=V", "label of the image" },
	{ "no-cache", 0, OPTION_FLAG, AT(no_cache), NULL, "run every step" },
	{ "check", 0, OPTION_FLAG, AT(check), NULL, "check the Dockerfile, do not build: --call=check" },
	{ "call", 0, OPTION_STRING, AT(call_text), "METHOD",
	  "build, check, outline or targets; ,format=json and ,ignorestatus=true may follow" },
	{ "explain", 0, OPTION_FLAG, AT(explain), NULL, "say for each step that runs why the cache did not have it" },
	{ "network", 0, OPTION_STRING, AT(network), "MODE", "network of RUN: host (default), none, private" },
	{ "output", 'o', OPTION_LIST, AT(outputs), "SPEC",
	  "type=oci|docker|local|tar,dest=PATH (- is standard output)" },
	{ "quiet", 'q', OPTION_FLAG, AT(quiet), NULL, "print the image id only" },
	{ "progress", 0, OPTION_STRING, AT(progress), "STYLE", "auto, plain, quiet, json" },
	{ "iidfile", 0, OPTION_STRING, AT(iidfile), "FILE", "write the image id to FILE" },
	{ "rm", 0, OPTION_IGNORED_FLAG, 0, NULL, NULL },
	{ "force-rm", 0, OPTION_IGNORED_FLAG, 0, NULL, NULL },
	{ "layers", 0, OPTION_IGNORED_FLAG, 0, NULL, NULL },
	{ "compress", 0, OPTION_IGNORED_FLAG, 0, NULL, NULL },
	{ "load", 0, OPTION_IGNORED_FLAG, 0, NULL, NULL },
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

static int parse_output_type(const char *text, enum build_output_type *type, struct err *err)
{
	static const struct {
		const char *name;
		enum build_output_type type;
	} types[] = {
		{ "oci", BUILD_OUTPUT_OCI },
		{ "docker", BUILD_OUTPUT_DOCKER },
		{ "local", BUILD_OUTPUT_LOCAL },
		{ "tar", BUILD_OUTPUT_TAR },
	};
	const char *names[ARRAY_LEN(types)];
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		names[i] = types[i].name;
		if (strcmp(text, names[i]) == 0) {
			*type = types[i].type;
			return 0;
		}
	}
	const char *nearest = text_nearest(text, names, ARRAY_LEN(names));
	return err_set(err, ERR_USAGE, "unknown output type \"%s\": oci, docker, local or tar%s%s%s", text,
		       nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}

/* "type=oci,dest=x.tar", a bare DIR (local), or "-" (tar on standard output). */
static int parse_output(struct arena *arena, const char *text, struct build_output *output, struct err *err)
{
	if (!strchr(text, '=')) {
		*output = (struct build_output){ strcmp(text, "-") == 0 ? BUILD_OUTPUT_TAR : BUILD_OUTPUT_LOCAL, text };
		return 0;
	}
	bool has_type = false, is_tar = true;
	output->dest = NULL;
	for (const char *p = text; *p;) {
		size_t len = strcspn(p, ",");
		const char *key, *value;
		char *field = arena_strndup(arena, p, len);
		p += len + (p[len] == ',');
		if (!split_pair(arena, field, &key, &value))
			return err_set(err, ERR_USAGE, "invalid field '%s' in --output: must be key=value", field);
		if (strcmp(key, "type") == 0) {
			if (parse_output_type(value, &output->type, err) < 0)
				return -1;
			has_type = true;
		} else if (strcmp(key, "dest") == 0) {
			output->dest = value;
		} else if (strcmp(key, "tar") == 0) {
			is_tar = strcmp(value, "false") != 0;
		} else {
			return err_set(err, ERR_USAGE, "unknown attribute \"%s\" in --output %s", key, text);
		}
	}
	if (!has_type)
		return err_set(err, ERR_USAGE, "--output %s: type is required", text);
	if (output->type == BUILD_OUTPUT_OCI && !is_tar)
		output->type = BUILD_OUTPUT_OCI_DIR;
	if (!output->dest && (output->type == BUILD_OUTPUT_LOCAL || output->type == BUILD_OUTPUT_OCI_DIR))
		return err_set(err, ERR_USAGE, "--output %s: dest is required", text);
	if (!output->dest)
		output->dest = "-";
	if (strcmp(output->dest, "-") == 0 && isatty(STDOUT_FILENO) && output->type != BUILD_OUTPUT_LOCAL)
		return err_set(err, ERR_USAGE, "--output %s: refusing to write an archive to a terminal", text);
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

static int refuse_remote_context(const char *context, struct err *err)
{
	static const char *const remote[] = { "http://", "https://", "git://", "ssh://", "git@", "github.com/" };
	if (strcmp(context, "-") == 0)
		return err_set(err, ERR_UNSUPPORTED,
			       "a context on standard input is not in this version of kiln; give a directory, and the "
			       "Dockerfile with -f -");
	for (size_t i = 0; i < ARRAY_LEN(remote); i++)
		if (text_starts(context, remote[i]))
			return err_set(
				err, ERR_UNSUPPORTED,
				"the context %s is remote, which is not in this version of kiln; fetch it and give "
				"its directory",
				context);
	return 0;
}

static int check_context(const char *path, struct err *err)
{
	struct stat st;
	if (fstatat(AT_FDCWD, path, &st, 0) < 0) {
		if (errno != ENOENT)
			return err_errno(err, "unable to prepare context: %s", path);
		if (refuse_remote_context(path, err) < 0)
			return -1;
		return err_set(err, ERR_NOT_FOUND, "unable to prepare context: path \"%s\" not found", path);
	}
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_INPUT, "unable to prepare context: %s is not a directory", path);
	return 0;
}

static int read_inputs(struct invocation *invocation, struct build_options *o, struct err *err)
{
	const char *context = invocation->args[0];
	if (check_context(context, err) < 0)
		return -1;
	o->spec.context = absolute(invocation->arena, context);
	if (!o->file) {
		if (read_default_dockerfile(o, invocation->arena, o->spec.context, err) < 0)
			return -1;
	} else {
		if (read_dockerfile_at(o, o->file, err) < 0)
			return err_wrap(err, "failed to read dockerfile");
		bool is_stdin = strcmp(o->file, "-") == 0;
		o->spec.dockerfile_name = is_stdin ? "Dockerfile" : o->file;
		o->spec.dockerfile_path = is_stdin ? NULL : absolute(invocation->arena, o->file);
	}
	if (o->text.len == 0)
		return err_set(err, ERR_INPUT, "the Dockerfile (%s) cannot be empty", o->spec.dockerfile_name);
	o->spec.text = o->text.ptr;
	o->spec.text_len = o->text.len;
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

static int prepare(struct invocation *invocation, struct err *err)
{
	struct build_options *o = invocation->options;
	struct build_spec *spec = &o->spec;
	struct arena *arena = invocation->arena;
	struct key_value *args = NULL, *labels = NULL;
	if (take_pairs(arena, &o->build_args, true, &args, &spec->build_arg_count, "build-arg", err) < 0 ||
	    take_pairs(arena, &o->labels, false, &labels, &spec->label_count, "label", err) < 0)
		return -1;
	spec->build_args = args;
	spec->labels = labels;
	const char **tags = arena_array(arena, const char *, o->tags.count + 1);
	for (size_t i = 0; i < o->tags.count; i++) {
		tags[i] = canonical_name(arena, o->tags.items[i], err);
		if (!tags[i])
			return err->kind = ERR_USAGE, -1;
	}
	spec->tags = tags;
	spec->tag_count = o->tags.count;
	struct build_output *outputs = arena_array(arena, struct build_output, o->outputs.count + 1);
	for (size_t i = 0; i < o->outputs.count; i++)
		if (parse_output(arena, o->outputs.items[i], &outputs[i], err) < 0)
			return -1;
	spec->outputs = outputs;
	spec->output_count = o->outputs.count;
	spec->target = o->target;
	spec->no_cache = o->no_cache;
	spec->explain = o->explain;
	spec->view = invocation->view;
	if (o->network && network_mode_parse(&spec->network, o->network, err) < 0)
		return err->kind = ERR_USAGE, -1;
	if (progress_parse(&o->style, o->quiet ? "quiet" : o->progress ? o->progress : "auto", err) < 0)
		return -1;
	if (call_parse(arena, o->call_text, o->check, &o->call, err) < 0)
		return -1;
	return take_epoch(spec, err) < 0 ? -1 : read_inputs(invocation, o, err);
}

/* ---- building ---- */

static int write_iidfile(const char *path, const char *id, struct err *err)
{
	scope_fd int fd = file_open_user(path, O_WRONLY | O_CREAT | O_TRUNC, 0644, err);
	if (fd < 0)
		return -1;
	return file_write_fd(fd, id, strlen(id), path, err);
}

static bool stdout_is_taken(const struct build_spec *spec)
{
	for (size_t i = 0; i < spec->output_count; i++)
		if (strcmp(spec->outputs[i].dest, "-") == 0)
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
		return call_run(invocation, store, &o->spec, &o->call, err);
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
	char id[DIGEST_TEXT + 1];
	digest_text(&result.image, id);
	progress_built(&progress, id, o->spec.tags, o->spec.tag_count);
	if (o->iidfile && write_iidfile(o->iidfile, id, err) < 0)
		return -1;
	if (o->style == PROGRESS_QUIET && !stdout_is_taken(&o->spec))
		printf("%s\n", id);
	return 0;
}

const struct command command_build = {
	.name = "build",
	.synopsis = "[OPTIONS] CONTEXT",
	.summary = "Build an image from a Dockerfile",
	.options = options,
	.options_size = sizeof(struct build_options),
	.min_args = 1,
	.max_args = 1,
	.is_inside = true,
	.prepare = prepare,
	.run = build_image,
};
