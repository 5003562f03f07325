/* SPDX-License-Identifier: Apache-2.0 */
#include "image-fixture.h"

/* A layout, as blobs and index entries that are put together to an archive or a directory. */
struct layout {
	struct arena arena;
	struct strbuf tar, entries;
	int dir_fd; /* -1: an archive */
};

static void layout_init(struct layout *layout, struct scratch *scratch, const char *dir)
{
	*layout = (struct layout){ .dir_fd = -1 };
	if (!dir)
		return;
	put_dir(scratch->fd, dir);
	layout->dir_fd = openat(scratch->fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put_dir(layout->dir_fd, "blobs");
	put_dir(layout->dir_fd, "blobs/sha256");
}

static void layout_release(struct layout *layout)
{
	strbuf_release(&layout->tar);
	strbuf_release(&layout->entries);
	arena_release(&layout->arena);
	if (layout->dir_fd >= 0)
		close(layout->dir_fd);
}

static void add_file(struct layout *layout, const char *path, const struct strbuf *bytes)
{
	struct err err = { 0 };

	if (layout->dir_fd < 0) {
		tar_bytes(&layout->tar, path, bytes);
		return;
	}
	scope_fd int fd = openat(layout->dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_ok(file_write_fd(fd, strbuf_str(bytes), bytes->len, path, &err), err);
}

static void add_text(struct layout *layout, const char *path, const char *text)
{
	struct strbuf bytes = { .ptr = (char *)text, .len = strlen(text) };

	add_file(layout, path, &bytes);
}

/* Adds a blob; returns its descriptor as JSON, with `more` members. */
static const char *add_blob(struct layout *layout, const char *media_type, const struct strbuf *bytes, const char *more)
{
	add_file(layout, blob_path_of(&layout->arena, bytes), bytes);
	return arena_printf(&layout->arena, "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu%s}", media_type,
			    digest_of(&layout->arena, bytes), bytes->len, more);
}

static const char *add_blob_text(struct layout *layout, const char *media_type, const char *text, const char *more)
{
	struct strbuf bytes = { .ptr = (char *)text, .len = strlen(text) };

	return add_blob(layout, media_type, &bytes, more);
}

/* An image of one gzipped layer with one file; returns the descriptor of its manifest. */
static const char *add_image(struct layout *layout, const char *architecture, const char *text, const char *more)
{
	scope_strbuf struct strbuf tar = { 0 }, gzip = { 0 }, config = { 0 };

	make_layer_tar(&tar, "etc/text", text);
	compress_into(&gzip, &tar, COMPRESSION_GZIP);
	make_config(&layout->arena, &config, architecture, &tar, 1);
	const char *layer = add_blob(layout, MEDIA_OCI_LAYER_GZIP, &gzip, "");
	const char *config_descriptor = add_blob(layout, MEDIA_OCI_CONFIG, &config, "");
	return add_blob_text(layout, MEDIA_OCI_MANIFEST,
			     arena_printf(&layout->arena,
					  "{\"schemaVersion\":2,\"mediaType\":\"%s\",\"config\":%s,\"layers\":[%s]}",
					  MEDIA_OCI_MANIFEST, config_descriptor, layer),
			     more);
}

static void add_entry(struct layout *layout, const char *descriptor)
{
	strbuf_addf(&layout->entries, "%s%s", layout->entries.len ? "," : "", descriptor);
}

static const char *index_of(struct layout *layout, const char *entries)
{
	return arena_printf(&layout->arena, "{\"schemaVersion\":2,\"mediaType\":\"%s\",\"manifests\":[%s]}",
			    MEDIA_OCI_INDEX, entries);
}

static const char *finish(struct layout *layout, struct scratch *scratch, const char *name)
{
	add_text(layout, "index.json", index_of(layout, strbuf_str(&layout->entries)));
	add_text(layout, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	if (layout->dir_fd >= 0)
		return scratch_path(scratch, &layout->arena, name);
	tar_end(&layout->tar);
	return write_archive(scratch, &layout->arena, name, &layout->tar);
}

#define NAMED(name)                                                                \
	",\"annotations\":{\"io.containerd.image.name\":\"docker.io/library/" name \
	":v1\",\"org.opencontainers.image.ref.name\":\"v1\"}"
#define TAGGED(tag)            ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" tag "\"}"
#define PLATFORM(architecture) ",\"platform\":{\"os\":\"linux\",\"architecture\":\"" architecture "\"}"

static const struct platform amd64 = { .os = "linux", .architecture = "amd64" };

static int load(struct store *store, struct layout *layout, const char *path, const char *selector,
		struct image_loaded **loaded, size_t *count, struct err *err)
{
	return image_load(store, &layout->arena, path, selector, true, &amd64, loaded, count, err);
}

static void assert_fails(struct scratch *scratch, struct layout *layout, enum err_kind kind, const char *why)
{
	scope_store struct store *store = open_store(scratch, STORE_CREATE);
	struct image_loaded *loaded;
	struct err err = { 0 };
	size_t count;
	const char *path = finish(layout, scratch, "layout");

	assert_int_equal(load(store, layout, path, NULL, &loaded, &count, &err), -1);
	if (!strstr(err.msg, why))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
	assert_int_equal(err.kind, kind);
	assert_empty(store);
	layout_release(layout);
}

static const char *text_of(struct store *store, struct layout *layout, const struct digest *id)
{
	scope_strbuf struct strbuf text = { 0 };
	struct image image;
	struct err err = { 0 };

	assert_ok(image_open(store, &layout->arena, id, &image, &err), err);
	scope_fd int tree = store_layer_open(store, &image.diff_ids[0], &err);
	assert_ok(file_read(tree, "etc/text", 100, &text, &err), err);
	return arena_strdup(&layout->arena, strbuf_str(&text));
}

static void a_layout_loads_from_an_archive_and_from_a_directory(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct scratch *scratch = *state;
		struct store *store = open_store(scratch, STORE_CREATE);
		struct layout layout;
		struct image_loaded *loaded;
		struct image image;
		struct err err = { 0 };
		size_t count;
		layout_init(&layout, scratch, i ? "layout" : NULL);
		add_entry(&layout, add_image(&layout, "amd64", "hello", NAMED("app")));
		const char *path = finish(&layout, scratch, i ? "layout" : "archive");
		assert_ok(load(store, &layout, path, NULL, &loaded, &count, &err), err);
		assert_int_equal(count, 1);
		assert_string_equal(loaded[0].names[0], "docker.io/library/app:v1");
		assert_string_equal(text_of(store, &layout, &loaded[0].id), "hello");
		assert_ok(image_open(store, &layout.arena, &loaded[0].id, &image, &err), err);
		assert_false(digest_is_zero(&image.record.manifest));
		assert_true(store_blob_has(store, &image.record.manifest, NULL));
		assert_int_equal(count_names(store_fd(store), "tmp"), 0);
		assert_sound(store);
		store_close(store);
		assert_ok(file_remove_tree(scratch->fd, "store", &err), err);
		layout_release(&layout);
	}
}

static void names_come_from_the_annotations(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct layout layout;
	struct image_loaded *loaded;
	struct err err = { 0 };
	size_t count;

	layout_init(&layout, *state, NULL);
	add_entry(&layout, add_image(&layout, "amd64", "one", TAGGED("localhost/app:v1")));
	add_entry(&layout, add_image(&layout, "amd64", "two", TAGGED("v2")));
	add_entry(&layout, add_image(&layout, "amd64", "three", ""));
	const char *path = finish(&layout, *state, "archive");
	assert_ok(load(store, &layout, path, NULL, &loaded, &count, &err), err);
	assert_int_equal(count, 3);
	assert_string_equal(loaded[0].names[0], "localhost/app:v1");
	assert_int_equal(loaded[1].name_count, 0);
	assert_int_equal(loaded[2].name_count, 0);
	assert_ok(load(store, &layout, path, "v2", &loaded, &count, &err), err);
	assert_int_equal(count, 1);
	assert_string_equal(text_of(store, &layout, &loaded[0].id), "two");
	assert_ok(load(store, &layout, path, "localhost/app:v1", &loaded, &count, &err), err);
	assert_string_equal(text_of(store, &layout, &loaded[0].id), "one");
	assert_int_equal(load(store, &layout, path, "v3", &loaded, &count, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(err.msg, "localhost/app:v1, v2"));
	layout_release(&layout);
}

/* In one group by name, in one without, and in a nested index. */
static void of_several_platforms_the_right_one_is_taken(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct scratch *scratch = *state;
		struct store *store = open_store(scratch, STORE_CREATE);
		const char *more = i == 0 ? ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"v1\"}" : "";
		struct layout layout;
		struct image_loaded *loaded;
		struct err err = { 0 };
		size_t count;
		layout_init(&layout, scratch, NULL);
		const char *arm = add_image(&layout, "arm64", "arm",
					    arena_printf(&layout.arena, "%s" PLATFORM("arm64"), more));
		const char *amd = add_image(&layout, "amd64", "amd",
					    arena_printf(&layout.arena, "%s" PLATFORM("amd64"), more));
		const char *both = arena_printf(&layout.arena, "%s,%s", arm, amd);
		add_entry(&layout,
			  i < 2 ? both : add_blob_text(&layout, MEDIA_OCI_INDEX, index_of(&layout, both), NAMED("x")));
		const char *path = finish(&layout, scratch, "archive");
		assert_ok(load(store, &layout, path, NULL, &loaded, &count, &err), err);
		assert_int_equal(count, 1);
		assert_string_equal(text_of(store, &layout, &loaded[0].id), "amd");
		assert_int_equal(count_names(store_fd(store), "layers"), 1);
		store_close(store);
		assert_ok(file_remove_tree(scratch->fd, "store", &err), err);
		layout_release(&layout);
	}
}

static void the_only_image_is_taken_whatever_its_platform(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct layout layout;
	struct image_loaded *loaded;
	struct err err = { 0 };
	size_t count;

	layout_init(&layout, *state, NULL);
	add_entry(&layout, add_image(&layout, "arm64", "arm", PLATFORM("arm64")));
	assert_ok(load(store, &layout, finish(&layout, *state, "a"), NULL, &loaded, &count, &err), err);
	assert_int_equal(count, 1);
	layout_release(&layout);
}

static void an_index_without_our_platform_says_what_it_has(void **state)
{
	struct layout layout;

	layout_init(&layout, *state, NULL);
	const char *both = arena_printf(&layout.arena, "%s,%s", add_image(&layout, "arm64", "a", PLATFORM("arm64")),
					add_image(&layout, "s390x", "b", PLATFORM("s390x")));
	add_entry(&layout, add_blob_text(&layout, MEDIA_OCI_INDEX, index_of(&layout, both), ""));
	assert_fails(*state, &layout, ERR_NOT_FOUND, "no image for linux/amd64, only for linux/arm64, linux/s390x");
}

static void attestations_and_artifacts_are_no_images(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct layout layout;
	struct image_loaded *loaded;
	struct err err = { 0 };
	size_t count;

	layout_init(&layout, *state, NULL);
	const char *image = add_image(&layout, "amd64", "image", PLATFORM("amd64"));
	const char *attestation = add_blob_text(
		&layout, MEDIA_OCI_MANIFEST, "not read",
		",\"annotations\":{\"vnd.docker.reference.type\":\"attestation-manifest\"},"
		"\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}");
	const char *artifact = add_blob_text(&layout, MEDIA_OCI_MANIFEST, "neither", ",\"artifactType\":\"x/y\"");
	const char *entries = arena_printf(&layout.arena, "%s,%s,%s", attestation, artifact, image);
	add_entry(&layout, add_blob_text(&layout, MEDIA_OCI_INDEX, index_of(&layout, entries), NAMED("app")));
	assert_ok(load(store, &layout, finish(&layout, *state, "a"), NULL, &loaded, &count, &err), err);
	assert_int_equal(count, 1);
	assert_string_equal(text_of(store, &layout, &loaded[0].id), "image");
	layout_release(&layout);
}

static void an_artifact_alone_is_refused_by_its_type(void **state)
{
	struct layout layout;

	layout_init(&layout, *state, NULL);
	const char *config = add_blob_text(&layout, "application/vnd.oci.empty.v1+json", "{}", "");
	add_entry(&layout, add_blob_text(&layout, MEDIA_OCI_MANIFEST,
					 arena_printf(&layout.arena,
						      "{\"schemaVersion\":2,\"config\":%s,\"layers\":[]}", config),
					 ""));
	assert_fails(*state, &layout, ERR_UNSUPPORTED, "artifact (application/vnd.oci.empty.v1+json)");
}

static void indexes_in_indexes_end_somewhere(void **state)
{
	struct layout layout;

	layout_init(&layout, *state, NULL);
	const char *entry = add_image(&layout, "amd64", "deep", "");
	for (int i = 0; i < 6; i++)
		entry = add_blob_text(&layout, MEDIA_OCI_INDEX, index_of(&layout, entry), "");
	add_entry(&layout, entry);
	assert_fails(*state, &layout, ERR_INPUT, "4 deep");
}

static const char *manifest_with(struct layout *layout, const char *config, const char *layers)
{
	return add_blob_text(
		layout, MEDIA_OCI_MANIFEST,
		arena_printf(&layout->arena, "{\"schemaVersion\":2,\"config\":%s,\"layers\":[%s]}", config, layers),
		"");
}

static void what_does_not_fit_together_leaves_nothing_behind(void **state)
{
	scope_strbuf struct strbuf tar = { 0 }, other = { 0 };
	struct layout layout;

	make_layer_tar(&tar, "etc/text", "one");
	make_layer_tar(&other, "etc/text", "another");
	for (int i = 0; i < 6; i++) {
		scope_strbuf struct strbuf config = { 0 };
		layout_init(&layout, *state, NULL);
		make_config(&layout.arena, &config, "amd64", &tar, 1);
		const char *c = add_blob(&layout, MEDIA_OCI_CONFIG, &config, "");
		const char *layer = add_blob(&layout, MEDIA_OCI_LAYER, &tar, "");
		const char *wrong = add_blob(&layout, MEDIA_OCI_LAYER, &other, "");
		const char *digest = digest_of(&layout.arena, &tar);
		switch (i) {
		case 0:
			add_entry(&layout, manifest_with(&layout, c, ""));
			assert_fails(*state, &layout, ERR_INPUT, "0 layers and its configuration 1");
			break;
		case 1:
			add_entry(&layout, manifest_with(&layout, c, wrong));
			assert_fails(*state, &layout, ERR_CORRUPT, "uncompressed it has the digest");
			break;
		case 2:
			add_entry(&layout,
				  manifest_with(&layout, c,
						arena_printf(&layout.arena,
							     "{\"mediaType\":\"x\",\"digest\":\"%s\",\"size\":1}",
							     digest)));
			assert_fails(*state, &layout, ERR_INPUT, "larger than 1 bytes");
			break;
		case 3:
			add_entry(&layout,
				  manifest_with(&layout, c,
						arena_printf(&layout.arena,
							     "{\"mediaType\":\"x\",\"digest\":\"%s\",\"size\":99999}",
							     digest)));
			assert_fails(*state, &layout, ERR_CORRUPT, "not 99999");
			break;
		case 4:
			add_entry(&layout,
				  manifest_with(&layout, c,
						arena_printf(&layout.arena,
							     "{\"mediaType\":\"x\",\"digest\":\"sha256:%064d\","
							     "\"size\":1}",
							     7)));
			assert_fails(*state, &layout, ERR_NOT_FOUND, "is not in it");
			break;
		case 5:
			add_entry(&layout, manifest_with(&layout, layer, layer));
			assert_fails(*state, &layout, ERR_UNSUPPORTED, "artifact");
			break;
		}
	}
}

static void a_blob_that_is_not_what_its_name_says_is_refused(void **state)
{
	scope_strbuf struct strbuf changed = { 0 };

	for (int i = 0; i < 2; i++) {
		struct scratch *scratch = *state;
		scope_strbuf struct strbuf tar = { 0 }, config = { 0 };
		struct layout layout;
		struct err err = { 0 };
		layout_init(&layout, scratch, i ? "layout" : NULL);
		make_layer_tar(&tar, "etc/text", "one");
		make_config(&layout.arena, &config, "amd64", &tar, 1);
		const char *c = add_blob(&layout, MEDIA_OCI_CONFIG, &config, "");
		strbuf_reset(&changed);
		strbuf_add(&changed, tar.ptr, tar.len);
		changed.ptr[2 * TAR_BLOCK] ^= 1;
		add_file(&layout, blob_path_of(&layout.arena, &tar), &changed);
		add_entry(&layout, manifest_with(&layout, c,
						 arena_printf(&layout.arena,
							      "{\"mediaType\":\"x\",\"digest\":\"%s\",\"size\":%zu}",
							      digest_of(&layout.arena, &tar), tar.len)));
		assert_fails(scratch, &layout, ERR_CORRUPT, "digest");
		assert_ok(file_remove_tree(scratch->fd, "layout", &err), err);
	}
}

static void a_layout_directory_may_have_links_but_not_lead_out(void **state)
{
	struct scratch *scratch = *state;
	struct layout layout;

	put_file(scratch->fd, "outside", "{}");
	layout_init(&layout, scratch, "layout");
	const char *entry = add_image(&layout, "amd64", "x", "");
	const char *digest = strstr(entry, "sha256:") + strlen("sha256:");
	const char *blob = arena_printf(&layout.arena, "blobs/sha256/%.64s", digest);
	assert_int_equal(unlinkat(layout.dir_fd, blob, 0), 0);
	put_link(layout.dir_fd, blob, "../../../outside");
	add_entry(&layout, entry);
	assert_fails(scratch, &layout, ERR_NOT_FOUND, "is not in it");
}

static void a_second_compressed_form_of_a_known_layer_is_kept(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_strbuf struct strbuf tar = { 0 }, zstd = { 0 }, config = { 0 };
	struct layout first, second;
	struct image_loaded *loaded;
	struct layer_info info;
	struct image image;
	struct err err = { 0 };
	size_t count;

	layout_init(&first, *state, NULL);
	add_entry(&first, add_image(&first, "amd64", "same", ""));
	assert_ok(load(store, &first, finish(&first, *state, "first"), NULL, &loaded, &count, &err), err);

	layout_init(&second, *state, NULL);
	make_layer_tar(&tar, "etc/text", "same");
	compress_into(&zstd, &tar, COMPRESSION_ZSTD);
	make_config(&second.arena, &config, "amd64", &tar, 1);
	const char *layer = add_blob(&second, MEDIA_OCI_LAYER_ZSTD, &zstd, "");
	add_entry(&second, manifest_with(&second, add_blob(&second, MEDIA_OCI_CONFIG, &config, ""), layer));
	assert_ok(load(store, &second, finish(&second, *state, "second"), NULL, &loaded, &count, &err), err);
	assert_ok(image_open(store, &second.arena, &loaded[0].id, &image, &err), err);
	assert_ok(store_layer_info(store, &second.arena, &image.diff_ids[0], &info, &err), err);
	assert_int_equal(info.blob_count, 2);
	assert_string_equal(info.blobs[1].media_type, MEDIA_OCI_LAYER_ZSTD);
	assert_int_equal(count_names(store_fd(store), "layers"), 1);
	assert_sound(store);
	layout_release(&first);
	layout_release(&second);
}

/* Layers that pass through directories without naming them take these from below. */
static void a_layer_that_leans_on_those_below_keeps_their_directories(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	struct strbuf tars[2] = { { 0 } };
	scope_strbuf struct strbuf config = { 0 };
	struct layout layout;
	struct image_loaded *loaded;
	struct image image;
	struct stat st;
	struct err err = { 0 };
	size_t count;

	layout_init(&layout, *state, NULL);
	tar_add(&tars[0], "private", S_IFDIR | 0700, "", 0, NULL, false);
	tar_file(&tars[0], "private/first", "1");
	tar_end(&tars[0]);
	tar_file(&tars[1], "private/second", "2");
	tar_add(&tars[1], "private/link", S_IFREG | 0644, "", 0, "private/first", true);
	tar_end(&tars[1]);
	make_config(&layout.arena, &config, "amd64", tars, 2);
	const char *layers = arena_printf(&layout.arena, "%s,%s", add_blob(&layout, MEDIA_OCI_LAYER, &tars[0], ""),
					  add_blob(&layout, MEDIA_OCI_LAYER, &tars[1], ""));
	add_entry(&layout, manifest_with(&layout, add_blob(&layout, MEDIA_OCI_CONFIG, &config, ""), layers));
	assert_ok(load(store, &layout, finish(&layout, *state, "a"), NULL, &loaded, &count, &err), err);
	assert_ok(image_open(store, &layout.arena, &loaded[0].id, &image, &err), err);
	scope_fd int tree = store_layer_open(store, &image.diff_ids[1], &err);
	assert_int_equal(fstatat(tree, "private", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_file(tree, "private/link", "1");
	assert_sound(store);
	strbuf_release(&tars[0]);
	strbuf_release(&tars[1]);
	layout_release(&layout);
}

static void one_layer_can_be_unpacked_alone(void **state)
{
	scope_store struct store *store = open_store(*state, STORE_CREATE);
	scope_strbuf struct strbuf tar = { 0 }, gzip = { 0 };
	scope_arena struct arena arena = { 0 };
	struct layer_info info;
	struct digest diff_id, blob, wrong;
	struct err err = { 0 };

	make_layer_tar(&tar, "etc/text", "alone");
	compress_into(&gzip, &tar, COMPRESSION_GZIP);
	digest_bytes(&blob, gzip.ptr, gzip.len);
	digest_bytes(&wrong, "x", 1);
	scope_reader struct reader *bad = reader_bytes(gzip.ptr, gzip.len);
	struct layer_source source = { .reader = bad, .blob_digest = &wrong, .blob_size = -1, .name = "layer x" };
	assert_int_equal(image_unpack_layer(store, &source, &diff_id, &err), -1);
	assert_int_equal(err.kind, ERR_CORRUPT);
	assert_non_null(strstr(err.msg, "layer x"));
	assert_empty(store);
	scope_reader struct reader *good = reader_bytes(gzip.ptr, gzip.len);
	source = (struct layer_source){
		.reader = good, .blob_digest = &blob, .blob_size = (int64_t)gzip.len, .name = "layer x"
	};
	assert_ok(image_unpack_layer(store, &source, &diff_id, &err), err);
	assert_string_equal(digest_str(&arena, &diff_id), digest_of(&arena, &tar));
	assert_layer_file(store, &diff_id, "etc/text", "alone");
	assert_true(store_blob_has(store, &blob, NULL));
	assert_ok(store_layer_info(store, &arena, &diff_id, &info, &err), err);
	assert_int_equal(info.content, 5);
	assert_sound(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_layout_loads_from_an_archive_and_from_a_directory),
		scratch_test(names_come_from_the_annotations),
		scratch_test(of_several_platforms_the_right_one_is_taken),
		scratch_test(the_only_image_is_taken_whatever_its_platform),
		scratch_test(an_index_without_our_platform_says_what_it_has),
		scratch_test(attestations_and_artifacts_are_no_images),
		scratch_test(an_artifact_alone_is_refused_by_its_type),
		scratch_test(indexes_in_indexes_end_somewhere),
		scratch_test(what_does_not_fit_together_leaves_nothing_behind),
		scratch_test(a_blob_that_is_not_what_its_name_says_is_refused),
		scratch_test(a_layout_directory_may_have_links_but_not_lead_out),
		scratch_test(a_second_compressed_form_of_a_known_layer_is_kept),
		scratch_test(a_layer_that_leans_on_those_below_keeps_their_directories),
		scratch_test(one_layer_can_be_unpacked_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
