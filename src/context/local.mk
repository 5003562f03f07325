noinst_LIBRARIES += src/context/libcontext.a
src_context_libcontext_a_SOURCES = \
	include/kiln/context/context.h \
	include/kiln/context/remote.h \
	src/context/archive.c \
	src/context/chmod.c \
	src/context/context.c \
	src/context/copy.c \
	src/context/git.c \
	src/context/git-run.c \
	src/context/git-run.h \
	src/context/hash.c \
	src/context/hide.c \
	src/context/remote.c \
	src/context/remote-http.c \
	src/context/select.c \
	src/context/statcache.c \
	src/context/statcache.h \
	src/context/target.c \
	src/context/target.h \
	src/context/walk.c \
	src/context/walk.h
