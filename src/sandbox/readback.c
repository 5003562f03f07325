/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "caps.h"
#include "kiln/base/file.h"
#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "readback.h"
#include "setup.h"

/* Hosts with many mounts have long lists of them. */
#define SELF_MAX ((size_t)16 << 20)

/* ---- lines of /proc/self/status ---- */

/* The text behind "KEY:", or NULL. */
static const char *find_line(const char *status, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = status; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (strncmp(line, key, len) == 0 && line[len] == ':')
			return line + len + 1;
	}
	return NULL;
}

static bool read_number(const char **at, int base, uint64_t *out)
{
	char *end;

	*at += strspn(*at, " \t");
	if (!**at || **at == '\n')
		return false;
	*out = strtoull(*at, &end, base);
	if (end == *at)
		return false;
	*at = end;
	return true;
}

static int fail_different(const char *key, uint64_t found, uint64_t wanted, struct err *err)
{
	return err_set(err, ERR_UNSUPPORTED,
		       "%s is %" PRIx64 " where %" PRIx64
		       " was asked for: this environment does not keep a step in its cage",
		       key, found, wanted);
}

static int check_numbers(const char *status, const char *key, int base, uint64_t wanted, size_t count, struct err *err)
{
	const char *at = find_line(status, key);
	uint64_t found;

	for (size_t i = 0; i < count; i++) {
		if (!at || !read_number(&at, base, &found))
			return err_set(err, ERR_UNSUPPORTED, "the kernel does not say what %s is", key);
		if (found != wanted)
			return fail_different(key, found, wanted, err);
	}
	return 0;
}

static bool is_expected_group(const struct readback *wanted, uint64_t gid)
{
	for (size_t i = 0; i < wanted->user->group_count; i++) {
		if (wanted->user->groups[i] == gid)
			return true;
	}
	return wanted->user->gid == gid;
}

static int check_groups(const char *status, const struct readback *wanted, struct err *err)
{
	const char *at = find_line(status, "Groups");
	size_t count = 0;
	uint64_t gid;

	while (at && read_number(&at, 10, &gid)) {
		if (!is_expected_group(wanted, gid))
			return err_set(err, ERR_UNSUPPORTED, "the step would be in group %" PRIu64, gid);
		count++;
	}
	if (count != wanted->user->group_count + 1)
		return fail_different("Groups", count, wanted->user->group_count + 1, err);
	return 0;
}

int readback_check(const char *status, const struct readback *wanted, struct err *err)
{
	const struct {
		const char *key;
		int base;
		uint64_t value;
		size_t count;
	} lines[] = {
		{ "Uid", 10, wanted->user->uid, 4 },
		{ "Gid", 10, wanted->user->gid, 4 },
		{ "CapInh", 16, 0, 1 },
		{ "CapPrm", 16, wanted->caps, 1 },
		{ "CapEff", 16, wanted->caps, 1 },
		{ "CapBnd", 16, wanted->bounding, 1 },
		{ "CapAmb", 16, 0, 1 },
		{ "NoNewPrivs", 10, wanted->no_new_privs, 1 },
		{ "Seccomp", 10, 2, 1 },
		{ "Umask", 8, 022, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		if (check_numbers(status, lines[i].key, lines[i].base, lines[i].value, lines[i].count, err) < 0)
			return -1;
	}
	/* Where there is one id the caller's groups cannot be left. */
	return wanted->keeps_groups ? 0 : check_groups(status, wanted, err);
}

/* "ID PARENT MAJOR:MINOR ROOT MOUNTPOINT ...". */
int readback_check_mounts(const char *mountinfo, struct err *err)
{
	size_t roots = 0;

	for (const char *line = mountinfo; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *at = line;
		for (int field = 0; field < 4 && *at; field++)
			at += strcspn(at, " \n"), at += *at == ' ';
		roots += at[0] == '/' && at[1] == ' ';
	}
	if (roots == 1)
		return 0;
	return err_set(err, ERR_UNSUPPORTED, "%zu root file systems are in sight of the step", roots);
}

/* Read through the mount that we made, not through a path of the image (CVE-2025-52881). */
static int read_self(const struct setup *setup, const char *name, struct strbuf *text, struct err *err)
{
	return file_read(setup->proc_fd, name, SELF_MAX, text, err);
}

int setup_check(struct setup *setup, struct err *err)
{
	const struct cage *cage = setup->cage;
	const struct user root = { 0 };
	bool is_single = owners_are_recorded();
	scope_strbuf struct strbuf status = { 0 };
	scope_strbuf struct strbuf mountinfo = { 0 };
	const struct readback wanted = { .user = is_single ? &root : &cage->user,
					 .caps = is_single || cage->user.uid == 0 ? caps_of_step() : 0,
					 .bounding = caps_of_step(),
					 .no_new_privs = is_single || setup_is_locked(cage),
					 .keeps_groups = is_single };

	if (read_self(setup, "self/status", &status, err) < 0 ||
	    read_self(setup, "self/mountinfo", &mountinfo, err) < 0)
		return -1;
	if (readback_check(strbuf_str(&status), &wanted, err) < 0)
		return -1;
	return readback_check_mounts(strbuf_str(&mountinfo), err);
}
