/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SANDBOX_NETWORK_H
#define KILN_SANDBOX_NETWORK_H

#include "kiln/base/err.h"
#include "kiln/base/proc.h"

/* The network of steps: the host's, none but loopback, or a private one of the build. */
enum network_mode { NETWORK_HOST, NETWORK_NONE, NETWORK_PRIVATE };
int network_mode_parse(enum network_mode *mode, const char *text, struct err *err) MUST_CHECK; /* "default" is host */
const char *network_mode_name(enum network_mode mode);

/*
 * A network namespace of a build with a user-mode stack: slirp4netns, else pasta. The host's loopback and abstract sockets are out
 * of reach. Started once and waited for at most 10 s; a helper that fails or does not come up is an error that names it
 * with its last words. The helper dies with us.
 */
struct network {
	int netns_fd; /* -1: not started */
	struct proc helper;
	int exit_fd;            /* slirp4netns ends when this is closed; -1 */
	char resolv_conf[4096]; /* text for the step */
};
#define NETWORK_EMPTY                                               \
	{                                                           \
		.netns_fd = -1, .helper = PROC_EMPTY, .exit_fd = -1 \
	}
int network_start(struct network *network, struct err *err) MUST_CHECK;
void network_stop(struct network *network);

#endif
