/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kiln/base/scope.h"
#include "kiln/base/text.h"
#include "kiln/oci/image.h"

#define A      "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B      "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define CONFIG "\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"" A "\",\"size\":7}"
#define LAYER  "{\"mediaType\":\"" MEDIA_OCI_LAYER_GZIP "\",\"digest\":\"" B "\",\"size\":32}"
#define MANIFEST                                                                                      \
	"{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST "\"," CONFIG ",\"layers\":[" LAYER \
	"],\"annotations\":{\"k\":\"v\"}}"
#define ENTRY                                                                                                          \
	"{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":\"" A                                                    \
	"\",\"size\":9,\"annotations\":{\"org.opencontainers.image.ref.name\":\"v1\"},\"platform\":{\"architecture\":" \
	"\"arm64\",\"os\":\"linux\"}}"
#define INDEX "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[" ENTRY "]}"

static int read_manifest(const char *text, const char *type, struct err *err)
{
	struct arena arena = { 0 };
	struct manifest manifest;
	int result = manifest_read(&arena, text, strlen(text), type, &manifest, err);

	arena_release(&arena);
	return result;
}

static int read_index(const char *text, const char *type, struct err *err)
{
	struct arena arena = { 0 };
	struct index index;
	int result = index_read(&arena, text, strlen(text), type, &index, err);

	arena_release(&arena);
	return result;
}

static void a_manifest_is_read_and_written_back_the_same(void **state)
{
	struct arena arena = { 0 };
	struct strbuf buf = { 0 };
	struct manifest manifest;

	(void)state;
	assert_int_equal(manifest_read(&arena, MANIFEST, strlen(MANIFEST), NULL, &manifest, NULL), 0);
	assert_string_equal(manifest.media_type, MEDIA_OCI_MANIFEST);
	assert_string_equal(manifest.config.digest, A);
	assert_int_equal(manifest.config.size, 7);
	assert_int_equal(manifest.layer_count, 1);
	assert_string_equal(manifest.layers[0].digest, B);
	manifest_write(&arena, &buf, &manifest);
	assert_string_equal(strbuf_str(&buf), MANIFEST);
	strbuf_release(&buf);
	arena_release(&arena);
}

static void an_index_is_read_and_written_back_the_same(void **state)
{
	struct arena arena = { 0 };
	struct strbuf buf = { 0 };
	struct index index;

	(void)state;
	assert_int_equal(index_read(&arena, INDEX, strlen(INDEX), MEDIA_OCI_INDEX, &index, NULL), 0);
	assert_int_equal(index.manifest_count, 1);
	assert_string_equal(json_get_str(index.manifests[0].annotations, ANNOTATION_REF_NAME), "v1");
	index_write(&arena, &buf, &index);
	assert_string_equal(strbuf_str(&buf), INDEX);
	strbuf_release(&buf);
	arena_release(&arena);
}

static void the_media_type_comes_from_the_document_or_the_transfer(void **state)
{
	static const char *const bare = "{\"schemaVersion\":2," CONFIG ",\"layers\":[]}";
	struct arena arena = { 0 };
	struct strbuf buf = { 0 };
	struct manifest manifest;

	(void)state;
	assert_int_equal(manifest_read(&arena, bare, strlen(bare), NULL, &manifest, NULL), 0);
	assert_string_equal(manifest.media_type, MEDIA_OCI_MANIFEST);
	assert_int_equal(
		manifest_read(&arena, bare, strlen(bare), MEDIA_DOCKER_MANIFEST "; charset=utf-8", &manifest, NULL), 0);
	assert_string_equal(manifest.media_type, MEDIA_DOCKER_MANIFEST);
	manifest.media_type = NULL;
	manifest_write(&arena, &buf, &manifest);
	assert_non_null(strstr(strbuf_str(&buf), "\"mediaType\":\"" MEDIA_OCI_MANIFEST "\""));
	strbuf_release(&buf);
	arena_release(&arena);
}

static void documents_that_are_two_things_are_refused(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(read_manifest("{\"schemaVersion\":2," CONFIG ",\"layers\":[],\"manifests\":[]}", NULL, &err),
			 -1);
	assert_non_null(strstr(err.msg, "\"manifests\""));
	assert_int_equal(read_index("{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", NULL, &err), -1);
	assert_int_equal(read_index("{\"schemaVersion\":2,\"manifests\":[],\"config\":{}}", NULL, &err), -1);
	assert_int_equal(read_manifest(MANIFEST, MEDIA_DOCKER_MANIFEST, &err), -1);
	assert_int_equal(read_manifest(MANIFEST, MEDIA_OCI_INDEX, &err), -1);
	assert_int_equal(read_index(INDEX, MEDIA_OCI_MANIFEST, &err), -1);
	assert_int_equal(read_index(INDEX, MEDIA_DOCKER_INDEX, &err), -1);
	assert_int_equal(read_manifest("{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\"," CONFIG
				       ",\"layers\":[]}",
				       NULL, &err),
			 -1);
	assert_int_equal(err.kind, ERR_INPUT);
}

static void manifests_out_of_range_are_refused(void **state)
{
#define WITH(version, size, digest)                                                                                    \
	"{\"schemaVersion\":" version ",\"config\":{\"mediaType\":\"x\",\"digest\":\"" digest "\",\"size\":" size "}," \
	"\"layers\":[]}"
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		"null",
		WITH("1", "1", A),
		WITH("3", "1", A),
		WITH("\"2\"", "1", A),
		WITH("2", "-1", A),
		WITH("2", "1.5", A),
		WITH("2", "1e3", A),
		WITH("2", "9223372036854775808", A),
		WITH("2", "\"1\"", A),
		WITH("2", "1", "sha256:short"),
		WITH("2", "1", "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
		WITH("2", "1", "../../etc/passwd"),
		"{\"schemaVersion\":2," CONFIG "}",
		"{\"schemaVersion\":2," CONFIG ",\"Layers\":[]}",
		"{\"schemaVersion\":2," CONFIG ",\"layers\":{}}",
		"{\"schemaVersion\":2," CONFIG ",\"layers\":[],\"layers\":[]}",
		"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"" A "\"}]}",
		"{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER "]}x",
		"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x\",\"digest\":\"" A
		"\",\"size\":1,\"annotations\":[]},"
		"\"layers\":[]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct err err = { 0 };
		if (read_manifest(texts[i], NULL, &err) == 0)
			fail_msg("accepted: %s", texts[i]);
		assert_true(err.kind == ERR_INPUT || err.kind == ERR_UNSUPPORTED);
	}
}

static void old_schemas_are_told_apart(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(read_manifest("{\"schemaVersion\":1,\"name\":\"x\",\"fsLayers\":[]}", NULL, &err), -1);
	assert_non_null(strstr(err.msg, "fsLayers"));
	assert_int_equal(read_manifest("{\"schemaVersion\":1,\"name\":\"x\"}", NULL, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
}

static void sizes_and_counts_are_limited(void **state)
{
	struct strbuf buf = { 0 };
	struct err err = { 0 };

	(void)state;
	strbuf_addstr(&buf, "{\"schemaVersion\":2," CONFIG ",\"layers\":[");
	for (int i = 0; i <= OCI_LAYERS_MAX; i++)
		strbuf_addf(&buf, "%s%s", i ? "," : "", LAYER);
	strbuf_addstr(&buf, "]}");
	assert_int_equal(read_manifest(strbuf_str(&buf), NULL, &err), -1);
	assert_non_null(strstr(err.msg, "1001 layers"));
	strbuf_reset(&buf);
	strbuf_addstr(&buf, MANIFEST);
	for (int i = 0; i <= OCI_DOCUMENT_MAX; i++)
		strbuf_addch(&buf, ' ');
	assert_int_equal(read_manifest(strbuf_str(&buf), NULL, &err), -1);
	assert_non_null(strstr(err.msg, "larger than"));
	strbuf_release(&buf);
}

static void chain_ids_are_those_of_the_image_spec(void **state)
{
	struct digest diff_ids[3], chain;
	char text[DIGEST_TEXT + 1];

	(void)state;
	assert_int_equal(digest_parse(&diff_ids[0], A, NULL), 0);
	assert_int_equal(digest_parse(&diff_ids[1], B, NULL), 0);
	diff_ids[2] = diff_ids[0];
	chain_id(diff_ids, 1, &chain);
	assert_string_equal(digest_text(&chain, text), A);
	/* printf 'sha256:aa... sha256:bb...' | sha256sum, and once more with the result in front. */
	chain_id(diff_ids, 2, &chain);
	assert_string_equal(digest_text(&chain, text),
			    "sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c");
	chain_id(diff_ids, 3, &chain);
	assert_string_equal(digest_text(&chain, text),
			    "sha256:406364a4bd8d39df8107071d4494fa73814420337124657ec5999b072e5d3352");
	chain_id(NULL, 0, &chain);
	assert_true(digest_is_zero(&chain));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_manifest_is_read_and_written_back_the_same),
		cmocka_unit_test(an_index_is_read_and_written_back_the_same),
		cmocka_unit_test(the_media_type_comes_from_the_document_or_the_transfer),
		cmocka_unit_test(documents_that_are_two_things_are_refused),
		cmocka_unit_test(manifests_out_of_range_are_refused),
		cmocka_unit_test(old_schemas_are_told_apart),
		cmocka_unit_test(sizes_and_counts_are_limited),
		cmocka_unit_test(chain_ids_are_those_of_the_image_spec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
