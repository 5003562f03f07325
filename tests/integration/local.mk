# The program as people run it, each file with a store of its own.

integration_tests = \
	tests/integration/args.bats \
	tests/integration/bad-input.bats \
	tests/integration/basic.bats \
	tests/integration/cache.bats \
	tests/integration/check.bats \
	tests/integration/cli.bats \
	tests/integration/commands.bats \
	tests/integration/copy.bats \
	tests/integration/debian.bats \
	tests/integration/instructions.bats \
	tests/integration/mounts.bats \
	tests/integration/output.bats \
	tests/integration/remote.bats \
	tests/integration/single.bats \
	tests/integration/stages.bats \
	tests/integration/tools.bats \
	tests/integration/views.bats
TESTS += $(integration_tests)
EXTRA_DIST += $(integration_tests) \
	tests/integration/image.bash \
	tests/integration/lib.bash
