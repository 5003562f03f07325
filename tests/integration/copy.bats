#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016 # lib.bash and bats set lab, output and status; $ is for Dockerfiles
# COPY and ADD: what is taken, where it lands, with which owner, mode and time.

load lib
load image

setup_file() {
	new_lab
	import_base
}

teardown_file() {
	end_lab
}

# make_files: a context with a bit of everything.
make_files() {
	mkdir -p dir/sub dir/empty other
	echo a >a.txt
	echo b >b.txt
	echo one >dir/one
	echo two >dir/sub/two
	echo three >other/three
	printf '#!/bin/sh\n' >run.sh
	chmod 755 run.sh
	chmod 700 dir/sub
	chmod 640 b.txt
	ln -s one dir/link
	ln -s ../../../../etc/passwd dir/outside
	ln -s dir linked-dir
	ln -s a.txt linked-file
	echo brackets >'[x].txt'
	echo blank >'two words'
	echo hidden >.hidden
}

@test "destination: a file becomes the path, goes into a directory, and makes its parents" {
	make_files
	dockerfile <<-'END'
		FROM base
		COPY a.txt /file
		COPY a.txt /new/parents/file
		COPY a.txt /new/dir/
		COPY a.txt /etc
		WORKDIR /work
		COPY a.txt relative
		COPY b.txt .
		COPY b.txt ./x/y
		COPY a.txt b.txt run.sh /several/
		COPY ["two words", "/json form/"]
		COPY a.txt $empty
		COPY a.txt b.txt /last-one-wins
		ADD a.txt /added
	END
	build -t dest
	tree dest /file /new /etc/a.txt /work /several '/json form' /last-one-wins /added
	equal "$output" 'f 644 0:0 /added: a|
f 644 0:0 /etc/a.txt: a|
f 644 0:0 /file: a|
d 755 0:0 /json form
f 644 0:0 /json form/two words: blank|
f 640 0:0 /last-one-wins: b|
d 755 0:0 /new
d 755 0:0 /new/dir
f 644 0:0 /new/dir/a.txt: a|
d 755 0:0 /new/parents
f 644 0:0 /new/parents/file: a|
d 755 0:0 /several
f 644 0:0 /several/a.txt: a|
f 640 0:0 /several/b.txt: b|
f 755 0:0 /several/run.sh: #!/bin/sh|
d 755 0:0 /work
f 644 0:0 /work/a.txt: a|
f 640 0:0 /work/b.txt: b|
f 644 0:0 /work/relative: a|
d 755 0:0 /work/x
f 640 0:0 /work/x/y: b|'
	equal "$(created_by dest | sed -n '5,6p;9,11p;$p')" 'WORKDIR /work
COPY a.txt relative # buildkit
COPY a.txt b.txt run.sh /several/ # buildkit
COPY two words /json form/ # buildkit
COPY a.txt  # buildkit
ADD a.txt /added # buildkit'
}

@test "a directory is copied by its contents: merged, links kept, modes kept, the top one untouched where it was" {
	make_files
	mkdir merge merge/sub
	echo new >merge/one
	chmod 711 merge
	chmod 750 merge/sub
	dockerfile <<-'END'
		FROM base
		COPY dir /d1
		COPY dir/ /d2/
		COPY dir/. /d3
		RUN mkdir -m 1777 /there && chown 5:6 /there && echo kept >/there/kept
		COPY merge /there
		COPY merge /d1
		COPY dir other /both/
	END
	build -t dirs
	tree dirs /d1 /d2 /there /both
	equal "$output" 'd 755 0:0 /both
d 755 0:0 /both/empty
l 0:0 /both/link -> one
f 644 0:0 /both/one: one|
l 0:0 /both/outside -> ../../../../etc/passwd
d 700 0:0 /both/sub
f 644 0:0 /both/sub/two: two|
f 644 0:0 /both/three: three|
d 755 0:0 /d1
d 755 0:0 /d1/empty
l 0:0 /d1/link -> one
f 644 0:0 /d1/one: new|
l 0:0 /d1/outside -> ../../../../etc/passwd
d 750 0:0 /d1/sub
f 644 0:0 /d1/sub/two: two|
d 755 0:0 /d2
d 755 0:0 /d2/empty
l 0:0 /d2/link -> one
f 644 0:0 /d2/one: one|
l 0:0 /d2/outside -> ../../../../etc/passwd
d 700 0:0 /d2/sub
f 644 0:0 /d2/sub/two: two|
d 1777 5:6 /there
f 644 0:0 /there/kept: kept|
f 644 0:0 /there/one: new|
d 750 0:0 /there/sub'
	in_image dirs sh -c 'cd /d3 && find . | sort | cmp - /dev/fd/3 3<<-END
		$(cd /d2 && find . | sort)
	END'
}

@test "the whole context, and . and / as its name" {
	make_files
	dockerfile <<-'END'
		FROM base
		COPY . /dot/
		COPY / /slash/
		COPY ./ /dots
	END
	build -t whole
	in_image whole sh -c 'for d in dot slash dots; do (cd /$d && find . | sort | md5sum); done | sort -u | wc -l'
	equal "$output" 1
	in_image whole sh -c 'cd /dot && find . -maxdepth 1 | sort | tr "\n" " "'
	equal "$output" '. ./.hidden ./Dockerfile ./[x].txt ./a.txt ./b.txt ./dir ./linked-dir ./linked-file ./other ./run.sh ./two words '
}

@test "sources: outside is clipped, links are followed at the top and inside the root only" {
	make_files
	ln -s /dir/one absolute
	ln -s ../../../../dir/sub climbing
	dockerfile <<-'END'
		FROM base
		COPY ../a.txt /clipped/1
		COPY /a.txt /clipped/2
		COPY ./dir/../b.txt /clipped/3
		COPY linked-file /links/
		COPY linked-dir /links/dir
		COPY linked-dir/one /links/through
		COPY absolute /links/absolute
		COPY climbing /links/climbing
	END
	build -t sources
	tree sources /clipped /links
	equal "$output" 'd 755 0:0 /clipped
f 644 0:0 /clipped/1: a|
f 644 0:0 /clipped/2: a|
f 640 0:0 /clipped/3: b|
d 755 0:0 /links
f 644 0:0 /links/absolute: one|
d 700 0:0 /links/climbing
f 644 0:0 /links/climbing/two: two|
d 755 0:0 /links/dir
d 755 0:0 /links/dir/empty
l 0:0 /links/dir/link -> one
f 644 0:0 /links/dir/one: one|
l 0:0 /links/dir/outside -> ../../../../etc/passwd
d 700 0:0 /links/dir/sub
f 644 0:0 /links/dir/sub/two: two|
f 644 0:0 /links/linked-file: a|
f 644 0:0 /links/through: one|'
}

@test "patterns: like Go's filepath.Match, in order, dots too, none is no error" {
	make_files
	mkdir -p p/d1 p/d2
	echo 1 >p/d1/f
	echo 2 >p/d2/g
	ln -s d1 p/d3
	dockerfile <<-'END'
		FROM base
		COPY *.txt /star/
		COPY ?.txt /mark/
		COPY [^a].txt /class/
		COPY [[]x].txt /bracket/
		COPY *hid* /dot/
		COPY p/* /flat/
		COPY p/*/f /deep/
		COPY a.* /renamed
		COPY nothing* *.none a.txt /none/
		COPY nothing-at-all* /never/
		COPY d*/s*/t* /levels/
	END
	build -t patterns
	in_image patterns sh -c 'find /star /mark /class /bracket /dot /flat /deep /renamed /none /levels | sort | tr "\n" " "
		test ! -e /never'
	equal "$output" "/bracket /bracket/[x].txt /class /class/b.txt /deep /deep/f /dot /dot/.hidden /flat /flat/f /flat/g /levels /levels/two /mark /mark/a.txt /mark/b.txt /none /none/a.txt /renamed /star /star/[x].txt /star/a.txt /star/b.txt "
	cannot_build 1 'syntax error in pattern' <<<$'FROM base\nCOPY a[ /x'
}

@test "what is missing is named, with what may have been meant" {
	make_files
	cannot_build 1 '"/a.tx": not found in the build context (did you mean a.txt?)' '>>> COPY a.tx /' <<<$'FROM base\nCOPY a.tx /'
	cannot_build 1 '"/dir/on": not found in the build context (did you mean one?)' <<<$'FROM base\nCOPY dir/on /'
	cannot_build 1 '"/nowhere/x": not found' <<<$'FROM base\nADD a.txt nowhere/x /'
	cannot_build 1 '"/a.txt/x": not found' <<<$'FROM base\nADD a.txt/x /'
	cannot_build 1 'not found in stage one' <<<$'FROM base AS one\nFROM base\nCOPY --from=one /x /'
	cannot_build 1 '"/etc/passwt": not found in image base (did you mean passwd?)' <<<$'FROM base\nCOPY --from=base /etc/passwt /'
	ln -s nowhere dangling
	cannot_build 1 'dangling' 'link' <<<$'FROM base\nCOPY dangling /'
	echo a.txt >.dockerignore
	cannot_build 1 '"/a.txt": not found' '.dockerignore excludes it' <<<$'FROM base\nCOPY a.txt /'
}

@test "errors: words, flags, remote sources, conflicts of type" {
	make_files
	cannot_build 1 'COPY requires at least two arguments, but only one was provided. Destination could not be determined' \
		<<<$'FROM base\nCOPY a.txt'
	cannot_build 1 'ADD requires at least two arguments' <<<$'FROM base\nADD a.txt'
	cannot_build 1 'unknown flag: --chwn (did you mean chown?)' <<<$'FROM base\nCOPY --chwn=1 a.txt /'
	cannot_build 1 'duplicate flag specified: --chown' <<<$'FROM base\nCOPY --chown=1 --chown=2 a.txt /'
	cannot_build 1 'missing a value on flag: --chown' <<<$'FROM base\nCOPY --chown a.txt /'
	cannot_build 1 'expecting boolean value for flag --link, not: maybe' <<<$'FROM base\nCOPY --link=maybe a.txt /'
	cannot_build 1 'variable expansion is not supported for --from' <<<$'FROM base\nARG X=base\nCOPY --from=$X /a /'
	cannot_build 1 'invalid stage index 7' <<<$'FROM base\nCOPY --from=7 /a /'
	cannot_build 1 'cannot copy from stage "b", it needs to be defined before current stage "a"' \
		<<<$'FROM base AS a\nCOPY --from=b /etc /x\nFROM a AS b'
	cannot_build 1 'circular dependency detected on stage: a' <<<$'FROM base AS a\nCOPY --from=a /etc /x'
	cannot_build 1 'image nowhere is not in the store' <<<$'FROM base\nCOPY --from=nowhere /etc /x'
	cannot_build 1 'buidl is no stage (did you mean build?)' <<<$'FROM base AS build\nFROM base\nCOPY --from=buidl /etc /x'
	cannot_build 1 "source can't be a URL for COPY" <<<$'FROM base\nCOPY https://example.invalid/x /'
	cannot_build 1 "source can't be a git ref for COPY" <<<$'FROM base\nCOPY git@example.invalid:x.git /'
	cannot_build 1 "source can't be a git ref for COPY" <<<$'FROM base\nCOPY https://example.invalid/x.git#v1 /'
	cannot_build 1 "invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777" \
		<<<$'FROM base\nCOPY --chmod=64a a.txt /'
	cannot_build 1 "invalid chmod parameter: '99'" <<<$'FROM base\nCOPY --chmod=99 a.txt /'
	cannot_build 1 "invalid chmod parameter: 'u+q'. invalid syntax" <<<$'FROM base\nCOPY --chmod=u+q a.txt /'
	cannot_build 1 'cannot replace to directory /etc/sub/one with file' \
		<<<$'FROM base\nRUN mkdir -p /etc/sub/one\nCOPY dir /etc/sub'
	cannot_build 1 'cannot replace to directory /etc/a.txt with file' <<<$'FROM base\nRUN mkdir /etc/a.txt\nCOPY a.txt /etc/'
	cannot_build 1 'cannot copy to non-directory: /etc/passwd' <<<$'FROM base\nCOPY dir /etc/passwd'
	cannot_build 1 'cannot copy to non-directory: /d/sub' <<<$'FROM base\nRUN mkdir /d; touch /d/sub\nCOPY dir /d'
	cannot_build 1 'etc/passwd' <<<$'FROM base\nCOPY a.txt /etc/passwd/x'
}

@test "--chown: names, numbers, groups, unknown names, and the parents that are made" {
	make_files
	dockerfile <<-'END'
		FROM base
		ARG WHO=web
		COPY --chown=$WHO:staff dir /1/new
		COPY --chown=web a.txt /2
		COPY --chown=1000 a.txt /3
		COPY --chown=7 a.txt /4
		COPY --chown=7:8 a.txt /5
		COPY --chown=:staff a.txt /6
		COPY --chown=nobody-here:no-group a.txt /7
		COPY --chown=web:9 a.txt /deep/er/8
		RUN mkdir -m 700 /there
		COPY --chown=web a.txt /there/
		USER web
		COPY a.txt /9
	END
	build -t chown
	tree chown /1 /2 /3 /4 /5 /6 /7 /deep /there /9
	equal "$output" 'd 755 1000:50 /1
d 755 1000:50 /1/new
d 755 1000:50 /1/new/empty
l 1000:50 /1/new/link -> one
f 644 1000:50 /1/new/one: one|
l 1000:50 /1/new/outside -> ../../../../etc/passwd
d 700 1000:50 /1/new/sub
f 644 1000:50 /1/new/sub/two: two|
f 644 1000:1000 /2: a|
f 644 1000:1000 /3: a|
f 644 7:7 /4: a|
f 644 7:8 /5: a|
f 644 0:50 /6: a|
f 644 0:0 /7: a|
f 644 0:0 /9: a|
d 755 1000:9 /deep
d 755 1000:9 /deep/er
f 644 1000:9 /deep/er/8: a|
d 700 0:0 /there
f 644 1000:1000 /there/a.txt: a|'
	equal "$(created_by chown | sed -n 2p)" 'COPY --chown=web:staff dir /1/new # buildkit'
}

@test "--chmod: octal and symbolic, files and directories, not links" {
	make_files
	dockerfile <<-'END'
		FROM base
		ARG MODE=0640
		COPY --chmod=$MODE a.txt /1
		COPY --chmod=4755 run.sh /2
		COPY --chmod=755 dir /new/3
		COPY --chmod=u=rw,go=r run.sh /4
		COPY --chmod=a-x,u+s run.sh /5
		COPY --chmod=go-rwx,+X dir /6
		COPY --chmod=0644 a.txt /odd/7
		COPY --chmod=u+x a.txt /plain/8
	END
	build -t chmod
	in_image -u 0 chmod stat -c '%a %n' /1 /2 /new /new/3 /new/3/one /new/3/sub /4 /5 /6 /6/one /6/sub /odd /odd/7 /plain /plain/8
	equal "$output" '640 /1
4755 /2
755 /new
755 /new/3
755 /new/3/one
755 /new/3/sub
644 /4
4644 /5
711 /6
600 /6/one
711 /6/sub
644 /odd
644 /odd/7
755 /plain
744 /plain/8'
	equal "$(created_by chmod | sed -n '2p;5p')" 'COPY --chmod=0640 a.txt /1 # buildkit
COPY --chmod=u=rw,go=r run.sh /4 # buildkit'
}

@test "destinations that are links are followed inside the root, dangling or not" {
	make_files
	dockerfile <<-'END'
		FROM base
		RUN mkdir /real /real/sub && ln -s /real /to-dir && ln -s ../../../../real/file /to-file && \
			ln -s /made/by/copy /dangling && ln -s /real/sub /to-dir/linked && echo old >/real/file
		COPY a.txt /to-dir/x
		COPY a.txt /to-file
		COPY a.txt /dangling
		COPY dir /to-dir
		COPY a.txt /to-dir/linked/deep
	END
	build -t links
	in_image links sh -c 'cat /real/x /real/file /made/by/copy /real/one /real/sub/deep; for l in to-dir to-file dangling real/linked; do readlink /$l; done'
	equal "$output" 'a
a
a
one
a
/real
../../../../real/file
/made/by/copy
/real/sub'
}

@test "hard links, sparse files, fifos and sockets of the context" {
	need_program python3
	mkdir special
	echo linked >special/one
	ln special/one special/two
	ln special/one three
	truncate -s 8M special/sparse
	mkfifo special/fifo
	python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("special/socket")'
	printf 'FROM base\nCOPY special three /s/\n' >Dockerfile
	build -t special
	in_image special stat -c '%n %F %h %s' /s/one /s/two /s/three /s/sparse /s/fifo /s/socket
	equal "$output" '/s/one regular file 3 7
/s/two regular file 3 7
/s/three regular file 3 7
/s/sparse regular file 1 8388608
/s/fifo fifo 1 0
/s/socket regular empty file 1 0'
}

@test "times: files and directories keep theirs" {
	make_files
	touch -d '2001-02-03 04:05:06 UTC' a.txt dir/one
	touch -d '2002-02-03 04:05:06 UTC' dir
	touch -h -d '2003-02-03 04:05:06 UTC' dir/link
	printf 'FROM base\nCOPY a.txt /\nCOPY dir /d\nCOPY dir /etc\n' >Dockerfile
	build -t times
	in_image times stat -c '%Y %n' /a.txt /d/one /d /d/link /etc
	equal "$output" '981173106 /a.txt
981173106 /d/one
1012709106 /d
1044245106 /d/link
1012709106 /etc'
}

@test "extended attributes and modes with s and t are kept" {
	need_program setfattr
	mkdir x
	echo x >x/file
	setfattr -n user.mime -v text x/file || cannot_run 'no extended attributes here'
	setfattr -n user.dir -v yes x
	chmod 6711 x/file
	chmod 1770 x
	printf 'FROM base\nCOPY x /x\n' >Dockerfile
	build -t attributes -o type=tar,dest=out.tar
	run -0 tar --xattrs --xattrs-include='*' -tvvf out.tar
	says 'user.mime' 'user.dir' 'drwxrwx--T' '-rws--s--x'
}

@test "COPY --from: owners kept, WORKDIR of the other not used, its links inside its root, ids and names in any case" {
	kiln import "$lab/base.tar" other
	dockerfile <<-'END'
		FROM base AS Data
		WORKDIR /w
		RUN mkdir -p /d/sub && echo f >/d/f && chown -R 12:34 /d && chmod 2750 /d/sub && ln -s /d/f /link && echo w >f && \
			mknod /d/pipe p && ln /d/f /d/g
		FROM base
		COPY --from=data /d /kept
		COPY --from=DATA --chown=web:9 /d/f /owned
		COPY --from=0 /link /followed
		COPY --from=data f* w/f* /wild/
		COPY --from=data w/f /relative
		COPY --from=other /etc/group /group
		COPY --from=data /d/f /d/g /two/
		COPY --from= from-context /context
	END
	echo context >from-context
	build -t from
	tree from /kept /owned /followed /wild /relative /two /context
	equal "$output" 'f 644 0:0 /context: context|
f 644 12:34 /followed: f|
d 755 12:34 /kept
f 644 12:34 /kept/f: f|
f 644 12:34 /kept/g: f|
fifo 644 0:0 /kept/pipe
d 2750 12:34 /kept/sub
f 644 1000:9 /owned: f|
f 644 0:0 /relative: w|
d 755 0:0 /two
f 644 12:34 /two/f: f|
f 644 12:34 /two/g: f|
d 755 0:0 /wild
f 644 0:0 /wild/f: w|'
	in_image from stat -c %h /kept/f /two/f
	equal "$output" $'2\n2'
	equal "$(created_by from | head -n 3)" 'COPY /d /kept # buildkit
COPY --chown=web:9 /d/f /owned # buildkit
COPY /link /followed # buildkit'
}

@test "here-documents: names, expansion, quotes, owner, mode, several with files" {
	echo a >a.txt
	printf '%s\n' 'FROM base' 'ENV V=value' \
		'COPY <<plain /one' '$V ${V:-x} "quoted" \n $$ back\\slash' plain \
		'COPY <<"quoted" <<-tabs a.txt /several/' '$V \n' quoted $'\ttab $V' $'\ttabs' \
		'COPY --chown=web --chmod=600 <<f /owned' x f \
		'ADD <<f /new/dir/' 'added $V' f \
		'COPY <<f /etc' 'in etc' f \
		'COPY <<-f /odd' $'\t\tx' $'\tf' >Dockerfile
	build -t heredocs
	tree heredocs /one /several /owned /new /etc/f /odd
	equal "$output" 'f 644 0:0 /etc/f: in etc|
d 755 0:0 /new
d 755 0:0 /new/dir
f 644 0:0 /new/dir/f: added value|
f 644 0:0 /odd: x|
f 644 0:0 /one: value value "quoted" n  back\slash|
f 600 1000:1000 /owned: x|
d 755 0:0 /several
f 644 0:0 /several/a.txt: a|
f 644 0:0 /several/quoted: $V \n|
f 644 0:0 /several/tabs: tab value|'
	equal "$(created_by heredocs | sed -n 2,4p)" 'COPY <<plain /one # buildkit
COPY a.txt <<quoted <<tabs /several/ # buildkit
COPY --chown=web --chmod=600 <<f /owned # buildkit'
	cannot_build 1 'COPY cannot accept a heredoc as a destination' <<<$'FROM base\nCOPY a.txt <<EOF\nx\nEOF'
}

make_archives() {
	mkdir -p in/dir
	echo data >in/file
	echo deep >in/dir/deep
	ln -s file in/link
	chmod 4711 in/file
	chmod 700 in/dir
	tar -C in --owner=12 --group=34 --numeric-owner --mtime=@1000000000 -cf plain.tar .
	gzip -k plain.tar
	bzip2 -k plain.tar
	xz -k plain.tar
	zstd -q -k plain.tar
}

@test "ADD unpacks archives in every compression, by content and not by name" {
	need_program gzip bzip2 xz zstd
	make_archives
	cp plain.tar.gz odd-name
	: >empty.tar
	echo 'no archive' >junk.tar.gz
	printf 'FROM base\n' >Dockerfile
	for form in plain.tar plain.tar.gz plain.tar.bz2 plain.tar.xz plain.tar.zst odd-name; do
		echo "ADD $form /$form" >>Dockerfile
	done
	printf 'ADD empty.tar /e/\nADD junk.tar.gz /j\nADD --unpack=false plain.tar /not/\nCOPY plain.tar /copied\n' >>Dockerfile
	printf 'ADD plain.* odd-name /all/\nWORKDIR /w\nADD plain.tar .\nADD plain.tar relative\n' >>Dockerfile
	build -t archives
	tree archives /plain.tar /e /j /w/file /w/relative/file
	equal "$output" 'd 755 0:0 /e
f 644 0:0 /e/empty.tar: 
f 644 0:0 /j: no archive|
d 755 12:34 /plain.tar
d 700 12:34 /plain.tar/dir
f 644 12:34 /plain.tar/dir/deep: deep|
f 4711 12:34 /plain.tar/file: data|
l 12:34 /plain.tar/link -> file
f 4711 12:34 /w/file: data|
f 4711 12:34 /w/relative/file: data|'
	in_image -u 0 archives sh -c 'for d in plain.tar plain.tar.gz plain.tar.bz2 plain.tar.xz plain.tar.zst odd-name all; do
		(cd /$d && find . -exec stat -c "%n %F %a %u %g %Y" {} + | sort | md5sum); done | sort -u | wc -l
		stat -c "%F %s" /not/plain.tar /copied; stat -c %Y /plain.tar/file'
	equal "$output" "1
regular file $(stat -c %s plain.tar)
regular file $(stat -c %s plain.tar)
1000000000"
}

@test "ADD of an archive: --chown counts, --chmod does not, links in the destination are used, what is there is merged" {
	make_archives
	mkdir -p m/usr/x
	echo m >m/usr/x/m
	tar -C m -cf merge.tar usr/x/m
	dockerfile <<-'END'
		FROM base
		ADD --chown=web:staff plain.tar /made/owned/
		ADD --chmod=777 plain.tar /mode/
		RUN mkdir -p /opt/lib /usr/real && ln -s /opt/lib /lib-link && ln -s real /usr/x && echo old >/opt/lib/file
		ADD plain.tar /lib-link/
		ADD merge.tar /
		RUN touch /taken
	END
	build -t owned
	in_image -u 0 owned stat -c '%n %F %a %u:%g' /made /made/owned /made/owned/file /made/owned/dir/deep /mode/file \
		/lib-link /opt/lib/file /usr/x /usr/real/m
	equal "$output" '/made directory 755 1000:50
/made/owned directory 755 1000:50
/made/owned/file regular file 4711 1000:50
/made/owned/dir/deep regular file 644 1000:50
/mode/file regular file 4711 12:34
/lib-link symbolic link 777 0:0
/opt/lib/file regular file 4711 12:34
/usr/x symbolic link 777 0:0
/usr/real/m regular file 644 '"$(tar --numeric-owner -tvf merge.tar usr/x/m | awk '{ sub("/", ":", $2); print $2 }')"
	cannot_build 1 'taken' <<<$'FROM owned\nADD plain.tar /taken'
	head -c 3000 plain.tar.gz >cut.tar.gz
	head -c "$(($(stat -c %s plain.tar.gz) - 20))" plain.tar.gz >cut.tar.gz
	cannot_build 1 'cut.tar.gz' <<<$'FROM base\nADD cut.tar.gz /x/'
}

@test ".dockerignore: patterns, negation, comments, hidden behind links, not for --from" {
	mkdir -p keep/deep skip/sub docs
	touch keep/a keep/deep/b.log skip/x skip/sub/y docs/README.md docs/other.md a.log b.txt '#file' top.tmp
	ln -s skip/x link-to-skipped
	printf '\xef\xbb\xbf# a comment\n*.log\n  docs/*.md  \n!docs/README.md\nskip\n!skip/sub/y\n\n**/*.log\n/top.tmp\nDockerfile\n.dockerignore\n' >.dockerignore
	printf 'FROM base AS s\nRUN mkdir /s; touch /s/a.log\nFROM base\nCOPY . /c/\nCOPY --from=s /s /s\nCOPY s*p/sub /sub\n' >Dockerfile
	build -t ignored
	in_image ignored sh -c 'cd /c && find . | sort | tr "\n" " "; cd /s; ls; ls /sub'
	equal "$output" '. ./#file ./b.txt ./docs ./docs/README.md ./keep ./keep/a ./keep/deep ./link-to-skipped ./skip ./skip/sub ./skip/sub/y a.log
y'
	cannot_build 1 '.dockerignore excludes it' <<<$'FROM base\nCOPY link-to-skipped /x'
	cannot_build 1 '.dockerignore excludes it' <<<$'FROM base\nCOPY skip/x /x'
	echo '!' >.dockerignore
	cannot_build 1 '.dockerignore' 'illegal exclusion pattern: "!"' <<<$'FROM base\nCOPY b.txt /x'
}

@test ".dockerignore beside the Dockerfile takes the place of the context's" {
	mkdir -p context elsewhere
	touch context/a context/b context/c
	echo a >context/.dockerignore
	printf 'FROM base\nCOPY . /c/\n' >elsewhere/my.dockerfile
	cp elsewhere/my.dockerfile context/Dockerfile
	list() {
		run -0 kiln build -q -t ignoring "$@" context
		in_image ignoring sh -c 'cd /c; ls -A | tr "\n" " "'
	}
	list -f elsewhere/my.dockerfile
	equal "$output" '.dockerignore Dockerfile b c '
	echo b >elsewhere/my.dockerfile.dockerignore
	list -f elsewhere/my.dockerfile
	equal "$output" '.dockerignore Dockerfile a c '
	echo c >context/Dockerfile.dockerignore
	list
	equal "$output" '.dockerignore Dockerfile Dockerfile.dockerignore a b '
	list -f - <context/Dockerfile
	equal "$output" '.dockerignore Dockerfile Dockerfile.dockerignore b c '
}

@test "--exclude, --parents and --link" {
	mkdir -p d/x/y
	touch d/a.txt d/b.md d/x/c.txt d/x/y/d.txt
	chmod 711 d/x
	dockerfile <<-'END'
		FROM base
		COPY --exclude=*.md --exclude=x/y d /excluded
		COPY --exclude=**/*.txt --exclude=!x/c.txt d /negated/
		COPY --parents d/x/c.txt d/a.txt /parents/
		COPY --parents d/./x/y/d.txt /pivot/
		COPY --parents d/**/*.txt /deep/
		COPY --link d/a.txt /linked/
	END
	build -t flags
	in_image flags sh -c 'find /excluded /negated /parents /pivot /deep /linked | sort; stat -c %a /parents/d/x'
	equal "$output" '/deep
/deep/d
/deep/d/a.txt
/deep/d/x
/deep/d/x/c.txt
/deep/d/x/y
/deep/d/x/y/d.txt
/excluded
/excluded/a.txt
/excluded/x
/excluded/x/c.txt
/linked
/linked/a.txt
/negated
/negated/b.md
/negated/x
/negated/x/c.txt
/negated/x/y
/parents
/parents/d
/parents/d/a.txt
/parents/d/x
/parents/d/x/c.txt
/pivot
/pivot/x
/pivot/x/y
/pivot/x/y/d.txt
711'
	equal "$(created_by flags | sed -n '3p;6p')" 'COPY --parents d/x/c.txt d/a.txt /parents/ # buildkit
COPY d/a.txt /linked/ # buildkit'
}

@test "a context that changes while it is copied does not lie to the cache" {
	mkdir big
	for i in $(seq 200); do head -c 200000 /dev/zero >"big/$i"; done
	printf 'FROM base\nCOPY big /big\nRUN cat /big/9\n' >Dockerfile
	(while [ ! -e stop ]; do date +%N >big/9; done) 3>&- &
	local pid=$!
	for i in 1 2 3; do
		run kiln build --progress=plain .
		[ "$status" -eq 0 ] || says 'changed while it was'
	done
	touch stop
	wait "$pid"
	local last
	last=$(cat big/9)
	run -0 kiln build --progress=plain .
	says "$last"
}

@test "--parents: the pivot, **, absolute paths, metadata of what it makes, owner and mode, what is missing" {
	mkdir -p a/b/c x/y
	echo 1 >a/b/c/f
	echo 2 >a/b/g
	echo 3 >x/y/z
	chmod 700 a/b
	chmod 711 x
	dockerfile <<-'END'
		FROM base
		COPY --parents a/b/c/f /out/1/
		COPY --parents /a/b/g /out/2/
		COPY --parents ./a/./b/c /out/3/
		COPY --parents a/./b/**/f /out/4/
		COPY --parents a/b/*/nothing /out/5/
		COPY --parents a x/y/z /out/6
		COPY --parents --chown=5:6 a/b/g /out/7/
		COPY --parents --chmod=600 a/b/g /out/8/
		COPY --parents **/z /out/9/
	END
	build -t parents
	tree parents /out
	equal "$(grep -v '/out/[0-9]*$' <<<"$output")" 'd 755 0:0 /out
d 755 0:0 /out/1/a
d 700 0:0 /out/1/a/b
d 755 0:0 /out/1/a/b/c
f 644 0:0 /out/1/a/b/c/f: 1|
d 755 0:0 /out/2/a
d 700 0:0 /out/2/a/b
f 644 0:0 /out/2/a/b/g: 2|
d 700 0:0 /out/3/b
d 755 0:0 /out/3/b/c
f 644 0:0 /out/3/b/c/f: 1|
d 700 0:0 /out/4/b
d 755 0:0 /out/4/b/c
f 644 0:0 /out/4/b/c/f: 1|
d 755 0:0 /out/6/a
d 700 0:0 /out/6/a/b
d 755 0:0 /out/6/a/b/c
f 644 0:0 /out/6/a/b/c/f: 1|
f 644 0:0 /out/6/a/b/g: 2|
d 711 0:0 /out/6/x
d 755 0:0 /out/6/x/y
f 644 0:0 /out/6/x/y/z: 3|
d 755 5:6 /out/7/a
d 700 5:6 /out/7/a/b
f 644 5:6 /out/7/a/b/g: 2|
d 600 0:0 /out/8/a
d 600 0:0 /out/8/a/b
f 600 0:0 /out/8/a/b/g: 2|
d 711 0:0 /out/9/x
d 755 0:0 /out/9/x/y
f 644 0:0 /out/9/x/y/z: 3|'
	cannot_build 1 '"/a/nope": not found' <<<$'FROM base\nCOPY --parents a/nope /x/'
}

@test "--exclude: relative to what is copied, for patterns to each match, never expanded, also with --from" {
	mkdir -p e/d1 e/d2
	touch e/d1/k e/d1/x.log e/d2/x.log e/top.log e/d2/k
	dockerfile <<-'END'
		FROM base AS other
		COPY e /e
		FROM base
		ARG P=*.log
		COPY --exclude=*.log e /1
		COPY --exclude=**/*.log e/* /2/
		COPY --exclude=x.log e/* /3/
		COPY --exclude=$P e /4
		COPY --exclude=d1 e /5
		COPY --exclude=e/d1 e /6
		COPY --exclude=**/*.log --exclude=d1 --from=other /e /7
		ADD --exclude=d1 --exclude=!d1/k e /8
	END
	build -t exclude
	in_image exclude sh -c 'for i in 1 2 3 4 5 6 7 8; do echo "$i: $(cd /$i && find . -type f | sort | tr "\n" " ")"; done'
	equal "$output" '1: ./d1/k ./d1/x.log ./d2/k ./d2/x.log 
2: ./k 
3: ./k ./top.log 
4: ./d1/k ./d1/x.log ./d2/k ./d2/x.log ./top.log 
5: ./d2/k ./d2/x.log ./top.log 
6: ./d1/k ./d1/x.log ./d2/k ./d2/x.log ./top.log 
7: ./d2/k 
8: ./d1/k ./d2/k ./d2/x.log ./top.log '
	cannot_build 1 'syntax error in pattern' <<<$'FROM base\nCOPY --exclude=[ e /x'
}

@test "--link: links in the destination are not followed, parents are made anew, --chmod takes it back, another base is a hit" {
	mkdir d
	echo f >d/f
	echo a >a
	tar -cf d.tar d/f
	dockerfile <<-'END'
		FROM base
		RUN mkdir -m 700 /real && chown 5:6 /real && ln -s /real /to-dir && ln -s /real /plain-link && echo old >/real/old
		COPY --link a /to-dir/x
		COPY a /plain-link/y
		COPY --link=false a /plain-link/z
		COPY --link --chown=7 d /real/
		COPY --link --chown=web d /owned/
		COPY --link <<e /here/
		text
		e
		COPY --link a /real/old
		ADD --link d.tar /unpacked/
		COPY --link --chmod=600 a /plain-link/mode
		RUN cat /real/old >/last
	END
	for view in overlay copy; do
		run -0 kiln --view $view build --no-cache --progress=plain -t link .
		tree link /real /to-dir /owned /here /unpacked /last
		equal "${output//$(id -u):$(id -g)/me}" 'd 755 0:0 /here
f 644 0:0 /here/e: text|
f 644 0:0 /last: a|
d 755 1000:1000 /owned
f 644 1000:1000 /owned/f: f|
d 755 0:0 /real
f 644 7:7 /real/f: f|
f 600 0:0 /real/mode: a|
f 644 0:0 /real/old: a|
f 644 0:0 /real/y: a|
f 644 0:0 /real/z: a|
d 755 0:0 /to-dir
f 644 0:0 /to-dir/x: a|
d 755 0:0 /unpacked
d 755 0:0 /unpacked/d
f 644 me /unpacked/d/f: f|'
	done
	equal "$(created_by link | sed -n 2p)" 'COPY a /to-dir/x # buildkit'
	dockerfile <<-'END'
		FROM base
		RUN echo another stack below
		COPY --link a /to-dir/x
		COPY --link --chown=7 d /real/
		COPY --link --chown=web d /owned/
		COPY a /plain
	END
	build
	equal "$(steps CACHED)" 2 'hits on another base'
	equal "$(grep -c DONE <<<"$output")" 4
}

@test "a variable with blanks is one name, and JSON may have blanks" {
	echo 1 >'two words'
	echo 2 >plain
	dockerfile <<-'END'
		FROM base
		ENV NAME="two words" BOTH="two words plain"
		COPY $NAME /1
		COPY ["two words", "plain", "/2/"]
		COPY ["${NAME}", "/with blank/x"]
	END
	build -t blanks
	tree blanks /1 /2 '/with blank'
	equal "$output" 'f 644 0:0 /1: 1|
d 755 0:0 /2
f 644 0:0 /2/plain: 2|
f 644 0:0 /2/two words: 1|
d 755 0:0 /with blank
f 644 0:0 /with blank/x: 1|'
	cannot_build 1 '"/two words plain": not found' <<<$'FROM base\nENV BOTH="two words plain"\nCOPY $BOTH /x'
}

@test "a directory that .dockerignore excludes keeps its mode if a file in it comes back" {
	mkdir -p out/in/deep
	touch out/in/deep/kept out/in/gone out/gone
	chmod 711 out
	chmod 2750 out/in
	chmod 700 out/in/deep
	printf 'out\n!out/in/deep/kept\n' >.dockerignore
	printf 'FROM base\nCOPY out /o\nCOPY . /all/\n' >Dockerfile
	build -t back
	tree back /o /all/out
	equal "$output" 'd 711 0:0 /all/out
d 2750 0:0 /all/out/in
d 700 0:0 /all/out/in/deep
f 644 0:0 /all/out/in/deep/kept: 
d 711 0:0 /o
d 2750 0:0 /o/in
d 700 0:0 /o/in/deep
f 644 0:0 /o/in/deep/kept: '
}
