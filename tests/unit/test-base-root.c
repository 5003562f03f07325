/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "kiln/base/root.h"
#include "kiln/base/text.h"
#include "scratch.h"

/*
 * The tree of each test:
 *	outside			"out" beside the root
 *	r/			the root
 *	r/etc/passwd		"in"
 *	r/abs -> /etc		r/up -> ../../../..	r/rel -> etc	r/loop -> loop
 */
static int root_setup(void **state)
{
	scratch_setup(state);
	const struct scratch *scratch = *state;
	put_file(scratch->fd, "outside", "out");
	put_dir(scratch->fd, "r");
	put_dir(scratch->fd, "r/etc");
	put_file(scratch->fd, "r/etc/passwd", "in");
	put_link(scratch->fd, "r/abs", "/etc");
	put_link(scratch->fd, "r/up", "../../../..");
	put_link(scratch->fd, "r/rel", "etc");
	put_link(scratch->fd, "r/loop", "loop");
	return 0;
}

#define root_test(name) cmocka_unit_test_setup_teardown(name, root_setup, scratch_teardown)

static struct root root_at(void **state, enum root_policy policy)
{
	const struct scratch *scratch = *state;
	int fd = openat(scratch->fd, "r", O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return (struct root){ .fd = fd, .policy = policy };
}

static void assert_text(int fd, const char *text)
{
	scope_strbuf struct strbuf found = { 0 };
	struct err err = { 0 };

	assert_ok(file_read_fd(fd, 100, &found, "it", &err), err);
	assert_string_equal(strbuf_str(&found), text);
}

static void a_chroot_resolves_every_path_inside(void **state)
{
	static const char *const paths[] = { "etc/passwd",       "/etc/passwd",         "///etc//passwd",
					     "abs/passwd",       "up/etc/passwd",       "rel/passwd",
					     "../../etc/passwd", "etc/../abs/./passwd", "up/up/abs/passwd" };
	struct root root = root_at(state, ROOT_CHROOT);
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		scope_fd int fd = root_open(&root, paths[i], O_RDONLY, 0, &err);
		assert_ok(fd, err);
		assert_text(fd, "in");
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	}
	assert_int_equal(root_open(&root, "../outside", O_RDONLY, 0, &err), -1);
	assert_true(err_is_errno(&err, ENOENT));
	assert_string_equal(err.msg, "open ../outside: No such file or directory");
	close(root.fd);
}

static void beneath_refuses_links_and_leaving(void **state)
{
	static const char *const refused[] = {
		"abs/passwd", "rel/passwd", "up/etc/passwd", "../outside", "loop", "rel"
	};
	struct root root = root_at(state, ROOT_BENEATH);
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		assert_int_equal(root_open(&root, refused[i], O_RDONLY, 0, &err), -1);
		assert_int_equal(err.kind, ERR_SYSTEM);
		assert_non_null(strstr(err.msg, "beneath its root"));
	}
	static const char *const fine[] = { "etc/passwd", "/etc/passwd", "etc/../etc/passwd" };
	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		scope_fd int fd = root_open(&root, fine[i], O_RDONLY, 0, &err);
		assert_ok(fd, err);
		assert_text(fd, "in");
	}
	close(root.fd);
}

static void the_root_has_two_names(void **state)
{
	struct err err = { 0 };
	struct stat st, found;

	for (enum root_policy policy = ROOT_CHROOT; policy <= ROOT_BENEATH; policy++) {
		struct root root = root_at(state, policy);
		assert_int_equal(fstat(root.fd, &st), 0);
		for (const char *const *name = (const char *const[]){ "", "/", ".", NULL }; *name; name++) {
			scope_fd int fd = root_open(&root, *name, O_RDONLY | O_DIRECTORY, 0, &err);
			assert_ok(fd, err);
			assert_int_equal(fstat(fd, &found), 0);
			assert_int_equal(found.st_ino, st.st_ino);
		}
		close(root.fd);
	}
}

static void files_are_created_inside(void **state)
{
	const struct scratch *scratch = *state;
	struct root root = root_at(state, ROOT_CHROOT);
	struct err err = { 0 };

	scope_fd int fd = root_open(&root, "up/abs/new", O_WRONLY | O_CREAT | O_EXCL, 0600, &err);
	assert_ok(fd, err);
	assert_true(has_name(scratch->fd, "r/etc/new"));
	assert_int_equal(root_open(&root, "rel", O_RDONLY | O_NOFOLLOW, 0, &err), -1);
	assert_true(err_is_errno(&err, ELOOP));
	close(root.fd);
}

static void magic_links_are_no_way_out(void **state)
{
	struct root proc = { .fd = openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), .policy = ROOT_CHROOT };
	struct err err = { 0 };

	(void)state;
	assert_true(proc.fd >= 0);
	assert_int_equal(root_open(&proc, "self/root/etc", O_PATH, 0, &err), -1);
	assert_true(err_is_errno(&err, ELOOP));
	assert_int_equal(root_open(&proc, "self/exe", O_RDONLY, 0, &err), -1);
	assert_true(err_is_errno(&err, ELOOP));
	close(proc.fd);
}

static void a_foreign_path_is_printable_in_a_message(void **state)
{
	struct root root = root_at(state, ROOT_CHROOT);
	struct err err = { 0 };

	assert_int_equal(root_open(&root, "a\n\x1b[31m", O_RDONLY, 0, &err), -1);
	assert_string_equal(err.msg, "open a\\x0a\\x1b[31m: No such file or directory");
	close(root.fd);
}

static void a_parent_is_opened_and_its_leaf_named(void **state)
{
	static const struct {
		const char *path, *dir;
	} cases[] = {
		{ "x", "r" },         { "/x", "r" },           { "etc/x", "r/etc" },
		{ "abs/x", "r/etc" }, { "up/rel/x", "r/etc" }, { "etc/../x", "r" },
		{ "abs/../x", "r" },  { "../../x", "r" },
	};
	const struct scratch *scratch = *state;
	struct root root = root_at(state, ROOT_CHROOT);
	struct err err = { 0 };
	struct stat expected, found;
	const char *leaf;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		scope_fd int fd = root_open_parent(&root, cases[i].path, &leaf, &err);
		assert_ok(fd, err);
		assert_ptr_equal(leaf, cases[i].path + strlen(cases[i].path) - 1);
		assert_int_equal(fstat(fd, &found), 0);
		assert_int_equal(fstatat(scratch->fd, cases[i].dir, &expected, 0), 0);
		assert_int_equal(found.st_ino, expected.st_ino);
	}
	assert_int_equal(root_open_parent(&root, "none/x", &leaf, &err), -1);
	assert_true(err_is_errno(&err, ENOENT));
	assert_string_equal(err.msg, "open the directory of none/x: No such file or directory");
	close(root.fd);
}

static void a_path_without_a_leaf_is_refused(void **state)
{
	static const char *const paths[] = { "", "/", ".", "..", "a/.", "etc/..", "etc/", "rel/", "/." };
	struct root root = root_at(state, ROOT_CHROOT);
	const char *leaf = "untouched";

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct err err = { 0 };
		assert_int_equal(root_open_parent(&root, paths[i], &leaf, &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
	}
	assert_string_equal(leaf, "untouched");
	close(root.fd);
}

struct made {
	int count;
	ino_t last;
};

static int count_made(void *arg, int dir_fd, struct err *err)
{
	struct made *made = arg;
	struct stat st;

	if (fstat(dir_fd, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_errno(err, "stat");
	made->count++;
	made->last = st.st_ino;
	return 0;
}

static mode_t mode_of(int dir_fd, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISDIR(st.st_mode));
	return st.st_mode & 07777;
}

static void missing_directories_are_made_with_their_mode(void **state)
{
	const struct scratch *scratch = *state;
	struct root root = root_at(state, ROOT_CHROOT);
	struct made made = { 0 };
	struct err err = { 0 };
	struct stat st;
	mode_t umask_before = umask(077);

	assert_int_equal(fchmodat(scratch->fd, "r/etc", 0750, 0), 0);
	scope_fd int fd = root_make_dirs(&root, "etc/a/b//c/", 01775, count_made, &made, &err);
	umask(umask_before);
	assert_ok(fd, err);
	assert_int_equal(made.count, 3);
	assert_int_equal(mode_of(scratch->fd, "r/etc"), 0750);
	assert_int_equal(mode_of(scratch->fd, "r/etc/a"), 01775);
	assert_int_equal(mode_of(scratch->fd, "r/etc/a/b/c"), 01775);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_ino, made.last);
	assert_int_equal(fcntl(fd, F_GETFL) & O_PATH, O_PATH);

	scope_fd int again = root_make_dirs(&root, "/etc/a/b/c", 0700, count_made, &made, &err);
	assert_ok(again, err);
	assert_int_equal(made.count, 3);
	assert_int_equal(mode_of(scratch->fd, "r/etc/a/b/c"), 01775);
	close(root.fd);
}

static void a_set_group_id_bit_is_not_inherited(void **state)
{
	const struct scratch *scratch = *state;
	struct root root = root_at(state, ROOT_CHROOT);
	struct err err = { 0 };

	assert_int_equal(fchmodat(scratch->fd, "r/etc", 02755, 0), 0);
	scope_fd int fd = root_make_dirs(&root, "etc/a", 0755, NULL, NULL, &err);
	assert_ok(fd, err);
	assert_int_equal(mode_of(scratch->fd, "r/etc/a"), 0755);
	close(root.fd);
}

static void directories_are_made_through_links(void **state)
{
	static const struct {
		const char *path, *made;
	} cases[] = {
		{ "abs/one", "r/etc/one" },
		{ "up/rel/two/three", "r/etc/two/three" },
		{ "new/../four", "r/four" },
		{ "../../five", "r/five" },
		{ "dangling/six", "r/run/deep/six" },
		{ "etc/dangling/seven", "r/var/lock/seven" },
		{ "chain/eight", "r/run/deep/eight" },
		{ "last", "r/end" },
	};
	const struct scratch *scratch = *state;
	struct root root = root_at(state, ROOT_CHROOT);
	struct err err = { 0 };

	put_link(scratch->fd, "r/dangling", "/run/deep");
	put_link(scratch->fd, "r/etc/dangling", "../var/lock");
	put_link(scratch->fd, "r/chain", "dangling");
	put_link(scratch->fd, "r/last", "../../end");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		scope_fd int fd = root_make_dirs(&root, cases[i].path, 0755, NULL, NULL, &err);
		assert_ok(fd, err);
		mode_of(scratch->fd, cases[i].made);
	}
	mode_of(scratch->fd, "r/new");
	assert_int_equal(count_names(scratch->fd, "."), 2);
	close(root.fd);
}

static void directories_are_not_made_through_files_or_loops(void **state)
{
	const struct scratch *scratch = *state;
	struct root root = root_at(state, ROOT_CHROOT);
	struct err err = { 0 };

	assert_int_equal(root_make_dirs(&root, "etc/passwd/x", 0755, NULL, NULL, &err), -1);
	assert_true(err_is_errno(&err, ENOTDIR));
	assert_int_equal(root_make_dirs(&root, "etc/passwd", 0755, NULL, NULL, &err), -1);
	assert_true(err_is_errno(&err, ENOTDIR));
	assert_int_equal(root_make_dirs(&root, "loop/x", 0755, NULL, NULL, &err), -1);
	assert_true(err_is_errno(&err, ELOOP));
	/* Each link dangles until what the one before it needs is made, so the kernel never meets more than one at a time. */
	for (int i = 0; i < 45; i++) {
		char name[32], target[32];
		snprintf(name, sizeof(name), "r/link%d", i);
		snprintf(target, sizeof(target), "made%d/../link%d", i, i + 1);
		put_link(scratch->fd, name, target);
	}
	assert_int_equal(root_make_dirs(&root, "link0", 0755, NULL, NULL, &err), -1);
	assert_true(err_is_errno(&err, ELOOP));
	scope_fd int fd = root_make_dirs(&root, "link20", 0755, NULL, NULL, &err);
	assert_ok(fd, err);
	close(root.fd);
}

static void beneath_makes_no_directories_through_links(void **state)
{
	const struct scratch *scratch = *state;
	struct root root = root_at(state, ROOT_BENEATH);
	struct err err = { 0 };

	put_link(scratch->fd, "r/dangling", "made");
	assert_int_equal(root_make_dirs(&root, "rel/x", 0755, NULL, NULL, &err), -1);
	assert_int_equal(root_make_dirs(&root, "dangling/x", 0755, NULL, NULL, &err), -1);
	assert_int_equal(root_make_dirs(&root, "../x", 0755, NULL, NULL, &err), -1);
	scope_fd int fd = root_make_dirs(&root, "a/b", 0755, NULL, NULL, &err);
	assert_ok(fd, err);
	assert_false(has_name(scratch->fd, "r/made") || has_name(scratch->fd, "r/etc/x") || has_name(scratch->fd, "x"));
	close(root.fd);
}

static int make_many(int channel, void *arg, struct err *err)
{
	const struct root *root = arg;
	char path[64];

	(void)channel;
	for (int i = 0; i < 300; i++) {
		snprintf(path, sizeof(path), "many/%d/b/c", i);
		scope_fd int fd = root_make_dirs(root, path, 0755, NULL, NULL, err);
		if (fd < 0)
			return -1;
	}
	return 0;
}

static void two_processes_may_make_the_same_directories(void **state)
{
	struct err err = { 0 };

	for (enum root_policy policy = ROOT_CHROOT; policy <= ROOT_BENEATH; policy++) {
		struct root root = root_at(state, policy);
		struct proc children[2];
		for (int i = 0; i < 2; i++)
			assert_ok(proc_fork(&children[i], make_many, &root, &err), err);
		for (int i = 0; i < 2; i++)
			assert_ok(proc_wait(&children[i], NULL, &err), err);
		assert_ok(file_remove_tree(root.fd, "many", &err), err);
		close(root.fd);
	}
}

static int refuse(void *arg, int dir_fd, struct err *err)
{
	(void)arg;
	(void)dir_fd;
	return err_set(err, ERR_INPUT, "refused");
}

static void a_caller_may_stop_the_making(void **state)
{
	const struct scratch *scratch = *state;
	struct root root = root_at(state, ROOT_CHROOT);
	struct err err = { 0 };

	assert_int_equal(root_make_dirs(&root, "a/b", 0755, refuse, NULL, &err), -1);
	assert_string_equal(err.msg, "refused");
	assert_false(has_name(scratch->fd, "r/a/b"));
	close(root.fd);
}

static void stat_looks_at_the_link_itself(void **state)
{
	struct root root = root_at(state, ROOT_CHROOT);
	struct err err = { 0 };
	struct stat st = { .st_size = 42 };

	assert_ok(root_stat(&root, "abs", &st, &err), err);
	assert_true(S_ISLNK(st.st_mode));
	assert_ok(root_stat(&root, "abs/passwd", &st, &err), err);
	assert_true(S_ISREG(st.st_mode) && st.st_size == 2);
	assert_ok(root_stat(&root, "", &st, &err), err);
	assert_true(S_ISDIR(st.st_mode));
	st.st_size = 42;
	assert_int_equal(root_stat(&root, "none", &st, &err), -1);
	assert_true(err_is_errno(&err, ENOENT));
	assert_int_equal(st.st_size, 42);
	close(root.fd);
}

static void only_regular_files_are_opened_for_reading(void **state)
{
	static const char *const others[] = { "etc", "fifo", "socket", "", "rel" };
	const struct scratch *scratch = *state;
	struct root root = root_at(state, ROOT_CHROOT);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	scope_fd int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct err err = { 0 };

	scope_fd int fd = root_open_regular(&root, "abs/passwd", &err);
	assert_ok(fd, err);
	assert_text(fd, "in");
	snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/r/socket", scratch->path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(mkfifoat(scratch->fd, "r/fifo", 0600), 0);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		assert_int_equal(root_open_regular(&root, others[i], &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
	}
	assert_int_equal(root_open_regular(&root, "none", &err), -1);
	assert_true(err_is_errno(&err, ENOENT));
	close(root.fd);

	struct root dev = { .fd = openat(AT_FDCWD, "/dev", O_PATH | O_CLOEXEC), .policy = ROOT_CHROOT };
	assert_int_equal(root_open_regular(&dev, "zero", &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	close(dev.fd);
}

/* Needs openat2 after arg's errno was made its only answer, as a container's seccomp filter does. */
static int open_with_blocked_openat2(int channel, void *arg, struct err *err)
{
	const unsigned int *sys = arg;
	struct root root = { .fd = AT_FDCWD, .policy = ROOT_CHROOT };

	(void)channel;
	if (block_call(SYS_openat2, *sys, err) < 0)
		return -1;
	return root_open(&root, ".", O_RDONLY, 0, err) < 0 ? -1 : 0;
}

static void a_blocked_openat2_is_said_and_not_worked_around(void **state)
{
	static unsigned int numbers[] = { ENOSYS, EPERM };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		struct err err = { 0 };
		struct proc child;
		assert_ok(proc_fork(&child, open_with_blocked_openat2, &numbers[i], &err), err);
		assert_int_equal(proc_wait(&child, NULL, &err), -1);
		assert_int_equal(err.kind, ERR_UNSUPPORTED);
		assert_string_equal(err.msg, "openat2 is blocked (kernel before 5.6, or a seccomp filter)");
	}
}

/* Swaps r/etc with a link to the outside, and moves a directory about, as fast as it can. */
static int swap_forever(int channel, void *arg, struct err *err)
{
	const struct scratch *scratch = arg;

	if (proc_reach(channel, 0, NULL, 0, err) < 0)
		return -1;
	for (;;) {
		renameat2(scratch->fd, "r/etc", scratch->fd, "r/trap", RENAME_EXCHANGE);
		renameat(scratch->fd, "r/a/moving", scratch->fd, "moved");
		renameat(scratch->fd, "moved", scratch->fd, "r/a/moving");
	}
}

static void a_racing_rename_neither_leads_outside_nor_fails(void **state)
{
	const struct scratch *scratch = *state;
	struct root root = root_at(state, ROOT_CHROOT);
	scope_proc struct proc child = PROC_EMPTY;
	struct err err = { 0 };
	int opened = 0;

	put_dir(scratch->fd, "r/a");
	put_dir(scratch->fd, "r/a/moving");
	put_file(scratch->fd, "passwd", "out");
	put_link(scratch->fd, "r/trap", "..");
	put_file(scratch->fd, "r/passwd", "in");
	assert_ok(proc_fork(&child, swap_forever, *state, &err), err);
	assert_ok(proc_await(&child, 0, NULL, &err), err);
	for (int i = 0; i < 20000; i++) {
		scope_fd int fd = root_open(&root, "etc/passwd", O_RDONLY, 0, &err);
		assert_ok(fd, err);
		assert_text(fd, "in");
		scope_fd int moving = root_open(&root, "a/moving/../../../../passwd", O_RDONLY, 0, &err);
		if (moving < 0) {
			assert_true(err_is_errno(&err, ENOENT));
			continue;
		}
		assert_text(moving, "in");
		opened++;
	}
	assert_true(opened > 0);
	close(root.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		root_test(a_chroot_resolves_every_path_inside),
		root_test(beneath_refuses_links_and_leaving),
		root_test(the_root_has_two_names),
		root_test(files_are_created_inside),
		root_test(magic_links_are_no_way_out),
		root_test(a_foreign_path_is_printable_in_a_message),
		root_test(a_parent_is_opened_and_its_leaf_named),
		root_test(a_path_without_a_leaf_is_refused),
		root_test(missing_directories_are_made_with_their_mode),
		root_test(a_set_group_id_bit_is_not_inherited),
		root_test(directories_are_made_through_links),
		root_test(directories_are_not_made_through_files_or_loops),
		root_test(beneath_makes_no_directories_through_links),
		root_test(two_processes_may_make_the_same_directories),
		root_test(a_caller_may_stop_the_making),
		root_test(stat_looks_at_the_link_itself),
		root_test(only_regular_files_are_opened_for_reading),
		root_test(a_blocked_openat2_is_said_and_not_worked_around),
		root_test(a_racing_rename_neither_leads_outside_nor_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
