/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CODEC_TARCHECK_H
#define KILN_SRC_CODEC_TARCHECK_H

#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"
#include "kiln/codec/untar.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The second reader of tar. libarchive reads an archive for us, but hides what it read (unknown types become regular
 * files) and overlooks what others would stop at. So the same bytes pass through here before libarchive sees them:
 * what two readers could understand differently is refused, and what each entry is gets recorded, for untar.c to
 * compare.
 */

/* ---- one header block (tar-block.c) ---- */

enum { TAR_BLOCK = 512 };

struct tar_sparse_field {
	char offset[12], len[12];
};

struct tar_block {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
	char magic[8]; /* and version */
	char uname[32], gname[32], major[8], minor[8];
	union {
		char prefix[155];
		struct {
			char atime[12], ctime[12], offset[12], names[4], unused;
			struct tar_sparse_field sparse[4];
			char is_extended, realsize[12];
		} gnu;
	};
	char rest[8], trailer[4];
};
_Static_assert(sizeof(struct tar_block) == TAR_BLOCK, "a tar header is one block");

/* The block that follows a GNU sparse header whose is_extended is set. */
struct tar_sparse_block {
	struct tar_sparse_field sparse[21];
	char is_extended, rest[7];
};
_Static_assert(sizeof(struct tar_sparse_block) == TAR_BLOCK, "a sparse map goes on in blocks");

enum tar_format { TAR_V7, TAR_USTAR, TAR_GNU };

bool tar_block_is_zero(const struct tar_block *block);
/* The checksum is right. */
bool tar_block_is_header(const struct tar_block *block);
/* TAR_V7, TAR_USTAR or TAR_GNU; -1 if the magic is none that readers agree on. */
int tar_block_format(const struct tar_block *block, struct err *err) MUST_CHECK;
/* Octal or base-256 with nothing else in the field; an empty field is 0. */
bool tar_number(const char *field, size_t len, int64_t *out);
/* ERR_INPUT unless min <= value <= max. */
int tar_range(const char *what, int64_t value, int64_t min, int64_t max, struct err *err) MUST_CHECK;

#define TAR_SIZE_MAX  ((int64_t)1 << 53)
#define TAR_ID_MAX    ((int64_t)UINT32_MAX - 1) /* -1 means "leave it" to chown(2) */
#define TAR_MTIME_MIN (-((int64_t)1 << 33))
#define TAR_MTIME_MAX ((int64_t)1 << 35)

/* ---- sparse maps (tar-sparse.c) ---- */

enum tar_sparse_kind { TAR_SPARSE_NONE, TAR_SPARSE_GNU, TAR_SPARSE_PAX_0, TAR_SPARSE_PAX_1 };

/* A map while its extents come in: in order, without overlap, inside the file, not too many. */
struct tar_sparse {
	enum tar_sparse_kind kind;
	int64_t realsize; /* of the file, -1 while unknown */
	int64_t end;      /* of the last extent */
	int64_t stored;   /* sum of the extents */
	int64_t offset;   /* of an extent whose length is still to come, else -1 */
	size_t count;

	/* PAX_1: the map is lines of digits before the data, padded to a block. */
	int64_t lines_left, line; /* -1: the number of extents is still to come */
	int64_t map_len;
	bool has_digits;
};

void tar_sparse_init(struct tar_sparse *sparse, enum tar_sparse_kind kind);
int tar_sparse_extent(struct tar_sparse *sparse, int64_t offset, int64_t len, struct err *err) MUST_CHECK;
/* Fields of a header up to the first empty one. */
int tar_sparse_fields(struct tar_sparse *sparse, const struct tar_sparse_field *fields, size_t count,
		      struct err *err) MUST_CHECK;
/* "0,512,1024,512": GNU.sparse.map. */
int tar_sparse_list(struct tar_sparse *sparse, const char *text, struct err *err) MUST_CHECK;
/* GNU.sparse.offset and GNU.sparse.numbytes take turns. */
int tar_sparse_number(struct tar_sparse *sparse, int64_t number, struct err *err) MUST_CHECK;
/* One byte of a PAX_1 map: 1 if it was the last one. */
int tar_sparse_byte(struct tar_sparse *sparse, char byte, struct err *err) MUST_CHECK;
/* At the end of the map: it must describe exactly the stored bytes. */
int tar_sparse_finish(const struct tar_sparse *sparse, int64_t stored, struct err *err) MUST_CHECK;

/* ---- pax records (tar-pax.c) ---- */

enum { TAR_SPECIAL_MAX = 1 << 20 };

struct tar_pax {
	const char *path, *link; /* in the body, NULL if not given */
	bool has_size, has_uid, has_gid, has_mtime;
	int64_t size, mtime;
	int64_t uid, gid;
	struct tar_sparse sparse;
};

/* Parses the body of an 'x' header, in place. */
int tar_pax_parse(struct tar_pax *pax, char *body, size_t len, unsigned flags, struct err *err) MUST_CHECK;
/* A 'g' header may hold comments, but nothing that would change the entries after it: some readers ignore it. */
int tar_pax_check_global(char *body, size_t len, struct err *err) MUST_CHECK;

/* ---- entries (tar-entry.c) ---- */

/* The headers before an entry's own. */
struct tar_specials {
	bool has_x, has_name, has_link;
	struct tar_pax pax;       /* if has_x */
	struct strbuf path, link; /* from them; empty if the header's own count */
};

bool tar_specials_any(const struct tar_specials *specials);
void tar_specials_reset(struct tar_specials *specials);
void tar_specials_release(struct tar_specials *specials);
/* An 'x', 'g', 'L' or 'K' header comes: may it? *size is that of its body. */
int tar_special_start(struct tar_specials *specials, const struct tar_block *block, size_t *size,
		      struct err *err) MUST_CHECK;
/* Its body is there; it is changed. */
int tar_special_finish(struct tar_specials *specials, char type, struct strbuf *body, unsigned flags,
		       struct err *err) MUST_CHECK;

/* What is left of an entry when all its headers are understood. path and link are malloc'ed. */
struct tar_entry {
	char *path;
	char *link;     /* NULL for what is no link */
	int64_t offset; /* of its first header in the stream */
	char type;      /* the flag; '0' for every regular file */
	mode_t mode;    /* as stored, with type bits if the writer put them there */
	uid_t uid;
	gid_t gid;
	int64_t size;   /* of the file, 0 for what has no data */
	int64_t stored; /* bytes of it in the stream */
	int64_t mtime;
	dev_t rdev;
	struct tar_sparse sparse;
};

void tar_entry_release(struct tar_entry *entry);
/* From its own header and those before it; the caller sets offset, and size when the map of a sparse file is
   complete. */
int tar_entry_read(struct tar_entry *entry, struct tar_specials *specials, const struct tar_block *block,
		   unsigned flags, struct err *err) MUST_CHECK;

/* ---- the stream (tarcheck.c) ---- */

struct tarcheck;
struct tarcheck *tarcheck_open(struct reader *below, unsigned flags, const char *name);
void tarcheck_close(struct tarcheck *check); /* NULL is fine */
/* As a reader: the bytes below, once they have been checked. With UNTAR_ALLOW_NO_END a missing end is added. */
ssize_t tarcheck_read(struct tarcheck *check, void *buf, size_t len, struct err *err) MUST_CHECK;
/* The oldest entry whose headers have been read completely, to be released; false if there is none. */
bool tarcheck_next(struct tarcheck *check, struct tar_entry *entry);

#endif
