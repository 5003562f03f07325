/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "emulate.h"
#include "kiln/base/scope.h"

/* Calls about who a process is. In the table, a says which id is asked for, b whether of the group. */

enum { OF_USER, OF_GROUP };

int64_t call_get_id(struct call *call)
{
	struct creds creds;
	int result = tracee_creds(call, &creds);

	if (result < 0)
		return result;
	return call->row->b == OF_GROUP ? creds.gid[call->row->a] : creds.uid[call->row->a];
}

int64_t call_get_three_ids(struct call *call)
{
	struct creds creds;
	int result = tracee_creds(call, &creds);
	const uint32_t *ids = call->row->b == OF_GROUP ? creds.gid : creds.uid;

	for (int8_t i = 0; i < 3 && result == 0; i++)
		result = tracee_write(call, call_arg(call, i), &ids[i], sizeof(ids[i]));
	return result;
}

int64_t call_get_groups(struct call *call)
{
	struct creds creds;
	int result = tracee_creds(call, &creds);
	int32_t size = (int32_t)call_arg(call, 0);

	if (result < 0 || size == 0)
		return result < 0 ? result : (int64_t)creds.group_count;
	if (size < 0 || (size_t)size < creds.group_count)
		return -EINVAL;
	result = tracee_write(call, call_arg(call, 1), creds.groups, creds.group_count * sizeof(*creds.groups));
	return result < 0 ? result : (int64_t)creds.group_count;
}

/* ---- changes ---- */

typedef int change_creds(struct creds *creds, const uint32_t ids[3]);

static int64_t change(struct call *call, change_creds *fn)
{
	const uint32_t ids[] = { (uint32_t)call_arg(call, 0), (uint32_t)call_arg(call, 1),
				 (uint32_t)call_arg(call, 2) };
	struct creds creds;
	int result = tracee_creds(call, &creds);

	if (result == 0)
		result = fn(&creds, ids);
	return result < 0 ? result : tracee_set_creds(call, &creds);
}

static int set_uid(struct creds *creds, const uint32_t *ids)
{
	return creds_setuid(creds, ids[0]);
}

static int set_gid(struct creds *creds, const uint32_t *ids)
{
	return creds_setgid(creds, ids[0]);
}

static int set_two_uids(struct creds *creds, const uint32_t *ids)
{
	return creds_setreuid(creds, ids[0], ids[1]);
}

static int set_two_gids(struct creds *creds, const uint32_t *ids)
{
	return creds_setregid(creds, ids[0], ids[1]);
}

static int set_three_uids(struct creds *creds, const uint32_t *ids)
{
	return creds_setresuid(creds, ids[0], ids[1], ids[2]);
}

static int set_three_gids(struct creds *creds, const uint32_t *ids)
{
	return creds_setresgid(creds, ids[0], ids[1], ids[2]);
}

int64_t call_set_uid(struct call *call)
{
	return change(call, set_uid);
}

int64_t call_set_gid(struct call *call)
{
	return change(call, set_gid);
}

int64_t call_set_two_uids(struct call *call)
{
	return change(call, set_two_uids);
}

int64_t call_set_two_gids(struct call *call)
{
	return change(call, set_two_gids);
}

int64_t call_set_three_uids(struct call *call)
{
	return change(call, set_three_uids);
}

int64_t call_set_three_gids(struct call *call)
{
	return change(call, set_three_gids);
}

/* These two return the id before and never an error. */
static int64_t change_fs_id(struct call *call, uint32_t (*fn)(struct creds *creds, uint32_t id))
{
	struct creds creds;
	int result = tracee_creds(call, &creds);

	if (result < 0)
		return result;
	uint32_t old = fn(&creds, (uint32_t)call_arg(call, 0));
	return tracee_set_creds(call, &creds) < 0 ? (int64_t)-EAGAIN : (int64_t)old;
}

int64_t call_set_fs_uid(struct call *call)
{
	return change_fs_id(call, creds_setfsuid);
}

int64_t call_set_fs_gid(struct call *call)
{
	return change_fs_id(call, creds_setfsgid);
}

int64_t call_set_groups(struct call *call)
{
	uint32_t count = (uint32_t)call_arg(call, 0);
	struct creds creds;
	int result = tracee_creds(call, &creds);

	if (result < 0)
		return result;
	if (!creds_has(&creds, CAP_SETGID))
		return -EPERM;
	if (count > CREDS_GROUPS_MAX)
		return -EINVAL;
	scope_free uint32_t *groups = calloc(count + 1, sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	result = tracee_read(call, call_arg(call, 1), groups, count * sizeof(*groups));
	if (result < 0)
		return result;
	creds_sort_groups(groups, count);
	creds.groups = groups;
	creds.group_count = count;
	return tracee_set_creds(call, &creds);
}

/* ---- capabilities ---- */

/* How many 32-bit words each set has. An unknown version is answered by the best one that is known. */
static int read_cap_header(const struct call *call, struct __user_cap_header_struct *header, size_t *words)
{
	int result = tracee_read(call, call_arg(call, 0), header, sizeof(*header));

	if (result < 0)
		return result;
	switch (header->version) {
	case _LINUX_CAPABILITY_VERSION_1:
		*words = 1;
		return 0;
	case _LINUX_CAPABILITY_VERSION_2:
	case _LINUX_CAPABILITY_VERSION_3:
		*words = 2;
		return 0;
	}
	header->version = _LINUX_CAPABILITY_VERSION_3;
	result = tracee_write(call, call_arg(call, 0), header, sizeof(*header));
	return result < 0 ? result : -EINVAL;
}

int64_t call_get_caps(struct call *call)
{
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[2];
	struct call of = *call;
	struct creds creds;
	size_t words;
	int result = read_cap_header(call, &header, &words);

	/* libcap asks in this way which version there is. */
	if (!call_arg(call, 1))
		return result == -EINVAL ? 0 : result;
	if (result < 0)
		return result;
	if (header.pid > 0) {
		of.pid = header.pid;
		of.proc_pid = tracee_proc_pid(call->emulator, header.pid);
	}
	result = tracee_creds(&of, &creds);
	if (result < 0)
		return header.pid > 0 ? -ESRCH : result;
	for (size_t i = 0; i < words; i++)
		data[i] = (struct __user_cap_data_struct){ .effective = (uint32_t)(creds.effective >> (32 * i)),
							   .permitted = (uint32_t)(creds.permitted >> (32 * i)),
							   .inheritable = (uint32_t)(creds.inheritable >> (32 * i)) };
	return tracee_write(call, call_arg(call, 1), data, words * sizeof(*data));
}

int64_t call_set_caps(struct call *call)
{
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[2] = { 0 };
	struct creds creds;
	size_t words;
	int result = read_cap_header(call, &header, &words);

	if (result == 0 && header.pid != 0 && header.pid != call->pid)
		return -EPERM;
	if (result == 0)
		result = tracee_read(call, call_arg(call, 1), data, words * sizeof(*data));
	if (result == 0)
		result = tracee_creds(call, &creds);
	if (result == 0)
		result = creds_capset(&creds, data[0].effective | (uint64_t)data[1].effective << 32,
				      data[0].permitted | (uint64_t)data[1].permitted << 32,
				      data[0].inheritable | (uint64_t)data[1].inheritable << 32);
	return result < 0 ? result : tracee_set_creds(call, &creds);
}

static int64_t drop_bounding(struct creds *creds, uint64_t cap)
{
	if (!creds_has(creds, CAP_SETPCAP))
		return -EPERM;
	if (cap > CAP_LAST_CAP)
		return -EINVAL;
	creds->bounding &= ~(UINT64_C(1) << cap);
	return 0;
}

static int64_t change_ambient(struct creds *creds, uint64_t what, uint64_t cap)
{
	uint64_t bit = UINT64_C(1) << (cap & 63);

	if (what == PR_CAP_AMBIENT_CLEAR_ALL) {
		creds->ambient = 0;
		return 0;
	}
	if (cap > CAP_LAST_CAP)
		return -EINVAL;
	switch (what) {
	case PR_CAP_AMBIENT_IS_SET:
		return creds->ambient & bit ? 1 : 0;
	case PR_CAP_AMBIENT_RAISE:
		if (!(creds->permitted & creds->inheritable & bit))
			return -EPERM;
		creds->ambient |= bit;
		return 0;
	case PR_CAP_AMBIENT_LOWER:
		creds->ambient &= ~bit;
		return 0;
	}
	return -EINVAL;
}

/* Other bits would want rules of their own for root; none of them is ever set in a build. */
static int64_t set_securebits(struct creds *creds, uint64_t bits)
{
	if (!creds_has(creds, CAP_SETPCAP) || (bits & ~(uint64_t)SECBIT_KEEP_CAPS))
		return -EPERM;
	creds->keep_caps = bits & SECBIT_KEEP_CAPS;
	return 0;
}

static int64_t do_prctl(struct creds *creds, uint64_t option, uint64_t two, uint64_t three)
{
	switch (option) {
	case PR_GET_KEEPCAPS:
		return creds->keep_caps;
	case PR_SET_KEEPCAPS:
		if (two > 1)
			return -EINVAL;
		creds->keep_caps = two;
		return 0;
	case PR_GET_SECUREBITS:
		return creds->keep_caps ? SECBIT_KEEP_CAPS : 0;
	case PR_SET_SECUREBITS:
		return set_securebits(creds, two);
	case PR_CAPBSET_READ:
		return two > CAP_LAST_CAP ? -EINVAL : creds->bounding >> two & 1 ? 1 : 0;
	case PR_CAPBSET_DROP:
		return drop_bounding(creds, two);
	case PR_CAP_AMBIENT:
		return change_ambient(creds, two, three);
	/* Really every process has it (self.c). */
	case PR_GET_NO_NEW_PRIVS:
		return creds->no_new_privs;
	case PR_SET_NO_NEW_PRIVS:
		if (two != 1)
			return -EINVAL;
		creds->no_new_privs = true;
		return 0;
	}
	return ANSWER_CONTINUE;
}

int64_t call_prctl(struct call *call)
{
	struct creds creds;
	int result = tracee_creds(call, &creds);

	if (result < 0)
		return result;
	int64_t answer = do_prctl(&creds, (uint32_t)call_arg(call, 0), call_arg(call, 1), call_arg(call, 2));
	if (answer < 0 && answer != ANSWER_CONTINUE)
		return answer;
	result = tracee_set_creds(call, &creds);
	return result < 0 ? result : answer;
}

/* ---- the limit that carries the number: to processes it has no limit ---- */

int64_t call_get_limit(struct call *call)
{
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

	return call->is_compat ? -ENOSYS : tracee_write(call, call_arg(call, 1), &none, sizeof(none));
}

int64_t call_set_limit(struct call *call)
{
	(void)call;
	return 0;
}

int64_t call_prlimit(struct call *call)
{
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	uint64_t old = call_arg(call, 3);

	return old ? tracee_write(call, old, &none, sizeof(none)) : 0;
}
