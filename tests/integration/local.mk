# The program as people run it, each file with a store of its own.

integration_tests =
TESTS += $(integration_tests)
EXTRA_DIST += $(integration_tests)
