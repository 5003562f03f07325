# Every kind of check speaks TAP to automake's driver, so that `make check` counts each of them:
#   scripts/check-*.sh      the rules that a machine can check
#   tests/unit/test-*       cmocka programs
#   tests/fuzz/fuzz-*       the fuzz targets over their corpora
#   tests/integration/*.bats    the program, as an ordinary user

TEST_EXTENSIONS = .sh .bats
tap_driver = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(tap_driver)
LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/lib/run-program
SH_LOG_DRIVER = $(tap_driver)
BATS_LOG_DRIVER = $(tap_driver)
BATS_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/lib/run-bats

AM_TESTS_ENVIRONMENT = \
	srcdir='$(abs_top_srcdir)'; builddir='$(abs_top_builddir)'; CC='$(CC)'; \
	KILN='$(abs_top_builddir)/kiln'; KILN_SECCOMP_DIR='$(abs_top_srcdir)/seccomp'; \
	CMOCKA_MESSAGE_OUTPUT=TAP; \
	export srcdir builddir CC KILN KILN_SECCOMP_DIR CMOCKA_MESSAGE_OUTPUT;

check_scripts = \
	scripts/check-banned.sh \
	scripts/check-coverage.sh \
	scripts/check-format.sh \
	scripts/check-headers.sh \
	scripts/check-layers.sh \
	scripts/check-lists.sh \
	scripts/check-shell.sh
TESTS += $(check_scripts)

EXTRA_DIST += \
	.shellcheckrc \
	tests/lib/as-user \
	tests/lib/compare-trees \
	tests/lib/need-cmocka.sh \
	tests/lib/run-bats \
	tests/lib/run-program \
	tests/lib/web-server

# What tests/unit/test-dockerfile-cases runs, and which rule each test pins.
EXTRA_DIST += \
	tests/dockerfile/COVERAGE.md \
	tests/dockerfile/README.md \
	tests/dockerfile/directives.case \
	tests/dockerfile/expand.case \
	tests/dockerfile/flags.case \
	tests/dockerfile/heredoc.case \
	tests/dockerfile/ignore.case \
	tests/dockerfile/instructions.case \
	tests/dockerfile/json.case \
	tests/dockerfile/lines.case \
	tests/dockerfile/lint.case \
	tests/dockerfile/match.case \
	tests/dockerfile/stages.case

include tests/unit/local.mk
include tests/fuzz/local.mk
include tests/integration/local.mk
