/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_BASE_ERR_H
#define KILN_BASE_ERR_H

#include <limits.h>
#include <stdbool.h>

/*
 * How kiln's functions fail.
 *
 * A function that can fail takes `struct err *err` last and returns an int: 0 (or an fd, or a count) for success, -1
 * for failure; a constructor returns NULL. `*err` is written only on failure, outputs only on success. The struct is a
 * plain value owned by the caller: nothing to allocate or free, it works when memory is gone, and it crosses a pipe
 * in one write. err may be NULL where the caller does not care.
 *
 * Messages are lower case, have no full stop, name the object and say what kiln did. Wrapped from the inside out they
 * read as one path: "Dockerfile:3: COPY a /b: open a: No such file or directory".
 *
 *	if (layer_apply(tree, blob, err) < 0)
 *		return err_wrap(err, "layer %s", descriptor->digest);
 *
 * Programming errors are assert()s (kept in release builds). Out of memory aborts the process.
 */

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK             __attribute__((warn_unused_result))
#define NO_RETURN              __attribute__((noreturn))

/* A kind exists only where a caller decides by it. */
enum err_kind {
	ERR_NONE,
	ERR_SYSTEM,      /* a system call failed; .sys is its errno */
	ERR_USAGE,       /* the command line is wrong */
	ERR_INPUT,       /* a file that the user wrote is wrong: Dockerfile, .dockerignore, archive */
	ERR_NOT_FOUND,   /* a name is not in the store, a file not in the context */
	ERR_CORRUPT,     /* bytes do not match their digest, or the store is damaged */
	ERR_REMOTE,      /* another machine failed */
	ERR_COMMAND,     /* a program ended with a status: .sys is the status (128 + signal if killed) */
	ERR_UNSUPPORTED, /* this environment or this kiln cannot do it */
	ERR_INTERRUPTED  /* the user stopped us; .sys is the signal */
};

struct err {
	enum err_kind kind;
	int sys;
	char msg[2048];
};

_Static_assert(sizeof(struct err) <= PIPE_BUF, "an error must cross a pipe in one write");

/* All return -1, so that `return err_set(...)` reads well. err_errno appends ": strerror(errno)". err_wrap puts
   "FMT: " in front of what is there. A message that does not fit loses its end. */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
int err_errno(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
int err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* As err_set, with .sys given by the caller (ERR_COMMAND, ERR_INTERRUPTED). */
int err_status(struct err *err, enum err_kind kind, int sys, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* True if err is ERR_SYSTEM with this errno. */
bool err_is_errno(const struct err *err, int sys);

/* Copies text to out (size bytes, always terminated) with control characters and invalid UTF-8 escaped as \xNN, cut
   to what fits: for printing foreign bytes in a message or a log. Returns out. */
char *err_printable(char *out, unsigned long size, const char *text);

#endif
