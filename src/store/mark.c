/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "kiln/base/log.h"

#include "internal.h"

/* names -> images -> configuration, manifest, layers -> compressed blobs; and cache records -> layers. */

/* ---- sets ---- */

void digest_set_add(struct digest_set *set, const struct digest *digest)
{
	if (set->count == set->cap) {
		set->cap = set->cap ? 2 * set->cap : 64;
		set->items = realloc(set->items, set->cap * sizeof(*set->items));
		if (!set->items)
			abort();
	}
	set->items[set->count++] = *digest;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct digest));
}

void digest_set_sort(struct digest_set *set)
{
	size_t kept = 0;

	if (set->count == 0)
		return;
	qsort(set->items, set->count, sizeof(*set->items), compare);
	for (size_t i = 1; i < set->count; i++) {
		if (compare(&set->items[i], &set->items[kept]) != 0)
			set->items[++kept] = set->items[i];
	}
	set->count = kept + 1;
}

bool digest_set_has(const struct digest_set *set, const struct digest *digest)
{
	return set->count > 0 && bsearch(digest, set->items, set->count, sizeof(*set->items), compare);
}

void digest_set_release(struct digest_set *set)
{
	free(set->items);
	*set = (struct digest_set){ 0 };
}

void marks_release(struct marks *marks)
{
	digest_set_release(&marks->named);
	digest_set_release(&marks->images);
	digest_set_release(&marks->layers);
	digest_set_release(&marks->blobs);
}

/* ---- marking ---- */

struct marking {
	struct store *store;
	struct marks *marks;
	unsigned flags;
};

static int mark_name(void *arg, const char *file, const struct store_name *name, struct err *err)
{
	struct marking *marking = arg;

	(void)file;
	(void)err;
	digest_set_add(&marking->marks->named, &name->config);
	return 0;
}

static void mark_record(struct marks *marks, const struct image_record *record)
{
	digest_set_add(&marks->images, &record->config);
	digest_set_add(&marks->blobs, &record->config);
	if (!digest_is_zero(&record->manifest))
		digest_set_add(&marks->blobs, &record->manifest);
	for (size_t i = 0; i < record->diff_id_count; i++)
		digest_set_add(&marks->layers, &record->diff_ids[i]);
}

static int mark_image(void *arg, const char *file, struct err *err)
{
	struct marking *marking = arg;
	scope_arena struct arena arena = { 0 };
	struct image_record record;
	struct digest config;
	struct err cause;

	if (!is_hex_name(file) || digest_parse_hex(&config, file, err) < 0)
		return 0;
	if ((marking->flags & PRUNE_DANGLING) && !digest_set_has(&marking->marks->named, &config))
		return 0;
	if (image_record_read(marking->store, &arena, &config, &record, &cause) > 0) {
		mark_record(marking->marks, &record);
		return 0;
	}
	if (cause.kind != ERR_CORRUPT)
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	/* Nobody knows what a damaged record reached; it stays, for `verify` to report. */
	log_warn("%s", cause.msg);
	digest_set_add(&marking->marks->images, &config);
	return 0;
}

int mark_images(struct store *store, unsigned flags, struct marks *marks, struct err *err)
{
	struct marking marking = { store, marks, flags };
	scope_arena struct arena arena = { 0 };

	if (flags & PRUNE_IMAGES)
		return 0;
	if (names_each(store, &arena, mark_name, &marking, err) < 0)
		return -1;
	digest_set_sort(&marks->named);
	return store_each(store, DIR_IMAGES, mark_image, &marking, err);
}

static int mark_cache_record(void *arg, const char *file, struct err *err)
{
	struct marking *marking = arg;
	scope_arena struct arena arena = { 0 };
	struct cache_record record;
	struct err cause = { 0 };
	int found = is_hex_name(file) ? cache_record_read(marking->store, &arena, file, &record, &cause) : 0;

	if (found > 0)
		digest_set_add(&marking->marks->layers, &record.diff_id);
	if (found < 0 && cause.kind != ERR_CORRUPT)
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	return 0;
}

int mark_cache(struct store *store, struct marks *marks, struct err *err)
{
	struct marking marking = { store, marks, 0 };

	return store_each(store, DIR_CACHE, mark_cache_record, &marking, err);
}

static int mark_layer_blobs(struct store *store, struct marks *marks, const struct digest *diff_id, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct layer_info info;
	struct digest digest;
	struct err cause = { 0 };
	int found = layer_record_read(store, &arena, diff_id, &info, &cause);

	if (found < 0 && cause.kind != ERR_CORRUPT)
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	for (size_t i = 0; found > 0 && i < info.blob_count; i++) {
		if (digest_parse(&digest, info.blobs[i].digest, NULL) == 0)
			digest_set_add(&marks->blobs, &digest);
	}
	return 0;
}

int mark_finish(struct store *store, struct marks *marks, struct err *err)
{
	digest_set_sort(&marks->images);
	digest_set_sort(&marks->layers);
	for (size_t i = 0; i < marks->layers.count; i++) {
		if (mark_layer_blobs(store, marks, &marks->layers.items[i], err) < 0)
			return -1;
	}
	digest_set_sort(&marks->blobs);
	return 0;
}
