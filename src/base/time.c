/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#define DAY 86400

/*
 * Calendar arithmetic by hand: libc's functions look at TZ ("right/..." zones count leap seconds), and the time stamps
 * in an image must not depend on the machine. Both use the proleptic Gregorian calendar with years that begin in March,
 * so that the leap day is the last of its year.
 */
struct date {
	int64_t year;
	int month; /* 1 to 12 */
	int day;   /* 1 to 31 */
};

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t days_from_date(struct date date)
{
	int64_t year = date.year - (date.month <= 2);
	int64_t era = floor_div(year, 400);
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * ((date.month + 9) % 12) + 2) / 5 + date.day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static struct date date_from_days(int64_t days)
{
	days += 719468;
	int64_t era = floor_div(days, 146097);
	int64_t day_of_era = days - era * 146097;
	int64_t year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
	int month = (int)((5 * day_of_year + 2) / 153); /* from March */

	return (struct date){
		.year = year + era * 400 + (month >= 10),
		.month = month < 10 ? month + 3 : month - 9,
		.day = (int)(day_of_year - (153 * month + 2) / 5) + 1,
	};
}

char *time_rfc3339(struct arena *arena, struct timespec t)
{
	int64_t days = floor_div(t.tv_sec, DAY);
	int second = (int)(t.tv_sec - days * DAY);
	struct date date = date_from_days(days);
	char fraction[16] = "";

	if (t.tv_nsec > 0) {
		size_t len = (size_t)snprintf(fraction, sizeof(fraction), ".%09ld", (long)t.tv_nsec % 1000000000);
		while (fraction[len - 1] == '0')
			fraction[--len] = '\0';
	}
	return arena_printf(arena, "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d%sZ", date.year, date.month, date.day,
			    second / 3600, second / 60 % 60, second % 60, fraction);
}

static int days_in_month(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && is_leap);
}

/* Exactly `count` digits, then one of the characters in `ends` (NULL: nothing is looked at); moves *at behind both. */
static bool take_number(const char **at, int count, char end, int *value)
{
	*value = 0;
	for (int i = 0; i < count; i++, (*at)++) {
		if (**at < '0' || **at > '9')
			return false;
		*value = *value * 10 + (**at - '0');
	}
	if (!end)
		return true;
	return *(*at)++ == end;
}

static bool take_fraction(const char **at, long *nsec)
{
	long scale = 100000000;

	*nsec = 0;
	if (**at != '.')
		return true;
	const char *start = ++*at;
	for (; **at >= '0' && **at <= '9'; (*at)++, scale /= 10)
		*nsec += scale * (**at - '0');
	return *at > start;
}

static bool take_zone(const char **at, int *seconds_east)
{
	int hour, minute;
	char sign = *(*at)++;

	*seconds_east = 0;
	if (sign == 'Z')
		return true;
	if ((sign != '+' && sign != '-') || !take_number(at, 2, ':', &hour) || !take_number(at, 2, 0, &minute))
		return false;
	*seconds_east = (sign == '-' ? -1 : 1) * (hour * 3600 + minute * 60);
	return hour <= 24 && minute < 60;
}

static bool parse_time(struct timespec *out, const char *at)
{
	int year, month, day, hour, minute, second, east;
	long nsec;

	if (!take_number(&at, 4, '-', &year) || !take_number(&at, 2, '-', &month) || !take_number(&at, 2, 'T', &day) ||
	    !take_number(&at, 2, ':', &hour) || !take_number(&at, 2, ':', &minute) ||
	    !take_number(&at, 2, 0, &second) || !take_fraction(&at, &nsec) || !take_zone(&at, &east) || *at)
		return false;
	if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 ||
	    second > 59)
		return false;

	int64_t days = days_from_date((struct date){ .year = year, .month = month, .day = day });
	out->tv_sec = days * DAY + hour * 3600 + minute * 60 + second - east;
	out->tv_nsec = nsec;
	return true;
}

int time_parse_rfc3339(struct timespec *out, const char *text, struct err *err)
{
	struct timespec t;
	char shown[64];

	if (!parse_time(&t, text))
		return err_set(err, ERR_INPUT, "\"%s\" is not a time like 2026-01-02T03:04:05Z",
			       err_printable(shown, sizeof(shown), text));
	*out = t;
	return 0;
}

/* go-units v0.5, HumanDuration: the first row whose limit (in its own unit) is above the value. */
char *time_ago(struct arena *arena, int64_t seconds)
{
	int64_t minutes = seconds / 60, hours = seconds / 3600 + (seconds % 3600 >= 1800);
	const struct {
		int64_t value, limit, shown;
		const char *word;
	} rows[] = {
		{ seconds, 1, 0, "Less than a second" },
		{ seconds, 2, 0, "1 second" },
		{ seconds, 60, seconds, "seconds" },
		{ minutes, 2, 0, "About a minute" },
		{ minutes, 60, minutes, "minutes" },
		{ hours, 2, 0, "About an hour" },
		{ hours, 48, hours, "hours" },
		{ hours, 24 * 7 * 2, hours / 24, "days" },
		{ hours, 24 * 30 * 2, hours / 24 / 7, "weeks" },
		{ hours, 24 * 365 * 2, hours / 24 / 30, "months" },
		{ 0, 1, seconds / 3600 / 24 / 365, "years" },
	};
	size_t i = 0;

	while (rows[i].value >= rows[i].limit)
		i++;
	if (rows[i].shown == 0)
		return arena_printf(arena, "%s ago", rows[i].word);
	return arena_printf(arena, "%" PRId64 " %s ago", rows[i].shown, rows[i].word);
}

/* Three significant digits by whole numbers, since printf's "%g" follows the locale and writes 999.9 as 1e+03. */
char *size_words(struct arena *arena, int64_t bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	const char *sign = bytes < 0 ? "-" : "";
	uint64_t size = bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;
	uint64_t unit = 1;
	size_t i = 0;

	/* What would round to 1000 belongs to the next unit, and what would round to 10.0 or 100 has a digit less. */
	while (i + 1 < ARRAY_LEN(units) && size >= unit * 1000 - unit / 2) {
		unit *= 1000;
		i++;
	}
	int decimals = unit == 1 ? 0 : size < unit * 10 - unit / 200 ? 2 : size < unit * 100 - unit / 20 ? 1 : 0;
	uint64_t power = decimals == 2 ? 100 : decimals == 1 ? 10 : 1;
	uint64_t step = unit / power;
	uint64_t rounded = (size + step / 2) / step;
	uint64_t whole = rounded / power, rest = rounded % power;

	for (; decimals > 0 && rest % 10 == 0; decimals--)
		rest /= 10;
	if (decimals == 0)
		return arena_printf(arena, "%s%" PRIu64 "%s", sign, whole, units[i]);
	return arena_printf(arena, "%s%" PRIu64 ".%0*" PRIu64 "%s", sign, whole, decimals, rest, units[i]);
}
