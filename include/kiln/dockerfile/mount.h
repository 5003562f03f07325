/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_DOCKERFILE_MOUNT_H
#define KILN_DOCKERFILE_MOUNT_H

#include "kiln/base/arena.h"
#include "kiln/dockerfile/expand.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The values of RUN --mount and RUN --device. Pure: what a mount shows is build/'s business. Words of errors are those of
 * BuildKit's instructions/commands_runmount.go.
 *
 *	--mount=type=cache,target=/root/.cache,sharing=locked
 *
 * Options are looked at when their stage is reached, with the variables of that place; only the form, and that `from` has
 * no variable, are known before.
 */
enum run_mount_type { RUN_MOUNT_BIND, RUN_MOUNT_CACHE, RUN_MOUNT_TMPFS, RUN_MOUNT_SECRET, RUN_MOUNT_SSH };
const char *run_mount_type_name(enum run_mount_type type);

enum run_mount_sharing { RUN_MOUNT_SHARED, RUN_MOUNT_PRIVATE, RUN_MOUNT_LOCKED };

struct run_mount {
	enum run_mount_type type;
	const char *from; /* as written, never expanded; this and the next three are "" where nothing is given */
	const char *source;
	const char *target;
	const char *id;
	const char *env; /* NULL: not given; "": the id */
	bool is_read_only;
	bool is_required;
	enum run_mount_sharing sharing;
	int64_t size_bytes; /* 0: not given */
	bool has_mode, has_uid, has_gid;
	uint32_t mode, uid, gid;
};

/* When the Dockerfile is parsed. */
int run_mount_check(struct arena *arena, const char *text, struct err *err) MUST_CHECK;
/* The value of `from`, "" if none is given; of a text that run_mount_check has passed. */
const char *run_mount_from(struct arena *arena, const char *text);
/* When its RUN is reached. */
int run_mount_parse(struct arena *arena, const struct expander *expander, const char *text, struct run_mount *mount,
		    struct err *err) MUST_CHECK;

struct run_device {
	const char *name;
	bool is_required;
};
int run_device_parse(struct arena *arena, const char *text, struct run_device *device, struct err *err) MUST_CHECK;

#endif
