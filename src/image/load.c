/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kiln/base/log.h"
#include "kiln/base/text.h"

#include "internal.h"

/*
 * 1. the container: an archive into the work directory, or a layout directory where it lies	container.c
 * 2. its documents: which images, verified						load-oci.c, load-docker.c
 * 3. layers: hash, inflate, hash, unpack in the work directory, several at a time		load-layers.c
 * 4. blobs, layers, configurations, records into the store; names last
 * Whatever fails before step 4, nothing is left.
 */

/* ---- what the readers of the documents call ---- */

struct load_image *load_add_image(struct load *load, struct strbuf *config_text, struct err *err)
{
	struct load_image image = { 0 };
	size_t dropped = 0;
	struct load_image *added;

	if (image_config_read(load->arena, strbuf_str(config_text), config_text->len, &image.config, &dropped, err) < 0)
		return NULL;
	if (dropped > 0)
		log_warn("image configuration: %zu entries of the environment without a name or a value are ignored",
			 dropped);
	digest_bytes(&image.id, strbuf_str(config_text), config_text->len);
	image.layers = arena_array(load->arena, size_t, image.config.diff_id_count + 1);
	image.config_text = *config_text;
	*config_text = (struct strbuf){ 0 };
	added = ARENA_PUSH(load->arena, load->images, load->image_count);
	*added = image;
	return added;
}

static struct load_layer *find_layer(struct load *load, const struct digest *diff_id)
{
	for (size_t i = 0; i < load->layer_count; i++) {
		if (digest_equal(&load->layers[i].diff_id, diff_id))
			return &load->layers[i];
	}
	return NULL;
}

int load_add_layer(struct load *load, struct load_image *image, const char *path, const struct digest *blob,
		   int64_t blob_size, struct err *err)
{
	const char *diff_id_text = image->config.diff_ids[image->layer_count];
	struct load_layer *layer;
	struct digest diff_id;
	char shown[256];

	if (digest_parse(&diff_id, diff_id_text, err) < 0)
		return -1;
	if (!container_has(&load->container, path))
		return err_set(err, ERR_NOT_FOUND, "its layer %s is not in it",
			       err_printable(shown, sizeof(shown), path));
	layer = find_layer(load, &diff_id);
	if (!layer) {
		layer = ARENA_PUSH(load->arena, load->layers, load->layer_count);
		*layer = (struct load_layer){ .diff_id = diff_id, .path = path, .blob_size = blob_size };
		layer->number = (unsigned)load->layer_count;
		layer->name = arena_printf(load->arena, "layer %s",
					   blob ? digest_str(load->arena, blob) : diff_id_text);
		if (blob)
			layer->blob = *blob;
	}
	image->layers[image->layer_count++] = (size_t)(layer - load->layers);
	return 0;
}

static char *canonical(struct arena *arena, const char *text)
{
	struct reference reference;

	return text && reference_parse(arena, text, &reference, NULL) == 0 ? reference_text(arena, &reference) : NULL;
}

void load_add_name(struct load *load, struct load_image *image, const char *text)
{
	const char *name = canonical(load->arena, text);
	char shown[256];

	/* Docker writes "<none>:<none>" where it has none. */
	if (!name) {
		log_debug("load: \"%s\" is not an image name", err_printable(shown, sizeof(shown), text));
		return;
	}
	for (size_t i = 0; i < image->name_count; i++) {
		if (text_equal(image->names[i], name))
			return;
	}
	*ARENA_PUSH(load->arena, image->names, image->name_count) = name;
}

bool load_is_selected(struct load *load, const char *name)
{
	return name && (text_equal(name, load->selector) ||
			(canonical(load->arena, name) &&
			 text_equal(canonical(load->arena, name), canonical(load->arena, load->selector))));
}

/* ---- into the store ---- */

static int publish_manifest(struct load *load, const struct load_image *image, struct image_record *record,
			    struct err *err)
{
	if (image->manifest_text.len == 0)
		return 0;
	record->manifest_type = image->manifest_type;
	return store_blob_put(load->store, image->manifest_text.ptr, image->manifest_text.len, &record->manifest, err);
}

static int publish_image(struct load *load, const struct load_image *image, struct err *err)
{
	struct image_record record = { .config = image->id,
				       .diff_id_count = image->layer_count,
				       .created = time(NULL) };
	struct layer_info info;
	struct digest config;

	record.diff_ids = arena_array(load->arena, struct digest, image->layer_count + 1);
	for (size_t i = 0; i < image->layer_count; i++) {
		record.diff_ids[i] = load->layers[image->layers[i]].diff_id;
		if (store_layer_info(load->store, load->arena, &record.diff_ids[i], &info, err) < 0)
			return -1;
		record.size += info.size;
	}
	if (store_blob_put(load->store, image->config_text.ptr, image->config_text.len, &config, err) < 0 ||
	    publish_manifest(load, image, &record, err) < 0)
		return -1;
	return store_image_put(load->store, &record, err);
}

static int publish(struct load *load, struct err *err)
{
	if (load_publish_layers(load, err) < 0)
		return -1;
	for (size_t i = 0; i < load->image_count; i++) {
		if (publish_image(load, &load->images[i], err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the whole ---- */

static int read_documents(struct load *load, struct err *err)
{
	/* An archive that is both is an OCI layout first: that says digests, and has the manifest as it was pushed. */
	if (container_has(&load->container, "index.json"))
		return load_oci(load, err);
	if (container_has(&load->container, "manifest.json"))
		return load_docker(load, err);
	if (container_has(&load->container, "repositories"))
		return err_set(err, ERR_UNSUPPORTED,
			       "it was written by a docker older than 1.10: load and save it with a newer one");
	return err_set(err, ERR_INPUT,
		       "it is neither an OCI layout (index.json) nor a docker archive (manifest.json)%s",
		       load->container.dir_fd < 0 ? "; `kiln import` makes an image of a root file system" : "");
}

static int list_loaded(struct load *load, struct image_loaded **loaded, size_t *count, struct err *err)
{
	if (load->only_one && load->image_count > 1)
		return err_set(err, ERR_INPUT, "it has %zu images: add \":\" and the tag or name of one",
			       load->image_count);
	*loaded = arena_array(load->arena, struct image_loaded, load->image_count + 1);
	*count = load->image_count;
	for (size_t i = 0; i < load->image_count; i++)
		(*loaded)[i] = (struct image_loaded){ .id = load->images[i].id,
						      .names = load->images[i].names,
						      .name_count = load->images[i].name_count };
	return 0;
}

static int run(struct load *load, const char *path, struct image_loaded **loaded, size_t *count, struct err *err)
{
	if (store_work_new(load->store, &load->work, err) < 0 ||
	    container_open(&load->container, load->arena, path, err) < 0 || read_documents(load, err) < 0 ||
	    list_loaded(load, loaded, count, err) < 0 || load_layers(load, err) < 0)
		return -1;
	return publish(load, err);
}

static void release(struct load *load)
{
	for (size_t i = 0; i < load->image_count; i++) {
		strbuf_release(&load->images[i].config_text);
		strbuf_release(&load->images[i].manifest_text);
	}
	container_close(&load->container);
	store_work_end(load->store, &load->work);
}

int load_run(struct store *store, struct arena *arena, const char *path, struct load *options,
	     struct image_loaded **loaded, size_t *count, struct err *err)
{
	const char *name = text_equal(path, "-") ? "standard input" : path;
	struct platform host = platform_host();
	struct load load = *options;
	int result;

	load.store = store;
	load.arena = arena;
	load.work = (struct store_work)STORE_WORK_EMPTY;
	load.container = (struct container){ .store = store, .work = &load.work, .name = name, .dir_fd = -1 };
	if (!load.platform)
		load.platform = &host;
	result = run(&load, path, loaded, count, err);
	release(&load);
	return result < 0 ? err_wrap(err, "load %s", name) : 0;
}

static int set_all_names(struct store *store, const struct image_loaded *loaded, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < loaded[i].name_count; j++) {
			if (store_name_set(store, loaded[i].names[j], &loaded[i].id, err) < 0)
				return -1;
		}
	}
	return 0;
}

int image_load(struct store *store, struct arena *arena, const char *path, const char *selector, bool set_names,
	       const struct platform *platform, struct image_loaded **loaded, size_t *count, struct err *err)
{
	struct load options = { .selector = selector, .platform = platform };
	struct image_loaded *result;
	size_t result_count;

	if (load_run(store, arena, path, &options, &result, &result_count, err) < 0)
		return -1;
	if (set_names && set_all_names(store, result, result_count, err) < 0)
		return -1;
	/* An image without a name has to survive too. */
	if (store_sync(store, err) < 0)
		return -1;
	*loaded = result;
	*count = result_count;
	return 0;
}
