/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"
#include "kiln/base/owner.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* WORKDIR: makes the directory in a layer of its own (an empty one if it was there), owned by the USER, whom BuildKit
   reads as it reads --chown: `USER 1000` gives 1000:1000, an unknown name root. */

static int own_new_dir(void *arg, int dir_fd, struct err *err)
{
	const struct owner *owner = arg;
	if (owner_set(dir_fd, owner->uid, owner->gid) < 0)
		return err_errno(err, "chown to %u:%u", owner->uid, owner->gid);
	return 0;
}

static int workdir_job(int channel, void *arg, struct err *err)
{
	(void)channel;
	struct step *step = arg;
	scope_view struct view view = VIEW_EMPTY;
	if (step_open_view(step, &view, err) < 0)
		return -1;
	struct root root = { view.root_fd, ROOT_CHROOT };
	const char *user = step->stage->config->user;
	struct owner owner = { 0, 0 };
	if (user && *user && chown_resolve(&root, user, &owner.uid, &owner.gid, err) < 0)
		return -1;
	scope_fd int fd = root_make_dirs(&root, step->dir, 0755, own_new_dir, &owner, err);
	if (fd < 0)
		return err_wrap(err, "make %s", step->dir);
	close(take_fd(&fd));
	return step_finish_view(step, &view, err);
}

enum step_ready step_workdir_prepare(struct build *build, struct step *step, struct err *err)
{
	struct stage_run *stage = step->stage;
	char *path = stage_expand(build, stage, step->instruction->words[0], err);
	if (!path)
		return STEP_FAILED;
	step->dir = path_go_clean(build->arena, stage_workdir_join(build->arena, stage, *path ? path : "."));
	stage->config->working_dir = step->dir;
	step->history = arena_printf(build->arena, "WORKDIR %s", step->dir);
	if (strcmp(step->dir, "/") == 0)
		return STEP_HAS_NO_LAYER;
	step->run = workdir_job;
	inputs_add(build->arena, &step->inputs, "instruction", "WORKDIR");
	inputs_add(build->arena, &step->inputs, "directory", step->dir);
	inputs_add(build->arena, &step->inputs, "user", stage->config->user);
	return STEP_READY;
}
