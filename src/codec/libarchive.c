/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "kiln/base/library.h"
#include "kiln/base/scope.h"

#include "decode.h"
#include "libarchive.h"

/* libtool's current minus age, the same since libarchive 3.0. */
#define SHARED_OBJECT "libarchive.so.13"

struct libarchive libarchive;

static const struct library_function functions[] = {
#define LIBARCHIVE_ROW(name) { "archive_" #name, &libarchive.name },
	LIBARCHIVE_FUNCTIONS(LIBARCHIVE_ROW)
#undef LIBARCHIVE_ROW
};

struct archive *libarchive_new(struct err *err)
{
	struct archive *archive;

	if (!libarchive.read_new && library_load(SHARED_OBJECT, functions, ARRAY_LEN(functions), err) < 0)
		return NULL;
	archive = libarchive.read_new();
	if (!archive)
		abort();
	return archive;
}

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
	libarchive.set_error(archive, EIO, "read");
	return ARCHIVE_FATAL;
}

int feed_open(struct feed *feed, struct archive *archive, const char *name, struct err *err)
{
	feed->buf = stream_alloc(FEED_SIZE);
	if (libarchive.read_open(archive, feed, NULL, give, NULL) != ARCHIVE_OK)
		return feed_error(feed, archive, name, err);
	return 0;
}

int feed_error(const struct feed *feed, struct archive *archive, const char *name, struct err *err)
{
	char shown[512];
	const char *words = libarchive.error_string(archive);

	if (!feed->has_failed)
		return err_set(err, ERR_INPUT, "%s: %s", name,
			       err_printable(shown, sizeof(shown), words ? words : "the archive ends early"));
	if (err)
		*err = feed->err;
	return -1;
}
