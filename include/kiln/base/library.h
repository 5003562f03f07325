/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_BASE_LIBRARY_H
#define KILN_BASE_LIBRARY_H

#include "kiln/base/err.h"

#include <stddef.h>

/*
 * A shared library that is loaded when it is first needed. Some bring a score of others along, which take longer to load and
 * relocate than most kiln commands run. Its functions are members of a struct of function pointers.
 *
 *	static struct { __typeof__(archive_read_new) *read_new; } libarchive;
 *	static const struct library_function functions[] = { { "archive_read_new", &libarchive.read_new } };
 *	if (!libarchive.read_new && library_load("libarchive.so.13", functions, 1, err) < 0) ...
 */
struct library_function {
	const char *name;
	void *pointer; /* where the function's address goes; the caller's, as is the table */
};

/* file is a soname, for the loader's search path. It stays for the life of the process. ERR_UNSUPPORTED says what is
   missing; some pointers may be set then. */
int library_load(const char *file, const struct library_function *functions, size_t count, struct err *err) MUST_CHECK;

#endif
