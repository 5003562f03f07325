/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

/* Cache mounts: who shares a directory, who waits for it, who gets another, and when one goes away. */

struct filling {
	struct store_mount *frees; /* closed as soon as somebody waits for it */
	struct proc *ends;         /* killed likewise */
	int fills, waits;
	bool fails;
};

static int fill(void *arg, int dir_fd, struct err *err)
{
	struct filling *filling = arg;
	struct stat st;

	filling->fills++;
	assert_int_equal(fstat(dir_fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(count_names(dir_fd, "."), 0);
	put_file(dir_fd, "filled", "x");
	return filling->fails ? err_set(err, ERR_INPUT, "no filling") : 0;
}

static void waits(void *arg)
{
	struct filling *filling = arg;

	filling->waits++;
	if (filling->frees)
		store_mount_close(filling->frees);
	if (filling->ends)
		proc_kill(filling->ends);
}

static struct store_mount_spec spec_of(const char *name, enum store_mount_sharing sharing, struct filling *filling)
{
	struct store_mount_spec spec = { .sharing = sharing, .fill = fill, .waits = waits, .arg = filling };

	digest_bytes(&spec.id, name, strlen(name));
	return spec;
}

static struct store_mount take(struct store *store, enum store_mount_sharing sharing, struct filling *filling)
{
	struct store_mount_spec spec = spec_of("a", sharing, filling);
	struct store_mount mount = STORE_MOUNT_EMPTY;
	struct err err = { 0 };

	assert_ok(store_mount_open(store, &spec, &mount, &err), err);
	assert_true(mount.fd >= 0 && mount.lock_fd >= 0);
	assert_true(has_name(mount.fd, "filled"));
	return mount;
}

static bool is_same(const struct store_mount *a, const struct store_mount *b)
{
	struct stat x, y;

	assert_int_equal(fstat(a->fd, &x), 0);
	assert_int_equal(fstat(b->fd, &y), 0);
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The directory of the mount called "a"; in it are the guard and the copies. */
static int open_place(struct store *store)
{
	char hex[DIGEST_HEX + 1], path[DIGEST_HEX + 16];
	struct digest id;

	digest_bytes(&id, "a", 1);
	snprintf(path, sizeof(path), "mounts/%s", digest_hex(&id, hex));
	int fd = openat(store_fd(store), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int copies(struct store *store)
{
	scope_fd int place = open_place(store);

	return count_names(place, ".") - has_name(place, "guard");
}

/* ---- together, apart, one after the other ---- */

static void what_is_put_into_one_is_there_the_next_time(void **state)
{
	struct store *store = open_store(*state, STORE_CREATE);
	struct filling filling = { 0 };

	for (enum store_mount_sharing sharing = STORE_MOUNT_SHARED; sharing <= STORE_MOUNT_LOCKED; sharing++) {
		struct store_mount mount = take(store, sharing, &filling);
		if (sharing == STORE_MOUNT_SHARED)
			put_file(mount.fd, "kept", "text");
		assert_file(mount.fd, "kept", "text");
		store_mount_close(&mount);
		assert_int_equal(mount.fd, -1);
		assert_int_equal(mount.lock_fd, -1);
		store_mount_close(&mount);
	}
	assert_int_equal(filling.fills, 1);
	assert_int_equal(filling.waits, 0);
	store_close(store);
}

static void another_id_is_another_directory(void **state)
{
	struct store *store = open_store(*state, STORE_CREATE);
	struct store_mount_spec spec = spec_of("b", STORE_MOUNT_SHARED, NULL);
	struct filling filling = { 0 };
	struct err err = { 0 };
	scope_store_mount struct store_mount a = take(store, STORE_MOUNT_SHARED, &filling);
	scope_store_mount struct store_mount b = STORE_MOUNT_EMPTY;

	spec.fill = NULL;
	spec.waits = NULL;
	assert_ok(store_mount_open(store, &spec, &b, &err), err);
	assert_false(is_same(&a, &b));
	assert_int_equal(count_names(b.fd, "."), 0);
	assert_int_equal(count_names(store_fd(store), "mounts"), 2);
	store_close(store);
}

static void shared_ones_are_one_directory_at_a_time(void **state)
{
	struct store *store = open_store(*state, STORE_CREATE), *other = open_store(*state, 0);
	struct filling filling = { 0 };
	scope_store_mount struct store_mount a = take(store, STORE_MOUNT_SHARED, &filling);
	scope_store_mount struct store_mount b = take(other, STORE_MOUNT_SHARED, &filling);
	scope_store_mount struct store_mount c = take(store, STORE_MOUNT_SHARED, &filling);

	assert_true(is_same(&a, &b));
	assert_true(is_same(&a, &c));
	assert_int_equal(filling.fills, 1);
	assert_int_equal(filling.waits, 0);
	store_close(other);
	store_close(store);
}

static void a_private_one_is_another_when_the_first_is_busy(void **state)
{
	struct store *store = open_store(*state, STORE_CREATE);
	struct filling filling = { 0 };
	struct store_mount a = take(store, STORE_MOUNT_PRIVATE, &filling);
	scope_store_mount struct store_mount b = take(store, STORE_MOUNT_PRIVATE, &filling);

	assert_false(is_same(&a, &b));
	assert_int_equal(filling.fills, 2);
	/* Trap 44: an idle one is used again. */
	put_file(a.fd, "first", "x");
	store_mount_close(&a);
	a = take(store, STORE_MOUNT_PRIVATE, &filling);
	assert_true(has_name(a.fd, "first"));
	assert_int_equal(filling.fills, 2);
	assert_int_equal(filling.waits, 0);
	assert_int_equal(copies(store), 2);
	store_mount_close(&a);
	store_close(store);
}

static void who_shares_does_not_come_to_one_that_is_private_or_locked(void **state)
{
	static const enum store_mount_sharing table[] = { STORE_MOUNT_PRIVATE, STORE_MOUNT_LOCKED };
	struct store *store = open_store(*state, STORE_CREATE);
	struct filling filling = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_store_mount struct store_mount alone = take(store, table[i], &filling);
		scope_store_mount struct store_mount a = take(store, STORE_MOUNT_SHARED, &filling);
		scope_store_mount struct store_mount b = take(store, STORE_MOUNT_SHARED, &filling);
		assert_false(is_same(&alone, &a));
		assert_true(is_same(&a, &b));
		assert_int_equal(copies(store), 2);
	}
	assert_int_equal(filling.waits, 0);
	store_close(store);
}

static void a_private_one_keeps_off_from_one_that_is_shared(void **state)
{
	struct store *store = open_store(*state, STORE_CREATE);
	struct filling filling = { 0 };
	scope_store_mount struct store_mount shared = take(store, STORE_MOUNT_SHARED, &filling);
	scope_store_mount struct store_mount alone = take(store, STORE_MOUNT_PRIVATE, &filling);

	assert_false(is_same(&shared, &alone));
	store_close(store);
}

static void a_locked_one_is_waited_for(void **state)
{
	struct store *store = open_store(*state, STORE_CREATE);

	for (enum store_mount_sharing first = STORE_MOUNT_SHARED; first <= STORE_MOUNT_LOCKED; first++) {
		struct filling filling = { 0 };
		struct store_mount a = take(store, first, &filling);
		filling.frees = &a;
		put_file(a.fd, "first", "x");
		scope_store_mount struct store_mount b = take(store, STORE_MOUNT_LOCKED, &filling);
		assert_int_equal(a.fd, -1);
		assert_int_equal(filling.waits, 1);
		assert_true(has_name(b.fd, "first"));
		assert_int_equal(copies(store), 1);
	}
	store_close(store);
}

/* ---- processes ---- */

enum { HOLDS = 1 };

struct holder {
	struct store *store;
	struct store_mount *inherited; /* NULL: it takes one */
};

static int hold(int channel, void *arg, struct err *err)
{
	struct holder *holder = arg;
	struct store_mount_spec spec = spec_of("a", STORE_MOUNT_LOCKED, NULL);
	struct store_mount mount = STORE_MOUNT_EMPTY;

	spec.fill = NULL;
	if (!holder->inherited && store_mount_open(holder->store, &spec, &mount, err) < 0)
		return -1;
	return proc_reach(channel, HOLDS, NULL, 0, err) < 0 ? -1 : proc_pause(channel, err);
}

static void start_holder(struct proc *child, struct holder *holder)
{
	struct err err = { 0 };

	assert_ok(proc_fork(child, hold, holder, &err), err);
	assert_ok(proc_await(child, HOLDS, NULL, &err), err);
}

static void a_killed_holder_frees_its_lock(void **state)
{
	struct store *store = open_store(*state, STORE_CREATE);
	struct holder holder = { .store = store };
	scope_proc struct proc child = PROC_EMPTY;
	struct filling filling = { .ends = &child };
	struct store_mount mount = take(store, STORE_MOUNT_LOCKED, &filling);

	store_mount_close(&mount);
	start_holder(&child, &holder);
	mount = take(store, STORE_MOUNT_LOCKED, &filling);
	assert_int_equal(filling.waits, 1);
	assert_int_equal(filling.fills, 1);
	assert_int_equal(copies(store), 1);
	store_mount_close(&mount);
	store_close(store);
}

static void who_was_forked_holds_it_too(void **state)
{
	struct store *store = open_store(*state, STORE_CREATE);
	struct filling filling = { 0 };
	struct store_mount mount = take(store, STORE_MOUNT_PRIVATE, &filling);
	struct holder holder = { .store = store, .inherited = &mount };
	scope_proc struct proc child = PROC_EMPTY;

	put_file(mount.fd, "first", "x");
	start_holder(&child, &holder);
	store_mount_close(&mount);
	mount = take(store, STORE_MOUNT_PRIVATE, &filling);
	assert_false(has_name(mount.fd, "first"));
	store_mount_close(&mount);
	proc_kill(&child);
	mount = take(store, STORE_MOUNT_PRIVATE, &filling);
	assert_true(has_name(mount.fd, "first"));
	store_mount_close(&mount);
	store_close(store);
}

/* ---- made, emptied, pruned, counted ---- */

static void one_that_cannot_be_filled_is_not_made(void **state)
{
	struct store *store = open_store(*state, STORE_CREATE);
	struct filling filling = { .fails = true };
	struct store_mount_spec spec = spec_of("a", STORE_MOUNT_SHARED, &filling);
	struct store_mount mount = STORE_MOUNT_EMPTY;
	struct err err = { 0 };

	assert_int_equal(store_mount_open(store, &spec, &mount, &err), -1);
	assert_string_equal(err.msg, "no filling");
	assert_int_equal(mount.fd, -1);
	assert_int_equal(copies(store), 0);
	assert_int_equal(count_names(store_fd(store), "tmp"), 0);
	filling = (struct filling){ 0 };
	mount = take(store, STORE_MOUNT_SHARED, &filling);
	assert_int_equal(filling.fills, 1);
	store_mount_close(&mount);
	store_close(store);
}

static void one_that_lost_its_tree_is_made_anew(void **state)
{
	struct store *store = open_store(*state, STORE_CREATE);
	struct filling filling = { 0 };
	struct store_mount mount = take(store, STORE_MOUNT_SHARED, &filling);
	scope_fd int place = open_place(store);

	store_mount_close(&mount);
	assert_int_equal(renameat(place, "0/tree", place, "0/lost"), 0);
	mount = take(store, STORE_MOUNT_SHARED, &filling);
	assert_int_equal(filling.fills, 2);
	store_mount_close(&mount);
	mount = take(store, STORE_MOUNT_SHARED, &filling);
	store_mount_close(&mount);
	assert_int_equal(copies(store), 1);
	store_close(store);
}

static void a_forgotten_one_is_empty_and_its_holders_keep_theirs(void **state)
{
	struct store *store = open_store(*state, STORE_CREATE);
	struct filling filling = { 0 };
	struct store_mount old = take(store, STORE_MOUNT_LOCKED, &filling);
	struct store_mount_spec spec = spec_of("a", STORE_MOUNT_LOCKED, NULL);
	struct err err = { 0 };

	put_file(old.fd, "old", "text");
	assert_ok(store_mount_forget(store, &spec.id, &err), err);
	struct store_mount new = take(store, STORE_MOUNT_LOCKED, &filling);
	assert_int_equal(filling.fills, 2);
	assert_int_equal(filling.waits, 0);
	assert_false(has_name(new.fd, "old"));
	assert_file(old.fd, "old", "text");
	assert_int_equal(copies(store), 2);
	store_mount_close(&old);
	store_mount_close(&new);
	/* The next one clears away what nobody holds any more. */
	new = take(store, STORE_MOUNT_LOCKED, &filling);
	assert_int_equal(filling.fills, 2);
	assert_int_equal(copies(store), 1);
	assert_int_equal(count_names(store_fd(store), "tmp"), 0);
	store_mount_close(&new);
	store_close(store);
}

static void forgetting_what_was_never_made_is_no_error(void **state)
{
	struct store *store = open_store(*state, STORE_CREATE);
	struct store_mount_spec spec = spec_of("a", STORE_MOUNT_SHARED, NULL);
	struct err err = { 0 };

	assert_ok(store_mount_forget(store, &spec.id, &err), err);
	assert_int_equal(copies(store), 0);
	store_close(store);
}

static struct store_usage usage_of(struct store *store)
{
	struct store_usage usage = { 0 };
	struct err err = { 0 };

	assert_ok(store_usage(store, &usage, &err), err);
	return usage;
}

static void they_are_counted_and_pruned_with_the_cache(void **state)
{
	struct store *store = open_store(*state, STORE_CREATE);
	struct filling filling = { 0 };
	struct store_mount mount = take(store, STORE_MOUNT_SHARED, &filling);
	struct err err = { 0 };
	int64_t freed = 0;
	char text[65537];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	int64_t before = usage_of(store).mount_bytes;
	put_file(mount.fd, "big", text);
	assert_int_equal(fsync(mount.fd), 0);
	store_mount_close(&mount);
	assert_int_equal(usage_of(store).mounts, 1);
	assert_true(usage_of(store).mount_bytes >= before + 65536);

	assert_ok(store_prune(store, PRUNE_DANGLING | PRUNE_IMAGES, 0, &freed, &err), err);
	assert_int_equal(usage_of(store).mounts, 1);
	assert_ok(store_prune(store, PRUNE_CACHE, 0, &freed, &err), err);
	assert_true(freed >= 65536);
	assert_int_equal(usage_of(store).mounts, 0);
	assert_int_equal(count_names(store_fd(store), "mounts"), 0);
	mount = take(store, STORE_MOUNT_SHARED, &filling);
	assert_int_equal(filling.fills, 2);
	assert_false(has_name(mount.fd, "big"));
	store_mount_close(&mount);
	assert_sound(store);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(what_is_put_into_one_is_there_the_next_time),
		scratch_test(another_id_is_another_directory),
		scratch_test(shared_ones_are_one_directory_at_a_time),
		scratch_test(a_private_one_is_another_when_the_first_is_busy),
		scratch_test(who_shares_does_not_come_to_one_that_is_private_or_locked),
		scratch_test(a_private_one_keeps_off_from_one_that_is_shared),
		scratch_test(a_locked_one_is_waited_for),
		scratch_test(a_killed_holder_frees_its_lock),
		scratch_test(who_was_forked_holds_it_too),
		scratch_test(one_that_cannot_be_filled_is_not_made),
		scratch_test(one_that_lost_its_tree_is_made_anew),
		scratch_test(a_forgotten_one_is_empty_and_its_holders_keep_theirs),
		scratch_test(forgetting_what_was_never_made_is_no_error),
		scratch_test(they_are_counted_and_pruned_with_the_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
