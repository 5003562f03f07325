/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_BASE_OWNER_H
#define KILN_BASE_OWNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * Who owns a file of an image. Where the user namespace has a range of ids (isolation "mapped") that is the file's owner.
 * Where it has one id only ("single") every file is ours, and who owns it in the image is recorded on the file itself:
 *
 *	regular file, directory	 xattr user.kiln.own, "UID:GID"
 *	all else		 xattr security.capability with a mark in it. The kernel refuses user.* on links, fifos and
 *				 sockets, but takes this one, which means nothing on what cannot be run.
 *
 * A file without a record belongs to root. A record on the file goes where the file goes: through rename, link and
 * overlay's copy-up, and is gone when the file is. Nothing else has to be kept in step with it.
 */
#define OWNER_XATTR "user.kiln.own"

struct owner {
	uint32_t uid, gid;
};

/* Said once at the start. While owners are not recorded nobody looks for a record, so one that a step on the `mapped` rung
   forged means nothing. */
void owners_record(bool is_recorded);
bool owners_are_recorded(void);

/* The functions below set errno and return -1 as system calls do. fd may be O_PATH; type is of st_mode. */

/* 1 and the owner if there is a record, 0. A damaged record is EINVAL. */
int owner_read(int fd, mode_t type, struct owner *owner);
/* Writes the record, or takes it away for root:root. */
int owner_write(int fd, mode_t type, const struct owner *owner);

/* fchown, fchownat without following: of the file or, where owners are recorded, of the record. There the kernel's
   own chown is done too, onto ourselves, because it takes set-id bits and file capabilities away. */
int owner_set(int fd, uid_t uid, gid_t gid);
int owner_set_at(int dir_fd, const char *name, uid_t uid, gid_t gid);

/* Puts the recorded owner of dir_fd/name, or of the open fd, into *st, which is lstat's answer for it. */
int owner_fill_at(int dir_fd, const char *name, struct stat *st);
int owner_fill(int fd, struct stat *st);

/* Is this the value of security.capability a record? Then it is not a capability. */
bool owner_is_record(const void *value, size_t len);

#endif
