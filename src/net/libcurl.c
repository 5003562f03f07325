/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "kiln/base/library.h"
#include "kiln/base/scope.h"

#include "libcurl.h"

/* The same since libcurl 7.16, of 2006. */
#define SHARED_OBJECT "libcurl.so.4"

struct libcurl libcurl;

static const struct library_function functions[] = {
#define LIBCURL_ROW(name) { "curl_" #name, &libcurl.name },
	LIBCURL_FUNCTIONS(LIBCURL_ROW)
#undef LIBCURL_ROW
};

int libcurl_load(struct err *err)
{
	if (libcurl.easy_perform)
		return 0;
	if (library_load(SHARED_OBJECT, functions, ARRAY_LEN(functions), err) < 0)
		return -1;
	if (libcurl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
	return 0;
}
