/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"
#include "kiln/dockerfile/expose.h"

#include <string.h>

/* Instructions that change the configuration and make no layer: what each does, and the history entry that it leaves
   (dockerfile.md 1.7; BuildKit's dockerfile2llb/convert.go). */

typedef int apply_fn(struct build *build, struct stage_run *stage, const struct instruction *in, struct strbuf *history,
		     struct err *err);

static int expand_pair(struct build *build, struct stage_run *stage, const struct key_value *pair,
		       struct key_value *out, struct err *err)
{
	out->key = stage_expand(build, stage, pair->key, err);
	out->value = out->key ? stage_expand(build, stage, pair->value, err) : NULL;
	return out->value ? 0 : -1;
}

/* All words of one line see the environment as it was before the line, so expansion is finished before the first is set. */
static struct key_value *expand_pairs(struct build *build, struct stage_run *stage, const struct instruction *in,
				      struct strbuf *history, struct err *err)
{
	struct key_value *pairs = arena_array(build->arena, struct key_value, in->pair_count + 1);
	for (size_t i = 0; i < in->pair_count; i++) {
		if (expand_pair(build, stage, &in->pairs[i], &pairs[i], err) < 0)
			return NULL;
		strbuf_addf(history, " %s=%s", pairs[i].key, pairs[i].value);
	}
	return pairs;
}

static int apply_env(struct build *build, struct stage_run *stage, const struct instruction *in, struct strbuf *history,
		     struct err *err)
{
	struct key_value *pairs = expand_pairs(build, stage, in, history, err);
	if (!pairs)
		return -1;
	for (size_t i = 0; i < in->pair_count; i++) {
		if (!*pairs[i].key)
			return err_set(err, ERR_INPUT, "ENV names can not be blank");
		env_set(build->arena, &stage->env, pairs[i].key, pairs[i].value);
		image_env_set(build->arena, stage->config, pairs[i].key, pairs[i].value);
	}
	return 0;
}

/* A stage's configuration is its own, with all that is in it. */
static struct json *own_map(struct build *build, struct json **map)
{
	if (!*map)
		*map = json_object(build->arena);
	return *map;
}

static int apply_label(struct build *build, struct stage_run *stage, const struct instruction *in,
		       struct strbuf *history, struct err *err)
{
	struct key_value *pairs = expand_pairs(build, stage, in, history, err);
	if (!pairs)
		return -1;
	struct json *labels = own_map(build, &stage->config->labels);
	for (size_t i = 0; i < in->pair_count; i++)
		json_set(build->arena, labels, pairs[i].key, json_str(build->arena, pairs[i].value));
	return 0;
}

static void remember_arg(struct build *build, struct stage_run *stage, const char *key, const char *value)
{
	for (size_t i = 0; i < stage->arg_count; i++) {
		if (strcmp(stage->args[i].key, key) == 0) {
			stage->args[i].value = value;
			return;
		}
	}
	struct key_value *arg = ARENA_PUSH(build->arena, stage->args, stage->arg_count);
	arg->key = key;
	arg->value = value;
}

/* What --build-arg says, or the environment in its place: SOURCE_DATE_EPOCH counts as if it had been given. */
static const char *given_arg(struct build *build, const char *key)
{
	const char *value = build_arg(build->spec, key);
	if (!value && strcmp(key, "SOURCE_DATE_EPOCH") == 0 && build->epoch != BUILD_NO_EPOCH)
		value = arena_printf(build->arena, "%lld", (long long)build->epoch);
	return value;
}

/* An overridden default is never expanded: trap 28. *value NULL: it has none. */
static int arg_value(struct build *build, struct stage_run *stage, const struct key_value *pair, const char **value,
		     struct err *err)
{
	*value = given_arg(build, pair->key);
	if (*value)
		return 0;
	if (!pair->value) {
		*value = env_get(&build->global, pair->key);
		return 0;
	}
	*value = stage_expand(build, stage, pair->value, err);
	return *value ? 0 : -1;
}

/* Each of several is added before the next is expanded. */
static int apply_arg(struct build *build, struct stage_run *stage, const struct instruction *in, struct strbuf *history,
		     struct err *err)
{
	for (size_t i = 0; i < in->pair_count; i++) {
		const char *key = in->pairs[i].key, *value;
		if (arg_value(build, stage, &in->pairs[i], &value, err) < 0)
			return -1;
		if (value)
			env_set(build->arena, &stage->env, key, value);
		remember_arg(build, stage, key, value);
		strbuf_addf(history, value ? " %s=%s" : " %s", key, value);
	}
	return 0;
}

static void add_quoted_list(struct build *build, struct strbuf *history, const char *const *words, size_t count)
{
	strbuf_addstr(history, " [");
	for (size_t i = 0; i < count; i++)
		strbuf_addf(history, "%s%s", i ? " " : "", go_quoted(build->arena, words[i]));
	strbuf_addch(history, ']');
}

/* Exec form as it is; shell form through the SHELL in effect at this line. */
static void command_words(struct build *build, struct stage_run *stage, const struct instruction *in,
			  const char ***words, size_t *count)
{
	if (in->is_json) {
		*words = arena_memdup(build->arena, in->words, (in->word_count + 1) * sizeof(*in->words));
		*count = in->word_count;
	} else {
		stage_shell_command(build, stage, in->text, words, count);
	}
}

static int apply_cmd(struct build *build, struct stage_run *stage, const struct instruction *in, struct strbuf *history,
		     struct err *err)
{
	(void)err;
	command_words(build, stage, in, &stage->config->cmd, &stage->config->cmd_count);
	stage->config->args_escaped = true;
	stage->cmd_set = true;
	add_quoted_list(build, history, stage->config->cmd, stage->config->cmd_count);
	return 0;
}

static int apply_entrypoint(struct build *build, struct stage_run *stage, const struct instruction *in,
			    struct strbuf *history, struct err *err)
{
	(void)err;
	struct image_config *config = stage->config;
	command_words(build, stage, in, &config->entrypoint, &config->entrypoint_count);
	if (config->entrypoint_count == 0)
		config->entrypoint = NULL;
	if (!stage->cmd_set) {
		config->cmd = NULL;
		config->cmd_count = 0;
	}
	add_quoted_list(build, history, config->entrypoint, config->entrypoint_count);
	return 0;
}

static int apply_expose(struct build *build, struct stage_run *stage, const struct instruction *in,
			struct strbuf *history, struct err *err)
{
	const char **words = NULL;
	size_t count = 0;
	for (size_t i = 0; i < in->word_count; i++) {
		struct expander expander = stage_expander(build, stage);
		const char **some;
		size_t some_count;
		if (expand_words(build->arena, &expander, in->words[i], &some, &some_count, err) < 0) {
			build->wrong_word = in->words[i];
			return -1;
		}
		for (size_t j = 0; j < some_count; j++)
			*ARENA_PUSH(build->arena, words, count) = some[j];
	}
	const char **ports;
	size_t port_count;
	if (expose_ports(build->arena, words, count, &ports, &port_count, err) < 0)
		return -1;
	struct json *exposed = own_map(build, &stage->config->exposed_ports);
	for (size_t i = 0; i < port_count; i++)
		json_set(build->arena, exposed, ports[i], json_object(build->arena));
	strbuf_addf(history, " [%s]", words_joined(build->arena, ports, port_count));
	return 0;
}

static int apply_volume(struct build *build, struct stage_run *stage, const struct instruction *in,
			struct strbuf *history, struct err *err)
{
	const char **paths = arena_array(build->arena, const char *, in->word_count + 1);
	struct json *volumes = own_map(build, &stage->config->volumes);
	for (size_t i = 0; i < in->word_count; i++) {
		paths[i] = stage_expand(build, stage, in->words[i], err);
		if (!paths[i])
			return -1;
		if (!*paths[i])
			return err_set(err, ERR_INPUT, "VOLUME specified can not be an empty string");
		json_set(build->arena, volumes, paths[i], json_object(build->arena));
	}
	strbuf_addf(history, " [%s]", words_joined(build->arena, paths, in->word_count));
	return 0;
}

static int apply_user(struct build *build, struct stage_run *stage, const struct instruction *in,
		      struct strbuf *history, struct err *err)
{
	stage->config->user = stage_expand(build, stage, in->words[0], err);
	if (!stage->config->user)
		return -1;
	strbuf_addf(history, " %s", stage->config->user);
	return 0;
}

static int apply_stopsignal(struct build *build, struct stage_run *stage, const struct instruction *in,
			    struct strbuf *history, struct err *err)
{
	const char *name = stage_expand(build, stage, in->words[0], err);
	if (!name || stopsignal_check(name, err) < 0)
		return -1;
	stage->config->stop_signal = name;
	strbuf_addf(history, " %s", name);
	return 0;
}

static int apply_shell(struct build *build, struct stage_run *stage, const struct instruction *in,
		       struct strbuf *history, struct err *err)
{
	(void)err;
	stage->config->shell = arena_memdup(build->arena, in->words, (in->word_count + 1) * sizeof(*in->words));
	stage->config->shell_count = in->word_count;
	strbuf_addf(history, " [%s]", words_joined(build->arena, in->words, in->word_count));
	return 0;
}

/* time.Duration.String */
static void add_duration(struct strbuf *buf, int64_t ns)
{
	if (ns == 0) {
		strbuf_addstr(buf, "0s");
	} else if (ns < 1000000000) {
		const char *unit = ns < 1000 ? "ns" : ns < 1000000 ? "\302\265s" : "ms";
		double scale = ns < 1000 ? 1 : ns < 1000000 ? 1e3 : 1e6;
		strbuf_addf(buf, "%.9g%s", (double)ns / scale, unit);
	} else {
		int64_t minutes = ns / 60000000000;
		double seconds = (double)(ns % 60000000000) / 1e9;
		if (minutes >= 60)
			strbuf_addf(buf, "%lldh", (long long)(minutes / 60));
		if (minutes > 0)
			strbuf_addf(buf, "%lldm", (long long)(minutes % 60));
		strbuf_addf(buf, "%.11gs", seconds);
	}
}

static int apply_healthcheck(struct build *build, struct stage_run *stage, const struct instruction *in,
			     struct strbuf *history, struct err *err)
{
	(void)err;
	struct healthcheck *check = arena_new(build->arena, struct healthcheck);
	*check = (struct healthcheck){
		.test = in->test,
		.test_count = in->test_count,
		.interval_ns = in->interval_ns,
		.timeout_ns = in->timeout_ns,
		.start_period_ns = in->start_period_ns,
		.start_interval_ns = in->start_interval_ns,
		.retries = in->retries,
	};
	stage->config->healthcheck = check;
	const struct {
		const char *name;
		int64_t ns;
	} times[] = {
		{ "Interval", check->interval_ns },
		{ "Timeout", check->timeout_ns },
		{ "StartPeriod", check->start_period_ns },
		{ "StartInterval", check->start_interval_ns },
	};
	strbuf_addf(history, " {Test:[%s]", words_joined(build->arena, check->test, check->test_count));
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		strbuf_addf(history, " %s:", times[i].name);
		add_duration(history, times[i].ns);
	}
	strbuf_addf(history, " Retries:%lld}", (long long)check->retries);
	return 0;
}

static int apply_maintainer(struct build *build, struct stage_run *stage, const struct instruction *in,
			    struct strbuf *history, struct err *err)
{
	(void)build, (void)err;
	stage->config->author = in->words[0];
	strbuf_addf(history, " %s", in->words[0]);
	return 0;
}

static int apply_onbuild(struct build *build, struct stage_run *stage, const struct instruction *in,
			 struct strbuf *history, struct err *err)
{
	(void)history, (void)err;
	*ARENA_PUSH(build->arena, stage->config->on_build, stage->config->on_build_count) = in->trigger;
	return 0;
}

static apply_fn *const appliers[INSTRUCTION_COUNT] = {
	[INSTRUCTION_ARG] = apply_arg,
	[INSTRUCTION_ENV] = apply_env,
	[INSTRUCTION_LABEL] = apply_label,
	[INSTRUCTION_CMD] = apply_cmd,
	[INSTRUCTION_ENTRYPOINT] = apply_entrypoint,
	[INSTRUCTION_EXPOSE] = apply_expose,
	[INSTRUCTION_VOLUME] = apply_volume,
	[INSTRUCTION_USER] = apply_user,
	[INSTRUCTION_STOPSIGNAL] = apply_stopsignal,
	[INSTRUCTION_SHELL] = apply_shell,
	[INSTRUCTION_HEALTHCHECK] = apply_healthcheck,
	[INSTRUCTION_MAINTAINER] = apply_maintainer,
	[INSTRUCTION_ONBUILD] = apply_onbuild,
};

int metadata_apply(struct build *build, struct stage_run *stage, const struct instruction *in, struct err *err)
{
	scope_strbuf struct strbuf history = { 0 };
	strbuf_addstr(&history, instruction_name(in->kind));
	if (appliers[in->kind](build, stage, in, &history, err) < 0)
		return -1;
	if (in->kind != INSTRUCTION_ONBUILD)
		stage_history(build, stage, arena_strdup(build->arena, strbuf_str(&history)), true, build->now);
	return 0;
}
