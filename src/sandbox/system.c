/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/log.h"
#include "kiln/base/scope.h"
#include "mount.h"
#include "setup.h"

/* /proc and /sys: fresh where the kernel lets us, else the existing ones bound; then parts of them hidden or made
   read-only. The lists are the union of what docker, podman and crun hide (security.md 2). */

static const char *const proc_masked[] = {
	"acpi",          "asound",      "interrupts", "kcore",      "keys",
	"latency_stats", "sched_debug", "scsi",       "timer_list", "timer_stats",
};

static const char *const proc_read_only[] = { "bus", "fs", "irq", "sys", "sysrq-trigger" };

static const char *const sys_masked[] = { "firmware", "devices/virtual/powercap", "fs/selinux" };

/* Other file systems that lie on a host's /sys; on a fresh one these directories are empty. */
static const char *const sys_mounts[] = {
	"fs/bpf",       "fs/fuse/connections", "fs/pstore",      "kernel/config",
	"kernel/debug", "kernel/security",     "kernel/tracing",
};

/* ---- fresh or bound ---- */

static int bind_existing(const char *path, uint64_t attrs, struct err *err)
{
	scope_fd int mount_fd = mount_clone(AT_FDCWD, path, AT_RECURSIVE, err);

	if (mount_fd < 0 || mount_restrict(mount_fd, attrs, AT_RECURSIVE, err) < 0)
		return -1;
	return take_fd(&mount_fd);
}

/* EPERM: parts of the existing one are covered (kiln is in a container), and a fresh one would show them; or, for sysfs,
   the network namespace is not ours. */
static int fresh_or_existing(const char *type, const char *path, uint64_t attrs, struct err *err)
{
	struct err failed = { 0 };
	int mount_fd = mount_new(type, NULL, attrs, &failed);

	if (mount_fd >= 0)
		return mount_fd;
	log_debug("cage: %s, so the existing %s is bound", failed.msg, path);
	if (err_is_errno(&failed, EPERM) || err_is_errno(&failed, EACCES))
		return bind_existing(path, attrs, err);
	if (err)
		*err = failed;
	return -1;
}

int setup_proc(struct setup *setup, struct err *err)
{
	scope_fd int target_fd = setup_open_toplevel(setup, "proc", err);

	if (target_fd < 0)
		return -1;
	setup->proc_fd = fresh_or_existing("proc", "/proc", MOUNT_CLOSED, err);
	return setup->proc_fd < 0 ? -1 : mount_attach(setup->proc_fd, target_fd, "/proc", err);
}

/* ---- what is in them ---- */

/* -1 with errno ENOENT in err: this kernel has no such file. */
static int open_inside(int mount_fd, const char *path, struct err *err)
{
	const struct root root = { mount_fd, ROOT_BENEATH };

	return root_open(&root, path, O_PATH | O_NOFOLLOW, 0, err);
}

static bool is_dir(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* An empty read-only file or directory of our own goes on it: nothing of the image is used (CVE-2025-31133). */
static int mask(const struct setup *setup, int mount_fd, const char *path, struct err *err)
{
	struct err failed = { 0 };
	scope_fd int target_fd = open_inside(mount_fd, path, &failed);

	if (target_fd < 0 && err_is_errno(&failed, ENOENT))
		return 0;
	if (target_fd < 0) {
		if (err)
			*err = failed;
		return -1;
	}
	const struct mount_bind bind = { .from_fd = setup->files_fd,
					 .from = is_dir(target_fd) ? FILES_EMPTY_DIR : FILES_EMPTY_FILE,
					 .attrs = MOUNT_ATTR_RDONLY | MOUNT_CLOSED };
	return mount_bind(&bind, target_fd, path, err);
}

static int mask_all(const struct setup *setup, int mount_fd, const char *const *paths, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		if (mask(setup, mount_fd, paths[i], err) < 0)
			return -1;
	}
	return 0;
}
#define MASK_ALL(setup, mount_fd, paths, err) mask_all(setup, mount_fd, paths, ARRAY_LEN(paths), err)

static int make_read_only(int mount_fd, const char *path, struct err *err)
{
	struct err failed = { 0 };
	scope_fd int target_fd = open_inside(mount_fd, path, &failed);

	if (target_fd < 0 && err_is_errno(&failed, ENOENT))
		return 0;
	if (target_fd < 0) {
		if (err)
			*err = failed;
		return -1;
	}
	const struct mount_bind bind = {
		.from_fd = target_fd, .from = "", .attrs = MOUNT_ATTR_RDONLY | MOUNT_CLOSED, .flags = AT_RECURSIVE
	};
	return mount_bind(&bind, target_fd, path, err);
}

/* ---- /sys ---- */

static int mount_cgroups(const struct setup *setup, struct err *err)
{
	struct err failed = { 0 };
	scope_fd int target_fd = open_inside(setup->sys_fd, "fs/cgroup", &failed);

	if (target_fd < 0)
		return 0;
	scope_fd int mount_fd = mount_new("cgroup2", NULL, MOUNT_ATTR_RDONLY | MOUNT_CLOSED, &failed);
	if (mount_fd >= 0)
		return mount_attach(mount_fd, target_fd, "/sys/fs/cgroup", err);
	log_debug("cage: %s, so /sys/fs/cgroup is empty", failed.msg);
	return mask(setup, setup->sys_fd, "fs/cgroup", err);
}

/* A machine may do without sysfs, and then so does the step. */
int setup_sys(struct setup *setup, struct err *err)
{
	const uint64_t attrs = MOUNT_ATTR_RDONLY | MOUNT_CLOSED;
	scope_fd int target_fd = setup_open_toplevel(setup, "sys", err);
	struct err failed = { 0 };

	if (target_fd < 0)
		return -1;
	if (setup->cage->network == NETWORK_HOST)
		setup->sys_fd = bind_existing("/sys", attrs, &failed);
	else
		setup->sys_fd = fresh_or_existing("sysfs", "/sys", attrs, &failed);
	if (setup->sys_fd < 0 && err_is_errno(&failed, ENOENT))
		return 0;
	if (setup->sys_fd < 0) {
		if (err)
			*err = failed;
		return -1;
	}
	if (mount_attach(setup->sys_fd, target_fd, "/sys", err) < 0)
		return -1;
	return mount_cgroups(setup, err);
}

/* One directory per processor (docker masks them too: they tell what the machine's other users do). */
static int mask_throttle(const struct setup *setup, struct err *err)
{
	const struct root root = { setup->sys_fd, ROOT_BENEATH };
	int fd = root_open(&root, "devices/system/cpu", O_RDONLY | O_DIRECTORY, 0, NULL);
	scope_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char path[512];

	for (const struct dirent *entry; dir && (entry = readdir(dir));) {
		if (strncmp(entry->d_name, "cpu", 3) != 0 || !isdigit((unsigned char)entry->d_name[3]))
			continue;
		snprintf(path, sizeof(path), "devices/system/cpu/%s/thermal_throttle", entry->d_name);
		if (mask(setup, setup->sys_fd, path, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- sysctls ---- */

/* Each is a help only: without it a step can do less, or what the seccomp filter forbids it anyway. */
static void write_sysctl(const struct setup *setup, const char *path, const char *value)
{
	const struct root root = { setup->proc_fd, ROOT_BENEATH };
	struct err failed = { 0 };
	scope_fd int fd = root_open(&root, path, O_WRONLY, 0, &failed);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		log_debug("cage: /proc/%s stays as it is", path);
}

/* No step makes a user namespace; the limit is that of ours, in which kiln itself makes none either. */
int setup_sysctls(struct setup *setup, struct err *err)
{
	(void)err;
	write_sysctl(setup, "sys/user/max_user_namespaces", "0");
	if (setup->cage->network == NETWORK_HOST)
		return 0;
	write_sysctl(setup, "sys/net/ipv4/ip_unprivileged_port_start", "0");
	write_sysctl(setup, "sys/net/ipv4/ping_group_range", "0 65535");
	return 0;
}

/* ---- masks ---- */

int setup_masks(struct setup *setup, struct err *err)
{
	if (MASK_ALL(setup, setup->proc_fd, proc_masked, err) < 0)
		return err_wrap(err, "/proc");
	for (size_t i = 0; i < ARRAY_LEN(proc_read_only); i++) {
		if (make_read_only(setup->proc_fd, proc_read_only[i], err) < 0)
			return err_wrap(err, "/proc");
	}
	if (setup->sys_fd < 0)
		return 0;
	if (MASK_ALL(setup, setup->sys_fd, sys_masked, err) < 0 || mask_throttle(setup, err) < 0)
		return err_wrap(err, "/sys");
	if (setup->cage->network == NETWORK_HOST && MASK_ALL(setup, setup->sys_fd, sys_mounts, err) < 0)
		return err_wrap(err, "/sys");
	return 0;
}
