/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kiln/base/text.h"

/* The next component of *path, without its slashes; *path moves behind it. Length 0 at the end. */
static size_t next_component(const char **path, const char **component)
{
	*component = *path + strspn(*path, "/");
	size_t len = strcspn(*component, "/");
	*path = *component + len;
	return len;
}

static bool is_dot(const char *component, size_t len)
{
	return len == 1 && component[0] == '.';
}

static bool is_dotdot(const char *component, size_t len)
{
	return len == 2 && component[0] == '.' && component[1] == '.';
}

/* Length of out without its last component; never below floor. */
static size_t parent_length(const char *out, size_t len, size_t floor)
{
	while (len > floor && out[len - 1] != '/')
		len--;
	return len > floor ? len - 1 : floor;
}

/*
 * Cleans path into out, which must hold strlen(path) + 1 bytes, behind the `len` bytes already there (a leading '/' or
 * nothing). A ".." with nothing left to remove is dropped, or, if keeps_dotdot, stays.
 */
static void clean_into(char *out, size_t len, const char *path, bool keeps_dotdot)
{
	size_t root = len, floor = len, count;
	const char *component;

	while ((count = next_component(&path, &component)) > 0) {
		if (is_dot(component, count))
			continue;
		if (is_dotdot(component, count)) {
			if (len > floor) {
				len = parent_length(out, len, floor);
				continue;
			}
			if (!keeps_dotdot)
				continue;
		}
		if (len > root)
			out[len++] = '/';
		memcpy(out + len, component, count);
		len += count;
		if (is_dotdot(component, count))
			floor = len;
	}
	out[len] = '\0';
}

char *path_clean(struct arena *arena, const char *path)
{
	char *out = arena_strdup(arena, path);

	clean_into(out, 0, path, false);
	return out;
}

char *path_go_clean(struct arena *arena, const char *path)
{
	bool is_absolute = path[0] == '/';
	char *out = arena_strdup(arena, path);

	clean_into(out, is_absolute, path, !is_absolute);
	return *out ? out : arena_strdup(arena, ".");
}

bool path_has_dotdot(const char *path)
{
	const char *component;
	size_t len;

	while ((len = next_component(&path, &component)) > 0) {
		if (is_dotdot(component, len))
			return true;
	}
	return false;
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *path_join(struct arena *arena, const char *a, const char *b)
{
	size_t len = strlen(a);

	if (len == 0 || !*b)
		return arena_strdup(arena, *b ? b : a);
	while (len > 0 && a[len - 1] == '/')
		len--;
	b += strspn(b, "/");
	return arena_printf(arena, "%.*s/%s", (int)len, a, b);
}
