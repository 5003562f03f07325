/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include "../../src/sandbox/etc.h"
#include "../../src/sandbox/readback.h"

static void hosts_are_buildkits_and_then_the_extra_ones(void **state)
{
	static const char *const extra[] = { "db 10.0.0.1", "v6.example\t2001:db8::1", NULL };
	scope_strbuf struct strbuf text = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_ok(etc_hosts(&text, "buildkitsandbox", extra, &err), err);
	assert_string_equal(strbuf_str(&text), "127.0.0.1\tlocalhost buildkitsandbox\n"
					       "::1\tlocalhost ip6-localhost ip6-loopback\n"
					       "fe00::\tip6-localnet\n"
					       "ff00::\tip6-mcastprefix\n"
					       "ff02::1\tip6-allnodes\n"
					       "ff02::2\tip6-allrouters\n"
					       "10.0.0.1\tdb\n"
					       "2001:db8::1\tv6.example\n");
}

static void a_host_that_is_no_line_is_an_error(void **state)
{
	static const char *const bad[] = { "", "name", "name ", " 1.2.3.4", "a 1.2.3.4\n6.6.6.6 b" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *const extra[] = { bad[i], NULL };
		scope_strbuf struct strbuf text = { 0 };
		struct err err = { 0 };
		assert_int_equal(etc_hosts(&text, "kiln", extra, &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
	}
}

static void only_the_stub_of_systemd_resolved_counts_as_such(void **state)
{
	(void)state;
	assert_true(etc_names_only_stub("# x\nnameserver 127.0.0.53\noptions edns0\nsearch lan\n"));
	assert_true(etc_names_only_stub("nameserver\t127.0.0.53"));
	assert_false(etc_names_only_stub("nameserver 127.0.0.53\nnameserver 10.0.0.1\n"));
	assert_false(etc_names_only_stub("nameserver 127.0.0.530\n"));
	assert_false(etc_names_only_stub("#nameserver 127.0.0.53\n"));
	assert_false(etc_names_only_stub(""));
}

static const char host_conf[] = "search lan example.org\nnameserver 127.0.0.53\nnameserver 10.1.1.1\n"
				"nameserver ::1\nnameservers 127.1.1.1\noptions ndots:2";

static void a_private_network_has_its_own_name_server(void **state)
{
	scope_strbuf struct strbuf text = { 0 };

	(void)state;
	etc_private_resolv_conf(&text, host_conf, "10.0.2.3");
	assert_string_equal(strbuf_str(&text), "nameserver 10.0.2.3\nsearch lan example.org\nnameservers 127.1.1.1\n"
					       "options ndots:2\n");
}

static void or_those_of_the_host_that_are_not_on_loopback(void **state)
{
	scope_strbuf struct strbuf text = { 0 };

	(void)state;
	etc_private_resolv_conf(&text, host_conf, NULL);
	assert_string_equal(strbuf_str(&text),
			    "search lan example.org\nnameserver 10.1.1.1\nnameservers 127.1.1.1\noptions ndots:2\n");
}

/* ---- reading back ---- */

static const char good_status[] = "Name:\tkiln\nUmask:\t0022\nUid:\t1000\t1000\t1000\t1000\nGid:\t5\t5\t5\t5\n"
				  "Groups:\t5 29 44 \nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
				  "CapEff:\t0000000000000000\nCapBnd:\t00000000800405fb\nCapAmb:\t0000000000000000\n"
				  "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

static int check(const char *status, struct err *err)
{
	uint32_t groups[] = { 29, 44 };
	const struct user user = { .uid = 1000, .gid = 5, .groups = groups, .group_count = 2 };
	const struct readback wanted = { .user = &user, .caps = 0, .bounding = 0x800405fb, .no_new_privs = true };

	return readback_check(status, &wanted, err);
}

static void a_status_as_asked_for_passes(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_ok(check(good_status, &err), err);
}

/* T-S1: each line with each wrong value. */
static void every_difference_is_an_error(void **state)
{
	static const struct {
		const char *right, *wrong;
	} table[] = {
		{ "Umask:\t0022", "Umask:\t0077" },
		{ "Uid:\t1000\t1000\t1000\t1000", "Uid:\t1000\t1000\t0\t1000" },
		{ "Gid:\t5\t5\t5\t5", "Gid:\t5\t5\t5\t0" },
		{ "Groups:\t5 29 44 ", "Groups:\t5 29 " },
		{ "Groups:\t5 29 44 ", "Groups:\t0 5 29 44" },
		{ "Groups:\t5 29 44 ", "Groups:\t" },
		{ "CapInh:\t0000000000000000", "CapInh:\t0000000000000001" },
		{ "CapPrm:\t0000000000000000", "CapPrm:\t00000000800405fb" },
		{ "CapEff:\t0000000000000000", "CapEff:\t0000000000200000" },
		{ "CapBnd:\t00000000800405fb", "CapBnd:\t000001ffffffffff" },
		{ "CapAmb:\t0000000000000000", "CapAmb:\t8000000000000000" },
		{ "NoNewPrivs:\t1", "NoNewPrivs:\t0" },
		{ "Seccomp:\t2", "Seccomp:\t0" },
		{ "Seccomp:\t2", "Seccomp:\t1" },
		{ "Seccomp:\t2\n", "" },
		{ "NoNewPrivs:\t1", "NoNewPrivs:" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_strbuf struct strbuf text = { 0 };
		struct err err = { 0 };
		const char *at = strstr(good_status, table[i].right);
		assert_non_null(at);
		strbuf_addf(&text, "%.*s%s%s", (int)(at - good_status), good_status, table[i].wrong,
			    at + strlen(table[i].right));
		assert_int_equal(check(strbuf_str(&text), &err), -1);
		assert_int_equal(err.kind, ERR_UNSUPPORTED);
	}
}

static void one_root_is_in_sight(void **state)
{
	static const char good[] =
		"83 84 254:0 / / rw,nodev - ext4 /dev/vda rw\n107 83 0:40 / /proc rw - proc proc rw\n";
	static const char two[] = "83 84 254:0 / / rw - ext4 /dev/vda rw\n26 83 254:0 / / rw - ext4 /dev/vda rw\n";
	struct err err = { 0 };

	(void)state;
	assert_ok(readback_check_mounts(good, &err), err);
	assert_int_equal(readback_check_mounts(two, &err), -1);
	assert_int_equal(readback_check_mounts("", &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_are_buildkits_and_then_the_extra_ones),
		cmocka_unit_test(a_host_that_is_no_line_is_an_error),
		cmocka_unit_test(only_the_stub_of_systemd_resolved_counts_as_such),
		cmocka_unit_test(a_private_network_has_its_own_name_server),
		cmocka_unit_test(or_those_of_the_host_that_are_not_on_loopback),
		cmocka_unit_test(a_status_as_asked_for_passes),
		cmocka_unit_test(every_difference_is_an_error),
		cmocka_unit_test(one_root_is_in_sight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
