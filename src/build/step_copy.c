/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"
#include "kiln/codec/untar.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* COPY and ADD: files of the context, of a stage or of an image, archives, and heredocs, onto a view. */

int step_unpack(const struct step *step, int fd, const char *name, const struct root *dest,
		const struct copy_options *options, bool *unpacked, struct err *err)
{
	enum compression compression;
	int is_archive = untar_sniff(fd, &compression, err);
	*unpacked = is_archive > 0;
	if (is_archive <= 0)
		return is_archive;
	scope_arena struct arena arena = { 0 };
	struct layer_apply_options apply = {
		.flags = LAYER_APPLY_PLAIN,
		.override_owner = options->set_owner,
		.uid = options->uid,
		.gid = options->gid,
	};
	if (copy_make_dir(&arena, dest, step->plan.dest, options, &apply.prefix, err) < 0)
		return -1;
	scope_reader struct reader *tar = reader_decompress(reader_fd(fd, false, name), name);
	struct layer_stats stats;
	if (layer_apply(tar, dest->fd, &apply, name, &stats, err) < 0)
		return err_wrap(err, "unpack %s", name);
	return 0;
}

static int unpack_archive(const struct step *step, const struct source *source, const struct copy_item *item,
			  const struct root *dest, const struct copy_options *options, bool *unpacked, struct err *err)
{
	*unpacked = false;
	if (!step->may_unpack || !S_ISREG(item->st.st_mode))
		return 0;
	scope_fd int fd = root_open_regular(&source->root, item->path, err);
	return fd < 0 ? -1 : step_unpack(step, fd, item->path, dest, options, unpacked, err);
}

static int add_item(const struct step *step, const struct source *source, struct copy_item *item,
		    const struct root *dest, const struct copy_options *options, struct err *err)
{
	bool unpacked;
	if (unpack_archive(step, source, item, dest, options, &unpacked, err) < 0)
		return -1;
	struct copy_plan one = step->plan;
	one.items = item;
	one.count = 1;
	return unpacked ? 0 : copy_run(source, &one, dest, options, err);
}

/* ADD looks at each item: a tar archive is unpacked, all else is copied as COPY does. What is elsewhere comes in between, in
   the order of the line. */
static int add_items(const struct step *step, const struct source *source, const struct root *dest,
		     const struct copy_options *options, struct err *err)
{
	size_t remote = 0;
	for (size_t i = 0; i < step->plan.count; i++) {
		for (; remote < step->remote_count && step->remotes[remote].before <= step->plan.items[i].source;
		     remote++)
			if (step_add_run(step, &step->remotes[remote], dest, options, err) < 0)
				return -1;
		if (add_item(step, source, &step->plan.items[i], dest, options, err) < 0)
			return -1;
	}
	for (; remote < step->remote_count; remote++)
		if (step_add_run(step, &step->remotes[remote], dest, options, err) < 0)
			return -1;
	return 0;
}

static int write_heredocs(const struct step *step, const struct root *dest, const struct copy_options *options,
			  struct err *err)
{
	for (size_t i = 0; i < step->heredoc_count; i++)
		if (copy_write_file(dest, step->plan.dest, step->heredocs[i]->name, step->heredoc_bodies[i],
				    strlen(step->heredoc_bodies[i]), options, err) < 0)
			return err_wrap(err, "write <<%s", step->heredocs[i]->name);
	return 0;
}

static int look_by_content(struct step *step, const struct source *source, struct copy_report *report, struct err *err)
{
	struct digest content;
	struct inputs files = { 0 };
	if (copy_digest(source, &step->plan, &content, NULL, NULL, err) < 0)
		return -1;
	inputs_add(step->build->arena, &files, "files", digest_str(step->build->arena, &content));
	return step_look_by_files(step, &files, report);
}

static int open_source_view(struct step *step, struct view *view, struct source *source, struct err *err)
{
	const struct origin origin = { .stage = step->from_stage, .image = step->from_image };
	if (step_open_origin(step, &origin, "source", false, view, err) < 0)
		return -1;
	source->root = (struct root){ view->root_fd, ROOT_CHROOT };
	return 0;
}

/* users: the root whose passwd and group know the owner's name. */
static int copy_onto(struct step *step, const struct source *source, const struct root *dest, const struct root *users,
		     struct err *err)
{
	struct copy_options options = { .chmod = step->chmod, .clamp = step->build->clamp };
	if (step->chown) {
		options.set_owner = true;
		if (chown_resolve(users, step->chown, &options.uid, &options.gid, err) < 0)
			return -1;
	}
	int copied = step->is_add ? add_items(step, source, dest, &options, err)
				  : copy_run(source, &step->plan, dest, &options, err);
	return copied < 0 ? -1 : write_heredocs(step, dest, &options, err);
}

static int copy_onto_view(struct step *step, const struct source *source, struct err *err)
{
	scope_view struct view view = VIEW_EMPTY;
	if (step->is_link)
		return step_copy_link(step, source, copy_onto, err);
	if (step_open_view(step, &view, err) < 0)
		return -1;
	struct root dest = { view.root_fd, ROOT_CHROOT };
	if (copy_onto(step, source, &dest, &dest, err) < 0)
		return -1;
	return step_finish_view(step, &view, err);
}

/* The key speaks of the files as they were when it was made, so they must not have changed since: a cache that lies once
   lies for ever. What the stat cache knows is not read again. The list is for a later --explain. */
static int check_unchanged(const struct step *step, const struct source *source, struct err *err)
{
	scope_strbuf struct strbuf list = { 0 };
	struct digest now;
	if (copy_digest_list(source, &step->plan, &now, &list, EXPLAINED_FILES, err) < 0)
		return -1;
	if (!digest_equal(&now, &step->content))
		return err_set(err, ERR_INPUT, "%s changed while it was copied: build again", source->name);
	explain_note_files(step->build, &now, &list);
	return 0;
}

static int copy_from_context(struct step *step, struct err *err)
{
	struct source source = tree_source(step->tree);
	if (copy_onto_view(step, &source, err) < 0)
		return -1;
	return step->copy.source_count ? check_unchanged(step, &source, err) : 0;
}

static int copy_from_view(int channel, struct step *step, struct err *err)
{
	struct build *build = step->build;
	struct source source = {
		.keep_owner = true,
		.name = step->from_stage
				? arena_printf(build->arena, "stage %s", step->from_stage->name)
				: arena_printf(build->arena, "image %s", instruction_flag(step->instruction, "from")),
	};
	scope_view struct view view = VIEW_EMPTY;
	struct copy_report report = { 0 };
	if (open_source_view(step, &view, &source, err) < 0 ||
	    copy_select(build->arena, &source, &step->copy, &step->plan, err) < 0 ||
	    look_by_content(step, &source, &report, err) < 0)
		return -1;
	if (!report.is_hit && copy_onto_view(step, &source, err) < 0)
		return -1;
	return proc_reach(channel, 1, &report, sizeof(report), err);
}

static int copy_job(int channel, void *arg, struct err *err)
{
	struct step *step = arg;
	return step_copies_from(step) ? copy_from_view(channel, step, err) : copy_from_context(step, err);
}

/* ---- preparation, in the coordinator ---- */

static int add_heredoc(struct build *build, struct step *step, const struct heredoc *heredoc, struct err *err)
{
	const char *body = heredoc->body;
	if (heredoc->expand) {
		struct expander expander = stage_expander(build, step->stage);
		expander.escape = '\\'; /* whatever # escape= says: trap 10 */
		body = expand_raw(build->arena, &expander, body, err);
		if (!body)
			return -1;
	}
	size_t count = step->heredoc_count;
	*ARENA_PUSH(build->arena, step->heredocs, count) = heredoc;
	*ARENA_PUSH(build->arena, step->heredoc_bodies, step->heredoc_count) = body;
	inputs_add(build->arena, &step->inputs, arena_printf(build->arena, "heredoc %s", heredoc->name), body);
	return 0;
}

static int take_sources(struct build *build, struct step *step, struct strbuf *history, struct err *err)
{
	const struct instruction *in = step->instruction;
	const char **sources = NULL;
	size_t count = 0;
	for (size_t i = 0; i + 1 < in->word_count; i++) {
		if (in->word_heredocs && in->word_heredocs[i]) {
			if (add_heredoc(build, step, in->word_heredocs[i], err) < 0)
				return -1;
			continue;
		}
		bool is_remote;
		const char *source = stage_expand(build, step->stage, in->words[i], err);
		step->copy.source_count = count;
		if (!source || step_add_take(build, step, source, &is_remote, err) < 0)
			return -1;
		strbuf_addf(history, " %s", is_remote ? remote_redact(build->arena, source) : source);
		if (!is_remote)
			*ARENA_PUSH(build->arena, sources, count) = source;
	}
	for (size_t i = 0; i < step->heredoc_count; i++)
		strbuf_addf(history, " <<%s", step->heredocs[i]->name);
	step->copy.sources = sources;
	step->copy.source_count = count;
	return 0;
}

/* Relative to WORKDIR; a trailing '/' (or '/.' or '.') means a directory and is kept as '/'. */
static int take_destination(struct build *build, struct step *step, struct strbuf *history, struct err *err)
{
	const struct instruction *in = step->instruction;
	char *dest = stage_expand(build, step->stage, in->words[in->word_count - 1], err);
	if (!dest)
		return -1;
	strbuf_addf(history, " %s", dest);
	bool is_dir = text_ends(dest, "/") || text_ends(dest, "/.") || strcmp(dest, ".") == 0;
	char *clean = path_go_clean(build->arena, stage_workdir_join(build->arena, step->stage, dest));
	step->copy.dest = is_dir && strcmp(clean, "/") != 0 ? arena_printf(build->arena, "%s/", clean) : clean;
	inputs_add(build->arena, &step->inputs, "destination", step->copy.dest);
	return 0;
}

static int take_flags(struct build *build, struct step *step, struct strbuf *history, struct err *err)
{
	const struct instruction *in = step->instruction;
	struct arena *arena = build->arena;
	const char *chown = instruction_flag(in, "chown");
	const char *chmod = instruction_flag(in, "chmod");
	step->copy.parents = instruction_flag_is_set(in, "parents");
	if (step->copy.parents)
		strbuf_addstr(history, " --parents");
	if (chown && *chown) {
		step->chown = stage_expand(build, step->stage, chown, err);
		if (!step->chown)
			return -1;
		strbuf_addf(history, " --chown=%s", step->chown);
	}
	if (chmod && *chmod) {
		mode_t ignored;
		step->chmod = stage_expand(build, step->stage, chmod, err);
		if (!step->chmod || chmod_apply(step->chmod, 0644, false, &ignored, err) < 0)
			return -1;
		strbuf_addf(history, " --chmod=%s", step->chmod);
	}
	step_copy_take_link(step);
	const char *unpack = instruction_flag(in, "unpack");
	step->may_unpack = step->is_add && (!unpack || instruction_flag_is_set(in, "unpack"));
	step->may_unpack_remote = step->is_add && unpack && instruction_flag_is_set(in, "unpack");
	const char **excludes = NULL;
	size_t count = 0;
	for (size_t i = 0; i < in->flag_count; i++)
		if (strcmp(in->flags[i].name, "exclude") == 0)
			*ARENA_PUSH(arena, excludes, count) = in->flags[i].value;
	step->copy.excludes = excludes;
	step->copy.exclude_count = count;

	inputs_add(arena, &step->inputs, "owner", step->chown);
	inputs_add(arena, &step->inputs, "mode", step->chmod);
	inputs_addf(arena, &step->inputs, "options", "parents=%d unpack=%d", step->copy.parents, step->may_unpack);
	for (size_t i = 0; i < count; i++)
		inputs_add(arena, &step->inputs, "exclude", excludes[i]);
	return 0;
}

bool step_copies_from(const struct step *step)
{
	return step->from_stage || step->from_image || step->mounts_from;
}

static int take_from_image(struct build *build, struct step *step, const char *name, struct err *err)
{
	struct digest chain;
	step->from_image = arena_new(build->arena, struct image);
	if (build_image_from(build, name, &build->platform, step->from_image, err) < 0)
		return plan_suggest_stage(build, step->stage, name, err);
	chain_id(step->from_image->diff_ids, step->from_image->diff_id_count, &chain);
	inputs_add(build->arena, &step->inputs, "from", digest_str(build->arena, &chain));
	return 0;
}

static enum step_ready take_from_stage(struct build *build, struct step *step)
{
	plan_need(build, step->from_stage);
	if (step->from_stage->status != STAGE_DONE) {
		step->stage->waits_for = step->from_stage;
		return STEP_WAITS;
	}
	inputs_add(build->arena, &step->inputs, "from", digest_str(build->arena, &step->from_stage->key));
	return STEP_READY;
}

static enum step_ready take_from(struct build *build, struct step *step, const char *from, struct err *err)
{
	if (strchr(from, '$')) {
		err_set(err, ERR_INPUT,
			"variable expansion is not supported for --from, define a new stage with FROM using ARG "
			"from global scope as a workaround");
		return STEP_FAILED;
	}
	if (plan_find_stage(build, step->stage, from, &step->from_stage, err) < 0)
		return STEP_FAILED;
	for (size_t i = 0; i < step->copy.source_count; i++)
		inputs_add(build->arena, &step->inputs, "source", step->copy.sources[i]);
	if (step->from_stage)
		return take_from_stage(build, step);
	return take_from_image(build, step, from, err) < 0 ? STEP_FAILED : STEP_READY;
}

struct source context_source(const struct build *build)
{
	return tree_source(&build->context);
}

static enum step_ready digest_tree(struct build *build, struct step *step, struct tree *tree, struct err *err)
{
	step->tree = tree;
	if (!step->copy.source_count)
		return STEP_READY;
	enum step_ready ready = tree_need(build, step->stage, tree, err);
	if (ready != STEP_READY)
		return ready;
	struct source source = tree_source(tree);
	if (copy_select(build->arena, &source, &step->copy, &step->plan, err) < 0 ||
	    copy_digest(&source, &step->plan, &step->content, NULL, NULL, err) < 0)
		return STEP_FAILED;
	inputs_add(build->arena, &step->inputs, "files", digest_str(build->arena, &step->content));
	return STEP_READY;
}

/* What the tree's files and those from elsewhere add to the key. */
static enum step_ready take_tree(struct build *build, struct step *step, struct tree *tree, struct err *err)
{
	enum step_ready remotes = step_add_prepare(build, step, err);
	return remotes == STEP_READY ? digest_tree(build, step, tree, err) : remotes;
}

static enum step_ready take_named(struct build *build, struct step *step, struct named_context *named, struct err *err)
{
	if (!named->image)
		return take_tree(build, step, &named->tree, err);
	for (size_t i = 0; i < step->copy.source_count; i++)
		inputs_add(build->arena, &step->inputs, "source", step->copy.sources[i]);
	return take_from_image(build, step, named->image, err) < 0 ? STEP_FAILED : STEP_READY;
}

enum step_ready step_copy_prepare(struct build *build, struct step *step, struct err *err)
{
	const struct instruction *in = step->instruction;
	const char *from = instruction_flag(in, "from");
	step->is_add = in->kind == INSTRUCTION_ADD;
	step->run = copy_job;
	scope_strbuf struct strbuf history = { 0 };
	strbuf_addstr(&history, instruction_name(in->kind));
	inputs_add(build->arena, &step->inputs, "instruction", instruction_name(in->kind));
	if (take_flags(build, step, &history, err) < 0 || take_sources(build, step, &history, err) < 0 ||
	    take_destination(build, step, &history, err) < 0 || step_add_flags(build, step, err) < 0)
		return STEP_FAILED;
	strbuf_addstr(&history, " # buildkit");
	step->history = arena_strdup(build->arena, strbuf_str(&history));
	step->plan.dest = step->copy.dest;
	step->copy.chmod = step->chmod;
	if (in == step->stage->tree_copy)
		return take_tree(build, step, step->stage->tree, err);
	/* `--from=` copies from the context: trap 33. */
	if (!from || !*from)
		return take_tree(build, step, &build->context, err);
	struct named_context *named = context_find(build, from);
	return named ? take_named(build, step, named, err) : take_from(build, step, from, err);
}
