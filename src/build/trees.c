/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include "kiln/oci/reference.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The trees that COPY and ADD read: the build context, and those that --build-context names. */

enum { DOCKERFILE_MAX = 1 << 20 };

/* ---- --build-context ---- */

static const char *canonical(struct arena *arena, const char *name)
{
	struct reference reference;
	return reference_parse(arena, name, &reference, NULL) < 0 ? name : reference_text(arena, &reference);
}

/* oci-layout://DIR[:TAG|@DIGEST] as FROM takes it: oci:DIR[:TAG|:DIGEST]. */
static const char *layout_image(struct arena *arena, const char *value)
{
	const char *at = strchr(value, '@');
	return at ? arena_printf(arena, "oci:%.*s:%s", (int)(at - value), value, at + 1)
		  : arena_printf(arena, "oci:%s", value);
}

static int parse_value(struct build *build, struct named_context *named, const char *key, const char *value,
		       struct err *err)
{
	static const char *const images[] = { "docker-image://", "container-image://" };
	struct arena *arena = build->arena;
	struct remote remote;
	if (text_starts(value, "target:"))
		return err_set(err, ERR_USAGE, "--build-context %s: target: is of docker buildx bake", key);
	for (size_t i = 0; i < ARRAY_LEN(images); i++) {
		if (text_starts(value, images[i])) {
			named->image = value + strlen(images[i]);
			return 0;
		}
	}
	if (text_starts(value, "oci-layout://")) {
		named->image = layout_image(arena, value + strlen("oci-layout://"));
		return 0;
	}
	if (remote_parse(arena, value, REMOTE_ON_COMMAND_LINE, &remote, err) < 0)
		return err_wrap(err, "--build-context %s", key);
	named->tree.name = arena_printf(arena, "the context %s", key);
	if (remote.kind == REMOTE_NONE)
		named->tree.path = value;
	else
		named->tree.fetch = fetch_of(build, FETCH_TREE, value, &remote, NULL, NULL);
	return 0;
}

int contexts_parse(struct build *build, struct err *err)
{
	for (size_t i = 0; i < build->spec->context_count; i++) {
		const struct key_value *given = &build->spec->contexts[i];
		struct named_context *named = arena_new(build->arena, struct named_context);
		named->key = canonical(build->arena, given->key);
		named->tree.fd = -1;
		if (parse_value(build, named, given->key, given->value, err) < 0)
			return -1;
		*ARENA_PUSH(build->arena, build->named, build->named_count) = named;
	}
	return 0;
}

struct named_context *context_find(const struct build *build, const char *name)
{
	const char *key = build->named_count ? canonical(build->arena, name) : NULL;
	for (size_t i = build->named_count; i > 0; i--)
		if (strcmp(build->named[i - 1]->key, key) == 0)
			return build->named[i - 1];
	return NULL;
}

/* ---- opening ---- */

int open_subdir(int dir_fd, const struct remote *remote, struct err *err)
{
	struct root root = { dir_fd, ROOT_BENEATH };
	struct err cause;
	int fd = root_open(&root, remote->subdir, O_RDONLY | O_DIRECTORY, 0, &cause);
	if (fd < 0)
		return err_set(err, ERR_NOT_FOUND, "%s: \"%s\" is not a directory of the repository: %s", remote->shown,
			       remote->subdir, strerror(cause.sys ? cause.sys : ENOENT));
	return fd;
}

static int open_fetched(struct build *build, struct tree *tree, struct err *err)
{
	const struct fetch *fetch = tree->fetch;
	scope_fd int fd = openat(fetch->work.fd, "tree", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	scope_fd int notes = store_notes_fd(build->store, err);
	if (fd < 0 || notes < 0)
		return fd < 0 ? err_errno(err, "open %s", tree->name) : -1;
	if (fetch->remote.kind == REMOTE_GIT && *fetch->remote.subdir) {
		tree->fd = open_subdir(fd, &fetch->remote, err);
		if (tree->fd < 0)
			return -1;
	} else {
		tree->fd = take_fd(&fd);
	}
	/* Never saved: that what is copied is read once is all that it is for. */
	tree->is_temporary = true;
	tree->stat_cache = stat_cache_open(notes, "stat-of-this-build");
	return 0;
}

enum { IGNOREFILE_MAX = 1 << 20 };

/* --ignorefile: instead of what lies in the context. */
static int read_ignorefile(struct build *build, struct tree *tree, struct err *err)
{
	const char *path = build->spec->ignorefile;
	scope_strbuf struct strbuf text = { 0 };
	if (!path || tree != &build->context)
		return 0;
	if (file_read(AT_FDCWD, path, IGNOREFILE_MAX, &text, err) < 0)
		return err_wrap(err, "--ignorefile");
	tree->ignore = ignore_parse(build->arena, strbuf_str(&text), text.len, err);
	return tree->ignore ? 0 : err_wrap(err, "%s", path);
}

static int open_directory(struct build *build, struct tree *tree, struct err *err)
{
	struct digest id;
	char hex[DIGEST_HEX + 1];
	scope_fd int notes = store_notes_fd(build->store, err);
	if (notes < 0)
		return -1;
	tree->fd = context_open(build->arena, tree->path, tree->beside, &tree->ignore, err);
	if (tree->fd < 0)
		return tree == &build->context ? -1 : err_wrap(err, "%s", tree->name);
	if (read_ignorefile(build, tree, err) < 0)
		return -1;
	digest_bytes(&id, tree->path, strlen(tree->path));
	tree->stat_cache = stat_cache_open(notes, arena_printf(build->arena, "stat-%s", digest_hex(&id, hex)));
	return 0;
}

enum step_ready tree_need(struct build *build, struct stage_run *stage, struct tree *tree, struct err *err)
{
	if (tree->fd >= 0)
		return STEP_READY;
	if (!tree->fetch)
		return open_directory(build, tree, err) < 0 ? STEP_FAILED : STEP_READY;
	enum step_ready ready = fetch_need(build, stage, tree->fetch, err);
	if (ready == STEP_READY && open_fetched(build, tree, err) < 0)
		return STEP_FAILED;
	return ready;
}

struct source tree_source(const struct tree *tree)
{
	return (struct source){
		.root = { tree->fd, ROOT_CHROOT },
		.ignore = tree->ignore,
		.cache = tree->stat_cache,
		.name = tree->name,
	};
}

void tree_release(struct tree *tree)
{
	stat_cache_close(tree->stat_cache, !tree->is_temporary);
	if (tree->fd >= 0)
		close(tree->fd);
}

/* ---- the main context, and a Dockerfile that is not a file of the user's ---- */

enum build_context_kind build_context_kind(struct arena *arena, const char *text)
{
	struct remote remote;
	if (strcmp(text, "-") == 0)
		return BUILD_CONTEXT_STDIN;
	/* What is malformed is said when it is read. */
	if (remote_parse(arena, text, REMOTE_ON_COMMAND_LINE, &remote, NULL) < 0 || remote.kind != REMOTE_NONE)
		return BUILD_CONTEXT_REMOTE;
	return BUILD_CONTEXT_DIRECTORY;
}

static int take_text(struct build *build, int fd, const char *name, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	if (file_read_fd(fd, DOCKERFILE_MAX, &text, name, err) < 0)
		return -1;
	if (text.len == 0)
		return err_set(err, ERR_INPUT, "the Dockerfile (%s) cannot be empty", name);
	build->own_spec.text = arena_memdup(build->arena, text.ptr, text.len);
	build->own_spec.text_len = text.len;
	build->own_spec.dockerfile_name = name;
	return 0;
}

/* The stream was a Dockerfile and no archive: there is nothing to copy. */
static int take_streamed(struct build *build, const struct fetch *fetch, struct err *err)
{
	scope_fd int fd = openat(fetch->work.fd, "Dockerfile", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "open the Dockerfile");
	return take_text(build, fd, "Dockerfile", err);
}

static int take_from_context(struct build *build, struct err *err)
{
	static const char *const defaults[] = { "Dockerfile", "dockerfile", "Containerfile" };
	const char *named = build->spec->dockerfile_name;
	size_t count = named ? 1 : ARRAY_LEN(defaults);
	struct root root = { build->context.fd, ROOT_CHROOT };
	for (size_t i = 0; i < count; i++) {
		const char *path = named ? named : defaults[i];
		struct err cause = { 0 };
		scope_fd int fd = root_open_regular(&root, path, &cause);
		if (fd >= 0)
			return take_text(build, fd, path, err);
		if (!err_is_errno(&cause, ENOENT)) {
			*err = cause;
			return err_wrap(err, "failed to read dockerfile");
		}
	}
	return err_set(err, ERR_NOT_FOUND,
		       "failed to read dockerfile: open %s: no such file or directory in %s; name another with -f",
		       named ? named : "Dockerfile", build->context.name);
}

static int take_remote(struct build *build, const struct remote *remote, struct err *err)
{
	struct fetch *fetch = fetch_of(build, FETCH_FILE, build->spec->dockerfile_name, remote, NULL, NULL);
	scope_strbuf struct strbuf text = { 0 };
	if (fetch_now(build, fetch, err) < 0 ||
	    store_blob_read(build->store, &fetch->result.digest, DOCKERFILE_MAX, &text, err) < 0)
		return err_wrap(err, "failed to read dockerfile");
	if (text.len == 0)
		return err_set(err, ERR_INPUT, "the Dockerfile (%s) cannot be empty", remote->shown);
	build->own_spec.text = arena_memdup(build->arena, text.ptr, text.len);
	build->own_spec.text_len = text.len;
	build->own_spec.dockerfile_name = remote->shown;
	return 0;
}

static int take_dockerfile(struct build *build, struct err *err)
{
	const char *named = build->spec->dockerfile_name;
	const struct fetch *fetch = build->context.fetch;
	struct remote remote = { .kind = REMOTE_NONE };
	bool is_streamed = fetch && fetch->remote.kind != REMOTE_GIT && !fetch->result.is_archive;
	if (build->spec->text)
		return is_streamed && !fetch->text ? err_set(err, ERR_USAGE,
							     "ambiguous Dockerfile source: both stdin and flag "
							     "correspond to Dockerfiles")
						   : 0;
	if (named && remote_parse(build->arena, named, REMOTE_IN_DOCKERFILE, &remote, err) < 0)
		return -1;
	if (remote.kind == REMOTE_GIT)
		return err_set(err, ERR_USAGE, "-f %s: a repository is no Dockerfile", remote.shown);
	if (is_streamed && named && !fetch->text)
		return err_set(err, ERR_USAGE,
			       "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles");
	if (remote.kind == REMOTE_HTTP)
		return take_remote(build, &remote, err);
	return is_streamed ? take_streamed(build, fetch, err) : take_from_context(build, err);
}

static int begin_fetched(struct build *build, struct err *err)
{
	const struct build_spec *spec = build->spec;
	const char *keep = build_arg(spec, "BUILDKIT_CONTEXT_KEEP_GIT_DIR");
	struct remote remote = { .kind = REMOTE_NONE };
	bool is_stdin = spec->context_kind == BUILD_CONTEXT_STDIN;
	if (!is_stdin && remote_parse(build->arena, spec->context, REMOTE_ON_COMMAND_LINE, &remote, err) < 0)
		return -1;
	if (keep && (strcmp(keep, "1") == 0 || strcmp(keep, "true") == 0))
		remote.keeps_git_dir = true;
	build->context.fetch = fetch_of(build, FETCH_TREE, is_stdin ? NULL : spec->context, &remote, NULL, NULL);
	if (fetch_now(build, build->context.fetch, err) < 0)
		return err_wrap(err, "load the build context");
	return open_fetched(build, &build->context, err);
}

int contexts_begin(struct build *build, bool needs_tree, struct err *err)
{
	const struct build_spec *spec = build->spec;
	build->context.name = "the build context";
	build->context.fd = -1;
	if (spec->context_kind == BUILD_CONTEXT_DIRECTORY) {
		build->context.path = spec->context;
		build->context.beside = spec->dockerfile_path;
	} else if ((needs_tree || !spec->text) && begin_fetched(build, err) < 0) {
		return -1;
	}
	return contexts_parse(build, err) < 0 ? -1 : take_dockerfile(build, err);
}
