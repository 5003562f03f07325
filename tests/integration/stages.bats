#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # lib.bash and bats set lab, output and status; $ is for Dockerfiles
# Several stages: which are built, in which order, and what they take from each other.

load lib
load image

setup_file() {
	new_lab
	import_base
}

teardown_file() {
	end_lab
}

@test "only the stages that the target needs are built, and only they can fail" {
	dockerfile <<-'END'
		FROM base AS used
		RUN echo used >/used
		FROM used AS unused
		RUN false
		COPY --from=not-there /x /y
		ADD https://example.invalid/x /
		FROM not-in-the-store AS missing
		FROM base AS final
		COPY --from=used /used /
		FROM final AS after
		RUN echo after
	END
	build --target final -t final
	says_not '[unused' '[missing' '[after'
	in_image final cat /used
	equal "$output" used
	build -t after
	says_not '[unused' '[missing'
	build --target USED
	equal "$(steps CACHED)" 1
	run -1 kiln build --target unused .
	says 'exit code: 1' '>>> RUN false'
	run -1 kiln build --target missing .
	says 'image not-in-the-store is not in the store'
	run -125 kiln build --target fnal .
	says 'target stage "fnal" could not be found (did you mean final?)'
	run -125 kiln build --target 0 .
	says 'target stage "0" could not be found'
}

@test "parse errors count in stages that are not needed too" {
	printf 'FROM base AS a\nCOPY x\nFROM base\n' >Dockerfile
	run -1 kiln build .
	says 'COPY requires at least two arguments'
}

@test "a stage is built once, however many use it, and its configuration goes to those made from it" {
	dockerfile <<-'END'
		FROM base AS common
		ENV A=1
		WORKDIR /w
		USER web
		RUN echo once; date +%N >/tmp/id
		FROM common AS left
		ENV B=2
		RUN cat /tmp/id >/tmp/left
		FROM common AS right
		RUN cat /tmp/id >/tmp/right
		FROM common
		COPY --from=left /tmp/left /tmp/
		COPY --from=right /tmp/right /tmp/
		COPY --from=common /tmp/id /tmp/copy
		RUN cmp /tmp/id /tmp/left && cmp /tmp/id /tmp/right && cmp /tmp/id /tmp/copy && echo "all equal $A ${B-no}"
	END
	build -t shared
	says 'all equal 1 no'
	equal "$(grep -c ' once$' <<<"$output")" 1
	equal "$(config shared '[.config.User,.config.WorkingDir]')" '["web","/w"]'
}

@test "the configuration is the target's, its history that of its own line of stages" {
	dockerfile <<-'END'
		FROM base AS one
		LABEL from=one
		RUN echo 1 >/1
		FROM base AS other
		LABEL from=other
		RUN echo 2 >/2
		FROM one
		COPY --from=other /2 /
		CMD ["x"]
	END
	build -t line
	equal "$(created_by line)" 'LABEL from=one (empty)
RUN /bin/sh -c echo 1 >/1 # buildkit
COPY /2 / # buildkit
CMD ["x"] (empty)'
	equal "$(config line '[.config.Labels,(.rootfs.diff_ids|length)]')" '[{"from":"one"},3]'
}

@test "names: in any case for --from and --target, exact for FROM, the last of equal ones, stages before images" {
	kiln import --change 'ENV WHICH=image' "$lab/base.tar" shadow
	dockerfile <<-'END'
		FROM base AS Shadow
		ENV WHICH=stage
		FROM shadow AS twice
		RUN echo "from $WHICH"; echo 1 >/n
		FROM base AS twice
		RUN echo 2 >/n
		FROM base
		COPY --from=TWICE /n /
		RUN cat /n
	END
	build --target twice
	build
	says ' 2'
	build --target SHADOW -t shadowed
	equal "$(config shadowed '.config.Env[-1]')" '"WHICH=stage"'
	printf 'FROM base AS one\nFROM One\n' >Dockerfile
	run -1 kiln build .
	says One
	printf 'FROM base AS x\nENV A=1\nFROM x AS x\nENV B=2\nFROM x\n' >Dockerfile
	build -t x
	equal "$(config x '.config.Env[1:]')" '["A=1","B=2"]'
}

@test "a number in FROM is an image, in COPY --from a stage" {
	printf 'FROM base AS zero\nRUN echo 0 >/zero\nFROM base\nCOPY --from=0 /zero /\nRUN cat /zero\n' >Dockerfile
	build
	printf 'FROM base\nFROM 0\n' >Dockerfile
	run -1 kiln build .
	says '>>> FROM 0'
}

@test "independent stages run at the same time, and output says whose it is" {
	dockerfile <<-'END'
		FROM base AS a
		RUN cut -d. -f1 /proc/uptime >/a; echo start a; sleep 4; echo end a; cut -d. -f1 /proc/uptime >>/a
		FROM base AS b
		RUN cut -d. -f1 /proc/uptime >/b; echo start b; sleep 4; echo end b; cut -d. -f1 /proc/uptime >>/b
		FROM base
		COPY --from=a /a /
		COPY --from=b /b /
		RUN cat /a /b
	END
	build --no-cache
	# Each began well before the other ended, whatever else this machine does.
	local times
	mapfile -t times < <(sed -n 's/^#[0-9]* [0-9]*\.[0-9]* \([0-9]*\)$/\1/p' <<<"$output")
	equal "${#times[@]}" 4
	[ "${times[0]}" -lt "$((times[3] - 1))" ] && [ "${times[2]}" -lt "$((times[1] - 1))" ] || fail "${times[*]}"
	# Every line of output follows the name of its step, with nothing but lines of that step between.
	awk '
		/^#[0-9]+ \[/ { step = $1 }
		/^#[0-9]+ [0-9.]+ / && $1 != step { print "out of place: " $0; bad = 1 }
		END { exit bad }' <<<"$output"
	grep -qE '^#[0-9]+ \.\.\.$' <<<"$output" || fail "no step says that it goes on: $output"
}

@test "one stage fails: the others are canceled, and what they had built stays" {
	dockerfile <<-'END'
		FROM base AS slow
		RUN echo kept >/kept
		RUN sleep 100
		FROM base AS bad
		RUN sleep 1; exit 3
		FROM base
		COPY --from=slow /kept /
		COPY --from=bad /etc/passwd /x
	END
	run -1 kiln build --progress=plain .
	says 'exit code: 3' 'CANCELED' '>>> RUN sleep 1; exit 3'
	sed -i 's/exit 3/true/; s/sleep 100/true/' Dockerfile
	build
	[ "$(steps CACHED)" -ge 1 ]
	equal "$(processes_of_lab)" ''
}

@test "many stages in a chain and side by side" {
	{
		echo 'FROM base AS s0'
		for i in $(seq 30); do printf 'FROM s%s AS s%s\nRUN echo %s >>/chain\n' $((i - 1)) "$i" "$i"; done
		echo 'FROM base'
		for i in 1 7 30; do echo "COPY --from=s$i /chain /chain$i"; done
		echo 'RUN wc -l /chain1 /chain7 /chain30'
	} >Dockerfile
	build
	says '1 /chain1' '7 /chain7' '30 /chain30'
	build
	equal "$(steps CACHED)" 34
}

@test "FROM --platform of a stage does not count" {
	local arch
	arch=$(config base .architecture)
	printf 'FROM base AS one\nFROM --platform=linux/s390x one\nRUN true\n' >Dockerfile
	build -t platform
	equal "$(config platform .architecture)" "$arch"
	printf 'FROM base AS one\nFROM --platform=x/y/z/a one\nRUN true\n' >Dockerfile
	run -1 kiln build .
	says 'failed to parse platform x/y/z/a'
}

@test "an image without layers is a base: nothing in it, its configuration counts" {
	printf 'FROM scratch\nENV FROM_EMPTY=1\nWORKDIR /\nUSER 5\nLABEL a=b\n' >Dockerfile
	build -t empty-base
	equal "$(config empty-base '.rootfs.diff_ids|length')" 0
	echo x >f
	printf 'FROM empty-base\nCOPY f /f-$FROM_EMPTY\n' >Dockerfile
	build -t on-empty -o type=tar,dest=out.tar
	equal "$(tar -tf out.tar)" f-1
	equal "$(config on-empty '[.config.User,.config.Labels,(.rootfs.diff_ids|length)]')" '["5",{"a":"b"},1]'
}

@test "COPY --from: indexes count stages only, later stages and cycles are errors, an unknown name is an image" {
	kiln import "$lab/base.tar" 0x
	printf 'FROM base AS a\nRUN echo a >/n\nFROM base AS b\nRUN echo b >/n\nFROM base\nCOPY --from=1 /n /\nCOPY --from=0x /etc/group /g\nRUN cat /n\n' >Dockerfile
	build
	says ' b'
	cannot_build 1 'invalid stage index 3' '>>> COPY --from=3' <<<$'FROM base\nCOPY --from=3 /n /'
	cannot_build 1 'cannot copy from stage "1", it needs to be defined before current stage "stage-0"' \
		<<<$'FROM base\nCOPY --from=1 /n /\nFROM base\nRUN true\nFROM base\nCOPY --from=0 /n /'
	cannot_build 1 'circular dependency detected on stage: stage-0' <<<$'FROM base\nCOPY --from=0 /n /'
	cannot_build 1 'circular dependency detected on stage: a' '>>> COPY --from=a' \
		<<<$'FROM base AS a\nCOPY --from=b /x /\nFROM base AS b\nCOPY --from=c /x /\nFROM base AS c\nCOPY --from=a /x /'
	cannot_build 1 'image nothing-here is not in the store' <<<$'FROM base\nCOPY --from=nothing-here /x /'
}

@test "RUN --mount: a number is an image, size and required stand behind type, and errors come before the first step" {
	cannot_build 1 'image 0 is not in the store' '>>> RUN --mount=from=0' \
		<<<$'FROM base AS zero\nFROM base\nRUN --mount=from=0,target=/x true'
	cannot_build 1 "unexpected key 'size' for mount type 'bind'" <<<$'FROM base\nRUN true\nRUN --mount=size=1m,type=tmpfs,target=/x true'
	says_not '[2/3]'
	cannot_build 1 "unexpected key 'required' for mount type 'bind'" \
		<<<$'FROM base\nRUN --mount=required,type=secret,id=x true'
}
