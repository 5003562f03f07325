# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What an image is, in lines that a test can write down: its tree, configuration and history. Loaded after lib.

# shellcheck disable=SC2154 # bats sets output and status

# tree IMAGE PATH...: what is there and below, a line each, in $output: "d MODE UID:GID PATH", "f ... PATH: CONTENT" (newlines
# shown as |), "l UID:GID PATH -> TARGET".
tree() {
	# shellcheck disable=SC2016 # for the shell in the image
	run -0 kiln run -u 0 -w / --entrypoint /bin/sh "$1" -c '
		for path in "$@"; do find "$path" -xdev; done | sort | while IFS= read -r path; do
			if [ -L "$path" ]; then
				echo "l $(stat -c %u:%g "$path") $path -> $(readlink "$path")"
			elif [ -d "$path" ]; then
				echo "d $(stat -c "%a %u:%g" "$path") $path"
			elif [ -f "$path" ]; then
				echo "f $(stat -c "%a %u:%g" "$path") $path: $(head -c 60 "$path" | tr "\n" "|")"
			else
				echo "$(stat -c "%F %a %u:%g" "$path") $path"
			fi
		done' sh "${@:2}"
}

# config IMAGE FILTER: of its configuration, by jq, as compact JSON with sorted keys.
config() {
	kiln inspect --raw "$1" | jq -cS "$2"
}

# created_by IMAGE: what its history says of each instruction but the base's, with "(empty)" where there is no layer.
created_by() {
	kiln inspect --raw "$1" | jq -r '.history[] | select(.comment == "buildkit.dockerfile.v0") |
		.created_by + (if .empty_layer then " (empty)" else "" end)'
}

# cannot_build STATUS TEXT...: the Dockerfile on standard input is not built, with this exit status and these words.
cannot_build() {
	cat >Dockerfile
	run "-$1" kiln build --progress=plain .
	says "${@:2}"
}
