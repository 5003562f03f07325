/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SANDBOX_SANDBOX_H
#define KILN_SANDBOX_SANDBOX_H

/*
 * The cage: id maps, namespaces, mounts, capabilities, seccomp, network. The order of use:
 *
 *	enter.h		kiln becomes root of a user namespace (idmap.h says with which ids)
 *	network.h	a build may start its private network
 *	user.h		USER and --chown of an image
 *	cage.h		a step runs
 *	foreign.h	which architectures' programs run at all
 *	probe.h		what of this works here, for `kiln doctor`
 */
#include "kiln/sandbox/cage.h"
#include "kiln/sandbox/enter.h"
#include "kiln/sandbox/foreign.h"
#include "kiln/sandbox/idmap.h"
#include "kiln/sandbox/network.h"
#include "kiln/sandbox/probe.h"
#include "kiln/sandbox/user.h"

#endif
