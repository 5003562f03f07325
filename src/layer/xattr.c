/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "kiln/base/log.h"
#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/layer/tree.h"

#include "node.h"
#include "shown.h"

/* XATTR_LIST_MAX and XATTR_SIZE_MAX of linux/limits.h. */
enum { LIST_MAX = 65536, VALUE_MAX = 65536 };

/* vfs_cap_data of linux/capability.h: magic and flags, two pairs of masks, and in revision 3 the uid that is root in the
   namespace that set it. */
enum { CAPS_V2_LEN = 20, CAPS_V3_LEN = 24 };
#define CAPS_REVISION_MASK UINT32_C(0xff000000)
#define CAPS_REVISION_2    UINT32_C(0x02000000)
#define CAPS_REVISION_3    UINT32_C(0x03000000)

static bool is_caps(const char *name)
{
	return text_equal(name, "security.capability");
}

bool xattr_is_content(const char *name)
{
	static const char *const bookkeeping[] = { "user.overlay.", "user.fuseoverlayfs.", "user.kiln." };

	if (!text_starts(name, "user."))
		return is_caps(name);
	for (size_t i = 0; i < ARRAY_LEN(bookkeeping); i++)
		if (text_starts(name, bookkeeping[i]))
			return false;
	return true;
}

/* The f*xattr calls refuse O_PATH fds. */
static const char *proc_path(int fd, char *buf, size_t size)
{
	(void)snprintf(buf, size, "/proc/self/fd/%d", fd);
	return buf;
}

static ssize_t list(int fd, char *names, size_t size)
{
	char path[32];
	ssize_t len = flistxattr(fd, names, size);

	return len < 0 && errno == EBADF ? listxattr(proc_path(fd, path, sizeof(path)), names, size) : len;
}

static ssize_t get(int fd, const char *name, void *value, size_t size)
{
	char path[32];
	ssize_t len = fgetxattr(fd, name, value, size);

	return len < 0 && errno == EBADF ? getxattr(proc_path(fd, path, sizeof(path)), name, value, size) : len;
}

void layer_read_device(int fd, char text[LAYER_DEVICE_MAX])
{
	ssize_t len = get(fd, DEVICE_XATTR, text, LAYER_DEVICE_MAX - 1);

	text[len > 0 ? len : 0] = '\0';
}

static uint32_t load_le32(const uint8_t *bytes)
{
	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void store_le32(uint8_t *bytes, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
}

/* A layer holds revision 2: root of the container, whoever that is outside. Returns the new length. */
static size_t caps_to_v2(uint8_t *value, size_t len)
{
	uint32_t magic = len >= 4 ? load_le32(value) : 0;

	if (len != CAPS_V3_LEN || (magic & CAPS_REVISION_MASK) != CAPS_REVISION_3)
		return len;
	store_le32(value, (magic & ~CAPS_REVISION_MASK) | CAPS_REVISION_2);
	return CAPS_V2_LEN;
}

static bool caps_are_foreign(const uint8_t *value, size_t len)
{
	return len == CAPS_V3_LEN && (load_le32(value) & CAPS_REVISION_MASK) == CAPS_REVISION_3 &&
	       load_le32(value + CAPS_V2_LEN) != 0;
}

static int fail_foreign_caps(const char *path, struct err *err)
{
	return err_set(err, ERR_INPUT, "%s: its file capabilities belong to another user namespace", SHOWN(path));
}

static int read_value(struct node_xattrs *xattrs, size_t *count, struct arena *arena, int fd, const char *name,
		      const char *path, struct err *err)
{
	scope_free char *large = NULL;
	char small[256];
	char *value = small;
	ssize_t len = get(fd, name, small, sizeof(small));

	if (len < 0 && errno == ERANGE) {
		value = large = malloc(VALUE_MAX);
		if (!large)
			abort();
		len = get(fd, name, large, VALUE_MAX);
	}
	if (len < 0 && errno == EOVERFLOW && is_caps(name))
		return fail_foreign_caps(path, err);
	if (len < 0)
		return err_errno(err, "read the extended attribute %s of %s", SHOWN(name), SHOWN(path));
	if (len == 0) {
		log_warn("%s: the extended attribute %s has no value and is left out of the layer", SHOWN(path),
			 SHOWN(name));
		return 0;
	}
	if (is_caps(name)) {
		if (caps_are_foreign((uint8_t *)value, (size_t)len))
			return fail_foreign_caps(path, err);
		len = (ssize_t)caps_to_v2((uint8_t *)value, (size_t)len);
	}
	struct layer_xattr *added = ARENA_PUSH(arena, xattrs->items, *count);
	*added = (struct layer_xattr){ arena_strdup(arena, name), arena_memdup(arena, value, (size_t)len),
				       (size_t)len };
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct layer_xattr *)a)->name, ((const struct layer_xattr *)b)->name);
}

/* The names of fd's xattrs, NUL after each; *large is the caller's to free. 0 also where there are none to be had. */
static ssize_t list_names(int fd, char *small, size_t size, char **names, char **large)
{
	ssize_t len = list(fd, small, size);

	*names = small;
	if (len < 0 && errno == ERANGE) {
		*names = *large = malloc(LIST_MAX);
		if (!*large)
			abort();
		len = list(fd, *large, LIST_MAX);
	}
	return len < 0 && errno == EOPNOTSUPP ? 0 : len;
}

int node_read_xattrs(struct node_xattrs *xattrs, struct arena *arena, int fd, const char *path, struct err *err)
{
	scope_free char *large = NULL;
	char small[512], *names;
	ssize_t len = list_names(fd, small, sizeof(small), &names, &large);
	struct node_xattrs found = { 0 };

	if (len < 0)
		return err_errno(err, "list the extended attributes of %s", SHOWN(path));
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		if (text_equal(name, DEVICE_XATTR))
			layer_read_device(fd, found.device);
		if (xattr_is_content(name) && read_value(&found, &found.count, arena, fd, name, path, err) < 0)
			return -1;
	}
	if (found.count > 1)
		qsort(found.items, found.count, sizeof(*found.items), by_name);
	*xattrs = found;
	return 0;
}

int layer_read_xattrs(struct arena *arena, int fd, const struct layer_xattr **xattrs, size_t *count, struct err *err)
{
	struct node_xattrs found;

	if (node_read_xattrs(&found, arena, fd, "file", err) < 0)
		return -1;
	*xattrs = found.items;
	*count = found.count;
	return 0;
}

static int set(int fd, const char *name, const void *value, size_t len)
{
	char path[32];
	int result = fsetxattr(fd, name, value, len, 0);

	return result < 0 && errno == EBADF ? setxattr(proc_path(fd, path, sizeof(path)), name, value, len, 0) : result;
}

/* Capabilities make the program work or not, so an image without them would be another image; other attributes that the
   file system cannot hold are only missed by who looks for them, and Docker leaves them out as well. */
static int fail_set(const char *name, const char *path, struct err *err)
{
	if (is_caps(name) && (errno == EOPNOTSUPP || errno == EPERM))
		return err_set(err, ERR_UNSUPPORTED,
			       "%s: its file capabilities cannot be stored here (%s): the file system needs extended "
			       "attributes, and kiln a user namespace or root",
			       SHOWN(path), strerror(errno));
	if (errno == EOPNOTSUPP) {
		log_warn("%s: the file system cannot hold the extended attribute %s", SHOWN(path), SHOWN(name));
		return 0;
	}
	return err_errno(err, "set the extended attribute %s of %s", SHOWN(name), SHOWN(path));
}

int layer_write_xattrs(int fd, const struct layer_xattr *xattrs, size_t count, const char *name, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct layer_xattr *xattr = &xattrs[i];
		uint8_t caps[CAPS_V3_LEN];
		const void *value = xattr->value;
		size_t len = xattr->len;

		if (!xattr_is_content(xattr->name))
			continue;
		if (is_caps(xattr->name) && len == CAPS_V3_LEN) {
			memcpy(caps, value, len);
			len = caps_to_v2(caps, len);
			value = caps;
		}
		if (set(fd, xattr->name, value, len) < 0 && fail_set(xattr->name, name, err) < 0)
			return -1;
	}
	return 0;
}

static bool is_among(const char *name, const struct layer_xattr *xattrs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal(xattrs[i].name, name))
			return true;
	return false;
}

int xattr_remove_others(int fd, const struct layer_xattr *xattrs, size_t count, const char *path, struct err *err)
{
	scope_free char *large = NULL;
	char small[512], *names;
	ssize_t len = list_names(fd, small, sizeof(small), &names, &large);

	if (len < 0)
		return err_errno(err, "list the extended attributes of %s", SHOWN(path));
	for (const char *name = names; name < names + len; name += strlen(name) + 1)
		if (xattr_is_content(name) && !is_among(name, xattrs, count) && fremovexattr(fd, name) < 0 &&
		    errno != ENODATA)
			return err_errno(err, "remove the extended attribute %s of %s", SHOWN(name), SHOWN(path));
	return 0;
}
