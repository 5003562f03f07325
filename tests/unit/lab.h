/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TESTS_UNIT_LAB_H
#define KILN_TESTS_UNIT_LAB_H

#include "scratch.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <sys/mount.h>

/*
 * What writes images needs root in a user namespace and a mount namespace. A test's body runs in a child that has them, with
 * all ids that the tester has, in an empty directory; it fails by an error, since cmocka's asserts belong to the parent.
 */
struct lab {
	int dir_fd;
	bool has_ids; /* more than one */
	int kinds[3]; /* view-lab.h: enum view_kind, those that work here */
	size_t kind_count;
};

#define CHECK(condition)                                                                                        \
	do {                                                                                                    \
		if (!(condition))                                                                               \
			return err_set(err, ERR_SYSTEM, "%s:%d: %s (errno %d)", __FILE__, __LINE__, #condition, \
				       errno);                                                                  \
	} while (0)

#define TRY(call)                                                          \
	do {                                                               \
		if ((call) < 0)                                            \
			return err_wrap(err, "%s:%d", __FILE__, __LINE__); \
	} while (0)

/* ---- the namespace ---- */

typedef int lab_body(struct lab *lab, struct err *err);

struct lab_work {
	const char *path;
	lab_body *prepare, *body;
	bool has_ids, has_namespaces;
};

enum { LAB_NEEDS_IDS = 1 };

static inline int lab_work(int channel, void *arg, struct err *err)
{
	const struct lab_work *work = arg;
	struct lab lab = { .has_ids = work->has_ids };
	struct err cleaning = { 0 };
	int result;

	if (work->has_namespaces) {
		TRY(proc_reach(channel, LAB_NEEDS_IDS, NULL, 0, err));
		TRY(proc_pause(channel, err));
		CHECK(setgid(0) == 0 && setuid(0) == 0);
		CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	}
	umask(022);
	scope_fd int base_fd = openat(AT_FDCWD, work->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(base_fd >= 0);
	lab.dir_fd = file_make_dir(base_fd, "lab", 0755, err);
	TRY(lab.dir_fd);
	result = work->prepare ? work->prepare(&lab, err) : 0;
	if (result == 0)
		result = work->body(&lab, err);
	close(lab.dir_fd);
	/* The tester may not remove what belongs to other ids. */
	if (file_remove_tree(base_fd, "lab", &cleaning) < 0 && result == 0) {
		*err = cleaning;
		return err_wrap(err, "clean up");
	}
	return result;
}

/* The first range of /etc/subuid or subgid for the user. */
static inline bool lab_sub_range(const char *file, long *start, long *count)
{
	const struct passwd *user = getpwuid(geteuid());
	scope_file FILE *ranges = fopen(file, "re");
	char line[256], name[128];

	while (ranges && user && fgets(line, sizeof(line), ranges)) {
		if (sscanf(line, "%127[^:]:%ld:%ld", name, start, count) == 3 && strcmp(name, user->pw_name) == 0)
			return true;
	}
	return false;
}

static inline int lab_write(const char *path, const char *text, struct err *err)
{
	scope_fd int fd = openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? err_errno(err, "%s", path) : 0;
}

static inline int lab_map_by_helper(const char *helper, const char *ranges, pid_t pid, int id, struct err *err)
{
	long start, count;
	char text[4][32];

	if (!lab_sub_range(ranges, &start, &count))
		return err_set(err, ERR_NOT_FOUND, "no range in %s", ranges);
	snprintf(text[0], sizeof(text[0]), "%d", (int)pid);
	snprintf(text[1], sizeof(text[1]), "%d", id);
	snprintf(text[2], sizeof(text[2]), "%ld", start);
	snprintf(text[3], sizeof(text[3]), "%ld", count);
	const char *const argv[] = { helper, text[0], "0", text[1], "1", "1", text[2], text[3], NULL };
	struct proc_run run = { .argv = argv, .timeout_ms = 10000 };
	return proc_run(&run, err);
}

/* All extents of our own map as they are, which only a privileged user may write. */
static inline int lab_map_all(const char *kind, pid_t pid, struct err *err)
{
	scope_strbuf struct strbuf own = { 0 };
	scope_strbuf struct strbuf map = { 0 };
	char path[64];
	unsigned long in, out, count;

	snprintf(path, sizeof(path), "/proc/self/%s", kind);
	TRY(file_read(AT_FDCWD, path, 65536, &own, err));
	for (const char *line = strbuf_str(&own); *line; line = strchr(line, '\n') + 1) {
		CHECK(sscanf(line, "%lu %lu %lu", &in, &out, &count) == 3);
		strbuf_addf(&map, "%lu %lu %lu\n", in, in, count);
	}
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, kind);
	return lab_write(path, strbuf_str(&map), err);
}

static inline int lab_map_single(pid_t pid, struct err *err)
{
	char path[64], map[64];

	snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid);
	TRY(lab_write(path, "deny", err));
	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	snprintf(map, sizeof(map), "0 %d 1", (int)geteuid());
	TRY(lab_write(path, map, err));
	snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)pid);
	snprintf(map, sizeof(map), "0 %d 1", (int)getegid());
	return lab_write(path, map, err);
}

static inline bool lab_has_range(void)
{
	long start, count;

	return geteuid() == 0 ||
	       (lab_sub_range("/etc/subuid", &start, &count) && lab_sub_range("/etc/subgid", &start, &count) &&
		proc_find("newuidmap", &(struct strbuf){ 0 }, NULL) == 0);
}

static inline int lab_map(pid_t pid, bool has_ids, struct err *err)
{
	if (!has_ids)
		return lab_map_single(pid, err);
	if (geteuid() == 0)
		return lab_map_all("uid_map", pid, err) < 0 || lab_map_all("gid_map", pid, err) < 0 ? -1 : 0;
	return lab_map_by_helper("newuidmap", "/etc/subuid", pid, (int)geteuid(), err) < 0 ||
			       lab_map_by_helper("newgidmap", "/etc/subgid", pid, (int)getegid(), err) < 0
		       ? -1
		       : 0;
}

static inline void run_in_prepared_lab(void **state, lab_body *prepare, lab_body *body)
{
	const struct scratch *scratch = *state;
	struct lab_work work = { scratch->path, prepare, body, lab_has_range(), has_user_namespaces() };
	struct proc child = PROC_EMPTY;
	struct err err = { 0 };

	if (!work.has_namespaces) {
		work.has_ids = geteuid() == 0;
		assert_ok(proc_fork(&child, lab_work, &work, &err), err);
	} else {
		assert_ok(proc_clone(&child, CLONE_NEWUSER | CLONE_NEWNS, lab_work, &work, &err), err);
		assert_ok(proc_await(&child, LAB_NEEDS_IDS, NULL, &err), err);
		assert_ok(lab_map(child.pid, work.has_ids, &err), err);
		assert_ok(proc_resume(&child, &err), err);
	}
	assert_ok(proc_wait(&child, NULL, &err), err);
}

/* For tests: void test(void **state) { run_in_lab(state, body); } */
static inline void run_in_lab(void **state, lab_body *body)
{
	run_in_prepared_lab(state, NULL, body);
}

/* ---- trees ---- */

static inline int lab_put(int dir_fd, const char *path, const char *text, struct err *err)
{
	scope_fd int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	return 0;
}

static inline int lab_text(int dir_fd, const char *path, const char *want, struct err *err)
{
	scope_strbuf struct strbuf found = { 0 };

	TRY(file_read(dir_fd, path, 1 << 20, &found, err));
	if (strcmp(strbuf_str(&found), want) != 0)
		return err_set(err, ERR_SYSTEM, "%s holds \"%.100s\", not \"%s\"", path, strbuf_str(&found), want);
	return 0;
}

static inline bool lab_has(int dir_fd, const char *path)
{
	struct stat st;

	return fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Makes dir_fd/name/ and returns it. */
static inline int lab_dir(int dir_fd, const char *name, struct err *err)
{
	return file_make_dir(dir_fd, name, 0755, err);
}

#endif
