/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "kiln/oci/reference.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

const struct command *const commands[] = {
	&command_build,   &command_run,        &command_images,  &command_history,
	&command_inspect, &command_tag,        &command_rmi,     &command_save,
	&command_load,    &command_import,     &command_unshare, &command_system,
	&command_doctor,  &command_completion, &command_version, NULL,
};
enum { COMMANDS = ARRAY_LEN(commands) - 1 };

struct globals {
	const char *root, *isolation, *view, *log_level;
	bool version;
};

const struct option_spec global_options[] = {
	{ "root", 0, OPTION_STRING, offsetof(struct globals, root), "DIR",
	  "the store (default $KILN_ROOT, else $XDG_DATA_HOME/kiln)" },
	{ "isolation", 0, OPTION_STRING, offsetof(struct globals, isolation), "RUNG", "auto, mapped, single" },
	{ "view", 0, OPTION_STRING, offsetof(struct globals, view), "VIEW", "auto, overlay, fuse-overlayfs, copy" },
	{ "log-level", 0, OPTION_STRING, offsetof(struct globals, log_level), "LEVEL", "error, warn, info, debug" },
	{ "version", 0, OPTION_FLAG, offsetof(struct globals, version), NULL, "print the version" },
	{ NULL },
};

static void print_help(void)
{
	printf("Usage: kiln [OPTIONS] COMMAND\n\nBuilds container images without root and without a "
	       "daemon.\n\nCommands:\n");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
	printf("\nOptions:\n");
	for (const struct option_spec *o = global_options; o->name; o++) {
		char flag[40];
		snprintf(flag, sizeof(flag), "--%s %s", o->name, o->value ? o->value : "");
		printf("  %-20s %s\n", flag, o->help);
	}
	printf("\n`kiln COMMAND --help` tells more.\n");
}

/* Words of docker's groups of commands, and of buildah. */
static const struct {
	const char *first, *second;
	const struct command *command;
} aliases[] = {
	{ "bud", NULL, &command_build },        { "buildx", "build", &command_build },
	{ "buildx", "b", &command_build },      { "builder", "build", &command_build },
	{ "image", "build", &command_build },   { "image", "history", &command_history },
	{ "image", "import", &command_import }, { "image", "inspect", &command_inspect },
	{ "image", "list", &command_images },   { "image", "load", &command_load },
	{ "image", "ls", &command_images },     { "image", "remove", &command_rmi },
	{ "image", "rm", &command_rmi },        { "image", "save", &command_save },
	{ "image", "tag", &command_tag },       { "container", "run", &command_run },
};

/* *words: how many of them are the command's name. */
static const struct command *find_alias(int argc, char **argv, int *words)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
		const char *second = aliases[i].second;
		if (strcmp(argv[0], aliases[i].first) != 0 || (second && (argc < 2 || strcmp(argv[1], second) != 0)))
			continue;
		*words = second ? 2 : 1;
		return aliases[i].command;
	}
	return NULL;
}

static bool is_group(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (aliases[i].second && strcmp(word, aliases[i].first) == 0)
			return true;
	return false;
}

static const struct command *find_command(int argc, char **argv, int *words, struct err *err)
{
	const char *name = argv[0];
	const struct command *alias = find_alias(argc, argv, words);
	if (alias)
		return alias;
	*words = 1;
	const char *names[COMMANDS];
	for (size_t i = 0; i < COMMANDS; i++) {
		names[i] = commands[i]->name;
		if (strcmp(names[i], name) == 0)
			return commands[i];
	}
	if (is_group(name)) {
		err_set(err, ERR_USAGE, "'%s %s' is not a kiln command; see `kiln --help`", name,
			argc > 1 ? argv[1] : "");
		return NULL;
	}
	const char *nearest = text_nearest(name, names, COMMANDS);
	err_set(err, ERR_USAGE, "'%s' is not a kiln command%s%s%s; see `kiln --help`", name,
		nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
	return NULL;
}

/* ---- running ---- */

struct inside {
	struct invocation *invocation;
};

static int exit_status(const struct invocation *invocation, const struct err *err)
{
	switch (err->kind) {
	case ERR_USAGE:
		return EXIT_USAGE;
	case ERR_INTERRUPTED:
		return 128 + err->sys;
	default:
		return invocation && invocation->command == &command_run ? EXIT_USAGE : EXIT_FAILED;
	}
}

static int report(const struct invocation *invocation, const struct err *err)
{
	if (err->kind != ERR_NONE && err->msg[0])
		fprintf(stderr, "kiln: %s\n", err->msg);
	if (err->kind == ERR_USAGE && invocation)
		fprintf(stderr, "See 'kiln %s --help'.\n", invocation->command->name);
	return exit_status(invocation, err);
}

static int run_command(void *arg)
{
	struct invocation *invocation = arg;
	struct err err = { 0 };
	int status = invocation->command->run(invocation, &err) < 0 ? report(invocation, &err) : invocation->status;
	/* A full disk or a closed pipe on standard output is a failure that must be seen. */
	if (fflush(stdout) != 0 && status == 0) {
		fprintf(stderr, "kiln: write to standard output: %s\n", strerror(errno));
		status = EXIT_FAILED;
	}
	return status;
}

/* A store has the form of the rung that it was made on, so `auto` takes that. */
enum isolation invocation_isolation(const struct invocation *invocation)
{
	if (invocation->isolation != ISOLATION_AUTO)
		return invocation->isolation;
	switch (store_owners_at(invocation->store_path)) {
	case STORE_OWNERS_RECORDED:
		return ISOLATION_SINGLE;
	case STORE_OWNERS_REAL:
		return ISOLATION_MAPPED;
	default:
		return ISOLATION_AUTO;
	}
}

/* Nothing else was tried if the store has a form already. */
static int report_entry(const struct invocation *invocation, struct err *err)
{
	if (invocation->isolation == ISOLATION_AUTO && err->kind == ERR_UNSUPPORTED &&
	    store_owners_at(invocation->store_path) == STORE_OWNERS_REAL)
		err_wrap(err,
			 "the store %s was made with isolation mapped (set KILN_ROOT to another one for isolation "
			 "single)",
			 invocation->store_path);
	return report(invocation, err);
}

static int run_inside(struct invocation *invocation)
{
	struct err err = { 0 };
	int status;
	if (sandbox_enter(invocation_isolation(invocation), run_command, invocation, &status, &err) < 0)
		return report_entry(invocation, &err);
	return status;
}

static int apply_globals(struct invocation *invocation, const struct globals *globals, struct err *err)
{
	enum log_level level;
	if (globals->log_level) {
		if (log_parse_level(&level, globals->log_level, err) < 0)
			return -1;
		log_set_level(level);
	}
	/* docker build has an option of this name too, and on Linux one word for it. */
	bool is_default = globals->isolation && strcmp(globals->isolation, "default") == 0;
	if (globals->isolation && !is_default && isolation_parse(&invocation->isolation, globals->isolation, err) < 0)
		return -1;
	if (globals->view && view_kind_parse(&invocation->view, globals->view, err) < 0)
		return -1;
	invocation->store_path = globals->root ? globals->root : store_default_path(invocation->arena);
	return 0;
}

static int run_main(struct arena *arena, struct globals *globals, int argc, char **argv)
{
	struct err err = { 0 };
	int words;
	const struct command *command = find_command(argc, argv, &words, &err);
	if (!command)
		return report(NULL, &err);
	struct invocation invocation = { .command = command, .arena = arena };
	if (command->options_size)
		invocation.options = arena_alloc(arena, command->options_size);
	bool wants_help = false;
	if (options_parse(&invocation, global_options, globals, argc - words, argv + words, &wants_help, &err) < 0)
		return report(&invocation, &err);
	if (wants_help) {
		options_help(command);
		return 0;
	}
	if (apply_globals(&invocation, globals, &err) < 0 ||
	    (command->prepare && command->prepare(&invocation, &err) < 0))
		return report(&invocation, &err);
	return command->is_inside ? run_inside(&invocation) : run_command(&invocation);
}

/* Options before the command's name. */
static int parse_globals(struct arena *arena, struct globals *globals, int argc, char **argv, int *used,
			 struct err *err)
{
	static const struct command self = { .name = "", .stops_at_first_arg = true, .max_args = SIZE_MAX };
	struct invocation invocation = { .command = &self, .arena = arena };
	int end = 1;
	/* Values of options may not look like options, so the first word that is neither is the command. */
	while (end < argc && argv[end][0] == '-' && strcmp(argv[end], "--help") != 0 && strcmp(argv[end], "-h") != 0)
		end += strchr(argv[end], '=') || strcmp(argv[end], "--version") == 0 ? 1 : 2;
	if (end > argc)
		end = argc;
	bool wants_help = false;
	*used = end;
	return options_parse(&invocation, global_options, globals, end - 1, argv + 1, &wants_help, err);
}

/* Files 0 to 2 are assumed to be open everywhere: what is opened first must not become standard output. */
static void open_standard_files(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if (openat(AT_FDCWD, "/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd)
			_exit(EXIT_USAGE);
	}
}

/* A stack of layers costs a descriptor per layer and level. Steps get the usual soft limit back. */
static void raise_file_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			log_debug("limit of open files: %s", strerror(errno));
	}
}

int main(int argc, char **argv)
{
	scope_arena struct arena arena = { 0 };
	struct globals globals = { 0 };
	struct err err = { 0 };
	int used;
	open_standard_files();
	raise_file_limit();
	umask(022);
	signal(SIGPIPE, SIG_IGN);
	if (parse_globals(&arena, &globals, argc, argv, &used, &err) < 0)
		return report(NULL, &err);
	if (globals.version) {
		printf("kiln version %s\n", KILN_VERSION);
		return 0;
	}
	if (used >= argc || strcmp(argv[used], "--help") == 0 || strcmp(argv[used], "-h") == 0 ||
	    strcmp(argv[used], "help") == 0) {
		print_help();
		return used >= argc ? EXIT_USAGE : 0;
	}
	return run_main(&arena, &globals, argc - used, argv + used);
}

/* ---- shared by commands ---- */

int invocation_store(struct invocation *invocation, unsigned flags, struct store **store, struct err *err)
{
	return store_open(store, invocation->store_path, flags, err);
}

const char *canonical_name(struct arena *arena, const char *text, struct err *err)
{
	struct reference reference;
	if (reference_parse(arena, text, &reference, err) < 0)
		return NULL;
	return reference_text(arena, &reference);
}

bool split_pair(struct arena *arena, const char *text, const char **key, const char **value)
{
	const char *equals = strchr(text, '=');
	*key = equals ? arena_strndup(arena, text, (size_t)(equals - text)) : text;
	*value = equals ? equals + 1 : NULL;
	return equals != NULL;
}

void on_signals(void (*fn)(int))
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = fn };
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &action, NULL);
}

void print_table(const char *const *cells, size_t rows, size_t columns)
{
	for (size_t row = 0; row < rows; row++) {
		for (size_t column = 0; column < columns; column++) {
			const char *cell = cells[row * columns + column];
			size_t width = 0;
			for (size_t r = 0; r < rows; r++) {
				size_t len = strlen(cells[r * columns + column]);
				width = len > width ? len : width;
			}
			if (column + 1 < columns)
				printf("%-*s", (int)width + 3, cell);
			else
				printf("%s\n", cell);
		}
	}
}
