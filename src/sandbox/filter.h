/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_SANDBOX_FILTER_H
#define KILN_SRC_SANDBOX_FILTER_H

#include "kiln/base/err.h"
#include "profile.h"

#include <linux/filter.h>

/* A seccomp filter as the kernel takes it. */
struct filter {
	struct sock_filter *code;
	size_t count;
};

void filter_release(struct filter *filter);
#define scope_filter __attribute__((cleanup(filter_release)))

int filter_compile(const struct profile *profile, struct filter *filter, struct err *err) MUST_CHECK;

/* The filter of a profile (NULL: the default one), compiled at the first call and kept for as long as this is asked for. */
const struct filter *filter_of(const char *path, struct err *err) MUST_CHECK;

/* The number of a call here, of one that libseccomp does not know too; negative if there is none. */
int filter_call_number(const char *name);

/* Puts it on this process and returns a file that its calls with SECCOMP_RET_USER_NOTIF come to. */
int filter_load_listener(const struct filter *filter, struct err *err) MUST_CHECK;

/* Puts it on this process, for ever. Needs no_new_privs or CAP_SYS_ADMIN. */
int filter_load(const struct filter *filter, struct err *err) MUST_CHECK;

#endif
