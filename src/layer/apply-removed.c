/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#include "applier.h"
#include "marks.h"
#include "shown.h"

/*
 * Whiteouts. They concern what is below the layer, never what the same layer holds, wherever in the tar they stand
 * (image-spec, layer.md, "Whiteouts"). In a layer tree all that exists comes from this tar. On a plain tree the names that this
 * tar has made are remembered.
 */

/* ---- names that this tar has made ---- */

/* FNV-1a over the name, begun with the directory's inode. A collision would keep a file that should go. */
static uint64_t key_of(int parent_fd, const char *name)
{
	uint64_t key = UINT64_C(0xcbf29ce484222325);
	struct stat st = { 0 };

	(void)fstat(parent_fd, &st);
	key ^= ((uint64_t)st.st_ino ^ (uint64_t)st.st_dev << 40) * UINT64_C(0x9e3779b97f4a7c15);
	for (; *name; name++)
		key = (key ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return key ? key : 1;
}

static uint64_t *slot_of(const struct created *created, uint64_t key)
{
	size_t at = (size_t)(key ^ key >> 32) & (created->size - 1);

	while (created->slots[at] && created->slots[at] != key)
		at = (at + 1) & (created->size - 1);
	return &created->slots[at];
}

static void grow(struct created *created)
{
	struct created larger = { .size = created->size ? created->size * 2 : 1024, .count = created->count };

	larger.slots = calloc(larger.size, sizeof(*larger.slots));
	if (!larger.slots)
		abort();
	for (size_t i = 0; i < created->size; i++)
		if (created->slots[i])
			*slot_of(&larger, created->slots[i]) = created->slots[i];
	free(created->slots);
	*created = larger;
}

void applier_note_created(struct applier *applier, int parent_fd, const char *name)
{
	struct created *created = &applier->created;

	if (applier->options->flags & (LAYER_APPLY_AS_TREE | LAYER_APPLY_PLAIN))
		return;
	if (created->count * 2 >= created->size)
		grow(created);
	uint64_t key = key_of(parent_fd, name), *slot = slot_of(created, key);
	created->count += *slot == 0;
	*slot = key;
}

static bool is_created(const struct applier *applier, int parent_fd, const char *name)
{
	return applier->created.count > 0 && *slot_of(&applier->created, key_of(parent_fd, name)) != 0;
}

/* ---- on a plain tree ---- */

static int list_names(int dir_fd, struct strvec *names, struct err *err)
{
	int own_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *stream = own_fd < 0 ? NULL : fdopendir(own_fd);
	const struct dirent *entry;

	if (!stream)
		return err_errno(err, "open a directory");
	while ((errno = 0, entry = readdir(stream)))
		if (!text_equal(entry->d_name, ".") && !text_equal(entry->d_name, ".."))
			strvec_push(names, entry->d_name);
	return errno ? err_errno(err, "list a directory") : 0;
}

static int remove_from_plain(struct applier *applier, int parent_fd, const char *name, struct err *err);

static int empty_plain(struct applier *applier, int dir_fd, struct err *err)
{
	scope_strvec struct strvec names = { 0 };

	if (list_names(dir_fd, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		if (remove_from_plain(applier, dir_fd, names.items[i], err) < 0)
			return -1;
	return 0;
}

/* A directory below which this tar has made something stays for its sake. */
static int remove_partly(struct applier *applier, int parent_fd, const char *name, bool is_ours, struct err *err)
{
	scope_fd int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, "open %s", SHOWN(name));
	if (++applier->removal_depth > DEPTH_MAX)
		return fail_depth(err);
	if (empty_plain(applier, fd, err) < 0)
		return -1;
	applier->removal_depth--;
	if (!is_ours && unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != EEXIST)
		return err_errno(err, "remove %s", SHOWN(name));
	return 0;
}

static int remove_from_plain(struct applier *applier, int parent_fd, const char *name, struct err *err)
{
	bool is_ours = is_created(applier, parent_fd, name);
	struct stat st;

	if (applier->created.count == 0)
		return file_remove_tree(parent_fd, name, err);
	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_errno(err, "stat %s", SHOWN(name));
	if (S_ISDIR(st.st_mode))
		return remove_partly(applier, parent_fd, name, is_ours, err);
	if (!is_ours && unlinkat(parent_fd, name, 0) < 0)
		return err_errno(err, "remove %s", SHOWN(name));
	return 0;
}

/* ---- in a layer tree ---- */

/* That .wh.NAME files must be looked for is written down where readers of the tree will see it. */
static int note_file_mark(struct applier *applier, bool is_file, struct err *err)
{
	if (!is_file || applier->has_file_marks)
		return 0;
	applier->has_file_marks = true;
	return layer_note_file_marks(applier->root.fd, err) < 0 ? -1 : applier_open_merged(applier, err);
}

int applier_make_opaque(struct applier *applier, int dir_fd, struct err *err)
{
	bool is_file = false;

	if (layer_make_opaque(dir_fd, &is_file, err) < 0)
		return -1;
	return note_file_mark(applier, is_file, err);
}

/* The layer removes NAME of below and has one of its own: only a directory would let the old show through. */
static int remove_in_tree(struct applier *applier, int parent_fd, const char *name, struct err *err)
{
	bool is_file = false;
	struct stat st;

	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISDIR(st.st_mode))
			return 0;
		scope_fd int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return fd < 0 ? err_errno(err, "open %s", SHOWN(name)) : applier_make_opaque(applier, fd, err);
	}
	if (errno != ENOENT)
		return err_errno(err, "stat %s", SHOWN(name));
	if (layer_make_whiteout(parent_fd, name, &is_file, err) < 0)
		return -1;
	return note_file_mark(applier, is_file, err);
}

int applier_unhide(struct applier *applier, int parent_fd, const char *name, bool *was_removed, struct err *err)
{
	char file[NAME_MAX + sizeof(MARK_PREFIX)];
	struct stat st;

	if (!applier_makes_tree(applier))
		return 0;
	if (applier->has_file_marks) {
		(void)snprintf(file, sizeof(file), MARK_PREFIX "%s", name);
		*was_removed |= unlinkat(parent_fd, file, 0) == 0;
	}
	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    layer_entry_mark(parent_fd, name, &st) != LAYER_WHITEOUT)
		return 0;
	if (unlinkat(parent_fd, name, 0) < 0)
		return err_errno(err, "replace the whiteout of %s", SHOWN(name));
	*was_removed = true;
	return 0;
}

int applier_remove_lower(struct applier *applier, int parent_fd, const char *name, struct err *err)
{
	applier_forget_parent(applier);
	return applier_makes_tree(applier) ? remove_in_tree(applier, parent_fd, name, err)
					   : remove_from_plain(applier, parent_fd, name, err);
}

int applier_empty_lower(struct applier *applier, int dir_fd, struct err *err)
{
	applier_forget_parent(applier);
	return applier_makes_tree(applier) ? applier_make_opaque(applier, dir_fd, err)
					   : empty_plain(applier, dir_fd, err);
}
