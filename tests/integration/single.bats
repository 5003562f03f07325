#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # lib.bash and bats set lab, output and status
# Isolation "single", where there is one id: the image is the one that "mapped" makes, to the digest. A store has one form, so
# each of the two has its own. Run as a user without sub-ids too (KILN_TEST_SETTING=single), where the comparison is left out.

load lib

setup_file() {
	new_lab
	export epoch=1600000000
	make_rootfs "$lab/rootfs"
	add_program "$lab/rootfs" setcap getcap setfattr getfattr setpriv install
	pack_rootfs "$lab/rootfs" >"$lab/tools.tar"
	import_into single
	! has_range || import_into mapped
	cd "$lab/work" || return
	make_everything
	cd .. && make_owners
}

teardown_file() {
	KILN_ROOT=$lab/mapped kiln system reset --force >/dev/null || true
	KILN_ROOT=$lab/single kiln system reset --force >/dev/null || true
	end_lab
}

has_range() {
	kiln --root "$lab/mapped" --isolation mapped doctor >/dev/null 2>&1
}

# The user without sub-ids has nothing to compare with; kiln-test has.
is_alone() {
	[ "${KILN_TEST_SETTING:-user}" = single ]
}

need_range() {
	[ -e "$lab/mapped/version" ] || cannot_run "this user has no range of ids"
}

# on RUNG COMMAND...: kiln with the store of that rung.
on() {
	local rung=$1
	shift
	kiln --root "$lab/$rung" --isolation "$rung" "$@"
}

import_into() {
	SOURCE_DATE_EPOCH=$epoch on "$1" import --change 'CMD ["sh"]' "$lab/tools.tar" tools >/dev/null
}

# What programs do with owners and credentials.
make_owners() {
	mkdir -p "$lab/work/owners"
	cd "$lab/work/owners" || return
	mkdir -p tree/sub && echo a >tree/a && ln -s a tree/link
	tar -cf archive.tar --owner=12:12 --group=13:13 --numeric-owner tree
	dockerfile <<-'END'
		FROM tools AS start
		RUN mkdir /k && cd /k && echo f >file && mkdir dir && ln -s file link && mkfifo fifo \
		 && chown 1:2 file dir fifo && chown -h 3:4 link && chown 0:7 dir
		RUN mkdir /g && chown :staff /g && chmod 2775 /g && cd /g && echo x >f && mkdir d && ln -s f l && mkfifo p
		RUN cp -a /k /copy && tar -cf /k.tar k && mkdir /untar && tar -C /untar -xpf /k.tar && rm /k.tar
		RUN cp /bin/busybox /set && chown web:staff /set && chmod 6755 /set \
		 && cp /bin/busybox /cap && setcap cap_net_raw+ep /cap && chown web /cap && setcap cap_chown+ep /cap
		RUN install -d -o 5 -g 6 -m 700 /inst && install -o 7 -g 8 -m 4711 /bin/busybox /inst/b
		RUN /usr/bin/setpriv --reuid 1000 --regid 50 --clear-groups sh -c 'umask 027; cd /tmp; echo >u; mkdir ud; ln -s u ul; mkfifo up'
		RUN su web -c 'id -u; id -g; id -G' >/who && chown -R 21:22 /copy && find / -xdev -user web | sort >/found
		RUN mkdir -p /home/web && chown web:web /home/web && su web -c 'touch ~/mine && mkdir -m 700 ~/.d' && chgrp staff /home/web/mine
		USER web:staff
		RUN echo >/tmp/by-user && id >/tmp/id && ! touch /etc/no 2>/dev/null && ! rm -f /who 2>/dev/null
		WORKDIR /home/web/work
		RUN pwd >here 2>/dev/null || true
		USER root
		RUN chown 0:0 /k/file /k/link && mv /k/fifo /k/moved && ln /copy/file /hard && rm -r /untar/k/dir
		FROM tools
		COPY --from=start /k /k
		COPY --from=start --chown=9:9 /g /g
		COPY --from=start /tmp/ul /tmp/u /set /cap /from/
		COPY --chown=web:staff tree /tree
		ADD archive.tar /archive/
		ADD --chown=5:5 archive.tar /owned/
		COPY --from=start / /all/
		RUN chown -R 1:1 /all/k && stat -c '%n %u:%g' /k/* /g/* /from/* /all/tmp/* >/stats
	END
}

# image_of RUNG VIEW DIRECTORY: the digest of the image that is built there, once.
image_of() {
	local known=$lab/$1-$2-$3.id
	[ -s "$known" ] || (
		cd "$lab/work/$3" && SOURCE_DATE_EPOCH=$epoch on "$1" --view "$2" build --no-cache -q -t "$3-$2" . >"$known"
	) || return
	cat "$known"
}

# same_image DIRECTORY RUNG VIEW RUNG VIEW
same_image() {
	local one other
	one=$(image_of "$2" "$3" "$1") || return
	other=$(image_of "$4" "$5" "$1") || return
	equal "$one" "$other" "$1: $2 $3 and $4 $5"
}

@test "everything that views can get wrong is the image of mapped" {
	! is_alone || return 0
	need_range
	same_image everything mapped overlay single overlay
	same_image everything mapped overlay single copy
}

@test "what programs do with owners is the image of mapped" {
	! is_alone || return 0
	need_range
	same_image owners mapped overlay single overlay
	same_image owners mapped overlay single copy
}

@test "overlay and copy give the same image" {
	same_image owners single copy single overlay
	same_image everything single copy single overlay
}

@test "an archive of the image is loaded by the other isolation as the same image" {
	! is_alone || return 0
	need_range
	local id
	id=$(image_of single overlay owners)
	on single save -o image.tar owners-overlay
	on mapped load -i image.tar
	equal "$(on mapped inspect owners-overlay | jq -r '.[0].Id')" "$id"
	# Unpacked there, it is what the layers say: real owners on the one side, recorded ones on the other.
	on mapped build -q -o type=tar,dest=mapped.tar -f - . <<<'FROM owners-overlay' >/dev/null
	on single build -q -o type=tar,dest=single.tar -f - . <<<'FROM owners-overlay' >/dev/null
	cmp mapped.tar single.tar
}

@test "what was built is what the commands say" {
	image_of single overlay owners >/dev/null
	run -0 on single run owners-overlay sh -c 'cat /stats; stat -c "%a %u:%g" /from/set; getcap /from/cap; cat /all/who'
	says '/k/link 3:4' '/k/dir 0:7' '/k/moved 1:2' '/g/f 9:9' '/from/u 1000:50' '/all/tmp/by-user 1000:50' \
		'6755 1000:50' 'cap_chown=ep'
	equal "$(tail -n 3 <<<"$output")" $'1000\n1000\n1000 50'
}

@test "an exported file system has the owners of the image" {
	image_of single overlay owners >/dev/null
	(cd "$lab/work/owners" && SOURCE_DATE_EPOCH=$epoch on single build -q -o type=tar,dest="$OLDPWD/root.tar" . >/dev/null)
	run -0 tar --numeric-owner -tvf root.tar
	grep -E 'l[^ ]* 3/4 .* untar/k/link|l[^ ]* 1000/50 .* all/tmp/ul' <<<"$output"
	run -0 tar --xattrs --xattrs-include='*' -tvvf root.tar
	says_not user.kiln
	mkdir local
	(cd "$lab/work/owners" && on single build -q -o type=local,dest="$OLDPWD/local" . >/dev/null)
	run -0 find local ! -user "$(id -un)"
	equal "$output" ""
	equal "$(getfattr -R -h -d -m - local 2>/dev/null | grep -cF user.kiln.own)" 0
}

@test "devices are made, kept and copied" {
	dockerfile <<-'END'
		FROM tools AS start
		RUN mknod -m 660 /null c 1 3 && chown 0:6 /null && mv /null /dev-null
		FROM tools
		COPY --from=start /dev-null /x/
		RUN stat -c '%F %t:%T %a %u:%g' /x/dev-null >/said && test -c /x/dev-null
	END
	on single build -q -t device . -o type=tar,dest=device.tar >/dev/null
	run -0 tar --numeric-owner -tvf device.tar x/dev-null
	says 'crw-rw---- 0/6' '1,3'
	tar -xOf device.tar said | grep -x 'character special file 1:3 660 0:6'
}

@test "a store has one form" {
	! is_alone || return 0
	need_range
	run ! kiln --root "$lab/single" --isolation mapped run tools true
	says "made with isolation single"
	run ! kiln --root "$lab/mapped" --isolation single run tools true
	says "made with isolation mapped"
	# Left to choose, kiln takes the one of the store.
	run -0 kiln --root "$lab/single" run tools sh -c 'cat /proc/self/uid_map'
	equal "$(awk '{ print $3 }' <<<"$output")" 1
	kiln --root "$lab/mapped" run tools true
}

@test "a view that cannot keep the records is refused, and not chosen" {
	run ! on single --view fuse-overlayfs run tools true
	says "isolation single"
}

@test "left to choose, kiln takes mapped, else single, and doctor says why" {
	run -0 kiln doctor
	if has_range; then
		says "kiln can build here, on isolation mapped"
		return
	fi
	says "isolation mapped" "usermod --add-subuids" "kiln can build here, on isolation single"
	kiln import "$lab/tools.tar" tools >/dev/null
	printf 'FROM tools\nRUN touch /f && chown 5:6 /f && [ "$(stat -c %%u:%%g /f)" = 5:6 ]\n' >Dockerfile
	build -t auto
}

# As in containers: a fresh /proc is refused, and in the outer one processes have other numbers.
@test "where /proc is masked owners are emulated all the same" {
	printf 'FROM tools\nRUN cd /tmp && touch f && chown 5:6 f ./f /proc/self/cwd/f && stat -c %%u:%%g f /tmp/f >/said\n' >Dockerfile
	# shellcheck disable=SC2016 # the inner shell's
	unshare --user --map-root-user --mount sh -c '
		mount -t tmpfs tmpfs /proc/fs && exec "$@"' sh \
		"$KILN" --root "$lab/masked" --isolation single import "$lab/tools.tar" tools >/dev/null ||
		cannot_run "this user may not mount in a namespace"
	# shellcheck disable=SC2016
	unshare --user --map-root-user --mount sh -c '
		mount -t tmpfs tmpfs /proc/fs && exec "$@"' sh \
		"$KILN" --root "$lab/masked" --isolation single build -q -o type=tar,dest=out.tar . >/dev/null
	equal "$(tar -xOf out.tar said)" $'5:6\n5:6'
	kiln --root "$lab/masked" --isolation single system reset --force >/dev/null
}

@test "a command that ends leaves no process behind, and its status is kiln's" {
	run -7 on single run tools sh -c 'sleep 1000 & su web -c "sleep 1000 &"; exit 7'
	run -137 on single run tools sh -c 'kill -KILL $$'
	run -125 on single run tools /missing || [ "$status" -eq 127 ]
}

@test "SIGTERM ends a step and its supervisor" {
	printf 'FROM tools\nRUN sleep 98765\n' >Dockerfile
	"$KILN" --root "$lab/single" --isolation single build -q . &
	local pid=$!
	sleep 2
	kill -TERM "$pid"
	local status=0
	wait "$pid" || status=$?
	differ "$status" 0
	sleep 0.3
	equal "$(pgrep -u "$(id -u)" -f 'sleep 98765' | wc -l)" 0
}
