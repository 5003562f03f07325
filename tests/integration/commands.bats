#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016,SC2034 # lib.bash and bats set lab, output, status and lines; $ is for Dockerfiles
# Options of the commands beside build, each by what it changes.

load lib
load image

setup_file() {
	new_lab
	import_base
	cd "$lab/work" || return 1
	printf 'FROM base\nLABEL kind=old\n' | SOURCE_DATE_EPOCH=1400000000 kiln build -q -t old:1 -f - . >/dev/null
	printf 'FROM base\nLABEL kind=new other=x\nRUN echo 1500 >/f\n' | SOURCE_DATE_EPOCH=1500000000 \
		kiln build -q -t new:1 -t new:2 -t example.org/a/new -f - . >/dev/null
	printf 'FROM base\nLABEL kind=nameless\n' | SOURCE_DATE_EPOCH=1450000000 kiln build -q -f - . >/dev/null
}

teardown_file() {
	end_lab
}

# listed OPTION...: names of the images, sorted, on one line.
listed() {
	kiln images --format json "$@" | jq -r '.Repository + ":" + .Tag' | sort | tr '\n' ' '
}

@test "images --filter: by name, label, age and whether there is a name" {
	equal "$(listed --filter reference=new)" 'new:1 new:2 '
	equal "$(listed --filter 'reference=n?w:2')" 'new:2 '
	equal "$(listed -f 'reference=example.org/*/*')" 'example.org/a/new:latest '
	equal "$(listed -f reference=old -f reference=new:1)" 'new:1 old:1 '
	equal "$(listed -f label=kind=old)" 'old:1 '
	equal "$(listed -f label=other)" 'example.org/a/new:latest new:1 new:2 '
	equal "$(listed -f label=kind=new -f label=other=y)" ''
	equal "$(listed -f dangling=true)" '<none>:<none> '
	equal "$(listed -f dangling=false -f label=kind)" 'example.org/a/new:latest new:1 new:2 old:1 '
	equal "$(listed -f before=new:1 -f label=kind)" '<none>:<none> old:1 '
	equal "$(listed -f since=old:1 -f label=kind -f reference=new)" 'new:1 new:2 '
	equal "$(listed -f since=old:1 -f before=new:1)" '<none>:<none> '
	equal "$(listed new:2)" 'new:2 '
	run -125 kiln images -f size=1
	says 'invalid filter "size": dangling, label, reference, before or since'
	run -125 kiln images -f reference
	says 'must be KEY=VALUE'
	run -125 kiln images -f 'reference=[a'
	says 'syntax error in pattern'
	run -1 kiln images -f since=not-there
	says 'not in the store'
}

@test "images: docker's columns, --digests, --no-trunc, json" {
	run -0 kiln images old
	equal "$(sed -E 's/  +/|/g; s/[0-9a-f]{12}/ID/; s/\|[0-9.]+MB/|SIZE/; s/[0-9]+ years ago/AGO/' <<<"$output")" \
		$'REPOSITORY|TAG|IMAGE ID|CREATED|SIZE\nold|1|ID|AGO|SIZE'
	kiln save -o /dev/null new:1 || kiln save -o x.tar new:1
	local digest
	digest=$(kiln inspect new:1 | jq -r '.[0].Manifest')
	run -0 kiln images --digests --no-trunc new:1
	equal "$(sed -n 1p <<<"$output" | tr -s ' ')" 'REPOSITORY TAG DIGEST IMAGE ID CREATED SIZE'
	says "$digest" "$(image_id new:1)"
	equal "$(kiln images --digests old | awk 'NR == 2 { print $3 }')" '<none>'
	equal "$(kiln images --format json new:1 | jq -c '[.Digest,.CreatedAt]')" "[\"$digest\",\"2017-07-14 02:40:00 +0000 UTC\"]"
	equal "$(kiln images --format '{{.Repository}}:{{.Tag}}\t{{.ID}}' new:1)" "new:1"$'\t'"$(kiln images -q new:1)"
}

@test "history --human=false, docker's JSON members" {
	run -0 kiln history --human=false new:1
	says 2017-07-14T02:40:00Z ' 5 '
	run -0 kiln history -H new:1
	says '5B' 'years ago'
	equal "$(kiln history --format json new:1 | jq -cs '.[0]|[.Size,.CreatedBy,.CreatedAt]')" \
		'["5B","RUN /bin/sh -c echo 1500 >/f # buildkit","2017-07-14T02:40:00Z"]'
	equal "$(kiln history --format json --human=false new:1 | jq -rs '.[0].Size')" 5
}

@test "inspect: --type, --raw" {
	run -0 kiln inspect --type image new:1
	run -125 kiln inspect --type container new:1
	says 'kiln keeps images only'
	equal "$(kiln inspect --raw new:1 | jq -r .created)" 2017-07-14T02:40:00Z
}

@test "docker's templates: fields, json, len, index" {
	dockerfile <<-'END'
		FROM base
		LABEL a.b=c d=e
		ENTRYPOINT ["x", "y z"]
		EXPOSE 80
	END
	build -t templates
	format() {
		kiln inspect -f "$1" templates
	}
	equal "$(format '{{.Id}}')" "$(image_id templates)"
	equal "$(format 'a {{ .Os }}/{{.Architecture}} b')" "a $(kiln inspect templates | jq -r '.[0]|.Os+"/"+.Architecture') b"
	equal "$(format '{{.Config.Entrypoint}} {{json .Config.Entrypoint}}')" '[x y z] ["x","y z"]'
	equal "$(format '{{.Config.Cmd}}|{{.Config.User}}|{{.Config.Volumes}}')" '[]||map[]'
	equal "$(format '{{index .Config.Labels "a.b"}}|{{index .Config.Labels "none"}}|{{len .Config.Labels}}')" 'c||2'
	equal "$(format '{{index .RootFS.Layers 0}}')" "$(diff_ids templates | head -n 1)"
	equal "$(kiln history --format '{{.CreatedBy}}' templates | head -n 1)" 'EXPOSE [80/tcp]'
	equal "$(kiln inspect -f '{{json .}}' templates | jq -r .Id)" "$(image_id templates)"
	run -125 kiln inspect -f '{{.Nope}}' templates
	says 'there is no field .Nope' '.RepoTags'
	run -125 kiln inspect -f '{{range .RootFS.Layers}}x{{end}}' templates
	says '"range" is not understood' jq
	run -125 kiln inspect -f '{{.Id' templates
	says 'without'
	run -125 kiln images --format 'table {{.ID}}'
	says 'without that word'
}

@test "rmi goes on after a name that is not there" {
	kiln tag old:1 gone:1
	kiln tag old:1 gone:2
	run -1 kiln rmi gone:1 not-there also-not gone:2
	says 'Untagged: gone:1' 'Untagged: gone:2' 'image "not-there" is not in the store' 'image "also-not" is not in the store'
	equal "$(listed gone)" ''
	run -0 kiln rmi --no-prune -f not-there
}

@test "import: -m, --platform" {
	kiln import -m 'made by hand' --platform linux/arm/v6 "$lab/base.tar" by-hand
	equal "$(config by-hand '[.history[0].comment,.architecture,.variant]')" '["made by hand","arm","v6"]'
	kiln import -q "$lab/base.tar" by-hand
	equal "$(config by-hand '.history[0].comment')" '"Imported from -"'
	run -125 kiln import --platform nonsense "$lab/base.tar" x
	says 'invalid platform'
}

@test "load --platform takes that one of several" {
	printf 'FROM scratch\nCOPY Dockerfile /\n' >Dockerfile
	local platform
	for platform in linux/arm64 linux/s390x; do
		kiln build -q --platform "$platform" -t "p:${platform#*/}" . >/dev/null
		kiln save --format oci-dir -o layout "p:${platform#*/}"
	done
	jq '.manifests[].annotations = {"org.opencontainers.image.ref.name": "both"}' layout/index.json >index
	cp index layout/index.json
	equal "$(jq '.manifests|length' layout/index.json)" 2
	for platform in linux/arm64 linux/s390x; do
		run -0 kiln --root "$PWD/other" load -i layout --platform "$platform"
		equal "$(kiln --root "$PWD/other" images -q --no-trunc | head -n 1)" "$(image_id "p:${platform#*/}")" "$platform"
		kiln --root "$PWD/other" system reset --force
	done
	run -125 kiln load -i layout --platform nonsense
	says 'invalid platform'
}

@test "run: what needs a daemon or more rights says so" {
	local option
	for option in -d --privileged -P '-p 80:80'; do
		# shellcheck disable=SC2086 # an option and its value
		run -125 kiln run $option base true
		says '--'
	done
	run -125 kiln run -d base true
	says 'kiln has no daemon'
	run -0 kiln run --name x --init --rm base echo fine
	says fine '--init is ignored'
}

@test "completion bash: commands, options of each, names of images" {
	kiln completion bash >script
	run -0 shellcheck -s bash script
	cat >try <<-'END'
		kiln() { "$KILN" "$@"; }
		. ./script
		complete_words() {
			COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
			_kiln
			echo "${COMPREPLY[@]}"
		}
		complete_words kiln bu
		complete_words kiln build --no-
		complete_words kiln --ro
		complete_words kiln --root x run ''
		complete_words kiln rmi old
		complete_words kiln version x
	END
	run -0 bash try
	equal "${lines[0]}" build
	equal "${lines[1]}" '--no-cache --no-cache-filter'
	equal "${lines[2]}" --root
	grep -qw new:2 <<<"${lines[3]}"
	equal "${lines[4]}" old:1
	run -125 kiln completion fish
	says 'there is completion for bash'
}
