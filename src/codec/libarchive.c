/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <archive.h>

#include "decode.h"
#include "libarchive.h"

#define FEED_SIZE ((size_t)128 * 1024)

static ssize_t give(struct archive *archive, void *arg, const void **bytes)
{
	struct feed *feed = arg;
	ssize_t count = feed->has_failed ? -1 : feed->pull(feed->arg, feed->buf, FEED_SIZE, &feed->err);

	*bytes = feed->buf;
	if (count >= 0) {
		feed->given += count;
		return count;
	}
	feed->has_failed = true;
	archive_set_error(archive, EIO, "read");
	return ARCHIVE_FATAL;
}

int feed_open(struct feed *feed, struct archive *archive, const char *name, struct err *err)
{
	feed->buf = stream_alloc(FEED_SIZE);
	if (archive_read_open(archive, feed, NULL, give, NULL) != ARCHIVE_OK)
		return feed_error(feed, archive, name, err);
	return 0;
}

int feed_error(const struct feed *feed, struct archive *archive, const char *name, struct err *err)
{
	char shown[512];
	const char *words = archive_error_string(archive);

	if (!feed->has_failed)
		return err_set(err, ERR_INPUT, "%s: %s", name,
			       err_printable(shown, sizeof(shown), words ? words : "the archive ends early"));
	if (err)
		*err = feed->err;
	return -1;
}
