#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # lib.bash and bats set lab, output and status
# kiln beside the tools that people have: what it writes they take, what they write it takes.

load lib

setup_file() {
	new_lab
	import_tools
	cd "$(mktemp -d "$lab/work/XXXXXX")" || return
	dockerfile <<-'END'
		FROM tools
		RUN echo gone >/gone && mkdir -p /dir/sub && echo a >/dir/sub/a && ln /dir/sub/a /hard && ln -s dir/sub/a /soft
		RUN rm /gone /etc/os-release && cp /bin/busybox /capable && setcap cap_net_raw+ep /capable \
		 && chown web:staff /dir/sub/a && chmod 4755 /capable; mkdir /home/web && chown web /home/web
		RUN rm -r /dir && mkdir /dir && echo new >/dir/new
		ENV GREETING=hello
		USER web
		WORKDIR /home/web
		ENTRYPOINT ["sh", "-c"]
		CMD ["echo $GREETING $(id -u) $(cat /hard)"]
	END
	kiln build -q -t sample:1 -o type=local,dest="$lab/tree" -o type=oci,dest="$lab/built.oci.tar" \
		-o type=docker,dest="$lab/built.docker.tar" .
	kiln save --format oci-archive -o "$lab/oci.tar" sample:1
	kiln save --format docker-archive -o "$lab/docker.tar" sample:1
	kiln save --format oci-dir -o "$lab/oci" sample:1
}

teardown_file() {
	end_lab
}

# Every form that an image leaves in, as skopeo and buildah name it.
all_forms() {
	printf '%s\n' "oci-archive:$lab/oci.tar" "docker-archive:$lab/docker.tar" "oci:$lab/oci:1" \
		"oci-archive:$lab/built.oci.tar" "docker-archive:$lab/built.docker.tar"
}

@test "skopeo inspect reads every form" {
	need_program skopeo
	local form
	for form in $(all_forms); do
		run -0 skopeo inspect --config "$form"
		equal "$(jq -c '[.config.User,.config.WorkingDir,.config.Cmd[0]]' <<<"$output")" \
			'["web","/home/web","echo $GREETING $(id -u) $(cat /hard)"]' "$form"
		equal "$(jq -r '.rootfs.diff_ids[]' <<<"$output")" "$(diff_ids sample:1)" "$form"
		equal "$(jq '.history | length' <<<"$output")" "$(kiln inspect --raw sample:1 | jq '.history | length')" "$form"
	done
}

@test "skopeo copies every form to every other, with every digest checked" {
	need_program skopeo
	local form
	for form in $(all_forms); do
		skopeo --insecure-policy copy -q "$form" "oci:$PWD/copied:x"
		skopeo --insecure-policy copy -q "$form" "docker-archive:$PWD/copied.tar:x:y"
		skopeo --insecure-policy copy -q "$form" "dir:$PWD/copied-dir"
		rm -r copied copied.tar copied-dir
	done
}

@test "umoci unpacks what the build wrote as a tree" {
	need_program umoci
	umoci unpack --rootless --image "$lab/oci:1" bundle
	list() {
		(cd "$1" && find . ! -path ./dev ! -path './dev/*' ! -path ./proc ! -path ./sys ! -type l -printf '%p %y %m\n' \
			-o -type l -printf '%p %y -> %l\n' | LC_ALL=C sort)
	}
	diff <(list "$lab/tree") <(list bundle/rootfs)
	equal "$(cat bundle/rootfs/hard)" a
	[ "$(stat -c %h bundle/rootfs/bin/busybox)" -ge 1 ]
}

@test "podman loads and runs every archive" {
	need_program podman crun
	local archive
	for archive in oci.tar docker.tar built.oci.tar built.docker.tar; do
		run -0 podman load -q -i "$lab/$archive"
		local name=${output##* }
		run -0 podman_run "$name"
		equal "$output" 'hello 1000 a' "$archive"
		run -0 podman_run --entrypoint getcap "$name" /capable
		says cap_net_raw
		run ! podman_run --entrypoint cat "$name" /gone
		podman rmi -f "$name" >/dev/null
	done
}

@test "buildah starts from every form" {
	need_program buildah
	local form container
	for form in $(all_forms); do
		container=$(buildah from "$form")
		run -0 buildah run --isolation chroot "$container" cat /dir/new /hard
		equal "$output" $'new\na' "$form"
		run -0 buildah run --isolation chroot "$container" sh -c 'stat -c "%U:%G %h" /hard; ls /etc/os-release /gone 2>&1 | wc -l'
		says 2
		buildah rm "$container" >/dev/null
	done
}

make_with_buildah() {
	dockerfile <<-'END'
		FROM localhost/tools
		RUN mkdir /made && echo by-buildah >/made/file && ln /made/file /made/link && rm /etc/os-release
		RUN rm -r /made && mkdir /made && echo again >/made/again && chown 1000:50 /made/again
		RUN cp /bin/busybox /capable && setcap cap_net_raw+ep /capable
		ENV FROM=buildah
		CMD ["cat", "/made/again"]
	END
	podman image exists localhost/tools || podman import -q "$lab/tools.tar" localhost/tools
	buildah build -q --isolation chroot --layers "$@" -t localhost/made .
}

@test "an image that buildah made loads, runs and is built on, in each format" {
	need_program buildah podman
	local form
	make_with_buildah --format oci
	buildah push -q localhost/made "oci-archive:$PWD/made.oci.tar:made:oci"
	buildah push -q localhost/made "oci:$PWD/made.dir:made"
	make_with_buildah --format docker
	buildah push -q localhost/made "docker-archive:$PWD/made.docker.tar:made:docker"
	for form in oci-archive:made.oci.tar docker-archive:made.docker.tar oci:made.dir; do
		kiln load -i "${form#*:}"
		printf 'FROM %s\nRUN cat /made/again >/copy; ls /made >/list; getcap /capable >/caps; rm /made/again\n' "$form" >Dockerfile.on
		run -0 kiln build --progress=plain -f Dockerfile.on -t on .
		in_image on cat /copy /list /caps
		equal "$output" $'again\nagain\n/capable cap_net_raw=ep' "$form"
		in_image on sh -c 'echo $FROM; ls /etc/os-release 2>/dev/null; ls /made'
		equal "$output" buildah "$form"
	done
	in_image made:oci
	equal "$output" again
	in_image made:docker
	equal "$output" again
}

@test "an image that podman saved loads and runs, in each format" {
	need_program podman buildah
	make_with_buildah
	podman tag localhost/made localhost/saved:1
	podman save -q --format docker-archive -o docker.tar localhost/saved:1
	podman save -q --format oci-archive -o oci.tar localhost/saved:1
	local archive
	for archive in docker.tar oci.tar; do
		run -0 kiln load -i "$archive"
		says 'localhost/saved:1'
		in_image localhost/saved:1
		equal "$output" again "$archive"
		kiln rmi localhost/saved:1
	done
}

@test "skopeo's zstd layers load" {
	need_program skopeo
	skopeo --insecure-policy copy -q --dest-compress-format zstd "oci-archive:$lab/oci.tar" "oci:$PWD/zstd:x"
	run -0 jq -r '.layers[0].mediaType' "zstd/blobs/sha256/$(jq -r '.manifests[0].digest' zstd/index.json | cut -d: -f2)"
	says zstd
	kiln --root "$PWD/other" load -i zstd
	local id
	id=$(kiln --root "$PWD/other" images -q --no-trunc)
	equal "$id" "$(image_id sample:1)"
	equal "$(kiln --root "$PWD/other" run "$id")" 'hello 1000 a'
	kiln --root "$PWD/other" system reset --force
}

@test "an image goes round through skopeo and stays the same" {
	need_program skopeo
	skopeo --insecure-policy copy -q "docker-archive:$lab/docker.tar" "docker-archive:$PWD/round.tar:round:1"
	run -0 kiln --root "$PWD/other" load -i round.tar
	equal "$(kiln --root "$PWD/other" inspect round:1 | jq -c '.[0].RootFS')" "$(kiln inspect sample:1 | jq -c '.[0].RootFS')"
	kiln --root "$PWD/other" system reset --force
}
