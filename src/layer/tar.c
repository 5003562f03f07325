/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kiln/layer/tar.h"

#include "shown.h"

/* POSIX 1003.1-2008, pax interchange format, "ustar Header Block". */
struct ustar {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[6];
	char version[2];
	char uname[32];
	char gname[32];
	char dev_major[8];
	char dev_minor[8];
	char prefix[155];
	char unused[12];
};
_Static_assert(sizeof(struct ustar) == TAR_BLOCK, "a header is one block");

/* Readers (Go, libarchive) refuse more. */
enum { PAX_MAX = 1 << 20 };

size_t tar_padding(int64_t size)
{
	return (size_t)(-size & (TAR_BLOCK - 1));
}

/* Octal digits and a NUL. */
static bool fits(size_t width, int64_t value)
{
	return value >= 0 && value < INT64_C(1) << (3 * (width - 1));
}

/* A number that does not fit is 0 here: the pax record has it. */
static void put_number(char *field, size_t width, int64_t value)
{
	uint64_t rest = fits(width, value) ? (uint64_t)value : 0;

	field[width - 1] = '\0';
	for (size_t i = width - 1; i-- > 0; rest >>= 3)
		field[i] = (char)('0' + (rest & 7));
}

/* Copies the ASCII bytes of text, as many as fit; returns how many there were. */
static size_t put_ascii(char *field, size_t width, const char *text)
{
	size_t len = 0;

	for (; *text; text++) {
		if ((unsigned char)*text >= 0x80)
			continue;
		if (len < width)
			field[len] = *text;
		len++;
	}
	return len;
}

/* The pax record has the whole name where this one is cut. Some readers take a regular file whose field ends in '/' for a
   directory, so a cut there goes back before the slashes. */
static void put_name(char *field, size_t width, const char *text)
{
	size_t end = width - 1;

	if (put_ascii(field, width, text) <= width || field[end] != '/')
		return;
	while (end > 0 && field[end - 1] == '/')
		end--;
	field[end] = '\0';
}

static void seal(struct ustar *block)
{
	unsigned sum = 0;

	memcpy(block->magic, "ustar", 6);
	memcpy(block->version, "00", 2);
	memset(block->checksum, ' ', sizeof(block->checksum));
	for (size_t i = 0; i < sizeof(*block); i++)
		sum += ((const unsigned char *)block)[i];
	put_number(block->checksum, 7, sum);
}

static bool needs_record(const char *text)
{
	size_t len = 0;

	for (; text[len]; len++)
		if ((unsigned char)text[len] >= 0x80)
			return true;
	return len > 100;
}

static size_t digits(size_t n)
{
	size_t count = 1;

	while (n /= 10)
		count++;
	return count;
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts its own digits. */
static void add_record(struct strbuf *records, const char *prefix, const char *key, const void *value, size_t len)
{
	size_t bare = strlen(prefix) + strlen(key) + len + 3;
	size_t total = bare + digits(bare);

	if (digits(total) != digits(bare))
		total = bare + digits(total);
	strbuf_addf(records, "%zu %s%s=", total, prefix, key);
	strbuf_add(records, value, len);
	strbuf_addch(records, '\n');
}

static void add_text_record(struct strbuf *records, const char *key, const char *text)
{
	if (needs_record(text))
		add_record(records, "", key, text, strlen(text));
}

static void add_number_record(struct strbuf *records, const char *key, size_t width, int64_t value)
{
	char text[24];

	if (fits(width, value))
		return;
	int len = snprintf(text, sizeof(text), "%lld", (long long)value);
	add_record(records, "", key, text, (size_t)len);
}

/* A reader ends the key at the first '=', so such a name would come back as another one. */
static int add_xattr_records(struct strbuf *records, const struct layer_entry *entry, struct err *err)
{
	if (entry->is_hardlink)
		return 0;
	for (size_t i = 0; i < entry->xattr_count; i++) {
		const struct layer_xattr *xattr = &entry->xattrs[i];

		if (strchr(xattr->name, '='))
			return err_set(err, ERR_INPUT,
				       "%s: the extended attribute %s cannot be in a layer: its name holds '='",
				       SHOWN(entry->path), SHOWN(xattr->name));
		add_record(records, "SCHILY.xattr.", xattr->name, xattr->value, xattr->len);
	}
	return 0;
}

/* Bytewise sorted: capitals come first. */
static int collect_records(struct strbuf *records, const struct layer_entry *entry, const char *name, int64_t size,
			   struct err *err)
{
	if (add_xattr_records(records, entry, err) < 0)
		return -1;
	add_number_record(records, "gid", sizeof(((struct ustar *)0)->gid), entry->gid);
	if (entry->link)
		add_text_record(records, "linkpath", entry->link);
	add_number_record(records, "mtime", sizeof(((struct ustar *)0)->mtime), entry->mtime);
	add_text_record(records, "path", name);
	add_number_record(records, "size", sizeof(((struct ustar *)0)->size), size);
	add_number_record(records, "uid", sizeof(((struct ustar *)0)->uid), entry->uid);
	if (records->len > PAX_MAX)
		return err_set(err, ERR_INPUT,
			       "%s: the extended attributes are larger than a tar header can be (1 MiB)",
			       SHOWN(entry->path));
	return 0;
}

static void add_padding(struct strbuf *buf, size_t size)
{
	static const char zeros[TAR_BLOCK];

	strbuf_add(buf, zeros, tar_padding((int64_t)size));
}

/* Go's name for the 'x' block: "dir/PaxHeaders.0/base", where a directory's own name is all dir. */
static void add_records_block(struct strbuf *buf, const char *name, const struct strbuf *records)
{
	scope_strbuf struct strbuf full = { 0 };
	struct ustar block = { .type = 'x' };
	const char *slash = strrchr(name, '/');
	size_t dir_len = slash ? (size_t)(slash - name) + 1 : 0;

	strbuf_add(&full, name, dir_len);
	strbuf_addstr(&full, name[dir_len] ? "PaxHeaders.0/" : "PaxHeaders.0");
	strbuf_addstr(&full, name + dir_len);
	size_t len = put_ascii(block.name, sizeof(block.name), full.ptr);
	len = len < sizeof(block.name) ? len : sizeof(block.name);
	while (len > 0 && block.name[len - 1] == '/')
		block.name[--len] = '\0';
	put_number(block.mode, sizeof(block.mode), 0);
	put_number(block.uid, sizeof(block.uid), 0);
	put_number(block.gid, sizeof(block.gid), 0);
	put_number(block.size, sizeof(block.size), (int64_t)records->len);
	put_number(block.mtime, sizeof(block.mtime), 0);
	seal(&block);

	strbuf_add(buf, &block, sizeof(block));
	strbuf_add(buf, records->ptr, records->len);
	add_padding(buf, records->len);
}

static char type_flag(const struct layer_entry *entry)
{
	if (entry->is_hardlink)
		return '1';
	switch (entry->mode & S_IFMT) {
	case S_IFREG:
		return '0';
	case S_IFLNK:
		return '2';
	case S_IFCHR:
		return '3';
	case S_IFBLK:
		return '4';
	case S_IFDIR:
		return '5';
	case S_IFIFO:
		return '6';
	default:
		return '\0';
	}
}

static bool is_device(const struct layer_entry *entry)
{
	return !entry->is_hardlink && (S_ISCHR(entry->mode) || S_ISBLK(entry->mode));
}

static void fill_block(struct ustar *block, const struct layer_entry *entry, const char *name, int64_t size)
{
	dev_t device = is_device(entry) ? entry->rdev : 0;

	block->type = type_flag(entry);
	put_name(block->name, sizeof(block->name), name);
	if (entry->link)
		put_name(block->link, sizeof(block->link), entry->link);
	put_number(block->mode, sizeof(block->mode), entry->mode & 07777);
	put_number(block->uid, sizeof(block->uid), entry->uid);
	put_number(block->gid, sizeof(block->gid), entry->gid);
	put_number(block->size, sizeof(block->size), size);
	put_number(block->mtime, sizeof(block->mtime), entry->mtime);
	put_number(block->dev_major, sizeof(block->dev_major), major(device));
	put_number(block->dev_minor, sizeof(block->dev_minor), minor(device));
	seal(block);
}

/* There is no pax record for device numbers. */
static int check_entry(const struct layer_entry *entry, struct err *err)
{
	if (type_flag(entry) == '\0')
		return err_set(err, ERR_INPUT, "%s: a file of this type cannot be in a layer", SHOWN(entry->path));
	if (is_device(entry) && (!fits(8, major(entry->rdev)) || !fits(8, minor(entry->rdev))))
		return err_set(err, ERR_INPUT, "%s: the device number %u:%u is too large for a layer",
			       SHOWN(entry->path), major(entry->rdev), minor(entry->rdev));
	return 0;
}

int tar_header(struct strbuf *buf, const struct layer_entry *entry, struct err *err)
{
	scope_strbuf struct strbuf records = { 0 };
	scope_strbuf struct strbuf name = { 0 };
	struct ustar block = { 0 };
	int64_t size = S_ISREG(entry->mode) && !entry->is_hardlink ? entry->size : 0;

	assert(entry->path[0] && entry->path[0] != '/');
	strbuf_addstr(&name, entry->path);
	if (S_ISDIR(entry->mode) && !entry->is_hardlink)
		strbuf_addch(&name, '/');
	if (check_entry(entry, err) < 0 || collect_records(&records, entry, name.ptr, size, err) < 0)
		return -1;
	if (records.len > 0)
		add_records_block(buf, name.ptr, &records);
	fill_block(&block, entry, name.ptr, size);
	strbuf_add(buf, &block, sizeof(block));
	return 0;
}

int tar_whiteout(struct strbuf *buf, const char *path, struct err *err)
{
	scope_strbuf struct strbuf name = { 0 };
	const char *slash = strrchr(path, '/');
	size_t dir_len = slash ? (size_t)(slash - path) + 1 : 0;

	strbuf_add(&name, path, dir_len);
	strbuf_addstr(&name, ".wh.");
	strbuf_addstr(&name, path + dir_len);
	return tar_header(buf, &(struct layer_entry){ .path = name.ptr, .mode = S_IFREG }, err);
}
