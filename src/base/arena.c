/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kiln/base/arena.h"

#define BLOCK_SIZE ((size_t)64 * 1024)
#define ALIGNMENT  _Alignof(max_align_t)

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t size;
	_Alignas(max_align_t) char bytes[];
};

static struct arena_block *block_new(size_t size)
{
	struct arena_block *block = calloc(1, sizeof(*block) + size);

	if (!block)
		abort();
	block->size = size;
	return block;
}

/* A large request gets a block of its own behind the current one, which stays open for small requests. */
static struct arena_block *block_with_room(struct arena *arena, size_t size)
{
	struct arena_block *current = arena->blocks;

	if (current && current->size - current->used >= size)
		return current;
	if (current && size > BLOCK_SIZE / 4) {
		struct arena_block *own = block_new(size);
		own->next = current->next;
		current->next = own;
		return own;
	}
	size_t room = BLOCK_SIZE - sizeof(*current);
	struct arena_block *block = block_new(size > room ? size : room);
	block->next = current;
	arena->blocks = block;
	return block;
}

static void *take(struct arena *arena, size_t size, size_t alignment)
{
	assert(size <= PTRDIFF_MAX - 2 * BLOCK_SIZE);
	struct arena_block *block = block_with_room(arena, size + alignment - 1);

	block->used += -block->used & (alignment - 1);
	void *taken = block->bytes + block->used;
	block->used += size;
	arena->total += size;
	return taken;
}

void arena_release(struct arena *arena)
{
	int saved = errno;

	while (arena->blocks) {
		struct arena_block *block = arena->blocks;
		arena->blocks = block->next;
		free(block);
	}
	arena->total = 0;
	errno = saved;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	return take(arena, size, ALIGNMENT);
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total))
		abort();
	return take(arena, total, ALIGNMENT);
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return text ? arena_strndup(arena, text, strlen(text)) : NULL;
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
	size_t used = strnlen(text, len);
	char *copy = take(arena, used + 1, 1);

	memcpy(copy, text, used);
	return copy;
}

void *arena_memdup(struct arena *arena, const void *bytes, size_t len)
{
	void *copy = arena_alloc(arena, len);

	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	char *text = arena_vprintf(arena, fmt, args);
	va_end(args);
	return text;
}

char *arena_vprintf(struct arena *arena, const char *fmt, va_list args)
{
	va_list again;

	va_copy(again, args);
	int len = vsnprintf(NULL, 0, fmt, args);
	if (len < 0)
		abort();
	char *text = take(arena, (size_t)len + 1, 1);
	vsnprintf(text, (size_t)len + 1, fmt, again);
	va_end(again);
	return text;
}

/* The capacity is not stored: an array that only arena_push has grown is full exactly when its count is 0, 4, 8, 16 ... */
void *arena_push(struct arena *arena, void *items, size_t *count, size_t size)
{
	char **array = items;
	bool is_full = *count == 0 || (*count >= 4 && (*count & (*count - 1)) == 0);

	if (is_full) {
		char *grown = arena_calloc(arena, *count ? 2 * *count : 4, size);
		if (*count > 0)
			memcpy(grown, *array, *count * size);
		*array = grown;
	}
	return memset(*array + size * (*count)++, 0, size);
}
