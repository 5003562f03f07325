/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "tarcheck.h"

/* What an entry is, from its own header and those that stand before it. */

/* ---- headers before the entry's own ---- */

bool tar_specials_any(const struct tar_specials *specials)
{
	return specials->has_x || specials->has_name || specials->has_link;
}

void tar_specials_reset(struct tar_specials *specials)
{
	specials->has_x = specials->has_name = specials->has_link = false;
	strbuf_reset(&specials->path);
	strbuf_reset(&specials->link);
}

void tar_specials_release(struct tar_specials *specials)
{
	strbuf_release(&specials->path);
	strbuf_release(&specials->link);
}

static int header_number(const char *what, const char *field, size_t len, int64_t *out, struct err *err)
{
	if (!tar_number(field, len, out))
		return err_set(err, ERR_INPUT, "the %s in a header is no number", what);
	return 0;
}

int tar_special_start(struct tar_specials *specials, const struct tar_block *block, size_t *size, struct err *err)
{
	bool *seen = block->type == 'x'   ? &specials->has_x
		     : block->type == 'L' ? &specials->has_name
					  : &specials->has_link;
	int64_t number;

	if (header_number("size", block->size, sizeof(block->size), &number, err) < 0)
		return -1;
	if (number < 0 || number > TAR_SPECIAL_MAX)
		return err_set(err, ERR_INPUT, "a '%c' header is larger than 1 MiB", block->type);
	*size = (size_t)number;
	/* Go forgets the headers that stand before a global one. */
	if (block->type == 'g' && tar_specials_any(specials))
		return err_set(err, ERR_INPUT, "a global header stands between the headers of an entry");
	if (block->type == 'g')
		return 0;
	if (*seen)
		return err_set(err, ERR_INPUT, "an entry has more than one '%c' header", block->type);
	*seen = true;
	return 0;
}

/* GNU tar lets the pax header win, libarchive and Go the long name. */
static int set_name(struct strbuf *name, const char *text, struct err *err)
{
	if (name->len > 0)
		return err_set(err, ERR_INPUT, "a GNU and a pax header both give the name");
	strbuf_addstr(name, text);
	return 0;
}

static int take_long_name(const struct strbuf *body, struct strbuf *name, struct err *err)
{
	size_t len = strlen(strbuf_str(body));

	if (len == 0)
		return err_set(err, ERR_INPUT, "a long name is empty");
	for (size_t i = len; i < body->len; i++) {
		if (body->ptr[i] != '\0')
			return err_set(err, ERR_INPUT, "a long name holds a NUL byte");
	}
	return set_name(name, body->ptr, err);
}

static int take_pax(struct tar_specials *specials, struct strbuf *body, unsigned flags, struct err *err)
{
	struct tar_pax *pax = &specials->pax;

	if (tar_pax_parse(pax, body->ptr, body->len, flags, err) < 0)
		return -1;
	if (pax->path && set_name(&specials->path, pax->path, err) < 0)
		return -1;
	return pax->link ? set_name(&specials->link, pax->link, err) : 0;
}

int tar_special_finish(struct tar_specials *specials, char type, struct strbuf *body, unsigned flags, struct err *err)
{
	switch (type) {
	case 'x':
		return take_pax(specials, body, flags, err);
	case 'g':
		return tar_pax_check_global(body->ptr, body->len, err);
	case 'L':
		return take_long_name(body, &specials->path, err);
	default:
		return take_long_name(body, &specials->link, err);
	}
}

/* ---- the entry's own header ---- */

void tar_entry_release(struct tar_entry *entry)
{
	free(take_ptr(entry->path));
	free(take_ptr(entry->link));
}

/* Numbers from the header, or from the pax header where that has them. */
static int read_numbers(struct tar_entry *entry, const struct tar_specials *specials, const struct tar_block *block,
			int64_t *size, struct err *err)
{
	const struct tar_pax *pax = specials->has_x ? &specials->pax : &(const struct tar_pax){ 0 };
	int64_t mode, uid, gid, mtime;

	if (header_number("mode", block->mode, sizeof(block->mode), &mode, err) < 0 ||
	    header_number("user id", block->uid, sizeof(block->uid), &uid, err) < 0 ||
	    header_number("group id", block->gid, sizeof(block->gid), &gid, err) < 0 ||
	    header_number("size", block->size, sizeof(block->size), size, err) < 0 ||
	    header_number("time", block->mtime, sizeof(block->mtime), &mtime, err) < 0)
		return -1;
	uid = pax->has_uid ? pax->uid : uid;
	gid = pax->has_gid ? pax->gid : gid;
	*size = pax->has_size ? pax->size : *size;
	mtime = pax->has_mtime ? pax->mtime : mtime;
	if (tar_range("mode", mode, 0, UINT32_MAX, err) < 0 || tar_range("user id", uid, 0, TAR_ID_MAX, err) < 0 ||
	    tar_range("group id", gid, 0, TAR_ID_MAX, err) < 0 || tar_range("size", *size, 0, TAR_SIZE_MAX, err) < 0 ||
	    tar_range("time", mtime, TAR_MTIME_MIN, TAR_MTIME_MAX, err) < 0)
		return -1;
	entry->mode = (mode_t)mode;
	entry->uid = (uid_t)uid;
	entry->gid = (gid_t)gid;
	entry->mtime = mtime;
	return 0;
}

/* Limits of the kernel's dev_t. */
static int read_device(struct tar_entry *entry, const struct tar_block *block, struct err *err)
{
	int64_t major, minor;

	if (header_number("device number", block->major, sizeof(block->major), &major, err) < 0 ||
	    header_number("device number", block->minor, sizeof(block->minor), &minor, err) < 0 ||
	    tar_range("device number", major, 0, 0xfff, err) < 0 ||
	    tar_range("device number", minor, 0, 0xfffff, err) < 0)
		return -1;
	entry->rdev = makedev((unsigned)major, (unsigned)minor);
	return 0;
}

/* libarchive expands a map in any GNU header, others only in that of a sparse file. */
static bool has_stray_map(const struct tar_block *block)
{
	const char *from = (const char *)block->gnu.sparse;
	const char *to = block->gnu.realsize + sizeof(block->gnu.realsize);

	while (from < to && *from == '\0')
		from++;
	return from < to;
}

/* What follows is data to some readers and a header to others. A size in the header of a directory or a symbolic link
   is ignored by all that unpack. */
static int check_size(const struct tar_specials *specials, char type, int64_t size, struct err *err)
{
	if (type == '1' && size != 0)
		return err_set(err, ERR_INPUT, "a hard link has data");
	if (type != '0' && type != 'S' && specials->has_x && specials->pax.has_size && size != 0)
		return err_set(err, ERR_INPUT, "something that is no file has data");
	return 0;
}

static int check_type(char type, unsigned flags, struct err *err)
{
	char shown[2] = { type, '\0' }, printable[8];

	if (!strchr("0123456S", type))
		return err_set(err, ERR_INPUT, "the type '%s' of an entry is not known",
			       err_printable(printable, sizeof(printable), shown));
	if (type == 'S' && !(flags & UNTAR_ALLOW_SPARSE))
		return err_set(err, ERR_INPUT, "a sparse file is not accepted here");
	return 0;
}

static int start_gnu_sparse(struct tar_sparse *sparse, const struct tar_block *block, struct err *err)
{
	tar_sparse_init(sparse, TAR_SPARSE_GNU);
	if (!block->gnu.realsize[0] || !block->gnu.sparse[0].offset[0] ||
	    !tar_number(block->gnu.realsize, sizeof(block->gnu.realsize), &sparse->realsize))
		return err_set(err, ERR_INPUT, "a sparse header has no size or no map");
	return tar_sparse_fields(sparse, block->gnu.sparse, ARRAY_LEN(block->gnu.sparse), err);
}

static int read_sparse(struct tar_sparse *sparse, const struct tar_specials *specials, const struct tar_block *block,
		       int format, struct err *err)
{
	bool is_file = block->type == '0' || block->type == '\0', is_gnu = block->type == 'S';

	tar_sparse_init(sparse, TAR_SPARSE_NONE);
	if (specials->has_x)
		*sparse = specials->pax.sparse;
	if ((is_gnu && format != TAR_GNU) || (!is_file && sparse->kind != TAR_SPARSE_NONE) ||
	    (!is_gnu && format == TAR_GNU && has_stray_map(block)))
		return err_set(err, ERR_INPUT, "a sparse map belongs to something that is no sparse file");
	return is_gnu ? start_gnu_sparse(sparse, block, err) : 0;
}

static char *header_text(const char *field, size_t len)
{
	char *text = strndup(field, len);

	if (!text)
		abort();
	return text;
}

static char *header_path(const struct tar_block *block, int format)
{
	scope_strbuf struct strbuf path = { 0 };

	if (format == TAR_USTAR && block->prefix[0]) {
		strbuf_add(&path, block->prefix, strnlen(block->prefix, sizeof(block->prefix)));
		if (path.ptr[path.len - 1] != '/')
			strbuf_addch(&path, '/');
	}
	strbuf_add(&path, block->name, strnlen(block->name, sizeof(block->name)));
	return strbuf_detach(&path);
}

static void read_names(struct tar_entry *entry, struct tar_specials *specials, const struct tar_block *block,
		       int format)
{
	entry->path = specials->path.len ? strbuf_detach(&specials->path) : header_path(block, format);
	if (entry->type == '1' || entry->type == '2')
		entry->link = specials->link.len ? strbuf_detach(&specials->link)
						 : header_text(block->link, sizeof(block->link));
}

int tar_entry_read(struct tar_entry *entry, struct tar_specials *specials, const struct tar_block *block,
		   unsigned flags, struct err *err)
{
	int format = tar_block_format(block, err);
	char type = block->type ? block->type : '0';
	int64_t size;

	if (format < 0)
		return -1;
	*entry = (struct tar_entry){ .type = type == 'S' ? '0' : type };
	if (read_numbers(entry, specials, block, &size, err) < 0 || check_type(type, flags, err) < 0 ||
	    check_size(specials, type, size, err) < 0 || read_sparse(&entry->sparse, specials, block, format, err) < 0)
		return -1;
	if ((type == '3' || type == '4') && format != TAR_V7 && read_device(entry, block, err) < 0)
		return -1;
	entry->stored = entry->type == '0' ? size : 0;
	read_names(entry, specials, block, format);
	return 0;
}
