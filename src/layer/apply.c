/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/codec/untar.h"
#include "kiln/layer/apply.h"

#include "applier.h"
#include "content.h"
#include "marks.h"
#include "node.h"
#include "place.h"
#include "shown.h"

enum { CHUNK = 256 * 1024, ARENA_ENOUGH = 256 * 1024 };

static void applier_release(struct applier *applier)
{
	untar_close(applier->untar);
	stack_close(applier->merged);
	arena_release(&applier->arena);
	scope_close_fd(&applier->parent_fd);
	strbuf_release(&applier->parent_path);
	free(applier->created.slots);
	for (size_t i = 0; i < applier->late_count; i++)
		free(applier->late[i].path);
	free(applier->late);
	links_release(&applier->late_index);
}

/* ---- names ---- */

static int clean_name(struct applier *applier, const char *path, const char **clean, struct err *err)
{
	if (path_has_dotdot(path))
		return err_set(err, ERR_INPUT, "the name \"%s\" holds \"..\"", SHOWN(path));
	*clean = path_clean(&applier->arena, path);
	if (applier->options->prefix)
		*clean = path_join(&applier->arena, applier->options->prefix, *clean);
	return 0;
}

static mode_t type_of(const struct untar_item *item)
{
	static const mode_t types[] = {
		[UNTAR_FILE] = S_IFREG, [UNTAR_DIR] = S_IFDIR,  [UNTAR_SYMLINK] = S_IFLNK, [UNTAR_HARDLINK] = S_IFREG,
		[UNTAR_FIFO] = S_IFIFO, [UNTAR_CHAR] = S_IFCHR, [UNTAR_BLOCK] = S_IFBLK,
	};

	return types[item->type];
}

static struct layer_entry entry_of(struct applier *applier, const struct untar_item *item, const char *path)
{
	const struct layer_apply_options *options = applier->options;
	struct layer_xattr *xattrs = arena_array(&applier->arena, struct layer_xattr, item->xattr_count + 1);

	for (size_t i = 0; i < item->xattr_count; i++)
		xattrs[i] = (struct layer_xattr){ item->xattrs[i].name, item->xattrs[i].value, item->xattrs[i].len };
	return (struct layer_entry){
		.path = path,
		.mode = type_of(item) | (item->mode & 07777),
		.uid = options->override_owner ? options->uid : item->uid,
		.gid = options->override_owner ? options->gid : item->gid,
		.size = item->size,
		.mtime = item->mtime,
		.rdev = item->rdev,
		.link = item->link,
		.is_hardlink = item->type == UNTAR_HARDLINK,
		.xattrs = xattrs,
		.xattr_count = item->xattr_count,
	};
}

/* ---- entries ---- */

/* Takes away what has the entry's name. *was_removed becomes true if that was a whiteout. */
static int make_room(struct applier *applier, int parent_fd, const char *name, bool *was_removed, struct err *err)
{
	applier_forget_parent(applier);
	if (applier_unhide(applier, parent_fd, name, was_removed, err) < 0)
		return -1;
	return file_remove_tree(parent_fd, name, err);
}

/* Trees with whiteouts as files must be asked before the entry is made; else a name that exists says so by itself. */
static int unhide_first(struct applier *applier, int parent_fd, const char *name, bool *was_removed, struct err *err)
{
	return applier->has_file_marks ? applier_unhide(applier, parent_fd, name, was_removed, err) : 0;
}

static bool is_zero(const char *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

static int write_all(int fd, const char *bytes, size_t len, const struct layer_entry *entry, struct err *err)
{
	while (len > 0) {
		ssize_t count = write(fd, bytes, len);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return err_errno(err, "write %s", SHOWN(entry->path));
		bytes += count;
		len -= (size_t)count;
	}
	return 0;
}

/* Long runs of zeros become holes: lastlog of a large uid is hundreds of gigabytes of them. */
static int write_contents(struct applier *applier, int fd, const struct layer_entry *entry, struct err *err)
{
	static char chunk[CHUNK];
	bool ends_in_hole = false;
	ssize_t count;

	if (entry->size == 0)
		return 0;
	while ((count = untar_read(applier->untar, chunk, sizeof(chunk), err)) > 0) {
		ends_in_hole = count >= CHUNK / 4 && is_zero(chunk, (size_t)count);
		if (ends_in_hole && lseek(fd, count, SEEK_CUR) < 0)
			return err_errno(err, "write %s", SHOWN(entry->path));
		if (!ends_in_hole && write_all(fd, chunk, (size_t)count, entry, err) < 0)
			return -1;
	}
	if (count == 0 && ends_in_hole && ftruncate(fd, entry->size) < 0)
		return err_errno(err, "write %s", SHOWN(entry->path));
	return count < 0 ? -1 : 0;
}

static int apply_file(struct applier *applier, int parent_fd, const char *name, const struct layer_entry *entry,
		      struct err *err)
{
	bool was_removed = false;

	if (unhide_first(applier, parent_fd, name, &was_removed, err) < 0)
		return -1;
	int made = place_file(parent_fd, name, entry, err);
	if (made < 0 && err_is_errno(err, EEXIST)) {
		if (make_room(applier, parent_fd, name, &was_removed, err) < 0)
			return -1;
		made = place_file(parent_fd, name, entry, err);
	}
	scope_fd int fd = made;
	if (fd < 0 || write_contents(applier, fd, entry, err) < 0 || place_finish(fd, entry, err) < 0)
		return -1;
	return place_times(fd, entry, err);
}

static int apply_other(struct applier *applier, int parent_fd, const char *name, const struct layer_entry *entry,
		       struct err *err)
{
	bool was_removed = false;

	if (S_ISCHR(entry->mode) && entry->rdev == makedev(0, 0))
		return err_set(err, ERR_INPUT, "%s: device 0:0 would be a whiteout of overlay", SHOWN(entry->path));
	if (unhide_first(applier, parent_fd, name, &was_removed, err) < 0)
		return -1;
	int result = place_other(parent_fd, name, entry, err);
	if (result < 0 && err_is_errno(err, EEXIST)) {
		if (make_room(applier, parent_fd, name, &was_removed, err) < 0)
			return -1;
		result = place_other(parent_fd, name, entry, err);
	}
	applier_forget_parent(applier);
	return result;
}

/* A directory that is there keeps what is in it and gets the entry's metadata, all of it. */
static int finish_directory(struct applier *applier, int fd, const struct layer_entry *entry, bool is_old,
			    struct err *err)
{
	struct layer_entry open_entry = *entry;
	struct stat st;

	open_entry.mode |= 0700;
	if (is_old && xattr_remove_others(fd, entry->xattrs, entry->xattr_count, entry->path, err) < 0)
		return -1;
	if (place_finish(fd, &open_entry, err) < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_errno(err, "stat %s", SHOWN(entry->path));
	applier_set_late(applier, &st, entry->path, entry->mode, entry->mtime);
	return 0;
}

static int open_existing(int parent_fd, const char *name)
{
	return openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int apply_directory(struct applier *applier, int parent_fd, const char *name, const struct layer_entry *entry,
			   struct err *err)
{
	bool was_removed = false, is_old = false;

	if (unhide_first(applier, parent_fd, name, &was_removed, err) < 0)
		return -1;
	int made = place_directory(parent_fd, name, entry, err);
	if (made < 0 && err_is_errno(err, EEXIST)) {
		made = open_existing(parent_fd, name);
		is_old = made >= 0;
		if (made < 0 && errno != ENOTDIR && errno != ELOOP)
			return err_errno(err, "open %s", SHOWN(entry->path));
	}
	if (made < 0) {
		if (!err_is_errno(err, EEXIST) || make_room(applier, parent_fd, name, &was_removed, err) < 0)
			return -1;
		made = place_directory(parent_fd, name, entry, err);
	}
	scope_fd int fd = made;
	if (fd < 0 || (was_removed && applier_make_opaque(applier, fd, err) < 0))
		return -1;
	return finish_directory(applier, fd, entry, is_old, err);
}

static bool is_entry(const struct applier *applier, int dir_fd, const char *name, struct stat *st)
{
	return fstatat(dir_fd, name, st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (!applier_makes_tree(applier) || layer_entry_mark(dir_fd, name, st) == LAYER_ENTRY);
}

/* The directory that holds what the hard link names, brought up from below if need be. */
static int open_target(struct applier *applier, const char *target, struct stat *st, struct err *err)
{
	const char *leaf = path_base(target);
	struct err cause;
	int below_fd = -1;
	scope_fd int fd = root_open_parent(&applier->root, target, &leaf, &cause);

	if (fd < 0 && !err_is_errno(&cause, ENOENT) && !err_is_errno(&cause, ENOTDIR))
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	if (fd >= 0 && is_entry(applier, fd, leaf, st))
		return take_fd(&fd);
	int found = applier->merged ? applier_bring_up(applier, target, &below_fd, err) : 0;
	scope_fd int brought_fd = below_fd;
	if (found < 0)
		return -1;
	if (found && is_entry(applier, brought_fd, leaf, st))
		return take_fd(&brought_fd);
	return err_set(err, ERR_NOT_FOUND, "the hard link's target %s is not there", SHOWN(target));
}

/* Metadata are the target's: the entry has them once more, but a chmod here could only go wrong. */
static int apply_hardlink(struct applier *applier, const struct layer_entry *entry, struct err *err)
{
	const char *target = NULL, *name = path_base(entry->path);
	struct stat source, there;
	bool was_removed = false;

	if (clean_name(applier, entry->link, &target, err) < 0)
		return err_wrap(err, "%s: hard link", SHOWN(entry->path));
	if (!*target)
		return err_set(err, ERR_INPUT, "%s: a hard link to the root", SHOWN(entry->path));
	scope_fd int source_fd = open_target(applier, target, &source, err);
	if (source_fd < 0)
		return err_wrap(err, "%s", SHOWN(entry->path));
	if (S_ISDIR(source.st_mode))
		return err_set(err, ERR_INPUT, "%s: a hard link to the directory %s", SHOWN(entry->path),
			       SHOWN(target));
	int parent_fd = applier_parent(applier, entry->path, err);
	if (parent_fd < 0 || unhide_first(applier, parent_fd, name, &was_removed, err) < 0)
		return -1;
	if (fstatat(parent_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0) {
		if (there.st_dev == source.st_dev && there.st_ino == source.st_ino)
			return 0;
		if (make_room(applier, parent_fd, name, &was_removed, err) < 0)
			return -1;
	}
	if (linkat(source_fd, path_base(target), parent_fd, name, 0) < 0)
		return err_errno(err, "link %s to %s", SHOWN(entry->path), SHOWN(target));
	return S_ISREG(source.st_mode) ? layer_tag_names(parent_fd, name, err) : 0;
}

/* The root is there, and only its metadata can be set (CVE-2021-29136). */
static int apply_root(struct applier *applier, const struct layer_entry *entry, struct err *err)
{
	scope_fd int fd = open_existing(applier->root.fd, ".");

	if (!S_ISDIR(entry->mode))
		return err_set(err, ERR_INPUT, "an entry that names the root is not a directory");
	return fd < 0 ? err_errno(err, "open the tree") : finish_directory(applier, fd, entry, true, err);
}

static int apply_named(struct applier *applier, const struct layer_entry *entry, struct err *err)
{
	const char *name = path_base(entry->path);
	int result, parent_fd = applier_parent(applier, entry->path, err);

	if (parent_fd < 0)
		return -1;
	if (S_ISREG(entry->mode))
		result = apply_file(applier, parent_fd, name, entry, err);
	else if (S_ISDIR(entry->mode))
		result = apply_directory(applier, parent_fd, name, entry, err);
	else
		result = apply_other(applier, parent_fd, name, entry, err);
	return result;
}

static int apply_entry(struct applier *applier, const struct layer_entry *entry, struct err *err)
{
	const struct layer_apply_options *options = applier->options;

	if (!*entry->path && !entry->is_hardlink)
		return apply_root(applier, entry, err);
	if (!*entry->path)
		return err_set(err, ERR_INPUT, "a hard link in place of the root");
	if (S_ISREG(entry->mode) && !entry->is_hardlink) {
		int64_t most = options->max_size ? options->max_size : INT64_MAX;
		if (entry->size > most - applier->stats.content)
			return err_set(err, ERR_INPUT, "%s: the contents are larger than %lld bytes in all",
				       SHOWN(entry->path), (long long)most);
		applier->stats.content += entry->size;
	}
	int result = entry->is_hardlink ? apply_hardlink(applier, entry, err) : apply_named(applier, entry, err);
	if (result == 0)
		applier_note_created(applier, applier->parent_fd, path_base(entry->path));
	return result;
}

/* ---- whiteouts ---- */

enum tar_mark { TAR_ENTRY, TAR_WHITEOUT, TAR_OPAQUE, TAR_IGNORED };

/* What aufs kept for itself (.wh..wh.plnk, .wh..wh.aufs and what is in them) is in images of old Dockers. */
static int find_mark(const char *path, enum tar_mark *mark, struct err *err)
{
	const char *name = path_base(path);

	*mark = TAR_ENTRY;
	for (const char *part = path; part; part = strchr(part, '/'), part = part ? part + 1 : NULL) {
		if (!text_starts(part, MARK_PREFIX))
			continue;
		if (text_equal(part, FILE_OPAQUE))
			*mark = TAR_OPAQUE;
		else if (text_starts(part, MARK_PREFIX MARK_PREFIX))
			*mark = TAR_IGNORED;
		else if (part == name)
			*mark = TAR_WHITEOUT;
		else
			return err_set(err, ERR_INPUT, "%s: a whiteout in the place of a directory", SHOWN(path));
		break;
	}
	if (*mark != TAR_WHITEOUT)
		return 0;
	name += strlen(MARK_PREFIX);
	if (!*name || text_equal(name, ".") || text_equal(name, ".."))
		return err_set(err, ERR_INPUT, "%s: a whiteout of no name", SHOWN(path));
	return 0;
}

/* The directory that path stands in: -1 with *missing where there is none and nothing needs to be removed. */
static int parent_of_mark(struct applier *applier, const char *path, bool *missing, struct err *err)
{
	struct err cause;
	const char *leaf;

	*missing = false;
	if (applier_makes_tree(applier))
		return applier_parent(applier, path, err);
	scope_fd int fd = root_open_parent(&applier->root, path, &leaf, &cause);
	*missing = fd < 0 && (err_is_errno(&cause, ENOENT) || err_is_errno(&cause, ENOTDIR));
	return fd >= 0 || *missing ? applier_parent(applier, *missing ? "" : path, err)
				   : err_status(err, cause.kind, cause.sys, "%s", cause.msg);
}

static int apply_mark(struct applier *applier, enum tar_mark mark, const char *path, struct err *err)
{
	bool missing;
	int parent_fd = parent_of_mark(applier, path, &missing, err);

	if (parent_fd < 0 || missing)
		return parent_fd < 0 ? -1 : 0;
	if (mark == TAR_WHITEOUT)
		return applier_remove_lower(applier, parent_fd, path_base(path) + strlen(MARK_PREFIX), err);
	scope_fd int fd = open_existing(parent_fd, ".");
	if (fd < 0)
		return err_errno(err, "open the directory of %s", SHOWN(path));
	return applier_empty_lower(applier, fd, err);
}

/* ---- the tar ---- */

static int apply_item(struct applier *applier, const struct untar_item *item, struct err *err)
{
	enum tar_mark mark = TAR_ENTRY;
	const char *path = NULL;

	if (!*item->path && item->type != UNTAR_DIR)
		return err_set(err, ERR_INPUT, "an entry has no name");
	if (clean_name(applier, item->path, &path, err) < 0)
		return -1;
	if (!(applier->options->flags & LAYER_APPLY_PLAIN) && find_mark(path, &mark, err) < 0)
		return -1;
	if (mark == TAR_IGNORED)
		return 0;
	applier->stats.entries++;
	if (mark != TAR_ENTRY)
		return apply_mark(applier, mark, path, err);
	struct layer_entry entry = entry_of(applier, item, path);
	return apply_entry(applier, &entry, err);
}

static int apply_all(struct applier *applier, struct err *err)
{
	struct untar_item item;
	int more;

	while ((more = untar_next(applier->untar, &item, err)) > 0) {
		if (apply_item(applier, &item, err) < 0)
			return err_wrap(err, "%s", applier->name);
		if (applier->arena.total > ARENA_ENOUGH)
			arena_release(&applier->arena);
	}
	return more < 0 ? -1 : applier_finish_late(applier, err);
}

static unsigned untar_flags(unsigned flags)
{
	return (flags & LAYER_APPLY_PLAIN ? UNTAR_ALLOW_SPARSE : 0) |
	       (flags & LAYER_APPLY_NO_END ? UNTAR_ALLOW_NO_END : 0);
}

int layer_apply(struct reader *tar, int tree_fd, const struct layer_apply_options *options, const char *name,
		struct layer_stats *stats, struct err *err)
{
	int64_t size = 0;
	struct err ignored;

	err = err ? err : &ignored; /* what failed decides how to go on */
	scope_reader struct reader *counted = reader_borrow(tar, &size);
	__attribute__((cleanup(applier_release))) struct applier applier = {
		.root = { tree_fd, ROOT_CHROOT },
		.options = options,
		.name = name,
		.untar = untar_open(counted, untar_flags(options->flags), name, err),
		.parent_fd = -1,
	};

	if (!applier.untar || (applier_makes_tree(&applier) && applier_open_merged(&applier, err) < 0))
		return -1;
	mode_t old_mask = umask(0);
	int result = apply_all(&applier, err);
	umask(old_mask);
	if (result < 0)
		return -1;
	*stats = applier.stats;
	stats->size = size;
	return 0;
}
