/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox-cage.h"

#include "../../src/sandbox/mount.h"

/* What is mounted in a step, and that nothing of it stays. */

/* ---- /dev ---- */

static void devices_are_those_of_a_container(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "cd /dev && stat -c '%A %t:%T %N' * | tr -d \"'\"; stat -c %a /dev/pts /dev/shm");
	assert_output(&step, "lrwxrwxrwx 0:0 fd -> /proc/self/fd\n"
			     "crw-rw-rw- 1:7 full\n"
			     "drwxrwxrwt 0:0 mqueue\n"
			     "crw-rw-rw- 1:3 null\n"
			     "lrwxrwxrwx 0:0 ptmx -> pts/ptmx\n"
			     "drwxr-xr-x 0:0 pts\n"
			     "crw-rw-rw- 1:8 random\n"
			     "drwxrwxrwt 0:0 shm\n"
			     "lrwxrwxrwx 0:0 stderr -> /proc/self/fd/2\n"
			     "lrwxrwxrwx 0:0 stdin -> /proc/self/fd/0\n"
			     "lrwxrwxrwx 0:0 stdout -> /proc/self/fd/1\n"
			     "crw-rw-rw- 5:0 tty\n"
			     "crw-rw-rw- 1:9 urandom\n"
			     "crw-rw-rw- 1:5 zero\n"
			     "755\n1777\n");
	step_end(&step);
}

static void devices_work_for_root_and_for_users(void **state)
{
	static const char script[] =
		"echo x > /dev/null && head -c 4 /dev/zero | wc -c && head -c 3 /dev/urandom | wc -c;"
		"echo x > /dev/shm/f && cat /dev/shm/f; echo 2>/dev/null > /dev/full || echo full;"
		"test -c /dev/ptmx && echo pty";
	struct step step = step_in(state);

	run_script(&step, script);
	assert_output(&step, "4\n3\nx\nfull\npty\n");
	step.cage.user = (struct user){ .uid = 1000, .gid = 1000 };
	run_script(&step, script);
	assert_output(&step, "4\n3\nx\nfull\npty\n");
	step_end(&step);
}

static void shared_memory_has_a_size(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "df -k /dev/shm | sed -n 's/  */ /gp' | cut -d' ' -f2 | sed 1d");
	assert_output(&step, "65536\n");
	step.cage.shm_size = 1 << 20;
	run_script(&step, "df -k /dev/shm | sed -n 's/  */ /gp' | cut -d' ' -f2 | sed 1d");
	assert_output(&step, "1024\n");
	step_end(&step);
}

static void mounts_have_their_flags(void **state)
{
	struct step step = step_in(state);

	run_script(&step,
		   "for m in /proc /proc/sys /sys /dev /dev/null /dev/pts /dev/shm /dev/mqueue /etc/hosts; do"
		   " cut -d' ' -f5,6 /proc/self/mountinfo | grep \"^$m \" | tail -1 | sed 's/,relatime//'; done");
	assert_output(&step, "/proc rw,nosuid,nodev,noexec\n"
			     "/proc/sys ro,nosuid,nodev,noexec\n"
			     "/sys ro,nosuid,nodev,noexec\n"
			     "/dev rw,nosuid\n"
			     "/dev/null rw,nosuid,noexec\n"
			     "/dev/pts rw,nosuid,noexec\n"
			     "/dev/shm rw,nosuid,nodev,noexec\n"
			     "/dev/mqueue rw,nosuid,nodev,noexec\n"
			     "/etc/hosts ro,nosuid,nodev,noexec\n");
	step_end(&step);
}

/* ---- /etc ---- */

static void names_are_given_and_cannot_be_changed(void **state)
{
	static const char *const extra[] = { "db 10.0.0.1", NULL };
	struct step step = step_in(state);

	step.cage.hostname = "buildkitsandbox";
	step.cage.extra_hosts = extra;
	if (may_set_host_name()) {
		run_script(&step, "hostname");
		assert_output(&step, "buildkitsandbox\n");
	}
	run_script(&step, "cat /etc/hostname; head -1 /etc/hosts; grep 10.0.0.1 /etc/hosts; cat /etc/resolv.conf;"
			  "echo x > /etc/hosts; echo x > /etc/resolv.conf; rm /etc/hostname");
	assert_output(&step, "buildkitsandbox\n127.0.0.1\tlocalhost buildkitsandbox\n10.0.0.1\tdb\n"
			     "nameserver 192.0.2.53\n"
			     "sh: can't create /etc/hosts: Read-only file system\n"
			     "sh: can't create /etc/resolv.conf: Read-only file system\n"
			     "rm: can't remove '/etc/hostname': Device or resource busy\n");
	step_end(&step);
}

static void files_of_the_image_come_back(void **state)
{
	const struct scratch *scratch = *state;
	struct step step = step_in(state);

	put_file(scratch->fd, "image/etc/hosts", "of the image\n");
	run_script(&step, "head -1 /etc/hosts");
	assert_output(&step, "127.0.0.1\tlocalhost kiln\n");
	assert_file(scratch->fd, "image/etc/hosts", "of the image\n");
	step_end(&step);
}

/* T-M8 */
static void links_of_the_image_do_not_lead_out(void **state)
{
	static const struct {
		const char *link, *target;
	} table[] = {
		{ "image/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf" },
		{ "image/etc/hosts", "/../../canary/f" },
		{ "image/etc/hostname", "/proc/self/environ" },
	};
	const struct scratch *scratch = *state;
	struct step step = step_in(state);

	/* The last means the step's own /proc by then. */
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		put_link(scratch->fd, table[i].link, table[i].target);
	run_script(&step, "cat /etc/resolv.conf; head -1 /etc/hosts");
	assert_output(&step, "nameserver 192.0.2.53\n127.0.0.1\tlocalhost kiln\n");
	assert_file(scratch->fd, "canary/f", "outside");
	assert_false(has_name(scratch->fd, "image/run"));
	assert_false(has_name(scratch->fd, "image/canary"));

	assert_int_equal(file_remove_tree(scratch->fd, "image/etc", NULL), 0);
	put_link(scratch->fd, "image/etc", "/../canary");
	run_script(&step, "cat /etc/resolv.conf; ls -a /canary | tr '\\n' ' '");
	assert_output(&step, "nameserver 192.0.2.53\n. .. hostname hosts resolv.conf ");
	assert_int_equal(count_names(scratch->fd, "canary"), 1);
	assert_false(has_name(scratch->fd, "image/canary"));
	step_end(&step);
}

static void what_cannot_be_covered_is_an_error(void **state)
{
	const struct scratch *scratch = *state;
	const char *const argv[] = { "true", NULL };
	struct step step = step_in(state);

	put_dir(scratch->fd, "image/etc/hosts");
	assert_set_up_fails(&step, argv,
			    "etc/hosts: is a directory in the image, and a mount point there must be a file");
	assert_int_equal(unlinkat(scratch->fd, "image/etc/hosts", AT_REMOVEDIR), 0);
	assert_int_equal(mkfifoat(scratch->fd, "image/etc/hosts", 0644), 0);
	run_script(&step, "head -1 /etc/hosts");
	assert_output(&step, "127.0.0.1\tlocalhost kiln\n");
	step_end(&step);
}

/* ---- mounts of the cage ---- */

static void directories_and_files_are_bound(void **state)
{
	const struct scratch *scratch = *state;
	struct step step = step_in(state);

	put_dir(scratch->fd, "source");
	put_file(scratch->fd, "source/f", "bound\n");
	scope_fd int dir_fd = openat(scratch->fd, "source", O_PATH | O_DIRECTORY | O_CLOEXEC);
	scope_fd int file_fd = openat(scratch->fd, "source/f", O_PATH | O_CLOEXEC);
	const struct cage_mount mounts[] = {
		{ .type = CAGE_BIND, .source_fd = dir_fd, .target = "/new/writable" },
		{ .type = CAGE_BIND, .source_fd = dir_fd, .target = "/new/read-only", .read_only = true },
		{ .type = CAGE_BIND, .source_fd = file_fd, .target = "/new/file", .read_only = true },
	};
	step.cage.mounts = mounts;
	step.cage.mount_count = ARRAY_LEN(mounts);
	run_script(&step, "cat /new/read-only/f /new/file; echo more > /new/writable/g; cat /new/read-only/g;"
			  "echo x > /new/read-only/h; echo x > /new/file");
	assert_output(&step, "bound\nbound\nmore\nsh: can't create /new/read-only/h: Read-only file system\n"
			     "sh: can't create /new/file: Read-only file system\n");
	assert_file(scratch->fd, "source/g", "more\n");
	assert_false(has_name(scratch->fd, "image/new"));
	step_end(&step);
}

static void a_tmpfs_has_its_size_mode_and_owner(void **state)
{
	const struct cage_mount mounts[] = {
		{ .type = CAGE_TMPFS, .source_fd = -1, .target = "/t1" },
		{ .type = CAGE_TMPFS,
		  .source_fd = -1,
		  .target = "/t2",
		  .size = 1 << 20,
		  .mode = 0750,
		  .uid = 5,
		  .gid = 6 },
	};
	struct step step = step_in(state);

	step.cage.mounts = mounts;
	step.cage.mount_count = ARRAY_LEN(mounts);
	run_script(&step, "stat -c '%a %u:%g' /t1 /t2; dd if=/dev/zero of=/t2/f bs=1024 count=2048 2>&1 | head -1; cp "
			  "/bin/busybox /t1/sh"
			  " 2>/dev/null || busybox cp /bin/busybox /t1/sh; /t1/sh -c 'echo runs'");
	assert_output(&step, "1777 0:0\n750 5:6\ndd: error writing '/t2/f': No space left on device\nruns\n");
	step_end(&step);
}

/* A heredoc that is a program, and a secret. */
static void files_appear_with_their_contents(void **state)
{
	static const char program[] = "#!/bin/sh\necho program $0\n";
	const struct cage_mount mounts[] = {
		{ .type = CAGE_FILE,
		  .source_fd = -1,
		  .target = "/dev/pipes/EOF",
		  .bytes = program,
		  .len = sizeof(program) - 1,
		  .mode = 0755,
		  .read_only = true },
		{ .type = CAGE_FILE,
		  .source_fd = -1,
		  .target = "/run/secrets/key",
		  .bytes = "a\0b",
		  .len = 3,
		  .mode = 0400,
		  .uid = 1000,
		  .gid = 1000,
		  .read_only = true },
	};
	struct step step = step_in(state);

	step.cage.mounts = mounts;
	step.cage.mount_count = ARRAY_LEN(mounts);
	run_script(&step, "/dev/pipes/EOF; wc -c < /run/secrets/key; stat -c '%a %u:%g' /run/secrets/key; echo x > "
			  "/run/secrets/key");
	assert_output(
		&step,
		"program /dev/pipes/EOF\n3\n400 1000:1000\nsh: can't create /run/secrets/key: Read-only file system\n");
	step.cage.user = (struct user){ .uid = 1000, .gid = 1000 };
	run_script(&step, "wc -c < /run/secrets/key; grep secrets /proc/self/mountinfo | cut -d' ' -f6");
	assert_output(&step, "3\nro,nosuid,nodev,noexec,relatime\n");
	assert_false(has_name(step.cage.root_fd, "run"));
	step_end(&step);
}

static void mounts_in_mounts_are_mounted_whatever_their_order(void **state)
{
	const struct scratch *scratch = *state;
	struct step step = step_in(state);

	put_dir(scratch->fd, "outer");
	put_dir(scratch->fd, "inner");
	put_file(scratch->fd, "inner/f", "inner\n");
	scope_fd int outer_fd = openat(scratch->fd, "outer", O_PATH | O_DIRECTORY | O_CLOEXEC);
	scope_fd int inner_fd = openat(scratch->fd, "inner", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct cage_mount mounts[] = {
		{ .type = CAGE_BIND, .source_fd = inner_fd, .target = "/a/./b//c/" },
		{ .type = CAGE_TMPFS, .source_fd = -1, .target = "/a/b" },
		{ .type = CAGE_BIND, .source_fd = outer_fd, .target = "a" },
	};
	step.cage.mounts = mounts;
	step.cage.mount_count = ARRAY_LEN(mounts);
	run_script(&step, "cat /a/b/c/f; cut -d' ' -f5 /proc/self/mountinfo | grep ^/a | sort");
	assert_output(&step, "inner\n/a\n/a/b\n/a/b/c\n");
	assert_false(has_name(scratch->fd, "image/a"));
	step_end(&step);
}

static void a_mount_of_the_caller_goes_before_ours(void **state)
{
	const struct scratch *scratch = *state;
	struct step step = step_in(state);

	put_dir(scratch->fd, "etc");
	put_file(scratch->fd, "hosts", "caller\n");
	scope_fd int dir_fd = openat(scratch->fd, "etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	scope_fd int file_fd = openat(scratch->fd, "hosts", O_PATH | O_CLOEXEC);
	const struct cage_mount file[] = { { .type = CAGE_BIND, .source_fd = file_fd, .target = "/etc/hosts" } };
	const struct cage_mount dir[] = {
		{ .type = CAGE_BIND, .source_fd = dir_fd, .target = "/etc", .read_only = true }
	};

	step.cage.mounts = file;
	step.cage.mount_count = 1;
	run_script(&step, "cat /etc/hosts");
	assert_output(&step, "caller\n");
	step.cage.mounts = dir;
	run_script(&step, "ls /etc");
	assert_output(&step, "");
	assert_int_equal(count_names(scratch->fd, "etc"), 0);
	step_end(&step);
}

static void the_root_cannot_be_covered(void **state)
{
	static const char *const targets[] = { "/", "", "/..", "/a/.." };
	const char *const argv[] = { "true", NULL };
	struct step step = step_in(state);

	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		const struct cage_mount mounts[] = { { .type = CAGE_TMPFS, .source_fd = -1, .target = targets[i] } };
		step.cage.mounts = mounts;
		step.cage.mount_count = 1;
		assert_set_up_fails(&step, argv, "nothing can be mounted on the root itself");
	}
	step_end(&step);
}

/* T-M5, with the step doing it. */
static void a_stub_is_taken_away_wherever_the_step_moved_it(void **state)
{
	const struct cage_mount mounts[] = { { .type = CAGE_TMPFS, .source_fd = -1, .target = "/a/b" } };
	const struct scratch *scratch = *state;
	struct step step = step_in(state);

	put_dir(scratch->fd, "canary/b");
	step.cage.mounts = mounts;
	step.cage.mount_count = 1;
	run_script(&step, "rm -rf /a 2>/dev/null; mv /a /x && ln -s ../canary /a && echo moved");
	assert_output(&step, "moved\n");
	assert_true(has_name(scratch->fd, "canary/b"));
	assert_true(has_name(scratch->fd, "image/a"));
	assert_int_equal(count_names(scratch->fd, "image/x"), 0);
	step_end(&step);
}

/* ---- T-S16: nothing stays ---- */

/* Everything of a tree that could come into a layer. */
static void list_tree(const char *path, struct strbuf *out)
{
	const char *const argv[] = { "find", path, "-printf", "%y %m %U:%G %s %T@ %P %l\\n", NULL };
	const struct proc_run run = { .argv = argv, .timeout_ms = 30000, .out = out };
	struct err err = { 0 };

	assert_ok(proc_run(&run, &err), err);
}

static void assert_leaves_nothing(struct step *step, const char *path)
{
	const struct cage_mount mounts[] = {
		{ .type = CAGE_TMPFS, .source_fd = -1, .target = "/opt/x/y" },
		{ .type = CAGE_FILE, .source_fd = -1, .target = "/etc/key", .mode = 0400 },
		{ .type = CAGE_SECRET,
		  .source_fd = -1,
		  .target = "/run/secrets/a",
		  .bytes = "a",
		  .len = 1,
		  .mode = 0400 },
		{ .type = CAGE_SECRET, .source_fd = -1, .target = "/etc/secret", .bytes = "b", .len = 1, .mode = 0400 },
	};
	scope_strbuf struct strbuf before = { 0 }, after = { 0 };

	list_tree(path, &before);
	run_script(step, "true");
	list_tree(path, &after);
	assert_string_equal(strbuf_str(&before), strbuf_str(&after));

	step->cage.mounts = mounts;
	step->cage.mount_count = ARRAY_LEN(mounts);
	run_script(step, "true");
	strbuf_reset(&after);
	list_tree(path, &after);
	assert_string_equal(strbuf_str(&before), strbuf_str(&after));
	step->cage.mount_count = 0;
}

static void make_old(const struct scratch *scratch)
{
	static const char *const paths[] = { "image/etc", "image/tmp", "image/bin", "image" };
	const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1234567890, .tv_nsec = 5 } };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		assert_true(utimensat(scratch->fd, paths[i], old, 0) == 0 || errno == ENOENT);
}

static void a_step_that_does_nothing_changes_nothing(void **state)
{
	const struct scratch *scratch = *state;
	struct step step = step_in(state);
	char path[300];

	make_old(scratch);
	snprintf(path, sizeof(path), "%s/image", scratch->path);
	assert_leaves_nothing(&step, path);
	/* Neither /etc nor anything else but the program. */
	assert_int_equal(file_remove_tree(scratch->fd, "image/etc", NULL), 0);
	assert_int_equal(file_remove_tree(scratch->fd, "image/tmp", NULL), 0);
	make_old(scratch);
	assert_leaves_nothing(&step, path);
	step_end(&step);
}

static void a_step_that_fails_changes_nothing_either(void **state)
{
	const struct scratch *scratch = *state;
	const char *const argv[] = { "nothere", NULL };
	scope_strbuf struct strbuf before = { 0 }, after = { 0 };
	struct step step = step_in(state);
	char path[300];

	make_old(scratch);
	snprintf(path, sizeof(path), "%s/image", scratch->path);
	list_tree(path, &before);
	assert_int_equal(run_step(&step, argv), -1);
	put_link(scratch->fd, "image/dev", "x");
	make_old(scratch);
	assert_int_equal(run_step(&step, argv), -1);
	assert_int_equal(unlinkat(scratch->fd, "image/dev", 0), 0);
	make_old(scratch);
	list_tree(path, &after);
	assert_string_equal(strbuf_str(&before), strbuf_str(&after));
	step_end(&step);
}

/* A detached overlay, as the view makes it. */
static int mount_overlay(const struct scratch *scratch, struct err *err)
{
	char lower[300], upper[300], work[300];
	const struct mount_option options[] = {
		{ "lowerdir", lower }, { "upperdir", upper }, { "workdir", work }, { "userxattr", NULL }, { NULL, NULL }
	};

	put_dir(scratch->fd, "upper");
	put_dir(scratch->fd, "work");
	snprintf(lower, sizeof(lower), "%s/image", scratch->path);
	snprintf(upper, sizeof(upper), "%s/upper", scratch->path);
	snprintf(work, sizeof(work), "%s/work", scratch->path);
	return mount_new("overlay", options, 0, err);
}

static void an_overlay_may_be_detached_and_used_again(void **state)
{
	const struct scratch *scratch = *state;
	struct step step = step_in(state);
	struct err err = { 0 };

	make_old(scratch);
	close(step.cage.root_fd);
	step.cage.root_fd = mount_overlay(scratch, &err);
	step.cage.root_is_mount = true;
	/* Where the kernel or the file system below has no overlay for users, there is nothing to test. */
	if (step.cage.root_fd < 0) {
		print_message("# %s\n", err.msg);
		return;
	}
	run_script(&step, "true");
	/* /etc is in upper, since something was made in it; it is as below. */
	assert_int_equal(count_names(scratch->fd, "upper"), 1);
	assert_int_equal(count_names(scratch->fd, "upper/etc"), 0);
	struct stat st;
	assert_int_equal(fstatat(scratch->fd, "upper/etc", &st, 0), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1234567890);
	assert_int_equal(st.st_mtim.tv_nsec, 5);
	assert_int_equal(fstatat(scratch->fd, "upper", &st, 0), 0);
	run_script(&step, "echo text > /new; cat /new; rm -r /etc 2>/dev/null");
	assert_output(&step, "text\n");
	assert_file(scratch->fd, "upper/new", "text\n");
	step_end(&step);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cage_test(devices_are_those_of_a_container),
		cage_test(devices_work_for_root_and_for_users),
		cage_test(shared_memory_has_a_size),
		cage_test(mounts_have_their_flags),
		cage_test(names_are_given_and_cannot_be_changed),
		cage_test(files_of_the_image_come_back),
		cage_test(links_of_the_image_do_not_lead_out),
		cage_test(what_cannot_be_covered_is_an_error),
		cage_test(directories_and_files_are_bound),
		cage_test(a_tmpfs_has_its_size_mode_and_owner),
		cage_test(files_appear_with_their_contents),
		cage_test(mounts_in_mounts_are_mounted_whatever_their_order),
		cage_test(a_mount_of_the_caller_goes_before_ours),
		cage_test(the_root_cannot_be_covered),
		cage_test(a_stub_is_taken_away_wherever_the_step_moved_it),
		cage_test(a_step_that_does_nothing_changes_nothing),
		cage_test(a_step_that_fails_changes_nothing_either),
		cage_test(an_overlay_may_be_detached_and_used_again),
	};

	return run_in_coordinator(tests, ARRAY_LEN(tests), 0);
}
