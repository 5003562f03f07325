/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "kiln/codec/json.h"
#include "kiln/image/image.h"
#include "kiln/oci/reference.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct images_options {
	bool quiet, no_trunc, all;
	const char *format;
};

#define AT(member) offsetof(struct images_options, member)
static const struct option_spec options[] = {
	{ "quiet", 'q', OPTION_FLAG, AT(quiet), NULL, "print ids only" },
	{ "no-trunc", 0, OPTION_FLAG, AT(no_trunc), NULL, "print whole ids" },
	{ "format", 0, OPTION_STRING, AT(format), "table|json", "how to print" },
	{ "all", 'a', OPTION_FLAG, AT(all), NULL, NULL },
	{ NULL },
};

struct row {
	const char *repository, *tag, *id, *created, *size;
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

static int make_row(struct store *store, struct arena *arena, const struct images_options *o,
		    const struct store_name *name, struct row *row, struct err *err)
{
	struct image image;
	if (image_open(store, arena, &name->config, &image, err) < 0)
		return -1;
	char hex[DIGEST_HEX + 1];
	digest_hex(&name->config, hex);
	split_name(arena, name->name, row);
	row->id = o->no_trunc ? arena_printf(arena, "sha256:%s", hex) : arena_strndup(arena, hex, 12);
	struct timespec created = { 0 };
	row->created = "N/A";
	if (image.config.created && time_parse_rfc3339(&created, image.config.created, NULL) == 0)
		row->created = time_ago(arena, time(NULL) - created.tv_sec);
	row->created_at = created.tv_sec;
	row->bytes = image.record.size;
	row->size = size_words(arena, image.record.size);
	return 0;
}

static void print_json_row(struct arena *arena, const struct row *row)
{
	scope_strbuf struct strbuf line = { 0 };
	struct json *object = json_object(arena);
	json_set(arena, object, "ID", json_str(arena, row->id));
	json_set(arena, object, "Repository", json_str(arena, row->repository));
	json_set(arena, object, "Tag", json_str(arena, row->tag));
	json_set(arena, object, "CreatedSince", json_str(arena, row->created));
	json_set(arena, object, "Size", json_str(arena, row->size));
	json_set(arena, object, "Bytes", json_int(arena, row->bytes));
	json_write(&line, object);
	printf("%s\n", strbuf_str(&line));
}

static void print_rows(struct arena *arena, const struct images_options *o, const struct row *rows, size_t count)
{
	enum { COLUMNS = 5 };
	if (o->format && strcmp(o->format, "json") == 0) {
		for (size_t i = 0; i < count; i++)
			print_json_row(arena, &rows[i]);
		return;
	}
	const char **cells = arena_array(arena, const char *, (count + 1) * COLUMNS);
	static const char *const head[COLUMNS] = { "REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE" };
	for (size_t c = 0; c < COLUMNS; c++)
		cells[c] = head[c];
	for (size_t i = 0; i < count; i++) {
		const char *const row[COLUMNS] = { rows[i].repository, rows[i].tag, rows[i].id, rows[i].created,
						   rows[i].size };
		for (size_t c = 0; c < COLUMNS; c++)
			cells[(i + 1) * COLUMNS + c] = row[c];
	}
	print_table(cells, count + 1, COLUMNS);
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
	if (o->format && strcmp(o->format, "json") != 0 && strcmp(o->format, "table") != 0)
		return err_set(err, ERR_USAGE, "--format is table or json");
	scope_store struct store *store = NULL;
	if (invocation_store(invocation, STORE_CREATE | STORE_NO_SWEEP, &store, err) < 0)
		return -1;
	struct store_name *names;
	size_t count, shown = 0;
	if (store_names(store, arena, &names, &count, err) < 0)
		return -1;
	struct row *rows = arena_array(arena, struct row, count + 1);
	for (size_t i = 0; i < count; i++) {
		struct err damaged;
		if (make_row(store, arena, o, &names[i], &rows[shown], &damaged) < 0)
			fprintf(stderr, "kiln: image %s is damaged: %s; see `kiln system verify`\n",
				names[i].name ? names[i].name : "<none>", damaged.msg);
		else if (is_wanted(arena, &rows[shown], invocation->arg_count ? invocation->args[0] : NULL))
			shown++;
	}
	if (o->quiet) {
		for (size_t i = 0; i < shown; i++)
			printf("%s\n", rows[i].id);
		return 0;
	}
	print_rows(arena, o, rows, shown);
	return 0;
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
