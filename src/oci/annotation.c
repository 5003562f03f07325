/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/oci/annotation.h"

static const struct {
	const char *name;
	enum annotation_target target;
} targets[] = {
	{ "manifest", ANNOTATION_MANIFEST },
	{ "index", ANNOTATION_INDEX },
	{ "manifest-descriptor", ANNOTATION_MANIFEST_DESCRIPTOR },
	{ "index-descriptor", ANNOTATION_INDEX_DESCRIPTOR },
};

static bool find_target(const char *name, size_t len, enum annotation_target *target)
{
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		if (strlen(targets[i].name) == len && memcmp(targets[i].name, name, len) == 0) {
			*target = targets[i].target;
			return true;
		}
	}
	return false;
}

static int take_platform(struct arena *arena, const char *text, size_t len, struct annotation *out, struct err *err)
{
	const char *platform = arena_strndup(arena, text, len);

	out->has_platform = true;
	if (platform_parse(arena, platform, &out->platform, err) == 0)
		return 0;
	if (err)
		err->kind = ERR_USAGE;
	return err_wrap(err, "invalid platform \"%s\"", platform);
}

static int invalid_type(const char *type, size_t len, struct err *err)
{
	return err_set(err, ERR_USAGE,
		       "invalid annotation type \"%.*s\", expected type and optional platform in square brackets",
		       (int)len, type);
}

/* TYPE or TYPE[PLATFORM] */
static int take_type(struct arena *arena, const char *type, size_t len, struct annotation *out, struct err *err)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz-";
	static const char platform_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/-";
	size_t name = strspn(type, letters), inner;

	if (name == 0 || name > len)
		return invalid_type(type, len, err);
	inner = name < len ? strspn(type + name + 1, platform_letters) : 0;
	if (name < len && (type[name] != '[' || inner == 0 || name + inner + 2 != len || type[len - 1] != ']'))
		return invalid_type(type, len, err);
	if (!find_target(type, name, &out->target))
		return err_set(err, ERR_USAGE, "unknown annotation type \"%.*s\"", (int)name, type);
	return inner ? take_platform(arena, type + name + 1, inner, out, err) : 0;
}

int annotation_parse(struct arena *arena, const char *text, struct annotations *out, struct err *err)
{
	const char *equals = strchr(text, '=');
	size_t before = out->count;

	if (!*text)
		return 0;
	if (!equals)
		return err_set(err, ERR_USAGE, "invalid annotation \"%s\", expected key=value", text);
	const char *colon = memchr(text, ':', (size_t)(equals - text));
	const char *key = colon ? colon + 1 : text;
	struct annotation annotation = { .key = arena_strndup(arena, key, (size_t)(equals - key)),
					 .value = equals + 1 };

	if (!colon) {
		*ARENA_PUSH(arena, out->items, out->count) = annotation;
		return 0;
	}
	for (const char *type = text;; type++) {
		size_t len = strcspn(type, ",:");
		struct annotation one = annotation;
		if (take_type(arena, type, len, &one, err) < 0) {
			out->count = before;
			return -1;
		}
		*ARENA_PUSH(arena, out->items, out->count) = one;
		type += len;
		if (*type == ':')
			return 0;
	}
}

int annotation_parse_attribute(struct arena *arena, const char *name, const char *value, struct annotations *out,
			       struct err *err)
{
	struct annotation annotation = { .value = value };
	const char *at = name + strlen("annotation");

	if (!text_starts(name, "annotation"))
		return 0;
	if (*at == '-') {
		size_t len = strcspn(++at, "[.");
		if (!find_target(at, len, &annotation.target))
			return 0;
		at += len;
	}
	if (*at == '[') {
		const char *end = strchr(at, ']');
		if (!end)
			return 0;
		if (take_platform(arena, at + 1, (size_t)(end - at - 1), &annotation, err) < 0)
			return -1;
		at = end + 1;
	}
	if (*at != '.' || !at[1])
		return 0;
	annotation.key = at + 1;
	*ARENA_PUSH(arena, out->items, out->count) = annotation;
	return 1;
}

static bool is_for(struct arena *arena, const struct annotation *annotation, const struct platform *platform)
{
	return text_equal(platform_text(arena, &annotation->platform), platform_text(arena, platform));
}

/* What is meant for one platform wins over what is for all, as BuildKit's AnnotationsGroup.Platform has it. */
struct json *annotations_of(struct arena *arena, const struct annotations *all, enum annotation_target target,
			    const struct platform *platform)
{
	struct json *object = json_object(arena);

	for (int specific = 0; specific < 2; specific++) {
		for (size_t i = 0; i < all->count; i++) {
			const struct annotation *one = &all->items[i];
			if (one->target != target || one->has_platform != specific)
				continue;
			if (!specific || is_for(arena, one, platform))
				json_set(arena, object, one->key, json_str(arena, one->value));
		}
	}
	json_sort_keys(object);
	return object->count ? object : NULL;
}
