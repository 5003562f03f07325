/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/strbuf.h"
#include "kiln/layer/recipe.h"
#include "kiln/layer/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Recipes that nobody wrote. What lies outside the tree must not come out, and what is accepted adds up. */
static char secret[17];
static char base_path[128];
static int tree_fd = -1;

static void remove_place(void)
{
	(void)!file_remove_tree(AT_FDCWD, base_path, NULL);
}

static void make_place(void)
{
	const char *tmp = getenv("TMPDIR");

	/* Not a literal, since a fuzzer learns those. */
	assert(getrandom(secret, sizeof(secret) - 1, 0) == sizeof(secret) - 1);
	(void)snprintf(base_path, sizeof(base_path), "%s/kiln-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	assert(mkdtemp(base_path));
	atexit(remove_place);
	int base = openat(AT_FDCWD, base_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(base >= 0 && mkdirat(base, "t", 0755) == 0 && mkdirat(base, "t/d", 0755) == 0);
	tree_fd = openat(base, "t", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(tree_fd >= 0);
	assert(file_replace(base, "s", 0644, secret, sizeof(secret) - 1, false, NULL) == 0);
	assert(file_replace(tree_fd, "f", 0644, "12345", 5, false, NULL) == 0);
	assert(file_replace(tree_fd, "d/f", 0644, "12", 2, false, NULL) == 0);
	assert(symlinkat("../s", tree_fd, "l") == 0 && symlinkat("..", tree_fd, "u") == 0);
	assert(mkfifoat(tree_fd, "p", 0644) == 0);
	close(base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf recipe = { 0 }, tar = { 0 };
	struct err err;

	if (tree_fd < 0)
		make_place();
	/* Else the fuzzer would have to find the first eight bytes by itself. */
	if (size > 0 && data[0] < 0x80)
		strbuf_addstr(&recipe, "kilnrcp1");
	strbuf_add(&recipe, data, size);

	struct reader *reader = reader_bytes(strbuf_str(&recipe), recipe.len);
	struct writer *out = writer_strbuf(&tar);
	if (layer_replay(reader, tree_fd, out, &err) == 0)
		assert(tar.len % TAR_BLOCK == 0 && tar.len >= TAR_TRAILER);
	if (tar.len > 0 && memmem(tar.ptr, tar.len, secret, sizeof(secret) - 1))
		assert(memmem(data, size, secret, sizeof(secret) - 1));
	out->close(out);
	reader->close(reader);
	strbuf_release(&recipe);
	strbuf_release(&tar);
	return 0;
}
