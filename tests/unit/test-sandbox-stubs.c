/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include "../../src/sandbox/stubs.h"

/* The image lies beside what must never be touched. */
static int image_setup(void **state)
{
	if (scratch_setup(state) < 0)
		return -1;
	const struct scratch *scratch = *state;
	const struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000, .tv_nsec = 123456789 } };
	put_dir(scratch->fd, "image");
	put_dir(scratch->fd, "image/etc");
	put_file(scratch->fd, "image/etc/hosts", "of the image");
	put_dir(scratch->fd, "canary");
	put_file(scratch->fd, "canary/b", "");
	assert_int_equal(utimensat(scratch->fd, "image/etc", old, 0), 0);
	assert_int_equal(utimensat(scratch->fd, "image", old, 0), 0);
	return 0;
}

#define image_test(name) cmocka_unit_test_setup_teardown(name, image_setup, scratch_teardown)

struct image {
	int fd;
	struct root root;
	struct stubs stubs;
};

static struct image open_image(void **state)
{
	const struct scratch *scratch = *state;
	struct image image = { .fd = openat(scratch->fd, "image", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };

	assert_true(image.fd >= 0);
	image.root = (struct root){ image.fd, ROOT_CHROOT };
	return image;
}

static void make(struct image *image, const char *path, bool is_dir)
{
	struct err err = { 0 };
	int fd = stubs_open(&image->stubs, &image->root, path, is_dir, &err);

	if (fd < 0)
		fail_msg("%s", err.msg);
	close(fd);
}

static void assert_time_is_old(const struct image *image, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(image->fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
}

static void remove_stubs(struct image *image)
{
	struct err err = { 0 };

	assert_ok(stubs_remove(&image->stubs, &err), err);
	assert_int_equal(image->stubs.count, 0);
}

static void assert_mode(const struct image *image, const char *path, mode_t mode)
{
	struct stat st;

	assert_int_equal(fstatat(image->fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode, mode);
}

static void what_exists_is_opened_and_stays(void **state)
{
	struct image image = open_image(state);

	make(&image, "etc/hosts", false);
	make(&image, "/etc", true);
	assert_int_equal(image.stubs.count, 0);
	remove_stubs(&image);
	assert_file(image.fd, "etc/hosts", "of the image");
	close(image.fd);
}

static void what_is_missing_is_made_with_its_parents_and_goes_without_a_trace(void **state)
{
	struct image image = open_image(state);
	mode_t before = umask(077);

	make(&image, "etc/resolv.conf", false);
	make(&image, "run/deep/er/file", false);
	make(&image, "run/deep/directory/", true);
	umask(before);
	assert_mode(&image, "etc/resolv.conf", S_IFREG | 0644);
	assert_mode(&image, "run", S_IFDIR | 0755);
	assert_mode(&image, "run/deep/er/file", S_IFREG | 0644);
	assert_mode(&image, "run/deep/directory", S_IFDIR | 0755);
	/* The step already sees the old times. */
	assert_time_is_old(&image, "etc");
	assert_time_is_old(&image, ".");

	remove_stubs(&image);
	assert_time_is_old(&image, "etc");
	assert_time_is_old(&image, ".");
	assert_int_equal(count_names(image.fd, "."), 1);
	assert_int_equal(count_names(image.fd, "etc"), 1);
	close(image.fd);
}

static void what_the_step_did_to_the_directory_keeps_its_time(void **state)
{
	struct image image = open_image(state);
	struct stat during, after;

	make(&image, "etc/resolv.conf", false);
	put_file(image.fd, "etc/new", "");
	assert_int_equal(fstatat(image.fd, "etc", &during, 0), 0);
	assert_true(during.st_mtim.tv_sec > 1000000000);
	remove_stubs(&image);
	assert_int_equal(fstatat(image.fd, "etc", &after, 0), 0);
	assert_memory_equal(&after.st_mtim, &during.st_mtim, sizeof(after.st_mtim));
	assert_false(has_name(image.fd, "etc/resolv.conf"));
	close(image.fd);
}

static void a_directory_that_the_step_filled_is_the_steps(void **state)
{
	struct image image = open_image(state);

	make(&image, "run/a/mount", false);
	put_file(image.fd, "run/pid", "");
	remove_stubs(&image);
	assert_true(has_name(image.fd, "run/pid"));
	assert_false(has_name(image.fd, "run/a"));
	close(image.fd);
}

static void what_the_step_changed_is_the_steps(void **state)
{
	struct image image = open_image(state);

	make(&image, "run/mount", false);
	make(&image, "opt/mount", false);
	make(&image, "srv", false);
	assert_int_equal(fchmodat(image.fd, "run", 0700, 0), 0);
	put_file(image.fd, "srv", "text");
	remove_stubs(&image);
	assert_true(has_name(image.fd, "run"));
	assert_false(has_name(image.fd, "run/mount"));
	assert_false(has_name(image.fd, "opt"));
	assert_file(image.fd, "srv", "text");
	close(image.fd);
}

/* T-M5, CVE-2024-23652: RUN --mount=target=/a/b rm -rf /a && ln -s /canary /a. */
static void a_link_in_place_of_a_parent_leads_nowhere(void **state)
{
	const struct scratch *scratch = *state;
	struct image image = open_image(state);

	make(&image, "a/b", false);
	assert_int_equal(renameat(image.fd, "a", image.fd, "moved"), 0);
	put_link(image.fd, "a", "../canary");
	remove_stubs(&image);
	assert_true(has_name(scratch->fd, "canary/b"));
	assert_true(has_name(image.fd, "a"));
	/* The stub is found where it is now; the directory has another name, so somebody wants it. */
	assert_false(has_name(image.fd, "moved/b"));
	assert_true(has_name(image.fd, "moved"));
	close(image.fd);
}

static void another_file_under_the_name_stays(void **state)
{
	struct image image = open_image(state);

	make(&image, "a/b", false);
	make(&image, "c", false);
	put_file(image.fd, "other", "");
	assert_int_equal(renameat(image.fd, "other", image.fd, "a/b"), 0);
	assert_int_equal(unlinkat(image.fd, "c", 0), 0);
	remove_stubs(&image);
	assert_true(has_name(image.fd, "a/b"));
	close(image.fd);
}

/* T-M8: /etc/resolv.conf of many images is a link to what only runs elsewhere; a hostile one points out. */
static void links_lead_inside_the_root_and_what_they_name_is_made(void **state)
{
	static const struct {
		const char *link, *target, *made;
	} table[] = {
		{ "etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf",
		  "run/systemd/resolve/stub-resolv.conf" },
		{ "etc/mtab", "/proc/mounts", "proc/mounts" },
		{ "etc/up", "../../../../canary/f", "canary/f" },
		{ "etc/chain", "chain2", "etc/chain3" },
	};
	const struct scratch *scratch = *state;
	struct image image = open_image(state);

	put_link(image.fd, "etc/chain2", "/etc/chain3");
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		put_link(image.fd, table[i].link, table[i].target);
		make(&image, table[i].link, false);
		assert_true(has_name(image.fd, table[i].made));
		remove_stubs(&image);
		assert_false(has_name(image.fd, table[i].made));
		assert_true(has_name(image.fd, table[i].link));
	}
	assert_int_equal(count_names(image.fd, "."), 1);
	assert_false(has_name(scratch->fd, "canary/f"));
	close(image.fd);
}

static void a_link_for_a_parent_directory_is_followed_inside(void **state)
{
	const struct scratch *scratch = *state;
	struct image image = open_image(state);

	put_link(image.fd, "var", "/data/../store/var");
	make(&image, "data", true);
	make(&image, "var/lib/x", false);
	assert_true(has_name(image.fd, "store/var/lib/x"));
	remove_stubs(&image);
	assert_false(has_name(image.fd, "store"));

	put_link(image.fd, "out", "../canary");
	make(&image, "out/b2", false);
	assert_true(has_name(image.fd, "canary/b2"));
	assert_false(has_name(scratch->fd, "canary/b2"));
	remove_stubs(&image);
	close(image.fd);
}

static void a_loop_of_links_is_an_error(void **state)
{
	struct image image = open_image(state);
	struct err err = { 0 };

	put_link(image.fd, "x", "y");
	put_link(image.fd, "y", "x");
	assert_int_equal(stubs_open(&image.stubs, &image.root, "x", false, &err), -1);
	assert_true(err_is_errno(&err, ELOOP));
	stubs_release(&image.stubs);
	close(image.fd);
}

static void the_wrong_type_is_an_error_that_says_so(void **state)
{
	struct image image = open_image(state);
	struct err err = { 0 };

	assert_int_equal(stubs_open(&image.stubs, &image.root, "etc", false, &err), -1);
	assert_string_equal(err.msg, "etc: is a directory in the image, and a mount point there must be a file");
	assert_int_equal(stubs_open(&image.stubs, &image.root, "etc/hosts", true, &err), -1);
	assert_string_equal(err.msg, "etc/hosts: is not a directory in the image, and a mount point there must be one");
	assert_int_equal(stubs_open(&image.stubs, &image.root, "etc/hosts/below", false, &err), -1);
	assert_true(err_is_errno(&err, ENOTDIR));
	stubs_release(&image.stubs);
	close(image.fd);
}

/* T-S7: CVE-2026-41579, CVE-2019-19921. */
static void a_system_directory_is_no_link(void **state)
{
	const struct scratch *scratch = *state;
	struct image image = open_image(state);
	struct err err = { 0 };

	put_link(image.fd, "dev", "../canary");
	put_link(image.fd, "proc", "/etc");
	put_file(image.fd, "sys", "");
	assert_int_equal(stubs_open_toplevel(&image.stubs, &image.root, "dev", &err), -1);
	assert_string_equal(err.msg, "/dev of the image is a symbolic link, and kiln needs a directory there");
	assert_int_equal(stubs_open_toplevel(&image.stubs, &image.root, "proc", &err), -1);
	assert_int_equal(stubs_open_toplevel(&image.stubs, &image.root, "sys", &err), -1);
	assert_string_equal(err.msg, "/sys of the image is a file, and kiln needs a directory there");
	assert_int_equal(count_names(scratch->fd, "canary"), 1);

	assert_int_equal(unlinkat(image.fd, "dev", 0), 0);
	scope_fd int fd = stubs_open_toplevel(&image.stubs, &image.root, "dev", &err);
	assert_true(fd >= 0);
	remove_stubs(&image);
	assert_false(has_name(image.fd, "dev"));
	close(image.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		image_test(what_exists_is_opened_and_stays),
		image_test(what_is_missing_is_made_with_its_parents_and_goes_without_a_trace),
		image_test(what_the_step_did_to_the_directory_keeps_its_time),
		image_test(a_directory_that_the_step_filled_is_the_steps),
		image_test(what_the_step_changed_is_the_steps),
		image_test(a_link_in_place_of_a_parent_leads_nowhere),
		image_test(another_file_under_the_name_stays),
		image_test(links_lead_inside_the_root_and_what_they_name_is_made),
		image_test(a_link_for_a_parent_directory_is_followed_inside),
		image_test(a_loop_of_links_is_an_error),
		image_test(the_wrong_type_is_an_error_that_says_so),
		image_test(a_system_directory_is_no_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
