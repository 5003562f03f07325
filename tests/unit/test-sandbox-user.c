/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <time.h>

#include "kiln/base/arena.h"
#include "kiln/sandbox/user.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "daemon:x:1:1::/:/bin/false\n"
			     "broken\n"
			     "+::::::\n"
			     "norange:x:99999999999:1::/:\n"
			     "noid:x::1::/:\n"
			     "1000:x:7:7:a name of digits:/digits:\n"
			     "app:x:1000:1001:An App:/srv/app:/bin/sh\n"
			     "twin:x:1000:1002::/srv/twin:/bin/sh\n"
			     "homeless:x:1003:1003\n";

static const char group[] = "root:x:0:\n"
			    "app:x:1001:\n"
			    "audio:x:29:other,app\n"
			    "nearly:x:30:app2,xapp\n"
			    "video:x:44:app\n"
			    "again:x:44:app\n"
			    "own:x:1001:app\n"
			    "damaged:x::app\n"
			    "2000:x:31:\n"
			    "last:x:50:app";

static int image_setup(void **state)
{
	if (scratch_setup(state) < 0)
		return -1;
	const struct scratch *scratch = *state;
	put_dir(scratch->fd, "etc");
	put_file(scratch->fd, "etc/passwd", passwd);
	put_file(scratch->fd, "etc/group", group);
	return 0;
}

#define image_test(name) cmocka_unit_test_setup_teardown(name, image_setup, scratch_teardown)

static struct root image_of(void **state)
{
	const struct scratch *scratch = *state;

	return (struct root){ scratch->fd, ROOT_CHROOT };
}

struct expected {
	const char *text;
	uint32_t uid, gid;
	const char *home, *name;
	size_t group_count;
};

static void users_are_resolved_as_docker_does(void **state)
{
	static const struct expected table[] = {
		{ "", 0, 0, "/root", "root", 0 },
		{ "root", 0, 0, "/root", "root", 0 },
		{ "app", 1000, 1001, "/srv/app", "app", 3 },
		{ "1000", 1000, 1001, "/srv/app", "app", 3 },
		{ "1000:1000", 1000, 1000, "/srv/app", "app", 0 },
		{ "app:", 1000, 1001, "/srv/app", "app", 3 },
		{ "app:video", 1000, 44, "/srv/app", "app", 0 },
		{ "app:12345", 1000, 12345, "/srv/app", "app", 0 },
		{ "1000:video", 1000, 44, "/srv/app", "app", 0 },
		{ "app:2000", 1000, 2000, "/srv/app", "app", 0 },
		{ ":video", 0, 44, "/root", "root", 0 },
		{ "twin", 1000, 1002, "/srv/twin", "twin", 0 },
		{ "homeless", 1003, 1003, "/", "homeless", 0 },
		{ "4242", 4242, 0, "/", NULL, 0 },
		{ "4242:4243", 4242, 4243, "/", NULL, 0 },
		{ "00", 0, 0, "/root", "root", 0 },
		{ "4294967294", 4294967294, 0, "/", NULL, 0 },
	};
	scope_arena struct arena arena = { 0 };
	const struct root image = image_of(state);

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct user user;
		struct err err = { 0 };
		assert_ok(user_resolve(&arena, &image, table[i].text, &user, &err), err);
		assert_int_equal(user.uid, table[i].uid);
		assert_int_equal(user.gid, table[i].gid);
		assert_string_equal(user.home, table[i].home);
		if (table[i].name)
			assert_string_equal(user.name, table[i].name);
		else
			assert_null(user.name);
		assert_int_equal(user.group_count, table[i].group_count);
	}
}

static void supplementary_groups_are_those_that_list_the_user(void **state)
{
	scope_arena struct arena arena = { 0 };
	const struct root image = image_of(state);
	struct user user;
	struct err err = { 0 };

	assert_ok(user_resolve(&arena, &image, "app", &user, &err), err);
	assert_int_equal(user.group_count, 3);
	assert_int_equal(user.groups[0], 29);
	assert_int_equal(user.groups[1], 44);
	assert_int_equal(user.groups[2], 50);
}

static void what_is_no_user_is_an_error_with_dockers_words(void **state)
{
	static const struct {
		const char *text, *message;
	} table[] = {
		{ "nobody", "unable to find user nobody: no matching entries in passwd file" },
		{ "app:nogroup", "unable to find group nogroup: no matching entries in group file" },
		{ "1000:nogroup", "unable to find group nogroup: no matching entries in group file" },
		{ "-1", "unable to find user -1: no matching entries in passwd file" },
		{ "+0", "unable to find user +0: no matching entries in passwd file" },
		{ "0x0", "unable to find user 0x0: no matching entries in passwd file" },
		{ " 0", "unable to find user  0: no matching entries in passwd file" },
		{ "app ", "unable to find user app : no matching entries in passwd file" },
		{ "noid", "unable to find user noid: no matching entries in passwd file" },
		{ "norange", "unable to find user norange: no matching entries in passwd file" },
		{ "broken", "unable to find user broken: no matching entries in passwd file" },
		{ "+", "unable to find user +: no matching entries in passwd file" },
		{ "4294967295", "user id 4294967295 is out of range: the largest is 4294967294" },
		{ "4294967296", "user id 4294967296 is out of range: the largest is 4294967294" },
		{ "18446744073709551616", "user id 18446744073709551616 is out of range: the largest is 4294967294" },
		{ "0:4294967295", "group id 4294967295 is out of range: the largest is 4294967294" },
		{ "a\033[31m", "unable to find user a\\x1b[31m: no matching entries in passwd file" },
	};
	scope_arena struct arena arena = { 0 };
	const struct root image = image_of(state);

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct user user = { .uid = 77 };
		struct err err = { 0 };
		assert_int_equal(user_resolve(&arena, &image, table[i].text, &user, &err), -1);
		assert_string_equal(err.msg, table[i].message);
		assert_int_equal(err.kind, ERR_INPUT);
		assert_int_equal(user.uid, 77);
	}
}

static void an_image_without_files_has_numbers_only(void **state)
{
	scope_arena struct arena arena = { 0 };
	const struct root image = image_of(state);
	struct user user;
	struct err err = { 0 };

	assert_int_equal(unlinkat(image.fd, "etc/passwd", 0), 0);
	assert_int_equal(unlinkat(image.fd, "etc/group", 0), 0);
	assert_ok(user_resolve(&arena, &image, "", &user, &err), err);
	assert_string_equal(user.home, "/");
	assert_ok(user_resolve(&arena, &image, "5", &user, &err), err);
	assert_int_equal(user.uid, 5);
	assert_int_equal(user_resolve(&arena, &image, "root", &user, &err), -1);
	assert_string_equal(err.msg, "unable to find user root: no matching entries in passwd file");
}

/* T-A8: what an image may put where a user file should be. */
static void assert_refused_quickly(const struct root *image, const char *expected)
{
	scope_arena struct arena arena = { 0 };
	struct user user;
	struct err err = { 0 };
	uint32_t uid, gid;
	clock_t before = clock();

	assert_int_equal(user_resolve(&arena, image, "app", &user, &err), -1);
	assert_non_null(strstr(err.msg, expected));
	assert_int_equal(chown_resolve(image, "app", &uid, &gid, &err), -1);
	assert_non_null(strstr(err.msg, expected));
	/* Nobody looks anything up for these, save a home. */
	assert_ok(user_resolve(&arena, image, "", &user, &err), err);
	assert_ok(user_resolve(&arena, image, "1:2", &user, &err), err);
	assert_ok(chown_resolve(image, "1:2", &uid, &gid, &err), err);
	assert_true(clock() - before < 2 * CLOCKS_PER_SEC);
	assert_true(arena.total < 64 << 20);
}

static void a_fifo_for_passwd_is_refused(void **state)
{
	const struct root image = image_of(state);

	assert_int_equal(unlinkat(image.fd, "etc/passwd", 0), 0);
	assert_int_equal(mkfifoat(image.fd, "etc/passwd", 0644), 0);
	assert_refused_quickly(&image, "is not a regular file");
}

static void a_directory_for_passwd_is_refused(void **state)
{
	const struct root image = image_of(state);

	assert_int_equal(unlinkat(image.fd, "etc/passwd", 0), 0);
	put_dir(image.fd, "etc/passwd");
	assert_refused_quickly(&image, "is not a regular file");
}

static void an_endless_passwd_is_refused(void **state)
{
	const struct root image = image_of(state);
	scope_fd int fd = openat(image.fd, "etc/passwd", O_WRONLY | O_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)2 << 30), 0);
	assert_refused_quickly(&image, "is larger than");
}

static void a_link_for_passwd_stays_in_the_image(void **state)
{
	scope_arena struct arena arena = { 0 };
	const struct root image = image_of(state);
	struct user user;
	struct err err = { 0 };

	assert_int_equal(unlinkat(image.fd, "etc/passwd", 0), 0);
	put_link(image.fd, "etc/passwd", "../../../../../../../../../usr/lib/passwd");
	assert_int_equal(user_resolve(&arena, &image, "root", &user, &err), -1);
	put_dir(image.fd, "usr");
	put_dir(image.fd, "usr/lib");
	put_file(image.fd, "usr/lib/passwd", "root:x:0:0::/inside:\n");
	assert_ok(user_resolve(&arena, &image, "root", &user, &err), err);
	assert_string_equal(user.home, "/inside");
}

static void chown_takes_what_buildkit_takes(void **state)
{
	static const struct {
		const char *text;
		uint32_t uid, gid;
	} table[] = {
		{ "1000", 1000, 1000 },    { "1000:29", 1000, 29 },   { "app", 1000, 1001 },
		{ "app:video", 1000, 44 }, { "app:7", 1000, 7 },      { "1000:video", 1000, 44 },
		{ "nobody", 0, 0 },        { "nobody:video", 0, 44 }, { "app:nogroup", 1000, 1001 },
		{ "5:nogroup", 5, 5 },     { "app:", 1000, 1001 },    { "0", 0, 0 },
	};
	const struct root image = image_of(state);

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		uint32_t uid = 77, gid = 77;
		struct err err = { 0 };
		assert_ok(chown_resolve(&image, table[i].text, &uid, &gid, &err), err);
		assert_int_equal(uid, table[i].uid);
		assert_int_equal(gid, table[i].gid);
	}
}

static void chown_refuses_ids_that_do_not_exist(void **state)
{
	const struct root image = image_of(state);
	uint32_t uid = 77, gid = 77;
	struct err err = { 0 };

	assert_int_equal(chown_resolve(&image, "4294967295", &uid, &gid, &err), -1);
	assert_int_equal(chown_resolve(&image, "1:4294967295", &uid, &gid, &err), -1);
	assert_int_equal(uid, 77);
	assert_int_equal(gid, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		image_test(users_are_resolved_as_docker_does),
		image_test(supplementary_groups_are_those_that_list_the_user),
		image_test(what_is_no_user_is_an_error_with_dockers_words),
		image_test(an_image_without_files_has_numbers_only),
		image_test(a_fifo_for_passwd_is_refused),
		image_test(a_directory_for_passwd_is_refused),
		image_test(an_endless_passwd_is_refused),
		image_test(a_link_for_passwd_stays_in_the_image),
		image_test(chown_takes_what_buildkit_takes),
		image_test(chown_refuses_ids_that_do_not_exist),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
