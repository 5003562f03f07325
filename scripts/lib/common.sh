# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What setup, quickstart and test share: words on the screen, root where it is needed, the unprivileged user, the build.
# The scripts set `top`, the checkout, before they read this file.
: "${top:?}"

test_user=kiln-test
# A user without sub-ids.
# shellcheck disable=SC2034 # for those who read this file
single_user=kiln-single

say() {
	printf '\n==> %s\n' "$*"
}

note() {
	printf '    %s\n' "$*"
}

die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

is_root() {
	[ "$(id -u)" -eq 0 ]
}

# Root's work: as root, or through sudo.
as_root() {
	if is_root; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "this needs root and there is no sudo; as root run: $*"
	fi
}

# The user's work: root hands it to the unprivileged user, anybody else does it. Variables named in KEEP go along.
as_user() {
	if is_root; then
		KEEP="http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY CI ${KEEP:-}" \
			"$top/tests/lib/as-user" "$test_user" "$@"
	else
		"$@"
	fi
}

user_home() {
	if is_root; then
		getent passwd "$test_user" | cut -d: -f6
	else
		printf '%s\n' "$HOME"
	fi
}

# copy_source DIR: the sources as they are in the checkout, in a directory of the user's, without what a build in the
# checkout left. A checkout may belong to somebody else, and the build never writes into it.
copy_source() {
	as_user mkdir -p "$1"
	# Read by us, who may read the checkout; written by the user, who shall own the copy.
	tar -C "$top" --exclude=./.git --exclude=./build-aux --exclude=./autom4te.cache --exclude='*.o' --exclude='*.a' \
		--exclude=./configure --exclude=./config.status --exclude=./config.log --exclude=./aclocal.m4 \
		--exclude=./Makefile --exclude=./Makefile.in --exclude=.deps --exclude=.dirstamp -cf - . |
		as_user tar -C "$1" --no-same-owner --no-same-permissions -xf -
}

# build SOURCE BUILD LOG [CONFIGURE-OPTION...]: configures and makes as the user; on failure the end of LOG is the message.
build() {
	local source=$1 build=$2 log=$3
	shift 3
	# shellcheck disable=SC2016 # expanded by the inner shell
	as_user bash -euc '
		source=$1 build=$2
		shift 2
		cd "$source" && autoreconf --install
		mkdir -p "$build" && cd "$build"
		"$source/configure" --silent "$@"
		make -s -j"$(nproc)"
	' build "$source" "$build" "$@" >"$log" 2>&1 || {
		tail -n 40 "$log" >&2
		die "kiln could not be built"
	}
}
