/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_VIEW_SIGNATURE_H
#define KILN_SRC_VIEW_SIGNATURE_H

#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

/*
 * How the copy view knows a file again: whatever the step does to it, a field here changes. What could be put back by the
 * step (size, mtime) is joined by ctime, which only the kernel sets. Compared as bytes, so without padding.
 */
struct signature {
	int64_t mtime, ctime; /* seconds */
	uint64_t ino;
	uint64_t size; /* 0 of directories: theirs says nothing */
	uint64_t rdev;
	uint32_t mtime_ns, ctime_ns;
	uint32_t mode, uid, gid;
	uint32_t reserved;
};
_Static_assert(sizeof(struct signature) == 64, "signatures are compared as bytes");

struct signature signature_of(const struct stat *st);
bool signature_equal(const struct signature *a, const struct signature *b);
bool signature_is_dir(const struct signature *signature);

/* One directory: itself and its entries, sorted bytewise by name. Zero-initialise. */
struct listed {
	struct signature signature;
	uint64_t name; /* offset in names */
};
struct listing {
	struct signature self;
	struct listed *entries;
	size_t count, cap;
	struct strbuf names;
};

const char *listing_name(const struct listing *listing, size_t i);
/* Reads an open directory that was not read yet: one lstat an entry, in the order of inodes, which is the disk's. A
   directory that is still as recorded in then (maybe an empty listing) has the same names, which are not read again. */
int listing_scan(struct listing *listing, int dir_fd, const struct listing *then, struct err *err) MUST_CHECK;
void listing_release(struct listing *listing);
#define scope_listing __attribute__((cleanup(listing_release)))

/*
 * A signature file: a header, then one listing per directory of a tree, each followed by those of its sub-directories in
 * order (and theirs). Written and read as a stream. It never leaves the machine and lives as long as a stage, so it holds the
 * structs as they are.
 */
int signatures_begin(FILE *file, struct err *err) MUST_CHECK;
int signatures_write(FILE *file, const struct listing *listing, struct err *err) MUST_CHECK;
/* Opens what was written and passes the header. */
FILE *signatures_open(int dir_fd, const char *name, struct err *err) MUST_CHECK;
int signatures_read(FILE *file, struct listing *listing, struct err *err) MUST_CHECK;
/* Passes a directory with everything below. */
int signatures_skip(FILE *file, struct err *err) MUST_CHECK;

#endif
