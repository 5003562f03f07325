noinst_LIBRARIES += src/oci/liboci.a
src_oci_liboci_a_SOURCES = \
	include/kiln/oci/annotation.h \
	include/kiln/oci/image.h \
	include/kiln/oci/reference.h \
	src/oci/annotation.c \
	src/oci/config.c \
	src/oci/config-edit.c \
	src/oci/manifest.c \
	src/oci/platform.c \
	src/oci/reference.c \
	src/oci/source.c
