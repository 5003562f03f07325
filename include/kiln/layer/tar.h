/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_TAR_H
#define KILN_LAYER_TAR_H

#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The canonical tar writer: one entry's metadata -> header blocks, the same bytes for the same entry on every machine
 * (registry.md 3.7 rules 1 and 4 to 13; they are those of Go's archive/tar with FormatPAX). Pure.
 */
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
	const char *link; /* symlink target, or hard link target (a path as above) when is_hardlink */
	bool is_hardlink;
	const struct layer_xattr *xattrs; /* sorted bytewise by name, already filtered */
	size_t xattr_count;
};

/* Appends header blocks (pax 'x' first where needed) to buf. What a tar cannot hold (an attribute name with '=', more
   than 1 MiB of attributes, a socket) is ERR_INPUT naming the path. */
int tar_header(struct strbuf *buf, const struct layer_entry *entry, struct err *err) MUST_CHECK;
/* The whiteout of path ("a/b" -> "a/.wh.b"). */
int tar_whiteout(struct strbuf *buf, const char *path, struct err *err) MUST_CHECK;
/* Bytes that pad size to 512. */
size_t tar_padding(int64_t size);
enum { TAR_BLOCK = 512, TAR_TRAILER = 1024 };

#endif
