/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox-cage.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

/* What a step is and how it ends. Walls and mounts have their own programs. */

static void a_step_is_root_with_its_environment_only(void **state)
{
	struct step step = step_in(state);
	const char *const argv[] = { "env", NULL };

	assert_int_equal(run_step(&step, argv), 0);
	assert_output(&step, "PATH=/bin\nLANG=C\nHOME=/root\n");
	run_script(&step, "id; pwd; umask; cat /etc/hostname");
	assert_output(&step, "uid=0 gid=0 groups=0\n/\n0022\nkiln\n");
	step_end(&step);
}

static void home_is_left_alone_if_it_is_set(void **state)
{
	static const char *const envp[] = { "HOME=/elsewhere", "PATH=/bin", "HOMER=x", NULL };
	const char *const argv[] = { "env", NULL };
	struct step step = step_in(state);

	step.cage.envp = envp;
	assert_int_equal(run_step(&step, argv), 0);
	assert_output(&step, "HOME=/elsewhere\nPATH=/bin\nHOMER=x\n");
	step_end(&step);
}

static void a_user_has_its_groups_and_no_capabilities(void **state)
{
	static uint32_t groups[] = { 44, 29 };
	struct step step = step_in(state);

	step.cage.user = (struct user){
		.uid = 1000, .gid = 1001, .groups = groups, .group_count = 2, .home = "/home/app"
	};
	run_script(&step, "id; echo $HOME; echo x > /tmp/f; stat -c %u:%g /tmp/f; touch /f");
	assert_output(&step,
		      "uid=1000 gid=1001 groups=29,44,1001\n/home/app\n1000:1001\ntouch: /f: Permission denied\n");
	step_end(&step);
}

static void a_user_outside_the_map_is_an_error(void **state)
{
	const char *const argv[] = { "true", NULL };
	struct step step = step_in(state);

	step.cage.user = (struct user){ .uid = 4294967294, .gid = 0 };
	/* Real root has them all. */
	if (run_step(&step, argv) < 0) {
		assert_non_null(
			strstr(step.err.msg, "become user: 4294967294:0 or one of its groups is outside the ids"));
		assert_int_equal(step.err.kind, ERR_UNSUPPORTED);
	}
	step_end(&step);
}

/* ---- its end ---- */

static void the_status_is_that_of_the_command(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "exit 0");
	assert_int_equal(step.status, 0);
	run_script(&step, "exit 42");
	assert_int_equal(step.status, 42);
	run_script(&step, "exit 255");
	assert_int_equal(step.status, 255);
	step_end(&step);
}

/* PID 1 is safe from its own signals, as everywhere; the kernel's for a fault are not to be ignored. */
static void a_command_that_is_killed_gives_the_signal(void **state)
{
	struct step step = step_in(state);

	run_script(&step, "sh -c 'kill -9 $$'; echo $?; kill -9 $$; echo alive");
	assert_output(&step, "Killed\n137\nalive\n");
	step_end(&step);
}

static void kill_step(int number)
{
	(void)number;
	if (cage_pid() > 0)
		kill(cage_pid(), SIGKILL);
	else
		alarm(1);
}

static void the_command_can_be_killed_by_its_pid(void **state)
{
	struct step step = step_in(state);

	assert_int_equal(cage_pid(), 0);
	signal(SIGALRM, kill_step);
	alarm(1);
	run_script(&step, "sleep 30");
	signal(SIGALRM, SIG_DFL);
	assert_int_equal(step.status, 128 + SIGKILL);
	assert_int_equal(cage_pid(), 0);
	step_end(&step);
}

/* The pipe ends when the last process that holds it does. */
static void what_runs_in_the_background_dies_with_the_step(void **state)
{
	const char *const argv[] = { "sh", "-c", "sleep 100 & (sleep 100 &) ; echo started", NULL };
	struct step step = step_in(state);
	int ends[2];
	char text[64] = "";

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	step.cage.argv = argv;
	step.cage.stdout_fd = step.cage.stderr_fd = ends[1];
	assert_ok(cage_run(&step.cage, &step.status, &step.err), step.err);
	close(ends[1]);
	struct pollfd end = { .fd = ends[0], .events = POLLIN };
	assert_int_equal(poll(&end, 1, 5000), 1);
	assert_int_equal(read(ends[0], text, sizeof(text)), 8);
	assert_int_equal(poll(&end, 1, 5000), 1);
	assert_int_equal(read(ends[0], text, sizeof(text)), 0);
	close(ends[0]);
	step_end(&step);
}

struct killed_job {
	struct step *step;
	const char *const *argv;
	int output_fd;
};

static int run_killed_job(int channel, void *arg, struct err *err)
{
	const struct killed_job *job = arg;
	struct cage *cage = &job->step->cage;

	(void)channel;
	cage->argv = job->argv;
	cage->stdout_fd = cage->stderr_fd = job->output_fd;
	return cage_run(cage, &job->step->status, err);
}

static void assert_dies_with_job(struct step *step, const char *const *argv)
{
	struct proc job = PROC_EMPTY;
	struct err err = { 0 };
	char text[64];
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	struct killed_job spec = { step, argv, ends[1] };
	assert_ok(proc_fork(&job, run_killed_job, &spec, &err), err);
	close(ends[1]);
	assert_int_equal(read(ends[0], text, sizeof(text)), 8);
	proc_kill(&job);
	struct pollfd end = { .fd = ends[0], .events = POLLIN };
	assert_int_equal(poll(&end, 1, 5000), 1);
	assert_int_equal(read(ends[0], text, sizeof(text)), 0);
	close(ends[0]);
}

static void a_step_dies_with_its_job(void **state)
{
	const char *const argv[] = { "sh", "-c", "echo started; sleep 100", NULL };
	struct step step = step_in(state);

	assert_dies_with_job(&step, argv);
	step_end(&step);
}

/* A set-user-id program has lost its parent-death signal: a copy of busybox that is one, as the command itself. */
static void a_set_user_id_command_dies_with_its_job_too(void **state)
{
	const char *const argv[] = { "/suid/busybox", "sh", "-c", "echo started; sleep 100", NULL };
	const struct scratch *scratch = *state;
	struct step step = step_in(state);

	put_dir(scratch->fd, "image/suid");
	assert_int_equal(linkat(scratch->fd, "image/bin/busybox", scratch->fd, "image/suid/busybox", 0), 0);
	assert_int_equal(fchmodat(scratch->fd, "image/suid/busybox", 04755, 0), 0);
	step.cage.user = (struct user){ .uid = 1000, .gid = 1000 };
	assert_dies_with_job(&step, argv);
	step_end(&step);
}

/* ---- programs ---- */

static void programs_are_found_as_docker_finds_them(void **state)
{
	static const struct {
		const char *program, *message;
		enum err_kind kind;
		int sys;
	} table[] = {
		{ "nothere", "exec: \"nothere\": executable file not found in $PATH", ERR_NOT_FOUND, ENOENT },
		{ "", "exec: \"\": executable file not found in $PATH", ERR_NOT_FOUND, ENOENT },
		{ "/no/where", "exec: \"/no/where\": stat /no/where: no such file or directory", ERR_NOT_FOUND,
		  ENOENT },
		{ "./no", "exec: \"./no\": stat ./no: no such file or directory", ERR_NOT_FOUND, ENOENT },
		{ "plain", "exec: \"plain\": permission denied", ERR_SYSTEM, EACCES },
		{ "/bin/plain", "exec: \"/bin/plain\": permission denied", ERR_SYSTEM, EACCES },
		{ "/bin", "exec: \"/bin\": is a directory", ERR_SYSTEM, EISDIR },
		{ "/bin/garbage", "exec /bin/garbage: exec format error", ERR_SYSTEM, ENOEXEC },
		{ "/bin/script", "exec /bin/script: no such file or directory", ERR_NOT_FOUND, ENOENT },
		{ "a\tb", "exec: \"a\\x09b\": executable file not found in $PATH", ERR_NOT_FOUND, ENOENT },
	};
	const struct scratch *scratch = *state;
	struct step step = step_in(state);

	put_file(scratch->fd, "image/bin/plain", "");
	put_file(scratch->fd, "image/bin/garbage", "garbage");
	put_file(scratch->fd, "image/bin/script", "#!/bin/missing\n");
	assert_int_equal(fchmodat(scratch->fd, "image/bin/garbage", 0755, 0), 0);
	assert_int_equal(fchmodat(scratch->fd, "image/bin/script", 0755, 0), 0);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const char *const argv[] = { table[i].program, NULL };
		assert_int_equal(run_step(&step, argv), -1);
		assert_string_equal(step.err.msg, table[i].message);
		assert_int_equal(step.err.kind, table[i].kind);
		assert_int_equal(step.err.sys, table[i].sys);
	}
	step_end(&step);
}

static void relative_programs_are_those_of_the_working_directory(void **state)
{
	static const char *const envp[] = { "PATH=bin:.::/bin", NULL };
	const char *const by_path[] = { "./sh", "-c", "echo ok", NULL }, *const by_name[] = { "echo", "ok", NULL };
	struct step step = step_in(state);

	step.cage.cwd = "/bin";
	assert_int_equal(run_step(&step, by_path), 0);
	assert_output(&step, "ok\n");
	step.cage.envp = envp;
	assert_int_equal(run_step(&step, by_name), 0);
	assert_output(&step, "ok\n");
	step_end(&step);
}

static void without_a_path_there_is_the_usual_one(void **state)
{
	static const char *const envp[] = { NULL };
	const char *const argv[] = { "echo", "ok", NULL };
	struct step step = step_in(state);

	step.cage.envp = envp;
	assert_int_equal(run_step(&step, argv), 0);
	assert_output(&step, "ok\n");
	step_end(&step);
}

/* ---- working directory ---- */

static void the_working_directory_is_made_for_the_user(void **state)
{
	struct step step = step_in(state);

	step.cage.user = (struct user){ .uid = 1000, .gid = 1001 };
	step.cage.cwd = "/srv/app/work";
	run_script(&step, "pwd; stat -c '%u:%g %a' . .. ../..; touch f");
	assert_output(&step, "/srv/app/work\n1000:1001 755\n1000:1001 755\n1000:1001 755\n");
	assert_true(has_name(step.cage.root_fd, "srv/app/work/f"));
	step_end(&step);
}

static void an_existing_working_directory_is_left_as_it_is(void **state)
{
	const struct scratch *scratch = *state;
	struct step step = step_in(state);

	put_dir(scratch->fd, "image/private");
	assert_int_equal(fchmodat(scratch->fd, "image/private", 0700, 0), 0);
	put_link(scratch->fd, "image/link", "/private");
	step.cage.user = (struct user){ .uid = 1000, .gid = 1001 };
	step.cage.cwd = "/link";
	run_script(&step, "readlink /proc/self/cwd; stat -c '%u:%g %a' /private");
	assert_output(&step, "/private\n0:0 700\n");
	step_end(&step);
}

static void a_file_is_no_working_directory(void **state)
{
	const char *const argv[] = { "true", NULL };
	struct step step = step_in(state);

	step.cage.cwd = "/bin/busybox";
	assert_set_up_fails(&step, argv, "working directory: /bin/busybox: ");
	step_end(&step);
}

/* ---- standard files ---- */

static void standard_input_is_empty_and_outputs_can_be_opened_by_name(void **state)
{
	struct step step = step_in(state);

	run_script(&step,
		   "cat; readlink /proc/self/fd/0; echo out >> /dev/stdout; echo err >> /dev/stderr; echo a | cat "
		   "/dev/stdin");
	assert_output(&step, "/dev/null\nout\nerr\na\n");
	step_end(&step);
}

/* A pipe belongs to who made it, so a user could not open it by name (moby#31243). */
static void a_user_can_open_its_output_by_name(void **state)
{
	const char *const argv[] = { "sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr", NULL };
	struct step step = step_in(state);
	char text[64] = "";
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	step.cage.user = (struct user){ .uid = 1000, .gid = 1000 };
	step.cage.argv = argv;
	step.cage.stdout_fd = step.cage.stderr_fd = ends[1];
	assert_ok(cage_run(&step.cage, &step.status, &step.err), step.err);
	close(ends[1]);
	assert_int_equal(read(ends[0], text, sizeof(text)), 8);
	assert_string_equal(text, "out\nerr\n");
	close(ends[0]);
	step_end(&step);
}

static void a_file_of_the_caller_keeps_its_owner(void **state)
{
	const struct scratch *scratch = *state;
	const char *const argv[] = { "echo", "out", NULL };
	struct step step = step_in(state);
	struct stat st;

	scope_fd int fd = openat(scratch->fd, "out", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	step.cage.user = (struct user){ .uid = 1000, .gid = 1000 };
	step.cage.argv = argv;
	step.cage.stdout_fd = step.cage.stderr_fd = fd;
	assert_ok(cage_run(&step.cage, &step.status, &step.err), step.err);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_uid, 0);
	assert_file(scratch->fd, "out", "out\n");
	step_end(&step);
}

static void the_three_may_be_given_in_any_order(void **state)
{
	const char *const argv[] = { "sh", "-c", "cat; echo err >&2", NULL };
	struct step step = step_in(state);
	char text[64];
	int in[2], out[2], errors[2], saved[3];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(errors, O_CLOEXEC), 0);
	assert_int_equal(write(in[1], "in\n", 3), 3);
	close(in[1]);
	fflush(stdout);
	for (int fd = 0; fd < 3; fd++)
		saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	dup2(out[1], 0);
	dup2(errors[1], 1);
	dup2(in[0], 2);
	step.cage.argv = argv;
	step.cage.stdin_fd = 2;
	step.cage.stdout_fd = 0;
	step.cage.stderr_fd = 1;
	int result = cage_run(&step.cage, &step.status, &step.err);
	for (int fd = 0; fd < 3; fd++) {
		dup2(saved[fd], fd);
		close(saved[fd]);
	}
	assert_ok(result, step.err);
	assert_int_equal(read(out[0], text, sizeof(text)), 3);
	assert_memory_equal(text, "in\n", 3);
	assert_int_equal(read(errors[0], text, sizeof(text)), 4);
	assert_memory_equal(text, "err\n", 4);
	close(in[0]);
	close(out[0]);
	close(out[1]);
	close(errors[0]);
	close(errors[1]);
	step_end(&step);
}

static void a_terminal_becomes_the_controlling_one(void **state)
{
	const char *const argv[] = { "sh", "-c", "echo to-the-terminal > /dev/tty; test -t 0 && echo stdin", NULL };
	struct step step = step_in(state);
	scope_fd int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char text[256] = "";

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
		print_message("# no terminal can be made here\n");
		return;
	}
	scope_fd int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	step.cage.argv = argv;
	step.cage.tty = true;
	step.cage.stdin_fd = step.cage.stdout_fd = step.cage.stderr_fd = slave;
	assert_ok(cage_run(&step.cage, &step.status, &step.err), step.err);
	assert_int_equal(step.status, 0);
	assert_true(read(master, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "to-the-terminal\r\nstdin\r\n");
	step_end(&step);
}

static void a_builder_with_many_open_files_is_no_obstacle(void **state)
{
	struct step step = step_in(state);
	struct rlimit before, limit;
	int count = 0, fds[1500];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (count < 1500 && (fds[count] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) >= 0)
		count++;
	run_script(&step, "ulimit -Sn");
	assert_true(strtol(step.output, NULL, 10) <= 1024);
	while (count > 0)
		close(fds[--count]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	step_end(&step);
}

/* ---- after it ---- */

static int count_files(void)
{
	return count_names(AT_FDCWD, "/proc/self/fd");
}

static void nothing_is_left_open_or_running(void **state)
{
	const char *const good[] = { "true", NULL }, *const bad[] = { "nothere", NULL };
	struct step step = step_in(state);
	int before = count_files();

	assert_int_equal(run_step(&step, good), 0);
	assert_int_equal(run_step(&step, bad), -1);
	step.cage.user.uid = 1000;
	assert_int_equal(run_step(&step, good), 0);
	assert_int_equal(count_files(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	step_end(&step);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cage_test(a_step_is_root_with_its_environment_only),
		cage_test(home_is_left_alone_if_it_is_set),
		cage_test(a_user_has_its_groups_and_no_capabilities),
		cage_test(a_user_outside_the_map_is_an_error),
		cage_test(the_status_is_that_of_the_command),
		cage_test(a_command_that_is_killed_gives_the_signal),
		cage_test(the_command_can_be_killed_by_its_pid),
		cage_test(what_runs_in_the_background_dies_with_the_step),
		cage_test(a_step_dies_with_its_job),
		cage_test(a_set_user_id_command_dies_with_its_job_too),
		cage_test(programs_are_found_as_docker_finds_them),
		cage_test(relative_programs_are_those_of_the_working_directory),
		cage_test(without_a_path_there_is_the_usual_one),
		cage_test(the_working_directory_is_made_for_the_user),
		cage_test(an_existing_working_directory_is_left_as_it_is),
		cage_test(a_file_is_no_working_directory),
		cage_test(standard_input_is_empty_and_outputs_can_be_opened_by_name),
		cage_test(a_user_can_open_its_output_by_name),
		cage_test(a_file_of_the_caller_keeps_its_owner),
		cage_test(the_three_may_be_given_in_any_order),
		cage_test(a_terminal_becomes_the_controlling_one),
		cage_test(a_builder_with_many_open_files_is_no_obstacle),
		cage_test(nothing_is_left_open_or_running),
	};

	return run_in_coordinator(tests, ARRAY_LEN(tests), 0);
}
