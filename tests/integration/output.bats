#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # lib.bash and bats set lab, output and status; $ is for Dockerfiles
# What kiln says and writes: progress, reports, exit statuses, -o, and the commands about images.

load lib
load image

setup_file() {
	new_lab
	import_base
}

teardown_file() {
	end_lab
}

# ---- progress ----

@test "plain progress is docker's: number, step, output with its time, CACHED, DONE, and everything on standard error" {
	dockerfile <<-'END'
		FROM base
		RUN echo first; echo second >&2; printf 'no newline'
		COPY --from=base /etc/passwd /p
		RUN printf '\033[31mred\033[0m\n'
	END
	kiln build --no-cache --progress=plain -t plain . >out 2>err
	equal "$(cat out)" ''
	sed -E 's/ [0-9]+\.[0-9]{3} / T /; s/DONE [0-9]+\.[0-9]s/DONE S/; s/sha256:[0-9a-f]{64}/ID/' err >shape
	equal "$(cat shape)" '#1 [1/4] FROM base
#1 CACHED

#2 [2/4] RUN echo first; echo second >&2; printf '"'no newline'"'
#2 T first
#2 T second
#2 T no newline
#2 DONE S

#3 [3/4] COPY --from=base /etc/passwd /p
#3 DONE S

#4 [4/4] RUN printf '"'\\033[31mred\\033[0m\\n'"'
#4 T '$'\033[31mred\033[0m''
#4 DONE S

#5 exporting to image
#5 writing image ID done
#5 naming to docker.io/library/plain:latest done
#5 DONE'
	build -t plain
	equal "$(steps CACHED)" 3
}

@test "no output is clipped: long lines, many lines, no newline, binary" {
	dockerfile <<-'END'
		FROM base
		RUN seq 100000; head -c 300000 /dev/zero | tr '\0' x; echo; printf 'a\0b\377\n'
	END
	kiln build --progress=plain . 2>err
	equal "$(grep -cE '^#2 [0-9.]+ [0-9]+$' err)" 100000
	equal "$(grep -aoE 'x{9,}' err | tr -d '\n' | wc -c)" 300000
	grep -qa $'\377' err
	dockerfile <<-'END'
		FROM base
		RUN head -c 20000 /dev/zero | tr '\0' y; echo; exit 1
	END
	run -1 kiln build -q .
	[ "$(grep -o y <<<"$output" | wc -l)" -ge 4000 ] || fail 'the last words are lost'
}

@test "json progress: an object a line" {
	dockerfile <<-'END'
		FROM base
		RUN printf 'a"b\n\001\377\n'; echo x >/json
		WORKDIR /w
	END
	kiln build --progress=json -t json . 2>lines
	jq -es 'length > 0 and all(type == "object")' lines >/dev/null
	equal "$(jq -r .event lines | tr '\n' ' ')" 'started cached started output output done started done image '
	equal "$(jq -s '.[3].text' lines)" '"a\"b"'
	equal "$(jq -rs '.[2].name' lines)" '[2/3] RUN printf '"'"'a"b\n\001\377\n'"'"'; echo x >/json'
	equal "$(jq -rs '.[-1].id' lines)" "$(image_id json)"
	equal "$(jq -s '[.[]|select(.event=="output")|.ms|type]|unique' -c lines)" '["number"]'
	run kiln build --progress=json -t json . 2>&1
	equal "$(jq -r .event <<<"$output" | tr '\n' ' ')" 'started cached started cached started cached image '
	printf 'FROM base\nRUN echo no; exit 3\n' >Dockerfile
	run -1 kiln build --progress=json .
	equal "$(head -n -1 <<<"$output" | jq -rs '.[-1]|[.event,.line,.text]|@json')" \
		'["failed",2,"process \"/bin/sh -c echo no; exit 3\" did not complete successfully: exit code: 3"]'
}

@test "quiet progress: the id on standard output, nothing else, but a failure is reported whole" {
	printf 'FROM base\nRUN echo noise\n' >Dockerfile
	kiln build -q -t quiet . >out 2>err
	equal "$(cat out)" "$(image_id quiet)"
	equal "$(cat err)" ''
	kiln build --progress=quiet . >out 2>err
	equal "$(cat out err)" "$(image_id quiet)"
	printf 'FROM base\nRUN echo noise; exit 9\n' >Dockerfile
	run -1 kiln build -q .
	equal "$output" '------
 > [2/2] RUN echo noise; exit 9:
noise
------
Dockerfile:2
--------------------
   1 |     FROM base
   2 | >>> RUN echo noise; exit 9
   3 |     
--------------------
kiln: process "/bin/sh -c echo noise; exit 9" did not complete successfully: exit code: 9'
	run -125 kiln build --progress=fancy .
	says 'invalid progress "fancy"'
}

# ---- failures ----

@test "a failure report: last lines, the marked lines, the exit status in words" {
	dockerfile <<-'END'
		FROM base
		# before
		RUN seq 5000 && \
		    echo last words && \
		    sh -c 'kill -9 $$'; exit $?
		RUN after
	END
	run -1 kiln build --progress=plain .
	output=$(grep -v '^#2 [0-9]' <<<"$output")
	# shellcheck disable=SC1003 # a backslash that ends a line of the Dockerfile
	says ' > [2/3] RUN seq 5000 &&     echo last words &&     sh -c ' 'Dockerfile:3' \
		'   3 | >>> RUN seq 5000 && \' '   5 | >>>     sh -c ' '   6 |     RUN after' 'exit code: 137'
	says '#2 ERROR: process'
	sed -n '/^------$/,/^------$/p' <<<"$output" >last-lines
	grep -qx 'last words' last-lines
	[ "$(grep -c '^[0-9]*$' last-lines)" -gt 100 ]
	[ "$(wc -c <last-lines)" -lt 20000 ]
}

@test "the name of the Dockerfile is the one that was given" {
	mkdir context
	printf 'FROM base\nRUN false\n' >my.docker
	run -1 kiln build -f my.docker context
	says 'my.docker:2'
	printf 'FROM base\nRUN false\n' >context/Containerfile
	run -1 kiln build context
	says 'Containerfile:2'
	run -1 kiln build -f - context <my.docker
	says 'Dockerfile:2'
	printf 'FROM base\nRUN true\n' >context/dockerfile
	kiln build -q context
}

@test "exit statuses: 1 for a build, 125 for the command line, each with words" {
	printf 'FROM base\n' >Dockerfile
	run -125 kiln build
	says '"kiln build" requires 1 argument' "See 'kiln build --help'"
	run -125 kiln build a b
	says '"kiln build" requires 1 argument'
	run -125 kiln build --no-cash .
	says 'unknown flag: --no-cash (did you mean --no-cache?)'
	run -125 kiln build --buildarg=x .
	says 'did you mean --build-arg?'
	run -125 kiln build -Z .
	says "unknown shorthand flag: 'Z' in -Z"
	run -125 kiln build -t
	says 'flag needs an argument: --tag'
	run -125 kiln build --no-cache=perhaps .
	says 'invalid argument "perhaps" for "--no-cache" flag'
	run -125 kiln build -t UPPER .
	says UPPER
	run -125 kiln build --network bridge .
	says bridge
	run -125 kiln biuld .
	says "'biuld' is not a kiln command (did you mean build?)"
	run -125 kiln --log-level loud build .
	says loud
	run -125 kiln --isolation none build .
	says none
	run -1 kiln build nowhere
	says 'unable to prepare context: path "nowhere" not found'
	run -1 kiln build Dockerfile
	says 'unable to prepare context: Dockerfile is not a directory'
	run -1 kiln build - </dev/null
	says 'the Dockerfile (Dockerfile) cannot be empty'
	mkdir empty
	run -1 kiln build empty
	says 'failed to read dockerfile' 'empty/Dockerfile: no such file or directory'
	run -1 kiln build -f missing .
	says 'failed to read dockerfile' missing
	: >nothing
	run -1 kiln build -f nothing .
	says 'cannot be empty'
	mkdir dir
	run -1 kiln build -f dir .
	says 'dir is not a file'
	run -0 kiln build --help
	says 'Usage: kiln build' --iidfile
	run -0 kiln --help
	says 'Build an image from a Dockerfile'
}

# ---- what a build writes ----

@test "--iidfile, several tags, --label" {
	printf 'FROM base\n' >Dockerfile
	build --iidfile id -t one:1 -t two/three:x --label l=v
	equal "$(cat id)" "$(image_id one:1)"
	equal "$(image_id two/three:x)" "$(image_id one:1)"
	says 'naming to docker.io/library/one:1 done' 'naming to docker.io/two/three:x done'
	run -1 kiln build --iidfile no/such/dir .
	says no/such/dir
}

@test "-o type=local and a bare directory: the files, owned by the caller" {
	dockerfile <<-'END'
		FROM scratch
		COPY --chown=1000:50 --chmod=u=rw,g=r,o= file /dir/file
		COPY --chmod=4755 file /setuid
		COPY link /
		COPY [ "file", "/two words" ]
	END
	echo data >file
	mkdir link
	ln -s nowhere link/l
	build -o type=local,dest=one
	equal "$(cd one && find . | sort | tr '\n' ' ')" '. ./dir ./dir/file ./l ./setuid ./two words '
	equal "$(stat -c '%u %a' one/dir/file)" "$(id -u) 640"
	equal "$(readlink one/l)" nowhere
	build -o two
	diff -r --no-dereference one two
	build -o two
	diff -r --no-dereference one two
	run -1 kiln build -o type=local,dest=file/x .
	says file/x
}

@test "-o type=tar and -: the root file system with its owners, in a file, a pipe, on standard output" {
	printf 'FROM scratch\nCOPY --chown=7:8 f /d/f\n' >Dockerfile
	echo data >f
	build -o type=tar,dest=a.tar
	equal "$(tar --numeric-owner -tvf a.tar | awk '{ print $1, $2, $6 }')" $'drwxr-xr-x 7/8 d/\n-rw-r--r-- 7/8 d/f'
	kiln build -q -o - . >b.tar
	cmp a.tar b.tar
	kiln build -q -o type=tar . >c.tar
	cmp a.tar c.tar
	kiln build --progress=plain -o type=tar,dest=- . 2>err | cmp - a.tar
	grep -q CACHED err
	mkfifo pipe
	cat pipe >d.tar 3>&- &
	build -o type=tar,dest=pipe
	wait $!
	cmp a.tar d.tar
	kiln build -q -o type=tar,dest=e.tar -o type=oci,dest=f.tar -o out . >/dev/null
	cmp a.tar e.tar
	equal "$(cat out/d/f)" data
	tar -tf f.tar | grep -qx oci-layout
}

@test "-o type=oci and docker: archives that load, with names or without" {
	printf 'FROM base\nRUN echo x >/x\nLABEL o=o\n' >Dockerfile
	build -o type=oci,dest=anonymous.tar --iidfile id
	equal "$(tar -xOf anonymous.tar index.json | jq '.manifests|length')" 1
	build -o type=oci,dest=named.tar -t n:1 -t n:2
	equal "$(tar -xOf named.tar index.json | jq -c '[.manifests[].annotations["io.containerd.image.name"]]')" \
		'["docker.io/library/n:1","docker.io/library/n:2"]'
	equal "$(tar -xOf named.tar index.json | jq -c '[.manifests[].annotations["org.opencontainers.image.ref.name"]]')" \
		'["1","2"]'
	equal "$(tar -xOf named.tar index.json | jq '[.manifests[].digest]|unique|length')" 1
	build -o type=docker,dest=docker.tar -t n:1
	equal "$(tar -xOf docker.tar manifest.json | jq -c '[.[0].RepoTags[]|endswith("n:1")]')" '[true]'
	build -o type=oci,tar=false,dest=layout -t n:1
	test -f layout/oci-layout
	kiln build -q -o type=docker,dest=- -t n:1 . | cmp - docker.tar
	local form
	for form in anonymous.tar named.tar docker.tar layout; do
		run -0 kiln --root "$PWD/other" load -i "$form"
		equal "$(kiln --root "$PWD/other" run "$(cat id)" cat /x)" x "$form"
		kiln --root "$PWD/other" system reset --force
	done
}

@test "-o: errors" {
	printf 'FROM base\n' >Dockerfile
	run -125 kiln build -o type=oic,dest=x .
	says 'unknown output type "oic"' 'did you mean oci?'
	run -125 kiln build -o dest=x .
	says 'type is required'
	run -125 kiln build -o type=local .
	says 'dest is required'
	run -125 kiln build -o type=oci,what=x .
	says 'unknown attribute "what"'
	run -1 kiln build -o type=oci,dest=no/such/x .
	says no/such
	run -1 kiln build -o type=tar,dest=/dev/full .
	says 'No space left on device'
}

# ---- images ----

@test "images, tag, rmi" {
	kiln import "$lab/base.tar" listed:1
	printf 'FROM base\nLABEL a=listed\n' >Dockerfile
	build -t listed:2
	kiln tag listed:2 example.org/other/listed
	run -0 kiln images listed
	equal "$(awk 'NR == 1 { print $1, $2, $3, $4 } NR > 1 { print $1, $2 }' <<<"$output" | sort)" \
		$'REPOSITORY TAG IMAGE ID\nlisted 1\nlisted 2'
	says "$(image_id listed:2 | cut -c 8-19)" MB
	run -0 kiln images --format json example.org/other/listed
	equal "$(jq -r '.Repository + " " + .Tag' <<<"$output")" 'example.org/other/listed latest'
	run -0 kiln images -q --no-trunc listed:2
	equal "$output" "$(image_id listed:2)"
	local id
	id=$(image_id listed:2)
	run -125 kiln rmi "${id#sha256:}"
	says 'several names'
	run -0 kiln rmi listed:2
	equal "$output" 'Untagged: listed:2'
	run -0 kiln rmi example.org/other/listed listed:1
	says 'Untagged: example.org/other/listed:latest' "Deleted: $id" 'Untagged: listed:1'
	run -1 kiln rmi listed:1
	says 'image "listed:1" is not in the store'
	run -0 kiln rmi -f listed:1
	run -1 kiln tag listed:1 x
	run -125 kiln tag base
	in_image base true
}

@test "an id, short or whole, is as good as a name" {
	printf 'FROM base\nRUN echo by id >/id\n' >Dockerfile
	local id
	id=$(kiln build -q .)
	in_image "$id" cat /id
	in_image "${id:7:12}" cat /id
	printf 'FROM %s\nRUN cat /id\n' "$id" >Dockerfile
	build
	says 'by id'
	kiln tag "${id:7:8}" from-id
	equal "$(image_id from-id)" "$id"
	run -0 kiln images
	says from-id
	run -0 kiln rmi "$id"
	says 'Untagged: from-id:latest' "Deleted: $id"
}

@test "history and inspect" {
	dockerfile <<-'END'
		FROM base
		ENV A="a long value that does not fit into the column of the table of the history"
		RUN dd if=/dev/zero of=/zeros bs=1000 count=1500 2>/dev/null
	END
	build -t told
	run -0 kiln history told
	equal "$(sed -E 's/  +/|/g; s/[0-9a-f]{12}/ID/; s/[0-9]+ seconds? ago|Less than a second ago|About a minute ago/AGO/' <<<"$output" | head -n 3)" \
		'IMAGE|CREATED|CREATED BY|SIZE|COMMENT
ID|AGO|RUN /bin/sh -c dd if=/dev/zero of=/zeros bs=…|1.5MB|buildkit.dockerfile.v0
<missing>|AGO|ENV A=a long value that does not fit into th…|0B|buildkit.dockerfile.v0'
	run -0 kiln history --no-trunc told
	says 'RUN /bin/sh -c dd if=/dev/zero of=/zeros bs=1000 count=1500 2>/dev/null # buildkit' "$(image_id told)"
	run -0 kiln history -q told
	equal "${#lines[@]}" 3
	run -0 kiln history --format json told
	equal "$(jq -cs '.[0]|[.Size,.Bytes]' <<<"$output")" '["1.5MB",1500000]'
	run -0 kiln history --human=false told
	equal "$(awk 'NR == 2 { print $NF, $(NF - 1); print $2 }' <<<"$output")" "buildkit.dockerfile.v0 1500000
$(kiln inspect told | jq -r '.[0].Created')"
	run -1 kiln history not-there
	says 'not in the store'
	run -0 kiln inspect told base
	equal "$(jq -r '.[].RepoTags[0]' <<<"$output")" $'told:latest\nbase:latest'
	equal "$(jq -c '.[0]|keys' <<<"$output")" \
		'["Architecture","Author","Config","Created","Id","Os","RepoTags","RootFS","Size"]'
	equal "sha256:$(kiln inspect --raw told | head -c -1 | sha256sum | cut -d ' ' -f 1)" "$(image_id told)"
	run -1 kiln inspect not-there
}

@test "import --change" {
	kiln import -c 'ENV A=1 B=$A' -c 'CMD echo hi' --change 'ENTRYPOINT ["/bin/sh", "-c"]' -c 'USER web' -c 'WORKDIR /w' \
		-c 'WORKDIR x' -c 'EXPOSE 80-81' -c 'LABEL l=m' -c 'VOLUME /v' -c 'STOPSIGNAL 9' -c 'HEALTHCHECK NONE' \
		-c 'SHELL ["/bin/ash"]' -c 'ONBUILD RUN x' -c 'MAINTAINER me' "$lab/base.tar" changed
	equal "$(config changed '[.author,.config]')" \
		'["me",{"ArgsEscaped":true,"Cmd":["/bin/sh","-c","echo hi"],"Entrypoint":["/bin/sh","-c"],"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","A=1","B="],"ExposedPorts":{"80/tcp":{},"81/tcp":{}},"Healthcheck":{"Test":["NONE"]},"Labels":{"l":"m"},"OnBuild":["RUN x"],"Shell":["/bin/ash"],"StopSignal":"9","User":"web","Volumes":{"/v":{}},"WorkingDir":"/w/x"}]'
	equal "$(config changed '.history|length')" 1
	local change
	for change in 'RUN true' 'COPY a b' 'FROM x' 'ARG a' 'ADD a b'; do
		run -125 kiln import -c "$change" "$lab/base.tar" changed
		says "--change $change"
	done
	run ! kiln import -c 'NONSENSE x' "$lab/base.tar" changed
	says NONSENSE
	SOURCE_DATE_EPOCH=1500000000 kiln import "$lab/base.tar" dated
	equal "$(config dated '[.created,.history[0].created]')" '["2017-07-14T02:40:00Z","2017-07-14T02:40:00Z"]'
}

# ---- run ----

@test "run: ENTRYPOINT and CMD and what takes their place" {
	printf 'FROM base\nENTRYPOINT ["echo", "e"]\nCMD ["c1", "c2"]\nWORKDIR /etc\nENV A=image\n' >Dockerfile
	build -t entry
	in_image entry
	equal "$output" 'e c1 c2'
	in_image entry x y
	equal "$output" 'e x y'
	in_image --entrypoint pwd entry
	equal "$output" /etc
	in_image --entrypoint env -e A=run -e B entry
	says A=run
	says_not B=
	B=outside in_image --entrypoint env -e B --env C= entry
	says A=image B=outside C=
	in_image --entrypoint= entry echo none
	equal "$output" none
	printf 'FROM base\nENTRYPOINT []\nCMD []\n' >Dockerfile
	build -t nothing
	run -125 kiln run nothing
	says 'no command given'
}

@test "run: exit statuses are the program's, 125 to 127 as docker has them" {
	run -0 kiln run base true
	run -42 kiln run base sh -c 'exit 42'
	run -137 kiln run base sh -c 'sh -c "kill -9 \$\$"; exit $?'
	run -127 kiln run base not-a-program
	says 'executable file not found in $PATH'
	run -127 kiln run base /not/there
	run -126 kiln run base /etc/passwd
	run -126 kiln run base /etc
	run -125 kiln run not-there true
	says 'not in the store'
	run -125 kiln run --no-such base true
	run -125 kiln run -u nobody-here base true
	says nobody-here
	run -125 kiln run -v /not/there:/x base true
	says /not/there
	run -125 kiln run -v relative base true
	says relative
}

@test "run: directory, user, volumes, network, terminal-less input" {
	in_image -w /new/dir base pwd
	equal "$output" /new/dir
	in_image -u web base sh -c 'id -un; echo $HOME; umask'
	equal "$output" $'web\n/home/web\n0022'
	in_image -u 4242:staff base sh -c 'id -u; id -g'
	equal "$output" $'4242\n50'
	in_image -u web base sh -c 'touch /etc/x 2>&1 || echo refused'
	says refused
	mkdir -p vol/sub
	echo v >vol/f
	in_image -v "$PWD/vol:/deep/mount" -v "$PWD/vol/f:/file:ro" base sh -c 'cat /deep/mount/f /file; touch /deep/mount/sub/new'
	equal "$output" $'v\nv'
	test -e vol/sub/new
	equal "$(stat -c %u vol/sub/new)" "$(id -u)"
	run -1 kiln run -v "$PWD/vol:/v:ro" base touch /v/x
	says 'Read-only file system'
	run -125 kiln run -v "$PWD/vol:/v:rx" base true
	says 'the mode is ro or rw'
	in_image --network none base sh -c 'ls /sys/class/net'
	equal "$output" lo
	equal "$(echo in | kiln run -i base cat)" in
	equal "$(echo in | kiln run base cat)" ''
	in_image base sh -c 'touch /gone; echo $$'
	equal "$output" 1
	run -1 kiln run base ls /gone
}

@test "run: signals to kiln reach the program, and one that does not handle them ends" {
	local signal pid status
	# A shell's background jobs ignore SIGINT, unless job control makes them jobs of their own.
	set -m
	for signal in TERM INT HUP; do
		"$KILN" run base sh -c 'echo ready; exec sleep 100' >out 2>&1 3>&- &
		pid=$!
		for _ in $(seq 100); do
			! grep -q ready out || break
			sleep 0.1
		done
		# The shell has handlers of its own until it has become the sleep.
		sleep 2
		kill "-$signal" "$pid"
		status=0
		wait "$pid" || status=$?
		equal "$status" "$((128 + $(kill -l $signal)))" "$signal"
	done
	set +m
	equal "$(processes_of_lab)" ''
}

@test "several names are as many entries of one digest in a layout" {
	printf 'FROM base\nRUN true\n' >Dockerfile
	run -0 kiln build -q -t one:1 -t two:2 -o type=oci,dest=layout.tar .
	mkdir layout
	tar -C layout -xf layout.tar
	equal "$(jq -r '.manifests[].annotations["io.containerd.image.name"]' layout/index.json)" 'docker.io/library/one:1
docker.io/library/two:2'
	equal "$(jq -r '.manifests[].annotations["org.opencontainers.image.ref.name"]' layout/index.json)" $'1\n2'
	equal "$(jq -r '.manifests[].digest' layout/index.json | sort -u | wc -l)" 1
}

@test "an interrupt ends a build that writes its result to somebody who does not read" {
	head -c 1000000 /dev/urandom >large
	printf 'FROM scratch\nCOPY large /\n' >Dockerfile
	mkfifo out
	# shellcheck disable=SC2217 # it only holds the pipe open
	sleep 60 <out 3>&- &
	local reader=$! status=0
	timeout -s INT -k 20 5 "$KILN" build --progress=plain -o type=tar,dest=out . || status=$?
	kill "$reader"
	equal "$status" 124 'ended by the signal, not killed (137)'
}
