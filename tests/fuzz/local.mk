# With --enable-fuzzing each target is a libFuzzer program (scripts/fuzz NAME SECONDS); otherwise it replays files.

fuzz_targets = \
	tests/fuzz/fuzz-apply \
	tests/fuzz/fuzz-chmod \
	tests/fuzz/fuzz-config \
	tests/fuzz/fuzz-dockerfile \
	tests/fuzz/fuzz-expand \
	tests/fuzz/fuzz-ignore \
	tests/fuzz/fuzz-index \
	tests/fuzz/fuzz-inflate \
	tests/fuzz/fuzz-json \
	tests/fuzz/fuzz-manifest \
	tests/fuzz/fuzz-mount \
	tests/fuzz/fuzz-passwd \
	tests/fuzz/fuzz-profile \
	tests/fuzz/fuzz-recipe \
	tests/fuzz/fuzz-options \
	tests/fuzz/fuzz-reference \
	tests/fuzz/fuzz-remote \
	tests/fuzz/fuzz-subid \
	tests/fuzz/fuzz-tar
check_PROGRAMS += $(fuzz_targets)
TESTS += $(fuzz_targets)
EXTRA_DIST += tests/fuzz/corpus

if FUZZING
fuzz_main =
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_main = tests/fuzz/replay.c
fuzz_ldflags = $(AM_LDFLAGS)
endif

tests_fuzz_fuzz_apply_SOURCES = tests/fuzz/fuzz-apply.c $(fuzz_main)
tests_fuzz_fuzz_apply_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_apply_LDADD = $(layer_libs)
tests_fuzz_fuzz_chmod_SOURCES = tests/fuzz/fuzz-chmod.c $(fuzz_main)
tests_fuzz_fuzz_chmod_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_chmod_LDADD = $(context_libs)
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz-config.c $(fuzz_main)
tests_fuzz_fuzz_config_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_config_LDADD = $(oci_libs)
tests_fuzz_fuzz_dockerfile_SOURCES = tests/fuzz/fuzz-dockerfile.c $(fuzz_main)
tests_fuzz_fuzz_dockerfile_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_dockerfile_LDADD = $(dockerfile_libs)
tests_fuzz_fuzz_expand_SOURCES = tests/fuzz/fuzz-expand.c $(fuzz_main)
tests_fuzz_fuzz_expand_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_expand_LDADD = $(dockerfile_libs)
tests_fuzz_fuzz_ignore_SOURCES = tests/fuzz/fuzz-ignore.c $(fuzz_main)
tests_fuzz_fuzz_ignore_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_ignore_LDADD = $(dockerfile_libs)
tests_fuzz_fuzz_index_SOURCES = tests/fuzz/fuzz-index.c $(fuzz_main)
tests_fuzz_fuzz_index_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_index_LDADD = $(oci_libs)
tests_fuzz_fuzz_inflate_SOURCES = tests/fuzz/fuzz-inflate.c $(fuzz_main)
tests_fuzz_fuzz_inflate_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_inflate_LDADD = $(codec_libs)
tests_fuzz_fuzz_json_SOURCES = tests/fuzz/fuzz-json.c $(fuzz_main)
tests_fuzz_fuzz_json_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_json_LDADD = $(codec_libs)
tests_fuzz_fuzz_manifest_SOURCES = tests/fuzz/fuzz-manifest.c $(fuzz_main)
tests_fuzz_fuzz_manifest_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_manifest_LDADD = $(oci_libs)
tests_fuzz_fuzz_mount_SOURCES = tests/fuzz/fuzz-mount.c $(fuzz_main)
tests_fuzz_fuzz_mount_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_mount_LDADD = $(dockerfile_libs)
tests_fuzz_fuzz_passwd_SOURCES = tests/fuzz/fuzz-passwd.c $(fuzz_main)
tests_fuzz_fuzz_passwd_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_passwd_LDADD = $(sandbox_libs)
tests_fuzz_fuzz_profile_SOURCES = tests/fuzz/fuzz-profile.c $(fuzz_main)
tests_fuzz_fuzz_profile_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_profile_LDADD = $(sandbox_libs)
tests_fuzz_fuzz_recipe_SOURCES = tests/fuzz/fuzz-recipe.c $(fuzz_main)
tests_fuzz_fuzz_recipe_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_recipe_LDADD = $(layer_libs)
tests_fuzz_fuzz_options_SOURCES = tests/fuzz/fuzz-options.c $(fuzz_main)
tests_fuzz_fuzz_options_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_options_LDADD = $(oci_libs)
tests_fuzz_fuzz_reference_SOURCES = tests/fuzz/fuzz-reference.c $(fuzz_main)
tests_fuzz_fuzz_reference_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_reference_LDADD = $(oci_libs)
tests_fuzz_fuzz_remote_SOURCES = tests/fuzz/fuzz-remote.c $(fuzz_main)
tests_fuzz_fuzz_remote_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_remote_LDADD = $(context_libs)
tests_fuzz_fuzz_subid_SOURCES = tests/fuzz/fuzz-subid.c $(fuzz_main)
tests_fuzz_fuzz_subid_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_subid_LDADD = $(sandbox_libs)
tests_fuzz_fuzz_tar_SOURCES = tests/fuzz/fuzz-tar.c $(fuzz_main)
tests_fuzz_fuzz_tar_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_tar_LDADD = $(codec_libs)
