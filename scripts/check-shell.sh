#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every script and every .bats file passes the linter for shells.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib/tap.sh
. "$top/scripts/lib/tap.sh"
cd "$top" || exit 1

command -v shellcheck >/dev/null || {
	skip "scripts pass shellcheck" "shellcheck is not installed"
	finish
}

# What has a shell's first line, or the name of a shell file.
scripts() {
	find scripts tests examples .ci -type f 2>/dev/null | sort | while IFS= read -r file; do
		case "$file" in
		*.sh | *.bash | *.bats) printf '%s\n' "$file" ;;
		*) ! head -n 1 "$file" | grep -aqE '^#!.*(bash|/sh)( |$)' || printf '%s\n' "$file" ;;
		esac
	done
}

for file in $(scripts); do
	check "$file passes shellcheck" shellcheck --format=gcc "$file"
done
finish
