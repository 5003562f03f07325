/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "internal.h"

static int make_record(struct store *store, struct arena *arena, const struct image_config *config,
		       struct image_record *record, struct err *err)
{
	struct layer_info info;

	record->diff_ids = arena_array(arena, struct digest, config->diff_id_count + 1);
	record->diff_id_count = config->diff_id_count;
	record->created = time(NULL);
	for (size_t i = 0; i < config->diff_id_count; i++) {
		if (digest_parse(&record->diff_ids[i], config->diff_ids[i], err) < 0 ||
		    store_layer_info(store, arena, &record->diff_ids[i], &info, err) < 0)
			return -1;
		record->size += info.size;
	}
	return 0;
}

int image_commit(struct store *store, struct arena *arena, const struct image_config *config, const char *const *names,
		 size_t name_count, struct digest *id, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct image_record record = { 0 };

	image_config_write(arena, &text, config);
	if (make_record(store, arena, config, &record, err) < 0 ||
	    store_blob_put(store, text.ptr, text.len, &record.config, err) < 0 ||
	    store_image_put(store, &record, err) < 0)
		return err_wrap(err, "write the image");
	for (size_t i = 0; i < name_count; i++) {
		if (names[i] && store_name_set(store, names[i], &record.config, err) < 0)
			return -1;
	}
	if (store_sync(store, err) < 0)
		return -1;
	*id = record.config;
	return 0;
}
