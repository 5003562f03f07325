/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kiln/base/file.h"
#include "kiln/base/scope.h"
#include "kiln/layer/layer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The bytes choose operations; these become a tar, which is applied. Whatever it holds, nothing outside the tree may change.
 * A layer tree that came out must be one: its layer, applied anew, gives the same layer.
 */
static const char *const components[] = { "a",    "b", "c",   "up", ".", "..", ".wh.a", ".wh.b", ".wh..wh..opq",
					  ".wh.", "",  "root" };
static const char *const targets[] = {
	"..", "../outside", "/",     "a",  "b/c",     "../outside/dir", "../outside/victim",
	".",  "/../..",     "up/up", "./", "../tree", "a/../../up",     "../../outside",
	"b"
};
static const char types[] = "005512200513";

struct input {
	const uint8_t *data;
	size_t size;
};

static unsigned take(struct input *input, unsigned count)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++ % count;
}

/* ---- what lies outside ---- */

static struct place {
	int base, outside, tree;
	struct stat before[5];
} place = { .base = -1 };

static const char *const canaries[] = { ".", "victim", "dir", "dir/inner", "link" };

static void stat_outside(struct stat now[5])
{
	for (size_t i = 0; i < ARRAY_LEN(canaries); i++)
		assert(fstatat(place.outside, canaries[i], &now[i], AT_SYMLINK_NOFOLLOW) == 0);
}

/* ctime changes with everything. */
static void check_outside(void)
{
	struct stat now[5];

	stat_outside(now);
	for (size_t i = 0; i < ARRAY_LEN(canaries); i++) {
		assert(now[i].st_ctim.tv_sec == place.before[i].st_ctim.tv_sec);
		assert(now[i].st_ctim.tv_nsec == place.before[i].st_ctim.tv_nsec);
		assert(now[i].st_nlink == place.before[i].st_nlink);
	}
}

static int open_dir(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert(fd >= 0);
	return fd;
}

static char base_path[128];

static void remove_place(void)
{
	(void)!file_remove_tree(AT_FDCWD, base_path, NULL);
}

static void make_place(void)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(base_path, sizeof(base_path), "%s/kiln-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	assert(mkdtemp(base_path));
	atexit(remove_place);
	place.base = open_dir(AT_FDCWD, base_path);
	assert(mkdirat(place.base, "outside", 0755) == 0 && mkdirat(place.base, "outside/dir", 0755) == 0);
	place.outside = open_dir(place.base, "outside");
	assert(file_replace(place.outside, "victim", 0644, "victim", 6, false, NULL) == 0);
	assert(file_replace(place.outside, "dir/inner", 0644, "inner", 5, false, NULL) == 0);
	assert(symlinkat("victim", place.outside, "link") == 0);
	stat_outside(place.before);
}

static void empty_tree(const char *name, int *fd)
{
	assert(file_remove_tree(place.base, name, NULL) == 0);
	assert(mkdirat(place.base, name, 0755) == 0);
	*fd = open_dir(place.base, name);
}

/* ---- the tar ---- */

static void put_octal(char *field, size_t width, uint64_t value)
{
	for (size_t i = width - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
}

static void put_name(struct input *input, char *name, size_t size)
{
	unsigned depth = 1 + take(input, 3);
	size_t len = 0;

	name[0] = '\0';
	for (unsigned i = 0; i < depth && len < size; i++)
		len += (size_t)snprintf(name + len, size - len, "%s%s", i ? "/" : "",
					components[take(input, ARRAY_LEN(components))]);
}

static void put_entry(struct input *input, struct strbuf *tar)
{
	char block[512] = { 0 }, body[512] = "contents";
	unsigned sum = 0;
	char type = types[take(input, sizeof(types) - 1)];
	size_t size = type == '0' ? take(input, 9) : 0;

	put_name(input, block, 100);
	put_octal(block + 100, 8, take(input, 2) ? 07777 : 0755);
	put_octal(block + 108, 8, geteuid());
	put_octal(block + 116, 8, getegid());
	put_octal(block + 124, 12, size);
	put_octal(block + 136, 12, 1000);
	block[156] = type;
	if (type == '1' && take(input, 2))
		put_name(input, block + 157, 100);
	else if (type == '1' || type == '2')
		(void)snprintf(block + 157, 100, "%s", targets[take(input, ARRAY_LEN(targets))]);
	memcpy(block + 257, "ustar\00000", 8);
	put_octal(block + 329, 8, type == '3' ? take(input, 2) : 0);
	put_octal(block + 337, 8, type == '3' ? take(input, 4) : 0);
	memset(block + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(block); i++)
		sum += (unsigned char)block[i];
	put_octal(block + 148, 7, sum);
	block[154] = '\0';
	strbuf_add(tar, block, sizeof(block));
	if (size > 0)
		strbuf_add(tar, body, sizeof(body));
}

static int apply(const struct strbuf *tar, int tree_fd, const struct layer_apply_options *options)
{
	scope_reader struct reader *reader = reader_bytes(tar->ptr, tar->len);
	struct layer_stats stats;
	struct err err;

	return layer_apply(reader, tree_fd, options, "x.tar", &stats, &err);
}

/* ---- layer trees ---- */

/* Writes the layer of tree_fd to tar. */
static int layer_of(int tree_fd, struct strbuf *tar)
{
	scope_strbuf struct strbuf recipe = { 0 };
	scope_writer struct writer *out = writer_strbuf(&recipe);
	scope_writer struct writer *tar_out = writer_strbuf(tar);
	struct layer_stats stats;
	struct err err;

	if (layer_diff(tree_fd, NULL, 0, &(struct layer_diff_options){ INT64_MAX }, out, &stats, &err) < 0)
		return -1;
	scope_reader struct reader *reader = reader_bytes(recipe.ptr, recipe.len);
	assert(layer_replay(reader, tree_fd, tar_out, &err) == 0);
	return 0;
}

static void check_layer(void)
{
	scope_strbuf struct strbuf first = { 0 }, second = { 0 };
	const struct layer_apply_options options = { .flags = LAYER_APPLY_AS_TREE };
	int again;

	if (layer_of(place.tree, &first) < 0)
		return;
	empty_tree("again", &again);
	assert(apply(&first, again, &options) == 0);
	assert(layer_of(again, &second) == 0);
	assert(first.len == second.len && memcmp(first.ptr, second.ptr, first.len) == 0);
	close(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned flags[] = { 0, LAYER_APPLY_AS_TREE, LAYER_APPLY_PLAIN, LAYER_APPLY_AS_TREE };
	static const char zeros[1024];
	struct input input = { data, size };
	struct strbuf tar = { 0 };
	struct layer_apply_options options = { 0 };
	unsigned kind = take(&input, ARRAY_LEN(flags));

	if (place.base < 0)
		make_place();
	empty_tree("tree", &place.tree);
	options.flags = flags[kind];
	if (kind == 3) {
		options.lowers = &place.outside;
		options.lower_count = 1;
	}
	for (int i = 0; i < 20 && input.size > 0; i++)
		put_entry(&input, &tar);
	strbuf_add(&tar, zeros, sizeof(zeros));
	int result = apply(&tar, place.tree, &options);
	check_outside();
	if (result == 0 && kind == 1)
		check_layer();
	close(place.tree);
	strbuf_release(&tar);
	return 0;
}
