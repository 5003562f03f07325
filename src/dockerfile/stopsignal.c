/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/dockerfile/expose.h"

/* The names of moby/sys/signal for Linux: what docker can stop a container with. */
static const char *const names[] = {
	"ABRT",     "ALRM",     "BUS",      "CHLD",     "CLD",      "CONT",     "FPE",      "HUP",      "ILL",
	"INT",      "IO",       "IOT",      "KILL",     "PIPE",     "POLL",     "PROF",     "PWR",      "QUIT",
	"SEGV",     "STKFLT",   "STOP",     "SYS",      "TERM",     "TRAP",     "TSTP",     "TTIN",     "TTOU",
	"URG",      "USR1",     "USR2",     "VTALRM",   "WINCH",    "XCPU",     "XFSZ",     "RTMIN",    "RTMIN+1",
	"RTMIN+2",  "RTMIN+3",  "RTMIN+4",  "RTMIN+5",  "RTMIN+6",  "RTMIN+7",  "RTMIN+8",  "RTMIN+9",  "RTMIN+10",
	"RTMIN+11", "RTMIN+12", "RTMIN+13", "RTMIN+14", "RTMIN+15", "RTMAX-14", "RTMAX-13", "RTMAX-12", "RTMAX-11",
	"RTMAX-10", "RTMAX-9",  "RTMAX-8",  "RTMAX-7",  "RTMAX-6",  "RTMAX-5",  "RTMAX-4",  "RTMAX-3",  "RTMAX-2",
	"RTMAX-1",  "RTMAX",
};

int stopsignal_check(const char *name, struct err *err)
{
	scope_arena struct arena scratch = { 0 };
	int64_t number;

	if (parse_int64(&number, name + (*name == '+'), NULL) == 0) {
		if (number > 0)
			return 0;
	} else {
		char *prefix = arena_strndup(&scratch, name, 3);
		const char *short_name = text_equal_nocase(prefix, "SIG") ? name + 3 : name;
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			if (text_equal_nocase(short_name, names[i]))
				return 0;
	}
	return err_set(err, ERR_INPUT, "invalid signal: %s", shown(&scratch, name));
}
