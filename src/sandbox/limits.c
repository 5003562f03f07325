/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "setup.h"

/* Resource limits: docker's --ulimit (go-units' ParseUlimit), and setting them. */

static const struct {
	const char *name;
	int resource;
} resources[] = {
	{ "core", RLIMIT_CORE },         { "cpu", RLIMIT_CPU },
	{ "data", RLIMIT_DATA },         { "fsize", RLIMIT_FSIZE },
	{ "locks", RLIMIT_LOCKS },       { "memlock", RLIMIT_MEMLOCK },
	{ "msgqueue", RLIMIT_MSGQUEUE }, { "nice", RLIMIT_NICE },
	{ "nofile", RLIMIT_NOFILE },     { "nproc", RLIMIT_NPROC },
	{ "rss", RLIMIT_RSS },           { "rtprio", RLIMIT_RTPRIO },
	{ "rttime", RLIMIT_RTTIME },     { "sigpending", RLIMIT_SIGPENDING },
	{ "stack", RLIMIT_STACK },
};

const char *cage_limit_name(const struct cage_limit *limit)
{
	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		if (resources[i].resource == limit->resource)
			return resources[i].name;
	}
	return "?";
}

static int find_resource(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		if (strlen(resources[i].name) == len && memcmp(resources[i].name, name, len) == 0)
			return resources[i].resource;
	}
	return -1;
}

static int parse_value(uint64_t *out, const char *text, size_t len, struct err *err)
{
	char copy[32];
	int64_t value;

	if (len >= sizeof(copy))
		return err_set(err, ERR_INPUT, "\"%.*s\" is not a number", (int)(len < 64 ? len : 64), text);
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (parse_int64(&value, copy, err) < 0)
		return -1;
	if (value < -1)
		return err_set(err, ERR_INPUT, "%s is not a limit: a number, or -1 for none", copy);
	*out = value < 0 ? UINT64_MAX : (uint64_t)value;
	return 0;
}

static int parse_values(struct cage_limit *limit, const char *text, struct err *err)
{
	size_t len = strcspn(text, ":");

	if (parse_value(&limit->soft, text, len, err) < 0)
		return -1;
	limit->hard = limit->soft;
	if (!text[len])
		return 0;
	if (strchr(text + len + 1, ':'))
		return err_set(err, ERR_INPUT,
			       "too many limit value arguments - %s, can only have up to two, `soft[:hard]`", text);
	if (parse_value(&limit->hard, text + len + 1, strlen(text + len + 1), err) < 0)
		return -1;
	if (limit->soft > limit->hard)
		return err_set(err, ERR_INPUT, "ulimit soft limit must be less than or equal to hard limit: %s", text);
	return 0;
}

int cage_limit_parse(struct cage_limit *limit, const char *text, struct err *err)
{
	struct cage_limit found = { 0 };
	const char *equals = strchr(text, '=');
	char shown[128];

	if (!equals)
		return err_set(err, ERR_INPUT, "invalid ulimit argument: %s",
			       err_printable(shown, sizeof(shown), text));
	found.resource = find_resource(text, (size_t)(equals - text));
	if (found.resource < 0)
		return err_set(err, ERR_INPUT, "invalid ulimit type: %.*s",
			       (int)strcspn(err_printable(shown, sizeof(shown), text), "="), shown);
	if (parse_values(&found, equals + 1, err) < 0)
		return -1;
	*limit = found;
	return 0;
}

static rlim_t rlim_of(uint64_t value)
{
	return value == UINT64_MAX ? RLIM_INFINITY : (rlim_t)value;
}

int setup_limits(const struct cage *cage, struct err *err)
{
	for (size_t i = 0; i < cage->limit_count; i++) {
		const struct cage_limit *limit = &cage->limits[i];
		const struct rlimit values = { rlim_of(limit->soft), rlim_of(limit->hard) };
		if (setrlimit((__rlimit_resource_t)limit->resource, &values) == 0)
			continue;
		if (errno == EPERM)
			return err_set(
				err, ERR_UNSUPPORTED,
				"ulimit %s: its hard limit is above that of kiln itself, and only root raises those",
				cage_limit_name(limit));
		return err_errno(err, "ulimit %s", cage_limit_name(limit));
	}
	return 0;
}
