/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox-cage.h"

#include "kiln/base/owner.h"

#include <sys/sysmacros.h>

/* Steps on isolation "single": what commands see, and what is recorded on the files of the image. */

static void expect(void **state, const char *script, const char *output)
{
	struct step step = step_in(state);

	run_script(&step, script);
	assert_output(&step, output);
	step_end(&step);
}

/* The owner of a file of the image, as the differ reads it. */
static void assert_owner(void **state, const char *path, uint32_t uid, uint32_t gid)
{
	const struct scratch *scratch = *state;
	struct owner owner = { 0, 0 };
	struct stat st;
	scope_fd int fd = openat(scratch->fd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_uid, 0);
	assert_true(owner_read(fd, st.st_mode, &owner) >= 0);
	if (owner.uid != uid || owner.gid != gid)
		fail_msg("%s belongs to %u:%u, not to %u:%u", path, owner.uid, owner.gid, uid, gid);
}

static void chown_is_seen_and_recorded_for_every_type(void **state)
{
	expect(state,
	       "cd /tmp && echo x >file && mkdir dir && ln -s nowhere link && busybox mkfifo fifo\n"
	       "chown 33:44 file dir fifo && chown -h 55:66 link && chown 0:7 file\n"
	       "stat -c '%n %u:%g' file dir link fifo; busybox ls -ln link | tr -s ' ' | cut -d' ' -f3,4",
	       "file 0:7\ndir 33:44\nlink 55:66\nfifo 33:44\n55 66\n");
	assert_owner(state, "image/tmp/file", 0, 7);
	assert_owner(state, "image/tmp/dir", 33, 44);
	assert_owner(state, "image/tmp/link", 55, 66);
	assert_owner(state, "image/tmp/fifo", 33, 44);
}

static void a_chown_to_root_takes_the_record_away(void **state)
{
	expect(state, "cd /tmp && echo >f && chown 1:1 f && chown 0:0 f && stat -c '%u:%g' f", "0:0\n");
	assert_owner(state, "image/tmp/f", 0, 0);
}

static void records_go_with_rename_and_link(void **state)
{
	expect(state, "cd /tmp && echo >a && chown 5:6 a && mv a b && ln b c && stat -c '%u:%g' b c", "5:6\n5:6\n");
	assert_owner(state, "image/tmp/c", 5, 6);
}

static void chown_takes_set_id_bits_away_as_the_kernel_does(void **state)
{
	expect(state,
	       "cd /tmp && echo >f && chmod 6755 f && chown 5 f && stat -c %a f && chmod 6755 f && stat -c '%a %u' f",
	       "755\n6755 5\n");
}

static void another_user_makes_files_of_its_own(void **state)
{
	struct step step = step_in(state);

	step.cage.user = (struct user){ .uid = 1000, .gid = 50, .home = "/tmp" };
	run_script(&step,
		   "umask 027; cd /tmp && echo >f && mkdir d && ln -s x l && busybox mkfifo p && id -u && id -g\n"
		   "busybox mktemp /tmp/t.XXXXXX >/dev/null; stat -c '%n %a %u:%g' f d l p");
	assert_output(&step, "1000\n50\nf 640 1000:50\nd 750 1000:50\nl 777 1000:50\np 640 1000:50\n");
	step_end(&step);
	assert_owner(state, "image/tmp/f", 1000, 50);
	assert_owner(state, "image/tmp/l", 1000, 50);
}

static void another_user_is_kept_out_of_roots_directories(void **state)
{
	struct step step = step_in(state);

	step.cage.user = (struct user){ .uid = 1000, .gid = 1000, .home = "/tmp" };
	run_script(&step, "for c in 'touch /etc/x' 'mkdir /etc/d' 'ln -s x /etc/l' 'rm /bin/sh' 'mv /bin/sh /tmp/' \\\n"
			  " 'chown 1000 /etc' 'chmod 777 /etc' 'dd if=/dev/null of=/bin/busybox'; do\n"
			  "$c 2>/dev/null && echo could: $c; done; [ -e /bin/sh ] && echo done");
	assert_output(&step, "done\n");
	step_end(&step);
}

static void another_user_cannot_read_what_is_roots_alone(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "echo secret >/etc/secret; chmod 600 /etc/secret; echo for all >/etc/all");
	step.cage.user = (struct user){ .uid = 1000, .gid = 1000, .home = "/tmp" };
	run_script(&step, "cat /etc/secret 2>/dev/null; cat /etc/all; test -s /proc/self/environ || head -c 4 "
			  "/proc/self/environ\n"
			  "echo; echo 900 >/proc/self/oom_score_adj && echo y >/dev/null && ls /bin/sh; test -r "
			  "/etc/secret || echo no");
	assert_output(&step, "for all\nPATH\n/bin/sh\nno\n");
	step_end(&step);
}

static void the_sticky_bit_protects_files_of_others(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "echo >/tmp/roots; chmod 666 /tmp/roots");
	step.cage.user = (struct user){ .uid = 1000, .gid = 1000, .home = "/tmp" };
	run_script(&step, "rm -f /tmp/roots 2>/dev/null; echo >/tmp/own && rm /tmp/own; test -e /tmp/roots && ls /tmp");
	assert_output(&step, "roots\n");
	step_end(&step);
}

static void files_inherit_the_group_of_a_set_group_id_directory(void **state)
{
	expect(state,
	       "mkdir /tmp/g && chown 0:50 /tmp/g && chmod 2775 /tmp/g && cd /tmp/g && echo >f && mkdir d && ln -s x "
	       "l\n"
	       "ln -s made dangling && echo >dangling; stat -c '%n %A %g' f d l made",
	       "f -rw-r--r-- 50\nd drwxr-sr-x 50\nl lrwxrwxrwx 50\nmade -rw-r--r-- 50\n");
}

static void an_exec_that_fails_changes_nobody(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "echo 'no program' >/bin/broken && chown 33 /bin/broken && chmod 4755 /bin/broken");
	step.cage.user = (struct user){ .uid = 1000, .gid = 1000, .home = "/tmp" };
	run_script(&step, "(exec /bin/broken) 2>/dev/null; id -u; sh -c '/bin/broken 2>/dev/null; id -u'");
	assert_output(&step, "1000\n1000\n");
	step_end(&step);
}

static void paths_are_those_of_a_changed_root(void **state)
{
	expect(state,
	       "mkdir -p /j/bin /j/t && busybox cp /bin/busybox /j/bin && ln -s /t/real /j/link && echo >/j/t/real\n"
	       "mkdir -p /t && echo >/t/real\n"
	       "busybox chroot /j /bin/busybox sh -c 'busybox chown 9:9 /link; cd /t; busybox chown 8 "
	       "../../../../t/real; \n"
	       "busybox stat -c %u:%g /link real; busybox stat -Lc %u:%g /link'\n"
	       "stat -c '%n %u:%g' /t/real /j/t/real /j/link",
	       "0:0\n8:9\n8:9\n/t/real 0:0\n/j/t/real 8:9\n/j/link 0:0\n");
}

static void links_of_proc_are_those_of_the_process(void **state)
{
	expect(state,
	       "cd /tmp; exec 5>f 6>g 7>h; chown 1 /proc/self/fd/5; ln -s /dev/fd x; chown 2 x/6; ln -s "
	       "/proc/thread-self/fd y\n"
	       "chown 3 y/7; stat -c '%n %u' f g h; cd /proc/self/cwd && chown 4 ./f && stat -c %u /tmp/f",
	       "f 1\ng 2\nh 3\n4\n");
}

static void a_device_is_kept_as_a_placeholder(void **state)
{
	expect(state,
	       "busybox mknod -m 640 /tmp/null c 1 3 && chown 0:6 /tmp/null && stat -c '%F %a %t:%T %u:%g' /tmp/null\n"
	       "test -c /tmp/null && echo device",
	       "character special file 640 1:3 0:6\ndevice\n");
	assert_owner(state, "image/tmp/null", 0, 6);
}

static void what_runs_after_its_parent_keeps_its_user(void **state)
{
	expect(state,
	       "echo 'u:x:44:44::/tmp:/bin/sh' >/etc/passwd; cd /tmp\n"
	       "for i in 1 2 3 4 5 6 7 8 9; do\n"
	       "busybox su u -c \"(sleep 0.0$i; echo >/tmp/orphan$i) & \"; done\n"
	       "sleep 0.5; stat -c %u:%g orphan* | sort | busybox uniq -c | tr -d ' '",
	       "944:44\n");
}

static void signals_and_statuses_are_the_commands(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "exit 7");
	assert_int_equal(step.status, 7);
	run_script(&step, "kill -TERM $$");
	assert_int_equal(step.status, 128 + SIGTERM);
	run_script(&step, "kill -KILL $$");
	assert_int_equal(step.status, 128 + SIGKILL);
	run_script(&step, "sleep 1000 & exit 3");
	assert_int_equal(step.status, 3);
	step_end(&step);
}

static void a_missing_program_is_told(void **state)
{
	const char *const argv[] = { "nothing", NULL };
	struct step step = step_in(state);

	assert_int_equal(run_step(&step, argv), -1);
	assert_int_equal(step.err.kind, ERR_NOT_FOUND);
	step_end(&step);
}

static void the_supervisor_shows_nothing_of_the_builder(void **state)
{
	expect(state,
	       "cat /proc/1/environ /proc/1/maps /proc/1/mem 2>/dev/null; for l in fd/0 exe root; do readlink "
	       "/proc/1/$l; done\n"
	       "tr -d '\\000' </proc/1/cmdline; kill -9 1; kill -STOP 1; sleep 0.05; stat -c %u /tmp",
	       "0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cage_test(chown_is_seen_and_recorded_for_every_type),
		cage_test(a_chown_to_root_takes_the_record_away),
		cage_test(records_go_with_rename_and_link),
		cage_test(chown_takes_set_id_bits_away_as_the_kernel_does),
		cage_test(another_user_makes_files_of_its_own),
		cage_test(another_user_is_kept_out_of_roots_directories),
		cage_test(another_user_cannot_read_what_is_roots_alone),
		cage_test(the_sticky_bit_protects_files_of_others),
		cage_test(files_inherit_the_group_of_a_set_group_id_directory),
		cage_test(an_exec_that_fails_changes_nobody),
		cage_test(paths_are_those_of_a_changed_root),
		cage_test(links_of_proc_are_those_of_the_process),
		cage_test(a_device_is_kept_as_a_placeholder),
		cage_test(what_runs_after_its_parent_keeps_its_user),
		cage_test(signals_and_statuses_are_the_commands),
		cage_test(a_missing_program_is_told),
		cage_test(the_supervisor_shows_nothing_of_the_builder),
	};

	return run_on_rung(ISOLATION_SINGLE, tests, ARRAY_LEN(tests), 1);
}
