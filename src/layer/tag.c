/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "kiln/base/scope.h"
#include "kiln/layer/tree.h"

#include "shown.h"
#include "tag.h"

/* Root of a user namespace may not write attributes of a file that is immutable or of a foreign owner; such a file is in no
   layer either. */
static bool is_no_matter(int sys)
{
	return sys == EEXIST || sys == EOPNOTSUPP || sys == EPERM || sys == EACCES;
}

static int open_file(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* A step can see the tag if it looks for it, so it is no random number and nothing of the host. */
int layer_tag_names(int dir_fd, const char *name, struct err *err)
{
	scope_fd int fd = open_file(dir_fd, name);
	char tag[TAG_MAX];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "open %s", SHOWN(name));
	int len = snprintf(tag, sizeof(tag), "%lld.%lld", (long long)st.st_size, (long long)st.st_mtim.tv_sec);
	if (fsetxattr(fd, TAG_XATTR, tag, (size_t)len, XATTR_CREATE) < 0 && !is_no_matter(errno))
		return err_errno(err, "note that %s has several names", SHOWN(name));
	return 0;
}

void tag_read(int dir_fd, const char *name, char tag[TAG_MAX])
{
	scope_fd int fd = open_file(dir_fd, name);
	ssize_t len = fd < 0 ? -1 : fgetxattr(fd, TAG_XATTR, tag, TAG_MAX - 1);

	tag[len > 0 ? len : 0] = '\0';
}
