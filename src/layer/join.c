/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/log.h"
#include "kiln/base/owner.h"
#include "kiln/base/root.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/layer/tree.h"

#include "links.h"
#include "marks.h"
#include "node.h"
#include "shown.h"
#include "tag.h"

/*
 * Overlays take files with several names apart: layer_join_names in tree.h says how. Here a *family* is such a file of a layer
 * below, of which upper has changed or removed a name. Its *members* are what upper has of it now: copies of the file at
 * its old names, and at names that it was moved to. One member, the *heir*, is what the file has become; it gets all
 * names that are still there.
 *
 *	1. find families: a name in upper that was a file with several names below
 *	2. find their names: a walk over the layers below, and only if there is a family
 *	3. for each family, find the heir and link it to the other names
 */
struct member {
	const char *path;
	struct stat st; /* of upper's file, or of the file below while no upper has it */
	bool in_upper;
	bool is_changed; /* it is not what is below */
	bool is_new;     /* the file had no such name below */
};

struct family {
	char tag[TAG_MAX];
	const char *path; /* a name that can be seen below */
	struct member *members;
	size_t count;
	size_t lost; /* names that are gone, so that others may have come */
};

struct tagged {
	const char *path;
	char tag[TAG_MAX];
	struct stat st;
};

struct joiner {
	struct arena arena;
	int upper_fd;
	int64_t clamp;
	struct stack_dir *below, *merged; /* without and with upper */
	struct links families; /* by the inode below; value: number of its names; paths: those in its layer */
	size_t missing;        /* names that the walk over the layers has not met yet */
	bool has_tagged;
	struct tagged *tagged; /* in upper, at names that such a file had not below */
	size_t tagged_count;
};

static void joiner_release(struct joiner *joiner)
{
	stack_close(joiner->below);
	stack_close(joiner->merged);
	links_release(&joiner->families);
	arena_release(&joiner->arena);
}

/* ---- walking ---- */

/* Calls visit for every entry that is no directory, mark or not; enter says whether to go into one. */
struct scan {
	int (*visit)(struct scan *scan, int dir_fd, const struct stack_dir *below, const char *name, struct err *err);
	struct joiner *joiner;
	bool with_below; /* only directories that are below too */
	bool is_done;
	struct strbuf path;
	int depth;
};

static int scan_directory(struct scan *scan, int dir_fd, const struct stack_dir *below, struct err *err);

static int scan_child(struct scan *scan, int fd, const struct stack_dir *below, const char *name, struct err *err)
{
	bool missing = false;
	scope_stack struct stack_dir *child = scan->with_below ? stack_child(below, name, &missing, err) : NULL;

	if (scan->with_below && (!child || layer_dir_is_opaque(fd))) {
		close(fd);
		return child || missing ? 0 : -1;
	}
	if (++scan->depth > DEPTH_MAX) {
		close(fd);
		return fail_depth(err);
	}
	int result = scan_directory(scan, fd, child, err);
	scan->depth--;
	return result;
}

static int scan_entry(struct scan *scan, int dir_fd, const struct stack_dir *below, const struct dirent *entry,
		      struct err *err)
{
	if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
		return scan->visit(scan, dir_fd, below, entry->d_name, err);
	int fd = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return scan->visit(scan, dir_fd, below, entry->d_name, err);
	return fd < 0 ? err_errno(err, "open %s", SHOWN(entry->d_name))
		      : scan_child(scan, fd, below, entry->d_name, err);
}

/* Owns dir_fd. */
static int scan_directory(struct scan *scan, int dir_fd, const struct stack_dir *below, struct err *err)
{
	scope_dir DIR *stream = fdopendir(dir_fd);
	const struct dirent *entry;
	size_t before = scan->path.len;

	if (!stream)
		return err_errno(err, "list a directory");
	while (!scan->is_done && (errno = 0, entry = readdir(stream))) {
		if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, ".."))
			continue;
		strbuf_addf(&scan->path, "%s%s", before ? "/" : "", entry->d_name);
		if (scan_entry(scan, dirfd(stream), below, entry, err) < 0)
			return -1;
		strbuf_truncate(&scan->path, before);
		errno = 0;
	}
	return errno ? err_errno(err, "list a directory") : 0;
}

static int scan_tree(struct scan *scan, int tree_fd, struct err *err)
{
	int fd = openat(tree_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = fd < 0 ? err_errno(err, "open a layer")
			    : scan_directory(scan, fd, scan->with_below ? scan->joiner->below : NULL, err);

	strbuf_release(&scan->path);
	return result;
}

/* ---- families and their names ---- */

static int note_family(struct scan *scan, int dir_fd, const struct stack_dir *below, const char *name, struct err *err)
{
	struct joiner *joiner = scan->joiner;
	struct stat st;
	int holder_fd, found;

	(void)dir_fd;
	found = stack_find(below, layer_whiteout_target(name), &holder_fd, &st, err);
	if (found <= 0 || !S_ISREG(st.st_mode) || st.st_nlink < 2)
		return found < 0 ? -1 : 0;
	struct link_inode *family = links_add(&joiner->families, &st);
	joiner->missing += family->value ? 0 : st.st_nlink;
	family->value = st.st_nlink;
	return 0;
}

static int note_name(struct scan *scan, int dir_fd, const struct stack_dir *below, const char *name, struct err *err)
{
	struct stat st;

	(void)below;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat %s", SHOWN(name));
	struct link_inode *family = S_ISREG(st.st_mode) && st.st_nlink > 1 ? links_find(&scan->joiner->families, &st)
									   : NULL;
	if (!family)
		return 0;
	strvec_push(&family->paths, scan->path.ptr);
	scan->is_done = --scan->joiner->missing == 0;
	return 0;
}

/* The layers on top are small, and the walk ends with the last name. */
static int find_names(struct joiner *joiner, const int *lowers, size_t count, struct err *err)
{
	for (size_t i = 0; i < count && joiner->missing > 0; i++) {
		struct scan scan = { .visit = note_name, .joiner = joiner };
		if (scan_tree(&scan, lowers[i], err) < 0)
			return -1;
	}
	return 0;
}

/* ---- members ---- */

static struct member *add_member(struct joiner *joiner, struct family *family, const char *path, const struct stat *st,
				 bool in_upper)
{
	struct member *member = ARENA_PUSH(&joiner->arena, family->members, family->count);

	*member = (struct member){ .path = arena_strdup(&joiner->arena, path), .st = *st, .in_upper = in_upper };
	return member;
}

static bool has_tag(int dir_fd, const char *name, const struct family *family)
{
	char tag[TAG_MAX];

	tag_read(dir_fd, name, tag);
	return *tag && text_equal(tag, family->tag);
}

/* A name that the file has in its layer: hidden by another layer already, untouched, copied up, or taken away. */
static int add_name(struct joiner *joiner, struct family *family, const struct link_inode *inode, const char *path,
		    struct err *err)
{
	scope_fd int below_fd = -1, fd = -1;
	struct stat st;
	int found = stack_find_path(joiner->below, path, &below_fd, &st, err);

	if (found <= 0 || st.st_ino != inode->ino || st.st_dev != inode->dev)
		return found < 0 ? -1 : 0;
	if (!family->path) {
		family->path = path;
		tag_read(below_fd, path_base(path), family->tag);
	}
	found = stack_find_path(joiner->merged, path, &fd, &st, err);
	if (found < 0)
		return -1;
	if (found && st.st_ino == inode->ino && st.st_dev == inode->dev)
		add_member(joiner, family, path, &st, false);
	else if (found && S_ISREG(st.st_mode) && has_tag(fd, path_base(path), family))
		add_member(joiner, family, path, &st, true);
	else
		family->lost++;
	return 0;
}

/* A file of upper that carries a tag. One that was there already, with that tag, is in its place. */
static int note_tagged(struct scan *scan, int dir_fd, const struct stack_dir *below, const char *name, struct err *err)
{
	struct joiner *joiner = scan->joiner;
	struct tagged file = { .path = scan->path.ptr };
	char tag_below[TAG_MAX] = "";
	scope_fd int below_fd = -1;
	struct stat st;

	(void)below;
	if (fstatat(dir_fd, name, &file.st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, "stat %s", SHOWN(name));
	if (!S_ISREG(file.st.st_mode))
		return 0;
	tag_read(dir_fd, name, file.tag);
	int found = *file.tag ? stack_find_path(joiner->below, file.path, &below_fd, &st, err) : 0;
	if (found > 0)
		tag_read(below_fd, name, tag_below);
	if (found < 0 || !*file.tag || text_equal(file.tag, tag_below))
		return found < 0 ? -1 : 0;
	file.path = arena_strdup(&joiner->arena, file.path);
	*ARENA_PUSH(&joiner->arena, joiner->tagged, joiner->tagged_count) = file;
	return 0;
}

static int find_tagged(struct joiner *joiner, struct err *err)
{
	struct scan scan = { .visit = note_tagged, .joiner = joiner };

	if (joiner->has_tagged)
		return 0;
	joiner->has_tagged = true;
	return scan_tree(&scan, joiner->upper_fd, err);
}

/* Names that the file had not: of a copy of it, and if a name is gone, whatever carries the tag. */
static int add_new_names(struct joiner *joiner, struct family *family, struct err *err)
{
	scope_links struct links copies = { 0 };
	bool has_new = family->lost > 0;

	for (size_t i = 0; i < family->count; i++)
		if (family->members[i].in_upper)
			links_add(&copies, &family->members[i].st)->value++;
	for (size_t i = 0; i < family->count && !has_new; i++) {
		const struct link_inode *copy = links_find(&copies, &family->members[i].st);
		has_new = copy && family->members[i].st.st_nlink > copy->value;
	}
	if (!has_new || !*family->tag)
		return 0;
	if (find_tagged(joiner, err) < 0)
		return -1;
	for (size_t i = 0; i < joiner->tagged_count; i++) {
		const struct tagged *file = &joiner->tagged[i];
		if (text_equal(file->tag, family->tag) && (family->lost > 0 || links_find(&copies, &file->st)))
			add_member(joiner, family, file->path, &file->st, true)->is_new = true;
	}
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->path, ((const struct member *)b)->path);
}

static int find_members(struct joiner *joiner, const struct link_inode *inode, struct family *family, struct err *err)
{
	for (size_t i = 0; i < inode->paths.count; i++)
		if (add_name(joiner, family, inode, inode->paths.items[i], err) < 0)
			return -1;
	if (family->count == 0)
		return 0;
	if (add_new_names(joiner, family, err) < 0)
		return -1;
	qsort(family->members, family->count, sizeof(family->members[0]), by_path);
	return 0;
}

/* ---- the heir ---- */

static int fail_gone(const char *name, struct err *err)
{
	return err_set(err, ERR_SYSTEM, "%s is gone", SHOWN(name));
}

/* 1 if the files are equal in all that a layer holds, 0, -1. */
static int is_equal(const struct joiner *joiner, const struct stack_dir *one_dir, const char *one,
		    const struct stack_dir *other_dir, const char *other, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	scope_node struct node a = NODE_EMPTY, b = NODE_EMPTY;
	scope_fd int a_fd = -1, b_fd = -1;
	struct stat a_st, b_st;

	int found = stack_find_path(one_dir, one, &a_fd, &a_st, err);
	if (found > 0)
		found = stack_find_path(other_dir, other, &b_fd, &b_st, err);
	if (found <= 0)
		return found < 0 ? -1 : fail_gone(one, err);
	const struct node_place a_place = { a_fd, path_base(one), one, &a_st, false };
	const struct node_place b_place = { b_fd, path_base(other), other, &b_st, false };
	if (node_load(&a, &a_place, joiner->clamp, &arena, err) < 0 ||
	    node_load(&b, &b_place, joiner->clamp, &arena, err) < 0)
		return -1;
	return node_same_metadata(&a, &b) && S_ISREG(a.entry.mode) ? node_same_content(&a, &b, err) : 0;
}

/* What was changed, or else what got a name that it did not have. NULL and 0: all is as it was. */
static int find_heir(struct joiner *joiner, struct family *family, const struct member **heir, struct err *err)
{
	const struct member *with_new_name = NULL;

	*heir = NULL;
	for (size_t i = 0; i < family->count; i++) {
		struct member *member = &family->members[i];
		if (!member->in_upper)
			continue;
		int same = is_equal(joiner, joiner->merged, member->path, joiner->below, family->path, err);
		if (same < 0)
			return -1;
		member->is_changed = !same;
		if (member->is_changed && !*heir)
			*heir = member;
		if (member->is_new && !with_new_name)
			with_new_name = member;
	}
	if (!*heir)
		*heir = with_new_name;
	return 0;
}

/* ---- linking ---- */

static int set_times(int dir_fd, const struct stat *st, int64_t clamp, struct err *err)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (st->st_mtim.tv_sec > clamp)
		times[1] = (struct timespec){ .tv_sec = clamp };
	return futimens(dir_fd, times) < 0 ? err_errno(err, "set the time of a changed directory") : 0;
}

/* Opens a directory of upper; what is missing is made as it is below. The parent's time stays. */
static int open_in_upper(const struct joiner *joiner, int parent_fd, const struct stack_dir *merged, const char *name,
			 struct err *err)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat parent, st;
	int holder_fd;

	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? err_errno(err, "open %s", SHOWN(name)) : fd;
	if (fstat(parent_fd, &parent) < 0)
		return err_errno(err, "stat a changed directory");
	int found = stack_find(merged, name, &holder_fd, &st, err);
	if (found <= 0)
		return found < 0 ? -1 : fail_gone(name, err);
	if (owner_fill_at(holder_fd, name, &st) < 0)
		return err_errno(err, "read who owns %s", SHOWN(name));
	if (layer_copy_entry(holder_fd, name, &st, parent_fd, name, err) < 0 ||
	    set_times(parent_fd, &parent, joiner->clamp, err) < 0)
		return -1;
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || set_times(fd, &st, joiner->clamp, err) < 0)
		return fd < 0 ? err_errno(err, "open %s", SHOWN(name)) : (close(fd), -1);
	return fd;
}

/* The directory in upper that holds path; the caller's. */
static int open_parent(const struct joiner *joiner, const char *path, struct err *err)
{
	scope_stack struct stack_dir *opened = NULL;
	scope_fd int fd = openat(joiner->upper_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[NAME_MAX + 1];
	bool missing;

	if (fd < 0)
		return err_errno(err, "open the changes");
	for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
		const struct stack_dir *dir = opened ? opened : joiner->merged;
		size_t len = (size_t)(slash - path);

		/* The path was met in a tree: no name in it is longer. */
		memcpy(name, path, len);
		name[len] = '\0';
		int next = open_in_upper(joiner, fd, dir, name, err);
		if (next < 0)
			return -1;
		close(fd);
		fd = next;
		struct stack_dir *child = stack_child(dir, name, &missing, err);
		if (!child)
			return missing ? fail_gone(name, err) : -1;
		stack_close(opened);
		opened = child;
	}
	return take_fd(&fd);
}

static int give_name(const struct joiner *joiner, const struct member *heir, const struct member *member,
		     struct err *err)
{
	const struct root upper = { joiner->upper_fd, ROOT_BENEATH };
	const char *leaf, *name = path_base(member->path);
	scope_fd int from_fd = root_open_parent(&upper, heir->path, &leaf, err);
	scope_fd int dir_fd = from_fd < 0 ? -1 : open_parent(joiner, member->path, err);
	struct stat st;

	if (dir_fd < 0)
		return -1;
	if (fstat(dir_fd, &st) < 0)
		return err_errno(err, "stat a changed directory");
	if ((member->in_upper && unlinkat(dir_fd, name, 0) < 0) || linkat(from_fd, leaf, dir_fd, name, 0) < 0)
		return err_errno(err, "link %s to %s", SHOWN(member->path), SHOWN(heir->path));
	return set_times(dir_fd, &st, joiner->clamp, err);
}

/* A member that went another way than the heir keeps what it became: on one file there would have been one end. */
static int join(const struct joiner *joiner, const struct member *heir, const struct member *member, struct err *err)
{
	if (member->in_upper && member->st.st_ino == heir->st.st_ino)
		return 0;
	if (member->in_upper && member->is_changed) {
		int same = is_equal(joiner, joiner->merged, member->path, joiner->merged, heir->path, err);
		if (same < 0)
			return -1;
		if (!same) {
			log_debug("%s and %s were one file and were changed apart", SHOWN(heir->path),
				  SHOWN(member->path));
			return 0;
		}
	}
	return give_name(joiner, heir, member, err);
}

static int join_family(struct joiner *joiner, const struct link_inode *inode, struct err *err)
{
	struct family family = { 0 };
	const struct member *heir;

	if (find_members(joiner, inode, &family, err) < 0 || find_heir(joiner, &family, &heir, err) < 0)
		return -1;
	for (size_t i = 0; heir && i < family.count; i++)
		if (join(joiner, heir, &family.members[i], err) < 0)
			return -1;
	return 0;
}

static int join_all(struct joiner *joiner, const int *lowers, size_t count, struct err *err)
{
	struct scan scan = { .visit = note_family, .joiner = joiner, .with_below = true };
	scope_free int *layers = NULL;

	if (scan_tree(&scan, joiner->upper_fd, err) < 0)
		return -1;
	if (joiner->families.count == 0)
		return 0;
	layers = calloc(count + 1, sizeof(*layers));
	if (!layers)
		abort();
	layers[0] = joiner->upper_fd;
	memcpy(layers + 1, lowers, count * sizeof(*layers));
	joiner->merged = stack_open(layers, count + 1, err);
	if (!joiner->merged || find_names(joiner, lowers, count, err) < 0)
		return -1;
	for (size_t i = 0; i < joiner->families.bucket_count; i++)
		for (struct link_inode *inode = joiner->families.buckets[i]; inode; inode = inode->next)
			if (join_family(joiner, inode, err) < 0)
				return -1;
	return 0;
}

int layer_join_names(int upper_fd, const int *lowers, size_t count, int64_t clamp, struct err *err)
{
	__attribute__((cleanup(joiner_release))) struct joiner joiner = {
		.upper_fd = upper_fd,
		.clamp = clamp,
		.below = stack_open(lowers, count, err),
	};

	if (!joiner.below)
		return -1;
	return join_all(&joiner, lowers, count, err) < 0 ? err_wrap(err, "files with several names") : 0;
}
