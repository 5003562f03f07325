/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"
#include "kiln/codec/untar.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* COPY and ADD: files of the context, of a stage or of an image, archives, and heredocs, onto a view. */

static int unpack_archive(const struct step *step, const struct source *source, const struct copy_item *item,
			  const struct root *dest, const struct copy_options *options, bool *unpacked, struct err *err)
{
	*unpacked = false;
	if (!step->may_unpack || !S_ISREG(item->st.st_mode))
		return 0;
	scope_fd int fd = root_open_regular(&source->root, item->path, err);
	if (fd < 0)
		return -1;
	enum compression compression;
	int is_archive = untar_sniff(fd, &compression, err);
	if (is_archive < 0)
		return -1;
	if (is_archive == 0)
		return 0;
	*unpacked = true;
	scope_arena struct arena arena = { 0 };
	struct layer_apply_options apply = {
		.flags = LAYER_APPLY_PLAIN,
		.override_owner = options->set_owner,
		.uid = options->uid,
		.gid = options->gid,
	};
	if (copy_make_dir(&arena, dest, step->plan.dest, options, &apply.prefix, err) < 0)
		return -1;
	scope_reader struct reader *tar = reader_decompress(reader_fd(fd, false, item->path), item->path);
	struct layer_stats stats;
	if (layer_apply(tar, dest->fd, &apply, item->path, &stats, err) < 0)
		return err_wrap(err, "unpack %s", item->path);
	return 0;
}

/* ADD looks at each item: a tar archive is unpacked, all else is copied as COPY does. */
static int add_items(const struct step *step, const struct source *source, const struct root *dest,
		     const struct copy_options *options, struct err *err)
{
	for (size_t i = 0; i < step->plan.count; i++) {
		bool unpacked;
		if (unpack_archive(step, source, &step->plan.items[i], dest, options, &unpacked, err) < 0)
			return -1;
		if (unpacked)
			continue;
		struct copy_plan one = step->plan;
		one.items = &step->plan.items[i];
		one.count = 1;
		if (copy_run(source, &one, dest, options, err) < 0)
			return -1;
	}
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

/* A copy from a stage or image is also known by the files that it takes, wherever they are, so that a stage that came
   out the same is a hit. */
static int look_by_content(struct step *step, const struct source *source, struct copy_report *report, struct err *err)
{
	struct build *build = step->build;
	struct digest content;
	if (copy_digest(source, &step->plan, &content, NULL, NULL, err) < 0)
		return -1;
	struct inputs inputs = { 0 };
	for (size_t i = 0; i < step->inputs.count; i++) {
		const struct input *input = &step->inputs.items[i];
		if (strcmp(input->name, "from") != 0 && strcmp(input->name, "source") != 0)
			inputs_add(build->arena, &inputs, input->name, input->value);
	}
	inputs_add(build->arena, &inputs, "files", digest_str(build->arena, &content));
	inputs_digest(&inputs, &report->content_step);
	report->has_content = true;
	struct cache_record record;
	if (step->stage->is_uncached || !cache_look_up_step(build, step, &report->content_step, &record))
		return 0;
	report->is_hit = true;
	report->diff_id = record.diff_id;
	report->created = record.created;
	return 0;
}

static int open_source_view(struct step *step, struct view *view, struct source *source, struct err *err)
{
	struct build *build = step->build;
	size_t count;
	const int *lowers;
	const char *stack_id = NULL;
	char text[DIGEST_TEXT + 1];
	if (step->from_stage) {
		lowers = stage_lowers(build, step->from_stage, &count);
		stack_id = digest_text(&step->from_stage->key, text);
	} else {
		lowers = image_lowers(build, step->from_image, err);
		count = step->from_image->diff_id_count;
		if (!lowers)
			return -1;
	}
	scope_fd int work = file_make_dir(step->work.fd, "source", 0700, err);
	if (work < 0)
		return -1;
	const struct view_spec spec = {
		.kind = build->view,
		.work_fd = work,
		.lowers = lowers,
		.lower_count = count,
		.read_only = true,
		.session_fd = step->from_stage ? step->from_stage->session.fd : -1,
		.stack_id = stack_id,
	};
	if (view_open(view, &spec, err) < 0)
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
		return err_set(err, ERR_INPUT, "the build context changed while it was copied: build again");
	explain_note_files(step->build, &now, &list);
	return 0;
}

static int copy_from_context(struct step *step, struct err *err)
{
	struct source source = context_source(step->build);
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

static bool is_remote(const char *word)
{
	static const char *const schemes[] = { "http://", "https://", "git://", "ssh://", "git@" };
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (text_starts(word, schemes[i]))
			return true;
	return false;
}

static int refuse_remote(const struct step *step, const char *word, struct err *err)
{
	if (!is_remote(word))
		return 0;
	if (!step->is_add)
		return err_set(err, ERR_INPUT, "source can't be a %s for COPY",
			       text_starts(word, "http") && !text_ends(word, ".git") ? "URL" : "git ref");
	return err_set(err, ERR_UNSUPPORTED, "ADD of a URL or a git repository is not in this version of kiln: %s",
		       word);
}

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
		const char *source = stage_expand(build, step->stage, in->words[i], err);
		if (!source || refuse_remote(step, source, err) < 0)
			return -1;
		*ARENA_PUSH(build->arena, sources, count) = source;
	}
	for (size_t i = 0; i < count; i++)
		strbuf_addf(history, " %s", sources[i]);
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
	if (instruction_flag(in, "checksum") || instruction_flag(in, "keep-git-dir"))
		return err_set(err, ERR_INPUT, "checksum requires HTTP(S) or Git sources");
	step_copy_take_link(step);
	const char *unpack = instruction_flag(in, "unpack");
	step->may_unpack = step->is_add && (!unpack || instruction_flag_is_set(in, "unpack"));
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
	return step->from_stage || step->from_image;
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

static int open_context(struct build *build, struct err *err)
{
	if (build->context_fd >= 0)
		return 0;
	build->context_fd = context_open(build->arena, build->spec->context, build->spec->dockerfile_path,
					 &build->ignore, err);
	if (build->context_fd < 0)
		return -1;
	struct digest id;
	char hex[DIGEST_HEX + 1];
	digest_bytes(&id, build->spec->context, strlen(build->spec->context));
	scope_fd int notes = store_notes_fd(build->store, err);
	if (notes < 0)
		return -1;
	build->stat_cache = stat_cache_open(notes, arena_printf(build->arena, "stat-%s", digest_hex(&id, hex)));
	return 0;
}

int step_copy_open_context(struct build *build, struct err *err)
{
	return open_context(build, err);
}

struct source context_source(const struct build *build)
{
	return (struct source){
		.root = { build->context_fd, ROOT_CHROOT },
		.ignore = build->ignore,
		.cache = build->stat_cache,
		.name = "the build context",
	};
}

static enum step_ready digest_context(struct build *build, struct step *step, struct err *err)
{
	if (!step->copy.source_count)
		return STEP_READY;
	if (open_context(build, err) < 0)
		return STEP_FAILED;
	struct source source = context_source(build);
	if (copy_select(build->arena, &source, &step->copy, &step->plan, err) < 0 ||
	    copy_digest(&source, &step->plan, &step->content, NULL, NULL, err) < 0)
		return STEP_FAILED;
	inputs_add(build->arena, &step->inputs, "files", digest_str(build->arena, &step->content));
	return STEP_READY;
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
	    take_destination(build, step, &history, err) < 0)
		return STEP_FAILED;
	strbuf_addstr(&history, " # buildkit");
	step->history = arena_strdup(build->arena, strbuf_str(&history));
	step->plan.dest = step->copy.dest;
	step->copy.chmod = step->chmod;
	/* `--from=` copies from the context: trap 33. */
	return from && *from ? take_from(build, step, from, err) : digest_context(build, step, err);
}
