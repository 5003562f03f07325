/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "kiln/codec/json.h"
#include "kiln/image/image.h"
#include "template.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct history_options {
	bool no_trunc, quiet, exact;
	const char *format;
};

#define AT(member) offsetof(struct history_options, member)
static const struct option_spec options[] = {
	{ "no-trunc", 0, OPTION_FLAG, AT(no_trunc), NULL, "print everything" },
	{ "quiet", 'q', OPTION_FLAG, AT(quiet), NULL, "print ids only" },
	{ "format", 0, OPTION_STRING, AT(format), "table|json|TEMPLATE", "how to print" },
	{ "human", 'H', OPTION_NOT_FLAG, AT(exact), NULL, "=false prints sizes in bytes and whole times" },
	{ NULL },
};

enum { COLUMNS = 5, CREATED_BY_SHOWN = 45 };

/* The text on one line: what an image says of itself is never sent to the terminal as it is. */
static const char *visible(struct arena *arena, const char *text, size_t max)
{
	size_t size = strlen(text) * 4 + 1;
	char *out = arena_alloc(arena, size);
	err_printable(out, size, text);
	size_t len = strlen(out);
	if (max == 0 || len <= max)
		return out;
	size_t cut = max - 1;
	while (cut > 0 && ((unsigned char)out[cut] & 0xc0) == 0x80)
		cut--;
	return arena_printf(arena, "%.*s\342\200\246", (int)cut, out);
}

struct row {
	const char *id, *created, *created_by, *size, *comment, *created_at, *diff_id;
	int64_t bytes;
};

/* Newest first: entries with a layer take the diff ids from the top. */
static int make_rows(struct store *store, struct arena *arena, const struct history_options *o,
		     const struct image *image, struct row *rows, struct err *err)
{
	const struct image_config *config = &image->config;
	size_t layer = image->diff_id_count;
	char hex[DIGEST_HEX + 1];
	for (size_t i = 0; i < config->history_count; i++) {
		const struct history *entry = &config->history[config->history_count - 1 - i];
		struct row *row = &rows[i];
		*row = (struct row){ .id = "<missing>", .created = "N/A", .created_at = entry->created };
		if (i == 0)
			row->id = o->no_trunc ? arena_printf(arena, "sha256:%s", digest_hex(&image->id, hex))
					      : arena_strndup(arena, digest_hex(&image->id, hex), 12);
		struct timespec created;
		if (entry->created && o->exact)
			row->created = entry->created;
		else if (entry->created && time_parse_rfc3339(&created, entry->created, NULL) == 0)
			row->created = time_ago(arena, time(NULL) - created.tv_sec);
		row->created_by = visible(arena, entry->created_by ? entry->created_by : "",
					  o->no_trunc ? 0 : CREATED_BY_SHOWN);
		row->comment = visible(arena, entry->comment ? entry->comment : "", 0);
		if (!entry->empty_layer && layer > 0) {
			struct layer_info info;
			if (store_layer_info(store, arena, &image->diff_ids[--layer], &info, err) < 0)
				return -1;
			row->bytes = info.content;
			row->diff_id = digest_str(arena, &info.diff_id);
		}
		row->size = o->exact ? arena_printf(arena, "%lld", (long long)row->bytes)
				     : size_words(arena, row->bytes);
	}
	return 0;
}

static int print_formatted(struct arena *arena, const char *format, const struct row *row, struct err *err)
{
	struct json *object = json_object(arena);
	json_set(arena, object, "ID", json_str(arena, row->id));
	json_set(arena, object, "CreatedAt", json_str(arena, row->created_at));
	json_set(arena, object, "CreatedSince", json_str(arena, row->created));
	json_set(arena, object, "CreatedBy", json_str(arena, row->created_by));
	json_set(arena, object, "Size", json_str(arena, row->size));
	json_set(arena, object, "Bytes", json_int(arena, row->bytes));
	json_set(arena, object, "Layer", json_str(arena, row->diff_id));
	json_set(arena, object, "Comment", json_str(arena, row->comment));
	return format_print(format, object, err);
}

static int print_history(struct invocation *invocation, struct err *err)
{
	struct history_options *o = invocation->options;
	struct arena *arena = invocation->arena;
	o->no_trunc |= format_of(o->format) == FORMAT_JSON;
	scope_store struct store *store = NULL;
	struct image image;
	if (invocation_store(invocation, STORE_CREATE | STORE_NO_SWEEP, &store, err) < 0 ||
	    image_find(store, arena, invocation->args[0], &image, err) < 0)
		return -1;
	size_t count = image.config.history_count;
	struct row *rows = arena_array(arena, struct row, count + 1);
	if (make_rows(store, arena, o, &image, rows, err) < 0)
		return -1;
	for (size_t i = 0; i < count && o->quiet; i++)
		printf("%s\n", rows[i].id);
	if (o->quiet)
		return 0;
	if (format_of(o->format) != FORMAT_TABLE) {
		for (size_t i = 0; i < count; i++)
			if (print_formatted(arena, o->format, &rows[i], err) < 0)
				return -1;
		return 0;
	}
	const char **cells = arena_array(arena, const char *, (count + 1) * COLUMNS);
	static const char *const head[COLUMNS] = { "IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT" };
	for (size_t c = 0; c < COLUMNS; c++)
		cells[c] = head[c];
	for (size_t i = 0; i < count; i++) {
		const char *const row[COLUMNS] = { rows[i].id, rows[i].created, rows[i].created_by, rows[i].size,
						   rows[i].comment };
		for (size_t c = 0; c < COLUMNS; c++)
			cells[(i + 1) * COLUMNS + c] = row[c];
	}
	print_table(cells, count + 1, COLUMNS);
	return 0;
}

const struct command command_history = {
	.name = "history",
	.synopsis = "[OPTIONS] IMAGE",
	.summary = "Show an image's layers and instructions",
	.options = options,
	.options_size = sizeof(struct history_options),
	.min_args = 1,
	.max_args = 1,
	.run = print_history,
};
