noinst_LIBRARIES += src/sandbox/libsandbox.a
src_sandbox_libsandbox_a_SOURCES = \
	include/kiln/sandbox/cage.h \
	include/kiln/sandbox/enter.h \
	include/kiln/sandbox/idmap.h \
	include/kiln/sandbox/network.h \
	include/kiln/sandbox/probe.h \
	include/kiln/sandbox/sandbox.h \
	include/kiln/sandbox/user.h \
	src/sandbox/caps.c \
	src/sandbox/caps.h \
	src/sandbox/enter.c \
	src/sandbox/idmap.c \
	src/sandbox/idmap.h \
	src/sandbox/mount.c \
	src/sandbox/mount.h \
	src/sandbox/stubs.c \
	src/sandbox/stubs.h \
	src/sandbox/user.c
