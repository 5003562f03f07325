/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "kiln/base/text.h"

#include "internal.h"

/* Read-only, so that nobody edits one by mistake: the name is the digest of the contents. */
#define BLOB_MODE 0444

struct blob_state {
	struct store *store;
	struct new_file file;
	bool is_finished;
};

/* ---- writing ---- */

int store_blob_new(struct store *store, struct store_blob *blob, struct err *err)
{
	int dir = store_refuse_read_only(store, err) < 0 ? -1 : store_dir_fd(store, DIR_BLOBS, err);
	struct blob_state *state;
	struct new_file file;

	*blob = (struct store_blob){ 0 };
	if (dir < 0)
		return -1;
	if (new_file_create(&file, dir, BLOB_MODE, err) < 0)
		return err_wrap(err, "store %s: new blob", store->path);
	state = calloc(1, sizeof(*state));
	if (!state)
		abort();
	*state = (struct blob_state){ .store = store, .file = file };
	blob->state = state;
	blob->writer = writer_hash(writer_fd(file.fd, false, "a blob of the store"), &blob->digest, &blob->size);
	return 0;
}

void store_blob_abandon(struct store_blob *blob)
{
	struct blob_state *state = blob->state;

	scope_close_writer(&blob->writer);
	if (state)
		new_file_release(&state->file);
	free(state);
	*blob = (struct store_blob){ 0 };
}

static bool has_size(struct store *store, const char *hex, int64_t size)
{
	struct stat st;

	return fstatat(store->dirs[DIR_BLOBS], hex, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       st.st_size == size;
}

/* A blob of another size than it must have is damaged, and ours replaces it. Anything but a file cannot be renamed
   over safely: `system verify --repair` removes it. */
static int publish(struct store *store, struct new_file *file, const struct digest *digest, int64_t size,
		   struct err *err)
{
	scope_fd int guard = guard_take(store, err);
	char hex[DIGEST_HEX + 1];

	if (guard < 0)
		return -1;
	if (has_size(store, digest_hex(digest, hex), size))
		return 0;
	if (sync_mark(store, DIR_BLOBS, digest, err) < 0)
		return -1;
	return new_file_publish(file, hex, false, err);
}

static int check_expected(const struct store_blob *blob, const struct digest *expected, struct err *err)
{
	char want[DIGEST_TEXT + 1], got[DIGEST_TEXT + 1];

	if (!expected || digest_equal(expected, &blob->digest))
		return 0;
	return err_set(err, ERR_CORRUPT, "the bytes have the digest %s, not %s", digest_text(&blob->digest, got),
		       digest_text(expected, want));
}

int store_blob_commit(struct store *store, struct store_blob *blob, const struct digest *expected, struct err *err)
{
	struct blob_state *state = blob->state;
	struct store_blob finished;
	int result;

	result = blob->writer->finish(blob->writer, err);
	if (result == 0)
		result = check_expected(blob, expected, err);
	if (result == 0)
		result = publish(store, &state->file, &blob->digest, blob->size, err);
	finished = (struct store_blob){ .digest = blob->digest, .size = blob->size };
	store_blob_abandon(blob);
	if (result == 0)
		*blob = finished;
	return result < 0 ? err_wrap(err, "store %s: write a blob", store->path) : 0;
}

int store_blob_put(struct store *store, const void *bytes, size_t len, struct digest *digest, struct err *err)
{
	struct store_blob blob;
	struct digest wanted;
	int64_t size;

	digest_bytes(&wanted, bytes, len);
	if (!store_blob_has(store, &wanted, &size) || size != (int64_t)len) {
		if (store_blob_new(store, &blob, err) < 0)
			return -1;
		if (blob.writer->write(blob.writer, bytes, len, err) < 0) {
			store_blob_abandon(&blob);
			return err_wrap(err, "store %s: write a blob", store->path);
		}
		if (store_blob_commit(store, &blob, &wanted, err) < 0)
			return -1;
	}
	*digest = wanted;
	return 0;
}

int store_blob_adopt(struct store *store, struct store_work *work, const char *name, const struct digest *digest,
		     struct err *err)
{
	int dir = store_dir_fd(store, DIR_BLOBS, err);
	char hex[DIGEST_HEX + 1];
	struct stat st;

	if (dir < 0)
		return -1;
	if (fstatat(work->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || fchmodat(work->fd, name, BLOB_MODE, 0) < 0)
		return err_errno(err, "store %s: %s", store->path, name);
	scope_fd int guard = guard_take(store, err);
	if (guard < 0)
		return -1;
	if (has_size(store, digest_hex(digest, hex), st.st_size))
		return 0;
	if (sync_mark(store, DIR_BLOBS, digest, err) < 0)
		return -1;
	if (renameat(work->fd, name, dir, hex) < 0)
		return err_errno(err, "store %s: publish blob %s", store->path, hex);
	return 0;
}

/* ---- reading ---- */

bool store_blob_has(struct store *store, const struct digest *digest, int64_t *size)
{
	char hex[DIGEST_HEX + 1];
	struct stat st;
	int dir = store_dir_fd(store, DIR_BLOBS, NULL);

	if (dir < 0 || fstatat(dir, digest_hex(digest, hex), &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	if (size)
		*size = st.st_size;
	return true;
}

static int not_opened(struct store *store, const char *text, const struct err *cause, struct err *err)
{
	if (err_is_errno(cause, ENOENT))
		return err_set(err, ERR_NOT_FOUND, "blob %s is not in the store %s", text, store->path);
	if (cause->kind == ERR_INPUT || err_is_errno(cause, ELOOP) || err_is_errno(cause, EACCES))
		return err_set(err, ERR_CORRUPT, "blob %s in the store %s is damaged: %s", text, store->path,
			       cause->msg);
	return err_status(err, cause->kind, cause->sys, "blob %s in the store %s: %s", text, store->path, cause->msg);
}

int store_blob_open(struct store *store, const struct digest *digest, int64_t *size, struct err *err)
{
	char hex[DIGEST_HEX + 1], text[DIGEST_TEXT + 1];
	struct err cause = { 0 };
	struct root root = { store_dir_fd(store, DIR_BLOBS, &cause), ROOT_BENEATH };
	struct stat st;

	scope_fd int fd = root.fd < 0 ? -1 : root_open_regular(&root, digest_hex(digest, hex), &cause);
	if (fd < 0)
		return not_opened(store, digest_text(digest, text), &cause, err);
	if (fstat(fd, &st) < 0)
		return err_errno(err, "store %s: stat blob %s", store->path, hex);
	if (size)
		*size = st.st_size;
	return take_fd(&fd);
}

int store_blob_read(struct store *store, const struct digest *digest, size_t limit, struct strbuf *buf, struct err *err)
{
	scope_fd int fd = store_blob_open(store, digest, NULL, err);
	char text[DIGEST_TEXT + 1];
	struct digest found;
	size_t start = buf->len;

	if (fd < 0)
		return -1;
	if (file_read_fd(fd, limit, buf, "it", err) < 0)
		return err_wrap(err, "blob %s in the store %s", digest_text(digest, text), store->path);
	digest_bytes(&found, buf->ptr + start, buf->len - start);
	if (digest_equal(&found, digest))
		return 0;
	strbuf_truncate(buf, start);
	return err_set(err, ERR_CORRUPT, "blob %s in the store %s is damaged: its bytes have another digest",
		       digest_text(digest, text), store->path);
}
