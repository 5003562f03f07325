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
#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" A "\"]}"

/* Every member that kiln knows, in the one order; the digest of an image depends on these bytes. */
static const char golden[] =
	"{\"architecture\":\"arm\",\"author\":\"me "
	"<me@example.org>\",\"config\":{\"User\":\"1000:1000\",\"ExposedPorts\":{"
	"\"53/udp\":{},\"80/tcp\":{}},\"Env\":[\"PATH=/bin\",\"A=b=c\"],\"Entrypoint\":[\"/"
	"init\"],\"Cmd\":[\"-x\",\"<&>\"],"
	"\"Volumes\":{\"/data\":{}},\"WorkingDir\":\"/srv\",\"Labels\":{\"a\":\"1\",\"b\":\"\xc3\xa9\"},\"StopSignal\":"
	"\"SIGINT\",\"ArgsEscaped\":true,\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"true\"],\"Interval\":30000000000,"
	"\"Timeout\":1000000000,\"StartPeriod\":2,\"StartInterval\":3,\"Retries\":4},\"OnBuild\":[\"RUN "
	"x\"],\"Shell\":["
	"\"/bin/sh\",\"-c\"]},\"created\":\"2026-01-02T03:04:05Z\",\"history\":[{\"created\":\"2026-01-02T03:04:05Z\","
	"\"created_by\":\"COPY a /\",\"author\":\"me\",\"comment\":\"kiln\"},{\"created_by\":\"CMD "
	"x\",\"empty_layer\":true}],"
	"\"os\":\"linux\",\"os.features\":[\"f\"],\"os.version\":\"1\"," ROOTFS ",\"variant\":\"v7\"}";

static struct image_config *read_text(struct arena *arena, const char *text)
{
	struct image_config *config = arena_new(arena, struct image_config);
	struct err err = { 0 };

	if (image_config_read(arena, text, strlen(text), config, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	return config;
}

static char *write_text(struct arena *arena, const struct image_config *config)
{
	struct strbuf buf = { 0 };

	image_config_write(arena, &buf, config);
	char *text = arena_strdup(arena, strbuf_str(&buf));
	strbuf_release(&buf);
	return text;
}

static void assert_refused(const char *text, const char *why)
{
	struct arena arena = { 0 };
	struct image_config config;
	struct err err = { 0 };

	if (image_config_read(&arena, text, strlen(text), &config, NULL, &err) == 0)
		fail_msg("accepted: %s", text);
	assert_int_equal(err.kind, ERR_INPUT);
	if (!strstr(err.msg, why))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
	arena_release(&arena);
}

static void the_bytes_of_a_whole_configuration_are_fixed(void **state)
{
	struct arena arena = { 0 };

	(void)state;
	struct image_config *config = read_text(&arena, golden);
	assert_string_equal(write_text(&arena, config), golden);
	assert_string_equal(write_text(&arena, image_config_clone(&arena, config)), golden);
	assert_string_equal(config->platform.variant, "v7");
	assert_string_equal(config->user, "1000:1000");
	assert_int_equal(config->healthcheck->interval_ns, 30000000000);
	assert_int_equal(config->history_count, 2);
	assert_true(config->history[1].empty_layer);
	assert_null(config->raw);
	assert_null(config->config_raw);
	arena_release(&arena);
}

static void scratch_has_a_path_and_a_directory(void **state)
{
	struct arena arena = { 0 };
	struct platform platform = { .os = "linux", .architecture = "amd64" };

	(void)state;
	struct image_config *config = image_config_scratch(&arena, &platform);
	assert_string_equal(
		write_text(&arena, config),
		"{\"architecture\":\"amd64\",\"config\":{\"Env\":[\"PATH=" IMAGE_DEFAULT_PATH
		"\"],\"WorkingDir\":\"/\"},\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}");
	arena_release(&arena);
}

static void members_that_kiln_does_not_know_are_kept_in_their_place(void **state)
{
	struct arena arena = { 0 };
	static const char text[] =
		"{\"os\":\"linux\",\"id\":\"x\",\"architecture\":\"amd64\",\"config\":{\"Zone\":{\"b\":1,\"a\":[1.5]},"
		"\"User\":\"u\",\"Hostname\":\"h\"}," ROOTFS ",\"docker_version\":\"1\","
		"\"moby.buildkit.cache.v0\":\"AA==\",\"moby.buildkit.buildinfo.v1\":\"BB==\"}";

	(void)state;
	assert_string_equal(
		write_text(&arena, read_text(&arena, text)),
		"{\"architecture\":\"amd64\",\"config\":{\"User\":\"u\",\"Zone\":{\"b\":1,\"a\":[1.5]},\"Hostname\":"
		"\"h\"},\"docker_version\":\"1\",\"id\":\"x\",\"os\":\"linux\"," ROOTFS "}");
	arena_release(&arena);
}

static void maps_are_sorted_and_empty_ones_left_out(void **state)
{
	struct arena arena = { 0 };

	(void)state;
	struct image_config *config = read_text(
		&arena, "{\"config\":{\"Labels\":{\"b\":\"2\",\"a\":\"1\",\"B\":\"0\"},\"Volumes\":{},"
			"\"ExposedPorts\":null,\"Env\":null,\"Cmd\":[],\"User\":\"\"}," ROOTFS "}");
	assert_string_equal(write_text(&arena, config),
			    "{\"config\":{\"Labels\":{\"B\":\"0\",\"a\":\"1\",\"b\":\"2\"}}," ROOTFS "}");
	assert_null(config->env);
	assert_non_null(config->cmd);
	assert_int_equal(config->cmd_count, 0);
	arena_release(&arena);
}

static void entries_of_the_environment_without_a_name_are_dropped(void **state)
{
	struct arena arena = { 0 };
	struct image_config config;
	size_t dropped = 0;
	static const char text[] = "{\"config\":{\"Env\":[\"A=1\",\"NOVALUE\",\"=x\",\"B=\",\"\"]}," ROOTFS "}";

	(void)state;
	assert_int_equal(image_config_read(&arena, text, strlen(text), &config, &dropped, NULL), 0);
	assert_int_equal(dropped, 3);
	assert_int_equal(config.env_count, 2);
	assert_string_equal(config.env[0], "A=1");
	assert_string_equal(config.env[1], "B=");
	arena_release(&arena);
}

static void history_that_claims_too_many_layers_is_repaired_from_the_bottom(void **state)
{
	struct arena arena = { 0 };

	(void)state;
	struct image_config *config = read_text(
		&arena, "{\"history\":[{\"created_by\":\"1\"},{\"created_by\":\"2\",\"empty_layer\":true},"
			"{\"created_by\":\"3\"},{\"created_by\":\"4\"}]," ROOTFS "}");
	assert_true(config->history[0].empty_layer);
	assert_true(config->history[1].empty_layer);
	assert_true(config->history[2].empty_layer);
	assert_false(config->history[3].empty_layer);
	config = read_text(&arena, "{" ROOTFS "}");
	assert_int_equal(config->history_count, 0);
	assert_int_equal(config->diff_id_count, 1);
	arena_release(&arena);
}

static void wrong_types_are_refused_by_name(void **state)
{
	(void)state;
	assert_refused("{}", "rootfs");
	assert_refused("[]", "object");
	assert_refused("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" A "\"]},\"config\":[]}", "config");
	assert_refused("{\"config\":{\"Cmd\":\"sh\"}," ROOTFS "}", "Cmd");
	assert_refused("{\"config\":{\"Env\":[1]}," ROOTFS "}", "Env");
	assert_refused("{\"config\":{\"Labels\":{\"a\":1}}," ROOTFS "}", "Labels");
	assert_refused("{\"config\":{\"Volumes\":[\"/x\"]}," ROOTFS "}", "Volumes");
	assert_refused("{\"config\":{\"Volumes\":{\"/x\":1}}," ROOTFS "}", "Volumes");
	assert_refused("{\"config\":{\"Healthcheck\":{\"Interval\":\"30s\"}}," ROOTFS "}", "Healthcheck");
	assert_refused("{\"created\":\"yesterday\"," ROOTFS "}", "created");
	assert_refused("{\"history\":[{\"created\":\"x\"}]," ROOTFS "}", "history");
	assert_refused("{\"os.features\":1," ROOTFS "}", "os.features");
	assert_refused("{\"rootfs\":{\"type\":\"tree\",\"diff_ids\":[]}}", "layers");
	assert_refused("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:x\"]}}", "diff_ids");
	assert_refused("{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" A "\"],\"diff_ids\":[\"" B "\"]}}", "");
	assert_refused("{\"config\":{\"User\":\"a\\u0000b\"}," ROOTFS "}", "");
}

static void a_clone_can_be_changed_alone(void **state)
{
	struct arena arena = { 0 };

	(void)state;
	struct image_config *config = read_text(&arena, golden);
	struct image_config *copy = image_config_clone(&arena, config);
	struct history entry = { .created_by = "RUN y" };
	for (int i = 0; i < 20; i++)
		image_history_add(&arena, copy, &entry);
	image_env_set(&arena, copy, "PATH", "/usr/bin");
	image_env_set(&arena, copy, "NEW", "1");
	json_set(&arena, copy->labels, "a", json_str(&arena, "changed"));
	*ARENA_PUSH(&arena, copy->on_build, copy->on_build_count) = "RUN z";
	assert_string_equal(write_text(&arena, config), golden);
	assert_int_equal(copy->history_count, 22);
	assert_string_equal(image_env_get(copy, "PATH"), "/usr/bin");
	arena_release(&arena);
}

static void the_environment_is_replaced_in_place_or_appended(void **state)
{
	struct arena arena = { 0 };
	struct image_config config = { 0 };

	(void)state;
	assert_null(image_env_get(&config, "A"));
	image_env_set(&arena, &config, "A", "1");
	image_env_set(&arena, &config, "AB", "2");
	image_env_set(&arena, &config, "A", "");
	assert_int_equal(config.env_count, 2);
	assert_string_equal(config.env[0], "A=");
	assert_string_equal(image_env_get(&config, "A"), "");
	assert_string_equal(image_env_get(&config, "AB"), "2");
	assert_null(image_env_get(&config, "B"));
	arena_release(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bytes_of_a_whole_configuration_are_fixed),
		cmocka_unit_test(scratch_has_a_path_and_a_directory),
		cmocka_unit_test(members_that_kiln_does_not_know_are_kept_in_their_place),
		cmocka_unit_test(maps_are_sorted_and_empty_ones_left_out),
		cmocka_unit_test(entries_of_the_environment_without_a_name_are_dropped),
		cmocka_unit_test(history_that_claims_too_many_layers_is_repaired_from_the_bottom),
		cmocka_unit_test(wrong_types_are_refused_by_name),
		cmocka_unit_test(a_clone_can_be_changed_alone),
		cmocka_unit_test(the_environment_is_replaced_in_place_or_appended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
