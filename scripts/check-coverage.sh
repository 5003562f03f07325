#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every rule of the Dockerfile language has a test: tests/dockerfile/COVERAGE.md names it, and the test exists.
#
# In its tables the last cell is a list, parted by <br>, of `FILE: NAME`: a case of tests/dockerfile, a @test of
# tests/integration, or a function of tests/unit. In a name \| stands for |. `pending: WHAT` stands for tests that come with a
# part that is not there yet; such rows are reported and do not fail.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib/tap.sh
. "$top/scripts/lib/tap.sh"
cd "$top" || exit 1

coverage=tests/dockerfile/COVERAGE.md

# All tests that there are, as "FILE: NAME".
tests_of_files() {
	awk '
	function say(name) { sub(/.*\//, "", FILENAME); print FILENAME ": " name }
	FILENAME ~ /\.case$/ && /^=== / { say(substr($0, 5)) }
	FILENAME ~ /\.bats$/ && /^@test "/ {
		name = $0
		sub(/^@test "/, "", name); sub(/" \{$/, "", name)
		gsub(/\\\$/, "$", name); gsub(/\\"/, "\"", name); gsub(/\\`/, "`", name); gsub(/\\\\/, "\\", name)
		say(name)
	}
	FILENAME ~ /\.c$/ && /^static void [a-zA-Z0-9_]+\(void \*\*/ {
		name = $3
		sub(/\(.*/, "", name)
		say(name)
	}' tests/dockerfile/*.case tests/integration/*.bats tests/unit/*.c
}

# What the tables name, as "LINE<TAB>RULE<TAB>FILE: NAME"; an empty reference is a row without a test.
references() {
	awk '
	/^\|/ && !/^\|[-| ]*\|$/ && !/^\| (Rule|Trap) / {
		line = $0
		gsub(/\\\|/, "\001", line)
		count = split(line, cells, "|")
		rule = cells[2]; refs = cells[count - 1]
		gsub(/^ +| +$/, "", rule); gsub(/^ +| +$/, "", refs)
		total = split(refs, list, /<br>/)
		if (count < 4 || total == 0) { print NR "\t" rule "\t"; next }
		for (i = 1; i <= total; i++) {
			ref = list[i]
			gsub(/^ +| +$/, "", ref); sub(/^`/, "", ref); sub(/`$/, "", ref)
			gsub(/\001/, "|", ref); gsub(/\001/, "|", rule)
			print NR "\t" rule "\t" ref
		}
	}' "$coverage"
}

rows_without_test() {
	references | awk -F '\t' -v file="$coverage" '$3 == "" { printf "%s:%s: no test: %s\n", file, $1, $2 }'
}

missing_tests() {
	awk -F '\t' -v file="$coverage" '
	NR == FNR { known[$0] = 1; next }
	$3 != "" && $3 !~ /^pending: / && !known[$3] { printf "%s:%s: there is no test %s\n", file, $1, $3 }' \
		<(tests_of_files) <(references)
}

# Each number from 1 to 93 is a row.
missing_traps() {
	local number
	for number in $(seq 93); do
		grep -q "^| $number\. " "$coverage" || printf 'trap %d has no row\n' "$number"
	done
}

# TAP's TODO: expected to fail until the part is there, without failing the run.
report_pending() {
	local what
	while IFS= read -r what; do
		tap_count=$((tap_count + 1))
		printf 'not ok %d - rows wait for the tests of %s # TODO %s rows\n' "$tap_count" "${what#* }" "${what%% *}"
	done < <(references | cut -f 3 | sed -n 's/^pending: //p' | sort | uniq -c | sed 's/^ *//')
}

check "every row of the coverage names a test" rows_without_test
check "every test that the coverage names exists" missing_tests
check "every trap has a row" missing_traps
report_pending
finish
