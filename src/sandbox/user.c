/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "kiln/base/file.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/base/text.h"
#include "kiln/sandbox/user.h"

/* BuildKit's limit (CVE-2026-47262: /etc/group without end). */
#define USER_FILE_MAX ((size_t)10 << 20)

/* 2^32-1 is "no id" for the kernel. */
#define ID_MAX (UINT32_MAX - 1)

#define FIELDS_MAX 7

enum passwd_field { PASSWD_NAME, PASSWD_PASSWORD, PASSWD_UID, PASSWD_GID, PASSWD_COMMENT, PASSWD_HOME };
enum group_field { GROUP_NAME, GROUP_PASSWORD, GROUP_GID, GROUP_MEMBERS };

/* ---- words: what USER and --chown say ---- */

struct word {
	const char *text;
	size_t len;
	bool is_id;
	uint32_t id;
};

/* A word of digits is an id, never a name (CVE-2016-3697). */
static int parse_word(struct word *word, const char *text, size_t len, const char *what, struct err *err)
{
	uint64_t id = 0;

	*word = (struct word){ .text = text, .len = len, .is_id = len > 0 && strspn(text, "0123456789") >= len };
	for (size_t i = 0; word->is_id && i < len; i++) {
		id = id * 10 + (uint64_t)(text[i] - '0');
		if (id > ID_MAX)
			return err_set(err, ERR_INPUT, "%s id %.*s is out of range: the largest is %u", what,
				       (int)(len < 80 ? len : 80), text, ID_MAX);
	}
	word->id = (uint32_t)id;
	return 0;
}

/* "user[:group]". An empty group is none. */
static int parse_words(struct word *user, struct word *group, const char *text, struct err *err)
{
	size_t len = strcspn(text, ":");
	const char *rest = text[len] ? text + len + 1 : text + len;

	if (parse_word(user, text, len, "user", err) < 0)
		return -1;
	return parse_word(group, rest, strlen(rest), "group", err);
}

/* ---- lines of etc/passwd and etc/group ---- */

struct field {
	const char *text;
	size_t len;
};

struct line {
	struct field fields[FIELDS_MAX];
	size_t count;
};

/* Splits one line; fields behind the last that concerns us are left out. Returns the next line. */
static const char *split_line(const char *text, struct line *line)
{
	size_t left = strcspn(text, "\n");
	const char *next = text + left + (text[left] == '\n');

	line->count = 0;
	while (line->count < FIELDS_MAX) {
		size_t len = strcspn(text, ":\n");
		line->fields[line->count++] = (struct field){ .text = text, .len = len };
		if (text[len] != ':')
			break;
		text += len + 1;
	}
	return next;
}

static bool field_is(const struct field *field, const struct word *word)
{
	return field->len == word->len && memcmp(field->text, word->text, word->len) == 0;
}

/* The id in a field; a line without one is no entry, rather than one of root. */
static bool field_id(const struct line *line, size_t index, uint32_t *id)
{
	struct word word;

	if (index >= line->count ||
	    parse_word(&word, line->fields[index].text, line->fields[index].len, "", NULL) < 0 || !word.is_id)
		return false;
	*id = word.id;
	return true;
}

/* A missing file has no lines. */
static int read_lines(const struct root *image, const char *path, struct strbuf *text, struct err *err)
{
	struct err failed = { 0 };
	scope_fd int fd = root_open_regular(image, path, &failed);

	if (fd < 0 && (err_is_errno(&failed, ENOENT) || err_is_errno(&failed, ENOTDIR)))
		return 0;
	if (fd < 0) {
		if (err)
			*err = failed;
		return -1;
	}
	return file_read_fd(fd, USER_FILE_MAX, text, path, err);
}

/* ---- users ---- */

struct account {
	uint32_t uid, gid;
	struct field name, home;
};

static bool find_account(const char *text, const struct word *user, struct account *account)
{
	struct line line;

	while (*text) {
		text = split_line(text, &line);
		if (!field_id(&line, PASSWD_UID, &account->uid) || !field_id(&line, PASSWD_GID, &account->gid))
			continue;
		if (user->is_id ? account->uid != user->id : !field_is(&line.fields[PASSWD_NAME], user))
			continue;
		account->name = line.fields[PASSWD_NAME];
		account->home = line.count > PASSWD_HOME ? line.fields[PASSWD_HOME] : (struct field){ "", 0 };
		return true;
	}
	return false;
}

static bool find_group(const char *text, const struct word *group, uint32_t *gid)
{
	struct line line;

	while (*text) {
		uint32_t id;
		text = split_line(text, &line);
		if (field_id(&line, GROUP_GID, &id) && field_is(&line.fields[GROUP_NAME], group)) {
			*gid = id;
			return true;
		}
	}
	return false;
}

static bool has_member(const struct field *members, const struct field *name)
{
	const char *at = members->text, *end = at + members->len;

	while (at < end) {
		size_t len = strcspn(at, ",:\n");
		if (len == name->len && memcmp(at, name->text, len) == 0)
			return true;
		at += len + 1;
	}
	return false;
}

static bool has_group(const struct user *user, uint32_t gid)
{
	for (size_t i = 0; i < user->group_count; i++) {
		if (user->groups[i] == gid)
			return true;
	}
	return user->gid == gid;
}

/* The kernel takes NGROUPS_MAX of them, and one is the primary group. */
static int add_memberships(struct arena *arena, const char *text, const struct field *name, struct user *user,
			   struct err *err)
{
	struct line line;
	uint32_t gid;

	while (*text) {
		text = split_line(text, &line);
		if (line.count <= GROUP_MEMBERS || !field_id(&line, GROUP_GID, &gid) ||
		    !has_member(&line.fields[GROUP_MEMBERS], name) || has_group(user, gid))
			continue;
		if (user->group_count >= NGROUPS_MAX - 1)
			return err_set(err, ERR_INPUT, "user %.*s is a member of more than %d groups", (int)name->len,
				       name->text, NGROUPS_MAX);
		*ARENA_PUSH(arena, user->groups, user->group_count) = gid;
	}
	return 0;
}

static int fail_unknown(const char *what, const char *file, const struct word *word, struct err *err)
{
	char text[256], shown[256];

	snprintf(text, sizeof(text), "%.*s", (int)word->len, word->text);
	return err_set(err, ERR_INPUT, "unable to find %s %s: no matching entries in %s file", what,
		       err_printable(shown, sizeof(shown), text), file);
}

static void take_account(struct arena *arena, const struct account *account, struct user *user)
{
	user->uid = account->uid;
	user->gid = account->gid;
	user->name = arena_strndup(arena, account->name.text, account->name.len);
	if (account->home.len > 0)
		user->home = arena_strndup(arena, account->home.text, account->home.len);
}

/* The group that was asked for, or else the groups that list the user. */
static int resolve_groups(struct arena *arena, const struct root *image, const struct word *group,
			  const struct account *account, struct user *user, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };

	if (group->is_id) {
		user->gid = group->id;
		return 0;
	}
	if (group->len == 0 && !account)
		return 0;
	if (read_lines(image, "etc/group", &text, err) < 0)
		return -1;
	if (group->len == 0)
		return add_memberships(arena, strbuf_str(&text), &account->name, user, err);
	if (!find_group(strbuf_str(&text), group, &user->gid))
		return fail_unknown("group", "group", group, err);
	return 0;
}

int user_resolve(struct arena *arena, const struct root *image, const char *text, struct user *out, struct err *err)
{
	struct word name, group;
	scope_strbuf struct strbuf lines = { 0 };
	struct account account;
	struct user user = { .home = "/" };

	/* Numbers are what they are; only their home is looked up then, and a damaged file is of no concern. */
	if (parse_words(&name, &group, text, err) < 0)
		return -1;
	bool is_plain = name.len == 0 ? group.len == 0 : name.is_id && group.is_id;
	if (name.len == 0)
		name.is_id = true;
	if (read_lines(image, "etc/passwd", &lines, is_plain ? NULL : err) < 0 && !is_plain)
		return -1;

	bool is_known = find_account(strbuf_str(&lines), &name, &account);
	if (!is_known && !name.is_id)
		return fail_unknown("user", "passwd", &name, err);
	if (is_known)
		take_account(arena, &account, &user);
	user.uid = name.is_id ? name.id : user.uid;
	if (is_plain)
		user.gid = group.id;
	else if (resolve_groups(arena, image, &group, is_known ? &account : NULL, &user, err) < 0)
		return -1;
	*out = user;
	return 0;
}

/* ---- --chown ---- */

static int chown_user(const struct root *image, const struct word *name, uint32_t *uid, uint32_t *gid, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct account account;

	if (name->is_id) {
		*uid = *gid = name->id;
		return 0;
	}
	if (read_lines(image, "etc/passwd", &text, err) < 0)
		return -1;
	if (find_account(strbuf_str(&text), name, &account)) {
		*uid = account.uid;
		*gid = account.gid;
	}
	return 0;
}

static int chown_group(const struct root *image, const struct word *name, uint32_t *gid, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };

	if (name->is_id) {
		*gid = name->id;
		return 0;
	}
	if (name->len == 0)
		return 0;
	if (read_lines(image, "etc/group", &text, err) < 0)
		return -1;
	find_group(strbuf_str(&text), name, gid);
	return 0;
}

int chown_resolve(const struct root *image, const char *text, uint32_t *uid, uint32_t *gid, struct err *err)
{
	struct word user, group;
	uint32_t found_uid = 0, found_gid = 0;

	if (parse_words(&user, &group, text, err) < 0 || chown_user(image, &user, &found_uid, &found_gid, err) < 0 ||
	    chown_group(image, &group, &found_gid, err) < 0)
		return -1;
	*uid = found_uid;
	*gid = found_gid;
	return 0;
}
