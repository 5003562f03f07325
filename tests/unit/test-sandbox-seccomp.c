/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>

#include "../../src/sandbox/filter.h"

/*
 * The default profile is compiled and then run by an interpreter, so that every call of every ABI can be asked about, with
 * any argument, without making it. The numbers below are those of x86-64 and of 32-bit x86; elsewhere only what needs no numbers is
 * tested.
 */

#define ALLOW 0 /* else the errno */
#define OTHER (-1)

static struct filter filter;

static uint32_t load(const struct seccomp_data *data, uint32_t offset)
{
	uint32_t word;

	assert_true(offset + sizeof(word) <= sizeof(*data) && offset % 4 == 0);
	memcpy(&word, (const char *)data + offset, sizeof(word));
	return word;
}

static bool jump_is_taken(const struct sock_filter *at, uint32_t a)
{
	switch (BPF_OP(at->code)) {
	case BPF_JEQ:
		return a == at->k;
	case BPF_JGT:
		return a > at->k;
	case BPF_JGE:
		return a >= at->k;
	case BPF_JSET:
		return (a & at->k) != 0;
	default:
		fail_msg("jump %x", at->code);
		return false;
	}
}

static uint32_t interpret(const struct filter *code, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t i = 0; i < code->count; i++) {
		const struct sock_filter *at = &code->code[i];
		if (at->code == (BPF_LD | BPF_W | BPF_ABS))
			a = load(data, at->k);
		else if (at->code == (BPF_ALU | BPF_AND | BPF_K))
			a &= at->k;
		else if (at->code == (BPF_JMP | BPF_JA))
			i += at->k;
		else if (BPF_CLASS(at->code) == BPF_JMP)
			i += jump_is_taken(at, a) ? at->jt : at->jf;
		else if (at->code == (BPF_RET | BPF_K))
			return at->k;
		else
			fail_msg("instruction %x", at->code);
	}
	fail_msg("the filter has no end");
	return 0;
}

static int ask(uint32_t arch, int number, uint64_t arg0, uint64_t arg1)
{
	const struct seccomp_data data = { .nr = number, .arch = arch, .args = { arg0, arg1 } };
	uint32_t result = interpret(&filter, &data);

	if (result == SECCOMP_RET_ALLOW)
		return ALLOW;
	return (result & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO ? (int)(result & SECCOMP_RET_DATA) : OTHER;
}

static struct strbuf read_default(void)
{
	const char *srcdir = getenv("srcdir");
	struct strbuf text = { 0 };
	struct err err = { 0 };
	char path[4096];

	snprintf(path, sizeof(path), "%s/seccomp/default.json", srcdir ? srcdir : ".");
	assert_ok(file_read(AT_FDCWD, path, 1 << 20, &text, &err), err);
	return text;
}

static int compile_default(void **state)
{
	scope_strbuf struct strbuf text = read_default();
	scope_arena struct arena arena = { 0 };
	struct profile profile;
	struct err err = { 0 };

	(void)state;
	assert_ok(profile_parse(&arena, strbuf_str(&text), text.len, NULL, &profile, &err), err);
	assert_ok(filter_compile(&profile, &filter, &err), err);
	return 0;
}

static int release_filter(void **state)
{
	(void)state;
	filter_release(&filter);
	return 0;
}

static void the_filter_is_short(void **state)
{
	(void)state;
	assert_true(filter.count > 100);
	assert_true(filter.count < 1500);
}

#ifdef __x86_64__

#define NATIVE AUDIT_ARCH_X86_64

static int ask_native(int number, uint64_t arg0, uint64_t arg1)
{
	return ask(NATIVE, number, arg0, arg1);
}

static void ordinary_calls_are_allowed(void **state)
{
	static const int calls[] = { SYS_read,
				     SYS_write,
				     SYS_openat,
				     SYS_execve,
				     SYS_clone,
				     SYS_mmap,
				     SYS_ptrace,
				     SYS_chroot,
				     SYS_mknod,
				     SYS_setuid,
				     SYS_statx,
				     SYS_capset,
				     SYS_prctl,
				     SYS_splice,
				     SYS_link,
				     SYS_landlock_create_ruleset,
				     SYS_name_to_handle_at,
				     SYS_seccomp,
				     SYS_close_range,
				     SYS_openat2,
				     SYS_futex_waitv,
				     SYS_memfd_secret };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		assert_int_equal(ask_native(calls[i], 0, 0), ALLOW);
}

/* What libseccomp 2.5.4 does not know goes by number. */
static void young_calls_are_allowed_by_number(void **state)
{
	static const int allowed[] = { 335, 451, 452, 453, 454, 455, 456, 462, 463, 464, 465, 466, 468, 469 };
	static const int missing[] = { 457, 458, 459, 460, 461, 470, 500, 1000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		assert_int_equal(ask_native(allowed[i], 0, 0), ALLOW);
	for (size_t i = 0; i < ARRAY_LEN(missing); i++)
		assert_int_equal(ask_native(missing[i], 0, 0), ENOSYS);
	/* open_tree_attr mounts. */
	assert_int_equal(ask_native(467, 0, 0), EPERM);
}

static void dangerous_calls_are_refused(void **state)
{
	static const int calls[] = {
		SYS_mount,         SYS_umount2,
		SYS_pivot_root,    SYS_mount_setattr,
		SYS_move_mount,    SYS_open_tree,
		SYS_fsopen,        SYS_fsmount,
		SYS_fsconfig,      SYS_fspick,
		SYS_unshare,       SYS_setns,
		SYS_add_key,       SYS_keyctl,
		SYS_request_key,   SYS_bpf,
		SYS_userfaultfd,   SYS_perf_event_open,
		SYS_kexec_load,    SYS_init_module,
		SYS_finit_module,  SYS_delete_module,
		SYS_reboot,        SYS_swapon,
		SYS_swapoff,       SYS_open_by_handle_at,
		SYS_settimeofday,  SYS_clock_settime,
		SYS_sethostname,   SYS_acct,
		SYS_iopl,          SYS_ioperm,
		SYS_syslog,        SYS_vmsplice,
		SYS_quotactl,      SYS_pidfd_getfd,
		SYS_kcmp,          SYS_process_madvise,
		SYS_mbind,         SYS_move_pages,
		SYS_fanotify_init, SYS_lookup_dcookie,
		SYS_nfsservctl,    SYS_vhangup,
		SYS_uselib,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		assert_int_equal(ask_native(calls[i], 0, 0), EPERM);
}

/* libc falls back on ENOSYS, and only on that. */
static void what_is_not_known_is_missing(void **state)
{
	static const int calls[] = {
		SYS_clone3, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, 457, 999
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		assert_int_equal(ask_native(calls[i], 0, 0), ENOSYS);
}

static void no_namespace_comes_from_clone(void **state)
{
	static const unsigned long flags[] = { CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
					       CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET };
	const unsigned long thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
				     CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

	(void)state;
	assert_int_equal(ask_native(SYS_clone, SIGCHLD, 0), ALLOW);
	assert_int_equal(ask_native(SYS_clone, thread, 0), ALLOW);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		assert_int_equal(ask_native(SYS_clone, flags[i] | SIGCHLD, 0), EPERM);
		assert_int_equal(ask_native(SYS_clone, flags[i] | thread | (1UL << 40), 0), EPERM);
	}
}

static void two_socket_families_are_refused_whatever_the_upper_half_says(void **state)
{
	(void)state;
	for (uint64_t family = 0; family < 60; family++) {
		int expected = family == AF_ALG || family == AF_VSOCK ? EPERM : ALLOW;
		assert_int_equal(ask_native(SYS_socket, family, SOCK_STREAM), expected);
		assert_int_equal(ask_native(SYS_socket, family | 1UL << 32, SOCK_STREAM), expected);
		assert_int_equal(ask_native(SYS_socket, family | 0xffffffffUL << 32, SOCK_STREAM), expected);
	}
}

static void nothing_is_typed_into_a_terminal(void **state)
{
	(void)state;
	for (uint64_t upper = 0; upper < 3; upper++) {
		assert_int_equal(ask_native(SYS_ioctl, 0, TIOCSTI | upper << 32), EPERM);
		assert_int_equal(ask_native(SYS_ioctl, 0, TIOCLINUX | upper << 32), EPERM);
		assert_int_equal(ask_native(SYS_ioctl, 0, TCGETS | upper << 32), ALLOW);
		assert_int_equal(ask_native(SYS_ioctl, 0, (TIOCSTI + 1) | upper << 32), ALLOW);
	}
}

static void personalities_that_weaken_are_missing(void **state)
{
	static const uint64_t allowed[] = { 0, 8, 0x20000, 0x20008, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		assert_int_equal(ask_native(SYS_personality, allowed[i], 0), ALLOW);
	/* ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC. */
	assert_int_equal(ask_native(SYS_personality, 0x0040000, 0), ENOSYS);
	assert_int_equal(ask_native(SYS_personality, 0x0400000, 0), ENOSYS);
	assert_int_equal(ask_native(SYS_personality, 1UL << 32, 0), ENOSYS);
}

/* Bit 30 of the number means the x32 ABI. */
static void other_abis_have_no_calls(void **state)
{
	(void)state;
	for (int number = 0; number < 600; number++) {
		assert_int_equal(ask(AUDIT_ARCH_X86_64, number | 0x40000000, 0, 0), ENOSYS);
		assert_int_equal(ask(AUDIT_ARCH_AARCH64, number, 0, 0), ENOSYS);
		assert_int_equal(ask(AUDIT_ARCH_ARM, number, 0, 0), ENOSYS);
	}
}

static void programs_of_32_bits_are_kept_too(void **state)
{
	enum {
		I386_READ = 3,
		I386_WAITPID = 7,
		I386_MOUNT = 21,
		I386_PTRACE = 26,
		I386_SOCKETCALL = 102,
		I386_IPC = 117,
		I386_CLONE = 120,
		I386_SOCKET = 359,
		I386_UNSHARE = 310,
		I386_CLOCK_GETTIME64 = 403,
		I386_IOCTL = 54,
		I386_CLONE3 = 435
	};

	(void)state;
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_READ, 0, 0), ALLOW);
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_WAITPID, 0, 0), ALLOW);
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_PTRACE, 0, 0), ALLOW);
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_IPC, 0, 0), ALLOW);
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_CLOCK_GETTIME64, 0, 0), ALLOW);
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_CLONE, SIGCHLD, 0), ALLOW);
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_CLONE, CLONE_NEWUSER, 0), EPERM);
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_CLONE3, 0, 0), ENOSYS);
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_MOUNT, 0, 0), EPERM);
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_UNSHARE, 0, 0), EPERM);
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_SOCKETCALL, 1, 0), EPERM);
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_SOCKET, AF_INET, 0), ALLOW);
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_SOCKET, AF_ALG, 0), EPERM);
	assert_int_equal(ask(AUDIT_ARCH_I386, I386_IOCTL, 0, TIOCSTI), EPERM);
}

/* A number of the table that changes its answer is seen here: how many there are of each kind. */
static void every_call_has_an_answer(void **state)
{
	int allowed = 0, refused = 0, missing = 0;

	(void)state;
	for (int number = 0; number < 470; number++) {
		int answer = ask_native(number, 0, 0);
		assert_true(answer == ALLOW || answer == EPERM || answer == ENOSYS);
		allowed += answer == ALLOW;
		refused += answer == EPERM;
		missing += answer == ENOSYS;
	}
	assert_int_equal(allowed, 307);
	assert_int_equal(refused, 60);
	assert_int_equal(missing, 103);
}

#define NATIVE_TESTS                                                                                                 \
	cmocka_unit_test(ordinary_calls_are_allowed), cmocka_unit_test(young_calls_are_allowed_by_number),           \
		cmocka_unit_test(dangerous_calls_are_refused), cmocka_unit_test(what_is_not_known_is_missing),       \
		cmocka_unit_test(no_namespace_comes_from_clone),                                                     \
		cmocka_unit_test(two_socket_families_are_refused_whatever_the_upper_half_says),                      \
		cmocka_unit_test(nothing_is_typed_into_a_terminal),                                                  \
		cmocka_unit_test(personalities_that_weaken_are_missing), cmocka_unit_test(other_abis_have_no_calls), \
		cmocka_unit_test(programs_of_32_bits_are_kept_too), cmocka_unit_test(every_call_has_an_answer),
#else
#define NATIVE_TESTS
#endif

/* ---- the kernel takes it ---- */

static int call_under_filter(int channel, void *arg, struct err *err)
{
	(void)channel;
	(void)arg;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(err, "prctl");
	if (filter_load(&filter, err) < 0)
		return -1;
	if (unshare(CLONE_NEWNS) != -1 || errno != EPERM)
		return err_set(err, ERR_SYSTEM, "unshare was not refused");
	if (socket(AF_ALG, SOCK_SEQPACKET, 0) != -1 || errno != EPERM)
		return err_set(err, ERR_SYSTEM, "AF_ALG was not refused");
	if (syscall(SYS_clone3, NULL, 0) != -1 || errno != ENOSYS)
		return err_set(err, ERR_SYSTEM, "clone3 is not missing");
	if (ioctl(STDIN_FILENO, TIOCSTI, "x") != -1 || errno != EPERM)
		return err_set(err, ERR_SYSTEM, "TIOCSTI was not refused");
	scope_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? err_errno(err, "socket") : 0;
}

static void the_kernel_keeps_to_it(void **state)
{
	struct proc child = PROC_EMPTY;
	struct err err = { 0 };

	(void)state;
	assert_ok(proc_fork(&child, call_under_filter, NULL, &err), err);
	assert_ok(proc_wait(&child, NULL, &err), err);
}

/* ---- profiles ---- */

static int parse(struct arena *arena, const char *text, struct profile *profile, struct err *err)
{
	const struct profile_host host = { .arch = SCMP_ARCH_X86_64, .kernel_major = 5, .kernel_minor = 10 };

	return profile_parse(arena, text, strlen(text), &host, profile, err);
}

static void what_is_not_understood_is_an_error(void **state)
{
	static const struct {
		const char *text, *message;
	} table[] = {
		{ "[]", "\"defaultAction\": unknown action \"\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALOW\"}", "\"defaultAction\": unknown action \"SCMP_ACT_ALOW\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"x\"}]}",
		  "\"syscalls\", rule 1: unknown action \"x\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"action\":\"SCMP_ACT_ALLOW\"}]}",
		  "\"syscalls\", rule 1: \"names\" is missing" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[1],\"action\":\"SCMP_ACT_ALLOW\"}]}",
		  "\"syscalls\", rule 1: a name is a string" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":"
		  "\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}]}",
		  "\"syscalls\", rule 1: an argument has an index of 0 to 5" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":"
		  "\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":0,\"value\":1,\"op\":\"EQ\"}]}]}",
		  "\"syscalls\", rule 1: unknown comparison \"EQ\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":70000}",
		  "\"defaultAction\": errnoRet 70000 is no error number" },
		{ "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "\"defaultAction\": unknown action \"SCMP_ACT_NOTIFY\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"]}",
		  "\"flags\" of a seccomp profile are not in this version of kiln" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_arena struct arena arena = { 0 };
		struct profile profile;
		struct err err = { 0 };
		assert_int_equal(parse(&arena, table[i].text, &profile, &err), -1);
		assert_string_equal(err.msg, table[i].message);
	}
}

static void rules_are_chosen_by_capability_architecture_and_kernel(void **state)
{
	static const struct {
		const char *conditions;
		size_t count;
	} table[] = {
		{ "\"includes\":{\"caps\":[\"CAP_SYS_CHROOT\"]}", 1 },
		{ "\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}", 0 },
		{ "\"includes\":{\"caps\":[\"CAP_SYS_CHROOT\",\"CAP_SYS_ADMIN\"]}", 0 },
		{ "\"includes\":{\"caps\":[\"CAP_NONSENSE\"]}", 0 },
		{ "\"excludes\":{\"caps\":[\"CAP_SYS_CHROOT\"]}", 0 },
		{ "\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}", 1 },
		{ "\"includes\":{\"arches\":[\"arm64\",\"amd64\"]}", 1 },
		{ "\"includes\":{\"arches\":[\"arm64\"]}", 0 },
		{ "\"excludes\":{\"arches\":[\"amd64\"]}", 0 },
		{ "\"excludes\":{\"arches\":[\"s390x\"]}", 1 },
		{ "\"includes\":{\"minKernel\":\"4.8\"}", 1 },
		{ "\"includes\":{\"minKernel\":\"5.10\"}", 1 },
		{ "\"includes\":{\"minKernel\":\"5.11\"}", 0 },
		{ "\"includes\":{\"minKernel\":\"6.0\"}", 0 },
		{ "\"includes\":{},\"excludes\":{}", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_arena struct arena arena = { 0 };
		struct profile profile;
		struct err err = { 0 };
		const char *text = arena_printf(
			&arena,
			"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],"
			"\"action\":\"SCMP_ACT_ALLOW\",%s}]}",
			table[i].conditions);
		assert_ok(parse(&arena, text, &profile, &err), err);
		assert_int_equal(profile.rule_count, table[i].count);
	}
}

static void an_old_profile_with_one_name_and_a_list_of_architectures_is_read(void **state)
{
	static const char text[] =
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86_64\","
		"\"SCMP_ARCH_X86\",\"SCMP_ARCH_NEVER\"],\"syscalls\":[{\"name\":\"mount\",\"action\":"
		"\"SCMP_ACT_ERRNO\"}]}";
	scope_arena struct arena arena = { 0 };
	struct profile profile;
	struct err err = { 0 };

	(void)state;
	assert_ok(parse(&arena, text, &profile, &err), err);
	assert_int_equal(profile.arch_count, 2);
	assert_int_equal(profile.arches[1], SCMP_ARCH_X86);
	assert_int_equal(profile.rule_count, 1);
	assert_string_equal(profile.rules[0].names[0], "mount");
	assert_int_equal(profile.rules[0].action, SCMP_ACT_ERRNO(EPERM));
}

static void a_profile_that_is_not_there_is_an_error(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_null(filter_of("/nonexistent/profile.json", &err));
	assert_true(err_is_errno(&err, ENOENT));
	setenv("KILN_SECCOMP_DIR", "/nonexistent", 1);
	assert_null(filter_of(NULL, &err));
	assert_non_null(strstr(err.msg, "/nonexistent/default.json"));
	unsetenv("KILN_SECCOMP_DIR");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NATIVE_TESTS cmocka_unit_test(the_filter_is_short),
		cmocka_unit_test(the_kernel_keeps_to_it),
		cmocka_unit_test(what_is_not_understood_is_an_error),
		cmocka_unit_test(rules_are_chosen_by_capability_architecture_and_kernel),
		cmocka_unit_test(an_old_profile_with_one_name_and_a_list_of_architectures_is_read),
		cmocka_unit_test(a_profile_that_is_not_there_is_an_error),
	};

	return cmocka_run_group_tests(tests, compile_default, release_filter);
}
