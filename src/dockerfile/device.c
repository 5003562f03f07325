/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"
#include "kiln/base/text.h"
#include "kiln/dockerfile/mount.h"

/* RUN --device=NAME[,required], in the words of BuildKit's instructions/commands_rundevice.go. */

static int take_name(struct arena *arena, struct run_device *device, const char *value, struct err *err)
{
	if (*device->name)
		return err_set(err, ERR_INPUT, "device name already set to %s", shown(arena, device->name));
	device->name = value;
	return 0;
}

static int take_required(struct arena *arena, struct run_device *device, const char *value, struct err *err)
{
	device->is_required = true;
	if (value && go_bool_parse(&device->is_required, value) < 0)
		return err_set(err, ERR_INPUT, "invalid value for required: %s", shown(arena, value));
	return 0;
}

static int refuse_field(struct arena *arena, const char *key, const char *field, bool has_value, struct err *err)
{
	static const char *const keys[] = { "name", "required" };
	const char *nearest = text_nearest(key, keys, 2);

	if (!has_value)
		return err_set(err, ERR_INPUT, "invalid field '%s' must be a key=value pair", shown(arena, field));
	return err_set(err, ERR_INPUT, "unexpected key '%s' in '%s'%s%s%s", shown(arena, key), shown(arena, field),
		       nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}

/* A field that is neither is the name, if there is none yet: names hold '='. */
static int take_field(struct arena *arena, struct run_device *device, const char *field, struct err *err)
{
	const char *equals = strchr(field, '=');
	char *key = arena_strndup(arena, field, equals ? (size_t)(equals - field) : strlen(field));

	for (char *p = key; *p; p++)
		*p = ascii_lower(*p);
	if (strcmp(key, "required") == 0)
		return take_required(arena, device, equals ? equals + 1 : NULL, err);
	if (equals && strcmp(key, "name") == 0)
		return take_name(arena, device, equals + 1, err);
	if (*device->name)
		return refuse_field(arena, key, field, equals != NULL, err);
	device->name = field;
	return 0;
}

int run_device_parse(struct arena *arena, const char *text, struct run_device *device, struct err *err)
{
	struct run_device found = { .name = "" };
	const char **fields;
	size_t count;

	if (!*text)
		return err_set(err, ERR_INPUT, "failed to parse csv devices: EOF");
	if (csv_fields(arena, text, &fields, &count, err) < 0) {
		if (err)
			err->kind = ERR_INPUT;
		return err_wrap(err, "failed to parse csv devices");
	}
	for (size_t i = 0; i < count; i++)
		if (take_field(arena, &found, fields[i], err) < 0)
			return -1;
	*device = found;
	return 0;
}
