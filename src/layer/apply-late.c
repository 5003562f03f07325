/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/scope.h"

#include "applier.h"
#include "shown.h"

/* A directory's time changes with what is made in it, and its mode may forbid us to make it. So both come last. */

static struct late_dir *late_push(struct applier *applier)
{
	if (applier->late_count == applier->late_room) {
		applier->late_room = applier->late_room ? applier->late_room * 2 : 64;
		applier->late = reallocarray(applier->late, applier->late_room, sizeof(*applier->late));
		if (!applier->late)
			abort();
	}
	struct late_dir *late = &applier->late[applier->late_count++];
	*late = (struct late_dir){ 0 };
	return late;
}

/* The last entry of a directory wins, by whatever path it came. */
void applier_set_late(struct applier *applier, const struct stat *st, const char *path, mode_t mode, int64_t mtime)
{
	struct link_inode *known = links_find(&applier->late_index, st);
	struct late_dir *late;

	if (known) {
		late = &applier->late[known->value];
	} else {
		late = late_push(applier);
		links_add(&applier->late_index, st)->value = applier->late_count - 1;
	}
	free(late->path);
	late->path = strdup(path);
	if (!late->path)
		abort();
	late->mode = mode & 07777;
	late->mtime = mtime;
}

static int finish_dir(struct applier *applier, size_t place, struct err *err)
{
	const struct late_dir *late = &applier->late[place];
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = late->mtime } };
	struct stat st;
	struct err cause;
	scope_fd int fd = root_open(&applier->root, late->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &cause);

	/* A later entry may have replaced it. */
	if (fd < 0 && (err_is_errno(&cause, ENOENT) || err_is_errno(&cause, ENOTDIR) || err_is_errno(&cause, ELOOP)))
		return 0;
	if (fd < 0)
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	if (fstat(fd, &st) < 0)
		return err_errno(err, "stat %s", SHOWN(late->path));
	const struct link_inode *now = links_find(&applier->late_index, &st);
	if (!now || now->value != place)
		return 0;
	if ((st.st_mode & 07777) != late->mode && fchmod(fd, late->mode) < 0)
		return err_errno(err, "set the mode of %s", SHOWN(late->path));
	if (futimens(fd, times) < 0)
		return err_errno(err, "set the time of %s", SHOWN(late->path));
	return 0;
}

/* From the last to the first, since a directory comes before what is in it, and its mode may shut us out. */
int applier_finish_late(struct applier *applier, struct err *err)
{
	for (size_t i = applier->late_count; i-- > 0;)
		if (finish_dir(applier, i, err) < 0)
			return -1;
	return 0;
}
