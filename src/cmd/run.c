/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "kiln/image/image.h"
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct run_options {
	bool rm, tty, interactive;
	const char *workdir, *user, *entrypoint, *network, *hostname;
	struct strings env, volumes;
};

#define AT(member) offsetof(struct run_options, member)
static const struct option_spec options[] = {
	{ "rm", 0, OPTION_FLAG, AT(rm), NULL, "accepted for docker's sake: what a run writes is never kept" },
	{ "env", 'e', OPTION_LIST, AT(env), "K[=V]", "set a variable; without =V from the environment" },
	{ "workdir", 'w', OPTION_STRING, AT(workdir), "DIR", "working directory" },
	{ "user", 'u', OPTION_STRING, AT(user), "USER[:GROUP]", "run as this user of the image" },
	{ "volume", 'v', OPTION_LIST, AT(volumes), "SRC:DST[:ro]", "bind a path of the host" },
	{ "entrypoint", 0, OPTION_STRING, AT(entrypoint), "PROGRAM", "instead of the image's ENTRYPOINT" },
	{ "network", 0, OPTION_STRING, AT(network), "MODE", "host (default), none, private" },
	{ "net", 0, OPTION_STRING, AT(network), "MODE", NULL },
	{ "hostname", 'h', OPTION_STRING, AT(hostname), "NAME", "host name" },
	{ "tty", 't', OPTION_FLAG, AT(tty), NULL, "give it a terminal" },
	{ "interactive", 'i', OPTION_FLAG, AT(interactive), NULL, "pass standard input on" },
	{ NULL },
};

#define NO_PORTS "a run has the network of this machine (--network host), and its ports are this machine's"

static const struct option_spec foreign_options[] = {
	{ "name", 0, OPTION_IGNORED, 0, "NAME", NULL },
	{ "init", 0, OPTION_IGNORED_FLAG, 0, NULL, "the command itself is process 1" },
	{ "pull", 0, OPTION_IGNORED, 0, "WORD", "this version of kiln talks to no registry" },
	{ "detach", 'd', OPTION_REFUSED_FLAG, 0, NULL,
	  "kiln has no daemon that a run could stay with: end the command line with &" },
	{ "publish", 'p', OPTION_REFUSED, 0, "PORTS", NO_PORTS },
	{ "publish-all", 'P', OPTION_REFUSED_FLAG, 0, NULL, NO_PORTS },
	{ "privileged", 0, OPTION_REFUSED_FLAG, 0, NULL, "a run gets the rights of kiln's cage, no more" },
	{ NULL },
};

static volatile sig_atomic_t killed_for;

/* Reads a mask of /proc/PID/status without stdio or malloc: called by the signal handler. */
static bool signal_is_handled(pid_t pid, int signal)
{
	char path[32] = "/proc/", digits[16], text[4096];
	size_t n = 0, len = strlen(path);
	for (pid_t p = pid; p > 0; p /= 10)
		digits[n++] = (char)('0' + p % 10);
	while (n > 0)
		path[len++] = digits[--n];
	memcpy(path + len, "/status", sizeof("/status"));
	int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (fd >= 0)
		close(fd);
	if (got <= 0)
		return true;
	text[got] = '\0';
	const char *caught = strstr(text, "\nSigCgt:\t");
	uint64_t mask = 0;
	for (caught = caught ? caught + 9 : ""; *caught && *caught != '\n'; caught++)
		mask = mask << 4 | (uint64_t)(*caught <= '9' ? *caught - '0' : *caught - 'a' + 10);
	return mask >> (signal - 1) & 1;
}

/* The kernel drops a signal for PID 1 that has no handler for it, and a command that cannot be stopped is no help: what
   it does not handle kills it. */
static void forward(int signal)
{
	pid_t pid = cage_pid();
	if (pid <= 0)
		return;
	if (signal_is_handled(pid, signal)) {
		kill(pid, signal);
	} else {
		killed_for = signal;
		kill(pid, SIGKILL);
	}
}

static int add_volume(struct arena *arena, const char *text, struct cage_mount *mount, struct err *err)
{
	const char *colon = strchr(text, ':');
	if (!colon || colon == text || colon[1] != '/')
		return err_set(err, ERR_USAGE, "invalid volume \"%s\": must be SRC:/DST[:ro]", text);
	const char *source = arena_strndup(arena, text, (size_t)(colon - text));
	const char *target = colon + 1, *mode = strchr(target, ':');
	*mount = (struct cage_mount){ .type = CAGE_BIND, .target = target };
	if (mode) {
		mount->target = arena_strndup(arena, target, (size_t)(mode - target));
		if (strcmp(mode + 1, "ro") != 0 && strcmp(mode + 1, "rw") != 0)
			return err_set(err, ERR_USAGE, "invalid volume \"%s\": the mode is ro or rw", text);
		mount->read_only = strcmp(mode + 1, "ro") == 0;
	}
	mount->source_fd = file_open_user(source, O_PATH, 0, err);
	return mount->source_fd < 0 ? err_wrap(err, "volume %s", text) : 0;
}

static void set_variable(struct strvec *env, const char *text)
{
	size_t len = strcspn(text, "=");
	for (size_t i = 0; i < env->count; i++) {
		if (strncmp(env->items[i], text, len) == 0 && env->items[i][len] == '=') {
			free(env->items[i]);
			env->items[i] = strdup(text);
			return;
		}
	}
	strvec_push(env, text);
}

static void make_environment(struct arena *arena, const struct run_options *o, const struct image_config *config,
			     struct strvec *env)
{
	strvec_push(env, "PATH=" IMAGE_DEFAULT_PATH);
	if (o->tty)
		set_variable(env, "TERM=xterm");
	for (size_t i = 0; i < config->env_count; i++)
		set_variable(env, config->env[i]);
	for (size_t i = 0; i < o->env.count; i++) {
		const char *value = strchr(o->env.items[i], '=') ? NULL : getenv(o->env.items[i]);
		if (strchr(o->env.items[i], '='))
			set_variable(env, o->env.items[i]);
		else if (value)
			set_variable(env, arena_printf(arena, "%s=%s", o->env.items[i], value));
	}
}

/* Docker's rule: --entrypoint drops the image's CMD; arguments replace it. */
static int make_argv(const struct invocation *invocation, const struct image_config *config, struct strvec *argv,
		     struct err *err)
{
	const struct run_options *o = invocation->options;
	if (o->entrypoint && *o->entrypoint)
		strvec_push(argv, o->entrypoint);
	for (size_t i = 0; !o->entrypoint && i < config->entrypoint_count; i++)
		strvec_push(argv, config->entrypoint[i]);
	for (size_t i = 1; i < invocation->arg_count; i++)
		strvec_push(argv, invocation->args[i]);
	for (size_t i = 0; invocation->arg_count == 1 && !o->entrypoint && i < config->cmd_count; i++)
		strvec_push(argv, config->cmd[i]);
	if (argv->count == 0)
		return err_set(err, ERR_USAGE, "no command given, and image %s has none", invocation->args[0]);
	return 0;
}

static int run_in_view(struct invocation *invocation, const struct image *image, struct view *view, int *status,
		       struct err *err)
{
	const struct run_options *o = invocation->options;
	struct arena *arena = invocation->arena;
	const struct image_config *config = &image->config;
	struct root root = { view->root_fd, ROOT_CHROOT };
	scope_strvec struct strvec argv = { 0 }, env = { 0 };
	if (make_argv(invocation, config, &argv, err) < 0)
		return -1;
	make_environment(arena, o, config, &env);
	struct network network = NETWORK_EMPTY;
	struct cage cage = {
		.root_fd = view->root_fd,
		.root_is_mount = view->is_mount,
		.argv = (const char *const *)strvec_argv(&argv),
		.envp = (const char *const *)strvec_argv(&env),
		.cwd = o->workdir                                    ? o->workdir
		       : config->working_dir && *config->working_dir ? config->working_dir
								     : "/",
		.hostname = o->hostname,
		.netns_fd = -1,
		.stdin_fd = o->interactive ? STDIN_FILENO : -1,
		.stdout_fd = STDOUT_FILENO,
		.stderr_fd = STDERR_FILENO,
		.tty = o->tty,
	};
	if (o->network && network_mode_parse(&cage.network, o->network, err) < 0)
		return err->kind = ERR_USAGE, -1;
	struct cage_mount *mounts = arena_array(arena, struct cage_mount, o->volumes.count + 1);
	for (size_t i = 0; i < o->volumes.count; i++)
		if (add_volume(arena, o->volumes.items[i], &mounts[i], err) < 0)
			return -1;
	cage.mounts = mounts;
	cage.mount_count = o->volumes.count;
	const char *user = o->user ? o->user : config->user ? config->user : "";
	if (user_resolve(arena, &root, user, &cage.user, err) < 0)
		return -1;
	if (cage.network == NETWORK_PRIVATE) {
		if (network_start(&network, err) < 0)
			return -1;
		cage.netns_fd = network.netns_fd;
		cage.resolv_conf = network.resolv_conf;
	}
	struct terminal terminal = TERMINAL_EMPTY;
	int ran = o->tty ? terminal_open(&terminal, o->interactive, err) : 0;
	if (o->tty)
		cage.stdin_fd = cage.stdout_fd = cage.stderr_fd = terminal.fd;
	on_signals(forward);
	if (ran == 0)
		ran = cage_run(&cage, status, err);
	terminal_close(&terminal);
	network_stop(&network);
	if (ran == 0 && killed_for && *status == 128 + SIGKILL)
		*status = 128 + killed_for;
	/* A program that could not be started: the shell's and docker's statuses. */
	if (ran < 0 && err->kind == ERR_NOT_FOUND)
		err_status(err, ERR_COMMAND, 127, "%s", arena_strdup(arena, err->msg));
	else if (ran < 0 && (err_is_errno(err, EACCES) || err_is_errno(err, EISDIR) || err_is_errno(err, ENOEXEC)))
		err_status(err, ERR_COMMAND, 126, "%s", arena_strdup(arena, err->msg));
	return ran;
}

static int run_image(struct store *store, struct invocation *invocation, int *status, struct err *err)
{
	struct image image;
	if (image_find(store, invocation->arena, invocation->args[0], &image, err) < 0)
		return -1;
	int *lowers = arena_array(invocation->arena, int, image.diff_id_count + 1);
	if (image_open_stack(store, image.diff_ids, image.diff_id_count, lowers, err) < 0)
		return -1;
	enum view_kind kind;
	struct store_work work = STORE_WORK_EMPTY;
	if (view_probe(invocation->view, store_fd(store), &kind, NULL, err) < 0 ||
	    store_work_new(store, &work, err) < 0)
		return -1;
	struct view view = VIEW_EMPTY;
	const struct view_spec spec = {
		.kind = kind,
		.work_fd = work.fd,
		.lowers = lowers,
		.lower_count = image.diff_id_count,
		.session_fd = -1,
	};
	int ran = -1;
	if (view_open(&view, &spec, err) == 0)
		ran = run_in_view(invocation, &image, &view, status, err);
	view_release(&view);
	store_work_end(store, &work);
	return ran;
}

static int run_run(struct invocation *invocation, struct err *err)
{
	scope_store struct store *store = NULL;
	struct err failed = { 0 };
	if (invocation_store(invocation, STORE_CREATE, &store, err) < 0)
		return -1;
	if (run_image(store, invocation, &invocation->status, &failed) == 0)
		return 0;
	if (failed.kind == ERR_COMMAND) {
		fprintf(stderr, "kiln: %s\n", failed.msg);
		invocation->status = failed.sys;
		return 0;
	}
	*err = failed;
	return -1;
}

const struct command command_run = {
	.name = "run",
	.synopsis = "[OPTIONS] IMAGE [COMMAND [ARG...]]",
	.summary = "Run a command in an image",
	.options = options,
	.foreign = foreign_options,
	.options_size = sizeof(struct run_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.stops_at_first_arg = true,
	.is_inside = true,
	.run = run_run,
};
