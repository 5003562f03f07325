/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kiln/codec/untar.h"

/*
 * The first byte chooses the flags, the rest is a tar. Whatever it is: no crash, and an entry that comes out is within
 * the limits that the reader promises. As checksums stop a fuzzer, every block whose checksum field says "fuzz" gets the
 * right one. The two readers inside never disagree: where they could, the first refuses.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend_checksums(uint8_t *tar, size_t size)
{
	for (size_t at = 0; at + 512 <= size; at += 512) {
		uint8_t *field = tar + at + 148;
		unsigned sum = 0;

		if (memcmp(field, "fuzz", 4) != 0)
			continue;
		memset(field, ' ', 8);
		for (size_t i = 0; i < 512; i++)
			sum += tar[at + i];
		for (int i = 5; i >= 0; i--, sum >>= 3)
			field[i] = (uint8_t)('0' + (sum & 7));
		field[6] = '\0';
	}
}

static void check_item(const struct untar_item *item)
{
	bool is_link = item->type == UNTAR_SYMLINK || item->type == UNTAR_HARDLINK;

	if (!item->path || is_link != (item->link != NULL) || (is_link && !item->link[0]))
		abort();
	if (item->mode > 07777 || item->uid == (uid_t)-1 || item->gid == (gid_t)-1 || item->size < 0)
		abort();
	if (item->type != UNTAR_FILE && item->size != 0)
		abort();
	for (size_t i = 0; i < item->xattr_count; i++) {
		if (!item->xattrs[i].name[0] || !item->xattrs[i].value)
			abort();
		if (i > 0 && strcmp(item->xattrs[i - 1].name, item->xattrs[i].name) >= 0)
			abort();
	}
}

/* Sparse files may be large; the first MiB of each is enough. */
static int read_data(struct untar *untar, const struct untar_item *item, struct err *err)
{
	static char buf[65536];
	int64_t total = 0;
	ssize_t count;

	while (total < 1 << 20 && (count = untar_read(untar, buf, sizeof(buf), err)) > 0)
		total += count;
	if (total < 1 << 20 && count == 0 && total != (item->type == UNTAR_FILE ? item->size : 0))
		abort();
	return total < 1 << 20 && count < 0 ? -1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *tar = malloc(size + 1);
	struct err err = { 0 };
	struct untar_item item;
	int result = -1;

	if (!tar || size == 0) {
		free(tar);
		return 0;
	}
	memcpy(tar, data + 1, size - 1);
	mend_checksums(tar, size - 1);
	struct reader *reader = reader_bytes(tar, size - 1);
	struct untar *untar = untar_open(reader, data[0] & (UNTAR_ALLOW_SPARSE | UNTAR_ALLOW_NO_END), "fuzz", &err);
	while (untar && (result = untar_next(untar, &item, &err)) > 0) {
		check_item(&item);
		if (!(data[0] & 4) && read_data(untar, &item, &err) < 0) {
			result = -1;
			break;
		}
	}
	if (result < 0 && (err.kind != ERR_INPUT || strncmp(err.msg, "fuzz: two readers", 17) == 0))
		abort();
	untar_close(untar);
	reader->close(reader);
	free(tar);
	return 0;
}
