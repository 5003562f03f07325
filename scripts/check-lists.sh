#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The build names every file, without wildcards; this finds the file that nobody listed, and so nobody builds or runs.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib/tap.sh
. "$top/scripts/lib/tap.sh"
cd "$top" || exit 1

listed=" $(cat Makefile.am scripts/local.mk tests/local.mk tests/*/local.mk src/*/local.mk | tr -s '\\\n\t' ' ') "

unlisted() {
	local file
	while IFS= read -r file; do
		case "$listed" in
		*" $file "*) ;;
		*) printf '%s is in no local.mk\n' "$file" ;;
		esac
	done
}

find_unlisted() {
	find "$@" -type f | sort | unlisted
}

# A test program is listed by its name: automake knows its source.
find_unlisted_tests() {
	find "$1" -maxdepth 1 -name "$2" | sort | sed 's/\.c$//' | unlisted
}

# A program that names no library links by luck, or not at all.
find_unlinked() {
	local program
	find "$1" -maxdepth 1 -name "$2" | sort | sed 's/\.c$//' | while IFS= read -r program; do
		grep -q "^${program//[\/-]/_}_LDADD" "$1/local.mk" || printf '%s has no LDADD\n' "$program"
	done
}

check "every source and header is listed" find_unlisted src include -name '*.[ch]'
check "every unit test is listed" find_unlisted_tests tests/unit 'test-*.c'
check "every fuzz target is listed" find_unlisted_tests tests/fuzz 'fuzz-*.c'
check "every unit test says what it is linked with" find_unlinked tests/unit 'test-*.c'
check "every fuzz target says what it is linked with" find_unlinked tests/fuzz 'fuzz-*.c'
check "every integration test is listed" find_unlisted tests/integration -name '*.bats'
check "every script is listed" find_unlisted scripts -not -name local.mk -not -name '*~'
finish
