/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../src/sandbox/creds.h"

#define BIT(cap) (UINT64_C(1) << (cap))
#define ROOTS    (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_SETUID) | BIT(CAP_SETGID))

static struct creds root_creds(void)
{
	return (struct creds){ .permitted = ROOTS, .effective = ROOTS, .bounding = ROOTS };
}

static struct creds user_creds(uint32_t uid)
{
	struct creds creds = { .bounding = ROOTS };

	for (int i = 0; i < ID_COUNT; i++)
		creds.uid[i] = creds.gid[i] = uid;
	return creds;
}

static void root_becomes_another_for_good(void **state)
{
	struct creds creds = root_creds();

	(void)state;
	assert_int_equal(creds_setuid(&creds, 33), 0);
	for (int i = 0; i < ID_COUNT; i++)
		assert_int_equal(creds.uid[i], 33);
	assert_int_equal(creds.permitted | creds.effective, 0);
	assert_int_equal(creds_setuid(&creds, 0), -EPERM);
	assert_int_equal(creds_setresuid(&creds, ID_KEEP, 0, ID_KEEP), -EPERM);
	assert_int_equal(creds_setgid(&creds, 5), -EPERM);
	assert_int_equal(creds_setuid(&creds, ID_KEEP), -EINVAL);
	assert_int_equal(creds.uid[ID_EFFECTIVE], 33);
}

static void an_effective_id_is_laid_down_and_taken_up_again(void **state)
{
	struct creds creds = root_creds();

	(void)state;
	assert_int_equal(creds_setresuid(&creds, ID_KEEP, 42, ID_KEEP), 0);
	assert_int_equal(creds.uid[ID_FS], 42);
	assert_int_equal(creds.effective, 0);
	assert_int_equal(creds.permitted, ROOTS);
	assert_int_equal(creds_setreuid(&creds, ID_KEEP, 0), 0);
	assert_int_equal(creds.effective, ROOTS);
	assert_int_equal(creds.uid[ID_SAVED], 0);
}

static void setreuid_sets_the_saved_id_when_the_real_one_changes(void **state)
{
	struct creds creds = root_creds();

	(void)state;
	assert_int_equal(creds_setreuid(&creds, 7, 8), 0);
	assert_int_equal(creds.uid[ID_REAL], 7);
	assert_int_equal(creds.uid[ID_EFFECTIVE], 8);
	assert_int_equal(creds.uid[ID_SAVED], 8);
	assert_int_equal(creds_setreuid(&creds, ID_KEEP, 0), -EPERM);
	assert_int_equal(creds_setreuid(&creds, 8, 7), 0);
}

static void keepcaps_keeps_what_is_permitted_until_an_exec(void **state)
{
	const struct creds_file program = { S_IFREG | 0755, 0, 0 };
	struct creds creds = root_creds();

	(void)state;
	creds.keep_caps = true;
	assert_int_equal(creds_setresuid(&creds, 6, 6, 6), 0);
	assert_int_equal(creds.permitted, ROOTS);
	assert_int_equal(creds.effective, 0);
	assert_int_equal(creds_capset(&creds, BIT(CAP_CHOWN), ROOTS, 0), 0);
	assert_true(creds_has(&creds, CAP_CHOWN));
	assert_int_equal(creds_capset(&creds, BIT(CAP_SYS_ADMIN), BIT(CAP_SYS_ADMIN), 0), -EPERM);
	creds_after_exec(&creds, &program, 0, 0);
	assert_int_equal(creds.permitted | creds.effective, 0);
	assert_false(creds.keep_caps);
}

static void a_set_user_id_program_runs_as_its_owner(void **state)
{
	const struct creds_file sudo = { S_IFREG | S_ISUID | 0755, 0, 0 };
	const struct creds_file crontab = { S_IFREG | S_ISGID | 0755, 0, 101 };
	struct creds creds = user_creds(1000);

	(void)state;
	creds_after_exec(&creds, &sudo, 0, 0);
	assert_int_equal(creds.uid[ID_REAL], 1000);
	assert_int_equal(creds.uid[ID_EFFECTIVE], 0);
	assert_int_equal(creds.uid[ID_SAVED], 0);
	assert_int_equal(creds.permitted, ROOTS);
	assert_int_equal(creds.effective, ROOTS);

	creds = user_creds(1000);
	creds_after_exec(&creds, &crontab, 0, 0);
	assert_int_equal(creds.gid[ID_EFFECTIVE], 101);
	assert_int_equal(creds.permitted, 0);

	creds = user_creds(1000);
	creds.no_new_privs = true;
	creds_after_exec(&creds, &sudo, 0, 0);
	assert_int_equal(creds.uid[ID_EFFECTIVE], 1000);
}

static void root_stays_root_through_exec(void **state)
{
	const struct creds_file program = { S_IFREG | 0755, 0, 0 };
	struct creds creds = root_creds();

	(void)state;
	creds_after_exec(&creds, &program, 0, 0);
	assert_true(creds_are_plain_root(&creds));
	assert_int_equal(creds.effective, ROOTS);
}

static void the_fs_id_takes_the_rights_on_files_along(void **state)
{
	struct creds creds = root_creds();

	(void)state;
	assert_int_equal(creds_setfsuid(&creds, 9), 0);
	assert_false(creds_has(&creds, CAP_CHOWN));
	assert_true(creds_has(&creds, CAP_SETUID));
	assert_int_equal(creds_setfsuid(&creds, ID_KEEP), 9);
	assert_int_equal(creds_setfsuid(&creds, 0), 9);
	assert_true(creds_has(&creds, CAP_CHOWN));
}

static void files_are_for_their_owner_their_group_and_others(void **state)
{
	static const uint32_t groups[] = { 50 };
	const struct creds_file of_user = { S_IFREG | 0640, 1000, 7 }, of_group = { S_IFREG | 0640, 0, 50 };
	const struct creds_file of_others = { S_IFREG | 0604, 0, 0 }, directory = { S_IFDIR | 0755, 0, 0 };
	struct creds creds = user_creds(1000), root = root_creds();

	(void)state;
	creds.groups = groups;
	creds.group_count = 1;
	assert_true(creds_may(&creds, &of_user, 6));
	assert_true(creds_may(&creds, &of_group, 4));
	assert_false(creds_may(&creds, &of_group, 2));
	assert_true(creds_may(&creds, &of_others, 4));
	assert_false(creds_may(&creds, &of_others, 2));
	assert_false(creds_may(&creds, &directory, 2));
	assert_true(creds_may(&root, &of_user, 6));
	assert_false(creds_may(&root, &of_user, 1));
}

static void equal_credentials_have_one_number(void **state)
{
	uint32_t groups[] = { 1, 2 };
	struct creds_table table = { 0 };
	struct creds root = root_creds(), user = user_creds(5), other;

	(void)state;
	user.groups = groups;
	user.group_count = 2;
	assert_int_equal(creds_number(&table, &root), 0);
	assert_int_equal(creds_number(&table, &user), 1);
	other = user;
	assert_int_equal(creds_number(&table, &other), 1);
	groups[1] = 3;
	assert_int_equal(creds_number(&table, &other), 2);
	assert_int_equal(table.items[1].groups[1], 2);
	assert_int_equal(creds_number(&table, &root), 0);
	creds_table_release(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_becomes_another_for_good),
		cmocka_unit_test(an_effective_id_is_laid_down_and_taken_up_again),
		cmocka_unit_test(setreuid_sets_the_saved_id_when_the_real_one_changes),
		cmocka_unit_test(keepcaps_keeps_what_is_permitted_until_an_exec),
		cmocka_unit_test(a_set_user_id_program_runs_as_its_owner),
		cmocka_unit_test(root_stays_root_through_exec),
		cmocka_unit_test(the_fs_id_takes_the_rights_on_files_along),
		cmocka_unit_test(files_are_for_their_owner_their_group_and_others),
		cmocka_unit_test(equal_credentials_have_one_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
