/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include "kiln/base/text.h"
#include "kiln/oci/annotation.h"

static const char *const target_names[] = { "manifest", "index", "manifest-descriptor", "index-descriptor" };

static void add_shown(struct strbuf *text, struct arena *arena, const struct annotations *all)
{
	for (size_t i = 0; i < all->count; i++)
		strbuf_addf(text, "%s%s[%s] %s=%s", i ? "; " : "", target_names[all->items[i].target],
			    all->items[i].has_platform ? platform_text(arena, &all->items[i].platform) : "",
			    all->items[i].key, all->items[i].value);
}

/* What the text adds, or the error. */
static void assert_option(const char *text, const char *expected)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf shown = { 0 };
	struct annotations all = { 0 };
	struct err err = { 0 };

	if (annotation_parse(&arena, text, &all, &err) < 0) {
		assert_int_equal(err.kind, ERR_USAGE);
		strbuf_addstr(&shown, err.msg);
	}
	add_shown(&shown, &arena, &all);
	assert_string_equal(strbuf_str(&shown), expected);
}

static void assert_attribute(const char *name, int result, const char *expected)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf shown = { 0 };
	struct annotations all = { 0 };
	struct err err = { 0 };

	assert_int_equal(annotation_parse_attribute(&arena, name, "v", &all, &err), result);
	if (result < 0)
		strbuf_addstr(&shown, err.msg);
	add_shown(&shown, &arena, &all);
	assert_string_equal(strbuf_str(&shown), expected);
}

static void an_option_is_for_the_manifest_unless_it_says_more(void **state)
{
	(void)state;
	assert_option("k=v", "manifest[] k=v");
	assert_option("org.x/k=a=b:c", "manifest[] org.x/k=a=b:c");
	assert_option("k=", "manifest[] k=");
	assert_option("", "");
	assert_option("index:k=v", "index[] k=v");
	assert_option("index,manifest:k=v", "index[] k=v; manifest[] k=v");
	assert_option("manifest[linux/amd64]:k=v", "manifest[linux/amd64] k=v");
	assert_option("manifest-descriptor[linux/arm/v7],index-descriptor:k=v",
		      "manifest-descriptor[linux/arm/v7] k=v; index-descriptor[] k=v");
	assert_option("manifest:a:b=v", "manifest[] a:b=v");
}

static void an_option_that_is_wrong_gets_buildxs_words(void **state)
{
	(void)state;
	assert_option("k", "invalid annotation \"k\", expected key=value");
	assert_option("image:k=v", "unknown annotation type \"image\"");
	assert_option("manifest[]:k=v",
		      "invalid annotation type \"manifest[]\", expected type and optional platform in square brackets");
	assert_option("manifest[linux/amd64:k=v", "invalid annotation type \"manifest[linux/amd64\", expected type and "
						  "optional platform in square brackets");
	assert_option(
		"manifest[a]b:k=v",
		"invalid annotation type \"manifest[a]b\", expected type and optional platform in square brackets");
	assert_option("Manifest:k=v",
		      "invalid annotation type \"Manifest\", expected type and optional platform in square brackets");
	assert_option(":k=v", "invalid annotation type \"\", expected type and optional platform in square brackets");
	assert_option("index,:k=v",
		      "invalid annotation type \"\", expected type and optional platform in square brackets");
	assert_option("manifest[nonsense]:k=v", "invalid platform \"nonsense\": invalid platform \"nonsense\": "
						"\"nonsense\" is neither a known operating "
						"system nor a known architecture");
}

static void attributes_of_an_output_name_type_and_platform(void **state)
{
	(void)state;
	assert_attribute("annotation.k", 1, "manifest[] k=v");
	assert_attribute("annotation.org.x.y", 1, "manifest[] org.x.y=v");
	assert_attribute("annotation-index.k", 1, "index[] k=v");
	assert_attribute("annotation-manifest-descriptor[linux/amd64].k", 1, "manifest-descriptor[linux/amd64] k=v");
	assert_attribute("annotation[linux/s390x].k", 1, "manifest[linux/s390x] k=v");
	assert_attribute("annotation", 0, "");
	assert_attribute("annotation.", 0, "");
	assert_attribute("annotations.k", 0, "");
	assert_attribute("annotation-image.k", 0, "");
	assert_attribute("annotation[linux/amd64", 0, "");
	assert_attribute("compression", 0, "");
}

static void assert_of(const struct annotations *all, enum annotation_target target, const char *platform,
		      const char *expected)
{
	scope_arena struct arena arena = { 0 };
	scope_strbuf struct strbuf text = { 0 };
	struct platform wanted;
	struct err err;

	assert_int_equal(platform_parse(&arena, platform, &wanted, &err), 0);
	const struct json *object = annotations_of(&arena, all, target, &wanted);
	if (object)
		json_write(&text, object);
	assert_string_equal(strbuf_str(&text), expected);
}

static void a_document_gets_what_is_for_its_platform_sorted_the_specific_winning(void **state)
{
	scope_arena struct arena arena = { 0 };
	struct annotations all = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(annotation_parse(&arena, "manifest[linux/amd64]:b=amd", &all, &err), 0);
	assert_int_equal(annotation_parse(&arena, "b=all", &all, &err), 0);
	assert_int_equal(annotation_parse(&arena, "a=1", &all, &err), 0);
	assert_int_equal(annotation_parse(&arena, "a=2", &all, &err), 0);
	assert_int_equal(annotation_parse(&arena, "manifest[linux/arm64/v8]:c=arm", &all, &err), 0);
	assert_int_equal(annotation_parse(&arena, "index:i=1", &all, &err), 0);
	assert_of(&all, ANNOTATION_MANIFEST, "linux/amd64", "{\"a\":\"2\",\"b\":\"amd\"}");
	assert_of(&all, ANNOTATION_MANIFEST, "linux/arm64", "{\"a\":\"2\",\"b\":\"all\",\"c\":\"arm\"}");
	assert_of(&all, ANNOTATION_INDEX, "linux/arm64", "{\"i\":\"1\"}");
	assert_of(&all, ANNOTATION_INDEX_DESCRIPTOR, "linux/arm64", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_option_is_for_the_manifest_unless_it_says_more),
		cmocka_unit_test(an_option_that_is_wrong_gets_buildxs_words),
		cmocka_unit_test(attributes_of_an_output_name_type_and_platform),
		cmocka_unit_test(a_document_gets_what_is_for_its_platform_sorted_the_specific_winning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
