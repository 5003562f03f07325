/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts.h"

#include <fcntl.h>
#include <string.h>

/* RUN: a command in the cage, on a view. */

/* Opens the step's view over its stage's stack. The job stays in the coordinator's mount namespace: overlay takes lowers only
   from the namespace that it is mounted in, and the view itself is attached nowhere. */
int step_open_view(struct step *step, struct view *view, struct err *err)
{
	struct build *build = step->build;
	size_t count;
	const int *lowers = stage_lowers(build, step->stage, &count);
	char stack_id[DIGEST_TEXT + 1], next_id[DIGEST_TEXT + 1];
	const struct view_spec spec = {
		.kind = build->view,
		.work_fd = step->work.fd,
		.lowers = lowers,
		.lower_count = count,
		.session_fd = step->stage->session.fd,
		.stack_id = digest_text(&step->stage->key, stack_id),
		.next_id = digest_text(&step->key, next_id),
	};
	return view_open(view, &spec, err);
}

int step_finish_view(struct step *step, struct view *view, struct err *err)
{
	return view_finish(view, step->build->clamp, err);
}

/* Proxies reach the command in both cases although nothing declares them, and never a key or a history entry (trap 74). */
static void add_proxies(const struct build *build, const struct stage_run *stage, struct strvec *envp)
{
	static const char *const names[][2] = {
		{ "HTTP_PROXY", "http_proxy" }, { "HTTPS_PROXY", "https_proxy" }, { "FTP_PROXY", "ftp_proxy" },
		{ "NO_PROXY", "no_proxy" },     { "ALL_PROXY", "all_proxy" },
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *upper = build_arg(build->spec, names[i][0]), *lower = build_arg(build->spec, names[i][1]);
		const char *values[] = { upper ? upper : lower, lower ? lower : upper };
		for (size_t j = 0; j < ARRAY_LEN(values); j++)
			if (values[j] && !env_get(&stage->env, names[i][j]))
				strvec_pushf(envp, "%s=%s", names[i][j], values[j]);
	}
}

#define HOST_NAME_ARG "BUILDKIT_SANDBOX_HOSTNAME"

static const char *host_name(const struct build *build)
{
	const char *given = build_arg(build->spec, HOST_NAME_ARG);
	return given && *given ? given : "buildkitsandbox";
}

enum network_mode step_network(const struct step *step)
{
	enum network_mode mode = step->build->spec->network;
	const char *own = instruction_flag(step->instruction, "network");
	/* check_flags has let only "default", "none" and "host" pass. */
	if (own && strcmp(own, "default") != 0)
		mode = strcmp(own, "none") == 0 ? NETWORK_NONE : NETWORK_HOST;
	return mode;
}

static void list_env(const struct step *step, const struct open_mounts *open, struct strvec *envp)
{
	const struct env *env = &step->stage->env;
	for (size_t i = 0; i < env->count; i++)
		if (!mounts_variable(open, env->items[i].key))
			strvec_pushf(envp, "%s=%s", env->items[i].key, env->items[i].value);
	add_proxies(step->build, step->stage, envp);
	mounts_add_variables(open, envp);
}

static struct cage_mount *list_mounts(struct arena *arena, const struct step *step, const struct open_mounts *open,
				      size_t *count)
{
	struct cage_mount *mounts = arena_array(arena, struct cage_mount, step->mount_count + 1);
	*count = 0;
	if (step->script)
		mounts[(*count)++] = (struct cage_mount){
			.type = CAGE_FILE,
			.source_fd = -1,
			.target = arena_printf(arena, "/dev/pipes/%s", step->script->name),
			.bytes = step->script->body,
			.len = strlen(step->script->body),
			.mode = 0755,
			.read_only = true,
		};
	mounts_list(open, mounts, count);
	return mounts;
}

static void take_network(const struct step *step, struct cage *cage)
{
	cage->network = step_network(step);
	cage->netns_fd = -1;
	if (cage->network == NETWORK_PRIVATE) {
		cage->netns_fd = step->build->network.netns_fd;
		cage->resolv_conf = step->build->network.resolv_conf;
	}
}

static int run_command(struct step *step, const struct open_mounts *open, const struct view *view, struct err *err)
{
	const struct build *build = step->build;
	const struct image_config *config = step->stage->config;
	scope_arena struct arena arena = { 0 };
	scope_strvec struct strvec envp = { 0 };
	struct root root = { view->root_fd, ROOT_CHROOT };
	struct cage cage = {
		.root_fd = view->root_fd,
		.root_is_mount = view->is_mount,
		.argv = step->argv,
		.cwd = config->working_dir && *config->working_dir ? config->working_dir : "/",
		.hostname = host_name(build),
		.extra_hosts = build->spec->extra_hosts,
		.shm_size = build->spec->shm_size,
		.limits = build->spec->limits,
		.limit_count = build->spec->limit_count,
		.trees = open->trees,
		.tree_count = open->tree_count,
		.stdin_fd = -1,
		.stdout_fd = step->output_fd,
		.stderr_fd = step->output_fd,
	};
	int status;
	take_network(step, &cage);
	cage.mounts = list_mounts(&arena, step, open, &cage.mount_count);
	list_env(step, open, &envp);
	cage.envp = (const char *const *)strvec_argv(&envp);
	if (user_resolve(&arena, &root, config->user ? config->user : "", &cage.user, err) < 0 ||
	    cage_run(&cage, &status, err) < 0)
		return -1;
	if (status == 0)
		return 0;
	return err_status(err, ERR_COMMAND, status, "process \"%s\" did not complete successfully: exit code: %d",
			  words_joined(&arena, step->argv, step->argc), status);
}

static int run_job(int channel, void *arg, struct err *err)
{
	struct step *step = arg;
	struct copy_report report = { 0 };
	bool is_unchanged;
	scope_mounts struct open_mounts open = { 0 };
	scope_view struct view view = VIEW_EMPTY;
	if (mounts_open(&open, step, &report, err) < 0)
		return -1;
	if (!report.is_hit) {
		if (step_open_view(step, &view, err) < 0 || run_command(step, &open, &view, err) < 0 ||
		    mounts_check_unchanged(&open, &is_unchanged, err) < 0)
			return -1;
		report.is_unsure = !is_unchanged;
		if (step_finish_view(step, &view, err) < 0)
			return -1;
	}
	return proc_reach(channel, 1, &report, sizeof(report), err);
}

/* The text that the shell gets for a RUN whose heredocs it must read itself: the command line, then the bodies. */
static const char *heredoc_script(struct arena *arena, const struct instruction *in)
{
	scope_strbuf struct strbuf script = { 0 };
	strbuf_addf(&script, "%s\n", in->text);
	for (size_t i = 0; i < in->heredoc_count; i++)
		strbuf_addf(&script, "%s%s\n", in->heredocs[i].raw_body, in->heredocs[i].name);
	strbuf_truncate(&script, script.len ? script.len - 1 : 0);
	return arena_strdup(arena, strbuf_str(&script));
}

/* dockerfile.md 1.3: a lone heredoc is the command itself, or with a shebang a file that is run; else the shell reads it. */
static void choose_command(struct build *build, struct step *step)
{
	const struct instruction *in = step->instruction;
	struct stage_run *stage = step->stage;
	if (in->is_json) {
		step->argv = arena_memdup(build->arena, in->words, (in->word_count + 1) * sizeof(*in->words));
		step->argc = in->word_count;
	} else if (!in->heredoc_count) {
		stage_shell_command(build, stage, in->text, &step->argv, &step->argc);
	} else if (in->is_heredoc_command && text_starts(in->heredocs[0].body, "#!")) {
		const char *path = arena_printf(build->arena, "/dev/pipes/%s", in->heredocs[0].name);
		stage_shell_command(build, stage, path, &step->argv, &step->argc);
		step->script = &in->heredocs[0];
	} else {
		const char *text = in->is_heredoc_command ? in->heredocs[0].body : heredoc_script(build->arena, in);
		stage_shell_command(build, stage, text, &step->argv, &step->argc);
	}
}

/* RUN |N k=v ... command # buildkit */
static const char *run_history(struct build *build, const struct step *step)
{
	const struct stage_run *stage = step->stage;
	scope_strbuf struct strbuf text = { 0 };
	strbuf_addstr(&text, "RUN ");
	if (stage->arg_count)
		strbuf_addf(&text, "|%zu ", stage->arg_count);
	for (size_t i = 0; i < stage->arg_count; i++) {
		const char *value = env_get(&stage->env, stage->args[i].key);
		if (!value)
			value = stage->args[i].value ? stage->args[i].value : "";
		strbuf_addf(&text, "%s=%s ", stage->args[i].key, value);
	}
	strbuf_addf(&text, "%s # buildkit", words_joined(build->arena, step->argv, step->argc));
	return arena_strdup(build->arena, strbuf_str(&text));
}

static int check_flags(const struct instruction *in, struct err *err)
{
	static const struct {
		const char *flag, *why;
	} refused[] = {
		{ "security", "RUN --security is refused: a step never gets more rights than kiln's cage gives" },
		{ "device", "RUN --device is refused: devices of the host are not available to a build without root" },
	};
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		const char *value = instruction_flag(in, refused[i].flag);
		if (value && !(strcmp(refused[i].flag, "security") == 0 && strcmp(value, "sandbox") == 0))
			return err_set(err, ERR_UNSUPPORTED, "%s", refused[i].why);
	}
	const char *network = instruction_flag(in, "network");
	if (network && strcmp(network, "default") != 0 && strcmp(network, "none") != 0 && strcmp(network, "host") != 0)
		return err_set(err, ERR_INPUT, "invalid network mode \"%s\"", network);
	return 0;
}

/* Names of hosts count, addresses do not: as BuildKit has it. */
static void add_limits(struct build *build, struct step *step)
{
	const struct build_spec *spec = build->spec;
	for (const char *const *host = spec->extra_hosts; host && *host; host++)
		inputs_add(build->arena, &step->inputs, "host",
			   arena_strndup(build->arena, *host, strcspn(*host, " ")));
	for (size_t i = 0; i < spec->limit_count; i++)
		inputs_addf(build->arena, &step->inputs, "ulimit", "%s=%llu:%llu", cage_limit_name(&spec->limits[i]),
			    (unsigned long long)spec->limits[i].soft, (unsigned long long)spec->limits[i].hard);
	if (spec->shm_size)
		inputs_addf(build->arena, &step->inputs, "shared memory", "%lld", (long long)spec->shm_size);
}

enum step_ready step_run_prepare(struct build *build, struct step *step, struct err *err)
{
	struct stage_run *stage = step->stage;
	if (check_flags(step->instruction, err) < 0)
		return STEP_FAILED;
	choose_command(build, step);
	step->run = run_job;
	step->history = run_history(build, step);
	enum step_ready ready = step_mounts_prepare(build, step, err);
	if (ready != STEP_READY)
		return ready;
	add_limits(build, step);

	struct arena *arena = build->arena;
	struct inputs *inputs = &step->inputs;
	inputs_add(arena, inputs, "instruction", "RUN");
	for (size_t i = 0; i < step->argc; i++)
		inputs_add(arena, inputs, "command", step->argv[i]);
	if (step->script)
		inputs_add(arena, inputs, "script", step->script->body);
	for (size_t i = 0; i < stage->env.count; i++)
		inputs_add(arena, inputs, arena_printf(arena, "variable %s", stage->env.items[i].key),
			   stage->env.items[i].value);
	inputs_add(arena, inputs, "directory", stage->config->working_dir);
	inputs_add(arena, inputs, "user", stage->config->user);
	if (build_arg(build->spec, HOST_NAME_ARG))
		inputs_add(arena, inputs, "host name", host_name(build));
	inputs_add(arena, inputs, "network", network_mode_name(step_network(step)));
	inputs_add(arena, inputs, "platform", platform_text(arena, &stage->config->platform));
	return STEP_READY;
}
