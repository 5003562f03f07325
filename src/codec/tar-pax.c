/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "tarcheck.h"

/* Extended headers: records "LEN KEY=VALUE\n". A record that readers would take differently is refused. */

struct record {
	const char *key, *value; /* both end with a NUL */
	size_t value_len;
};

struct parse {
	struct tar_pax *pax;
	unsigned flags;
	bool has_sparse_name, has_major, has_minor;
	int64_t blocks; /* GNU.sparse.numblocks, -1 while unknown */
};

/* ---- values ---- */

/* An empty one leaves the header's own for Go and libarchive; POSIX has it deleted. */
static int take_text(const struct record *record, const char **text, struct err *err)
{
	if (record->value_len == 0)
		return err_set(err, ERR_INPUT, "is empty");
	*text = record->value;
	return 0;
}

static int take_number(const struct record *record, int64_t *number, struct err *err)
{
	if (record->value[0] == '-' || parse_int64(number, record->value, NULL) < 0)
		return err_set(err, ERR_INPUT, "is no number in range");
	return 0;
}

static int take_path(struct parse *parse, const struct record *record, struct err *err)
{
	/* GNU tar puts a made-up name under "path" and the file's own here, in any order. */
	return parse->has_sparse_name ? 0 : take_text(record, &parse->pax->path, err);
}

static int take_sparse_name(struct parse *parse, const struct record *record, struct err *err)
{
	parse->has_sparse_name = true;
	return take_text(record, &parse->pax->path, err);
}

static int take_link(struct parse *parse, const struct record *record, struct err *err)
{
	return take_text(record, &parse->pax->link, err);
}

static int take_size(struct parse *parse, const struct record *record, struct err *err)
{
	parse->pax->has_size = true;
	return take_number(record, &parse->pax->size, err);
}

static int take_uid(struct parse *parse, const struct record *record, struct err *err)
{
	parse->pax->has_uid = true;
	return take_number(record, &parse->pax->uid, err);
}

static int take_gid(struct parse *parse, const struct record *record, struct err *err)
{
	parse->pax->has_gid = true;
	return take_number(record, &parse->pax->gid, err);
}

/* Seconds with a fraction, rounded down. */
static int take_mtime(struct parse *parse, const struct record *record, struct err *err)
{
	char whole[24];
	size_t len = strcspn(record->value, ".");
	const char *fraction = record->value[len] ? record->value + len + 1 : "";
	size_t zeros = strspn(fraction, "0");

	if (len >= sizeof(whole) || strspn(fraction, "0123456789") != strlen(fraction))
		return err_set(err, ERR_INPUT, "is no time in range");
	memcpy(whole, record->value, len);
	whole[len] = '\0';
	if (parse_int64(&parse->pax->mtime, whole, NULL) < 0)
		return err_set(err, ERR_INPUT, "is no time in range");
	if (whole[0] == '-' && fraction[zeros] && parse->pax->mtime > INT64_MIN)
		parse->pax->mtime--;
	parse->pax->has_mtime = true;
	return 0;
}

static int take_unknown_sparse(struct parse *parse, const struct record *record, struct err *err)
{
	(void)parse;
	(void)record;
	return err_set(err, ERR_INPUT, "belongs to a form of sparse files that kiln does not read");
}

/* ---- sparse files ---- */

static int take_realsize(struct parse *parse, const struct record *record, struct err *err)
{
	if (parse->pax->sparse.realsize >= 0)
		return err_set(err, ERR_INPUT, "is the second size of a sparse file");
	return take_number(record, &parse->pax->sparse.realsize, err);
}

static int take_major(struct parse *parse, const struct record *record, struct err *err)
{
	parse->has_major = true;
	parse->pax->sparse.kind = TAR_SPARSE_PAX_1;
	return strcmp(record->value, "1") == 0 ? 0 : take_unknown_sparse(parse, record, err);
}

static int take_minor(struct parse *parse, const struct record *record, struct err *err)
{
	parse->has_minor = true;
	parse->pax->sparse.kind = TAR_SPARSE_PAX_1;
	return strcmp(record->value, "0") == 0 ? 0 : take_unknown_sparse(parse, record, err);
}

static int take_blocks(struct parse *parse, const struct record *record, struct err *err)
{
	parse->pax->sparse.kind = TAR_SPARSE_PAX_0;
	return take_number(record, &parse->blocks, err);
}

static int take_map(struct parse *parse, const struct record *record, struct err *err)
{
	if (parse->pax->sparse.count > 0 || parse->pax->sparse.offset >= 0)
		return err_set(err, ERR_INPUT, "is the second map of a sparse file");
	parse->pax->sparse.kind = TAR_SPARSE_PAX_0;
	return tar_sparse_list(&parse->pax->sparse, record->value, err);
}

/* libarchive pairs these only after it has seen the number of blocks. */
static int take_extent(struct parse *parse, const struct record *record, struct err *err)
{
	bool is_offset = strcmp(record->key, "GNU.sparse.offset") == 0;
	int64_t number;

	if (take_number(record, &number, err) < 0)
		return -1;
	if (parse->blocks < 0 || is_offset == (parse->pax->sparse.offset >= 0))
		return err_set(err, ERR_INPUT, "is out of order");
	return tar_sparse_number(&parse->pax->sparse, number, err);
}

static int check_sparse(const struct parse *parse, struct err *err)
{
	const struct tar_sparse *sparse = &parse->pax->sparse;
	bool has_extents = sparse->count > 0 || sparse->offset >= 0 || parse->blocks >= 0;
	bool is_whole = sparse->realsize >= 0;

	if (sparse->kind == TAR_SPARSE_PAX_1)
		is_whole = is_whole && parse->has_major && parse->has_minor && !has_extents;
	else
		is_whole = is_whole && sparse->offset < 0 &&
			   (parse->blocks < 0 || (uint64_t)parse->blocks == sparse->count);
	/* A size or a name alone would make it sparse for some and plain for others. */
	if (sparse->kind == TAR_SPARSE_NONE)
		is_whole = false;
	return is_whole ? 0 : err_set(err, ERR_INPUT, "the sparse map of a pax header is not complete");
}

/* ---- keys ---- */

enum key_flags { KEY_SPARSE = 1 << 0, KEY_REPEATS = 1 << 1, KEY_NOT_GLOBAL = 1 << 2, KEY_PREFIX = 1 << 3 };

static const struct key {
	const char *name;
	int (*take)(struct parse *parse, const struct record *record, struct err *err); /* NULL: others use it */
	unsigned flags;
} keys[] = {
	{ "path", take_path, KEY_NOT_GLOBAL },
	{ "linkpath", take_link, KEY_NOT_GLOBAL },
	{ "size", take_size, KEY_NOT_GLOBAL },
	{ "uid", take_uid, KEY_NOT_GLOBAL },
	{ "gid", take_gid, KEY_NOT_GLOBAL },
	{ "mtime", take_mtime, KEY_NOT_GLOBAL },
	{ "GNU.sparse.name", take_sparse_name, KEY_SPARSE },
	{ "GNU.sparse.size", take_realsize, KEY_SPARSE },
	{ "GNU.sparse.realsize", take_realsize, KEY_SPARSE },
	{ "GNU.sparse.major", take_major, KEY_SPARSE },
	{ "GNU.sparse.minor", take_minor, KEY_SPARSE },
	{ "GNU.sparse.numblocks", take_blocks, KEY_SPARSE },
	{ "GNU.sparse.map", take_map, KEY_SPARSE },
	{ "GNU.sparse.offset", take_extent, KEY_SPARSE | KEY_REPEATS },
	{ "GNU.sparse.numbytes", take_extent, KEY_SPARSE | KEY_REPEATS },
	{ "GNU.sparse", take_unknown_sparse, KEY_SPARSE | KEY_PREFIX },
	{ "SCHILY.realsize", take_unknown_sparse, KEY_NOT_GLOBAL },
	{ "SUN.holesdata", take_unknown_sparse, KEY_NOT_GLOBAL },
	{ "SCHILY.xattr.", NULL, KEY_NOT_GLOBAL | KEY_PREFIX },
	{ "LIBARCHIVE.xattr.", NULL, KEY_NOT_GLOBAL | KEY_PREFIX },
};

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(name, keys[i].name) == 0 ||
		    ((keys[i].flags & KEY_PREFIX) && text_starts(name, keys[i].name)))
			return &keys[i];
	}
	return NULL;
}

/* ---- records ---- */

static int malformed(struct err *err)
{
	return err_set(err, ERR_INPUT, "a pax header has a malformed record");
}

/* Cuts one record off *next. */
static int cut_record(char **next, char *end, struct record *record, struct err *err)
{
	char *start = *next, *at = start;
	size_t len = 0;

	while (at < end && *at >= '0' && *at <= '9' && len < TAR_SPECIAL_MAX)
		len = len * 10 + (size_t)(*at++ - '0');
	/* libarchive stops at records of a million bytes. */
	if (at == start || at == end || *at != ' ' || len > 999999 || len > (size_t)(end - start) ||
	    len < (size_t)(at - start) + 4 || start[len - 1] != '\n')
		return malformed(err);
	char *key = at + 1, *last = start + len - 1;
	char *equals = memchr(key, '=', (size_t)(last - key));
	if (!equals || equals == key || memchr(key, '\0', (size_t)(equals - key)))
		return malformed(err);
	*equals = *last = '\0';
	*record = (struct record){ key, equals + 1, (size_t)(last - equals - 1) };
	*next = start + len;
	return 0;
}

static int check_record(const struct record *record, struct err *err)
{
	/* Attribute values are bytes; in all others a NUL ends the text for some readers only. */
	if (memchr(record->value, '\0', record->value_len) && !text_starts(record->key, "SCHILY.xattr."))
		return err_set(err, ERR_INPUT, "holds a NUL byte");
	/* libarchive 3.6 compares 17 bytes of every such key. */
	if (record->key[0] == 'L' && strlen(record->key) < strlen("LIBARCHIVE.xattr."))
		return err_set(err, ERR_INPUT, "is not a known key");
	return 0;
}

static int take_record(struct parse *parse, const struct record *record, struct err *err)
{
	const struct key *key = find_key(record->key);

	if (check_record(record, err) < 0)
		return -1;
	if (!key)
		return 0;
	if ((key->flags & KEY_SPARSE) && !(parse->flags & UNTAR_ALLOW_SPARSE))
		return err_set(err, ERR_INPUT, "a sparse file is not accepted here");
	return key->take ? key->take(parse, record, err) : 0;
}

static int wrap_key(const struct record *record, struct err *err)
{
	char shown[256];

	return err_wrap(err, "pax record \"%s\"", err_printable(shown, sizeof(shown), record->key));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Readers take the first or the last of two. */
static int check_duplicates(const char **names, size_t count, struct err *err)
{
	if (count > 1)
		qsort(names, count, sizeof(*names), by_text);
	for (size_t i = 1; i < count; i++) {
		const struct key *key = find_key(names[i]);
		if (strcmp(names[i - 1], names[i]) == 0 && !(key && (key->flags & KEY_REPEATS))) {
			err_set(err, ERR_INPUT, "is given twice");
			return wrap_key(&(struct record){ .key = names[i] }, err);
		}
	}
	return 0;
}

static void add_name(const char ***names, size_t *count, const char *name)
{
	if (*count % 64 == 0) {
		*names = reallocarray(*names, *count + 64, sizeof(**names));
		if (!*names)
			abort();
	}
	(*names)[(*count)++] = name;
}

int tar_pax_parse(struct tar_pax *pax, char *body, size_t len, unsigned flags, struct err *err)
{
	struct parse parse = { .pax = pax, .flags = flags, .blocks = -1 };
	scope_free const char **names = NULL;
	size_t count = 0;
	bool is_sparse = false;

	*pax = (struct tar_pax){ 0 };
	tar_sparse_init(&pax->sparse, TAR_SPARSE_NONE);
	for (char *next = body; next < body + len;) {
		struct record record;
		if (cut_record(&next, body + len, &record, err) < 0)
			return -1;
		if (take_record(&parse, &record, err) < 0)
			return wrap_key(&record, err);
		is_sparse = is_sparse || text_starts(record.key, "GNU.sparse");
		add_name(&names, &count, record.key);
	}
	if (check_duplicates(names, count, err) < 0)
		return -1;
	return is_sparse ? check_sparse(&parse, err) : 0;
}

int tar_pax_check_global(char *body, size_t len, struct err *err)
{
	for (char *next = body; next < body + len;) {
		struct record record;
		if (cut_record(&next, body + len, &record, err) < 0)
			return -1;
		const struct key *key = find_key(record.key);
		if (key && (key->flags & (KEY_NOT_GLOBAL | KEY_SPARSE))) {
			err_set(err, ERR_INPUT, "stands in a global header, which some readers ignore");
			return wrap_key(&record, err);
		}
	}
	return 0;
}
