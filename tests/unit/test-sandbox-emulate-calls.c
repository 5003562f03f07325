/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox-cage.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <pthread.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/*
 * System calls of a step on isolation "single", made by this program itself: it lies in the image and runs one of the functions
 * below. What they find wrong they print; nothing printed is a success.
 */

#define CHECK(condition)                                                                 \
	do {                                                                             \
		if (!(condition))                                                        \
			printf("line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
	} while (0)

#define CHECK_FAILS(call, number) CHECK((call) == -1 && errno == (number))

/* ---- many threads ---- */

enum { THREADS = 8, ROUNDS = 150 };

static void *hammer(void *arg)
{
	unsigned self = (unsigned)(uintptr_t)arg;
	char path[32];
	struct statx stx;
	struct stat st;

	snprintf(path, sizeof(path), "/tmp/f%u", self);
	int fd = openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	CHECK(fd >= 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		CHECK(fchownat(AT_FDCWD, path, self * 1000 + i, i + 1, 0) == 0);
		CHECK(fstatat(AT_FDCWD, path, &st, 0) == 0 && st.st_uid == self * 1000 + i && st.st_gid == i + 1);
		CHECK(fchown(fd, i + 7, (gid_t)-1) == 0);
		CHECK(fstat(fd, &st) == 0 && st.st_uid == i + 7 && st.st_gid == i + 1);
		CHECK(statx(fd, "", AT_EMPTY_PATH, STATX_UID | STATX_GID, &stx) == 0 && stx.stx_uid == i + 7);
	}
	close(fd);
	return NULL;
}

static void threads(void)
{
	pthread_t ids[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&ids[i], NULL, hammer, (void *)i) == 0); // NOLINT(performance-no-int-to-ptr)
	for (int i = 0; i < THREADS; i++)
		pthread_join(ids[i], NULL);
}

static void *look_at_ids(void *arg)
{
	*(uid_t *)arg = geteuid();
	return NULL;
}

static void threads_share_who_they_are(void)
{
	pthread_t id;
	uid_t seen = 0;

	CHECK(seteuid(44) == 0);
	CHECK(pthread_create(&id, NULL, look_at_ids, &seen) == 0);
	pthread_join(id, NULL);
	CHECK(seen == 44);
}

/* ---- children ---- */

/* The parent changes at once what the child must not see any more. */
static void children(void)
{
	int wrong = 0, status;

	for (uid_t i = 1; i <= 300; i++) {
		CHECK(seteuid(i) == 0);
		pid_t pid = fork();
		if (pid == 0)
			_exit(geteuid() != i);
		CHECK(seteuid(0) == 0);
	}
	while (wait(&status) > 0)
		wrong += status != 0;
	CHECK(wrong == 0);
}

static void grandchildren_of_the_dead(void)
{
	int pipes[2], status;
	uid_t seen = 0;

	CHECK(pipe2(pipes, O_CLOEXEC) == 0);
	for (uid_t i = 1; i <= 50; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			CHECK(setresuid(i, i, i) == 0);
			if (fork() == 0) {
				usleep(2000);
				seen = getuid() == i ? i : 0;
				CHECK(write(pipes[1], &seen, sizeof(seen)) == sizeof(seen));
			}
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
		CHECK(read(pipes[0], &seen, sizeof(seen)) == sizeof(seen) && seen == i);
	}
}

/* ---- credentials ---- */

static void ids(void)
{
	const gid_t wanted[] = { 30, 10, 20 };
	gid_t groups[8];
	uid_t r, e, s;

	CHECK(getuid() == 0 && getegid() == 0);
	CHECK(setgroups(3, wanted) == 0 && getgroups(0, NULL) == 3);
	CHECK(getgroups(8, groups) == 3 && groups[0] == 10 && groups[2] == 30);
	CHECK_FAILS(getgroups(2, groups), EINVAL);
	CHECK(setresgid(5, 6, 7) == 0 && getgid() == 5 && getegid() == 6);
	CHECK(setfsuid(9) == 0 && setfsuid((uid_t)-1) == 9 && setfsuid(0) == 9);
	CHECK(setresuid(1, 2, 3) == 0 && getresuid(&r, &e, &s) == 0 && r == 1 && e == 2 && s == 3);
	CHECK_FAILS(setuid(0), EPERM);
	CHECK_FAILS(setgroups(0, NULL), EPERM);
	CHECK_FAILS(setgid(8), EPERM);
	CHECK(setuid(3) == 0 && geteuid() == 3);
	CHECK_FAILS(setreuid(5, (uid_t)-1), EPERM);
	CHECK_FAILS(fchownat(AT_FDCWD, "/tmp", 0, 0, 0), EPERM);
}

static void capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { 0 };

	CHECK(syscall(SYS_capget, &header, data) == 0 && (data[0].effective >> CAP_CHOWN & 1));
	CHECK(!(data[0].permitted >> CAP_SYS_PTRACE & 1));
	CHECK(prctl(PR_SET_KEEPCAPS, 1) == 0 && prctl(PR_GET_KEEPCAPS) == 1);
	CHECK(setresuid(6, 6, 6) == 0);
	CHECK(syscall(SYS_capget, &header, data) == 0 && data[0].effective == 0 &&
	      (data[0].permitted >> CAP_CHOWN & 1));
	data[0].effective = 1U << CAP_CHOWN;
	CHECK(syscall(SYS_capset, &header, data) == 0);
	CHECK(fchownat(AT_FDCWD, "/tmp", 6, 6, 0) == 0);
	data[0].permitted |= 1U << CAP_SYS_PTRACE;
	CHECK_FAILS(syscall(SYS_capset, &header, data), EPERM);
	CHECK(prctl(PR_CAPBSET_READ, CAP_CHOWN) == 1 && prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN) == 0);
}

/* The number of a process's credentials lies here, and is neither seen nor changed. */
static void the_limit(void)
{
	struct rlimit limit = { 5, 5 };

	CHECK(setrlimit(RLIMIT_RTTIME, &limit) == 0);
	CHECK(getrlimit(RLIMIT_RTTIME, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY);
	CHECK(prlimit(getppid(), RLIMIT_RTTIME, &(struct rlimit){ 1, 1 }, &limit) == 0 &&
	      limit.rlim_max == RLIM_INFINITY);
	CHECK(seteuid(3) == 0 && geteuid() == 3);
}

/* ---- files ---- */

static uid_t owner_of(int fd)
{
	struct stat st = { .st_uid = 99999 };

	CHECK(fstat(fd, &st) == 0);
	return st.st_uid;
}

static void ways_to_make_a_file(void)
{
	const struct open_how how = { .flags = O_CREAT | O_RDWR | O_CLOEXEC, .mode = 0600 };
	const struct open_how beneath = { .flags = O_CREAT | O_RDWR, .mode = 0600, .resolve = RESOLVE_BENEATH };
	struct stat st;

	CHECK(setegid(6) == 0 && seteuid(5) == 0);
	int dir = openat(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = (int)syscall(SYS_openat2, dir, "by-openat2", &how, sizeof(how));
	CHECK(fd >= 0 && owner_of(fd) == 5 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK_FAILS(syscall(SYS_openat2, dir, "beneath", &beneath, sizeof(beneath)), ENOSYS);
	fd = openat(dir, ".", O_TMPFILE | O_RDWR, 0640);
	CHECK(fd >= 0 && owner_of(fd) == 5 && fcntl(fd, F_GETFD) == 0);
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(linkat(AT_FDCWD, path, dir, "linked", AT_SYMLINK_FOLLOW) == 0);
	CHECK(fstatat(dir, "linked", &st, 0) == 0 && st.st_uid == 5 && st.st_gid == 6 && (st.st_mode & 0777) == 0640);
	fd = openat(dir, "exclusive", O_CREAT | O_EXCL | O_WRONLY | O_APPEND, 0644);
	CHECK(fd >= 0 && owner_of(fd) == 5 && (fcntl(fd, F_GETFL) & O_APPEND));
	CHECK_FAILS(openat(dir, "exclusive", O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
	CHECK(openat(dir, "exclusive", O_CREAT | O_WRONLY, 0644) >= 0);
	CHECK_FAILS(openat(AT_FDCWD, "/etc/not-mine", O_CREAT | O_WRONLY, 0644), EACCES);
	CHECK_FAILS(openat(AT_FDCWD, "/missing/f", O_CREAT | O_WRONLY, 0644), ENOENT);
	CHECK_FAILS(mkdirat(dir, "exclusive", 0755), EEXIST);
	CHECK_FAILS(symlinkat("x", dir, "exclusive"), EEXIST);
	CHECK(mkdirat(dir, "deep/", 0755) == 0 && symlinkat("x", dir, "deep/link") == 0);
	CHECK(fstatat(dir, "deep/link", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == 5);
	CHECK_FAILS(unlinkat(AT_FDCWD, "/etc/passwd", 0), EACCES);
}

static void bad_arguments(void)
{
	const char *nowhere = (const char *)8; // NOLINT(performance-no-int-to-ptr)
	char long_path[PATH_MAX + 8];
	struct stat st;

	memset(long_path, 'a', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = '\0';
	CHECK_FAILS(fchownat(AT_FDCWD, nowhere, 1, 1, 0), EFAULT);
	CHECK_FAILS(fchownat(AT_FDCWD, long_path, 1, 1, 0), ENAMETOOLONG);
	CHECK_FAILS(fchownat(AT_FDCWD, "", 1, 1, 0), ENOENT);
	CHECK_FAILS(fchownat(77, "x", 1, 1, 0), EBADF);
	CHECK_FAILS(fchown(77, 1, 1), EBADF);
	CHECK_FAILS(fchownat(AT_FDCWD, "/missing", 1, 1, 0), ENOENT);
	CHECK_FAILS(fchownat(AT_FDCWD, "/bin/sh/x", 1, 1, 0), ENOTDIR);
	CHECK_FAILS(fstatat(AT_FDCWD, nowhere, &st, 0), EFAULT);
	CHECK_FAILS(fstatat(AT_FDCWD, "", &st, 0), ENOENT);
	CHECK_FAILS(setgroups(70000, (const gid_t *)long_path), EINVAL);
	CHECK_FAILS(mkdirat(AT_FDCWD, "/", 0755), EEXIST);
	CHECK(symlinkat("loop", AT_FDCWD, "/tmp/loop") == 0);
	CHECK_FAILS(fchownat(AT_FDCWD, "/tmp/loop", 1, 1, 0), ELOOP);
}

static void access_is_judged_by_the_real_user(void)
{
	CHECK(mknodat(AT_FDCWD, "/tmp/f", S_IFREG | 0600, 0) == 0 && fchownat(AT_FDCWD, "/tmp/f", 7, 7, 0) == 0);
	CHECK(setresuid(7, 8, 0) == 0);
	CHECK(faccessat(AT_FDCWD, "/tmp/f", W_OK, 0) == 0);
	CHECK_FAILS(faccessat(AT_FDCWD, "/tmp/f", R_OK, AT_EACCESS), EACCES);
	CHECK_FAILS(faccessat(AT_FDCWD, "/etc", W_OK, 0), EACCES);
	CHECK_FAILS(faccessat(AT_FDCWD, "/tmp/f", X_OK, 0), EACCES);
	CHECK(faccessat(AT_FDCWD, "/bin/program", X_OK, 0) == 0 && faccessat(AT_FDCWD, "/tmp", W_OK, 0) == 0);
	CHECK_FAILS(faccessat(AT_FDCWD, "/missing", W_OK, 0), ENOENT);
}

static void pipes_and_sockets(void)
{
	int ends[2];

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	CHECK(fchown(ends[0], 33, 33) == 0);
	CHECK(fchown(STDOUT_FILENO, 33, 33) == 0);
}

/* ---- attributes ---- */

static void records_are_hidden(void)
{
	char names[256], value[64];

	CHECK(mknodat(AT_FDCWD, "/tmp/f", S_IFREG | 0644, 0) == 0 && symlinkat("f", AT_FDCWD, "/tmp/l") == 0);
	CHECK(fchownat(AT_FDCWD, "/tmp/f", 3, 4, 0) == 0 &&
	      fchownat(AT_FDCWD, "/tmp/l", 3, 4, AT_SYMLINK_NOFOLLOW) == 0);
	CHECK(listxattr("/tmp/f", names, sizeof(names)) == 0);
	CHECK(llistxattr("/tmp/l", names, sizeof(names)) == 0);
	CHECK_FAILS(getxattr("/tmp/f", "user.kiln.own", value, sizeof(value)), ENODATA);
	CHECK_FAILS(lgetxattr("/tmp/l", "security.capability", value, sizeof(value)), ENODATA);
	CHECK_FAILS(setxattr("/tmp/f", "user.kiln.own", "0:0", 3, 0), EPERM);
	CHECK(setxattr("/tmp/f", "user.mine", "x", 1, 0) == 0 && listxattr("/tmp/f", names, sizeof(names)) == 10);
	CHECK(listxattr("/tmp/f", NULL, 0) == 10);
	CHECK_FAILS(listxattr("/tmp/f", names, 5), ERANGE);
	CHECK(removexattr("/tmp/f", "user.mine") == 0);
}

struct acl {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entries[5];
};

static void access_lists(void)
{
	const struct acl acl = { { POSIX_ACL_XATTR_VERSION },
				 { { ACL_USER_OBJ, 6, ACL_UNDEFINED_ID },
				   { ACL_USER, 7, 33 },
				   { ACL_GROUP_OBJ, 4, ACL_UNDEFINED_ID },
				   { ACL_MASK, 7, ACL_UNDEFINED_ID },
				   { ACL_OTHER, 0, ACL_UNDEFINED_ID } } };
	struct acl found;
	char names[256];
	struct stat st;

	CHECK(mknodat(AT_FDCWD, "/tmp/f", S_IFREG | 0644, 0) == 0);
	CHECK(setxattr("/tmp/f", "system.posix_acl_access", &acl, sizeof(acl), 0) == 0);
	CHECK(fstatat(AT_FDCWD, "/tmp/f", &st, 0) == 0 && (st.st_mode & 0777) == 0670);
	CHECK(getxattr("/tmp/f", "system.posix_acl_access", &found, sizeof(found)) == sizeof(acl));
	CHECK(memcmp(&found, &acl, sizeof(acl)) == 0);
	CHECK(fchmodat(AT_FDCWD, "/tmp/f", 0640, 0) == 0);
	CHECK(getxattr("/tmp/f", "system.posix_acl_access", &found, sizeof(found)) == sizeof(acl));
	CHECK(found.entries[3].e_perm == 4);
	CHECK(listxattr("/tmp/f", names, sizeof(names)) == sizeof("system.posix_acl_access"));
	CHECK(removexattr("/tmp/f", "system.posix_acl_access") == 0);
	CHECK_FAILS(getxattr("/tmp/f", "system.posix_acl_access", &found, sizeof(found)), ENODATA);
}

/* ---- the program in the image ---- */

static void who(void)
{
	printf("%u %u %u %u\n", getuid(), geteuid(), getgid(), getegid());
}

static const struct {
	const char *name;
	void (*run)(void);
} functions[] = {
	{ "threads", threads },
	{ "threads_share_who_they_are", threads_share_who_they_are },
	{ "children", children },
	{ "grandchildren_of_the_dead", grandchildren_of_the_dead },
	{ "ids", ids },
	{ "capabilities", capabilities },
	{ "the_limit", the_limit },
	{ "ways_to_make_a_file", ways_to_make_a_file },
	{ "bad_arguments", bad_arguments },
	{ "access_is_judged_by_the_real_user", access_is_judged_by_the_real_user },
	{ "pipes_and_sockets", pipes_and_sockets },
	{ "records_are_hidden", records_are_hidden },
	{ "access_lists", access_lists },
	{ "who", who },
};

static int run_function(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		if (strcmp(functions[i].name, name) == 0) {
			functions[i].run();
			return fflush(stdout) == 0 ? 0 : 1;
		}
	}
	printf("there is no function %s\n", name);
	return 1;
}

static void put_program(const struct scratch *scratch)
{
	scope_fd int from = openat(AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC);
	scope_fd int to = openat(scratch->fd, "image/bin/program", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	struct stat st;

	assert_int_equal(fstat(from, &st), 0);
	for (off_t done = 0; done < st.st_size;) {
		ssize_t count = sendfile(to, from, &done, (size_t)(st.st_size - done));
		assert_true(count > 0);
	}
	put_link(scratch->fd, "image/lib", "usr/lib");
	put_link(scratch->fd, "image/lib64", "usr/lib64");
	put_file(scratch->fd, "image/etc/passwd", "root:x:0:0::/:/bin/sh\n");
}

/* Its libraries are this machine's. */
static void run_program(void **state, const char *function, const char *output)
{
	const char *const argv[] = { "/bin/program", function, NULL };
	scope_fd int usr = openat(AT_FDCWD, "/usr", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct cage_mount mount = { .type = CAGE_BIND, .source_fd = usr, .target = "/usr", .read_only = true };
	struct step step = step_in(state);

	put_program(*state);
	step.cage.mounts = &mount;
	step.cage.mount_count = 1;
	if (run_step(&step, argv) < 0)
		fail_msg("%s: %s", function, step.err.msg);
	assert_output(&step, output);
	assert_int_equal(step.status, 0);
	step_end(&step);
}

#define program_test(function)                     \
	static void test_##function(void **state)  \
	{                                          \
		run_program(state, #function, ""); \
	}

program_test(threads) program_test(threads_share_who_they_are) program_test(children)
	program_test(grandchildren_of_the_dead) program_test(ids) program_test(capabilities) program_test(the_limit)
		program_test(ways_to_make_a_file) program_test(bad_arguments)
			program_test(access_is_judged_by_the_real_user) program_test(pipes_and_sockets)
				program_test(records_are_hidden) program_test(access_lists)

					static void a_set_id_program_changes_who_one_is(void **state)
{
	const char *const argv[] = { "/bin/program", "who", NULL };
	scope_fd int usr = openat(AT_FDCWD, "/usr", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct cage_mount mount = { .type = CAGE_BIND, .source_fd = usr, .target = "/usr", .read_only = true };
	struct step step = step_in(state);

	put_program(*state);
	run_script(&step, "chown 33:44 /bin/program && chmod 6755 /bin/program");
	step.cage.mounts = &mount;
	step.cage.mount_count = 1;
	step.cage.user = (struct user){ .uid = 1000, .gid = 1000, .home = "/" };
	assert_int_equal(run_step(&step, argv), 0);
	assert_output(&step, "1000 33 1000 44\n");
	step.cage.no_new_privs = true;
	assert_int_equal(run_step(&step, argv), 0);
	assert_output(&step, "1000 1000 1000 1000\n");
	step_end(&step);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cage_test(test_threads),
		cage_test(test_threads_share_who_they_are),
		cage_test(test_children),
		cage_test(test_grandchildren_of_the_dead),
		cage_test(test_ids),
		cage_test(test_capabilities),
		cage_test(test_the_limit),
		cage_test(test_ways_to_make_a_file),
		cage_test(test_bad_arguments),
		cage_test(test_access_is_judged_by_the_real_user),
		cage_test(test_pipes_and_sockets),
		cage_test(test_records_are_hidden),
		cage_test(test_access_lists),
		cage_test(a_set_id_program_changes_who_one_is),
	};

	if (argc > 1)
		return run_function(argv[1]);
	return run_on_rung(ISOLATION_SINGLE, tests, ARRAY_LEN(tests), 0);
}
