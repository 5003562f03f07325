/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "creds.h"

#define BIT(cap) (UINT64_C(1) << (cap))

/* CAP_FS_MASK of the kernel: what follows the fs uid. */
#define FS_CAPS                                                                                                 \
	(BIT(CAP_CHOWN) | BIT(CAP_MKNOD) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) | \
	 BIT(CAP_FSETID) | BIT(CAP_LINUX_IMMUTABLE) | BIT(CAP_MAC_OVERRIDE))

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void creds_sort_groups(uint32_t *groups, size_t count)
{
	if (count > 1)
		qsort(groups, count, sizeof(*groups), by_number);
}

bool creds_has(const struct creds *creds, int cap)
{
	return creds->effective & BIT(cap);
}

bool creds_in_group(const struct creds *creds, uint32_t gid)
{
	if (creds->gid[ID_FS] == gid)
		return true;
	for (size_t i = 0; i < creds->group_count; i++) {
		if (creds->groups[i] == gid)
			return true;
	}
	return false;
}

bool creds_are_plain_root(const struct creds *creds)
{
	return creds->uid[ID_FS] == 0 && creds->gid[ID_FS] == 0 && creds_has(creds, CAP_CHOWN) &&
	       creds_has(creds, CAP_DAC_OVERRIDE) && creds_has(creds, CAP_FOWNER);
}

/* ---- ids ---- */

static bool is_one_of(const uint32_t *ids, uint32_t id, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (ids[i] == id)
			return true;
	}
	return false;
}

static bool any_is_root(const uint32_t *ids)
{
	return ids[ID_REAL] == 0 || ids[ID_EFFECTIVE] == 0 || ids[ID_SAVED] == 0;
}

/* cap_emulate_setxuid of the kernel. */
static void follow_uid(struct creds *creds, const uint32_t *old)
{
	if (any_is_root(old) && !any_is_root(creds->uid)) {
		if (!creds->keep_caps)
			creds->permitted = creds->effective = 0;
		creds->ambient = 0;
	}
	if (old[ID_EFFECTIVE] == 0 && creds->uid[ID_EFFECTIVE] != 0)
		creds->effective = 0;
	if (old[ID_EFFECTIVE] != 0 && creds->uid[ID_EFFECTIVE] == 0)
		creds->effective = creds->permitted;
}

static int take_uids(struct creds *creds, uint32_t real, uint32_t effective, uint32_t saved)
{
	uint32_t old[ID_COUNT];

	memcpy(old, creds->uid, sizeof(old));
	creds->uid[ID_REAL] = real;
	creds->uid[ID_EFFECTIVE] = creds->uid[ID_FS] = effective;
	creds->uid[ID_SAVED] = saved;
	follow_uid(creds, old);
	return 0;
}

static int take_gids(struct creds *creds, uint32_t real, uint32_t effective, uint32_t saved)
{
	creds->gid[ID_REAL] = real;
	creds->gid[ID_EFFECTIVE] = creds->gid[ID_FS] = effective;
	creds->gid[ID_SAVED] = saved;
	return 0;
}

/* The three forms of set*id as they are for users and for groups. Each fills ids[0..2] with what the ids become. */

static int plan_one(const uint32_t *now, bool is_able, uint32_t id, uint32_t ids[3])
{
	if (id == ID_KEEP)
		return -EINVAL;
	ids[ID_REAL] = is_able ? id : now[ID_REAL];
	ids[ID_SAVED] = is_able ? id : now[ID_SAVED];
	ids[ID_EFFECTIVE] = id;
	return is_able || id == now[ID_REAL] || id == now[ID_SAVED] ? 0 : -EPERM;
}

static int plan_two(const uint32_t *now, bool is_able, uint32_t real, uint32_t effective, uint32_t ids[3])
{
	memcpy(ids, now, 3 * sizeof(*ids));
	if (real != ID_KEEP) {
		if (!is_able && !is_one_of(now, real, 2))
			return -EPERM;
		ids[ID_REAL] = real;
	}
	if (effective != ID_KEEP) {
		if (!is_able && !is_one_of(now, effective, 3))
			return -EPERM;
		ids[ID_EFFECTIVE] = effective;
	}
	if (real != ID_KEEP || (effective != ID_KEEP && effective != now[ID_REAL]))
		ids[ID_SAVED] = ids[ID_EFFECTIVE];
	return 0;
}

static int plan_three(const uint32_t *now, bool is_able, const uint32_t *wanted, uint32_t ids[3])
{
	for (int i = 0; i < 3; i++) {
		ids[i] = wanted[i] == ID_KEEP ? now[i] : wanted[i];
		if (!is_able && !is_one_of(now, ids[i], 3))
			return -EPERM;
	}
	return 0;
}

int creds_setuid(struct creds *creds, uint32_t uid)
{
	uint32_t ids[3];
	int result = plan_one(creds->uid, creds_has(creds, CAP_SETUID), uid, ids);

	return result < 0 ? result : take_uids(creds, ids[0], ids[1], ids[2]);
}

int creds_setgid(struct creds *creds, uint32_t gid)
{
	uint32_t ids[3];
	int result = plan_one(creds->gid, creds_has(creds, CAP_SETGID), gid, ids);

	return result < 0 ? result : take_gids(creds, ids[0], ids[1], ids[2]);
}

int creds_setreuid(struct creds *creds, uint32_t real, uint32_t effective)
{
	uint32_t ids[3];
	int result = plan_two(creds->uid, creds_has(creds, CAP_SETUID), real, effective, ids);

	return result < 0 ? result : take_uids(creds, ids[0], ids[1], ids[2]);
}

int creds_setregid(struct creds *creds, uint32_t real, uint32_t effective)
{
	uint32_t ids[3];
	int result = plan_two(creds->gid, creds_has(creds, CAP_SETGID), real, effective, ids);

	return result < 0 ? result : take_gids(creds, ids[0], ids[1], ids[2]);
}

int creds_setresuid(struct creds *creds, uint32_t real, uint32_t effective, uint32_t saved)
{
	const uint32_t wanted[] = { real, effective, saved };
	uint32_t ids[3];
	int result = plan_three(creds->uid, creds_has(creds, CAP_SETUID), wanted, ids);

	return result < 0 ? result : take_uids(creds, ids[0], ids[1], ids[2]);
}

int creds_setresgid(struct creds *creds, uint32_t real, uint32_t effective, uint32_t saved)
{
	const uint32_t wanted[] = { real, effective, saved };
	uint32_t ids[3];
	int result = plan_three(creds->gid, creds_has(creds, CAP_SETGID), wanted, ids);

	return result < 0 ? result : take_gids(creds, ids[0], ids[1], ids[2]);
}

uint32_t creds_setfsuid(struct creds *creds, uint32_t uid)
{
	uint32_t old = creds->uid[ID_FS];

	if (uid == ID_KEEP || !(creds_has(creds, CAP_SETUID) || is_one_of(creds->uid, uid, ID_COUNT)))
		return old;
	creds->uid[ID_FS] = uid;
	if (old == 0 && uid != 0)
		creds->effective &= ~FS_CAPS;
	if (old != 0 && uid == 0)
		creds->effective |= creds->permitted & FS_CAPS;
	return old;
}

uint32_t creds_setfsgid(struct creds *creds, uint32_t gid)
{
	uint32_t old = creds->gid[ID_FS];

	if (gid != ID_KEEP && (creds_has(creds, CAP_SETGID) || is_one_of(creds->gid, gid, ID_COUNT)))
		creds->gid[ID_FS] = gid;
	return old;
}

int creds_capset(struct creds *creds, uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	bool is_able = creds_has(creds, CAP_SETPCAP);

	if ((inheritable & ~(creds->inheritable | creds->permitted)) && !is_able)
		return -EPERM;
	if (inheritable & ~(creds->inheritable | creds->bounding))
		return -EPERM;
	if ((permitted & ~creds->permitted) || (effective & ~permitted))
		return -EPERM;
	creds->effective = effective;
	creds->permitted = permitted;
	creds->inheritable = inheritable;
	creds->ambient &= permitted & inheritable;
	return 0;
}

/* ---- programs and files ---- */

static void take_set_ids(struct creds *creds, const struct creds_file *file)
{
	if (creds->no_new_privs)
		return;
	if (file->mode & S_ISUID)
		creds->uid[ID_EFFECTIVE] = file->uid;
	if ((file->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		creds->gid[ID_EFFECTIVE] = file->gid;
}

/* "P'(permitted) = (P(inheritable) & F(inheritable)) | (F(permitted) & P(bounding)) | P'(ambient)", capabilities(7). */
void creds_after_exec(struct creds *creds, const struct creds_file *file, uint64_t file_permitted,
		      uint64_t file_inheritable)
{
	uint32_t uid = creds->uid[ID_EFFECTIVE], gid = creds->gid[ID_EFFECTIVE];

	take_set_ids(creds, file);
	bool is_other = creds->uid[ID_EFFECTIVE] != uid || creds->gid[ID_EFFECTIVE] != gid;
	bool has_file_caps = (file_permitted | file_inheritable) && !creds->no_new_privs;
	uint64_t permitted = has_file_caps
				     ? (file_permitted & creds->bounding) | (file_inheritable & creds->inheritable)
				     : 0;

	creds->ambient = is_other || has_file_caps ? 0 : creds->ambient;
	bool is_root = creds->uid[ID_REAL] == 0 || creds->uid[ID_EFFECTIVE] == 0;
	if (is_root)
		permitted = creds->inheritable | creds->bounding;
	creds->permitted = permitted | creds->ambient;
	creds->effective = creds->uid[ID_EFFECTIVE] == 0 || has_file_caps ? creds->permitted : creds->ambient;
	creds->uid[ID_SAVED] = creds->uid[ID_FS] = creds->uid[ID_EFFECTIVE];
	creds->gid[ID_SAVED] = creds->gid[ID_FS] = creds->gid[ID_EFFECTIVE];
	creds->keep_caps = false;
}

void creds_as_real(struct creds *creds)
{
	creds->uid[ID_FS] = creds->uid[ID_REAL];
	creds->gid[ID_FS] = creds->gid[ID_REAL];
	creds->effective = creds->uid[ID_REAL] == 0 ? creds->permitted : 0;
}

bool creds_may(const struct creds *creds, const struct creds_file *file, unsigned want)
{
	unsigned shift = file->uid == creds->uid[ID_FS] ? 6 : creds_in_group(creds, file->gid) ? 3 : 0;

	if ((file->mode >> shift & want) == want)
		return true;
	if (creds_has(creds, CAP_DAC_OVERRIDE))
		return !(want & 1) || S_ISDIR(file->mode) || (file->mode & 0111);
	return creds_has(creds, CAP_DAC_READ_SEARCH) && !(want & 2) && (!(want & 1) || S_ISDIR(file->mode));
}

/* ---- the table ---- */

static bool are_equal(const struct creds *a, const struct creds *b)
{
	return memcmp(a->uid, b->uid, sizeof(a->uid)) == 0 && memcmp(a->gid, b->gid, sizeof(a->gid)) == 0 &&
	       a->permitted == b->permitted && a->effective == b->effective && a->inheritable == b->inheritable &&
	       a->bounding == b->bounding && a->ambient == b->ambient && a->keep_caps == b->keep_caps &&
	       a->no_new_privs == b->no_new_privs && a->is_chrooted == b->is_chrooted &&
	       a->is_pending == b->is_pending && a->if_not == b->if_not && a->if_so == b->if_so && a->dev == b->dev &&
	       a->ino == b->ino && a->group_count == b->group_count &&
	       (a->group_count == 0 || memcmp(a->groups, b->groups, a->group_count * sizeof(*a->groups)) == 0);
}

static uint32_t *copy_groups(const struct creds *creds)
{
	uint32_t *groups = calloc(creds->group_count + 1, sizeof(*groups));

	if (!groups)
		abort();
	if (creds->group_count > 0)
		memcpy(groups, creds->groups, creds->group_count * sizeof(*groups));
	return groups;
}

/* Builds know a handful of users, so a search is cheap; the latest are the likeliest. */
int64_t creds_number(struct creds_table *table, const struct creds *creds)
{
	for (size_t i = table->count; i-- > 0;) {
		if (are_equal(&table->items[i], creds))
			return (int64_t)i;
	}
	if (table->count == CREDS_TABLE_MAX)
		return -1;
	if (table->count == table->room) {
		table->room = table->room ? table->room * 2 : 64;
		table->items = reallocarray(table->items, table->room, sizeof(*table->items));
		if (!table->items)
			abort();
	}
	struct creds *added = &table->items[table->count];
	*added = *creds;
	added->groups = copy_groups(creds);
	return (int64_t)table->count++;
}

void creds_table_release(struct creds_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free((void *)(uintptr_t)table->items[i].groups);
	free(table->items);
	*table = (struct creds_table){ 0 };
}
