/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SANDBOX_USER_H
#define KILN_SANDBOX_USER_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"
#include "kiln/base/root.h"

#include <stddef.h>
#include <stdint.h>

/* Users of an image, resolved in its own etc/passwd and etc/group: regular files of at most 10 MiB, never NSS. */
struct user {
	uint32_t uid, gid;
	uint32_t *groups; /* supplementary, without gid; in the arena */
	size_t group_count;
	const char *home; /* "/" if unknown */
	const char *name; /* NULL if unknown */
};

/* "", "name", "uid", "name:group", "uid:gid" ... by dockerfile.md 1.7 RUN and trap 81. Digits are an id and never a
   name; the largest is 2^32-2. ERR_INPUT "unable to find user x: no matching entries in passwd file". */
int user_resolve(struct arena *arena, const struct root *image, const char *text, struct user *out,
		 struct err *err) MUST_CHECK;

/* --chown "user[:group]" by traps 50 and 51: a number alone gives gid = uid, a name alone its primary group; unknown
   names change nothing, so an unknown user is root. */
int chown_resolve(const struct root *image, const char *text, uint32_t *uid, uint32_t *gid, struct err *err) MUST_CHECK;

#endif
