/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "filter.h"
#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"

#define PROFILE_MAX ((size_t)1 << 20)

/* Calls that are younger than the libseccomp of a distribution. From 424 on they have the same number everywhere but on
   MIPS and Alpha. */
static const struct {
	const char *name;
	int number;
	uint32_t arch; /* 0: all */
} young_calls[] = {
	{ "uretprobe", 335, SCMP_ARCH_X86_64 },
	{ "memfd_secret", 447, 0 },
	{ "process_mrelease", 448, 0 },
	{ "futex_waitv", 449, 0 },
	{ "set_mempolicy_home_node", 450, 0 },
	{ "cachestat", 451, 0 },
	{ "fchmodat2", 452, 0 },
	{ "map_shadow_stack", 453, 0 },
	{ "futex_wake", 454, 0 },
	{ "futex_wait", 455, 0 },
	{ "futex_requeue", 456, 0 },
	{ "statmount", 457, 0 },
	{ "listmount", 458, 0 },
	{ "lsm_get_self_attr", 459, 0 },
	{ "lsm_set_self_attr", 460, 0 },
	{ "lsm_list_modules", 461, 0 },
	{ "mseal", 462, 0 },
	{ "setxattrat", 463, 0 },
	{ "getxattrat", 464, 0 },
	{ "listxattrat", 465, 0 },
	{ "removexattrat", 466, 0 },
	{ "open_tree_attr", 467, 0 },
	{ "file_getattr", 468, 0 },
	{ "file_setattr", 469, 0 },
};

static void release_context(const scmp_filter_ctx *context)
{
	if (*context)
		seccomp_release(*context);
}
#define scope_context __attribute__((cleanup(release_context)))

static int fail(int sys, const char *what, struct err *err)
{
	errno = -sys;
	return err_errno(err, "compile the seccomp filter: %s", what);
}

/* ---- names ---- */

static bool arch_has_common_numbers(uint32_t arch)
{
	static const uint32_t arches[] = { SCMP_ARCH_X86_64,  SCMP_ARCH_AARCH64, SCMP_ARCH_S390X, SCMP_ARCH_PPC64LE,
					   SCMP_ARCH_RISCV64, SCMP_ARCH_ARM,     SCMP_ARCH_X86 };

	for (size_t i = 0; i < ARRAY_LEN(arches); i++) {
		if (arches[i] == arch)
			return true;
	}
	return false;
}

/* libseccomp translates a number through its name, so only the native architecture can have calls without one; to programs
   of the other they are missing (ENOSYS). */
static int young_number(const char *name, uint32_t arch)
{
	for (size_t i = 0; arch == seccomp_arch_native() && i < ARRAY_LEN(young_calls); i++) {
		uint32_t wanted = young_calls[i].arch;
		if (text_equal(young_calls[i].name, name) &&
		    (wanted == arch || (wanted == 0 && arch_has_common_numbers(arch))))
			return young_calls[i].number;
	}
	return __NR_SCMP_ERROR;
}

/* Negative numbers that are not the error stand for calls of other architectures: libseccomp passes over them. */
static int call_number(const char *name, uint32_t arch)
{
	int number = seccomp_syscall_resolve_name(name);

	if (number >= 0)
		return number;
	int young = young_number(name, arch);
	return young == __NR_SCMP_ERROR ? number : young;
}

int filter_call_number(const char *name)
{
	return call_number(name, seccomp_arch_native());
}

/* ---- rules ---- */

static bool is_denial_by_args(const struct profile_rule *rule)
{
	return rule->arg_count > 0 && rule->action != SCMP_ACT_ALLOW && rule->action != SCMP_ACT_LOG;
}

static int add_call(scmp_filter_ctx context, const struct profile_rule *rule, int number)
{
	unsigned each = rule->any_arg ? 1 : rule->arg_count;
	unsigned at = 0;
	int result;

	do {
		result = seccomp_rule_add_array(context, rule->action, number, each, rule->args + at);
		at += each;
	} while (result == 0 && at < rule->arg_count);
	return result;
}

static int add_rule(scmp_filter_ctx context, const struct profile_rule *rule, uint32_t arch, struct err *err)
{
	char shown[128];

	for (size_t i = 0; i < rule->name_count; i++) {
		const char *name = rule->names[i];
		int number = call_number(name, arch);
		if (number == __NR_SCMP_ERROR) {
			if (arch == seccomp_arch_native())
				log_debug("seccomp: %s is unknown here", err_printable(shown, sizeof(shown), name));
			continue;
		}
		int result = add_call(context, rule, number);
		if (result < 0)
			return fail(result, err_printable(shown, sizeof(shown), name), err);
	}
	return 0;
}

/* ---- one filter for all architectures ---- */

/* What a filter is made of: all rules but the denials by arguments, or only those. */
struct part {
	const struct profile *profile;
	uint32_t default_action, foreign_action;
	bool has_denials;
};

static int add_rules(scmp_filter_ctx context, const struct part *part, uint32_t arch, struct err *err)
{
	for (size_t i = 0; i < part->profile->rule_count; i++) {
		const struct profile_rule *rule = &part->profile->rules[i];
		/* What the default does anyway, libseccomp refuses to say. */
		if (is_denial_by_args(rule) != part->has_denials || rule->action == part->default_action)
			continue;
		if (add_rule(context, rule, arch, err) < 0)
			return -1;
	}
	return 0;
}

static scmp_filter_ctx build_arch(const struct part *part, uint32_t arch, struct err *err)
{
	scope_context scmp_filter_ctx context = seccomp_init(part->default_action);
	int result;

	if (!context)
		return err_set(err, ERR_SYSTEM, "compile the seccomp filter: seccomp_init"), NULL;
	result = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, part->foreign_action);
	/* A search tree: when a filter is loaded the kernel runs it once for every call that there is. */
	if (result == 0 && !part->has_denials)
		result = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (result == 0 && arch != seccomp_arch_native()) {
		result = seccomp_arch_add(context, arch);
		if (result == 0)
			result = seccomp_arch_remove(context, seccomp_arch_native());
	}
	if (result < 0)
		return fail(result, "architecture", err), NULL;
	return add_rules(context, part, arch, err) < 0 ? NULL : take_ptr(context);
}

static scmp_filter_ctx build(const struct part *part, struct err *err)
{
	scope_context scmp_filter_ctx whole = build_arch(part, part->profile->arches[0], err);

	for (size_t i = 1; whole && i < part->profile->arch_count; i++) {
		scope_context scmp_filter_ctx more = build_arch(part, part->profile->arches[i], err);
		if (!more)
			return NULL;
		int result = seccomp_merge(whole, more);
		if (result < 0)
			return fail(result, "architecture", err), NULL;
		more = NULL;
	}
	return whole ? take_ptr(whole) : NULL;
}

/* ---- code ---- */

void filter_release(struct filter *filter)
{
	free(filter->code);
	*filter = (struct filter){ 0 };
}

static int export(scmp_filter_ctx context, struct filter *filter, struct err *err)
{
	scope_fd int fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return err_errno(err, "compile the seccomp filter");
	int result = seccomp_export_bpf(context, fd);
	if (result < 0)
		return fail(result, "export", err);
	if (fstat(fd, &st) < 0)
		return err_errno(err, "compile the seccomp filter");
	filter->count = (size_t)st.st_size / sizeof(*filter->code);
	filter->code = calloc(filter->count + 1, sizeof(*filter->code));
	if (!filter->code)
		abort();
	if (pread(fd, filter->code, (size_t)st.st_size, 0) != st.st_size)
		return err_errno(err, "compile the seccomp filter");
	return 0;
}

static int compile_part(const struct part *part, struct filter *filter, struct err *err)
{
	scope_context scmp_filter_ctx context = build(part, err);

	return context ? export(context, filter, err) : -1;
}

/* The denials run first: where they would allow, they go on with the other part. One program instead of two, so that
   the kernel finds out once which calls are allowed whatever their arguments, and passes those without running it. */
static int chain(const struct filter *denials, const struct filter *rest, struct filter *out, struct err *err)
{
	struct filter whole = { .count = denials->count + rest->count };

	/* Even one without rules looks at the architecture. */
	assert(denials->count > 0 && rest->count > 0);
	if (whole.count > BPF_MAXINSNS)
		return err_set(err, ERR_INPUT, "the profile makes a filter of %zu instructions; the kernel takes %d",
			       whole.count, BPF_MAXINSNS);
	whole.code = calloc(whole.count, sizeof(*whole.code));
	if (!whole.code)
		abort();
	memcpy(whole.code, denials->code, denials->count * sizeof(*whole.code));
	memcpy(whole.code + denials->count, rest->code, rest->count * sizeof(*whole.code));
	for (size_t i = 0; i < denials->count; i++) {
		struct sock_filter *at = &whole.code[i];
		if (at->code == (BPF_RET | BPF_K) && at->k == SECCOMP_RET_ALLOW)
			*at = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(denials->count - i - 1));
	}
	*out = whole;
	return 0;
}

int filter_compile(const struct profile *profile, struct filter *out, struct err *err)
{
	/* Calls by another ABI (x32) are missing, as on a kernel without it. */
	const struct part rest = { profile, profile->default_action, SCMP_ACT_ERRNO(ENOSYS), false };
	const struct part denials = { profile, SCMP_ACT_ALLOW, SCMP_ACT_ALLOW, true };
	scope_filter struct filter rest_code = { 0 };
	scope_filter struct filter denials_code = { 0 };

	if (compile_part(&rest, &rest_code, err) < 0 || compile_part(&denials, &denials_code, err) < 0)
		return -1;
	return chain(&denials_code, &rest_code, out, err);
}

/* ---- where profiles are ---- */

static int read_profile(const char *path, struct strbuf *text, struct err *err)
{
	scope_fd int fd = file_open_user(path, O_RDONLY, 0, err);

	return fd < 0 ? -1 : file_read_fd(fd, PROFILE_MAX, text, path, err);
}

/* The places of default.json: what the environment says, where it was installed, and beside the program, for a tree
   that was moved or was never installed. */
static void list_places(struct strvec *places)
{
	const char *dir = getenv("KILN_SECCOMP_DIR");
	char program[PATH_MAX];
	ssize_t len = readlinkat(AT_FDCWD, "/proc/self/exe", program, sizeof(program) - 1);

	if (dir && *dir) {
		strvec_pushf(places, "%s/default.json", dir);
		return;
	}
	strvec_pushf(places, "%s/default.json", KILN_SECCOMP_DIR);
	if (len <= 0)
		return;
	program[len] = '\0';
	int dir_len = (int)(path_base(program) - program);
	strvec_pushf(places, "%.*s../share/kiln/seccomp/default.json", dir_len, program);
	strvec_pushf(places, "%.*sseccomp/default.json", dir_len, program);
}

/* Without a profile nothing runs. */
static int read_default(struct strbuf *text, struct strbuf *found, struct err *err)
{
	scope_strvec struct strvec places = { 0 };
	struct err failed = { 0 };

	list_places(&places);
	for (size_t i = 0; i < places.count; i++) {
		strbuf_reset(found);
		strbuf_addstr(found, places.items[i]);
		if (read_profile(places.items[i], text, &failed) == 0)
			return 0;
		if (!err_is_errno(&failed, ENOENT) && !err_is_errno(&failed, ENOTDIR))
			break;
	}
	if (err)
		*err = failed;
	return err_wrap(err, "find the seccomp profile of kiln");
}

static int compile_file(const char *path, struct filter *filter, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	scope_strbuf struct strbuf name = { 0 };
	scope_arena struct arena arena = { 0 };
	struct profile profile;

	strbuf_addstr(&name, path ? path : "");
	if ((path ? read_profile(path, &text, err) : read_default(&text, &name, err)) < 0)
		return -1;
	if (profile_parse(&arena, strbuf_str(&text), text.len, NULL, &profile, err) < 0 ||
	    filter_compile(&profile, filter, err) < 0)
		return err_wrap(err, "seccomp profile %s", strbuf_str(&name));
	return 0;
}

const struct filter *filter_of(const char *path, struct err *err)
{
	static struct filter kept;
	static char *kept_path;
	struct filter filter;

	if (kept.code && text_equal(kept_path, path))
		return &kept;
	if (compile_file(path, &filter, err) < 0)
		return NULL;
	filter_release(&kept);
	free(kept_path);
	kept = filter;
	kept_path = path ? strdup(path) : NULL;
	assert(!path || kept_path);
	return &kept;
}

int filter_load(const struct filter *filter, struct err *err)
{
	struct sock_fprog program = { .len = (unsigned short)filter->count, .filter = filter->code };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return err_errno(err, "load the seccomp filter");
	return 0;
}

/* Once a call was taken up, only death interrupts it: a signal would make it begin anew, and what was done for it be done
   twice. Kernels before 5.19 do not know that. */
int filter_load_listener(const struct filter *filter, struct err *err)
{
	struct sock_fprog program = { .len = (unsigned short)filter->count, .filter = filter->code };
	unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);

	if (fd < 0 && errno == EINVAL)
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	return fd < 0 ? err_errno(err, "load the seccomp filter of the supervisor") : (int)fd;
}
