/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/root.h"
#include "kiln/base/text.h"
#include "kiln/codec/untar.h"

#include "internal.h"

/*
 * An archive's entries come in any order, from a pipe perhaps, so each goes to a file of the work directory as it comes,
 * hashed on the way; those that become blobs are renamed later. What the store has already is only hashed. A layout
 * directory is read where it lies.
 */

enum { ENTRIES_MAX = 100000, LINKS_MAX = 16 };

#define BLOBS "blobs/sha256/"

/* ---- looking up ---- */

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

const struct entry *container_find(const struct container *container, const char *path)
{
	struct entry key = { .path = path };
	const struct entry *entry = NULL;

	for (int i = 0; i < LINKS_MAX && container->entry_count > 0; i++) {
		entry = bsearch(&key, container->entries, container->entry_count, sizeof(key), compare_entries);
		if (!entry || !entry->link)
			return entry;
		key.path = entry->link;
	}
	return NULL;
}

bool container_has(const struct container *container, const char *path)
{
	struct root root = { container->dir_fd, ROOT_CHROOT };
	struct stat st;

	if (container->dir_fd >= 0)
		return root_stat(&root, path, &st, NULL) == 0;
	return container_find(container, path) != NULL;
}

static int open_in_dir(const struct container *container, const char *path, struct err *err)
{
	/* Layouts are deduplicated by links, which must not lead out. */
	struct root root = { container->dir_fd, ROOT_CHROOT };
	struct err cause;
	int fd = root_open_regular(&root, path, &cause);

	if (fd >= 0)
		return fd;
	if (err_is_errno(&cause, ENOENT) || err_is_errno(&cause, ENOTDIR))
		return err_set(err, ERR_NOT_FOUND, "%s is not in it", path);
	return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
}

static int open_entry(const struct container *container, const char *path, struct err *err)
{
	const struct entry *entry = container_find(container, path);
	char shown[256];
	int fd;

	if (!entry)
		return err_set(err, ERR_NOT_FOUND, "%s is not in it", err_printable(shown, sizeof(shown), path));
	if (!entry->file)
		return store_blob_open(container->store, &entry->digest, NULL, err);
	fd = openat(container->work->fd, entry->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_errno(err, "open %s", entry->file) : fd;
}

int container_open_file(const struct container *container, const char *path, int64_t *size, struct err *err)
{
	scope_fd int fd = container->dir_fd >= 0 ? open_in_dir(container, path, err) : open_entry(container, path, err);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_errno(err, "stat %s", path);
	if (size)
		*size = st.st_size;
	return take_fd(&fd);
}

int container_read(const struct container *container, const char *path, struct strbuf *buf, struct err *err)
{
	scope_fd int fd = container_open_file(container, path, NULL, err);

	return fd < 0 ? -1 : file_read_fd(fd, OCI_DOCUMENT_MAX, buf, path, err);
}

char *container_blob_path(struct arena *arena, const struct digest *digest)
{
	char hex[DIGEST_HEX + 1];

	return arena_printf(arena, BLOBS "%s", digest_hex(digest, hex));
}

int container_read_blob(const struct container *container, const struct digest *digest, int64_t size,
			struct strbuf *buf, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	const char *path = container_blob_path(&arena, digest);
	struct digest found;

	if (container_read(container, path, buf, err) < 0)
		return -1;
	if (size >= 0 && (int64_t)buf->len != size)
		return err_set(err, ERR_CORRUPT, "%s has %zu bytes, not %lld", path, buf->len, (long long)size);
	digest_bytes(&found, strbuf_str(buf), buf->len);
	if (!digest_equal(&found, digest))
		return err_set(err, ERR_CORRUPT, "%s is damaged: its bytes have another digest", path);
	return 0;
}

/* ---- reading an archive ---- */

struct spool {
	struct container *container;
	struct arena *arena;
	struct untar *untar;
	struct entry *entries;
	size_t count;
};

/* The digest in the path of blobs/sha256/HEX. */
static bool path_digest(const char *path, struct digest *digest)
{
	return text_starts(path, BLOBS) && digest_parse_hex(digest, path + strlen(BLOBS), NULL) == 0;
}

static int copy_data(struct spool *spool, int fd, struct entry *entry, struct err *err)
{
	scope_hasher struct hasher *hasher = hasher_new();
	scope_free char *buf = malloc(1 << 18);
	ssize_t count;

	if (!buf)
		abort();
	while ((count = untar_read(spool->untar, buf, 1 << 18, err)) > 0) {
		hasher_update(hasher, buf, (size_t)count);
		if (fd >= 0 && file_write_fd(fd, buf, (size_t)count, entry->path, err) < 0)
			return -1;
	}
	hasher_final(hasher, &entry->digest);
	return count < 0 ? -1 : 0;
}

static int spool_data(struct spool *spool, struct entry *entry, struct err *err)
{
	struct container *container = spool->container;
	struct digest named;
	int64_t size;
	bool has_name = path_digest(entry->path, &named);
	bool is_here = has_name && store_blob_has(container->store, &named, &size) && size == entry->size;
	scope_fd int fd = -1;

	if (!is_here) {
		entry->file = arena_printf(spool->arena, "entry-%zu", spool->count);
		fd = openat(container->work->fd, entry->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			return err_errno(err, "create %s", entry->file);
	}
	if (copy_data(spool, fd, entry, err) < 0)
		return -1;
	if (has_name && !digest_equal(&named, &entry->digest))
		return err_set(err, ERR_CORRUPT, "%s is damaged: its bytes have another digest", entry->path);
	return 0;
}

/* The target of a link, as a path of the archive. Docker and skopeo write "<id>/layer.tar -> ../<digest>.tar". */
static const char *link_target(struct spool *spool, const struct untar_item *item, const char *path)
{
	const char *base = path_base(path);
	const char *parent = arena_strndup(spool->arena, path, (size_t)(base - path));

	if (item->type == UNTAR_HARDLINK || item->link[0] == '/')
		return path_clean(spool->arena, item->link);
	return path_clean(spool->arena, path_join(spool->arena, parent, item->link));
}

static int spool_item(struct spool *spool, const struct untar_item *item, struct err *err)
{
	struct entry entry = { .size = item->size };
	char shown[256];

	if (item->type == UNTAR_DIR)
		return 0;
	entry.path = path_clean(spool->arena, item->path);
	err_printable(shown, sizeof(shown), item->path);
	if (path_has_dotdot(item->path))
		return err_set(err, ERR_INPUT, "%s: a path in an image archive may not have \"..\"", shown);
	if (spool->count >= ENTRIES_MAX)
		return err_set(err, ERR_INPUT, "it has more than %d files, and is hardly an image", ENTRIES_MAX);
	if (item->type == UNTAR_SYMLINK || item->type == UNTAR_HARDLINK)
		entry.link = link_target(spool, item, entry.path);
	else if (item->type != UNTAR_FILE)
		return err_set(err, ERR_INPUT, "%s: it is neither a file nor a link", shown);
	else if (spool_data(spool, &entry, err) < 0)
		return -1;
	*ARENA_PUSH(spool->arena, spool->entries, spool->count) = entry;
	return 0;
}

/* An archive that is appended to may hold a file twice; if they are not the same, tools disagree which one counts. */
static int sort_entries(struct spool *spool, struct err *err)
{
	size_t kept = 0;
	char shown[256];

	if (spool->count == 0)
		return 0;
	qsort(spool->entries, spool->count, sizeof(*spool->entries), compare_entries);
	for (size_t i = 1; i < spool->count; i++) {
		const struct entry *a = &spool->entries[kept], *b = &spool->entries[i];
		if (strcmp(a->path, b->path) != 0) {
			spool->entries[++kept] = *b;
			continue;
		}
		if (!text_equal(a->link, b->link) || !digest_equal(&a->digest, &b->digest))
			return err_set(err, ERR_INPUT, "%s is in it twice, with different contents",
				       err_printable(shown, sizeof(shown), a->path));
	}
	spool->count = kept + 1;
	return 0;
}

static int spool_archive(struct container *container, struct arena *arena, struct reader *archive, struct err *err)
{
	struct spool spool = { .container = container, .arena = arena };
	scope_reader struct reader *tar = reader_decompress(archive, container->name);
	scope_untar struct untar *untar = untar_open(tar, UNTAR_ALLOW_NO_END, container->name, err);
	struct untar_item item;
	int more;

	if (!untar)
		return -1;
	spool.untar = untar;
	while ((more = untar_next(untar, &item, err)) > 0) {
		if (spool_item(&spool, &item, err) < 0)
			return -1;
	}
	if (more < 0 || sort_entries(&spool, err) < 0)
		return -1;
	container->entries = spool.entries;
	container->entry_count = spool.count;
	return 0;
}

/* ---- opening ---- */

static int open_path(struct container *container, struct arena *arena, const char *path, struct err *err)
{
	scope_fd int fd = file_open_user(path, O_RDONLY, 0, err);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_errno(err, "stat %s", path);
	if (S_ISDIR(st.st_mode)) {
		container->dir_fd = take_fd(&fd);
		return 0;
	}
	return spool_archive(container, arena, reader_fd(take_fd(&fd), true, path), err);
}

int container_open(struct container *container, struct arena *arena, const char *path, struct err *err)
{
	if (text_equal(path, "-"))
		return spool_archive(container, arena, reader_fd(STDIN_FILENO, false, container->name), err);
	return open_path(container, arena, path, err);
}

void container_close(struct container *container)
{
	scope_close_fd(&container->dir_fd);
	container->dir_fd = -1;
}
