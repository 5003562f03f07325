#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # lib.bash and bats set lab, output and status; $ is for Dockerfiles
# What re-runs a step and what does not, and what --explain says of it.

load lib
load image

setup_file() {
	new_lab
	import_base
}

teardown_file() {
	end_lab
}

# ran WORD...: the steps of the last build that were not cached are these, by a word of each, in order.
ran() {
	local names
	names=$(awk '
		/^#[0-9]+ \[/ && !($1 in name) { name[$1] = $0; order[++n] = $1; if (/\] FROM /) from[$1] = 1 }
		/^#[0-9]+ CACHED/ { cached[$1] = 1 }
		END { for (i = 1; i <= n; i++) if (!cached[order[i]] && !from[order[i]]) print name[order[i]] }' <<<"$output" |
		sed 's/^#[0-9]* \[[^]]*\] //')
	equal "$names" "$(printf '%s\n' "$@")" 'steps that ran'
}

# misses TEXT: the one step that missed says why.
misses() {
	equal "$(sed -n 's/^#[0-9]* MISS: //p' <<<"$output" | head -n 1)" "$1"
}

@test "everything again is everything cached, and the same image" {
	mkdir dir
	echo x >dir/x
	dockerfile <<-'END'
		FROM base AS one
		RUN cat /proc/sys/kernel/random/uuid >/when
		FROM base
		ENV A=1
		COPY dir /d
		ADD dir/x /x
		COPY <<f /f
		y
		f
		COPY --from=one /when /
		WORKDIR /w
		RUN cat /proc/sys/kernel/random/uuid >/when2
		CMD ["x"]
	END
	build -t same
	local id
	id=$(image_id same)
	build -t same
	ran
	equal "$(image_id same)" "$id"
	sleep 1
	build --explain -t same
	ran
	says_not MISS
	equal "$(image_id same)" "$id" 'whenever it is'
}

@test "COPY: contents, names and modes count; times, owners and the rest of the context do not" {
	mkdir dir
	echo one >dir/one
	echo two >dir/two
	dockerfile <<-'END'
		FROM base
		COPY dir /dir
		RUN ls /dir
	END
	build
	touch -d '2001-01-01' dir/one dir
	build
	ran
	echo unrelated >other
	build
	ran
	chmod 600 dir/one
	build --explain
	ran 'COPY dir /dir' 'RUN ls /dir'
	misses 'dir/one has another type, mode or attribute'
	mv dir/two dir/three
	build --explain
	ran 'COPY dir /dir' 'RUN ls /dir'
	misses 'dir/three is new'
	rm dir/three
	build --explain
	ran 'COPY dir /dir' 'RUN ls /dir'
	misses 'dir/three is gone'
	echo ONE >dir/one
	build --explain
	ran 'COPY dir /dir' 'RUN ls /dir'
	says 'MISS: dir/one changed ('
	touch -r dir/one stamp
	printf TWO >dir/one
	touch -r stamp dir/one
	build
	ran 'COPY dir /dir' 'RUN ls /dir'
	mkdir dir/empty
	build --explain
	ran 'COPY dir /dir' 'RUN ls /dir'
	misses 'dir/empty is new'
	rm dir/one
	ln -s two dir/one
	build --explain
	misses 'dir/one has another type, mode or attribute'
	mv dir elsewhere
	mkdir deeper
	mv elsewhere deeper/dir
	sed -i 's|COPY dir|COPY deeper/dir|' Dockerfile
	build
	ran
}

@test "a file that is changed back is a hit again" {
	echo one >f
	printf 'FROM base\nCOPY f /\nRUN cat /f >/g; cat /proc/sys/kernel/random/uuid >/when\n' >Dockerfile
	build -t back
	local id
	id=$(image_id back)
	echo two >f
	build -t back
	ran 'COPY f /' 'RUN cat /f >/g; cat /proc/sys/kernel/random/uuid >/when'
	echo one >f
	build -t back
	ran
	equal "$(image_id back)" "$id"
}

@test "COPY: destination, owner, mode, exclusions, .dockerignore" {
	mkdir d
	touch d/a d/b
	try() {
		printf 'FROM base\n%s\n' "$1" >Dockerfile
		build
		ran "${@:2}"
	}
	try 'COPY d /x' 'COPY d /x'
	try 'COPY d/ /x'
	try 'COPY ./d /x'
	try 'COPY d /x/' 'COPY d /x/'
	try 'COPY --chown=1 d /x' 'COPY --chown=1 d /x'
	try 'COPY --chown=2 d /x' 'COPY --chown=2 d /x'
	try 'COPY --chmod=700 d /x' 'COPY --chmod=700 d /x'
	try 'COPY --exclude=b d /x' 'COPY --exclude=b d /x'
	try 'ADD d /x' 'ADD d /x'
	echo d/b >.dockerignore
	try 'COPY d /x' 'COPY d /x'
	touch d/c
	echo 'd/[bc]' >.dockerignore
	try 'COPY d /x'
}

@test "RUN: its text, variables, directory, user, shell and network count; metadata do not" {
	try() {
		printf 'FROM base\n%s\nRUN echo run\n' "$1" >Dockerfile
		build --explain
		if [ $# -gt 1 ]; then
			says 'echo run'
			[ -z "$2" ] || misses "$2"
			equal "$(steps CACHED)" 0
		else
			equal "$(steps CACHED)" 1 "$1"
		fi
	}
	try '' 'there is no earlier build of this step to compare with'
	try 'LABEL a=b'
	try 'LABEL a=c'
	try $'EXPOSE 80\nCMD ["x"]\nENTRYPOINT ["y"]\nVOLUME /v\nSTOPSIGNAL 9\nHEALTHCHECK NONE\nMAINTAINER me'
	try '# a comment'
	try 'ENV A=1' 'variable A is new: "1"'
	try 'ENV A=2' 'variable A changed: "1" -> "2"'
	try ''
	try 'ENV C=1' 'variable C is new: "1"'
	try 'ENV D=1' 'variable D is new: "1"'
	try 'ENV A=1'
	try 'ARG A=1'
	try 'ARG B=1' ''
	try 'ARG B=2' 'variable B changed: "1" -> "2"'
	try 'ARG NO_VALUE'
	try 'USER web' 'user changed: "" -> "web"'
	try 'SHELL ["/bin/ash", "-c"]' ''
	printf 'FROM base\nRUN echo  run\n' >Dockerfile
	build --explain
	ran 'RUN echo  run'
	printf 'FROM base\nRUN echo run && \\\n# comment\n  true\n' >Dockerfile
	build
	printf 'FROM base\nRUN echo run && \\\n# another\n# comment\n  true\n' >Dockerfile
	build
	ran
	build --network none
	ran 'RUN echo run &&   true'
}

@test "an ARG that changes re-runs what comes after its line, used or not, and only that" {
	dockerfile <<-'END'
		FROM base
		RUN echo before
		ARG VERSION=1
		RUN echo after
		COPY Dockerfile /
	END
	build
	build --build-arg VERSION=2
	ran 'RUN echo after' 'COPY Dockerfile /'
	build --build-arg VERSION=2
	ran
	build --build-arg VERSION=1
	ran
	build --build-arg OTHER=x
	ran
}

@test "a failed step keeps all before it, and the next build goes on there" {
	dockerfile <<-'END'
		FROM base AS side
		RUN cat /proc/sys/kernel/random/uuid >/side
		FROM base
		RUN cat /proc/sys/kernel/random/uuid >/one
		COPY --from=side /side /
		RUN cat /proc/sys/kernel/random/uuid >/two
		RUN false
		RUN cat /proc/sys/kernel/random/uuid >/last
	END
	run -1 kiln build --progress=plain .
	ran 'RUN cat /proc/sys/kernel/random/uuid >/side' 'RUN cat /proc/sys/kernel/random/uuid >/one' 'COPY --from=side /side /' 'RUN cat /proc/sys/kernel/random/uuid >/two' 'RUN false'
	run -1 kiln build --progress=plain --explain .
	ran 'RUN false'
	misses 'what it needs was made anew, its layer is not in the store any more, or the last build did not finish it'
	sed -i 's/RUN false/RUN true/' Dockerfile
	build --explain -t resumed
	ran 'RUN true' 'RUN cat /proc/sys/kernel/random/uuid >/last'
	misses 'command changed: "false" -> "true"'
	echo 'RUN echo appended' >>Dockerfile
	build --explain -t resumed
	ran 'RUN echo appended'
	misses 'there is no earlier build of this step to compare with'
	sed -i 's/^RUN true/RUN echo inserted\nRUN true/' Dockerfile
	build --explain -t resumed
	ran 'RUN echo inserted' 'RUN true' 'RUN cat /proc/sys/kernel/random/uuid >/last' 'RUN echo appended'
	misses 'command changed: "true" -> "echo inserted"'
	says 'MISS: the step before it changed'
}

@test "COPY --from counts by what it takes: a stage that comes out the same re-runs nothing" {
	dockerfile <<-'END'
		FROM base AS build
		ARG RERUN=1
		RUN mkdir -p /out/sub && echo result >/out/f && echo "$RERUN" >/rest
		FROM base
		RUN echo first >/first
		COPY --from=build /out /out
		RUN cat /proc/sys/kernel/random/uuid >/when
	END
	build -t from
	local when
	when=$(kiln run from cat /when)
	build -t from --build-arg RERUN=2
	ran 'RUN mkdir -p /out/sub && echo result >/out/f && echo "$RERUN" >/rest'
	equal "$(kiln run from cat /when)" "$when"
	build -t from --build-arg RERUN=2
	ran
	sed -i 's|/out /out|/out/ /out|' Dockerfile
	build -t from --build-arg RERUN=2
	ran
	sed -i 's/echo result/echo other/' Dockerfile
	build --explain -t from
	ran 'RUN mkdir -p /out/sub && echo other >/out/f && echo "$RERUN" >/rest' 'COPY --from=build /out/ /out' 'RUN cat /proc/sys/kernel/random/uuid >/when'
	says 'MISS: the stage or image that it copies from changed'
	differ "$(kiln run from cat /when)" "$when"
}

@test "COPY --from tells devices apart, which are empty files to us" {
	need_program python3
	printf 'FROM base AS a\nADD device.tar /\nFROM base\nCOPY --from=a /d /d\n' >Dockerfile
	local minor
	for minor in 3 5; do
		python3 -c '
import sys, tarfile
member = tarfile.TarInfo("d/device")
member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 1, int(sys.argv[1])
with tarfile.open("device.tar", "w") as archive:
    archive.addfile(member)' "$minor"
		build -o type=tar,dest=out.tar
		run -0 tar -tvf out.tar d/device
		says "1,$minor"
	done
}

@test "COPY --from an image counts by what it takes too" {
	mkdir -p r/d
	echo same >r/d/f
	echo 1 >r/other
	kiln import r data
	printf 'FROM base\nCOPY --from=data /d /d\n' >Dockerfile
	build
	echo 2 >r/other
	kiln import r data
	build
	ran
	echo new >r/d/f
	kiln import r data
	build
	ran 'COPY --from=data /d /d'
}

@test "another base re-runs everything, an equal one nothing" {
	kiln import --change 'CMD ["x"]' "$lab/base.tar" moving
	printf 'FROM moving\nRUN cat /proc/sys/kernel/random/uuid >/when\nCOPY Dockerfile /\n' >Dockerfile
	build
	kiln import --change 'LABEL a=b' "$lab/base.tar" moving
	build
	ran
	printf 'FROM base\nRUN echo more >/more\n' | kiln build -q -t moving -f - . >/dev/null
	build --explain
	ran 'RUN cat /proc/sys/kernel/random/uuid >/when' 'COPY Dockerfile /'
	misses 'the image or stage that it stands on changed'
}

@test "--no-cache runs every step but leaves its results for the next build" {
	echo x >f
	printf 'FROM base\nWORKDIR /w\nCOPY f /\nRUN cat /proc/sys/kernel/random/uuid >/when\n' >Dockerfile
	build -t fresh
	local when
	when=$(kiln run fresh cat /when)
	build --no-cache --explain -t fresh
	ran 'COPY f /' 'RUN cat /proc/sys/kernel/random/uuid >/when'
	misses '--no-cache was given'
	differ "$(kiln run fresh cat /when)" "$when"
	when=$(kiln run fresh cat /when)
	build -t fresh
	ran
	equal "$(kiln run fresh cat /when)" "$when"
}

@test "a build in another store, or after a prune, runs again" {
	printf 'FROM base\nRUN echo pruned\n' >Dockerfile
	build
	kiln system prune --all --force
	kiln import --change 'CMD ["sh"]' "$lab/base.tar" base
	build
	ran 'RUN echo pruned'
}

@test "steps of one content share a layer and a cache of many steps stays right" {
	{
		echo 'FROM base'
		for i in $(seq 40); do echo "RUN echo $((i % 7)) >/f$((i % 5))"; done
	} >Dockerfile
	build -t many
	in_image many sh -c 'cat /f0 /f1 /f2 /f3 /f4 | tr -d "\n"'
	# The last of the forty steps that wrote each file: steps 40, 36, 37, 38 and 39.
	equal "$output" 51234
	build -t many
	ran
	sed -i '21s/.*/RUN echo changed >\/changed/' Dockerfile
	build -t many
	equal "$(steps CACHED)" 19
}

@test "WORKDIR is cached with --no-cache, comments and unset arguments re-run nothing, a blank in a RUN does" {
	dockerfile <<-'END'
		FROM base
		WORKDIR /w
		ARG NOT_SET
		RUN echo one && \
		    echo two
	END
	build
	sed -i 's/^    echo two/    # a comment\n&/' Dockerfile
	sed -i '/NOT_SET/d' Dockerfile
	build
	equal "$(steps CACHED)" 2
	build --no-cache
	equal "$(steps CACHED)" 1 'only WORKDIR'
	sed -i 's/echo one/echo  one/' Dockerfile
	build
	equal "$(steps CACHED)" 1
}

@test "COPY: a rename within a directory re-runs it, a move of the directory does not, a hit keeps the old times" {
	mkdir -p one/dir
	echo x >one/dir/a
	touch -d @1000000000 one/dir/a
	printf 'FROM base\nCOPY one/dir /d/\n' >Dockerfile
	build -t renames
	mkdir two
	mv one/dir two/dir
	touch -d @1100000000 two/dir/a
	printf 'FROM base\nCOPY two/dir /d/\n' >Dockerfile
	build -t renames
	equal "$(steps CACHED)" 1
	in_image renames stat -c %Y /d/a
	equal "$output" 1000000000
	mv two/dir/a two/dir/b
	build
	equal "$(steps CACHED)" 0
}

@test "a step is found only on the layers that it was made on, not on those of another run of the same text" {
	dockerfile <<-'END'
		FROM base AS first
		RUN cat /proc/sys/kernel/random/uuid >/made
		FROM first
		RUN cp /made /copy
	END
	build -t mixed
	build --no-cache --target first
	build -t mixed
	ran 'RUN cp /made /copy'
	equal "$(kiln run mixed cat /made)" "$(kiln run mixed cat /copy)"
	build -t mixed
	ran
}

@test "WORKDIR with --no-cache stands on what the steps before it have made now" {
	dockerfile <<-'END'
		FROM base
		RUN if [ "$HTTP_PROXY" = makes ]; then mkdir -m 700 /w; fi
		WORKDIR /w
	END
	build -t dir
	equal "$(kiln run dir stat -c %a /w)" 755
	build -t dir --no-cache --build-arg HTTP_PROXY=makes
	equal "$(kiln run dir stat -c %a /w)" 700
	build -t dir --no-cache
	equal "$(kiln run dir stat -c %a /w)" 755
}

@test "what is copied of a stage is of one run of it" {
	dockerfile <<-'END'
		FROM base AS side
		RUN cat /proc/sys/kernel/random/uuid | tee /one >/two
		FROM base
		COPY --from=side /one /
	END
	build -t copied
	build --no-cache --target side
	echo 'COPY --from=side /two /' >>Dockerfile
	build -t copied
	equal "$(kiln run copied cat /one)" "$(kiln run copied cat /two)"
	build -t copied
	ran
}
