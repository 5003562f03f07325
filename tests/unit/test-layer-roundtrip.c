/* SPDX-License-Identifier: Apache-2.0 */
#include "layer-scratch.h"

#include "kiln/base/root.h"

/*
 * Random changes, made twice: on a plain tree ("work"), and on an upper dir in the form that an overlay leaves it in. Then the upper
 * dir's layer, applied to a copy of the tree as it was, must give the plain tree; and so must the stack with the layer on top.
 * Names, contents, modes and times come from small sets, so that files often become what they were.
 */
enum { LAYERS = 4, CHANGES = 40 };

struct world {
	int fd; /* of the scratch folder */
	int work, base, upper;
	int lowers[LAYERS]; /* [0] topmost */
	size_t lower_count;
	uint64_t seed;
	bool can_chown;
};

/* splitmix64 */
static unsigned pick(struct world *world, unsigned count)
{
	uint64_t x = world->seed += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (unsigned)((x ^ (x >> 31)) % count);
}

static int64_t pick_time(struct world *world)
{
	return 1000 + (int64_t)pick(world, 2);
}

static mode_t pick_mode(struct world *world, bool is_directory)
{
	static const mode_t modes[][4] = { { 0644, 0755, 0600, 04755 }, { 0755, 0755, 0700, 01777 } };

	return modes[is_directory][pick(world, 4)];
}

/* A name, most often deep in the tree as it is. */
static void pick_path(struct world *world, char *path, size_t size)
{
	static const char *const names[] = { "a", "b", "cc" };
	size_t len = 0;
	struct stat st;

	for (int depth = 0; depth < 3; depth++) {
		len += (size_t)snprintf(path + len, size - len, "%s%s", len ? "/" : "",
					names[pick(world, ARRAY_LEN(names))]);
		if (fstatat(world->work, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode) ||
		    pick(world, 4) == 0)
			break;
	}
}

/* lstat without any link in the parents. */
static bool find(int tree, const char *path, struct stat *st)
{
	const struct root root = { tree, ROOT_BENEATH };
	const char *leaf;
	scope_fd int fd = *path ? root_open_parent(&root, path, &leaf, NULL) : -1;

	if (!*path)
		return fstat(tree, st) == 0;
	return fd >= 0 && fstatat(fd, leaf, st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool find_entry(int tree, const char *path, struct stat *st)
{
	return find(tree, path, st) && layer_entry_mark(tree, path_base(path), st) == LAYER_ENTRY;
}

static const char *parent_of(const char *path, char *parent, size_t size)
{
	const char *slash = strrchr(path, '/');

	snprintf(parent, size, "%.*s", slash ? (int)(slash - path) : 0, path);
	return parent;
}

/* The other way round: path becomes its own parent. */
static void to_parent(char *path)
{
	char *slash = strrchr(path, '/');

	*(slash ? slash : path) = '\0';
}

static const char *or_dot(const char *path)
{
	return *path ? path : ".";
}

static void touch_both(struct world *world, const char *path)
{
	int64_t seconds = pick_time(world);

	set_time(world->work, or_dot(path), seconds);
	set_time(world->upper, or_dot(path), seconds);
}

/* ---- the overlay's side ---- */

/* Overlay gives the name an inode of its own. */
static void break_link(int tree, const char *path, const struct stat *st)
{
	struct err err;

	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return;
	assert_ok(layer_copy_entry(tree, path, st, tree, "+copy", &err), err);
	assert_int_equal(renameat(tree, "+copy", tree, path), 0);
}

static void copy_up(struct world *world, const char *path)
{
	char parent[64];
	struct stat st, parent_st;
	struct err err;

	if (!*path || find_entry(world->upper, path, &st))
		return;
	parent_of(path, parent, sizeof(parent));
	copy_up(world, parent);
	assert_true(find(world->work, path, &st));
	assert_true(find(world->work, parent, &parent_st));
	break_link(world->work, path, &st);
	assert_ok(layer_copy_entry(world->work, path, &st, world->upper, path, &err), err);
	set_time(world->work, or_dot(parent), parent_st.st_mtim.tv_sec);
	set_time(world->upper, or_dot(parent), parent_st.st_mtim.tv_sec);
}

/* Is there something below that only a whiteout hides? */
static bool shows_from_below(struct world *world, const char *path)
{
	char parent[64];
	struct stat st;

	if (!find(world->base, path, &st))
		return false;
	for (parent_of(path, parent, sizeof(parent)); *parent; to_parent(parent)) {
		scope_fd int fd = openat(world->upper, parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		if (fd >= 0 && layer_dir_is_opaque(fd))
			return false;
	}
	return true;
}

static bool clear_whiteout(struct world *world, const char *path)
{
	char file[80], parent[64];
	struct stat st;
	bool was_there = find(world->upper, path, &st);

	snprintf(file, sizeof(file), "%s/.wh.%s", or_dot(parent_of(path, parent, sizeof(parent))), path_base(path));
	if (was_there)
		assert_int_equal(unlinkat(world->upper, path, 0), 0);
	return unlinkat(world->upper, file, 0) == 0 || was_there;
}

/* ---- changes ---- */

static void remove_both(struct world *world, const char *path)
{
	char parent[64];
	struct err err;
	bool shows = shows_from_below(world, path);

	copy_up(world, parent_of(path, parent, sizeof(parent)));
	assert_ok(file_remove_tree(world->work, path, &err), err);
	assert_ok(file_remove_tree(world->upper, path, &err), err);
	if (shows)
		put_whiteout(world->upper, parent, path_base(path));
	touch_both(world, parent);
}

/* Makes path free, and ready to be made. Returns whether a whiteout was there. */
static bool clear_both(struct world *world, const char *path)
{
	char parent[64];
	struct stat st;

	if (find(world->work, path, &st))
		remove_both(world, path);
	copy_up(world, parent_of(path, parent, sizeof(parent)));
	return clear_whiteout(world, path);
}

static void write_both(struct world *world, const char *path)
{
	static const char *const texts[] = { "", "a", "b", "some more" };
	const char *text = texts[pick(world, ARRAY_LEN(texts))];

	put_file(world->work, path, text);
	put_file(world->upper, path, text);
}

static void mode_both(struct world *world, const char *path)
{
	struct stat st;

	assert_true(find(world->work, path, &st));
	mode_t mode = pick_mode(world, S_ISDIR(st.st_mode));

	assert_int_equal(fchmodat(world->work, path, mode, 0), 0);
	assert_int_equal(fchmodat(world->upper, path, mode, 0), 0);
}

static void change_file(struct world *world, const char *path)
{
	(void)clear_both(world, path);
	write_both(world, path);
	mode_both(world, path);
}

static void change_directory(struct world *world, const char *path)
{
	bool was_removed = clear_both(world, path);

	put_dir(world->work, path);
	put_dir(world->upper, path);
	mode_both(world, path);
	if (was_removed || pick(world, 3) == 0)
		put_opaque(world->upper, path);
}

static void change_symlink(struct world *world, const char *path)
{
	static const char *const targets[] = { "a", "/b", "../c" };
	const char *target = targets[pick(world, ARRAY_LEN(targets))];

	(void)clear_both(world, path);
	put_link(world->work, path, target);
	put_link(world->upper, path, target);
}

static void change_fifo(struct world *world, const char *path)
{
	(void)clear_both(world, path);
	assert_int_equal(mkfifoat(world->work, path, 0600), 0);
	assert_int_equal(mkfifoat(world->upper, path, 0600), 0);
}

static void change_link(struct world *world, const char *path)
{
	char old[64];
	struct stat st;

	pick_path(world, old, sizeof(old));
	if (text_equal(old, path) || text_starts(old, path) || !find(world->work, old, &st) || S_ISDIR(st.st_mode))
		return;
	copy_up(world, old);
	(void)clear_both(world, path);
	assert_int_equal(linkat(world->work, old, world->work, path, 0), 0);
	assert_int_equal(linkat(world->upper, old, world->upper, path, 0), 0);
}

static void change_nothing_else(struct world *world, const char *path, unsigned what)
{
	struct stat st;

	if (!find(world->work, path, &st))
		return;
	copy_up(world, path);
	if (S_ISREG(st.st_mode) && what == 0)
		write_both(world, path);
	else if ((S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) && what == 1)
		mode_both(world, path);
	else if ((S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) && what == 2 && (st.st_mode & 0400)) {
		const char *value = pick(world, 2) ? "1" : "2";
		put_xattr(world->work, path, "user.k", value);
		put_xattr(world->upper, path, "user.k", value);
	} else if (what == 3 && world->can_chown) {
		uid_t uid = pick(world, 2) * 5;
		assert_int_equal(fchownat(world->work, path, uid, 0, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(fchownat(world->upper, path, uid, 0, AT_SYMLINK_NOFOLLOW), 0);
	}
}

static void change_something(struct world *world)
{
	char path[64], parent[64];
	struct stat st;
	unsigned what = pick(world, 12);

	pick_path(world, path, sizeof(path));
	if (!find(world->work, parent_of(path, parent, sizeof(parent)), &st) || !S_ISDIR(st.st_mode))
		return;
	/* Else little would ever grow. */
	if (find(world->work, path, &st) && S_ISDIR(st.st_mode) && pick(world, 5))
		what = pick(world, 2) ? 2 : 9;
	if (what < 2)
		change_file(world, path);
	else if (what < 5)
		change_directory(world, path);
	else if (what == 5)
		change_symlink(world, path);
	else if (what == 6)
		change_fifo(world, path);
	else if (what == 7)
		change_link(world, path);
	else if (what == 8 && find(world->work, path, &st))
		remove_both(world, path);
	else
		change_nothing_else(world, path, pick(world, 5));
	if (find(world->work, path, &st) && find_entry(world->upper, path, &st))
		touch_both(world, path);
	if (find(world->upper, parent, &st))
		touch_both(world, parent);
}

/* ---- comparing trees ---- */

struct seen {
	char path[64];
	ino_t ino;
};

struct manifest {
	struct strbuf text;
	struct seen seen[200];
	size_t count;
};

static void describe(struct manifest *manifest, int dir_fd, const char *name, const char *path, const struct stat *st)
{
	char target[64] = { 0 }, value[8] = { 0 };
	struct err err;

	strbuf_addf(&manifest->text, "%s %o %u %ld %lld ", path, st->st_mode, st->st_uid,
		    S_ISDIR(st->st_mode) ? 0L : (long)st->st_size, (long long)st->st_mtim.tv_sec);
	if (S_ISLNK(st->st_mode))
		assert_true(readlinkat(dir_fd, name, target, sizeof(target) - 1) > 0);
	if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) {
		scope_fd int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW);
		assert_true(fd >= 0);
		(void)!fgetxattr(fd, "user.k", value, sizeof(value));
	}
	strbuf_addf(&manifest->text, "%s %s ", target, value);
	if (S_ISREG(st->st_mode))
		assert_ok(file_read(dir_fd, name, 100, &manifest->text, &err), err);
	strbuf_addch(&manifest->text, '\n');

	struct seen *seen = &manifest->seen[manifest->count++];
	assert_in_range(manifest->count, 1, ARRAY_LEN(manifest->seen));
	snprintf(seen->path, sizeof(seen->path), "%s", path);
	seen->ino = st->st_ino;
}

static void describe_tree(struct manifest *manifest, int dir_fd, const char *prefix)
{
	static const char *const names[] = { "a", "b", "cc" };
	char path[64];
	struct stat st;
	int found = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (fstatat(dir_fd, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		found++;
		snprintf(path, sizeof(path), "%s%s", prefix, names[i]);
		describe(manifest, dir_fd, names[i], path, &st);
		if (!S_ISDIR(st.st_mode))
			continue;
		scope_fd int fd = open_dir_at(dir_fd, names[i]);
		snprintf(path, sizeof(path), "%s%s/", prefix, names[i]);
		describe_tree(manifest, fd, path);
	}
	assert_int_equal(count_names(dir_fd, "."), found);
}

/* Names that are one file in `expected` must be one in `found`. The reverse need not be: a link that overlay broke by copying up
   without any other change stays one. */
static void assert_links(const struct manifest *expected, const struct manifest *found)
{
	for (size_t i = 0; i < expected->count; i++)
		for (size_t k = 0; k < i; k++)
			if (expected->seen[i].ino == expected->seen[k].ino && found->seen[i].ino != found->seen[k].ino)
				fail_msg("%s and %s are no longer one file", expected->seen[i].path,
					 expected->seen[k].path);
}

static void assert_same_tree(int expected, int found)
{
	struct manifest *manifests = calloc(2, sizeof(*manifests));

	describe_tree(&manifests[0], expected, "");
	describe_tree(&manifests[1], found, "");
	assert_string_equal(strbuf_str(&manifests[1].text), strbuf_str(&manifests[0].text));
	assert_links(&manifests[0], &manifests[1]);
	strbuf_release(&manifests[0].text);
	strbuf_release(&manifests[1].text);
	free(manifests);
}

/* ---- one layer ---- */

static int new_tree(struct world *world, const char *name)
{
	struct err err;

	assert_ok(file_remove_tree(world->fd, name, &err), err);
	return make_tree(world->fd, name);
}

static void check_plain(struct world *world, const struct strbuf *tar)
{
	scope_fd int plain = new_tree(world, "plain");
	struct layer_stats stats;
	struct err err;

	assert_ok(layer_copy_stack(world->lowers, world->lower_count, plain, &err), err);
	assert_same_tree(world->base, plain);
	assert_ok(apply_bytes(tar, plain, &(struct layer_apply_options){ 0 }, &stats, &err), err);
	assert_same_tree(world->work, plain);
}

/* A layer that comes back from a tar is the same layer. */
static int check_tree(struct world *world, const struct layer_result *result, const char *name)
{
	int tree = new_tree(world, name), stack[LAYERS + 1];
	scope_fd int plain = new_tree(world, "plain");
	scope_result struct layer_result again = { 0 };
	struct layer_apply_options options = { .flags = LAYER_APPLY_AS_TREE };
	struct layer_stats stats;
	struct err err;

	if (pick(world, 2)) {
		options.lowers = world->lowers;
		options.lower_count = world->lower_count;
	}
	assert_ok(apply_bytes(&result->tar, tree, &options, &stats, &err), err);
	assert_int_equal(stats.entries, result->stats.entries);
	assert_int_equal(stats.size, result->stats.size);
	assert_int_equal(stats.implied, 0);
	stack[0] = tree;
	memcpy(stack + 1, world->lowers, sizeof(world->lowers));
	assert_ok(layer_copy_stack(stack, world->lower_count + 1, plain, &err), err);
	assert_same_tree(world->work, plain);
	assert_ok(try_diff(&again, tree, world->lowers, world->lower_count, INT64_MAX, &err), err);
	assert_string_equal(strbuf_str(&again.list), strbuf_str(&result->list));
	assert_true(digest_equal(&again.stats.diff_id, &result->stats.diff_id));
	return tree;
}

static void push_lower(struct world *world, int tree)
{
	memmove(world->lowers + 1, world->lowers, (LAYERS - 1) * sizeof(world->lowers[0]));
	world->lowers[0] = tree;
	world->lower_count++;
}

static void check_layer(struct world *world, unsigned layer)
{
	scope_result struct layer_result result = { 0 };
	struct err err;
	char name[32];

	snprintf(name, sizeof(name), "tree%u", layer);
	assert_ok(layer_tree_settle(world->upper, INT64_MAX, &err), err);
	assert_ok(try_diff(&result, world->upper, world->lowers, world->lower_count, INT64_MAX, &err), err);
	check_plain(world, &result.tar);
	int tree = check_tree(world, &result, name);
	bool keeps_upper = pick(world, 2);
	close(keeps_upper ? tree : world->upper);
	push_lower(world, keeps_upper ? world->upper : tree);
}

static void play(struct scratch *scratch, unsigned seed)
{
	struct world world = { .fd = scratch->fd, .seed = seed };
	struct err err;
	char name[32];

	world.work = new_tree(&world, "work");
	world.can_chown = fchown(world.work, 5, 0) == 0;
	for (unsigned layer = 0; layer < LAYERS; layer++) {
		snprintf(name, sizeof(name), "upper%u", layer);
		world.upper = new_tree(&world, name);
		world.base = new_tree(&world, "base");
		assert_ok(layer_copy_stack(&world.work, 1, world.base, &err), err);
		for (int i = 0; i < CHANGES; i++)
			change_something(&world);
		check_layer(&world, layer);
		close(world.base);
	}
	for (size_t i = 0; i < world.lower_count; i++)
		close(world.lowers[i]);
	close(world.work);
}

static void play_many(struct scratch *scratch)
{
	const char *rounds = getenv("ROUNDS");
	unsigned long count = rounds ? strtoul(rounds, NULL, 10) : 40;

	for (unsigned seed = 0; seed < count; seed++) {
		play(scratch, seed);
	}
}

static void test_random_changes_come_back(void **state)
{
	play_many(*state);
}

static int play_in_namespace(int channel, void *arg, struct err *err)
{
	(void)channel;
	if (enter_namespaces(err) < 0)
		return -1;
	play_many(arg);
	return 0;
}

/* Root of one id only: whiteouts are devices, and nothing can be chowned. */
static void test_random_changes_come_back_in_a_user_namespace(void **state)
{
	struct proc child = PROC_EMPTY;
	struct err err;

	assert_ok(proc_fork(&child, play_in_namespace, *state, &err), err);
	assert_ok(proc_wait(&child, NULL, &err), err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_random_changes_come_back),
		scratch_test(test_random_changes_come_back_in_a_user_namespace),
	};

	return run_group_tests_with_namespaces(tests, 1);
}
