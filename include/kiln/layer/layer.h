/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_LAYER_H
#define KILN_LAYER_LAYER_H

#include "kiln/base/err.h"
#include "kiln/base/root.h"
#include "kiln/codec/digest.h"
#include "kiln/codec/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Tar <-> tree.
 *
 * A *layer tree* is a directory that holds one layer's changes, in the one form that every view and the differ
 * understand (it is what kernel overlay with userxattr takes as a lowerdir, and fuse-overlayfs too):
 *	whiteout	character device 0:0 of the removed name
 *	opaque		directory with xattr user.overlay.opaque = "y"
 *	all else	as in the image, ids seen through the id map of the user namespace that we run in
 * Reading one, layer_read_marks (tree.c) is the only place that knows these forms, and those that fuse-overlayfs leaves
 * (user.fuseoverlayfs.opaque, .wh..opq, .wh..wh..opq, .wh.NAME); bookkeeping xattrs (user.overlay.*, user.fuseoverlayfs.*,
 * user.kiln.*) are never content.
 *
 * A *recipe* is one layer's tar without the file contents: the exact header blocks, and for each file the path in the
 * layer tree and its size. recipe + tree = the tar, byte for byte, so a layer that kiln made is stored once (as a tree)
 * and written again when an image leaves. Format: zstd of records (layer/recipe.c documents them).
 *
 * The canonical layer: registry.md 3.7 is the rule book; layer/tar.c writes it, layer/diff.c decides what is in it.
 */

/* ---- canonical tar writer (tar.c) --------------------------------------------------------------------------- */

struct layer_xattr {
	const char *name;
	const void *value;
	size_t len;
};

/* One entry. path has no leading or trailing '/'. */
struct layer_entry {
	const char *path;
	mode_t mode; /* S_IFMT and 07777 */
	uid_t uid;
	gid_t gid;
	int64_t size;  /* regular files */
	int64_t mtime; /* seconds */
	dev_t rdev;
	const char *link;      /* symlink target, or hard link target (a path as above) when is_hardlink */
	bool is_hardlink;
	const struct layer_xattr *xattrs; /* sorted bytewise by name, already filtered */
	size_t xattr_count;
};

/* Appends header blocks (pax 'x' first where needed) to buf. */
struct strbuf;
int tar_header(struct strbuf *buf, const struct layer_entry *entry, struct err *err) MUST_CHECK;
/* The whiteout of path ("a/b" -> "a/.wh.b"). */
int tar_whiteout(struct strbuf *buf, const char *path, struct err *err) MUST_CHECK;
/* Bytes that pad size to 512. */
size_t tar_padding(int64_t size);
enum { TAR_TRAILER = 1024 };

/* ---- diff: changes -> recipe, digest (diff.c) ---------------------------------------------------------------- */

struct layer_diff_options {
	int64_t clamp; /* mtimes later than this become this, on both sides of the comparison; INT64_MAX: no clamp */
};

struct layer_stats {
	struct digest diff_id;
	int64_t size;      /* bytes of the tar */
	int64_t content;   /* bytes of file contents in it: the "size" that `kiln history` shows */
	int64_t entries;   /* entries and whiteouts */
	char largest[256]; /* unused by digests: path of the largest file, for people */
};

/*
 * Compares the changes in upper (a layer tree, unmounted and still) with the stack of layer trees below it (lowers[0] is
 * the topmost; fds of directories) and writes the canonical layer's recipe to recipe_out, hashing what the tar would be
 * while reading each new file once. Semantic: what lies in upper but equals the tree below is not in the layer
 * (registry.md 3.7 rule 3); contents are compared only when all metadata that can be compared cheaply is equal. Cost depends on upper
 * only, never on the lowers' size. Whiteouts are explicit, and only for what is visible below. Hard links: groups are
 * by inode within upper; names that were one file below and were copied up apart but are still equal stay one group.
 * A name starting with ".wh." , a 0:0 device that is no whiteout, an unmapped id (65534 from the kernel's overflow where
 * the map has no such id) are ERR_INPUT naming the path. Memory: one directory level at a time plus hard-link table.
 */
int layer_diff(int upper_fd, const int *lowers, size_t lower_count, const struct layer_diff_options *options,
	       struct writer *recipe_out, struct layer_stats *stats, struct err *err) MUST_CHECK;

/* Makes a finished upper dir a proper layer tree, before anything mounts it as a lower or diffs it: rewrites
   fuse-overlayfs' forms into ours, removes its leftovers, removes sockets, and sets mtimes later than clamp to clamp. */
int layer_tree_settle(int upper_fd, int64_t clamp, struct err *err) MUST_CHECK;

/* ---- replay: recipe + tree -> tar (recipe.c) ------------------------------------------------------------------ */

/* Writes the tar. A file that is missing or whose size differs is ERR_CORRUPT naming it; the digest is for the caller to
   verify (reader/writer_hash). */
int layer_replay(struct reader *recipe, int tree_fd, struct writer *out, struct err *err) MUST_CHECK;

/* ---- apply: tar -> layer tree, or onto a plain tree (apply.c) --------------------------------------------------- */

enum layer_apply_flags {
	/* Into an own, empty directory: whiteouts and opaque marks become layer tree forms. Without it the tar is applied
	   onto a complete tree: whiteouts remove (lower entries only, never entries of this same tar), opaque empties. */
	LAYER_APPLY_AS_TREE = 1 << 0,
	/* ADD of an archive: .wh. names are ordinary names; parents that are missing are 0755 root. */
	LAYER_APPLY_PLAIN = 1 << 1
};

struct layer_apply_options {
	unsigned flags;
	bool override_owner; /* ADD --chown */
	uid_t uid;
	gid_t gid;
	int64_t max_size; /* bytes of contents, 0: no limit */
	/* Directory beneath tree_fd that every name of the archive is put below (clean, "" or NULL: none). Resolution is
	   still confined to tree_fd, not to the directory: ADD x.tar /opt/ with /opt/lib -> /usr/lib. */
	const char *prefix;
	bool has_clamp; /* mtimes later than clamp become clamp (ADD with SOURCE_DATE_EPOCH) */
	int64_t clamp;
};

/*
 * Reads plain tar from below and writes entries beneath tree_fd, by security.md 1A: parents resolved by
 * openat2(RESOLVE_IN_ROOT), the last component never followed, every later operation on the fd; names with ".." are
 * ERR_INPUT, leading "/" and "./" are stripped; an entry that cleans to the root may only be a directory (its mode,
 * owner, times, xattrs apply); hard link sources are resolved the same way; symlink targets are stored verbatim; a
 * directory over a non-directory replaces it, the reverse too. Device nodes: where mknod is refused (user namespace) an
 * empty regular placeholder with xattr user.kiln.dev = "c:MAJ:MIN" / "b:MAJ:MIN" is created and treated by the differ
 * as that device; 0:0 is ERR_INPUT. xattrs: user.* (not user.overlay.*, user.fuseoverlayfs.*, user.kiln.*) and security.capability;
 * a file system without xattrs is ERR_UNSUPPORTED for security.capability only. Directory times are set last.
 * stats->size is bytes of tar read; entries counted; diff_id is the caller's business.
 */
int layer_apply(struct reader *tar, int tree_fd, const struct layer_apply_options *options, const char *name,
		struct layer_stats *stats, struct err *err) MUST_CHECK;

/* ---- reading trees (tree.c) -------------------------------------------------------------------------------------- */

enum layer_mark { LAYER_ENTRY, LAYER_WHITEOUT, LAYER_NOISE /* fuse-overlayfs' bookkeeping: not an entry */ };

/* What is dir_fd/name (lstat result given)? */
enum layer_mark layer_entry_mark(int dir_fd, const char *name, const struct stat *st);
bool layer_dir_is_opaque(int dir_fd);

/* The stack of layer trees as one tree, read-only, without a mount: lists and finds entries with whiteouts and opaque
   marks honoured. For the differ, for the copy view, for COPY --from and exports where nothing can be mounted. */
struct stack_dir; /* one directory of the merged tree: an fd per layer that has it */
struct stack_dir *stack_open(const int *lowers, size_t count, struct err *err) MUST_CHECK;
/* The child directory, or NULL without error (err untouched, *missing true) when there is none that is a directory. */
struct stack_dir *stack_child(const struct stack_dir *dir, const char *name, bool *missing, struct err *err) MUST_CHECK;
/* Topmost visible entry of that name: fd of the directory that holds it (borrowed) and its lstat. 1, 0 if none, -1. */
int stack_find(const struct stack_dir *dir, const char *name, int *holder_fd, struct stat *st, struct err *err) MUST_CHECK;
/* All visible names, sorted bytewise, malloc'd vector. */
struct strvec;
int stack_list(const struct stack_dir *dir, struct strvec *names, struct err *err) MUST_CHECK;
void stack_close(struct stack_dir *dir);

/* Xattrs of an open file or O_PATH fd (through /proc/self/fd) that are content, sorted; in an arena. security.capability v3
   whose rootid is our namespace's root becomes v2. */
struct arena;
int layer_read_xattrs(struct arena *arena, int fd, const struct layer_xattr **xattrs, size_t *count, struct err *err)
	MUST_CHECK;
int layer_write_xattrs(int fd, const struct layer_xattr *xattrs, size_t count, const char *name, struct err *err)
	MUST_CHECK;

/* Copies one entry (file by file_copy_data, symlink, device, fifo, empty directory) with owner, mode, xattrs, times from
   from_dir/from_name to to_dir/to_name, which must not exist. Sockets are ERR_INPUT. */
int layer_copy_entry(int from_dir, const char *from_name, const struct stat *st, int to_dir, const char *to_name,
		     struct err *err) MUST_CHECK;
/* Copies the merged tree of a stack onto the empty directory to_fd: the copy view's base, COPY --from without mounts,
   `-o type=local`. Hard links within a layer stay links. */
int layer_copy_stack(const int *lowers, size_t count, int to_fd, struct err *err) MUST_CHECK;
/* The merged tree of a stack as one canonical tar (no recipe): `-o type=tar`, `kiln export`. */
int layer_tar_stack(const int *lowers, size_t count, int64_t clamp, struct writer *out, struct err *err) MUST_CHECK;

#endif
