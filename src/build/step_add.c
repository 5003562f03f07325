/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * ADD of URLs and git repositories. What the key needs to know is fetched before the step is looked up: a file whole, since its
 * digest is in the key; of a repository the commit's id alone, and the step clones it when the cache has not got it.
 */

/* ---- preparation, in the coordinator ---- */

int step_add_check(struct build *build, enum instruction_kind kind, const char *word, struct remote *remote,
		   struct err *err)
{
	if (remote_parse(build->arena, word, REMOTE_IN_DOCKERFILE, remote, err) < 0)
		return -1;
	if (remote->kind != REMOTE_NONE && kind != INSTRUCTION_ADD)
		return err_set(err, ERR_INPUT, "source can't be a %s for COPY",
			       remote->kind == REMOTE_GIT ? "git ref" : "URL");
	if (remote->kind == REMOTE_HTTP && !remote->file)
		return err_set(err, ERR_INPUT, "%s does not end in what can be the name of a file", remote->shown);
	return 0;
}

int step_add_take(struct build *build, struct step *step, const char *word, bool *is_remote, struct err *err)
{
	struct remote remote;
	if (step_add_check(build, step->instruction->kind, word, &remote, err) < 0)
		return -1;
	*is_remote = remote.kind != REMOTE_NONE;
	if (!*is_remote)
		return 0;
	struct remote_source *source = ARENA_PUSH(build->arena, step->remotes, step->remote_count);
	source->before = step->copy.source_count;
	source->remote = remote;
	return 0;
}

static int take_file_checksum(struct build *build, struct remote_source *source, const char *text, struct err *err)
{
	struct digest *digest = arena_new(build->arena, struct digest);
	char shown[128];
	if (!strchr(text, ':'))
		return err_set(err, ERR_INPUT, "invalid checksum digest format: \"%s\" is not sha256:HEX",
			       err_printable(shown, sizeof(shown), text));
	if (!text_starts(text, "sha256:"))
		return err_set(err, ERR_INPUT, "unsupported digest algorithm: \"%s\" is not sha256:HEX",
			       err_printable(shown, sizeof(shown), text));
	if (digest_parse(digest, text, err) < 0)
		return err_wrap(err, "invalid checksum digest format");
	source->expected = digest;
	return 0;
}

static int take_checksum(struct build *build, struct step *step, const char *word, struct err *err)
{
	const char *text = stage_expand(build, step->stage, word, err);
	if (!text)
		return -1;
	if (step->copy.source_count + step->remote_count != 1)
		return err_set(err, ERR_INPUT, "checksum can't be specified for multiple sources");
	if (step->remote_count == 0)
		return err_set(err, ERR_INPUT, "checksum requires HTTP(S) or Git sources");
	struct remote_source *source = &step->remotes[0];
	if (source->remote.kind == REMOTE_HTTP)
		return take_file_checksum(build, source, text, err);
	if (source->remote.checksum && strcmp(source->remote.checksum, text) != 0)
		return err_set(err, ERR_INPUT, "checksum conflict: \"%s\" and \"%s\" are both given",
			       source->remote.checksum, text);
	source->remote.checksum = text;
	return remote_check_commit(text, err);
}

int step_add_flags(struct build *build, struct step *step, struct err *err)
{
	const struct instruction *in = step->instruction;
	const char *checksum = instruction_flag(in, "checksum");
	if (checksum && *checksum && take_checksum(build, step, checksum, err) < 0)
		return -1;
	if (instruction_flag(in, "keep-git-dir"))
		for (size_t i = 0; i < step->remote_count; i++)
			step->remotes[i].remote.keeps_git_dir = instruction_flag_is_set(in, "keep-git-dir");
	return 0;
}

static void add_inputs(struct build *build, struct step *step, const struct remote_source *source)
{
	const struct fetch_result *result = &source->fetch->result;
	const struct remote *remote = &source->remote;
	struct inputs *inputs = &step->inputs;
	char text[DIGEST_TEXT + 1];
	if (remote->kind == REMOTE_GIT) {
		inputs_addf(build->arena, inputs, "commit", "%s", result->commit.id);
		inputs_addf(build->arena, inputs, "repository options",
			    "subdir=%s git-dir=%d submodules=%d checkout=%d", remote->subdir, remote->keeps_git_dir,
			    !remote->no_submodules, remote->has_checkout_times);
		/* What .git/config and .git/refs say. */
		if (remote->keeps_git_dir)
			inputs_addf(build->arena, inputs, "repository", "%s %s %s", remote->url, result->commit.ref,
				    result->commit.tag);
		return;
	}
	inputs_addf(build->arena, inputs, "file", "%s %s", digest_text(&result->digest, text), remote->file);
	inputs_addf(build->arena, inputs, "time of the file", "%lld", (long long)result->time);
	inputs_addf(build->arena, inputs, "unpack the file", "%d", step->may_unpack_remote);
}

enum step_ready step_add_prepare(struct build *build, struct step *step, struct err *err)
{
	enum step_ready all = STEP_READY;
	/* All are started before one is waited for. */
	for (size_t i = 0; i < step->remote_count; i++) {
		struct remote_source *source = &step->remotes[i];
		bool is_git = source->remote.kind == REMOTE_GIT;
		const char *text = arena_printf(build->arena, "%s#%s", source->remote.url, source->remote.ref);
		source->fetch = fetch_of(build, is_git ? FETCH_COMMIT : FETCH_FILE, text, &source->remote,
					 source->expected, step->place);
		enum step_ready ready = fetch_need(build, step->stage, source->fetch, err);
		if (ready == STEP_FAILED)
			return STEP_FAILED;
		if (ready == STEP_WAITS)
			all = STEP_WAITS;
	}
	for (size_t i = 0; i < step->remote_count && all == STEP_READY; i++)
		add_inputs(build, step, &step->remotes[i]);
	return all;
}

/* ---- in the job ---- */

static int copy_file(const struct step *step, const struct remote_source *source, int fd, const struct root *dest,
		     const struct copy_options *options, struct err *err)
{
	const struct fetch_result *result = &source->fetch->result;
	struct digest digest;
	scope_reader struct reader *contents = reader_hash(reader_fd(fd, false, source->remote.shown), &digest, NULL);
	const struct copy_stream file = {
		.name = source->remote.file,
		.contents = contents,
		.mode = 0600,
		.time = result->time,
	};
	if (copy_write_stream(dest, step->plan.dest, &file, options, err) < 0)
		return -1;
	if (!digest_equal(&digest, &result->digest))
		return err_set(err, ERR_CORRUPT, "the store's copy of %s is damaged: `kiln system verify --repair`",
			       source->remote.shown);
	return 0;
}

static int add_file(const struct step *step, const struct remote_source *source, const struct root *dest,
		    const struct copy_options *options, struct err *err)
{
	bool unpacked = false;
	scope_fd int fd = store_blob_open(step->build->store, &source->fetch->result.digest, NULL, err);
	if (fd < 0)
		return -1;
	if (step->may_unpack_remote && step_unpack(step, fd, source->remote.shown, dest, options, &unpacked, err) < 0)
		return -1;
	return unpacked ? 0 : copy_file(step, source, fd, dest, options, err);
}

/* The repository's tree lies beside the view in the step's work directory, and goes with it. */
static int add_repository(const struct step *step, const struct remote_source *source, const struct root *dest,
			  const struct copy_options *options, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	const char *name = arena_printf(&arena, "git-%zu", (size_t)(source - step->remotes));
	scope_fd int tree = file_make_dir(step->work.fd, name, 0755, err);
	if (tree < 0 || git_checkout(&source->remote, &source->fetch->result.commit, tree, err) < 0)
		return -1;
	scope_fd int top = *source->remote.subdir ? open_subdir(tree, &source->remote, err) : take_fd(&tree);
	if (top < 0)
		return -1;
	static const char *const everything[] = { "." };
	const struct source files = { .root = { top, ROOT_CHROOT }, .name = source->remote.shown };
	struct copy_spec spec = step->copy;
	struct copy_plan plan;
	spec.sources = everything;
	spec.source_count = 1;
	spec.parents = false;
	if (copy_select(&arena, &files, &spec, &plan, err) < 0 || copy_run(&files, &plan, dest, options, err) < 0)
		return -1;
	close(take_fd(&top));
	return file_remove_tree(step->work.fd, name, err);
}

int step_add_run(const struct step *step, const struct remote_source *source, const struct root *dest,
		 const struct copy_options *options, struct err *err)
{
	return source->remote.kind == REMOTE_GIT ? add_repository(step, source, dest, options, err)
						 : add_file(step, source, dest, options, err);
}
