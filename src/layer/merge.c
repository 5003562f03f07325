/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/scope.h"
#include "kiln/layer/tree.h"

#include "shown.h"

/* Squashing. What the uppers show is copied; what they hide of the lowers is found by looking for each name of the
   lowers in the whole stack, in the directories that were copied: in others nothing can have been removed. */

struct pair {
	const struct stack_dir *below, *whole;
};

static int mark_dir(const struct pair *pair, int to_fd, bool *has_files, struct err *err);

static int mark_child(const struct pair *pair, int to_fd, const char *name, bool *has_files, struct err *err)
{
	bool missing;
	scope_fd int fd = openat(to_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(err, "open %s", SHOWN(name));
	scope_stack struct stack_dir *below = stack_child(pair->below, name, &missing, err);
	if (!below)
		return missing ? 0 : -1;
	scope_stack struct stack_dir *whole = stack_child(pair->whole, name, &missing, err);
	if (!whole)
		return missing ? 0 : -1;
	return mark_dir(&(struct pair){ below, whole }, fd, has_files, err);
}

/* The time of a directory is the image's, not that of our marks in it. */
static int make_mark(int to_fd, const char *name, bool *has_files, struct err *err)
{
	struct stat st;

	if (fstat(to_fd, &st) < 0)
		return err_errno(err, "stat a directory");
	const struct timespec times[2] = { st.st_atim, st.st_mtim };
	if (layer_make_whiteout(to_fd, name, has_files, err) < 0)
		return -1;
	return futimens(to_fd, times) < 0 ? err_errno(err, "set the time of a directory") : 0;
}

static int mark_dir(const struct pair *pair, int to_fd, bool *has_files, struct err *err)
{
	scope_strvec struct strvec names = { 0 };
	struct stat st;
	int holder;

	if (stack_list(pair->below, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.items[i];
		int found = stack_find(pair->whole, name, &holder, &st, err);
		if (found < 0)
			return -1;
		if (found == 0 && make_mark(to_fd, name, has_files, err) < 0)
			return -1;
		if (found == 1 && S_ISDIR(st.st_mode) && mark_child(pair, to_fd, name, has_files, err) < 0)
			return -1;
	}
	return 0;
}

static int mark_removed(const int *whole, size_t whole_count, const int *lowers, size_t lower_count, int to_fd,
			struct err *err)
{
	bool has_files = false;
	scope_stack struct stack_dir *below = stack_open(lowers, lower_count, err);
	scope_stack struct stack_dir *all = below ? stack_open(whole, whole_count, err) : NULL;

	if (!all || mark_dir(&(struct pair){ below, all }, to_fd, &has_files, err) < 0)
		return -1;
	return has_files ? layer_note_file_marks(to_fd, err) : 0;
}

int layer_merge(const int *uppers, size_t upper_count, const int *lowers, size_t lower_count, int to_fd,
		struct err *err)
{
	if (layer_copy_stack(uppers, upper_count, to_fd, err) < 0)
		return -1;
	scope_free int *whole = calloc(upper_count + lower_count + 1, sizeof(*whole));
	if (!whole)
		abort();
	for (size_t i = 0; i < upper_count; i++)
		whole[i] = uppers[i];
	for (size_t i = 0; i < lower_count; i++)
		whole[upper_count + i] = lowers[i];
	return mark_removed(whole, upper_count + lower_count, lowers, lower_count, to_fd, err);
}
