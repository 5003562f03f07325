/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "kiln/base/owner.h"
#include "kiln/base/text.h"
#include "kiln/store/store.h"

#include "internal.h"

/*
 * Whether the layer trees of a store have real owners or recorded ones (kiln/base/owner.h). A tree of the one form is a wrong
 * image when it is read as the other, so a store has one form, and its file "owners" says which. An empty store takes the
 * form of who uses it first.
 */
#define FORM_FILE "owners"

static const char *const texts[] = { [STORE_OWNERS_REAL] = "real\n", [STORE_OWNERS_RECORDED] = "recorded\n" };

static enum store_owners read_form(int store_fd)
{
	struct root root = { store_fd, ROOT_BENEATH };
	scope_strbuf struct strbuf text = { 0 };
	scope_fd int fd = root_open_regular(&root, FORM_FILE, NULL);

	if (fd < 0 || file_read_fd(fd, 64, &text, FORM_FILE, NULL) < 0)
		return STORE_OWNERS_UNKNOWN;
	for (size_t i = 1; i < ARRAY_LEN(texts); i++) {
		if (text_equal(strbuf_str(&text), texts[i]))
			return (enum store_owners)i;
	}
	return STORE_OWNERS_UNKNOWN;
}

enum store_owners store_owners_at(const char *path)
{
	scope_fd int fd = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? STORE_OWNERS_UNKNOWN : read_form(fd);
}

static int note_name(void *arg, const char *name, struct err *err)
{
	(void)name;
	(void)err;
	*(bool *)arg = true;
	return 0;
}

static int has_layers(struct store *store, bool *has, struct err *err)
{
	*has = false;
	return store_each(store, DIR_LAYERS, note_name, has, err);
}

static int refuse(const struct store *store, enum store_owners form, struct err *err)
{
	return err_set(
		err, ERR_UNSUPPORTED,
		"store %s: it was made with isolation %s, and the files of its layers mean nothing with another: use "
		"that, set KILN_ROOT to another directory, or make a new store by `kiln system reset`",
		store->path, form == STORE_OWNERS_RECORDED ? "single" : "mapped");
}

int store_settle_form(struct store *store, struct err *err)
{
	enum store_owners ours = owners_are_recorded() ? STORE_OWNERS_RECORDED : STORE_OWNERS_REAL;
	enum store_owners form = read_form(store->fd);
	bool has;

	if (form == ours)
		return 0;
	if (has_layers(store, &has, err) < 0)
		return -1;
	/* A store from before there was a file has real owners. */
	if (has && (form != STORE_OWNERS_UNKNOWN || ours == STORE_OWNERS_RECORDED))
		return refuse(store, form, err);
	return file_replace(store->fd, FORM_FILE, 0600, texts[ours], strlen(texts[ours]), false, err);
}
