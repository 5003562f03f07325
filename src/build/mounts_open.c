/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"
#include "kiln/base/owner.h"
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* RUN --mount, in the step's job: from what a mount shall show to a file descriptor that the cage can mount. */

static bool has_origin(const struct step_mount *mount)
{
	return mount->origin.stage || mount->origin.image;
}

static int named_dir(const struct step *step, const char *what, size_t number, struct err *err)
{
	char name[32];
	snprintf(name, sizeof(name), "%s-%zu", what, number);
	return file_make_dir(step->work.fd, name, 0755, err);
}

static int fail_mount(const struct step_mount *mount, struct err *err)
{
	return err_wrap(err, "--mount=type=%s on %s", run_mount_type_name(mount->options.type),
			mount->target ? mount->target : mount->env);
}

/* ---- stages and images ---- */

static bool is_writable(const struct step_mount *mount)
{
	return mount->options.type == RUN_MOUNT_BIND && !mount->options.is_read_only;
}

/* Read-only views of one stage or image are one. */
static const struct open_mount *find_same(const struct open_mounts *open, size_t index)
{
	const struct step_mount *mount = &open->step->mounts[index];
	for (size_t i = 0; i < index && !is_writable(mount); i++) {
		const struct step_mount *other = &open->step->mounts[i];
		if (has_origin(other) && !is_writable(other) && other->origin.stage == mount->origin.stage &&
		    other->origin.image == mount->origin.image)
			return &open->items[i];
	}
	return NULL;
}

static void add_tree(struct open_mounts *open, const struct view *view)
{
	if (view->is_mount)
		*ARENA_PUSH(open->step->build->arena, open->trees, open->tree_count) = view->root_fd;
}

static int open_origin(struct open_mounts *open, size_t index, struct err *err)
{
	struct step *step = open->step;
	struct step_mount *mount = &step->mounts[index];
	struct open_mount *item = &open->items[index];
	const struct open_mount *same = find_same(open, index);
	if (same) {
		item->root_fd = same->root_fd;
		item->is_in_tree = same->is_in_tree;
		return 0;
	}
	const char *name = arena_printf(step->build->arena, "origin-%zu", index);
	if (step_open_origin(step, &mount->origin, name, is_writable(mount), &item->view, err) < 0)
		return -1;
	item->root_fd = item->view.root_fd;
	item->is_in_tree = item->view.is_mount;
	add_tree(open, &item->view);
	return 0;
}

static struct source origin_source(struct build *build, const struct step_mount *mount, const struct open_mount *item)
{
	return (struct source){
		.root = { item->root_fd, ROOT_CHROOT },
		.keep_owner = true,
		.name = origin_name(build, &mount->origin),
	};
}

/* A whole image is known by its layers, and need not be read. */
static int digest_origin(struct build *build, struct step_mount *mount, const struct open_mount *item, struct err *err)
{
	const struct image *image = mount->origin.image;
	struct source source = origin_source(build, mount, item);
	if (copy_select_path(build->arena, &source, mount->source, &mount->plan, err) < 0)
		return -1;
	mount->plan.items[0].base = "";
	if (!image || *mount->source)
		return copy_digest(&source, &mount->plan, &mount->content, NULL, NULL, err);
	chain_id(image->diff_ids, image->diff_id_count, &mount->content);
	return 0;
}

static int open_origins(struct open_mounts *open, struct copy_report *report, struct err *err)
{
	struct step *step = open->step;
	struct build *build = step->build;
	struct inputs files = { 0 };
	for (size_t i = 0; i < step->mount_count; i++) {
		struct step_mount *mount = &step->mounts[i];
		if (!has_origin(mount))
			continue;
		if (open_origin(open, i, err) < 0 || digest_origin(build, mount, &open->items[i], err) < 0)
			return fail_mount(mount, err);
		inputs_add(build->arena, &files, arena_printf(build->arena, "files on %s", mount->target),
			   digest_str(build->arena, &mount->content));
	}
	return files.count ? step_look_by_files(step, &files, report) : 0;
}

/* ---- caches ---- */

struct cache_fill {
	struct open_mounts *open;
	const struct step_mount *mount;
	const struct open_mount *item;
};

static int fill_cache(void *arg, int dir_fd, struct err *err)
{
	const struct cache_fill *fill = arg;
	const struct run_mount *options = &fill->mount->options;
	if (step_mount_is_filled(fill->mount)) {
		struct source source = fill->mount->tree
					       ? tree_source(fill->mount->tree)
					       : origin_source(fill->open->step->build, fill->mount, fill->item);
		struct copy_plan plan = fill->mount->plan;
		const struct copy_options copy = { .clamp = INT64_MAX };
		const struct root root = { dir_fd, ROOT_CHROOT };
		plan.dest = "/";
		plan.dest_is_dir = true;
		if (!S_ISDIR(plan.items[0].st.st_mode))
			return err_set(err, ERR_INPUT, "the source of a cache must be a directory");
		return copy_run(&source, &plan, &root, &copy, err);
	}
	if (*fill->mount->source)
		return 0;
	if (owner_set(dir_fd, options->uid, options->gid) < 0 ||
	    (options->has_mode && fchmod(dir_fd, options->mode & 07777) < 0))
		return err_errno(err, "give the cache its owner");
	return 0;
}

static void tell_waiting(void *arg)
{
	const struct cache_fill *fill = arg;
	dprintf(fill->open->step->output_fd, "kiln: waiting for the cache on %s, which another step uses\n",
		fill->mount->target);
}

static const enum store_mount_sharing sharings[] = {
	[RUN_MOUNT_SHARED] = STORE_MOUNT_SHARED,
	[RUN_MOUNT_PRIVATE] = STORE_MOUNT_PRIVATE,
	[RUN_MOUNT_LOCKED] = STORE_MOUNT_LOCKED,
};

struct cache_order {
	struct digest id;
	size_t index;
};

static int compare_caches(const void *a, const void *b)
{
	const struct cache_order *x = a, *y = b;
	int order = memcmp(x->id.bytes, y->id.bytes, sizeof(x->id.bytes));
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* The source is below the cache itself, unless that was filled with it. */
static int take_cache(const struct step_mount *mount, struct open_mount *item, int cache_fd, struct err *err)
{
	const struct root root = { cache_fd, ROOT_CHROOT };
	item->source_fd = root_open(&root, has_origin(mount) || mount->tree ? "" : mount->source, O_PATH, 0, err);
	return item->source_fd < 0 ? -1 : 0;
}

/* One cache that is mounted twice is opened once (trap 45). */
static int open_caches(struct open_mounts *open, struct err *err)
{
	struct step *step = open->step;
	struct cache_order *order = arena_array(step->build->arena, struct cache_order, step->mount_count + 1);
	size_t count = 0;
	for (size_t i = 0; i < step->mount_count; i++) {
		if (step->mounts[i].options.type != RUN_MOUNT_CACHE)
			continue;
		step_mount_cache_id(step, &step->mounts[i], &order[count].id);
		order[count++].index = i;
	}
	if (count > 1)
		qsort(order, count, sizeof(*order), compare_caches);
	struct store_mount *last = NULL;
	for (size_t i = 0; i < count; i++) {
		const struct step_mount *mount = &step->mounts[order[i].index];
		struct open_mount *item = &open->items[order[i].index];
		struct cache_fill fill = { open, mount, item };
		const struct store_mount_spec spec = {
			.id = order[i].id,
			.sharing = sharings[mount->options.sharing],
			.fill = fill_cache,
			.waits = tell_waiting,
			.arg = &fill,
		};
		bool is_same = i > 0 && digest_equal(&order[i].id, &order[i - 1].id);
		if (!is_same) {
			if ((mount->must_renew && store_mount_forget(step->build->store, &spec.id, err) < 0) ||
			    store_mount_open(step->build->store, &spec, &item->cache, err) < 0)
				return fail_mount(mount, err);
			last = &item->cache;
		}
		if (take_cache(mount, item, last->fd, err) < 0)
			return fail_mount(mount, err);
	}
	return 0;
}

/* ---- the build context ---- */

static int copy_context(struct open_mounts *open, size_t index, struct err *err)
{
	struct step *step = open->step;
	const struct step_mount *mount = &step->mounts[index];
	struct source source = tree_source(mount->tree);
	const struct copy_options options = { .clamp = INT64_MAX };
	scope_fd int dir_fd = named_dir(step, "copy", index, err);
	const struct root root = { dir_fd, ROOT_CHROOT };
	struct copy_plan plan = mount->plan;
	plan.dest = "/shown";
	if (dir_fd < 0 || copy_run(&source, &plan, &root, &options, err) < 0)
		return -1;
	open->items[index].source_fd = root_open(&root, "shown", O_PATH, 0, err);
	return open->items[index].source_fd < 0 ? -1 : 0;
}

/* What must not be seen is hidden, and what is written goes, into layers above. 0: done; 1: nothing is in the way of showing
   the directory itself. */
static int cover_context(struct open_mounts *open, size_t index, int dir_fd, struct err *err)
{
	struct step *step = open->step;
	const struct step_mount *mount = &step->mounts[index];
	struct open_mount *item = &open->items[index];
	struct source source = tree_source(mount->tree);
	size_t hidden;
	scope_fd int hide_fd = named_dir(step, "hide", index, err);
	if (hide_fd < 0 || context_hide(&source, mount->plan.items[0].path, hide_fd, &hidden, err) < 0)
		return -1;
	if (hidden == 0 && !is_writable(mount))
		return 1;
	scope_fd int work_fd = named_dir(step, "over", index, err);
	const int lowers[] = { hide_fd, dir_fd };
	const struct view_spec spec = {
		.kind = VIEW_OVERLAY,
		.work_fd = work_fd,
		.lowers = hidden ? lowers : lowers + 1,
		.lower_count = hidden ? 2 : 1,
		.read_only = !is_writable(mount),
		.session_fd = -1,
	};
	if (work_fd < 0 || view_open(&item->view, &spec, err) < 0)
		return -1;
	item->source_fd = fcntl(item->view.root_fd, F_DUPFD_CLOEXEC, 3);
	item->is_in_tree = item->view.is_mount;
	add_tree(open, &item->view);
	return item->source_fd < 0 ? err_errno(err, "duplicate a file") : 0;
}

static int show_context_dir(struct open_mounts *open, size_t index, struct err *err)
{
	struct step *step = open->step;
	const struct step_mount *mount = &step->mounts[index];
	const struct root root = { mount->tree->fd, ROOT_CHROOT };
	struct err reason;
	scope_fd int dir_fd = root_open(&root, mount->plan.items[0].path, O_RDONLY | O_DIRECTORY, 0, err);
	if (dir_fd < 0)
		return -1;
	int covered = step->build->view == VIEW_OVERLAY ? cover_context(open, index, dir_fd, &reason) : -1;
	if (covered == 1)
		open->items[index].source_fd = take_fd(&dir_fd);
	if (covered >= 0)
		return 0;
	if (step->build->view == VIEW_OVERLAY)
		log_debug("the context on %s is copied: %s", mount->target, reason.msg);
	return copy_context(open, index, err);
}

static int show_context(struct open_mounts *open, size_t index, struct err *err)
{
	const struct step_mount *mount = &open->step->mounts[index];
	const struct copy_item *item = &mount->plan.items[0];
	const struct root root = { mount->tree->fd, ROOT_CHROOT };
	if (S_ISDIR(item->st.st_mode))
		return show_context_dir(open, index, err);
	if (!S_ISREG(item->st.st_mode) || is_writable(mount))
		return copy_context(open, index, err);
	open->items[index].source_fd = root_open(&root, item->path, O_PATH, 0, err);
	return open->items[index].source_fd < 0 ? -1 : 0;
}

/* ---- bind ---- */

static int open_bind(struct open_mounts *open, size_t index, struct err *err)
{
	const struct step_mount *mount = &open->step->mounts[index];
	struct open_mount *item = &open->items[index];
	if (mount->tree)
		return show_context(open, index, err);
	if (mount->is_scratch) {
		item->source_fd = named_dir(open->step, "empty", index, err);
		return item->source_fd < 0 ? -1 : 0;
	}
	const struct root root = { item->root_fd, ROOT_CHROOT };
	item->source_fd = root_open(&root, mount->source, O_PATH, 0, err);
	return item->source_fd < 0 ? -1 : 0;
}

/* ---- secrets ---- */

static const struct build_secret *find_secret(const struct step *step, const char *id)
{
	const struct build_spec *spec = step->build->spec;
	for (size_t i = spec->secret_count; i > 0; i--)
		if (strcmp(spec->secrets[i - 1].id, id) == 0)
			return &spec->secrets[i - 1];
	return NULL;
}

static int check_variable(const struct step_mount *mount, const struct build_secret *secret, struct err *err)
{
	if (!*mount->env || strchr(mount->env, '='))
		return err_set(err, ERR_INPUT, "\"%s\" is no name of a variable", mount->env);
	if (memchr(secret->bytes, '\0', secret->len))
		return err_set(err, ERR_INPUT, "secret %s: it holds a NUL, which no variable can", mount->id);
	return 0;
}

static int open_secret(struct open_mounts *open, size_t index, struct err *err)
{
	const struct step_mount *mount = &open->step->mounts[index];
	const struct build_secret *secret = find_secret(open->step, mount->id);
	if (!secret && mount->options.is_required)
		return err_set(err, ERR_INPUT, "secret %s: not found: give it with --secret id=%s", mount->id,
			       mount->id);
	open->items[index].secret = secret;
	return secret && mount->env ? check_variable(mount, secret, err) : 0;
}

/* ---- ssh ---- */

static int open_agent(struct open_mounts *open, size_t index, struct err *err)
{
	const struct step_mount *mount = &open->step->mounts[index];
	const struct build_spec *spec = open->step->build->spec;
	struct open_mount *item = &open->items[index];
	const struct build_ssh *agent = NULL;
	for (size_t i = 0; i < spec->ssh_count; i++)
		if (strcmp(spec->ssh[i].id, mount->id) == 0)
			agent = &spec->ssh[i];
	if (!agent && mount->options.is_required)
		return err_set(err, ERR_INPUT, "no SSH key \"%s\" forwarded from the client: give it with --ssh %s",
			       mount->id, mount->id);
	if (!agent)
		return 0;
	const struct agent_spec socket = {
		.agent = agent->path,
		.mode = mount->options.has_mode ? mount->options.mode & 0777 : 0600,
		.uid = mount->options.uid,
		.gid = mount->options.gid,
	};
	scope_fd int dir_fd = named_dir(open->step, "ssh", index, err);
	if (dir_fd < 0)
		return -1;
	item->source_fd = agent_start(&item->agent, &socket, dir_fd, err);
	return item->source_fd < 0 ? -1 : 0;
}

/* ---- all ---- */

static int open_tmpfs(struct open_mounts *open, size_t index, struct err *err)
{
	(void)open, (void)index, (void)err;
	return 0;
}

static int open_cache(struct open_mounts *open, size_t index, struct err *err)
{
	(void)open, (void)index, (void)err;
	return 0; /* all at once, in the order of their ids */
}

static int (*const openers[])(struct open_mounts *open, size_t index, struct err *err) = {
	[RUN_MOUNT_BIND] = open_bind,     [RUN_MOUNT_CACHE] = open_cache, [RUN_MOUNT_TMPFS] = open_tmpfs,
	[RUN_MOUNT_SECRET] = open_secret, [RUN_MOUNT_SSH] = open_agent,
};

int mounts_open(struct open_mounts *open, struct step *step, struct copy_report *report, struct err *err)
{
	*open = (struct open_mounts){ .step = step };
	open->items = arena_array(step->build->arena, struct open_mount, step->mount_count + 1);
	for (size_t i = 0; i < step->mount_count; i++)
		open->items[i] = (struct open_mount){ .view = VIEW_EMPTY,
						      .cache = STORE_MOUNT_EMPTY,
						      .agent = PROC_EMPTY,
						      .root_fd = -1,
						      .source_fd = -1 };
	int found = open_origins(open, report, err);
	if (found != 0)
		return found < 0 ? -1 : 0;
	if (open_caches(open, err) < 0)
		return -1;
	for (size_t i = 0; i < step->mount_count; i++)
		if (openers[step->mounts[i].options.type](open, i, err) < 0)
			return fail_mount(&step->mounts[i], err);
	return 0;
}

/* Whether it is there at all: a secret that was not given is not. */
static bool take_cage_mount(const struct step_mount *mount, const struct open_mount *item, struct cage_mount *out)
{
	const struct run_mount *options = &mount->options;
	*out = (struct cage_mount){
		.type = CAGE_BIND,
		.source_fd = item->source_fd,
		.is_in_tree = item->is_in_tree,
		.target = mount->target,
		.read_only = options->is_read_only,
	};
	switch (options->type) {
	case RUN_MOUNT_BIND:
	case RUN_MOUNT_SSH:
		break;
	case RUN_MOUNT_CACHE:
		out->is_in_tree = false;
		break;
	case RUN_MOUNT_TMPFS:
		out->type = CAGE_TMPFS;
		out->size = options->size_bytes;
		break;
	case RUN_MOUNT_SECRET:
		out->type = CAGE_SECRET;
		out->bytes = item->secret ? item->secret->bytes : NULL;
		out->len = item->secret ? item->secret->len : 0;
		out->mode = options->has_mode ? options->mode : 0400;
		out->uid = options->uid;
		out->gid = options->gid;
		break;
	}
	return mount->target && (out->type == CAGE_TMPFS || item->secret || item->source_fd >= 0);
}

void mounts_list(const struct open_mounts *open, struct cage_mount *mounts, size_t *count)
{
	for (size_t i = 0; i < open->step->mount_count; i++)
		*count += take_cage_mount(&open->step->mounts[i], &open->items[i], &mounts[*count]);
}

const struct build_secret *mounts_variable(const struct open_mounts *open, const char *name)
{
	for (size_t i = open->step->mount_count; i > 0; i--)
		if (text_equal(open->step->mounts[i - 1].env, name) && open->items[i - 1].secret)
			return open->items[i - 1].secret;
	return NULL;
}

static const char *agent_target(const struct open_mounts *open)
{
	const struct step_mount *first = NULL;
	for (size_t i = 0; i < open->step->mount_count; i++) {
		const struct step_mount *mount = &open->step->mounts[i];
		if (mount->options.type == RUN_MOUNT_SSH && (!first || mount->rank < first->rank))
			first = mount;
	}
	return first ? first->target : NULL;
}

void mounts_add_variables(const struct open_mounts *open, struct strvec *envp)
{
	const char *socket = agent_target(open);
	for (size_t i = 0; i < open->step->mount_count; i++) {
		const char *name = open->step->mounts[i].env;
		const struct build_secret *secret = open->items[i].secret;
		if (name && secret && mounts_variable(open, name) == secret)
			strvec_pushf(envp, "%s=%.*s", name, (int)secret->len, (const char *)secret->bytes);
	}
	if (socket && !env_get(&open->step->stage->env, "SSH_AUTH_SOCK") && !mounts_variable(open, "SSH_AUTH_SOCK"))
		strvec_pushf(envp, "SSH_AUTH_SOCK=%s", socket);
}

/* A key speaks of the context's files as they were when it was made. */
int mounts_check_unchanged(const struct open_mounts *open, bool *is_unchanged, struct err *err)
{
	*is_unchanged = true;
	for (size_t i = 0; i < open->step->mount_count; i++) {
		const struct step_mount *mount = &open->step->mounts[i];
		struct digest now;
		if (!mount->tree)
			continue;
		struct source source = tree_source(mount->tree);
		if (copy_digest(&source, &mount->plan, &now, NULL, NULL, err) < 0)
			log_debug("the context on %s: %s", mount->target, err->msg);
		else if (digest_equal(&now, &mount->content))
			continue;
		*is_unchanged = false;
	}
	return 0;
}

void mounts_close(struct open_mounts *open)
{
	for (size_t i = 0; open->step && i < open->step->mount_count; i++) {
		struct open_mount *item = &open->items[i];
		proc_kill(&item->agent);
		scope_close_fd(&item->source_fd);
		view_release(&item->view);
		store_mount_close(&item->cache);
	}
	*open = (struct open_mounts){ 0 };
}
