#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # lib.bash and bats set lab, output, srcdir and status
# Real images: a Debian base made on the spot, the flask example, and a set of 70 packages and more, each under the three
# views, equal entry by entry.

load lib


# Contents that packages make random or dated themselves: host keys, machine ids, logs with times, apt's and ldconfig's
# caches (they hold inode numbers, times or addresses).
random_files=(
	--random 'etc/ssh/ssh_host_*'
	--random 'var/lib/dbus/machine-id'
	--random 'etc/machine-id'
	--random 'var/log/*.log'
	--random 'var/log/apt/*.log'
	--random 'var/cache/apt/*.bin'
	--random 'var/cache/ldconfig/aux-cache'
)
views=(overlay fuse-overlayfs copy)
packages="openssh-server nginx cron man-db python3 sudo dbus iputils-ping at plocate groff less procps rsyslog git"
# shellcheck disable=SC2016 # the build's variable
install='RUN DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $PACKAGES \
 && dpkg -l | grep -c "^ii" >/count \
 && useradd -m app && install -o app -g www-data -m 4755 /bin/true /usr/local/bin/t \
 && chown -R app:app /usr/share/doc/git'

setup_file() {
	new_lab
	export SOURCE_DATE_EPOCH=1700000000
	"$srcdir/scripts/debian-base" "$lab/base.tar"
	kiln import "$lab/base.tar" debian:base
	rm "$lab/base.tar"
}

teardown_file() {
	end_lab
}

compare() {
	"$srcdir/tests/lib/compare-trees" "${random_files[@]}" "$@"
}

@test "the flask example is the same under the three views" {
	local view
	for view in "${views[@]}"; do
		# Downloading is the same for all and is not what is compared, but the step is one: each view runs it.
		kiln --view "$view" build --no-cache --build-arg BASE=debian:base -t "flask-$view" \
			-o "type=tar,dest=$lab/flask-$view.tar" "$srcdir/examples/flask"
	done
	compare "$lab/flask-overlay.tar" "$lab/flask-fuse-overlayfs.tar"
	compare "$lab/flask-overlay.tar" "$lab/flask-copy.tar"
	rm "$lab"/flask-*.tar
}

@test "the flask example serves its page" {
	local port page server
	port=$(free_port)
	kiln run -e PORT="$port" flask-overlay >server.log 2>&1 &
	server=$!
	for _ in $(seq 100); do
		page=$(curl -s --noproxy '*' "http://127.0.0.1:$port/") && break
		sleep 0.2
	done
	kill -TERM "$server"
	wait "$server" || true
	grep -F 'user 1000' <<<"$page"
}

@test "more than 70 packages are the same under the three views" {
	local view
	printf 'FROM debian:base\nRUN apt-get update && apt-get install -y --no-install-recommends --download-only %s\n' "$packages" |
		kiln build -q -t many-download -f - .
	printf 'FROM many-download\nARG PACKAGES="%s" VIEW\n%s\n' "$packages" "$install" >Dockerfile
	for view in "${views[@]}"; do
		kiln --view "$view" build --build-arg VIEW="$view" -t "many-$view" -o "type=tar,dest=$lab/many-$view.tar" .
	done
	compare "$lab/many-overlay.tar" "$lab/many-fuse-overlayfs.tar"
	compare "$lab/many-overlay.tar" "$lab/many-copy.tar"
	mv "$lab/many-overlay.tar" "$lab/wanted.tar"
	rm "$lab"/many-*.tar
	run -0 kiln run many-overlay cat /count
	[ "$output" -ge 150 ]
	run -0 kiln run debian:base sh -c "dpkg -l | grep -c '^ii'"
	base=$output
	run -0 kiln run many-overlay cat /count
	[ $((output - base)) -ge 70 ] || fail "only $((output - base)) packages were installed"
	# What matters to programs: setuid bits, owners, file capabilities.
	run -0 kiln run many-overlay stat -c '%a %U:%G' /usr/bin/sudo /usr/bin/crontab /usr/local/bin/t
	says "4755 root:root" "2755 root:crontab" "4755 app:www-data"
	run -0 kiln run many-overlay getcap /usr/bin/ping
	says "cap_net_raw=ep"
}

# A store of its own, since this one has real owners. The base comes with the packages that were downloaded above.
@test "more than 70 packages are the same on isolation single" {
	single() {
		kiln --root "$lab/single" --isolation single "$@"
	}
	[ -e "$lab/wanted.tar" ]
	kiln save -o base.tar many-download
	single load -i base.tar
	rm base.tar
	printf 'FROM many-download\nARG PACKAGES="%s"\n%s\n' "$packages" "$install" >Dockerfile
	single build -q -t many -o "type=tar,dest=$lab/single.tar" .
	compare "$lab/wanted.tar" "$lab/single.tar"
	rm "$lab/wanted.tar" "$lab/single.tar"
	run -0 single run many stat -c '%a %U:%G' /usr/bin/sudo /usr/bin/crontab /usr/local/bin/t
	says "4755 root:root" "2755 root:crontab" "4755 app:www-data"
	run -0 single run many getcap /usr/bin/ping
	says "cap_net_raw=ep"
	# Programs that change who one is, from a user who is not root.
	run -0 single run -u app many sh -c 'id -un; sudo -n true 2>&1 | head -n 1; crontab -l 2>&1 || true'
	says app "no crontab for app"
	single system reset --force
}
