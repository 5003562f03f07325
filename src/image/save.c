/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/text.h"

#include "internal.h"

static struct saved_image *find_saved(struct saved *saved, const struct digest *id)
{
	for (size_t i = 0; i < saved->count; i++) {
		if (digest_equal(&saved->images[i].image.id, id))
			return &saved->images[i];
	}
	return NULL;
}

static bool has_name(const struct saved_image *image, const char *name)
{
	for (size_t i = 0; i < image->name_count; i++) {
		if (text_equal(image->names[i], name))
			return true;
	}
	return false;
}

int saved_collect(struct store *store, struct arena *arena, const struct save_spec *spec, struct saved *saved,
		  struct err *err)
{
	for (size_t i = 0; i < spec->count; i++) {
		struct saved_image *image = find_saved(saved, &spec->images[i]);
		const char *name = spec->names ? spec->names[i] : NULL;
		if (!image) {
			image = ARENA_PUSH(arena, saved->images, saved->count);
			if (image_open(store, arena, &spec->images[i], &image->image, err) < 0)
				return -1;
		}
		if (name && !has_name(image, name))
			*ARENA_PUSH(arena, image->names, image->name_count) = name;
	}
	return 0;
}

int image_save(struct store *store, struct arena *arena, const struct save_spec *spec, struct digest *manifest_digest,
	       struct err *err)
{
	struct saved saved = { 0 };
	struct save_spec whole = *spec;

	if (whole.epoch == INT64_MIN)
		whole.epoch = 0;
	if (saved_collect(store, arena, &whole, &saved, err) < 0)
		return -1;
	if (spec->format != SAVE_DOCKER_ARCHIVE)
		return save_oci(store, arena, &whole, &saved, manifest_digest, err);
	if (manifest_digest && saved.count > 0) {
		scope_strbuf struct strbuf text = { 0 };
		if (manifest_of(store, arena, &saved.images[saved.count - 1].image, &text, manifest_digest, err) < 0)
			return -1;
	}
	return save_docker(store, arena, &whole, &saved, err);
}
