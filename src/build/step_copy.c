/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"
#include "kiln/codec/untar.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* COPY and ADD: files of the context, of a stage or of an image, archives, and heredocs, onto a view. */

static void fill_options(const struct step *step, struct copy_options *options)
{
	*options = (struct copy_options){ .chmod = step->chmod, .clamp = step->build->clamp };
}

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
	scope_fd int dir = root_make_dirs(dest, step->plan.dest, 0755, NULL, NULL, err);
	if (dir < 0)
		return -1;
	scope_arena struct arena arena = { 0 };
	struct layer_apply_options apply = {
		.flags = LAYER_APPLY_PLAIN,
		.override_owner = options->set_owner,
		.uid = options->uid,
		.gid = options->gid,
		.prefix = path_clean(&arena, step->plan.dest),
		.has_clamp = options->clamp != INT64_MAX,
		.clamp = options->clamp,
	};
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
	scope_arena struct arena arena = { 0 };
	for (size_t i = 0; i < step->heredoc_count; i++) {
		scope_fd int dir = root_open(dest, step->plan.dest, O_PATH | O_DIRECTORY, 0, NULL);
		bool inside = dir >= 0 || text_ends(step->plan.dest, "/");
		const char *path = inside ? path_join(&arena, step->plan.dest, step->heredocs[i]->name) : step->plan.dest;
		if (copy_write_file(dest, path, step->heredoc_bodies[i], strlen(step->heredoc_bodies[i]), options, err) < 0)
			return err_wrap(err, "write %s", path);
	}
	return 0;
}

/* The key of a copy from a stage or image by what it takes, so that a stage that came out the same is a hit. */
static int look_by_content(struct step *step, const struct source *source, struct copy_report *report, struct err *err)
{
	struct digest content, key;
	if (copy_digest(source, &step->plan, &content, NULL, NULL, err) < 0)
		return -1;
	char text[DIGEST_TEXT + 1];
	struct inputs inputs = { 0 };
	for (size_t i = 0; i < step->inputs.count; i++)
		if (strcmp(step->inputs.items[i].name, "from") != 0)
			inputs_add(step->build->arena, &inputs, step->inputs.items[i].name, step->inputs.items[i].value);
	inputs_add(step->build->arena, &inputs, "files", digest_text(&content, text));
	inputs_digest(&inputs, &key);
	struct digest chain;
	if (stage_chain(step->stage, &chain))
		key_of_chain(&chain, &key, &report->key);
	else
		key_of_step(&step->stage->key, &key, &report->key);
	report->has_key = true;
	struct cache_record record;
	if (!step->build->spec->no_cache &&
	    store_cache_get(step->build->store, step->build->arena, &report->key, &record, NULL) == 1) {
		report->is_hit = true;
		report->diff_id = record.diff_id;
	}
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

static int copy_onto_view(struct step *step, const struct source *source, struct err *err)
{
	scope_view struct view view = VIEW_EMPTY;
	if (step_open_view(step, &view, err) < 0)
		return -1;
	struct root dest = { view.root_fd, ROOT_CHROOT };
	struct copy_options options;
	fill_options(step, &options);
	if (step->chown) {
		options.set_owner = true;
		if (chown_resolve(&dest, step->chown, &options.uid, &options.gid, err) < 0)
			return -1;
	}
	int copied = step->is_add ? add_items(step, source, &dest, &options, err)
				  : copy_run(source, &step->plan, &dest, &options, err);
	if (copied < 0 || write_heredocs(step, &dest, &options, err) < 0)
		return -1;
	return step_finish_view(step, &view, err);
}

static int copy_job(int channel, void *arg, struct err *err)
{
	struct step *step = arg;
	struct build *build = step->build;
	struct source source = { .root = { build->context_fd, ROOT_CHROOT }, .ignore = build->ignore };
	if (!step->from_stage && !step->from_image)
		return copy_onto_view(step, &source, err);

	source.ignore = NULL;
	source.keep_owner = true;
	source.name = step->from_stage ? arena_printf(build->arena, "stage %s", step->from_stage->name) : "the image";
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
	return err_set(err, ERR_UNSUPPORTED, "ADD of a URL or a git repository is not in this version of kiln: %s", word);
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

/* 1: the stage that it copies from is not done. */
static int take_from(struct build *build, struct step *step, struct err *err)
{
	const char *from = instruction_flag(step->instruction, "from");
	if (!from || !*from)
		return 0;
	if (strchr(from, '$'))
		return err_set(err, ERR_INPUT,
			       "variable expansion is not supported for --from, define a new stage with FROM using ARG "
			       "from global scope as a workaround");
	if (plan_find_stage(build, step->stage, from, &step->from_stage, err) < 0)
		return -1;
	char text[DIGEST_TEXT + 1];
	if (step->from_stage) {
		plan_need(step->from_stage, build);
		if (step->from_stage->status != STAGE_DONE)
			return 1;
		inputs_add(build->arena, &step->inputs, "from", digest_text(&step->from_stage->key, text));
	} else {
		step->from_image = arena_new(build->arena, struct image);
		if (image_from(build->store, build->arena, from, &build->platform, step->from_image, err) < 0)
			return -1;
		struct digest chain;
		chain_id(step->from_image->diff_ids, step->from_image->diff_id_count, &chain);
		inputs_add(build->arena, &step->inputs, "from", digest_text(&chain, text));
	}
	for (size_t i = 0; i < step->copy.source_count; i++)
		inputs_add(build->arena, &step->inputs, "source", step->copy.sources[i]);
	return 0;
}

static int open_context(struct build *build, struct err *err)
{
	if (build->context_fd >= 0)
		return 0;
	build->context_fd =
		context_open(build->arena, build->spec->context, build->spec->dockerfile_path, &build->ignore, err);
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

static int digest_context(struct build *build, struct step *step, struct err *err)
{
	if (!step->copy.source_count)
		return 0;
	if (open_context(build, err) < 0)
		return -1;
	struct source source = {
		.root = { build->context_fd, ROOT_CHROOT },
		.ignore = build->ignore,
		.cache = build->stat_cache,
		.name = "the build context",
	};
	struct digest content;
	char text[DIGEST_TEXT + 1];
	if (copy_select(build->arena, &source, &step->copy, &step->plan, err) < 0 ||
	    copy_digest(&source, &step->plan, &content, NULL, NULL, err) < 0)
		return -1;
	inputs_add(build->arena, &step->inputs, "files", digest_text(&content, text));
	return 0;
}

int step_copy_prepare(struct build *build, struct step *step, struct err *err)
{
	const struct instruction *in = step->instruction;
	step->is_add = in->kind == INSTRUCTION_ADD;
	step->run = copy_job;
	scope_strbuf struct strbuf history = { 0 };
	strbuf_addstr(&history, instruction_name(in->kind));
	inputs_add(build->arena, &step->inputs, "instruction", instruction_name(in->kind));
	if (take_flags(build, step, &history, err) < 0 || take_sources(build, step, &history, err) < 0 ||
	    take_destination(build, step, &history, err) < 0)
		return -1;
	strbuf_addstr(&history, " # buildkit");
	step->history = arena_strdup(build->arena, strbuf_str(&history));
	step->plan.dest = step->copy.dest;
	int wait = take_from(build, step, err);
	if (wait != 0)
		return wait;
	if (!step->from_stage && !step->from_image)
		return digest_context(build, step, err);
	return 0;
}
