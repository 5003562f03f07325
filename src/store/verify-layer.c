/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "kiln/base/proc.h"
#include "kiln/layer/apply.h"

#include "verify.h"

#define FRESH "fresh"

/* ---- the child that writes the tar into a pipe ---- */

struct tar_source {
	struct store *store;
	const struct layer_info *info;
	int from_fd, to_fd;
};

static int write_tar(int channel, void *arg, struct err *err)
{
	const struct tar_source *source = arg;
	struct digest found;

	(void)channel;
	/* Else the pipe would never break when the parent gives up. */
	close(source->from_fd);
	scope_writer struct writer *out = writer_fd(source->to_fd, true, "a pipe");
	if (layer_write_tar(source->store, source->info, out, &found, err) < 0)
		return -1;
	if (!digest_equal(&found, &source->info->diff_id))
		return err_set(err, ERR_CORRUPT, "what is in its %s is not what it was",
			       source->info->has_recipe ? "tree" : "blob");
	return out->finish(out, err);
}

static int start_tar(struct tar_source *source, struct proc *child, struct err *err)
{
	int fds[2];
	int result;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	source->from_fd = fds[0];
	source->to_fd = fds[1];
	result = proc_fork(child, write_tar, source, err);
	close(fds[1]);
	if (result < 0)
		close(fds[0]);
	return result < 0 ? -1 : fds[0];
}

/* ---- the fresh tree ---- */

static int unpack(int from_fd, int fresh_fd, struct layer_stats *stats, struct err *err)
{
	const struct layer_apply_options options = { .flags = LAYER_APPLY_AS_TREE | LAYER_APPLY_NO_END };
	scope_reader struct reader *tar = reader_fd(from_fd, false, "the tar of the layer");

	if (layer_apply(tar, fresh_fd, &options, "the layer", stats, err) < 0)
		return -1;
	return reader_drain(tar, err);
}

/* Links to files of the layers below cannot be made without these; then the digest has to be enough. */
static bool leans_on_others(const struct err *err)
{
	return err->kind == ERR_NOT_FOUND;
}

static int drain_pipe(int from_fd, struct err *err)
{
	scope_reader struct reader *rest = reader_fd(from_fd, false, "the tar of the layer");

	return reader_drain(rest, err);
}

static int make_fresh(struct store *store, const struct layer_info *info, int fresh_fd, struct layer_stats *stats,
		      bool *is_whole, struct err *err)
{
	struct tar_source source = { .store = store, .info = info };
	scope_proc struct proc child = PROC_EMPTY;
	scope_fd int from_fd = start_tar(&source, &child, err);
	struct err applied = { 0 };
	int result;

	if (from_fd < 0)
		return -1;
	*is_whole = unpack(from_fd, fresh_fd, stats, &applied) == 0;
	/* The child knows better why a tar ended early, so it is heard first. */
	result = drain_pipe(from_fd, err);
	if (result == 0)
		result = proc_wait(&child, NULL, err);
	if (result == 0 && !*is_whole && !leans_on_others(&applied))
		return err_status(err, applied.kind, applied.sys, "%s", applied.msg);
	return result;
}

int verify_layer_tree(struct store *store, struct store_work *work, const struct layer_info *info, int tree_fd,
		      struct err *err)
{
	scope_fd int fresh = file_make_dir(work->fd, FRESH, 0700, err);
	struct layer_stats stats = { 0 };
	bool is_whole;
	int result;

	if (fresh < 0)
		return -1;
	result = make_fresh(store, info, fresh, &stats, &is_whole, err);
	if (result == 0 && is_whole)
		result = compare_trees(
			fresh, tree_fd,
			(info->has_recipe ? 0 : COMPARE_EXACT) | (stats.implied ? COMPARE_LOOSE_PARENTS : 0), err);
	if (file_remove_tree(work->fd, FRESH, result < 0 ? NULL : err) < 0)
		return -1;
	return result;
}
