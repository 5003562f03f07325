/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "content.h"
#include "emit.h"

void emit_release(struct emit *emit)
{
	strbuf_release(&emit->header);
}

/* Writes and forgets what tar.c put into emit->header. */
static int flush_header(struct emit *emit, struct err *err)
{
	const struct strbuf *header = &emit->header;

	if (emit->recipe && recipe_header(emit->recipe, header->ptr, header->len, err) < 0)
		return -1;
	if (emit->tar->write(emit->tar, header->ptr, header->len, err) < 0)
		return -1;
	emit->stats.size += (int64_t)header->len;
	emit->stats.entries++;
	strbuf_reset(&emit->header);
	return 0;
}

static int emit_entry(struct emit *emit, const struct layer_entry *entry, struct err *err)
{
	strbuf_reset(&emit->header);
	return tar_header(&emit->header, entry, err) < 0 ? -1 : flush_header(emit, err);
}

static void count_content(struct emit *emit, const struct layer_entry *entry)
{
	emit->stats.size += entry->size + (int64_t)tar_padding(entry->size);
	emit->stats.content += entry->size;
	if (entry->size > emit->largest) {
		emit->largest = entry->size;
		err_printable(emit->stats.largest, sizeof(emit->stats.largest), entry->path);
	}
}

int emit_node(struct emit *emit, const struct node *node, struct err *err)
{
	const struct layer_entry *entry = &node->entry;

	if (emit_entry(emit, entry, err) < 0)
		return -1;
	if (!S_ISREG(entry->mode) || entry->size == 0)
		return 0;
	count_content(emit, entry);
	if (emit->recipe && recipe_file(emit->recipe, entry->path, entry->size, err) < 0)
		return -1;
	return content_write(node->fd, &node->st, entry->path, emit->tar, err);
}

int emit_link(struct emit *emit, const struct node *node, const char *target, struct err *err)
{
	struct layer_entry entry = node->entry;

	entry.link = target;
	entry.is_hardlink = true;
	return emit_entry(emit, &entry, err);
}

int emit_whiteout(struct emit *emit, const char *path, struct err *err)
{
	strbuf_reset(&emit->header);
	return tar_whiteout(&emit->header, path, err) < 0 ? -1 : flush_header(emit, err);
}

int emit_end(struct emit *emit, struct err *err)
{
	emit->stats.size += TAR_TRAILER;
	if (emit->recipe && recipe_end(emit->recipe, emit->stats.size, err) < 0)
		return -1;
	return content_write_zeros(emit->tar, TAR_TRAILER, err);
}
