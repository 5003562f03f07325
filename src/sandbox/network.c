/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "etc.h"
#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/sandbox/network.h"
#include "loopback.h"

#define PATIENCE_MS   10000
#define PROBE_WAIT_NS 5000000
#define WORDS_MAX     ((size_t)65536)

static const char *const mode_names[] = {
	[NETWORK_HOST] = "host",
	[NETWORK_NONE] = "none",
	[NETWORK_PRIVATE] = "private",
};

const char *network_mode_name(enum network_mode mode)
{
	return mode_names[mode];
}

int network_mode_parse(enum network_mode *mode, const char *text, struct err *err)
{
	char shown[128];

	for (size_t i = 0; i < ARRAY_LEN(mode_names); i++) {
		if (text_equal(text, mode_names[i])) {
			*mode = (enum network_mode)i;
			return 0;
		}
	}
	if (text_equal(text, "default")) {
		*mode = NETWORK_HOST;
		return 0;
	}
	return err_set(err, ERR_USAGE, "invalid network mode \"%s\": host, none or private",
		       err_printable(shown, sizeof(shown), text));
}

/* ---- the namespace ---- */

enum { STEP_MADE };

static int make_namespace(int channel, void *arg, struct err *err)
{
	(void)arg;
	if (unshare(CLONE_NEWNET) < 0)
		return err_errno(err, "make a network namespace");
	if (loopback_up(err) < 0 || proc_reach(channel, STEP_MADE, NULL, 0, err) < 0)
		return -1;
	return proc_pause(channel, err);
}

/* Made by a child, since there is no way back from it without rights over the host's. Our fd keeps it. */
static int open_namespace(struct err *err)
{
	scope_proc struct proc maker = PROC_EMPTY;
	char path[64];

	if (proc_fork(&maker, make_namespace, NULL, err) < 0 || proc_await(&maker, STEP_MADE, NULL, err) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", maker.pid);
	int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_errno(err, "open %s", path) : fd;
}

/* ---- the helpers ---- */

/* How a helper is started; the fds are those of the child. */
struct launch {
	const struct stack *stack;
	const char *path; /* of the program */
	int netns_fd, ready_fd, exit_fd, words_fd;
};

struct stack {
	const char *program;
	void (*add_args)(const struct launch *launch, struct strvec *argv);
	bool says_ready;        /* writes to ready_fd when the namespace can be used */
	const char *nameserver; /* in the namespace, or NULL: those of the host */
};

static void add_slirp4netns_args(const struct launch *launch, struct strvec *argv)
{
	strvec_push(argv, "--configure");
	strvec_push(argv, "--mtu=65520");
	strvec_push(argv, "--disable-host-loopback");
	strvec_pushf(argv, "--ready-fd=%d", launch->ready_fd);
	strvec_pushf(argv, "--exit-fd=%d", launch->exit_fd);
	strvec_push(argv, "--netns-type=path");
	strvec_pushf(argv, "/proc/self/fd/%d", launch->netns_fd);
	strvec_push(argv, "tap0");
}

/* By default it forwards ports both ways and maps the gateway's address to the host's loopback. */
static void add_pasta_args(const struct launch *launch, struct strvec *argv)
{
	static const char *const fixed[] = {
		"--foreground",     "--quiet",       "--stderr",      "--config-net", "--no-map-gw", "--tcp-ports=none",
		"--udp-ports=none", "--tcp-ns=none", "--udp-ns=none", "--netns-only", "--runas=0:0", "--no-netns-quit",
	};

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		strvec_push(argv, fixed[i]);
	strvec_pushf(argv, "--netns=/proc/%d/fd/%d", getpid(), launch->netns_fd);
}

static const struct stack stacks[] = {
	{ "slirp4netns", add_slirp4netns_args, true, "10.0.2.3" },
	{ "pasta", add_pasta_args, false, NULL },
};

static int keep_fd(int fd)
{
	return fcntl(fd, F_SETFD, 0);
}

static int arrange_fds(const struct launch *launch, struct err *err)
{
	scope_fd int null_fd = openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC);

	if (null_fd < 0)
		return err_errno(err, "open /dev/null");
	if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(launch->words_fd, STDOUT_FILENO) < 0 ||
	    dup2(launch->words_fd, STDERR_FILENO) < 0)
		return err_errno(err, "give it its standard files");
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	if (keep_fd(launch->netns_fd) < 0 || keep_fd(launch->ready_fd) < 0 || keep_fd(launch->exit_fd) < 0)
		return err_errno(err, "give it its files");
	return 0;
}

static int launch_child(int channel, void *arg, struct err *err)
{
	const struct launch *launch = arg;
	scope_strvec struct strvec argv = { 0 };

	(void)channel;
	if (arrange_fds(launch, err) < 0)
		return -1;
	/* The terminal's Ctrl-C is for the build: its steps end before their network. */
	setsid();
	signal(SIGPIPE, SIG_DFL);
	strvec_push(&argv, launch->stack->program);
	launch->stack->add_args(launch, &argv);
	execv(launch->path, strvec_argv(&argv));
	return err_errno(err, "run %s", launch->path);
}

/* ---- is it up? ---- */

/* Sees the routes of the namespace that the reader is in. */
static bool has_default_route(void)
{
	scope_strbuf struct strbuf text = { 0 };
	const char *line;

	if (file_read(AT_FDCWD, "/proc/thread-self/net/route", WORDS_MAX, &text, NULL) < 0)
		return false;
	for (line = strbuf_str(&text); *line; line += strcspn(line, "\n"), line += *line == '\n') {
		/* Interface, then the destination in hex. */
		const char *destination = line + strcspn(line, "\t\n");
		if (text_starts(destination, "\t00000000\t"))
			return true;
	}
	return false;
}

struct look {
	int netns_fd, ready_fd;
};

/* For a helper that does not say when it is ready. */
static int look_for_route(int channel, void *arg, struct err *err)
{
	const struct look *look = arg;
	const struct timespec pause = { .tv_nsec = PROBE_WAIT_NS };

	(void)channel;
	if (setns(look->netns_fd, CLONE_NEWNET) < 0)
		return err_errno(err, "enter the network namespace");
	while (!has_default_route())
		nanosleep(&pause, NULL);
	return file_write_fd(look->ready_fd, "1", 1, "a pipe", err);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 1: ready, 0: ended, -1: not in time. */
static int wait_until_ready(const struct proc *helper, int ready_fd)
{
	struct pollfd fds[] = { { .fd = ready_fd, .events = POLLIN }, { .fd = helper->pidfd, .events = POLLIN } };
	int64_t deadline = now_ms() + PATIENCE_MS, left;

	while ((left = deadline - now_ms()) > 0) {
		if (poll(fds, ARRAY_LEN(fds), (int)left) <= 0)
			continue;
		if (fds[0].revents & POLLIN)
			return 1;
		if (fds[1].revents)
			return 0;
		/* The pipe has ended before the process: it is on its way out. */
		fds[0].fd = -1;
	}
	return -1;
}

/* ---- starting ---- */

/* Its last line, which is where programs say what is wrong. */
static void read_last_words(int words_fd, struct strbuf *words)
{
	scope_strbuf struct strbuf text = { 0 };
	char shown[512];

	if (lseek(words_fd, 0, SEEK_SET) < 0 || file_read_fd(words_fd, WORDS_MAX, &text, "words", NULL) < 0)
		return;
	while (text.len > 0 && strchr("\r\n ", text.ptr[text.len - 1]))
		strbuf_truncate(&text, text.len - 1);
	const char *last = strrchr(strbuf_str(&text), '\n');
	strbuf_addstr(words, err_printable(shown, sizeof(shown), last ? last + 1 : strbuf_str(&text)));
}

static int fail_with_words(const struct launch *launch, struct proc *helper, bool has_ended, struct err *err)
{
	scope_strbuf struct strbuf words = { 0 };
	struct err failed = { 0 };
	const char *program = launch->stack->program;

	if (has_ended && proc_wait(helper, NULL, &failed) < 0 && failed.kind != ERR_COMMAND)
		return err_set(err, ERR_UNSUPPORTED, "%s: %s", program, failed.msg);
	proc_kill(helper);
	read_last_words(launch->words_fd, &words);
	if (!has_ended)
		return err_set(err, ERR_UNSUPPORTED, "%s did not come up within %d seconds%s%s", program,
			       PATIENCE_MS / 1000, words.len ? ": " : "", strbuf_str(&words));
	return err_set(err, ERR_UNSUPPORTED, "%s failed: %s", program,
		       words.len ? strbuf_str(&words) : "it ended without a word");
}

static int start_helper(struct network *network, const struct launch *launch, int ready_read_fd, struct err *err)
{
	scope_proc struct proc looker = PROC_EMPTY;
	struct look look = { launch->netns_fd, launch->ready_fd };

	if (proc_fork(&network->helper, launch_child, (void *)(uintptr_t)launch, err) < 0)
		return -1;
	if (!launch->stack->says_ready && proc_fork(&looker, look_for_route, &look, err) < 0)
		return -1;
	int state = wait_until_ready(&network->helper, ready_read_fd);
	return state == 1 ? 0 : fail_with_words(launch, &network->helper, state == 0, err);
}

static void write_resolv_conf(struct network *network, const struct stack *stack)
{
	scope_strbuf struct strbuf host = { 0 };
	scope_strbuf struct strbuf text = { 0 };

	etc_host_resolv_conf(&host);
	etc_private_resolv_conf(&text, strbuf_str(&host), stack->nameserver);
	snprintf(network->resolv_conf, sizeof(network->resolv_conf), "%s", strbuf_str(&text));
}

static int try_stack(struct network *network, const struct stack *stack, struct err *err)
{
	scope_strbuf struct strbuf path = { 0 };
	int ready[2] = { -1, -1 }, exits[2] = { -1, -1 };

	if (proc_find(stack->program, &path, err) < 0)
		return -1;
	scope_fd int words_fd = memfd_create("words", MFD_CLOEXEC);
	if (words_fd < 0 || pipe2(ready, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	scope_fd int ready_read_fd = ready[0];
	scope_fd int ready_write_fd = ready[1];
	if (pipe2(exits, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe");
	scope_fd int exit_read_fd = exits[0];
	scope_fd int exit_write_fd = exits[1];

	const struct launch launch = { .stack = stack,
				       .path = strbuf_str(&path),
				       .netns_fd = network->netns_fd,
				       .ready_fd = ready_write_fd,
				       .exit_fd = exit_read_fd,
				       .words_fd = words_fd };
	if (start_helper(network, &launch, ready_read_fd, err) < 0) {
		proc_kill(&network->helper);
		return -1;
	}
	network->exit_fd = take_fd(&exit_write_fd);
	write_resolv_conf(network, stack);
	return 0;
}

static int start_any(struct network *network, struct err *err)
{
	scope_strbuf struct strbuf reasons = { 0 };
	struct err failed = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(stacks); i++) {
		if (try_stack(network, &stacks[i], &failed) == 0)
			return 0;
		log_debug("network: %s", failed.msg);
		strbuf_addf(&reasons, "%s%s", i ? "; " : "", failed.msg);
	}
	return err_set(err, ERR_UNSUPPORTED, "%s", strbuf_str(&reasons));
}

int network_start(struct network *network, struct err *err)
{
	*network = (struct network)NETWORK_EMPTY;
	network->netns_fd = open_namespace(err);
	if (network->netns_fd >= 0 && start_any(network, err) == 0)
		return 0;
	network_stop(network);
	return err_wrap(err, "start the private network");
}

void network_stop(struct network *network)
{
	scope_close_fd(&network->exit_fd);
	proc_kill(&network->helper);
	scope_close_fd(&network->netns_fd);
	*network = (struct network)NETWORK_EMPTY;
}
