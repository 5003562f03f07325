noinst_LIBRARIES += src/net/libnet.a
src_net_libnet_a_SOURCES = \
	include/kiln/net/http.h \
	src/net/http.c \
	src/net/internal.h \
	src/net/libcurl.c \
	src/net/libcurl.h \
	src/net/transfer.c \
	src/net/url.c
