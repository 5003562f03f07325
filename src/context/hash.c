/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/layer/layer.h"
#include "statcache.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The digest of what a plan takes. */

enum { CHUNK = 256 << 10 };

struct first_name { /* of a file with several names */
	dev_t dev;
	ino_t ino;
	int64_t number;
};

struct hashing {
	const struct source *source;
	const struct copy_plan *plan;
	void *links; /* tsearch tree of struct first_name */
	struct hasher *total;
	struct hasher *file;
	char *chunk;
	struct strbuf *list; /* --explain, or NULL */
	size_t list_max, listed;
	int64_t count, bytes;
};

static int hash_xattrs(struct hasher *hasher, int fd, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	const struct layer_xattr *xattrs;
	size_t count;
	if (layer_read_xattrs(&arena, fd, &xattrs, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		hasher_text(hasher, xattrs[i].name);
		hasher_field(hasher, xattrs[i].value, xattrs[i].len);
	}
	return 0;
}

/* Where the kernel refused a device node, an empty file stands in for it, and is copied as that device. */
static void hash_device(struct hasher *hasher, int fd)
{
	char device[LAYER_DEVICE_MAX];
	layer_read_device(fd, device);
	if (*device)
		hasher_text(hasher, device);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Contents, then xattrs; *st is the file as it was read. */
static int read_file(struct hashing *hashing, const struct walk_entry *entry, int fd, struct digest *digest,
		     struct stat *st, struct err *err)
{
	struct stat after;
	if (fstat(fd, st) < 0)
		return err_errno(err, "stat %s", entry->path);
	hasher_reset(hashing->file);
	for (;;) {
		ssize_t got = read(fd, hashing->chunk, CHUNK);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(err, "read %s", entry->path);
		if (got == 0)
			break;
		hasher_update(hashing->file, hashing->chunk, (size_t)got);
	}
	if (st->st_size == 0)
		hash_device(hashing->file, fd);
	if (hash_xattrs(hashing->file, fd, err) < 0)
		return err_wrap(err, "%s", entry->path);
	if (fstat(fd, &after) < 0 || !same_file(st, &after))
		return err_set(err, ERR_INPUT, "%s changed while it was read", entry->path);
	hasher_final(hashing->file, digest);
	return 0;
}

static int digest_file(struct hashing *hashing, const struct walk_entry *entry, struct digest *digest, struct err *err)
{
	struct timespec read_at;
	struct stat st;
	if (stat_cache_get(hashing->source->cache, entry->path, &entry->st, digest))
		return 0;
	clock_gettime(CLOCK_REALTIME, &read_at);
	scope_fd int fd = openat(entry->dir_fd, entry->name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "open %s", entry->path);
	if (read_file(hashing, entry, fd, digest, &st, err) < 0)
		return -1;
	stat_cache_put(hashing->source->cache, entry->path, &st, read_at, digest);
	return 0;
}

static int hash_dir_xattrs(struct hashing *hashing, const struct walk_entry *entry, struct err *err)
{
	scope_fd int fd = openat(entry->dir_fd, entry->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "open the directory %s", entry->path);
	return hash_xattrs(hashing->total, fd, err);
}

static int hash_link(struct hashing *hashing, const struct walk_entry *entry, struct err *err)
{
	enum { TARGET_MAX = 4096 };
	char target[TARGET_MAX];
	ssize_t len = readlinkat(entry->dir_fd, entry->name, target, sizeof(target));
	if (len < 0)
		return err_errno(err, "read the link %s", entry->path);
	hasher_field(hashing->total, target, (size_t)len);
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	const struct first_name *x = a, *y = b;
	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Names of one file stay names of one file in the copy, so which are is part of what is taken: the number of the first of
   them, -1 if there is none before. */
static int64_t first_name(struct hashing *hashing, const struct stat *st)
{
	if (st->st_nlink < 2)
		return -1;
	struct first_name *own = malloc(sizeof(*own));
	if (!own)
		abort();
	*own = (struct first_name){ st->st_dev, st->st_ino, hashing->count };
	struct first_name **found = tsearch(own, &hashing->links, compare_files);
	if (!found)
		abort();
	if (*found == own)
		return -1;
	free(own);
	return (*found)->number;
}

/* What the copy's mode will be, so that the umask of a checkout does not count under --chmod. */
static int mode_taken(const struct hashing *hashing, const struct stat *st, mode_t *mode, struct err *err)
{
	*mode = S_ISLNK(st->st_mode) ? 0777 : st->st_mode & 07777;
	if (!hashing->plan->chmod || S_ISLNK(st->st_mode))
		return 0;
	return chmod_apply(hashing->plan->chmod, *mode, S_ISDIR(st->st_mode), mode, err);
}

static void list_entry(struct hashing *hashing, const struct walk_entry *entry, mode_t mode,
		       const struct digest *digest)
{
	char hex[DIGEST_HEX + 1] = "-";
	if (!hashing->list || hashing->listed++ >= hashing->list_max)
		return;
	if (digest)
		digest_hex(digest, hex);
	strbuf_addf(hashing->list, "%s\t%s-%o\n", *entry->path ? entry->path : ".", hex, mode);
}

/* The size stands before the digest, which is of contents and xattrs one after the other. A socket is copied as an empty
   file. */
static int hash_file(struct hashing *hashing, const struct walk_entry *entry, mode_t mode, struct err *err)
{
	struct digest digest;
	bool is_socket = S_ISSOCK(entry->st.st_mode);
	if (is_socket)
		digest_bytes(&digest, "", 0);
	else if (digest_file(hashing, entry, &digest, err) < 0)
		return -1;
	hasher_int(hashing->total, entry->st.st_size);
	hasher_int(hashing->total, is_socket ? -1 : first_name(hashing, &entry->st));
	hasher_field(hashing->total, digest.bytes, sizeof(digest.bytes));
	hashing->bytes += entry->st.st_size;
	list_entry(hashing, entry, mode, &digest);
	return 0;
}

static int hash_other(struct hashing *hashing, const struct walk_entry *entry, mode_t mode, struct err *err)
{
	list_entry(hashing, entry, mode, NULL);
	if (S_ISDIR(entry->st.st_mode))
		return hash_dir_xattrs(hashing, entry, err);
	if (S_ISLNK(entry->st.st_mode))
		return hash_link(hashing, entry, err);
	if (S_ISCHR(entry->st.st_mode) || S_ISBLK(entry->st.st_mode))
		hasher_int(hashing->total, (int64_t)entry->st.st_rdev);
	return 0;
}

static int hash_entry(void *arg, const struct walk_entry *entry, struct err *err)
{
	struct hashing *hashing = arg;
	const struct stat *st = &entry->st;
	bool is_file = S_ISREG(st->st_mode) || S_ISSOCK(st->st_mode);
	mode_t type = is_file ? S_IFREG : st->st_mode & S_IFMT, mode;
	if (mode_taken(hashing, st, &mode, err) < 0)
		return -1;
	hasher_text(hashing->total, entry->below);
	hasher_int(hashing->total, type | mode);
	if (hashing->source->keep_owner) {
		hasher_int(hashing->total, st->st_uid);
		hasher_int(hashing->total, st->st_gid);
	}
	hashing->count++;
	return is_file ? hash_file(hashing, entry, mode, err) : hash_other(hashing, entry, mode, err);
}

static int hash_items(struct hashing *hashing, const struct copy_plan *plan, struct err *err)
{
	struct walker walker = { hashing->source, plan, hash_entry, NULL, hashing };
	for (size_t i = 0; i < plan->count; i++) {
		const struct copy_item *item = &plan->items[i];
		/* A directory's own name is dropped by the copy, so it does not count either, but with --parents. */
		bool name_counts = plan->parents || !S_ISDIR(item->st.st_mode);
		hasher_text(hashing->total, name_counts ? item->base : NULL);
		hasher_text(hashing->total, item->below);
		if (walk_item(&walker, item, err) < 0)
			return -1;
	}
	return 0;
}

static int run(struct hashing *hashing, const struct copy_plan *plan, struct digest *digest, struct err *err)
{
	scope_hasher struct hasher *total = hasher_new();
	scope_hasher struct hasher *file = hasher_new();
	scope_free char *chunk = malloc(CHUNK);
	if (!chunk)
		abort();
	hashing->plan = plan;
	hashing->total = total;
	hashing->file = file;
	hashing->chunk = chunk;
	int result = hash_items(hashing, plan, err);
	tdestroy(hashing->links, free);
	if (result == 0)
		hasher_final(total, digest);
	return result;
}

int copy_digest(const struct source *source, const struct copy_plan *plan, struct digest *digest, int64_t *count,
		int64_t *bytes, struct err *err)
{
	struct hashing hashing = { .source = source };
	if (run(&hashing, plan, digest, err) < 0)
		return -1;
	if (count)
		*count = hashing.count;
	if (bytes)
		*bytes = hashing.bytes;
	return 0;
}

int copy_digest_list(const struct source *source, const struct copy_plan *plan, struct digest *digest,
		     struct strbuf *list, size_t max, struct err *err)
{
	struct hashing hashing = { .source = source, .list = list, .list_max = max };
	return run(&hashing, plan, digest, err);
}
