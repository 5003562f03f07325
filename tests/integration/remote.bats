#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What comes from elsewhere: ADD of URLs and of git repositories, contexts that are no directories, --build-context. The
# servers are on loopback and end with the file.

# shellcheck disable=SC2154,SC2016 # lib.bash and bats set lab, srcdir, output; $ is for Dockerfiles

load lib
load image

setup_file() {
	new_lab
	need_program git python3
	unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
	import_base
	mkdir "$lab/www" "$lab/git"
	make_repositories >"$lab/git.log" 2>&1 || fail "no repositories: $(cat "$lab/git.log")"
	ln -s "$lab/git/project.git" "$lab/git/module.git" "$lab/www/"
	: >"$lab/web.log"
	env -u KILN_ROOT "$srcdir/tests/lib/web-server" "$lab/www" "$lab/web.port" "$lab/web.log" \
		</dev/null >"$lab/web.out" 2>&1 3>&- &
	echo $! >"$lab/web.pid"
	local tries=0
	until [ -e "$lab/web.port" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || fail "the web server does not start: $(cat "$lab/web.out")"
		sleep 0.1
	done
	web=http://127.0.0.1:$(cat "$lab/web.port")
	git_port=$(free_port)
	export web git_port
	env -u KILN_ROOT git daemon --reuseaddr --listen=127.0.0.1 --port="$git_port" --export-all \
		--base-path="$lab/git" "$lab/git" </dev/null >>"$lab/git.log" 2>&1 3>&- &
	echo $! >"$lab/daemon.pid"
}

teardown_file() {
	kill "$(cat "$lab/web.pid")" "$(cat "$lab/daemon.pid")" || true
	end_lab
}

# git with times and names that are always the same.
fixed_git() {
	GIT_AUTHOR_DATE="1600000000 +0000" GIT_COMMITTER_DATE="1600000000 +0000" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b \
		GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_CONFIG_GLOBAL=/dev/null git -c protocol.file.allow=always "$@"
}

# project.git: main (tag v1, annotated), other; a submodule, links, a directory, a program, an ignore file that hides all.
make_repositories() {
	local work=$lab/checkout
	fixed_git init -q -b main "$lab/module"
	echo module >"$lab/module/m"
	fixed_git -C "$lab/module" add . && fixed_git -C "$lab/module" commit -qm m
	fixed_git clone -q --bare "$lab/module" "$lab/git/module.git"
	fixed_git init -q -b main "$work"
	mkdir -p "$work/dir/deep"
	echo one >"$work/a"
	echo deep >"$work/dir/deep/b"
	ln -s a "$work/link"
	ln -s / "$work/root"
	printf '#!/bin/sh\n' >"$work/program"
	chmod +x "$work/program"
	echo '*' >"$work/.dockerignore"
	printf 'FROM base\nCOPY . /context/\n' >"$work/Dockerfile"
	printf 'FROM base\nCOPY deep/b /from-dir\n' >"$work/dir/Dockerfile"
	printf 'FROM base\nCOPY a /other-file\n' >"$work/Other"
	fixed_git -C "$work" submodule --quiet add "$lab/git/module.git" module
	sed -i 's|url = .*|url = ../module.git|' "$work/.gitmodules"
	fixed_git -C "$work" add . && fixed_git -C "$work" commit -qm one && fixed_git -C "$work" tag -a v1 -m v1
	fixed_git -C "$work" checkout -q -b other
	echo two >"$work/a"
	fixed_git -C "$work" commit -qam two
	fixed_git -C "$work" checkout -q main
	fixed_git clone -q --bare "$work" "$lab/git/project.git"
}

commit_of() {
	git -C "$lab/git/project.git" rev-parse "$1^{commit}"
}

# requests WORD...: how many lines of the server's log have all of them.
requests() {
	local lines=$lab/web.log word
	lines=$(cat "$lines")
	for word; do
		lines=$(grep -F -e "$word" <<<"$lines" || true)
	done
	[ -n "$lines" ] && wc -l <<<"$lines" || echo 0
}

forget_requests() {
	: >"$lab/web.log"
}

served() {
	printf '%s\n' "$2" >"$lab/www/$1"
	touch -d @1500000000 "$lab/www/$1"
}

# ---- http ----

@test "ADD of a URL: named by its path, mode 0600, of the server's time" {
	served plain hello
	served file hops
	build -t add -f - <<-EOF
		FROM base
		ADD $web/files/plain /dir/
		ADD $web/files/plain?name=x#y /dir2/
		ADD $web/files/plain /renamed
		ADD --chmod=640 --chown=1000:50 $web/files/plain /owned
		ADD --chown=web $web/hops/3 /new/
	EOF
	tree add /dir /dir2 /renamed /owned
	equal "$output" "d 755 0:0 /dir
f 600 0:0 /dir/plain: hello|
d 755 0:0 /dir2
f 600 0:0 /dir2/plain: hello|
f 640 1000:50 /owned: hello|
f 600 0:0 /renamed: hello|"
	in_image add stat -c %Y /dir/plain
	equal "$output" 1500000000
	equal "$(created_by add | sed -n '1p;4p')" "ADD $web/files/plain /dir/ # buildkit
ADD --chown=1000:50 --chmod=640 $web/files/plain /owned # buildkit"
}

@test "ADD of a URL does not unpack, and does with --unpack" {
	mkdir -p d && echo x >d/f
	tar czf "$lab/www/some.tar.gz" d
	build -t unpack -f - <<-EOF
		FROM base
		ADD $web/files/some.tar.gz /plain/
		ADD --unpack=false $web/files/some.tar.gz /false/
		ADD --unpack $web/files/some.tar.gz /unpacked/
		ADD --unpack $web/files/plain /file/
	EOF
	in_image unpack sh -c 'ls /plain /false /unpacked /unpacked/d /file'
	equal "$(tr '\n' ' ' <<<"$output")" "/false: some.tar.gz  /file: plain  /plain: some.tar.gz  /unpacked: d  /unpacked/d: f "
}

@test "several sources of one ADD come in the order of the line" {
	served one first
	served two second
	mkdir a b && echo local-one >a/one && echo local-two >b/two
	build -t several -f - <<-EOF
		FROM base
		ADD $web/files/one a/one $web/files/two /x/
		ADD b/two $web/files/two <<here /y/
		text
		here
	EOF
	in_image several sh -c 'cat /x/one /x/two /y/two /y/here'
	equal "$output" $'local-one\nsecond\nsecond\ntext'
}

@test "a file that has not changed is asked for and not sent; one that has is rebuilt" {
	local kind
	for kind in files dated; do
		served etag "one $kind"
		printf 'FROM base\nADD %s/%s/etag /f\nRUN cat /f\n' "$web" "$kind" >Dockerfile
		build -t etag
		forget_requests
		build -t etag
		equal "$(steps CACHED)" 3
		equal "$(requests "/$kind/etag" ' 304 ')" 1
		equal "$(requests "/$kind/etag" ' 200 ')" 0
		served etag "two $kind"
		touch -d @1500000100 "$lab/www/etag"
		build -t etag
		equal "$(steps CACHED)" 0
		in_image etag cat /f
		equal "$output" "two $kind"
	done
	# Without a validator it comes again, and is a hit by what it is: but its time is now, not the server's.
	printf 'FROM base\nADD %s/plain/etag /f\nRUN cat /f\n' "$web" >Dockerfile
	build -t etag
	build -t etag
	equal "$(steps CACHED)" 2
}

@test "what one query has brought is not taken for what another one names, though both look like secrets" {
	served key-one first
	served key-two second
	printf 'FROM base\nADD %s/key/?key=key-one /f\n' "$web" >Dockerfile
	build
	sed -i s/key-one/key-two/ Dockerfile
	build -t query
	in_image query cat /f
	equal "$output" second
	forget_requests
	build -t query
	equal "$(requests '/key/' ' 304 ')" 1
}

@test "a file that was pruned comes again" {
	served pruned here
	printf 'FROM base\nADD %s/files/pruned /f\n' "$web" >Dockerfile
	build
	kiln system prune --force >/dev/null
	forget_requests
	build
	equal "$(requests /files/pruned ' 200 ')" 1
	run -0 kiln system verify
}

@test "--checksum: what has the digest is not asked for at all" {
	served sum content
	local digest
	digest=sha256:$(sha256sum <"$lab/www/sum" | cut -d' ' -f1)
	printf 'FROM base\nARG SUM=%s\nADD --checksum=$SUM %s/files/sum /f\n' "$digest" "$web" >Dockerfile
	build -t sum
	forget_requests
	build -t sum
	equal "$(requests /)" 0
	build --no-cache -t sum
	equal "$(requests /)" 0
	in_image sum cat /f
	equal "$output" content
	# Another file under the URL is not what was asked for.
	served sum changed
	build -t sum
	cannot_build 1 'digest mismatch:' "sha256:$(printf 'changed\n' | sha256sum | cut -d' ' -f1), --checksum says $(printf 'sha256:%064d' 0)" \
		<<<$'FROM base\nADD --checksum=sha256:'"$(printf '%064d' 0) $web/files/sum /f"
}

@test "--checksum is checked before anything is fetched" {
	forget_requests
	touch f
	cannot_build 1 'unsupported digest algorithm' <<<$'FROM base\nADD --checksum=md5:0123 '"$web/files/plain /"
	cannot_build 1 'invalid checksum digest format' <<<$'FROM base\nADD --checksum=0123 '"$web/files/plain /"
	cannot_build 1 'invalid checksum digest format' <<<$'FROM base\nADD --checksum=sha256:0123 '"$web/files/plain /"
	cannot_build 1 "checksum can't be specified for multiple sources" \
		<<<$'FROM base\nADD --checksum=sha256:00 '"$web/files/plain $web/files/plain /d/"
	cannot_build 1 'checksum requires HTTP(S) or Git sources' <<<$'FROM base\nADD --checksum=sha256:00 f /'
	cannot_build 1 'expected hex commit hash' <<<$'FROM base\nADD --checksum=sha256:00 '"$web/git/project.git /"
	equal "$(requests /)" 0
}

@test "what a server does wrong is tried again, or said" {
	seq 100000 >"$lab/www/big"
	served flaky here
	build -t bad -f - <<-EOF
		FROM base
		ADD $web/cut/2/big /cut
		ADD $web/cutplain/1/big /anew
		ADD $web/flaky/2/flaky /flaky
	EOF
	in_image bad sha256sum /cut /anew
	equal "$(cut -d' ' -f1 <<<"$output" | sort -u)" "$(sha256sum <"$lab/www/big" | cut -d' ' -f1)"
	[ "$(requests /cut/2/big range=bytes=)" -ge 1 ] || fail "nothing was continued: $(cat "$lab/web.log")"
	cannot_build 1 "GET $web/status/404: invalid response status 404" '>>> ADD' <<<$'FROM base\nADD '"$web/status/404 /"
	cannot_build 1 'invalid response status 403' <<<$'FROM base\nADD '"$web/status/403 /"
	cannot_build 1 'more than 10 redirects' <<<$'FROM base\nADD '"$web/loop /"
	cannot_build 1 'it redirects to: a URL without a host' <<<$'FROM base\nADD '"$web/to/file%3A%2F%2F%2Fetc%2Fpasswd /"
	cannot_build 1 'a link-local address' <<<$'FROM base\nADD '"$web/to/http%3A%2F%2F169.254.169.254%2Flatest /"
	cannot_build 1 'does not end in what can be the name of a file' <<<$'FROM base\nADD '"$web/files/..%2f.. /"
	cannot_build 1 'Failed to connect' <<<$'FROM base\nADD http://127.0.0.1:1/x /'
}

@test "credentials of a URL reach the server and nothing else" {
	served secret body
	printf 'FROM base\nADD http://user:canary-password@%s/basic/secret?token=canary-token /f\n' "${web#http://}" >Dockerfile
	printf 'ADD --keep-git-dir http://user:canary-password@%s/basic/git/project.git#v1 /git\n' "${web#http://}" >>Dockerfile
	run -0 kiln --log-level=debug build --progress=plain --explain -t secret -o type=oci,dest=out.tar .
	says_not canary
	says 'http://xxxxx:xxxxx@127.0.0.1'
	run -0 kiln inspect --raw secret
	says_not canary
	kiln history --no-trunc secret | says_not canary
	mkdir out && tar xf out.tar -C out
	for file in out/blobs/sha256/*; do
		! { zcat -f "$file" | grep -qa canary; } || fail "$file has the password"
	done
	run -1 in_namespace grep -rla -e canary -e dXNlcjpjYW5hcnktcGFzc3dvcmQ "$KILN_ROOT"
	equal "$output" ""
	# In errors too, whatever fails.
	local bad
	for bad in "http://user:canary@${web#http://}/basic/secret" "http://user:canary@127.0.0.1:1/x" \
		"http://user:canary@${web#http://}/basic/git/project.git" "http://u:can/ary@h/x" \
		"http://user:canary@${web#http://}/basic/git/project.git#--upload-pack=x"; do
		printf 'FROM base\nADD %s /f\n' "$bad" >Dockerfile
		run -1 kiln --log-level=debug build --progress=plain --explain .
		says_not canary can/ary
		run -1 kiln --log-level=debug build --progress=plain "$bad"
		says_not canary can/ary
	done
	# A redirect to another origin does not carry them.
	forget_requests
	printf 'FROM base\nADD http://user:canary-password@%s/to/%s /f\n' "${web#http://}" \
		"http%3A%2F%2Flocalhost%3A${web##*:}%2Ffiles%2Fplain" >Dockerfile
	served plain hello
	build
	equal "$(requests /files/plain auth=-)" 1
}

@test "COPY takes nothing from elsewhere, and says so before anything is run" {
	local word
	for word in "$web/files/plain" https://example.invalid/x; do
		cannot_build 1 "source can't be a URL for COPY" <<<$'FROM base\nRUN touch /not-run\nCOPY '"$word /"
		says_not not-run' DONE'
	done
	for word in "$web/git/project.git" git@example.invalid:x "git://h/x" "ssh://h/x.git"; do
		cannot_build 1 "source can't be a git ref for COPY" <<<$'FROM base\nCOPY '"$word /"
	done
}

# ---- git ----

@test "ADD of a repository: branches, tags, commits, directories, submodules" {
	build -t git -f - <<-EOF
		FROM base
		ADD $web/git/project.git /default
		ADD $web/git/project.git#other /branch
		ADD $web/git/project.git#v1:dir /tag-dir
		ADD $web/git/project.git?branch=other&subdir=dir/deep /query
		ADD $web/git/project.git#$(commit_of other) /commit
		ADD $web/git/project.git?submodules=false&tag=v1 /bare
		ADD --chown=1000:50 --chmod=700 git://127.0.0.1:$git_port/project.git#v1:dir/deep /daemon/
	EOF
	in_image git sh -c 'cat /default/a /branch/a /commit/a /tag-dir/deep/b /query/b /default/module/m; ls /bare/module; ls -A /default'
	equal "$output" $'one\ntwo\ntwo\ndeep\ndeep\nmodule\n.dockerignore\n.gitmodules\nDockerfile\nOther\na\ndir\nlink\nmodule\nprogram\nroot'
	tree git /daemon
	equal "$output" $'d 700 1000:50 /daemon\nf 700 1000:50 /daemon/b: deep|'
	in_image git sh -c 'stat -c "%a %Y" /default/a /default/program /default/dir; readlink /default/link; ls -d /default/module/.git 2>&1 | wc -l'
	equal "$output" $'644 1600000000\n755 1600000000\n755 1600000000\na\n1'
	run -1 kiln run --rm git ls -d /default/module/.git /default/.git
}

@test "a commit that the cache has is not cloned again, whatever its name is" {
	printf 'FROM base\nADD %s/git/project.git#v1 /p\nRUN cat /p/a\n' "$web" >Dockerfile
	build -t clone
	local ids
	ids=$(diff_ids clone)
	forget_requests
	build -t clone
	equal "$(steps CACHED)" 2
	# One exchange to ask which commit it is.
	equal "$(requests POST git-upload-pack)" 1
	equal "$(requests /module.git)" 0
	sed -i 's/#v1/#main/' Dockerfile
	build -t clone
	equal "$(steps CACHED)" 2
	# The same commit gives the same layer.
	build --no-cache -t clone
	equal "$(diff_ids clone | head -n 2)" "$(head -n 2 <<<"$ids")"
	fixed_git -C "$lab/checkout" checkout -q -B moving v1
	fixed_git -C "$lab/checkout" push -qf "$lab/git/project.git" moving
	sed -i 's/#main/#moving/' Dockerfile
	build -t clone
	equal "$(steps CACHED)" 2
	echo three >"$lab/checkout/a"
	fixed_git -C "$lab/checkout" commit -qam three
	fixed_git -C "$lab/checkout" push -qf "$lab/git/project.git" moving
	build -t clone
	equal "$(steps CACHED)" 0
	in_image clone cat /p/a
	equal "$output" three
}

@test "--keep-git-dir keeps a repository that git takes, the same each time" {
	printf 'FROM base\nADD --keep-git-dir=true %s/git/project.git#v1 /p\n' "$web" >Dockerfile
	build -t keep -o out
	run -0 git -C out/p -c safe.directory='*' status --porcelain
	equal "$output" ""
	equal "$(git -C out/p -c safe.directory='*' rev-parse HEAD)" "$(commit_of v1)"
	local ids
	ids=$(diff_ids keep)
	build --no-cache -t keep
	equal "$(diff_ids keep)" "$ids"
	# Another name of the same commit is in it.
	sed -i 's/#v1/#main/' Dockerfile
	build -o main
	equal "$(git -C main/p -c safe.directory='*' for-each-ref --format='%(refname)')" refs/heads/main
}

@test "--checksum of a repository is the beginning of its commit's or its tag's id" {
	local commit tag
	commit=$(commit_of v1)
	tag=$(git -C "$lab/git/project.git" rev-parse v1)
	build -f - <<-EOF
		FROM base
		ADD --checksum=${commit:0:10} $web/git/project.git#v1 /a
		ADD --checksum=$tag $web/git/project.git#v1 /b
		ADD $web/git/project.git?ref=v1&checksum=$commit /c
	EOF
	cannot_build 1 "expected checksum to match 0123456, got $commit" \
		<<<$'FROM base\nADD --checksum=0123456 '"$web/git/project.git#v1 /"
}

@test "parameters of one repository are not those of the next source" {
	served plain hello
	build -t apart -f - <<-EOF
		FROM base
		ADD $web/git/project.git?checksum=$(commit_of main)&subdir=dir $web/git/module.git $web/files/plain /d/
	EOF
	in_image apart sh -c 'ls -A /d; cat /d/m /d/plain /d/deep/b'
	equal "$output" $'Dockerfile\ndeep\nm\nplain\nmodule\nhello\ndeep'
}

@test "a hostile repository or reference reaches nothing of the user's" {
	local word
	for word in "#--upload-pack=touch\${IFS}$lab/pwned" '?ref=-x' '#a..b' '#*'; do
		cannot_build 1 'invalid git ref' <<<$'FROM base\nADD ["'"$web/git/project.git$word"'", "/p"]'
	done
	cannot_build 1 'does not contain the ref nowhere' <<<$'FROM base\nADD '"$web/git/project.git#nowhere /p"
	cannot_build 1 '"root" is not a directory of the repository' <<<$'FROM base\nADD '"$web/git/project.git#main:root /p"
	cannot_build 1 '"root/etc" is not a directory of the repository' \
		<<<$'FROM base\nADD '"$web/git/project.git#main:root/etc /p"
	cannot_build 1 '"a" is not a directory of the repository' <<<$'FROM base\nADD '"$web/git/project.git#main:../a /p"
	cannot_build 1 'a host cannot begin with' <<<$'FROM base\nADD ssh://-oProxyCommand=touch%20x/r.git /p'
	run -1 kiln build "$web/git/project.git#main:root"
	says '"root" is not a directory of the repository'
	# Submodules by other ways than the four.
	local url
	for url in "file://$lab/git/module.git" "$lab/git/module.git" "ext::sh -c touch%20$lab/pwned"; do
		rm -rf hostile
		fixed_git init -q -b main hostile
		fixed_git -C hostile submodule --quiet add "$lab/git/module.git" sub
		fixed_git config -f hostile/.gitmodules submodule.sub.url "$url"
		fixed_git -C hostile add . && fixed_git -C hostile commit -qm x
		rm -rf "$lab/www/hostile.git" && fixed_git clone -q --bare hostile "$lab/www/hostile.git"
		cannot_build 1 submodules 'not allowed' <<<$'FROM base\nADD '"$web/git/hostile.git /p"
	done
	[ ! -e "$lab/pwned" ]
}

@test "nothing of the user's git configuration is used" {
	cat >"$HOME/.gitconfig" <<-EOF
		[core]
			fsmonitor = "touch $lab/canary"
			hooksPath = $lab/hooks
		[filter "canary"]
			smudge = touch $lab/canary; cat
		[url "$web/git/module.git"]
			insteadOf = $web/git/project.git
		[init]
			templateDir = $lab/template
	EOF
	mkdir -p "$lab/hooks" && printf '#!/bin/sh\ntouch "%s/canary"\n' "$lab" >"$lab/hooks/post-checkout" && chmod +x "$lab/hooks/post-checkout"
	GIT_DIR=$lab/nowhere GIT_EXTERNAL_DIFF="touch $lab/canary" XDG_CONFIG_HOME=$HOME \
		build --no-cache -t config -f - <<<$'FROM base\nADD '"$web/git/project.git#v1 /p"
	rm -rf "$HOME/.gitconfig" "$lab/hooks"
	in_image config cat /p/a
	equal "$output" one
	[ ! -e "$lab/canary" ]
}

@test "git by ssh runs ssh with the user's known hosts and no configuration" {
	mkdir bin
	cat >bin/ssh <<-EOF
		#!/bin/sh
		printf '%s\n' "\$@" >>"$lab/ssh.log"
		for word; do :; done
		cd "$lab/git" && exec sh -c "\$(printf '%s' "\$word" | sed "s|'/*|'$lab/git/|")"
	EOF
	chmod +x bin/ssh
	mkdir -p "$HOME/.ssh" && touch "$HOME/.ssh/id_ed25519"
	PATH=$PWD/bin:$PATH build -t ssh -f - <<-EOF
		FROM base
		ADD git@host.invalid:project.git#v1:dir /scp
		ADD ssh://git@host.invalid:22/project.git?branch=other&submodules=0 /url
	EOF
	in_image ssh cat /scp/deep/b /url/a
	equal "$output" $'deep\ntwo'
	run -0 cat "$lab/ssh.log"
	says BatchMode=yes StrictHostKeyChecking=yes "UserKnownHostsFile=\"$HOME/.ssh/known_hosts\"" git@host.invalid \
		"IdentityFile=\"$HOME/.ssh/id_ed25519\"" /dev/null
	rm -rf "$HOME/.ssh"
}

# ---- the context ----

make_context() {
	mkdir -p context/sub
	printf 'FROM base\nCOPY . /c/\n' >context/Dockerfile
	printf 'FROM base\nCOPY sub/f /other\n' >context/sub/Other
	echo file >context/sub/f
	printf 'sub\n' >context/.dockerignore
}

@test "a context on standard input: plain, and by every compression" {
	make_context
	local how
	for how in '' -z -j -J --zstd; do
		# shellcheck disable=SC2086
		tar -C context -cf - $how . >context.tar
		run -0 kiln build --progress=plain -t stdin - <context.tar
		in_image stdin sh -c 'cat /c/sub/f; ls -A /c'
		equal "$output" $'file\n.dockerignore\nDockerfile\nsub'
		run -0 kiln build --progress=plain -t stdin -f sub/Other - <context.tar
		in_image stdin cat /other
		equal "$output" file
	done
	run -1 kiln build -f missing - <context.tar
	says 'open missing: no such file or directory in the build context'
	find "$KILN_ROOT/tmp" -mindepth 1 | says_nothing
}

says_nothing() {
	output=$(cat)
	equal "$output" ""
}

@test "a Dockerfile on standard input has an empty context" {
	echo here >f
	run -0 kiln build --progress=plain -t empty - <<<$'FROM base\nCOPY . /c/\nRUN ls -A /c | wc -l >/count'
	in_image empty cat /count
	equal "$output" 0
	run -1 kiln build - <<<$'FROM base\nCOPY f /'
	says '"/f": not found in the build context'
	run -125 kiln build -f - - <<<'FROM base'
	says "can't use stdin for both build context and dockerfile"
	run -125 kiln build -f Dockerfile - <<<'FROM base'
	says 'ambiguous Dockerfile source'
	run -1 kiln build - </dev/null
	says 'cannot be empty'
}

@test "a hostile archive on standard input writes nothing outside, and leaves nothing" {
	make_context
	local kind
	for kind in up absolute link cut garbage; do
		python3 - "$kind" >hostile.tar <<-'EOF'
			import io, sys, tarfile
			out, kind = io.BytesIO(), sys.argv[1]
			with tarfile.open(fileobj=out, mode="w") as archive:
			    def add(name, text="x", **more):
			        member = tarfile.TarInfo(name)
			        for key, value in more.items():
			            setattr(member, key, value)
			        member.size = len(text) if member.isreg() else 0
			        archive.addfile(member, io.BytesIO(text.encode()))
			    add("Dockerfile", "FROM base\nCOPY . /c/\n")
			    if kind == "up":
			        add("../../../escaped")
			    if kind == "absolute":
			        add("/tmp/kiln-absolute", uid=3000000000, mode=0o4755)
			    if kind == "link":
			        add("out", type=tarfile.SYMTYPE, linkname="/tmp")
			        add("out/kiln-through-link")
			data = out.getvalue()
			if kind == "cut":
			    data = data[:700]
			if kind == "garbage":
			    data = data[:1024] + b"FROM base\n" * 100
			sys.stdout.buffer.write(data)
		EOF
		case $kind in
		absolute | link)
			run -0 kiln build --progress=plain -t hostile - <hostile.tar
			in_image hostile find /c -type f
			says "/c/tmp/kiln-" || true
			;;
		*) run -1 kiln build - <hostile.tar ;;
		esac
		[ ! -e /tmp/kiln-absolute ] && [ ! -e /tmp/kiln-through-link ] && [ ! -e "$KILN_ROOT/escaped" ]
		equal "$(ls -A "$KILN_ROOT/tmp")" ""
	done
}

@test "a repository as context: its Dockerfile, its directories, without its ignore file" {
	run -0 kiln build --progress=plain -t context "$web/git/project.git"
	in_image context sh -c 'cat /context/a /context/module/m; ls -A /context | wc -l'
	equal "$output" $'one\nmodule\n10'
	run -0 kiln build --progress=plain -t context "$web/git/project.git#other:dir"
	in_image context cat /from-dir
	equal "$output" deep
	run -0 kiln build --progress=plain -t context -f Other "git://127.0.0.1:$git_port/project.git#other"
	in_image context cat /other-file
	equal "$output" two
	printf 'FROM base\nCOPY program /mine\n' >mine
	run -0 kiln build --progress=plain -t context -f - "$web/git/project.git" <mine
	in_image context ls /mine
	run -0 kiln build --progress=plain -t context --build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR=1 "$web/git/project.git"
	in_image context cat /context/.git/HEAD
	equal "$output" "$(commit_of main)"
	run -1 kiln build -f nowhere "$web/git/project.git"
	says 'open nowhere: no such file or directory in the build context'
	run -1 kiln build "$web/git/nowhere.git"
	says "load the build context: read $web/git/nowhere.git: git ls-remote:"
	run -0 kiln build --call=targets "$web/git/project.git"
	says 'TARGET'
	equal "$(ls -A "$KILN_ROOT/tmp")" ""
}

@test "a URL as context: an archive, or a Dockerfile" {
	make_context
	tar -C context -czf "$lab/www/context.tgz" .
	run -0 kiln build --progress=plain -t url "$web/files/context.tgz"
	in_image url sh -c 'cat /c/sub/f; ls -A /c'
	equal "$output" $'file\n.dockerignore\nDockerfile\nsub'
	forget_requests
	run -0 kiln build --progress=plain -t url -f sub/Other "$web/files/context.tgz"
	equal "$(requests /files/context.tgz ' 304 ')" 1
	in_image url cat /other
	equal "$output" file
	printf 'FROM base\nRUN echo made >/f\n' >"$lab/www/Some.Dockerfile"
	run -0 kiln build --progress=plain -t url "$web/files/Some.Dockerfile"
	in_image url cat /f
	equal "$output" made
	# A Dockerfile from elsewhere with the context here.
	printf 'FROM base\nCOPY here /here\n' >"$lab/www/Here"
	echo mine >here
	run -0 kiln build --progress=plain -t url -f "$web/files/Here" .
	in_image url cat /here
	equal "$output" mine
	run -1 kiln build "$web/status/404"
	says "load the build context: GET $web/status/404: invalid response status 404"
	# An archive first and a text then is two things, and neither through the other (CVE-2026-44517).
	mkdir evil && ln -s "$lab/overwritten" evil/Dockerfile && tar -C evil -cf "$lab/www/first" . && echo FROM base >"$lab/www/second"
	run -1 kiln build "$web/turns/first/second"
	run -0 kiln build -t url "$web/turns/first/second"
	[ ! -e "$lab/overwritten" ]
	equal "$(ls -A "$KILN_ROOT/tmp")" ""
}

# ---- --build-context ----

@test "--build-context names a directory for COPY --from and FROM, with its own ignore file" {
	mkdir -p extra/keep extra/drop && echo k >extra/keep/f && echo d >extra/drop/f && echo drop >extra/.dockerignore
	build -t named --build-context extra=extra -f - <<-'EOF'
		FROM extra AS files
		FROM base
		COPY --from=extra . /copied/
		COPY --from=extra keep/f /one
		COPY --from=files /keep/f /two
	EOF
	in_image named sh -c 'find /copied | sort; cat /one /two'
	equal "$output" $'/copied\n/copied/.dockerignore\n/copied/keep\n/copied/keep/f\nk\nk'
	# Only what is named counts.
	echo changed >extra/keep/other
	printf 'FROM base\nCOPY --from=extra keep/f /one\n' >Dockerfile
	build --build-context extra=extra
	echo changed again >extra/keep/other
	build --build-context extra=extra
	equal "$(steps CACHED)" 1
	run -1 kiln build .
	says 'image extra is not in the store'
	run -1 kiln build --build-context extra=extra -f - . <<<$'FROM base\nCOPY --from=extra drop/f /'
	says '"/drop/f": not found in the context extra: .dockerignore excludes it'
	run -125 kiln build --build-context extra .
	says 'invalid context value: extra, expected key=value'
}

@test "--build-context overrides images and stages, and what nobody names is not touched" {
	mkdir files && echo from-dir >files/f
	printf 'FROM base\nRUN echo from-stage >/f\n' >Dockerfile.other
	run -0 kiln build -t overriding -f Dockerfile.other .
	forget_requests
	dockerfile <<-'EOF'
		FROM nowhere.invalid/image:tag AS first
		RUN echo first >>/f
		FROM base AS replaced
		RUN false
		FROM first
		COPY --from=replaced /f /g
	EOF
	build -t over --build-context nowhere.invalid/image:tag=docker-image://overriding --build-context replaced=files \
		--build-context unused="$web/files/unused" --build-context missing=does-not-exist \
		--build-context gone=oci-layout://does-not-exist
	in_image over cat /f /g
	equal "$output" $'from-stage\nfirst\nfrom-dir'
	equal "$(requests /)" 0
	build -t over --build-context replaced=docker-image://overriding --build-context nowhere.invalid/image:tag=docker-image://base
	in_image over cat /f /g
	equal "$output" $'first\nfrom-stage'
	build -t empty --build-context b=docker-image://scratch -f - <<<$'FROM b\nCOPY files/f /'
	equal "$(diff_ids empty | wc -l)" 1
}

@test "--build-context reads OCI layouts, repositories and archives" {
	echo layout >f
	run -0 kiln build -t layout:one -o type=oci,tar=false,dest=images -f - . <<<$'FROM base\nCOPY f /f'
	local tag digest
	tag=$(jq -r '.manifests[0].annotations."org.opencontainers.image.ref.name"' images/index.json)
	digest=$(jq -r '.manifests[0].digest' images/index.json)
	mkdir a && echo archived >a/f && tar -C a -cJf "$lab/www/a.tar.xz" .
	dockerfile <<-'EOF'
		FROM layout
		COPY --from=repository dir/deep/b /git
		COPY --from=archive f /http
	EOF
	local value
	for value in images "images:$tag" "images@$digest"; do
		build -t kinds --build-context layout="oci-layout://$value" \
			--build-context repository="$web/git/project.git#other" --build-context archive="$web/files/a.tar.xz"
		in_image kinds cat /f /git /http
		equal "$output" $'layout\ndeep\narchived'
	done
	run -1 kiln build --build-context layout="oci-layout://images:nowhere" .
	says 'there is no image "nowhere" in it'
	equal "$(ls -A "$KILN_ROOT/tmp")" ""
}

@test "a build that is killed while it fetches leaves nothing that the next one does not take away" {
	served slow-file "$(seq 100)"
	"$KILN" build "$web/slow/slow-file" >out 2>&1 3>&- &
	local pid=$! tries=0
	until [ "$(requests /slow/)" -ge 1 ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || fail "nothing is fetched: $(cat out)"
		sleep 0.1
	done
	kill -KILL "$pid"
	wait "$pid" || true
	tries=0
	until [ -z "$(processes_of_lab)" ] || [ "$tries" -ge 50 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	equal "$(processes_of_lab)" ""
	run -0 kiln build - <<<'FROM base'
	equal "$(ls -A "$KILN_ROOT/tmp")" ""
}
