/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tarcheck.h"

/* Header blocks as POSIX ustar, GNU tar and V7 write them. */

bool tar_block_is_zero(const struct tar_block *block)
{
	static const struct tar_block zero;

	return memcmp(block, &zero, sizeof(zero)) == 0;
}

static bool octal_number(const char *field, size_t len, int64_t *out)
{
	size_t i = 0;
	int64_t value = 0;

	while (i < len && field[i] == ' ')
		i++;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++) {
		if (value > INT64_MAX >> 3)
			return false;
		value = value << 3 | (field[i] - '0');
	}
	/* Readers that stop at the first other byte and readers that trim both ends differ on anything else here. */
	while (i < len && (field[i] == ' ' || field[i] == '\0'))
		i++;
	*out = value;
	return i == len;
}

/* Two's complement, most significant byte first; the top bit of the field only says that it is one. */
static bool base256_number(const char *field, size_t len, int64_t *out)
{
	bool is_negative = field[0] & 0x40;
	uint8_t sign = is_negative ? 0xff : 0;
	uint64_t value = is_negative ? UINT64_MAX : 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)field[i];
		if (i == 0)
			byte = is_negative ? byte | 0x80 : byte & 0x7f;
		if ((value >> 56) != sign)
			return false;
		value = value << 8 | byte;
	}
	*out = (int64_t)value;
	return (value >> 63) == is_negative;
}

bool tar_number(const char *field, size_t len, int64_t *out)
{
	return field[0] & 0x80 ? base256_number(field, len, out) : octal_number(field, len, out);
}

int tar_range(const char *what, int64_t value, int64_t min, int64_t max, struct err *err)
{
	if (value >= min && value <= max)
		return 0;
	return err_set(err, ERR_INPUT, "the %s %lld is out of range", what, (long long)value);
}

/* Old tars summed signed bytes; every reader accepts both. */
bool tar_block_is_header(const struct tar_block *block)
{
	const char *bytes = (const char *)block;
	size_t from = offsetof(struct tar_block, checksum), to = from + sizeof(block->checksum);
	int64_t stored, plain = 0, with_sign = 0;

	for (size_t i = 0; i < sizeof(*block); i++) {
		char byte = i >= from && i < to ? ' ' : bytes[i];
		plain += (unsigned char)byte;
		with_sign += (signed char)byte;
	}
	if ((block->checksum[0] & 0x80) || !tar_number(block->checksum, sizeof(block->checksum), &stored))
		return false;
	return stored == plain || stored == with_sign;
}

/* libarchive takes "ustar" with anything behind it for ustar, Go wants the NUL. */
int tar_block_format(const struct tar_block *block, struct err *err)
{
	int64_t time;

	if (memcmp(block->magic, "ustar  ", 8) == 0) {
		/* Go takes a GNU header with anything else here for one with a prefix. */
		if (!tar_number(block->gnu.atime, sizeof(block->gnu.atime), &time) ||
		    !tar_number(block->gnu.ctime, sizeof(block->gnu.ctime), &time))
			return err_set(err, ERR_INPUT, "a GNU header has times that are no numbers");
		return TAR_GNU;
	}
	if (memcmp(block->magic, "ustar", 5) != 0)
		return TAR_V7;
	if (block->magic[5] != '\0')
		return err_set(err, ERR_INPUT, "a header has an unknown magic");
	/* star keeps times in the last 24 bytes of the prefix. */
	if (memcmp(block->trailer, "tar", 4) == 0 && !memchr(block->prefix, '\0', 131))
		return err_set(err, ERR_INPUT, "a star header has a prefix without an end");
	return TAR_USTAR;
}
