/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/oci/image.h"

/* Names and normalisation follow github.com/containerd/platforms. */

static const struct {
	const char *alias, *variant_in;
	const char *architecture, *variant;
} normal_architectures[] = {
	/* variant_in NULL: whatever variant is given is replaced; "" only if none is given. */
	{ "i386", NULL, "386", NULL },    { "x86_64", "", "amd64", NULL },  { "x86-64", "", "amd64", NULL },
	{ "amd64", "v1", "amd64", NULL }, { "aarch64", "", "arm64", NULL }, { "arm64", "8", "arm64", NULL },
	{ "arm64", "v8", "arm64", NULL }, { "armhf", NULL, "arm", "v7" },   { "armel", NULL, "arm", "v6" },
	{ "arm", "", "arm", "v7" },       { "arm", "5", "arm", "v5" },      { "arm", "6", "arm", "v6" },
	{ "arm", "7", "arm", "v7" },      { "arm", "8", "arm", "v8" },
};

/* uname's machine, for this host. */
static const struct {
	const char *machine, *architecture, *variant;
} machines[] = {
	{ "x86_64", "amd64", NULL },  { "aarch64", "arm64", "v8" },   { "armv8l", "arm", "v7" },
	{ "armv7l", "arm", "v7" },    { "armv6l", "arm", "v6" },      { "armv5tel", "arm", "v5" },
	{ "i686", "386", NULL },      { "i586", "386", NULL },        { "i486", "386", NULL },
	{ "i386", "386", NULL },      { "ppc64le", "ppc64le", NULL }, { "ppc64", "ppc64", NULL },
	{ "s390x", "s390x", NULL },   { "riscv64", "riscv64", NULL }, { "loongarch64", "loong64", NULL },
	{ "mips64", "mips64", NULL },
};

static const char *const known_systems[] = { "aix",     "android", "darwin",  "dragonfly", "freebsd", "hurd",
					     "illumos", "ios",     "js",      "linux",     "nacl",    "netbsd",
					     "openbsd", "plan9",   "solaris", "windows",   "zos",     NULL };

static const char *const known_architectures[] = { "386",         "amd64",   "amd64p32", "arm",      "armbe",
						   "arm64",       "arm64be", "ppc64",    "ppc64le",  "loong64",
						   "mips",        "mipsle",  "mips64",   "mips64le", "mips64p32",
						   "mips64p32le", "ppc",     "riscv",    "riscv64",  "s390",
						   "s390x",       "sparc",   "sparc64",  "wasm",     NULL };

static bool is_listed(const char *text, const char *const *list)
{
	for (; *list; list++) {
		if (text_equal(text, *list))
			return true;
	}
	return false;
}

static char *lower(struct arena *arena, const char *text)
{
	char *copy = arena_strdup(arena, text);

	for (char *c = copy; c && *c; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	}
	return copy;
}

static void normalise_architecture(struct platform *platform)
{
	const char *variant = platform->variant ? platform->variant : "";

	/* "aarch64/v8" goes through two rows. */
	for (size_t i = 0; i < ARRAY_LEN(normal_architectures); i++) {
		if (!text_equal(platform->architecture, normal_architectures[i].alias))
			continue;
		platform->architecture = normal_architectures[i].architecture;
		if (normal_architectures[i].variant_in && !text_equal(normal_architectures[i].variant_in, variant))
			continue;
		platform->variant = normal_architectures[i].variant;
		variant = platform->variant ? platform->variant : "";
	}
}

static void normalise(struct arena *arena, struct platform *platform)
{
	if (platform->os)
		platform->os = lower(arena, platform->os);
	if (text_equal(platform->os, "macos"))
		platform->os = "darwin";
	platform->architecture = lower(arena, platform->architecture);
	platform->variant = lower(arena, platform->variant);
	if (platform->architecture)
		normalise_architecture(platform);
}

struct platform platform_host(void)
{
	struct platform host = { .os = "linux", .architecture = "amd64" };
	struct utsname name;

	if (uname(&name) < 0)
		return host;
	for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
		if (!text_equal(name.machine, machines[i].machine))
			continue;
		host.architecture = machines[i].architecture;
		host.variant = machines[i].variant;
	}
	return host;
}

static bool is_specifier(const char *text, const char *extra)
{
	const char *c = text;

	for (; *c; c++) {
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", *c) &&
		    !strchr(extra, *c))
			return false;
	}
	return c != text;
}

/* OS or OS(VERSION). */
static int parse_os(struct arena *arena, char *part, struct platform *out, struct err *err)
{
	char *open = strchr(part, '(');
	char *close = open ? strchr(open, ')') : NULL;

	if (open) {
		if (!close || close[1])
			return err_set(err, ERR_INPUT, "\"%s\" is not an operating system", part);
		*open = *close = '\0';
		if (open[1] && !is_specifier(open + 1, "."))
			return err_set(err, ERR_INPUT, "\"%s\" is not the version of an operating system", open + 1);
		out->os_version = open[1] ? arena_strdup(arena, open + 1) : NULL;
	}
	if (!is_specifier(part, open ? "" : "."))
		return err_set(err, ERR_INPUT, "\"%s\" is not an operating system", part);
	out->os = part;
	return 0;
}

/* One word is a system or else an architecture; what it does not say is the host's. */
static int parse_single(struct arena *arena, const char *word, struct platform *out, struct err *err)
{
	struct platform host = platform_host();

	normalise(arena, out);
	if (is_listed(out->os, known_systems)) {
		out->architecture = host.architecture;
		out->variant = host.variant;
		normalise_architecture(out);
		return 0;
	}
	*out = (struct platform){ .os = host.os, .architecture = word };
	normalise(arena, out);
	if (!is_listed(out->architecture, known_architectures))
		return err_set(err, ERR_INPUT, "\"%s\" is neither a known operating system nor a known architecture",
			       word);
	return 0;
}

static int parse_parts(struct arena *arena, char *text, struct platform *out, struct err *err)
{
	char *architecture = strchr(text, '/');
	char *variant = architecture ? strchr(architecture + 1, '/') : NULL;

	if (architecture)
		*architecture++ = '\0';
	if (variant)
		*variant++ = '\0';
	if (parse_os(arena, text, out, err) < 0)
		return -1;
	if (!architecture)
		return parse_single(arena, text, out, err);
	if (!is_specifier(architecture, ".") || (variant && !is_specifier(variant, ".")))
		return err_set(err, ERR_INPUT, "it is not OS/ARCHITECTURE[/VARIANT]");
	out->architecture = architecture;
	out->variant = variant;
	normalise(arena, out);
	return 0;
}

int platform_parse(struct arena *arena, const char *text, struct platform *out, struct err *err)
{
	struct platform result = { 0 };
	char shown[160];

	if (parse_parts(arena, arena_strdup(arena, text), &result, err) < 0)
		return err_wrap(err, "invalid platform \"%s\"", err_printable(shown, sizeof(shown), text));
	*out = result;
	return 0;
}

/* The common variants are not written, as containerd formats a normalised platform. */
static bool is_default_variant(const struct platform *platform)
{
	return !platform->variant || !*platform->variant ||
	       (text_equal(platform->architecture, "arm64") && text_equal(platform->variant, "v8")) ||
	       (text_equal(platform->architecture, "amd64") && text_equal(platform->variant, "v1"));
}

char *platform_text(struct arena *arena, const struct platform *platform)
{
	const char *version = platform->os_version && *platform->os_version ? platform->os_version : NULL;

	if (!platform->os)
		return arena_strdup(arena, "unknown");
	return arena_printf(
		arena, "%s%s%s%s%s%s%s%s", platform->os, version ? "(" : "", version ? version : "", version ? ")" : "",
		platform->architecture ? "/" : "", platform->architecture ? platform->architecture : "",
		is_default_variant(platform) ? "" : "/", is_default_variant(platform) ? "" : platform->variant);
}

static bool is_in(struct arena *arena, const struct platform *list, size_t count, const struct platform *platform)
{
	const char *text = platform_text(arena, platform);

	for (size_t i = 0; i < count; i++) {
		if (text_equal(platform_text(arena, &list[i]), text))
			return true;
	}
	return false;
}

int platform_parse_list(struct arena *arena, const char *text, struct platform **list, size_t *count, struct err *err)
{
	for (const char *at = text;; at++) {
		size_t len = strcspn(at, ",");
		const char *word = arena_strndup(arena, at, len);
		struct platform platform = platform_host();
		if (!text_equal_nocase(word, "local") && platform_parse(arena, word, &platform, err) < 0)
			return -1;
		if (!is_in(arena, *list, *count, &platform))
			*ARENA_PUSH(arena, *list, *count) = platform;
		at += len;
		if (!*at)
			return 0;
	}
}

/* The generation that a variant means, times 100: "v8.2" is 802. -1 if it means none that is known. */
static int variant_rank(const struct platform *platform)
{
	const char *variant = platform->variant ? platform->variant : "";
	char *end;
	long major, minor = 0;

	if (!*variant)
		return text_equal(platform->architecture, "amd64")   ? 100
		       : text_equal(platform->architecture, "arm64") ? 800
		       : text_equal(platform->architecture, "arm")   ? 700
								     : 0;
	if (variant[0] != 'v' || variant[1] < '1' || variant[1] > '9')
		return -1;
	major = strtol(variant + 1, &end, 10);
	if (*end == '.' && end[1] >= '0' && end[1] <= '9')
		minor = strtol(end + 1, &end, 10);
	return *end || major > 99 || minor > 99 ? -1 : (int)(major * 100 + minor);
}

int platform_match(const struct platform *want, const struct platform *candidate)
{
	scope_arena struct arena arena = { 0 };
	struct platform a = *want, b = *candidate;
	int wanted, offered;

	if (!a.os || !b.os || !a.architecture || !b.architecture)
		return 0;
	normalise(&arena, &a);
	normalise(&arena, &b);
	if (!text_equal(a.os, b.os) || !text_equal(a.architecture, b.architecture))
		return 0;
	wanted = variant_rank(&a);
	offered = variant_rank(&b);
	if (wanted < 0 || offered < 0)
		return text_equal(a.variant ? a.variant : "", b.variant ? b.variant : "") ? 10000 : 0;
	/* A processor runs what was made for its own generation or an older one; the nearest is best. */
	return offered <= wanted ? 10000 - (wanted - offered) : 0;
}

void platform_of(const struct json *object, struct platform *out)
{
	*out = (struct platform){ .os = json_get_str(object, "os"),
				  .architecture = json_get_str(object, "architecture"),
				  .variant = json_get_str(object, "variant"),
				  .os_version = json_get_str(object, "os.version") };
}

struct json *platform_json(struct arena *arena, const struct platform *platform)
{
	struct json *object = json_object(arena);

	json_set(arena, object, "architecture", json_str(arena, platform->architecture));
	json_set(arena, object, "os", json_str(arena, platform->os));
	if (platform->os_version)
		json_set(arena, object, "os.version", json_str(arena, platform->os_version));
	if (platform->variant)
		json_set(arena, object, "variant", json_str(arena, platform->variant));
	return object;
}
