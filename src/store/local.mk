noinst_LIBRARIES += src/store/libstore.a
src_store_libstore_a_SOURCES = \
	include/kiln/store/store.h \
	src/store/blob.c \
	src/store/cache.c \
	src/store/compare.c \
	src/store/form.c \
	src/store/gc.c \
	src/store/images.c \
	src/store/internal.h \
	src/store/layer-tar.c \
	src/store/layers.c \
	src/store/lock.c \
	src/store/mark.c \
	src/store/mounts.c \
	src/store/names.c \
	src/store/record.c \
	src/store/store.c \
	src/store/sync.c \
	src/store/verify-layer.c \
	src/store/verify.c \
	src/store/verify.h \
	src/store/work.c
