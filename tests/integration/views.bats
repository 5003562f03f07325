#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # lib.bash and bats set lab, output and status
# The three views give the same image, to the digest, for a Dockerfile with everything that a view can get wrong.

load lib

setup_file() {
	new_lab
	import_tools
	cd "$lab/work" || return
	make_everything
}

teardown_file() {
	end_lab
}

setup() {
	cd "$lab/work/everything" || return
}

# build_under VIEW NAME: the whole Dockerfile, from nothing, with times that do not depend on the clock.
build_under() {
	SOURCE_DATE_EPOCH=1600000000 run -0 kiln --view "$1" build --no-cache --progress=plain -t "$2" .
}

need_all_views() {
	need_view overlay
	need_view fuse-overlayfs
}

@test "overlay builds everything" {
	need_view overlay
	build_under overlay everything:overlay
}

@test "fuse-overlayfs builds everything" {
	need_view fuse-overlayfs
	build_under fuse-overlayfs everything:fuse
}

@test "copy builds everything" {
	build_under copy everything:copy
}

@test "the diff ids are equal under the three views" {
	need_all_views
	equal "$(diff_ids everything:fuse)" "$(diff_ids everything:overlay)" "fuse-overlayfs and overlay"
	equal "$(diff_ids everything:copy)" "$(diff_ids everything:overlay)" "copy and overlay"
}

@test "the images are equal under the three views, and so are the archives" {
	need_all_views
	equal "$(image_id everything:fuse)" "$(image_id everything:overlay)"
	equal "$(image_id everything:copy)" "$(image_id everything:overlay)"
	local view
	for view in overlay fuse copy; do
		kiln tag everything:$view everything:one
		kiln save -o $view.tar everything:one
	done
	cmp overlay.tar fuse.tar
	cmp overlay.tar copy.tar
	rm -- *.tar
}

@test "what was built is what the commands say" {
	in_image -u 0 everything:copy sh -c '
		cd / && ls -d gone etc/os-release d/f3 opaque/new temporary temporary-d moved/x 2>/dev/null
		cat opaque/old/g moved/z/y/renamed kinds/dir stays/f
		stat -c "%n %F %a %u:%g" kinds/fifo kinds/file kinds/etc setuid capable stays d d/f4 copied/sub/b other moved/other made/by/workdir 2>/dev/null
		for f in hard1 hard2 hard3 hard4; do stat -c "%i" d/$f; done | sort -u | wc -l
		getcap capable
		wc -c <sparse
		cat d/back/f tmp/mine'
	equal "$output" "again
y
now
s
more
kinds/fifo directory 755 0:0
kinds/file symbolic link 777 0:0
kinds/etc fifo 644 0:0
setuid regular file 4775 0:0
capable regular file 757 0:0
stays directory 2750 1000:50
d directory 700 0:0
d/f4 regular file 644 12345:54321
copied/sub/b regular file 644 1000:50
moved/other regular file 600 1000:0
made/by/workdir directory 755 0:0
3
capable cap_net_bind_service,cap_net_raw=ep
8388608
s
1000"
}

@test "without a fixed time the layers are equal but for the times" {
	need_all_views
	local view
	for view in overlay fuse-overlayfs copy; do
		run -0 kiln --view "$view" build --no-cache --progress=plain -t "clock:$view" .
		kiln save --format docker-archive -o clock.tar "clock:$view"
		mkdir "clock-$view"
		tar -C "clock-$view" -xf clock.tar
		for layer in $(jq -r '.[0].Layers[]' "clock-$view/manifest.json"); do
			echo "layer"
			LC_ALL=C tar --numeric-owner --xattrs --xattrs-include='*' --full-time -tvvf "clock-$view/$layer" |
				sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]+//'
		done >"list-$view"
	done
	diff list-overlay list-fuse-overlayfs
	diff list-overlay list-copy
	rm -r clock* list*
}

# Kernel overlay takes a file with several names apart when it copies up one of them, and fuse-overlayfs keeps one of them: kiln
# puts them together again.
@test "files with several names in a lower layer come out the same under the three views" {
	need_all_views
	dockerfile Dockerfile.names <<-'END'
		FROM tools AS names
		RUN for d in removed added moved owner mode grown swapped listed; do mkdir /$d /$d/sub; echo $d >/$d/1; ln /$d/1 /$d/2; ln /$d/1 /$d/sub/3; done
		FROM names
		RUN rm /removed/1
		RUN ln /added/2 /added/4
		RUN mv /moved/1 /moved/sub/9
		RUN chown web /owner/1 /owner/2 /owner/sub/3
		RUN chmod 600 /mode/sub/3
		RUN echo more >>/grown/2
		RUN echo other >/swapped/new && mv /swapped/new /swapped/2
		RUN cat /listed/* >/dev/null 2>&1; touch -c -d @1500000000 /listed/2
		RUN cd / && for f in removed/* added/* moved/* owner/* mode/* grown/* swapped/* listed/*; do \
			[ -d $f ] || echo "$f $(stat -c '%U %a %Y' $f) $(cat $f)"; done >/list; \
			for f in */sub/[39]; do [ $f -ef ${f%%/*}/2 ] && linked=linked || linked=apart; \
			echo "$f $(stat -c '%U %a %Y' $f) $linked"; done >>/list
	END
	local view
	for view in overlay fuse-overlayfs copy; do
		SOURCE_DATE_EPOCH=1600000000 run -0 kiln --view "$view" build --no-cache -q -f Dockerfile.names -t "names:$view" .
		in_image "names:$view" cat /list
		printf '%s\n' "$output" >"names-$view"
	done
	diff names-overlay names-copy
	diff names-overlay names-fuse-overlayfs
	equal "$(diff_ids names:fuse-overlayfs)" "$(diff_ids names:overlay)" "fuse-overlayfs and overlay"
	equal "$(diff_ids names:copy)" "$(diff_ids names:overlay)" "copy and overlay"
	output=$(<names-overlay)
	says "removed/sub/3 root 644 1600000000 linked" "added/sub/3 root 644 1600000000 linked" \
		"moved/sub/9 root 644 1600000000 linked" "owner/sub/3 web 644 1600000000 linked" "mode/1 root 600" \
		"grown/1 root 644 1600000000 grown" "swapped/2 root 644 1600000000 other" \
		"swapped/1 root 644 1600000000 swapped" "swapped/sub/3 root 644 1600000000 apart" "listed/1 root 644 1500000000"
	rm names-*
}

@test "a view is forced, and one that is not known is an error" {
	run ! kiln --view nothing build .
	says nothing
}

@test "an image of more than a hundred layers builds and runs under each view" {
	need_all_views
	{
		echo 'FROM tools'
		for i in $(seq 120); do echo "COPY file /layers/$i"; done
		echo 'RUN ls /layers | wc -l >/count && rm /layers/60'
		echo 'RUN ls /layers | wc -l >>/count'
	} >Dockerfile.many
	local view
	for view in overlay fuse-overlayfs copy; do
		SOURCE_DATE_EPOCH=1600000000 run -0 kiln --view "$view" build --no-cache -q -f Dockerfile.many -t "many:$view" .
		run -0 kiln --view "$view" run "many:$view" cat /count
		equal "$output" $'120\n119' "$view"
	done
	equal "$(diff_ids many:fuse-overlayfs)" "$(diff_ids many:overlay)"
	equal "$(diff_ids many:copy)" "$(diff_ids many:overlay)"
}

@test "a step cached under one view is used under another" {
	need_all_views
	printf 'FROM tools\nRUN echo x >/x && rm /etc/os-release\nRUN echo y >/y\n' >Dockerfile.cached
	run -0 kiln --view copy build --progress=plain -f Dockerfile.cached -t cached .
	run -0 kiln --view overlay build --progress=plain -f Dockerfile.cached -t cached .
	equal "$(steps CACHED)" 2
}
