/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/dockerfile/mount.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *lookup(void *arg, const char *name, size_t len)
{
	(void)arg;
	return len == 1 && *name == 'V' ? "value" : NULL;
}

static void check_error(const struct err *err)
{
	assert(*err->msg);
	assert(!strpbrk(err->msg, "\n\r\x1b"));
}

/* What is taken keeps to its type. */
static void check_mount(const struct run_mount *mount)
{
	bool is_bind_or_tmpfs = mount->type == RUN_MOUNT_BIND || mount->type == RUN_MOUNT_TMPFS;

	assert(*run_mount_type_name(mount->type));
	assert(mount->from && mount->source && mount->target && mount->id);
	assert(mount->size_bytes >= 0);
	assert(!is_bind_or_tmpfs || !(mount->has_mode || mount->has_uid || mount->has_gid));
	assert(mount->sharing == RUN_MOUNT_SHARED || mount->type == RUN_MOUNT_CACHE);
	if (mount->type == RUN_MOUNT_SECRET)
		assert(!*mount->from && (*mount->id || *mount->source || *mount->target));
}

static void check_text(struct arena *arena, const char *text)
{
	const struct expander expander = { .escape = '\\', .lookup = lookup };
	struct run_mount mount;
	struct err early = { 0 }, late = { 0 };

	bool is_good = run_mount_check(arena, text, &early) == 0;
	bool is_taken = run_mount_parse(arena, &expander, text, &mount, &late) == 0;
	if (is_taken)
		check_mount(&mount);
	else
		check_error(&late);
	if (!is_good)
		check_error(&early);
	/* Both read the same fields, so both see the same `from`. */
	if (is_taken)
		assert(strcmp(run_mount_from(arena, text), mount.from) == 0);
	assert((run_mount_parse(arena, &expander, text, &mount, NULL) == 0) == is_taken);
}

static void check_device(struct arena *arena, const char *text)
{
	struct run_device device;
	struct err err = { 0 };

	if (run_device_parse(arena, text, &device, &err) == 0)
		assert(device.name);
	else
		check_error(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scope_arena struct arena arena = { 0 };

	if (size > 65536)
		return 0;
	const char *text = arena_strndup(&arena, (const char *)data, size);
	check_text(&arena, text);
	check_device(&arena, text);
	return 0;
}
