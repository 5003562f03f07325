/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kiln/base/log.h"
#include "kiln/base/text.h"

#include "internal.h"

/*
 * index.json of a layout: entries with one name are one image for several platforms; so are the entries of a nested index,
 * and those without a name that say their platform. Attestations and artifacts are no images and are passed over.
 */

enum { DEPTH_MAX = 4 };

static bool is_index(const struct descriptor *entry)
{
	return text_equal(entry->media_type, MEDIA_OCI_INDEX) || text_equal(entry->media_type, MEDIA_DOCKER_INDEX);
}

static bool is_manifest(const struct descriptor *entry)
{
	return text_equal(entry->media_type, MEDIA_OCI_MANIFEST) ||
	       text_equal(entry->media_type, MEDIA_DOCKER_MANIFEST);
}

/* BuildKit's attestations are manifests for the platform unknown/unknown. */
static bool may_be_image(const struct descriptor *entry)
{
	if (json_get(entry->annotations, "vnd.docker.reference.type") ||
	    (entry->artifact_type && *entry->artifact_type) ||
	    text_equal(json_get_str(entry->platform_raw, "os"), "unknown"))
		return false;
	return is_index(entry) || is_manifest(entry);
}

/* ---- choosing a platform ---- */

struct choice {
	const struct descriptor *best;
	int score;
	const struct descriptor *any; /* an image for whatever platform */
	size_t images;
	struct strbuf platforms; /* for the message */
};

static int choose(struct load *load, const struct descriptor *entries, size_t count, int depth, struct choice *choice,
		  struct err *err);

static int choose_in_index(struct load *load, const struct descriptor *entry, int depth, struct choice *choice,
			   struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct index index;
	struct digest digest;

	if (depth >= DEPTH_MAX)
		return err_set(err, ERR_INPUT, "%s: indexes lie in indexes more than %d deep", entry->digest,
			       DEPTH_MAX);
	if (digest_parse(&digest, entry->digest, err) < 0 ||
	    container_read_blob(&load->container, &digest, entry->size, &text, err) < 0 ||
	    index_read(load->arena, strbuf_str(&text), text.len, entry->media_type, &index, err) < 0)
		return err_wrap(err, "index %s", entry->digest);
	return choose(load, index.manifests, index.manifest_count, depth + 1, choice, err);
}

static void choose_manifest(struct load *load, const struct descriptor *entry, struct choice *choice)
{
	struct platform platform;
	int score;

	platform_of(entry->platform_raw, &platform);
	/* An entry that does not say its platform is better than none. */
	score = entry->platform_raw ? platform_match(load->platform, &platform) : 1;
	choice->images++;
	choice->any = entry;
	if (entry->platform_raw)
		strbuf_addf(&choice->platforms, "%s%s", choice->platforms.len ? ", " : "",
			    platform_text(load->arena, &platform));
	if (score <= choice->score)
		return;
	choice->best = entry;
	choice->score = score;
}

static int choose(struct load *load, const struct descriptor *entries, size_t count, int depth, struct choice *choice,
		  struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		if (!may_be_image(&entries[i]))
			continue;
		if (is_manifest(&entries[i]))
			choose_manifest(load, &entries[i], choice);
		else if (choose_in_index(load, &entries[i], depth, choice, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- one image ---- */

static int check_config_type(const struct descriptor *config, struct err *err)
{
	char shown[160];

	/* Old registries stored configurations as octet streams. */
	if (text_equal(config->media_type, MEDIA_OCI_CONFIG) || text_equal(config->media_type, MEDIA_DOCKER_CONFIG) ||
	    text_equal(config->media_type, "application/octet-stream"))
		return 0;
	return err_set(err, ERR_UNSUPPORTED, "it is an artifact (%s) and not an image",
		       err_printable(shown, sizeof(shown), config->media_type));
}

static int add_layers(struct load *load, struct load_image *image, const struct manifest *manifest, struct err *err)
{
	if (manifest->layer_count != image->config.diff_id_count)
		return err_set(err, ERR_INPUT, "its manifest has %zu layers and its configuration %zu",
			       manifest->layer_count, image->config.diff_id_count);
	for (size_t i = 0; i < manifest->layer_count; i++) {
		const struct descriptor *layer = &manifest->layers[i];
		struct digest blob;
		if (digest_parse(&blob, layer->digest, err) < 0 ||
		    load_add_layer(load, image, container_blob_path(load->arena, &blob), &blob, layer->size, err) < 0)
			return -1;
	}
	return 0;
}

static int add_manifest(struct load *load, struct strbuf *text, const struct descriptor *entry,
			struct load_image **image, struct err *err)
{
	scope_strbuf struct strbuf config_text = { 0 };
	struct manifest manifest;
	struct digest config;

	if (manifest_read(load->arena, strbuf_str(text), text->len, entry->media_type, &manifest, err) < 0 ||
	    check_config_type(&manifest.config, err) < 0 || digest_parse(&config, manifest.config.digest, err) < 0 ||
	    container_read_blob(&load->container, &config, manifest.config.size, &config_text, err) < 0)
		return -1;
	*image = load_add_image(load, &config_text, err);
	if (!*image || add_layers(load, *image, &manifest, err) < 0)
		return -1;
	(*image)->manifest_type = manifest.media_type;
	return 0;
}

static int add_image(struct load *load, const struct descriptor *entry, struct load_image **image, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct digest digest;

	if (digest_parse(&digest, entry->digest, err) < 0 ||
	    container_read_blob(&load->container, &digest, entry->size, &text, err) < 0 ||
	    add_manifest(load, &text, entry, image, err) < 0)
		return err_wrap(err, "image %s", entry->digest);
	(*image)->manifest = digest;
	(*image)->manifest_text = text;
	text = (struct strbuf){ 0 };
	return 0;
}

/* ---- entries of index.json ---- */

static const char *annotation(const struct descriptor *entry, const char *key)
{
	return json_get_str(entry->annotations, key);
}

/* A tag alone ("latest") is no name: of what would it be the tag? */
static bool is_whole_name(const char *text)
{
	return text && strpbrk(text, ":/");
}

static bool same_group(const struct descriptor *a, const struct descriptor *b)
{
	if (!text_equal(annotation(a, ANNOTATION_REF_NAME), annotation(b, ANNOTATION_REF_NAME)) ||
	    !text_equal(annotation(a, ANNOTATION_CONTAINERD_NAME), annotation(b, ANNOTATION_CONTAINERD_NAME)))
		return false;
	if (annotation(a, ANNOTATION_REF_NAME) || annotation(a, ANNOTATION_CONTAINERD_NAME))
		return true;
	return a->platform_raw && b->platform_raw && is_manifest(a) && is_manifest(b);
}

static bool is_selected(struct load *load, const struct descriptor *entry)
{
	return !load->selector || text_equal(entry->digest, load->selector) ||
	       text_equal(annotation(entry, ANNOTATION_REF_NAME), load->selector) ||
	       load_is_selected(load, annotation(entry, ANNOTATION_CONTAINERD_NAME)) ||
	       load_is_selected(load, annotation(entry, ANNOTATION_REF_NAME));
}

static void add_names(struct load *load, struct load_image *image, const struct descriptor *entry)
{
	const char *whole = annotation(entry, ANNOTATION_CONTAINERD_NAME);
	const char *reference = annotation(entry, ANNOTATION_REF_NAME);

	if (whole)
		load_add_name(load, image, whole);
	else if (is_whole_name(reference))
		load_add_name(load, image, reference);
}

static struct load_image *find_added(struct load *load, const struct descriptor *entry)
{
	struct digest digest;

	if (digest_parse(&digest, entry->digest, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < load->image_count; i++) {
		if (digest_equal(&load->images[i].manifest, &digest))
			return &load->images[i];
	}
	return NULL;
}

static int no_match(struct load *load, const struct choice *choice, struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, "it has no image for %s, only for %s",
		       platform_text(load->arena, load->platform), strbuf_str(&choice->platforms));
}

/* The image of a group: the best for the platform, or the only one. */
static int add_group(struct load *load, const struct descriptor *group, size_t count, struct err *err)
{
	struct choice choice = { 0 };
	struct load_image *image;
	int result = choose(load, group, count, 0, &choice, err);
	const struct descriptor *chosen = choice.best ? choice.best : choice.images == 1 ? choice.any : NULL;

	if (result == 0 && !chosen && choice.images > 0)
		result = no_match(load, &choice, err);
	strbuf_release(&choice.platforms);
	if (result < 0 || !chosen)
		return result;
	image = find_added(load, chosen);
	if (!image && add_image(load, chosen, &image, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		add_names(load, image, &group[i]);
	return 0;
}

static void list_names(const struct index *index, struct strbuf *names)
{
	for (size_t i = 0; i < index->manifest_count; i++) {
		const char *name = annotation(&index->manifests[i], ANNOTATION_CONTAINERD_NAME);
		if (!name)
			name = annotation(&index->manifests[i], ANNOTATION_REF_NAME);
		if (name)
			strbuf_addf(names, "%s%s", names->len ? ", " : "", name);
	}
}

static int check_found(struct load *load, const struct index *index, struct err *err)
{
	scope_strbuf struct strbuf names = { 0 };
	char shown[512];

	if (load->image_count > 0)
		return 0;
	if (!load->selector)
		return err_set(err, ERR_INPUT, "there is no image in it");
	list_names(index, &names);
	return err_set(err, ERR_NOT_FOUND, "there is no image \"%s\" in it; it has: %s", load->selector,
		       names.len ? err_printable(shown, sizeof(shown), strbuf_str(&names)) : "(no names)");
}

int load_oci(struct load *load, struct err *err)
{
	scope_strbuf struct strbuf text = { 0 };
	struct descriptor *group;
	struct index index;
	bool *done;

	if (container_read(&load->container, "index.json", &text, err) < 0 ||
	    index_read(load->arena, strbuf_str(&text), text.len, NULL, &index, err) < 0)
		return err_wrap(err, "index.json");
	done = arena_array(load->arena, bool, index.manifest_count + 1);
	group = arena_array(load->arena, struct descriptor, index.manifest_count + 1);
	for (size_t i = 0; i < index.manifest_count; i++) {
		size_t count = 0;
		for (size_t j = i; j < index.manifest_count && !done[i]; j++) {
			if (done[j] || (j > i && !same_group(&index.manifests[i], &index.manifests[j])))
				continue;
			done[j] = j > i;
			group[count++] = index.manifests[j];
		}
		if (count > 0 && is_selected(load, &group[0]) && add_group(load, group, count, err) < 0)
			return -1;
	}
	return check_found(load, &index, err);
}
