/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "emulate.h"
#include "kiln/base/scope.h"

/* chown, chmod and access. In the table, a and b are the arguments with the ids, or a the one with the mode. */

/* inode_owner_or_capable and setattr_prepare of the kernel. */
static bool may_chown(const struct creds *creds, const struct seen *seen, uint32_t uid, uint32_t gid)
{
	if (creds_has(creds, CAP_CHOWN))
		return true;
	if (creds->uid[ID_FS] != seen->st.st_uid)
		return false;
	return (uid == ID_KEEP || uid == seen->st.st_uid) &&
	       (gid == ID_KEEP || gid == seen->st.st_gid || creds_in_group(creds, gid));
}

/* Nothing of these is ever in an image, and nobody would read a record. */
static bool needs_no_record(mode_t mode)
{
	return S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISCHR(mode);
}

/* The kernel's chown, onto ourselves, takes set-id bits and capabilities away and changes the ctime. A device's placeholder
   is a file, but a device keeps its bits all the same. */
static int do_chown(const struct seen *seen, uint32_t uid, uint32_t gid)
{
	struct owner owner = { seen->st.st_uid, seen->st.st_gid };
	struct stat st;

	if (fchownat(seen->fd, "", uid == ID_KEEP ? uid : 0, gid == ID_KEEP ? gid : 0, AT_EMPTY_PATH) < 0)
		return -errno;
	if (uid != ID_KEEP)
		owner.uid = uid;
	if (gid != ID_KEEP)
		owner.gid = gid;
	if (owner_write(seen->fd, seen->st.st_mode, &owner) == 0)
		return 0;
	int failed = errno;
	if (failed == EOPNOTSUPP && needs_no_record(seen->st.st_mode))
		return 0;
	return fstat(seen->fd, &st) < 0 || failed == EOPNOTSUPP ? -EPERM : -failed;
}

int64_t call_chown(struct call *call)
{
	uint32_t uid = (uint32_t)call_arg(call, call->row->a), gid = (uint32_t)call_arg(call, call->row->b);
	struct seen seen;
	struct creds creds;
	int result = tracee_creds(call, &creds);

	if (result < 0)
		return result;
	scope_fd int fd = tracee_open(call, call_flags(call));
	if (fd < 0)
		return fd;
	seen.fd = fd;
	result = seen_load(&seen);
	if (result < 0)
		return result;
	if (seen.is_foreign || !may_chown(&creds, &seen, uid, gid))
		return -EPERM;
	return do_chown(&seen, uid, gid);
}

/* Root's is the kernel's business: owners do not come into it. */
int64_t call_chmod(struct call *call)
{
	struct seen seen;
	struct creds creds;
	int result = tracee_creds(call, &creds);

	if (result < 0)
		return result;
	if (creds_has(&creds, CAP_FOWNER) && creds_has(&creds, CAP_FSETID))
		return ANSWER_CONTINUE;
	scope_fd int fd = tracee_open(call, call_flags(call));
	if (fd < 0)
		return fd;
	seen.fd = fd;
	result = seen_load(&seen);
	if (result < 0)
		return result;
	if (creds.uid[ID_FS] != seen.st.st_uid && !creds_has(&creds, CAP_FOWNER))
		return -EPERM;
	mode_t mode = (mode_t)call_arg(call, call->row->a) & 07777;
	if ((mode & S_ISGID) && !S_ISDIR(seen.st.st_mode) && !creds_in_group(&creds, seen.st.st_gid) &&
	    !creds_has(&creds, CAP_FSETID))
		mode &= ~(mode_t)S_ISGID;
	if (S_ISLNK(seen.st.st_mode))
		return -EOPNOTSUPP;
	char path[32];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fchmodat(AT_FDCWD, path, mode, 0) < 0 ? -errno : 0;
}

int64_t call_access(struct call *call)
{
	unsigned want = (unsigned)call_arg(call, call->row->a) & 7;
	struct seen seen;
	struct creds creds;
	int result = tracee_creds(call, &creds);

	if (result < 0)
		return result;
	if (!(call_flags(call) & AT_EACCESS))
		creds_as_real(&creds);
	if (want == F_OK || creds_has(&creds, CAP_DAC_OVERRIDE))
		return ANSWER_CONTINUE;
	scope_fd int fd = tracee_open(call, call_flags(call));
	seen.fd = fd;
	if (fd < 0 || seen_load(&seen) < 0 || seen.is_foreign)
		return ANSWER_CONTINUE;
	const struct creds_file file = seen_as_file(&seen);
	return creds_may(&creds, &file, want) ? ANSWER_CONTINUE : -EACCES;
}
