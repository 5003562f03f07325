# With --enable-fuzzing each target is a libFuzzer program (scripts/fuzz NAME SECONDS); otherwise it replays files.

fuzz_targets = \
	tests/fuzz/fuzz-config \
	tests/fuzz/fuzz-index \
	tests/fuzz/fuzz-manifest \
	tests/fuzz/fuzz-reference
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

tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz-config.c $(fuzz_main)
tests_fuzz_fuzz_config_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_config_LDADD = $(oci_libs)
tests_fuzz_fuzz_index_SOURCES = tests/fuzz/fuzz-index.c $(fuzz_main)
tests_fuzz_fuzz_index_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_index_LDADD = $(oci_libs)
tests_fuzz_fuzz_manifest_SOURCES = tests/fuzz/fuzz-manifest.c $(fuzz_main)
tests_fuzz_fuzz_manifest_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_manifest_LDADD = $(oci_libs)
tests_fuzz_fuzz_reference_SOURCES = tests/fuzz/fuzz-reference.c $(fuzz_main)
tests_fuzz_fuzz_reference_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_reference_LDADD = $(oci_libs)
