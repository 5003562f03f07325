/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "kiln/base/proc.h"
#include "kiln/base/text.h"

#include "internal.h"

enum { JOBS_MAX = 16 };

/* Below the work directory, by the layer's number. */
static void work_name(char *out, size_t size, const char *what, const struct load_layer *layer)
{
	snprintf(out, size, "%s-%u", what, layer->number);
}

/* ---- what is to be done ---- */

static bool knows_blob(struct store *store, const struct layer_info *info, const struct digest *blob)
{
	char text[DIGEST_TEXT + 1];

	for (size_t i = 0; i < info->blob_count; i++) {
		if (text_equal(info->blobs[i].digest, digest_text(blob, text)))
			return store_blob_has(store, blob, NULL);
	}
	return false;
}

static bool has_source(struct store *store, const struct layer_info *info)
{
	struct digest blob;

	for (size_t i = 0; i < info->blob_count && !info->has_recipe; i++) {
		if (digest_parse(&blob, info->blobs[i].digest, NULL) == 0 && store_blob_has(store, &blob, NULL))
			return true;
	}
	return info->has_recipe;
}

/* A layer that the store has still needs this compressed form, if a manifest names it. */
static void plan_layer(struct load *load, struct load_layer *layer)
{
	scope_arena struct arena arena = { 0 };
	struct layer_info info;

	layer->todo = LAYER_UNPACK;
	if (!store_layer_has(load->store, &layer->diff_id) ||
	    store_layer_info(load->store, &arena, &layer->diff_id, &info, NULL) < 0)
		return;
	if (digest_is_zero(&layer->blob))
		layer->todo = has_source(load->store, &info) ? LAYER_READY : LAYER_CHECK;
	else
		layer->todo = knows_blob(load->store, &info, &layer->blob) ? LAYER_READY : LAYER_CHECK;
}

/* ---- one layer, in a child process ---- */

struct job {
	struct load *load;
	struct load_layer *layer;
	const int *lowers;
	size_t lower_count;
	struct proc child;
};

static int work_on_layer(int channel, void *arg, struct err *err)
{
	struct job *job = arg;
	struct load_layer *layer = job->layer;
	struct unpacked unpacked = { 0 };
	char tree[32], copy[32];
	scope_fd int fd = container_open_file(&job->load->container, layer->path, NULL, err);

	if (fd < 0)
		return err_wrap(err, "%s", layer->name);
	work_name(tree, sizeof(tree), "tree", layer);
	work_name(copy, sizeof(copy), "blob", layer);
	scope_reader struct reader *reader = reader_fd(fd, false, layer->name);
	/* The entries of an archive have been hashed as they came. */
	bool is_archive = job->load->container.dir_fd < 0;
	const struct unpack work = { .reader = reader,
				     .name = layer->name,
				     .blob = is_archive ? NULL : &layer->blob,
				     .blob_size = layer->blob_size,
				     .diff_id = &layer->diff_id,
				     .dir_fd = job->load->work.fd,
				     .tree = layer->todo == LAYER_UNPACK ? tree : NULL,
				     .copy = is_archive ? NULL : copy,
				     .lowers = job->lowers,
				     .lower_count = job->lower_count };
	int result = unpack(&work, &unpacked, err);
	/* That is for the parent to try again, not a failure. */
	if (result < 0 && !unpacked.failed_without_lowers)
		return -1;
	return proc_reach(channel, 0, &unpacked, sizeof(unpacked), err);
}

static int finish_job(struct job *job, struct err *err)
{
	scope_strbuf struct strbuf payload = { 0 };

	if (proc_wait(&job->child, &payload, err) < 0)
		return -1;
	if (payload.len != sizeof(job->layer->unpacked))
		return err_set(err, ERR_SYSTEM, "%s: the process that unpacked it said nothing", job->layer->name);
	memcpy(&job->layer->unpacked, payload.ptr, payload.len);
	return 0;
}

/* ---- several at a time ---- */

struct pool {
	struct job jobs[JOBS_MAX];
	size_t running, limit;
};

static void pool_end(struct pool *pool)
{
	for (size_t i = 0; i < pool->running; i++)
		proc_kill(&pool->jobs[i].child);
	pool->running = 0;
}

static size_t core_count(void)
{
	cpu_set_t cores;

	return sched_getaffinity(0, sizeof(cores), &cores) < 0 ? 1 : (size_t)CPU_COUNT(&cores);
}

/* Waits for one of those that run, and finishes it. */
static int pool_reap(struct pool *pool, struct err *err)
{
	struct pollfd fds[JOBS_MAX];
	size_t done = 0;
	int result;

	for (size_t i = 0; i < pool->running; i++)
		fds[i] = (struct pollfd){ .fd = pool->jobs[i].child.pidfd, .events = POLLIN };
	while (poll(fds, pool->running, -1) < 0) {
		if (errno != EINTR)
			return err_errno(err, "wait for unpacking processes");
	}
	while (done + 1 < pool->running && !fds[done].revents)
		done++;
	result = finish_job(&pool->jobs[done], err);
	pool->jobs[done] = pool->jobs[--pool->running];
	return result;
}

static int pool_start(struct pool *pool, struct load *load, struct load_layer *layer, struct err *err)
{
	struct job *job;

	if (pool->running == pool->limit && pool_reap(pool, err) < 0)
		return -1;
	job = &pool->jobs[pool->running];
	*job = (struct job){ .load = load, .layer = layer, .child = PROC_EMPTY };
	if (proc_fork(&job->child, work_on_layer, job, err) < 0)
		return -1;
	pool->running++;
	return 0;
}

static int run_all(struct load *load, struct err *err)
{
	__attribute__((cleanup(pool_end))) struct pool pool = { .limit = core_count() };

	if (pool.limit > JOBS_MAX)
		pool.limit = JOBS_MAX;
	for (size_t i = 0; i < load->layer_count; i++) {
		plan_layer(load, &load->layers[i]);
		if (load->layers[i].todo != LAYER_READY && pool_start(&pool, load, &load->layers[i], err) < 0)
			return -1;
	}
	while (pool.running > 0) {
		if (pool_reap(&pool, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- layers that lean on those below ---- */

static int open_tree(struct load *load, const struct load_layer *layer, struct err *err)
{
	char name[32];
	int fd;

	if (layer->todo != LAYER_UNPACK)
		return store_layer_open(load->store, &layer->diff_id, err);
	work_name(name, sizeof(name), "tree", layer);
	fd = openat(load->work.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_errno(err, "open %s", name) : fd;
}

static void close_trees(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		scope_close_fd(&fds[i]);
}

static int open_lowers(struct load *load, const struct load_image *image, size_t position, int *fds, struct err *err)
{
	for (size_t i = 0; i < position; i++) {
		fds[i] = open_tree(load, &load->layers[image->layers[position - 1 - i]], err);
		if (fds[i] >= 0)
			continue;
		close_trees(fds, i);
		return -1;
	}
	return 0;
}

static int unpack_again(struct load *load, struct load_layer *layer, const int *lowers, size_t count, struct err *err)
{
	struct job job = { .load = load, .layer = layer, .lowers = lowers, .lower_count = count, .child = PROC_EMPTY };
	char tree[32];

	work_name(tree, sizeof(tree), "tree", layer);
	if (file_remove_tree(load->work.fd, tree, err) < 0 || proc_fork(&job.child, work_on_layer, &job, err) < 0)
		return -1;
	return finish_job(&job, err);
}

static int lean(struct load *load, const struct load_image *image, size_t position, struct err *err)
{
	struct load_layer *layer = &load->layers[image->layers[position]];
	int *lowers = arena_array(load->arena, int, position + 1);
	int result;

	if (layer->todo != LAYER_UNPACK || (!layer->unpacked.leans && !layer->unpacked.failed_without_lowers))
		return 0;
	if (position == 0 && layer->unpacked.failed_without_lowers)
		return err_set(err, ERR_INPUT, "%s: it has a hard link to a file that is not there", layer->name);
	if (position == 0)
		return 0;
	if (open_lowers(load, image, position, lowers, err) < 0)
		return -1;
	result = unpack_again(load, layer, lowers, position, err);
	close_trees(lowers, position);
	layer->unpacked.leans = false;
	return result;
}

int load_layers(struct load *load, struct err *err)
{
	if (run_all(load, err) < 0)
		return -1;
	for (size_t i = 0; i < load->image_count; i++) {
		for (size_t j = 0; j < load->images[i].layer_count; j++) {
			if (lean(load, &load->images[i], j, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* ---- into the store ---- */

static int publish_blob(struct load *load, const struct load_layer *layer, struct err *err)
{
	const struct entry *entry = container_find(&load->container, layer->path);
	char copy[32];

	if (store_blob_has(load->store, &layer->unpacked.blob, NULL))
		return 0;
	work_name(copy, sizeof(copy), "blob", layer);
	return store_blob_adopt(load->store, &load->work, entry ? entry->file : copy, &layer->unpacked.blob, err);
}

static int publish_layer(struct load *load, struct load_layer *layer, struct err *err)
{
	const struct unpacked *unpacked = &layer->unpacked;
	struct layer_blob blob = { layer_media_type(unpacked->compression), digest_str(load->arena, &unpacked->blob),
				   unpacked->blob_size, "" };
	struct layer_info info = { .diff_id = layer->diff_id,
				   .size = unpacked->size,
				   .content = unpacked->content,
				   .entries = unpacked->entries,
				   .blobs = &blob,
				   .blob_count = 1 };
	char tree[32];

	if (layer->todo == LAYER_READY)
		return 0;
	if (publish_blob(load, layer, err) < 0)
		return -1;
	if (store_layer_has(load->store, &layer->diff_id))
		return store_layer_add_blob(load->store, &layer->diff_id, &blob, err);
	work_name(tree, sizeof(tree), "tree", layer);
	return store_layer_publish(load->store, &load->work, tree, NULL, &info, err);
}

int load_publish_layers(struct load *load, struct err *err)
{
	for (size_t i = 0; i < load->layer_count; i++) {
		if (publish_layer(load, &load->layers[i], err) < 0)
			return -1;
	}
	return 0;
}
