/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_SANDBOX_CREDS_H
#define KILN_SRC_SANDBOX_CREDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a process believes to be (credentials(7), capabilities(7)), and how the kernel lets it change. Pure: the functions
 * return 0 or the kernel's -errno, and change *creds on success only. "secure bits" other than keepcaps are not modelled.
 */
enum { ID_REAL, ID_EFFECTIVE, ID_SAVED, ID_FS, ID_COUNT };
enum { ID_KEEP = UINT32_MAX };
enum { CREDS_GROUPS_MAX = 65536 }; /* NGROUPS_MAX */

struct creds {
	uint32_t uid[ID_COUNT], gid[ID_COUNT];
	uint64_t permitted, effective, inheritable, bounding, ambient;
	bool keep_caps;    /* PR_SET_KEEPCAPS */
	bool no_new_privs; /* set-id bits of programs do nothing */
	bool is_chrooted;  /* or may be: its root is looked up */
	const uint32_t *groups;
	size_t group_count;
	/* Between an execve that changes credentials and the first call after it: see creds_after_exec's caller. */
	bool is_pending;
	uint32_t if_not, if_so; /* numbers of the credentials then */
	uint64_t dev, ino;      /* of the program */
};

/* As the kernel keeps and shows them. */
void creds_sort_groups(uint32_t *groups, size_t count);
bool creds_has(const struct creds *creds, int cap);
bool creds_in_group(const struct creds *creds, uint32_t gid);
/* Nothing that it does can come out other than what the kernel does for the root that it really is. */
bool creds_are_plain_root(const struct creds *creds);

int creds_setuid(struct creds *creds, uint32_t uid);
int creds_setreuid(struct creds *creds, uint32_t real, uint32_t effective);
int creds_setresuid(struct creds *creds, uint32_t real, uint32_t effective, uint32_t saved);
int creds_setgid(struct creds *creds, uint32_t gid);
int creds_setregid(struct creds *creds, uint32_t real, uint32_t effective);
int creds_setresgid(struct creds *creds, uint32_t real, uint32_t effective, uint32_t saved);
/* Return the old id, whatever happens. */
uint32_t creds_setfsuid(struct creds *creds, uint32_t uid);
uint32_t creds_setfsgid(struct creds *creds, uint32_t gid);
int creds_capset(struct creds *creds, uint64_t effective, uint64_t permitted, uint64_t inheritable);

/* A file as its owner and mode are in the image. */
struct creds_file {
	uint32_t mode, uid, gid;
};
/* The credentials after an execve of file, whose capabilities are file_permitted and file_inheritable (0: none). */
void creds_after_exec(struct creds *creds, const struct creds_file *file, uint64_t file_permitted,
		      uint64_t file_inheritable);
/* The credentials by which access(2) judges: those of the real user (AT_EACCESS: not these). */
void creds_as_real(struct creds *creds);
/* May creds do want (of 4 read, 2 write, 1 execute) with file? */
bool creds_may(const struct creds *creds, const struct creds_file *file, unsigned want);

/* ---- a table of all that there were: equal ones have one number ---- */

struct creds_table {
	struct creds *items;
	size_t count, room;
};
enum { CREDS_TABLE_MAX = 1 << 20 };
/* The number, or -1 when the table is full. Groups are copied. */
int64_t creds_number(struct creds_table *table, const struct creds *creds);
void creds_table_release(struct creds_table *table);

#endif
