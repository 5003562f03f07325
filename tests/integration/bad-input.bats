#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2030,SC2031 # lib.bash and bats set lab, output and status
# Wrong, hostile and unlucky input gets a clear error; nothing is lost and nothing stays behind.

load lib

setup_file() {
	new_lab
	import_base
}

teardown_file() {
	end_lab
}

# The store is as good as before: the base runs and nothing is damaged.
store_is_sound() {
	run -0 kiln system verify
	says '0 problems'
	in_image base true
	equal "$(processes_of_lab)" ''
}

# make_tar FILE: a tar of members that Python describes on standard input: add(NAME, TYPE, ...).
make_tar() {
	need_program python3
	python3 - "$1" <<-END
		import io, sys, tarfile
		out = tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT)
		def add(name, type=tarfile.REGTYPE, data=b"x", link="", **more):
		    member = tarfile.TarInfo(name)
		    member.type, member.linkname = type, link
		    member.size = len(data) if type == tarfile.REGTYPE else 0
		    for key, value in more.items():
		        setattr(member, key, value)
		    out.addfile(member, io.BytesIO(data))
		$(cat)
		out.close()
	END
}

@test "an unknown instruction is named, with the one that was meant" {
	printf 'FROM base\nRUNN true\n' >Dockerfile
	run -1 kiln build .
	says 'unknown instruction: RUNN' RUN 'Dockerfile:2' '>>> RUNN true'
	printf 'FRM base\n' >Dockerfile
	run -1 kiln build .
	says FRM FROM
}

@test "what is wrong in a Dockerfile is said with its line" {
	local text
	for text in 'FROM base\nCOPY a\n' 'FROM base\nENV\n' 'FROM base\nCOPY --chwn=1 a b\n' 'RUN true\n' \
		'FROM base\nRUN <<EOF\necho\n' 'FROM base AS 1x\n' 'FROM base\nUSER\n' 'FROM base\nEXPOSE what\n' \
		'FROM base\nONBUILD FROM x\n' 'FROM base\nRUN --what true\n' ; do
		printf '%b' "$text" >Dockerfile
		run -1 kiln build .
		says Dockerfile
	done
	: >Dockerfile
	run -1 kiln build .
	says empty
}

@test "a missing context and a missing Dockerfile are named" {
	run -1 kiln build nowhere
	says nowhere
	mkdir empty
	run -1 kiln build empty
	says Dockerfile
	run -1 kiln build -f other empty
	says other
}

@test "a missing file in COPY is named" {
	printf 'FROM base\nCOPY not-there /\n' >Dockerfile
	run -1 kiln build .
	says not-there 'Dockerfile:2' '>>> COPY not-there /'
	printf 'FROM base AS one\nFROM base\nCOPY --from=one /not-there /\n' >Dockerfile
	run -1 kiln build .
	says not-there
	printf 'FROM base\nCOPY --from=nobody / /\n' >Dockerfile
	run -1 kiln build .
	says nobody
}

@test "nothing outside the context can be copied" {
	echo secret >"$lab/secret"
	mkdir context
	ln -s "$lab/secret" context/absolute
	ln -s ../../../secret context/relative
	ln -s "$lab" context/folder
	local line
	for line in 'COPY ../../secret /s' 'COPY folder/secret /s' 'ADD folder/secret /s'; do
		printf 'FROM base\n%s\n' "$line" >context/Dockerfile
		run -1 kiln build context
		says_not secret-contents
	done
	for line in 'COPY absolute /s' 'COPY relative /s' 'COPY . /s'; do
		printf 'FROM base\n%s\n' "$line" >context/Dockerfile
		run kiln build -q -t outside context
		[ "$status" -eq 0 ] || continue
		in_image outside sh -c 'find /s -type f -exec cat {} +; cat /s 2>/dev/null; true'
		grep -qx secret <<<"$output" && fail "$line copied a file from outside"
	done
	true
}

@test "archives that point out of the root change nothing outside" {
	make_tar up.tar <<<'add("ok"); add("../evil"); add("a/../../evil2")'
	make_tar absolute.tar <<<'add("/abs", data=b"in")'
	make_tar through.tar <<<'add("l", tarfile.SYMTYPE, link="/"); add("l/evil", data=b"in"); add("u", tarfile.SYMTYPE, link="../../../../../.."); add("u/evil2", data=b"in")'
	make_tar hard.tar <<<'add("h", tarfile.LNKTYPE, link="../../../../etc/passwd")'
	make_tar hard-absolute.tar <<<'add("h", tarfile.LNKTYPE, link="/etc/passwd")'
	local archive
	for archive in up hard; do
		printf 'FROM base\nADD %s.tar /\n' "$archive" >Dockerfile
		run -1 kiln build .
		says '..' "ADD $archive.tar"
		run -1 kiln import "$archive.tar" bad
		says '..'
	done
	for archive in absolute through hard-absolute; do
		printf 'FROM base\nADD %s.tar /\nRUN cat /abs /evil /evil2 /h 2>/dev/null >/all; true\n' "$archive" >Dockerfile
		run -0 kiln build -q -t "pointing:$archive" .
	done
	in_image pointing:absolute cat /abs
	equal "$output" in
	in_image pointing:through cat /evil /evil2
	equal "$output" inin
	# The hard link is to the image's own file.
	in_image pointing:hard-absolute sh -c 'cmp /h /etc/passwd && grep -c . /h'
	equal "$output" 3
	[ ! -e /evil ] && [ ! -e /evil2 ] && [ ! -e "$lab/evil" ]
	store_is_sound
}

@test "device nodes of an archive are devices in the layer, and are not opened here" {
	make_tar devices.tar <<<'add("null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666); add("disk", tarfile.BLKTYPE, devmajor=8, devminor=0)'
	printf 'FROM base\nADD devices.tar /devices/\n' >Dockerfile
	build -t devices
	kiln save --format docker-archive -o saved.tar devices
	mkdir saved
	tar -C saved -xf saved.tar
	run -0 tar -tvf "saved/$(jq -r '.[0].Layers[-1]' saved/manifest.json)"
	says '1,3' '8,0'
	make_tar whiteout.tar <<<'add("w", tarfile.CHRTYPE, devmajor=0, devminor=0)'
	printf 'FROM base\nADD whiteout.tar /\n' >Dockerfile
	run -1 kiln build .
	says whiteout.tar
}

@test "a path name of 100 MB is refused in little memory" {
	make_tar long.tar <<<'add("a/" * 50000000 + "x")'
	run -1 kiln import long.tar long
	says long.tar
	printf 'FROM base\nADD long.tar /\n' >Dockerfile
	run -1 kiln build .
	store_is_sound
}

@test "a file that is no archive is said to be none" {
	echo 'not a tar' >text
	run -1 kiln import text text
	says text
	run -1 kiln load -i text
	says text
	run -1 kiln load -i nowhere
	says nowhere
	head -c 100000 /dev/urandom >noise
	run -1 kiln load -i noise
	gzip -k noise
	run -1 kiln load -i noise.gz
	store_is_sound
}

@test "a truncated archive is refused and leaves no image" {
	printf 'FROM base\nRUN seq 200000 >/numbers\n' >Dockerfile
	build -t whole
	local format size
	for format in oci-archive docker-archive; do
		kiln save --format "$format" -o whole.tar whole
		gzip -kf whole.tar
		for file in whole.tar whole.tar.gz; do
			size=$(stat -c %s "$file")
			head -c $((size * 2 / 3)) "$file" >short.tar
			run -1 kiln --root "$PWD/other" load -i short.tar
			run -0 kiln --root "$PWD/other" images -q
			equal "$output" '' "$format $file"
		done
	done
	kiln --root "$PWD/other" system reset --force
}

@test "an archive whose bytes do not match their digests is refused" {
	need_program python3
	printf 'FROM base\nRUN seq 200000 >/numbers\n' >Dockerfile
	build -t whole
	kiln save --format oci-dir -o layout whole
	# Every blob in turn, one bit in its middle.
	local blob
	for blob in layout/blobs/sha256/*; do
		rm -rf bad
		cp -r layout bad
		python3 - "bad/${blob#layout/}" <<-'END'
			import sys
			with open(sys.argv[1], "r+b") as file:
			    file.seek(0, 2)
			    middle = file.tell() // 2
			    file.seek(middle)
			    byte = file.read(1)[0]
			    file.seek(middle)
			    file.write(bytes([byte ^ 1]))
		END
		run -1 kiln --root "$PWD/other" load -i bad
		run -0 kiln --root "$PWD/other" images -q
		equal "$output" '' "$blob"
	done
	kiln --root "$PWD/other" system reset --force
}

@test "a layer that is not what the configuration says is refused" {
	need_program python3
	printf 'FROM base\nRUN echo x >/x\n' >Dockerfile
	build -t whole
	kiln save --format docker-archive -o whole.tar whole
	mkdir parts
	tar -C parts -xf whole.tar
	local layer
	layer=$(jq -r '.[0].Layers[-1]' parts/manifest.json)
	make_tar other-layer.tar <<<'add("evil")'
	chmod u+w "parts/$layer"
	cp other-layer.tar "parts/$layer"
	tar -C parts -cf bad.tar .
	run -1 kiln --root "$PWD/other" load -i bad.tar
	says 'sha256:'
	kiln --root "$PWD/other" system reset --force
}

@test "a full disk in the middle of a step is an error that says so, and the next run goes on" {
	printf 'FROM base\nRUN echo small >/small\nRUN dd if=/dev/zero of=/big bs=1M count=64\n' >Dockerfile
	mkdir mnt
	run -0 in_namespace sh -euc '
		mount -t tmpfs -o size=48m tmpfs mnt
		export KILN_ROOT=$PWD/mnt/store
		"$KILN" import "$lab/base.tar" base
		! "$KILN" build --progress=plain . >out 2>&1
		cat out
		echo === again
		sed -i s/count=64/count=1/ Dockerfile
		"$KILN" build --progress=plain -t small . 2>&1
		"$KILN" system verify
		"$KILN" run small cat /small
		"$KILN" system reset --force'
	says 'No space left on device' CACHED '0 problems' small
}

interrupted() {
	local signal=$1 status=0 pid
	printf 'FROM base\nRUN echo one >/one\nRUN echo started; sleep 300\n' >Dockerfile
	"$KILN" build --progress=plain . >out 2>&1 3>&- &
	pid=$!
	for _ in $(seq 100); do
		! grep -q ' started$' out || break
		sleep 0.1
	done
	kill "-$signal" "$pid"
	wait "$pid" || status=$?
	equal "$status" "$2" "exit status after $signal"
	for _ in $(seq 20); do
		[ -n "$(processes_of_lab)" ] || break
		sleep 0.1
	done
	store_is_sound
	sed -i 's/sleep 300/true/' Dockerfile
	run -0 kiln build --progress=plain .
	[ "$(steps CACHED)" -ge 1 ] || fail "the step before was lost: $output"
}

@test "SIGTERM in a RUN ends the step and keeps what was built" {
	interrupted TERM 143
}

@test "SIGINT in a RUN ends the step and keeps what was built" {
	# A shell's background jobs ignore SIGINT, unless job control makes them jobs of their own.
	set -m
	interrupted INT 130
}

@test "SIGKILL leaves nothing running and the store sound" {
	interrupted KILL 137
}

@test "damage on disk is found, and mended by building again" {
	printf 'FROM base\nRUN echo good >/marker-of-damage\n' >Dockerfile
	build -t damaged
	local file
	file=$(kiln unshare find "$KILN_ROOT" -name marker-of-damage | head -n 1)
	[ -n "$file" ]
	kiln unshare sh -c "echo evil >'$file'"
	run ! kiln system verify
	says_not '0 problems'
	run kiln system verify --repair
	build -t damaged
	in_image damaged cat /marker-of-damage
	equal "$output" good
	store_is_sound
}

@test "names that are no names are refused" {
	printf 'FROM base\n' >Dockerfile
	local name
	for name in 'UPPER' 'a//b' 'a:b:c' '-x' 'a@sha256:12' '../x' 'a b'; do
		run ! kiln build -q -t "$name" .
		run ! kiln tag base "$name"
	done
	kiln images >list
	run ! grep -qE 'UPPER|//|\.\.' list
}

@test "a store that cannot be written is an error that names it" {
	need_user
	mkdir read-only
	chmod 555 read-only
	run -1 kiln --root "$PWD/read-only/store" images
	says read-only
	chmod 755 read-only
}
