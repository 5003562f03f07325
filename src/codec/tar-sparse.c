/* SPDX-License-Identifier: Apache-2.0 */
#include "tarcheck.h"

/*
 * * Four forms of one list: fields in a GNU header, records of a pax header (0.0), one record (0.1), lines before the
 * data (1.0). Whatever the form, the map has to be one that every reader expands to the same file.
 */

#define EXTENTS_MAX 262144 /* libarchive keeps about 72 bytes of each */

void tar_sparse_init(struct tar_sparse *sparse, enum tar_sparse_kind kind)
{
	*sparse = (struct tar_sparse){ .kind = kind, .realsize = -1, .offset = -1, .lines_left = -1 };
}

int tar_sparse_extent(struct tar_sparse *sparse, int64_t offset, int64_t len, struct err *err)
{
	if (++sparse->count > EXTENTS_MAX)
		return err_set(err, ERR_INPUT, "a sparse map has more than %d extents", EXTENTS_MAX);
	if (offset < sparse->end || len < 0 || offset > TAR_SIZE_MAX || len > TAR_SIZE_MAX)
		return err_set(err, ERR_INPUT, "a sparse map is not in order");
	sparse->end = offset + len;
	sparse->stored += len;
	return 0;
}

int tar_sparse_fields(struct tar_sparse *sparse, const struct tar_sparse_field *fields, size_t count, struct err *err)
{
	for (size_t i = 0; i < count && (fields[i].offset[0] || fields[i].len[0]); i++) {
		int64_t offset, len;
		/* GNU tar stops at an empty length, libarchive and Go at an empty offset. */
		if (!fields[i].offset[0] || !fields[i].len[0])
			return err_set(err, ERR_INPUT, "a sparse map has an offset without a length");
		if (!tar_number(fields[i].offset, sizeof(fields[i].offset), &offset) ||
		    !tar_number(fields[i].len, sizeof(fields[i].len), &len))
			return err_set(err, ERR_INPUT, "a sparse map holds something that is no number");
		if (tar_sparse_extent(sparse, offset, len, err) < 0)
			return -1;
	}
	return 0;
}

int tar_sparse_number(struct tar_sparse *sparse, int64_t number, struct err *err)
{
	int64_t offset = sparse->offset;

	if (offset < 0) {
		sparse->offset = number;
		return 0;
	}
	sparse->offset = -1;
	return tar_sparse_extent(sparse, offset, number, err);
}

static int add_digit(int64_t *number, char digit, struct err *err)
{
	if (digit < '0' || digit > '9' || *number > TAR_SIZE_MAX)
		return err_set(err, ERR_INPUT, "a sparse map holds something that is no number");
	*number = *number * 10 + (digit - '0');
	return 0;
}

int tar_sparse_list(struct tar_sparse *sparse, const char *text, struct err *err)
{
	const char *next = text;

	for (;;) {
		int64_t number = 0;
		do {
			if (add_digit(&number, *next++, err) < 0)
				return -1;
		} while (*next != ',' && *next != '\0');
		if (tar_sparse_number(sparse, number, err) < 0)
			return -1;
		if (*next++ == '\0')
			break;
	}
	return sparse->offset < 0 ? 0 : err_set(err, ERR_INPUT, "a sparse map has an offset without a length");
}

static int take_line(struct tar_sparse *sparse, struct err *err)
{
	if (sparse->lines_left >= 0) {
		sparse->lines_left--;
		return tar_sparse_number(sparse, sparse->line, err);
	}
	if (sparse->line > EXTENTS_MAX)
		return err_set(err, ERR_INPUT, "a sparse map has more than %d extents", EXTENTS_MAX);
	sparse->lines_left = 2 * sparse->line;
	return 0;
}

int tar_sparse_byte(struct tar_sparse *sparse, char byte, struct err *err)
{
	sparse->map_len++;
	if (byte != '\n' || !sparse->has_digits) {
		sparse->has_digits = true;
		return add_digit(&sparse->line, byte, err);
	}
	if (take_line(sparse, err) < 0)
		return -1;
	sparse->line = 0;
	sparse->has_digits = false;
	return sparse->lines_left == 0;
}

int tar_sparse_finish(const struct tar_sparse *sparse, int64_t stored, struct err *err)
{
	if (sparse->realsize < 0 || sparse->realsize > TAR_SIZE_MAX)
		return err_set(err, ERR_INPUT, "a sparse file has no size or one out of range");
	if (sparse->end > sparse->realsize)
		return err_set(err, ERR_INPUT, "a sparse map ends behind the end of its file");
	if (sparse->stored != stored)
		return err_set(err, ERR_INPUT, "a sparse map does not match the data that is stored");
	return 0;
}
