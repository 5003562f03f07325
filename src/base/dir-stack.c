/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dir-stack.h"
#include "kiln/base/scope.h"

/* Trees of real images are less deep; a deeper one costs one more open per level on the way up. */
#define OPEN_MAX_LEVELS 32

struct dir_level *dir_stack_top(const struct dir_stack *stack)
{
	return stack->count ? &stack->levels[stack->count - 1] : NULL;
}

int dir_stack_fd(const struct dir_stack *stack)
{
	return stack->count ? dirfd(stack->levels[stack->count - 1].dir) : stack->base_fd;
}

static void close_level(struct dir_level *level)
{
	if (level->dir)
		closedir(level->dir);
	level->dir = NULL;
}

void dir_stack_release(struct dir_stack *stack)
{
	int saved = errno;

	for (size_t i = 0; i < stack->count; i++) {
		close_level(&stack->levels[i]);
		strvec_release(&stack->levels[i].children);
		free(stack->levels[i].name);
	}
	free(stack->levels);
	*stack = (struct dir_stack){ .base_fd = -1 };
	errno = saved;
}

static int open_dir(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* A directory that not even its owner may list (overlay's work directory has mode 000) or change. */
static int open_child(int dir_fd, const char *name, bool grants)
{
	int fd = open_dir(dir_fd, name);

	if (fd < 0 && errno == EACCES && grants) {
		if (fchmodat(dir_fd, name, 0700, AT_SYMLINK_NOFOLLOW) < 0)
			errno = EACCES;
		else
			fd = open_dir(dir_fd, name);
	}
	return fd;
}

static int stat_level(int fd, struct statx *st)
{
	return statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE | STATX_INO, st);
}

/* Also true for a bind mount of the same file system, whose st_dev tells nothing. */
static bool is_mount(const struct statx *st)
{
	return st->stx_attributes_mask & st->stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

static struct dir_level *add_level(struct dir_stack *stack)
{
	if (stack->count == stack->cap) {
		size_t cap = stack->cap ? stack->cap * 2 : 16;
		struct dir_level *levels = reallocarray(stack->levels, cap, sizeof(*levels));
		if (!levels)
			abort();
		stack->levels = levels;
		stack->cap = cap;
	}
	if (stack->count >= OPEN_MAX_LEVELS)
		close_level(&stack->levels[stack->count - OPEN_MAX_LEVELS]);
	return &stack->levels[stack->count++];
}

enum dir_push dir_stack_push(struct dir_stack *stack, const char *name, bool grants, struct err *err)
{
	scope_fd int fd = open_child(dir_stack_fd(stack), name, grants);
	struct statx st;

	if (fd < 0 && errno == ENOENT)
		return DIR_GONE;
	if (fd < 0 && errno == EACCES && !grants)
		return DIR_UNREADABLE;
	if (fd < 0 || stat_level(fd, &st) < 0)
		return err_errno(err, "open directory %s", name), DIR_FAILED;
	if (is_mount(&st))
		return DIR_MOUNT;
	/* If this is not allowed, the first removal inside fails and says so better. */
	if (grants && (st.stx_mode & 0700) != 0700)
		(void)fchmod(fd, 0700);

	DIR *dir = fdopendir(fd);
	char *copy = strdup(name);
	if (!dir || !copy)
		abort();
	take_fd(&fd);
	*add_level(stack) = (struct dir_level){ .dir = dir,
						.dev_major = st.stx_dev_major,
						.dev_minor = st.stx_dev_minor,
						.ino = st.stx_ino,
						.name = copy };
	return DIR_ENTERED;
}

/* Opens the level above the lowest again. Only if it is the directory that was left: the tree may have been moved
   meanwhile, and ".." then leads to a place that is none of ours. */
static int reopen_above(struct dir_stack *stack, struct err *err)
{
	struct dir_level *above = &stack->levels[stack->count - 2];
	scope_fd int fd = open_dir(dir_stack_fd(stack), "..");
	struct statx st;

	if (fd < 0 || stat_level(fd, &st) < 0)
		return err_errno(err, "open directory %s", above->name);
	if (st.stx_ino != above->ino || st.stx_dev_major != above->dev_major || st.stx_dev_minor != above->dev_minor)
		return err_set(err, ERR_SYSTEM, "directory %s was moved while kiln walked it", above->name);
	above->dir = fdopendir(fd);
	if (!above->dir)
		abort();
	take_fd(&fd);
	return 0;
}

int dir_stack_pop(struct dir_stack *stack, struct err *err)
{
	struct dir_level *top = &stack->levels[stack->count - 1];

	if (stack->count > 1 && !top[-1].dir && reopen_above(stack, err) < 0)
		return -1;
	close_level(top);
	strvec_release(&top->children);
	free(top->name);
	stack->count--;
	return 0;
}
