/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/arena.h"
#include "kiln/base/file.h"
#include "kiln/sandbox/user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is the user to look for, a NUL, etc/passwd, a NUL, etc/group. What is found is in range. */

static void put(int dir_fd, const char *path, const uint8_t *data, size_t size)
{
	int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

static size_t part(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, 0, size);

	return end ? (size_t)(end - data) : size;
}

static void check(const struct root *image, const char *text)
{
	struct arena arena = { 0 };
	struct user user;
	uint32_t uid, gid;

	if (user_resolve(&arena, image, text, &user, NULL) == 0) {
		assert(user.uid <= UINT32_MAX - 1 && user.gid <= UINT32_MAX - 1);
		assert(user.home && *user.home);
		for (size_t i = 0; i < user.group_count; i++)
			assert(user.groups[i] != user.gid && user.groups[i] <= UINT32_MAX - 1);
	}
	if (chown_resolve(image, text, &uid, &gid, NULL) == 0)
		assert(uid <= UINT32_MAX - 1 && gid <= UINT32_MAX - 1);
	arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/tmp/kiln-fuzz-XXXXXX";
	size_t user_len = part(data, size);
	char *text = strndup((const char *)data, user_len);
	const uint8_t *rest = data + user_len + (user_len < size);
	size_t left = size - user_len - (user_len < size);
	size_t passwd_len = part(rest, left);

	if (!text || !mkdtemp(path))
		abort();
	int fd = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || mkdirat(fd, "etc", 0700) < 0)
		abort();
	put(fd, "etc/passwd", rest, passwd_len);
	put(fd, "etc/group", rest + passwd_len + (passwd_len < left), left - passwd_len - (passwd_len < left));
	check(&(struct root){ fd, ROOT_CHROOT }, text);
	free(text);
	close(fd);
	if (file_remove_tree(AT_FDCWD, path, NULL) < 0)
		abort();
	return 0;
}
