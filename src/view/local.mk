noinst_LIBRARIES += src/view/libview.a
src_view_libview_a_SOURCES = \
	include/kiln/view/view.h \
	src/view/changes.c \
	src/view/changes.h \
	src/view/copy.c \
	src/view/fuse.c \
	src/view/fuse-repair.c \
	src/view/fuse-repair.h \
	src/view/kind.h \
	src/view/overlay.c \
	src/view/probe.c \
	src/view/signature.c \
	src/view/signature.h \
	src/view/view.c
