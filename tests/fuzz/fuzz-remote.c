/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "kiln/base/text.h"
#include "kiln/context/remote.h"

/*
 * What is taken for a repository names no option, leads nowhere up, and has no password left in its address; what is shown
 * of anything is the same when it is made unreadable again.
 */

static void check_git(const struct remote *remote)
{
	const char *host = strstr(remote->url, "://");

	assert(remote->ref[0] != '-' && remote->url[0] != '-');
	assert(remote->subdir[0] != '/' && !path_has_dotdot(remote->subdir));
	assert(!host || (host[3] != '-' && host[3] != '\0'));
	assert(!remote->user || !strchr(remote->url + strcspn(remote->url, "/"), '\n'));
	for (const char *p = remote->url; *p; p++)
		assert((unsigned char)*p >= 0x20);
}

static void check_http(const struct remote *remote)
{
	const char *file = remote->file;

	if (!file)
		return;
	assert(*file && !strchr(file, '/') && strcmp(file, ".") != 0 && strcmp(file, "..") != 0);
	for (const char *p = file; *p; p++)
		assert((unsigned char)*p >= 0x20);
}

static void check_place(struct arena *arena, const char *text, enum remote_place place)
{
	struct remote remote;
	struct err err;

	if (remote_parse(arena, text, place, &remote, &err) < 0) {
		assert(err.kind == ERR_INPUT);
		return;
	}
	if (remote.kind == REMOTE_NONE)
		return;
	assert(strcmp(remote.shown, remote_redact(arena, remote.shown)) == 0);
	if (remote.kind == REMOTE_GIT)
		check_git(&remote);
	else
		check_http(&remote);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	const char *text = arena_strndup(&arena, (const char *)data, size);
	const char *shown = remote_redact(&arena, text);

	assert(strcmp(shown, remote_redact(&arena, shown)) == 0);
	check_place(&arena, text, REMOTE_IN_DOCKERFILE);
	check_place(&arena, text, REMOTE_ON_COMMAND_LINE);
	arena_release(&arena);
	return 0;
}
