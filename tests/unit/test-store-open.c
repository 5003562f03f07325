/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "kiln/base/owner.h"

static int try_open(struct scratch *scratch, const char *name, unsigned flags, struct err *err)
{
	scope_store struct store *store = NULL;
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", scratch->path, name);
	return store_open(&store, path, flags, err);
}

static void a_new_store_has_its_layout_and_is_private(void **state)
{
	static const char *const names[] = { "version", "lock",  "blobs/sha256", "layers", "images",  "names",
					     "cache",   "notes", "mounts",       "tmp",    "unsynced" };
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!has_name(store_fd(store), names[i]))
			fail_msg("there is no %s", names[i]);
	}
	assert_int_equal(fstat(store_fd(store), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_file(store_fd(store), "version", "kiln store 1\n");
}

static enum store_owners form_of(const struct scratch *scratch)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/store", scratch->path);
	return store_owners_at(path);
}

static void a_store_with_layers_keeps_its_form(void **state)
{
	struct scratch *scratch = *state;
	struct err err = { 0 };

	assert_int_equal(form_of(scratch), STORE_OWNERS_UNKNOWN);
	store_close(open_store(scratch, STORE_CREATE | STORE_NO_SWEEP));
	assert_int_equal(form_of(scratch), STORE_OWNERS_UNKNOWN);
	store_close(open_store(scratch, STORE_CREATE));
	assert_int_equal(form_of(scratch), STORE_OWNERS_REAL);
	owners_record(true);
	store_close(open_store(scratch, STORE_CREATE));
	assert_int_equal(form_of(scratch), STORE_OWNERS_RECORDED);
	put_dir(scratch->fd, "store/layers/x");
	owners_record(false);
	assert_int_equal(try_open(scratch, "store", STORE_CREATE, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "isolation single"));
	assert_ok(try_open(scratch, "store", STORE_CREATE | STORE_NO_SWEEP, &err), err);
	assert_int_equal(form_of(scratch), STORE_OWNERS_RECORDED);
	/* One from before the form was written down has real owners. */
	assert_int_equal(unlinkat(scratch->fd, "store/owners", 0), 0);
	owners_record(true);
	assert_int_equal(try_open(scratch, "store", STORE_CREATE, &err), -1);
	owners_record(false);
	assert_ok(try_open(scratch, "store", STORE_CREATE, &err), err);
}

static void a_store_is_made_only_when_asked_for_with_all_its_parents(void **state)
{
	struct scratch *scratch = *state;
	struct err err = { 0 };

	assert_int_equal(try_open(scratch, "a/b/store", 0, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(count_names(scratch->fd, "."), 0);
	assert_ok(try_open(scratch, "a/b/store", STORE_CREATE, &err), err);
	assert_ok(try_open(scratch, "a/b/store", 0, &err), err);
}

static void a_store_that_others_can_write_to_is_refused(void **state)
{
	struct scratch *scratch = *state;
	struct err err = { 0 };

	store_close(open_store(scratch, STORE_CREATE));
	assert_int_equal(fchmodat(scratch->fd, "store", 0720, 0), 0);
	assert_int_equal(try_open(scratch, "store", STORE_CREATE, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "chmod 700"));
	assert_int_equal(fchmodat(scratch->fd, "store", 0702, 0), 0);
	assert_int_equal(try_open(scratch, "store", 0, &err), -1);
	assert_int_equal(fchmodat(scratch->fd, "store", 0755, 0), 0);
	assert_ok(try_open(scratch, "store", 0, &err), err);
}

static void a_store_of_another_user_is_refused(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = NULL;
	struct err err = { 0 };
	char path[300] = "/";

	if (geteuid() == 0) {
		store_close(open_store(scratch, STORE_CREATE));
		assert_int_equal(fchownat(scratch->fd, "store", 1, 1, 0), 0);
		snprintf(path, sizeof(path), "%s/store", scratch->path);
	}
	assert_int_equal(store_open(&store, path, STORE_CREATE, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "belongs to user"));
}

static void a_link_to_a_store_is_followed_if_it_is_ours(void **state)
{
	struct scratch *scratch = *state;
	struct err err = { 0 };

	store_close(open_store(scratch, STORE_CREATE));
	put_link(scratch->fd, "link", "store");
	assert_ok(try_open(scratch, "link", STORE_CREATE, &err), err);
	if (geteuid() == 0) {
		assert_int_equal(fchownat(scratch->fd, "link", 1, 1, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(try_open(scratch, "link", STORE_CREATE, &err), -1);
		assert_int_equal(err.kind, ERR_UNSUPPORTED);
	}
}

static void the_same_store_opens_outside_and_as_root_of_a_user_namespace(void **state)
{
	struct scratch *scratch = *state;

	store_close(open_store(scratch, STORE_CREATE));
	pid_t pid = fork();
	if (pid == 0) {
		struct err err = { 0 };
		if (enter_namespaces(&err) < 0 || try_open(scratch, "store", 0, &err) < 0) {
			fprintf(stderr, "%s\n", err.msg);
			_exit(1);
		}
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void newer_and_damaged_versions_are_refused(void **state)
{
	struct scratch *scratch = *state;
	struct err err = { 0 };

	store_close(open_store(scratch, STORE_CREATE));
	put_file(scratch->fd, "store/version", "kiln store 2\n");
	assert_int_equal(try_open(scratch, "store", STORE_CREATE, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "newer kiln"));
	put_file(scratch->fd, "store/version", "garbage");
	assert_int_equal(try_open(scratch, "store", STORE_CREATE, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	put_file(scratch->fd, "store/version", "");
	assert_int_equal(try_open(scratch, "store", STORE_CREATE, &err), -1);
	assert_int_equal(unlinkat(scratch->fd, "store/version", 0), 0);
	assert_int_equal(mkfifoat(scratch->fd, "store/version", 0600), 0);
	assert_int_equal(try_open(scratch, "store", STORE_CREATE, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
}

static void a_directory_with_other_things_is_left_alone(void **state)
{
	struct scratch *scratch = *state;
	struct err err = { 0 };

	put_dir(scratch->fd, "home");
	put_file(scratch->fd, "home/thesis.tex", "x");
	assert_int_equal(try_open(scratch, "home", STORE_CREATE, &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	assert_int_equal(count_names(scratch->fd, "home"), 1);
	put_dir(scratch->fd, "empty");
	assert_int_equal(try_open(scratch, "empty", 0, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_ok(try_open(scratch, "empty", STORE_CREATE, &err), err);
}

static void a_store_that_was_not_finished_is_finished(void **state)
{
	struct scratch *scratch = *state;
	struct err err = { 0 };

	put_dir(scratch->fd, "store");
	put_dir(scratch->fd, "store/layers");
	put_file(scratch->fd, "store/lock", "");
	assert_ok(try_open(scratch, "store", STORE_CREATE, &err), err);
	assert_true(has_name(scratch->fd, "store/version"));
	assert_true(has_name(scratch->fd, "store/blobs/sha256"));
}

static void a_read_only_store_is_never_written_to(void **state)
{
	struct scratch *scratch = *state;
	scope_arena struct arena arena = { 0 };
	struct store_name *names;
	struct store_work work;
	struct store_blob blob;
	struct digest digest;
	struct err err = { 0 };
	size_t count;

	store_close(open_store(scratch, STORE_CREATE));
	assert_int_equal(unlinkat(scratch->fd, "store/notes", AT_REMOVEDIR), 0);
	scope_store struct store *store = open_store(scratch, STORE_READ_ONLY);
	int before = count_names(scratch->fd, "store");
	assert_int_equal(store_work_new(store, &work, &err), -1);
	assert_true(err_is_errno(&err, EROFS));
	assert_int_equal(store_blob_new(store, &blob, &err), -1);
	assert_int_equal(store_blob_put(store, "x", 1, &digest, &err), -1);
	assert_int_equal(store_note_put(store, "k", &digest, "x", 1, &err), -1);
	assert_int_equal(store_name_set(store, "docker.io/library/a:b", &digest, &err), -1);
	assert_int_equal(store_prune(store, 0, 0, NULL, &err), -1);
	assert_ok(store_names(store, &arena, &names, &count, &err), err);
	assert_int_equal(count, 0);
	assert_ok(store_sync(store, &err), err);
	assert_int_equal(count_names(scratch->fd, "store"), before);
}

static void the_default_path_follows_the_environment(void **state)
{
	scope_arena struct arena arena = { 0 };

	(void)state;
	setenv("KILN_ROOT", "/k", 1);
	setenv("XDG_DATA_HOME", "/data", 1);
	setenv("HOME", "/home/u", 1);
	setenv("TMPDIR", "/t", 1);
	assert_string_equal(store_default_path(&arena), "/k");
	unsetenv("KILN_ROOT");
	assert_string_equal(store_default_path(&arena), "/data/kiln");
	setenv("XDG_DATA_HOME", "relative", 1);
	assert_string_equal(store_default_path(&arena), "/home/u/.local/share/kiln");
	unsetenv("HOME");
	assert_string_equal(store_default_path(&arena), arena_printf(&arena, "/t/kiln-%d", (int)geteuid()));
	unsetenv("TMPDIR");
	assert_string_equal(store_default_path(&arena), arena_printf(&arena, "/tmp/kiln-%d", (int)geteuid()));
}

/* ---- work directories ---- */

static pid_t start_worker(struct store *store)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct store_work work;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (store_work_new(store, &work, NULL) < 0)
			_exit(1);
		put_dir(work.fd, "deep");
		put_file(work.fd, "deep/file", "x");
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void stop_worker(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void the_work_of_the_dead_is_swept_and_that_of_the_living_is_not(void **state)
{
	struct scratch *scratch = *state;
	struct store *store = open_store(scratch, STORE_CREATE);
	pid_t dead = start_worker(store), living = start_worker(store);

	store_close(store);
	stop_worker(dead);
	assert_int_equal(count_names(scratch->fd, "store/tmp"), 2);
	store_close(open_store(scratch, STORE_NO_SWEEP));
	assert_int_equal(count_names(scratch->fd, "store/tmp"), 2);
	store_close(open_store(scratch, 0));
	assert_int_equal(count_names(scratch->fd, "store/tmp"), 1);
	stop_worker(living);
	store_close(open_store(scratch, 0));
	assert_int_equal(count_names(scratch->fd, "store/tmp"), 0);
}

static void a_work_directory_goes_away_with_all_that_is_in_it(void **state)
{
	struct scratch *scratch = *state;
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	struct store_work work = STORE_WORK_EMPTY;
	struct err err = { 0 };

	store_work_end(store, &work);
	assert_ok(store_work_new(store, &work, &err), err);
	put_dir(work.fd, "a");
	put_dir(work.fd, "a/b");
	assert_int_equal(fchmodat(work.fd, "a", 0, 0), 0);
	store_work_end(store, &work);
	assert_int_equal(work.fd, -1);
	assert_int_equal(count_names(scratch->fd, "store/tmp"), 0);
}

/* The maker's directory may be seen before it is locked: it must find out and take another. */
static void makers_and_sweepers_do_not_disturb_each_other(void **state)
{
	struct scratch *scratch = *state;
	pid_t sweeper;

	store_close(open_store(scratch, STORE_CREATE));
	sweeper = fork();
	assert_true(sweeper >= 0);
	if (sweeper == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			store_close(open_store(scratch, 0));
	}
	scope_store struct store *store = open_store(scratch, 0);
	for (int i = 0; i < 300; i++) {
		struct store_work work;
		struct err err = { 0 };
		assert_ok(store_work_new(store, &work, &err), err);
		put_file(work.fd, "file", "x");
		assert_true(has_name(work.fd, "file"));
		store_work_end(store, &work);
	}
	stop_worker(sweeper);
	assert_int_equal(count_names(scratch->fd, "store/tmp"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_new_store_has_its_layout_and_is_private),
		scratch_test(a_store_with_layers_keeps_its_form),
		scratch_test(a_store_is_made_only_when_asked_for_with_all_its_parents),
		scratch_test(a_store_that_others_can_write_to_is_refused),
		scratch_test(a_store_of_another_user_is_refused),
		scratch_test(a_link_to_a_store_is_followed_if_it_is_ours),
		scratch_test(newer_and_damaged_versions_are_refused),
		scratch_test(a_directory_with_other_things_is_left_alone),
		scratch_test(a_store_that_was_not_finished_is_finished),
		scratch_test(a_read_only_store_is_never_written_to),
		scratch_test(the_work_of_the_dead_is_swept_and_that_of_the_living_is_not),
		scratch_test(a_work_directory_goes_away_with_all_that_is_in_it),
		scratch_test(makers_and_sweepers_do_not_disturb_each_other),
		cmocka_unit_test(the_default_path_follows_the_environment),
		scratch_test(the_same_store_opens_outside_and_as_root_of_a_user_namespace),
	};

	return run_group_tests_with_namespaces(tests, 1);
}
