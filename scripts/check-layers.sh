#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Includes only go down: a module's files include headers of their own module and of the modules in its row, and each
# foreign library has one module that knows it. HACKING.md draws the same map.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib/tap.sh
. "$top/scripts/lib/tap.sh"
cd "$top" || exit 1

# module: what it may include besides itself
rows='
base:
codec: base
net: base
dockerfile: base
oci: base codec
layer: base codec
context: base codec net dockerfile layer
view: base codec layer
sandbox: base codec
store: base codec oci layer
image: base codec oci layer store
build: base codec dockerfile oci layer context view sandbox store image
cmd: base codec oci dockerfile view sandbox store image build
'

# header: the files that may include it, both as extended regular expressions
libraries='
yajl/.*: src/codec/json.c
archive(_entry)?\.h: src/codec/libarchive.h
openssl/.*: src/codec/digest.c
(zlib|libdeflate)\.h: src/codec/(gzip|inflate).c
isa-l.*|igzip_lib\.h: src/codec/inflate.c
zstd(_errors)?\.h: src/codec/zstd.c
curl/.*: src/net/.*
seccomp\.h: src/sandbox/.*
sys/capability\.h: src/sandbox/.*
'

# A module may have no public header: cmd has none.
files() {
	local folder
	for folder; do
		[ ! -d "$folder" ] || find "$folder" -name '*.[ch]' -print0
	done
}

includes_upward() {
	local module=$1 allowed=" $1 $2 " place included
	files "src/$module" "include/kiln/$module" |
		xargs -0r grep -HnoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]kiln/[a-z]+/' |
	while IFS= read -r place; do
		included=${place##*kiln/}
		case "$allowed" in
		*" ${included%/} "*) ;;
		*) printf '%s: %s may not include kiln/%s\n' "${place%:*}" "$module" "$included" ;;
		esac
	done
}

# Only kiln/MODULE/NAME.h crosses modules; a private header is included by its bare name from its own folder.
includes_by_path() {
	files src include | xargs -0r grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"(\.\.|src/|include/)'
	return 0
}

includes_library() {
	local header=$1 allowed=$2
	files src include |
		xargs -0r grep -lE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($header)[>\"]" |
		grep -vxE "$allowed"
	return 0
}

unknown_modules() {
	local folder
	for folder in src/*/ include/kiln/*/; do
		folder=$(basename "$folder")
		case "$rows" in
		*"
$folder:"*) ;;
		*) printf '%s is in no row of the table\n' "$folder" ;;
		esac
	done
}

while IFS=: read -r module allowed; do
	[ -n "$module" ] || continue
	check "$module includes only itself${allowed:+ and$allowed}" includes_upward "$module" "$allowed"
done <<<"$rows"
while IFS= read -r row; do
	[ -n "$row" ] || continue
	check "<${row%%: *}> is included only by ${row#*: }" includes_library "${row%%: *}" "${row#*: }"
done <<<"$libraries"
check "every module is in the table" unknown_modules
check "no header is included by a path around the module" includes_by_path
finish
