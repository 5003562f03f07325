noinst_LIBRARIES += src/build/libbuild.a
src_build_libbuild_a_SOURCES = \
	include/kiln/build/build.h \
	src/build/internal.h \
	src/build/agent.c \
	src/build/build.c \
	src/build/change.c \
	src/build/check.c \
	src/build/commit.c \
	src/build/evaluate.c \
	src/build/explain.c \
	src/build/fetch.c \
	src/build/fetch.h \
	src/build/export.c \
	src/build/foreign.c \
	src/build/key.c \
	src/build/layers.c \
	src/build/metadata.c \
	src/build/outline.c \
	src/build/mounts.h \
	src/build/mounts_open.c \
	src/build/origin.c \
	src/build/output.c \
	src/build/plan.c \
	src/build/schedule.c \
	src/build/squash.c \
	src/build/stage.c \
	src/build/step_add.c \
	src/build/step_copy.c \
	src/build/step_link.c \
	src/build/step_mounts.c \
	src/build/step_run.c \
	src/build/step_workdir.c \
	src/build/trees.c \
	src/build/words.c
