/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "caps.h"
#include "idmap.h"
#include "kiln/base/file.h"
#include "kiln/base/log.h"
#include "kiln/base/proc.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/sandbox/idmap.h"

/* /etc/subuid of a site with many users. */
#define SUBIDS_MAX ((size_t)16 << 20)

/* Below this the ids of real users begin on most systems, so useradd hands out sub-ids from here on. */
#define SUBID_FIRST   100000
#define SUBID_DEFAULT 65536

#define HELPER_TIMEOUT_MS 30000

/* One of the two halves of a map. */
struct half {
	struct id_extent *extents;
	size_t *count;
	uint32_t own;     /* the caller's id */
	const char *file; /* "/etc/subuid" */
	bool is_group;
};

static uint64_t count_ids(const struct id_extent *extents, size_t count)
{
	uint64_t ids = 0;

	for (size_t i = 0; i < count; i++)
		ids += extents[i].count;
	return ids;
}

uint64_t id_map_uids(const struct id_map *map)
{
	return count_ids(map->uids, map->uid_count);
}

uint64_t id_map_gids(const struct id_map *map)
{
	return count_ids(map->gids, map->gid_count);
}

/* Digits of a number that fits. (Not sscanf, which measures all the text behind them each time.) */
static bool take_number(const char **at, uint32_t *out)
{
	const char *start = *at;
	uint64_t number = 0;

	for (; **at >= '0' && **at <= '9'; (*at)++) {
		number = number * 10 + (uint64_t)(**at - '0');
		if (number > UINT32_MAX)
			return false;
	}
	*out = (uint32_t)number;
	return *at > start;
}

/* Numbers with blanks before them. */
static bool take_numbers(const char **at, uint32_t *out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		*at += strspn(*at, " \t\n");
		if (!take_number(at, &out[i]))
			return false;
	}
	return true;
}

/* ---- onto itself ---- */

/* The kernel takes a range only if one line of the parent's map holds it, so the lines are taken as they are. */
int id_map_parse_own(const char *text, struct id_extent *extents, size_t *count, struct err *err)
{
	uint32_t numbers[3];

	for (*count = 0; take_numbers(&text, numbers, ARRAY_LEN(numbers)); (*count)++) {
		if (*count == ID_EXTENTS_MAX)
			return err_set(err, ERR_UNSUPPORTED, "the id map has more than %d lines", ID_EXTENTS_MAX);
		extents[*count] = (struct id_extent){ .inside = numbers[0],
						      .outside = numbers[0],
						      .count = numbers[2] };
	}
	return *count > 0 ? 0 : err_set(err, ERR_UNSUPPORTED, "no ids are mapped in this user namespace");
}

static int plan_onto_itself(const char *path, struct id_extent *extents, size_t *count, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };

	if (file_read(AT_FDCWD, path, 65536, &text, err) < 0)
		return -1;
	if (id_map_parse_own(strbuf_str(&text), extents, count, err) < 0)
		return err_wrap(err, "%s", path);
	if (count_ids(extents, *count) < 2)
		return err_set(err, ERR_UNSUPPORTED,
			       "the user namespace that kiln runs in has one id only, and an image needs a range (%s)",
			       path);
	return 0;
}

/* ---- sub-ids ---- */

static void add_extent(struct half *half, uint32_t start, uint32_t count)
{
	const struct id_extent *last = &half->extents[*half->count - 1];
	uint32_t inside = last->inside + last->count;

	/* Ids end at 2^32-2. */
	if (count > UINT32_MAX - inside)
		count = UINT32_MAX - inside;
	if (count > UINT32_MAX - start)
		count = UINT32_MAX - start;
	if (count > 0 && *half->count < ID_EXTENTS_MAX)
		half->extents[(*half->count)++] = (struct id_extent){ .inside = inside,
								      .outside = start,
								      .count = count };
}

/* "owner:start:count". Returns the owner's length, or 0 for a line that is none. */
static size_t parse_subid(const char *line, uint32_t *start, uint32_t *count)
{
	size_t owner_len = strcspn(line, ":\n");
	const char *at = line + owner_len;

	if (*at++ != ':' || !take_number(&at, start) || *at++ != ':' || !take_number(&at, count))
		return 0;
	return owner_len;
}

static bool is_owner(const char *line, size_t len, const char *owner)
{
	return owner && strlen(owner) == len && memcmp(line, owner, len) == 0;
}

static const char *next_line(const char *line)
{
	line += strcspn(line, "\n");
	return *line ? line + 1 : line;
}

void id_map_add_subids(const char *text, const char *name, const char *number, struct id_extent *extents, size_t *count)
{
	struct half half = { .extents = extents, .count = count };
	uint32_t start, size;

	for (const char *line = text; *line; line = next_line(line)) {
		size_t len = parse_subid(line, &start, &size);
		if (len > 0 && (is_owner(line, len, name) || is_owner(line, len, number)))
			add_extent(&half, start, size);
	}
}

/* Site-wide sub-ids come from a service that nsswitch.conf names; getsubids asks it. Its lines are "0: owner start
   count". */
static void ask_getsubids(struct half *half, const char *owner)
{
	const char *const argv[] = { "getsubids", half->is_group ? "-g" : owner, half->is_group ? owner : NULL, NULL };
	scope_strbuf struct strbuf out = { 0 };
	const struct proc_run run = { .argv = argv, .timeout_ms = HELPER_TIMEOUT_MS, .out = &out };
	uint32_t numbers[2];

	if (proc_run(&run, NULL) < 0)
		return;
	for (const char *line = strbuf_str(&out); *line; line = next_line(line)) {
		const char *at = line + strcspn(line, ":\n");
		at += strspn(at, ": ");
		at += strcspn(at, " \n");
		if (take_numbers(&at, numbers, ARRAY_LEN(numbers)))
			add_extent(half, numbers[0], numbers[1]);
	}
}

static bool subids_are_site_wide(void)
{
	scope_strbuf struct strbuf text = { 0 };

	if (file_read(AT_FDCWD, "/etc/nsswitch.conf", 65536, &text, NULL) < 0)
		return false;
	for (const char *line = strbuf_str(&text); *line; line = next_line(line)) {
		if (text_starts(line, "subid:"))
			return true;
	}
	return false;
}

static int plan_half(struct half *half, const char *name, const char *number, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct err missing = { 0 };

	half->extents[0] = (struct id_extent){ .inside = 0, .outside = half->own, .count = 1 };
	*half->count = 1;
	if (subids_are_site_wide())
		ask_getsubids(half, name ? name : number);
	if (*half->count > 1)
		return 0;
	if (file_read(AT_FDCWD, half->file, SUBIDS_MAX, &text, &missing) < 0 && !err_is_errno(&missing, ENOENT))
		return err_set(err, ERR_UNSUPPORTED, "%s", missing.msg);
	id_map_add_subids(strbuf_str(&text), name, number, half->extents, half->count);
	return 0;
}

/* The first sub-id that no line of text uses, for the remedy. */
uint32_t id_map_first_free(const char *text)
{
	uint32_t first = SUBID_FIRST, start, count;

	for (const char *line = text; *line; line = next_line(line)) {
		if (parse_subid(line, &start, &count) > 0 && start + (uint64_t)count > first &&
		    start + (uint64_t)count < UINT32_MAX - SUBID_DEFAULT)
			first = start + count;
	}
	return first;
}

static int fail_without_subids(const char *name, const char *file, struct err *err)
{
	scope_strbuf struct strbuf uids = { 0 };
	scope_strbuf struct strbuf gids = { 0 };
	uint32_t uid, gid;

	if (file_read(AT_FDCWD, "/etc/subuid", SUBIDS_MAX, &uids, NULL) < 0 ||
	    file_read(AT_FDCWD, "/etc/subgid", SUBIDS_MAX, &gids, NULL) < 0)
		log_debug("the sub-id files cannot be read");
	uid = id_map_first_free(strbuf_str(&uids));
	gid = id_map_first_free(strbuf_str(&gids));
	return err_set(
		err, ERR_UNSUPPORTED,
		"user %s has no range of ids in %s, and an image needs one; an administrator gives it by: usermod "
		"--add-subuids %" PRIu32 "-%" PRIu32 " --add-subgids %" PRIu32 "-%" PRIu32 " %s",
		name, file, uid, uid + SUBID_DEFAULT - 1, gid, gid + SUBID_DEFAULT - 1, name);
}

static int check_helper(const char *program, struct err *err)
{
	scope_strbuf struct strbuf path = { 0 };

	if (proc_find(program, &path, err) == 0)
		return 0;
	return err_set(
		err, ERR_UNSUPPORTED,
		"%s is not installed; it comes with the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora)",
		program);
}

static int plan_subids(struct id_map *map, struct err *err)
{
	const struct passwd *entry = getpwuid(getuid());
	const char *name = entry ? entry->pw_name : NULL;
	struct half uids = { map->uids, &map->uid_count, geteuid(), "/etc/subuid", false };
	struct half gids = { map->gids, &map->gid_count, getegid(), "/etc/subgid", true };
	char number[16];

	snprintf(number, sizeof(number), "%u", getuid());
	map->by_helper = true;
	if (plan_half(&uids, name, number, err) < 0 || plan_half(&gids, name, number, err) < 0)
		return -1;
	if (map->uid_count < 2)
		return fail_without_subids(name ? name : number, uids.file, err);
	if (map->gid_count < 2)
		return fail_without_subids(name ? name : number, gids.file, err);
	return check_helper("newuidmap", err) < 0 || check_helper("newgidmap", err) < 0 ? -1 : 0;
}

int id_map_plan(struct id_map *map, struct err *err)
{
	memset(map, 0, sizeof(*map));
	if (!caps_are_effective(CAP_SETUID) || !caps_are_effective(CAP_SETGID))
		return plan_subids(map, err);
	if (plan_onto_itself("/proc/self/uid_map", map->uids, &map->uid_count, err) < 0)
		return -1;
	return plan_onto_itself("/proc/self/gid_map", map->gids, &map->gid_count, err);
}

void id_map_plan_single(struct id_map *map)
{
	memset(map, 0, sizeof(*map));
	map->uids[0] = (struct id_extent){ .inside = 0, .outside = geteuid(), .count = 1 };
	map->gids[0] = (struct id_extent){ .inside = 0, .outside = getegid(), .count = 1 };
	map->uid_count = map->gid_count = 1;
	map->is_single = true;
}

/* ---- writing ---- */

/* One call of newuidmap or newgidmap, or one write to uid_map or gid_map. */
struct map_write {
	pid_t pid;
	const char *program, *file;
	const struct id_extent *extents;
	size_t count;
};

static int write_directly(const struct map_write *map, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", map->pid, map->file);
	for (size_t i = 0; i < map->count; i++)
		strbuf_addf(&text, "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", map->extents[i].inside,
			    map->extents[i].outside, map->extents[i].count);
	/* The kernel takes the whole map in one write, of less than a page. */
	scope_fd int fd = openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, strbuf_str(&text), text.len) != (ssize_t)text.len)
		return err_errno(err, "write the id map %s", path);
	return 0;
}

/* What newuidmap says does not tell why it cannot (lockdown.md, "three mapping facts"). */
static int explain_helper(const char *program, struct err *err)
{
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return err_wrap(err, "no_new_privs is set here, so the set-uid program %s has no power", program);
	if (strstr(err ? err->msg : "", "peration not permitted") || strstr(err ? err->msg : "", "ermission denied"))
		return err_wrap(
			err,
			"%s may not map ids (in a container, root of the image helps by: chmod u-s "
			"/usr/bin/newuidmap /usr/bin/newgidmap && setcap cap_setuid+ep /usr/bin/newuidmap && setcap "
			"cap_setgid+ep /usr/bin/newgidmap)",
			program);
	return -1;
}

static int write_by_helper(const struct map_write *map, struct err *err)
{
	scope_strvec struct strvec argv = { 0 };

	strvec_push(&argv, map->program);
	strvec_pushf(&argv, "%d", map->pid);
	for (size_t i = 0; i < map->count; i++) {
		strvec_pushf(&argv, "%" PRIu32, map->extents[i].inside);
		strvec_pushf(&argv, "%" PRIu32, map->extents[i].outside);
		strvec_pushf(&argv, "%" PRIu32, map->extents[i].count);
	}
	const struct proc_run run = { .argv = (const char *const *)strvec_argv(&argv),
				      .timeout_ms = HELPER_TIMEOUT_MS };
	return proc_run(&run, err) < 0 ? explain_helper(map->program, err) : 0;
}

/* Without it a user could leave a group that forbids him something. */
static int deny_setgroups(pid_t pid, struct err *err)
{
	static const char word[] = "deny";
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/setgroups", pid);
	scope_fd int fd = openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, word, strlen(word)) < 0)
		return err_errno(err, "give up setgroups: %s", path);
	return 0;
}

static int write_in_child(int channel, void *arg, struct err *err)
{
	(void)channel;
	return write_by_helper(arg, err);
}

/* The two helpers are the largest part of kiln's start, so they run side by side. */
int id_map_write(const struct id_map *map, pid_t pid, struct err *err)
{
	struct map_write uids = { pid, "newuidmap", "uid_map", map->uids, map->uid_count };
	struct map_write gids = { pid, "newgidmap", "gid_map", map->gids, map->gid_count };
	scope_proc struct proc child = PROC_EMPTY;

	if (map->is_single && deny_setgroups(pid, err) < 0)
		return -1;
	if (!map->by_helper)
		return write_directly(&gids, err) < 0 ? -1 : write_directly(&uids, err);
	if (proc_fork(&child, write_in_child, &gids, err) < 0 || write_by_helper(&uids, err) < 0)
		return -1;
	return proc_wait(&child, NULL, err);
}
