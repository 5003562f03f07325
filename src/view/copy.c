/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "changes.h"
#include "kiln/base/file.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/base/text.h"
#include "kiln/layer/layer.h"
#include "kind.h"
#include "signature.h"

/*
 * The copy view: one complete working tree, no mount. It lives in the session's directory:
 *
 *	tree		the working tree
 *	signatures	of every entry of it (signature.h), as it was when a step last ended
 *	stack		the name of the layers that it stands for; missing while the tree may be changed, and from then on if the
 *			view is not finished: so what a killed step leaves is never taken for anything
 *
 * Without a session all is in work_fd.
 */
#define TREE           "tree"
#define SIGNATURES     "signatures"
#define NEW_SIGNATURES "signatures.new"
#define STACK          "stack"
#define CLOCK          "clock"
#define LINKS          "links"

enum { STACK_ID_MAX = 65536 };

struct copy {
	int home_fd; /* the session's directory or work_fd, borrowed from neither */
	bool has_session;
	char *next_id; /* NULL: the tree will not be known by any name */
};

static bool stands_for(int session_fd, const char *stack_id)
{
	scope_strbuf struct strbuf found = { 0 };

	return session_fd >= 0 && stack_id && file_read(session_fd, STACK, STACK_ID_MAX, &found, NULL) == 0 &&
	       text_equal(strbuf_str(&found), stack_id);
}

static int open_dir(int dir_fd, const char *name, struct err *err)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_errno(err, "open the %s of the view", name) : fd;
}

/* A name for the tree is given up before the tree changes, and given back after it was recorded. */
static int forget_stack(int home_fd, struct err *err)
{
	return unlinkat(home_fd, STACK, 0) < 0 && errno != ENOENT ? err_errno(err, "take the working tree") : 0;
}

/* ---- recording ---- */

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* What the file system would now write as a ctime. */
static int read_clock(int clock_fd, struct timespec *now, struct err *err)
{
	struct stat st;

	if (futimens(clock_fd, NULL) < 0 || fstat(clock_fd, &st) < 0)
		return err_errno(err, "read the file system's clock");
	*now = st.st_ctim;
	return 0;
}

/*
 * A file system's clock goes in ticks (a kernel's of 1 to 10 ms, a server's or an old file system's of a second): a change
 * in the tick in which its file was recorded would have the recorded ctime. So recording ends with the tick. A ctime that lies
 * seconds ahead is of a clock that was set back, and no change will soon meet it.
 */
static int await_tick(int home_fd, const struct timespec *newest, struct err *err)
{
	const struct timespec pause = { .tv_nsec = 500000 };
	scope_fd int clock_fd = openat(home_fd, CLOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct timespec first = { 0 }, now;

	if (clock_fd < 0 || read_clock(clock_fd, &first, err) < 0)
		return clock_fd < 0 ? err_errno(err, "read the file system's clock") : -1;
	for (now = first; !is_later(&now, newest) && now.tv_sec - first.tv_sec < 3;) {
		nanosleep(&pause, NULL);
		if (read_clock(clock_fd, &now, err) < 0)
			return -1;
	}
	return 0;
}

/* Writes new signatures, and with `changes->then` copies what has changed. */
static int pass(int home_fd, struct changes *changes, struct err *err)
{
	scope_fd int now_fd = openat(home_fd, NEW_SIGNATURES, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	scope_file FILE *now = now_fd < 0 ? NULL : fdopen(now_fd, "w");
	struct timespec newest;

	if (!now)
		return err_errno(err, "write signatures");
	take_fd(&now_fd);
	changes->now = now;
	if (changes_pass(changes, &newest, err) < 0)
		return -1;
	if (fflush(now) != 0)
		return err_errno(err, "write signatures");
	if (await_tick(home_fd, &newest, err) < 0)
		return -1;
	return renameat(home_fd, NEW_SIGNATURES, home_fd, SIGNATURES) < 0 ? err_errno(err, "write signatures") : 0;
}

/* ---- opening ---- */

static int build_tree(int home_fd, const struct view_spec *spec, struct err *err)
{
	if (forget_stack(home_fd, err) < 0 || file_remove_tree(home_fd, TREE, err) < 0)
		return -1;
	scope_fd int tree_fd = file_make_dir(home_fd, TREE, 0755, err);
	if (tree_fd < 0 || layer_copy_stack(spec->lowers, spec->lower_count, tree_fd, err) < 0 ||
	    (spec->lower_count > 0 && view_copy_root_attributes(spec->lowers[0], tree_fd, err) < 0))
		return -1;
	struct changes record = { .tree_fd = tree_fd };
	return spec->read_only ? 0 : pass(home_fd, &record, err);
}

static int open_copy(struct view *view, const struct view_spec *spec, struct err *err)
{
	bool is_ready = stands_for(spec->session_fd, spec->stack_id);
	bool in_session = spec->session_fd >= 0 && (is_ready || !spec->read_only);
	struct copy *copy = calloc(1, sizeof(*copy));

	if (!copy)
		abort();
	*copy = (struct copy){ .home_fd = fcntl(in_session ? spec->session_fd : spec->work_fd, F_DUPFD_CLOEXEC, 3),
			       .has_session = in_session,
			       .next_id = spec->next_id ? strdup(spec->next_id) : NULL };
	view->state = copy;
	if (copy->home_fd < 0)
		return err_errno(err, "open the directory of the view");
	if (!is_ready && build_tree(copy->home_fd, spec, err) < 0)
		return -1;
	if (!spec->read_only && forget_stack(copy->home_fd, err) < 0)
		return -1;
	view->root_fd = open_dir(copy->home_fd, TREE, err);
	return view->root_fd < 0 ? -1 : 0;
}

/* ---- finishing ---- */

static int collect(const struct view *view, int64_t clamp, struct err *err)
{
	const struct copy *copy = view->state;
	scope_fd int tree_fd = open_dir(copy->home_fd, TREE, err);
	scope_fd int upper_fd = tree_fd < 0 ? -1 : file_make_dir(view->work_fd, VIEW_UPPER, 0755, err);
	scope_fd int links_fd = upper_fd < 0 ? -1 : file_make_dir(view->work_fd, LINKS, 0700, err);
	scope_file FILE *then = links_fd < 0 ? NULL : signatures_open(copy->home_fd, SIGNATURES, err);

	if (!then || view_copy_root_attributes(tree_fd, upper_fd, err) < 0)
		return -1;
	struct changes changes = {
		.tree_fd = tree_fd, .then = then, .upper_fd = upper_fd, .links_fd = links_fd, .clamp = clamp
	};
	if (pass(copy->home_fd, &changes, err) < 0)
		return -1;
	return file_remove_tree(view->work_fd, LINKS, err);
}

/* The tree of a view without a session has done its duty. */
static int discard_tree(const struct copy *copy, struct err *err)
{
	static const char *const names[] = { TREE, SIGNATURES, CLOCK };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (file_remove_tree(copy->home_fd, names[i], err) < 0)
			return -1;
	}
	return 0;
}

static int finish_copy(struct view *view, int64_t clamp, struct err *err)
{
	const struct copy *copy = view->state;

	if (collect(view, clamp, err) < 0)
		return -1;
	if (!copy->has_session)
		return discard_tree(copy, err);
	return copy->next_id
		       ? file_replace(copy->home_fd, STACK, 0600, copy->next_id, strlen(copy->next_id), false, err)
		       : 0;
}

static void release_copy(struct view *view)
{
	struct copy *copy = view->state;

	if (!copy)
		return;
	scope_close_fd(&copy->home_fd);
	free(copy->next_id);
	free(copy);
	view->state = NULL;
}

const struct view_ops copy_ops = { open_copy, finish_copy, release_copy };
