/* SPDX-License-Identifier: Apache-2.0 */
#include "layer-scratch.h"

#include <limits.h>

static void apply(int tree_fd, unsigned flags, const struct raw *raws, size_t count)
{
	struct err err;

	assert_ok(apply_raw(raws, count, tree_fd, flags, &err), err);
}
#define APPLY(tree_fd, flags, ...) \
	apply(tree_fd, flags, (const struct raw[]){ __VA_ARGS__ }, ARRAY_LEN(((const struct raw[]){ __VA_ARGS__ })))

static struct stat stat_of(int dir_fd, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static void assert_link(int dir_fd, const char *path, const char *target)
{
	char found[PATH_MAX] = { 0 };

	assert_true(readlinkat(dir_fd, path, found, sizeof(found) - 1) > 0);
	assert_string_equal(found, target);
}

static void test_entries_get_what_the_tar_says(void **state)
{
	struct scratch *scratch = *state;
	mode_t old_mask = umask(077);

	APPLY(scratch->fd, 0, { .type = '5', .path = "./d/", .mode = 01770 },
	      { .type = '0', .path = "/d/f", .body = "text", .mode = 04751 },
	      { .type = '2', .path = "d/s", .link = "../../x" }, { .type = '1', .path = "d/h", .link = "/d/f" },
	      { .type = '6', .path = "d/p", .mode = 0620 }, { .type = '0', .path = "empty", .body = "" });
	assert_int_equal(umask(old_mask), 077);
	assert_int_equal(stat_of(scratch->fd, "d").st_mode, S_IFDIR | 01770);
	assert_int_equal(stat_of(scratch->fd, "d").st_mtim.tv_sec, STAMP);
	assert_int_equal(stat_of(scratch->fd, "d/f").st_mode, S_IFREG | 04751);
	assert_int_equal(stat_of(scratch->fd, "d/f").st_mtim.tv_sec, STAMP);
	assert_int_equal(stat_of(scratch->fd, "d/f").st_mtim.tv_nsec, 0);
	assert_int_equal(stat_of(scratch->fd, "d/f").st_nlink, 2);
	assert_int_equal(stat_of(scratch->fd, "d/p").st_mode, S_IFIFO | 0620);
	assert_int_equal(stat_of(scratch->fd, "d/s").st_mtim.tv_sec, STAMP);
	assert_file(scratch->fd, "d/h", "text");
	assert_link(scratch->fd, "d/s", "../../x");
	assert_file(scratch->fd, "empty", "");
}

static void test_missing_parents_are_made_whatever_the_umask(void **state)
{
	struct scratch *scratch = *state;
	scope_strbuf struct strbuf tar = { 0 };
	struct layer_stats stats;
	struct err err;
	mode_t old_mask = umask(077);

	raw_add(&tar, &(struct raw){ .type = '0', .path = "etc/dnf/vars/x", .body = "text" });
	raw_end(&tar);
	assert_ok(apply_bytes(&tar, scratch->fd, &(struct layer_apply_options){ 0 }, &stats, &err), err);
	umask(old_mask);
	assert_int_equal(stats.implied, 3);
	assert_int_equal(stats.entries, 1);
	assert_int_equal(stats.size, tar.len);
	assert_int_equal(stat_of(scratch->fd, "etc").st_mode, S_IFDIR | 0755);
	assert_int_equal(stat_of(scratch->fd, "etc/dnf/vars").st_mode, S_IFDIR | 0755);
	assert_int_equal(stat_of(scratch->fd, "etc/dnf").st_mtim.tv_sec, 0);
}

static void test_a_later_entry_of_the_same_name_wins(void **state)
{
	struct scratch *scratch = *state;

	APPLY(scratch->fd, 0, { .type = '0', .path = "x", .body = "one" }, { .type = '0', .path = "x", .body = "two" },
	      { .type = '5', .path = "d/" }, { .type = '0', .path = "d/old", .body = "x" },
	      { .type = '0', .path = "d", .body = "file now" }, { .type = '2', .path = "l", .link = "a" },
	      { .type = '5', .path = "l", .mode = 0700 }, { .type = '0', .path = "l/in", .body = "x" },
	      { .type = '5', .path = "e/", .mode = 0700 }, { .type = '0', .path = "e/f", .body = "x" },
	      { .type = '5', .path = "e/", .mode = 0750 });
	assert_file(scratch->fd, "x", "two");
	assert_file(scratch->fd, "d", "file now");
	assert_file(scratch->fd, "l/in", "x");
	assert_file(scratch->fd, "e/f", "x");
	assert_int_equal(stat_of(scratch->fd, "e").st_mode & 07777, 0750);
	assert_int_equal(stat_of(scratch->fd, "e").st_mtim.tv_sec, STAMP);
}

static void test_file_and_directory_take_turns(void **state)
{
	struct scratch *scratch = *state;

	for (int i = 0; i < 5; i++) {
		APPLY(scratch->fd, 0, { .type = '0', .path = "x", .body = "file" }, { .type = '5', .path = "x" },
		      { .type = '0', .path = "x/y", .body = "y" }, { .type = '0', .path = "x", .body = "file" });
		assert_file(scratch->fd, "x", "file");
	}
}

static void test_a_directory_that_forbids_writing_is_filled_first(void **state)
{
	struct scratch *scratch = *state;

	APPLY(scratch->fd, 0, { .type = '5', .path = "d/", .mode = 0500 }, { .type = '5', .path = "d/e", .mode = 0100 },
	      { .type = '0', .path = "d/e/f", .body = "x" });
	assert_int_equal(stat_of(scratch->fd, "d").st_mode & 07777, 0500);
	assert_int_equal(stat_of(scratch->fd, "d/e").st_mode & 07777, 0100);
	assert_int_equal(fchmodat(scratch->fd, "d", 0700, 0), 0);
	assert_int_equal(fchmodat(scratch->fd, "d/e", 0700, 0), 0);
	assert_file(scratch->fd, "d/e/f", "x");
}

static void test_the_roots_own_metadata_apply(void **state)
{
	struct scratch *scratch = *state;
	static const char *const names[] = { ".", "./", "/", "" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(fchmod(scratch->fd, 0700), 0);
		APPLY(scratch->fd, 0, { .type = '5', .path = names[i], .mode = 0711 });
		assert_int_equal(stat_of(scratch->fd, ".").st_mode & 07777, 0711);
		assert_int_equal(stat_of(scratch->fd, ".").st_mtim.tv_sec, STAMP);
	}
}

static void test_attributes_are_kept_and_bookkeeping_is_not(void **state)
{
	struct scratch *scratch = *state;
	scope_strbuf struct strbuf records = { 0 }, other = { 0 };
	char value[8];

	raw_record(&records, "SCHILY.xattr.user.k", "val");
	raw_record(&records, "SCHILY.xattr.user.overlay.opaque", "y");
	raw_record(&records, "SCHILY.xattr.user.kiln.dev", "c:1:3");
	raw_record(&records, "SCHILY.xattr.security.selinux", "x");
	raw_record(&records, "SCHILY.xattr.trusted.overlay.opaque", "y");
	raw_record(&other, "SCHILY.xattr.user.z", "1");
	APPLY(scratch->fd, 0, { .type = '5', .path = "d/", .pax = records.ptr },
	      { .type = '0', .path = "d/f", .body = "", .pax = records.ptr });
	for (int i = 0; i < 2; i++) {
		scope_fd int fd = openat(scratch->fd, i ? "d" : "d/f", O_RDONLY);
		assert_int_equal(fgetxattr(fd, "user.k", value, sizeof(value)), 3);
		assert_int_equal(fgetxattr(fd, "user.overlay.opaque", value, sizeof(value)), -1);
		assert_int_equal(fgetxattr(fd, "user.kiln.dev", value, sizeof(value)), -1);
	}
	APPLY(scratch->fd, 0, { .type = '5', .path = "d/", .pax = other.ptr });
	scope_fd int fd = openat(scratch->fd, "d", O_RDONLY);
	assert_int_equal(fgetxattr(fd, "user.k", value, sizeof(value)), -1);
	assert_int_equal(fgetxattr(fd, "user.z", value, sizeof(value)), 1);
}

static void test_whiteouts_remove_what_was_there(void **state)
{
	struct scratch *scratch = *state;

	put_file(scratch->fd, "f", "x");
	put_dir(scratch->fd, "d");
	put_file(scratch->fd, "d/x", "x");
	put_dir(scratch->fd, "e");
	put_file(scratch->fd, "e/x", "x");
	APPLY(scratch->fd, 0, { .type = '0', .path = ".wh.f", .body = "" },
	      { .type = '0', .path = ".wh.d", .body = "" }, { .type = '0', .path = "e/.wh..wh..opq", .body = "" },
	      { .type = '0', .path = "no/such/.wh.dir", .body = "" });
	assert_false(has_name(scratch->fd, "f"));
	assert_false(has_name(scratch->fd, "d"));
	assert_int_equal(count_names(scratch->fd, "e"), 0);
	assert_false(has_name(scratch->fd, "no"));
}

static void test_whiteouts_spare_what_the_same_tar_holds(void **state)
{
	struct scratch *scratch = *state;

	put_file(scratch->fd, "f", "old");
	put_dir(scratch->fd, "d");
	put_file(scratch->fd, "d/old", "x");
	put_dir(scratch->fd, "d/sub");
	put_file(scratch->fd, "d/sub/old", "x");
	put_dir(scratch->fd, "e");
	put_file(scratch->fd, "e/old", "x");
	put_dir(scratch->fd, "gone");
	put_file(scratch->fd, "gone/x", "x");
	APPLY(scratch->fd, 0, { .type = '0', .path = "f", .body = "new" }, { .type = '0', .path = ".wh.f", .body = "" },
	      { .type = '0', .path = "d/sub/new", .body = "x" }, { .type = '0', .path = ".wh.d", .body = "" },
	      { .type = '5', .path = "e/" }, { .type = '0', .path = "e/new", .body = "x" },
	      { .type = '0', .path = "e/.wh..wh..opq", .body = "" }, { .type = '0', .path = ".wh.gone", .body = "" });
	assert_file(scratch->fd, "f", "new");
	assert_file(scratch->fd, "d/sub/new", "x");
	assert_false(has_name(scratch->fd, "d/old"));
	assert_false(has_name(scratch->fd, "d/sub/old"));
	assert_file(scratch->fd, "e/new", "x");
	assert_false(has_name(scratch->fd, "e/old"));
	assert_false(has_name(scratch->fd, "gone"));
}

static void test_an_opaque_mark_works_wherever_it_stands(void **state)
{
	struct scratch *scratch = *state;

	put_dir(scratch->fd, "d");
	put_file(scratch->fd, "d/a", "old");
	put_file(scratch->fd, "d/b", "old");
	put_file(scratch->fd, "d/z", "old");
	APPLY(scratch->fd, 0, { .type = '0', .path = "d/a", .body = "new" },
	      { .type = '0', .path = "d/.wh..wh..opq", .body = "" }, { .type = '0', .path = "d/z", .body = "new" });
	assert_file(scratch->fd, "d/a", "new");
	assert_false(has_name(scratch->fd, "d/b"));
	assert_file(scratch->fd, "d/z", "new");
}

static void test_what_aufs_kept_is_ignored(void **state)
{
	struct scratch *scratch = *state;

	APPLY(scratch->fd, 0, { .type = '5', .path = ".wh..wh.plnk/" },
	      { .type = '0', .path = ".wh..wh.plnk/1.2", .body = "x" },
	      { .type = '0', .path = ".wh..wh.aufs", .body = "" });
	assert_int_equal(count_names(scratch->fd, "."), 0);
}

static void test_plain_archives_may_hold_names_like_whiteouts(void **state)
{
	struct scratch *scratch = *state;

	put_file(scratch->fd, "f", "x");
	APPLY(scratch->fd, LAYER_APPLY_PLAIN, { .type = '0', .path = ".wh.f", .body = "text" },
	      { .type = '0', .path = "d/.wh..wh..opq", .body = "" });
	assert_file(scratch->fd, ".wh.f", "text");
	assert_file(scratch->fd, "f", "x");
	assert_true(has_name(scratch->fd, "d/.wh..wh..opq"));
}

static bool is_whiteout(int tree_fd, const char *path)
{
	char dir[64], file[80];
	struct stat st;
	const char *name = path_base(path);

	if (fstatat(tree_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return layer_entry_mark(tree_fd, name, &st) == LAYER_WHITEOUT;
	snprintf(dir, sizeof(dir), "%.*s", (int)(name - path), path);
	snprintf(file, sizeof(file), "%s.wh.%s", dir, name);
	return fstatat(tree_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && has_name(tree_fd, LAYER_FILE_MARKS);
}

static bool is_opaque(int tree_fd, const char *path)
{
	scope_fd int fd = open_dir_at(tree_fd, path);

	return layer_dir_is_opaque(fd);
}

static void check_tree_forms(int tree)
{
	APPLY(tree, LAYER_APPLY_AS_TREE, { .type = '5', .path = "d/" },
	      { .type = '0', .path = "d/.wh.gone", .body = "" }, { .type = '0', .path = "d/.wh.back", .body = "" },
	      { .type = '0', .path = "d/back", .body = "x" }, { .type = '0', .path = "d/kept", .body = "x" },
	      { .type = '0', .path = "d/.wh.kept", .body = "" }, { .type = '0', .path = ".wh.dir1", .body = "" },
	      { .type = '5', .path = "dir1/" }, { .type = '0', .path = "dir1/x", .body = "x" },
	      { .type = '5', .path = "dir2/" }, { .type = '0', .path = ".wh.dir2", .body = "" },
	      { .type = '5', .path = "opq/" }, { .type = '0', .path = "opq/.wh..wh..opq", .body = "" },
	      { .type = '0', .path = ".wh.dir3", .body = "" }, { .type = '0', .path = "dir3/sub/x", .body = "x" },
	      { .type = '0', .path = ".wh.twice", .body = "" }, { .type = '0', .path = ".wh.twice", .body = "" });
	assert_true(is_whiteout(tree, "d/gone"));
	assert_file(tree, "d/back", "x");
	assert_file(tree, "d/kept", "x");
	assert_false(is_opaque(tree, "d"));
	assert_true(is_opaque(tree, "dir1"));
	assert_file(tree, "dir1/x", "x");
	assert_true(is_opaque(tree, "dir2"));
	assert_true(is_opaque(tree, "opq"));
	assert_true(is_opaque(tree, "dir3"));
	assert_file(tree, "dir3/sub/x", "x");
	assert_true(is_whiteout(tree, "twice"));
	assert_false(has_name(tree, "d/.wh.back"));
	assert_false(has_name(tree, ".wh.dir1"));
	assert_false(has_name(tree, ".wh.dir3"));
}

static void test_a_layer_tree_has_whiteouts_and_opaque_marks(void **state)
{
	struct scratch *scratch = *state;

	check_tree_forms(scratch->fd);
}

static int check_tree_forms_in_namespace(int channel, void *arg, struct err *err)
{
	struct scratch *scratch = arg;

	(void)channel;
	if (enter_namespaces(err) < 0)
		return -1;
	check_tree_forms(scratch->fd);
	return has_name(scratch->fd, LAYER_FILE_MARKS) ? err_set(err, ERR_INPUT, "devices were not made") : 0;
}

static void test_a_layer_tree_has_device_whiteouts_in_a_user_namespace(void **state)
{
	struct proc child = PROC_EMPTY;
	struct err err;

	assert_ok(proc_fork(&child, check_tree_forms_in_namespace, *state, &err), err);
	assert_ok(proc_wait(&child, NULL, &err), err);
}

static void test_devices_become_placeholders_where_they_cannot_be_made(void **state)
{
	struct scratch *scratch = *state;
	scope_result struct layer_result result = { 0 };
	struct err err;

	APPLY(scratch->fd, LAYER_APPLY_AS_TREE,
	      { .type = '3', .path = "null", .dev_major = 1, .dev_minor = 3, .mode = 0666 },
	      { .type = '4', .path = "disk", .dev_major = 8, .dev_minor = 1, .mode = 0660 });
	assert_ok(try_diff(&result, scratch->fd, NULL, 0, INT64_MAX, &err), err);
	assert_string_equal(strbuf_str(&result.list), "b 660 0 disk 8:1\nc 666 0 null 1:3\n");
}

static void test_a_whiteout_device_is_refused(void **state)
{
	struct scratch *scratch = *state;
	struct err err;

	for (unsigned flags = 0; flags < 4; flags++) {
		assert_int_equal(apply_raw(&(struct raw){ .type = '3', .path = "x" }, 1, scratch->fd, flags, &err), -1);
		assert_int_equal(err.kind, ERR_INPUT);
	}
	assert_int_equal(count_names(scratch->fd, "."), 0);
}

static void test_owners_can_be_overridden(void **state)
{
	struct scratch *scratch = *state;
	scope_strbuf struct strbuf tar = { 0 };
	struct layer_apply_options options = { .override_owner = true, .uid = geteuid(), .gid = getegid() };
	struct layer_entry entry = { .path = "f", .mode = S_IFREG | 0644, .uid = 4242, .gid = 4242 };
	struct layer_stats stats;
	struct err err;

	if (geteuid() == 0)
		options.uid = 12, options.gid = 34;
	assert_ok(tar_header(&tar, &entry, &err), err);
	raw_end(&tar);
	assert_ok(apply_bytes(&tar, scratch->fd, &options, &stats, &err), err);
	assert_int_equal(stat_of(scratch->fd, "f").st_uid, options.uid);
	assert_int_equal(stat_of(scratch->fd, "f").st_gid, options.gid);
}

static void test_the_limit_counts_all_contents(void **state)
{
	struct scratch *scratch = *state;
	scope_strbuf struct strbuf tar = { 0 };
	struct layer_stats stats;
	struct err err;

	raw_add(&tar, &(struct raw){ .type = '0', .path = "a", .body = "12345" });
	raw_add(&tar, &(struct raw){ .type = '0', .path = "b", .body = "12345" });
	raw_end(&tar);
	assert_ok(apply_bytes(&tar, scratch->fd, &(struct layer_apply_options){ .max_size = 10 }, &stats, &err), err);
	assert_int_equal(stats.content, 10);
	assert_int_equal(apply_bytes(&tar, scratch->fd, &(struct layer_apply_options){ .max_size = 9 }, &stats, &err),
			 -1);
	assert_int_equal(err.kind, ERR_INPUT);
}

static void test_zeros_become_holes(void **state)
{
	struct scratch *scratch = *state;
	scope_strbuf struct strbuf tar = { 0 };
	struct layer_entry entry = { .path = "f", .mode = S_IFREG | 0644, .uid = geteuid(), .gid = getegid() };
	struct layer_stats stats;
	struct err err;
	enum { SIZE = 8 << 20 };

	entry.size = SIZE;
	assert_ok(tar_header(&tar, &entry, &err), err);
	size_t start = tar.len;
	strbuf_reserve(&tar, SIZE);
	memset(tar.ptr + start, 0, SIZE);
	tar.len += SIZE;
	memcpy(tar.ptr + start + SIZE / 2, "x", 1);
	raw_end(&tar);
	assert_ok(apply_bytes(&tar, scratch->fd, &(struct layer_apply_options){ 0 }, &stats, &err), err);
	struct stat st = stat_of(scratch->fd, "f");
	assert_int_equal(st.st_size, SIZE);
	assert_true(st.st_blocks * 512 < SIZE / 4);
	scope_fd int fd = openat(scratch->fd, "f", O_RDONLY);
	char byte;
	assert_int_equal(pread(fd, &byte, 1, SIZE / 2), 1);
	assert_int_equal(byte, 'x');
}

static void test_the_end_may_be_missing_only_if_that_is_allowed(void **state)
{
	struct scratch *scratch = *state;
	scope_strbuf struct strbuf tar = { 0 };
	struct layer_apply_options options = { 0 };
	struct layer_stats stats;
	struct err err;

	raw_add(&tar, &(struct raw){ .type = '0', .path = "f", .body = "x" });
	assert_int_equal(apply_bytes(&tar, scratch->fd, &options, &stats, &err), -1);
	assert_int_equal(apply_bytes(&tar, scratch->fd, &options, &stats, NULL), -1);
	options.flags = LAYER_APPLY_NO_END;
	assert_ok(apply_bytes(&tar, scratch->fd, &options, &stats, &err), err);
	assert_file(scratch->fd, "f", "x");
}

/* ---- layers that lean on what is below ---- */

static void apply_onto(int tree, int lower, const struct raw *raws, size_t count)
{
	scope_strbuf struct strbuf tar = { 0 };
	const struct layer_apply_options options = { .flags = LAYER_APPLY_AS_TREE, .lowers = &lower, .lower_count = 1 };
	struct layer_stats stats;
	struct err err;

	for (size_t i = 0; i < count; i++)
		raw_add(&tar, &raws[i]);
	raw_end(&tar);
	assert_ok(apply_bytes(&tar, tree, &options, &stats, &err), err);
}
#define APPLY_ONTO(tree, lower, ...) \
	apply_onto(tree, lower, (const struct raw[]){ __VA_ARGS__ }, ARRAY_LEN(((const struct raw[]){ __VA_ARGS__ })))

static void test_passed_directories_are_as_below(void **state)
{
	struct scratch *scratch = *state;
	scope_fd int lower = make_tree(scratch->fd, "lower");
	scope_fd int tree = make_tree(scratch->fd, "tree");

	put_dir(lower, "tmp");
	put_dir(lower, "tmp/d");
	assert_int_equal(fchmodat(lower, "tmp", 01777, 0), 0);
	put_xattr(lower, "tmp/d", "user.k", "v");
	stamp(lower);
	APPLY_ONTO(tree, lower, { .type = '0', .path = "tmp/d/f", .body = "x" });
	assert_int_equal(stat_of(tree, "tmp").st_mode & 07777, 01777);
	assert_int_equal(stat_of(tree, "tmp").st_mtim.tv_sec, STAMP);
	assert_layer(tree, &lower, 1,
		     "d 1777 0 tmp/\n"
		     "d 755 0 tmp/d/ user.k=v\n"
		     "f 644 1 tmp/d/f\n");
}

static void test_links_below_are_followed_in_parents(void **state)
{
	struct scratch *scratch = *state;
	scope_fd int lower = make_tree(scratch->fd, "lower");
	scope_fd int tree = make_tree(scratch->fd, "tree");

	put_dir(lower, "var");
	put_link(lower, "var/run", "/run/../run");
	put_link(lower, "lib", "usr/lib");
	put_link(lower, "up", "../../..");
	put_dir(lower, "usr");
	put_dir(lower, "usr/lib");
	APPLY_ONTO(tree, lower, { .type = '0', .path = "var/run/act/HEAD", .body = "x" },
		   { .type = '0', .path = "lib/libc.so", .body = "y" },
		   { .type = '1', .path = "lib/libc.so.6", .link = "lib/libc.so" },
		   { .type = '0', .path = "up/top", .body = "z" });
	assert_file(tree, "run/act/HEAD", "x");
	assert_file(tree, "usr/lib/libc.so.6", "y");
	assert_file(tree, "top", "z");
	assert_false(has_name(tree, "lib"));
	assert_false(has_name(tree, "var"));
}

static void test_a_loop_of_links_below_is_an_error(void **state)
{
	struct scratch *scratch = *state;
	scope_fd int lower = make_tree(scratch->fd, "lower");
	scope_fd int tree = make_tree(scratch->fd, "tree");
	scope_strbuf struct strbuf tar = { 0 };
	const struct layer_apply_options options = { .flags = LAYER_APPLY_AS_TREE, .lowers = &lower, .lower_count = 1 };
	struct layer_stats stats;
	struct err err;

	put_link(lower, "a", "b");
	put_link(lower, "b", "a");
	raw_add(&tar, &(struct raw){ .type = '0', .path = "a/f", .body = "x" });
	raw_end(&tar);
	assert_int_equal(apply_bytes(&tar, tree, &options, &stats, &err), -1);
	assert_true(err_is_errno(&err, ELOOP) || strstr(err.msg, "Too many levels") != NULL);
}

static void test_a_hard_link_to_a_file_below_copies_it_up(void **state)
{
	struct scratch *scratch = *state;
	scope_fd int lower = make_tree(scratch->fd, "lower");
	scope_fd int tree = make_tree(scratch->fd, "tree");
	struct err err;

	put_dir(lower, "bin");
	put_file(lower, "bin/x", "program");
	stamp(lower);
	APPLY_ONTO(tree, lower, { .type = '1', .path = "y", .link = "/bin/x" });
	assert_file(tree, "y", "program");
	assert_int_equal(stat_of(tree, "bin/x").st_ino, stat_of(tree, "y").st_ino);
	assert_int_equal(stat_of(tree, "y").st_mtim.tv_sec, STAMP);

	scope_fd int alone = make_tree(scratch->fd, "alone");
	assert_int_equal(apply_raw(&(struct raw){ .type = '1', .path = "y", .link = "/bin/x" }, 1, alone,
				   LAYER_APPLY_AS_TREE, &err),
			 -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void test_what_the_layer_removed_is_not_found_below(void **state)
{
	struct scratch *scratch = *state;
	scope_fd int lower = make_tree(scratch->fd, "lower");
	scope_fd int tree = make_tree(scratch->fd, "tree");

	put_dir(lower, "d");
	assert_int_equal(fchmodat(lower, "d", 0700, 0), 0);
	put_link(lower, "l", "d");
	APPLY_ONTO(tree, lower, { .type = '0', .path = ".wh.d", .body = "" },
		   { .type = '0', .path = "d/f", .body = "x" }, { .type = '0', .path = ".wh.l", .body = "" },
		   { .type = '0', .path = "l/g", .body = "x" });
	assert_int_equal(stat_of(tree, "d").st_mode & 07777, 0755);
	assert_true(is_opaque(tree, "d"));
	assert_file(tree, "l/g", "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_entries_get_what_the_tar_says),
		scratch_test(test_missing_parents_are_made_whatever_the_umask),
		scratch_test(test_a_later_entry_of_the_same_name_wins),
		scratch_test(test_file_and_directory_take_turns),
		scratch_test(test_a_directory_that_forbids_writing_is_filled_first),
		scratch_test(test_the_roots_own_metadata_apply),
		scratch_test(test_attributes_are_kept_and_bookkeeping_is_not),
		scratch_test(test_whiteouts_remove_what_was_there),
		scratch_test(test_whiteouts_spare_what_the_same_tar_holds),
		scratch_test(test_an_opaque_mark_works_wherever_it_stands),
		scratch_test(test_what_aufs_kept_is_ignored),
		scratch_test(test_plain_archives_may_hold_names_like_whiteouts),
		scratch_test(test_a_layer_tree_has_whiteouts_and_opaque_marks),
		scratch_test(test_devices_become_placeholders_where_they_cannot_be_made),
		scratch_test(test_a_whiteout_device_is_refused),
		scratch_test(test_owners_can_be_overridden),
		scratch_test(test_the_limit_counts_all_contents),
		scratch_test(test_zeros_become_holes),
		scratch_test(test_the_end_may_be_missing_only_if_that_is_allowed),
		scratch_test(test_passed_directories_are_as_below),
		scratch_test(test_links_below_are_followed_in_parents),
		scratch_test(test_a_loop_of_links_below_is_an_error),
		scratch_test(test_a_hard_link_to_a_file_below_copies_it_up),
		scratch_test(test_what_the_layer_removed_is_not_found_below),
		scratch_test(test_a_layer_tree_has_device_whiteouts_in_a_user_namespace),
	};

	return run_group_tests_with_namespaces(tests, 1);
}
