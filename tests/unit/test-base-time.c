/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/text.h"
#include "scratch.h"

#define MINUTE 60
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static const struct {
	const char *text;
	int64_t sec;
	long nsec;
} times[] = {
	{ "1970-01-01T00:00:00Z", 0, 0 },
	{ "1969-12-31T23:59:59.999999999Z", -1, 999999999 },
	{ "2026-01-02T03:04:05Z", 1767323045, 0 },
	{ "2026-01-02T03:04:05.1Z", 1767323045, 100000000 },
	{ "2026-01-02T03:04:05.000000001Z", 1767323045, 1 },
	{ "2000-02-29T12:00:00Z", 951825600, 0 },
	{ "1900-03-01T00:00:00Z", -2203891200, 0 },
	{ "2100-02-28T23:59:59Z", 4107542399, 0 },
	{ "2100-03-01T00:00:00Z", 4107542400, 0 },
	{ "0001-01-01T00:00:00Z", -62135596800, 0 }, /* Go's zero time, which old images have as their date */
	{ "9999-12-31T23:59:59Z", 253402300799, 0 },
};

static void times_are_written_as_go_writes_them(void **state)
{
	scope_arena struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		struct timespec t = { .tv_sec = times[i].sec, .tv_nsec = times[i].nsec };
		assert_string_equal(time_rfc3339(&arena, t), times[i].text);
	}
}

static void times_are_read_back(void **state)
{
	struct err err = { 0 };
	struct timespec t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		assert_ok(time_parse_rfc3339(&t, times[i].text, &err), err);
		assert_int_equal(t.tv_sec, times[i].sec);
		assert_int_equal(t.tv_nsec, times[i].nsec);
	}
}

static void every_day_of_a_leap_cycle_survives(void **state)
{
	struct err err = { 0 };

	(void)state;
	for (int64_t day = -150000; day < 150000; day += 1) {
		scope_arena struct arena arena = { 0 };
		struct timespec t = { .tv_sec = day * DAY + 86399 }, back;
		assert_ok(time_parse_rfc3339(&back, time_rfc3339(&arena, t), &err), err);
		assert_int_equal(back.tv_sec, t.tv_sec);
	}
}

static void the_zone_of_the_machine_does_not_matter(void **state)
{
	scope_arena struct arena arena = { 0 };

	(void)state;
	setenv("TZ", "right/Asia/Tokyo", 1);
	tzset();
	assert_string_equal(time_rfc3339(&arena, (struct timespec){ .tv_sec = 1767323045 }), "2026-01-02T03:04:05Z");
	unsetenv("TZ");
	tzset();
}

static void zones_and_fractions_are_understood(void **state)
{
	struct err err = { 0 };
	struct timespec t;

	(void)state;
	assert_ok(time_parse_rfc3339(&t, "2026-01-02T05:34:05+02:30", &err), err);
	assert_int_equal(t.tv_sec, 1767323045);
	assert_ok(time_parse_rfc3339(&t, "2026-01-01T19:04:05.5-08:00", &err), err);
	assert_int_equal(t.tv_sec, 1767323045);
	assert_int_equal(t.tv_nsec, 500000000);
	assert_ok(time_parse_rfc3339(&t, "2026-01-02T03:04:05.1234567899999Z", &err), err);
	assert_int_equal(t.tv_nsec, 123456789);
}

static void wrong_times_are_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"2026",
		"2026-01-02",
		"2026-01-02 03:04:05Z",
		"2026-01-02T03:04:05",
		"2026-01-02T03:04:05z",
		"2026-01-02T03:04:05Zx",
		"2026-01-02T03:04:05.Z",
		"2026-01-02T03:04:05+0200",
		"2026-01-02T03:04:05+02:60",
		"2026-1-2T03:04:05Z",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-01-00T00:00:00Z",
		"2026-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z",
		"2026-01-02T24:00:00Z",
		"2026-01-02T00:60:00Z",
		"2026-01-02T00:00:60Z",
		"-001-01-02T00:00:00Z",
		"12026-01-02T00:00:00Z",
	};
	struct timespec t = { .tv_sec = 42 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct err err = { 0 };
		if (time_parse_rfc3339(&t, wrong[i], &err) == 0)
			fail_msg("\"%s\" was read", wrong[i]);
		assert_int_equal(err.kind, ERR_INPUT);
	}
	assert_int_equal(t.tv_sec, 42);
}

/* The cases of go-units' own test, and the edges between its rows. */
static void ages_are_docker_words(void **state)
{
	static const struct {
		int64_t seconds;
		const char *words;
	} cases[] = {
		{ -5, "Less than a second ago" },
		{ 0, "Less than a second ago" },
		{ 1, "1 second ago" },
		{ 45, "45 seconds ago" },
		{ 59, "59 seconds ago" },
		{ 60, "About a minute ago" },
		{ 119, "About a minute ago" },
		{ 3 * MINUTE, "3 minutes ago" },
		{ 35 * MINUTE + 40, "35 minutes ago" },
		{ 60 * MINUTE - 1, "59 minutes ago" },
		{ HOUR, "About an hour ago" },
		{ HOUR + 29 * MINUTE, "About an hour ago" },
		{ HOUR + 30 * MINUTE, "2 hours ago" },
		{ 3 * HOUR, "3 hours ago" },
		{ 3 * HOUR + 29 * MINUTE, "3 hours ago" },
		{ 3 * HOUR + 31 * MINUTE, "4 hours ago" },
		{ 24 * HOUR, "24 hours ago" },
		{ 36 * HOUR, "36 hours ago" },
		{ 2 * DAY, "2 days ago" },
		{ 7 * DAY, "7 days ago" },
		{ 13 * DAY + 5 * HOUR, "13 days ago" },
		{ 2 * 7 * DAY, "2 weeks ago" },
		{ 2 * 7 * DAY + 4 * DAY, "2 weeks ago" },
		{ 3 * 7 * DAY, "3 weeks ago" },
		{ 4 * 7 * DAY + 3 * DAY, "4 weeks ago" },
		{ 59 * DAY, "8 weeks ago" },
		{ 60 * DAY, "2 months ago" },
		{ 23 * 30 * DAY, "23 months ago" },
		{ 24 * 30 * DAY, "24 months ago" },
		{ 24 * 30 * DAY + 2 * 7 * DAY, "2 years ago" },
		{ 3LL * 365 * DAY + 2LL * 30 * DAY, "3 years ago" },
		{ INT64_MAX, "292471208677 years ago" },
	};
	scope_arena struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(time_ago(&arena, cases[i].seconds), cases[i].words);
}

static void sizes_are_docker_words(void **state)
{
	static const struct {
		int64_t bytes;
		const char *words;
	} cases[] = {
		{ 0, "0B" },
		{ 1, "1B" },
		{ 999, "999B" },
		{ 1000, "1kB" },
		{ 1024, "1.02kB" },
		{ 4850, "4.85kB" },
		{ 9994, "9.99kB" },
		{ 9996, "10kB" },
		{ 10040, "10kB" },
		{ 10060, "10.1kB" },
		{ 99940, "99.9kB" },
		{ 99960, "100kB" },
		{ 100400, "100kB" },
		{ 999400, "999kB" },
		{ 999600, "1MB" },
		{ 1000000, "1MB" },
		{ 1048576, "1.05MB" },
		{ 74800000, "74.8MB" },
		{ 1234567890, "1.23GB" },
		{ 1500000000000, "1.5TB" },
		{ 32 * 1000000000000000LL, "32PB" },
		{ INT64_MAX, "9.22EB" },
		{ INT64_MIN, "-9.22EB" },
		{ -4850, "-4.85kB" },
	};
	scope_arena struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(size_words(&arena, cases[i].bytes), cases[i].words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_written_as_go_writes_them),
		cmocka_unit_test(times_are_read_back),
		cmocka_unit_test(every_day_of_a_leap_cycle_survives),
		cmocka_unit_test(the_zone_of_the_machine_does_not_matter),
		cmocka_unit_test(zones_and_fractions_are_understood),
		cmocka_unit_test(wrong_times_are_refused),
		cmocka_unit_test(ages_are_docker_words),
		cmocka_unit_test(sizes_are_docker_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
