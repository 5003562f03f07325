/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_BUILD_MOUNTS_H
#define KILN_SRC_BUILD_MOUNTS_H

#include "internal.h"

/* The mounts of a RUN while it runs (mounts_open.c), and the agents that they reach (agent.c). In the step's job. */

struct open_mount {
	struct view view;         /* of a stage or image; or a layer above the context */
	struct store_mount cache; /* empty where an earlier mount has the same one */
	struct proc agent;
	int root_fd;   /* of the stage or image; borrowed */
	int source_fd; /* what is mounted; -1 */
	bool is_in_tree;
	const struct build_secret *secret;
};

struct open_mounts {
	struct step *step;
	struct open_mount *items; /* one for each of the step's mounts */
	int *trees;               /* for the cage */
	size_t tree_count;
};

/* If report then says that the cache has the step, nothing but views is open and the step is not run. */
int mounts_open(struct open_mounts *open, struct step *step, struct copy_report *report, struct err *err) MUST_CHECK;
void mounts_close(struct open_mounts *open);
#define scope_mounts __attribute__((cleanup(mounts_close)))
/* Appends those that are there: at most one for each of the step's mounts. */
void mounts_list(const struct open_mounts *open, struct cage_mount *mounts, size_t *count);
/* The secret that is to be this variable, or NULL. */
const struct build_secret *mounts_variable(const struct open_mounts *open, const char *name);
/* Secrets, and SSH_AUTH_SOCK. */
void mounts_add_variables(const struct open_mounts *open, struct strvec *envp);
/* Whether the context still is what the key says. */
int mounts_check_unchanged(const struct open_mounts *open, bool *is_unchanged, struct err *err) MUST_CHECK;

/* A socket in dir_fd that leads to the ssh agent at a path of the caller's, with requests that only use keys. Returns an
   O_PATH fd of the socket; it works until agent is killed. */
struct agent_spec {
	const char *agent;
	uint32_t mode, uid, gid;
};
int agent_start(struct proc *agent, const struct agent_spec *spec, int dir_fd, struct err *err) MUST_CHECK;

#endif
