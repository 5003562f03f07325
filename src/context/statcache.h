/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_SRC_CONTEXT_STATCACHE_H
#define KILN_SRC_CONTEXT_STATCACHE_H

#include "kiln/context/context.h"

#include <time.h>

/* cache may be NULL: then nothing is found and nothing kept. The digest covers contents and xattrs: both change ctime. */
bool stat_cache_get(struct stat_cache *cache, const char *path, const struct stat *st, struct digest *digest);
/* read_at: the time before the file was opened for hashing. */
void stat_cache_put(struct stat_cache *cache, const char *path, const struct stat *st, struct timespec read_at,
		    const struct digest *digest);

#endif
