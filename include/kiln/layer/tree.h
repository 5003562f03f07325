/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_TREE_H
#define KILN_LAYER_TREE_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"
#include "kiln/codec/stream.h"
#include "kiln/layer/tar.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * A *layer tree* is a directory that holds one layer's changes, in the one form that every view and the differ
 * understand (it is what kernel overlay with userxattr takes as a lowerdir, and fuse-overlayfs too):
 *	whiteout	character device 0:0 of the removed name
 *	opaque		directory with xattr user.overlay.opaque = "y"
 *	all else	as in the image, ids seen through the id map of the user namespace that we run in
 * Where the kernel refuses them (mknod of 0:0 on an overlay or without privileges; no xattrs) the files of aufs stand in,
 * which fuse-overlayfs understands too, and the copy view through the stack: an empty regular file .wh.NAME, and
 * .wh..wh..opq in the directory, both of mode 0700. A tree that holds such files says so by a file LAYER_FILE_MARKS in
 * its root, so that nobody else pays for looking.
 *
 * tree.c is the only place that knows these forms, and those that fuse-overlayfs leaves (user.fuseoverlayfs.opaque,
 * .wh..opq); bookkeeping xattrs (user.overlay.*, user.fuseoverlayfs.*, user.kiln.*) are never content.
 */
#define LAYER_FILE_MARKS ".wh..wh.kiln"

enum layer_mark { LAYER_ENTRY, LAYER_WHITEOUT, LAYER_NOISE /* bookkeeping of an overlay: not an entry */ };

/* What is dir_fd/name (lstat result given)? A name that starts with ".wh." and is LAYER_ENTRY cannot be in a layer. */
enum layer_mark layer_entry_mark(int dir_fd, const char *name, const struct stat *st);
/* The removed name that a LAYER_WHITEOUT called name stands for; points into name. */
const char *layer_whiteout_target(const char *name);
bool layer_dir_is_opaque(int dir_fd);

/* Makes the whiteout of dir_fd/name, which must not exist. *is_file becomes true (else it is left alone) if a file had
   to stand in for the device; the tree then needs layer_note_file_marks, which layer_tree_settle does too. */
int layer_make_whiteout(int dir_fd, const char *name, bool *is_file, struct err *err) MUST_CHECK;
int layer_make_opaque(int dir_fd, bool *is_file, struct err *err) MUST_CHECK;
int layer_note_file_marks(int tree_fd, struct err *err) MUST_CHECK;

/*
 * A file with several names carries a tag as xattr user.kiln.names: overlays take it along when they copy the file up, by
 * which a changed copy is told from a file that took its place. An existing tag stays. Hardly any two files of an image have
 * the same.
 */
int layer_tag_names(int dir_fd, const char *name, struct err *err) MUST_CHECK;
/*
 * For what an overlay made of files with several names in the layers below, after layer_tree_settle. Kernel overlay copies up
 * one name at a time, and so takes the file apart; fuse-overlayfs shows one file, and keeps it under the name through which it
 * was changed first. A file that is changed, or gets a further name, is here given all its names again, as links in upper:
 * what a step leaves is what it would have left on one file system, which is what the copy view has. Costs a look at what lies
 * below each entry of upper; only if there is such a file, the trees below are walked until its names are found.
 * What cannot be put right: names that were changed in different ways (each keeps its own), and a change through a
 * name that was removed afterwards.
 */
int layer_join_names(int upper_fd, const int *lowers, size_t count, int64_t clamp, struct err *err) MUST_CHECK;

/* Makes a finished upper dir a proper layer tree, before anything mounts it as a lower or diffs it: rewrites
   fuse-overlayfs' forms into ours, removes its leftovers, makes whiteouts of sockets (a file below must not come back in their
   place), tags files with several names, and sets mtimes later than clamp to clamp.
   The times of directories that this changes are kept. */
int layer_tree_settle(int upper_fd, int64_t clamp, struct err *err) MUST_CHECK;

/* ---- the stack (stack.c) ---------------------------------------------------------------------------------------- */

/* The stack of layer trees as one tree, read-only, without a mount: lists and finds entries with whiteouts and opaque
   marks honoured. For the differ, for the copy view, for COPY --from and exports where nothing can be mounted. */
struct stack_dir; /* one directory of the merged tree: an fd per layer that has it */
struct stack_dir *stack_open(const int *lowers, size_t count, struct err *err) MUST_CHECK;
/* The child directory, or NULL without error (err untouched, *missing true) when there is none that is a directory. */
struct stack_dir *stack_child(const struct stack_dir *dir, const char *name, bool *missing, struct err *err) MUST_CHECK;
/* Topmost visible entry of that name: fd of the directory that holds it (borrowed) and its lstat. 1, 0 if none, -1. */
int stack_find(const struct stack_dir *dir, const char *name, int *holder_fd, struct stat *st,
	       struct err *err) MUST_CHECK;
/* As stack_find for a path below dir whose parents are directories of the merged tree; *holder_fd is the caller's. */
int stack_find_path(const struct stack_dir *dir, const char *path, int *holder_fd, struct stat *st,
		    struct err *err) MUST_CHECK;
/* The topmost layer's directory itself (borrowed): its metadata are the merged directory's. */
int stack_top(const struct stack_dir *dir);
/* All visible names, sorted bytewise. */
int stack_list(const struct stack_dir *dir, struct strvec *names, struct err *err) MUST_CHECK;
void stack_close(struct stack_dir *dir); /* NULL is fine */

static inline void scope_close_stack(struct stack_dir **dir)
{
	stack_close(*dir);
}
#define scope_stack __attribute__((cleanup(scope_close_stack)))

/* ---- entries ------------------------------------------------------------------------------------------------------ */

/* Xattrs of an open file or O_PATH fd (through /proc/self/fd) that are content, sorted; in an arena. security.capability v3
   whose rootid is our namespace's root becomes v2. */
int layer_read_xattrs(struct arena *arena, int fd, const struct layer_xattr **xattrs, size_t *count,
		      struct err *err) MUST_CHECK;
/* The device that an empty regular file stands for where mknod was refused: "c:1:3" in text, "" for all else. */
enum { LAYER_DEVICE_MAX = 32 };
void layer_read_device(int fd, char text[LAYER_DEVICE_MAX]);
/* Sets those of xattrs that are content. name is for messages. */
int layer_write_xattrs(int fd, const struct layer_xattr *xattrs, size_t count, const char *name,
		       struct err *err) MUST_CHECK;

/* Copies one entry (file by file_copy_data, symlink, device, fifo, empty directory) with owner, mode, xattrs, times from
   from_dir/from_name to to_dir/to_name, which must not exist. Sockets are ERR_INPUT. The owner is the one in st: after a
   bare lstat call owner_fill_at (kiln/base/owner.h). */
int layer_copy_entry(int from_dir, const char *from_name, const struct stat *st, int to_dir, const char *to_name,
		     struct err *err) MUST_CHECK;
/* Copies the merged tree of a stack onto the empty directory to_fd: the copy view's base, COPY --from without mounts,
   `-o type=local`. Hard links within a layer stay links. */
int layer_copy_stack(const int *lowers, size_t count, int to_fd, struct err *err) MUST_CHECK;
/* Several layers become one: the merged tree of uppers in the empty directory to_fd, with a whiteout for each name of the
   lowers that none of the uppers leaves, so that to_fd on the lowers is what the uppers on the lowers are. Only
   directories that the uppers have are looked at. */
int layer_merge(const int *uppers, size_t upper_count, const int *lowers, size_t lower_count, int to_fd,
		struct err *err) MUST_CHECK;
/* The merged tree of a stack as one canonical tar (no recipe): `-o type=tar`, `kiln export`. out is written to, neither
   finished nor closed. */
int layer_tar_stack(const int *lowers, size_t count, int64_t clamp, struct writer *out, struct err *err) MUST_CHECK;

#endif
