/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_BASE_FILE_H
#define KILN_BASE_FILE_H

#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* Whole files, files that appear whole, and trees that go away. Directory fds everywhere; names are single components
   or paths that kiln itself made. */

/* Reads all of fd into buf; more than limit bytes is ERR_INPUT "NAME is larger than N bytes". name is for messages. */
int file_read_fd(int fd, size_t limit, struct strbuf *buf, const char *name, struct err *err) MUST_CHECK;
/* Opens dir_fd/path (O_RDONLY|O_CLOEXEC) and reads it. dir_fd may be AT_FDCWD for paths that the user gave. */
int file_read(int dir_fd, const char *path, size_t limit, struct strbuf *buf, struct err *err) MUST_CHECK;

int file_write_fd(int fd, const void *bytes, size_t len, const char *name, struct err *err) MUST_CHECK;

/* Opens for reading or writing a path that the *user* named on the command line (the caller's own view of the file
   system). O_CLOEXEC is added. */
int file_open_user(const char *path, int flags, mode_t mode, struct err *err) MUST_CHECK;

/* mkdirat + openat(O_DIRECTORY|O_NOFOLLOW): an existing directory is fine. Returns an fd. */
int file_make_dir(int dir_fd, const char *name, mode_t mode, struct err *err) MUST_CHECK;

/*
 * A file that appears whole: created nameless or under a temporary name (".tmp-" and 16 hexadecimal digits: what a
 * killed process may leave) in dir_fd, with exactly this mode, written, then published by one rename over (or link to)
 * name. Released without being published, it leaves nothing.
 *
 *	struct new_file file = NEW_FILE_EMPTY;   (with scope_new_file)
 *	new_file_create(&file, dir_fd, 0644, err) ; write to file.fd ; new_file_publish(&file, "name", sync, err)
 *
 * publish replaces an existing name atomically; with sync the data is fdatasync'ed first and the directory fsync'ed
 * after.
 */
struct new_file {
	int fd;
	int dir_fd; /* borrowed */
	char tmp[64];
};
#define NEW_FILE_EMPTY                 \
	{                              \
		.fd = -1, .dir_fd = -1 \
	}
int new_file_create(struct new_file *file, int dir_fd, mode_t mode, struct err *err) MUST_CHECK;
int new_file_publish(struct new_file *file, const char *name, bool sync, struct err *err) MUST_CHECK;
void new_file_release(struct new_file *file);
#define scope_new_file __attribute__((cleanup(new_file_release)))

/* create + write + publish in one call. */
int file_replace(int dir_fd, const char *name, mode_t mode, const void *bytes, size_t len, bool sync,
		 struct err *err) MUST_CHECK;

/* Copies len bytes (or to the end if len < 0) between regular files at their current offsets, sharing extents where
   the file system can (FICLONE for a whole file, copy_file_range), keeping holes (SEEK_DATA). Fewer than len bytes are
   ERR_INPUT. */
int file_copy_data(int from_fd, int to_fd, off_t len, const char *name, struct err *err) MUST_CHECK;
/* The same for a whole file without holes that has size bytes, at most FILE_SMALL, from and to where the fds stand: trees hold
   tens of thousands of these, and two system calls each are enough. */
enum { FILE_SMALL = 64 * 1024 };
int file_copy_small(int from_fd, int to_fd, size_t size, const char *name, struct err *err) MUST_CHECK;

/* Removes dir_fd/name whatever it is, with everything below: by directory fds only, never follows a link, does not
   cross a mount, deep and wide trees in constant memory per level, makes mode-000 directories searchable first
   (overlay's work directory). A missing name is success. */
int file_remove_tree(int dir_fd, const char *name, struct err *err) MUST_CHECK;

/* Bytes on disk (st_blocks) of everything below dir_fd/name; hard links counted once per name. 0 if missing.
   What is mounted below is not counted, nor what lies in a directory that this user may not read. */
int file_tree_usage(int dir_fd, const char *name, int64_t *bytes, struct err *err) MUST_CHECK;

#endif
