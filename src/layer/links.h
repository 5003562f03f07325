/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_LAYER_LINKS_H
#define KILN_LAYER_LINKS_H

#include "kiln/base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* A table of inodes, each with the paths that it is known by. Only inodes with more than one name come in. Zero-initialise. */
struct link_inode {
	dev_t dev;
	ino_t ino;
	struct strvec paths;
	bool is_unchanged; /* the differ's verdict on the group */
	size_t value;      /* whatever the owner of the table keeps */
	struct link_inode *next;
};

struct links {
	struct link_inode **buckets;
	size_t bucket_count, count;
};

/* NULL if it is not known. */
struct link_inode *links_find(const struct links *links, const struct stat *st);
/* Finds it or adds it without paths. Valid until links_release. */
struct link_inode *links_add(struct links *links, const struct stat *st);
void links_release(struct links *links);
#define scope_links __attribute__((cleanup(links_release)))

#endif
