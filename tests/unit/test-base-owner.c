/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <endian.h>
#include <linux/capability.h>
#include <sys/xattr.h>

#include "kiln/base/owner.h"

/* Records on files and directories, which every user may write. Those on links take a user namespace:
   test-sandbox-emulate.c. */

static int open_new(const struct scratch *scratch, const char *name)
{
	put_file(scratch->fd, name, "x");
	int fd = openat(scratch->fd, name, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int recording(void **state)
{
	if (scratch_setup(state) < 0)
		return -1;
	owners_record(true);
	return 0;
}

static int recorded(void **state)
{
	owners_record(false);
	return scratch_teardown(state);
}

#define owner_test(name) cmocka_unit_test_setup_teardown(name, recording, recorded)

static void what_is_written_is_read_from_any_kind_of_descriptor(void **state)
{
	const struct scratch *scratch = *state;
	const struct owner owner = { 33, 4294967294 };
	scope_fd int fd = open_new(scratch, "f");
	scope_fd int path_fd = openat(scratch->fd, "f", O_PATH | O_CLOEXEC);
	struct owner found = { 0, 0 };

	assert_int_equal(owner_read(fd, S_IFREG, &found), 0);
	assert_int_equal(owner_write(path_fd, S_IFREG, &owner), 0);
	assert_int_equal(owner_read(fd, S_IFREG, &found), 1);
	assert_int_equal(found.uid, 33);
	found = (struct owner){ 0, 0 };
	assert_int_equal(owner_read(path_fd, S_IFREG, &found), 1);
	assert_int_equal(found.gid, 4294967294);
}

static void roots_file_has_no_record(void **state)
{
	const struct owner somebody = { 1, 2 }, root = { 0, 0 };
	scope_fd int fd = open_new(*state, "f");
	struct owner found;

	assert_int_equal(owner_write(fd, S_IFREG, &root), 0);
	assert_int_equal(owner_write(fd, S_IFREG, &somebody), 0);
	assert_int_equal(owner_write(fd, S_IFREG, &root), 0);
	assert_int_equal(fgetxattr(fd, OWNER_XATTR, NULL, 0), -1);
	assert_int_equal(owner_read(fd, S_IFREG, &found), 0);
}

static void stat_is_filled_only_where_owners_are_recorded(void **state)
{
	const struct scratch *scratch = *state;
	const struct owner owner = { 5, 6 };
	scope_fd int fd = open_new(scratch, "f");
	struct stat st;

	assert_int_equal(owner_write(fd, S_IFREG, &owner), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(owner_fill_at(scratch->fd, "f", &st), 0);
	assert_int_equal(st.st_uid, 5);
	owners_record(false);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(owner_fill(fd, &st), 0);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(owner_set(fd, (uid_t)-1, (gid_t)-1), 0);
	owners_record(true);
}

static void a_damaged_record_is_an_error(void **state)
{
	static const char *const texts[] = {
		"",     ":",    "1",     "1:",  ":1", "1:2:3", "-1:0", "0:-1", "4294967295:0", "0:99999999999",
		"1:2 ", " 1:2", "0x1:1", "a:b",
	};
	scope_fd int fd = open_new(*state, "f");
	struct owner found;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(fsetxattr(fd, OWNER_XATTR, texts[i], strlen(texts[i]), 0), 0);
		errno = 0;
		if (owner_read(fd, S_IFREG, &found) != -1 || errno != EINVAL)
			fail_msg("\"%s\" was read", texts[i]);
	}
}

static void capabilities_are_no_record(void **state)
{
	struct vfs_cap_data caps = { htole32(VFS_CAP_REVISION_2), { { htole32(1), htole32(2) } } };

	(void)state;
	assert_false(owner_is_record(&caps, sizeof(caps)));
	assert_false(owner_is_record(&caps, 3));
	caps.data[1].permitted = htole32(0x6b696c6e);
	caps.data[1].inheritable = htole32(0x6f776e31);
	assert_true(owner_is_record(&caps, sizeof(caps)));
	assert_false(owner_is_record(&caps, sizeof(caps) - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		owner_test(what_is_written_is_read_from_any_kind_of_descriptor),
		owner_test(roots_file_has_no_record),
		owner_test(stat_is_filled_only_where_owners_are_recorded),
		owner_test(a_damaged_record_is_an_error),
		owner_test(capabilities_are_no_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
