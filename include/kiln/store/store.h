/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_STORE_STORE_H
#define KILN_STORE_STORE_H

#include "kiln/base/arena.h"
#include "kiln/base/err.h"
#include "kiln/base/root.h"
#include "kiln/codec/digest.h"
#include "kiln/codec/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What has a digest, on disk. Plain files below one directory (0700, owned by the user; refused otherwise), published by
 * rename, locked by flock, checked by digest when read, repairable with rm:
 *
 *	version			"kiln store 1\n"; a newer one is refused
 *	owners			"real\n" or "recorded\n": the form of the layer trees (kiln/base/owner.h)
 *	lock			flock: shared by every command while it runs, exclusive by the sweep of prune and reset
 *	blobs/sha256/HEX	configurations, manifests, compressed layers as they came or as they were made
 *	layers/HEX/tree		one layer tree per diff id (layer/layer.h); layers/HEX/recipe if kiln can write its tar again,
 *	layers/HEX/info		JSON: sizes, the compressed blobs known for it
 *	images/HEX		JSON: one per image (HEX: digest of the configuration)
 *	names/ESCAPED		JSON: canonical name -> image
 *	cache/HEX		JSON: one small record per step key
 *	notes/KIND-HEX		small documents that may be lost: last build (for --explain), stat caches
 *	mounts/HEX/N		cache mounts (src/store/mounts.c)
 *	unsynced/		empty files that say what is not on disk yet (src/store/sync.c), and the guard of publishing
 *	tmp/RANDOM/		work in progress with a flock'ed file "lock"; one whose lock is free is swept at the next open
 *
 * Promises (security.md 4.1): a name always points to an image all of whose parts are there; a command that exited 0
 * survives power loss (what names reach is synced before the name is); killing anything leaves a store that the next
 * command uses as if nothing had happened; leftovers are swept automatically; any number of commands may use one store
 * at a time. Trees may hold files of sub-ids: whatever deletes trees must run inside the user namespace.
 */
struct store;

enum store_flags {
	STORE_CREATE = 1 << 0,    /* make it if missing */
	STORE_READ_ONLY = 1 << 1, /* no file is created or changed (images, inspect on a read-only store) */
	STORE_NO_SWEEP = 1 << 2   /* do not remove dead tmp/ entries (not inside the user namespace) */
};

/* $KILN_ROOT, else $XDG_DATA_HOME/kiln, else $HOME/.local/share/kiln, else $TMPDIR/kiln-UID. In the arena. */
char *store_default_path(struct arena *arena);
int store_open(struct store **store, const char *path, unsigned flags, struct err *err) MUST_CHECK;
void store_close(struct store *store);
static inline void scope_close_store(struct store **store)
{
	store_close(*store);
}
#define scope_store __attribute__((cleanup(scope_close_store)))
const char *store_path(const struct store *store);
int store_fd(const struct store *store); /* the root directory */

/* What the store at path was made with; UNKNOWN if it is new, or no store. Layer trees with recorded owners are good for isolation
   "single" only, those with real ones for the others, so opening a store with layers of the other form is
   ERR_UNSUPPORTED. */
enum store_owners { STORE_OWNERS_UNKNOWN, STORE_OWNERS_REAL, STORE_OWNERS_RECORDED };
enum store_owners store_owners_at(const char *path);

/* ---- work in progress (work.c) ---- */

struct store_work {
	int fd; /* tmp/RANDOM, on the store's file system; the name "lock" in it is taken */
	int lock_fd;
	char name[32];
};
#define STORE_WORK_EMPTY                \
	{                               \
		.fd = -1, .lock_fd = -1 \
	}
int store_work_new(struct store *store, struct store_work *work, struct err *err) MUST_CHECK;
/* Removes the directory with all that is in it. Safe on empty. */
void store_work_end(struct store *store, struct store_work *work);

/* ---- blobs (blob.c) ---- */

/* A blob being written: push bytes into writer, then commit. Its digest is computed on the way. */
struct store_blob {
	struct writer *writer;
	struct digest digest; /* after commit */
	int64_t size;
	void *state;
};
int store_blob_new(struct store *store, struct store_blob *blob, struct err *err) MUST_CHECK;
/* expected may be NULL; a difference is ERR_CORRUPT. An existing blob wins. Synced by store_sync or with the next name. */
int store_blob_commit(struct store *store, struct store_blob *blob, const struct digest *expected,
		      struct err *err) MUST_CHECK;
void store_blob_abandon(struct store_blob *blob);
/* Makes work/name, whose digest the caller has computed while writing it, a blob. An existing blob wins. */
int store_blob_adopt(struct store *store, struct store_work *work, const char *name, const struct digest *digest,
		     struct err *err) MUST_CHECK;
int store_blob_put(struct store *store, const void *bytes, size_t len, struct digest *digest,
		   struct err *err) MUST_CHECK;
bool store_blob_has(struct store *store, const struct digest *digest, int64_t *size);
/* Open for streaming: the caller verifies what it reads (reader_hash). ERR_NOT_FOUND "blob sha256:... is not in the store". */
int store_blob_open(struct store *store, const struct digest *digest, int64_t *size, struct err *err) MUST_CHECK;
/* Small documents, verified: a wrong digest is ERR_CORRUPT. */
int store_blob_read(struct store *store, const struct digest *digest, size_t limit, struct strbuf *buf,
		    struct err *err) MUST_CHECK;

/* ---- layers (layers.c) ---- */

struct layer_blob {
	const char *media_type;
	const char *digest;
	int64_t size;
	const char *compressor; /* "libdeflate-1.14/6", or "" for one that came from outside */
};
struct layer_info {
	struct digest diff_id;
	int64_t size;    /* of the tar */
	int64_t content; /* bytes of files: history's SIZE */
	int64_t entries;
	bool has_recipe;
	struct layer_blob *blobs;
	size_t blob_count;
};

bool store_layer_has(struct store *store, const struct digest *diff_id);
/* fd of layers/HEX/tree (O_RDONLY|O_DIRECTORY). */
int store_layer_open(struct store *store, const struct digest *diff_id, struct err *err) MUST_CHECK;
int store_layer_info(struct store *store, struct arena *arena, const struct digest *diff_id, struct layer_info *info,
		     struct err *err) MUST_CHECK;
/* Publishes work/tree_name (a layer tree) and, if recipe_name is not NULL, work/recipe_name, as layers/HEX. If the layer is
   there already ours is left in work (and goes away with it) and that is success. */
int store_layer_publish(struct store *store, struct store_work *work, const char *tree_name, const char *recipe_name,
			const struct layer_info *info, struct err *err) MUST_CHECK;
/* Adds a known compressed form (appears whole; the last of two writers wins, no blob is lost that matters). */
int store_layer_add_blob(struct store *store, const struct digest *diff_id, const struct layer_blob *blob,
			 struct err *err) MUST_CHECK;
/* A reader of the layer's uncompressed tar: from the recipe and the tree by a child process through a pipe is not
   needed: it writes straight to out. From a blob if there is no recipe (inflated). The diff id is verified; a mismatch is
   ERR_CORRUPT naming layer and file. */
int store_layer_tar(struct store *store, const struct digest *diff_id, struct writer *out, struct err *err) MUST_CHECK;

/* ---- images and names (names.c) ---- */

struct image_record {
	struct digest config;
	struct digest manifest; /* zero if kiln made the image and it has no manifest yet */
	const char *manifest_type;
	struct digest *diff_ids; /* bottom first */
	size_t diff_id_count;
	int64_t created; /* seconds: when it came into the store, for `images` order */
	int64_t size;    /* sum of tar sizes */
};
/* Of two records for one image the one with a manifest stays, the newer if both have one. */
int store_image_put(struct store *store, const struct image_record *record, struct err *err) MUST_CHECK;
int store_image_get(struct store *store, struct arena *arena, const struct digest *config, struct image_record *record,
		    struct err *err) MUST_CHECK;
/* Points name (canonical text) to an image that is in the store; syncs everything that it reaches first. A name that
   points there already is left as it is. */
int store_name_set(struct store *store, const char *name, const struct digest *config, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND. */
int store_name_get(struct store *store, const char *name, struct digest *config, struct err *err) MUST_CHECK;
int store_name_remove(struct store *store, const char *name, struct err *err) MUST_CHECK;

struct store_name {
	const char *name; /* NULL: an image without a name */
	struct digest config;
	int64_t set_at; /* seconds */
};
/* Every name, then every image that no name points to; newest first. */
int store_names(struct store *store, struct arena *arena, struct store_name **names, size_t *count,
		struct err *err) MUST_CHECK;
/* Image whose configuration digest begins with hex (at least 4 digits; docker's short ids), unique. ERR_NOT_FOUND / ERR_USAGE if
   ambiguous. */
int store_image_by_prefix(struct store *store, const char *hex, struct digest *config, struct err *err) MUST_CHECK;
/* Removes the names that point to it too. */
int store_image_remove(struct store *store, const struct digest *config, struct err *err) MUST_CHECK;

/* ---- step cache and notes (cache.c) ---- */

struct cache_record {
	struct digest diff_id;
	int64_t created;  /* seconds, for history of a hit when there is no SOURCE_DATE_EPOCH */
	const char *what; /* the instruction, for people */
};
/* 1 hit (and its layer is there), 0 miss (also when damaged: it is removed), -1 only if the store itself fails. */
int store_cache_get(struct store *store, struct arena *arena, const struct digest *key, struct cache_record *record,
		    struct err *err) MUST_CHECK;
int store_cache_put(struct store *store, const struct digest *key, const struct cache_record *record,
		    struct err *err) MUST_CHECK;
/* Small documents that may be lost. get: 1, 0 if there is none (or over limit), -1. */
int store_note_get(struct store *store, const char *kind, const struct digest *id, size_t limit, struct strbuf *buf,
		   struct err *err) MUST_CHECK;
int store_note_put(struct store *store, const char *kind, const struct digest *id, const void *bytes, size_t len,
		   struct err *err) MUST_CHECK;
/* fd of the notes directory and a file name in it, for the stat cache, which writes its own file. */
int store_notes_fd(struct store *store, struct err *err) MUST_CHECK;

/* ---- cache mounts (mounts.c) ---- */

/* How the users of one cache mount get along: together; each with a copy of its own, if the others' are in use; one after the
   other. */
enum store_mount_sharing { STORE_MOUNT_SHARED, STORE_MOUNT_PRIVATE, STORE_MOUNT_LOCKED };

struct store_mount_spec {
	struct digest id;
	enum store_mount_sharing sharing;
	/* Called for a new one, whose directory is empty, mode 0755 and ours. NULL: it stays empty. */
	int (*fill)(void *arg, int dir_fd, struct err *err);
	void (*waits)(void *arg); /* another build holds it, and has for a while; may be NULL */
	void *arg;
};

/* In use until it is closed, or until the process that opened it and those that it forked are gone. */
struct store_mount {
	int fd; /* the directory */
	int lock_fd;
};
#define STORE_MOUNT_EMPTY               \
	{                               \
		.fd = -1, .lock_fd = -1 \
	}
/* Whoever opens several does so in the order of their ids, lest two wait for each other. */
int store_mount_open(struct store *store, const struct store_mount_spec *spec, struct store_mount *mount,
		     struct err *err) MUST_CHECK;
void store_mount_close(struct store_mount *mount);
#define scope_store_mount __attribute__((cleanup(store_mount_close)))
/* The next one opens an empty one. Those who have it open keep theirs. */
int store_mount_forget(struct store *store, const struct digest *id, struct err *err) MUST_CHECK;

/* ---- housekeeping (gc.c, verify.c), inside the user namespace ---- */

struct store_usage {
	int64_t images, image_bytes; /* count, bytes on disk of what images reach */
	int64_t layers, layer_bytes;
	int64_t cache_records, cache_bytes; /* reached by the cache only */
	int64_t mounts, mount_bytes;        /* cache mounts */
	int64_t other_bytes;
};
int store_usage(struct store *store, struct store_usage *usage, struct err *err) MUST_CHECK;

enum prune_flags {
	PRUNE_CACHE = 1 << 0,    /* step records, and what only they reach; cache mounts; notes */
	PRUNE_DANGLING = 1 << 1, /* images without a name */
	PRUNE_IMAGES = 1 << 2    /* all images */
};
/* Frees what nothing reaches any more, waiting for running commands (at most wait_ms, then ERR_SYSTEM EBUSY). */
int store_prune(struct store *store, unsigned flags, int wait_ms, int64_t *freed, struct err *err) MUST_CHECK;
/* Removes the whole store directory. Takes the path, since the store may be damaged. */
int store_reset(const char *path, int wait_ms, struct err *err) MUST_CHECK;

/* Reads everything and calls bad(arg, text) for each damage; repair removes what is bad and what leads to it. Returns the
   number of problems. */
int store_verify(struct store *store, bool repair, void (*bad)(void *arg, const char *text), void *arg,
		 struct err *err) MUST_CHECK;

/* All blobs, layers and images are on disk: one syncfs if anything was published since the last one, by whatever
   process; else a few system calls. For results without a name. */
int store_sync(struct store *store, struct err *err) MUST_CHECK;

#endif
