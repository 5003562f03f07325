# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What every .bats file loads: a store of its own, small base images made on the spot, and the words that tests are
# written in. No network, no image from elsewhere.
#
#	setup_file() { new_lab; import_base; }
#	teardown_file() { end_lab; }
#
# $lab is a directory of the file, with the store ($KILN_ROOT) and an empty HOME; each test starts in a new directory in it.

# shellcheck disable=SC2154 # bats sets output and status

bats_require_minimum_version 1.5.0

srcdir=${srcdir:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
export KILN=${KILN:-$srcdir/kiln} KILN_SECCOMP_DIR=${KILN_SECCOMP_DIR:-$srcdir/seccomp}

kiln() {
	"$KILN" "$@"
}

# ---- life of a file ----

new_lab() {
	# Lower case: buildah makes an image name of a layout's path.
	lab=${TMPDIR:-/tmp}/kiln-lab-$(od -An -N6 -tx1 /dev/urandom | tr -d ' ')
	mkdir -m 755 "$lab"
	mkdir -m 755 "$lab/home" "$lab/work"
	mkdir -m 700 "$lab/run"
	export lab KILN_ROOT=$lab/store HOME=$lab/home XDG_RUNTIME_DIR=$lab/run
	unset XDG_DATA_HOME XDG_CONFIG_HOME XDG_CACHE_HOME SOURCE_DATE_EPOCH
	umask 022
	[ -x "$KILN" ] || fail "there is no program $KILN"
}

# Files of sub-ids are removed by kiln itself. What stays behind fails the file, but is taken away all the same.
end_lab() {
	[ -n "${lab:-}" ] || return 0
	local processes files
	cd /
	processes=$(processes_of_lab)
	# shellcheck disable=SC2046 # a list of numbers
	[ -z "$processes" ] || kill -KILL $(grep -o '[0-9]*(' <<<"$processes" | tr -d '(') || true
	kiln system reset --force >/dev/null || true
	files=$(find "$KILN_ROOT" -mindepth 1 2>/dev/null | head -n 5)
	rm -rf "$lab" 2>/dev/null || in_namespace rm -rf "$lab"
	[ -z "$processes" ] || fail "processes stay behind: $processes"
	[ -z "$files" ] || fail "kiln system reset left: $files"
}

setup() {
	cd "$(mktemp -d "$lab/work/XXXXXX")" || return 1
}

# Processes that this file's kiln started and that still are there, with what they run.
processes_of_lab() {
	local folder
	for folder in /proc/[0-9]*; do
		# The tests' own shells carry the lab in their environment too, but are not kiln.
		grep -qzF "KILN_ROOT=$lab" "$folder/environ" 2>/dev/null || continue
		case "$(readlink "$folder/exe" 2>/dev/null)" in
		*/bash | */grep | */sleep | */env | */timeout | */bats* | '') ;;
		*) printf '%s(%s) ' "${folder#/proc/}" "$(tr '\0' ' ' <"$folder/cmdline")" ;;
		esac
	done
}

# ---- words ----

fail() {
	printf '%s\n' "$*" >&2
	return 1
}

# The last `run` printed this text (a fixed string).
says() {
	local text
	for text in "$@"; do
		grep -qF -e "$text" <<<"$output" || fail "expected: $text" "got:" "$output" || return 1
	done
}

says_not() {
	local text
	for text in "$@"; do
		! grep -qF -e "$text" <<<"$output" || fail "did not expect: $text" "got:" "$output" || return 1
	done
}

equal() {
	[ "$1" = "$2" ] || fail "${3:-expected equal}:" "$1" "$2"
}

differ() {
	[ "$1" != "$2" ] || fail "${3:-expected to differ}:" "$1"
}

# Writes the Dockerfile on standard input.
dockerfile() {
	cat >"${1:-Dockerfile}"
}

# build [OPTION...]: the current directory's Dockerfile, plain progress; what it prints is in $output.
build() {
	run -0 kiln build --progress=plain "$@" .
}

# The command that an image must be able to run: its output in $output.
in_image() {
	run -0 kiln run --rm "$@"
}

image_id() {
	kiln inspect "$1" | jq -r '.[0].Id'
}

diff_ids() {
	kiln inspect "$1" | jq -r '.[0].RootFS.Layers[]'
}

# How many steps of the last build's output say this word: CACHED, DONE, ERROR. FROM is no step of this kind.
steps() {
	awk -v word="$1" '
		/^#[0-9]+ \[.*\] FROM / { from[$1] = 1 }
		/^#[0-9]+ / && $2 == word && !from[$1] { count++ }
		END { print count + 0 }' <<<"$output"
}

# ---- base images ----

# make_rootfs DIR: busybox with all its applets, users, a shell.
make_rootfs() {
	local root=$1 applet
	mkdir -p "$root"/{bin,sbin,etc,root,tmp,var/log,usr/bin,usr/sbin,home,dev,proc,sys}
	cp /bin/busybox "$root/bin/busybox"
	for applet in $(/bin/busybox --list); do
		[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
	done
	chmod 1777 "$root/tmp"
	chmod 700 "$root/root"
	printf 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/home/web:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' \
		>"$root/etc/passwd"
	printf 'root:x:0:\nweb:x:1000:\nstaff:x:50:web\nnogroup:x:65534:\n' >"$root/etc/group"
	printf 'NAME=lab\n' >"$root/etc/os-release"
}

# add_program DIR PROGRAM...: programs of this machine with their libraries (setcap, setfattr: busybox has none).
add_program() {
	local root=$1 program file
	shift
	for program in "$@"; do
		program=$(PATH=$PATH:/usr/sbin:/sbin command -v "$program") || fail "no $program on this machine" || return 1
		cp -L "$program" "$root/usr/bin/"
		for file in $(ldd "$program" 2>/dev/null | grep -o '/[^ ]*'); do
			mkdir -p "$root$(dirname "$file")"
			[ -e "$root$file" ] || cp -L "$file" "$root$file"
		done
	done
}

pack_rootfs() {
	tar -C "$1" --owner=0 --group=0 --numeric-owner --sort=name --mtime=@1500000000 -cf - .
}

# The image `base`: busybox. Packed once per file.
import_base() {
	make_rootfs "$lab/rootfs"
	pack_rootfs "$lab/rootfs" >"$lab/base.tar"
	kiln import --change 'CMD ["sh"]' "$lab/base.tar" base >/dev/null
}

# The image `tools`: busybox, and setcap, getcap, setfattr, getfattr.
import_tools() {
	make_rootfs "$lab/rootfs-tools"
	add_program "$lab/rootfs-tools" setcap getcap setfattr getfattr
	pack_rootfs "$lab/rootfs-tools" >"$lab/tools.tar"
	kiln import --change 'CMD ["sh"]' "$lab/tools.tar" tools >/dev/null
}

# ---- what a test needs of the machine: missing, it is skipped, and fails when MUST_RUN=1 ----

cannot_run() {
	[ "${MUST_RUN:-0}" != 1 ] || fail "MUST_RUN=1, but: $1" || return 1
	skip "$1"
}

need_program() {
	local program
	for program in "$@"; do
		PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || cannot_run "$program is not installed"
	done
}

need_user() {
	[ "$(id -u)" -ne 0 ] || cannot_run "this is about an ordinary user"
}

need_fuse() {
	need_program fuse-overlayfs
	[ -w /dev/fuse ] || cannot_run "/dev/fuse cannot be opened"
}

need_view() {
	case "$1" in
	fuse-overlayfs) need_fuse ;;
	overlay) kiln --view overlay doctor >/dev/null 2>&1 || cannot_run "the kernel gives no overlay to users" ;;
	esac
}

need_network_helper() {
	command -v slirp4netns >/dev/null || command -v pasta >/dev/null || cannot_run "neither slirp4netns nor pasta is installed"
	[ -c /dev/net/tun ] || cannot_run "there is no /dev/net/tun"
}

# ---- the other tools ----

# A user namespace with all of the user's ids and a mount namespace where only cgroup2 shows, since crun refuses a machine
# that has both kinds; and a /run of its own, since inside podman takes itself for root.
in_namespace() {
	local enter=(unshare --mount)
	[ "$(id -u)" -eq 0 ] || enter=(unshare --user --map-root-user --map-auto --mount)
	"${enter[@]}" sh -euc '
		[ ! -d /sys/fs/cgroup/unified ] || mount --rbind /sys/fs/cgroup/unified /sys/fs/cgroup
		mount -t tmpfs tmpfs /run
		exec "$@"' sh "$@"
}

podman() {
	in_namespace podman --root "$lab/storage" --runroot "$lab/runroot" --storage-driver vfs \
		--cgroup-manager cgroupfs --events-backend none "$@"
}

podman_run() {
	# Low limits, since podman takes itself for root and would raise them.
	podman run --rm --cgroups=disabled --network=none --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 "$@"
}

buildah() {
	in_namespace buildah --root "$lab/storage" --runroot "$lab/runroot" --storage-driver vfs "$@"
}

# A TCP port of loopback that nothing listens on.
free_port() {
	local port
	for port in $(seq 18200 18400); do
		(: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { printf '%s\n' "$port"; return; }
	done
	fail "no free port"
}

# ---- a Dockerfile with everything that a view or an isolation can get wrong ----

# make_everything: its context, in the directory `everything` of the current one. The base is the image `tools`.
make_everything() {
	mkdir everything
	cd everything || return
	echo 'from the context' >file
	mkdir -p tree/sub
	echo a >tree/a
	echo b >tree/sub/b
	ln -s a tree/link
	dockerfile Dockerfile <<-'END'
		FROM tools AS start
		RUN mkdir -p /d/sub /gone/deep /opaque/old /moved/x/y /stays /kinds \
		 && for i in 1 2 3 4; do echo $i >/d/f$i; done \
		 && echo deep >/gone/deep/f && echo old >/opaque/old/f && echo y >/moved/x/y/f && echo s >/stays/f \
		 && ln -s f1 /d/link && ln /d/f1 /d/hard1 && ln /d/f1 /d/hard2 && ln /d/f2 /d/hard3 \
		 && cp /bin/busybox /setuid && chmod 4755 /setuid \
		 && cp /bin/busybox /capable && setcap cap_net_raw,cap_net_bind_service+ep /capable \
		 && setfattr -n user.note -v hello /d/f3 \
		 && mkfifo /kinds/fifo && ln -s /etc /kinds/etc && mkdir /kinds/dir && echo f >/kinds/file \
		 && dd if=/dev/zero of=/sparse bs=1 count=1 seek=4194303 2>/dev/null \
		 && chown -R web:staff /stays && chown 12345:54321 /d/f4 && chmod 1777 /moved && chmod 2750 /stays
		FROM start AS deletes
		RUN rm /d/f3 && rm -r /gone && rm /etc/os-release
		RUN rm -r /opaque && mkdir /opaque && echo new >/opaque/new
		RUN rm -r /opaque && mkdir /opaque && mkdir /opaque/old && echo again >/opaque/old/g
		RUN touch /temporary && mkdir -p /temporary-d/e && rm -r /temporary /temporary-d
		FROM deletes AS changes
		RUN mv /moved/x /moved/z && mv /moved/z/y/f /moved/z/y/renamed
		RUN mv /d/sub /elsewhere && mv /elsewhere /d/back
		RUN rm /kinds/fifo && mkdir /kinds/fifo && touch /kinds/fifo/in && rm -r /kinds/dir && echo now >/kinds/dir \
		 && rm /kinds/file && ln -s nowhere /kinds/file && rm /kinds/etc && mkfifo /kinds/etc
		RUN chmod 700 /d && ln /d/f4 /d/hard4
		RUN chmod g+w /setuid && chmod o+w /capable && setfattr -x user.note /d/f3 2>/dev/null; setfattr -n user.dir -v x /stays
		RUN printf x | dd of=/sparse bs=1 seek=1000000 conv=notrunc 2>/dev/null && truncate -s 8388608 /sparse
		RUN echo more >>/stays/f && chmod 755 /bin && chown 0:0 /etc && touch -d '2001-02-03 04:05:06' /etc/group /stays
		RUN true
		FROM start AS other
		RUN echo other >/other && chmod 600 /other && chown web /other
		FROM changes
		WORKDIR /made/by/workdir
		COPY file /moved/
		COPY --chown=web:staff tree /copied/
		COPY --from=other /other /moved/other
		COPY --from=other /stays /d/back/
		ADD tree/a /etc/added
		USER web
		RUN id -u >/tmp/mine && mkdir /moved/mine && echo x >/moved/mine/f
		CMD ["sh"]
	END
}
