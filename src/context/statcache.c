/* SPDX-License-Identifier: Apache-2.0 */
#include "statcache.h"
#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/scope.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * The stat cache: one file for one context, read whole, kept as a hash table of paths, written again when something
 * changed. File: MAGIC, then for each path a struct record and the path's bytes, at last the SHA-256 of all that: stamps say
 * whether a record is about this file, but not whether its digest is what was written.
 *
 * A stamp proves nothing about a file that was changed at the very time it was read: the same tick can hold both. So a
 * digest is remembered only if the file had been at rest for longer than its file system's clock can blur: a tick where it
 * keeps nanoseconds, two seconds where it does not (NFS, FAT). git calls such entries racy.
 */
static const char magic[8] = "kilnst3\n";
enum { CACHE_FILE_MAX = 256 << 20, ENTRIES_MAX = 2000000, PATH_BYTES_MAX = 65535, UNUSED_MIN = 10000 };

struct record {
	uint64_t dev, ino;
	int64_t size, mtime_ns, ctime_ns;
	uint32_t mode, path_len;
	struct digest digest;
};

struct entry {
	struct record record;
	const char *path; /* not terminated; in the arena or the file's text */
	bool is_used;     /* by this build */
};

struct stat_cache {
	int dir_fd;
	char *name;
	struct arena arena;
	struct strbuf text;
	struct entry *entries;
	size_t count, cap;
	uint32_t *table;   /* 1 + index into entries; 0 free */
	size_t table_size; /* a power of two */
	bool changed;
	int64_t hits;
};

static uint64_t hash_path(const char *path, size_t len)
{
	uint64_t hash = 14695981039346656037u;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)path[i]) * 1099511628211u;
	return hash;
}

static uint32_t *find_slot(const struct stat_cache *cache, const char *path, size_t len)
{
	size_t i = hash_path(path, len) & (cache->table_size - 1);
	for (;; i = (i + 1) & (cache->table_size - 1)) {
		uint32_t index = cache->table[i];
		if (index == 0)
			return &cache->table[i];
		const struct entry *entry = &cache->entries[index - 1];
		if (entry->record.path_len == len && memcmp(entry->path, path, len) == 0)
			return &cache->table[i];
	}
}

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* Room for count entries, in a table that is at most half full. */
static void reserve(struct stat_cache *cache, size_t count)
{
	if (count > cache->cap) {
		cache->cap = count;
		cache->entries = must(reallocarray(cache->entries, cache->cap, sizeof(*cache->entries)));
	}
	if (count * 2 <= cache->table_size)
		return;
	while (cache->table_size < count * 2)
		cache->table_size = cache->table_size ? cache->table_size * 2 : 4096;
	free(cache->table);
	cache->table = must(calloc(cache->table_size, sizeof(*cache->table)));
	for (size_t i = 0; i < cache->count; i++)
		*find_slot(cache, cache->entries[i].path, cache->entries[i].record.path_len) = (uint32_t)i + 1;
}

static struct entry *add_entry(struct stat_cache *cache, const struct record *record, const char *path)
{
	if (cache->count == cache->cap)
		reserve(cache, cache->count * 2);
	uint32_t *slot = find_slot(cache, path, record->path_len);
	if (*slot) {
		cache->entries[*slot - 1].record = *record;
		return &cache->entries[*slot - 1];
	}
	cache->entries[cache->count] = (struct entry){ .record = *record, .path = path };
	*slot = (uint32_t)++cache->count;
	return &cache->entries[cache->count - 1];
}

static bool is_whole(const struct strbuf *text)
{
	struct digest digest;
	if (text->len < sizeof(magic) + sizeof(digest) || memcmp(text->ptr, magic, sizeof(magic)) != 0)
		return false;
	size_t len = text->len - sizeof(digest);
	digest_bytes(&digest, text->ptr, len);
	return memcmp(&digest, text->ptr + len, sizeof(digest)) == 0;
}

/* The record at *p and the path behind it; moves *p on. */
static bool next_record(const char **p, const char *end, struct record *record, const char **path)
{
	if ((size_t)(end - *p) < sizeof(*record))
		return false;
	memcpy(record, *p, sizeof(*record));
	*path = *p + sizeof(*record);
	if (record->path_len == 0 || record->path_len > PATH_BYTES_MAX || record->path_len > (size_t)(end - *path))
		return false;
	*p = *path + record->path_len;
	return true;
}

static void load(struct stat_cache *cache)
{
	struct strbuf *text = &cache->text;
	struct record record;
	const char *path;
	size_t count = 0;
	if (file_read(cache->dir_fd, cache->name, CACHE_FILE_MAX, text, NULL) < 0 || !is_whole(text))
		return;
	const char *first = text->ptr + sizeof(magic), *end = text->ptr + text->len - sizeof(struct digest);
	for (const char *p = first; next_record(&p, end, &record, &path);)
		count++;
	reserve(cache, count + count / 8);
	for (const char *p = first; next_record(&p, end, &record, &path);)
		add_entry(cache, &record, path);
}

struct stat_cache *stat_cache_open(int dir_fd, const char *name)
{
	struct stat_cache *cache = must(calloc(1, sizeof(*cache)));
	cache->dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
	cache->name = must(strdup(name));
	reserve(cache, 1024);
	load(cache);
	return cache;
}

/* Another Dockerfile on the same context uses other files, so what this build did not use is kept, until it is the larger
   part: then it is mostly of files that are gone. */
static bool keeps_unused(const struct stat_cache *cache)
{
	size_t used = 0;
	for (size_t i = 0; i < cache->count; i++)
		used += cache->entries[i].is_used;
	return cache->count - used <= used + UNUSED_MIN;
}

static int save(const struct stat_cache *cache, struct err *err)
{
	bool all = keeps_unused(cache);
	scope_strbuf struct strbuf text = { 0 };
	strbuf_add(&text, magic, sizeof(magic));
	for (size_t i = 0; i < cache->count && i < ENTRIES_MAX; i++) {
		if (!all && !cache->entries[i].is_used)
			continue;
		strbuf_add(&text, &cache->entries[i].record, sizeof(struct record));
		strbuf_add(&text, cache->entries[i].path, cache->entries[i].record.path_len);
	}
	struct digest digest;
	digest_bytes(&digest, text.ptr, text.len);
	strbuf_add(&text, &digest, sizeof(digest));
	return file_replace(cache->dir_fd, cache->name, 0600, text.ptr, text.len, false, err);
}

void stat_cache_close(struct stat_cache *cache, bool wants_save)
{
	struct err err;
	if (!cache)
		return;
	if (wants_save && cache->changed && save(cache, &err) < 0)
		log_debug("stat cache: %s", err.msg);
	close(cache->dir_fd);
	free(cache->name);
	free(cache->entries);
	free(cache->table);
	strbuf_release(&cache->text);
	arena_release(&cache->arena);
	free(cache);
}

int64_t stat_cache_hits(const struct stat_cache *cache)
{
	return cache->hits;
}

static int64_t to_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct record make_record(const struct stat *st, size_t path_len)
{
	return (struct record){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime_ns = to_ns(st->st_mtim),
		.ctime_ns = to_ns(st->st_ctim),
		.mode = st->st_mode,
		.path_len = (uint32_t)path_len,
	};
}

bool stat_cache_get(struct stat_cache *cache, const char *path, const struct stat *st, struct digest *digest)
{
	size_t len = strlen(path);
	if (!cache || len == 0 || len > PATH_BYTES_MAX)
		return false;
	uint32_t index = *find_slot(cache, path, len);
	if (!index)
		return false;
	struct entry *have = &cache->entries[index - 1];
	struct record want = make_record(st, len);
	want.digest = have->record.digest;
	if (memcmp(&have->record, &want, sizeof(want)) != 0)
		return false;
	*digest = have->record.digest;
	have->is_used = true;
	cache->hits++;
	return true;
}

static bool was_at_rest(const struct stat *st, struct timespec read_at)
{
	bool has_nanoseconds = st->st_ctim.tv_nsec != 0;
	int64_t blur = has_nanoseconds ? 100 * 1000000 : 2000000000;
	return to_ns(read_at) - to_ns(st->st_ctim) > blur;
}

void stat_cache_put(struct stat_cache *cache, const char *path, const struct stat *st, struct timespec read_at,
		    const struct digest *digest)
{
	size_t len = strlen(path);
	if (!cache || len == 0 || len > PATH_BYTES_MAX || !was_at_rest(st, read_at))
		return;
	struct record record = make_record(st, len);
	record.digest = *digest;
	add_entry(cache, &record, arena_memdup(&cache->arena, path, len))->is_used = true;
	cache->changed = true;
}
