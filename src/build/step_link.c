/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"
#include "kiln/base/owner.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * COPY --link and ADD --link: the files go onto an empty directory, which then is a layer on top of whatever there is. So
 * links in the destination are not followed, what is made on the way is root's and 0755 even where the stage has it
 * otherwise, and the layer is the same on another base: its key does not speak of what lies below.
 */

/* Names are looked up in the stage, and then the layer depends on it. */
static bool is_number_pair(const char *owner)
{
	return owner[strspn(owner, "0123456789:")] == '\0';
}

/* With --chmod there is no link: BuildKit's dispatchCopy (trap 53). */
void step_copy_take_link(struct step *step)
{
	step->is_link = instruction_flag_is_set(step->instruction, "link") && !step->chmod;
	step->is_link_owned = step->is_link && step->chown && !is_number_pair(step->chown);
	if (step->is_link)
		inputs_add(step->build->arena, &step->inputs, "link", "true");
}

/* The root directory itself is no entry of a layer: it keeps the owner and mode that it has. */
static int take_root_attributes(const struct stage_run *stage, int upper_fd, struct err *err)
{
	struct stat st;
	if (!stage->layer_count)
		return 0;
	int below_fd = stage->layers[stage->layer_count - 1]->tree_fd;
	if (fstat(below_fd, &st) < 0 || owner_fill(below_fd, &st) < 0 ||
	    owner_set(upper_fd, st.st_uid, st.st_gid) < 0 || fchmod(upper_fd, st.st_mode & 07777) < 0)
		return err_errno(err, "give the new layer its root");
	return 0;
}

static int copy_owned(struct step *step, const struct source *source, const struct root *dest, copy_onto_fn *copy_onto,
		      struct err *err)
{
	size_t count;
	const int *lowers = stage_lowers(step->build, step->stage, &count);
	scope_fd int work = file_make_dir(step->work.fd, "users", 0700, err);
	if (work < 0)
		return -1;
	const struct view_spec spec = {
		.kind = step->build->view,
		.work_fd = work,
		.lowers = lowers,
		.lower_count = count,
		.read_only = true,
		.session_fd = -1,
	};
	scope_view struct view view = VIEW_EMPTY;
	if (view_open(&view, &spec, err) < 0)
		return -1;
	struct root users = { view.root_fd, ROOT_CHROOT };
	return copy_onto(step, source, dest, &users, err);
}

int step_copy_link(struct step *step, const struct source *source, copy_onto_fn *copy_onto, struct err *err)
{
	scope_fd int upper = file_make_dir(step->work.fd, "upper", 0755, err);
	if (upper < 0 || take_root_attributes(step->stage, upper, err) < 0)
		return -1;
	struct root dest = { upper, ROOT_CHROOT };
	int copied = step->is_link_owned ? copy_owned(step, source, &dest, copy_onto, err)
					 : copy_onto(step, source, &dest, &dest, err);
	return copied < 0 ? -1 : layer_tree_settle(upper, step->build->clamp, err);
}
