/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TESTS_UNIT_PLANTED_H
#define KILN_TESTS_UNIT_PLANTED_H

#include "lab.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "kiln/base/text.h"

/*
 * Trees as text, to make them and to say what came out. One entry a line, parents first:
 *
 *	dir/		a directory (0755)		path=text	a file (0644)
 *	path->target	a symbolic link			path==first	another name of a file
 *	path!s path!p	a socket, a fifo
 *
 * After it, where it is not as usual: " 0600", " @uid:gid", " t=SECONDS" (only for making).
 */
static inline int plant_file(int dir_fd, const char *path, const char *text, struct err *err)
{
	scope_fd int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	return 0;
}

static inline int plant_socket(int dir_fd, const char *path, struct err *err)
{
	scope_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%.60s", dir_fd, path);
	CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	return 0;
}

static inline int plant_attributes(int dir_fd, const char *path, char *word, struct err *err)
{
	unsigned uid, gid;
	long seconds;

	for (; word; word = strchr(word, ' ')) {
		word += *word == ' ';
		if (sscanf(word, "@%u:%u", &uid, &gid) == 2) {
			CHECK(fchownat(dir_fd, path, uid, gid, AT_SYMLINK_NOFOLLOW) == 0);
		} else if (sscanf(word, "t=%ld", &seconds) == 1) {
			const struct timespec times[2] = { { .tv_sec = seconds }, { .tv_sec = seconds } };
			CHECK(utimensat(dir_fd, path, times, AT_SYMLINK_NOFOLLOW) == 0);
		} else {
			CHECK(fchmodat(dir_fd, path, (mode_t)strtoul(word, NULL, 8), 0) == 0);
		}
	}
	return 0;
}

static inline int plant_entry(int dir_fd, char *line, struct err *err)
{
	char *attributes = strchr(line, ' '), *mark;

	if (attributes)
		*attributes++ = '\0';
	if ((mark = strstr(line, "->"))) {
		*mark = '\0';
		CHECK(symlinkat(mark + 2, dir_fd, line) == 0);
	} else if ((mark = strstr(line, "=="))) {
		*mark = '\0';
		CHECK(linkat(dir_fd, mark + 2, dir_fd, line, 0) == 0);
	} else if ((mark = strchr(line, '='))) {
		*mark = '\0';
		TRY(plant_file(dir_fd, line, mark + 1, err));
	} else if ((mark = strchr(line, '!'))) {
		*mark = '\0';
		if (mark[1] == 's')
			TRY(plant_socket(dir_fd, line, err));
		else
			CHECK(mknodat(dir_fd, line, S_IFIFO | 0644, 0) == 0);
	} else {
		CHECK(mkdirat(dir_fd, line, 0755) == 0);
	}
	return plant_attributes(dir_fd, line, attributes, err);
}

static inline int plant(int dir_fd, const char *tree, struct err *err)
{
	scope_free char *text = strdup(tree);
	char *next = text;

	for (char *line; (line = strsep(&next, "\n"));) {
		if (*line && plant_entry(dir_fd, line, err) < 0)
			return err_wrap(err, "%s", line);
	}
	return 0;
}

/* ---- and back ---- */

struct planted_links {
	ino_t inos[64];
	char paths[64][512];
	size_t count;
};

/* The first name of a file that has several, or NULL if this is it. */
static inline const char *planted_first(struct planted_links *links, const struct stat *st, const char *path)
{
	for (size_t i = 0; i < links->count; i++) {
		if (links->inos[i] == st->st_ino)
			return links->paths[i];
	}
	links->inos[links->count] = st->st_ino;
	snprintf(links->paths[links->count++], sizeof(links->paths[0]), "%s", path);
	return NULL;
}

static inline int planted_describe(int dir_fd, const char *prefix, struct planted_links *links, struct strbuf *text,
				   struct err *err);

static inline int planted_describe_entry(int dir_fd, const char *prefix, const char *name, struct planted_links *links,
					 struct strbuf *text, struct err *err)
{
	scope_strbuf struct strbuf content = { 0 };
	char path[512], target[256];
	const char *first = NULL;
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", prefix, name);
	CHECK(fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
	strbuf_addstr(text, path);
	if (S_ISREG(st.st_mode) && st.st_nlink > 1)
		first = planted_first(links, &st, path);
	if (S_ISLNK(st.st_mode)) {
		ssize_t len = readlinkat(dir_fd, name, target, sizeof(target));
		CHECK(len >= 0);
		strbuf_addf(text, "->%.*s", (int)len, target);
	} else if (first) {
		strbuf_addf(text, "==%s", first);
	} else if (S_ISREG(st.st_mode)) {
		TRY(file_read(dir_fd, name, 1 << 20, &content, err));
		strbuf_addf(text, "=%s", strbuf_str(&content));
	} else {
		strbuf_addstr(text, S_ISDIR(st.st_mode) ? "/" : S_ISSOCK(st.st_mode) ? "!s" : "!p");
	}
	if (!S_ISLNK(st.st_mode) && !first && (st.st_mode & 07777) != (S_ISDIR(st.st_mode) ? 0755 : 0644))
		strbuf_addf(text, " %04o", st.st_mode & 07777);
	if ((st.st_uid || st.st_gid) && !first)
		strbuf_addf(text, " @%u:%u", st.st_uid, st.st_gid);
	strbuf_addch(text, '\n');
	if (!S_ISDIR(st.st_mode))
		return 0;
	scope_fd int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s%s/", prefix, name);
	CHECK(fd >= 0);
	return planted_describe(fd, path, links, text, err);
}

static inline int planted_by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline int planted_describe(int dir_fd, const char *prefix, struct planted_links *links, struct strbuf *text,
				   struct err *err)
{
	scope_strvec struct strvec names = { 0 };
	scope_fd int list_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_dir DIR *dir = fdopendir(take_fd(&list_fd));

	CHECK(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			strvec_push(&names, entry->d_name);
	}
	if (names.count > 0)
		qsort(names.items, names.count, sizeof(char *), planted_by_name);
	for (size_t i = 0; i < names.count; i++)
		TRY(planted_describe_entry(dir_fd, prefix, names.items[i], links, text, err));
	return 0;
}

/* The tree below dir_fd in the language above, entries sorted in each directory. */
static inline int planted(int dir_fd, struct strbuf *text, struct err *err)
{
	struct planted_links links = { .count = 0 };

	return planted_describe(dir_fd, "", &links, text, err);
}

#endif
