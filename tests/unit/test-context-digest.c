/* SPDX-License-Identifier: Apache-2.0 */
#include "planted.h"

#include <sys/syscall.h>
#include <sys/xattr.h>

#include "kiln/context/context.h"

/* ---- small trees and their digests ---- */

struct taken {
	const char *word; /* NULL: "." */
	const char *chmod, *ignore, *exclude;
	bool keeps_owner, parents;
	struct stat_cache *cache;
	struct strbuf *list;
	int64_t count, bytes;
};

static int take(int dir_fd, struct taken *taken, struct digest *digest, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	const char *word = taken->word ? taken->word : ".";
	struct source source = { .root = { dir_fd, ROOT_CHROOT },
				 .keep_owner = taken->keeps_owner,
				 .cache = taken->cache };
	struct copy_spec spec = { .sources = &word,
				  .source_count = 1,
				  .dest = "/n",
				  .chmod = taken->chmod,
				  .parents = taken->parents,
				  .excludes = &taken->exclude,
				  .exclude_count = taken->exclude ? 1 : 0 };
	struct copy_plan plan;

	if (taken->ignore)
		source.ignore = ignore_parse(&arena, taken->ignore, strlen(taken->ignore), err);
	if (copy_select(&arena, &source, &spec, &plan, err) < 0)
		return -1;
	return taken->list ? copy_digest_list(&source, &plan, digest, taken->list, 3, err)
			   : copy_digest(&source, &plan, digest, &taken->count, &taken->bytes, err);
}

/* The digest of a tree made for this, in its own directory of the scratch. */
static struct digest digest_of(void **state, const char *tree, struct taken taken)
{
	const struct scratch *scratch = *state;
	struct err err = { 0 };
	struct digest digest;

	put_dir(scratch->fd, "tree");
	scope_fd int fd = openat(scratch->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_ok(plant(fd, tree, &err), err);
	assert_ok(take(fd, &taken, &digest, &err), err);
	assert_ok(file_remove_tree(scratch->fd, "tree", &err), err);
	return digest;
}

struct two_trees {
	const char *a, *b;
	struct taken taken;
};

static void compare_trees(void **state, const struct two_trees *pairs, size_t count, bool want_equal)
{
	for (size_t i = 0; i < count; i++) {
		struct digest a = digest_of(state, pairs[i].a, pairs[i].taken);
		struct digest b = digest_of(state, pairs[i].b, pairs[i].taken);
		if (digest_equal(&a, &b) != want_equal)
			fail_msg("%zu: %s\nand\n%s", i, pairs[i].a, pairs[i].b);
	}
}

static void what_a_copy_does_not_show_does_not_count(void **state)
{
	static const struct two_trees pairs[] = {
		{ "f=x t=5\nd/\nd/g=y t=6\n", "f=x t=7\nd/\nd/g=y t=8\n", { 0 } },
		{ "a=1\nb=2\nc=3\n", "c=3\nb=2\na=1\n", { 0 } },
		{ "d/\nd/f=x\n", "d/\nd/f=x\nother=y\n", { .word = "d" } },
		{ "f=x 0600\nd/ 0700\n", "f=x 0666\nd/ 0777\n", { .chmod = "0644" } },
		{ "f=x 0600\nd/ 0700\n", "f=x 0644\nd/ 0755\n", { .chmod = "u=rwX,go=" } },
		{ "f=x\nskipped=1\n", "f=x\nskipped=2\n", { .ignore = "skipped\n" } },
		{ "f=x\nskipped=1\n", "f=x\n", { .exclude = "skipped" } },
		{ "l->f\nf=x\n", "l->f\nf=x\n", { .word = "l" } },
		{ "s!s 0644\n", "s= 0644\n", { 0 } },
	};

	compare_trees(state, pairs, ARRAY_LEN(pairs), true);
}

static void what_a_copy_shows_counts(void **state)
{
	static const struct two_trees pairs[] = {
		{ "f=x\n", "f=y\n", { 0 } },
		{ "f=x\n", "g=x\n", { 0 } },
		{ "f=x\n", "f=x\ng=\n", { 0 } },
		{ "f=x 0644\n", "f=x 0755\n", { 0 } },
		{ "f=x 0644\n", "f=x 0755\n", { .chmod = "a+X" } },
		{ "d/\n", "d/ 0700\n", { 0 } },
		{ "f=\n", "f/\n", { 0 } },
		{ "f=x\n", "f->x\n", { 0 } },
		{ "f->x\n", "f->y\n", { 0 } },
		{ "f!p\n", "f=\n", { 0 } },
		{ "d/\nf=x\n", "f=x\n", { 0 } },
		{ "a=x\nb=y\n", "a=y\nb=x\n", { 0 } },
		{ "d/\nd/f=x\ng=y\n", "d/\nf=x\nd/g=y\n", { 0 } },
		{ "a=x\nb=x\n", "a=x\nb==a\n", { 0 } },
		{ "a=x\nb==a\nc=x\nd==c\n", "a=x\nb=x\nc==b\nd==a\n", { 0 } },
		{ "d1/\nd1/f=x\n", "d2/\nd2/f=x\n", { .word = "*", .parents = true } },
		{ "f1=x\n", "f2=x\n", { .word = "f*" } },
		{ "a=1\nb=2\n", "a=1b=2\n", { 0 } },
	};

	compare_trees(state, pairs, ARRAY_LEN(pairs), false);
}

static void the_name_of_a_directory_does_not_count_but_that_of_a_file_does(void **state)
{
	struct digest one = digest_of(state, "d/\nd/f=x\n", (struct taken){ .word = "d" });
	struct digest other = digest_of(state, "e/\ne/f=x\n", (struct taken){ .word = "e" });

	assert_true(digest_equal(&one, &other));
	one = digest_of(state, "f=x\n", (struct taken){ .word = "f" });
	other = digest_of(state, "g=x\n", (struct taken){ .word = "g" });
	assert_false(digest_equal(&one, &other));
}

static void extended_attributes_count(void **state)
{
	const struct scratch *scratch = *state;
	struct digest before, after, dir;
	struct taken taken = { 0 };
	struct err err = { 0 };

	put_file(scratch->fd, "f", "text");
	put_dir(scratch->fd, "d");
	assert_ok(take(scratch->fd, &taken, &before, &err), err);
	scope_fd int fd = openat(scratch->fd, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsetxattr(fd, "user.note", "v", 1, 0), 0);
	assert_ok(take(scratch->fd, &taken, &after, &err), err);
	assert_false(digest_equal(&before, &after));
	scope_fd int dir_fd = openat(scratch->fd, "d", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsetxattr(dir_fd, "user.note", "v", 1, 0), 0);
	assert_ok(take(scratch->fd, &taken, &dir, &err), err);
	assert_false(digest_equal(&after, &dir));
	/* Contents are not taken for attributes. */
	assert_int_equal(taken.count, 3);
	assert_int_equal(taken.bytes, 4);
}

static void the_list_names_files_with_digests_up_to_a_limit(void **state)
{
	const struct scratch *scratch = *state;
	scope_strbuf struct strbuf list = { 0 };
	struct taken taken = { .list = &list };
	struct digest digest, plain;
	struct err err = { 0 };

	for (int i = 0; i < 5; i++)
		put_file(scratch->fd, (const char[]){ (char)('a' + i), 0 }, "x");
	assert_ok(take(scratch->fd, &taken, &digest, &err), err);
	taken.list = NULL;
	assert_ok(take(scratch->fd, &taken, &plain, &err), err);
	assert_true(digest_equal(&digest, &plain));
	const char *line = strstr(strbuf_str(&list), "a\t");
	assert_non_null(line);
	assert_int_equal(strspn(line + 2, "0123456789abcdef"), DIGEST_HEX);
	assert_null(strstr(strbuf_str(&list), "e\t"));
}

/* ---- files that change meanwhile ---- */

static int write_on(int channel, void *arg, struct err *err)
{
	const int *fd = arg;

	TRY(proc_reach(channel, 1, NULL, 0, err));
	for (int i = 0; i < 20000; i++) {
		if (pwrite(*fd, &i, sizeof(i), 0) < 0)
			return err_errno(err, "write");
		usleep(200);
	}
	return 0;
}

static void a_file_that_changes_while_it_is_read_is_an_error_that_names_it(void **state)
{
	const struct scratch *scratch = *state;
	scope_fd int fd = openat(scratch->fd, "busy", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	scope_proc struct proc child = PROC_EMPTY;
	struct taken taken = { .word = "busy" };
	struct err err = { 0 };
	struct digest digest;
	int result = 0;

	assert_int_equal(ftruncate(fd, 32 << 20), 0);
	assert_ok(proc_fork(&child, write_on, &fd, &err), err);
	assert_ok(proc_await(&child, 1, NULL, &err), err);
	for (int i = 0; i < 50 && result == 0; i++)
		result = take(scratch->fd, &taken, &digest, &err);
	assert_int_equal(result, -1);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_non_null(strstr(err.msg, "busy changed while it was read"));
}

/* ---- equal keys mean equal trees, and the other way round ---- */

struct seen {
	struct digest digest;
	char *tree;
};

struct variants {
	struct seen *items;
	size_t count;
	uint64_t random;
};

static unsigned pick(struct variants *variants, unsigned count)
{
	variants->random ^= variants->random << 13;
	variants->random ^= variants->random >> 7;
	variants->random ^= variants->random << 17;
	return (unsigned)((variants->random >> 11) % count);
}

static void random_path(struct variants *variants, char *path, size_t size)
{
	static const char *const names[] = { "a", "b", "c", "ab" };
	unsigned depth = 1 + pick(variants, 3);
	size_t len = 0;

	for (unsigned i = 0; i < depth; i++)
		len += (size_t)snprintf(path + len, size - len, "%s%s", i ? "/" : "", names[pick(variants, 4)]);
}

/* One change; that it may fail is part of the game. */
static void mutate(struct variants *variants, int dir_fd)
{
	static const mode_t modes[] = { 0644, 0755, 0600 };
	char path[64], other[64];
	struct err ignored;

	random_path(variants, path, sizeof(path));
	random_path(variants, other, sizeof(other));
	switch (pick(variants, 10)) {
	case 0:
	case 1:
		(void)!plant_file(dir_fd, path, pick(variants, 2) ? "x" : "y", &ignored);
		break;
	case 2:
	case 3:
		(void)!mkdirat(dir_fd, path, 0755);
		break;
	case 4:
		(void)!renameat(dir_fd, path, dir_fd, other);
		break;
	case 5:
		(void)!linkat(dir_fd, path, dir_fd, other, 0);
		break;
	case 6:
		(void)!symlinkat(other, dir_fd, path);
		break;
	case 7:
		if (strchr(path, '/') || pick(variants, 4) == 0)
			(void)!file_remove_tree(dir_fd, path, &ignored);
		break;
	case 8:
		if (faccessat(dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			(void)!fchmodat(dir_fd, path, modes[pick(variants, 3)], AT_SYMLINK_NOFOLLOW);
		break;
	default:
		(void)!syscall(SYS_renameat2, dir_fd, path, dir_fd, other, 2 /* RENAME_EXCHANGE */);
	}
}

static int copy_all(int source_fd, int root_fd, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	const char *word = ".";
	struct source source = { .root = { source_fd, ROOT_CHROOT } };
	struct root dest = { root_fd, ROOT_CHROOT };
	struct copy_spec spec = { .sources = &word, .source_count = 1, .dest = "/n" };
	struct copy_options options = { .clamp = INT64_MAX };
	struct copy_plan plan;

	TRY(copy_select(&arena, &source, &spec, &plan, err));
	return copy_run(&source, &plan, &dest, &options, err);
}

static int remember(struct variants *variants, const struct digest *digest, const char *tree, struct err *err)
{
	for (size_t i = 0; i < variants->count; i++) {
		bool same_key = digest_equal(&variants->items[i].digest, digest);
		bool same_tree = strcmp(variants->items[i].tree, tree) == 0;
		if (same_key != same_tree)
			return err_set(err, ERR_SYSTEM, "%s:\n%s--- and\n%s",
				       same_key ? "one key for two trees" : "two keys for one tree",
				       variants->items[i].tree, tree);
		if (same_key)
			return 0;
	}
	variants->items = reallocarray(variants->items, variants->count + 1, sizeof(*variants->items));
	variants->items[variants->count++] = (struct seen){ *digest, strdup(tree) };
	return 0;
}

static int try_variant(struct variants *variants, struct lab *lab, int source_fd, struct err *err)
{
	scope_strbuf struct strbuf tree = { 0 };
	scope_fd int root_fd = lab_dir(lab->dir_fd, "root", err);
	struct taken taken = { 0 };
	struct digest digest;

	for (int i = 0; i < 4; i++)
		mutate(variants, source_fd);
	TRY(take(source_fd, &taken, &digest, err));
	TRY(copy_all(source_fd, root_fd, err));
	TRY(planted(root_fd, &tree, err));
	TRY(file_remove_tree(lab->dir_fd, "root", err));
	return remember(variants, &digest, strbuf_str(&tree), err);
}

static int random_contexts(struct lab *lab, struct err *err)
{
	const char *rounds = getenv("ROUNDS"), *seed = getenv("SEED");
	struct variants variants = { .random = seed ? strtoull(seed, NULL, 10) + 1 : 88172645463325252u };
	scope_fd int source_fd = lab_dir(lab->dir_fd, "source", err);

	for (int i = 0; i < (rounds ? (int)strtol(rounds, NULL, 10) : 600); i++)
		TRY(try_variant(&variants, lab, source_fd, err));
	CHECK(rounds || variants.count > 100);
	for (size_t i = 0; i < variants.count; i++)
		free(variants.items[i].tree);
	free(variants.items);
	return 0;
}

static void keys_are_equal_exactly_if_the_copies_are(void **state)
{
	run_in_lab(state, random_contexts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(what_a_copy_does_not_show_does_not_count),
		scratch_test(what_a_copy_shows_counts),
		scratch_test(the_name_of_a_directory_does_not_count_but_that_of_a_file_does),
		scratch_test(extended_attributes_count),
		scratch_test(the_list_names_files_with_digests_up_to_a_limit),
		scratch_test(a_file_that_changes_while_it_is_read_is_an_error_that_names_it),
		scratch_test(keys_are_equal_exactly_if_the_copies_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
