#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clang-format changes nothing. Releases of clang-format disagree about the same settings, so one of them is the measure.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib/tap.sh
. "$top/scripts/lib/tap.sh"
cd "$top" || exit 1

measure=14
program=
for candidate in "clang-format-$measure" clang-format; do
	if "$candidate" --version 2>/dev/null | grep -q "version $measure\\."; then
		program=$candidate
		break
	fi
done
if [ -z "$program" ]; then
	skip "the code is formatted" "clang-format $measure is not installed"
	finish
fi

for folder in src/*/ include/kiln/*/ tests/unit/ tests/fuzz/; do
	files=$(find "$folder" -maxdepth 1 -name '*.[ch]' | sort)
	[ -n "$files" ] || continue
	# shellcheck disable=SC2086 # a list of files
	check "$folder is formatted" "$program" --dry-run --Werror $files
done
finish
