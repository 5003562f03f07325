/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_BASE_STRBUF_H
#define KILN_BASE_STRBUF_H

#include "kiln/base/err.h"

#include <stdarg.h>
#include <stddef.h>

/*
 * A growing byte string, always NUL-terminated, may hold NULs. Zero-initialise to start (then .ptr is NULL: use
 * strbuf_str, which gives "" for an empty one). Out of memory aborts. A buffer that is fed from outside gets its limit
 * from the function that feeds it.
 */
struct strbuf {
	char *ptr;
	size_t len;
	size_t cap;
};

void strbuf_release(struct strbuf *buf);
#define scope_strbuf __attribute__((cleanup(strbuf_release)))

const char *strbuf_str(const struct strbuf *buf);
void strbuf_reserve(struct strbuf *buf, size_t more);
void strbuf_reset(struct strbuf *buf); /* len = 0, keeps the memory */
void strbuf_add(struct strbuf *buf, const void *bytes, size_t len);
void strbuf_addstr(struct strbuf *buf, const char *text);
void strbuf_addch(struct strbuf *buf, char c);
void strbuf_addf(struct strbuf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
void strbuf_vaddf(struct strbuf *buf, const char *fmt, va_list args);
void strbuf_truncate(struct strbuf *buf, size_t len);
char *strbuf_detach(struct strbuf *buf); /* malloc'd, never NULL; buf is empty afterwards */

/* A growing, NULL-terminated list of malloc'd strings: argv, envp. Zero-initialise to start. */
struct strvec {
	char **items;
	size_t count;
	size_t cap;
};

void strvec_release(struct strvec *vec);
#define scope_strvec __attribute__((cleanup(strvec_release)))
void strvec_push(struct strvec *vec, const char *text);
void strvec_pushf(struct strvec *vec, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* items, or an empty NULL-terminated list; valid until the next push. */
char *const *strvec_argv(const struct strvec *vec);

#endif
