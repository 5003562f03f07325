/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TESTS_UNIT_SCRATCH_H
#define KILN_TESTS_UNIT_SCRATCH_H

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Needs the four above. */
#include <cmocka.h>

#include "kiln/base/err.h"
#include "kiln/base/file.h"
#include "kiln/base/proc.h"
#include "kiln/base/scope.h"

/*
 * A folder for one test, below $TMPDIR or /tmp: scratch_setup and scratch_teardown are cmocka's, *state is the struct.
 */
struct scratch {
	int fd;
	char path[256];
};

static inline int scratch_setup(void **state)
{
	struct scratch *scratch = calloc(1, sizeof(*scratch));
	const char *base = getenv("TMPDIR");

	assert_non_null(scratch);
	snprintf(scratch->path, sizeof(scratch->path), "%s/kiln-test-XXXXXX", base && *base == '/' ? base : "/tmp");
	assert_non_null(mkdtemp(scratch->path));
	scratch->fd = openat(AT_FDCWD, scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(scratch->fd >= 0);
	*state = scratch;
	return 0;
}

static inline int scratch_teardown(void **state)
{
	struct scratch *scratch = *state;
	struct err err = { 0 };
	int result = file_remove_tree(AT_FDCWD, scratch->path, &err);

	if (result < 0)
		print_error("%s\n", err.msg);
	close(scratch->fd);
	free(scratch);
	return result;
}

static inline void put_file(int dir_fd, const char *path, const char *text)
{
	scope_fd int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static inline void put_dir(int dir_fd, const char *path)
{
	assert_int_equal(mkdirat(dir_fd, path, 0755), 0);
}

static inline void put_link(int dir_fd, const char *path, const char *target)
{
	assert_int_equal(symlinkat(target, dir_fd, path), 0);
}

static inline bool has_name(int dir_fd, const char *path)
{
	struct stat st;

	return fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline int count_names(int dir_fd, const char *path)
{
	int count = 0;
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *dir = fdopendir(fd);

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	return count;
}

static inline void assert_file(int dir_fd, const char *path, const char *text)
{
	scope_strbuf struct strbuf found = { 0 };
	struct err err = { 0 };

	if (file_read(dir_fd, path, 1 << 20, &found, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(strbuf_str(&found), text);
}

/* Asserts success and shows the error of a failure. */
#define assert_ok(call, err)                                  \
	do {                                                  \
		if ((call) < 0)                               \
			fail_msg("%s: %s", #call, (err).msg); \
	} while (0)

/* For children that need to mount or chroot: a user namespace of their own with this user as its root, and a mount
   namespace. */
static inline int enter_namespaces(struct err *err)
{
	char map[64];
	int uid = (int)geteuid(), gid = (int)getegid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return err_errno(err, "unshare");
	scope_fd int groups = openat(AT_FDCWD, "/proc/self/setgroups", O_WRONLY);
	scope_fd int uids = openat(AT_FDCWD, "/proc/self/uid_map", O_WRONLY);
	scope_fd int gids = openat(AT_FDCWD, "/proc/self/gid_map", O_WRONLY);
	if (write(groups, "deny", 4) < 0)
		return err_errno(err, "setgroups");
	snprintf(map, sizeof(map), "0 %d 1", uid);
	if (write(uids, map, strlen(map)) < 0)
		return err_errno(err, "uid_map");
	snprintf(map, sizeof(map), "0 %d 1", gid);
	if (write(gids, map, strlen(map)) < 0)
		return err_errno(err, "gid_map");
	return 0;
}

/* For children: from here on the system call fails with this errno, as an older kernel or a container's filter does. */
static inline int block_call(unsigned int number, unsigned int sys, struct err *err)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | sys),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = ARRAY_LEN(program), .filter = program };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		return err_errno(err, "seccomp");
	return 0;
}

static inline int try_namespaces(int channel, void *arg, struct err *err)
{
	(void)channel;
	(void)arg;
	return enter_namespaces(err);
}

/* Whether tests that begin with enter_namespaces can run here. MUST_RUN=1 says that they have to. */
static inline bool has_user_namespaces(void)
{
	const char *must_run = getenv("MUST_RUN");
	struct proc child = PROC_EMPTY;
	struct err err = { 0 };

	if (must_run && strcmp(must_run, "1") == 0)
		return true;
	if (proc_fork(&child, try_namespaces, NULL, &err) < 0 || proc_wait(&child, NULL, &err) < 0) {
		print_message("# without user namespaces (%s) some tests are left out\n", err.msg);
		return false;
	}
	return true;
}

/* For main: as cmocka_run_group_tests, without the last `count` tests where there are no user namespaces. */
#define run_group_tests_with_namespaces(tests, count) \
	_cmocka_run_group_tests(#tests, tests, ARRAY_LEN(tests) - (has_user_namespaces() ? 0 : (count)), NULL, NULL)

#define scratch_test(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

#endif
