/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_BASE_ARENA_H
#define KILN_BASE_ARENA_H

#include "kiln/base/err.h"

#include <stdarg.h>
#include <stddef.h>

/*
 * Memory for what is parsed and what is derived from it: a Dockerfile, a manifest, a plan. Everything in an arena lives
 * until arena_release; nothing in it is freed alone. Zero-initialise to start. Never returns NULL: out of memory
 * aborts. Memory is zeroed and aligned for any type.
 */
struct arena_block;
struct arena {
	struct arena_block *blocks;
	size_t total; /* bytes handed out, for tests and limits */
};

void arena_release(struct arena *arena);
#define scope_arena __attribute__((cleanup(arena_release)))

void *arena_alloc(struct arena *arena, size_t size);
#define arena_new(arena, type)          ((type *)arena_alloc((arena), sizeof(type)))
#define arena_array(arena, type, count) ((type *)arena_calloc((arena), (count), sizeof(type)))
void *arena_calloc(struct arena *arena, size_t count, size_t size);

char *arena_strdup(struct arena *arena, const char *text); /* NULL gives NULL */
char *arena_strndup(struct arena *arena, const char *text, size_t len);
void *arena_memdup(struct arena *arena, const void *bytes, size_t len);
char *arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *arena, const char *fmt, va_list args);

/* Grows an array that lives in the arena: *items has *count used elements of `size` bytes; returns the new, zeroed
   element and raises *count. Capacity doubles (old copies stay in the arena until it ends). The array starts as NULL
   with a count of 0 and only this function grows it: its capacity follows from the count. */
void *arena_push(struct arena *arena, void *items, size_t *count, size_t size);
#define ARENA_PUSH(arena, items, count) \
	((__typeof__(*(items)) *)arena_push((arena), (void *)&(items), &(count), sizeof(*(items))))

#endif
