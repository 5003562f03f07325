/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "emulate.h"
#include "kiln/base/scope.h"

/* execve and chroot: the kernel does them, and credentials follow. */

static void read_file_caps(int fd, uint64_t *permitted, uint64_t *inheritable)
{
	struct vfs_ns_cap_data value;
	char path[32];

	*permitted = *inheritable = 0;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t len = getxattr(path, "security.capability", &value, sizeof(value));
	if (len < (ssize_t)sizeof(struct vfs_cap_data))
		return;
	*permitted = le32toh(value.data[0].permitted) | (uint64_t)le32toh(value.data[1].permitted) << 32;
	*inheritable = le32toh(value.data[0].inheritable) | (uint64_t)le32toh(value.data[1].inheritable) << 32;
}

/* Whether the execve will come to pass, and of which program after all, nobody knows yet. So the process gets a number that
   stands for both outcomes, and its next call, or its child's, settles it by the program that runs then. */
static int64_t note_exec(struct call *call, const struct creds *before, const struct creds *after,
			 const struct stat *st)
{
	int64_t if_not = creds_number(&call->emulator->table, before);
	int64_t if_so = creds_number(&call->emulator->table, after);
	struct creds pending = { .is_pending = true, .dev = st->st_dev, .ino = st->st_ino };

	if (if_not < 0 || if_so < 0)
		return -EAGAIN;
	if (if_not == if_so)
		return ANSWER_CONTINUE;
	pending.if_not = (uint32_t)if_not;
	pending.if_so = (uint32_t)if_so;
	int result = tracee_set_creds(call, &pending);
	return result < 0 ? result : ANSWER_CONTINUE;
}

int64_t call_exec(struct call *call)
{
	struct creds before, after;
	struct seen seen = { .fd = -1 };
	uint64_t permitted, inheritable;
	int result = tracee_creds(call, &before);

	if (result < 0)
		return result;
	scope_fd int fd = tracee_open(call, call_flags(call));
	seen.fd = fd;
	if (fd < 0 || seen_load(&seen) < 0 || !S_ISREG(seen.st.st_mode))
		return ANSWER_CONTINUE;
	const struct creds_file file = seen_as_file(&seen);
	if (!creds_has(&before, CAP_DAC_OVERRIDE) && !creds_may(&before, &file, 1))
		return -EACCES;
	read_file_caps(fd, &permitted, &inheritable);
	after = before;
	creds_after_exec(&after, &file, permitted, inheritable);
	return note_exec(call, &before, &after, &seen.st);
}

/* Should it fail, the process only pays for a longer look at its paths. */
int64_t call_chroot(struct call *call)
{
	struct creds creds;
	int result = tracee_creds(call, &creds);

	if (result < 0)
		return result;
	if (!creds_has(&creds, CAP_SYS_CHROOT))
		return -EPERM;
	creds.is_chrooted = call->emulator->has_chroots = true;
	result = tracee_set_creds(call, &creds);
	return result < 0 ? result : ANSWER_CONTINUE;
}
