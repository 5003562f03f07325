/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_APPLY_H
#define KILN_LAYER_APPLY_H

#include "kiln/base/err.h"
#include "kiln/codec/stream.h"
#include "kiln/layer/diff.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Tar -> layer tree, or onto a plain tree. */
enum layer_apply_flags {
	/* Into an own, empty directory: whiteouts and opaque marks become layer tree forms. Without it the tar is applied
	   onto a complete tree: whiteouts remove (lower entries only, never entries of this same tar), opaque empties. */
	LAYER_APPLY_AS_TREE = 1 << 0,
	/* ADD of an archive: .wh. names are ordinary names; parents that are missing are 0755 root. */
	LAYER_APPLY_PLAIN = 1 << 1,
	/* The two zero blocks at the end may be missing (umoci writes such layers): the caller verifies a digest. */
	LAYER_APPLY_NO_END = 1 << 2
};

struct layer_apply_options {
	unsigned flags;
	bool override_owner; /* ADD --chown */
	uid_t uid;
	gid_t gid;
	int64_t max_size; /* bytes of contents, 0: no limit */
	/* AS_TREE only, may be empty: the layer trees below, [0] topmost. They are needed for layers that lean on what is
	   below: directories that the tar passes through without an entry (stats->implied) then take their metadata from
	   below instead of 0755 root, links of the tree below are followed in parents, and hard links to files below copy
	   them up. */
	const int *lowers;
	size_t lower_count;
	/* PLAIN: directory beneath tree_fd that every name and hard link of the archive is put below (clean, no links in it, ""
	   or NULL: none). Resolution is confined to tree_fd, not to the directory: ADD x.tar /opt/ where /opt/lib is a link
	   to /usr/lib. */
	const char *prefix;
};

/*
 * Reads plain tar from below and writes entries beneath tree_fd, by security.md 1A: parents resolved by
 * openat2(RESOLVE_IN_ROOT), the last component never followed, every later operation on the fd; names with ".." are
 * ERR_INPUT, leading "/" and "./" are stripped; an entry that cleans to the root may only be a directory (its mode,
 * owner, times, xattrs apply); hard link sources are resolved the same way, a missing one is ERR_NOT_FOUND; symlink
 * targets are stored verbatim; a directory over a non-directory replaces it, the reverse too. Device nodes: where mknod
 * is refused (user namespace) an empty regular placeholder with xattr user.kiln.dev = "c:MAJ:MIN" / "b:MAJ:MIN" is created
 * and treated by the differ as that device; 0:0 is ERR_INPUT. xattrs: user.* (not user.overlay.*, user.fuseoverlayfs.*,
 * user.kiln.*) and security.capability; a file system without xattrs is ERR_UNSUPPORTED for security.capability only.
 * Directory times are set last. The umask is 0 meanwhile. stats->size is bytes of tar read; entries counted; diff_id
 * is the caller's business.
 */
int layer_apply(struct reader *tar, int tree_fd, const struct layer_apply_options *options, const char *name,
		struct layer_stats *stats, struct err *err) MUST_CHECK;

#endif
