/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CONTEXT_GIT_RUN_H
#define KILN_SRC_CONTEXT_GIT_RUN_H

#include "kiln/base/strbuf.h"
#include "kiln/context/remote.h"

/* How the git program is run: see git-run.c. */

enum { GIT_ANSWER_MS = 5 * 60 * 1000, GIT_TRANSFER_MS = 60 * 60 * 1000 };

struct git {
	int dir_fd; /* where it runs, -1: nowhere in particular */
	struct strvec envp;
};
void git_init(struct git *git, const struct remote *remote, int dir_fd);
void git_release(struct git *git);
#define scope_git __attribute__((cleanup(git_release)))

/* git ARGUMENT... (NULL at the end); its output, up to 64 KiB, to out if not NULL. ERR_COMMAND with what git says. */
int git_run(const struct git *git, const char *const *arguments, int timeout_ms, struct strbuf *out,
	    struct err *err) MUST_CHECK;

#endif
