/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kiln/base/text.h"
#include "kiln/oci/image.h"

/* Every array of a configuration is one that ARENA_PUSH made, so that whoever derives an image may push to it. An empty
   array is not NULL: `"Entrypoint": []` is something else than none. */
static const char **clone_strings(struct arena *arena, const char **items, size_t count)
{
	const char **copy = NULL;
	size_t copied = 0;

	if (!items)
		return NULL;
	if (count == 0)
		return arena_array(arena, const char *, 1);
	for (size_t i = 0; i < count; i++)
		*ARENA_PUSH(arena, copy, copied) = items[i];
	return copy;
}

static struct history *clone_history(struct arena *arena, const struct history *items, size_t count)
{
	struct history *copy = NULL;
	size_t copied = 0;

	for (size_t i = 0; i < count; i++)
		*ARENA_PUSH(arena, copy, copied) = items[i];
	return copy;
}

static struct healthcheck *clone_healthcheck(struct arena *arena, const struct healthcheck *healthcheck)
{
	struct healthcheck *copy;

	if (!healthcheck)
		return NULL;
	copy = arena_memdup(arena, healthcheck, sizeof(*healthcheck));
	copy->test = clone_strings(arena, healthcheck->test, healthcheck->test_count);
	return copy;
}

static struct json *clone_json(struct arena *arena, const struct json *value)
{
	return value ? json_clone(arena, value) : NULL;
}

struct image_config *image_config_clone(struct arena *arena, const struct image_config *config)
{
	struct image_config *copy = arena_memdup(arena, config, sizeof(*config));

	copy->os_features = clone_json(arena, config->os_features);
	copy->exposed_ports = clone_json(arena, config->exposed_ports);
	copy->volumes = clone_json(arena, config->volumes);
	copy->labels = clone_json(arena, config->labels);
	copy->config_raw = clone_json(arena, config->config_raw);
	copy->raw = clone_json(arena, config->raw);
	copy->env = clone_strings(arena, config->env, config->env_count);
	copy->entrypoint = clone_strings(arena, config->entrypoint, config->entrypoint_count);
	copy->cmd = clone_strings(arena, config->cmd, config->cmd_count);
	copy->on_build = clone_strings(arena, config->on_build, config->on_build_count);
	copy->shell = clone_strings(arena, config->shell, config->shell_count);
	copy->diff_ids = clone_strings(arena, config->diff_ids, config->diff_id_count);
	copy->history = clone_history(arena, config->history, config->history_count);
	copy->healthcheck = clone_healthcheck(arena, config->healthcheck);
	return copy;
}

struct image_config *image_config_scratch(struct arena *arena, const struct platform *platform)
{
	struct image_config *config = arena_new(arena, struct image_config);

	config->platform = *platform;
	config->working_dir = "/";
	image_env_set(arena, config, "PATH", IMAGE_DEFAULT_PATH);
	return config;
}

static const char *env_value(const char *entry, const char *key, size_t len)
{
	return strncmp(entry, key, len) == 0 && entry[len] == '=' ? entry + len + 1 : NULL;
}

const char *image_env_get(const struct image_config *config, const char *key)
{
	size_t len = strlen(key);

	/* The last of two wins, as in the list that a process gets through a shell. */
	for (size_t i = config->env_count; i > 0; i--) {
		const char *value = env_value(config->env[i - 1], key, len);
		if (value)
			return value;
	}
	return NULL;
}

void image_env_set(struct arena *arena, struct image_config *config, const char *key, const char *value)
{
	const char *entry = arena_printf(arena, "%s=%s", key, value);
	size_t len = strlen(key);
	bool found = false;

	for (size_t i = 0; i < config->env_count; i++) {
		if (!env_value(config->env[i], key, len))
			continue;
		config->env[i] = entry;
		found = true;
	}
	if (found)
		return;
	if (config->env_count == 0)
		config->env = NULL;
	*ARENA_PUSH(arena, config->env, config->env_count) = entry;
}

void image_history_add(struct arena *arena, struct image_config *config, const struct history *entry)
{
	if (config->history_count == 0)
		config->history = NULL;
	*ARENA_PUSH(arena, config->history, config->history_count) = *entry;
}
