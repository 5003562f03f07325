/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "kiln/base/log.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

static enum log_level current_level = LOG_LEVEL_WARN;

void log_set_level(enum log_level level)
{
	current_level = level;
}

enum log_level log_get_level(void)
{
	return current_level;
}

int log_parse_level(enum log_level *level, const char *text, struct err *err)
{
	static const char *const names[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARN] = "warn",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (text_equal(text, names[i])) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE, "unknown log level \"%s\": use error, warn, info or debug", text);
}

/* One write for a line, so that the lines of parent and children do not mix. A line that does not fit loses its end. */
static void write_line(enum log_level level, const char *word, const char *fmt, va_list args)
{
	char line[4096];
	int saved = errno;

	if (level > current_level)
		return;
	int len = snprintf(line, sizeof(line), "kiln: %s: ", word);
	int more = vsnprintf(line + len, sizeof(line) - (size_t)len - 1, fmt, args);
	len += more < 0 ? 0 : more;
	if ((size_t)len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	/* There is nowhere to report that stderr is gone. */
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		errno = saved;
	errno = saved;
}

#define LOG_FUNCTION(name, level, word)             \
	void name(const char *fmt, ...)             \
	{                                           \
		va_list args;                       \
                                                    \
		va_start(args, fmt);                \
		write_line(level, word, fmt, args); \
		va_end(args);                       \
	}

LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG, "debug")
LOG_FUNCTION(log_info, LOG_LEVEL_INFO, "info")
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN, "warning")
