/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "kiln/base/text.h"

#include "internal.h"

bool is_hex_name(const char *name)
{
	return strlen(name) == DIGEST_HEX && strspn(name, "0123456789abcdef") == DIGEST_HEX;
}

static bool is_shortage(const struct err *err)
{
	return err_is_errno(err, EMFILE) || err_is_errno(err, ENFILE) || err_is_errno(err, ENOMEM);
}

static int damaged(struct store *store, enum store_dir dir, const char *name, const struct err *cause, struct err *err)
{
	char shown[NAME_MAX + 1];

	if (is_shortage(cause))
		return err_status(err, ERR_SYSTEM, cause->sys, "store %s: %s", store->path, cause->msg);
	return err_set(err, ERR_CORRUPT, "store %s: %s/%s is damaged: %s", store->path, store_dir_name(dir),
		       err_printable(shown, sizeof(shown), name), cause->msg);
}

int record_read_bytes(struct store *store, enum store_dir dir, const char *name, size_t limit, struct strbuf *buf,
		      struct err *err)
{
	struct err cause = { 0 };
	int dir_fd = store_dir_fd(store, dir, &cause);
	struct root root = { dir_fd, ROOT_BENEATH };

	if (dir_fd < 0 && err_is_errno(&cause, ENOENT))
		return 0;
	if (dir_fd < 0)
		return err_status(err, cause.kind, cause.sys, "%s", cause.msg);
	/* A fifo in its place must not hang us, nor a link lead us away. */
	scope_fd int fd = root_open_regular(&root, name, &cause);
	if (fd < 0 && err_is_errno(&cause, ENOENT))
		return 0;
	if (fd < 0 || file_read_fd(fd, limit, buf, name, &cause) < 0)
		return damaged(store, dir, name, &cause, err);
	return 1;
}

int record_read(struct store *store, enum store_dir dir, const char *name, struct arena *arena, struct json **record,
		struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct err cause = { 0 };
	struct json *value;
	int found = record_read_bytes(store, dir, name, RECORD_MAX, &text, err);

	if (found <= 0)
		return found;
	value = json_parse(arena, strbuf_str(&text), text.len, &cause);
	if (value && value->type != JSON_OBJECT)
		err_set(&cause, ERR_INPUT, "it is not a JSON object");
	if (!value || value->type != JSON_OBJECT)
		return damaged(store, dir, name, &cause, err);
	*record = value;
	return 1;
}

int record_write(int dir_fd, const char *name, const struct json *record, bool sync, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };

	json_write(&text, record);
	strbuf_addch(&text, '\n');
	return file_replace(dir_fd, name, 0600, text.ptr, text.len, sync, err);
}
