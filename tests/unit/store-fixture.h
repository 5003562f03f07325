/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_TESTS_UNIT_STORE_FIXTURE_H
#define KILN_TESTS_UNIT_STORE_FIXTURE_H

#include "scratch.h"

#include "kiln/base/text.h"
#include "kiln/layer/layer.h"
#include "kiln/oci/image.h"
#include "kiln/store/store.h"

/* Small stores with small layers and images in them. */

static inline struct store *open_store(struct scratch *scratch, unsigned flags)
{
	struct store *store = NULL;
	struct err err = { 0 };
	char path[300];

	snprintf(path, sizeof(path), "%s/store", scratch->path);
	if (store_open(&store, path, flags, &err) < 0)
		fail_msg("%s", err.msg);
	return store;
}

/* A layer with one directory, one file of that text and a link, in the store. */
static inline struct digest put_layer(struct store *store, const char *text)
{
	struct store_work work;
	struct layer_stats stats = { 0 };
	struct layer_diff_options options = { .clamp = 1000000000 };
	struct err err = { 0 };

	assert_ok(store_work_new(store, &work, &err), err);
	put_dir(work.fd, "tree");
	put_dir(work.fd, "tree/etc");
	put_file(work.fd, "tree/etc/text", text);
	put_link(work.fd, "tree/link", "etc/text");
	{
		scope_fd int tree = openat(work.fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		scope_fd int recipe = openat(work.fd, "recipe", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		scope_writer struct writer *out = writer_fd(recipe, false, "recipe");
		assert_ok(layer_tree_settle(tree, options.clamp, &err), err);
		assert_ok(layer_diff(tree, NULL, 0, &options, out, &stats, &err), err);
		assert_ok(out->finish(out, &err), err);
	}
	struct layer_info info = {
		.diff_id = stats.diff_id, .size = stats.size, .content = stats.content, .entries = stats.entries
	};
	assert_ok(store_layer_publish(store, &work, "tree", "recipe", &info, &err), err);
	store_work_end(store, &work);
	return stats.diff_id;
}

/* An image of these layers. user makes one configuration differ from another. */
static inline struct digest put_image(struct store *store, const struct digest *layers, size_t count, const char *user)
{
	struct arena arena = { 0 };
	struct strbuf text = { 0 };
	struct err err = { 0 };
	struct platform platform = platform_host();
	struct image_config *config = image_config_scratch(&arena, &platform);
	struct image_record record = { .diff_ids = (struct digest *)layers, .diff_id_count = count, .created = 1000 };

	config->user = user;
	for (size_t i = 0; i < count; i++)
		*ARENA_PUSH(&arena, config->diff_ids, config->diff_id_count) = digest_str(&arena, &layers[i]);
	image_config_write(&arena, &text, config);
	assert_ok(store_blob_put(store, text.ptr, text.len, &record.config, &err), err);
	assert_ok(store_image_put(store, &record, &err), err);
	strbuf_release(&text);
	arena_release(&arena);
	return record.config;
}

static inline void collect_damage(void *arg, const char *text)
{
	strvec_push(arg, text);
}

/* Number of problems; they are added to found. */
static inline int verify_store(struct store *store, bool repair, struct strvec *found)
{
	struct err err = { 0 };
	int problems = store_verify(store, repair, found ? collect_damage : NULL, found, &err);

	if (problems < 0)
		fail_msg("%s", err.msg);
	return problems;
}

static inline void assert_sound(struct store *store)
{
	struct strvec found = { 0 };

	if (verify_store(store, false, &found) != 0)
		fail_msg("the store is damaged: %s", found.items[0]);
	strvec_release(&found);
}

#endif
