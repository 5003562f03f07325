/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_BASE_SCOPE_H
#define KILN_BASE_SCOPE_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Owners that end with their block. Every release accepts the empty value (-1, NULL) and keeps errno, so a scoped
 * variable is always initialised where it is declared:
 *
 *	scope_fd int fd = root_open(root, "etc/passwd", O_RDONLY, 0, err);
 *	if (fd < 0)
 *		return -1;
 *	...
 *	return take_fd(&fd);        gives it away
 */

static inline void scope_close_fd(const int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void scope_free_ptr(void *p)
{
	int saved = errno;
	free(*(void **)p);
	errno = saved;
}

static inline void scope_close_dir(DIR **dir)
{
	int saved = errno;
	if (*dir)
		closedir(*dir);
	errno = saved;
}

static inline void scope_close_file(FILE **file)
{
	int saved = errno;
	if (*file)
		fclose(*file);
	errno = saved;
}

#define scope_fd   __attribute__((cleanup(scope_close_fd)))
#define scope_free __attribute__((cleanup(scope_free_ptr)))
#define scope_dir  __attribute__((cleanup(scope_close_dir)))
#define scope_file __attribute__((cleanup(scope_close_file)))

static inline int take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

#define take_ptr(p)                             \
	(__extension__({                        \
		__typeof__(p) taken_ptr_ = (p); \
		(p) = NULL;                     \
		taken_ptr_;                     \
	}))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
