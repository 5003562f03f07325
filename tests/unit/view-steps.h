/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TESTS_UNIT_VIEW_STEPS_H
#define KILN_TESTS_UNIT_VIEW_STEPS_H

#include "view-lab.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

/*
 * What the programs of a RUN step do to a tree, at random but the same for the same seed: so that all views can be asked
 * for the same work. Failures are part of it; they must be the same everywhere too.
 *
 * Gentle steps leave out what fuse-overlayfs is known to do wrongly (src/view/fuse-repair.h).
 *
 * Left out is what kernel overlay is known to do differently: changing a file of a lower layer through one of its several
 * names changes that name only. Such files ("frozen") may be removed and replaced, not changed, renamed or linked.
 */
struct steps {
	int root_fd;
	bool has_ids;
	bool is_gentle;
	uint64_t random;
	struct strvec frozen; /* borrowed by all views of a step, so that they decide alike */
};

enum { STEPS_PAST = 1000000000 }; /* the clamp of the tests; all times that steps set are before it */

/* Random steps run into each other: one that cannot be done is no step. */
static inline void may_fail(int result)
{
	(void)result;
}

static inline unsigned steps_pick(struct steps *steps, unsigned count)
{
	steps->random ^= steps->random << 13;
	steps->random ^= steps->random >> 7;
	steps->random ^= steps->random << 17;
	return (unsigned)((steps->random >> 11) % count);
}

/* Few names, so that operations meet each other; some are hostile. */
static inline void steps_path(struct steps *steps, char *path, size_t size)
{
	static const char *const names[] = { "a", "b", "c", "a-b", "d", "\xff\n", "e" };
	unsigned depth = 1 + steps_pick(steps, 4);
	size_t len = 0;

	for (unsigned i = 0; i < depth; i++)
		len += (size_t)snprintf(path + len, size - len, "%s%s", i ? "/" : "",
					names[steps_pick(steps, ARRAY_LEN(names))]);
}

static inline bool steps_is_frozen(const struct steps *steps, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < steps->frozen.count; i++) {
		const char *frozen = steps->frozen.items[i];
		if (strncmp(frozen, path, len) == 0 && (frozen[len] == '\0' || frozen[len] == '/'))
			return true;
	}
	return false;
}

static inline int steps_open(const struct steps *steps, const char *path, int flags)
{
	return openat(steps->root_fd, path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
}

/* Writing into a file whose mode or capability gives privileges takes these from it, but not everywhere in FUSE. */
static inline bool steps_may_write(const struct steps *steps, const char *path)
{
	struct stat st;

	if (steps_is_frozen(steps, path))
		return false;
	if (!steps->is_gentle || fstatat(steps->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return true;
	scope_fd int fd = steps_open(steps, path, O_RDONLY);
	return !(st.st_mode & 06000) && fgetxattr(fd, "security.capability", NULL, 0) < 0;
}

static inline void steps_fill(struct steps *steps, int fd, off_t at, size_t len)
{
	char bytes[9000];

	for (size_t i = 0; i < len && i < sizeof(bytes); i++)
		bytes[i] = (char)('a' + steps_pick(steps, 26));
	if (fd >= 0 && pwrite(fd, bytes, len < sizeof(bytes) ? len : sizeof(bytes), at) < 0)
		return;
}

/* ---- operations ---- */

static inline void step_write(struct steps *steps, const char *path)
{
	size_t len = steps_pick(steps, 6000);
	scope_fd int fd = !steps_may_write(steps, path) ? -1 : steps_open(steps, path, O_RDWR | O_CREAT | O_TRUNC);

	steps_fill(steps, fd, 0, len);
}

static inline void step_rewrite_with_time_put_back(struct steps *steps, const char *path)
{
	scope_fd int fd = !steps_may_write(steps, path) ? -1 : steps_open(steps, path, O_RDWR);
	struct stat st = { 0 };

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size < 9000)
		steps_fill(steps, fd, 0, (size_t)st.st_size);
	/* The nanoseconds are of the real clock: those would differ from view to view. */
	if (fd >= 0)
		futimens(fd, (struct timespec[]){ { .tv_sec = st.st_mtim.tv_sec }, { .tv_sec = st.st_mtim.tv_sec } });
}

static inline void step_append(struct steps *steps, const char *path)
{
	scope_fd int fd = !steps_may_write(steps, path) ? -1 : steps_open(steps, path, O_WRONLY | O_APPEND);

	steps_fill(steps, fd, 0, 1 + steps_pick(steps, 100));
}

static inline void step_sparse(struct steps *steps, const char *path)
{
	scope_fd int fd = !steps_may_write(steps, path) ? -1 : steps_open(steps, path, O_RDWR | O_CREAT);

	steps_fill(steps, fd, (off_t)(1 + steps_pick(steps, 8)) * 65536, 10);
	if (fd >= 0 && steps_pick(steps, 2) && ftruncate(fd, 1000000) < 0)
		return;
}

static inline void step_by_map(struct steps *steps, const char *path)
{
	scope_fd int fd = !steps_may_write(steps, path) ? -1 : steps_open(steps, path, O_RDWR);
	char letter = (char)('A' + steps_pick(steps, 26));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return;
	char *map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return;
	map[st.st_size / 2] = letter;
	munmap(map, (size_t)st.st_size);
}

/* Where the view cannot, a program would write the file plainly. */
static inline void step_tmpfile(struct steps *steps, const char *path)
{
	char parent[512], from[64];
	const char *name = strrchr(path, '/');

	snprintf(parent, sizeof(parent), "%.*s", name ? (int)(name - path) : 1, name ? path : ".");
	scope_fd int dir_fd = openat(steps->root_fd, parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	name = name ? name + 1 : path;
	if (dir_fd < 0)
		return;
	scope_fd int fd = openat(dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0640);
	if (fd < 0) {
		scope_fd int plain_fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
		steps_fill(steps, plain_fd, 0, 50);
		return;
	}
	steps_fill(steps, fd, 0, 50);
	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	may_fail(linkat(AT_FDCWD, from, dir_fd, name, AT_SYMLINK_FOLLOW));
}

static inline void step_unlink(struct steps *steps, const char *path)
{
	may_fail(unlinkat(steps->root_fd, path, 0));
}

static inline void step_remove(struct steps *steps, const char *path)
{
	if (lab_has(steps->root_fd, path) && file_remove_tree(steps->root_fd, path, NULL) < 0)
		return;
}

static inline void step_mkdir(struct steps *steps, const char *path)
{
	static const mode_t modes[] = { 0755, 0700, 02775, 01777, 0555 };
	mode_t mode = modes[steps_pick(steps, ARRAY_LEN(modes))] & (steps->is_gentle ? 01777 : 07777);

	if (mkdirat(steps->root_fd, path, 0755) == 0)
		may_fail(fchmodat(steps->root_fd, path, mode, 0));
}

static inline void step_remake_dir(struct steps *steps, const char *path)
{
	char below[512];

	step_remove(steps, path);
	may_fail(mkdirat(steps->root_fd, path, 0755));
	snprintf(below, sizeof(below), "%s/a", path);
	step_write(steps, below);
}

static inline void steps_copy_below(int from_fd, const char *from, int to_fd, const char *to)
{
	struct stat st;

	if (fstatat(from_fd, from, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISSOCK(st.st_mode) ||
	    layer_copy_entry(from_fd, from, &st, to_fd, to, NULL) < 0 || !S_ISDIR(st.st_mode))
		return;
	scope_fd int old_fd = openat(from_fd, from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_fd int new_fd = openat(to_fd, to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_fd int list_fd = openat(from_fd, from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *dir = fdopendir(take_fd(&list_fd));
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			steps_copy_below(old_fd, entry->d_name, new_fd, entry->d_name);
	}
	futimens(new_fd, (struct timespec[]){ st.st_atim, st.st_mtim });
}

static inline mode_t steps_type(const struct steps *steps, const char *path)
{
	struct stat st;

	return fstatat(steps->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode & S_IFMT : 0;
}

/* mv: overlays refuse to rename directories of lower layers, and then it copies. */
static inline void step_rename(struct steps *steps, const char *path)
{
	char to[512];
	struct stat st;

	steps_path(steps, to, sizeof(to));
	if (steps_is_frozen(steps, path) || steps_is_frozen(steps, to) ||
	    (steps->is_gentle && steps_type(steps, path) == S_IFLNK))
		return;
	if (renameat(steps->root_fd, path, steps->root_fd, to) == 0 || errno != EXDEV)
		return;
	if (lab_has(steps->root_fd, to) && unlinkat(steps->root_fd, to, AT_REMOVEDIR) < 0)
		return;
	if (fstatat(steps->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		steps_copy_below(steps->root_fd, path, steps->root_fd, to);
		step_remove(steps, path);
	}
}

static inline void step_link(struct steps *steps, const char *path)
{
	char to[512];

	steps_path(steps, to, sizeof(to));
	if (!steps_is_frozen(steps, path) && !(steps->is_gentle && steps_type(steps, path) == S_IFLNK))
		may_fail(linkat(steps->root_fd, path, steps->root_fd, to, 0));
}

static inline void step_symlink(struct steps *steps, const char *path)
{
	char to[512], apart[600];

	steps_path(steps, to, sizeof(to));
	snprintf(apart, sizeof(apart), "%s.link", path);
	/* fuse-overlayfs follows a link of a lower layer where a directory has taken its place above. */
	may_fail(symlinkat(to, steps->root_fd, steps->is_gentle ? apart : path));
}

static inline void step_fifo(struct steps *steps, const char *path)
{
	if (!steps->is_gentle)
		may_fail(mknodat(steps->root_fd, path, S_IFIFO | 0600, 0));
}

static inline void step_chmod(struct steps *steps, const char *path)
{
	static const mode_t modes[] = { 0600, 0644, 04755, 02755, 0, 0777 };
	mode_t mode = modes[steps_pick(steps, ARRAY_LEN(modes))];

	if (steps->is_gentle)
		mode &= 01777;
	if (!steps_is_frozen(steps, path) && steps_type(steps, path) != S_IFLNK)
		may_fail(fchmodat(steps->root_fd, path, mode, 0));
}

static inline void step_chown(struct steps *steps, const char *path)
{
	unsigned uid = steps_pick(steps, 100), gid = steps_pick(steps, 100);

	if (!steps_is_frozen(steps, path) && steps->has_ids &&
	    !(steps->is_gentle && steps_type(steps, path) == S_IFLNK))
		may_fail(fchownat(steps->root_fd, path, uid, gid, AT_SYMLINK_NOFOLLOW));
}

static inline void step_time(struct steps *steps, const char *path)
{
	struct timespec time = { .tv_sec = STEPS_PAST - 10000 + steps_pick(steps, 9000) };

	if (!steps_is_frozen(steps, path))
		utimensat(steps->root_fd, path, (struct timespec[]){ time, time }, AT_SYMLINK_NOFOLLOW);
}

static inline void step_xattr(struct steps *steps, const char *path)
{
	static const char *const names[] = { "user.one", "user.two" };
	const char *name = names[steps_pick(steps, 2)];
	unsigned what = steps_pick(steps, 4);
	struct stat st;

	if (steps_is_frozen(steps, path) || fstatat(steps->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return;
	scope_fd int fd = steps_open(steps, path, O_RDONLY);
	if (fd >= 0 && what > 0)
		fsetxattr(fd, name, "value", what + 1, 0);
	else if (fd >= 0)
		fremovexattr(fd, name);
}

static inline void step_capability(struct steps *steps, const char *path)
{
	/* VFS_CAP_REVISION_2, cap_net_raw permitted and effective */
	static const unsigned char value[20] = { 1, 0, 0, 2, 0, 0x20 };
	scope_fd int fd = steps_is_frozen(steps, path) ? -1 : steps_open(steps, path, O_RDONLY);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		fsetxattr(fd, "security.capability", value, sizeof(value), 0);
}

static inline void step_socket(struct steps *steps, const char *path)
{
	scope_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	/* Its own name: settling upper cannot know what lies below a socket. */
	if (snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%.40s.sock", steps->root_fd, path) >
	    0)
		(void)!bind(fd, (const struct sockaddr *)&address, sizeof(address));
}

static inline void steps_run(struct steps *steps, unsigned count)
{
	static const struct {
		const char *name;
		void (*run)(struct steps *steps, const char *path);
		unsigned weight;
	} operations[] = {
		{ "write", step_write, 6 },
		{ "rewrite", step_rewrite_with_time_put_back, 3 },
		{ "append", step_append, 2 },
		{ "sparse", step_sparse, 1 },
		{ "map", step_by_map, 2 },
		{ "tmpfile", step_tmpfile, 2 },
		{ "unlink", step_unlink, 4 },
		{ "remove", step_remove, 1 },
		{ "mkdir", step_mkdir, 7 },
		{ "remake", step_remake_dir, 2 },
		{ "rename", step_rename, 5 },
		{ "link", step_link, 3 },
		{ "symlink", step_symlink, 2 },
		{ "fifo", step_fifo, 1 },
		{ "chmod", step_chmod, 3 },
		{ "chown", step_chown, 3 },
		{ "time", step_time, 3 },
		{ "xattr", step_xattr, 3 },
		{ "capability", step_capability, 1 },
		{ "socket", step_socket, 1 },
	};
	const char *only = getenv("STEPS_LOG");
	unsigned total = 0;
	char path[512];

	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		total += operations[i].weight;
	while (count-- > 0) {
		unsigned chosen = steps_pick(steps, total), i = 0;
		for (; chosen >= operations[i].weight; i++)
			chosen -= operations[i].weight;
		steps_path(steps, path, sizeof(path));
		uint64_t before = steps->random;
		operations[i].run(steps, path);
		/* Whatever an operation drew, the next one starts from the same place. */
		steps->random = before * 0x9e3779b97f4a7c15ULL + 1;
		if (only)
			fprintf(stderr, "# %s %s\n", operations[i].name, path);
	}
}

/* ---- what a tree holds ---- */

static inline int steps_describe_xattrs(int fd, struct strbuf *text, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	const struct layer_xattr *xattrs;
	size_t count;

	TRY(layer_read_xattrs(&arena, fd, &xattrs, &count, err));
	for (size_t i = 0; i < count; i++) {
		strbuf_addf(text, " %s=", xattrs[i].name);
		for (size_t j = 0; j < xattrs[i].len; j++)
			strbuf_addf(text, "%02x", ((const unsigned char *)xattrs[i].value)[j]);
	}
	return 0;
}

static inline int steps_describe_content(int fd, struct strbuf *text, struct err *err)
{
	scope_strbuf struct strbuf bytes = { 0 };
	struct digest digest;
	char hex[DIGEST_HEX + 1];

	TRY(file_read_fd(fd, 4 << 20, &bytes, "file", err));
	digest_bytes(&digest, strbuf_str(&bytes), bytes.len);
	strbuf_addf(text, " %.16s", digest_hex(&digest, hex));
	return 0;
}

static inline int steps_describe(int dir_fd, const char *prefix, struct strbuf *text, struct err *err);

static inline int steps_describe_entry(int dir_fd, const char *prefix, const char *name, struct strbuf *text,
				       struct err *err)
{
	char path[1024], target[512], shown[2048];
	struct stat st;

	CHECK(fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
	if (S_ISSOCK(st.st_mode))
		return 0;
	snprintf(path, sizeof(path), "%s%s", prefix, name);
	strbuf_addf(text, "%s %o %u:%u %s%010lld", err_printable(shown, sizeof(shown), path), st.st_mode, st.st_uid,
		    st.st_gid, S_ISDIR(st.st_mode) ? "since " : "",
		    (long long)(st.st_mtim.tv_sec > STEPS_PAST ? STEPS_PAST : st.st_mtim.tv_sec));
	if (S_ISLNK(st.st_mode)) {
		ssize_t len = readlinkat(dir_fd, name, target, sizeof(target));
		CHECK(len >= 0);
		strbuf_addf(text, " -> %.*s\n", (int)len, target);
		return 0;
	}
	scope_fd int fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	CHECK(fd >= 0);
	if (S_ISREG(st.st_mode)) {
		strbuf_addf(text, " %lld", (long long)st.st_size);
		TRY(steps_describe_content(fd, text, err));
	}
	TRY(steps_describe_xattrs(fd, text, err));
	strbuf_addch(text, '\n');
	snprintf(path, sizeof(path), "%s%s/", prefix, name);
	return S_ISDIR(st.st_mode) ? steps_describe(fd, path, text, err) : 0;
}

static inline int steps_by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One line for each entry below dir_fd, without what a layer does not keep. */
static inline int steps_describe(int dir_fd, const char *prefix, struct strbuf *text, struct err *err)
{
	scope_strvec struct strvec names = { 0 };
	scope_fd int list_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *dir = fdopendir(take_fd(&list_fd));

	CHECK(dir);
	for (struct dirent *entry; (errno = 0, entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			strvec_push(&names, entry->d_name);
	}
	CHECK(errno == 0);
	if (names.count > 0)
		qsort(names.items, names.count, sizeof(char *), steps_by_name);
	for (size_t i = 0; i < names.count; i++)
		TRY(steps_describe_entry(dir_fd, prefix, names.items[i], text, err));
	return 0;
}

/* Takes the times of directories out of a description. */
static inline void steps_forget_dir_times(struct strbuf *text)
{
	for (char *since = text->ptr; since && (since = strstr(since, " since "));) {
		since += strlen(" since ");
		for (; *since >= '0' && *since <= '9'; since++)
			*since = 'x';
	}
}

/* Appends the paths below dir_fd of files with several names. */
static inline int steps_find_linked(int dir_fd, const char *prefix, struct strvec *found, struct err *err)
{
	scope_fd int list_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *dir = fdopendir(take_fd(&list_fd));
	struct stat st;

	CHECK(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		char path[1024];
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		CHECK(fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0);
		snprintf(path, sizeof(path), "%s%s", prefix, entry->d_name);
		if (S_ISDIR(st.st_mode)) {
			scope_fd int fd = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			snprintf(path, sizeof(path), "%s%s/", prefix, entry->d_name);
			TRY(steps_find_linked(fd, path, found, err));
		} else if (st.st_nlink > 1 && !S_ISCHR(st.st_mode)) {
			strvec_push(found, path);
		}
	}
	return 0;
}

/* Where two descriptions part. */
static inline int steps_compare(const char *a_name, const struct strbuf *a, const char *b_name, const struct strbuf *b,
				struct err *err)
{
	const char *x = strbuf_str(a), *y = strbuf_str(b), *x_line = x, *y_line = y;

	for (; *x && *x == *y; x++, y++) {
		if (*x == '\n') {
			x_line = x + 1;
			y_line = y + 1;
		}
	}
	if (*x == *y)
		return 0;
	return err_set(err, ERR_SYSTEM, "%s and %s differ:\n  %.*s\n  %.*s", a_name, b_name, (int)strcspn(x_line, "\n"),
		       x_line, (int)strcspn(y_line, "\n"), y_line);
}

#endif
