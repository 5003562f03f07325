/* SPDX-License-Identifier: Apache-2.0 */
#include "layer-scratch.h"

#include "kiln/codec/digest.h"

/*
 * Archives that try to leave the tree (security.md 1A, T-A1 to T-A13), each as a layer tree, as a layer onto a plain tree
 * and as an archive to ADD. What lies outside must be untouched: contents, mode, owner, time.
 */
struct place {
	struct scratch *scratch;
	int tree, outside;
	struct digest before;
};

static const unsigned all_flags[] = { 0, LAYER_APPLY_AS_TREE, LAYER_APPLY_PLAIN };

/* Everything that lstat says of what is outside, and contents. */
static void digest_outside(const struct place *place, struct digest *digest)
{
	static const char *const names[] = { ".", "victim", "dir", "dir/inner", "link", "mk.secret" };
	scope_strbuf struct strbuf text = { 0 };
	struct err err;
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(fstatat(place->outside, names[i], &st, AT_SYMLINK_NOFOLLOW), 0);
		strbuf_addf(&text, "%s %o %u %u %ld %ld.%ld %ld\n", names[i], st.st_mode, st.st_uid, st.st_gid,
			    (long)st.st_nlink, (long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec, (long)st.st_size);
	}
	assert_ok(file_read(place->outside, "victim", 100, &text, &err), err);
	assert_ok(file_read(place->outside, "dir/inner", 100, &text, &err), err);
	assert_int_equal(count_names(place->outside, "."), 5);
	assert_int_equal(count_names(place->outside, "dir"), 1);
	digest_bytes(digest, text.ptr, text.len);
}

static int place_setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	void *scratch;

	assert_int_equal(scratch_setup(&scratch), 0);
	place->scratch = scratch;
	place->outside = place->scratch->fd;
	put_dir(place->outside, "dir");
	put_file(place->outside, "dir/inner", "inner");
	put_file(place->outside, "victim", "victim");
	put_file(place->outside, "mk.secret", "secret");
	put_link(place->outside, "link", "victim");
	place->tree = make_tree(place->outside, "tree");
	stamp(place->outside);
	digest_outside(place, &place->before);
	*state = place;
	return 0;
}

static int place_teardown(void **state)
{
	struct place *place = *state;
	void *scratch = place->scratch;

	close(place->tree);
	free(place);
	return scratch_teardown(&scratch);
}

static void assert_untouched(const struct place *place)
{
	struct digest now;

	digest_outside(place, &now);
	assert_true(digest_equal(&place->before, &now));
}

static void empty_tree(struct place *place)
{
	struct err err;

	close(place->tree);
	assert_ok(file_remove_tree(place->outside, "tree", &err), err);
	place->tree = make_tree(place->outside, "tree");
	set_time(place->outside, ".", STAMP);
}

/* Must be refused, or stay inside. */
static void try_all(struct place *place, const struct raw *raws, size_t count)
{
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(all_flags); i++) {
		empty_tree(place);
		(void)!apply_raw(raws, count, place->tree, all_flags[i], &err);
		assert_untouched(place);
	}
}
#define TRY(place, ...) \
	try_all(place, (const struct raw[]){ __VA_ARGS__ }, ARRAY_LEN(((const struct raw[]){ __VA_ARGS__ })))

static void must_fail(struct place *place, unsigned flags, const struct raw *raw)
{
	struct err err = { 0 };

	empty_tree(place);
	if (apply_raw(raw, 1, place->tree, flags, &err) == 0)
		fail_msg("'%c' \"%s\" was accepted", raw->type, raw->path);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_untouched(place);
}

#define DIR_(name)                        \
	{                                 \
		.type = '5', .path = name \
	}
#define FILE_(name, text)                               \
	{                                               \
		.type = '0', .path = name, .body = text \
	}
#define LINK_(name, to)                               \
	{                                             \
		.type = '2', .path = name, .link = to \
	}
#define HARD_(name, to)                               \
	{                                             \
		.type = '1', .path = name, .link = to \
	}

/* T-A1: CVE-2026-17106. */
static void test_a_chain_of_links_does_not_lead_out(void **state)
{
	TRY(*state, DIR_("inner/"), LINK_("inner/go_up", ".."), LINK_("inner/go_up/escape", "../victim"),
	    FILE_("inner/go_up/escape/newfile", "bad"));
	TRY(*state, DIR_("inner/"), LINK_("inner/go_up", ".."), LINK_("inner/go_up/escape", ".."),
	    FILE_("inner/go_up/escape/victim", "bad"));
	TRY(*state, DIR_("a/"), LINK_("a/up", "../.."), FILE_("a/up/victim", "bad"), HARD_("h", "a/up/victim"));
	TRY(*state, LINK_("out", "../dir"), FILE_("out/inner", "bad"), DIR_("out/new"), FILE_("out/new/f", "bad"));
}

static void test_a_chain_of_links_from_an_earlier_layer_does_not_lead_out(void **state)
{
	struct place *place = *state;
	struct err err;
	const struct raw first[] = { DIR_("inner/"), LINK_("inner/go_up", ".."), LINK_("inner/escape", "../../dir") };
	const struct raw second[] = { FILE_("inner/escape/inner", "bad"), FILE_("inner/go_up/../victim", "bad") };

	assert_ok(apply_raw(first, ARRAY_LEN(first), place->tree, 0, &err), err);
	(void)!apply_raw(second, 1, place->tree, 0, &err);
	(void)!apply_raw(second + 1, 1, place->tree, 0, &err);
	assert_untouched(place);
	assert_file(place->tree, "dir/inner", "bad");
}

/* T-A2: the legitimate archives that stricter unpackers broke. */
static void test_links_in_parents_are_followed_inside_the_tree(void **state)
{
	struct place *place = *state;
	struct err err;
	const struct raw first[] = { DIR_("var/"), LINK_("var/run", "/run"), LINK_("lib", "usr/lib"), DIR_("usr/"),
				     DIR_("usr/lib/") };
	const struct raw second[] = { FILE_("var/run/act/x/HEAD", "ref"), FILE_("lib/libc.so", "so"),
				      HARD_("lib/libc.so.6", "lib/libc.so"), HARD_("abs", "/var/run/act/x/HEAD") };

	for (size_t i = 0; i < ARRAY_LEN(all_flags); i++) {
		empty_tree(place);
		assert_ok(apply_raw(first, ARRAY_LEN(first), place->tree, all_flags[i], &err), err);
		assert_ok(apply_raw(second, ARRAY_LEN(second), place->tree, all_flags[i], &err), err);
		assert_file(place->tree, "run/act/x/HEAD", "ref");
		assert_file(place->tree, "usr/lib/libc.so.6", "so");
		assert_file(place->tree, "abs", "ref");
		assert_untouched(place);
	}
}

/* T-A3: CVE-2026-28406. */
static void test_names_that_climb_are_refused(void **state)
{
	static const char *const names[] = { "../x", "a/../../x", "./../x", "/../x", "a/b/../../../x", "..", "a/.." };
	static const char types[] = "0512364";

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		for (const char *type = types; *type; type++) {
			struct raw raw = { .type = *type, .path = names[i], .dev_major = 1, .dev_minor = 3 };
			raw.link = *type == '1' || *type == '2' ? "x" : NULL;
			for (size_t f = 0; f < ARRAY_LEN(all_flags); f++)
				must_fail(*state, all_flags[f], &raw);
		}
		must_fail(*state, 0, &(struct raw)HARD_("f", names[i]));
		must_fail(*state, LAYER_APPLY_AS_TREE, &(struct raw)HARD_("f", names[i]));
	}
	must_fail(*state, 0, &(struct raw)FILE_("../.wh.victim", ""));
	must_fail(*state, LAYER_APPLY_AS_TREE, &(struct raw)FILE_("a/../../.wh.victim", ""));
	must_fail(*state, 0, &(struct raw)FILE_("../.wh..wh..opq", ""));
}

static void test_whiteouts_of_no_name_are_refused(void **state)
{
	static const char *const names[] = { ".wh.", "a/.wh..", ".wh...", ".wh.d/x" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		must_fail(*state, 0, &(struct raw)FILE_(names[i], ""));
		must_fail(*state, LAYER_APPLY_AS_TREE, &(struct raw)FILE_(names[i], ""));
	}
}

static void test_whiteouts_do_not_follow_links(void **state)
{
	TRY(*state, LINK_("out", ".."), FILE_("out/.wh.victim", ""), FILE_("out/.wh..wh..opq", ""));
	TRY(*state, LINK_("victim", "../victim"), FILE_(".wh.victim", ""));
	TRY(*state, LINK_("d", "../dir"), FILE_(".wh.d", ""), DIR_("d/"), FILE_("d/.wh.inner", ""));
}

/* T-A4. */
static void test_a_link_that_is_sent_again_is_replaced_and_not_followed(void **state)
{
	struct place *place = *state;
	struct err err;
	char target[64] = { 0 };
	const struct raw raws[] = { FILE_("dash", "dash"),     LINK_("sh", "dash"),       LINK_("sh", "dash"),
				    FILE_("sh", "now a file"), LINK_("out", "../victim"), FILE_("out", "inside") };

	assert_ok(apply_raw(raws, ARRAY_LEN(raws), place->tree, 0, &err), err);
	assert_file(place->tree, "dash", "dash");
	assert_file(place->tree, "sh", "now a file");
	assert_file(place->tree, "out", "inside");
	assert_untouched(place);
	const struct raw cacerts = LINK_("cacerts", "../../../../../../../../../../etc/pki/java/cacerts");
	assert_ok(apply_raw(&cacerts, 1, place->tree, 0, &err), err);
	assert_true(readlinkat(place->tree, "cacerts", target, sizeof(target) - 1) > 0);
	assert_string_equal(target, cacerts.link);
}

static void test_a_directory_over_a_link_replaces_the_link(void **state)
{
	struct place *place = *state;
	struct err err;
	struct stat st;
	const struct raw raws[] = { LINK_("d", "../dir"),
				    { .type = '5', .path = "d/", .mode = 0777 },
				    FILE_("d/inner", "mine") };

	for (size_t i = 0; i < ARRAY_LEN(all_flags); i++) {
		empty_tree(place);
		assert_ok(apply_raw(raws, ARRAY_LEN(raws), place->tree, all_flags[i], &err), err);
		assert_int_equal(fstatat(place->tree, "d", &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(st.st_mode, S_IFDIR | 0777);
		assert_untouched(place);
	}
}

static void test_loops_of_links_are_errors(void **state)
{
	struct place *place = *state;
	struct err err;
	const struct raw raws[] = { LINK_("a", "b"), LINK_("b", "a"), FILE_("a/f", "x") };

	for (size_t i = 0; i < ARRAY_LEN(all_flags); i++) {
		empty_tree(place);
		assert_int_equal(apply_raw(raws, ARRAY_LEN(raws), place->tree, all_flags[i], &err), -1);
		assert_non_null(strstr(err.msg, "Too many levels of symbolic links"));
	}
}

/* T-A5: CVE-2021-29136. */
static void test_the_root_cannot_be_replaced(void **state)
{
	static const char *const names[] = { ".", "./", "/", "" };
	static const char types[] = "21063";

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		for (const char *type = types; *type; type++) {
			struct raw raw = { .type = *type, .path = names[i], .dev_major = 1, .dev_minor = 3 };
			raw.link = *type == '1' || *type == '2' ? "../dir" : NULL;
			/* Readers take a file whose name ends in '/' for a directory. */
			if (*type == '0' && *names[i] && strcmp(names[i], ".") != 0)
				continue;
			for (size_t f = 0; f < ARRAY_LEN(all_flags); f++)
				must_fail(*state, all_flags[f], &raw);
		}
	}
}

static void test_a_hard_link_to_a_directory_or_the_root_is_refused(void **state)
{
	struct place *place = *state;
	const struct raw raws[] = { DIR_("d/"), HARD_("h", "d") };
	struct err err;

	assert_int_equal(apply_raw(raws, 2, place->tree, 0, &err), -1);
	assert_int_equal(err.kind, ERR_INPUT);
	must_fail(place, 0, &(struct raw)HARD_("h", "/"));
	must_fail(place, 0, &(struct raw)HARD_("h", "."));
}

/* T-A6: CVE-2021-32760. */
static void test_modes_never_pass_through_links(void **state)
{
	TRY(*state, { .type = '2', .path = "s", .link = "../victim", .mode = 07777 },
	    { .type = '1', .path = "h", .link = "s", .mode = 0777 });
	TRY(*state, LINK_("s", "../dir"), { .type = '1', .path = "h", .link = "s/inner", .mode = 07777 });
}

static void test_a_hard_link_to_a_link_is_a_link(void **state)
{
	struct place *place = *state;
	const struct raw raws[] = { LINK_("s", "../victim"), HARD_("h", "s") };
	struct err err;
	struct stat st;

	assert_ok(apply_raw(raws, 2, place->tree, 0, &err), err);
	assert_int_equal(fstatat(place->tree, "h", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_untouched(place);
}

/* T-A7: CVE-2025-47290. The directory's fd is kept from one entry to the next. */
static void test_a_directory_that_becomes_a_link_is_looked_up_again(void **state)
{
	TRY(*state, DIR_("d/"), FILE_("d/f1", "x"), LINK_("d", "../dir"), FILE_("d/inner", "bad"));
	TRY(*state, DIR_("d/"), FILE_("d/inner", "x"), FILE_(".wh.d", ""), LINK_("d", "../dir"),
	    FILE_("d/inner", "bad"));
	TRY(*state, DIR_("d/"), DIR_("d/e/"), FILE_("d/e/inner", "x"), LINK_("d", ".."), FILE_("d/e/inner", "bad"),
	    LINK_("e", "../dir"), FILE_("d/e/inner", "bad"));
}

static void test_the_kept_directory_is_the_one_that_is_there(void **state)
{
	struct place *place = *state;
	struct err err;
	const struct raw raws[] = { DIR_("d/"), FILE_("d/f1", "x"), DIR_("other/"), LINK_("d", "other"),
				    FILE_("d/f2", "y") };

	for (size_t i = 0; i < ARRAY_LEN(all_flags); i++) {
		empty_tree(place);
		assert_ok(apply_raw(raws, ARRAY_LEN(raws), place->tree, all_flags[i], &err), err);
		assert_file(place->tree, "other/f2", "y");
		assert_false(has_name(place->tree, "other/f1"));
	}
}

/* The same name of a directory twice in a row, while an entry in it changes what the name means. */
static void test_a_kept_directory_is_dropped_when_an_entry_in_it_moves_its_name(void **state)
{
	struct place *place = *state;
	struct err err;
	const struct raw raws[] = {
		DIR_("a/"),       LINK_("a/loop", ".."),      DIR_("other/"),        DIR_("other/loop/"),
		DIR_("a/loop/x"), LINK_("a/loop/a", "other"), FILE_("a/loop/f", "x")
	};
	const struct raw refused[] = { DIR_("a/"), LINK_("a/loop", ".."), FILE_("a/loop/a", "x"),
				       FILE_("a/loop/f", "x") };

	for (size_t i = 0; i < ARRAY_LEN(all_flags); i++) {
		empty_tree(place);
		assert_ok(apply_raw(raws, ARRAY_LEN(raws), place->tree, all_flags[i], &err), err);
		assert_file(place->tree, "other/loop/f", "x");
		assert_false(has_name(place->tree, "f"));
		empty_tree(place);
		assert_int_equal(apply_raw(refused, ARRAY_LEN(refused), place->tree, all_flags[i], &err), -1);
		assert_false(has_name(place->tree, "f"));
	}
}

/* T-A13: CVE-2026-50163. */
static void test_hard_links_are_not_resolved_in_the_working_directory(void **state)
{
	struct place *place = *state;
	scope_fd int cwd = openat(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY);
	struct err err;

	assert_int_equal(fchdir(place->outside), 0);
	int result = apply_raw(&(struct raw)HARD_("x", "mk.secret"), 1, place->tree, 0, &err);
	assert_int_equal(fchdir(cwd), 0);
	assert_int_equal(result, -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_false(has_name(place->tree, "x"));
}

static void test_capabilities_of_any_root_become_those_of_ours(void **state)
{
	struct place *place = *state;
	static const unsigned char v3[24] = { 1, 0, 0, 3, 0, 4, 0, 0, [20] = 0xe8, [21] = 3 };
	const struct layer_xattr xattr = { "security.capability", v3, sizeof(v3) };
	struct layer_entry entry = { .path = "ping", .mode = S_IFREG | 0755, .uid = geteuid(), .gid = getegid() };
	scope_strbuf struct strbuf tar = { 0 };
	struct layer_stats stats;
	struct err err;
	unsigned char found[64];

	entry.xattrs = &xattr;
	entry.xattr_count = 1;
	assert_ok(tar_header(&tar, &entry, &err), err);
	raw_end(&tar);
	int result = apply_bytes(&tar, place->tree, &(struct layer_apply_options){ 0 }, &stats, &err);
	if (geteuid() != 0) {
		assert_int_equal(result, -1);
		assert_int_equal(err.kind, ERR_UNSUPPORTED);
		return;
	}
	assert_ok(result, err);
	scope_fd int fd = openat(place->tree, "ping", O_RDONLY);
	assert_int_equal(fgetxattr(fd, "security.capability", found, sizeof(found)), 20);
	assert_int_equal(found[3], 2);
	scope_result struct layer_result diff = { 0 };
	assert_ok(try_diff(&diff, place->tree, NULL, 0, INT64_MAX, &err), err);
	assert_non_null(strstr(strbuf_str(&diff.list), "security.capability="));
}

static void test_an_owner_that_cannot_be_set_is_an_error(void **state)
{
	struct place *place = *state;
	struct layer_entry entry = { .path = "f", .mode = S_IFREG | 0644, .uid = 0, .gid = 0 };
	scope_strbuf struct strbuf tar = { 0 };
	struct layer_stats stats;
	struct err err;

	if (geteuid() == 0)
		return;
	assert_ok(tar_header(&tar, &entry, &err), err);
	raw_end(&tar);
	assert_int_equal(apply_bytes(&tar, place->tree, &(struct layer_apply_options){ 0 }, &stats, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "owner 0:0"));
}

#define place_test(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		place_test(test_a_chain_of_links_does_not_lead_out),
		place_test(test_a_chain_of_links_from_an_earlier_layer_does_not_lead_out),
		place_test(test_links_in_parents_are_followed_inside_the_tree),
		place_test(test_names_that_climb_are_refused),
		place_test(test_whiteouts_of_no_name_are_refused),
		place_test(test_whiteouts_do_not_follow_links),
		place_test(test_a_link_that_is_sent_again_is_replaced_and_not_followed),
		place_test(test_a_directory_over_a_link_replaces_the_link),
		place_test(test_loops_of_links_are_errors),
		place_test(test_the_root_cannot_be_replaced),
		place_test(test_a_hard_link_to_a_directory_or_the_root_is_refused),
		place_test(test_modes_never_pass_through_links),
		place_test(test_a_hard_link_to_a_link_is_a_link),
		place_test(test_a_directory_that_becomes_a_link_is_looked_up_again),
		place_test(test_the_kept_directory_is_the_one_that_is_there),
		place_test(test_a_kept_directory_is_dropped_when_an_entry_in_it_moves_its_name),
		place_test(test_hard_links_are_not_resolved_in_the_working_directory),
		place_test(test_capabilities_of_any_root_become_those_of_ours),
		place_test(test_an_owner_that_cannot_be_set_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
