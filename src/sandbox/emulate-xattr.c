/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "emulate.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

/*
 * Extended attributes: records are not seen and cannot be made, capabilities take the right to set them, and access lists that
 * name users are kept where the kernel does not look at their ids. In the table, a is the argument with the name (or the list), b
 * the value (or the size), c its size.
 */

#define OURS_PREFIX     "user.kiln."
#define CAPABILITY      "security.capability"
#define ACCESS_ACL      "system.posix_acl_access"
#define DEFAULT_ACL     "system.posix_acl_default"
#define KEPT_ACCESS_ACL OURS_PREFIX "acl"

enum { VALUE_MAX = 65536, ACL_MAX = 4096 };

static const char *fd_path(int fd, char path[32])
{
	(void)snprintf(path, 32, "/proc/self/fd/%d", fd);
	return path;
}

static int read_name(const struct call *call, char name[XATTR_NAME_MAX + 1])
{
	int len = tracee_read_text(call, call_arg(call, call->row->a), name, XATTR_NAME_MAX + 1);

	return len == -ENAMETOOLONG ? -ERANGE : len;
}

/* The file of the call, loaded. fd or -errno. */
static int open_seen(struct call *call, struct seen *seen)
{
	seen->fd = tracee_open(call, call_flags(call));
	int result = seen->fd < 0 ? seen->fd : seen_load(seen);

	if (result < 0 && seen->fd >= 0)
		close(seen->fd);
	return result < 0 ? result : seen->fd;
}

static bool can_run(mode_t mode)
{
	return S_ISREG(mode);
}

/* ---- access lists ---- */

struct acl {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entries[ACL_MAX / sizeof(struct posix_acl_xattr_entry)];
};

static size_t acl_count(size_t len)
{
	return (len - sizeof(struct posix_acl_xattr_header)) / sizeof(struct posix_acl_xattr_entry);
}

static bool acl_is_whole(const struct acl *acl, size_t len)
{
	return len >= sizeof(acl->header) && len <= ACL_MAX &&
	       (len - sizeof(acl->header)) % sizeof(acl->entries[0]) == 0 &&
	       le32toh(acl->header.a_version) == POSIX_ACL_XATTR_VERSION;
}

static struct posix_acl_xattr_entry *acl_find(struct acl *acl, size_t len, unsigned tag)
{
	for (size_t i = 0; i < acl_count(len); i++) {
		if (le16toh(acl->entries[i].e_tag) == tag)
			return &acl->entries[i];
	}
	return NULL;
}

static bool acl_names_somebody(struct acl *acl, size_t len)
{
	return acl_find(acl, len, ACL_USER) || acl_find(acl, len, ACL_GROUP);
}

static unsigned acl_perm(struct acl *acl, size_t len, unsigned tag)
{
	const struct posix_acl_xattr_entry *entry = acl_find(acl, len, tag);

	return entry ? le16toh(entry->e_perm) & 7U : 0;
}

static void acl_set_perm(struct acl *acl, size_t len, unsigned tag, unsigned perm)
{
	struct posix_acl_xattr_entry *entry = acl_find(acl, len, tag);

	if (entry)
		entry->e_perm = htole16((uint16_t)perm);
}

/* The mode shows the mask in the place of the group, and changes with it (acl(5)). */
static int64_t keep_acl(const struct seen *seen, struct acl *acl, size_t len)
{
	char path[32];
	mode_t mode = (seen->st.st_mode & 07000) | acl_perm(acl, len, ACL_USER_OBJ) << 6 |
		      acl_perm(acl, len, ACL_MASK) << 3 | acl_perm(acl, len, ACL_OTHER);

	if (!acl_find(acl, len, ACL_MASK) || !acl_find(acl, len, ACL_USER_OBJ) || !acl_find(acl, len, ACL_OTHER))
		return -EINVAL;
	fd_path(seen->fd, path);
	if (setxattr(path, KEPT_ACCESS_ACL, acl, len, 0) < 0 || fchmodat(AT_FDCWD, path, mode, 0) < 0)
		return -errno;
	return 0;
}

/* A list without names is a mode, and the kernel's. What a directory hands down to new files is not rebuilt here. */
static int64_t set_acl(struct call *call, const struct seen *seen, const struct creds *creds, bool is_default)
{
	struct acl acl;
	size_t len = (size_t)call_arg(call, call->row->c);
	char path[32];

	if (creds->uid[ID_FS] != seen->st.st_uid && !creds_has(creds, CAP_FOWNER))
		return -EPERM;
	if (len > ACL_MAX)
		return -EOPNOTSUPP;
	int result = tracee_read(call, call_arg(call, call->row->b), &acl, len);
	if (result < 0)
		return result;
	if (acl_is_whole(&acl, len) && acl_names_somebody(&acl, len))
		return is_default ? -EOPNOTSUPP : keep_acl(seen, &acl, len);
	if (!is_default)
		(void)removexattr(fd_path(seen->fd, path), KEPT_ACCESS_ACL);
	return ANSWER_CONTINUE;
}

/* A chmod since then has changed the mask. */
static ssize_t read_kept_acl(const struct seen *seen, struct acl *acl)
{
	char path[32];
	ssize_t len = getxattr(fd_path(seen->fd, path), KEPT_ACCESS_ACL, acl, ACL_MAX);

	if (len < 0 || !acl_is_whole(acl, (size_t)len))
		return -1;
	acl_set_perm(acl, (size_t)len, ACL_USER_OBJ, seen->st.st_mode >> 6 & 7);
	acl_set_perm(acl, (size_t)len, ACL_MASK, seen->st.st_mode >> 3 & 7);
	acl_set_perm(acl, (size_t)len, ACL_OTHER, seen->st.st_mode & 7);
	return len;
}

/* ---- get ---- */

static int64_t give_value(const struct call *call, const void *value, size_t len)
{
	uint64_t size = call_arg(call, call->row->c);

	if (size == 0)
		return (int64_t)len;
	if (size < len)
		return -ERANGE;
	int result = tracee_write(call, call_arg(call, call->row->b), value, len);
	return result < 0 ? result : (int64_t)len;
}

static int64_t get_acl(struct call *call)
{
	struct seen seen;
	struct acl acl;
	scope_fd int fd = open_seen(call, &seen);
	ssize_t len = fd < 0 ? -1 : read_kept_acl(&seen, &acl);

	return len < 0 ? ANSWER_CONTINUE : give_value(call, &acl, (size_t)len);
}

static int64_t get_capability(struct call *call)
{
	struct seen seen;
	scope_fd int fd = open_seen(call, &seen);

	return fd < 0 || can_run(seen.st.st_mode) || !seen.is_recorded ? ANSWER_CONTINUE : -ENODATA;
}

int64_t call_get_xattr(struct call *call)
{
	char name[XATTR_NAME_MAX + 1];
	int result = read_name(call, name);

	if (result < 0)
		return result;
	if (text_starts(name, OURS_PREFIX))
		return -ENODATA;
	if (text_equal(name, CAPABILITY))
		return get_capability(call);
	return text_equal(name, ACCESS_ACL) ? get_acl(call) : ANSWER_CONTINUE;
}

/* ---- list ---- */

static bool is_shown(const struct seen *seen, const char *name)
{
	return !text_starts(name, OURS_PREFIX) && (!text_equal(name, CAPABILITY) || can_run(seen->st.st_mode));
}

/* Takes what is not to be seen out of the list; the new length. */
static size_t filter_names(const struct seen *seen, char *names, size_t len)
{
	size_t kept = 0;
	bool has_acl = false;

	for (size_t at = 0, size; at < len; at += size) {
		size = strlen(names + at) + 1;
		has_acl |= text_equal(names + at, KEPT_ACCESS_ACL);
		if (is_shown(seen, names + at)) {
			memmove(names + kept, names + at, size);
			kept += size;
		}
	}
	if (has_acl) {
		memcpy(names + kept, ACCESS_ACL, sizeof(ACCESS_ACL));
		kept += sizeof(ACCESS_ACL);
	}
	return kept;
}

int64_t call_list_xattrs(struct call *call)
{
	struct seen seen;
	char path[32];
	scope_fd int fd = open_seen(call, &seen);
	scope_free char *names = malloc(VALUE_MAX + sizeof(ACCESS_ACL));

	if (!names)
		abort();
	ssize_t len = fd < 0 ? -1 : listxattr(fd_path(fd, path), names, VALUE_MAX);
	if (len <= 0)
		return ANSWER_CONTINUE;
	size_t kept = filter_names(&seen, names, (size_t)len);
	if (kept == (size_t)len)
		return ANSWER_CONTINUE;
	uint64_t size = call_arg(call, call->row->b);
	if (size == 0)
		return (int64_t)kept;
	if (size < kept)
		return -ERANGE;
	int result = tracee_write(call, call_arg(call, call->row->a), names, kept);
	return result < 0 ? result : (int64_t)kept;
}

/* ---- set, remove ---- */

static int64_t check_change(const struct creds *creds, const struct seen *seen, const char *name)
{
	const struct creds_file file = seen_as_file(seen);

	if (text_equal(name, CAPABILITY)) /* on all but files it is a record */
		return creds_has(creds, CAP_SETFCAP) && can_run(seen->st.st_mode) ? ANSWER_CONTINUE : -EPERM;
	return seen->is_foreign || creds_may(creds, &file, 2) ? ANSWER_CONTINUE : -EACCES;
}

static int begin_change(struct call *call, char name[XATTR_NAME_MAX + 1], struct creds *creds, struct seen *seen)
{
	int result = read_name(call, name);

	seen->fd = -1;
	if (result < 0)
		return result;
	if (text_starts(name, OURS_PREFIX))
		return -EPERM;
	result = tracee_creds(call, creds);
	if (result < 0)
		return result;
	result = open_seen(call, seen);
	if (result < 0)
		seen->fd = -1;
	return result < 0 ? result : 0;
}

int64_t call_set_xattr(struct call *call)
{
	char name[XATTR_NAME_MAX + 1];
	struct creds creds;
	struct seen seen;
	int result = begin_change(call, name, &creds, &seen);
	scope_fd int fd = seen.fd;

	if (result < 0)
		return result;
	if (text_equal(name, ACCESS_ACL) || text_equal(name, DEFAULT_ACL))
		return set_acl(call, &seen, &creds, text_equal(name, DEFAULT_ACL));
	return check_change(&creds, &seen, name);
}

int64_t call_remove_xattr(struct call *call)
{
	char name[XATTR_NAME_MAX + 1], path[32];
	struct creds creds;
	struct seen seen;
	int result = begin_change(call, name, &creds, &seen);
	scope_fd int fd = seen.fd;

	if (result < 0)
		return result;
	if (!text_equal(name, ACCESS_ACL))
		return check_change(&creds, &seen, name);
	if (creds.uid[ID_FS] != seen.st.st_uid && !creds_has(&creds, CAP_FOWNER))
		return -EPERM;
	return removexattr(fd_path(fd, path), KEPT_ACCESS_ACL) == 0 ? 0 : ANSWER_CONTINUE;
}
