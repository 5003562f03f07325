/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "kiln/layer/tar.h"

#include "internal.h"

static int write_zeros(struct archive *archive, size_t len, struct err *err)
{
	static const char zeros[TAR_TRAILER];

	return archive->out->write(archive->out, zeros, len, err);
}

static int write_header(struct archive *archive, const struct layer_entry *entry, struct err *err)
{
	scope_strbuf struct strbuf header = { 0 };

	if (tar_header(&header, entry, err) < 0)
		return -1;
	return archive->out->write(archive->out, header.ptr, header.len, err);
}

int archive_dir(struct archive *archive, const char *name, struct err *err)
{
	const struct layer_entry entry = { .path = name, .mode = S_IFDIR | 0755, .mtime = archive->mtime };

	return write_header(archive, &entry, err);
}

int archive_begin_file(struct archive *archive, const char *name, int64_t size, struct err *err)
{
	const struct layer_entry entry = {
		.path = name, .mode = S_IFREG | 0644, .size = size, .mtime = archive->mtime
	};

	return write_header(archive, &entry, err);
}

int archive_end_file(struct archive *archive, int64_t size, struct err *err)
{
	return write_zeros(archive, tar_padding(size), err);
}

int archive_text(struct archive *archive, const char *name, const struct strbuf *text, struct err *err)
{
	if (archive_begin_file(archive, name, (int64_t)text->len, err) < 0 ||
	    archive->out->write(archive->out, strbuf_str(text), text->len, err) < 0)
		return -1;
	return archive_end_file(archive, (int64_t)text->len, err);
}

int archive_end(struct archive *archive, struct err *err)
{
	if (write_zeros(archive, TAR_TRAILER, err) < 0)
		return -1;
	return archive->out->finish(archive->out, err);
}
