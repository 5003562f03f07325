/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kiln/base/scope.h"
#include "kiln/dockerfile/mount.h"

/* RUN --mount and RUN --device: what the options mean, and the words of errors (dockerfile.md, RUN --mount). */

/* The only variables are V, "cache", and N, "7". */
static const char *lookup(void *arg, const char *name, size_t len)
{
	(void)arg;
	if (len == 1 && *name == 'V')
		return "cache";
	return len == 1 && *name == 'N' ? "7" : NULL;
}

static const struct expander expander = { .escape = '\\', .lookup = lookup };

static struct run_mount parsed(struct arena *arena, const char *text)
{
	struct run_mount mount;
	struct err err = { 0 };

	if (run_mount_parse(arena, &expander, text, &mount, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	return mount;
}

static void assert_refused(const char *text, const char *expected)
{
	scope_arena struct arena arena = { 0 };
	struct run_mount mount = { .target = "untouched" };
	struct err err = { 0 };

	if (run_mount_parse(&arena, &expander, text, &mount, &err) == 0)
		fail_msg("%s was taken", text);
	if (strcmp(err.msg, expected) != 0)
		fail_msg("%s: \"%s\" instead of \"%s\"", text, err.msg, expected);
	assert_int_equal(err.kind, ERR_INPUT);
	assert_string_equal(mount.target, "untouched");
	assert_int_equal(run_mount_parse(&arena, &expander, text, &mount, NULL), -1);
}

/* ---- types and defaults ---- */

static void every_type_has_its_name_and_its_access(void **state)
{
	static const struct {
		const char *text, *name;
		enum run_mount_type type;
		bool is_read_only;
	} table[] = {
		{ "target=/t", "bind", RUN_MOUNT_BIND, true },
		{ "type=bind,target=/t", "bind", RUN_MOUNT_BIND, true },
		{ "type=cache,target=/t", "cache", RUN_MOUNT_CACHE, false },
		{ "type=tmpfs,target=/t", "tmpfs", RUN_MOUNT_TMPFS, false },
		{ "type=secret,target=/t", "secret", RUN_MOUNT_SECRET, true },
		{ "type=ssh,target=/t", "ssh", RUN_MOUNT_SSH, true },
		{ "type=ssh", "ssh", RUN_MOUNT_SSH, true },
		{ "TYPE=Cache,target=/t", "cache", RUN_MOUNT_CACHE, false },
		{ "target=/t,type=tmpfs", "tmpfs", RUN_MOUNT_TMPFS, false },
		{ "type=$V,target=/t", "cache", RUN_MOUNT_CACHE, false },
		{ "type=ssh,type=cache", "cache", RUN_MOUNT_CACHE, false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_arena struct arena arena = { 0 };
		struct run_mount mount = parsed(&arena, table[i].text);
		if (mount.type != table[i].type || mount.is_read_only != table[i].is_read_only)
			fail_msg("%s: type %d, read-only %d", table[i].text, mount.type, mount.is_read_only);
		assert_string_equal(run_mount_type_name(mount.type), table[i].name);
	}
}

static void what_is_not_given_has_its_default(void **state)
{
	static const char *const texts[] = { "type=bind", "type=cache", "type=tmpfs", "type=secret,id=x", "type=ssh" };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		scope_arena struct arena arena = { 0 };
		struct run_mount mount = parsed(&arena, texts[i]);
		assert_string_equal(mount.from, "");
		assert_string_equal(mount.source, "");
		assert_string_equal(mount.target, "");
		assert_string_equal(mount.id, i == 3 ? "x" : "");
		assert_null(mount.env);
		assert_false(mount.is_required);
		assert_int_equal(mount.sharing, RUN_MOUNT_SHARED);
		assert_int_equal(mount.size_bytes, 0);
		assert_false(mount.has_mode || mount.has_uid || mount.has_gid);
	}
}

/* ---- options ---- */

static void names_and_paths_are_taken_as_they_are(void **state)
{
	static const struct {
		const char *text, *from, *source, *target, *id;
	} table[] = {
		{ "from=base,source=/a,target=/b", "base", "/a", "/b", "" },
		{ "from=0,src=../a,dst=b", "0", "../a", "b", "" },
		{ "destination=/b/", "", "", "/b/", "" },
		{ "SOURCE=a,Dst=b,FROM=C", "C", "a", "b", "" },
		{ "target=/a,dst=/b,destination=/c", "", "", "/c", "" },
		{ "target=/", "", "", "/", "" },
		{ "source=,target=", "", "", "", "" },
		{ "target=/a=b", "", "", "/a=b", "" },
		{ "type=cache,id=$V/x,target=/$N", "", "", "/7", "cache/x" },
		{ "type=cache,id=${NOT:-none},target=/t", "", "", "/t", "none" },
		{ "\"target=/a,b\",source=c", "", "c", "/a,b", "" },
		{ "from=a$,target=/t", "a$", "", "/t", "" },
		{ "type=secret,src=key", "", "key", "", "" },
		{ "type=ssh,id=github,target=/agent", "", "", "/agent", "github" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_arena struct arena arena = { 0 };
		struct run_mount mount = parsed(&arena, table[i].text);
		assert_string_equal(mount.from, table[i].from);
		assert_string_equal(mount.source, table[i].source);
		assert_string_equal(mount.target, table[i].target);
		assert_string_equal(mount.id, table[i].id);
	}
}

static void the_last_word_about_access_counts(void **state)
{
	static const struct {
		const char *text;
		bool is_read_only;
	} table[] = {
		{ "ro", true },
		{ "readonly", true },
		{ "rw", false },
		{ "readwrite", false },
		{ "ro=true", true },
		{ "ro=false", false },
		{ "rw=1", false },
		{ "rw=0", true },
		{ "readonly=F", false },
		{ "readwrite=f", true },
		{ "rw,ro", true },
		{ "ro,rw", false },
		{ "ro,RW=True", false },
		{ "type=cache,ro", true },
		{ "type=cache,rw", false },
		{ "type=tmpfs,readonly", true },
		{ "type=secret,id=x,rw", false },
		{ "type=ssh,rw", false },
		{ "ro,type=cache", true },
		{ "rw,type=bind", false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_arena struct arena arena = { 0 };
		if (parsed(&arena, table[i].text).is_read_only != table[i].is_read_only)
			fail_msg("%s: not %d", table[i].text, table[i].is_read_only);
	}
}

static void a_cache_is_shared_private_or_locked(void **state)
{
	static const struct {
		const char *text;
		enum run_mount_sharing sharing;
	} table[] = {
		{ "type=cache,sharing=shared", RUN_MOUNT_SHARED },
		{ "type=cache,sharing=private", RUN_MOUNT_PRIVATE },
		{ "type=cache,sharing=locked", RUN_MOUNT_LOCKED },
		{ "type=cache,Sharing=LOCKED", RUN_MOUNT_LOCKED },
		{ "sharing=private,type=cache", RUN_MOUNT_PRIVATE },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_arena struct arena arena = { 0 };
		assert_int_equal(parsed(&arena, table[i].text).sharing, table[i].sharing);
	}
}

static void mode_is_octal_and_ids_are_decimal(void **state)
{
	static const struct {
		const char *text;
		bool has_mode, has_uid, has_gid;
		uint32_t mode, uid, gid;
	} table[] = {
		{ "type=cache,mode=0755", true, false, false, 0755, 0, 0 },
		{ "type=cache,mode=755,uid=1000,gid=010", true, true, true, 0755, 1000, 10 },
		{ "type=secret,id=x,mode=0400,uid=0,gid=0", true, true, true, 0400, 0, 0 },
		{ "type=ssh,mode=0,uid=4294967295", true, true, false, 0, UINT32_MAX, 0 },
		{ "type=cache,mode=01777,gid=$N", true, false, true, 01777, 0, 7 },
		{ "mode=1,type=cache", true, false, false, 1, 0, 0 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_arena struct arena arena = { 0 };
		struct run_mount mount = parsed(&arena, table[i].text);
		assert_int_equal(mount.has_mode, table[i].has_mode);
		assert_int_equal(mount.has_uid, table[i].has_uid);
		assert_int_equal(mount.has_gid, table[i].has_gid);
		assert_int_equal(mount.mode, table[i].mode);
		assert_int_equal(mount.uid, table[i].uid);
		assert_int_equal(mount.gid, table[i].gid);
	}
}

static void a_tmpfs_has_a_size(void **state)
{
	static const struct {
		const char *text;
		int64_t size;
	} table[] = {
		{ "type=tmpfs,size=512", 512 },        { "type=tmpfs,size=128m", 128 << 20 },
		{ "type=tmpfs,size=64KiB", 64 << 10 }, { "type=tmpfs,size=1.5g", (int64_t)3 << 29 },
		{ "type=tmpfs,size=${N}k", 7 << 10 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_arena struct arena arena = { 0 };
		assert_int_equal(parsed(&arena, table[i].text).size_bytes, table[i].size);
	}
}

static void a_secret_or_an_agent_may_be_required(void **state)
{
	static const struct {
		const char *text;
		bool is_required;
	} table[] = {
		{ "type=secret,id=x,required", true },
		{ "type=secret,id=x,required=true", true },
		{ "type=secret,id=x,required=False", false },
		{ "type=ssh,required=1", true },
		{ "type=ssh,required", true },
		{ "type=ssh,required,required=0", false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_arena struct arena arena = { 0 };
		assert_int_equal(parsed(&arena, table[i].text).is_required, table[i].is_required);
	}
}

static void a_secret_may_be_a_variable(void **state)
{
	(void)state;
	scope_arena struct arena arena = { 0 };

	assert_string_equal(parsed(&arena, "type=secret,id=x,env=KEY").env, "KEY");
	assert_string_equal(parsed(&arena, "type=secret,id=x,env=").env, "");
	assert_null(parsed(&arena, "type=secret,id=x").env);
}

/* ---- errors ---- */

static void a_field_must_be_a_known_key_with_a_value(void **state)
{
	static const char *const table[][2] = {
		{ "foo", "invalid field 'foo' must be a key=value pair" },
		{ "target=/t,foo", "invalid field 'foo' must be a key=value pair" },
		{ "Target", "invalid field 'Target' must be a key=value pair" },
		{ "type", "invalid field 'type' must be a key=value pair" },
		{ "type=secret,env", "invalid field 'env' must be a key=value pair" },
		{ "type=tmpfs,size", "invalid field 'size' must be a key=value pair" },
		{ "target=/t,", "invalid field '' must be a key=value pair" },
		{ "tpye=bind", "unexpected key 'tpye' in 'tpye=bind' (did you mean type?)" },
		{ "TPYE=Bind", "unexpected key 'tpye' in 'TPYE=Bind' (did you mean type?)" },
		{ "type=bind,targt=/t", "unexpected key 'targt' in 'targt=/t' (did you mean target?)" },
		{ "nothinglikeit=1", "unexpected key 'nothinglikeit' in 'nothinglikeit=1'" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		assert_refused(table[i][0], table[i][1]);
}

static void a_value_must_be_one_of_its_kind(void **state)
{
	static const char *const table[][2] = {
		{ "type=tmp", "unsupported mount type \"tmp\" (did you mean tmpfs?)" },
		{ "type=volumes", "unsupported mount type \"volumes\"" },
		{ "type=cache,sharing=lockd", "unsupported sharing value \"lockd\" (did you mean locked?)" },
		{ "type=cache,sharing=nobody", "unsupported sharing value \"nobody\"" },
		{ "type=secret,id=x,required=x", "invalid value for required: x" },
		{ "type=ssh,required=", "invalid value for required: " },
		{ "ro=yes", "invalid value for ro: yes" },
		{ "readonly=", "invalid value for readonly: " },
		{ "rw=no", "invalid value for rw: no" },
		{ "readwrite=2", "invalid value for readwrite: 2" },
		{ "type=cache,mode=x", "invalid value x for mode" },
		{ "type=cache,mode=89", "invalid value 89 for mode" },
		{ "type=cache,mode=40000000000", "invalid value 40000000000 for mode" },
		{ "type=cache,uid=bob", "invalid value bob for uid" },
		{ "type=cache,gid=-1", "invalid value -1 for gid" },
		{ "type=cache,uid=4294967296", "invalid value 4294967296 for uid" },
		{ "type=cache,gid=", "invalid value  for gid" },
		{ "type=tmpfs,size=big", "invalid value for size: big" },
		{ "type=tmpfs,size=-1", "invalid value for size: -1" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		assert_refused(table[i][0], table[i][1]);
}

/* Trap 40: the type counts that is known when the option comes. */
static void an_option_of_another_type_is_refused(void **state)
{
	static const char *const table[][2] = {
		{ "size=1", "unexpected key 'size' for mount type 'bind'" },
		{ "size=1,type=tmpfs", "unexpected key 'size' for mount type 'bind'" },
		{ "type=cache,size=1", "unexpected key 'size' for mount type 'cache'" },
		{ "required", "unexpected key 'required' for mount type 'bind'" },
		{ "required=true,type=secret", "unexpected key 'required' for mount type 'bind'" },
		{ "type=cache,required", "unexpected key 'required' for mount type 'cache'" },
		{ "type=tmpfs,required", "unexpected key 'required' for mount type 'tmpfs'" },
		{ "sharing=locked", "invalid cache sharing set for bind mount" },
		{ "sharing=shared", "invalid cache sharing set for bind mount" },
		{ "type=tmpfs,sharing=private", "invalid cache sharing set for tmpfs mount" },
		{ "type=ssh,sharing=private", "invalid cache sharing set for ssh mount" },
		{ "mode=0755", "mode not allowed for \"bind\" type mounts" },
		{ "type=tmpfs,mode=0755", "mode not allowed for \"tmpfs\" type mounts" },
		{ "type=tmpfs,uid=1", "uid not allowed for \"tmpfs\" type mounts" },
		{ "type=bind,gid=1", "gid not allowed for \"bind\" type mounts" },
		{ "type=ssh,source=/x", "ssh does not support source" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		assert_refused(table[i][0], table[i][1]);
}

static void a_secret_has_one_name_and_no_stage(void **state)
{
	static const char *const table[][2] = {
		{ "type=secret", "invalid secret mount. one of source, target required" },
		{ "type=secret,env=KEY", "invalid secret mount. one of source, target required" },
		{ "type=secret,id=a,from=base", "secret mount should not have a from" },
		{ "type=secret,id=a,sharing=locked", "secret mount should not define sharing" },
		{ "type=secret,id=a,source=b", "both source and id can't be set" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		assert_refused(table[i][0], table[i][1]);
}

static void a_variable_that_is_required_is_an_error_of_its_word(void **state)
{
	(void)state;
	assert_refused("target=${X:?gone}", "failed to process \"${X:?gone}\": X: gone");
}

static void text_that_is_no_csv_is_refused_at_once(void **state)
{
	static const char *const texts[] = { "", "\"target=/t", "\"a\"b", "type=cache,target=\"/a\"" };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		scope_arena struct arena arena = { 0 };
		struct run_mount mount;
		struct err early = { 0 }, late = { 0 };
		assert_int_equal(run_mount_check(&arena, texts[i], &early), -1);
		assert_int_equal(run_mount_parse(&arena, &expander, texts[i], &mount, &late), -1);
		assert_string_equal(early.msg, late.msg);
		assert_int_equal(early.kind, ERR_INPUT);
		assert_int_equal(late.kind, ERR_INPUT);
		if (strncmp(early.msg, "failed to parse csv mounts: ", 28) != 0)
			fail_msg("%s: %s", texts[i], early.msg);
	}
}

/* ---- what is known when the Dockerfile is parsed ---- */

static void only_a_variable_in_from_is_refused_early(void **state)
{
	static const char *const good[] = {
		"from=base,target=$X", "foo", "type=nothing", "type=tmpfs,mode=x", "from=a$", "source=$A",
	};
	static const char *const bad[] = { "from=$X", "From=${X}", "target=/t,from=a$b", "from=a,from=$b" };
	static const char message[] = "'from' doesn't support variable expansion, define alias stage instead";
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		scope_arena struct arena arena = { 0 };
		struct err err = { 0 };
		if (run_mount_check(&arena, good[i], &err) < 0)
			fail_msg("%s: %s", good[i], err.msg);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		scope_arena struct arena arena = { 0 };
		struct err err = { 0 };
		assert_int_equal(run_mount_check(&arena, bad[i], &err), -1);
		assert_string_equal(err.msg, message);
		assert_int_equal(err.kind, ERR_INPUT);
	}
}

static void the_stage_is_known_early(void **state)
{
	static const char *const table[][2] = {
		{ "target=/t", "" },
		{ "from=base", "base" },
		{ "FROM=Base,target=/t", "Base" },
		{ "from=a,from=b", "b" },
		{ "from", "" },
		{ "\"from=a,b\"", "a,b" },
		{ "foo,from=x,type=bad", "x" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_arena struct arena arena = { 0 };
		assert_string_equal(run_mount_from(&arena, table[i][0]), table[i][1]);
	}
}

/* ---- devices ---- */

static void a_device_has_a_name_and_may_be_required(void **state)
{
	static const struct {
		const char *text, *name;
		bool is_required;
	} table[] = {
		{ "vendor.com/class=dev", "vendor.com/class=dev", false },
		{ "vendor.com/class=dev,required", "vendor.com/class=dev", true },
		{ "name=vendor.com/class=dev", "vendor.com/class=dev", false },
		{ "name=vendor.com/class=dev,required=true", "vendor.com/class=dev", true },
		{ "name=vendor.com/class=dev,required=false", "vendor.com/class=dev", false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_arena struct arena arena = { 0 };
		struct run_device device;
		struct err err = { 0 };
		if (run_device_parse(&arena, table[i].text, &device, &err) < 0)
			fail_msg("%s: %s", table[i].text, err.msg);
		assert_string_equal(device.name, table[i].name);
		assert_int_equal(device.is_required, table[i].is_required);
	}
}

static void a_device_that_makes_no_sense_is_refused(void **state)
{
	static const char *const table[][2] = {
		{ "name=v.com/c=x,name=v.com/c=y", "device name already set to v.com/c=x" },
		{ "name=v.com/c=x,foo=bar", "unexpected key 'foo' in 'foo=bar'" },
		{ "name=v.com/c=x,required=x", "invalid value for required: x" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		scope_arena struct arena arena = { 0 };
		struct run_device device;
		struct err err = { 0 };
		assert_int_equal(run_device_parse(&arena, table[i][0], &device, &err), -1);
		assert_string_equal(err.msg, table[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_has_its_name_and_its_access),
		cmocka_unit_test(what_is_not_given_has_its_default),
		cmocka_unit_test(names_and_paths_are_taken_as_they_are),
		cmocka_unit_test(the_last_word_about_access_counts),
		cmocka_unit_test(a_cache_is_shared_private_or_locked),
		cmocka_unit_test(mode_is_octal_and_ids_are_decimal),
		cmocka_unit_test(a_tmpfs_has_a_size),
		cmocka_unit_test(a_secret_or_an_agent_may_be_required),
		cmocka_unit_test(a_secret_may_be_a_variable),
		cmocka_unit_test(a_field_must_be_a_known_key_with_a_value),
		cmocka_unit_test(a_value_must_be_one_of_its_kind),
		cmocka_unit_test(an_option_of_another_type_is_refused),
		cmocka_unit_test(a_secret_has_one_name_and_no_stage),
		cmocka_unit_test(a_variable_that_is_required_is_an_error_of_its_word),
		cmocka_unit_test(text_that_is_no_csv_is_refused_at_once),
		cmocka_unit_test(only_a_variable_in_from_is_refused_early),
		cmocka_unit_test(the_stage_is_known_early),
		cmocka_unit_test(a_device_has_a_name_and_may_be_required),
		cmocka_unit_test(a_device_that_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
