/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "kiln/base/scope.h"
#include "kiln/layer/tree.h"

#include "emit.h"
#include "links.h"
#include "walk.h"

struct export
{
	struct emit emit;
	struct links links;
};

static void export_release(struct export *export)
{
	emit_release(&export->emit);
	links_release(&export->links);
}

static int export_entry(void *arg, const struct node *node, const char *name, struct err *err)
{
	struct export *export = arg;
	struct link_inode *inode;

	(void)name;
	if (S_ISDIR(node->entry.mode) || node->st.st_nlink < 2)
		return emit_node(&export->emit, node, err);
	inode = links_add(&export->links, &node->st);
	if (inode->paths.count > 0)
		return emit_link(&export->emit, node, inode->paths.items[0], err);
	strvec_push(&inode->paths, node->entry.path);
	return emit_node(&export->emit, node, err);
}

int layer_tar_stack(const int *lowers, size_t count, int64_t clamp, struct writer *out, struct err *err)
{
	scope_stack struct stack_dir *root = stack_open(lowers, count, err);
	__attribute__((cleanup(export_release))) struct export export = { .emit = { .tar = out } };
	const struct visitor visitor = { .visit = export_entry, .arg = &export };

	if (!root || stack_walk(root, clamp, &visitor, err) < 0)
		return -1;
	return emit_end(&export.emit, err);
}
