EXTRA_DIST += \
	scripts/check-banned.sh \
	scripts/check-coverage.sh \
	scripts/check-format.sh \
	scripts/check-headers.sh \
	scripts/check-layers.sh \
	scripts/check-lists.sh \
	scripts/check-sanitizers \
	scripts/check-shell.sh \
	scripts/check-static \
	scripts/debian-base \
	scripts/fuzz \
	scripts/lib/common.sh \
	scripts/lib/tap.sh \
	scripts/quickstart \
	scripts/setup \
	scripts/test
