/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox-cage.h"

/* Secrets of a step. That they leave no stubs behind: test-sandbox-mounts.c. */

static void a_secret_has_a_tmpfs_of_its_own(void **state)
{
	static const char text[] = "#!/bin/sh\necho ran\n";
	const struct cage_mount mounts[] = {
		/* Neither the mode nor the missing read_only makes it more than a secret. */
		{ .type = CAGE_SECRET,
		  .source_fd = -1,
		  .target = "/run/secrets/program",
		  .bytes = text,
		  .len = sizeof(text) - 1,
		  .mode = 0777 },
		{ .type = CAGE_SECRET,
		  .source_fd = -1,
		  .target = "/run/secrets/key",
		  .bytes = "a\0b",
		  .len = 3,
		  .mode = 0440,
		  .uid = 1000,
		  .gid = 1001 },
		{ .type = CAGE_SECRET, .source_fd = -1, .target = "/run/secrets/empty", .mode = 0400 },
	};
	struct step step = step_in(state);

	step.cage.mounts = mounts;
	step.cage.mount_count = ARRAY_LEN(mounts);
	run_script(&step, "cd /run/secrets && stat -c '%n %a %u:%g %s' *; stat -c %d * / | sort -u | wc -l");
	assert_output(&step, "empty 400 0:0 0\nkey 440 1000:1001 3\nprogram 777 0:0 19\n4\n");
	run_script(&step, "grep ' /run/secrets/' /proc/self/mountinfo | sed 's/,relatime//;s/ - tmpfs .*/ tmpfs/' |"
			  " cut -d' ' -f5- | sort");
	assert_output(&step, "/run/secrets/empty ro,nosuid,nodev,noexec tmpfs\n"
			     "/run/secrets/key ro,nosuid,nodev,noexec tmpfs\n"
			     "/run/secrets/program ro,nosuid,nodev,noexec tmpfs\n");
	run_script(&step, "cd /run/secrets; ./program; echo x > program; chmod 0666 key; rm -f empty;"
			  "mount -o remount,rw,exec /run/secrets/key 2>/dev/null || echo stays");
	assert_output(&step, "sh: ./program: Permission denied\n"
			     "sh: can't create program: Read-only file system\n"
			     "chmod: key: Read-only file system\n"
			     "rm: can't remove 'empty': Device or resource busy\n"
			     "stays\n");
	step_end(&step);
}

static void a_secret_is_read_by_those_who_may(void **state)
{
	const struct cage_mount mounts[] = {
		{ .type = CAGE_SECRET,
		  .source_fd = -1,
		  .target = "/run/secrets/mine",
		  .bytes = "mine\n",
		  .len = 5,
		  .mode = 0400,
		  .uid = 1000 },
		{ .type = CAGE_SECRET,
		  .source_fd = -1,
		  .target = "/run/secrets/roots",
		  .bytes = "root's\n",
		  .len = 7,
		  .mode = 0400 },
	};
	struct step step = step_in(state);

	step.cage.mounts = mounts;
	step.cage.mount_count = ARRAY_LEN(mounts);
	step.cage.user = (struct user){ .uid = 1000, .gid = 1000 };
	run_script(&step, "cat /run/secrets/mine /run/secrets/roots");
	assert_output(&step, "mine\ncat: can't open '/run/secrets/roots': Permission denied\n");
	step_end(&step);
}

static void a_secret_covers_a_file_of_the_image_which_comes_back(void **state)
{
	static const char *const ends[] = { "cat /etc/key", "cat /etc/key; exit 3", "cat /etc/key; kill -9 $$" };
	const struct cage_mount mounts[] = { { .type = CAGE_SECRET,
					       .source_fd = -1,
					       .target = "/etc/key",
					       .bytes = "secret\n",
					       .len = 7,
					       .mode = 0400 } };
	const struct scratch *scratch = *state;
	struct step step = step_in(state);

	put_file(scratch->fd, "image/etc/key", "of the image\n");
	step.cage.mounts = mounts;
	step.cage.mount_count = ARRAY_LEN(mounts);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		run_script(&step, ends[i]);
		assert_output(&step, "secret\n");
		assert_file(scratch->fd, "image/etc/key", "of the image\n");
		assert_int_equal(count_names(scratch->fd, "image/etc"), 1);
	}
	step_end(&step);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cage_test(a_secret_has_a_tmpfs_of_its_own),
		cage_test(a_secret_is_read_by_those_who_may),
		cage_test(a_secret_covers_a_file_of_the_image_which_comes_back),
	};

	return run_in_coordinator(tests, ARRAY_LEN(tests), 0);
}
