/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "emulate.h"
#include "kiln/base/scope.h"

/*
 * Files that a process makes belong to it, or to the group of a directory with the set-group-id bit. Root in a directory
 * without that bit makes root's files, which the kernel does as well; that is known after one look at the directory.
 *
 * Who is not root is held to the permissions of directories here, for really he is root.
 */

#define LINKS_MAX 40

/* Where something is to be made, and by whom. */
struct birth {
	struct creds creds;
	struct seen dir; /* its fd is owned */
	char *leaf;
	struct owner owner;
};

static void birth_release(struct birth *birth)
{
	if (birth->dir.fd >= 0)
		close(birth->dir.fd);
}
#define scope_birth __attribute__((cleanup(birth_release)))

/* ---- the quick look ---- */

/* Is the directory of call->path certainly without the set-group-id bit? */
static bool is_in_common_dir(struct call *call, const char *path)
{
	char quick[QUICK_PATH_MAX], dir[PATH_MAX];
	size_t len = strlen(path);
	struct stat st;

	while (len > 1 && path[len - 1] == '/')
		len--;
	while (len > 0 && path[len - 1] != '/')
		len--;
	if (len >= sizeof(dir))
		return false;
	memcpy(dir, path, len);
	dir[len] = '\0';
	if (!tracee_quick_path(call, tracee_dir(call), len > 0 ? dir : ".", quick, sizeof(quick)))
		return false;
	return fstatat(AT_FDCWD, quick, &st, 0) < 0 || !(st.st_mode & S_ISGID);
}

/* 1 if the kernel can do it, as it is; reads call->path. */
static int is_common(struct call *call, struct creds *creds)
{
	int result = tracee_creds(call, creds);

	if (result < 0 || (result = tracee_read_path(call)) < 0)
		return result;
	return creds_are_plain_root(creds) && is_in_common_dir(call, call->path);
}

/* ---- the careful look ---- */

static int load_dir(struct birth *birth)
{
	int result = seen_load(&birth->dir);

	if (result < 0)
		return result;
	birth->owner.uid = birth->creds.uid[ID_FS];
	birth->owner.gid = birth->dir.st.st_mode & S_ISGID ? birth->dir.st.st_gid : birth->creds.gid[ID_FS];
	return 0;
}

static int find_dir(struct call *call, struct birth *birth, char *path)
{
	birth->dir.fd = tracee_open_parent(call, tracee_dir(call), path, &birth->leaf);
	return birth->dir.fd < 0 ? birth->dir.fd : load_dir(birth);
}

static bool may_write_dir(const struct birth *birth)
{
	const struct creds_file dir = seen_as_file(&birth->dir);

	return birth->dir.is_foreign || creds_may(&birth->creds, &dir, 3);
}

static bool exists(const struct birth *birth, struct stat *st)
{
	return fstatat(birth->dir.fd, birth->leaf, st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_roots(const struct birth *birth)
{
	return birth->owner.uid == 0 && birth->owner.gid == 0;
}

/* 0 if it is to be made here. ANSWER_CONTINUE if the kernel makes the same of it, or knows the error. */
static int prepare(struct call *call, struct birth *birth)
{
	struct stat st;
	int result = is_common(call, &birth->creds);

	birth->dir.fd = -1;
	if (result != 0)
		return result < 0 ? result : ANSWER_CONTINUE;
	result = find_dir(call, birth, call->path);
	if (result < 0)
		return result == -EEXIST ? ANSWER_CONTINUE : result;
	if (exists(birth, &st))
		return ANSWER_CONTINUE;
	if (!may_write_dir(birth))
		return -EACCES;
	if (!tracee_is_valid(call))
		return -ESRCH;
	return is_roots(birth) ? ANSWER_CONTINUE : 0;
}

/* What was made a moment ago. A file system without records cannot hold another's file: then it is not made. */
static int64_t give_away(const struct birth *birth, bool is_dir)
{
	scope_fd int fd = openat(birth->dir.fd, birth->leaf, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && owner_write(fd, st.st_mode, &birth->owner) == 0)
		return 0;
	int failed = errno;
	if (failed == EOPNOTSUPP)
		return 0;
	unlinkat(birth->dir.fd, birth->leaf, is_dir ? AT_REMOVEDIR : 0);
	return -failed;
}

/* ---- directories, links, nodes ---- */

int64_t call_mkdir(struct call *call)
{
	scope_birth struct birth birth;
	int result = prepare(call, &birth);

	if (result != 0)
		return result;
	mode_t mode = (mode_t)call_arg(call, call->row->a) & 01777 & ~tracee_umask(call);
	if (mkdirat(birth.dir.fd, birth.leaf, mode) < 0)
		return -errno;
	return give_away(&birth, true);
}

int64_t call_symlink(struct call *call)
{
	scope_birth struct birth birth;
	char target[PATH_MAX];
	int result = prepare(call, &birth);

	if (result != 0)
		return result;
	result = tracee_read_text(call, call_arg(call, call->row->a), target, sizeof(target));
	if (result < 0)
		return result;
	if (symlinkat(target, birth.dir.fd, birth.leaf) < 0)
		return -errno;
	return give_away(&birth, false);
}

static int64_t make_plain_node(struct call *call, mode_t mode)
{
	scope_birth struct birth birth;
	int result = prepare(call, &birth);

	if (result != 0)
		return result;
	if (mknodat(birth.dir.fd, birth.leaf, mode & ~tracee_umask(call), 0) < 0)
		return -errno;
	return give_away(&birth, false);
}

static int note_device(int fd, mode_t mode, dev_t dev)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%c:%u:%u", S_ISCHR(mode) ? 'c' : 'b', major(dev), minor(dev));

	return fsetxattr(fd, DEVICE_XATTR, text, (size_t)len, 0);
}

/* No user namespace can make devices. An empty file stands in for it and becomes one in the layer. */
static int64_t make_device(struct call *call, mode_t mode, dev_t dev)
{
	scope_birth struct birth birth = { .dir.fd = -1 };
	struct stat st;
	int result = tracee_creds(call, &birth.creds);

	if (result < 0 || (result = tracee_read_path(call)) < 0)
		return result;
	if (birth.creds.uid[ID_FS] != 0 || !creds_has(&birth.creds, CAP_DAC_OVERRIDE))
		return -EPERM;
	result = find_dir(call, &birth, call->path);
	if (result < 0)
		return result;
	if (exists(&birth, &st))
		return -EEXIST;
	if (!tracee_is_valid(call))
		return -ESRCH;
	scope_fd int fd = openat(birth.dir.fd, birth.leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				 mode & 0777 & ~tracee_umask(call));
	if (fd < 0)
		return -errno;
	if (note_device(fd, mode, dev) < 0) {
		unlinkat(birth.dir.fd, birth.leaf, 0);
		return -EPERM;
	}
	return is_roots(&birth) ? 0 : give_away(&birth, false);
}

int64_t call_mknod(struct call *call)
{
	mode_t mode = (mode_t)call_arg(call, call->row->a);
	uint32_t packed = (uint32_t)call_arg(call, call->row->b);
	/* new_decode_dev of the kernel. */
	dev_t dev = makedev((packed & 0xfff00) >> 8, (packed & 0xff) | (packed >> 12 & 0xfff00));

	if (S_ISCHR(mode) || S_ISBLK(mode)) /* 0:0 is overlay's whiteout, and the kernel's business */
		return dev == 0 ? ANSWER_CONTINUE : make_device(call, mode, dev);
	return make_plain_node(call, mode);
}

/* ---- open ---- */

static int64_t hand_over(struct call *call, int fd, bool closes_on_exec)
{
	struct seccomp_notif_addfd give = {
		.id = call->notif->id,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (uint32_t)fd,
		.newfd_flags = closes_on_exec ? O_CLOEXEC : 0,
	};
	int given = ioctl(call->emulator->listener_fd, SECCOMP_IOCTL_NOTIF_ADDFD, &give);

	if (given >= 0)
		return ANSWER_GIVEN;
	if (errno != EINVAL)
		return errno == ENOENT ? ANSWER_GONE : -errno;
	/* Before Linux 5.14: first the file, then the answer. */
	give.flags = 0;
	given = ioctl(call->emulator->listener_fd, SECCOMP_IOCTL_NOTIF_ADDFD, &give);
	return given < 0 ? -errno : given;
}

struct opening {
	int flags;
	mode_t mode;
};

static int64_t make_file(struct call *call, struct birth *birth, const struct opening *opening)
{
	bool is_unnamed = (opening->flags & O_TMPFILE) == O_TMPFILE;
	int flags = opening->flags | O_CLOEXEC | O_NOCTTY | (is_unnamed ? 0 : O_EXCL | O_NOFOLLOW);
	mode_t mode = opening->mode & 07777 & ~tracee_umask(call);
	scope_fd int fd = openat(birth->dir.fd, is_unnamed ? "." : birth->leaf, flags, mode);

	if (fd < 0)
		return errno == EEXIST && !(opening->flags & O_EXCL) ? ANSWER_CONTINUE : -errno;
	if (owner_write(fd, S_IFREG, &birth->owner) < 0 && errno != EOPNOTSUPP) {
		int failed = errno;
		if (!is_unnamed)
			unlinkat(birth->dir.fd, birth->leaf, 0);
		return -failed;
	}
	return hand_over(call, fd, opening->flags & O_CLOEXEC);
}

/* Files that are there: to write to one takes a right. */
static int64_t open_existing(struct call *call, const struct birth *birth, const struct opening *opening)
{
	scope_fd int fd = tracee_open_at(call, tracee_dir(call), call->path, !(opening->flags & O_NOFOLLOW));
	unsigned want = (opening->flags & O_ACCMODE) == O_RDONLY ? 4 : (opening->flags & O_ACCMODE) == O_WRONLY ? 2 : 6;
	struct seen seen = { .fd = fd };

	if (opening->flags & O_TRUNC)
		want |= 2;
	if (fd < 0 || seen_load(&seen) < 0 || seen.is_foreign ||
	    !(S_ISREG(seen.st.st_mode) || S_ISDIR(seen.st.st_mode)))
		return ANSWER_CONTINUE;
	const struct creds_file file = seen_as_file(&seen);
	return creds_may(&birth->creds, &file, want) ? ANSWER_CONTINUE : -EACCES;
}

/* A link that leads to nothing is made what it leads to. *path becomes that. False if there is no such link. */
static bool follow_dangling(const struct birth *birth, char path[PATH_MAX])
{
	char target[PATH_MAX], joined[PATH_MAX];
	size_t dir_len = (size_t)(birth->leaf - path);
	ssize_t len = readlinkat(birth->dir.fd, birth->leaf, target, sizeof(target) - 1);

	if (len < 0)
		return false;
	target[len] = '\0';
	int whole = target[0] == '/' ? snprintf(joined, sizeof(joined), "%s", target)
				     : snprintf(joined, sizeof(joined), "%.*s%s", (int)dir_len, path, target);
	if (whole >= PATH_MAX)
		return false;
	memcpy(path, joined, (size_t)whole + 1);
	return true;
}

static int64_t create(struct call *call, struct birth *birth, const struct opening *opening)
{
	struct stat st;

	for (int i = 0; i < LINKS_MAX; i++) {
		birth_release(birth);
		int result = find_dir(call, birth, call->path);
		if (result < 0)
			return result == -EEXIST ? ANSWER_CONTINUE : result;
		if (!exists(birth, &st)) {
			if (!may_write_dir(birth))
				return -EACCES;
			if (!tracee_is_valid(call))
				return -ESRCH;
			return is_roots(birth) ? ANSWER_CONTINUE : make_file(call, birth, opening);
		}
		if ((opening->flags & O_EXCL) || !S_ISLNK(st.st_mode))
			return open_existing(call, birth, opening);
		scope_fd int fd = tracee_open_at(call, tracee_dir(call), call->path, true);
		if (fd != -ENOENT)
			return open_existing(call, birth, opening);
		if (!follow_dangling(birth, call->path))
			return -EACCES;
	}
	return -ELOOP;
}

static int64_t create_unnamed(struct call *call, struct birth *birth, const struct opening *opening)
{
	birth->dir.fd = tracee_open_at(call, tracee_dir(call), call->path, true);
	int result = birth->dir.fd < 0 ? birth->dir.fd : load_dir(birth);

	if (result < 0)
		return result;
	if (!may_write_dir(birth))
		return -EACCES;
	return is_roots(birth) ? ANSWER_CONTINUE : make_file(call, birth, opening);
}

static int64_t do_open(struct call *call, const struct opening *opening, bool can_act)
{
	scope_birth struct birth birth = { .dir.fd = -1 };
	int result = is_common(call, &birth.creds);

	if (result != 0)
		return result < 0 ? result : ANSWER_CONTINUE;
	if (opening->flags & O_PATH)
		return ANSWER_CONTINUE;
	if (!can_act)
		return -ENOSYS;
	if ((opening->flags & O_TMPFILE) == O_TMPFILE)
		return create_unnamed(call, &birth, opening);
	if (opening->flags & O_CREAT)
		return create(call, &birth, opening);
	return creds_has(&birth.creds, CAP_DAC_OVERRIDE) ? ANSWER_CONTINUE : open_existing(call, &birth, opening);
}

/* creat(2) has no flags. */
int64_t call_open(struct call *call)
{
	const struct opening opening = {
		.flags = call->row->a < 0 ? O_CREAT | O_WRONLY | O_TRUNC : (int)call_arg(call, call->row->a),
		.mode = (mode_t)call_arg(call, call->row->b),
	};

	return do_open(call, &opening, true);
}

/* Ways of resolving are not rebuilt here: who wants them is told that there is no such call, and does without. */
int64_t call_openat2(struct call *call)
{
	struct open_how how = { 0 };
	uint64_t size = call_arg(call, 3);
	int result = tracee_read(call, call_arg(call, 2), &how, size < sizeof(how) ? size : sizeof(how));

	if (result < 0)
		return result;
	const struct opening opening = { .flags = (int)how.flags, .mode = (mode_t)how.mode };
	bool makes = (how.flags & O_CREAT) || (how.flags & O_TMPFILE) == O_TMPFILE;
	return do_open(call, &opening, how.resolve == 0 || !makes);
}

/* ---- removing and renaming: rights only ---- */

static int64_t check_entry(struct call *call, const struct creds *creds, int dir_fd, char *path)
{
	scope_birth struct birth birth = { .dir.fd = -1, .creds = *creds };
	struct seen seen = { .fd = -1 };

	birth.dir.fd = tracee_open_parent(call, dir_fd, path, &birth.leaf);
	if (birth.dir.fd < 0 || load_dir(&birth) < 0)
		return ANSWER_CONTINUE;
	if (!may_write_dir(&birth))
		return -EACCES;
	scope_fd int fd = openat(birth.dir.fd, birth.leaf, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	seen.fd = fd;
	if (fd < 0 || !(birth.dir.st.st_mode & S_ISVTX) || seen_load(&seen) < 0 || creds_has(creds, CAP_FOWNER))
		return ANSWER_CONTINUE;
	bool is_own = seen.st.st_uid == creds->uid[ID_FS] || birth.dir.st.st_uid == creds->uid[ID_FS];
	return is_own ? ANSWER_CONTINUE : -EPERM;
}

int64_t call_remove(struct call *call)
{
	struct creds creds;
	int result = tracee_creds(call, &creds);

	if (result < 0 || creds_has(&creds, CAP_DAC_OVERRIDE))
		return result < 0 ? result : ANSWER_CONTINUE;
	result = tracee_read_path(call);
	return result < 0 ? result : check_entry(call, &creds, tracee_dir(call), call->path);
}

/* a and b are the other dirfd and path. */
int64_t call_rename(struct call *call)
{
	struct creds creds;
	int64_t answer = call_remove(call);
	int other_dir = call->row->a < 0 ? AT_FDCWD : (int)call_arg(call, call->row->a);

	if (answer != ANSWER_CONTINUE || tracee_creds(call, &creds) < 0 || creds_has(&creds, CAP_DAC_OVERRIDE))
		return answer;
	int result = tracee_read_text(call, call_arg(call, call->row->b), call->path, sizeof(call->path));
	return result < 0 ? result : check_entry(call, &creds, other_dir, call->path);
}
