/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include "kiln/context/context.h"

struct mode_case {
	const char *text;
	mode_t from;
	bool is_dir;
	mode_t want;
};

static void check_all(const struct mode_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct err err = { 0 };
		mode_t got = 0;
		if (chmod_apply(cases[i].text, cases[i].from, cases[i].is_dir, &got, &err) < 0)
			fail_msg("%s: %s", cases[i].text, err.msg);
		if (got != cases[i].want)
			fail_msg("%s of %04o is %04o, not %04o", cases[i].text, cases[i].from, got, cases[i].want);
	}
}

static void octal_modes_replace_all_bits(void **state)
{
	static const struct mode_case cases[] = {
		{ "0", 07777, false, 0 },     { "644", 04755, false, 0644 }, { "0755", 0, true, 0755 },
		{ "07777", 0, false, 07777 }, { "1777", 0644, true, 01777 }, { "00644", 0, false, 0644 },
	};

	(void)state;
	check_all(cases, ARRAY_LEN(cases));
}

static void symbolic_modes_change_the_classes_that_they_name(void **state)
{
	static const struct mode_case cases[] = {
		{ "u+x", 0644, false, 0744 },         { "go-w", 0666, false, 0644 },
		{ "a=r", 0755, false, 0444 },         { "+x", 0644, false, 0755 },
		{ "=rw", 0755, false, 0666 },         { "go=", 0777, false, 0700 },
		{ "u=rw,g=r,o=", 0777, false, 0640 }, { "u+x-w+r", 0200, false, 0500 },
		{ "ug+rw,o-rwx", 0005, false, 0660 }, { "u+", 0644, false, 0644 },
		{ "a-rwx", 07777, false, 07000 },
	};

	(void)state;
	check_all(cases, ARRAY_LEN(cases));
}

static void big_x_is_for_directories_and_what_was_executable(void **state)
{
	static const struct mode_case cases[] = {
		{ "a+X", 0644, false, 0644 },
		{ "a+X", 0744, false, 0755 },
		{ "a+X", 0644, true, 0755 },
		{ "u=rw,go=r,a+X", 0600, true, 0755 },
		{ "=rw,+X", 0755, false, 0777 },
		/* the mode as it was at first counts, not what clauses before have made of it */
		{ "a-x,a+X", 0755, false, 0755 },
		{ "u+x,g+X", 0644, false, 0744 },
		/* only '+' knows X */
		{ "a=X", 0755, false, 0 },
		{ "a-X", 0755, false, 0755 },
		{ "u=rwX,go=rX", 0755, true, 0644 },
	};

	(void)state;
	check_all(cases, ARRAY_LEN(cases));
}

static void set_id_and_sticky_bits_follow_bsd(void **state)
{
	static const struct mode_case cases[] = {
		{ "u+s", 0755, false, 04755 },   { "g+s", 0755, false, 02755 },  { "+s", 0755, false, 06755 },
		{ "o+s", 0755, false, 0755 },    { "+t", 0777, true, 01777 },    { "u+t", 0777, true, 01777 },
		{ "o+t", 0777, true, 0777 },     { "+rt", 0, false, 01000 },     { "u=rwxs", 0, false, 04700 },
		{ "a=rx", 07777, false, 01555 }, { "u=rw", 04755, false, 0655 }, { "-s", 06755, false, 0755 },
	};

	(void)state;
	check_all(cases, ARRAY_LEN(cases));
}

static void classes_can_be_copied_from_each_other(void **state)
{
	static const struct mode_case cases[] = {
		{ "g=u", 0740, false, 0770 },
		{ "go=u-w", 0700, false, 0755 },
		{ "u+g", 0050, false, 0550 },
		{ "u-o", 0705, false, 0205 },
		{ "a=g", 0750, false, 0555 },
		/* set-id bits are not of a class that is copied */
		{ "u=g", 04750, false, 04550 },
		{ "=u", 0640, false, 0666 },
	};

	(void)state;
	check_all(cases, ARRAY_LEN(cases));
}

static void what_is_no_mode_is_refused_in_buildkits_words(void **state)
{
	static const char *const not_octal[] = { "64a", "8", "0o644", "10000", "7777777777777777", "644 ", "0x1" };
	static const char *const not_symbolic[] = { "",    "u",    "x",  "u+x,", ",u+x", "u+q", "u+x g+x",
						    "u~x", "-644", "+1", "rwx",  "u=,",  " u+x" };
	struct err err;
	mode_t out = 0123;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(not_octal); i++) {
		assert_int_equal(chmod_apply(not_octal[i], 0644, false, &out, &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
		assert_non_null(strstr(err.msg, "it should be octal string and between 0 and 07777"));
		assert_non_null(strstr(err.msg, not_octal[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(not_symbolic); i++) {
		if (chmod_apply(not_symbolic[i], 0644, false, &out, &err) == 0)
			fail_msg("\"%s\" was taken", not_symbolic[i]);
		assert_int_equal(err.kind, ERR_INPUT);
		assert_non_null(strstr(err.msg, "invalid syntax"));
	}
	assert_int_equal(out, 0123);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(octal_modes_replace_all_bits),
		cmocka_unit_test(symbolic_modes_change_the_classes_that_they_name),
		cmocka_unit_test(big_x_is_for_directories_and_what_was_executable),
		cmocka_unit_test(set_id_and_sticky_bits_follow_bsd),
		cmocka_unit_test(classes_can_be_copied_from_each_other),
		cmocka_unit_test(what_is_no_mode_is_refused_in_buildkits_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
