/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_CONTEXT_CONTEXT_H
#define KILN_CONTEXT_CONTEXT_H

#include "kiln/base/arena.h"
#include "kiln/base/root.h"
#include "kiln/codec/digest.h"
#include "kiln/dockerfile/match.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * What COPY and ADD may see, what of it they take, its digest, and the copying. A source is a directory tree: the build
 * context (with its ignore rules and a stat cache, owners 0:0) or the root of a stage or image (owners kept). Sources are
 * read in place; files that nothing names are never opened. Rules: dockerfile.md 1.7 (ADD / COPY) and 1.9.
 */

/* ---- stat cache (statcache.c): unchanged files are not read again ---- */

/* Remembers path -> (dev, ino, size, mtime ns, ctime ns, mode) -> digest of contents and xattrs, for one context directory. A
   record counts only if all fields agree, and is made only of a file that was at rest when it was read (its ctime older than
   its file system's clock can blur), so that a change within one tick is never missed. A damaged file is an empty cache. */
struct stat_cache;
struct stat_cache *stat_cache_open(int dir_fd, const char *name); /* never fails */
/* Writes it back (appears whole) if something changed; errors are only logged. Frees. */
void stat_cache_close(struct stat_cache *cache, bool save);
int64_t stat_cache_hits(const struct stat_cache *cache);

struct source {
	struct root root;            /* ROOT_CHROOT; fd borrowed */
	const struct ignore *ignore; /* NULL: none */
	struct stat_cache *cache;    /* NULL: none */
	bool keep_owner;             /* stages and images; false: everything is 0:0 */
	const char *name;            /* for messages: "the build context", "stage base" */
};

/* Opens a build context directory (fd returned) and reads its ignore rules: <dockerfile path>.dockerignore next to the Dockerfile wins over
   <context>/.dockerignore (dockerfile_path NULL: only the latter). */
int context_open(struct arena *arena, const char *path, const char *dockerfile_path, struct ignore **ignore,
		 struct err *err) MUST_CHECK;

/* ---- selection (select.c) ---- */

struct copy_spec {
	const char *const *sources; /* expanded; patterns by path_match */
	size_t source_count;
	const char *dest; /* expanded, absolute (WORKDIR already joined), trailing '/' kept: it means a directory */
	bool parents;     /* --parents with its /./ pivot and ** */
	const char *const *excludes;
	size_t exclude_count;
	const char *chmod; /* as in copy_options, for the digest: what counts is the mode that a file gets; or NULL */
};

/* One thing named by the sources, after globbing; in the order of copying. */
struct copy_item {
	const char *path;  /* clean, in the source; the final symlink already followed inside the root */
	struct stat st;    /* of what path resolves to */
	const char *base;  /* name it gets inside a directory destination */
	const char *below; /* --parents: directories to keep, below dest; else "" */
	size_t source;     /* index of the source that named it */
	bool from_pattern;
};
struct copy_plan {
	struct copy_item *items;
	size_t count;
	const struct ignore *exclude; /* from spec.excludes, or NULL */
	bool dest_is_dir;             /* trailing slash, several items, or a directory among them */
	const char *dest;
	const char *chmod;
	bool parents;
};

/* A chmod that is none is ERR_INPUT. A literal source that does not exist (or is ignored) is ERR_NOT_FOUND: "/x": not found, with a hint when .dockerignore excludes it or a name nearby exists.
   A pattern that matches nothing is fine. */
int copy_select(struct arena *arena, const struct source *source, const struct copy_spec *spec, struct copy_plan *plan,
		struct err *err) MUST_CHECK;

/* One path that is no pattern, whatever its characters: the source of a mount. "" is the whole. */
int copy_select_path(struct arena *arena, const struct source *source, const char *path, struct copy_plan *plan,
		     struct err *err) MUST_CHECK;

/* ---- hiding (hide.c) ---- */

/* A bind mount shows a directory of the context as it lies there. Makes in tree_fd (an empty directory) the layer tree that, on
   top of it, hides what nothing may see: what the ignore rules leave out, and sockets. *count of entries are hidden. */
int context_hide(const struct source *source, const char *path, int tree_fd, size_t *count, struct err *err) MUST_CHECK;

/* ---- content digest (hash.c): part of the cache key ---- */

/* Of exactly the files that the plan takes, in a fixed order: relative names, types, modes (& 07777, after plan->chmod; not
   of symlinks), sizes, contents, link targets, device numbers, user.* xattrs and security.capability, owners if source->keep_owner. Not times. A file that changes
   while it is read is ERR_INPUT naming it. count and bytes (may be NULL) are for progress. */
int copy_digest(const struct source *source, const struct copy_plan *plan, struct digest *digest, int64_t *count,
		int64_t *bytes, struct err *err) MUST_CHECK;
/* For --explain: appends "path<TAB>hex digest\n" for each file to list, at most max lines. */
struct strbuf;
int copy_digest_list(const struct source *source, const struct copy_plan *plan, struct digest *digest,
		     struct strbuf *list, size_t max, struct err *err) MUST_CHECK;

/* ---- copying (copy.c) ---- */

struct copy_options {
	bool set_owner; /* --chown */
	uint32_t uid, gid;
	const char *chmod; /* octal or symbolic text, NULL: keep */
	int64_t clamp; /* mtimes later than this become this; INT64_MAX: none. Directories that are made get min(now, clamp) */
};

/* Copies the plan's items to plan->dest beneath dest (the merged root of a view; ROOT_CHROOT): parents made 0755, the
   rules for existing directories, symlinked destinations, type conflicts, hard links within one copy, xattrs, sparse files, times by
   dockerfile.md 1.7 and traps 49-58. */
int copy_run(const struct source *source, const struct copy_plan *plan, const struct root *dest,
	     const struct copy_options *options, struct err *err) MUST_CHECK;
/* Writes bytes as a file called name (a heredoc) to plan_dest, by the same rules: mode 0644 unless chmod, owner root unless
   set, mtime min(now, clamp). */
int copy_write_file(const struct root *dest, const char *plan_dest, const char *name, const void *bytes, size_t len,
		    const struct copy_options *options, struct err *err) MUST_CHECK;
/* The same for a file that comes as a stream, of the mode and time given (-1: now). */
struct reader;
struct copy_stream {
	const char *name;
	struct reader *contents; /* borrowed */
	mode_t mode;
	int64_t time;
};
int copy_write_stream(const struct root *dest, const char *plan_dest, const struct copy_stream *file,
		      const struct copy_options *options, struct err *err) MUST_CHECK;
/* The directory that an archive is unpacked in: what is missing of path is made 0755 with the owner of options. *real (in the
   arena) is where it is, without links. */
int copy_make_dir(struct arena *arena, const struct root *dest, const char *path, const struct copy_options *options,
		  const char **real, struct err *err) MUST_CHECK;
/* The mode that --chmod gives to mode (of a directory or not). */
int chmod_apply(const char *chmod, mode_t mode, bool is_dir, mode_t *out, struct err *err) MUST_CHECK;

#endif
