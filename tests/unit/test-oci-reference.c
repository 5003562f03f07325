/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kiln/base/scope.h"
#include "kiln/oci/reference.h"

#define HEX    "86e0e091d0da6bde2456dbb48306f3956bbeb2eae1b5b9a43045843f69fe4aaa"
#define DIGEST "sha256:" HEX

static void assert_reference(const char *text, const char *registry, const char *repository, const char *tag,
			     const char *digest, const char *familiar)
{
	struct arena arena = { 0 };
	struct err err = { 0 };
	struct reference reference = { 0 }, again = { 0 };

	if (reference_parse(&arena, text, &reference, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(reference.registry, registry);
	assert_string_equal(reference.repository, repository);
	assert_string_equal(reference.tag ? reference.tag : "(none)", tag ? tag : "(none)");
	assert_string_equal(reference.digest ? reference.digest : "(none)", digest ? digest : "(none)");
	assert_string_equal(reference_familiar(&arena, &reference), familiar);

	const char *whole = reference_text(&arena, &reference);
	assert_int_equal(reference_parse(&arena, whole, &again, &err), 0);
	assert_string_equal(reference_text(&arena, &again), whole);
	arena_release(&arena);
}

static void assert_invalid(const char *text, const char *why)
{
	struct arena arena = { 0 };
	struct err err = { 0 };
	struct reference reference = { 0 };

	if (reference_parse(&arena, text, &reference, &err) == 0)
		fail_msg("\"%s\" was accepted", text);
	assert_true(err.kind == ERR_INPUT || err.kind == ERR_UNSUPPORTED);
	if (!strstr(err.msg, why))
		fail_msg("\"%s\": \"%s\" does not say \"%s\"", text, err.msg, why);
	arena_release(&arena);
}

static void short_names_are_completed_as_docker_does(void **state)
{
	(void)state;
	assert_reference("app", "docker.io", "library/app", "latest", NULL, "app:latest");
	assert_reference("app:1.0", "docker.io", "library/app", "1.0", NULL, "app:1.0");
	assert_reference("fooo/bar", "docker.io", "fooo/bar", "latest", NULL, "fooo/bar:latest");
	assert_reference("docker.io/foo", "docker.io", "library/foo", "latest", NULL, "foo:latest");
	assert_reference("index.docker.io/foo", "docker.io", "library/foo", "latest", NULL, "foo:latest");
	assert_reference("index.docker.io/fooo/bar", "docker.io", "fooo/bar", "latest", NULL, "fooo/bar:latest");
	assert_reference("docker.io/library/foo/bar", "docker.io", "library/foo/bar", "latest", NULL,
			 "library/foo/bar:latest");
	assert_reference("lowercase:Uppercase", "docker.io", "library/lowercase", "Uppercase", NULL,
			 "lowercase:Uppercase");
	assert_reference("192.168.0.1:80", "docker.io", "library/192.168.0.1", "80", NULL, "192.168.0.1:80");
	assert_reference("test_com/foo", "docker.io", "test_com/foo", "latest", NULL, "test_com/foo:latest");
	assert_reference("docker---rules/docker", "docker.io", "docker---rules/docker", "latest", NULL,
			 "docker---rules/docker:latest");
	assert_reference("dock__er/docker", "docker.io", "dock__er/docker", "latest", NULL, "dock__er/docker:latest");
	assert_reference("1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3", "docker.io",
			 "library/1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3", "latest", NULL,
			 "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3:latest");
}

static void the_first_component_is_a_registry_if_it_looks_like_one(void **state)
{
	(void)state;
	assert_reference("localhost/app", "localhost", "app", "latest", NULL, "localhost/app:latest");
	assert_reference("localhost:5000/app:x", "localhost:5000", "app", "x", NULL, "localhost:5000/app:x");
	assert_reference("test:5000/repo:tag", "test:5000", "repo", "tag", NULL, "test:5000/repo:tag");
	assert_reference("Foo/bar", "Foo", "bar", "latest", NULL, "Foo/bar:latest");
	assert_reference("192.168.1.1:5000/repo:5050", "192.168.1.1:5000", "repo", "5050", NULL,
			 "192.168.1.1:5000/repo:5050");
	assert_reference("xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com", "myimage", "xn--n3h.com", NULL,
			 "xn--n3h.com/myimage:xn--n3h.com");
	assert_reference("[2001:db8::1]/repo", "[2001:db8::1]", "repo", "latest", NULL, "[2001:db8::1]/repo:latest");
	assert_reference("[2001:db8::1]:5000/repo:tag", "[2001:db8::1]:5000", "repo", "tag", NULL,
			 "[2001:db8::1]:5000/repo:tag");
	assert_reference("b.gcr.io/test.example.com/my-app:test.example.com", "b.gcr.io", "test.example.com/my-app",
			 "test.example.com", NULL, "b.gcr.io/test.example.com/my-app:test.example.com");
}

static void familiar_names_mean_the_same_image(void **state)
{
	(void)state;
	assert_reference("docker.io/example.org/x", "docker.io", "example.org/x", "latest", NULL,
			 "docker.io/example.org/x:latest");
	assert_reference("docker.io/localhost/x", "docker.io", "localhost/x", "latest", NULL,
			 "docker.io/localhost/x:latest");
}

static void digests_stand_beside_or_instead_of_tags(void **state)
{
	(void)state;
	assert_reference("app@" DIGEST, "docker.io", "library/app", NULL, DIGEST, "app@" DIGEST);
	assert_reference("busybox:latest@" DIGEST, "docker.io", "library/busybox", "latest", DIGEST,
			 "busybox:latest@" DIGEST);
	assert_reference("test:5000/repo:tag@" DIGEST, "test:5000", "repo", "tag", DIGEST,
			 "test:5000/repo:tag@" DIGEST);
	assert_reference("docker.io/" HEX, "docker.io", "library/" HEX, "latest", NULL, HEX ":latest");
}

static void names_outside_the_grammar_are_refused(void **state)
{
	static const char *const texts[] = {
		"",
		":justtag",
		"@" DIGEST,
		"https://github.com/docker/docker",
		"-docker",
		"-docker/docker",
		"docker-/docker",
		"-docker.io/docker/docker",
		"docker///docker",
		"docker.io/docker///docker",
		"docker/",
		"/docker",
		"a//b",
		"dock..er/docker",
		"dock_.er/docker",
		"dock-.er/docker",
		"dock___er/docker",
		"____/____",
		"_docker/_docker",
		"aa/asdf$$^/aa",
		"app:",
		"app:-x",
		"app:.x",
		"app:x:y",
		"app@",
		"app@sha256:",
		"repo@sha256:ffffffffffffffffffffffffffffffffff",
		"repo@md5:ffffffffffffffffffffffffffffffffff",
		"[2001:db8::1]",
		"[2001:db8::1]:5000",
		"fc00::1:5000/debian",
		"[fe80::1%eth0]:5000/repo",
		"[2001:db8:3:4::192.0.2.33]:5000/debian",
		"user:pass@host/img",
		"host:port/img",
		"app name",
		"app\n",
		"../app",
		"caf\xc3\xa9",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_invalid(texts[i], "invalid reference");
}

static void errors_say_what_is_wrong(void **state)
{
	(void)state;
	assert_invalid("Uppercase:tag", "repository name (Uppercase) must be lowercase");
	assert_invalid("docker/Docker", "repository name (docker/Docker) must be lowercase");
	assert_invalid("test:5000/Uppercase/lowercase:tag", "repository name (Uppercase/lowercase) must be lowercase");
	assert_invalid(HEX, "64 hexadecimal digits");
	assert_invalid("app@sha512:" HEX HEX, "sha512");
	assert_invalid("\x1b[31mred", "\\x1b[31mred");
}

static void lengths_are_limited(void **state)
{
	char text[2000];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[244] = '\0'; /* "docker.io/" and 245 bytes more with "library/" would be 263 */
	assert_invalid(text, "longer than 255 bytes");
	text[237] = '\0';
	struct arena arena = { 0 };
	struct reference reference;
	assert_int_equal(reference_parse(&arena, text, &reference, NULL), 0);
	memset(text, 'a', sizeof(text));
	memcpy(text, "app:", 4);
	text[4 + 128] = '\0';
	assert_int_equal(reference_parse(&arena, text, &reference, NULL), 0);
	text[4 + 128] = 'a';
	text[4 + 129] = '\0';
	assert_invalid(text, "128");
	text[4 + 129] = 'a';
	text[1999] = '\0';
	assert_invalid(text, "longer than");
	arena_release(&arena);
}

static void familiar_names_have_no_tag(void **state)
{
	struct arena arena = { 0 };
	struct reference reference;

	(void)state;
	assert_int_equal(reference_parse(&arena, "localhost:5000/a/b:c", &reference, NULL), 0);
	assert_string_equal(reference_familiar_name(&arena, &reference), "localhost:5000/a/b");
	assert_int_equal(reference_parse(&arena, "app:c", &reference, NULL), 0);
	assert_string_equal(reference_familiar_name(&arena, &reference), "app");
	arena_release(&arena);
}

static void transports_are_told_from_names(void **state)
{
	struct arena arena = { 0 };
	struct image_source source;

	(void)state;
	assert_int_equal(image_source_parse(&arena, "oci:out/dir:v1", &source, NULL), 0);
	assert_int_equal(source.transport, TRANSPORT_OCI_DIR);
	assert_string_equal(source.path, "out/dir");
	assert_string_equal(source.selector, "v1");
	assert_int_equal(image_source_parse(&arena, "oci-archive:/x.tar", &source, NULL), 0);
	assert_int_equal(source.transport, TRANSPORT_OCI_ARCHIVE);
	assert_string_equal(source.path, "/x.tar");
	assert_null(source.selector);
	assert_int_equal(image_source_parse(&arena, "docker-archive:x.tar:app:v1", &source, NULL), 0);
	assert_int_equal(source.transport, TRANSPORT_DOCKER_ARCHIVE);
	assert_string_equal(source.selector, "app:v1");
	assert_int_equal(image_source_parse(&arena, "app:v1", &source, NULL), 0);
	assert_int_equal(source.transport, TRANSPORT_NAME);
	assert_string_equal(source.name.tag, "v1");
	assert_int_equal(image_source_parse(&arena, "oci:", &source, NULL), -1);
	assert_int_equal(image_source_parse(&arena, "oci-archive:x:", &source, NULL), -1);
	assert_int_equal(image_source_parse(&arena, "Bad:v1", &source, NULL), -1);
	arena_release(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_names_are_completed_as_docker_does),
		cmocka_unit_test(the_first_component_is_a_registry_if_it_looks_like_one),
		cmocka_unit_test(familiar_names_mean_the_same_image),
		cmocka_unit_test(digests_stand_beside_or_instead_of_tags),
		cmocka_unit_test(names_outside_the_grammar_are_refused),
		cmocka_unit_test(errors_say_what_is_wrong),
		cmocka_unit_test(lengths_are_limited),
		cmocka_unit_test(familiar_names_have_no_tag),
		cmocka_unit_test(transports_are_told_from_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
