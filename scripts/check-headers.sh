#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every public header compiles alone: it includes what it needs, and a reader may start anywhere.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib/tap.sh
. "$top/scripts/lib/tap.sh"
cd "$top" || exit 1

compiles_alone() {
	# shellcheck disable=SC2086 # CC and the flags are lists of words
	${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Iinclude ${CPPFLAGS:-} -Wall -Wextra -Werror -fsyntax-only -x c "$1"
}

for header in include/kiln/*/*.h; do
	check "${header#include/} compiles alone" compiles_alone "$header"
done
finish
