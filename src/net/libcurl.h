/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_NET_LIBCURL_H
#define KILN_SRC_NET_LIBCURL_H

#include "kiln/base/err.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

/* libcurl is loaded when the first request is made: 25 other libraries come with it, and only the jobs that fetch need them. */
/* clang-format off */
#define LIBCURL_FUNCTIONS(X)                                                                           \
	X(global_init) X(free) X(getdate) X(url) X(url_cleanup) X(url_set) X(url_get) X(easy_init)      \
	X(easy_cleanup) X(easy_reset) X(easy_setopt) X(easy_getinfo) X(easy_perform) X(easy_strerror)   \
	X(slist_append) X(slist_free_all)
/* clang-format on */

struct libcurl {
#define LIBCURL_MEMBER(name) __typeof__(curl_##name) *name;
	LIBCURL_FUNCTIONS(LIBCURL_MEMBER)
#undef LIBCURL_MEMBER
};
extern struct libcurl libcurl;

/* Cheap after the first time. ERR_UNSUPPORTED if this machine has no libcurl. */
int libcurl_load(struct err *err) MUST_CHECK;

#endif
