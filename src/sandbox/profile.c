/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "caps.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/codec/json.h"
#include "profile.h"

struct constant {
	const char *name;
	uint32_t value;
};

static const struct constant actions[] = {
	{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
	{ "SCMP_ACT_LOG", SCMP_ACT_LOG },
	{ "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0) },
	{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
	{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
};

static const struct constant comparisons[] = {
	{ "SCMP_CMP_NE", SCMP_CMP_NE },
	{ "SCMP_CMP_LT", SCMP_CMP_LT },
	{ "SCMP_CMP_LE", SCMP_CMP_LE },
	{ "SCMP_CMP_EQ", SCMP_CMP_EQ },
	{ "SCMP_CMP_GE", SCMP_CMP_GE },
	{ "SCMP_CMP_GT", SCMP_CMP_GT },
	{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
};

/* Go's names of architectures, which "includes" and "excludes" use. */
static const struct constant go_arches[] = {
	{ "386", SCMP_ARCH_X86 },           { "amd64", SCMP_ARCH_X86_64 },  { "arm", SCMP_ARCH_ARM },
	{ "arm64", SCMP_ARCH_AARCH64 },     { "mips", SCMP_ARCH_MIPS },     { "mips64", SCMP_ARCH_MIPS64 },
	{ "mips64le", SCMP_ARCH_MIPSEL64 }, { "mipsel", SCMP_ARCH_MIPSEL }, { "ppc64le", SCMP_ARCH_PPC64LE },
	{ "riscv64", SCMP_ARCH_RISCV64 },   { "s390", SCMP_ARCH_S390 },     { "s390x", SCMP_ARCH_S390X },
	{ "x32", SCMP_ARCH_X32 },           { "x86", SCMP_ARCH_X86 },
};

static const struct constant *find_constant(const struct constant *constants, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (text_equal(constants[i].name, name))
			return &constants[i];
	}
	return NULL;
}
#define FIND_CONSTANT(constants, name) find_constant(constants, ARRAY_LEN(constants), name)

static int fail_unknown(const char *what, const char *name, struct err *err)
{
	char shown[128];

	return err_set(err, ERR_INPUT, "unknown %s \"%s\"", what,
		       err_printable(shown, sizeof(shown), name ? name : ""));
}

/* ---- conditions of a rule ---- */

static const struct json *get_list(const struct json *object, const char *key)
{
	const struct json *list = json_get(object, key);

	return list && list->type == JSON_ARRAY ? list : NULL;
}

static size_t list_count(const struct json *list)
{
	return list ? list->count : 0;
}

static bool list_has_arch(const struct json *list, uint32_t arch)
{
	for (size_t i = 0; i < list_count(list); i++) {
		const struct constant *found = FIND_CONSTANT(go_arches, list->items[i]->text);
		if (found && found->value == arch)
			return true;
	}
	return false;
}

static bool step_has_cap(const struct json *name)
{
	cap_value_t cap;

	return name->type == JSON_STR && cap_from_name(name->text, &cap) == 0 && caps_step_has(cap);
}

static size_t count_caps(const struct json *list)
{
	size_t count = 0;

	for (size_t i = 0; i < list_count(list); i++)
		count += step_has_cap(list->items[i]);
	return count;
}

static int kernel_is_at_least(const char *text, const struct profile_host *host, struct err *err)
{
	unsigned major, minor;

	if (sscanf(text, "%u.%u", &major, &minor) != 2)
		return fail_unknown("kernel version", text, err);
	return host->kernel_major > major || (host->kernel_major == major && host->kernel_minor >= minor);
}

/* 1: the rule applies. All conditions have to hold. */
static int rule_applies(const struct json *rule, const struct profile_host *host, struct err *err)
{
	const struct json *includes = json_get(rule, "includes"), *excludes = json_get(rule, "excludes");
	const struct json *arches = get_list(includes, "arches"), *caps = get_list(includes, "caps");
	const char *kernel = json_get_str(includes, "minKernel");

	if (list_count(arches) > 0 && !list_has_arch(arches, host->arch))
		return 0;
	if (count_caps(caps) < list_count(caps))
		return 0;
	if (list_has_arch(get_list(excludes, "arches"), host->arch) || count_caps(get_list(excludes, "caps")) > 0)
		return 0;
	return kernel ? kernel_is_at_least(kernel, host, err) : 1;
}

/* ---- rules ---- */

static int parse_action(const char *name, int64_t errno_ret, uint32_t *action, struct err *err)
{
	const struct constant *found = FIND_CONSTANT(actions, name);

	if (!found)
		return fail_unknown("action", name, err);
	if (errno_ret < 0 || errno_ret > 4095)
		return err_set(err, ERR_INPUT, "errnoRet %lld is no error number", (long long)errno_ret);
	*action = found->value == SCMP_ACT_ERRNO(0) ? SCMP_ACT_ERRNO((uint32_t)errno_ret) : found->value;
	return 0;
}

static int parse_arg(const struct json *value, struct scmp_arg_cmp *arg, struct err *err)
{
	const struct constant *op = FIND_CONSTANT(comparisons, json_get_str(value, "op"));
	int64_t index = json_get_int(value, "index", -1), datum = json_get_int(value, "value", -1);

	if (!op)
		return fail_unknown("comparison", json_get_str(value, "op"), err);
	if (index < 0 || index > 5)
		return err_set(err, ERR_INPUT, "an argument has an index of 0 to 5");
	if (datum < 0)
		return err_set(err, ERR_INPUT, "an argument is compared with a number of 0 to 2^63-1");
	*arg = (struct scmp_arg_cmp){ .arg = (unsigned)index,
				      .op = (enum scmp_compare)op->value,
				      .datum_a = (scmp_datum_t)datum,
				      .datum_b = (scmp_datum_t)json_get_int(value, "valueTwo", 0) };
	return 0;
}

static int parse_args(const struct json *list, struct profile_rule *rule, struct err *err)
{
	if (list_count(list) > ARRAY_LEN(rule->args))
		return err_set(err, ERR_INPUT, "more than six arguments");
	for (size_t i = 0; i < list_count(list); i++) {
		if (parse_arg(list->items[i], &rule->args[i], err) < 0)
			return -1;
		for (size_t k = 0; k < i; k++)
			rule->any_arg |= rule->args[k].arg == rule->args[i].arg;
		rule->arg_count++;
	}
	return 0;
}

static int parse_names(struct arena *arena, const struct json *value, struct profile_rule *rule, struct err *err)
{
	const struct json *list = get_list(value, "names");
	const char *name = json_get_str(value, "name");

	if (name)
		*ARENA_PUSH(arena, rule->names, rule->name_count) = name;
	for (size_t i = 0; i < list_count(list); i++) {
		if (list->items[i]->type != JSON_STR)
			return err_set(err, ERR_INPUT, "a name is a string");
		*ARENA_PUSH(arena, rule->names, rule->name_count) = list->items[i]->text;
	}
	return rule->name_count > 0 ? 0 : err_set(err, ERR_INPUT, "\"names\" is missing");
}

static int parse_rule(struct arena *arena, const struct json *value, const struct profile_host *host,
		      struct profile *profile, struct err *err)
{
	struct profile_rule rule = { 0 };
	int applies = rule_applies(value, host, err);

	if (applies < 0 || parse_names(arena, value, &rule, err) < 0 ||
	    parse_action(json_get_str(value, "action"), json_get_int(value, "errnoRet", EPERM), &rule.action, err) <
		    0 ||
	    parse_args(get_list(value, "args"), &rule, err) < 0)
		return -1;
	if (applies)
		*ARENA_PUSH(arena, profile->rules, profile->rule_count) = rule;
	return 0;
}

/* ---- architectures ---- */

/* Those that libseccomp does not know cannot be this machine's. */
static void add_arch(struct profile *profile, const struct json *name)
{
	uint32_t arch = name->type == JSON_STR ? seccomp_arch_resolve_name(name->text) : 0;

	for (size_t i = 0; i < profile->arch_count; i++) {
		if (profile->arches[i] == arch)
			return;
	}
	if (arch != 0 && profile->arch_count < PROFILE_ARCHES_MAX)
		profile->arches[profile->arch_count++] = arch;
}

/* libseccomp resolves "x86_64" where docker writes "SCMP_ARCH_X86_64". */
static struct json *strip_arch(struct arena *arena, const struct json *name)
{
	static const char prefix[] = "SCMP_ARCH_";
	const char *text = name->type == JSON_STR ? name->text : "";
	char *lower = arena_strdup(arena, text_starts(text, prefix) ? text + strlen(prefix) : text);

	for (char *c = lower; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return json_str(arena, lower);
}

static void parse_arches(struct arena *arena, const struct json *value, struct profile *profile)
{
	const struct json *map = get_list(value, "archMap"), *list = get_list(value, "architectures");

	for (size_t i = 0; i < list_count(list); i++)
		add_arch(profile, strip_arch(arena, list->items[i]));
	for (size_t i = 0; i < list_count(map); i++) {
		const struct json *name = json_get(map->items[i], "architecture");
		const struct json *below = get_list(map->items[i], "subArchitectures");
		if (!name || seccomp_arch_resolve_name(strip_arch(arena, name)->text) != profile->arches[0])
			continue;
		for (size_t k = 0; k < list_count(below); k++)
			add_arch(profile, strip_arch(arena, below->items[k]));
	}
}

/* ---- the whole ---- */

static struct profile_host this_host(const struct profile_host *host)
{
	struct profile_host found = host ? *host : (struct profile_host){ 0 };
	struct utsname name;

	if (found.arch == 0)
		found.arch = seccomp_arch_native();
	if (found.kernel_major == 0 && uname(&name) == 0 &&
	    sscanf(name.release, "%u.%u", &found.kernel_major, &found.kernel_minor) != 2)
		found.kernel_major = 0;
	return found;
}

static int parse_rules(struct arena *arena, const struct json *value, const struct profile_host *host,
		       struct profile *profile, struct err *err)
{
	const struct json *rules = get_list(value, "syscalls");

	for (size_t i = 0; i < list_count(rules); i++) {
		if (parse_rule(arena, rules->items[i], host, profile, err) < 0)
			return err_wrap(err, "\"syscalls\", rule %zu", i + 1);
	}
	return 0;
}

int profile_parse(struct arena *arena, const char *text, size_t len, const struct profile_host *host_or_null,
		  struct profile *out, struct err *err)
{
	struct profile_host host = this_host(host_or_null);
	struct profile profile = { .arches = { host.arch }, .arch_count = 1 };
	const struct json *value = json_parse(arena, text, len, err);

	if (!value)
		return -1;
	if (parse_action(json_get_str(value, "defaultAction"), json_get_int(value, "defaultErrnoRet", EPERM),
			 &profile.default_action, err) < 0)
		return err_wrap(err, "\"defaultAction\"");
	if (list_count(get_list(value, "flags")) > 0)
		return err_set(err, ERR_UNSUPPORTED, "\"flags\" of a seccomp profile are not in this version of kiln");
	parse_arches(arena, value, &profile);
	if (parse_rules(arena, value, &host, &profile, err) < 0)
		return -1;
	*out = profile;
	return 0;
}
