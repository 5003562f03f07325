#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # lib.bash and bats set lab, output and status; $ is for Dockerfiles
# What each instruction leaves in an image: tree, configuration, history.

load lib
load image

setup_file() {
	new_lab
	import_base
}

teardown_file() {
	end_lab
}

default_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

@test "FROM alone gives the base with another name and no history of its own" {
	printf 'FROM base\n' | dockerfile
	build -t alone
	equal "$(diff_ids alone)" "$(diff_ids base)"
	equal "$(created_by alone)" ''
	equal "$(config alone .config)" '{"ArgsEscaped":true,"Cmd":["sh"],"Env":["PATH='$default_path'"]}'
	in_image alone echo runs
	equal "$output" runs
}

@test "FROM scratch has the default PATH, the directory / and no FROM step" {
	echo x >f
	printf 'FROM scratch\nCOPY f /\n' | dockerfile
	build -t from-scratch
	says '[1/1] COPY f /'
	says_not FROM
	equal "$(config from-scratch .config)" '{"Env":["PATH='$default_path'"],"WorkingDir":"/"}'
	equal "$(created_by from-scratch)" 'COPY f / # buildkit'
	equal "$(config from-scratch .architecture,.os)" "$(config base .architecture,.os)"
	printf 'FROM --platform=linux/arm64 scratch\nCOPY f /\n' | dockerfile
	build -t from-scratch
	# As in BuildKit, what is made from nothing has the platform of the build.
	equal "$(config from-scratch .architecture,.os)" "$(config base .architecture,.os)"
}

@test "FROM: errors name what is wrong" {
	cannot_build 1 'image not-there is not in the store' '>>> FROM not-there' <<<'FROM not-there'
	cannot_build 1 'base name (${X}) should not be blank' '>>> FROM ${X}' <<<'FROM ${X}'
	cannot_build 1 'failed to parse platform' <<<'FROM --platform=linux/amd64/v1/x base'
	cannot_build 1 'empty platform value from expression $X' <<<'FROM --platform=$X base'
	cannot_build 1 'unknown flag: --platfrom (did you mean platform?)' <<<'FROM --platfrom=linux base'
	cannot_build 1 'FROM requires either one or three arguments' <<<'FROM base AS'
	cannot_build 1 "invalid name for build stage: \"1x\", name can't start with a number or contain symbols" \
		<<<'FROM base AS 1x'
	cannot_build 1 'dockerfile contains no stages to build' <<<'ARG x=1'
	cannot_build 1 'buidl is no stage (did you mean build?)' <<<$'FROM base AS build\nFROM buidl'
}

@test "RUN: shell form, exec form, flags, continuation, comments within, no text" {
	dockerfile <<-'END'
		FROM base
		ENV WHO=world
		RUN echo "hello $WHO" >/shell && \
		    # a comment in between
		    echo  'two  blanks' >>/shell

		RUN ["/bin/busybox", "sh", "-c", "echo \"$0 $1\" >/exec", "a b", "$WHO"]
		RUN ["echo", "found in PATH"]
		RUN --network=none ls /sys/class/net >/net
		RUN --network=default true
		RUN --security=sandbox true
		RUN []string >/odd; true
		RUN
	END
	build -t run
	says 'found in PATH'
	tree run /shell /exec /net
	equal "$output" 'f 644 0:0 /exec: a b $WHO|
f 644 0:0 /net: lo|
f 644 0:0 /shell: hello world|two  blanks|'
	equal "$(created_by run)" 'ENV WHO=world (empty)
RUN /bin/sh -c echo "hello $WHO" >/shell &&     echo  '"'two  blanks'"' >>/shell # buildkit
RUN /bin/busybox sh -c echo "$0 $1" >/exec a b $WHO # buildkit
RUN echo found in PATH # buildkit
RUN /bin/sh -c ls /sys/class/net >/net # buildkit
RUN /bin/sh -c true # buildkit
RUN /bin/sh -c true # buildkit
RUN /bin/sh -c []string >/odd; true # buildkit
RUN /bin/sh -c  # buildkit'
}

@test "RUN: errors" {
	cannot_build 1 'process "/bin/sh -c exit 3" did not complete successfully: exit code: 3' <<<$'FROM base\nRUN exit 3'
	cannot_build 1 'process "false" did not complete successfully: exit code: 1' <<<$'FROM base\nRUN ["false"]'
	cannot_build 1 'exec: "no-such": executable file not found in $PATH' '>>> RUN ["no-such"]' \
		<<<$'FROM base\nRUN ["no-such"]'
	cannot_build 1 'arrays must be comprised of strings only' <<<$'FROM base\nRUN ["a", 1]'
	cannot_build 1 'invalid network mode "bridge"' <<<$'FROM base\nRUN --network=bridge true'
	cannot_build 1 'unknown flag: --mont (did you mean mount?)' <<<$'FROM base\nRUN --mont=x true'
	cannot_build 1 'invalid field' <<<$'FROM base\nRUN --mount=tmpfs true'
	cannot_build 1 'RUN --security is refused' <<<$'FROM base\nRUN --security=insecure true'
	cannot_build 1 'RUN --device is refused' <<<$'FROM base\nRUN --device=vendor/x=y true'
	cannot_build 1 'unable to find user nobody-here: no matching entries in passwd file' \
		<<<$'FROM base\nUSER nobody-here\nRUN true'
	printf 'FROM scratch\nRUN ["x"]\n' | dockerfile
	run -1 kiln build .
	says '"x"'
}

@test "RUN: a here-document is the script, a shebang makes it a program, and a shell reads the others itself" {
	cat >Dockerfile <<-'END'
		FROM base
		ENV V=value
		RUN <<EOF
		# a comment of the shell's
		echo "one $V" >/plain

		echo \
		  continued >>/plain
		EOF
		RUN <<"EOF"
		echo "quoted $V" >/quoted
		EOF
		RUN cat <<A >/several
		first $V
		A
		RUN cat <<A >/a && cat <<'B' >/b
		$V
		A
		$V
		B
		SHELL ["/bin/busybox", "awk"]
		RUN <<EOF
		BEGIN { print "by the SHELL" >"/shell" }
		EOF
		SHELL ["/bin/sh", "-c"]
	END
	printf '%s\n' 'RUN <<-EOF' $'\tif true; then' $'\t\techo tabs go >/tabs' $'\tfi' $'\tEOF' >>Dockerfile
	printf '%s\n' 'RUN <<-EOF' $'\t#!/bin/awk -f' $'\tBEGIN { print "awk" >"/awk" }' EOF >>Dockerfile
	printf '%s\n' 'RUN cat <<-A >/tab' $'\tthe shell strips them' $'\tA' >>Dockerfile
	build -t here
	says 'RUN <<EOF (# a comment of the shell'"'"'s...)' 'RUN <<"EOF" (echo "quoted $V" >/quoted)'
	tree here /plain /quoted /tabs /tab /awk /several /a /b /shell
	equal "$output" 'f 644 0:0 /a: value|
f 644 0:0 /awk: awk|
f 644 0:0 /b: $V|
f 644 0:0 /plain: one value|continued|
f 644 0:0 /quoted: quoted value|
f 644 0:0 /several: first value|
f 644 0:0 /shell: by the SHELL|
f 644 0:0 /tab: the shell strips them|
f 644 0:0 /tabs: tabs go|'
	created_by here >history
	grep -qxF 'RUN /bin/sh -c echo "quoted $V" >/quoted' history
	grep -qxF 'RUN /bin/sh -c /dev/pipes/EOF # buildkit' history
	cannot_build 1 'unterminated heredoc' <<<$'FROM base\nRUN <<EOF\necho'
	cannot_build 1 'exit code: 4' '>>> exit 4' <<<$'FROM base\nRUN <<EOF\ntrue\nexit 4\nEOF\nRUN true'
}

@test "RUN: nothing of /dev/pipes, of the cage and of the directory that it started in is left" {
	dockerfile <<-'END'
		FROM scratch
		COPY --from=base /bin/busybox /bin/busybox
		RUN ["/bin/busybox", "true"]
	END
	build -t left -o type=tar,dest=left.tar
	tar -tf left.tar >list
	equal "$(cat list)" $'bin/\nbin/busybox'
	equal "$(created_by left)" 'COPY /bin/busybox /bin/busybox # buildkit
RUN /bin/busybox true # buildkit'
}

@test "CMD and ENTRYPOINT: both forms, empty, the last counts, ENTRYPOINT takes an inherited CMD away" {
	both() {
		dockerfile
		build -t command
		config command '[.config.Entrypoint,.config.Cmd]' >now
	}
	both <<<$'FROM base\nCMD one two'
	equal "$(cat now)" '[null,["/bin/sh","-c","one two"]]'
	both <<<$'FROM base\nCMD ["one", "two"]\nCMD ["three"]'
	equal "$(cat now)" '[null,["three"]]'
	equal "$(created_by command)" 'CMD ["one" "two"] (empty)
CMD ["three"] (empty)'
	both <<<$'FROM base\nENTRYPOINT ["/e", "x y"]'
	equal "$(cat now)" '[["/e","x y"],null]' 'the CMD of the base goes'
	equal "$(created_by command)" 'ENTRYPOINT ["/e" "x y"] (empty)'
	both <<<$'FROM base\nENTRYPOINT exec top'
	equal "$(cat now)" '[["/bin/sh","-c","exec top"],null]'
	both <<<$'FROM base\nCMD ["mine"]\nENTRYPOINT ["/e"]'
	equal "$(cat now)" '[["/e"],["mine"]]' 'in whatever order'
	both <<<$'FROM base\nENTRYPOINT ["/e"]\nCMD ["mine"]'
	equal "$(cat now)" '[["/e"],["mine"]]'
	both <<<$'FROM base AS a\nENTRYPOINT ["/e"]\nCMD ["mine"]\nFROM a\nENTRYPOINT ["/f"]'
	equal "$(cat now)" '[["/f"],null]' 'CMD of another stage is inherited'
	both <<<$'FROM base\nENTRYPOINT ["/e"]\nENTRYPOINT []'
	equal "$(cat now)" '[null,null]'
	both <<<$'FROM base\nCMD []'
	equal "$(cat now)" '[null,null]' 'as Go omits an empty list'
	equal "$(config command .config.ArgsEscaped)" true
	both <<<$'FROM base\nSHELL ["/bin/ash", "-ec"]\nCMD one\nENTRYPOINT two'
	equal "$(cat now)" '[["/bin/ash","-ec","two"],["/bin/ash","-ec","one"]]'
	both <<<$'FROM base\nCMD echo "a\\tb" $HOME'
	equal "$(cat now)" '[null,["/bin/sh","-c","echo \"a\\tb\" $HOME"]]' 'nothing is expanded'
	equal "$(created_by command)" 'CMD ["/bin/sh" "-c" "echo \"a\\tb\" $HOME"] (empty)'
}

@test "ENV: forms, order, quotes, in place, and one line sees the values before it" {
	dockerfile <<-'END'
		FROM base
		ENV a=1 b="two words" c=three\ words d='$a'
		ENV legacy one  two "three"
		ENV a=2 e=$a f=${a}x
		ENV PATH=/opt/bin:$PATH
		ENV p=100%s q=
		RUN echo "$a|$b|$c|$d|$legacy|$e|$f|$p|${q-unset}" >/env
	END
	build -t env
	equal "$(config env .config.Env)" \
		'["PATH=/opt/bin:'$default_path'","a=2","b=two words","c=three words","d=$a","legacy=one  two three","e=1","f=1x","p=100%s","q="]'
	in_image env cat /env
	equal "$output" '2|two words|three words|$a|one  two three|1|1x|100%s|'
	equal "$(created_by env | head -n 5)" 'ENV a=1 b=two words c=three words d=$a (empty)
ENV legacy=one  two three (empty)
ENV a=2 e=1 f=1x (empty)
ENV PATH=/opt/bin:'$default_path' (empty)
ENV p=100%s q= (empty)'
	cannot_build 1 'ENV must have two arguments' <<<$'FROM base\nENV a'
	cannot_build 1 "Syntax error - can't find = in \"c\". Must be of the form: name=value" <<<$'FROM base\nENV a=1 c'
	cannot_build 1 'ENV names can not be blank' <<<$'FROM base\nENV =x'
	cannot_build 1 'X: is needed' '>>> ENV a="${X:?is needed}"' <<<$'FROM base\nENV a="${X:?is needed}"'
}

@test "LABEL and --label" {
	dockerfile <<-'END'
		FROM base AS one
		LABEL a=1 "b c"="d e" multi="one \
		line"
		FROM one
		ENV V=v
		LABEL a=2 legacy text here
		LABEL x.$V=${V}w
	END
	sed -i 's/a=2 legacy text here/a=2/' Dockerfile
	build -t label --label a=3 --label z= --label y
	equal "$(config label .config.Labels)" '{"a":"3","b c":"d e","multi":"one line","x.v":"vw","y":"","z":""}'
	equal "$(created_by label)" 'LABEL a=1 b c=d e multi=one line (empty)
ENV V=v (empty)
LABEL a=2 (empty)
LABEL x.v=vw (empty)'
}

@test "EXPOSE: ranges, protocols, variables, repeated" {
	dockerfile <<-'END'
		FROM base
		ENV PORTS="9000-9002/UDP 53/udp"
		EXPOSE 8080 80/tcp
		EXPOSE $PORTS 80 7/sctp
	END
	build -t expose
	equal "$(config expose '.config.ExposedPorts|keys')" \
		'["53/udp","7/sctp","80/tcp","8080/tcp","9000/udp","9001/udp","9002/udp"]'
	equal "$(created_by expose | tail -n 2)" 'EXPOSE [80/tcp 8080/tcp] (empty)
EXPOSE [9000/udp 9001/udp 9002/udp 53/udp 7/sctp 80/tcp] (empty)'
	cannot_build 1 'invalid containerPort: x' <<<$'FROM base\nEXPOSE x'
	cannot_build 1 'invalid proto: x' <<<$'FROM base\nEXPOSE 1/x'
	cannot_build 1 'EXPOSE requires at least one argument' <<<$'FROM base\nEXPOSE'
}

@test "VOLUME: metadata only, later writes are kept" {
	dockerfile <<-'END'
		FROM base
		ENV D=/data
		VOLUME ["/json form", "$D"]
		VOLUME /a /b
		RUN mkdir /a && echo kept >/a/f
	END
	build -t volume
	equal "$(config volume '.config.Volumes')" '{"/a":{},"/b":{},"/data":{},"/json form":{}}'
	in_image volume cat /a/f
	equal "$output" kept
	equal "$(created_by volume | sed -n 2,3p)" 'VOLUME [/json form /data] (empty)
VOLUME [/a /b] (empty)'
	cannot_build 1 'VOLUME specified can not be an empty string' <<<$'FROM base\nVOLUME ["", "/x"]'
}

@test "USER: names, numbers and groups decide who runs" {
	as() {
		printf 'FROM base\nUSER %s\nRUN id -u; id -g; id -G | tr " " "\\n" | sort -n; echo "$HOME"\n' "$1" >Dockerfile
		build -t user
		sed -n 's/^#[0-9]* [0-9.]* //p' <<<"$output" | tr '\n' ' ' >now
		equal "$(config user .config.User)" "\"$1\""
	}
	as root
	equal "$(cat now)" '0 0 0 /root '
	as web
	equal "$(cat now)" '1000 1000 50 1000 /home/web '
	as 1000
	equal "$(cat now)" '1000 1000 50 1000 /home/web '
	as 4242
	equal "$(cat now)" '4242 0 0 / '
	as web:staff
	equal "$(cat now)" '1000 50 50 /home/web '
	as 1000:7777
	equal "$(cat now)" '1000 7777 7777 /home/web '
	as 4242:staff
	equal "$(cat now)" '4242 50 50 / '
	as 0:0
	equal "$(cat now)" '0 0 0 /root '
	printf 'FROM base\nARG U=web\nUSER ${U}:staff\nCMD id -un; id -gn\n' >Dockerfile
	build -t user
	in_image user
	equal "$output" $'web\nstaff'
	equal "$(created_by user | sed -n 2p)" 'USER web:staff (empty)'
	cannot_build 1 'USER requires exactly one argument' <<<$'FROM base\nUSER'
}

@test "WORKDIR: relative, variables, blanks, owner of what it makes, nothing for / and for what is there" {
	dockerfile <<-'END'
		FROM base
		ENV TOP=/top
		WORKDIR $TOP/one
		WORKDIR two words
		WORKDIR ../three/
		USER web
		WORKDIR four/five
		USER 4242
		WORKDIR /by/number
		USER 1:2
		WORKDIR /by/both
		USER unknown
		WORKDIR /by/unknown
		USER web:staff
		WORKDIR /etc
		WORKDIR /
		USER root
		RUN pwd >/pwd; rm -rf /by/both
		WORKDIR /by/both
	END
	build -t workdir
	says '[ 1/12] FROM base' '[10/12] RUN pwd'
	tree workdir /top /by /pwd
	equal "$output" 'd 755 4242:4242 /by
d 755 0:0 /by/both
d 755 4242:4242 /by/number
d 755 0:0 /by/unknown
f 644 0:0 /pwd: /|
d 755 0:0 /top
d 755 0:0 /top/one
d 755 0:0 /top/one/three
d 755 1000:1000 /top/one/three/four
d 755 1000:1000 /top/one/three/four/five
d 755 0:0 /top/one/two words'
	equal "$(created_by workdir | sed -n '2,4p;15,$p')" 'WORKDIR /top/one
WORKDIR /top/one/two words
WORKDIR /top/one/three
WORKDIR / (empty)
USER root (empty)
RUN /bin/sh -c pwd >/pwd; rm -rf /by/both # buildkit
WORKDIR /by/both'
	equal "$(config workdir .config.WorkingDir)" '"/by/both"'
	cannot_build 1 'WORKDIR requires exactly one argument' <<<$'FROM base\nWORKDIR'
}

@test "STOPSIGNAL, SHELL, MAINTAINER" {
	dockerfile <<-'END'
		FROM base
		ARG S=usr1
		MAINTAINER Some One <some@one>
		STOPSIGNAL $S
		SHELL ["/bin/busybox", "sh", "-ec"]
		RUN false; echo not reached
	END
	sed -i '$d' Dockerfile
	echo 'RUN echo "$0" "$-" >/shell' >>Dockerfile
	build -t various
	equal "$(config various '[.author,.config.StopSignal,.config.Shell]')" \
		'["Some One <some@one>","usr1",["/bin/busybox","sh","-ec"]]'
	equal "$(created_by various)" 'ARG S=usr1 (empty)
MAINTAINER Some One <some@one> (empty)
STOPSIGNAL usr1 (empty)
SHELL [/bin/busybox sh -ec] (empty)
RUN |1 S=usr1 /bin/busybox sh -ec echo "$0" "$-" >/shell # buildkit'
	in_image various cat /shell
	[[ "$output" = *e* ]]
	printf 'FROM various\nRUN false; echo on >/on\n' >Dockerfile
	run -1 kiln build .
	says 'process "/bin/busybox sh -ec false; echo on >/on"'
	cannot_build 1 'invalid signal: NOPE' <<<$'FROM base\nSTOPSIGNAL NOPE'
	cannot_build 1 'SHELL requires the arguments to be in JSON form' <<<$'FROM base\nSHELL /bin/sh -c'
}

@test "HEALTHCHECK: forms, replaced whole, NONE" {
	dockerfile <<-'END'
		FROM base AS one
		HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2h --start-interval=1s --retries=3 CMD curl -f http://x/ || exit 1
	END
	build -t health
	equal "$(config health .config.Healthcheck)" \
		'{"Interval":90000000000,"Retries":3,"StartInterval":1000000000,"StartPeriod":7200000000000,"Test":["CMD-SHELL","curl -f http://x/ || exit 1"],"Timeout":500000000}'
	equal "$(created_by health)" \
		'HEALTHCHECK {Test:[CMD-SHELL curl -f http://x/ || exit 1] Interval:1m30s Timeout:500ms StartPeriod:2h0m0s StartInterval:1s Retries:3} (empty)'
	printf 'FROM health\nHEALTHCHECK CMD ["a", "b"]\n' >Dockerfile
	build -t health2
	equal "$(config health2 .config.Healthcheck)" '{"Test":["CMD","a","b"]}'
	printf 'FROM health\nHEALTHCHECK NONE\n' >Dockerfile
	build -t health3
	equal "$(config health3 .config.Healthcheck)" '{"Test":["NONE"]}'
	cannot_build 1 'missing unit in duration' <<<$'FROM base\nHEALTHCHECK --interval=5 CMD x'
	cannot_build 1 'cannot be less than 1ms' <<<$'FROM base\nHEALTHCHECK --interval=1us CMD x'
	cannot_build 1 'Missing command after HEALTHCHECK CMD' <<<$'FROM base\nHEALTHCHECK CMD'
	cannot_build 1 'Unknown type "FOO" in HEALTHCHECK (try CMD)' <<<$'FROM base\nHEALTHCHECK FOO x'
}

@test "ONBUILD: stored as text, fires once in the next image, before its own steps" {
	mkdir context
	echo file >context/f
	cat >Dockerfile <<-'END'
		FROM base
		ONBUILD ENV FIRED=yes
		ONBUILD COPY f /onbuild/
		ONBUILD RUN <<EOF
		echo "$FIRED" >/onbuild/fired
		EOF
		ONBUILD CMD ["fired"]
	END
	build -t parent
	equal "$(config parent .config.OnBuild)" \
		'["ENV FIRED=yes","COPY f /onbuild/","RUN <<EOF\necho \"$FIRED\" >/onbuild/fired\nEOF","CMD [\"fired\"]"]'
	equal "$(created_by parent)" ''
	printf 'FROM parent\nRUN echo own >>/onbuild/fired\n' >Dockerfile
	run -0 kiln build --progress=plain -t child -f Dockerfile context
	says '[2/4] ONBUILD COPY f /onbuild/' '[3/4] ONBUILD RUN <<EOF' '[4/4] RUN echo own'
	tree child /onbuild
	equal "$output" 'd 755 0:0 /onbuild
f 644 0:0 /onbuild/f: file|
f 644 0:0 /onbuild/fired: yes|own|'
	equal "$(config child '[.config.OnBuild,.config.Cmd]')" '[null,["fired"]]'
	equal "$(created_by child)" 'ENV FIRED=yes (empty)
COPY f /onbuild/ # buildkit
RUN /bin/sh -c echo "$FIRED" >/onbuild/fired
 # buildkit
CMD ["fired"] (empty)
RUN /bin/sh -c echo own >>/onbuild/fired # buildkit'
	printf 'FROM child\nRUN cat /onbuild/fired\n' >Dockerfile
	run -0 kiln build --progress=plain context -f Dockerfile
	says_not ONBUILD
	cannot_build 1 "Chaining ONBUILD via \`ONBUILD ONBUILD\` isn't allowed" <<<$'FROM base\nONBUILD ONBUILD RUN x'
	cannot_build 1 "FROM isn't allowed as an ONBUILD trigger" <<<$'FROM base\nONBUILD FROM x'
	cannot_build 1 "MAINTAINER isn't allowed as an ONBUILD trigger" <<<$'FROM base\nONBUILD MAINTAINER x'
}

@test "ONBUILD: a stage fires it too, from stages, and an error is at the FROM" {
	dockerfile <<-'END'
		FROM base AS data
		RUN echo data >/data
		FROM base AS parent
		ONBUILD COPY --from=data /data /copied
		FROM parent AS child
		FROM child
		RUN cat /copied
	END
	build -t staged
	in_image staged cat /copied
	equal "$output" data
	printf 'FROM base AS p\nONBUILD RUN exit 5\n\nFROM p\nRUN true\n' >Dockerfile
	run -1 kiln build .
	says 'exit code: 5' 'Dockerfile:4' '>>> FROM p'
}

@test "parsing: names in any case, escape, comments, blank lines, no newline at the end" {
	printf '# syntax=docker/dockerfile:1\n# escape=`\n\n# a comment\nfrom base\n\n  run echo a `\n  b \\ c >/x\nEnV a=`\n1\ncmd ["x"]' >Dockerfile
	build -t parsing
	in_image parsing cat /x
	equal "$output" 'a b  c'
	equal "$(config parsing '[.config.Env[-1],.config.Cmd]')" '["a=1",["x"]]'
	printf 'FROM base\r\nRUN echo crlf >/x\r\n' >Dockerfile
	build -t crlf
	in_image crlf cat /x
	equal "$output" crlf
	printf '\xef\xbb\xbfFROM base\nRUN true && \\\n\n  true\n' >Dockerfile
	build -t bom
	cannot_build 1 'file with no instructions' <<<'# nothing'
	cannot_build 1 'unknown instruction: RUNN (did you mean RUN?)' 'dockerfile parse error on line 2' '>>> RUNN x' \
		<<<$'FROM base\nRUNN x'
	cannot_build 1 'no build stage in current context' <<<'RUN x'
}

@test "the configuration's bytes: the same in OCI and docker form, and stable" {
	echo x >f
	touch -d @1000000000 f
	dockerfile <<-'END'
		FROM scratch AS s
		ARG A=1 B
		ENV E="<&>" U=ü
		LABEL z=1 a=2
		COPY --chown=1:2 f /f
		EXPOSE 80 53/udp
		VOLUME /v
		USER 1
		STOPSIGNAL SIGTERM
		SHELL ["/sh", "-c"]
		HEALTHCHECK --interval=1s CMD ["/x"]
		ONBUILD ENV O=1
		ENTRYPOINT ["/e"]
		CMD ["/c"]
		MAINTAINER me
	END
	SOURCE_DATE_EPOCH=1500000000 build -t bytes -o type=oci,dest=oci.tar -o type=docker,dest=docker.tar
	mkdir oci docker
	tar -C oci -xf oci.tar
	tar -C docker -xf docker.tar
	local manifest config
	manifest=$(jq -r '.manifests[0].digest' oci/index.json)
	config=$(jq -r .config.digest "oci/blobs/${manifest/://}")
	equal "$(image_id bytes)" "$config"
	cmp "oci/blobs/${config/://}" "docker/$(jq -r '.[0].Config' docker/manifest.json)"
	cmp "oci/blobs/${config/://}" <(kiln inspect --raw bytes | head -c -1)
	sed "s/\"architecture\":\"$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')\"/\"architecture\":\"ARCH\"/
		s/\"diff_ids\":\[[^]]*\]/\"diff_ids\":[]/" "oci/blobs/${config/://}" >found
	printf '%s' '{"architecture":"ARCH","author":"me","config":{"User":"1","ExposedPorts":{"53/udp":{},"80/tcp":{}},"Env":["PATH='$default_path'","E=<&>","U=ü"],"Entrypoint":["/e"],"Cmd":["/c"],"Volumes":{"/v":{}},"WorkingDir":"/","Labels":{"a":"2","z":"1"},"StopSignal":"SIGTERM","ArgsEscaped":true,"Healthcheck":{"Test":["CMD","/x"],"Interval":1000000000},"OnBuild":["ENV O=1"],"Shell":["/sh","-c"]},"created":"2017-07-14T02:40:00Z","history":[' >expected
	local created='"created":"2017-07-14T02:40:00Z"' comment='"comment":"buildkit.dockerfile.v0"' first=
	while IFS= read -r line; do
		printf '%s{%s,"created_by":%s,%s%s}' "$first" "$created" "$(jq -R . <<<"${line#* }")" "$comment" \
			"$([ "${line%% *}" = layer ] || echo ',"empty_layer":true')"
		first=,
	done >>expected <<-'END'
		empty ARG A=1 B
		empty ENV E=<&> U=ü
		empty LABEL z=1 a=2
		layer COPY --chown=1:2 f /f # buildkit
		empty EXPOSE [53/udp 80/tcp]
		empty VOLUME [/v]
		empty USER 1
		empty STOPSIGNAL SIGTERM
		empty SHELL [/sh -c]
		empty HEALTHCHECK {Test:[CMD /x] Interval:1s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}
		empty ENTRYPOINT ["/e"]
		empty CMD ["/c"]
		empty MAINTAINER me
	END
	printf '%s' '],"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' >>expected
	equal "$(cat expected)" "$(cat found)"
}

@test "RUN: heredocs on other descriptors, several commands, arithmetic without blanks" {
	cat >Dockerfile <<-'END'
		FROM base
		RUN <<EOF 3<<DATA cat - /dev/fd/3 >/both
		first line
		EOF
		data line
		DATA
		RUN echo $((1<<2)) >/shift
		RUN cat <<A && cat <<B >/joined && \
		    cat <<C
		a
		A
		b
		B
		c
		C
	END
	build -t descriptors
	says ' a' ' c'
	tree descriptors /both /shift /joined
	equal "$output" 'f 644 0:0 /both: first line|data line|
f 644 0:0 /joined: b|
f 644 0:0 /shift: 4|'
}

@test "ONBUILD: a trigger brings images and stages that nothing else needs" {
	kiln import "$lab/base.tar" tool-image
	dockerfile <<-'END'
		FROM base
		ONBUILD COPY --from=tool-image /etc/group /from-image
		ONBUILD COPY --from=assets /asset /from-stage
		ONBUILD ARG V=default
		ONBUILD ENV V2=$V
		ONBUILD WORKDIR /work
	END
	build -t needy
	dockerfile <<-'END'
		FROM base AS assets
		RUN echo asset >/asset
		FROM base AS unneeded
		RUN false
		FROM needy
		RUN pwd; cat /from-stage; echo "$V2"
	END
	build -t fed --build-arg V=given
	says ' /work' ' asset' ' given'
	says_not '[unneeded'
	printf 'FROM needy\n' >Dockerfile
	run -1 kiln build .
	says 'assets' '>>> FROM needy'
	printf 'FROM base AS p\nONBUILD FRUM x\nFROM p\n' >Dockerfile
	run -1 kiln build .
	says 'unknown instruction: FRUM (did you mean FROM?)' '>>> FROM p'
}

@test "several names and the warnings of a build do not meet: history has no trace of checks" {
	printf 'FROM base as x\nENV a b\nARG token=1\n' >Dockerfile
	build -t checked
	says '3 warnings found'
	equal "$(created_by checked)" 'ENV a=b (empty)
ARG token=1 (empty)'
}

@test "CMD and ENTRYPOINT without words are the shell's, as RUN without words is" {
	printf 'FROM base\nCMD\n' >Dockerfile
	build -t bare
	equal "$(config bare .config.Cmd)" '["/bin/sh","-c",""]'
	equal "$(created_by bare)" 'CMD ["/bin/sh" "-c" ""] (empty)'
	printf 'FROM base\nENTRYPOINT\n' >Dockerfile
	build -t bare
	equal "$(config bare '[.config.Entrypoint,.config.Cmd]')" '[["/bin/sh","-c",""],null]'
}

@test "FROM: the base's directory is made clean and absolute, a name that is none is said to be" {
	printf 'FROM scratch\nCOPY Dockerfile /\n' >Dockerfile
	build -t plain
	kiln save --format oci-dir -o layout plain
	# blob FILTER FILE: the file through jq as a new blob; its descriptor, in JSON.
	blob() {
		local hex
		jq -c "$1" "$2" >changed
		hex=$(sha256sum <changed | cut -c1-64)
		printf '{"digest":"sha256:%s","size":%s}' "$hex" "$(stat -c %s changed)"
		mv changed "layout/blobs/sha256/$hex"
	}
	local manifest config new
	manifest=layout/blobs/$(jq -r '.manifests[0].digest|sub(":";"/")' layout/index.json)
	config=layout/blobs/$(jq -r '.config.digest|sub(":";"/")' "$manifest")
	new=$(blob '.config.WorkingDir="rel/dir/"' "$config")
	new=$(blob ".config+=$new" "$manifest")
	jq -c ".manifests[0]+=$new" layout/index.json >index
	mv index layout/index.json
	printf 'FROM oci:layout\nCOPY Dockerfile x/\n' >Dockerfile
	build -t on-relative -o type=tar,dest=out.tar
	equal "$(config on-relative .config.WorkingDir)" '"/rel/dir"'
	equal "$(tar -tf out.tar | tail -n 1)" rel/dir/x/Dockerfile
	cannot_build 1 'failed to parse stage name "Upper"' 'lowercase' '>>> FROM Upper' <<<'FROM Upper'
}

@test "progress: keywords in capitals, a single stage without its name" {
	printf 'from base as only\nrun true\nworkdir /x\n' >Dockerfile
	build
	says '[1/3] FROM' '[2/3] RUN true' '[3/3] WORKDIR /x'
}
