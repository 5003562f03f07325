#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # lib.bash and bats set lab, output and status; $ is for Dockerfiles
# ARG, --build-arg, platform arguments, proxies, SOURCE_DATE_EPOCH: which values are seen where.

load lib
load image

setup_file() {
	new_lab
	import_base
}

teardown_file() {
	end_lab
}

# printed: what the RUN steps of the last build printed, without their marks.
printed() {
	sed -n 's/^#[0-9]* [0-9]*\.[0-9]* //p' <<<"$output"
}

@test "a global ARG is for FROM and for defaults; a stage sees it when it declares it" {
	dockerfile <<-'END'
		ARG NAME=base
		ARG TAG=${NAME}-tag SELF=${SELF}x
		ARG EMPTY=
		FROM ${NAME}
		RUN echo "1 ${NAME-unset} ${TAG-unset}"
		ARG NAME
		ARG TAG=own
		ARG SELF EMPTY NEVER
		RUN echo "2 $NAME $TAG $SELF ${EMPTY-unset} ${NEVER-unset}"
		FROM $NAME
		RUN echo "3 ${NAME-unset}"
	END
	build
	equal "$(printed)" '3 unset'
	build --no-cache --build-arg TAG=given
	equal "$(printed)" '3 unset'
	sed -i '/^FROM \$NAME/,$d' Dockerfile
	build --no-cache -t args
	equal "$(printed)" $'1 unset unset\n2 base own x  unset'
	build --no-cache -t args --build-arg TAG=given --build-arg EMPTY=e --build-arg NEVER=n
	equal "$(printed)" $'1 unset unset\n2 base given x e n'
	equal "$(created_by args)" 'RUN /bin/sh -c echo "1 ${NAME-unset} ${TAG-unset}" # buildkit
ARG NAME=base (empty)
ARG TAG=given (empty)
ARG SELF=x EMPTY=e NEVER=n (empty)
RUN |5 NAME=base TAG=given SELF=x EMPTY=e NEVER=n /bin/sh -c echo "2 $NAME $TAG $SELF ${EMPTY-unset} ${NEVER-unset}" # buildkit'
	equal "$(config args .config.Env)" '["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]' 'ARG is not in the image'
}

@test "an ARG without value makes no variable, an empty one does; one line sees the ones before it" {
	dockerfile <<-'END'
		FROM base
		ARG NONE
		ARG EMPTY=
		ARG A=1 B=${A}2 C=$B-$D D=4
		RUN env | grep -E '^(NONE|EMPTY|A|B|C|D)=' | sort
	END
	build -t args
	equal "$(printed)" $'A=1\nB=12\nC=12-\nD=4\nEMPTY='
	equal "$(created_by args | tail -n 1)" \
		"RUN |6 NONE= EMPTY= A=1 B=12 C=12- D=4 /bin/sh -c env | grep -E '^(NONE|EMPTY|A|B|C|D)=' | sort # buildkit"
	NONE=from-environment build --build-arg NONE --build-arg A=9 --build-arg UNUSED=x
	equal "$(printed)" $'A=9\nB=92\nC=92-\nD=4\nEMPTY=\nNONE=from-environment'
	build --build-arg NOT_IN_ENVIRONMENT
}

@test "ARG and ENV of one name: the last line counts, and ENV stays in the image" {
	dockerfile <<-'END'
		FROM base
		ENV X=env
		ARG X=arg
		RUN echo "1 $X"
		ENV X=env2-$X
		RUN echo "2 $X"
		ARG X=arg2
		ARG X=arg3
		RUN echo "3 $X"
	END
	build -t args
	equal "$(printed)" $'1 arg\n2 env2-arg\n3 arg3'
	equal "$(config args '.config.Env[-1]')" '"X=env2-arg"'
	equal "$(created_by args | tail -n 1)" 'RUN |1 X=arg3 /bin/sh -c echo "3 $X" # buildkit'
	build --build-arg X=given -t args
	equal "$(printed)" $'1 given\n2 env2-given\n3 given'
}

@test "ARG reaches stages made FROM this one, and no others" {
	dockerfile <<-'END'
		FROM base AS one
		ARG X=one
		FROM one AS two
		RUN echo "two ${X-unset}"
		FROM base
		COPY --from=two /etc/group /g
		RUN echo "three ${X-unset}"
	END
	build
	equal "$(printed | sort)" $'three unset\ntwo one'
}

@test "defaults: an overridden one is never expanded; errors are at their line" {
	dockerfile <<-'END'
		ARG WANTED=${MISSING:?must-be-given}
		FROM base
		ARG IN_STAGE="${MISSING:?must be given too}"
		ARG WANTED
		RUN echo "$WANTED $IN_STAGE"
	END
	run -1 kiln build .
	says 'MISSING: must-be-given' '>>> ARG WANTED='
	run -1 kiln build --build-arg WANTED=w .
	says 'MISSING: must be given too' '>>> ARG IN_STAGE='
	build --build-arg WANTED=w --build-arg IN_STAGE=s
	equal "$(printed)" 'w s'
	run -125 kiln build --build-arg =x .
	says 'no name before'
	cannot_build 1 'ARG requires at least one argument' <<<$'FROM base\nARG'
	cannot_build 1 'ARG names can not be blank' <<<$'FROM base\nARG =x'
}

@test "expansion: every form of \${} in words" {
	dockerfile <<-'END'
		FROM base
		ENV s=set e= path=/usr/lib/x.tar.gz
		ENV a="${s:-w}|${e:-w}|${u:-w}|${s-w}|${e-w}|${u-w}"
		ENV b="${s:+w}|${e:+w}|${u:+w}|${s+w}|${e+w}|${u+w}"
		ENV c="${path#*/}|${path##*/}|${path%.*}|${path%%.*}|${path/x/y}|${path//r/R}"
		ENV d=\$s'$s'"\$s$s$." f=${u:-${s}-"in ner"} g=$s$$$1x
		RUN printf '%s\n' "$a" "$b" "$c" "$d" "$f" "$g"
	END
	build
	equal "$(printed)" 'set|w|w|set||w
w|||w|w|
usr/lib/x.tar.gz|x.tar.gz|/usr/lib/x.tar|/usr/lib/x|/usr/lib/y.tar.gz|/usR/lib/x.taR.gz
$s$s$sset$.
set-in ner
setx'
	cannot_build 1 'unsupported modifier' <<<$'FROM base\nENV a=${b:=c}'
	cannot_build 1 "syntax error: missing '}'" <<<$'FROM base\nENV a=${b'
}

@test "platform arguments: global, in a stage when declared, and overridden by --build-arg" {
	local arch
	arch=$(config base .architecture | tr -d '"')
	dockerfile <<-'END'
		FROM --platform=$BUILDPLATFORM base AS end
		RUN echo "${TARGETARCH-unset}"
		ARG TARGETPLATFORM TARGETOS TARGETARCH BUILDPLATFORM BUILDARCH TARGETSTAGE TARGETVARIANT=none
		RUN echo "$TARGETPLATFORM $TARGETOS $TARGETARCH $BUILDPLATFORM $BUILDARCH $TARGETSTAGE"
	END
	build
	equal "$(printed)" "unset
linux/$arch linux $arch linux/$arch $arch end"
	build --build-arg TARGETARCH=other --build-arg TARGETSTAGE=x
	equal "$(printed)" "linux/$arch linux other linux/$arch $arch x"
	printf 'FROM base\nARG TARGETSTAGE\nRUN echo $TARGETSTAGE\n' >Dockerfile
	build
	equal "$(printed)" default
}

@test "proxies reach RUN undeclared and in both cases, but not history, the image and the cache key" {
	dockerfile <<-'END'
		FROM base
		RUN env | grep -i _proxy= | sort
	END
	build -t proxy --build-arg HTTP_PROXY=http://one:1 --build-arg no_proxy=local
	equal "$(printed)" 'HTTP_PROXY=http://one:1
NO_PROXY=local
http_proxy=http://one:1
no_proxy=local'
	run -0 kiln inspect --raw proxy
	says_not one:1 HTTP_PROXY
	build -t proxy --build-arg HTTP_PROXY=http://two:2
	equal "$(steps CACHED)" 1
	printf 'FROM base\nARG HTTP_PROXY\nRUN env | grep HTTP_PROXY=\n' >Dockerfile
	build -t proxy --build-arg HTTP_PROXY=http://three:3
	equal "$(printed)" HTTP_PROXY=http://three:3
	created_by proxy | grep -q 'RUN |1 HTTP_PROXY=http://three:3'
	build -t proxy --build-arg HTTP_PROXY=http://four:4
	equal "$(steps CACHED)" 0 'declared, it is an argument like others'
}

@test "SOURCE_DATE_EPOCH: from the environment, --build-arg and a global ARG; times are clamped and images repeat" {
	echo x >file
	touch -d '2030-01-01 UTC' file
	dockerfile <<-'END'
		FROM base
		ARG SOURCE_DATE_EPOCH=5
		COPY file /future
		COPY <<f /here
		x
		f
		WORKDIR /made
		RUN touch /new && touch -d @1000000000 /old && echo "epoch $SOURCE_DATE_EPOCH"
		LABEL a=b
	END
	SOURCE_DATE_EPOCH=1600000000 build -t epoch --no-cache
	says 'epoch 1600000000'
	in_image -u 0 epoch stat -c '%Y %n' /future /here /made /new /old
	equal "$output" '1600000000 /future
1600000000 /here
1600000000 /made
1600000000 /new
1000000000 /old'
	equal "$(config epoch '[.created, (.history[1:][].created)]|unique')" '["2020-09-13T12:26:40Z"]'
	local id
	id=$(image_id epoch)
	build -t epoch --no-cache --build-arg SOURCE_DATE_EPOCH=1600000000
	equal "$(image_id epoch)" "$id"
	sed -i '1i ARG SOURCE_DATE_EPOCH=1600000000' Dockerfile
	build -t epoch --no-cache
	says 'epoch 1600000000'
	equal "$(image_id epoch)" "$id"
	SOURCE_DATE_EPOCH=1 build -t epoch --no-cache --build-arg SOURCE_DATE_EPOCH=1500000000
	equal "$(config epoch .created)" '"2017-07-14T02:40:00Z"' 'the build argument wins'
	SOURCE_DATE_EPOCH=1 build -t epoch --build-arg SOURCE_DATE_EPOCH=
	differ "$(config epoch .created)" '"1970-01-01T00:00:01Z"' 'an empty one takes it back'
	run -1 kiln build --build-arg SOURCE_DATE_EPOCH=yesterday .
	says 'invalid SOURCE_DATE_EPOCH: yesterday'
	SOURCE_DATE_EPOCH=x run -125 kiln build .
	says 'invalid SOURCE_DATE_EPOCH: x'
}
