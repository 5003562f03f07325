/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/context/context.h"
#include "kiln/base/file.h"
#include "kiln/base/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { IGNORE_MAX = 1 << 20 };

/* Beside the Dockerfile, which the user named: his own view of the file system. 1 if there is one. */
static int read_beside(struct arena *arena, const char *dockerfile_path, struct strbuf *text, struct err *err)
{
	const char *path = arena_printf(arena, "%s.dockerignore", dockerfile_path);
	struct err missing;
	scope_fd int fd = file_open_user(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &missing);
	struct stat st;
	if (fd < 0)
		return err_is_errno(&missing, ENOENT) || err_is_errno(&missing, ENOTDIR) ? 0 : (*err = missing, -1);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT, "%s is not a file", path);
	return file_read_fd(fd, IGNORE_MAX, text, path, err) < 0 ? -1 : 1;
}

static int read_in_context(int context_fd, struct strbuf *text, struct err *err)
{
	struct root root = { context_fd, ROOT_CHROOT };
	struct err missing;
	scope_fd int fd = root_open_regular(&root, ".dockerignore", &missing);
	if (fd < 0)
		return err_is_errno(&missing, ENOENT) ? 0 : (*err = missing, -1);
	return file_read_fd(fd, IGNORE_MAX, text, ".dockerignore", err);
}

int context_open(struct arena *arena, const char *path, const char *dockerfile_path, struct ignore **ignore,
		 struct err *err)
{
	scope_fd int fd = file_open_user(path, O_RDONLY | O_DIRECTORY, 0, err);
	if (fd < 0)
		return err_wrap(err, "the build context");
	scope_strbuf struct strbuf text = { 0 };
	int beside = dockerfile_path ? read_beside(arena, dockerfile_path, &text, err) : 0;
	if (beside < 0 || (beside == 0 && read_in_context(fd, &text, err) < 0))
		return -1;
	*ignore = ignore_parse(arena, text.ptr, text.len, err);
	if (!*ignore)
		return err_wrap(err, ".dockerignore");
	return take_fd(&fd);
}
