/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dir-stack.h"
#include "kiln/base/file.h"
#include "kiln/base/scope.h"

/* A directory that is full again after this many readings is being filled by somebody else. */
#define RESCANS_MAX 8

#define scope_dir_stack __attribute__((cleanup(dir_stack_release)))

static bool is_dot_or_dotdot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* The next name of the lowest level; NULL at its end, with errno 0, or when it cannot be read. A directory that somebody
   else has removed meanwhile has no names. */
static struct dirent *next_entry(const struct dir_stack *stack)
{
	struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(dir_stack_top(stack)->dir);
	} while (entry && is_dot_or_dotdot(entry->d_name));
	if (!entry && errno == ENOENT)
		errno = 0;
	return entry;
}

/* The place in the tree for a message: its last levels are enough. */
static int fail_at(const struct dir_stack *stack, const char *verb, const char *name, struct err *err)
{
	int saved = errno;
	char shown[256], above[256];
	const struct dir_level *top = dir_stack_top(stack);

	err_printable(shown, sizeof(shown), name);
	err_printable(above, sizeof(above), top ? top->name : "");
	errno = saved;
	return err_errno(err, "%s %s%s%s", verb, above, top ? "/" : "", shown);
}

static int remove_name(struct dir_stack *stack, const char *name, bool may_be_file, struct err *err)
{
	if (may_be_file) {
		if (unlinkat(dir_stack_fd(stack), name, 0) == 0 || errno == ENOENT)
			return 0;
		if (errno != EISDIR)
			return fail_at(stack, "remove", name, err);
	}
	switch (dir_stack_push(stack, name, true, err)) {
	case DIR_FAILED:
	case DIR_UNREADABLE:
		return -1;
	case DIR_MOUNT:
		errno = EBUSY;
		return fail_at(stack, "remove the mount point", name, err);
	case DIR_ENTERED:
	case DIR_GONE:
		break;
	}
	return 0;
}

/* The lowest level is read to its end: removes it. POSIX lets readdir miss names in a directory that shrinks under it,
   and a level that was closed starts again, so a level that is not empty is read once more. */
static int remove_level(struct dir_stack *stack, struct err *err)
{
	scope_free char *name = strdup(dir_stack_top(stack)->name);
	unsigned int rescans = dir_stack_top(stack)->rescans;

	if (!name)
		abort();
	if (dir_stack_pop(stack, err) < 0)
		return -1;
	if (unlinkat(dir_stack_fd(stack), name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if ((errno != ENOTEMPTY && errno != EEXIST) || rescans >= RESCANS_MAX)
		return fail_at(stack, "remove", name, err);
	if (remove_name(stack, name, false, err) < 0)
		return -1;
	dir_stack_top(stack)->rescans = rescans + 1;
	return 0;
}

int file_remove_tree(int dir_fd, const char *name, struct err *err)
{
	scope_dir_stack struct dir_stack stack = { .base_fd = dir_fd };

	if (remove_name(&stack, name, true, err) < 0)
		return -1;
	while (dir_stack_top(&stack)) {
		const struct dirent *entry = next_entry(&stack);
		if (!entry && errno)
			return fail_at(&stack, "read", ".", err);
		int result = entry ? remove_name(&stack, entry->d_name, entry->d_type != DT_DIR, err)
				   : remove_level(&stack, err);
		if (result < 0)
			return -1;
	}
	return 0;
}

static int add_entry(const struct dir_stack *stack, const char *name, int64_t *bytes, bool *is_dir, struct err *err)
{
	struct stat st;

	*is_dir = false;
	if (fstatat(dir_stack_fd(stack), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail_at(stack, "stat", name, err);
	*bytes += (int64_t)st.st_blocks * 512;
	*is_dir = S_ISDIR(st.st_mode);
	return 0;
}

/* A level is read whole at once: its position would not survive being closed. Directories are remembered by name. */
static int add_level(const struct dir_stack *stack, int64_t *bytes, struct err *err)
{
	const struct dirent *entry;

	while ((entry = next_entry(stack))) {
		bool is_dir;
		if (add_entry(stack, entry->d_name, bytes, &is_dir, err) < 0)
			return -1;
		if (is_dir)
			strvec_push(&dir_stack_top(stack)->children, entry->d_name);
	}
	return errno ? fail_at(stack, "read", ".", err) : 0;
}

static int enter(struct dir_stack *stack, const char *name, int64_t *bytes, struct err *err)
{
	enum dir_push pushed = dir_stack_push(stack, name, false, err);

	if (pushed == DIR_FAILED)
		return -1;
	return pushed == DIR_ENTERED ? add_level(stack, bytes, err) : 0;
}

int file_tree_usage(int dir_fd, const char *name, int64_t *bytes, struct err *err)
{
	scope_dir_stack struct dir_stack stack = { .base_fd = dir_fd };
	struct dir_level *top;
	int64_t total = 0;
	bool is_dir;

	if (add_entry(&stack, name, &total, &is_dir, err) < 0)
		return -1;
	if (is_dir && enter(&stack, name, &total, err) < 0)
		return -1;
	while ((top = dir_stack_top(&stack))) {
		if (top->children.count == 0) {
			if (dir_stack_pop(&stack, err) < 0)
				return -1;
			continue;
		}
		scope_free char *child = top->children.items[--top->children.count];
		if (enter(&stack, child, &total, err) < 0)
			return -1;
	}
	*bytes = total;
	return 0;
}
