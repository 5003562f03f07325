/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "kiln/base/scope.h"
#include "signature.h"

/* Has the size of the structs in it, so that another build of kiln does not misread them. */
static const char header[16] = { 'k', 'i', 'l', 'n', '-', 's', 'i', 'g', '1', (char)sizeof(struct listed) };

/* A directory in a signature file. */
struct block {
	struct signature self;
	uint64_t count, names_len;
};

struct signature signature_of(const struct stat *st)
{
	return (struct signature){
		.mtime = st->st_mtim.tv_sec,
		.ctime = st->st_ctim.tv_sec,
		.ino = st->st_ino,
		.size = S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size,
		.rdev = st->st_rdev,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
		.ctime_ns = (uint32_t)st->st_ctim.tv_nsec,
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
	};
}

bool signature_equal(const struct signature *a, const struct signature *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool signature_is_dir(const struct signature *signature)
{
	return S_ISDIR(signature->mode);
}

const char *listing_name(const struct listing *listing, size_t i)
{
	return listing->names.ptr + listing->entries[i].name;
}

void listing_release(struct listing *listing)
{
	free(listing->entries);
	strbuf_release(&listing->names);
	*listing = (struct listing){ 0 };
}

static void reserve(struct listing *listing, size_t count)
{
	if (count <= listing->cap)
		return;
	listing->cap = count > listing->cap * 2 ? count : listing->cap * 2;
	listing->entries = reallocarray(listing->entries, listing->cap, sizeof(*listing->entries));
	if (!listing->entries)
		abort();
}

static void add_name(struct listing *listing, const struct dirent64 *dirent)
{
	const char *name = dirent->d_name;

	if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
		return;
	reserve(listing, listing->count + 1);
	listing->entries[listing->count++] = (struct listed){ .signature.ino = dirent->d_ino,
							      .name = listing->names.len };
	strbuf_add(&listing->names, name, strlen(name) + 1);
}

static int read_names(struct listing *listing, int dir_fd, struct err *err)
{
	_Alignas(struct dirent64) char bytes[32768];
	ssize_t len;

	while ((len = getdents64(dir_fd, bytes, sizeof(bytes))) > 0) {
		for (ssize_t at = 0; at < len;) {
			const struct dirent64 *dirent = (const struct dirent64 *)(const void *)(bytes + at);
			add_name(listing, dirent);
			at += dirent->d_reclen;
		}
	}
	return len < 0 ? err_errno(err, "read a directory") : 0;
}

static int compare_ino(const void *a, const void *b)
{
	uint64_t x = ((const struct listed *)a)->signature.ino, y = ((const struct listed *)b)->signature.ino;

	return (x > y) - (x < y);
}

static int compare_name(const void *a, const void *b, void *names)
{
	return strcmp((const char *)names + ((const struct listed *)a)->name,
		      (const char *)names + ((const struct listed *)b)->name);
}

static int stat_entries(struct listing *listing, int dir_fd, struct err *err)
{
	struct stat st;

	for (size_t i = 0; i < listing->count; i++) {
		if (fstatat(dir_fd, listing_name(listing, i), &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(err, "stat %s", listing_name(listing, i));
		listing->entries[i].signature = signature_of(&st);
	}
	return 0;
}

static int scan_again(struct listing *listing, int dir_fd, const struct listing *then, struct err *err)
{
	reserve(listing, then->count);
	memcpy(listing->entries, then->entries, then->count * sizeof(*then->entries));
	listing->count = then->count;
	strbuf_add(&listing->names, then->names.ptr, then->names.len);
	return stat_entries(listing, dir_fd, err);
}

int listing_scan(struct listing *listing, int dir_fd, const struct listing *then, struct err *err)
{
	struct stat st;

	if (fstat(dir_fd, &st) < 0)
		return err_errno(err, "stat a directory");
	listing->self = signature_of(&st);
	if (then->count > 0 && signature_equal(&listing->self, &then->self))
		return scan_again(listing, dir_fd, then, err);
	if (read_names(listing, dir_fd, err) < 0)
		return -1;
	if (listing->count == 0)
		return 0;
	qsort(listing->entries, listing->count, sizeof(*listing->entries), compare_ino);
	if (stat_entries(listing, dir_fd, err) < 0)
		return -1;
	qsort_r(listing->entries, listing->count, sizeof(*listing->entries), compare_name, listing->names.ptr);
	return 0;
}

/* ---- the file ---- */

static int put(FILE *file, const void *bytes, size_t len, struct err *err)
{
	if (len > 0 && fwrite_unlocked(bytes, 1, len, file) != len)
		return err_errno(err, "write signatures");
	return 0;
}

static int get(FILE *file, void *bytes, size_t len, struct err *err)
{
	if (len > 0 && fread_unlocked(bytes, 1, len, file) != len)
		return err_set(err, ERR_CORRUPT, "the signatures of the working tree end early");
	return 0;
}

int signatures_begin(FILE *file, struct err *err)
{
	return put(file, header, sizeof(header), err);
}

int signatures_write(FILE *file, const struct listing *listing, struct err *err)
{
	struct block block = { listing->self, listing->count, listing->names.len };

	if (put(file, &block, sizeof(block), err) < 0 ||
	    put(file, listing->entries, listing->count * sizeof(*listing->entries), err) < 0)
		return -1;
	return put(file, listing->names.ptr, listing->names.len, err);
}

FILE *signatures_open(int dir_fd, const char *name, struct err *err)
{
	scope_fd int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	scope_file FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char found[sizeof(header)];

	if (!file) {
		err_errno(err, "open signatures");
		return NULL;
	}
	take_fd(&fd);
	if (get(file, found, sizeof(found), err) < 0)
		return NULL;
	if (memcmp(found, header, sizeof(header)) != 0) {
		err_set(err, ERR_CORRUPT, "the signatures of the working tree are none");
		return NULL;
	}
	return take_ptr(file);
}

static bool names_are_whole(const struct listing *listing)
{
	const struct strbuf *names = &listing->names;

	if (names->len > 0 && names->ptr[names->len - 1])
		return false;
	for (size_t i = 0; i < listing->count; i++) {
		if (listing->entries[i].name >= names->len)
			return false;
	}
	return true;
}

int signatures_read(FILE *file, struct listing *listing, struct err *err)
{
	struct block block;

	if (get(file, &block, sizeof(block), err) < 0)
		return -1;
	if (block.names_len > INT32_MAX || block.count > block.names_len)
		return err_set(err, ERR_CORRUPT, "the signatures of the working tree are damaged");
	listing->self = block.self;
	listing->count = 0;
	reserve(listing, block.count);
	strbuf_reset(&listing->names);
	strbuf_reserve(&listing->names, block.names_len);
	if (get(file, listing->entries, block.count * sizeof(*listing->entries), err) < 0 ||
	    get(file, listing->names.ptr, block.names_len, err) < 0)
		return -1;
	listing->count = block.count;
	listing->names.len = block.names_len;
	if (!names_are_whole(listing))
		return err_set(err, ERR_CORRUPT, "the signatures of the working tree are damaged");
	return 0;
}

int signatures_skip(FILE *file, struct err *err)
{
	scope_listing struct listing passed = { 0 };

	for (uint64_t left = 1; left > 0; left--) {
		if (signatures_read(file, &passed, err) < 0)
			return -1;
		for (size_t i = 0; i < passed.count; i++)
			left += signature_is_dir(&passed.entries[i].signature);
	}
	return 0;
}
