/* SPDX-License-Identifier: Apache-2.0 */
#include "kiln/base/owner.h"
#include "kiln/base/scope.h"
#include "kiln/base/strbuf.h"
#include "kiln/base/text.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* From the words of COPY and ADD to the things that they name. */

struct selection {
	struct arena *arena;
	const struct source *source;
	const struct copy_spec *spec;
	struct copy_plan *plan;
	size_t index; /* of the source being looked at */
};

static const char *source_name(const struct selection *selection)
{
	return selection->source->name ? selection->source->name : "the build context";
}

static bool is_hidden(const struct selection *selection, const char *path)
{
	const struct ignore *ignore = selection->source->ignore;
	return ignore && *path && ignore_matches(ignore, path);
}

/* Ignored itself, and nothing below it can be taken either. */
static bool is_wholly_hidden(const struct selection *selection, const char *path, bool is_dir)
{
	if (!is_hidden(selection, path))
		return false;
	struct ignore_state state = { .excluded = true };
	return !is_dir || !ignore_must_descend(selection->source->ignore, &state, path);
}

/* --parents keeps the directories of the path as written, from its "/./" on if there is one. */
static void split_parents(const struct selection *selection, const char *written, struct copy_item *item)
{
	const char *pivot = strstr(written, "/./");
	char *kept = path_clean(selection->arena, pivot ? pivot + 3 : written);
	const char *base = path_base(kept);
	item->base = base;
	item->below = base == kept ? "" : arena_strndup(selection->arena, kept, (size_t)(base - kept) - 1);
}

static void add_item(struct selection *selection, const char *path, const char *written, const struct stat *st,
		     bool from_pattern)
{
	struct copy_plan *plan = selection->plan;
	struct copy_item *item = ARENA_PUSH(selection->arena, plan->items, plan->count);
	*item = (struct copy_item){
		.path = path,
		.st = *st,
		.base = path_base(path_clean(selection->arena, written)),
		.below = "",
		.source = selection->index,
		.from_pattern = from_pattern,
	};
	if (selection->spec->parents)
		split_parents(selection, written, item);
}

/* A symlink that is named is followed inside the root; those found inside a directory are not. What the ignore rules hide is
   not there, by whatever link it is reached. *hidden or an item is the result. */
static int take_path(struct selection *selection, const char *path, const char *written, bool from_pattern,
		     bool *hidden, struct err *err)
{
	struct stat st;
	scope_fd int fd = root_open(&selection->source->root, path, O_PATH, 0, err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || (selection->source->keep_owner && owner_fill(fd, &st) < 0))
		return err_errno(err, "stat %s", path);
	const char *real = path_beneath(selection->arena, &selection->source->root, fd);
	if (!real)
		return err_set(err, ERR_INPUT, "/%s is not beneath %s", path, source_name(selection));
	*hidden = is_wholly_hidden(selection, path, S_ISDIR(st.st_mode)) ||
		  is_wholly_hidden(selection, real, S_ISDIR(st.st_mode));
	if (!*hidden)
		add_item(selection, real, written, &st, from_pattern);
	return 0;
}

/* ---- literals ---- */

static const char *nearest_name(struct selection *selection, const char *path)
{
	const char *base = path_base(path);
	const char *dir = base == path ? "" : arena_strndup(selection->arena, path, (size_t)(base - path) - 1);
	int fd = root_open(&selection->source->root, dir, O_RDONLY | O_DIRECTORY, 0, NULL);
	scope_dir DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	const char **names = NULL;
	size_t count = 0;
	enum { LOOK_AT = 1000 };
	for (const struct dirent *entry; listing && count < LOOK_AT && (entry = readdir(listing));)
		if (entry->d_name[0] != '.')
			*ARENA_PUSH(selection->arena, names, count) = arena_strdup(selection->arena, entry->d_name);
	return text_nearest(base, names, count);
}

static int not_found(struct selection *selection, const char *path, bool hidden, struct err *err)
{
	const char *where = source_name(selection);
	if (hidden)
		return err_set(err, ERR_NOT_FOUND, "\"/%s\": not found in %s: .dockerignore excludes it", path, where);
	const char *nearest = nearest_name(selection, path);
	if (nearest)
		return err_set(err, ERR_NOT_FOUND, "\"/%s\": not found in %s (did you mean %s?)", path, where, nearest);
	return err_set(err, ERR_NOT_FOUND, "\"/%s\": not found in %s", path, where);
}

static int select_literal(struct selection *selection, const char *written, struct err *err)
{
	const char *path = path_clean(selection->arena, written);
	struct stat st;
	struct err failed;
	bool hidden;
	if (take_path(selection, path, written, false, &hidden, &failed) == 0)
		return hidden ? not_found(selection, path, true, err) : 0;
	if (!err_is_errno(&failed, ENOENT) && !err_is_errno(&failed, ENOTDIR)) {
		*err = failed;
		return -1;
	}
	if (root_stat(&selection->source->root, path, &st, NULL) == 0 && S_ISLNK(st.st_mode))
		return err_set(err, ERR_NOT_FOUND, "\"/%s\": is a link to what is not in %s", path,
			       source_name(selection));
	return not_found(selection, path, false, err);
}

/* ---- patterns: Go's filepath.Match, component by component, in bytewise order ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_dir(struct selection *selection, const char *path, struct strvec *names)
{
	int fd = root_open(&selection->source->root, path, O_RDONLY | O_DIRECTORY, 0, NULL);
	scope_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -1;
	for (const struct dirent *entry; (entry = readdir(dir));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			strvec_push(names, entry->d_name);
	if (names->count)
		qsort(names->items, names->count, sizeof(*names->items), compare_names);
	return 0;
}

/* Where a pattern has got to: path is looked up, written is what the item is called (they differ by a pivot), rest is still
   to be matched. */
struct glob {
	const char *path, *written, *rest;
	bool is_matched; /* a pattern has matched: from there on links are not followed, as Go's filepath.Walk does not */
};

static int glob(struct selection *selection, const struct glob *at, struct err *err);

static int glob_child(struct selection *selection, const struct glob *child, struct err *err)
{
	struct stat st;
	bool hidden;
	if (root_stat(&selection->source->root, child->path, &st, NULL) < 0)
		return 0;
	if (child->rest)
		return child->is_matched && !S_ISDIR(st.st_mode) ? 0 : glob(selection, child, err);
	struct err dangling;
	if (take_path(selection, child->path, child->written, true, &hidden, &dangling) < 0)
		return err_is_errno(&dangling, ENOENT) ? 0 : (*err = dangling, -1);
	return 0;
}

static int glob(struct selection *selection, const struct glob *at, struct err *err)
{
	struct arena *arena = selection->arena;
	size_t len = strcspn(at->rest, "/");
	char *component = arena_strndup(arena, at->rest, len);
	struct glob child = { .rest = at->rest[len] ? at->rest + len + 1 : NULL, .is_matched = at->is_matched };
	if (!path_is_pattern(component)) {
		child.path = path_join(arena, at->path, component);
		child.written = path_join(arena, at->written, component);
		return glob_child(selection, &child, err);
	}
	child.is_matched = true;
	scope_strvec struct strvec names = { 0 };
	if (list_dir(selection, at->path, &names) < 0)
		return 0;
	for (size_t i = 0; i < names.count; i++) {
		int matches = path_match(component, names.items[i], err);
		if (matches < 0)
			return -1;
		child.path = path_join(arena, at->path, names.items[i]);
		child.written = path_join(arena, at->written, names.items[i]);
		if (matches && glob_child(selection, &child, err) < 0)
			return -1;
	}
	return 0;
}

/* "a/./b*" keeps its pivot in what is written, while the path that is looked up has none. */
static int select_pattern(struct selection *selection, const char *written, struct err *err)
{
	struct arena *arena = selection->arena;
	const char *pivot = selection->spec->parents ? strstr(written, "/./") : NULL;
	struct glob top = { .path = "", .written = "", .rest = path_clean(arena, written) };
	if (pivot) {
		top.path = path_clean(arena, arena_strndup(arena, written, (size_t)(pivot - written)));
		top.written = arena_printf(arena, "%s/.", top.path);
		top.rest = path_clean(arena, pivot + 3);
	}
	return glob(selection, &top, err);
}

/* ---- --parents with "**": moby's pattern language over the whole tree ---- */

struct deep_match {
	struct selection *selection;
	const struct ignore *pattern;
	const char *before; /* the pivot's left side */
};

static int take_deep(void *arg, const struct walk_entry *entry, struct err *err)
{
	struct deep_match *match = arg;
	if (!*entry->below || S_ISDIR(entry->st.st_mode) || !ignore_matches(match->pattern, entry->below))
		return 0;
	struct arena *arena = match->selection->arena;
	const char *path = arena_strdup(arena, entry->path);
	const char *written = arena_printf(arena, "%s/./%s", match->before, entry->below);
	(void)err;
	add_item(match->selection, path, written, &entry->st, true);
	return 0;
}

static int select_deep(struct selection *selection, const char *written, struct err *err)
{
	struct arena *arena = selection->arena;
	const char *pivot = strstr(written, "/./");
	const char *before = pivot ? path_clean(arena, arena_strndup(arena, written, (size_t)(pivot - written))) : "";
	const char *pattern = path_clean(arena, pivot ? pivot + 3 : written);
	struct deep_match match = { .selection = selection, .before = before };
	match.pattern = ignore_new(arena, &pattern, 1, err);
	if (!match.pattern)
		return -1;
	struct copy_plan everything = { 0 };
	struct walker walker = { selection->source, &everything, take_deep, NULL, &match };
	struct copy_item top = { .path = before, .base = "", .below = "" };
	if (root_stat(&selection->source->root, before, &top.st, NULL) < 0)
		return 0;
	return walk_item(&walker, &top, err);
}

static int select_one(struct selection *selection, const char *written, struct err *err)
{
	if (!path_is_pattern(written))
		return select_literal(selection, written, err);
	if (selection->spec->parents && strstr(written, "**"))
		return select_deep(selection, written, err);
	return select_pattern(selection, written, err);
}

int copy_select(struct arena *arena, const struct source *source, const struct copy_spec *spec, struct copy_plan *plan,
		struct err *err)
{
	struct copy_plan made = { .dest = spec->dest,
				  .dest_is_dir = text_ends(spec->dest, "/"),
				  .chmod = spec->chmod,
				  .parents = spec->parents };
	struct selection selection = { .arena = arena, .source = source, .spec = spec, .plan = &made };
	mode_t any;
	if (spec->chmod && chmod_apply(spec->chmod, 0, false, &any, err) < 0)
		return -1;
	if (spec->exclude_count) {
		made.exclude = ignore_new(arena, spec->excludes, spec->exclude_count, err);
		if (!made.exclude)
			return err_wrap(err, "--exclude");
	}
	for (size_t i = 0; i < spec->source_count; i++) {
		selection.index = i;
		if (select_one(&selection, spec->sources[i], err) < 0)
			return -1;
	}
	*plan = made;
	return 0;
}

int copy_select_path(struct arena *arena, const struct source *source, const char *path, struct copy_plan *plan,
		     struct err *err)
{
	const struct copy_spec spec = { .dest = "" };
	struct copy_plan made = { .dest = "" };
	struct selection selection = { .arena = arena, .source = source, .spec = &spec, .plan = &made };
	if (select_literal(&selection, path, err) < 0)
		return -1;
	*plan = made;
	return 0;
}
