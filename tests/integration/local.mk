# The program as people run it, each file with a store of its own.

integration_tests = \
	tests/integration/bad-input.bats \
	tests/integration/basic.bats \
	tests/integration/copy.bats \
	tests/integration/debian.bats \
	tests/integration/instructions.bats \
	tests/integration/tools.bats \
	tests/integration/views.bats
TESTS += $(integration_tests)
EXTRA_DIST += $(integration_tests) \
	tests/integration/image.bash \
	tests/integration/lib.bash
