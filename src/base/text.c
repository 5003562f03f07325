/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"

/* Words longer than this are not typing mistakes of an option or an instruction. */
#define NEAREST_MAX 64

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int invalid(const char *what, const char *text, struct err *err)
{
	char shown[256];

	return err_set(err, ERR_INPUT, "\"%s\" is not %s", err_printable(shown, sizeof(shown), text), what);
}

int parse_int64(int64_t *out, const char *text, struct err *err)
{
	char *end;

	if (!is_digit(text[text[0] == '-']))
		return invalid("a whole number", text, err);
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (*end)
		return invalid("a whole number", text, err);
	if (errno)
		return invalid("a number of 64 bits", text, err);
	*out = value;
	return 0;
}

int parse_uint32(uint32_t *out, const char *text, struct err *err)
{
	int64_t value;

	if (parse_int64(&value, text, err) < 0)
		return -1;
	if (value < 0 || value > UINT32_MAX)
		return invalid("a number from 0 to 4294967295", text, err);
	*out = (uint32_t)value;
	return 0;
}

int parse_octal(uint32_t *out, const char *text, uint32_t max, struct err *err)
{
	uint64_t value = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '7'; at++) {
		value = value * 8 + (uint64_t)(*at - '0');
		if (value > max)
			return err_set(err, ERR_INPUT, "%.32s is above the largest octal number here, %o", text, max);
	}
	if (*at || at == text)
		return invalid("an octal number", text, err);
	*out = (uint32_t)value;
	return 0;
}

/* The exponent of 1024 that a suffix means (k, kb, kib and so on, in any case), or -1. */
static int binary_exponent(const char *suffix)
{
	static const char letters[] = "bkmgtpe";

	if (!*suffix)
		return 0;
	const char *letter = strchr(letters, suffix[0] | 0x20);
	if (!letter)
		return -1;
	bool may_have_b = letter != letters;
	if (!suffix[1] || (may_have_b && (text_equal_nocase(suffix + 1, "b") || text_equal_nocase(suffix + 1, "ib"))))
		return (int)(letter - letters);
	return -1;
}

int parse_bytes(int64_t *out, const char *text, struct err *err)
{
	const char *what = "a size like 64m, 1.5g or 512";
	const char *at = text;
	long double value = 0, scale = 1;

	/* By hand, since strtod takes hexadecimal and follows the locale. A long double holds every int64_t. */
	for (; is_digit(*at); at++)
		value = value * 10 + (*at - '0');
	if (at == text)
		return invalid(what, text, err);
	if (*at == '.') {
		for (at++; is_digit(*at); at++) {
			scale /= 10;
			value += scale * (*at - '0');
		}
	}
	at += *at == ' ';
	int exponent = binary_exponent(at);
	if (exponent < 0)
		return invalid(what, text, err);
	value *= (long double)(1ULL << (10 * exponent));
	if (value >= 0x1p63L)
		return invalid("a size below 8 EiB", text, err);
	*out = (int64_t)value;
	return 0;
}

bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool text_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
	size_t len = strlen(text), suffix_len = strlen(suffix);

	return len >= suffix_len && memcmp(text + len - suffix_len, suffix, suffix_len) == 0;
}

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* ASCII only: strcasecmp follows the locale, where Turkish has no lower case i for I. */
bool text_equal_nocase(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return *a == *b;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Levenshtein distance by one row of the matrix; words above NEAREST_MAX are infinitely far. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NEAREST_MAX + 1];
	size_t b_len = strlen(b);

	if (b_len > NEAREST_MAX || strnlen(a, NEAREST_MAX + 1) > NEAREST_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0]++;
		for (size_t j = 0; j < b_len; j++) {
			size_t changed = diagonal + (lower(a[i]) != lower(b[j]));
			diagonal = row[j + 1];
			row[j + 1] = smallest(row[j] + 1, diagonal + 1, changed);
		}
	}
	return row[b_len];
}

const char *text_nearest(const char *word, const char *const *candidates, size_t count)
{
	const char *nearest = NULL;
	size_t best = 3;

	for (size_t i = 0; i < count; i++) {
		size_t d = distance(word, candidates[i]);
		if (d < best) {
			best = d;
			nearest = candidates[i];
		}
	}
	return nearest;
}
