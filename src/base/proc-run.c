/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "kiln/base/proc.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#define OUTPUT_MAX   ((size_t)64 * 1024)
#define SYSTEM_PATHS "/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"

static bool is_program(const char *path)
{
	struct stat st;

	return fstatat(AT_FDCWD, path, &st, 0) == 0 && S_ISREG(st.st_mode) &&
	       faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

/* Relative folders of PATH, the empty one too, are passed over: the current folder is often a context of somebody
   else's. */
static bool find_in(const char *folders, const char *program, struct strbuf *path)
{
	for (size_t len; *folders; folders += len + (folders[len] == ':')) {
		len = strcspn(folders, ":");
		if (folders[0] != '/')
			continue;
		strbuf_reset(path);
		strbuf_addf(path, "%.*s/%s", (int)len, folders, program);
		if (is_program(strbuf_str(path)))
			return true;
	}
	return false;
}

int proc_find(const char *program, struct strbuf *path, struct err *err)
{
	scope_strbuf struct strbuf found = { 0 };
	const char *folders = getenv("PATH");

	if (strchr(program, '/')) {
		if (program[0] != '/' || !is_program(program))
			return err_set(err, ERR_NOT_FOUND, "%s is not installed", program);
		strbuf_addstr(&found, program);
	} else if (!(folders && find_in(folders, program, &found)) && !find_in(SYSTEM_PATHS, program, &found)) {
		return err_set(err, ERR_NOT_FOUND, "%s is not installed", program);
	}
	strbuf_reset(path);
	strbuf_add(path, found.ptr, found.len);
	return 0;
}

/* What the child needs, made by the parent. */
struct launch {
	const struct proc_run *run;
	const char *path;
	int out_fd, err_fd; /* write ends */
};

/* Before close_range's flag (Linux 5.11) one by one; a process with more files than this has asked for it. */
static void close_on_exec_from(int first)
{
	struct rlimit limit = { .rlim_cur = 1024 };

	if (syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		return;
	getrlimit(RLIMIT_NOFILE, &limit);
	for (int fd = first; fd < 65536 && (rlim_t)fd < limit.rlim_cur; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static int arrange_fds(const struct launch *launch, struct err *err)
{
	scope_fd int null_fd = openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC);

	if (null_fd < 0)
		return err_errno(err, "open /dev/null");
	if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(launch->out_fd, STDOUT_FILENO) < 0 ||
	    dup2(launch->err_fd, STDERR_FILENO) < 0)
		return err_errno(err, "give %s its standard files", launch->path);
	close_on_exec_from(STDERR_FILENO + 1);
	for (const int *fd = launch->run->keep; fd && *fd >= 0; fd++) {
		if (fcntl(*fd, F_SETFD, 0) < 0)
			return err_errno(err, "give %s the file %d", launch->path, *fd);
	}
	return 0;
}

static int launch_child(int channel, void *arg, struct err *err)
{
	const struct launch *launch = arg;
	char *const *argv = (char *const *)(uintptr_t)launch->run->argv;
	char *const *envp = launch->run->envp ? (char *const *)(uintptr_t)launch->run->envp : environ;

	(void)channel;
	if (arrange_fds(launch, err) < 0)
		return -1;
	/* kiln ignores it, programs expect it. */
	signal(SIGPIPE, SIG_DFL);
	execve(launch->path, argv, envp);
	return err_errno(err, "run %s", launch->path);
}

/* One output of the program. */
struct output {
	int fd; /* -1 after its end */
	struct strbuf *text;
	bool keeps_end; /* of a long text: the end, else the beginning */
	bool is_cut;
};

static void collect(struct output *output, const char *bytes, size_t len)
{
	struct strbuf *text = output->text;
	size_t room = OUTPUT_MAX - (text->len < OUTPUT_MAX ? text->len : OUTPUT_MAX);

	output->is_cut |= len > room;
	if (!output->keeps_end) {
		strbuf_add(text, bytes, len < room ? len : room);
		return;
	}
	if (len > room) {
		size_t dropped = len - room < text->len ? len - room : text->len;
		memmove(text->ptr, text->ptr + dropped, text->len - dropped);
		strbuf_truncate(text, text->len - dropped);
	}
	strbuf_add(text, bytes, len);
}

/* Reads what is there, at most `reads` times: a program that never stops writing must still meet its timeout. The end,
   or an error, closes. */
static void drain(struct output *output, int reads)
{
	char bytes[8192];
	ssize_t count;

	while (output->fd >= 0 && reads-- > 0) {
		count = read(output->fd, bytes, sizeof(bytes));
		if (count > 0) {
			collect(output, bytes, (size_t)count);
		} else if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
			close(output->fd);
			output->fd = -1;
		} else if (errno == EAGAIN) {
			return;
		}
	}
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until the program ends or its time is up. Its end counts, not the end of its outputs: what it leaves running may hold
   those. Returns false on timeout. */
static bool follow(const struct proc *child, struct output *outputs, int timeout_ms)
{
	int64_t deadline = now_ms() + timeout_ms;

	for (;;) {
		struct pollfd ready[] = { { .fd = outputs[0].fd, .events = POLLIN },
					  { .fd = outputs[1].fd, .events = POLLIN },
					  { .fd = child->pidfd, .events = POLLIN } };
		int64_t left = deadline - now_ms();

		if (timeout_ms >= 0 && left <= 0)
			return false;
		if (poll(ready, ARRAY_LEN(ready), timeout_ms < 0 ? -1 : (int)left) < 0)
			continue;
		/* A pipe holds at most 1 MiB unless root made it larger, so the last reading gets all. */
		drain(&outputs[0], ready[2].revents ? 256 : 8);
		drain(&outputs[1], ready[2].revents ? 256 : 8);
		if (ready[2].revents)
			return true;
	}
}

/* The last line that has something in it, printable. */
static const char *last_line(const struct strbuf *text, char *out, size_t size)
{
	scope_strbuf struct strbuf line = { 0 };
	size_t end = text->len, start;

	while (end > 0 && strchr("\r\n\t ", text->ptr[end - 1]))
		end--;
	for (start = end; start > 0 && text->ptr[start - 1] != '\n'; start--)
		;
	if (end > start)
		strbuf_add(&line, text->ptr + start, end - start);
	return err_printable(out, size, strbuf_str(&line));
}

static int explain(const struct proc_run *run, const struct err *reason, const struct strbuf *stderr_text,
		   struct err *err)
{
	const char *name = path_base(run->argv[0]);
	char line[1024];

	/* Not of the program: its child could not even start it. */
	if (reason->kind != ERR_COMMAND) {
		if (err)
			*err = *reason;
		return -1;
	}
	last_line(stderr_text, line, sizeof(line));
	if (reason->sys > 128)
		return err_status(err, ERR_COMMAND, reason->sys, "%s was killed by signal %d", name, reason->sys - 128);
	if (*line)
		return err_status(err, ERR_COMMAND, reason->sys, "%s: %s", name, line);
	return err_status(err, ERR_COMMAND, reason->sys, "%s ended with status %d", name, reason->sys);
}

static int make_pipe(int *read_end, int *write_end, struct err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, "pipe");
	/* Only ours: programs do not expect a non-blocking stdout. */
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	*read_end = ends[0];
	*write_end = ends[1];
	return 0;
}

static int start(struct proc *child, const struct proc_run *run, const char *path, int *out_fd, int *err_fd,
		 struct err *err)
{
	scope_fd int out_end = -1;
	scope_fd int err_end = -1;

	if (make_pipe(out_fd, &out_end, err) < 0 || make_pipe(err_fd, &err_end, err) < 0)
		return -1;
	struct launch launch = { .run = run, .path = path, .out_fd = out_end, .err_fd = err_end };
	return proc_fork(child, launch_child, &launch, err);
}

int proc_run(const struct proc_run *run, struct err *err)
{
	scope_strbuf struct strbuf path = { 0 };
	scope_strbuf struct strbuf out = { 0 };
	scope_strbuf struct strbuf err_out = { 0 };
	scope_proc struct proc child = PROC_EMPTY;
	scope_fd int out_fd = -1;
	scope_fd int err_fd = -1;
	struct err reason;

	if (proc_find(run->argv[0], &path, err) < 0)
		return -1;
	if (start(&child, run, strbuf_str(&path), &out_fd, &err_fd, err) < 0)
		return err_wrap(err, "run %s", run->argv[0]);

	struct output outputs[] = { { .fd = take_fd(&out_fd), .text = &out },
				    { .fd = take_fd(&err_fd), .text = &err_out, .keeps_end = true } };
	bool is_in_time = follow(&child, outputs, run->timeout_ms);
	scope_close_fd(&outputs[0].fd);
	scope_close_fd(&outputs[1].fd);

	if (run->out)
		strbuf_add(run->out, out.ptr, out.len);
	if (run->err_out)
		strbuf_add(run->err_out, err_out.ptr, err_out.len);
	if (!is_in_time)
		return err_status(err, ERR_SYSTEM, ETIMEDOUT, "%s did not end within %d ms and was killed",
				  path_base(run->argv[0]), run->timeout_ms);
	if (proc_wait(&child, NULL, &reason) < 0)
		return explain(run, &reason, &err_out, err);
	if (run->out && outputs[0].is_cut)
		return err_status(err, ERR_SYSTEM, EOVERFLOW, "%s wrote more than %zu bytes", path_base(run->argv[0]),
				  OUTPUT_MAX);
	return 0;
}
