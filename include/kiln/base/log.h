/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_BASE_LOG_H
#define KILN_BASE_LOG_H

#include "kiln/base/err.h"

/*
 * The debug log. Below cmd/ and build/'s progress nothing prints: errors are returned, and what helps a maintainer is
 * logged here. Lines go to stderr as "kiln: debug: ...". Foreign bytes must go through err_printable first.
 */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
int log_parse_level(enum log_level *level, const char *text, struct err *err) MUST_CHECK;
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
