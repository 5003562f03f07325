/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "kiln/base/text.h"
#include "libarchive.h"
#include "tarcheck.h"

/*
 * tarcheck and libarchive read the same bytes. What an entry is comes from tarcheck: libarchive turns a file with a
 * link name into a hard link, loses the target of a symbolic link that only the pax header has, and rounds -1.5 up.
 * But both must have understood the same. Data, sparse files and extended attributes come from libarchive.
 *
 * * Names are bytes. Without setlocale(3) libarchive leaves them so, though it warns of each pax name that is not
 * ASCII, because it tries to convert it; in a UTF-8 locale it would normalise names, and the comparison would fail.
 * (Its option hdrcharset=BINARY does not work with glibc, which knows no such character set.)
 */
struct untar {
	struct archive *archive;
	struct archive_entry *archive_entry; /* owned by archive */
	struct tarcheck *check;
	struct feed feed;
	char *name;
	struct tar_entry entry;
	bool is_done;
	struct untar_xattr *xattrs;
	size_t xattr_count, xattr_cap;

	/* Data of the current file. */
	bool has_data;
	int64_t position;
	const char *block; /* of libarchive, valid until its next call */
	size_t block_len;
	int64_t block_offset;
};

static int wrap(const struct untar *untar, const char *path, struct err *err)
{
	char shown[1024];

	return err_wrap(err, "%s: \"%s\"", untar->name, err_printable(shown, sizeof(shown), path));
}

/* ---- opening ---- */

static ssize_t pull_checked(void *arg, void *buf, size_t len, struct err *err)
{
	return tarcheck_read(arg, buf, len, err);
}

/* The format is set, not guessed: the guess refuses some headers that the reader itself takes. */
static int start(struct untar *untar, struct err *err)
{
	if (libarchive.read_set_format(untar->archive, ARCHIVE_FORMAT_TAR) != ARCHIVE_OK)
		return feed_error(&untar->feed, untar->archive, untar->name, err);
	return feed_open(&untar->feed, untar->archive, untar->name, err);
}

struct untar *untar_open(struct reader *below, unsigned flags, const char *name, struct err *err)
{
	struct untar *untar = stream_alloc(sizeof(*untar));

	untar->name = stream_strdup(name);
	untar->check = tarcheck_open(below, flags, name);
	untar->archive = libarchive_new(err);
	untar->feed.pull = pull_checked;
	untar->feed.arg = untar->check;
	if (untar->archive && start(untar, err) == 0)
		return untar;
	untar_close(untar);
	return NULL;
}

void untar_close(struct untar *untar)
{
	if (!untar)
		return;
	if (untar->archive)
		libarchive.read_free(untar->archive);
	tar_entry_release(&untar->entry);
	tarcheck_close(untar->check);
	free(untar->feed.buf);
	free(untar->xattrs);
	free(untar->name);
	free(untar);
}

/* ---- entries ---- */

static int differs(const struct untar *untar, const char *what, struct err *err)
{
	return err_set(err, ERR_INPUT, "%s: two readers of tar disagree about the %s at byte %lld", untar->name, what,
		       (long long)libarchive.read_header_position(untar->archive));
}

/* Anything but OK is fatal. The one warning that may pass says that a name could not be converted. */
static bool is_readable(const struct untar *untar, int result)
{
	const char *words = libarchive.error_string(untar->archive);

	if (result == ARCHIVE_OK)
		return true;
	return result == ARCHIVE_WARN && words && strstr(words, "can't be converted from") &&
	       libarchive.entry_pathname(untar->archive_entry);
}

static const char *their_link(const struct untar *untar)
{
	const char *link = libarchive.entry_symlink(untar->archive_entry);

	return link ? link : libarchive.entry_hardlink(untar->archive_entry);
}

static int compare(const struct untar *untar, struct err *err)
{
	struct archive_entry *theirs = untar->archive_entry;
	const struct tar_entry *ours = &untar->entry;

	if (libarchive.read_header_position(untar->archive) != ours->offset)
		return differs(untar, "place of an entry", err);
	if (!text_equal(libarchive.entry_pathname(theirs), ours->path))
		return differs(untar, "name of an entry", err);
	if (ours->link && their_link(untar) && !text_equal(their_link(untar), ours->link))
		return differs(untar, "target of a link", err);
	if (libarchive.entry_uid(theirs) != ours->uid || libarchive.entry_gid(theirs) != ours->gid)
		return differs(untar, "owner of an entry", err);
	if ((libarchive.entry_mode(theirs) & 07777) != (ours->mode & 07777))
		return differs(untar, "mode of an entry", err);
	if (libarchive.entry_size(theirs) != ours->size)
		return differs(untar, "size of an entry", err);
	return 0;
}

static int set_type(const struct untar *untar, struct untar_item *item, struct err *err)
{
	static const enum untar_type types[] = {
		['0'] = UNTAR_FILE,  ['1'] = UNTAR_HARDLINK, ['2'] = UNTAR_SYMLINK, ['3'] = UNTAR_CHAR,
		['4'] = UNTAR_BLOCK, ['5'] = UNTAR_DIR,      ['6'] = UNTAR_FIFO,
	};

	item->type = types[(unsigned char)untar->entry.type];
	if (item->link && !*item->link)
		return err_set(err, ERR_INPUT, "a link has no target");
	/* Before there was a type for directories they were files whose name ends so; all readers still know them. */
	if (item->type != UNTAR_FILE || !text_ends(item->path, "/"))
		return 0;
	item->type = UNTAR_DIR;
	return item->size == 0 ? 0 : err_set(err, ERR_INPUT, "a directory has data");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct untar_xattr *)a)->name, ((const struct untar_xattr *)b)->name);
}

static void add_xattr(struct untar *untar, const struct untar_xattr *xattr)
{
	if (untar->xattr_count == untar->xattr_cap) {
		untar->xattr_cap = untar->xattr_cap ? 2 * untar->xattr_cap : 16;
		untar->xattrs = reallocarray(untar->xattrs, untar->xattr_cap, sizeof(*untar->xattrs));
		if (!untar->xattrs)
			abort();
	}
	untar->xattrs[untar->xattr_count++] = *xattr;
}

/* bsdtar writes each attribute twice, as SCHILY.xattr and as LIBARCHIVE.xattr. */
static int drop_equal_xattrs(struct untar *untar, struct err *err)
{
	struct untar_xattr *xattrs = untar->xattrs;
	size_t kept = 0;

	for (size_t i = 0; i < untar->xattr_count; i++) {
		const struct untar_xattr *last = kept ? &xattrs[kept - 1] : NULL;
		if (!last || strcmp(last->name, xattrs[i].name) != 0)
			xattrs[kept++] = xattrs[i];
		else if (last->len != xattrs[i].len || memcmp(last->value, xattrs[i].value, last->len) != 0)
			return err_set(err, ERR_INPUT, "an extended attribute has two values");
	}
	untar->xattr_count = kept;
	return 0;
}

static int set_xattrs(struct untar *untar, struct untar_item *item, struct err *err)
{
	struct untar_xattr xattr;

	untar->xattr_count = 0;
	libarchive.entry_xattr_reset(untar->archive_entry);
	while (libarchive.entry_xattr_next(untar->archive_entry, &xattr.name, &xattr.value, &xattr.len) == ARCHIVE_OK) {
		xattr.value = xattr.len ? xattr.value : "";
		if (xattr.name && *xattr.name)
			add_xattr(untar, &xattr);
	}
	if (untar->xattr_count > 1)
		qsort(untar->xattrs, untar->xattr_count, sizeof(*untar->xattrs), by_name);
	if (drop_equal_xattrs(untar, err) < 0)
		return -1;
	item->xattrs = untar->xattrs;
	item->xattr_count = untar->xattr_count;
	return 0;
}

static int finish(struct untar *untar, struct err *err)
{
	char scratch[4096];
	ssize_t count;

	untar->is_done = true;
	do
		count = tarcheck_read(untar->check, scratch, sizeof(scratch), err);
	while (count > 0);
	if (count == 0 && tarcheck_next(untar->check, &untar->entry))
		return differs(untar, "end of the archive", err);
	return (int)count;
}

int untar_next(struct untar *untar, struct untar_item *item, struct err *err)
{
	const struct tar_entry *entry = &untar->entry;

	untar->has_data = false;
	if (untar->is_done)
		return 0;
	int result = libarchive.read_next_header(untar->archive, &untar->archive_entry);
	/* It takes a failed read for the end in one place. */
	if (untar->feed.has_failed || (result != ARCHIVE_EOF && !is_readable(untar, result)))
		return feed_error(&untar->feed, untar->archive, untar->name, err);
	if (result == ARCHIVE_EOF)
		return finish(untar, err);
	tar_entry_release(&untar->entry);
	if (!tarcheck_next(untar->check, &untar->entry))
		return differs(untar, "number of entries", err);
	if (compare(untar, err) < 0)
		return -1;
	struct untar_item found = {
		.path = entry->path,
		.link = entry->link,
		.mode = entry->mode & 07777,
		.uid = entry->uid,
		.gid = entry->gid,
		.size = entry->size,
		.mtime = entry->mtime,
		.rdev = entry->rdev,
	};
	if (set_type(untar, &found, err) < 0 || set_xattrs(untar, &found, err) < 0)
		return wrap(untar, found.path, err);
	untar->has_data = found.type == UNTAR_FILE;
	untar->position = untar->block_offset = 0;
	untar->block_len = 0;
	*item = found;
	return 1;
}

/* ---- data ---- */

/* The next stretch of data; at the end of what is stored, an empty one at the end of the file. */
static int next_block(struct untar *untar, struct err *err)
{
	const void *block = NULL;
	size_t len = 0;
	int64_t offset = 0;
	int result = libarchive.read_data_block(untar->archive, &block, &len, &offset);

	if (result == ARCHIVE_EOF) {
		len = 0;
		offset = untar->entry.size;
	} else if (result != ARCHIVE_OK) {
		return feed_error(&untar->feed, untar->archive, untar->name, err);
	}
	bool fits = offset >= untar->position && offset <= untar->entry.size &&
		    len <= (uint64_t)(untar->entry.size - offset);
	if (!fits || (offset > untar->position && untar->entry.sparse.kind == TAR_SPARSE_NONE))
		return differs(untar, "data of an entry", err);
	untar->block = block;
	untar->block_len = len;
	untar->block_offset = offset;
	return 0;
}

ssize_t untar_read(struct untar *untar, void *buf, size_t len, struct err *err)
{
	if (!untar->has_data || untar->position == untar->entry.size || len == 0)
		return 0;
	while (untar->block_len == 0 && untar->block_offset <= untar->position) {
		if (next_block(untar, err) < 0)
			return -1;
	}
	uint64_t hole = (uint64_t)(untar->block_offset - untar->position);
	size_t count = hole ? (hole < len ? (size_t)hole : len) : (untar->block_len < len ? untar->block_len : len);
	if (hole) {
		memset(buf, 0, count);
	} else {
		memcpy(buf, untar->block, count);
		untar->block += count;
		untar->block_len -= count;
		untar->block_offset += (int64_t)count;
	}
	untar->position += (int64_t)count;
	return (ssize_t)count;
}
