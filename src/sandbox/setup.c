/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "etc.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "mount.h"
#include "setup.h"

/* What the parent does before the child is made. */

static const char *const toplevel_dirs[] = { "proc", "sys", "dev" };
static const char *const etc_files[] = { "etc/hosts", "etc/resolv.conf", "etc/hostname" };

bool setup_is_locked(const struct cage *cage)
{
	return cage->user.uid == 0 || cage->no_new_privs;
}

/* A detached mount of source_fd. Before Linux 6.15 a mount that is detached itself cannot be cloned: then it is taken as
   it is, and attaching it moves it. */
static int clone_source(int source_fd, bool is_mount, unsigned flags, struct err *err)
{
	struct err failed = { 0 };
	int fd = mount_clone(source_fd, "", flags, &failed);

	if (fd >= 0)
		return fd;
	if (err)
		*err = failed;
	if (!is_mount || !err_is_errno(&failed, EINVAL))
		return -1;
	fd = fcntl(source_fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? err_errno(err, "duplicate a file") : fd;
}

static int clone_sources(struct setup *setup, struct err *err)
{
	const struct cage *cage = setup->cage;

	setup->tree_fd = clone_source(cage->root_fd, cage->root_is_mount, 0, err);
	if (setup->tree_fd < 0)
		return err_wrap(err, "the root file system");
	for (size_t i = 0; i < cage->mount_count; i++) {
		const struct cage_mount *mount = &cage->mounts[i];
		if (mount->type != CAGE_BIND || mount->is_in_tree)
			continue;
		setup->source_fds[i] = clone_source(mount->source_fd, true, AT_RECURSIVE, err);
		if (setup->source_fds[i] < 0)
			return err_wrap(err, "the source of the mount on %s", mount->target);
	}
	return 0;
}

/* ---- mount points ---- */

static bool is_in_system_dir(const char *path)
{
	path += strspn(path, "/");
	for (size_t i = 0; i < ARRAY_LEN(toplevel_dirs); i++) {
		size_t len = strlen(toplevel_dirs[i]);
		if (strncmp(path, toplevel_dirs[i], len) == 0 && (path[len] == '/' || !path[len]))
			return true;
	}
	return false;
}

static int mount_is_dir(const struct cage_mount *mount, bool *is_dir, struct err *err)
{
	struct stat st;

	*is_dir = mount->type == CAGE_TMPFS;
	if (mount->type != CAGE_BIND)
		return 0;
	if (fstat(mount->source_fd, &st) < 0)
		return err_errno(err, "stat the source of the mount on %s", mount->target);
	*is_dir = S_ISDIR(st.st_mode);
	return 0;
}

static int make_stub(struct setup *setup, const struct root *root, const char *path, bool is_dir, struct err *err)
{
	scope_fd int fd = stubs_open(&setup->stubs, root, path, is_dir, err);

	return fd < 0 ? -1 : 0;
}

/* In the image itself. A target inside another mount is made by the child, where that mount is. */
static int make_stubs(struct setup *setup, struct err *err)
{
	const struct cage *cage = setup->cage;
	const struct root root = { cage->root_fd, ROOT_CHROOT };
	bool is_dir;

	for (size_t i = 0; i < ARRAY_LEN(toplevel_dirs); i++) {
		scope_fd int fd = stubs_open_toplevel(&setup->stubs, &root, toplevel_dirs[i], err);
		if (fd < 0)
			return -1;
	}
	for (size_t i = 0; i < ARRAY_LEN(etc_files); i++) {
		if (make_stub(setup, &root, etc_files[i], false, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < cage->mount_count; i++) {
		const struct cage_mount *mount = &cage->mounts[i];
		if (mount_is_dir(mount, &is_dir, err) < 0)
			return -1;
		if (!is_in_system_dir(mount->target) && make_stub(setup, &root, mount->target, is_dir, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- all ---- */

static int write_texts(struct setup *setup, struct err *err)
{
	const struct cage *cage = setup->cage;
	const char *hostname = cage->hostname ? cage->hostname : "kiln";

	strbuf_addf(&setup->hostname, "%s\n", hostname);
	if (cage->resolv_conf)
		strbuf_addstr(&setup->resolv_conf, cage->resolv_conf);
	else
		etc_host_resolv_conf(&setup->resolv_conf);
	return etc_hosts(&setup->hosts, hostname, cage->extra_hosts, err);
}

int setup_prepare(struct setup *setup, const struct cage *cage, struct err *err)
{
	*setup = (struct setup){
		.cage = cage, .tree_fd = -1, .root.fd = -1, .proc_fd = -1, .sys_fd = -1, .files_fd = -1, .channel = -1
	};
	setup->source_fds = calloc(cage->mount_count + 1, sizeof(*setup->source_fds));
	if (!setup->source_fds)
		abort();
	for (size_t i = 0; i < cage->mount_count; i++)
		setup->source_fds[i] = -1;
	setup->filter = filter_of(cage->seccomp_profile, err);
	if (!setup->filter || write_texts(setup, err) < 0 || clone_sources(setup, err) < 0)
		return -1;
	return make_stubs(setup, err);
}

void setup_release(struct setup *setup)
{
	stubs_release(&setup->stubs);
	scope_close_fd(&setup->tree_fd);
	for (size_t i = 0; setup->source_fds && i < setup->cage->mount_count; i++)
		scope_close_fd(&setup->source_fds[i]);
	free(setup->source_fds);
	strbuf_release(&setup->hosts);
	strbuf_release(&setup->resolv_conf);
	strbuf_release(&setup->hostname);
	*setup = (struct setup){ .tree_fd = -1 };
}
