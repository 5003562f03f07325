/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_BASE_LIBRARY_H
#define KILN_BASE_LIBRARY_H

#include "kiln/base/err.h"

#include <stddef.h>

/*
 * A shared library that is loaded when it is first needed. Some bring a score of others along, which take longer to load and
 * relocate than most kiln commands run. Its functions are members of a struct of function pointers.
 *
 *	#define FUNCTIONS(X) X(read_new) X(read_free)
 *	static struct { LIBRARY_MEMBERS... } archive;
 *	static const struct library_function functions[] = { { "archive_read_new", &archive.read_new }, ... };
 */
struct library_function {
	const char *name;
	void *pointer; /* of the function pointer that is set */
};

/* Loads it and sets all pointers. It stays for the life of the process. ERR_UNSUPPORTED says what is missing. */
int library_load(const char *file, const struct library_function *functions, size_t count, struct err *err) MUST_CHECK;

#endif
