/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "images-filter.h"
#include "kiln/codec/json.h"
#include "kiln/oci/reference.h"
#include "template.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct images_options {
	bool quiet, no_trunc, digests;
	const char *format;
	struct strings filters;
};

#define AT(member) offsetof(struct images_options, member)
static const struct option_spec options[] = {
	{ "quiet", 'q', OPTION_FLAG, AT(quiet), NULL, "print ids only" },
	{ "no-trunc", 0, OPTION_FLAG, AT(no_trunc), NULL, "print whole ids" },
	{ "format", 0, OPTION_STRING, AT(format), "table|json|TEMPLATE", "how to print" },
	{ "filter", 'f', OPTION_LIST, AT(filters), "KEY=VALUE", "dangling, label, reference, before, since" },
	{ "digests", 0, OPTION_FLAG, AT(digests), NULL, "show the digests of manifests" },
	{ "all", 'a', OPTION_IGNORED_FLAG, 0, NULL, NULL },
	{ NULL },
};

struct row {
	const char *repository, *tag, *digest, *id, *created, *size;
	int64_t created_at, bytes;
};

static void split_name(struct arena *arena, const char *name, struct row *row)
{
	struct reference reference;
	row->repository = row->tag = "<none>";
	if (name && reference_parse(arena, name, &reference, NULL) == 0) {
		row->repository = reference_familiar_name(arena, &reference);
		if (reference.tag)
			row->tag = reference.tag;
	}
}

static void make_row(struct arena *arena, const struct images_options *o, const struct store_name *name,
		     const struct image *image, struct row *row)
{
	char hex[DIGEST_HEX + 1];
	digest_hex(&name->config, hex);
	split_name(arena, name->name, row);
	row->id = o->no_trunc ? arena_printf(arena, "sha256:%s", hex) : arena_strndup(arena, hex, 12);
	row->digest = digest_is_zero(&image->record.manifest) ? "<none>" : digest_str(arena, &image->record.manifest);
	row->created_at = image_created(image);
	row->created = image->config.created ? time_ago(arena, time(NULL) - row->created_at) : "N/A";
	row->bytes = image->record.size;
	row->size = size_words(arena, image->record.size);
}

/* Go's time.Time.String, in UTC. */
static const char *go_time(struct arena *arena, int64_t seconds)
{
	char text[64];
	struct tm tm;
	time_t t = seconds;
	if (!gmtime_r(&t, &tm) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S +0000 UTC", &tm) == 0)
		return "";
	return arena_strdup(arena, text);
}

static int print_formatted(struct arena *arena, const char *format, const struct row *row, struct err *err)
{
	struct json *object = json_object(arena);
	json_set(arena, object, "ID", json_str(arena, row->id));
	json_set(arena, object, "Repository", json_str(arena, row->repository));
	json_set(arena, object, "Tag", json_str(arena, row->tag));
	json_set(arena, object, "Digest", json_str(arena, row->digest));
	json_set(arena, object, "CreatedAt", json_str(arena, go_time(arena, row->created_at)));
	json_set(arena, object, "CreatedSince", json_str(arena, row->created));
	json_set(arena, object, "Size", json_str(arena, row->size));
	json_set(arena, object, "Bytes", json_int(arena, row->bytes));
	return format_print(format, object, err);
}

static int print_rows(struct arena *arena, const struct images_options *o, const struct row *rows, size_t count,
		      struct err *err)
{
	enum { COLUMNS = 6 };
	if (format_of(o->format) != FORMAT_TABLE) {
		for (size_t i = 0; i < count; i++)
			if (print_formatted(arena, o->format, &rows[i], err) < 0)
				return -1;
		return 0;
	}
	const char **cells = arena_array(arena, const char *, (count + 1) * COLUMNS);
	static const struct row head = { "REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE", 0, 0 };
	size_t columns = o->digests ? COLUMNS : COLUMNS - 1, n = 0;
	for (size_t i = 0; i < count + 1; i++) {
		const struct row *row = i == 0 ? &head : &rows[i - 1];
		cells[n++] = row->repository;
		cells[n++] = row->tag;
		if (o->digests)
			cells[n++] = row->digest;
		cells[n++] = row->id;
		cells[n++] = row->created;
		cells[n++] = row->size;
	}
	print_table(cells, count + 1, columns);
	return 0;
}

static bool is_wanted(struct arena *arena, const struct row *row, const char *wanted)
{
	if (!wanted || strcmp(row->repository, wanted) == 0)
		return true;
	return strcmp(arena_printf(arena, "%s:%s", row->repository, row->tag), wanted) == 0;
}

static int list_images(struct invocation *invocation, struct err *err)
{
	const struct images_options *o = invocation->options;
	struct arena *arena = invocation->arena;
	scope_store struct store *store = NULL;
	if (invocation_store(invocation, STORE_CREATE | STORE_NO_SWEEP, &store, err) < 0)
		return -1;
	struct store_name *names;
	size_t count, shown = 0;
	if (store_names(store, arena, &names, &count, err) < 0)
		return -1;
	struct image_filters filters = { 0 };
	if (image_filters_parse(store, arena, &o->filters, &filters, err) < 0)
		return -1;
	struct row *rows = arena_array(arena, struct row, count + 1);
	for (size_t i = 0; i < count; i++) {
		struct err damaged;
		struct image image;
		if (image_open(store, arena, &names[i].config, &image, &damaged) < 0) {
			fprintf(stderr, "kiln: image %s is damaged: %s; see `kiln system verify`\n",
				names[i].name ? names[i].name : "<none>", damaged.msg);
			continue;
		}
		make_row(arena, o, &names[i], &image, &rows[shown]);
		shown += is_wanted(arena, &rows[shown], invocation->arg_count ? invocation->args[0] : NULL) &&
			 image_filters_match(arena, &filters, &image, names[i].name);
	}
	if (o->quiet) {
		for (size_t i = 0; i < shown; i++)
			printf("%s\n", rows[i].id);
		return 0;
	}
	return print_rows(arena, o, rows, shown, err);
}

const struct command command_images = {
	.name = "images",
	.synopsis = "[OPTIONS] [REPOSITORY[:TAG]]",
	.summary = "List images",
	.options = options,
	.options_size = sizeof(struct images_options),
	.max_args = 1,
	.run = list_images,
};
