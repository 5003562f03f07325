/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fuse-repair.h"
#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/proc.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/layer/layer.h"
#include "kind.h"

/*
 * fuse-overlayfs: the helper program mounts on work_fd/"merged" in our mount namespace; the mount is then taken from there,
 * so that it has no name and ends with its last fd, upon which the program ends too.
 *
 * It reads our layer trees as they are: whiteouts are devices 0:0, and it knows user.overlay.opaque. What it leaves in
 * upper in its own forms, layer_tree_settle rewrites.
 */

/* For the program to mount, and for it to end after the last use of the tree. */
#define PATIENCE_MS 10000

struct fuse {
	struct proc program;
	int words_fd; /* what it prints: a file, since nobody empties a pipe while it serves */
	struct stack_dir *below;
	struct timespec start; /* of the view, by the file system's clock */
};

static void write_options(const struct view *view, const struct view_spec *spec, int empty_fd, struct strbuf *options)
{
	char path[FD_PATH_MAX];

	/* fsync(2) of the step's programs buys nothing, as with overlay's "volatile". */
	strbuf_addstr(options, "fsync=0");
	for (size_t i = 0; i < spec->lower_count; i++)
		strbuf_addf(options, "%s%s", i == 0 ? ",lowerdir=" : ":", view_fd_path(path, spec->lowers[i], ""));
	if (spec->lower_count == 0)
		strbuf_addf(options, ",lowerdir=%s", view_fd_path(path, empty_fd, ""));
	strbuf_addf(options, ",upperdir=%s", view_fd_path(path, view->work_fd, VIEW_UPPER));
	strbuf_addf(options, ",workdir=%s", view_fd_path(path, view->work_fd, VIEW_WORK));
}

/* What the child needs, made by the parent. */
struct launch {
	const char *program, *options, *target;
	const struct view_spec *spec;
	int work_fd, empty_fd, words_fd;
};

static int keep_fd(int fd)
{
	return fd < 0 ? 0 : fcntl(fd, F_SETFD, 0);
}

/* Only what its options name, and a file to speak to, is handed on. */
static int arrange_fds(const struct launch *launch, struct err *err)
{
	scope_fd int null_fd = openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC);
	int failed = 0;

	if (null_fd < 0)
		return err_errno(err, "open /dev/null");
	if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(launch->words_fd, STDOUT_FILENO) < 0 ||
	    dup2(launch->words_fd, STDERR_FILENO) < 0)
		return err_errno(err, "give fuse-overlayfs its standard files");
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < launch->spec->lower_count; i++)
		failed |= keep_fd(launch->spec->lowers[i]);
	failed |= keep_fd(launch->work_fd) | keep_fd(launch->empty_fd);
	return failed ? err_errno(err, "give fuse-overlayfs its directories") : 0;
}

static int launch_child(int channel, void *arg, struct err *err)
{
	const struct launch *launch = arg;
	const char *const argv[] = { "fuse-overlayfs", "-f", "-o", launch->options, launch->target, NULL };

	(void)channel;
	if (arrange_fds(launch, err) < 0)
		return -1;
	/* The terminal's Ctrl-C is for us: we end the program when nothing uses the tree any more. */
	setsid();
	signal(SIGPIPE, SIG_DFL);
	execv(launch->program, (char *const *)(uintptr_t)argv);
	return err_errno(err, "run %s", launch->program);
}

static int start(struct view *view, const struct view_spec *spec, struct err *err)
{
	struct fuse *fuse = view->state;
	scope_strbuf struct strbuf program = { 0 };
	scope_strbuf struct strbuf options = { 0 };
	scope_fd int empty_fd = spec->lower_count == 0 ? view_make_empty(view, err) : -1;
	scope_fd int merged_fd = file_make_dir(view->work_fd, VIEW_MERGED, 0755, err);
	char target[FD_PATH_MAX];

	if (merged_fd < 0 || (spec->lower_count == 0 && empty_fd < 0) || proc_find("fuse-overlayfs", &program, err) < 0)
		return -1;
	write_options(view, spec, empty_fd, &options);
	struct launch launch = { .program = strbuf_str(&program),
				 .options = strbuf_str(&options),
				 .target = view_fd_path(target, view->work_fd, VIEW_MERGED),
				 .spec = spec,
				 .work_fd = view->work_fd,
				 .empty_fd = empty_fd,
				 .words_fd = fuse->words_fd };
	if (proc_fork(&fuse->program, launch_child, &launch, err) < 0)
		return -1;
	view->helper = fuse->program.pid;
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* True if the program has ended, which is waited for. */
static bool has_ended(const struct fuse *fuse, int timeout_ms)
{
	struct pollfd ended = { .fd = fuse->program.pidfd, .events = POLLIN };
	int64_t deadline = now_ms() + timeout_ms;
	int left = timeout_ms;

	while (poll(&ended, 1, left) < 0 && errno == EINTR) {
		left = (int)(deadline - now_ms());
		left = left < 0 ? 0 : left;
	}
	return ended.revents != 0;
}

/* The last line that the program printed, or "". */
static const char *last_words(const struct fuse *fuse, char *out, size_t size)
{
	scope_strbuf struct strbuf words = { 0 };
	char *line;

	if (lseek(fuse->words_fd, 0, SEEK_SET) < 0 || file_read_fd(fuse->words_fd, 65536, &words, "words", NULL) < 0)
		strbuf_reset(&words);
	while (words.len > 0 && words.ptr[words.len - 1] == '\n')
		strbuf_truncate(&words, words.len - 1);
	line = words.len > 0 ? strrchr(words.ptr, '\n') : NULL;
	return err_printable(out, size, line ? line + 1 : strbuf_str(&words));
}

/* /dev/fuse is what is usually missing, and the program's words do not always say so. */
static int explain_end(struct fuse *fuse, struct err *err)
{
	scope_fd int dev_fd = openat(AT_FDCWD, "/dev/fuse", O_RDWR | O_CLOEXEC);
	int dev_sys = dev_fd < 0 ? errno : 0;
	char words[512];
	struct err reason = { 0 };

	if (proc_wait(&fuse->program, NULL, &reason) < 0 && reason.kind == ERR_SYSTEM) {
		if (err)
			*err = reason;
		return -1;
	}
	last_words(fuse, words, sizeof(words));
	if (dev_sys)
		return err_set(err, ERR_UNSUPPORTED, "open /dev/fuse: %s (in a container: --device /dev/fuse)",
			       strerror(dev_sys));
	return err_set(err, ERR_UNSUPPORTED, "the program ended: %s", *words ? words : "without a word");
}

/* A mount of its own begins at "merged". The type of the file system proves nothing: the store may lie on FUSE too. */
static bool is_mounted(const struct view *view)
{
	struct statx stx;

	return statx(view->work_fd, VIEW_MERGED, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) == 0 &&
	       (stx.stx_attributes & stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT);
}

static int await_mount(const struct view *view, struct err *err)
{
	struct fuse *fuse = view->state;
	int64_t deadline = now_ms() + PATIENCE_MS;

	while (!is_mounted(view)) {
		if (has_ended(fuse, 2))
			return explain_end(fuse, err);
		if (now_ms() > deadline)
			return err_set(err, ERR_UNSUPPORTED, "the program did not mount within %d s",
				       PATIENCE_MS / 1000);
	}
	return 0;
}

/* The work directory was just made. */
static int note_start(const struct view *view, struct err *err)
{
	struct fuse *fuse = view->state;
	struct stat st;

	if (fstatat(view->work_fd, VIEW_WORK, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat the work directory");
	fuse->start = st.st_mtim;
	return 0;
}

static int open_fuse(struct view *view, const struct view_spec *spec, struct err *err)
{
	struct fuse *fuse = calloc(1, sizeof(*fuse));

	if (!fuse)
		abort();
	*fuse = (struct fuse){ .program = PROC_EMPTY, .words_fd = memfd_create("fuse-overlayfs", MFD_CLOEXEC) };
	view->state = fuse;
	if (fuse->words_fd < 0)
		return err_errno(err, "make a file for the program's words");
	fuse->below = stack_open(spec->lowers, spec->lower_count, err);
	/* It knows no read-only mode: an upper directory that stays empty is the same. */
	if (!fuse->below || view_make_upper(view, spec, err) < 0 || note_start(view, err) < 0 ||
	    start(view, spec, err) < 0 || await_mount(view, err) < 0)
		return -1;
	view->root_fd = view_detach_merged(view, err);
	view->is_mount = true;
	return view->root_fd < 0 ? -1 : 0;
}

/* Closing the tree's last fd ends the mount and thereby the program. A fd that a child of ours still holds would delay
   that, so what the kernel keeps back is written before, and the program is not waited for without end. */
static void end(struct fuse *fuse)
{
	if (fuse->program.pid > 0 && !has_ended(fuse, PATIENCE_MS))
		log_debug("fuse-overlayfs did not end and is killed");
	proc_kill(&fuse->program);
}

static int repair(const struct view *view, struct err *err)
{
	const struct fuse *fuse = view->state;
	scope_fd int upper_fd = openat(view->work_fd, VIEW_UPPER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (upper_fd < 0)
		return err_errno(err, "open the changes");
	return fuse_repair(upper_fd, fuse->below, &fuse->start, err);
}

static int finish_fuse(struct view *view, int64_t clamp, struct err *err)
{
	struct fuse *fuse = view->state;
	scope_fd int dir_fd = openat(view->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (has_ended(fuse, 0))
		return explain_end(fuse, err);
	if (dir_fd < 0 || syncfs(dir_fd) < 0)
		return err_errno(err, "write out the changes");
	scope_close_fd(&dir_fd);
	dir_fd = -1;
	scope_close_fd(&view->root_fd);
	view->root_fd = -1;
	end(fuse);
	if (repair(view, err) < 0 || view_remove_scratch(view, err) < 0)
		return -1;
	return view_settle_upper(view, clamp, err);
}

static void release_fuse(struct view *view)
{
	struct fuse *fuse = view->state;
	char target[FD_PATH_MAX];

	if (!fuse)
		return;
	/* Nobody wants what it holds back. It may have mounted after we lost patience. */
	proc_kill(&fuse->program);
	umount2(view_fd_path(target, view->work_fd, VIEW_MERGED), MNT_DETACH | UMOUNT_NOFOLLOW);
	scope_close_fd(&fuse->words_fd);
	stack_close(fuse->below);
	free(fuse);
	view->state = NULL;
}

const struct view_ops fuse_ops = { open_fuse, finish_fuse, release_fuse };
