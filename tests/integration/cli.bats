#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016,SC2034 # lib.bash and bats set lab, output, status and lines; $ is for Dockerfiles
# The command line of build: options of docker, buildx, buildah and kaniko, each by what it changes.

load lib
load image

setup_file() {
	new_lab
	import_base
	export DOCKER_CONFIG=$lab/docker
	unset BUILDKIT_PROGRESS DOCKER_DEFAULT_PLATFORM http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY
}

teardown_file() {
	end_lab
}

host_platform() {
	kiln inspect base | jq -r '.[0] | .Os + "/" + .Architecture'
}

# An architecture that this machine does not run.
foreign_platform() {
	[ "$(uname -m)" = s390x ] && echo linux/riscv64 || echo linux/s390x
}

# ran: how many steps ran; the export of the image is none.
ran() {
	awk '/^#[0-9]+ DONE [0-9]/ { count++ } END { print count + 0 }' <<<"$output"
}

# printed: what the RUN steps of the last build printed.
printed() {
	sed -n 's/^#[0-9]* [0-9]*\.[0-9]* //p' <<<"$output"
}

# ---- the parser of options ----

@test "flags: bundles, =value, values apart, --, and booleans as Go reads them" {
	printf 'FROM base\nARG A\nRUN echo "got $A"\n' >Dockerfile
	run -0 kiln build --progress plain --build-arg A=1 --no-cache=true --tag=flags:1 -tflags:2 -t flags:3 -t=flags:4 -- .
	says 'got 1'
	run -0 kiln images -q flags
	equal "${#lines[@]}" 4
	build --build-arg=A=1 --no-cache=F
	says CACHED
	run -0 kiln build -q=false --build-arg A=1 .
	says CACHED
	run -0 kiln build -qt flags:5 --build-arg A=1 .
	equal "$output" "$(image_id flags:5)"
	run -125 kiln build --no-cache=yes .
	says 'invalid argument "yes" for "--no-cache" flag'
	run -125 kiln build -qX .
	says "unknown shorthand flag: 'X' in -qX"
	run -125 kiln build --platfrom x .
	says 'unknown flag: --platfrom (did you mean --platform?)'
	run -125 kiln build --target
	says 'flag needs an argument: --target'
}

@test "aliases of the command: bud, buildx build, builder build, image and container words" {
	printf 'FROM base\n' >Dockerfile
	run -0 kiln bud -q -t alias:1 .
	run -0 kiln buildx build -q -t alias:2 .
	run -0 kiln builder build -q -t alias:3 .
	run -0 kiln image build -q -t alias:4 .
	run -0 kiln image ls -q alias
	equal "${#lines[@]}" 4
	run -0 kiln image rm alias:4
	says 'Untagged: alias:4'
	run -0 kiln image inspect alias:1
	run -0 kiln image tag alias:1 alias:9
	run -0 kiln container run --rm alias:9 echo in container
	equal "$output" 'in container'
	run -125 kiln buildx bake
	says "'buildx bake' is not a kiln command"
	run -125 kiln buidl .
	says "did you mean build?"
}

@test "one context: as argument, or as kaniko's --context, with a folder in it" {
	mkdir -p c/sub
	printf 'FROM base\nCOPY f /f\nRUN cat /f\n' >c/Dockerfile
	cp c/Dockerfile c/sub/
	echo top >c/f
	echo below >c/sub/f
	run -0 kiln build --progress=plain --context c
	says top
	run -0 kiln build --progress=plain --context "dir://$PWD/c" --context-sub-path sub
	says below
	run -0 kiln build --progress=plain --context c --dockerfile c/sub/Dockerfile --no-cache
	says top
	run -125 kiln build
	says '"kiln build" requires 1 argument'
	run -125 kiln build a b
	says '"kiln build" requires 1 argument'
	run -125 kiln build --context c c
	says 'the context is given twice'
}

@test "what is not to be had says why and what to do; what means nothing is ignored" {
	printf 'FROM base\n' >Dockerfile
	local option
	for option in --push --cgroup-parent=x --resource=memory=1g --policy=filename=p --manifest=m --all-platforms \
		--env=A=b --volume=/a:/b --device=/dev/fuse --cap-add=ALL --dns=1.1.1.1 --from=x --omit-history --sign-by=k; do
		run -1 kiln build "$option" .
		says "${option%%=*}: "
	done
	run -1 kiln build --push .
	says 'does not push' skopeo
	run -1 kiln build --provenance=mode=max .
	says 'makes no attestations' '--provenance=false'
	run -1 kiln build --sbom=true .
	says 'makes no attestations'
	run -1 kiln build --attest type=sbom .
	says 'makes no attestations'
	run -1 kiln build --allow security.insecure .
	says 'never gets more rights'
	run -125 kiln build --allow nonsense .
	says 'invalid entitlement'
	run -0 kiln build -q --provenance=false --sbom=false --attest type=provenance,disabled=true --allow network.host \
		--push=false --rm --force-rm --compress --load --disable-content-trust --layers --rewrite-timestamp \
		--no-push --cleanup --force --use-new-run --isolation default .
	equal "$(wc -l <<<"$output")" 1
	run -0 kiln build -q --memory 1g -m 1g --cpu-shares 2 -c 2 --cpuset-cpus 0 --builder default --snapshot-mode redo \
		--cache-repo r --registry-mirror m --verbosity debug --security-opt x --format docker --reproducible \
		--cache-from type=gha --cache-to type=inline -D .
	says '--memory is ignored: limits' '--snapshot-mode is ignored' '--builder is ignored: there is one builder' \
		'--cache-from type=gha is ignored' '--cache-to type=inline is ignored' '--format docker is ignored' '--debug is ignored'
	run -125 kiln build --format v9 .
	says 'unrecognized image type'
}

# ---- platform ----

@test "--platform: arguments, configuration and key are the platform's" {
	local host foreign
	host=$(host_platform)
	foreign=$(foreign_platform)
	dockerfile <<-'END'
		FROM --platform=$BUILDPLATFORM base AS build
		ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT BUILDPLATFORM BUILDARCH
		RUN echo "$TARGETPLATFORM $TARGETOS $TARGETARCH '$TARGETVARIANT' $BUILDPLATFORM $BUILDARCH" | tee /out
		FROM scratch
		COPY --from=build /out /out
	END
	build -t platform
	equal "$(printed)" "$host ${host%/*} ${host#*/} '' $host ${host#*/}"
	equal "$(config platform '.architecture')" "\"${host#*/}\""
	build --platform "$foreign" -t platform
	equal "$(printed)" "$foreign linux ${foreign#*/} '' $host ${host#*/}"
	equal "$(config platform '[.os,.architecture,.variant]')" "[\"linux\",\"${foreign#*/}\",null]"
	build --platform linux/arm/v6 -t platform
	equal "$(printed)" "linux/arm/v6 linux arm 'v6' $host ${host#*/}"
	equal "$(config platform '[.os,.architecture,.variant]')" '["linux","arm","v6"]'
	build --platform local -t platform
	equal "$(config platform '.architecture')" "\"${host#*/}\""
	DOCKER_DEFAULT_PLATFORM=linux/arm/v6 build -t platform
	equal "$(config platform '.variant')" '"v6"'
	build --os linux --arch arm --variant v6 -t platform:buildah
	equal "$(config platform:buildah '.variant')" '"v6"'
	build --custom-platform linux/arm/v6 -t platform:kaniko
	equal "$(image_id platform:kaniko)" "$(image_id platform:buildah)"
	sed -i 's|COPY --from=build /out /out|COPY Dockerfile /|' Dockerfile
	build --platform 'linux(6.1)/arm64' -t platform
	equal "$(config platform '.["os.version"]')" '"6.1"'
}

@test "--platform: several, nonsense" {
	printf 'FROM base\n' >Dockerfile
	run -1 kiln build --platform linux/amd64,linux/arm64 .
	says 'several platforms (linux/amd64, linux/arm64)' 'one by one'
	run -1 kiln build --platform linux/amd64 --platform linux/arm64 .
	says 'several platforms'
	run -0 kiln build -q --platform "$(host_platform),local" .
	run -125 kiln build --platform nonsense .
	says 'invalid platform "nonsense"'
	run -125 env DOCKER_DEFAULT_PLATFORM=nonsense "$KILN" build .
	says DOCKER_DEFAULT_PLATFORM
}

@test "a RUN of a foreign architecture without an emulator is an error before anything runs" {
	local foreign
	foreign=$(foreign_platform)
	[ -z "$(find /proc/sys/fs/binfmt_misc -iname "qemu-${foreign#*/}*" 2>/dev/null)" ] || cannot_run "there is an emulator"
	kiln import --platform "$foreign" "$lab/base.tar" foreign
	equal "$(config foreign .architecture)" "\"${foreign#*/}\""
	dockerfile <<-END
		FROM base AS first
		RUN echo this must not run
		FROM foreign
		COPY --from=first /bin/busybox /x
		RUN echo neither this
	END
	run -1 kiln build --progress=plain --platform "$foreign" .
	says "stage stage-1 has a RUN for $foreign" qemu-user-static 'FROM --platform=$BUILDPLATFORM' 'Dockerfile:5'
	says_not '#1 [' 'this must not run"'
	sed -i '/neither/d' Dockerfile
	build --platform "$foreign"
	printf 'FROM --platform=%s scratch AS s\nFROM s\nCOPY Dockerfile /\nRUN ["/x"]\n' "$foreign" >Dockerfile
	run -1 kiln build .
	says "has a RUN for $foreign"
	printf 'FROM base\nONBUILD RUN true\n' >Dockerfile
	build -t trigger
	printf 'FROM scratch\nCOPY Dockerfile /\n' >Dockerfile
	build --platform "$foreign"
}

# ---- the cache ----

@test "--no-cache-filter: the steps of these stages run, in any case of the name; the unnamed too" {
	dockerfile <<-'END'
		FROM base AS Alpha
		RUN echo "alpha $(od -An -N8 -tx1 /dev/urandom)" >/a
		FROM base AS beta
		RUN echo beta >/b
		FROM base
		COPY --from=alpha /a /a
		COPY --from=beta /b /b
		RUN echo last
	END
	build -t filter
	build -t filter
	equal "$(ran)" 0
	build --no-cache-filter ALPHA -t filtered
	equal "$(ran)" 4
	says 'alpha 2/2] RUN' 'stage-2 2/4] COPY'
	differ "$(kiln run filter cat /a)" "$(kiln run filtered cat /a)" 'the new file is taken'
	build -t again
	equal "$(ran)" 0
	equal "$(image_id again)" "$(image_id filtered)"
	build --no-cache-filter beta
	equal "$(ran)" 1
	build --no-cache-filter alpha,beta
	equal "$(ran)" 5
	build --no-cache-filter alpha --no-cache-filter beta
	equal "$(ran)" 5
	build --no-cache-filter ''
	equal "$(ran)" 3
	build --no-cache-filter alhpa
	says '--no-cache-filter alhpa: there is no stage of this name (did you mean alpha?)'
	equal "$(ran)" 0
	printf 'FROM base AS a\nRUN od -An -N8 -tx1 /dev/urandom >/r\nFROM a\nRUN cat /r >/copy\n' >Dockerfile
	build -t one
	build --no-cache-filter a -t two
	equal "$(ran)" 2
	equal "$(kiln run two cat /r)" "$(kiln run two cat /copy)"
	differ "$(kiln run one cat /r)" "$(kiln run two cat /copy)"
	run -125 kiln build --no-cache --no-cache-filter alpha .
	says '--no-cache and --no-cache-filter cannot currently be used together'
	build --no-cache-filter a --explain
	says 'MISS: --no-cache-filter names its stage'
}

@test "--cache=false is --no-cache" {
	printf 'FROM base\nRUN echo cached\n' >Dockerfile
	build
	build --cache
	equal "$(steps CACHED)" 1
	build --cache=false
	equal "$(ran)" 1
}

@test "--pull: missing, never and always, as docker's flag and as podman's word" {
	printf 'FROM base\n' >Dockerfile
	local value
	for value in --pull=missing --pull=false --pull=never --pull=ifmissing; do
		run -0 kiln build -q "$value" .
	done
	for value in --pull --pull=true --pull=always --pull=newer; do
		run -1 kiln build "$value" .
		says 'base cannot be pulled' 'does not fetch from registries' 'without --pull'
	done
	run -125 kiln build --pull=sometimes .
	says 'invalid value "sometimes" for --pull'
	printf 'FROM not-there\n' >Dockerfile
	run -1 kiln build --pull=never .
	says 'image not-there is not in the store, and --pull=never fetches none'
	printf 'FROM scratch\nCOPY --from=not-there /x /\n' >Dockerfile
	run -1 kiln build --pull .
	says 'not-there cannot be pulled'
	kiln save --format oci-dir -o layout base
	printf 'FROM oci:layout:latest\n' >Dockerfile
	run -0 kiln build -q --pull .
}

# ---- stages ----

@test "--skip-unused-stages=false builds what the target does not need, --jobs 1 one step at a time" {
	dockerfile <<-'END'
		FROM base AS unused
		RUN echo was here; false
		FROM base AS wanted
		RUN echo fine
	END
	build --skip-unused-stages --target wanted
	run -1 kiln build --progress=plain --skip-unused-stages=false --target wanted .
	says 'was here' 'exit code: 1'
	dockerfile <<-'END'
		FROM base AS a
		RUN echo start a; sleep 1; echo end a
		FROM base AS b
		RUN echo start b; sleep 1; echo end b
		FROM scratch
		COPY --from=a /etc/passwd /a
		COPY --from=b /etc/passwd /b
	END
	build --jobs 1 --no-cache
	equal "$(printed)" $'start a\nend a\nstart b\nend b'
	run -125 kiln build --jobs many .
	says '--jobs'
}

@test "--target: any case, a suggestion, no index" {
	dockerfile <<-'END'
		FROM base AS Build
		LABEL s=build
		FROM base
		LABEL s=last
	END
	build --target BUILD -t target
	equal "$(config target .config.Labels.s)" '"build"'
	build --target '' -t target
	equal "$(config target .config.Labels.s)" '"last"'
	run ! kiln build --target buidl .
	says 'target stage "buidl" could not be found (did you mean build?)'
	run ! kiln build --target 0 .
	says 'target stage "0" could not be found'
}

# ---- squash ----

@test "--squash: one layer above the base, the history as docker leaves it" {
	dockerfile <<-'END'
		FROM base
		RUN echo one >/one && mkdir /d && echo d >/d/f
		RUN rm /etc/os-release /one && echo two >/two
		ENV A=b
		RUN rm -r /d && ln /two /link
	END
	build -t plain
	build --squash -t squashed
	equal "$(diff_ids plain | wc -l) $(diff_ids squashed | wc -l)" '4 2'
	equal "$(diff_ids squashed | head -n 1)" "$(diff_ids base)"
	tree plain /etc/os-release /one /d /two /link
	equal "$(tree plain /etc /two /link /root; echo "$output")" "$(tree squashed /etc /two /link /root; echo "$output")"
	in_image squashed sh -c 'ls -a / /etc; stat -c %i /two /link'
	says_not one os-release
	equal "$(tail -n 2 <<<"$output" | sort -u | wc -l)" 1
	equal "$(config squashed '[.history[]|select(.empty_layer|not)]|length')" 2
	equal "$(config squashed '[.history[]|.created_by]|length')" "$(($(config plain '.history|length') + 1))"
	equal "$(config squashed '.history[-1].comment')" "\"merge $(image_id plain) to $(image_id base)\""
	equal "$(config squashed '.history[-1].created_by')" null
	equal "$(config squashed .config.Env[1])" '"A=b"'
	local id
	id=$(image_id squashed)
	build --squash -t squashed
	equal "$(image_id squashed)" "$id" 'all cached, the same image'
	build --single-snapshot -t squashed:kaniko
	equal "$(image_id squashed:kaniko)" "$id"
	run -0 kiln save --format docker-archive -o s.tar squashed
	run -0 kiln system verify
}

@test "--squash: of scratch, of a stage on a stage, of one layer and of none" {
	dockerfile <<-'END'
		FROM scratch AS a
		COPY Dockerfile /1
		COPY Dockerfile /2
		FROM a
		COPY Dockerfile /3
	END
	build -t plain
	build --squash -t squashed
	equal "$(diff_ids squashed | wc -l)" 1
	equal "$(config squashed '.history[-1].comment')" "\"create new from $(image_id plain)\""
	build --squash -o out
	equal "$(cd out && echo *)" '1 2 3'
	printf 'FROM base\nRUN echo x >/x\n' >Dockerfile
	build -t plain
	build --squash -t squashed
	equal "$(diff_ids squashed)" "$(diff_ids plain)"
	differ "$(image_id squashed)" "$(image_id plain)"
	printf 'FROM base\n' >Dockerfile
	build --squash -t squashed
	equal "$(diff_ids squashed)" "$(diff_ids base)"
	printf 'FROM base\nRUN echo x >/x\nRUN rm /etc/group; echo y >/y\n' >Dockerfile
	SOURCE_DATE_EPOCH=1500000000 build --squash -t squashed
	equal "$(config squashed '[.created,.history[-1].created]')" '["2017-07-14T02:40:00Z","2017-07-14T02:40:00Z"]'
	local id view
	id=$(image_id squashed)
	for view in overlay copy; do
		SOURCE_DATE_EPOCH=1500000000 build --view "$view" --no-cache --squash -t "squashed:$view"
		equal "$(image_id "squashed:$view")" "$id" "$view"
	done
}

# ---- annotations ----

@test "--annotation: on the manifest, that the image keeps; on the entry that points to it" {
	printf 'FROM base\nRUN echo x >/x\n' >Dockerfile
	build -t annotated --annotation b=2 --annotation manifest:a=1,5 --annotation "manifest[$(host_platform)]:h=here" \
		--annotation "manifest[$(foreign_platform)]:f=there" --annotation manifest-descriptor:d=entry \
		-o type=oci,dest=a.tar
	tar -xf a.tar
	equal "$(jq -c .annotations "blobs/sha256/$(jq -r '.manifests[0].digest[7:]' index.json)")" \
		'{"a":"1,5","b":"2","h":"here"}'
	equal "$(jq -c '.manifests[0].annotations' index.json)" \
		'{"d":"entry","io.containerd.image.name":"docker.io/library/annotated:latest","org.opencontainers.image.ref.name":"latest"}'
	kiln save --format oci-dir -o later annotated
	equal "$(jq -r '.manifests[0].digest' later/index.json)" "$(jq -r '.manifests[0].digest' index.json)"
	build -t annotated
	kiln save --format oci-dir -o without annotated
	differ "$(jq -r '.manifests[0].digest' without/index.json)" "$(jq -r '.manifests[0].digest' index.json)"
	equal "$(jq -c .annotations "without/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' without/index.json)")" null
	build -o 'type=oci,dest=b.tar,annotation.x=1,"annotation-manifest.y=2,3",Annotation-Manifest-Descriptor.z=4'
	mkdir b && tar -xf b.tar -C b
	equal "$(jq -c .annotations "b/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' b/index.json)")" '{"x":"1","y":"2,3"}'
	equal "$(jq -c '.manifests[0].annotations' b/index.json)" '{"z":"4"}'
	run -125 kiln build --annotation index:a=b .
	says 'index annotations not supported for single platform export'
	run -125 kiln build --annotation nothing .
	says 'invalid annotation "nothing", expected key=value'
	run -125 kiln build --annotation manfest:a=b .
	says 'unknown annotation type "manfest"'
	run -0 skopeo inspect --raw oci:b
}

# ---- what tells of the image ----

@test "--metadata-file: buildx's keys" {
	printf 'FROM base\nRUN echo x >/x\n' >Dockerfile
	build -t meta:1 -t example.org/meta:2 --metadata-file meta.json -o type=oci,dest=m.tar --annotation manifest-descriptor:d=e
	equal "$(jq -c keys meta.json)" \
		'["containerimage.config.digest","containerimage.descriptor","containerimage.digest","image.name"]'
	equal "$(jq -r '.["image.name"]' meta.json)" docker.io/library/meta:1,example.org/meta:2
	equal "$(jq -r '.["containerimage.config.digest"]' meta.json)" "$(image_id meta:1)"
	tar -xf m.tar
	equal "$(jq -r '.["containerimage.digest"]' meta.json)" "$(jq -r '.manifests[0].digest' index.json)"
	equal "$(jq -c '.["containerimage.descriptor"]|[.digest,.mediaType,.size]' meta.json)" \
		"$(jq -c '.manifests[0]|[.digest,.mediaType,.size]' index.json)"
	equal "$(jq -c '.["containerimage.descriptor"].annotations' meta.json)" \
		"{\"config.digest\":\"$(image_id meta:1)\",\"d\":\"e\",\"org.opencontainers.image.created\":$(config meta:1 .created)}"
	build --metadata-file meta.json -o out
	equal "$(cat meta.json)" '{}'
	echo old >meta.json
	printf 'FROM base\nRUN false\n' >Dockerfile
	run -1 kiln build --metadata-file meta.json .
	test ! -e meta.json
}

@test "--iidfile and kaniko's digest files" {
	printf 'FROM base\nRUN echo x >/x\n' >Dockerfile
	build -t iid:1 -t example.org/a/iid --iidfile id --iidfile-raw raw --digest-file digest \
		--image-name-with-digest-file names --image-name-tag-with-digest-file tags
	equal "$(cat id)" "$(image_id iid:1)"
	equal "sha256:$(cat raw)" "$(cat id)"
	equal "$(wc -c <id)" 71
	kiln save --format oci-dir -o layout iid:1
	equal "$(cat digest)" "$(jq -r '.manifests[0].digest' layout/index.json)"
	equal "$(cat names)" "docker.io/library/iid@$(cat digest)
example.org/a/iid@$(cat digest)"
	equal "$(cat tags)" "docker.io/library/iid:1@$(cat digest)
example.org/a/iid:latest@$(cat digest)"
	run -125 kiln build --iidfile id -o out .
	says 'local and tar exporters are incompatible with image ID file'
	build --iidfile id -o out -o type=image
	equal "$(cat id)" "$(image_id iid:1)"
	printf 'FROM base\nRUN false\n' >Dockerfile
	run -1 kiln build --iidfile id .
	test ! -e id
}

# ---- outputs ----

@test "-o: fields as buildx reads them, names of the output, several" {
	printf 'FROM base\nRUN echo x >/x\n' >Dockerfile
	build -o 'type=oci,"dest=with, comma.tar","name=one:1,two:2"'
	equal "$(tar -xOf 'with, comma.tar' index.json | jq -c '[.manifests[].annotations["io.containerd.image.name"]]')" \
		'["docker.io/library/one:1","docker.io/library/two:2"]'
	run -1 kiln inspect one:1
	build -o 'TYPE=oci, Dest=x.tar,name=one:1' -t three
	equal "$(tar -xOf x.tar index.json | jq -c '[.manifests[].annotations["io.containerd.image.name"]]')" \
		'["docker.io/library/three:latest"]'
	build -o 'type=image,"name=four:4,five:5",push=false,oci-mediatypes=true,compression=gzip,unpack=true'
	equal "$(image_id four:4)" "$(image_id five:5)"
	build -o type=docker,name=six
	kiln inspect six >/dev/null
	build --load -t seven
	kiln inspect seven >/dev/null
	build -o type=tar,dest=t.tar -o type=oci,dest=o.tar -o type=docker,dest=d.tar -o type=oci,tar=false,dest=l -o local -t eight
	test -s t.tar -a -s o.tar -a -s d.tar -a -e l/index.json -a -e local/x
	kiln inspect eight >/dev/null
	build -t "oci:$PWD/layout:tag" -t "oci:$PWD/layout:other" -t "oci-archive:$PWD/a.tar" -t "docker-archive:$PWD/da.tar:nine:9"
	equal "$(jq -c '[.manifests[].annotations["org.opencontainers.image.ref.name"]]' layout/index.json)" '["tag","other"]'
	tar -tf a.tar | grep -qx oci-layout
	equal "$(tar -xOf da.tar manifest.json | jq -c '.[0].RepoTags')" '["docker.io/library/nine:9"]'
	build --tar-path k.tar --oci-layout-path kl --destination ten
	equal "$(tar -xOf k.tar manifest.json | jq -c '.[0].RepoTags')" '["docker.io/library/ten:latest"]'
	test -e kl/index.json
}

@test "-o: errors, conflicts, and what kiln does not write" {
	printf 'FROM base\n' >Dockerfile
	run -125 kiln build -o 'type=oci,dest="x"' .
	says 'bare " in non-quoted-field'
	run -125 kiln build -o type=oci,x .
	says 'invalid value x in --output'
	run -125 kiln build -o type=oci,dest=a -o type=docker,dest=./a .
	says 'two outputs write to ./a'
	run -125 kiln build -o - -o type=oci .
	says 'two outputs write to standard output'
	run -125 kiln build -o type=local,dest=- .
	says 'dest cannot be stdout'
	mkdir dir
	run -125 kiln build -o type=oci,dest=dir .
	says 'dir is a directory'
	run -125 kiln build -o type=local,dest=Dockerfile .
	says 'Dockerfile is not a directory'
	run -1 kiln build -o type=registry .
	says 'does not push'
	run -1 kiln build -o type=image,push=true,name=x .
	says 'does not push'
	run -1 kiln build -o type=oci,dest=x,compression=zstd .
	says 'compression=zstd is not to be had: layers leave kiln as gzip'
	run -1 kiln build -o type=oci,dest=x,oci-mediatypes=false .
	says skopeo
	run -125 kiln build -o type=oci,dest=x,name=UPPER .
	says 'must be lowercase'
	run -125 kiln build -t UPPER .
	says 'invalid tag "UPPER"' 'must be lowercase'
	run -125 kiln build -t "a@sha256:$(printf '%064d' 0)" .
	says 'refusing to create a tag with a digest reference'
	run -125 kiln build -o type=oci,dest=x,tar=perhaps .
	says 'neither true nor false'
	run -125 kiln build -o type=oci,source-date-epoch=1,dest=a -o type=oci,source-date-epoch=2,dest=b .
	says 'two different source-date-epoch'
}

@test "-o local, tar and cacheonly leave no image in the store; mode=delete empties the directory" {
	local before
	before=$(kiln images -q --no-trunc | sort -u)
	printf 'FROM base\nRUN echo only here >/only\n' >Dockerfile
	build -o type=cacheonly
	build -o out
	build -o type=tar,dest=x.tar
	equal "$(kiln images -q --no-trunc | sort -u)" "$before"
	says CACHED
	echo mine >out/mine
	mkdir -p out/sub/deep
	build -o type=local,dest=out
	test -e out/mine
	build -o type=local,dest=out,mode=delete
	test ! -e out/mine -a ! -e out/sub -a -e out/only
	mkdir elsewhere && echo mine >elsewhere/mine
	cd out
	cp ../Dockerfile .
	run -125 kiln build -o type=local,dest=../elsewhere,mode=delete .
	says 'which is not below the current directory' '--allow buildx.local.delete'
	test -e ../elsewhere/mine
	run -0 kiln build -q -o type=local,dest=../elsewhere,mode=delete --allow buildx.local.delete .
	test ! -e ../elsewhere/mine -a -e ../elsewhere/only
	run -125 kiln build -o type=local,dest=x,mode=move .
	says 'the mode is copy or delete'
}

@test "the epoch: as output attribute and as buildah's options" {
	printf 'FROM scratch\nCOPY Dockerfile /\n' >Dockerfile
	SOURCE_DATE_EPOCH=1500000000 build -t epoch
	local id
	id=$(image_id epoch)
	build -t epoch:1 --source-date-epoch 1500000000
	build -t epoch:2 --timestamp 1500000000
	build -t epoch:3 -o type=image,source-date-epoch=1500000000,rewrite-timestamp=true
	build -t epoch:4 --build-arg SOURCE_DATE_EPOCH=1500000000 --source-date-epoch 7
	local tag
	for tag in 1 2 3 4; do
		equal "$(image_id "epoch:$tag")" "$id" "epoch:$tag"
	done
}

# ---- values that steps see ----

@test "--build-arg without a value, proxies of the environment and of docker's configuration" {
	printf 'FROM base\nARG A\nRUN echo "A=${A-unset}"; env | grep -i _proxy | sort\n' >Dockerfile
	A=outside build --build-arg A
	says A=outside
	build --build-arg A
	says A=unset
	HTTP_PROXY=http://env build
	says_not http://env
	HTTP_PROXY=http://env no_proxy=n build --http-proxy --no-cache
	equal "$(printed)" $'A=unset\nHTTP_PROXY=http://env\nNO_PROXY=n\nhttp_proxy=http://env\nno_proxy=n'
	mkdir -p "$DOCKER_CONFIG"
	echo '{"proxies":{"default":{"httpProxy":"http://config","noProxy":"10.0.0.0/8"}}}' >"$DOCKER_CONFIG/config.json"
	build --no-cache --build-arg NO_PROXY=mine -t proxied
	equal "$(printed)" $'A=unset\nHTTP_PROXY=http://config\nNO_PROXY=mine\nhttp_proxy=http://config\nno_proxy=10.0.0.0/8'
	equal "$(kiln inspect --raw proxied | grep -c http://config)" 0
	echo broken >"$DOCKER_CONFIG/config.json"
	run -0 kiln build -q .
	says config.json
	rm -r "$DOCKER_CONFIG"
}

@test "BUILDKIT_SANDBOX_HOSTNAME is the step's host name, and in its key" {
	printf 'FROM base\nRUN hostname\n' >Dockerfile
	build
	equal "$(printed)" buildkitsandbox
	build --build-arg BUILDKIT_SANDBOX_HOSTNAME=other.example
	equal "$(printed)" other.example
	build --build-arg BUILDKIT_SANDBOX_HOSTNAME=other.example
	equal "$(steps CACHED)" 1
	build
	equal "$(steps CACHED)" 1
}

@test "--ignorefile is read instead of .dockerignore" {
	printf 'FROM scratch\nCOPY . /\n' >Dockerfile
	touch a b
	echo a >.dockerignore
	echo b >other
	build -o one
	test ! -e one/a -a -e one/b
	rm -r one
	build --ignorefile other -o two
	test -e two/a -a ! -e two/b
	run ! kiln build --ignorefile not-there .
	says not-there
}

@test "--label: several, an empty value, over the file's" {
	printf 'FROM base\nLABEL a=file b=file\n' >Dockerfile
	build --label a=option --label c --label d=x=y -t labelled
	equal "$(config labelled .config.Labels)" '{"a":"option","b":"file","c":"","d":"x=y"}'
	equal "$(config labelled '[.history[]|select(.comment=="buildkit.dockerfile.v0")]|length')" 1
	run -125 kiln build --label =x .
	says '--label'
}

# ---- progress ----

@test "--progress: words, BUILDKIT_PROGRESS, and rawjson is BuildKit's" {
	printf 'FROM base\nRUN printf "out \\377\\n"; echo err >&2; exit 3\n' >Dockerfile
	local word
	for word in auto tty plain; do
		run -1 kiln build --progress "$word" .
		says '#2 [2/2] RUN'
	done
	run -1 kiln build --progress none .
	says_not '#2 [2/2] RUN'
	run -125 kiln build --progress fancy .
	says 'invalid progress "fancy"'
	run -1 env BUILDKIT_PROGRESS=json "$KILN" build .
	equal "$(head -n 1 <<<"$output" | jq -r .event)" started
	run -1 env BUILDKIT_PROGRESS=json "$KILN" build --progress plain .
	says '#2 [2/2] RUN'
	run -1 --separate-stderr kiln build --progress rawjson .
	grep -v '^kiln: ' <<<"$stderr" >lines
	equal "$(jq -cs '[.[]|keys[]]|unique' lines)" '["logs","vertexes"]'
	equal "$(jq -rs '[.[].vertexes[]?.digest]|unique|length' lines)" 2
	equal "$(jq -rs '[.[].logs[]?.data]|join(" ")' lines)" "$(printf 'out \377\n' | base64) $(echo err | base64)"
	equal "$(jq -rs '.[-1].vertexes[0]|[.name,.error]|@json' lines)" \
		'["[2/2] RUN printf \"out \\377\\n\"; echo err >&2; exit 3","process \"/bin/sh -c printf \"out \\377\\n\"; echo err >&2; exit 3\" did not complete successfully: exit code: 3"]'
	equal "$(jq -rs '[.[].vertexes[]?|select(.name|startswith("[2/2]"))|.started]|unique|length' lines)" 1
	jq -es '[.[].vertexes[]?|.started,(.completed//empty)] | all(sub("[.][0-9]+"; "") | fromdateiso8601 > 1500000000)' lines
	printf 'FROM base\nRUN echo x\nFROM base\nRUN echo x\n' >Dockerfile
	kiln build -q . >/dev/null
	run -0 --separate-stderr kiln build --progress rawjson --no-cache-filter no-such .
	equal "$(jq -rs '[.[].vertexes[]?|select(.completed)|.cached]|unique|@json' <<<"$stderr")" '[true]'
	equal "$(jq -rs '[.[].warnings[]?.short|@base64d]|.[0]' <<<"$stderr")" \
		'--no-cache-filter no-such: there is no stage of this name'
}

@test "--progress=json: each event is an object, and the last one is the image" {
	printf 'FROM base\nRUN echo x\n' >Dockerfile
	run -0 --separate-stderr kiln build --progress json -t json:1 -t json:2 .
	equal "$(jq -cs '.[-1]' <<<"$stderr")" \
		"{\"event\":\"image\",\"id\":\"$(image_id json:1)\",\"names\":[\"docker.io/library/json:1\",\"docker.io/library/json:2\"]}"
	run -0 --separate-stderr kiln build --progress json -o out .
	equal "$(jq -rs '.[-1].event' <<<"$stderr")" cached
}
