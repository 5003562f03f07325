/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_STORE_INTERNAL_H
#define KILN_SRC_STORE_INTERNAL_H

#include "kiln/base/file.h"
#include "kiln/base/scope.h"
#include "kiln/codec/json.h"
#include "kiln/store/store.h"

/* The directories of a store; layout[] in store.c has their names in this order. */
enum store_dir {
	DIR_BLOBS,
	DIR_LAYERS,
	DIR_IMAGES,
	DIR_NAMES,
	DIR_CACHE,
	DIR_NOTES,
	DIR_MOUNTS,
	DIR_TMP,
	DIR_UNSYNCED,
	DIR_COUNT
};

struct store {
	int fd;
	int lock_fd;
	unsigned flags;
	char *path;
	int dirs[DIR_COUNT]; /* opened when first needed */
	char boot[17];       /* this boot's id, "" until needed */
};

/* ---- store.c ---- */

const char *store_dir_name(enum store_dir dir);
/* Borrowed. A link in its place is refused: the user would move the store as a whole. */
int store_dir_fd(struct store *store, enum store_dir dir, struct err *err) MUST_CHECK;
/* Calls each(arg, name) for every entry; -1 from it ends the walk. Entries may be removed meanwhile. */
typedef int store_each_name(void *arg, const char *name, struct err *err);
int store_each(struct store *store, enum store_dir dir, store_each_name *each, void *arg, struct err *err) MUST_CHECK;
int store_each_in(int dir_fd, store_each_name *each, void *arg, struct err *err) MUST_CHECK;
bool store_is_temporary(const char *name); /* what base/file.h leaves when it is killed on a system without O_TMPFILE */
/* form.c: is the store of the form that this process works with? A new one becomes it. */
int store_settle_form(struct store *store, struct err *err) MUST_CHECK;
int store_refuse_read_only(const struct store *store, struct err *err) MUST_CHECK;
/* Opens a directory as store_open does: its owner and mode are checked. ERR_SYSTEM ENOENT if missing. */
int store_open_root(const char *path, struct err *err) MUST_CHECK;
/* Of a store's root. ERR_SYSTEM ENOENT if there is none. */
int store_read_version(int root_fd, struct strbuf *text, struct err *err) MUST_CHECK;
/* True if dir_fd holds nothing but what a store (or one that was being made or removed) has. */
int store_looks_like_one(int dir_fd, bool *yes, struct err *err) MUST_CHECK;

/* ---- lock.c ---- */

/* Opens `lock` and takes it shared; 1 if the file was replaced meanwhile and the caller has to start again. */
int lock_open(struct store *store, struct err *err) MUST_CHECK;
/* Makes the lock exclusive, waiting at most wait_ms (ERR_SYSTEM EBUSY); on failure it is shared again. */
int lock_exclusive(int lock_fd, int wait_ms, struct err *err) MUST_CHECK;
int lock_shared(int lock_fd, struct err *err) MUST_CHECK;
int lock_try(int fd, int operation, struct err *err) MUST_CHECK; /* flock with LOCK_NB: 1 taken, 0 busy */

/* ---- sync.c ---- */

/* Everything that becomes visible is published between guard_take and the closing of the fd that it returns. Short. */
int guard_take(struct store *store, struct err *err) MUST_CHECK;
/* Notes, before it is published, that an object will not be on disk until the next sync. */
int sync_mark(struct store *store, enum store_dir dir, const struct digest *id, struct err *err) MUST_CHECK;
/* After a power failure: removes what may have been lost half. */
int sync_recover(struct store *store, struct err *err) MUST_CHECK;

/* ---- work.c ---- */

void work_sweep(struct store *store);

/* ---- record.c ---- */

enum { RECORD_MAX = 1 << 20 };
/* The JSON object in dir/name: 1, 0 if there is none, -1. What cannot be read or parsed is ERR_CORRUPT; only a system that
   is out of memory or descriptors is ERR_SYSTEM. */
int record_read(struct store *store, enum store_dir dir, const char *name, struct arena *arena, struct json **record,
		struct err *err) MUST_CHECK;
int record_write(int dir_fd, const char *name, const struct json *record, bool sync, struct err *err) MUST_CHECK;
/* As record_read, for any file of the store that is small: 1, 0, -1. */
int record_read_bytes(struct store *store, enum store_dir dir, const char *name, size_t limit, struct strbuf *buf,
		      struct err *err) MUST_CHECK;
bool is_hex_name(const char *name); /* 64 lower-case hexadecimal digits */

/* ---- images.c, names.c ---- */

/* 1, 0, -1 as record_read. */
int image_record_read(struct store *store, struct arena *arena, const struct digest *config,
		      struct image_record *record, struct err *err) MUST_CHECK;
int name_record_read(struct store *store, struct arena *arena, const char *file, struct store_name *name,
		     struct err *err) MUST_CHECK;
void name_escape(struct strbuf *buf, const char *name);
/* Calls each for every name's record; damaged ones are passed over with a line in the log. */
typedef int each_store_name(void *arg, const char *file, const struct store_name *name, struct err *err);
int names_each(struct store *store, struct arena *arena, each_store_name *each, void *arg, struct err *err) MUST_CHECK;

/* ---- layers.c, cache.c ---- */

int layer_record_read(struct store *store, struct arena *arena, const struct digest *diff_id, struct layer_info *info,
		      struct err *err) MUST_CHECK;
int cache_record_read(struct store *store, struct arena *arena, const char *file, struct cache_record *record,
		      struct err *err) MUST_CHECK;
/* A blob of the layer that is here, in any compression, or NULL. */
const struct layer_blob *layer_any_blob(struct store *store, const struct layer_info *info, struct digest *digest);
/* The tar from the recipe (from_recipe) or a blob, without looking at its digest: *diff_id is what it has. */
int layer_write_tar(struct store *store, const struct layer_info *info, struct writer *out, struct digest *diff_id,
		    struct err *err) MUST_CHECK;

/* ---- mark.c ---- */

struct digest_set {
	struct digest *items;
	size_t count, cap;
};
void digest_set_add(struct digest_set *set, const struct digest *digest);
void digest_set_sort(struct digest_set *set);
bool digest_set_has(const struct digest_set *set, const struct digest *digest); /* after digest_set_sort */
void digest_set_release(struct digest_set *set);
#define scope_digest_set __attribute__((cleanup(digest_set_release)))

/* What is reached; sorted. */
struct marks {
	struct digest_set named;  /* images that a name points to */
	struct digest_set images; /* images that stay */
	struct digest_set layers;
	struct digest_set blobs;
};
void marks_release(struct marks *marks);
#define scope_marks __attribute__((cleanup(marks_release)))
int mark_images(struct store *store, unsigned prune_flags, struct marks *marks, struct err *err) MUST_CHECK;
int mark_cache(struct store *store, struct marks *marks, struct err *err) MUST_CHECK;
/* Adds the blobs of the marked layers and sorts everything. */
int mark_finish(struct store *store, struct marks *marks, struct err *err) MUST_CHECK;

/* ---- gc.c ---- */

/* Moves dir/name into work under a name of its own, so that it goes away with it. A missing one is success. */
int trash(struct store *store, struct store_work *work, enum store_dir dir, const char *name,
	  struct err *err) MUST_CHECK;
int sync_dir(struct store *store, enum store_dir dir, struct err *err) MUST_CHECK;

#endif
