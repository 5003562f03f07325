/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"
#include "kiln/base/scope.h"

/* Go's time.ParseDuration: "300ms", "1.5h", "2h45m". */

#define LIMIT ((uint64_t)1 << 63)

static const struct unit {
	const char *name;
	uint64_t ns;
} units[] = {
	{ "ns", 1 },       { "us", 1000 },      { "\302\265s", 1000 },          { "\316\274s", 1000 },
	{ "ms", 1000000 }, { "s", 1000000000 }, { "m", UINT64_C(60000000000) }, { "h", UINT64_C(3600000000000) },
};

static int invalid(struct arena *arena, const char *text, struct err *err)
{
	return err_set(err, ERR_INPUT, "time: invalid duration %s", quoted(arena, text));
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* False if the number is too large. */
static bool take_whole(const char **at, uint64_t *value)
{
	for (*value = 0; is_digit(**at); (*at)++) {
		if (*value > LIMIT / 10)
			return false;
		*value = *value * 10 + (uint64_t)(**at - '0');
		if (*value > LIMIT)
			return false;
	}
	return true;
}

/* Digits behind the point; those that would overflow do not count. */
static void take_fraction(const char **at, uint64_t *value, double *scale)
{
	bool is_full = false;

	for (*value = 0, *scale = 1; is_digit(**at); (*at)++) {
		if (is_full || *value > (LIMIT - 1) / 10) {
			is_full = true;
			continue;
		}
		uint64_t next = *value * 10 + (uint64_t)(**at - '0');
		is_full = next > LIMIT;
		if (!is_full) {
			*value = next;
			*scale *= 10;
		}
	}
}

static int take_unit(struct arena *arena, const char **at, const char *text, uint64_t *ns, struct err *err)
{
	size_t len = strcspn(*at, ".0123456789");

	if (len == 0)
		return err_set(err, ERR_INPUT, "time: missing unit in duration %s", quoted(arena, text));
	struct slice name = { *at, len };
	*at += len;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (slice_equal(name, units[i].name)) {
			*ns = units[i].ns;
			return 0;
		}
	}
	return err_set(err, ERR_INPUT, "time: unknown unit %s in duration %s", quoted(arena, slice_copy(arena, name)),
		       quoted(arena, text));
}

/* One number with its unit. */
static int take_part(struct arena *arena, const char **at, const char *text, uint64_t *ns, struct err *err)
{
	uint64_t whole = 0, fraction = 0, unit = 1;
	double scale = 1;
	const char *start = *at;

	if (!is_digit(**at) && **at != '.')
		return invalid(arena, text, err);
	if (!take_whole(at, &whole))
		return invalid(arena, text, err);
	bool has_digits = *at > start;
	if (**at == '.') {
		start = ++*at;
		take_fraction(at, &fraction, &scale);
		has_digits = has_digits || *at > start;
	}
	if (!has_digits)
		return invalid(arena, text, err);
	if (take_unit(arena, at, text, &unit, err) < 0)
		return -1;
	if (whole > LIMIT / unit)
		return invalid(arena, text, err);
	*ns = whole * unit;
	if (fraction > 0)
		*ns += (uint64_t)((double)fraction * ((double)unit / scale));
	return *ns > LIMIT ? invalid(arena, text, err) : 0;
}

int duration_parse(struct arena *arena, const char *text, int64_t *ns, struct err *err)
{
	bool is_negative = *text == '-';
	const char *at = text + (*text == '-' || *text == '+');
	uint64_t sum = 0, part = 0;

	if (strcmp(at, "0") == 0) {
		*ns = 0;
		return 0;
	}
	if (!*at)
		return invalid(arena, text, err);
	while (*at) {
		if (take_part(arena, &at, text, &part, err) < 0)
			return -1;
		sum += part;
		if (sum > LIMIT)
			return invalid(arena, text, err);
	}
	if (sum == LIMIT && !is_negative)
		return invalid(arena, text, err);
	*ns = is_negative ? (int64_t)-sum : (int64_t)sum;
	return 0;
}
