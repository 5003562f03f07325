/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "kiln/base/text.h"
#include "kiln/layer/apply.h"

#include "internal.h"

/* A bomb must end somewhere: security.md 3D. */
#define LAYER_CONTENT_MAX ((int64_t)64 << 30)

const char *layer_media_type(enum compression compression)
{
	return compression == COMPRESSION_GZIP   ? MEDIA_OCI_LAYER_GZIP
	       : compression == COMPRESSION_ZSTD ? MEDIA_OCI_LAYER_ZSTD
						 : MEDIA_OCI_LAYER;
}

static int apply(const struct unpack *job, struct reader *tar, struct unpacked *out, struct err *err)
{
	const struct layer_apply_options options = { .flags = LAYER_APPLY_AS_TREE | LAYER_APPLY_NO_END,
						     .max_size = LAYER_CONTENT_MAX,
						     .lowers = job->lowers,
						     .lower_count = job->lower_count };
	struct layer_stats stats = { 0 };
	struct err cause = { 0 };
	scope_fd int tree = file_make_dir(job->dir_fd, job->tree, 0755, err);

	/* The root of the image, unless the layer says otherwise; a umask is no reason to. */
	if (tree < 0 || fchmod(tree, 0755) < 0)
		return tree < 0 ? -1 : err_errno(err, "set the mode of %s", job->tree);
	if (layer_apply(tar, tree, &options, job->name, &stats, &cause) < 0) {
		out->failed_without_lowers = cause.kind == ERR_NOT_FOUND && job->lower_count == 0;
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	}
	out->leans = stats.implied > 0;
	out->content = stats.content;
	out->entries = stats.entries;
	return 0;
}

static int check_digest(const char *what, const struct digest *expected, const struct digest *found, struct err *err)
{
	char want[DIGEST_TEXT + 1], got[DIGEST_TEXT + 1];

	if (!expected || digest_equal(expected, found))
		return 0;
	return err_set(err, ERR_CORRUPT, "%s %s, not %s", what, digest_text(found, got), digest_text(expected, want));
}

/* What is behind the tar's end, or behind what made the apply fail, belongs to the digests too. */
static int finish(const struct unpack *job, struct reader *tar, struct reader *blob, struct unpacked *out,
		  struct err *err)
{
	if (reader_drain(tar, err) < 0 || reader_drain(blob, err) < 0)
		return -1;
	if (job->blob_size >= 0 && job->blob_size != out->blob_size)
		return err_set(err, ERR_CORRUPT, "it has %lld bytes, not %lld", (long long)out->blob_size,
			       (long long)job->blob_size);
	if (check_digest("its bytes have the digest", job->blob, &out->blob, err) < 0)
		return -1;
	return check_digest("uncompressed it has the digest", job->diff_id, &out->diff_id, err);
}

/* A tar that cannot be unpacked is most often one that was damaged on its way, and the digests say so better than the
   parser does. */
static void blame_damage(const struct unpack *job, struct reader *tar, struct reader *blob, const struct unpacked *out,
			 struct err *err)
{
	bool has_diff_id = reader_drain(tar, NULL) == 0;
	bool has_blob = reader_drain(blob, NULL) == 0;
	struct err digest_err;

	if ((has_blob && check_digest("its bytes have the digest", job->blob, &out->blob, &digest_err) < 0) ||
	    (has_diff_id &&
	     check_digest("uncompressed it has the digest", job->diff_id, &out->diff_id, &digest_err) < 0))
		err_set(err, ERR_CORRUPT, "it is damaged: %s", digest_err.msg);
}

static int open_copy(const struct unpack *job, struct err *err)
{
	int fd = openat(job->dir_fd, job->copy, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? err_errno(err, "create %s", job->copy) : fd;
}

int unpack(const struct unpack *job, struct unpacked *out, struct err *err)
{
	struct unpacked result = { .compression = COMPRESSION_NONE };
	scope_fd int copy = job->copy ? open_copy(job, err) : -1;
	int unpacked = 0;

	if (job->copy && copy < 0)
		return -1;
	/* The hash of the bytes stays in our hands, to be read to its end after the tar's. */
	scope_reader struct reader *bytes = reader_tee(job->reader, copy);
	if (job->blob_size >= 0)
		bytes = reader_limit(bytes, job->blob_size, job->name);
	bytes = reader_hash(bytes, &result.blob, &result.blob_size);
	scope_reader struct reader *tar = reader_hash(
		reader_inflate(reader_tee(bytes, -1), &result.compression, job->name), &result.diff_id, &result.size);
	if (job->tree)
		unpacked = apply(job, tar, &result, err);
	if (unpacked == 0)
		unpacked = finish(job, tar, bytes, &result, err);
	else if (!result.failed_without_lowers)
		blame_damage(job, tar, bytes, &result, err);
	*out = result;
	return unpacked < 0 ? err_wrap(err, "%s", job->name) : 0;
}

/* ---- one layer into the store ---- */

#define TREE "tree"
#define BLOB "blob"

static int publish(struct store *store, struct store_work *work, const struct unpacked *unpacked, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct layer_blob blob = { layer_media_type(unpacked->compression), digest_str(&arena, &unpacked->blob),
				   unpacked->blob_size, "" };
	struct layer_info info = { .diff_id = unpacked->diff_id,
				   .size = unpacked->size,
				   .content = unpacked->content,
				   .entries = unpacked->entries,
				   .blobs = &blob,
				   .blob_count = 1 };

	if (!store_blob_has(store, &unpacked->blob, NULL) &&
	    store_blob_adopt(store, work, BLOB, &unpacked->blob, err) < 0)
		return -1;
	if (store_layer_has(store, &unpacked->diff_id))
		return store_layer_add_blob(store, &unpacked->diff_id, &blob, err);
	return store_layer_publish(store, work, TREE, NULL, &info, err);
}

int image_unpack_layer(struct store *store, const struct layer_source *source, struct digest *diff_id, struct err *err)
{
	struct store_work work = STORE_WORK_EMPTY;
	struct unpacked unpacked;
	int64_t size;
	bool is_here = source->blob_digest && store_blob_has(store, source->blob_digest, &size) &&
		       (source->blob_size < 0 || source->blob_size == size);
	int result;

	if (store_work_new(store, &work, err) < 0)
		return -1;
	const struct unpack job = { .reader = source->reader,
				    .name = source->name,
				    .blob = source->blob_digest,
				    .blob_size = source->blob_size,
				    .diff_id = source->expected_diff_id,
				    .dir_fd = work.fd,
				    .tree = TREE,
				    .copy = is_here ? NULL : BLOB,
				    .lowers = source->lowers,
				    .lower_count = source->lower_count };
	result = unpack(&job, &unpacked, err);
	if (result == 0)
		result = publish(store, &work, &unpacked, err);
	store_work_end(store, &work);
	if (result == 0)
		*diff_id = unpacked.diff_id;
	return result;
}
