/* SPDX-License-Identifier: Apache-2.0 */
#include "images-filter.h"
#include "kiln/codec/json.h"
#include "kiln/dockerfile/match.h"
#include "kiln/oci/reference.h"

#include <string.h>

int64_t image_created(const struct image *image)
{
	struct timespec created = { 0 };
	if (image->config.created && time_parse_rfc3339(&created, image->config.created, NULL) < 0)
		return 0;
	return created.tv_sec;
}

/* ---- what each key means ---- */

struct subject {
	struct arena *arena;
	const struct image *image;
	const char *name;
};

static bool match_dangling(const struct subject *subject, const struct image_filter *filter)
{
	return (subject->name == NULL) == (strcmp(filter->value, "true") == 0 || strcmp(filter->value, "1") == 0);
}

static bool match_label(const struct subject *subject, const struct image_filter *filter)
{
	const char *key, *wanted;
	split_pair(subject->arena, filter->value, &key, &wanted);
	const char *value = json_get_str(subject->image->config.labels, key);
	return value && (!wanted || strcmp(value, wanted) == 0);
}

/* "app", "app:1", "a*": against the name as docker shows it, with its tag or without. */
static bool match_reference(const struct subject *subject, const struct image_filter *filter)
{
	struct reference reference;
	if (!subject->name || reference_parse(subject->arena, subject->name, &reference, NULL) < 0)
		return false;
	return path_match(filter->value, reference_familiar(subject->arena, &reference), NULL) == 1 ||
	       path_match(filter->value, reference_familiar_name(subject->arena, &reference), NULL) == 1;
}

static bool match_before(const struct subject *subject, const struct image_filter *filter)
{
	return image_created(subject->image) < filter->created;
}

static bool match_since(const struct subject *subject, const struct image_filter *filter)
{
	return image_created(subject->image) > filter->created;
}

static const struct {
	const char *key;
	bool (*match)(const struct subject *subject, const struct image_filter *filter);
	bool names_image, all_must_match;
} kinds[] = {
	{ "dangling", match_dangling, false, false },   { "label", match_label, false, true },
	{ "reference", match_reference, false, false }, { "before", match_before, true, true },
	{ "since", match_since, true, true },
};

static size_t kind_of(const char *key)
{
	size_t i = 0;
	while (i < ARRAY_LEN(kinds) && strcmp(kinds[i].key, key) != 0)
		i++;
	return i;
}

/* ---- */

int image_filters_parse(struct store *store, struct arena *arena, const struct strings *texts,
			struct image_filters *out, struct err *err)
{
	for (size_t i = 0; i < texts->count; i++) {
		struct image_filter filter = { 0 };
		struct image image;
		if (!split_pair(arena, texts->items[i], &filter.key, &filter.value))
			return err_set(err, ERR_USAGE, "invalid filter \"%s\": it must be KEY=VALUE", texts->items[i]);
		size_t kind = kind_of(filter.key);
		if (kind == ARRAY_LEN(kinds))
			return err_set(err, ERR_USAGE,
				       "invalid filter \"%s\": dangling, label, reference, before or since",
				       filter.key);
		if (path_match(filter.value, "", err) < 0)
			return err->kind = ERR_USAGE, err_wrap(err, "invalid filter \"%s\"", texts->items[i]);
		if (kinds[kind].names_image) {
			if (image_find(store, arena, filter.value, &image, err) < 0)
				return -1;
			filter.created = image_created(&image);
		}
		*ARENA_PUSH(arena, out->items, out->count) = filter;
	}
	return 0;
}

bool image_filters_match(struct arena *arena, const struct image_filters *filters, const struct image *image,
			 const char *name)
{
	const struct subject subject = { arena, image, name };
	for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
		size_t given = 0, matching = 0;
		for (size_t i = 0; i < filters->count; i++) {
			if (strcmp(filters->items[i].key, kinds[kind].key) != 0)
				continue;
			given++;
			matching += kinds[kind].match(&subject, &filters->items[i]);
		}
		if (given > 0 && (kinds[kind].all_must_match ? matching < given : matching == 0))
			return false;
	}
	return true;
}
