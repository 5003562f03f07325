#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # lib.bash and bats set lab, output and status; $ is for Dockerfiles
# RUN --mount: what each type shows, and that nothing of it stays.

load lib
load image

setup_file() {
	new_lab
	import_base
	canary=canary-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
	export canary
}

teardown_file() {
	end_lab
}

views() {
	printf '%s\n' overlay copy
}

# absent IMAGE PATH...: these are not in it.
absent() {
	in_image "$1" sh -c 'for path; do [ ! -e "$path" ] || echo "$path"; done' sh "${@:2}"
	equal "$output" '' 'what should not be there'
}

build_view() {
	local view=$1
	shift
	run -0 kiln --view "$view" build --progress=plain "$@" .
}

# ---- bind ----

@test "bind: the context, read-only, with its ignore rules; relative targets; a file; nothing stays" {
	mkdir -p sub/deep other
	echo one >sub/one
	echo two >sub/deep/two
	echo no >sub/hidden.log
	echo no >other/x
	printf '**/*.log\nother\n' >.dockerignore
	dockerfile <<-'END'
		FROM base
		WORKDIR /w
		RUN --mount=target=/src --mount=type=bind,source=sub,target=rel --mount=src=sub/one,dst=/file,readonly \
		    find /src /w/rel /file -type f | sort >/list; cat /file >>/list; (echo x >/src/new) 2>>/list; (echo x >/file) 2>>/list; true
		RUN --mount=type=bind,source=../../sub,target=/clipped ls /clipped >>/list
	END
	for view in $(views); do
		build_view "$view" --no-cache -t bind
		in_image bind cat /list
		equal "$output" "/file
/src/.dockerignore
/src/Dockerfile
/src/sub/deep/two
/src/sub/one
/w/rel/deep/two
/w/rel/one
one
/bin/sh: can't create /src/new: Read-only file system
/bin/sh: can't create /file: Read-only file system
deep
one"
		absent bind /src /w/rel /file /clipped
	done
	[ ! -e new ]
}

@test "bind rw: writes go nowhere, neither into the context nor into a stage" {
	mkdir -p d
	echo old >d/f
	local before
	before=$(find . -printf '%p %m %T@ %s\n' | sort)
	dockerfile <<-'END'
		FROM base AS one
		RUN echo stage >/stage
		FROM base
		RUN --mount=type=bind,source=d,target=/d,rw --mount=source=d/f,target=/f,readwrite=true --mount=from=one,target=/one,rw \
		    echo new >>/d/f && rm -f /d/g && echo x >/d/h && echo more >>/f && echo x >/one/x && echo y >>/one/stage && \
		    cat /d/f /f /one/stage >/seen && ls /d /one/x >>/seen
		COPY --from=one /stage /stage
		RUN --mount=from=one,target=/one ls /one >/after
	END
	for view in $(views); do
		sed -i '/^#/d' Dockerfile
		build_view "$view" --no-cache -t rw
		in_image rw cat /seen /stage
		equal "$output" "old
new
old
more
stage
y
/one/x

/d:
f
h
stage"
		in_image rw cat /after
		says stage
		says_not x
	done
	equal "$(find . -name Dockerfile -prune -o -printf '%p %m %T@ %s\n' | sort | grep -v '^\. ')" \
		"$(grep -v '^\. \|Dockerfile' <<<"$before")"
}

@test "bind from a stage, an image and scratch; unneeded stages are not built; a later stage is an error" {
	dockerfile <<-'END'
		FROM base AS Tools
		RUN mkdir /opt && echo tool >/opt/tool && ln -s /opt/tool /link
		FROM base AS unneeded
		RUN false
		FROM scratch AS empty
		FROM base
		RUN --mount=from=tools,source=/opt,target=/t --mount=type=bind,from=TOOLS,source=link,target=/file \
		    --mount=from=base,source=bin,target=/b --mount=from=scratch,target=/s --mount=from=empty,target=/e \
		    cat /t/tool /file >/seen && ls /b/busybox /s /e >>/seen
	END
	for view in $(views); do
		build_view "$view" --no-cache -t from
		in_image from cat /seen
		equal "$output" "tool
tool
/b/busybox

/e:

/s:"
	done
	cannot_build 1 'cannot mount from stage "late" to "/x", stage needs to be defined before current command' <<-'END'
		FROM base
		RUN --mount=from=late,target=/x true
		FROM base AS late
		FROM base
		COPY --from=0 /etc/passwd /
	END
	cannot_build 1 'circular dependency detected on stage: me' <<-'END'
		FROM base AS me
		RUN --mount=from=me,target=/x true
	END
}

@test "bind: what is missing, and links that lead out" {
	ln -s /etc/passwd out
	mkdir d
	ln -s ../../../../../../../etc d/etc
	cannot_build 1 '"/missing": not found in the build context' <<-'END'
		FROM base
		RUN --mount=source=missing,target=/x true
	END
	cannot_build 1 'not found' <<-'END'
		FROM base
		RUN --mount=from=base,source=/missing,target=/x true
	END
	cannot_build 1 'invalid mount target "/"' <<-'END'
		FROM base
		RUN --mount=target=/ true
	END
	# CVE-2024-1753, Buildah's text
	dockerfile <<-'END'
		FROM base AS b
		RUN ln -s / /rootdir && ln -s /../../.. /up
		FROM base
		RUN --mount=type=bind,from=b,source=/rootdir,destination=/exploit,rw --mount=from=b,source=up,target=/up,rw \
		    touch /exploit/BIND_BREAKOUT /up/BIND_BREAKOUT; cat /exploit/etc/os-release
	END
	build
	says NAME=lab
	[ ! -e /BIND_BREAKOUT ]
	mkdir etc
	echo own >etc/passwd
	dockerfile <<-'END'
		FROM base
		RUN --mount=source=out,target=/o --mount=source=d/etc,target=/e cat /o /e/passwd
	END
	build
	says own
	says_not root:x:0
}

# ---- keys ----

@test "a bind mount's files are in the key, only those below its source; its name is not" {
	mkdir a b
	echo 1 >a/f
	echo 1 >b/f
	dockerfile <<-'END'
		FROM base AS one
		ARG V
		RUN echo $V >/v; mkdir /d; echo same >/d/f
		FROM base
		RUN --mount=source=a,target=/a cat /a/f >/f
		RUN --mount=from=one,source=/d,target=/d cat /d/f >/g
	END
	build
	touch -d 2001-01-01 a/f
	echo 2 >b/f
	build
	equal "$(steps CACHED)" 3
	# The stage runs again and gives the same below /d.
	build --build-arg V=2
	equal "$(steps CACHED)" 2
	mv a c
	sed -i s/source=a/source=c/ Dockerfile
	build --build-arg V=2
	equal "$(steps CACHED)" 3
	echo 3 >c/f
	build --build-arg V=2
	equal "$(steps CACHED)" 1
	sed -i 's/target=\/a /target=\/a,rw /' Dockerfile
	build --build-arg V=2
	equal "$(steps CACHED)" 1
}

@test "caches, secrets and what options mean to them are not in the key; ids and targets are" {
	echo "$canary" >s
	dockerfile <<-'END'
		FROM base
		RUN --mount=type=cache,id=k1,target=/c --mount=type=secret,id=s --mount=type=tmpfs,target=/t true
	END
	build --secret id=s,src=s
	echo other >s
	sed -i 's/id=k1/id=k2,sharing=locked/' Dockerfile
	build --secret id=s,src=s
	equal "$(steps CACHED)" 1
	build
	equal "$(steps CACHED)" 1
	sed -i 's/secret,id=s/secret,id=s2/' Dockerfile
	build
	equal "$(steps CACHED)" 0
	sed -i 's/target=\/t/target=\/t,size=1m/' Dockerfile
	build
	equal "$(steps CACHED)" 0
}

@test "a context that changes under a bind mount is good for this build only" {
	echo 1 >f
	dockerfile <<-'END'
		FROM base
		RUN --mount=target=/c cat /c/f >/f; touch /tmp/x; sleep 2
		RUN cat /f >/g
	END
	{ sleep 1; echo 2 >f; } &
	local writer=$!
	build -t changed
	says 'the next build runs it again'
	wait "$writer"
	echo 1 >f
	build
	equal "$(steps CACHED)" 0
	build
	equal "$(steps CACHED)" 2
}

# ---- tmpfs ----

@test "tmpfs: writable, of a size, gone afterwards" {
	dockerfile <<-'END'
		FROM base
		RUN --mount=type=tmpfs,target=/t,size=1m --mount=type=tmpfs,target=/r,ro \
		    stat -c '%a %F' /t >/seen; df -k /t | tail -n 1 | tr -s ' ' | cut -d' ' -f2 >>/seen; \
		    dd if=/dev/zero of=/t/f bs=1k count=2000 2>&1 | grep -o 'No space.*' >>/seen; \
		    (echo x >/r/x) 2>&1 | grep -o Read-only >>/seen; true
	END
	build -t tmp
	in_image tmp cat /seen
	equal "$output" "1777 directory
1024
No space left on device
Read-only"
	absent tmp /t /r
}

# ---- cache ----

@test "cache: lives from build to build, in both views, also when a step fails; one id whatever the directory" {
	use_cache() {
		dockerfile <<-END
			FROM base
			WORKDIR $1
			RUN --mount=type=cache,target=cache echo $2 >>cache/log && cat $1/cache/log && $3
		END
	}
	use_cache /w one true
	build_view overlay
	use_cache /w two true
	build_view copy
	says one two
	use_cache /v three true
	build
	says one two three
	use_cache /v four false
	run -1 kiln build .
	use_cache /v five true
	build -t five
	says one four five
	absent five /v/cache
	run -0 kiln system df
	grep -Eq '^Cache mounts +[1-9]' <<<"$output"
	run -0 kiln system prune --force
	equal "$(ls "$KILN_ROOT/mounts")" ''
	use_cache /v six true
	build
	says six
	says_not five
}

@test "cache: --no-cache empties it once; ids, namespaces, owners, sources and initial contents" {
	dockerfile <<-'END'
		FROM base AS seed
		RUN mkdir -p /d/e && echo seeded >/d/e/f && chown 1000:50 /d/e/f
		FROM base
		RUN --mount=type=cache,id=n,target=/c echo a >>/c/log
		RUN --mount=type=cache,id=n,target=/c echo b >>/c/log; cat /c/log >/log
		RUN --mount=type=cache,id=n,target=/c,uid=1000,gid=50,mode=0750 stat -c '%a %u:%g' /c >>/log; ls /c >>/log
		RUN --mount=type=cache,id=n,from=seed,source=/d,target=/c cat /c/e/f >>/log; stat -c %u:%g /c/e/f >>/log; echo more >>/c/e/f
		RUN --mount=type=cache,id=n,from=seed,source=/d,target=/x,ro cat /x/e/f >>/log; (echo x >/x/x) 2>>/log; true
		RUN --mount=type=cache,id=n,target=/c mkdir -p /c/sub && echo sub >/c/sub/s
		RUN --mount=type=cache,id=n,source=sub,target=/s cat /s/s >>/log
	END
	build --no-cache -t caches
	build --no-cache -t caches
	in_image caches cat /log
	equal "$output" "a
b
750 1000:50
seeded
1000:50
seeded
more
/bin/sh: can't create /x/x: Read-only file system
sub"
	dockerfile <<-'END'
		FROM base
		RUN --mount=type=cache,id=n,target=/c ls /c
	END
	build --build-arg BUILDKIT_CACHE_MOUNT_NS=other --no-cache-filter ''
	says_not sub
	# CVE-2024-9675
	dockerfile <<-END
		FROM base
		RUN --mount=type=cache,id=../../../../../../$PWD,target=/c touch /c/escaped
		RUN --mount=type=cache,id=up,source=../../../..,target=/c touch /c/escaped2 && ls /c
	END
	build
	equal "$(find . "$KILN_ROOT/mounts" -maxdepth 2 -name 'escaped*')" ''
}

# two_builds SHARING: the second begins while the first is at work, which goes on for a while, or until it sees the second.
two_builds() {
	dockerfile "$1" <<-END
		FROM base
		ARG N
		RUN --mount=type=cache,id=$1,target=/c,sharing=$1 --mount=type=cache,id=$1,target=/d,sharing=$1 \\
		    : $1; echo start \$N >>/c/log; echo ready; [ \$N = 2 ] || for i in \$(seq 50); do sleep 0.1; ! grep -q start.2 /d/log || break; done; \\
		    sleep 0.2; echo end \$N >>/d/log; cat /c/log >/log
	END
	kiln build --progress=plain -f "$1" --build-arg N=1 -t "$1-1" . >"$1.out" 2>&1 &
	local first=$!
	for _ in $(seq 200); do ! grep -q ' ready$' "$1.out" || break; sleep 0.05; done
	run -0 kiln build --progress=plain -f "$1" --build-arg N=2 -t "$1-2" .
	wait "$first"
}

@test "cache: two builds share it, wait for it, or have one each; twice in one step is once" {
	two_builds shared
	in_image shared-1 cat /log
	says 'start 2'
	two_builds locked
	says 'waiting for the cache on /c, which another step uses'
	in_image locked-2 cat /log
	equal "$output" "start 1
end 1
start 2
end 2"
	two_builds private
	in_image private-2 cat /log
	equal "$output" "start 2
end 2"
	in_image private-1 cat /log
	equal "$output" "start 1
end 1"
}

# ---- secrets ----

@test "secret: a file with its defaults, owner, mode and place; a variable; what is not given" {
	printf 'file-%s' "$canary" >s
	export VALUE=env-$canary
	dockerfile <<-'END'
		FROM base
		ENV TOKEN=of-the-image
		RUN --mount=type=secret,id=s stat -c '%a %u:%g' /run/secrets/s >/seen; sha256sum </run/secrets/s >>/seen; \
		    (echo x >/run/secrets/s) 2>&1 | grep -o Read-only >>/seen; grep ' /run/secrets/s ' /proc/self/mountinfo | cut -d' ' -f6 >>/seen
		RUN --mount=type=secret,source=s,target=/k,uid=1000,gid=50,mode=0755 stat -c '%a %u:%g' /k >>/seen
		RUN --mount=type=secret,target=/x/y/s cat /x/y/s | wc -c >>/seen
		RUN --mount=type=secret,id=v,env=TOKEN --mount=type=secret,id=v,env=OTHER,target=/v \
		    echo -n "$TOKEN" | sha256sum >>/seen; echo -n "$OTHER" | sha256sum >>/seen; sha256sum </v >>/seen; ls /run/secrets 2>&1 >>/seen | cut -c1-3 >>/seen
		RUN --mount=type=secret,id=none --mount=type=secret,id=none2,env=TOKEN ls /run/secrets >>/seen 2>/dev/null; echo $TOKEN >>/seen
		RUN --mount=type=secret,id=VALUE,env= echo -n "$VALUE" | sha256sum >>/seen
	END
	build -t secret --secret id=s,src=s --secret id=v,env=VALUE --secret id=VALUE
	in_image secret cat /seen
	local file value
	file=$(sha256sum <s)
	value=$(printf %s "$VALUE" | sha256sum)
	equal "$output" "400 0:0
$file
Read-only
ro,nosuid,nodev,noexec,relatime
755 1000:50
$(wc -c <s)
$value
$value
$value
ls:
of-the-image
$value"
	absent secret /run /x /k /v
	cannot_build 1 'secret none: not found' <<-'END'
		FROM base
		RUN --mount=type=secret,required,id=none true
	END
}

# Nobody finds the canary where a build leaves anything.
no_canary() {
	local found
	found=$(in_store grep -rlF "$canary" . 2>/dev/null || true)
	equal "$found" '' "$1: the secret is in the store"
	! grep -qF "$canary" "$2" || fail "$1: the secret is in the output"
}

# A command in the store, as who owns all that is in it.
in_store() {
	kiln unshare sh -c 'cd "$KILN_ROOT" && exec "$@"' sh "$@"
}

@test "secrets: after success, failure and a kill nothing has them" {
	printf 'x%sx' "$canary" >"$lab/secret"
	export VALUE=y${canary}y
	local step
	for step in true false 'sleep 30'; do
		dockerfile <<-END
			FROM base
			RUN --mount=type=secret,id=f,target=/f --mount=type=secret,id=v,env=V sha256sum </f; echo "\${#V}"; touch /done; echo ready; $step
		END
		kiln build --progress=plain --explain --secret id=f,src="$lab/secret" --secret id=v,env=VALUE . >"$lab/out" 2>&1 &
		local pid=$!
		if [ "$step" = 'sleep 30' ]; then
			for _ in $(seq 100); do ! grep -q ' ready$' "$lab/out" || break; sleep 0.05; done
			grep -q ' ready$' "$lab/out"
			# Nor while it runs.
			! grep -qF -f <(printf %s "$canary") /proc/[0-9]*/cmdline 2>/dev/null || fail 'the secret is in an argument'
			equal "$(grep -rlF "$canary" "$KILN_ROOT" 2>/dev/null || true)" '' 'the secret is in the store'
			kill -KILL "$pid"
		fi
		wait "$pid" || true
		grep -q ' ready$' "$lab/out" || fail "$(cat "$lab/out")"
		no_canary "$step" "$lab/out"
	done
}

@test "secret options: forms and errors" {
	dockerfile <<-'END'
		FROM base
		RUN true
	END
	run -125 kiln build --secret src=x .
	says 'secret missing ID'
	run -125 kiln build --secret id .
	says "invalid field 'id' must be a key=value pair"
	run -125 kiln build --secret id=a,foo=b .
	says "unexpected key 'foo' in 'foo=b'"
	run -125 kiln build --secret id=a,type=x .
	says 'unsupported secret type "x"'
	run -1 kiln build --secret id=a,src=missing .
	says 'missing: No such file or directory'
	head -c 512001 /dev/zero >big
	run -1 kiln build --secret id=a,src=big .
	says 'larger than 512000 bytes'
}

# ---- ssh ----

import_ssh() {
	[ -e "$lab/rootfs-ssh" ] || {
		make_rootfs "$lab/rootfs-ssh"
		add_program "$lab/rootfs-ssh" ssh-add ssh-keygen
		pack_rootfs "$lab/rootfs-ssh" >"$lab/ssh.tar"
		kiln import "$lab/ssh.tar" ssh >/dev/null
	}
}

@test "ssh: the user's agent, to list and to sign with, and for nothing else" {
	need_program ssh-agent ssh-add ssh-keygen
	import_ssh
	eval "$(ssh-agent -s)" >/dev/null
	agent=$SSH_AGENT_PID
	ssh-keygen -q -t ed25519 -N '' -C "$canary" -f key
	ssh-add -q key
	mkdir context
	cp key.pub context/pub
	cat >context/Dockerfile <<-'END'
		FROM ssh
		COPY pub /pub
		RUN --mount=type=ssh stat -c '%F %a %u:%g' $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK && ssh-add -l | cut -d' ' -f1,2 && \
		    echo data >/tmp/d && ssh-keygen -q -Y sign -n test -f /pub /tmp/d && head -n 1 /tmp/d.sig && rm /tmp/d*; \
		    ssh-keygen -q -t ed25519 -N '' -f /tmp/new; ssh-add /tmp/new 2>&1; ssh-add -D 2>&1; rm /tmp/new*; true
		USER 1000
		RUN --mount=type=ssh,uid=1000,gid=50,mode=0640,target=/agent stat -c '%a %u:%g' /agent && ssh-add -l | cut -d' ' -f1,2
		RUN --mount=type=ssh,id=none echo "none: $SSH_AUTH_SOCK"; ls /run/buildkit 2>&1 | cut -c1-3
	END
	run -0 kiln build --progress=plain --no-cache --ssh default -t agent context
	local all=$output fingerprint
	fingerprint=$(ssh-keygen -lf key.pub | cut -d' ' -f1,2)
	kill "$agent"
	output=$all
	says 'socket 600 0:0' '/run/buildkit/ssh_agent.0' "$fingerprint" 'BEGIN SSH SIGNATURE' '640 1000:50' \
		'none: /run/buildkit/ssh_agent.0' 'Could not add identity'
	says_not 'All identities removed'
	equal "$(in_store grep -rlF -- "$(sed -n 2p key)" . 2>/dev/null || true)" '' 'the key is in the store'
	absent agent /run /agent
}

@test "ssh: required, missing, and what is no agent" {
	dockerfile <<-'END'
		FROM base
		RUN --mount=type=ssh,required true
	END
	run -1 env -u SSH_AUTH_SOCK "$KILN" build .
	says 'no SSH key "default" forwarded from the client'
	run -125 env -u SSH_AUTH_SOCK "$KILN" build --ssh default .
	says 'invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set'
	echo key >key
	run -1 kiln build --ssh default=key .
	says 'ssh-add' 'kiln forwards agents, not key files'
	cannot_build 1 'ssh does not support source' <<-'END'
		FROM base
		RUN --mount=type=ssh,source=x true
	END
}

# ---- all ----

@test "stubs vanish: the layer is the same with and without mounts" {
	mkdir d
	echo s >s
	for view in $(views); do
		dockerfile <<-'END'
			FROM base
			RUN echo x >/x && touch -d @1500000000 / /x
		END
		SOURCE_DATE_EPOCH=1500000000 build_view "$view" --no-cache -t without
		dockerfile <<-'END'
			FROM base
			RUN --mount=source=d,target=/a/b/c --mount=type=cache,target=/var/cache/deep --mount=type=tmpfs,target=/t/u \
			    --mount=type=secret,id=s --mount=type=secret,id=s,target=/etc/s \
			    echo x >/x && touch -d @1500000000 / /x
		END
		SOURCE_DATE_EPOCH=1500000000 build_view "$view" --no-cache --secret id=s,src=s -t with
		equal "$(diff_ids with)" "$(diff_ids without)" "$view"
	done
}

@test "mounts in mounts, in any order; variables in options; heredocs beside them" {
	mkdir -p a b
	echo a >a/f
	echo b >b/f
	dockerfile <<-'END'
		FROM base
		ARG WHERE=/m
		RUN --mount=type=tmpfs,target=$WHERE/in/t --mount=source=b,target=${WHERE}/in,rw --mount=source=a,target=$WHERE,rw <<EOF
		cat $WHERE/f $WHERE/in/f
		stat -f -c %T $WHERE/in/t
		EOF
		RUN --mount=source=a,target=/a <<EOF
		#!/bin/sh
		cat /a/f
		EOF
	END
	build
	says ' a' ' b' tmpfs
}

@test "errors of options have their words, and come when the stage is reached" {
	local options words
	while IFS='|' read -r options words; do
		cannot_build 1 "$words" <<-END
			FROM base
			RUN --mount=$options true
		END
	done <<-'END'
		type=tmp,target=/x|unsupported mount type "tmp" (did you mean tmpfs?)
		tpye=bind|unexpected key 'tpye' in 'tpye=bind' (did you mean type?)
		foo|invalid field 'foo' must be a key=value pair
		type=cache,sharing=lockd,target=/x|unsupported sharing value "lockd" (did you mean locked?)
		type=bind,from=base,bind-propagation=suid,target=/x|unexpected key 'bind-propagation'
		from=$X,target=/x|'from' doesn't support variable expansion, define alias stage instead
	END
	dockerfile <<-'END'
		FROM base AS unneeded
		RUN --mount=type=tmp true
		FROM base
		RUN true
	END
	build
}

# ---- other options of RUN ----

@test "--add-host, --ulimit and --shm-size reach RUN, and count for the cache as far as they should" {
	dockerfile <<-'END'
		FROM base
		RUN tail -n 2 /etc/hosts >/seen; ulimit -n >>/seen; ulimit -Hn >>/seen; df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d' ' -f2 >>/seen
	END
	build --add-host db:10.0.0.1 --add-host 'v6=[::2]' --ulimit nofile=100:200 --shm-size 1m -t limits
	in_image limits cat /seen
	equal "$output" "10.0.0.1	db
::2	v6
100
200
1024"
	build --add-host db:10.0.0.9 --add-host v6=::3 --ulimit nofile=100:200 --shm-size 1m
	equal "$(steps CACHED)" 1
	build --add-host db2:10.0.0.9 --add-host v6=::3 --ulimit nofile=100:200 --shm-size 1m
	equal "$(steps CACHED)" 0
	build --add-host db:10.0.0.9 --add-host v6=::3 --ulimit nofile=100:201 --shm-size 1m
	equal "$(steps CACHED)" 0
	run -125 kiln build --add-host db .
	says 'bad format for add-host: "db"'
	run -125 kiln build --add-host db:1.2.3 .
	says 'invalid IP address in add-host: "1.2.3"'
	run -125 kiln build --ulimit foo=1 .
	says 'invalid ulimit type: foo'
	run -125 kiln build --ulimit nofile=2:1 .
	says 'ulimit soft limit must be less than or equal to hard limit: 2:1'
}

@test "--security=insecure and --device are refused, and say why" {
	cannot_build 1 'RUN --security is refused' <<-'END'
		FROM base
		RUN --security=insecure true
	END
	cannot_build 1 'RUN --device is refused' <<-'END'
		FROM base
		RUN --device=vendor.com/class=name,required true
	END
	cannot_build 1 'device name already set to a' <<-'END'
		FROM base
		RUN --device=a,name=b true
	END
}
