#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # lib.bash and bats set lab, output and status
# The thin road: an image comes in, a Dockerfile is built on it, the result runs, leaves and comes back.

load lib

setup_file() {
	new_lab
	import_base
}

teardown_file() {
	end_lab
}

@test "version says the version" {
	run -0 kiln version
	[[ "$output" =~ [0-9]+\.[0-9]+\.[0-9]+ ]]
}

@test "an image is imported from a file, a pipe and a directory" {
	run -0 kiln images
	says base latest
	kiln import - piped:1 <"$lab/base.tar"
	equal "$(diff_ids base)" "$(diff_ids piped:1)" "the same tar gives the same layer"
	kiln import --change 'ENV A=b' --change 'CMD ["echo","hello"]' "$lab/rootfs" folder
	in_image folder
	equal "$output" hello
	in_image folder sh -c 'echo $A'
	equal "$output" b
}

@test "a Dockerfile is built and its image runs" {
	echo 'from the context' >file
	dockerfile <<-'END'
		FROM base
		ENV WHO=world
		WORKDIR /app
		COPY file .
		RUN echo "hello $WHO" >made && cat file >>made
		USER web
		ENTRYPOINT ["cat"]
		CMD ["made"]
	END
	build -t app
	says 'COPY file .' 'RUN echo "hello $WHO" >made' DONE
	in_image app
	equal "$output" $'hello world\nfrom the context'
	in_image --entrypoint id app -u
	equal "$output" 1000
}

@test "a second build of the same is cached and is the same image" {
	dockerfile <<-'END'
		FROM base
		RUN date +%s%N >/when
		RUN echo two >/two
	END
	build -t again
	local first
	first=$(image_id again)
	build -t again
	equal "$(steps CACHED)" 2
	equal "$first" "$(image_id again)"
}

@test "a failed step keeps what was built, and the next run resumes there" {
	dockerfile <<-'END'
		FROM base
		RUN date +%s%N >/one
		RUN ech two >/two
		RUN echo three >/three
	END
	run -1 kiln build --progress=plain -t broken .
	says 'RUN ech two' 'not found' '>>> RUN ech two' 127
	sed -i 's/ech two/echo two/' Dockerfile
	build -t broken
	equal "$(steps CACHED)" 1 "only the step before the broken one is cached"
	build -t broken
	equal "$(steps CACHED)" 3
	echo 'RUN echo four >/four' >>Dockerfile
	build -t broken
	equal "$(steps CACHED)" 3 "a step that is added leaves the others cached"
}

@test "a failed build ends with the lines around the step, its status and its last output" {
	dockerfile <<-'END'
		FROM base
		RUN echo before
		RUN echo last words; exit 7
		RUN echo after
	END
	run -1 kiln build --progress=plain .
	says 'last words' 'exit code: 7' 'Dockerfile:3' '>>> RUN echo last words; exit 7'
}

@test "history shows a row per layer with its size" {
	dockerfile <<-'END'
		FROM base
		RUN dd if=/dev/zero of=/million bs=1000 count=1000 2>/dev/null
		CMD ["true"]
	END
	build -t sized
	run -0 kiln history sized
	says IMAGE 'CREATED BY' SIZE 1MB 0B
	run -0 kiln history --no-trunc --format json sized
	equal "$(jq -s 'map(select(.Bytes == 1000000)) | length' <<<"$output")" 1
	equal "$(jq -rs '.[0].CreatedBy' <<<"$output")" 'CMD ["true"]'
}

@test "inspect prints what was configured" {
	dockerfile <<-'END'
		FROM base
		LABEL a=1 b="two words"
		ENV X=y
		EXPOSE 80/tcp 53/udp
		VOLUME /data
		USER web:staff
		STOPSIGNAL SIGUSR1
		HEALTHCHECK --interval=5s CMD true
		ENTRYPOINT ["/bin/entry"]
		CMD ["arg"]
		WORKDIR /w
	END
	build -t configured --label c=3
	run -0 kiln inspect configured
	local config
	config=$(jq -c '.[0].Config' <<<"$output")
	equal "$(jq -cS '.Labels' <<<"$config")" '{"a":"1","b":"two words","c":"3"}'
	equal "$(jq -cS '.ExposedPorts|keys' <<<"$config")" '["53/udp","80/tcp"]'
	equal "$(jq -c '[.User,.StopSignal,.WorkingDir,.Entrypoint,.Cmd,(.Volumes|keys)]' <<<"$config")" \
		'["web:staff","SIGUSR1","/w",["/bin/entry"],["arg"],["/data"]]'
	equal "$(jq -c '.Healthcheck' <<<"$config")" '{"Test":["CMD-SHELL","true"],"Interval":5000000000}'
}

@test "tag and rmi" {
	dockerfile <<-'END'
		FROM base
		RUN echo x >/tagged
	END
	build -t first:1
	kiln tag first:1 second:2
	run -0 kiln images
	says first second
	run -0 kiln rmi first:1
	says Untagged
	run -0 kiln run second:2 cat /tagged
	run -0 kiln rmi second:2
	says Deleted
	run ! kiln run second:2 true
	says 'not in the store'
	run ! kiln rmi never-there
}

@test "an image leaves in each form and comes back the same" {
	dockerfile <<-'END'
		FROM base
		RUN echo kept >/kept && rm /etc/os-release && ln /kept /linked
		CMD ["cat", "/kept"]
	END
	build -t travels:1
	local id
	id=$(image_id travels:1)
	kiln save --format oci-archive -o out.oci.tar travels:1
	kiln save --format docker-archive -o out.docker.tar travels:1
	kiln save --format oci-dir -o out.dir travels:1
	kiln save travels:1 >out.stdout.tar
	gzip -k out.oci.tar
	zstd -q -k out.docker.tar
	local form
	for form in out.oci.tar out.docker.tar out.dir out.stdout.tar out.oci.tar.gz out.docker.tar.zst; do
		kiln --root "$PWD/other" load -i "$form"
		equal "$(kiln --root "$PWD/other" inspect travels:1 | jq -r '.[0].Id')" "$id" "$form"
		equal "$(kiln --root "$PWD/other" run travels:1)" kept "$form"
		kiln --root "$PWD/other" system reset --force
	done
	kiln load <out.oci.tar
}

@test "the same image saved twice is the same bytes" {
	dockerfile <<-'END'
		FROM base
		RUN seq 100000 >/numbers
	END
	build -t twice
	kiln save -o one.tar twice
	kiln save -o two.tar twice
	cmp one.tar two.tar
	kiln save --format docker-archive -o three.tar twice
	kiln save --format docker-archive -o four.tar twice
	cmp three.tar four.tar
}

@test "FROM takes layouts, archives and scratch" {
	kiln save --format oci-archive -o base.oci.tar base
	kiln save --format docker-archive -o base.docker.tar base
	kiln save --format oci-dir -o base.dir base
	local from
	for from in oci-archive:base.oci.tar docker-archive:base.docker.tar oci:base.dir; do
		printf 'FROM %s\nRUN echo ok >/ok\n' "$from" >Dockerfile
		build -t from
		in_image from cat /ok
		equal "$output" ok "$from"
	done
	echo data >file
	printf 'FROM scratch\nCOPY file /dir/file\n' >Dockerfile
	build -t from-scratch
	build -o type=local,dest=out
	equal "$(cat out/dir/file)" data
}

@test "a name that is not in the store says so and how to get it" {
	printf 'FROM not-there:1\n' >Dockerfile
	run -1 kiln build .
	says 'not-there:1' 'not in the store'
}

@test "build -o writes root file systems and archives" {
	dockerfile <<-'END'
		FROM base
		RUN mkdir /d && echo out >/d/f
	END
	build -o type=local,dest=tree
	equal "$(cat tree/d/f)" out
	test -x tree/bin/busybox
	build -o type=tar,dest=tree.tar
	equal "$(tar -xOf tree.tar d/f)" out
	kiln build -q -o type=tar,dest=- . >piped.tar
	cmp tree.tar piped.tar
	build -o type=oci,dest=image.oci.tar
	run -0 tar -tf image.oci.tar
	says oci-layout index.json blobs/sha256/
	build -o type=docker,dest=image.docker.tar -t named:1
	run -0 tar -xOf image.docker.tar manifest.json
	says RepoTags named:1
}

@test "COPY --from takes files of a stage, a number and an image, and unneeded stages are not built" {
	kiln import --change 'CMD ["sh"]' "$lab/base.tar" other
	dockerfile <<-'END'
		FROM base AS first
		RUN echo one >/one
		FROM base AS unneeded
		RUN exit 9
		FROM base
		COPY --from=first /one /copied/one
		COPY --from=0 --chown=web:staff --chmod=640 /one /copied/two
		COPY --from=other /etc/group /copied/group
	END
	build -t staged
	says_not 'exit 9'
	in_image staged stat -c '%U:%G %a %n' /copied/one /copied/two
	equal "$output" $'root:root 644 /copied/one\nweb:staff 640 /copied/two'
	in_image staged cat /copied/group
	says 'staff:x:50:web'
	run -1 kiln build --target unneeded .
}

@test ".dockerignore keeps files out" {
	mkdir -p dir/node_modules
	touch keep dir/keep dir/a.log dir/node_modules/x important.log
	printf '*.log\n**/*.log\n!important.log\n**/node_modules\n' >.dockerignore
	printf 'FROM base\nCOPY . /c/\n' >Dockerfile
	build -t ignoring
	in_image ignoring sh -c 'cd /c && find . -type f | sort | tr "\n" " "'
	equal "$output" './.dockerignore ./Dockerfile ./dir/keep ./important.log ./keep '
}

@test "ADD unpacks local archives" {
	mkdir in
	echo data >in/file
	tar -czf a.tar.gz in
	tar -cJf b.tar.xz in
	printf 'FROM base\nADD a.tar.gz /a/\nADD b.tar.xz /b/\nADD in/file /plain\n' >Dockerfile
	build -t added
	in_image added cat /a/in/file /b/in/file /plain
	equal "$output" $'data\ndata\ndata'
}

@test "here-documents run and are copied" {
	dockerfile <<-'END'
		FROM base
		RUN <<EOF
		echo first >/here
		echo second >>/here
		EOF
		COPY <<one <<"two" /docs/
		value $HOME
		one
		value $HOME
		two
	END
	build -t heredocs
	in_image heredocs cat /here
	equal "$output" $'first\nsecond'
	in_image heredocs cat /docs/two
	equal "$output" 'value $HOME'
}

@test "ARG and --build-arg" {
	dockerfile <<-'END'
		ARG BASE=nothing
		FROM ${BASE}
		ARG A=default
		ARG B
		RUN echo "$A ${B:-unset}" >/args
	END
	build -t args --build-arg BASE=base
	in_image args cat /args
	equal "$output" 'default unset'
	build -t args --build-arg BASE=base --build-arg A=given --build-arg B=too
	in_image args cat /args
	equal "$output" 'given too'
}

@test "a changed file of the context re-runs its COPY, and a touched one does not" {
	echo one >file
	printf 'FROM base\nCOPY file /\nRUN cat /file >/out\n' >Dockerfile
	build -t content
	touch -d '2001-01-01' file
	build -t content
	equal "$(steps CACHED)" 2
	echo two >file
	build -t content
	equal "$(steps CACHED)" 0
	in_image content cat /out
	equal "$output" two
}

@test "the Dockerfile comes from -f or standard input, and -q and --iidfile give the id" {
	mkdir context
	echo x >context/x
	printf 'FROM base\nCOPY x /\n' >elsewhere
	local id
	id=$(kiln build -q -f elsewhere -t elsewhere context)
	equal "$id" "$(image_id elsewhere)"
	printf 'FROM base\nCOPY x /y\n' | kiln build -q --iidfile id -t piped -f - context
	equal "$(cat id)" "$(image_id piped)"
}

@test "run -t gives the command a terminal of its own, and -i what is typed on the caller's" {
	run -7 script -qec "$KILN run -it base sh -c 'test -t 0 && test -t 1 && : >/dev/tty && exit 7'" /dev/null
	{
		sleep 1
		printf 'typed\n'
		sleep 1
	} | script -qec "$KILN run -it base sh -c 'read word; echo [\$word]'" /dev/null >out
	grep -F '[typed]' out
	run -0 kiln run -t base sh -c 'test -t 1 && echo shown'
	[[ $output == *shown* ]]
	run -125 kiln run -it base true </dev/null
	[[ $output == *'the input device is not a TTY'* ]]
}

@test "run: exit status, environment, directory, user, entry point, volumes" {
	run -7 kiln run base sh -c 'exit 7'
	run -127 kiln run base no-such-program
	VISIBLE=yes in_image -e A=1 -e VISIBLE -w /etc -u web:staff base sh -c 'echo $A $VISIBLE $PWD $(id -u) $(id -g)'
	equal "$output" '1 yes /etc 1000 50'
	in_image --entrypoint echo base a b
	equal "$output" 'a b'
	mkdir volume
	echo outside >volume/file
	in_image -v "$PWD/volume:/v:ro" base cat /v/file
	equal "$output" outside
	run ! kiln run -v "$PWD/volume:/v:ro" base touch /v/new
	in_image -v "$PWD/volume:/v" base sh -c 'echo inside >/v/new'
	equal "$(cat volume/new)" inside
	echo piped | kiln run -i base cat >out
	equal "$(cat out)" piped
	run -0 kiln run base sh -c 'touch /kept; ls /kept'
	run ! kiln run base ls /kept
}

@test "run: signals reach the program" {
	"$KILN" run base sh -c 'trap "echo got term; exit 3" TERM; echo ready; while :; do sleep 0.1; done' >out 3>&- &
	local pid=$! status=0
	for _ in $(seq 100); do
		! grep -q ready out || break
		sleep 0.1
	done
	kill -TERM "$pid"
	wait "$pid" || status=$?
	equal "$status" 3
	equal "$(cat out)" $'ready\ngot term'
}

@test "a step sees a clean world: no input, no variables of the caller, root, its own pid namespace" {
	dockerfile <<-'END'
		FROM base
		RUN cat | wc -c >/stdin; env | sort >/env; id -u >/id; echo $$ >/pid; ls /proc/self/fd | wc -l >/fds; hostname >/host
	END
	echo never | SECRET=leaked run -0 kiln build -t world .
	in_image world cat /stdin /id /pid
	# Process 1 is the command, or its supervisor.
	[[ ${lines[*]} =~ ^"0 0 "[12]$ ]]
	in_image world cat /env
	says_not SECRET leaked KILN
	says PATH=
}

@test "what the cage puts in is never in a layer" {
	dockerfile <<-'END'
		FROM base
		RUN cat /etc/resolv.conf /etc/hosts /etc/hostname >/dev/null; touch /dev/shm/x /tmp/y; rm /tmp/y; true
	END
	build -t clean -o type=tar,dest=clean.tar
	run -0 tar -tf clean.tar
	says_not resolv.conf etc/hosts etc/hostname dev/null dev/shm proc/self
	kiln save --format docker-archive -o saved.tar clean
	mkdir saved
	tar -C saved -xf saved.tar
	local layer
	layer=$(jq -r '.[0].Layers[-1]' saved/manifest.json)
	run -0 tar -tf "saved/$layer"
	says_not etc dev proc sys run
}

@test "--network none has loopback only" {
	printf 'FROM base\nRUN ls /sys/class/net >/net; ip addr >>/net 2>&1; true\n' >Dockerfile
	build --network none -t no-network
	run -0 kiln run no-network cat /net
	says lo
	says_not eth ens wlan
	run -0 kiln run --network none base ls /sys/class/net
	equal "$output" lo
}

@test "independent stages run at the same time" {
	dockerfile <<-'END'
		FROM base AS a
		RUN sleep 3; touch /a
		FROM base AS b
		RUN sleep 3; touch /b
		FROM base
		COPY --from=a /a /
		COPY --from=b /b /
	END
	local started=$SECONDS
	build
	[ $((SECONDS - started)) -lt 6 ] || fail "took $((SECONDS - started)) seconds"
}

@test "ONBUILD fires in the next build" {
	printf 'FROM base\nONBUILD RUN echo fired >/fired\n' >Dockerfile
	build -t onbuild
	in_image onbuild sh -c 'test ! -e /fired'
	printf 'FROM onbuild\n' >Dockerfile
	build -t after
	in_image after cat /fired
	equal "$output" fired
}

@test "--explain names what differs" {
	echo one >file
	printf 'FROM base\nCOPY file /\nRUN true\n' >Dockerfile
	build -t explained
	echo two >file
	build --explain -t explained
	says MISS file
}

@test "the store is counted, verified and pruned" {
	printf 'FROM base\nRUN echo %s >/x\n' "$RANDOM" >Dockerfile
	build
	run -0 kiln system df
	says Images Layers 'Build cache'
	run -0 kiln system verify
	says '0 problems'
	run -0 kiln system prune --force
	says reclaimed
	in_image base true
}

@test "doctor says that kiln can build here" {
	run -0 kiln doctor
	says 'can build here'
}

@test "unshare is root in the store's user namespace" {
	run -0 kiln unshare id -u
	equal "$output" 0
	run -0 kiln unshare sh -c 'cat /proc/self/uid_map | wc -l'
	[ "$output" -ge 1 ]
}

@test "two builds at once share a store" {
	printf 'FROM base\nRUN sleep 1; echo a >/a\n' >Dockerfile.a
	printf 'FROM base\nRUN sleep 1; echo b >/b\n' >Dockerfile.b
	"$KILN" build -q -f Dockerfile.a -t at-once-a . >a.out 2>&1 3>&- &
	local pid=$!
	kiln build -q -f Dockerfile.b -t at-once-b .
	wait "$pid"
	in_image at-once-a cat /a
	in_image at-once-b cat /b
}

@test "usage errors have docker's status" {
	run -125 kiln build --no-such-flag .
	says no-such-flag
	run ! kiln biuld
	says build
	run ! kiln build
}

@test "nothing of kiln stays behind" {
	equal "$(processes_of_lab)" ''
	run -0 cat /proc/self/mountinfo
	says_not "$lab"
}
