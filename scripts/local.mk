EXTRA_DIST += \
	scripts/check-banned.sh \
	scripts/check-format.sh \
	scripts/check-headers.sh \
	scripts/check-layers.sh \
	scripts/check-lists.sh \
	scripts/check-shell.sh \
	scripts/debian-base \
	scripts/lib/common.sh \
	scripts/lib/tap.sh \
	scripts/setup
