/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "emulate.h"
#include "kiln/base/file.h"
#include "kiln/base/scope.h"

/* ---- its name in /proc ---- */

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9: of a thread that is not the first of its process */
#endif

static int open_pidfd(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, PIDFD_THREAD);

	return fd < 0 && errno == EINVAL ? (int)syscall(SYS_pidfd_open, pid, 0) : fd;
}

/* Where a container forbids a fresh /proc, the step has that of an outer pid namespace, in which processes have other
   numbers. What is said there about a file that stands for a process uses those. */
pid_t tracee_proc_pid(const struct emulator *emulator, pid_t pid)
{
	scope_strbuf struct strbuf text = { 0 };
	char name[48];

	if (emulator->has_own_proc)
		return pid;
	scope_fd int fd = open_pidfd(pid);
	snprintf(name, sizeof(name), "self/fdinfo/%d", fd);
	if (fd < 0 || file_read(emulator->proc_fd, name, 4096, &text, NULL) < 0)
		return -1;
	const char *line = strstr(strbuf_str(&text), "\nPid:");
	long found = line ? strtol(line + strlen("\nPid:"), NULL, 10) : -1;
	return found > 0 && found <= INT_MAX ? (pid_t)found : -1;
}

/* ---- credentials ---- */

static int read_number(const struct call *call, uint64_t *number)
{
	const struct emulator *emulator = call->emulator;
	struct rlimit limit;

	if (prlimit(call->pid, RLIMIT_RTTIME, NULL, &limit) < 0)
		return -errno;
	*number = limit.rlim_cur - emulator->number_base;
	return *number < emulator->table.count ? 0 : -ESRCH;
}

static int write_number(const struct call *call, uint64_t number)
{
	const struct rlimit limit = { call->emulator->number_base + number, call->emulator->number_hard };

	return prlimit(call->pid, RLIMIT_RTTIME, &limit, NULL) < 0 ? -errno : 0;
}

/* Which program runs tells whether the execve has come to pass. */
static bool runs_program(const struct call *call, const struct creds *pending)
{
	char name[32];
	struct stat st;

	snprintf(name, sizeof(name), "%d/exe", call->proc_pid);
	return fstatat(call->emulator->proc_fd, name, &st, 0) == 0 && st.st_dev == pending->dev &&
	       st.st_ino == pending->ino;
}

int tracee_creds(struct call *call, struct creds *creds)
{
	const struct creds *items = call->emulator->table.items;
	uint64_t number = 0;
	int result = read_number(call, &number);

	if (result < 0)
		return result;
	if (items[number].is_pending) {
		number = runs_program(call, &items[number]) ? items[number].if_so : items[number].if_not;
		result = write_number(call, number);
	}
	*creds = items[number];
	return result;
}

int tracee_set_creds(struct call *call, const struct creds *creds)
{
	int64_t number = creds_number(&call->emulator->table, creds);

	return number < 0 ? -EAGAIN : write_number(call, (uint64_t)number);
}

/* Pids are used again, so what was found by one counts only if the process still waits. */
bool tracee_is_valid(const struct call *call)
{
	uint64_t id = call->notif->id;

	return ioctl(call->emulator->listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* ---- memory ---- */

static ssize_t transfer(const struct call *call, uint64_t address, void *bytes, size_t len, bool is_write)
{
	struct iovec local = { bytes, len };
	struct iovec remote = { (void *)(uintptr_t)address, len }; // NOLINT(performance-no-int-to-ptr)
	char name[32];
	ssize_t count = is_write ? process_vm_writev(call->pid, &local, 1, &remote, 1, 0)
				 : process_vm_readv(call->pid, &local, 1, &remote, 1, 0);

	if (count >= 0 || (errno != EPERM && errno != ENOSYS))
		return count;
	/* Docker's filter before 20.10.8 forbids the calls where it allows the file. */
	snprintf(name, sizeof(name), "%d/mem", call->proc_pid);
	scope_fd int fd = openat(call->emulator->proc_fd, name, (is_write ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return -1;
	return is_write ? pwrite(fd, bytes, len, (off_t)address) : pread(fd, bytes, len, (off_t)address);
}

int tracee_read(const struct call *call, uint64_t address, void *bytes, size_t len)
{
	return len == 0 || transfer(call, address, bytes, len, false) == (ssize_t)len ? 0 : -EFAULT;
}

int tracee_write(const struct call *call, uint64_t address, const void *bytes, size_t len)
{
	if (!tracee_is_valid(call))
		return -ESRCH;
	return len == 0 || transfer(call, address, (void *)(uintptr_t)bytes, len, true) == (ssize_t)len ? 0 : -EFAULT;
}

/* Page by page: the text may end before memory that is not there. Most paths are short, so the first look is. */
int tracee_read_text(const struct call *call, uint64_t address, char *text, size_t size)
{
	size_t done = 0, step = 256;

	while (done < size) {
		size_t in_page = 4096 - (size_t)((address + done) & 4095);
		size_t want = size - done < step ? size - done : step;
		want = want < in_page ? want : in_page;
		if (transfer(call, address + done, text + done, want, false) != (ssize_t)want)
			return -EFAULT;
		const char *end = memchr(text + done, '\0', want);
		if (end)
			return (int)(end - text);
		done += want;
		step = 4096;
	}
	return -ENAMETOOLONG;
}

int tracee_read_path(struct call *call)
{
	call->path[0] = '\0';
	if (call->row->path < 0)
		return 0;
	return tracee_read_text(call, call_arg(call, call->row->path), call->path, sizeof(call->path));
}

mode_t tracee_umask(const struct call *call)
{
	scope_strbuf struct strbuf status = { 0 };
	char name[32];

	snprintf(name, sizeof(name), "%d/status", call->proc_pid);
	if (file_read(call->emulator->proc_fd, name, 65536, &status, NULL) < 0)
		return 022;
	const char *line = strstr(strbuf_str(&status), "\nUmask:");
	return line ? (mode_t)strtoul(line + strlen("\nUmask:"), NULL, 8) & 0777 : 022;
}
