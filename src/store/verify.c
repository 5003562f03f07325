/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kiln/base/text.h"
#include "kiln/oci/image.h"

#include "verify.h"

/*
 * From the bottom up: blobs, layers, images, names, cache records; what rests on something bad is bad. Repair goes from
 * the top down, so that being killed meanwhile leaves nothing that points to what is gone.
 */

struct verify {
	struct store *store;
	void (*report)(void *arg, const char *text);
	void *arg;
	int problems;
	struct digest_set bad_blobs, bad_layers, bad_images; /* sorted when complete */
	struct strvec bad[DIR_COUNT];                        /* file names */
	struct store_work work;
};

static void verify_release(struct verify *verify)
{
	digest_set_release(&verify->bad_blobs);
	digest_set_release(&verify->bad_layers);
	digest_set_release(&verify->bad_images);
	for (int dir = 0; dir < DIR_COUNT; dir++)
		strvec_release(&verify->bad[dir]);
	store_work_end(verify->store, &verify->work);
}

static void report(struct verify *verify, enum store_dir dir, const char *name, const char *fmt, ...) PRINTF_LIKE(4, 5);

static void report(struct verify *verify, enum store_dir dir, const char *name, const char *fmt, ...)
{
	scope_strbuf struct strbuf text = { 0 };
	char shown[2 * NAME_MAX];
	va_list args;

	strbuf_addf(&text, "%s/%s: ", store_dir_name(dir), err_printable(shown, sizeof(shown), name));
	va_start(args, fmt);
	strbuf_vaddf(&text, fmt, args);
	va_end(args);
	strvec_push(&verify->bad[dir], name);
	verify->problems++;
	if (verify->report)
		verify->report(verify->arg, strbuf_str(&text));
}

/* The digest that names an entry; false (and reported) for what kiln does not write there. */
static bool entry_digest(struct verify *verify, enum store_dir dir, const char *name, struct digest *digest)
{
	/* Somebody may be writing one just now. */
	if (store_is_temporary(name))
		return false;
	if (is_hex_name(name) && digest_parse_hex(digest, name, NULL) == 0)
		return true;
	report(verify, dir, name, "it does not belong here");
	return false;
}

/* What says nothing about the store: a disk that is full, a lack of memory or of files, a child that was killed. Taken
   for damage, a repair would remove what is sound. */
static bool is_inconclusive(const struct err *cause)
{
	static const int lacks[] = { ENOSPC, EDQUOT, EFBIG, ENOMEM, EMFILE, ENFILE, EAGAIN };

	for (size_t i = 0; i < ARRAY_LEN(lacks); i++) {
		if (err_is_errno(cause, lacks[i]))
			return true;
	}
	return cause->kind == ERR_COMMAND || cause->kind == ERR_INTERRUPTED;
}

static int cannot_check(enum store_dir dir, const char *name, const struct err *cause, struct err *err)
{
	return err_status(err, cause->kind, cause->sys, "check %s/%s: %s", store_dir_name(dir), name, cause->msg);
}

/* ---- blobs ---- */

static int hash_blob(struct store *store, const struct digest *digest, struct digest *found, struct err *err)
{
	int64_t size;
	int fd = store_blob_open(store, digest, &size, err);

	if (fd < 0)
		return -1;
	scope_reader struct reader *reader = reader_hash(reader_fd(fd, true, "the blob"), found, &size);
	return reader_drain(reader, err);
}

static int verify_blob(void *arg, const char *name, struct err *err)
{
	struct verify *verify = arg;
	struct digest digest, found;
	struct err cause;

	if (!entry_digest(verify, DIR_BLOBS, name, &digest))
		return 0;
	int hashed = hash_blob(verify->store, &digest, &found, &cause);
	if (hashed == 0 && digest_equal(&digest, &found))
		return 0;
	if (hashed < 0 && is_inconclusive(&cause))
		return cannot_check(DIR_BLOBS, name, &cause, err);
	report(verify, DIR_BLOBS, name, "%s", hashed < 0 ? cause.msg : "its bytes have another digest");
	digest_set_add(&verify->bad_blobs, &digest);
	return 0;
}

/* ---- layers ---- */

static int check_layer(struct verify *verify, const struct digest *diff_id, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct layer_info info;
	scope_fd int tree = -1;

	if (store_layer_info(verify->store, &arena, diff_id, &info, err) < 0)
		return -1;
	tree = store_layer_open(verify->store, diff_id, err);
	return tree < 0 ? -1 : verify_layer_tree(verify->store, &verify->work, &info, tree, err);
}

static int verify_layer(void *arg, const char *name, struct err *err)
{
	struct verify *verify = arg;
	struct digest digest;
	struct err cause;

	if (!entry_digest(verify, DIR_LAYERS, name, &digest) || check_layer(verify, &digest, &cause) == 0)
		return 0;
	if (is_inconclusive(&cause))
		return cannot_check(DIR_LAYERS, name, &cause, err);
	report(verify, DIR_LAYERS, name, "%s", cause.msg);
	digest_set_add(&verify->bad_layers, &digest);
	return 0;
}

/* ---- images ---- */

static bool is_good_blob(const struct verify *verify, const struct digest *digest)
{
	return store_blob_has(verify->store, digest, NULL) && !digest_set_has(&verify->bad_blobs, digest);
}

static int check_config(struct verify *verify, struct arena *arena, const struct image_record *record, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct image_config config;
	struct digest digest;
	size_t dropped;

	if (store_blob_read(verify->store, &record->config, OCI_DOCUMENT_MAX, &text, err) < 0 ||
	    image_config_read(arena, strbuf_str(&text), text.len, &config, &dropped, err) < 0)
		return -1;
	if (config.diff_id_count != record->diff_id_count)
		return err_set(err, ERR_CORRUPT, "its record and its configuration name different layers");
	for (size_t i = 0; i < config.diff_id_count; i++) {
		if (digest_parse(&digest, config.diff_ids[i], err) < 0)
			return -1;
		if (!digest_equal(&digest, &record->diff_ids[i]))
			return err_set(err, ERR_CORRUPT, "its record and its configuration name different layers");
	}
	return 0;
}

static int check_image(struct verify *verify, const struct digest *config, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct image_record record;
	char text[DIGEST_TEXT + 1];

	if (store_image_get(verify->store, &arena, config, &record, err) < 0 ||
	    check_config(verify, &arena, &record, err) < 0)
		return -1;
	if (!digest_is_zero(&record.manifest) && !is_good_blob(verify, &record.manifest))
		return err_set(err, ERR_CORRUPT, "its manifest %s is missing or damaged",
			       digest_text(&record.manifest, text));
	for (size_t i = 0; i < record.diff_id_count; i++) {
		const struct digest *layer = &record.diff_ids[i];
		if (!store_layer_has(verify->store, layer) || digest_set_has(&verify->bad_layers, layer))
			return err_set(err, ERR_CORRUPT, "its layer %s is missing or damaged",
				       digest_text(layer, text));
	}
	return 0;
}

static int verify_image(void *arg, const char *name, struct err *err)
{
	struct verify *verify = arg;
	struct digest digest;
	struct err cause;

	(void)err;
	if (!entry_digest(verify, DIR_IMAGES, name, &digest) || check_image(verify, &digest, &cause) == 0)
		return 0;
	report(verify, DIR_IMAGES, name, "%s", cause.msg);
	digest_set_add(&verify->bad_images, &digest);
	return 0;
}

/* ---- names, cache ---- */

static int verify_name(void *arg, const char *file, struct err *err)
{
	struct verify *verify = arg;
	scope_arena struct arena arena = { 0 };
	struct store_name name;
	struct image_record record;
	struct err cause;
	int found;

	(void)err;
	if (store_is_temporary(file))
		return 0;
	found = name_record_read(verify->store, &arena, file, &name, &cause);
	if (found < 0)
		report(verify, DIR_NAMES, file, "%s", cause.msg);
	else if (found > 0 && (digest_set_has(&verify->bad_images, &name.config) ||
			       image_record_read(verify->store, &arena, &name.config, &record, &cause) <= 0))
		report(verify, DIR_NAMES, file, "the image of %s is missing or damaged", name.name);
	return 0;
}

static int verify_cache_record(void *arg, const char *file, struct err *err)
{
	struct verify *verify = arg;
	scope_arena struct arena arena = { 0 };
	struct cache_record record;
	struct digest key;
	struct err cause;
	int found;

	(void)err;
	if (!entry_digest(verify, DIR_CACHE, file, &key))
		return 0;
	found = cache_record_read(verify->store, &arena, file, &record, &cause);
	if (found < 0)
		report(verify, DIR_CACHE, file, "%s", cause.msg);
	else if (found > 0 && digest_set_has(&verify->bad_layers, &record.diff_id))
		report(verify, DIR_CACHE, file, "its layer is damaged");
	return 0;
}

/* ---- all ---- */

static int verify_all(struct verify *verify, struct err *err)
{
	struct store *store = verify->store;

	if (store_each(store, DIR_BLOBS, verify_blob, verify, err) < 0)
		return -1;
	digest_set_sort(&verify->bad_blobs);
	if (store_each(store, DIR_LAYERS, verify_layer, verify, err) < 0)
		return -1;
	digest_set_sort(&verify->bad_layers);
	if (store_each(store, DIR_IMAGES, verify_image, verify, err) < 0)
		return -1;
	digest_set_sort(&verify->bad_images);
	if (store_each(store, DIR_NAMES, verify_name, verify, err) < 0)
		return -1;
	return store_each(store, DIR_CACHE, verify_cache_record, verify, err);
}

static int repair_all(struct verify *verify, struct err *err)
{
	static const enum store_dir order[] = { DIR_NAMES, DIR_IMAGES, DIR_CACHE, DIR_LAYERS, DIR_BLOBS };

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		const struct strvec *bad = &verify->bad[order[i]];
		for (size_t j = 0; j < bad->count; j++) {
			if (trash(verify->store, &verify->work, order[i], bad->items[j], err) < 0)
				return -1;
		}
		if (bad->count > 0 && sync_dir(verify->store, order[i], err) < 0)
			return -1;
	}
	return 0;
}

static int verify_and_repair(struct verify *verify, bool repair, struct err *err)
{
	if (store_work_new(verify->store, &verify->work, err) < 0 || verify_all(verify, err) < 0)
		return -1;
	return repair ? repair_all(verify, err) : 0;
}

int store_verify(struct store *store, bool repair, void (*bad)(void *arg, const char *text), void *arg, struct err *err)
{
	__attribute__((cleanup(verify_release))) struct verify verify = {
		.store = store, .report = bad, .arg = arg, .work = STORE_WORK_EMPTY
	};
	int result;

	/* What is being removed must not be in use. */
	if (repair && (store_refuse_read_only(store, err) < 0 || lock_exclusive(store->lock_fd, 0, err) < 0))
		return -1;
	result = verify_and_repair(&verify, repair, err);
	if (repair && lock_shared(store->lock_fd, result < 0 ? NULL : err) < 0)
		result = -1;
	return result < 0 ? -1 : verify.problems;
}
