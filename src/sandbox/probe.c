/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "emulate.h"
#include "kiln/base/proc.h"
#include "kiln/base/root.h"
#include "kiln/base/scope.h"
#include "kiln/sandbox/enter.h"
#include "kiln/sandbox/idmap.h"
#include "kiln/sandbox/probe.h"
#include "mount.h"

/* Each probe does what a build would do. What it finds is text in *detail, or an error, whose message is the detail. */
struct probe {
	const char *name;
	int (*run)(struct strbuf *detail, struct err *err);
	const char *remedy;
	bool is_inside; /* needs isolation "mapped" or "single" to work */
};

/* ---- in a throw-away child ---- */

/* Runs work in a child that may be in new namespaces. */
static int try_in_child(unsigned long flags, proc_work *work, struct err *err)
{
	struct proc child = PROC_EMPTY;

	if (proc_clone(&child, flags, work, NULL, err) < 0)
		return -1;
	return proc_wait(&child, NULL, err);
}

static int do_nothing(int channel, void *arg, struct err *err)
{
	(void)channel;
	(void)arg;
	(void)err;
	return 0;
}

static int make_mounts_private(int channel, void *arg, struct err *err)
{
	(void)channel;
	(void)arg;
	return mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? err_errno(err, "mount") : 0;
}

static int mount_fresh_proc(int channel, void *arg, struct err *err)
{
	(void)channel;
	(void)arg;
	scope_fd int fd = mount_new("proc", NULL, MOUNT_CLOSED, err);
	return fd < 0 ? -1 : 0;
}

static int load_filter(int channel, void *arg, struct err *err)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { ARRAY_LEN(code), code };

	(void)channel;
	(void)arg;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return err_errno(err, "seccomp");
	return 0;
}

/* ---- as root of a user namespace ---- */

/* The coordinator of sandbox_enter reports by its status only, so the probe's words come through a shared page. */
struct inside {
	int (*work)(struct err *err);
	struct err *err;
};

static int run_inside(void *arg)
{
	struct inside *inside = arg;

	return inside->work(inside->err) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int try_inside(enum isolation isolation, int (*work)(struct err *err), struct err *err)
{
	struct err *words = mmap(NULL, sizeof(*words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct inside inside = { work, words };
	int status = EXIT_FAILURE;

	if (words == MAP_FAILED)
		return err_errno(err, "mmap");
	int result = sandbox_enter(isolation, run_inside, &inside, &status, err);
	if (result == 0 && status != EXIT_SUCCESS) {
		*err = *words;
		result = -1;
	}
	munmap(words, sizeof(*words));
	return result;
}

static int fresh_proc_inside(struct err *err)
{
	return try_in_child(CLONE_NEWPID | CLONE_NEWNS, mount_fresh_proc, err);
}

static int steps_namespaces_inside(struct err *err)
{
	return try_in_child(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNET,
			    do_nothing, err);
}

static int nothing_inside(struct err *err)
{
	(void)err;
	return 0;
}

/* ---- the probes ---- */

static int probe_user_namespace(struct strbuf *detail, struct err *err)
{
	(void)detail;
	return try_in_child(CLONE_NEWUSER | CLONE_NEWNS, make_mounts_private, err);
}

static int probe_ids(struct strbuf *detail, struct err *err)
{
	scope_free struct id_map *map = calloc(1, sizeof(*map));

	if (!map)
		abort();
	if (id_map_plan(map, err) < 0)
		return -1;
	strbuf_addf(detail, "%" PRIu64 " users, %" PRIu64 " groups, mapped %s", id_map_uids(map), id_map_gids(map),
		    map->by_helper ? "by newuidmap" : "directly");
	return 0;
}

static int find_helper(const char *program, struct strbuf *detail, struct err *err)
{
	return proc_find(program, detail, err);
}

static int probe_newuidmap(struct strbuf *detail, struct err *err)
{
	return find_helper("newuidmap", detail, err);
}

static int probe_newgidmap(struct strbuf *detail, struct err *err)
{
	return find_helper("newgidmap", detail, err);
}

static int probe_enter(struct strbuf *detail, struct err *err)
{
	(void)detail;
	return try_inside(ISOLATION_MAPPED, nothing_inside, err);
}

static int probe_enter_single(struct strbuf *detail, struct err *err)
{
	(void)detail;
	return try_inside(ISOLATION_SINGLE, emulation_works, err);
}

static int probe_namespaces(struct strbuf *detail, struct err *err)
{
	strbuf_addstr(detail, "pid, mount, ipc, uts, cgroup, net");
	return try_inside(ISOLATION_AUTO, steps_namespaces_inside, err);
}

static int probe_fresh_proc(struct strbuf *detail, struct err *err)
{
	(void)detail;
	return try_inside(ISOLATION_AUTO, fresh_proc_inside, err);
}

static int probe_seccomp(struct strbuf *detail, struct err *err)
{
	(void)detail;
	return try_in_child(0, load_filter, err);
}

static int probe_openat2(struct strbuf *detail, struct err *err)
{
	scope_fd int root_fd = openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct root root = { root_fd, ROOT_CHROOT };

	(void)detail;
	scope_fd int fd = root_open(&root, "", O_PATH, 0, err);
	return fd < 0 ? -1 : 0;
}

static int open_device(const char *path, struct err *err)
{
	scope_fd int fd = openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? err_errno(err, "open") : 0;
}

static int probe_fuse(struct strbuf *detail, struct err *err)
{
	(void)detail;
	return open_device("/dev/fuse", err);
}

static int probe_tun(struct strbuf *detail, struct err *err)
{
	(void)detail;
	return open_device("/dev/net/tun", err);
}

static int probe_network_helper(struct strbuf *detail, struct err *err)
{
	if (find_helper("slirp4netns", detail, NULL) == 0 || find_helper("pasta", detail, NULL) == 0)
		return 0;
	return err_set(err, ERR_NOT_FOUND, "neither slirp4netns nor pasta is installed");
}

static const struct probe probes[] = {
	{ "user namespace", probe_user_namespace,
	  "root allows it by: sysctl user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1 "
	  "kernel.apparmor_restrict_unprivileged_userns=0 (those that exist); in docker: --security-opt "
	  "seccomp=unconfined",
	  false },
	{ "range of ids", probe_ids, NULL, false },
	{ "newuidmap", probe_newuidmap, "install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora)", false },
	{ "newgidmap", probe_newgidmap, "install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora)", false },
	{ "isolation mapped", probe_enter, NULL, false },
	{ "isolation single", probe_enter_single, NULL, false },
	{ "namespaces of a step", probe_namespaces, NULL, true },
	{ "fresh /proc", probe_fresh_proc,
	  "without it a step sees the outer processes; in a container: --security-opt systempaths=unconfined (docker), "
	  "unmask=ALL (podman)",
	  true },
	{ "seccomp", probe_seccomp, "the kernel needs CONFIG_SECCOMP_FILTER", false },
	{ "openat2", probe_openat2, "kiln needs Linux 5.6, and a seccomp filter around it that knows the call", false },
	{ "/dev/fuse", probe_fuse, "for fuse-overlayfs only; in a container: --device /dev/fuse", false },
	{ "/dev/net/tun", probe_tun, "for --network private only; root makes it by: mknod -m 666 /dev/net/tun c 10 200",
	  false },
	{ "network helper", probe_network_helper, "for --network private only: install slirp4netns or passt", false },
};

static void run_probe(struct arena *arena, const struct probe *probe, struct probe_fact *fact)
{
	scope_strbuf struct strbuf detail = { 0 };
	struct err err = { 0 };

	fact->name = probe->name;
	fact->works = probe->run(&detail, &err) == 0;
	if (!fact->works)
		fact->detail = arena_strdup(arena, err.msg);
	else
		fact->detail = detail.len ? arena_printf(arena, "yes, %s", strbuf_str(&detail)) : "yes";
	fact->remedy = fact->works ? NULL : probe->remedy;
}

int sandbox_probe(struct arena *arena, struct probe_fact **facts, size_t *count, struct err *err)
{
	(void)err;
	*facts = arena_array(arena, struct probe_fact, ARRAY_LEN(probes));
	*count = ARRAY_LEN(probes);
	bool can_enter = false;
	for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
		struct probe_fact *fact = &(*facts)[i];
		if (probes[i].is_inside && !can_enter)
			*fact = (struct probe_fact){ probes[i].name, false,
						     "not tried without isolation mapped or single", NULL };
		else
			run_probe(arena, &probes[i], fact);
		if (probes[i].run == probe_enter || probes[i].run == probe_enter_single)
			can_enter |= fact->works;
	}
	return 0;
}
