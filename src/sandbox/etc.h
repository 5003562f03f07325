/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_SANDBOX_ETC_H
#define KILN_SRC_SANDBOX_ETC_H

#include "kiln/base/err.h"
#include "kiln/base/strbuf.h"

#include <stdbool.h>

/* Texts of the files in /etc that a step gets. Pure, but for etc_host_resolv_conf. */

/* BuildKit's lines, then extra ("name ip" each; may be NULL). */
int etc_hosts(struct strbuf *text, const char *hostname, const char *const *extra, struct err *err) MUST_CHECK;

/* The host's etc/resolv.conf as its own programs mean it: where only systemd-resolved's stub is named (127.0.0.53), the
   file with the real servers. No file is an empty one. */
void etc_host_resolv_conf(struct strbuf *text);
/* Whether a resolv.conf names 127.0.0.53 and no other server. */
bool etc_names_only_stub(const char *text);

/* For a step that cannot reach the host's loopback: host's lines, with its name servers replaced by nameserver, or, if
   that is NULL, without those on loopback. */
void etc_private_resolv_conf(struct strbuf *text, const char *host, const char *nameserver);

#endif
