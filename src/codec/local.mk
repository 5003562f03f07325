noinst_LIBRARIES += src/codec/libcodec.a
src_codec_libcodec_a_SOURCES = \
	include/kiln/codec/digest.h \
	include/kiln/codec/json.h \
	include/kiln/codec/stream.h \
	include/kiln/codec/untar.h \
	src/codec/decode.c \
	src/codec/decode.h \
	src/codec/decompress.c \
	src/codec/digest.c \
	src/codec/gzip.c \
	src/codec/inflate.c \
	src/codec/json.c \
	src/codec/json-table.c \
	src/codec/json-text.h \
	src/codec/json-value.c \
	src/codec/json-write.c \
	src/codec/libarchive.c \
	src/codec/libarchive.h \
	src/codec/stream.c \
	src/codec/tar-block.c \
	src/codec/tar-entry.c \
	src/codec/tar-pax.c \
	src/codec/tar-sparse.c \
	src/codec/tarcheck.c \
	src/codec/tarcheck.h \
	src/codec/untar.c \
	src/codec/zstd.c
