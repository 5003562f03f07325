/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/proc.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/sandbox/foreign.h"

#if defined(__x86_64__)
#define NATIVE "amd64"
#define COMPAT "386"
#elif defined(__aarch64__)
#define NATIVE "arm64"
#define COMPAT "arm"
#else
#define NATIVE ""
#define COMPAT ""
#endif

static const struct machine {
	const char *architecture;
	unsigned char class, data;
	uint16_t machine;
} machines[] = {
	{ "386", ELFCLASS32, ELFDATA2LSB, EM_386 },       { "amd64", ELFCLASS64, ELFDATA2LSB, EM_X86_64 },
	{ "arm", ELFCLASS32, ELFDATA2LSB, EM_ARM },       { "arm64", ELFCLASS64, ELFDATA2LSB, EM_AARCH64 },
	{ "loong64", ELFCLASS64, ELFDATA2LSB, 258 },      { "mips", ELFCLASS32, ELFDATA2MSB, EM_MIPS },
	{ "mips64", ELFCLASS64, ELFDATA2MSB, EM_MIPS },   { "mips64le", ELFCLASS64, ELFDATA2LSB, EM_MIPS },
	{ "mipsle", ELFCLASS32, ELFDATA2LSB, EM_MIPS },   { "ppc64", ELFCLASS64, ELFDATA2MSB, EM_PPC64 },
	{ "ppc64le", ELFCLASS64, ELFDATA2LSB, EM_PPC64 }, { "riscv64", ELFCLASS64, ELFDATA2LSB, EM_RISCV },
	{ "s390x", ELFCLASS64, ELFDATA2MSB, EM_S390 },
};

/* The head of a program, as far as the masks of qemu's binfmt_misc entries look at it: the first 20 bytes. Both classes have
   them in the same places. */
static int make_program(const struct machine *machine, struct err *err)
{
	bool is_little = machine->data == ELFDATA2LSB;
	unsigned char head[sizeof(Elf64_Ehdr)] = { ELFMAG0,        ELFMAG1,       ELFMAG2,   ELFMAG3,
						   machine->class, machine->data, EV_CURRENT };
	scope_fd int fd = memfd_create("program", MFD_CLOEXEC);

	head[is_little ? 16 : 17] = ET_EXEC;
	head[is_little ? 18 : 19] = (unsigned char)(machine->machine & 0xff);
	head[is_little ? 19 : 18] = (unsigned char)(machine->machine >> 8);
	head[is_little ? 20 : 23] = EV_CURRENT;
	if (fd < 0)
		return err_errno(err, "make a program");
	return file_write_fd(fd, head, sizeof(head), "a program", err) < 0 ? -1 : take_fd(&fd);
}

/* An emulator would have to open the program by a name that close-on-exec takes away: so where there is one, the kernel
   says ENOENT and nothing runs, and where there is none it does not know the format: ENOEXEC. */
static int execute(int channel, void *arg, struct err *err)
{
	const int *fd = arg;
	static char name[] = "program";
	char *const argv[] = { name, NULL }, *const envp[] = { NULL };

	(void)channel;
	fexecve(*fd, argv, envp);
	return err_errno(err, "execute a program");
}

static bool is_understood(const struct machine *machine)
{
	struct err err;
	struct proc child = PROC_EMPTY;
	scope_fd int fd = make_program(machine, &err);

	if (fd < 0 || proc_fork(&child, execute, &fd, &err) < 0) {
		log_debug("programs of %s: %s", machine->architecture, err.msg);
		return true;
	}
	return proc_wait(&child, NULL, &err) == 0 || !err_is_errno(&err, ENOEXEC);
}

bool foreign_runs(const char *architecture)
{
	if (text_equal(architecture, NATIVE) || text_equal(architecture, COMPAT))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(machines); i++)
		if (text_equal(architecture, machines[i].architecture))
			return is_understood(&machines[i]);
	return false;
}
