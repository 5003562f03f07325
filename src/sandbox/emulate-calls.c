/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/prctl.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "emulate.h"
#include "kiln/base/scope.h"
#include "profile.h"

/*
 * The calls that are handed over. One table for all architectures, by name: libseccomp knows the numbers, and passes over those
 * that an architecture has not got. Calls with structs of 32-bit programs that are not rebuilt here are refused as missing: to
 * let them through would let a program see or make other owners than its neighbour.
 */

enum { USER, GROUP };

#define NOFOLLOW AT_SYMLINK_NOFOLLOW
#define EMPTY    AT_EMPTY_PATH

static int64_t call_refuse(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

/* name, handler, dir, path, flags, fixed flags, a, b, c */
static const struct call_row rows[] = {
	{ "getuid", call_get_id, -1, -1, -1, 0, ID_REAL, USER, -1 },
	{ "geteuid", call_get_id, -1, -1, -1, 0, ID_EFFECTIVE, USER, -1 },
	{ "getgid", call_get_id, -1, -1, -1, 0, ID_REAL, GROUP, -1 },
	{ "getegid", call_get_id, -1, -1, -1, 0, ID_EFFECTIVE, GROUP, -1 },
	{ "getresuid", call_get_three_ids, -1, -1, -1, 0, -1, USER, -1 },
	{ "getresgid", call_get_three_ids, -1, -1, -1, 0, -1, GROUP, -1 },
	{ "getgroups", call_get_groups, -1, -1, -1, 0, -1, -1, -1 },
	{ "setuid", call_set_uid, -1, -1, -1, 0, -1, -1, -1 },
	{ "setgid", call_set_gid, -1, -1, -1, 0, -1, -1, -1 },
	{ "setreuid", call_set_two_uids, -1, -1, -1, 0, -1, -1, -1 },
	{ "setregid", call_set_two_gids, -1, -1, -1, 0, -1, -1, -1 },
	{ "setresuid", call_set_three_uids, -1, -1, -1, 0, -1, -1, -1 },
	{ "setresgid", call_set_three_gids, -1, -1, -1, 0, -1, -1, -1 },
	{ "setfsuid", call_set_fs_uid, -1, -1, -1, 0, -1, -1, -1 },
	{ "setfsgid", call_set_fs_gid, -1, -1, -1, 0, -1, -1, -1 },
	{ "setgroups", call_set_groups, -1, -1, -1, 0, -1, -1, -1 },
	{ "capget", call_get_caps, -1, -1, -1, 0, -1, -1, -1 },
	{ "capset", call_set_caps, -1, -1, -1, 0, -1, -1, -1 },
	{ "prctl", call_prctl, -1, -1, -1, 0, -1, -1, -1 },
	{ "getrlimit", call_get_limit, -1, -1, -1, 0, -1, -1, -1 },
	{ "setrlimit", call_set_limit, -1, -1, -1, 0, -1, -1, -1 },
	{ "prlimit64", call_prlimit, -1, -1, -1, 0, -1, -1, -1 },

	{ "stat", call_stat, -1, 0, -1, 0, 1, -1, -1 },
	{ "lstat", call_stat, -1, 0, -1, NOFOLLOW, 1, -1, -1 },
	{ "fstat", call_stat, 0, -1, -1, EMPTY, 1, -1, -1 },
	{ "newfstatat", call_stat, 0, 1, 3, 0, 2, -1, -1 },
	{ "statx", call_statx, 0, 1, 2, 0, 4, 3, -1 },

	{ "chown", call_chown, -1, 0, -1, 0, 1, 2, -1 },
	{ "lchown", call_chown, -1, 0, -1, NOFOLLOW, 1, 2, -1 },
	{ "fchown", call_chown, 0, -1, -1, EMPTY, 1, 2, -1 },
	{ "fchownat", call_chown, 0, 1, 4, 0, 2, 3, -1 },
	{ "chmod", call_chmod, -1, 0, -1, 0, 1, -1, -1 },
	{ "fchmod", call_chmod, 0, -1, -1, EMPTY, 1, -1, -1 },
	{ "fchmodat", call_chmod, 0, 1, -1, 0, 2, -1, -1 },
	{ "fchmodat2", call_chmod, 0, 1, 3, 0, 2, -1, -1 },
	{ "access", call_access, -1, 0, -1, 0, 1, -1, -1 },
	{ "faccessat", call_access, 0, 1, -1, 0, 2, -1, -1 },
	{ "faccessat2", call_access, 0, 1, 3, 0, 2, -1, -1 },

	{ "open", call_open, -1, 0, -1, 0, 1, 2, -1 },
	{ "creat", call_open, -1, 0, -1, 0, -1, 1, -1 },
	{ "openat", call_open, 0, 1, -1, 0, 2, 3, -1 },
	{ "openat2", call_openat2, 0, 1, -1, 0, -1, -1, -1 },
	{ "mkdir", call_mkdir, -1, 0, -1, 0, 1, -1, -1 },
	{ "mkdirat", call_mkdir, 0, 1, -1, 0, 2, -1, -1 },
	{ "mknod", call_mknod, -1, 0, -1, 0, 1, 2, -1 },
	{ "mknodat", call_mknod, 0, 1, -1, 0, 2, 3, -1 },
	{ "symlink", call_symlink, -1, 1, -1, 0, 0, -1, -1 },
	{ "symlinkat", call_symlink, 1, 2, -1, 0, 0, -1, -1 },
	{ "link", call_remove, -1, 1, -1, 0, -1, -1, -1 },
	{ "linkat", call_remove, 2, 3, -1, 0, -1, -1, -1 },
	{ "unlink", call_remove, -1, 0, -1, 0, -1, -1, -1 },
	{ "unlinkat", call_remove, 0, 1, -1, 0, -1, -1, -1 },
	{ "rmdir", call_remove, -1, 0, -1, 0, -1, -1, -1 },
	{ "rename", call_rename, -1, 0, -1, 0, -1, 1, -1 },
	{ "renameat", call_rename, 0, 1, -1, 0, 2, 3, -1 },
	{ "renameat2", call_rename, 0, 1, -1, 0, 2, 3, -1 },

	{ "getxattr", call_get_xattr, -1, 0, -1, 0, 1, 2, 3 },
	{ "lgetxattr", call_get_xattr, -1, 0, -1, NOFOLLOW, 1, 2, 3 },
	{ "fgetxattr", call_get_xattr, 0, -1, -1, EMPTY, 1, 2, 3 },
	{ "listxattr", call_list_xattrs, -1, 0, -1, 0, 1, 2, -1 },
	{ "llistxattr", call_list_xattrs, -1, 0, -1, NOFOLLOW, 1, 2, -1 },
	{ "flistxattr", call_list_xattrs, 0, -1, -1, EMPTY, 1, 2, -1 },
	{ "setxattr", call_set_xattr, -1, 0, -1, 0, 1, 2, 3 },
	{ "lsetxattr", call_set_xattr, -1, 0, -1, NOFOLLOW, 1, 2, 3 },
	{ "fsetxattr", call_set_xattr, 0, -1, -1, EMPTY, 1, 2, 3 },
	{ "removexattr", call_remove_xattr, -1, 0, -1, 0, 1, -1, -1 },
	{ "lremovexattr", call_remove_xattr, -1, 0, -1, NOFOLLOW, 1, -1, -1 },
	{ "fremovexattr", call_remove_xattr, 0, -1, -1, EMPTY, 1, -1, -1 },
	{ "getxattrat", call_refuse, -1, -1, -1, 0, -1, -1, -1 },
	{ "listxattrat", call_refuse, -1, -1, -1, 0, -1, -1, -1 },
	{ "setxattrat", call_refuse, -1, -1, -1, 0, -1, -1, -1 },
	{ "removexattrat", call_refuse, -1, -1, -1, 0, -1, -1, -1 },

	{ "execve", call_exec, -1, 0, -1, 0, -1, -1, -1 },
	{ "execveat", call_exec, 0, 1, 4, 0, -1, -1, -1 },
	{ "chroot", call_chroot, -1, -1, -1, 0, -1, -1, -1 },
	{ "io_uring_setup", call_refuse, -1, -1, -1, 0, -1, -1, -1 },
};

/* Of 32-bit programs: names with other structs or ids of 16 bits than the row of that name above. */
static const struct call_row compat_rows[] = {
	{ "getuid32", call_get_id, -1, -1, -1, 0, ID_REAL, USER, -1 },
	{ "geteuid32", call_get_id, -1, -1, -1, 0, ID_EFFECTIVE, USER, -1 },
	{ "getgid32", call_get_id, -1, -1, -1, 0, ID_REAL, GROUP, -1 },
	{ "getegid32", call_get_id, -1, -1, -1, 0, ID_EFFECTIVE, GROUP, -1 },
	{ "getresuid32", call_get_three_ids, -1, -1, -1, 0, -1, USER, -1 },
	{ "getresgid32", call_get_three_ids, -1, -1, -1, 0, -1, GROUP, -1 },
	{ "getgroups32", call_get_groups, -1, -1, -1, 0, -1, -1, -1 },
	{ "setuid32", call_set_uid, -1, -1, -1, 0, -1, -1, -1 },
	{ "setgid32", call_set_gid, -1, -1, -1, 0, -1, -1, -1 },
	{ "setreuid32", call_set_two_uids, -1, -1, -1, 0, -1, -1, -1 },
	{ "setregid32", call_set_two_gids, -1, -1, -1, 0, -1, -1, -1 },
	{ "setresuid32", call_set_three_uids, -1, -1, -1, 0, -1, -1, -1 },
	{ "setresgid32", call_set_three_gids, -1, -1, -1, 0, -1, -1, -1 },
	{ "setfsuid32", call_set_fs_uid, -1, -1, -1, 0, -1, -1, -1 },
	{ "setfsgid32", call_set_fs_gid, -1, -1, -1, 0, -1, -1, -1 },
	{ "setgroups32", call_set_groups, -1, -1, -1, 0, -1, -1, -1 },
	{ "stat64", call_stat, -1, 0, -1, 0, 1, -1, -1 },
	{ "lstat64", call_stat, -1, 0, -1, NOFOLLOW, 1, -1, -1 },
	{ "fstat64", call_stat, 0, -1, -1, EMPTY, 1, -1, -1 },
	{ "fstatat64", call_stat, 0, 1, 3, 0, 2, -1, -1 },
	{ "chown32", call_chown, -1, 0, -1, 0, 1, 2, -1 },
	{ "lchown32", call_chown, -1, 0, -1, NOFOLLOW, 1, 2, -1 },
	{ "fchown32", call_chown, 0, -1, -1, EMPTY, 1, 2, -1 },
	{ "ugetrlimit", call_refuse, -1, -1, -1, 0, -1, -1, -1 },
};

static const struct call_row compat_refused = { "?", call_refuse, -1, -1, -1, 0, -1, -1, -1 };

/* On 32-bit ARM and x86 the plain names of these are the calls with old structs or short ids. */
static bool is_old_on_compat(const struct call_row *row)
{
	static emulate_call *const old[] = {
		call_get_id,       call_get_three_ids, call_get_groups,     call_set_uid,        call_set_gid,
		call_set_two_uids, call_set_two_gids,  call_set_three_uids, call_set_three_gids, call_set_fs_uid,
		call_set_fs_gid,   call_set_groups,    call_stat,           call_get_limit,
	};

	for (size_t i = 0; i < ARRAY_LEN(old); i++) {
		if (row->run == old[i])
			return true;
	}
	return row->run == call_chown && strcmp(row->name, "fchownat") != 0;
}

/* ---- numbers ---- */

enum { NUMBERS_MAX = 1024 };

static const struct call_row *native[NUMBERS_MAX], *compat[NUMBERS_MAX];
static uint32_t native_arch;

static uint32_t compat_arch_of(uint32_t arch)
{
	return arch == SCMP_ARCH_X86_64 ? SCMP_ARCH_X86 : arch == SCMP_ARCH_AARCH64 ? SCMP_ARCH_ARM : 0;
}

static void enter_row(const struct call_row **table, uint32_t arch, const struct call_row *row,
		      const struct call_row *as)
{
	int number = arch == native_arch ? filter_call_number(row->name)
					 : seccomp_syscall_resolve_name_arch(arch, row->name);

	if (number >= 0 && number < NUMBERS_MAX)
		table[number] = as;
}

static void make_tables(void)
{
	if (native_arch)
		return;
	native_arch = seccomp_arch_native();
	uint32_t other = compat_arch_of(native_arch);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enter_row(native, native_arch, &rows[i], &rows[i]);
		if (other)
			enter_row(compat, other, &rows[i], is_old_on_compat(&rows[i]) ? &compat_refused : &rows[i]);
	}
	for (size_t i = 0; other && i < ARRAY_LEN(compat_rows); i++)
		enter_row(compat, other, &compat_rows[i], &compat_rows[i]);
}

const struct call_row *emulate_row(uint32_t arch, int number)
{
	make_tables();
	if (number < 0 || number >= NUMBERS_MAX)
		return NULL;
	return arch == native_arch ? native[number] : compat[number];
}

/* ---- the filter ---- */

static void add_rule(struct arena *arena, struct profile *profile, const char *name, struct scmp_arg_cmp condition)
{
	struct profile_rule *rule = ARENA_PUSH(arena, profile->rules, profile->rule_count);
	const char **names = arena_array(arena, const char *, 1);

	names[0] = name;
	*rule = (struct profile_rule){ .names = names, .name_count = 1, .action = SCMP_ACT_NOTIFY };
	if (condition.op == 0)
		return;
	rule->args[0] = condition;
	rule->arg_count = 1;
}

/* Only some uses of these calls are of interest; all others stay as fast as they are. */
static bool add_some(struct arena *arena, struct profile *profile, const char *name)
{
	static const uint32_t options[] = { PR_GET_KEEPCAPS,   PR_SET_KEEPCAPS,     PR_GET_SECUREBITS,
					    PR_SET_SECUREBITS, PR_CAPBSET_READ,     PR_CAPBSET_DROP,
					    PR_CAP_AMBIENT,    PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS };
	static const uint64_t flags[][2] = { { O_CREAT, O_CREAT },
					     { O_ACCMODE, O_WRONLY },
					     { O_ACCMODE, O_RDWR },
					     { O_TRUNC, O_TRUNC },
					     { O_TMPFILE & ~O_DIRECTORY, O_TMPFILE & ~O_DIRECTORY } };
	bool is_open = strcmp(name, "open") == 0, is_openat = strcmp(name, "openat") == 0;
	bool is_limit = strcmp(name, "getrlimit") == 0 || strcmp(name, "setrlimit") == 0;

	for (size_t i = 0; (is_open || is_openat) && i < ARRAY_LEN(flags); i++)
		add_rule(arena, profile, name,
			 (struct scmp_arg_cmp){ is_open ? 1 : 2, SCMP_CMP_MASKED_EQ, flags[i][0], flags[i][1] });
	for (size_t i = 0; strcmp(name, "prctl") == 0 && i < ARRAY_LEN(options); i++)
		add_rule(arena, profile, name, (struct scmp_arg_cmp){ 0, SCMP_CMP_EQ, options[i], 0 });
	if (is_limit)
		add_rule(arena, profile, name, (struct scmp_arg_cmp){ 0, SCMP_CMP_EQ, RLIMIT_RTTIME, 0 });
	if (strcmp(name, "prlimit64") == 0)
		add_rule(arena, profile, name, (struct scmp_arg_cmp){ 1, SCMP_CMP_EQ, RLIMIT_RTTIME, 0 });
	return is_open || is_openat || is_limit || strcmp(name, "prctl") == 0 || strcmp(name, "prlimit64") == 0;
}

static void add_name(struct arena *arena, struct profile *profile, const char *name, bool begins_as_root)
{
	bool is_whole = !begins_as_root && (strcmp(name, "open") == 0 || strcmp(name, "openat") == 0);

	if (is_whole || !add_some(arena, profile, name))
		add_rule(arena, profile, name, (struct scmp_arg_cmp){ 0 });
}

int emulate_filter(bool begins_as_root, struct filter *filter, struct err *err)
{
	scope_arena struct arena arena = { 0 };
	struct profile profile = { .default_action = SCMP_ACT_ALLOW };

	make_tables();
	profile.arches[profile.arch_count++] = native_arch;
	if (compat_arch_of(native_arch))
		profile.arches[profile.arch_count++] = compat_arch_of(native_arch);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		add_name(&arena, &profile, rows[i].name, begins_as_root);
	for (size_t i = 0; i < ARRAY_LEN(compat_rows); i++)
		add_name(&arena, &profile, compat_rows[i].name, begins_as_root);
	return filter_compile(&profile, filter, err);
}
