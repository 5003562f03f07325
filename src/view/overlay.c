/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kind.h"

/*
 * Kernel overlay. `userxattr` because trusted.* is out of reach in a user namespace: without it an emptied lower directory
 * is EIO. `volatile` because an upper directory of a killed step is thrown away. `index=off` because kernels may be
 * configured to default to on, which binds an upper directory to its lowers.
 *
 * All paths are /proc/self/fd/N: short, valid when the store is renamed, and nothing of the host is to be read in the step's
 * mountinfo.
 */

/* OVL_MAX_STACK of the kernel. */
#define LAYERS_MAX 500

/* The kernel takes one page of options, with its terminator. */
#define OPTIONS_MAX 4095

bool view_overlay_is_legacy;

/* What is to be mounted. Without an upper directory it is read-only. */
struct overlay {
	int work_fd;
	const int *lowers;
	size_t lower_count;
	int empty_fd; /* a further layer below all others, or -1 */
	bool is_writable;
};

static size_t layer_count(const struct overlay *overlay)
{
	return overlay->lower_count + (overlay->empty_fd >= 0);
}

static int layer_fd(const struct overlay *overlay, size_t i)
{
	return i < overlay->lower_count ? overlay->lowers[i] : overlay->empty_fd;
}

static int set_flag(int fs_fd, const char *key)
{
	return fsconfig(fs_fd, FSCONFIG_SET_FLAG, key, NULL, 0);
}

static int set_path(int fs_fd, const char *key, int fd, const char *below)
{
	char path[FD_PATH_MAX];

	return fsconfig(fs_fd, FSCONFIG_SET_STRING, key, view_fd_path(path, fd, below), 0);
}

static int configure(const struct overlay *overlay, int fs_fd)
{
	if (fsconfig(fs_fd, FSCONFIG_SET_STRING, "source", "overlay", 0) < 0 || set_flag(fs_fd, "userxattr") < 0 ||
	    fsconfig(fs_fd, FSCONFIG_SET_STRING, "index", "off", 0) < 0)
		return -1;
	for (size_t i = 0; i < layer_count(overlay); i++) {
		if (set_path(fs_fd, "lowerdir+", layer_fd(overlay, i), "") < 0)
			return -1;
	}
	if (!overlay->is_writable)
		return 0;
	return set_flag(fs_fd, "volatile") < 0 || set_path(fs_fd, "upperdir", overlay->work_fd, VIEW_UPPER) < 0 ||
			       set_path(fs_fd, "workdir", overlay->work_fd, VIEW_WORK) < 0
		       ? -1
		       : 0;
}

/* Layer by layer, of which Linux 6.8 takes 500. Returns a detached mount. */
static int mount_by_layers(const struct overlay *overlay)
{
	scope_fd int fs_fd = view_overlay_is_legacy ? (errno = EINVAL, -1) : fsopen("overlay", FSOPEN_CLOEXEC);

	if (fs_fd < 0 || configure(overlay, fs_fd) < 0 || fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(fs_fd, FSMOUNT_CLOEXEC, overlay->is_writable ? 0 : MOUNT_ATTR_RDONLY);
}

static void write_options(const struct overlay *overlay, struct strbuf *options)
{
	char path[FD_PATH_MAX];

	strbuf_addstr(options, "userxattr,index=off");
	for (size_t i = 0; i < layer_count(overlay); i++) {
		strbuf_addstr(options, i == 0 ? ",lowerdir=" : ":");
		strbuf_addstr(options, view_fd_path(path, layer_fd(overlay, i), ""));
	}
	if (!overlay->is_writable)
		return;
	strbuf_addf(options, ",volatile,upperdir=%s", view_fd_path(path, overlay->work_fd, VIEW_UPPER));
	strbuf_addf(options, ",workdir=%s", view_fd_path(path, overlay->work_fd, VIEW_WORK));
}

static bool lies_on_overlay(int dir_fd)
{
	struct statfs fs;

	return fstatfs(dir_fd, &fs) == 0 && (unsigned long)fs.f_type == OVERLAYFS_SUPER_MAGIC;
}

/* EINVAL has a dozen reasons. This is the frequent one: in containers the store lies on their root file system. */
static bool upper_would_be_on_overlay(const struct overlay *overlay)
{
	return overlay->is_writable && lies_on_overlay(overlay->work_fd);
}

static int fail(const struct overlay *overlay, struct err *err)
{
	int saved = errno;

	if (saved == EINVAL && upper_would_be_on_overlay(overlay))
		return err_set(
			err, ERR_UNSUPPORTED,
			"mount: %s (the store lies on an overlay itself; with a volume or a tmpfs for it this works)",
			strerror(saved));
	if (saved == ENODEV)
		return err_set(err, ERR_UNSUPPORTED,
			       "mount: %s (the kernel has no overlay; root loads it by: modprobe overlay)",
			       strerror(saved));
	errno = saved;
	return err_errno(err, "mount");
}

/* All layers in one option, as Linux 5.11 to 6.7 want it. */
static int mount_by_options(const struct view *view, const struct overlay *overlay, struct err *err)
{
	scope_strbuf struct strbuf options = { 0 };
	scope_fd int merged_fd = file_make_dir(view->work_fd, VIEW_MERGED, 0755, err);
	char target[FD_PATH_MAX];

	if (merged_fd < 0)
		return -1;
	write_options(overlay, &options);
	if (options.len > OPTIONS_MAX)
		return err_set(err, ERR_UNSUPPORTED,
			       "the names of %zu layers do not fit into the mount options of this kernel: it needs to "
			       "be Linux 6.8, "
			       "or use the view \"copy\", or flatten the base image",
			       overlay->lower_count);
	if (mount("overlay", view_fd_path(target, view->work_fd, VIEW_MERGED), "overlay",
		  overlay->is_writable ? 0 : MS_RDONLY, strbuf_str(&options)) < 0)
		return fail(overlay, err);
	return view_detach_merged(view, err);
}

/* lowerdir+ is an unknown option before Linux 6.8; fsopen may be missing or forbidden where mount is not. */
static bool may_do_with_options(const struct overlay *overlay)
{
	return errno == ENOSYS || errno == EPERM || (errno == EINVAL && !upper_would_be_on_overlay(overlay));
}

static int mount_overlay(struct view *view, const struct overlay *overlay, struct err *err)
{
	view->root_fd = mount_by_layers(overlay);
	if (view->root_fd < 0)
		view->root_fd = may_do_with_options(overlay) ? mount_by_options(view, overlay, err)
							     : fail(overlay, err);
	view->is_mount = true;
	return view->root_fd < 0 ? -1 : 0;
}

/* Overlay needs one lower, and without an upper two; nothing at all read-only needs no mount. */
static int open_overlay(struct view *view, const struct view_spec *spec, struct err *err)
{
	bool needs_empty = spec->lower_count < (spec->read_only ? 2 : 1);
	scope_fd int empty_fd = needs_empty ? view_make_empty(view, err) : -1;
	struct overlay overlay = { .work_fd = view->work_fd,
				   .lowers = spec->lowers,
				   .lower_count = spec->lower_count,
				   .empty_fd = empty_fd,
				   .is_writable = !spec->read_only };

	if (needs_empty && empty_fd < 0)
		return -1;
	if (spec->read_only && spec->lower_count == 0) {
		view->root_fd = take_fd(&empty_fd);
		return 0;
	}
	if (layer_count(&overlay) > LAYERS_MAX)
		return err_set(
			err, ERR_UNSUPPORTED,
			"%zu layers, of which the kernel takes %d: use the view \"copy\", or flatten the base image",
			spec->lower_count, LAYERS_MAX);
	if (overlay.is_writable && view_make_upper(view, spec, err) < 0)
		return -1;
	return mount_overlay(view, &overlay, err);
}

/* The mount is detached, so it goes with its last fd. Nothing has to be flushed: upper is read through the same page
   cache. */
static int finish_overlay(struct view *view, int64_t clamp, struct err *err)
{
	scope_close_fd(&view->root_fd);
	view->root_fd = -1;
	return view_remove_scratch(view, err) < 0 ? -1 : view_settle_upper(view, clamp, err);
}

static void release_overlay(struct view *view)
{
	(void)view;
}

const struct view_ops overlay_ops = { open_overlay, finish_overlay, release_overlay };
