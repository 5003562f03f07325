/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/scope.h"
#include "kiln/codec/digest.h"
#include "kiln/layer/layer.h"

/*
 * How fast a layer is made of a tree, and a tree of a layer: 16,000 files, 300 MB, sizes spread like those of /usr. Beside each
 * stands what cannot be saved: one SHA-256 over the bytes, and openat + write + metadata for each file.
 *
 *	bench-layer [DIRECTORY]		works below DIRECTORY, default $TMPDIR or /tmp; CPU seconds are the process's own
 */
enum { FILES = 16000, PER_DIR = 40 };

struct mark {
	struct timespec wall;
	double cpu;
};

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static struct mark start(void)
{
	struct mark mark = { .cpu = cpu_seconds() };

	clock_gettime(CLOCK_MONOTONIC, &mark.wall);
	return mark;
}

static void stop(const struct mark *mark, const char *what, int64_t bytes)
{
	struct timespec now;
	double cpu = cpu_seconds() - mark->cpu;

	clock_gettime(CLOCK_MONOTONIC, &now);
	double wall = (double)(now.tv_sec - mark->wall.tv_sec) + (double)(now.tv_nsec - mark->wall.tv_nsec) / 1e9;
	printf("%-34s %7.3f s wall %7.3f s cpu %7.0f MB/s %8.0f files/s\n", what, wall, cpu, (double)bytes / 1e6 / wall,
	       FILES / wall);
	fflush(stdout);
}

static void check(int result, const struct err *err)
{
	if (result >= 0)
		return;
	fprintf(stderr, "bench-layer: %s\n", err->msg);
	exit(1);
}

static int make_dir(int dir_fd, const char *name)
{
	struct err err;
	int fd = file_make_dir(dir_fd, name, 0755, &err);

	check(fd, &err);
	return fd;
}

/* Half of the files below 4 kB, a few large ones: about 300 MB in all. */
static size_t size_of(int number)
{
	static const size_t sizes[] = { 200, 900, 1800, 3600, 5000, 9000, 20000, 60000 };

	return number % 200 == 199 ? 1000000 : sizes[number % 8] + (size_t)(number * 37 % 500);
}

static void write_file(int dir_fd, const char *name, const char *bytes, size_t size)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1600000000 } };
	scope_fd int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || fchown(fd, geteuid(), getegid()) < 0 ||
	    fchmod(fd, 0644) < 0 || futimens(fd, times) < 0) {
		perror("bench-layer");
		exit(1);
	}
}

static int64_t make_files(int tree)
{
	static char bytes[1100000];
	scope_fd int dir = -1;
	int64_t total = 0;
	char name[32];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 2654435761U >> 24);
	for (int i = 0; i < FILES; i++) {
		if (i % PER_DIR == 0) {
			(void)snprintf(name, sizeof(name), "dir%03d", i / PER_DIR);
			scope_close_fd(&dir);
			dir = make_dir(tree, name);
		}
		(void)snprintf(name, sizeof(name), "file%05d", i);
		size_t size = size_of(i);
		write_file(dir, name, bytes + i % 1000, size);
		total += (int64_t)size;
	}
	return total;
}

static void bench_hash(int64_t bytes)
{
	static char chunk[256 * 1024];
	scope_hasher struct hasher *hasher = hasher_new();
	struct digest digest;
	struct mark mark = start();

	for (int64_t left = bytes; left > 0; left -= (int64_t)sizeof(chunk))
		hasher_update(hasher, chunk, left < (int64_t)sizeof(chunk) ? (size_t)left : sizeof(chunk));
	hasher_final(hasher, &digest);
	stop(&mark, "sha256 of so many bytes", bytes);
}

static void bench_diff(const char *what, int upper, const int *lowers, size_t count, struct strbuf *recipe,
		       int64_t bytes)
{
	scope_writer struct writer *out = writer_strbuf(recipe);
	struct mark mark = start();
	struct layer_stats stats;
	struct err err;

	check(layer_diff(upper, lowers, count, &(struct layer_diff_options){ INT64_MAX }, out, &stats, &err), &err);
	stop(&mark, what, bytes);
	printf("  %lld entries, tar of %lld bytes, recipe of %zu bytes\n", (long long)stats.entries,
	       (long long)stats.size, recipe->len);
}

static void bench_replay(int tree, const struct strbuf *recipe, struct strbuf *tar, int64_t bytes)
{
	scope_reader struct reader *in = reader_bytes(recipe->ptr, recipe->len);
	scope_writer struct writer *out = writer_strbuf(tar);
	struct mark mark;
	struct err err;

	strbuf_reserve(tar, (size_t)bytes + (size_t)FILES * 1200);
	memset(tar->ptr, 0, tar->cap);
	mark = start();
	check(layer_replay(in, tree, out, &err), &err);
	stop(&mark, "replay into memory", bytes);
}

static void bench_apply(const char *what, int tree, unsigned flags, const struct strbuf *tar, int64_t bytes)
{
	scope_reader struct reader *in = reader_bytes(tar->ptr, tar->len);
	struct layer_stats stats;
	struct mark mark = start();
	struct err err;

	check(layer_apply(in, tree, &(struct layer_apply_options){ .flags = flags }, "tar", &stats, &err), &err);
	stop(&mark, what, bytes);
}

int main(int argc, char **argv)
{
	const char *base = argc > 1 ? argv[1] : getenv("TMPDIR");
	scope_strbuf struct strbuf recipe = { 0 }, again = { 0 }, tar = { 0 };
	char path[256];
	struct err err;

	(void)snprintf(path, sizeof(path), "%s/bench-layer-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(path)) {
		perror(path);
		return 1;
	}
	scope_fd int top = file_open_user(path, O_RDONLY | O_DIRECTORY, 0, &err);
	check(top, &err);
	scope_fd int upper = make_dir(top, "upper");
	struct mark mark = start();
	int64_t bytes = make_files(upper);
	stop(&mark, "openat, write, metadata", bytes);

	bench_hash(bytes);
	bench_diff("diff, all new", upper, NULL, 0, &recipe, bytes);
	bench_replay(upper, &recipe, &tar, bytes);
	scope_fd int tree = make_dir(top, "tree");
	bench_apply("apply as layer tree", tree, LAYER_APPLY_AS_TREE, &tar, bytes);
	bench_diff("diff, all equal to what is below", tree, &upper, 1, &again, bytes);
	scope_fd int plain = make_dir(top, "plain");
	bench_apply("apply onto a plain tree", plain, 0, &tar, bytes);
	check(file_remove_tree(AT_FDCWD, path, &err), &err);
	return 0;
}
