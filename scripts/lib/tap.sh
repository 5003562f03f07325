# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The Test Anything Protocol, for the checks that are scripts: each check is counted by `make check` like a test.
#
#	check NAME COMMAND...	passes if the command succeeds and prints nothing; what it prints is shown
#	skip NAME REASON	a check that cannot run here; fails when MUST_RUN=1
#	finish			the plan; exits 1 if a check failed

tap_count=0
tap_failed=0

ok() {
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s\n' "$tap_count" "$1"
}

not_ok() {
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	printf 'not ok %d - %s\n' "$tap_count" "$1"
	[ -z "${2:-}" ] || printf '%s\n' "$2" | sed 's/^/# /'
}

check() {
	local name=$1 output status=0
	shift
	output=$("$@" 2>&1) || status=$?
	if [ "$status" -eq 0 ] && [ -z "$output" ]; then
		ok "$name"
	else
		not_ok "$name" "${output:-exit status $status}"
	fi
}

skip() {
	if [ "${MUST_RUN:-0}" = 1 ]; then
		not_ok "$1" "MUST_RUN=1, but: $2"
	else
		tap_count=$((tap_count + 1))
		printf 'ok %d # SKIP %s: %s\n' "$tap_count" "$1" "$2"
	fi
}

finish() {
	printf '1..%d\n' "$tap_count"
	[ "$tap_failed" -eq 0 ] || exit 1
	exit 0
}
