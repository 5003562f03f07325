#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Build checks, --call, and where errors are: dockerfile.md 1.10, and BuildKit's dockerfile_lint_test.go.

# shellcheck disable=SC2154 # bats sets output and status

load lib
load image

setup_file() {
	new_lab
	import_base
	kiln import --change 'SHELL ["/bin/sh","-c"]' --change 'ENV BASE_VAR=1' --change 'WORKDIR /w' "$lab/base.tar" with-shell >/dev/null
}

teardown_file() {
	end_lab
}

# check STATUS [LINE...]: the Dockerfile on standard input has these warnings, "RULE: DETAIL (line N)", and no other.
check() {
	local status=$1
	shift
	cat >Dockerfile
	run --separate-stderr "-$status" kiln build --call=check,format=json "${check_options[@]}" .
	found=$(jq -r '.warnings[] | "\(.ruleName): \(.detail) (line \(.location.ranges[0].start.line))"' <<<"$output")
	equal "$(printf '%s\n' "$@")" "$found"
}

@test "--check: no warnings" {
	echo 'FROM scratch' >Dockerfile
	run -0 --separate-stderr kiln build --check .
	equal "Check complete, no warnings found." "$output"
	equal "" "$stderr"
}

@test "--check: warnings by line, with their place, and exit status 1" {
	dockerfile <<-'END'
		FROM base as one
		CMD a \
		  b
	END
	run -1 --separate-stderr kiln build --check .
	equal "Check complete, 2 warnings have been found!

WARNING: FromAsCasing - https://docs.docker.com/go/dockerfile/rule/from-as-casing/
'as' and 'FROM' keywords' casing do not match
Dockerfile:1
--------------------
   1 | >>> FROM base as one
   2 |     CMD a \\
   3 |       b
--------------------

WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/
JSON arguments recommended for CMD to prevent unintended behavior related to OS signals
Dockerfile:2
--------------------
   1 |     FROM base as one
   2 | >>> CMD a \\
   3 | >>>   b
   4 |     
--------------------" "$output"
	equal "" "$stderr"
	run -0 kiln build --call=check,ignorestatus=true .
	says "Check complete, 2 warnings"
	run -1 kiln build --call=check .
	equal "$(kiln images -q | sort -u | wc -l)" "$(printf '%s\n' "$(image_id base)" "$(image_id with-shell)" | sort -u | wc -l)" "something was built"
}

@test "--check: JSON has rules, places and the source" {
	printf 'FROM scratch AS x\nMAINTAINER \\\n  me\n' >Dockerfile
	run -1 --separate-stderr kiln build --call=check,format=json .
	equal '{"ruleName":"MaintainerDeprecated","description":"The MAINTAINER instruction is deprecated, use a label instead to define an image author","url":"https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/","detail":"Maintainer instruction is deprecated in favor of using label","location":{"ranges":[{"start":{"line":2},"end":{"line":2}},{"start":{"line":3},"end":{"line":3}}]}}' \
		"$(jq -c '.warnings[]' <<<"$output")"
	equal Dockerfile "$(jq -r '.sources[0].filename' <<<"$output")"
	equal "$(cat Dockerfile)" "$(jq -r '.sources[0].data' <<<"$output" | base64 -d)"
	equal null "$(jq .buildError <<<"$output")"
}

@test "--check: an error is said behind the warnings before it" {
	printf 'FROM scratch AS Bad\nMAINTAINER me\nBADCMD\n' >Dockerfile
	run -1 --separate-stderr kiln build --check .
	says "2 warnings have been found" "WARNING: StageNameCasing" "WARNING: MaintainerDeprecated"
	output=$stderr
	says "   3 | >>> BADCMD" "     |     ^^^^^^" "kiln: dockerfile parse error on line 3: unknown instruction: BADCMD"
	run -1 --separate-stderr kiln build --call=check,format=json .
	equal 'dockerfile parse error on line 3: unknown instruction: BADCMD' "$(jq -r .buildError.message <<<"$output")"
	equal 3 "$(jq -r '.buildError.location.ranges[0].start.line' <<<"$output")"
}

@test "# check=error=true and BUILDKIT_DOCKERFILE_CHECK" {
	printf '#check=skip=ConsistentInstructionCasing;error=true\nFROM scratch as base\ncopy Dockerfile .\n' >Dockerfile
	run -1 kiln build .
	says " 1 warning found (use --check to expand):" " - FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 2)" \
		"   2 | >>> FROM scratch as base" "kiln: lint violation found for rules: FromAsCasing"
	says_not "COPY Dockerfile"
	run -0 kiln build --build-arg BUILDKIT_DOCKERFILE_CHECK=skip=all .
	says_not "warning found"
	printf '#check=skip=all\nFROM scratch as base\ncopy Dockerfile .\n' >Dockerfile
	run -1 kiln build --build-arg 'BUILDKIT_DOCKERFILE_CHECK=skip=ConsistentInstructionCasing;error=true' .
	says "lint violation found for rules: FromAsCasing"
	run -1 kiln build --build-arg BUILDKIT_DOCKERFILE_CHECK=nonsense .
	says 'failed to parse check options: invalid check option "nonsense"'
}

@test "warnings are told when a build ends, also of one that fails, and never in quiet mode" {
	dockerfile <<-'END'
		FROM base as one
		MAINTAINER me
		RUN true
	END
	build
	equal " 2 warnings found (use --check to expand):
 - FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)
 - MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)" "$(tail -n 3 <<<"$output")"
	run -0 kiln build -q .
	says_not warning
	run -0 --separate-stderr kiln build --progress=json .
	equal '{"event":"warning","line":2,"rule":"MaintainerDeprecated","description":"The MAINTAINER instruction is deprecated, use a label instead to define an image author","url":"https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/","text":"Maintainer instruction is deprecated in favor of using label"}' \
		"$(grep MaintainerDeprecated <<<"$stderr")"
	printf 'FROM base as one\nRUN echo said; false\n' >Dockerfile
	run -1 kiln build .
	says " 1 warning found (use --check to expand):"
	[[ $output == *"------"*"1 warning found"*"Dockerfile:2"* ]] || fail "warnings are not between the output and the place: $output"
}

@test "checks of FROM: undeclared and default arguments, platforms" {
	check 0 <<-'END'
		ARG base=scratch
		FROM $base
	END
	check 0 <<-'END'
		FROM --platform=$BUILDPLATFORM scratch
	END
	check 0 <<-'END'
		ARG DEBUG
		FROM scratch${DEBUG}
	END
	check 0 <<-'END'
		ARG DEBUG
		FROM scra${DEBUG:-tch}
	END
	check 1 "UndefinedArgInFrom: FROM argument 'version' is not declared (line 2)" <<-'END'
		ARG tag=latest
		FROM base:${tag}${version} AS b
	END
	check 1 "UndefinedArgInFrom: FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?) (line 1)" <<-'END'
		FROM --platform=$BULIDPLATFORM scratch
	END
	equal "empty platform value from expression \$BULIDPLATFORM (did you mean BUILDPLATFORM?)" "$(jq -r .buildError.message <<<"$output")"
	check 1 "UndefinedArgInFrom: FROM argument 'MYARCH' is not declared (did you mean MY_ARCH?) (line 2)" <<-'END'
		ARG MY_ARCH=amd64
		FROM --platform=linux/${MYARCH} base
	END
	[[ $(jq -r .buildError.message <<<"$output") == "failed to parse platform linux/\${MYARCH}: "*"(did you mean MY_ARCH?)" ]] || fail "$output"
	check_options=(--build-arg VERSION=latest)
	check 1 'InvalidDefaultArgInFrom: Default value for ARG base:$VERSION results in empty or invalid base image name (line 2)' <<-'END'
		ARG VERSION
		FROM base:$VERSION
	END
	check_options=(--build-arg IMAGE=base)
	check 1 'InvalidDefaultArgInFrom: Default value for ARG $IMAGE results in empty or invalid base image name (line 2)' <<-'END'
		ARG IMAGE
		FROM $IMAGE
	END
	check_options=()
	check 1 'RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior (line 1)' <<-'END'
		FROM --platform=$TARGETPLATFORM scratch
	END
	check 1 'FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "linux/amd64" (line 1)' <<-'END'
		FROM --platform=linux/amd64 scratch
		FROM --platform=linux/amd64 scratch AS my_amd64_stage
		FROM --platform=linux/amd64 scratch AS linux
	END
}

@test "checks of the base: its platform, its variables, its shell, its directory do not count" {
	local other=arm64
	[ "$(uname -m)" = x86_64 ] || other=amd64
	jq --arg a $other '.architecture=$a' <<<"$(kiln inspect --raw base)" >/dev/null
	check 0 <<-'END'
		FROM with-shell
		CMD mycommand
		ENV X=$BASE_VAR
	END
	check 1 'WorkdirRelativePath: Relative workdir "sub" can have unexpected results if the base image changes (line 2)' <<-'END'
		FROM with-shell
		WORKDIR sub
		WORKDIR sub2
	END
	check 0 <<-'END'
		FROM base AS a
		WORKDIR /app
		FROM a AS b
		WORKDIR subdir/
	END
}

@test "checks of variables: builder's words only, declared ones not, the nearest is suggested" {
	check 0 <<-'END'
		FROM base AS base1
		ARG foo
		COPY Dockerfile${foo} .
		RUN echo $PATH $NOTHING
		CMD ["$NOTHING"]
		ENV X=${A:-b} Y=${A-b} Z=${A:+b}
		FROM base1
		COPY $foo Dockerfile .
	END
	check 1 "UndefinedVar: Usage of undefined variable '\$foo' (line 2)" \
		"UndefinedVar: Usage of undefined variable '\$DIR_ASSET' (did you mean \$DIR_ASSETS?) (line 7)" \
		"UndefinedVar: Usage of undefined variable '\$PAHT' (did you mean \$PATH?) (line 8)" \
		"UndefinedVar: Usage of undefined variable '\$x' (line 9)" \
		"UndefinedVar: Usage of undefined variable '\$x' (did you mean \$y?) (line 10)" <<-'END'
		FROM base
		COPY $foo .
		ARG foo=bar
		ARG DIR_BINARIES=binaries/
		ARG DIR_ASSETS=assets/
		ARG DIR_CONFIG=config/
		COPY $DIR_ASSET .
		ENV PATH=$PAHT:/tmp/bin
		ARG y=$x
		COPY <<-EOF /file
			a $x
		EOF
		COPY <<-'EOF' /file
			a $q
		EOF
	END
}

@test "checks of stages that are not needed count for --check without a target only" {
	dockerfile <<-'END'
		FROM scratch AS first
		COPY $foo .
		FROM scratch AS second
		COPY $bar .
	END
	run -1 kiln build --check .
	says "'\$foo'" "'\$bar'"
	run -1 kiln build --check --target second .
	says "'\$bar'"
	says_not "'\$foo'"
}

@test "checks of commands: shell form, several, secrets, old form, ports" {
	check 1 "MultipleInstructionsDisallowed: Multiple ENTRYPOINT instructions should not be used in the same stage because only the last one will be used (line 2)" \
		"MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be used (line 3)" \
		"MultipleInstructionsDisallowed: Multiple HEALTHCHECK instructions should not be used in the same stage because only the last one will be used (line 4)" <<-'END'
		FROM base AS a
		ENTRYPOINT ["/myapp"]
		CMD ["/myapp"]
		HEALTHCHECK CMD ["/myapp"]
		ENTRYPOINT ["/myotherapp"]
		CMD ["/myotherapp"]
		HEALTHCHECK CMD ["/myotherapp"]
		FROM a AS b
		ENTRYPOINT ["/myotherapp"]
		CMD ["/myotherapp"]
		HEALTHCHECK CMD ["/myotherapp"]
	END
	check 1 'JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals (line 2)' <<-'END'
		FROM scratch
		ENTRYPOINT mycommand
		SHELL ["/usr/bin/customshell"]
		CMD mycommand
	END
	check 1 'SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV "git_key") (line 2)' \
		'LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy "ENV key value" format (line 3)' \
		"ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase (line 4)" \
		"ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80' (line 4)" <<-'END'
		FROM scratch
		ENV "git_key"= PUBLIC_KEY= 
		ENV a b
		EXPOSE 80/TcP 127.0.0.1:80:80
	END
}

@test "checks of .dockerignore: sources of the context that it excludes, but where it has exceptions" {
	printf 'Dockerfile\n*.log\ndir\n' >.dockerignore
	check 1 'CopyIgnoredFile: Attempting to Copy file "Dockerfile" that is excluded by .dockerignore (line 2)' \
		'CopyIgnoredFile: Attempting to Add file "Dockerfile" that is excluded by .dockerignore (line 3)' \
		'CopyIgnoredFile: Attempting to Copy file "dir/sub" that is excluded by .dockerignore (line 4)' <<-'END'
		FROM base AS a
		COPY Dockerfile .
		ADD Dockerfile /windy
		COPY ./dir/sub/ /x
		COPY . /y
		FROM base
		COPY --from=a /Dockerfile /z
	END
	printf '*\n!x\n' >.dockerignore
	check 0 <<-'END'
		FROM base
		COPY x y /
		COPY . /
	END
	printf '*\n' >.dockerignore
	check 1 'CopyIgnoredFile: Attempting to Copy file "." that is excluded by .dockerignore (line 2)' <<-'END'
		FROM base
		COPY . /
	END
}

@test "checks of ONBUILD are those of what it triggers, at the FROM" {
	dockerfile <<-'END'
		FROM base
		ONBUILD CMD shell form
	END
	run -0 kiln build -t triggers .
	says_not "warning found"
	check 1 "JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 1)" <<-'END'
		FROM triggers
		LABEL a=b
	END
}

@test "a base image that is not in the store does not hinder the checks" {
	check 1 'JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 3)' <<-'END'
		FROM not-there:1
		ENV PATH=$SOMETHING_OF_THE_BASE:$PATH
		CMD a
	END
}

@test "--call=targets: names, descriptions, the default" {
	dockerfile <<-'END'
		# build compiles
		FROM base AS build
		# not about it
		FROM --platform=$BUILDPLATFORM build AS test
		FROM scratch
	END
	run -0 --separate-stderr kiln build --call=targets .
	equal "TARGET    DESCRIPTION
build     compiles
test      
(default) " "$output"
	run -0 --separate-stderr kiln build --call=targets,format=json .
	equal '[{"name":"build","description":"compiles","base":"base","location":{"ranges":[{"start":{"line":2},"end":{"line":2}}]}},{"name":"test","base":"build","platform":"$BUILDPLATFORM","location":{"ranges":[{"start":{"line":4},"end":{"line":4}}]}},{"default":true,"base":"scratch","location":{"ranges":[{"start":{"line":5},"end":{"line":5}}]}}]' \
		"$(jq -c .targets <<<"$output")"
	equal "$(cat Dockerfile)" "$(jq -r '.sources[0]' <<<"$output" | base64 -d)"
	printf 'FROM base AS a\nFROM base AS last\n' >Dockerfile
	run -0 kiln build --call=targets .
	says "last (default)"
}

@test "--call=outline: arguments of the target and of what it stands on, secrets, ssh" {
	dockerfile <<-'END'
		ARG inherited=se
		ARG inherited2=box2
		ARG unused=abc${inherited2}
		# sfx is a suffix
		ARG sfx="a${inherited}"

		FROM b${sfx} AS first
		# this is not assigned to anything
		ARG FOO=123
		# BAR is a number
		ARG BAR=456
		RUN --mount=type=secret,target=/etc/passwd,required=true --mount=type=ssh true

		FROM base${unused} AS second
		ARG BAZ
		RUN true

		FROM scratch AS third
		ARG ABC=a
		RUN --mount=type=secret,id=second${ABC} true

		# target defines build target
		FROM third AS target
		COPY --from=first /etc/passwd /
		ARG inherited
		RUN --mount=type=ssh,id=ssh3,required true

		FROM second
	END
	run -0 --separate-stderr kiln build --call=outline --target target --build-arg BAR=678 .
	equal "TARGET:      target
DESCRIPTION: defines build target

BUILD ARG   VALUE   DESCRIPTION
inherited   se      
sfx         ase     is a suffix
FOO         123     
BAR         678     is a number
ABC         a       

SECRET    REQUIRED
passwd    true
seconda   

SSH       REQUIRED
default   
ssh3      true" "$output"
	run -0 --separate-stderr kiln build --call=outline,format=json --target target --build-arg BAR=678 .
	equal '{"name":"BAR","description":"is a number","value":"678","location":{"ranges":[{"start":{"line":11},"end":{"line":11}}]}}' \
		"$(jq -c '.args[3]' <<<"$output")"
	equal '[{"name":"passwd","required":true,"location":{"ranges":[{"start":{"line":12},"end":{"line":12}}]}},{"name":"seconda","location":{"ranges":[{"start":{"line":20},"end":{"line":20}}]}}]' \
		"$(jq -c .secrets <<<"$output")"
	equal '"target" "defines build target"' "$(jq -r '"\(.name|tojson) \(.description|tojson)"' <<<"$output")"
}

@test "--call: wrong words" {
	echo 'FROM scratch' >Dockerfile
	run -125 kiln build --call=chek .
	says 'unknown method "chek" for --call: build, check, outline or targets (did you mean check?)'
	run -125 kiln build --call=check,format=yaml .
	says 'unknown format "yaml" for --call: text or json'
	run -125 kiln build --check --call=outline .
	says "--check and --call=outline exclude each other"
	run -0 kiln build --call=build .
}

@test "errors mark the word that is wrong, and json has its columns" {
	cannot_build 1 "   2 | >>> RUN --mont=type=cache true" "     |         ^^^^^^" "unknown flag: --mont (did you mean mount?)" <<-'END'
		FROM base
		RUN --mont=type=cache true
	END
	cannot_build 1 "   3 | >>>   c=\${X:?no} d=e" "     |         ^^^^^^^" 'failed to process "${X:?no}": X: no' <<-'END'
		FROM base
		LABEL a=b \
		  c=${X:?no} d=e
	END
	cannot_build 1 "     |          ^^^^" "base name (\$NOT) should not be blank" <<-'END'
		FROM $NOT
	END
	run -1 --separate-stderr kiln build --progress=json .
	equal '{"event":"failed","line":1,"last_line":1,"word_line":1,"first_column":6,"last_column":9,"text":"base name ($NOT) should not be blank"}' \
		"$(tail -n 2 <<<"$stderr" | grep failed)"
}

@test "errors that need no step are found before the first one runs" {
	cannot_build 1 "invalid containerPort: x" ">>> EXPOSE x" <<-'END'
		FROM base
		RUN echo this-runs-first
		EXPOSE x
	END
	says_not "[2/2]"
	cannot_build 1 "circular dependency detected on stage: a" <<-'END'
		FROM base AS a
		COPY --from=b /x /x
		FROM base AS b
		COPY --from=a /x /x
	END
	cannot_build 1 "invalid stage index 7" <<-'END'
		FROM base AS unneeded
		COPY --from=7 /x /x
		FROM base
	END
}

@test "a base of another platform is said to be one" {
	local arch
	arch=$(kiln inspect --raw base | jq -r .architecture)
	check 1 "InvalidBaseImagePlatform: Base image base was pulled with platform \"linux/$arch\", expected \"linux/s390x\" for current build (line 2)" <<-'END'
		ARG P=linux/s390x
		FROM --platform=$P base
	END
	check 0 <<-'END'
		ARG P=linux/s390x
		FROM --platform=$P scratch
		# check=skip=InvalidBaseImagePlatform
		FROM --platform=$P base
	END
}
