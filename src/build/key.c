/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <string.h>

/*
 * The key of a step. Its inputs are a list of named values: the digest over all of them is the step's own part; the key joins it
 * with what the layers below are. How these came to be is no part of it: a step whose parent was made again with the same
 * result is a hit, and one whose parent came out differently, though its text is the same, is not.
 */

enum { KEY_VERSION = 1 }; /* raise when steps come to mean something else */

const char *env_get(const struct env *env, const char *key)
{
	for (size_t i = env->count; i > 0; i--)
		if (strcmp(env->items[i - 1].key, key) == 0)
			return env->items[i - 1].value;
	return NULL;
}

void env_set(struct arena *arena, struct env *env, const char *key, const char *value)
{
	for (size_t i = 0; i < env->count; i++) {
		if (strcmp(env->items[i].key, key) == 0) {
			env->items[i].value = arena_strdup(arena, value);
			return;
		}
	}
	struct key_value *item = ARENA_PUSH(arena, env->items, env->count);
	item->key = arena_strdup(arena, key);
	item->value = arena_strdup(arena, value);
}

void inputs_add(struct arena *arena, struct inputs *inputs, const char *name, const char *value)
{
	struct input *input = ARENA_PUSH(arena, inputs->items, inputs->count);
	input->name = name;
	input->value = arena_strdup(arena, value ? value : "");
}

void inputs_addf(struct arena *arena, struct inputs *inputs, const char *name, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	char *value = arena_vprintf(arena, fmt, args);
	va_end(args);
	struct input *input = ARENA_PUSH(arena, inputs->items, inputs->count);
	input->name = name;
	input->value = value;
}

void inputs_digest(const struct inputs *inputs, struct digest *out)
{
	scope_hasher struct hasher *hasher = hasher_new();
	hasher_int(hasher, KEY_VERSION);
	for (size_t i = 0; i < inputs->count; i++) {
		hasher_text(hasher, inputs->items[i].name);
		hasher_text(hasher, inputs->items[i].value);
	}
	hasher_final(hasher, out);
}

static void key_of(const char *kind, const struct digest *parent, const struct digest *step, struct digest *out)
{
	scope_hasher struct hasher *hasher = hasher_new();
	hasher_text(hasher, kind);
	hasher_field(hasher, parent->bytes, sizeof(parent->bytes));
	hasher_field(hasher, step->bytes, sizeof(step->bytes));
	hasher_final(hasher, out);
}

void key_of_step(const struct digest *parent, const struct digest *step, struct digest *out)
{
	key_of("definition", parent, step, out);
}

void key_of_nothing(struct digest *out)
{
	digest_bytes(out, "nothing", strlen("nothing"));
}

void key_of_chain(const struct digest *chain, const struct digest *step, struct digest *out)
{
	key_of("content", chain, step, out);
}
