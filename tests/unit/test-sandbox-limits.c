/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox-cage.h"

#include <sys/resource.h>

/* Resource limits of a step: their words, and that the step has them. */

static void a_limit_is_read_as_docker_writes_it(void **state)
{
	static const struct {
		const char *text, *name;
		int resource;
		uint64_t soft, hard;
	} table[] = {
		{ "nofile=1024:2048", "nofile", RLIMIT_NOFILE, 1024, 2048 },
		{ "nofile=1024", "nofile", RLIMIT_NOFILE, 1024, 1024 },
		{ "nproc=-1", "nproc", RLIMIT_NPROC, UINT64_MAX, UINT64_MAX },
		{ "core=0:-1", "core", RLIMIT_CORE, 0, UINT64_MAX },
		{ "core=-1:-1", "core", RLIMIT_CORE, UINT64_MAX, UINT64_MAX },
		{ "cpu=5", "cpu", RLIMIT_CPU, 5, 5 },
		{ "data=5", "data", RLIMIT_DATA, 5, 5 },
		{ "fsize=9223372036854775807", "fsize", RLIMIT_FSIZE, INT64_MAX, INT64_MAX },
		{ "locks=5", "locks", RLIMIT_LOCKS, 5, 5 },
		{ "memlock=5", "memlock", RLIMIT_MEMLOCK, 5, 5 },
		{ "msgqueue=5", "msgqueue", RLIMIT_MSGQUEUE, 5, 5 },
		{ "nice=5", "nice", RLIMIT_NICE, 5, 5 },
		{ "rss=5", "rss", RLIMIT_RSS, 5, 5 },
		{ "rtprio=5", "rtprio", RLIMIT_RTPRIO, 5, 5 },
		{ "rttime=5", "rttime", RLIMIT_RTTIME, 5, 5 },
		{ "sigpending=5", "sigpending", RLIMIT_SIGPENDING, 5, 5 },
		{ "stack=5", "stack", RLIMIT_STACK, 5, 5 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct cage_limit limit = { 0 };
		struct err err = { 0 };
		if (cage_limit_parse(&limit, table[i].text, &err) < 0)
			fail_msg("%s: %s", table[i].text, err.msg);
		assert_int_equal(limit.resource, table[i].resource);
		assert_true(limit.soft == table[i].soft && limit.hard == table[i].hard);
		assert_string_equal(cage_limit_name(&limit), table[i].name);
	}
}

static void what_is_no_limit_is_refused(void **state)
{
	static const char *const table[][2] = {
		{ "nofile", "invalid ulimit argument: nofile" },
		{ "", "invalid ulimit argument: " },
		{ "files=3", "invalid ulimit type: files" },
		{ "=3", "invalid ulimit type: " },
		{ "NOFILE=3", "invalid ulimit type: NOFILE" },
		{ "nofile=1:2:3", "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`" },
		{ "nofile=3:2", "ulimit soft limit must be less than or equal to hard limit: 3:2" },
		{ "nofile=-1:2", "ulimit soft limit must be less than or equal to hard limit: -1:2" },
		{ "nofile=-2", "-2 is not a limit: a number, or -1 for none" },
		{ "nofile=1:-7", "-7 is not a limit: a number, or -1 for none" },
	};
	static const char *const not_numbers[] = { "nofile=",
						   "nofile=x",
						   "nofile=1k",
						   "nofile=:",
						   "nofile=1:",
						   "nofile=:1",
						   "nofile=1.5",
						   "nofile=9223372036854775808",
						   "nofile=00000000000000000000000000000000000001" };
	struct cage_limit limit = { .resource = 77 };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err err = { 0 };
		assert_int_equal(cage_limit_parse(&limit, table[i][0], &err), -1);
		assert_string_equal(err.msg, table[i][1]);
		assert_int_equal(err.kind, ERR_INPUT);
	}
	for (size_t i = 0; i < ARRAY_LEN(not_numbers); i++) {
		struct err err = { 0 };
		if (cage_limit_parse(&limit, not_numbers[i], &err) == 0)
			fail_msg("%s was taken", not_numbers[i]);
		assert_int_equal(err.kind, ERR_INPUT);
		assert_int_equal(cage_limit_parse(&limit, not_numbers[i], NULL), -1);
	}
	assert_int_equal(limit.resource, 77);
}

static void a_step_has_its_limits(void **state)
{
	static const struct cage_limit limits[] = {
		{ RLIMIT_NOFILE, 100, 200 },
		{ RLIMIT_CORE, 0, 0 },
		{ RLIMIT_CPU, 1000, 2000 },
	};
	static const char script[] = "ulimit -Sn; ulimit -Hn; ulimit -Hc; ulimit -St; ulimit -Ht;"
				     "ulimit -Hn 300 2>/dev/null || echo stays";
	struct step step = step_in(state);

	step.cage.limits = limits;
	step.cage.limit_count = ARRAY_LEN(limits);
	run_script(&step, script);
	assert_output(&step, "100\n200\n0\n1000\n2000\nstays\n");
	step.cage.user = (struct user){ .uid = 1000, .gid = 1000 };
	run_script(&step, script);
	assert_output(&step, "100\n200\n0\n1000\n2000\nstays\n");
	step_end(&step);
}

static void the_next_step_has_none_of_them(void **state)
{
	static const struct cage_limit limits[] = { { RLIMIT_CPU, 1000, 2000 } };
	struct step step = step_in(state);
	char before[sizeof(step.output)];

	run_script(&step, "ulimit -St; ulimit -Ht");
	memcpy(before, step.output, sizeof(before));
	step.cage.limits = limits;
	step.cage.limit_count = ARRAY_LEN(limits);
	run_script(&step, "ulimit -St; ulimit -Ht");
	assert_output(&step, "1000\n2000\n");
	step.cage.limit_count = 0;
	run_script(&step, "ulimit -St; ulimit -Ht");
	assert_output(&step, before);
	step_end(&step);
}

static void who_goes_beyond_a_limit_is_stopped(void **state)
{
	static const struct cage_limit limits[] = { { RLIMIT_FSIZE, 65536, 65536 } };
	const struct scratch *scratch = *state;
	const char *const argv[] = { "dd", "if=/dev/zero", "of=/tmp/f", "bs=1024", "count=128", NULL };
	struct step step = step_in(state);
	struct stat st;

	step.cage.limits = limits;
	step.cage.limit_count = ARRAY_LEN(limits);
	assert_int_equal(run_step(&step, argv), 0);
	assert_int_not_equal(step.status, 0);
	assert_int_equal(fstatat(scratch->fd, "image/tmp/f", &st, 0), 0);
	assert_int_equal(st.st_size, 65536);
	step_end(&step);
}

/* Nobody may have more open files than fs.nr_open, root neither. */
static void a_limit_that_cannot_be_had_is_told(void **state)
{
	static const struct cage_limit limits[] = { { RLIMIT_NOFILE, 100, UINT64_MAX } };
	const char *const argv[] = { "true", NULL };
	struct step step = step_in(state);

	step.cage.limits = limits;
	step.cage.limit_count = ARRAY_LEN(limits);
	assert_set_up_fails(&step, argv, "ulimit nofile: its hard limit is above that of kiln itself");
	assert_int_equal(step.err.kind, ERR_UNSUPPORTED);
	step_end(&step);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_limit_is_read_as_docker_writes_it),
		cmocka_unit_test(what_is_no_limit_is_refused),
		cage_test(a_step_has_its_limits),
		cage_test(the_next_step_has_none_of_them),
		cage_test(who_goes_beyond_a_limit_is_stopped),
		cage_test(a_limit_that_cannot_be_had_is_told),
	};

	return run_in_coordinator(tests, ARRAY_LEN(tests), 0);
}
