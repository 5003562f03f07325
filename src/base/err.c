/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "kiln/base/err.h"
#include "kiln/base/scope.h"

/* Length of the UTF-8 character at text (Unicode 15, table 3-7), or 0 if its bytes are not one. */
static size_t utf8_length(const unsigned char *text, uint32_t *code)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t smallest;
	} forms[] = { { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };

	for (size_t n = 0; n < ARRAY_LEN(forms); n++) {
		if ((text[0] & forms[n].mask) != forms[n].lead)
			continue;
		*code = text[0] & (unsigned char)~forms[n].mask;
		for (size_t i = 1; i <= n; i++) {
			if ((text[i] & 0xc0) != 0x80)
				return 0;
			*code = *code << 6 | (text[i] & 0x3f);
		}
		bool is_surrogate = *code >= 0xd800 && *code <= 0xdfff;
		return *code < forms[n].smallest || *code > 0x10ffff || is_surrogate ? 0 : n + 1;
	}
	return 0;
}

/* Besides C0 and C1: line separators and the bidirectional controls, which let a file name rewrite the line it is
   printed in. */
static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200e && code <= 0x200f) ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

char *err_printable(char *out, unsigned long size, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *from = (const unsigned char *)text;
	size_t len = 0;

	while (*from) {
		uint32_t code;
		size_t count = utf8_length(from, &code);
		bool is_escaped = count == 0 || is_control(code);

		count = count ? count : 1;
		if (len + count * (is_escaped ? 4 : 1) >= size)
			break;
		for (size_t i = 0; i < count; i++, from++) {
			if (is_escaped) {
				memcpy(out + len, "\\x", 2);
				out[len + 2] = hex[*from >> 4];
				out[len + 3] = hex[*from & 15];
				len += 4;
			} else {
				out[len++] = (char)*from;
			}
		}
	}
	if (size > 0)
		out[len] = '\0';
	return out;
}

/* A message that was cut may end inside a UTF-8 character, which some terminals and JSON writers refuse. */
static void drop_cut_character(char *msg, size_t len)
{
	size_t start = len;
	uint32_t code;

	while (start > 0 && len - start < 4 && ((unsigned char)msg[start - 1] & 0xc0) == 0x80)
		start--;
	if (start > 0 && (unsigned char)msg[start - 1] >= 0xc0 &&
	    utf8_length((const unsigned char *)msg + start - 1, &code) != len - start + 1)
		msg[start - 1] = '\0';
}

static void fill(struct err *err, enum err_kind kind, int sys, const char *suffix, const char *fmt, va_list args)
{
	/* Formatted aside, since the arguments may point into err->msg. */
	char msg[sizeof(err->msg)];
	int len = vsnprintf(msg, sizeof(msg), fmt, args);

	if (len < 0)
		len = snprintf(msg, sizeof(msg), "%s", fmt);
	if (suffix && (size_t)len < sizeof(msg))
		len += snprintf(msg + len, sizeof(msg) - (size_t)len, ": %s", suffix);
	if ((size_t)len >= sizeof(msg))
		drop_cut_character(msg, sizeof(msg) - 1);

	err->kind = kind;
	err->sys = sys;
	memcpy(err->msg, msg, sizeof(msg) - 1 < (size_t)len ? sizeof(msg) : (size_t)len + 1);
}

int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	int saved = errno;
	va_list args;

	if (err) {
		va_start(args, fmt);
		fill(err, kind, 0, NULL, fmt, args);
		va_end(args);
	}
	errno = saved;
	return -1;
}

int err_errno(struct err *err, const char *fmt, ...)
{
	int saved = errno;
	va_list args;

	if (err) {
		va_start(args, fmt);
		fill(err, ERR_SYSTEM, saved, strerror(saved), fmt, args);
		va_end(args);
	}
	errno = saved;
	return -1;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	int saved = errno;
	va_list args;

	if (err) {
		va_start(args, fmt);
		fill(err, err->kind, err->sys, err->msg, fmt, args);
		va_end(args);
	}
	errno = saved;
	return -1;
}

int err_status(struct err *err, enum err_kind kind, int sys, const char *fmt, ...)
{
	int saved = errno;
	va_list args;

	if (err) {
		va_start(args, fmt);
		fill(err, kind, sys, NULL, fmt, args);
		va_end(args);
	}
	errno = saved;
	return -1;
}

bool err_is_errno(const struct err *err, int sys)
{
	return err && err->kind == ERR_SYSTEM && err->sys == sys;
}
