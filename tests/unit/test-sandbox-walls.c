/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox-cage.h"

#include <linux/audit.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "kiln/codec/digest.h"

/* What a step cannot do and cannot see. The names T-... are those of security.md. */

/* Memory of the builder that a step must not read. Made at run time: the text is not to be in the file of the program. */
static char heap_canary[64];

/* ---- T-S1: the process ---- */

static const char *line_of(const char *status, const char *key)
{
	static char line[256];
	const char *at = strstr(status, key);

	assert_non_null(at);
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
	return line;
}

static void a_root_step_has_eleven_capabilities_and_no_way_to_more(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "cat /proc/self/status");
	assert_string_equal(line_of(step.output, "CapInh:"), "CapInh:\t0000000000000000");
	assert_string_equal(line_of(step.output, "CapPrm:"), "CapPrm:\t00000000800405fb");
	assert_string_equal(line_of(step.output, "CapEff:"), "CapEff:\t00000000800405fb");
	assert_string_equal(line_of(step.output, "CapBnd:"), "CapBnd:\t00000000800405fb");
	assert_string_equal(line_of(step.output, "CapAmb:"), "CapAmb:\t0000000000000000");
	assert_string_equal(line_of(step.output, "NoNewPrivs:"), "NoNewPrivs:\t1");
	assert_string_equal(line_of(step.output, "Seccomp:"), "Seccomp:\t2");
	assert_string_equal(line_of(step.output, "Groups:"), "Groups:\t0 ");
	step_end(&step);
}

static void a_user_step_has_none_but_set_user_id_programs_work(void **state)
{
	const struct scratch *scratch = *state;
	struct step step = step_in(state);

	put_dir(scratch->fd, "image/suid");
	assert_int_equal(linkat(scratch->fd, "image/bin/busybox", scratch->fd, "image/suid/busybox", 0), 0);
	assert_int_equal(fchmodat(scratch->fd, "image/suid/busybox", 04755, 0), 0);
	step.cage.user = (struct user){ .uid = 1000, .gid = 1000 };
	run_script(&step, "cat /proc/self/status");
	assert_string_equal(line_of(step.output, "CapPrm:"), "CapPrm:\t0000000000000000");
	assert_string_equal(line_of(step.output, "CapEff:"), "CapEff:\t0000000000000000");
	assert_string_equal(line_of(step.output, "CapBnd:"), "CapBnd:\t00000000800405fb");
	assert_string_equal(line_of(step.output, "NoNewPrivs:"), "NoNewPrivs:\t0");
	assert_string_equal(line_of(step.output, "Seccomp:"), "Seccomp:\t2");
	assert_string_equal(line_of(step.output, "Groups:"), "Groups:\t1000 ");

	/* busybox gives the rights of its file up, all but in a few applets; what it had shows in its saved id. */
	run_script(&step, "/suid/busybox su -c 'id -u' 2>&1 | head -1; /suid/busybox grep Uid /proc/self/status");
	assert_non_null(strstr(step.output, "Uid:\t1000\t1000\t1000\t1000"));
	step_end(&step);
}

static void no_new_privs_can_be_had_by_users_too(void **state)
{
	struct step step = step_in(state);

	step.cage.user = (struct user){ .uid = 1000, .gid = 1000 };
	step.cage.no_new_privs = true;
	run_script(&step, "grep NoNewPrivs /proc/self/status");
	assert_output(&step, "NoNewPrivs:\t1\n");
	step_end(&step);
}

static void limits_are_lowered_and_never_raised(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "ulimit -c; ulimit -Hc; test $(ulimit -Sn) -le 1024 && echo few");
	assert_output(&step, "0\n0\nfew\n");
	step_end(&step);
}

static void a_step_is_killed_for_memory_before_its_builder(void **state)
{
	scope_strbuf struct strbuf own = { 0 };
	struct step step = step_in(state);
	struct err err = { 0 };

	assert_ok(file_read(AT_FDCWD, "/proc/self/oom_score_adj", 64, &own, &err), err);
	run_script(&step, "cat /proc/self/oom_score_adj");
	long expected = strtol(strbuf_str(&own), NULL, 10) + 200;
	assert_int_equal(strtol(step.output, NULL, 10), expected > 1000 ? 1000 : expected);
	step_end(&step);
}

static void it_is_alone_in_its_namespaces(void **state)
{
	static const char *const own[] = { "pid", "mnt", "ipc", "uts", "cgroup" };
	struct step step = step_in(state);
	char link[64], path[64], script[128];
	ssize_t len;

	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", own[i]);
		len = readlinkat(AT_FDCWD, path, link, sizeof(link) - 2);
		assert_true(len > 0);
		link[len] = '\n';
		link[len + 1] = '\0';
		snprintf(script, sizeof(script), "readlink %s", path);
		run_script(&step, script);
		assert_string_not_equal(step.output, link);
	}
	run_script(&step, "echo /proc/[0-9]*; echo $$");
	assert_output(&step, "/proc/1\n1\n");
	step_end(&step);
}

static void the_network_is_the_hosts_or_none(void **state)
{
	struct step step = step_in(state);
	char link[64];
	ssize_t len = readlinkat(AT_FDCWD, "/proc/self/ns/net", link, sizeof(link) - 2);

	link[len] = '\n';
	link[len + 1] = '\0';
	run_script(&step, "readlink /proc/self/ns/net");
	assert_output(&step, link);
	step.cage.network = NETWORK_NONE;
	run_script(
		&step,
		"readlink /proc/self/ns/net; ls /sys/class/net; cat /proc/sys/net/ipv4/ip_unprivileged_port_start;"
		"nc -l -p 80 -e echo through & for i in 1 2 3 4 5 6 7 8 9; do nc 127.0.0.1 80 </dev/null 2>/dev/null "
		"&& break; sleep 0.5; done; wait");
	assert_null(strstr(step.output, link));
	assert_non_null(strstr(step.output, "]\nlo\n0\nthrough\n"));
	step_end(&step);
}

/* Closed sets: nothing falls through to something weaker (T-S1, GHSA-7236-3392-c5c6). */
static void a_value_that_does_not_exist_is_refused(void **state)
{
	const char *const argv[] = { "true", NULL };
	struct step step = step_in(state);
	const struct cage_mount mount = { .type = (enum cage_mount_type)(CAGE_SECRET + 1),
					  .source_fd = -1,
					  .target = "/x" };

	step.cage.network = (enum network_mode)(NETWORK_PRIVATE + 1);
	assert_set_up_fails(&step, argv, "unknown network mode 3");
	step.cage.network = NETWORK_PRIVATE;
	assert_set_up_fails(&step, argv, "the private network was not started");
	step.cage.network = NETWORK_HOST;
	step.cage.mounts = &mount;
	step.cage.mount_count = 1;
	assert_set_up_fails(&step, argv, "unknown type of mount 4");
	step_end(&step);
}

/* ---- T-S3: files of the builder ---- */

static void no_file_of_the_builder_is_open(void **state)
{
	struct step step = step_in(state);

	for (int fd = CANARY_FD_FIRST; fd <= CANARY_FD_LAST; fd++)
		assert_true(fcntl(fd, F_GETFD) >= 0);
	/* The shell's own fd on its directory is the one that is not there any more. */
	run_script(&step, "cd /proc/self/fd && for f in *; do test -e $f && echo $f; done");
	assert_output(&step, "0\n1\n2\n");
	step_end(&step);
}

static void no_working_directory_leads_out(void **state)
{
	const struct scratch *scratch = *state;
	const char *const argv[] = { "ls", "../../../../../../etc", NULL };
	struct step step = step_in(state);
	char path[64];

	for (int fd = 0; fd <= 40; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		step.cage.cwd = path;
		assert_set_up_fails(&step, argv, "working directory: /proc/self/fd/");
	}
	static const char *const others[] = { "/proc/1/cwd",      "/proc/self/root", "/proc/self/root/..",
					      "/proc/1/root/tmp", "/escape",         "/proc/self/cwd/../.." };
	put_link(scratch->fd, "image/escape", "/proc/self/fd/7");
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		step.cage.cwd = others[i];
		assert_set_up_fails(&step, argv, "working directory: ");
	}
	step.cage.cwd = "/../../../../tmp/..";
	assert_int_equal(run_step(&step, argv), 0);
	assert_output(&step, "hostname\nhosts\nresolv.conf\n");
	step_end(&step);
}

/* ---- T-S7: system directories ---- */

static void a_linked_system_directory_is_refused_and_nothing_outside_is_touched(void **state)
{
	static const char *const names[] = { "dev", "proc", "sys" }, *const targets[] = { "../canary", "/tmp" };
	const struct scratch *scratch = *state;
	const char *const argv[] = { "true", NULL };
	struct step step = step_in(state);
	char path[64], expected[64];

	put_file(scratch->fd, "canary/ptmx", "marker");
	for (size_t i = 0; i < ARRAY_LEN(names) * ARRAY_LEN(targets); i++) {
		const char *name = names[i / 2];
		snprintf(path, sizeof(path), "image/%s", name);
		snprintf(expected, sizeof(expected), "/%s of the image is a symbolic link", name);
		put_link(scratch->fd, path, targets[i % 2]);
		assert_set_up_fails(&step, argv, expected);
		assert_int_equal(unlinkat(scratch->fd, path, 0), 0);
	}
	assert_file(scratch->fd, "canary/ptmx", "marker");
	assert_int_equal(count_names(scratch->fd, "canary"), 2);
	step_end(&step);
}

/* ---- T-S9, T-S10: the builder itself ---- */

static void digest_self(char *text)
{
	scope_strbuf struct strbuf bytes = { 0 };
	struct digest digest;
	struct err err = { 0 };

	assert_ok(file_read(AT_FDCWD, "/proc/self/exe", 256 << 20, &bytes, &err), err);
	digest_bytes(&digest, bytes.ptr, bytes.len);
	digest_hex(&digest, text);
}

static void the_builders_program_is_not_run_or_changed(void **state)
{
	const struct scratch *scratch = *state;
	const char *const argv[] = { "/proc/self/exe", NULL }, *const link[] = { "/bin/self", NULL };
	const char *const script[] = { "/bin/script", "-c", "echo", NULL };
	char before[DIGEST_HEX + 1], after[DIGEST_HEX + 1];
	struct step step = step_in(state);

	digest_self(before);
	assert_set_up_fails(&step, argv,
			    "exec: \"/proc/self/exe\": stat /proc/self/exe: too many levels of symbolic links");
	put_link(scratch->fd, "image/bin/self", "/proc/self/exe");
	assert_set_up_fails(&step, link, "exec: \"/bin/self\": stat /bin/self: too many levels of symbolic links");
	put_file(scratch->fd, "image/bin/script", "#!/proc/self/exe\n");
	assert_int_equal(fchmodat(scratch->fd, "image/bin/script", 0755, 0), 0);
	/* It ends at once: the loader of a builder that is not static is not in the image. */
	if (run_step(&step, script) < 0)
		assert_non_null(strstr(step.err.msg, "exec /bin/script: "));
	run_script(&step, "readlink /proc/1/exe; echo x > /proc/1/exe");
	assert_non_null(strstr(step.output, "/bin/busybox\n"));
	digest_self(after);
	assert_string_equal(before, after);
	step_end(&step);
}

static void nothing_of_the_builder_can_be_read(void **state)
{
	struct step step = step_in(state);

	assert_non_null(getenv(CANARY_VARIABLE));
	snprintf(heap_canary, sizeof(heap_canary), "%s%s", CANARY_PREFIX, "memory");
	run_script(&step, "for p in /proc/[0-9]*; do for f in environ cmdline maps status; do"
			  "  cat $p/$f 2>/dev/null | tr '\\0' '\\n'; done; ls -l $p/fd $p/cwd $p/root; done;"
			  "grep -c . /proc/1/maps; dd if=/proc/1/mem bs=1 count=1 of=/dev/null 2>&1");
	assert_null(strstr(step.output, CANARY_PREFIX));
	assert_null(strstr(step.output, "/image"));
	assert_null(strstr(step.output, "kiln-test"));
	assert_null(strstr(step.output, "test-sandbox-walls"));
	step_end(&step);
}

static void nothing_of_the_host_is_mounted(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "cut -d' ' -f5 /proc/self/mountinfo | grep -v '^/\\(proc\\|sys\\|dev\\)\\(/.*\\)*$' | sort");
	assert_output(&step, "/\n/etc/hostname\n/etc/hosts\n/etc/resolv.conf\n");
	run_script(&step, "ls -a / | tr '\\n' ' '");
	assert_output(&step, ". .. bin dev etc proc sys tmp ");
	step_end(&step);
}

/* ---- T-S12: the terminal ---- */

static void there_is_no_terminal(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "(: < /dev/tty) 2>&1 | sed 's/.*: //'; cut -d' ' -f5,6,7 /proc/self/stat");
	/* Process group and session are its own, terminal 0 is none. */
	assert_output(&step, "No such device or address\n1 1 0\n");
	step_end(&step);
}

/* ---- T-S13, T-S14: what is refused ---- */

static void namespaces_and_mounts_are_refused(void **state)
{
	struct step step = step_in(state);

	run_script(&step,
		   "unshare -U true; unshare -m true; unshare -r true; mount -t tmpfs none /tmp; umount /etc/hosts;"
		   "mount -o remount,rw /proc/sys");
	assert_output(&step, "unshare: unshare(0x10000000): Operation not permitted\n"
			     "unshare: unshare(0x20000): Operation not permitted\n"
			     "unshare: unshare(0x10000000): Operation not permitted\n"
			     "mount: permission denied (are you root?)\n"
			     "umount: can't unmount /etc/hosts: Operation not permitted\n"
			     "mount: permission denied (are you root?)\n");
	step_end(&step);
}

static void masked_paths_read_empty(void **state)
{
	static const char *const paths[] = {
		"/proc/acpi",       "/proc/asound",        "/proc/interrupts",     "/proc/kcore",
		"/proc/keys",       "/proc/latency_stats", "/proc/sched_debug",    "/proc/scsi",
		"/proc/timer_list", "/proc/timer_stats",   "/sys/firmware",        "/sys/devices/virtual/powercap",
		"/sys/fs/selinux",  "/sys/kernel/debug",   "/sys/kernel/security", "/sys/fs/bpf",
	};
	struct step step = step_in(state);
	int masked = 0;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		char script[256];
		if (faccessat(AT_FDCWD, paths[i], F_OK, 0) < 0)
			continue;
		snprintf(script, sizeof(script),
			 "p=%s; if test -d $p; then ls -A $p; echo x > $p/x; else cat $p; echo x > $p; fi 2>/dev/null; "
			 "echo end",
			 paths[i]);
		run_script(&step, script);
		assert_output(&step, "end\n");
		masked++;
	}
	assert_true(masked >= 4);
	step_end(&step);
}

static void the_kernels_settings_are_read_only(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/vm/drop_caches"
			  " /proc/irq/default_smp_affinity /sys/kernel/uevent_seqnum /sys/power/state; do"
			  " test -e $f && (echo x > $f) 2>&1 | sed 's/.*: //'; done | sort -u |"
			  " sed 's/Permission denied/Read-only file system/' | sort -u");
	/* Where root of the namespace could not write anyway, permission is what is missing first. */
	assert_output(&step, "Read-only file system\n");
	run_script(&step, "mkdir /sys/x /sys/fs/cgroup/x 2>&1 | sed 's/.*: //' | sort -u");
	assert_output(&step, "Read-only file system\n");
	step_end(&step);
}

static void no_user_namespace_is_left_to_be_made(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "cat /proc/sys/user/max_user_namespaces");
	assert_output(&step, "0\n");
	step_end(&step);
}

static void devices_cannot_be_made(void **state)
{
	struct step step = step_in(state);

	run_script(
		&step,
		"busybox mknod /tmp/sda b 8 0; busybox mknod /tmp/mem c 1 1; busybox mknod /tmp/fifo p && echo fifo");
	assert_output(&step,
		      "mknod: /tmp/sda: Operation not permitted\nmknod: /tmp/mem: Operation not permitted\nfifo\n");
	step_end(&step);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cage_test(a_root_step_has_eleven_capabilities_and_no_way_to_more),
		cage_test(a_user_step_has_none_but_set_user_id_programs_work),
		cage_test(no_new_privs_can_be_had_by_users_too),
		cage_test(limits_are_lowered_and_never_raised),
		cage_test(a_step_is_killed_for_memory_before_its_builder),
		cage_test(a_value_that_does_not_exist_is_refused),
		cage_test(no_file_of_the_builder_is_open),
		cage_test(no_working_directory_leads_out),
		cage_test(a_linked_system_directory_is_refused_and_nothing_outside_is_touched),
		cage_test(nothing_of_the_host_is_mounted),
		cage_test(namespaces_and_mounts_are_refused),
		cage_test(masked_paths_read_empty),
		cage_test(the_kernels_settings_are_read_only),
		cage_test(devices_cannot_be_made),
		cage_test(it_is_alone_in_its_namespaces),
		cage_test(the_network_is_the_hosts_or_none),
		cage_test(the_builders_program_is_not_run_or_changed),
		cage_test(nothing_of_the_builder_can_be_read),
		cage_test(there_is_no_terminal),
		cage_test(no_user_namespace_is_left_to_be_made),
	};

	return run_in_coordinator(tests, ARRAY_LEN(tests), 6);
}
