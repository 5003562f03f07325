/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <stdio.h>
#include <string.h>

/* kiln system df | prune | reset | verify */

struct system_options {
	bool force, all, repair;
};

#define AT(member) offsetof(struct system_options, member)
static const struct option_spec options[] = {
	{ "force", 'f', OPTION_FLAG, AT(force), NULL, "reset, prune: do it without asking" },
	{ "all", 'a', OPTION_FLAG, AT(all), NULL, "prune: named images too" },
	{ "repair", 0, OPTION_FLAG, AT(repair), NULL, "verify: remove what is damaged" },
	{ NULL },
};

enum { WAIT_MS = 60000 };

static int show_usage(struct invocation *invocation, struct err *err)
{
	struct arena *arena = invocation->arena;
	scope_store struct store *store = NULL;
	struct store_usage usage;
	if (invocation_store(invocation, STORE_CREATE, &store, err) < 0 || store_usage(store, &usage, err) < 0)
		return -1;
	const char *const cells[] = {
		"TYPE",
		"TOTAL",
		"SIZE",
		"Images",
		arena_printf(arena, "%lld", (long long)usage.images),
		size_words(arena, usage.image_bytes),
		"Layers",
		arena_printf(arena, "%lld", (long long)usage.layers),
		size_words(arena, usage.layer_bytes),
		"Build cache",
		arena_printf(arena, "%lld", (long long)usage.cache_records),
		size_words(arena, usage.cache_bytes),
		"Cache mounts",
		arena_printf(arena, "%lld", (long long)usage.mounts),
		size_words(arena, usage.mount_bytes),
		"Other",
		"-",
		size_words(arena, usage.other_bytes),
	};
	print_table(cells, ARRAY_LEN(cells) / 3, 3);
	return 0;
}

static int confirm(const struct system_options *o, const char *what, struct err *err)
{
	if (o->force)
		return 0;
	fprintf(stderr, "This removes %s. Continue? [y/N] ", what);
	char answer[8] = "";
	if (!fgets(answer, sizeof(answer), stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
		return err_set(err, ERR_USAGE, "not confirmed; --force does it without asking");
	return 0;
}

static int prune(struct invocation *invocation, struct err *err)
{
	const struct system_options *o = invocation->options;
	scope_store struct store *store = NULL;
	int64_t freed;
	if (confirm(o,
		    o->all ? "all images, the build cache and the cache mounts"
			   : "images without a name, the build cache and the cache mounts",
		    err) < 0 ||
	    invocation_store(invocation, STORE_CREATE, &store, err) < 0 ||
	    store_prune(store, PRUNE_CACHE | PRUNE_DANGLING | (o->all ? PRUNE_IMAGES : 0), WAIT_MS, &freed, err) < 0)
		return -1;
	printf("Total reclaimed space: %s\n", size_words(invocation->arena, freed));
	return 0;
}

static int reset(struct invocation *invocation, struct err *err)
{
	const char *what = arena_printf(invocation->arena, "the whole store %s", invocation->store_path);
	if (confirm(invocation->options, what, err) < 0)
		return -1;
	return store_reset(invocation->store_path, WAIT_MS, err);
}

static void print_damage(void *arg, const char *text)
{
	(void)arg;
	printf("%s\n", text);
}

static int verify(struct invocation *invocation, struct err *err)
{
	const struct system_options *o = invocation->options;
	scope_store struct store *store = NULL;
	if (invocation_store(invocation, STORE_CREATE, &store, err) < 0)
		return -1;
	int problems = store_verify(store, o->repair, print_damage, NULL, err);
	if (problems < 0)
		return -1;
	printf("%d problem%s%s\n", problems, problems == 1 ? "" : "s",
	       problems && !o->repair ? "; `kiln system verify --repair` removes what is damaged" : "");
	invocation->status = problems && !o->repair ? EXIT_FAILED : 0;
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct invocation *invocation, struct err *err);
} actions[] = {
	{ "df", show_usage },
	{ "prune", prune },
	{ "reset", reset },
	{ "verify", verify },
};

static int check_action(struct invocation *invocation, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (strcmp(invocation->args[0], actions[i].name) == 0)
			return 0;
	return err_set(err, ERR_USAGE, "'%s' is not one of df, prune, reset, verify", invocation->args[0]);
}

static int run_action(struct invocation *invocation, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (strcmp(invocation->args[0], actions[i].name) == 0)
			return actions[i].run(invocation, err);
	return -1;
}

const struct command command_system = {
	.name = "system",
	.synopsis = "df | prune [--all] | reset | verify [--repair]",
	.summary = "Look after the store",
	.options = options,
	.options_size = sizeof(struct system_options),
	.min_args = 1,
	.max_args = 1,
	.is_inside = true,
	.prepare = check_action,
	.run = run_action,
};
