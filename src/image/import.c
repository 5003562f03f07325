/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kiln/base/text.h"
#include "kiln/codec/untar.h"
#include "kiln/layer/layer.h"

#include "internal.h"

/*
 * A root file system, as a tar or a directory, becomes a layer of the canonical form whatever tar or directory it was: it
 * is unpacked and then compared with nothing. Such a layer has a recipe, so the tar itself is not kept.
 */

#define TREE   "tree"
#define RECIPE "recipe"

static int unpack_tar(struct reader *below, int tree, const char *name, struct err *err)
{
	const struct layer_apply_options options = { .flags = LAYER_APPLY_PLAIN };
	struct layer_stats stats;
	scope_reader struct reader *tar = reader_decompress(below, name);

	return layer_apply(tar, tree, &options, name, &stats, err);
}

static int fill_tree(int tree, const char *path, const char *name, struct err *err)
{
	struct stat st;

	if (text_equal(path, "-"))
		return unpack_tar(reader_fd(STDIN_FILENO, false, name), tree, name, err);
	scope_fd int fd = file_open_user(path, O_RDONLY, 0, err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_errno(err, "stat %s", path);
	if (S_ISDIR(st.st_mode))
		return layer_copy_stack(&fd, 1, tree, err);
	return unpack_tar(reader_fd(fd, false, name), tree, name, err);
}

static int write_recipe(const struct store_work *work, int tree, int64_t clamp, struct layer_stats *stats,
			struct err *err)
{
	const struct layer_diff_options options = { .clamp = clamp };
	scope_fd int fd = openat(work->fd, RECIPE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(err, "create a recipe");
	scope_writer struct writer *out = writer_fd(fd, false, "a recipe");
	if (layer_tree_settle(tree, clamp, err) < 0 || layer_diff(tree, NULL, 0, &options, out, stats, err) < 0)
		return -1;
	return out->finish(out, err);
}

static int make_layer(struct store *store, const char *path, const char *name, int64_t clamp, struct layer_stats *stats,
		      struct err *err)
{
	struct store_work work = STORE_WORK_EMPTY;
	int result = store_work_new(store, &work, err);

	if (result == 0) {
		scope_fd int tree = file_make_dir(work.fd, TREE, 0755, err);
		if (tree < 0 || fchmod(tree, 0755) < 0)
			result = tree < 0 ? -1 : err_errno(err, "set the mode of a tree");
		if (result == 0)
			result = fill_tree(tree, path, name, err);
		if (result == 0)
			result = write_recipe(&work, tree, clamp, stats, err);
	}
	if (result == 0) {
		const struct layer_info info = { .diff_id = stats->diff_id,
						 .size = stats->size,
						 .content = stats->content,
						 .entries = stats->entries };
		result = store_layer_publish(store, &work, TREE, RECIPE, &info, err);
	}
	store_work_end(store, &work);
	return result;
}

int image_import(struct store *store, struct arena *arena, const char *path, struct image_config *config, int64_t epoch,
		 const char *comment, const char *name, struct digest *id, struct err *err)
{
	const char *shown = text_equal(path, "-") ? "standard input" : path;
	bool has_epoch = epoch != INT64_MIN;
	struct timespec created = { .tv_sec = has_epoch ? epoch : time(NULL) };
	struct layer_stats stats = { 0 };
	/* What docker writes for every local file: where it lay on this machine is nobody's business. */
	struct history entry = { .comment = comment ? comment : "Imported from -" };

	if (make_layer(store, path, shown, has_epoch ? epoch : INT64_MAX, &stats, err) < 0)
		return err_wrap(err, "import %s", shown);
	config->created = entry.created = time_rfc3339(arena, created);
	if (config->diff_id_count == 0)
		config->diff_ids = NULL;
	*ARENA_PUSH(arena, config->diff_ids, config->diff_id_count) = digest_str(arena, &stats.diff_id);
	image_history_add(arena, config, &entry);
	return image_commit(store, arena, config, &name, name ? 1 : 0, id, err);
}
