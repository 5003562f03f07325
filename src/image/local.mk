noinst_LIBRARIES += src/image/libimage.a
src_image_libimage_a_SOURCES = \
	include/kiln/image/image.h \
	src/image/archive.c \
	src/image/commit.c \
	src/image/container.c \
	src/image/find.c \
	src/image/import.c \
	src/image/internal.h \
	src/image/load.c \
	src/image/load-docker.c \
	src/image/load-layers.c \
	src/image/load-oci.c \
	src/image/manifest.c \
	src/image/save.c \
	src/image/save-docker.c \
	src/image/save-oci.c \
	src/image/stream.c \
	src/image/unpack.c
