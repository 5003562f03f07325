/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* WORKDIR: makes the directory, owned by the USER, in a layer of its own (an empty one if it was there). */

struct made_dir {
	uint32_t uid, gid;
	int64_t clamp;
};

static int own_new_dir(void *arg, int dir_fd, struct err *err)
{
	const struct made_dir *made = arg;
	if (fchownat(dir_fd, "", made->uid, made->gid, AT_EMPTY_PATH) < 0)
		return err_errno(err, "chown to %u:%u", made->uid, made->gid);
	return 0;
}

static int workdir_job(int channel, void *arg, struct err *err)
{
	(void)channel;
	struct step *step = arg;
	scope_view struct view view = VIEW_EMPTY;
	if (step_open_view(step, &view, err) < 0)
		return -1;
	scope_arena struct arena arena = { 0 };
	struct root root = { view.root_fd, ROOT_CHROOT };
	struct user user;
	if (user_resolve(&arena, &root, step->stage->config->user ? step->stage->config->user : "", &user, err) < 0)
		return -1;
	struct made_dir made = { user.uid, user.gid, step->build->clamp };
	scope_fd int fd = root_make_dirs(&root, step->dir, 0755, own_new_dir, &made, err);
	if (fd < 0)
		return err_wrap(err, "make %s", step->dir);
	close(take_fd(&fd));
	return step_finish_view(step, &view, err);
}

int step_workdir_prepare(struct build *build, struct step *step, struct err *err)
{
	struct stage_run *stage = step->stage;
	char *path = stage_expand(build, stage, step->instruction->words[0], err);
	if (!path)
		return -1;
	step->dir = path_go_clean(build->arena, stage_workdir_join(build->arena, stage, *path ? path : "."));
	stage->config->working_dir = step->dir;
	step->history = arena_printf(build->arena, "WORKDIR %s", step->dir);
	step->run = workdir_job;
	inputs_add(build->arena, &step->inputs, "instruction", "WORKDIR");
	inputs_add(build->arena, &step->inputs, "directory", step->dir);
	inputs_add(build->arena, &step->inputs, "user", stage->config->user);
	return 0;
}
