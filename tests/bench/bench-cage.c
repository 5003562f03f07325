/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>

#include "kiln/base/file.h"
#include "kiln/base/proc.h"
#include "kiln/base/scope.h"
#include "kiln/sandbox/sandbox.h"

/* Prints what a step costs before its command does anything: /bin/true of busybox, in the cage and without. The figures are for
   people: nothing is asserted. */

enum { RUNS = 40 };

struct times {
	double wall[RUNS], cpu[RUNS];
};

static double clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Of this process and of the children that it has waited for. */
static double cpu_ms(void)
{
	struct rusage own, children;

	getrusage(RUSAGE_SELF, &own);
	getrusage(RUSAGE_CHILDREN, &children);
	return (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec + children.ru_utime.tv_sec +
			children.ru_stime.tv_sec) *
		       1e3 +
	       (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec + children.ru_utime.tv_usec +
			children.ru_stime.tv_usec) /
		       1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(const char *what, struct times *times)
{
	qsort(times->wall, RUNS, sizeof(double), compare);
	qsort(times->cpu, RUNS, sizeof(double), compare);
	printf("%-44s %7.2f %7.2f %7.2f\n", what, times->wall[0], times->wall[RUNS / 2], times->cpu[RUNS / 2]);
}

static void die(const struct err *err)
{
	printf("%s\n", err->msg);
	exit(EXIT_FAILURE);
}

typedef int bench_work(void *arg, struct err *err);

static void measure(const char *what, bench_work *work, void *arg)
{
	struct times times;
	struct err err = { 0 };

	for (size_t i = 0; i < RUNS; i++) {
		double wall = clock_ms(CLOCK_MONOTONIC), cpu = cpu_ms();
		if (work(arg, &err) < 0)
			die(&err);
		times.wall[i] = clock_ms(CLOCK_MONOTONIC) - wall;
		times.cpu[i] = cpu_ms() - cpu;
	}
	print(what, &times);
}

/* ---- what is measured ---- */

static int run_bare(void *arg, struct err *err)
{
	static const char *const argv[] = { "/bin/busybox", "true", NULL };
	const struct proc_run run = { .argv = argv, .timeout_ms = 10000 };

	(void)arg;
	return proc_run(&run, err);
}

static int run_caged(void *arg, struct err *err)
{
	const struct cage *cage = arg;
	int status;

	return cage_run(cage, &status, err);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int enter(void *arg, struct err *err)
{
	int status;

	return sandbox_enter(ISOLATION_MAPPED, nothing, arg, &status, err);
}

static int measure_inside(void *arg)
{
	static const char *const argv[] = { "/bin/busybox", "true", NULL }, *const envp[] = { "PATH=/bin", NULL };
	/* A directory is cloned in the mount namespace that it was opened in, so it is opened here. */
	scope_fd int root_fd = openat(AT_FDCWD, arg, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err err = { 0 };
	struct cage cage = { .root_fd = root_fd,
			     .argv = argv,
			     .envp = envp,
			     .cwd = "/",
			     .user = { .home = "/" },
			     .stdin_fd = -1,
			     .stdout_fd = STDOUT_FILENO,
			     .stderr_fd = STDERR_FILENO };

	double since = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
	if (cage_prepare(NULL, &err) < 0)
		die(&err);
	printf("%-44s %23.2f\n", "compile the seccomp profile (once a build)",
	       clock_ms(CLOCK_PROCESS_CPUTIME_ID) - since);
	measure("run /bin/true without a cage", run_bare, NULL);
	measure("in the cage, network of the host (goal: 15)", run_caged, &cage);
	cage.user.uid = cage.user.gid = 1000;
	measure("in the cage, as a user", run_caged, &cage);
	cage.user.uid = cage.user.gid = 0;
	cage.network = NETWORK_NONE;
	measure("in the cage, no network", run_caged, &cage);
	return 0;
}

/* A root with one program and none of the mount points: the most that there is to do. */
static void make_root(int dir_fd)
{
	scope_fd int from = openat(AT_FDCWD, "/bin/busybox", O_RDONLY | O_CLOEXEC);
	struct stat st;

	/* The step as a user needs to get in. */
	if (fchmod(dir_fd, 0755) < 0 || from < 0 || fstat(from, &st) < 0 || mkdirat(dir_fd, "bin", 0755) < 0)
		exit(EXIT_FAILURE);
	scope_fd int to = openat(dir_fd, "bin/busybox", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	if (to < 0 || sendfile(to, from, NULL, (size_t)st.st_size) != st.st_size)
		exit(EXIT_FAILURE);
}

int main(void)
{
	char path[] = "/tmp/kiln-bench-XXXXXX";
	struct err err = { 0 };
	int status = EXIT_FAILURE;

	if (!mkdtemp(path))
		return EXIT_FAILURE;
	scope_fd int root_fd = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	make_root(root_fd);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%-44s %7s %7s %7s\n", "milliseconds", "min", "median", "cpu");
	measure("enter the user namespace (once a build)", enter, NULL);

	if (sandbox_enter(ISOLATION_MAPPED, measure_inside, path, &status, &err) < 0)
		printf("%s\n", err.msg);
	if (file_remove_tree(AT_FDCWD, path, &err) < 0)
		die(&err);
	return status;
}
