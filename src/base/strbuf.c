/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kiln/base/strbuf.h"

void strbuf_release(struct strbuf *buf)
{
	int saved = errno;

	free(buf->ptr);
	*buf = (struct strbuf){ 0 };
	errno = saved;
}

const char *strbuf_str(const struct strbuf *buf)
{
	return buf->ptr ? buf->ptr : "";
}

void strbuf_reserve(struct strbuf *buf, size_t more)
{
	if (more >= PTRDIFF_MAX - buf->len)
		abort();
	size_t needed = buf->len + more + 1;
	if (needed <= buf->cap)
		return;

	size_t doubled = buf->cap < PTRDIFF_MAX / 2 ? buf->cap * 2 : needed;
	size_t cap = needed > doubled ? needed : doubled;
	cap = cap > 32 ? cap : 32;
	char *ptr = realloc(buf->ptr, cap);
	if (!ptr)
		abort();
	buf->ptr = ptr;
	buf->cap = cap;
	buf->ptr[buf->len] = '\0';
}

void strbuf_reset(struct strbuf *buf)
{
	strbuf_truncate(buf, 0);
}

void strbuf_add(struct strbuf *buf, const void *bytes, size_t len)
{
	strbuf_reserve(buf, len);
	if (len > 0)
		memcpy(buf->ptr + buf->len, bytes, len);
	buf->len += len;
	buf->ptr[buf->len] = '\0';
}

void strbuf_addstr(struct strbuf *buf, const char *text)
{
	strbuf_add(buf, text, strlen(text));
}

void strbuf_addch(struct strbuf *buf, char c)
{
	strbuf_add(buf, &c, 1);
}

void strbuf_addf(struct strbuf *buf, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	strbuf_vaddf(buf, fmt, args);
	va_end(args);
}

void strbuf_vaddf(struct strbuf *buf, const char *fmt, va_list args)
{
	va_list again;

	va_copy(again, args);
	int len = vsnprintf(NULL, 0, fmt, args);
	if (len < 0)
		abort();
	strbuf_reserve(buf, (size_t)len);
	vsnprintf(buf->ptr + buf->len, (size_t)len + 1, fmt, again);
	buf->len += (size_t)len;
	va_end(again);
}

void strbuf_truncate(struct strbuf *buf, size_t len)
{
	if (len >= buf->len)
		return;
	buf->len = len;
	buf->ptr[len] = '\0';
}

char *strbuf_detach(struct strbuf *buf)
{
	strbuf_reserve(buf, 0);
	char *text = buf->ptr;
	*buf = (struct strbuf){ 0 };
	return text;
}

void strvec_release(struct strvec *vec)
{
	int saved = errno;

	for (size_t i = 0; i < vec->count; i++)
		free(vec->items[i]);
	free(vec->items);
	*vec = (struct strvec){ 0 };
	errno = saved;
}

static void strvec_push_owned(struct strvec *vec, char *text)
{
	if (vec->count + 2 > vec->cap) {
		size_t cap = vec->cap ? vec->cap * 2 : 8;
		char **items = reallocarray(vec->items, cap, sizeof(*items));
		if (!items)
			abort();
		vec->items = items;
		vec->cap = cap;
	}
	vec->items[vec->count++] = text;
	vec->items[vec->count] = NULL;
}

void strvec_push(struct strvec *vec, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	strvec_push_owned(vec, copy);
}

void strvec_pushf(struct strvec *vec, const char *fmt, ...)
{
	struct strbuf text = { 0 };
	va_list args;

	va_start(args, fmt);
	strbuf_vaddf(&text, fmt, args);
	va_end(args);
	strvec_push_owned(vec, strbuf_detach(&text));
}

char *const *strvec_argv(const struct strvec *vec)
{
	static char *const none[] = { NULL };

	return vec->items ? vec->items : none;
}
