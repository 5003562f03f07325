/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SANDBOX_ENTER_H
#define KILN_SANDBOX_ENTER_H

#include "kiln/base/err.h"

/*
 * Becoming root of a user namespace. The rungs of the ladder differ in what "root" is. On `mapped` every id of an image
 * is a real one. On `single` there is one id, the owners of files are recorded (kiln/base/owner.h) and a supervisor makes
 * a step believe in the others (src/sandbox/emulate.h). `auto` takes the first of the two that can be entered. The others
 * are not in this version: asking for one is ERR_UNSUPPORTED.
 */
enum isolation { ISOLATION_AUTO, ISOLATION_MAPPED, ISOLATION_SINGLE, ISOLATION_CHROOT, ISOLATION_TRACED };
const char *isolation_name(enum isolation isolation);
int isolation_parse(enum isolation *isolation, const char *text, struct err *err) MUST_CHECK;

/*
 * Runs work in a child that is root in new user and mount namespaces (propagation private, ids mapped, supplementary
 * groups dropped but on `single`, owners_record() called, umask 022, dumpable so that /proc/self is usable, SIGKILL when the caller dies), and waits for it.
 * SIGINT, SIGTERM, SIGHUP and SIGQUIT that somebody sends to the caller are forwarded; those of the terminal reach the
 * child anyway. What work returned is the process's exit status, put in *status (128 + signal if it was killed). If
 * set-up fails, work never runs and err says the step; a signal during set-up is ERR_INTERRUPTED.
 *
 *	kiln (caller's uid)  --newuidmap-->  coordinator (work)
 */
int sandbox_enter(enum isolation isolation, int (*work)(void *arg), void *arg, int *status, struct err *err) MUST_CHECK;

#endif
