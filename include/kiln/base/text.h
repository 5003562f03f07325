/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_BASE_TEXT_H
#define KILN_BASE_TEXT_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"

#include <stdint.h>
#include <time.h>

/* Numbers, paths as text, small string questions. Pure. */

/* Whole text, decimal, no blanks, no '+'. ERR_INPUT names the text. */
int parse_int64(int64_t *out, const char *text, struct err *err) MUST_CHECK;
int parse_uint32(uint32_t *out, const char *text, struct err *err) MUST_CHECK;
int parse_octal(uint32_t *out, const char *text, uint32_t max, struct err *err) MUST_CHECK;
/* "64m", "1.5g", "512", "10kb": powers of 1024, as docker's --shm-size. */
int parse_bytes(int64_t *out, const char *text, struct err *err) MUST_CHECK;

bool text_equal(const char *a, const char *b); /* NULL equals NULL only */
bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);
bool text_equal_nocase(const char *a, const char *b);

/* The candidate with the smallest Levenshtein distance to word, if it is < 3 (case-insensitive); else NULL. */
const char *text_nearest(const char *word, const char *const *candidates, size_t count);

/* "a,\"b,c\",d": the fields of one record, as Go's encoding/csv reads it (a quote inside a field that does not begin
   with one is an error); ERR_USAGE in its words. "" is one empty field. */
int csv_fields(struct arena *arena, const char *text, const char ***fields, size_t *count, struct err *err) MUST_CHECK;

/* Paths inside an image or a context are kept without a leading '/', without "." and "//", made so once at the border
   by path_clean. ".." is resolved lexically and clipped at the root ("../x" is "x"). The root itself is "". */
char *path_clean(struct arena *arena, const char *path);
/* As Go's path.Clean for an absolute or relative path: keeps a leading '/', "" becomes ".". */
char *path_go_clean(struct arena *arena, const char *path);
/* True if some component is "..". */
bool path_has_dotdot(const char *path);
const char *path_base(const char *path); /* last component, points into path; "" after a trailing '/' */
char *path_join(struct arena *arena, const char *a, const char *b); /* one '/' between, either may be "" */

/* Time: RFC 3339 in UTC as Go writes it ("2026-01-02T03:04:05Z", nanoseconds only if not zero, no trailing zeros). */
char *time_rfc3339(struct arena *arena, struct timespec t);
int time_parse_rfc3339(struct timespec *out, const char *text, struct err *err) MUST_CHECK;
/* "About a minute ago", "3 weeks ago": docker's words (go-units HumanDuration + " ago"). */
char *time_ago(struct arena *arena, int64_t seconds);
/* "1.23GB", "74.8MB", "0B": docker's words (go-units HumanSizeWithPrecision(3), decimal). */
char *size_words(struct arena *arena, int64_t bytes);

#endif
