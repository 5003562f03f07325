noinst_LIBRARIES += src/base/libbase.a
src_base_libbase_a_SOURCES = \
	include/kiln/base/arena.h \
	include/kiln/base/err.h \
	include/kiln/base/file.h \
	include/kiln/base/library.h \
	include/kiln/base/log.h \
	include/kiln/base/owner.h \
	include/kiln/base/proc.h \
	include/kiln/base/root.h \
	include/kiln/base/scope.h \
	include/kiln/base/strbuf.h \
	include/kiln/base/text.h \
	src/base/arena.c \
	src/base/csv.c \
	src/base/dir-stack.c \
	src/base/dir-stack.h \
	src/base/err.c \
	src/base/file.c \
	src/base/file-copy.c \
	src/base/file-new.c \
	src/base/file-tree.c \
	src/base/library.c \
	src/base/log.c \
	src/base/owner.c \
	src/base/path.c \
	src/base/proc.c \
	src/base/proc-run.c \
	src/base/root.c \
	src/base/strbuf.c \
	src/base/text.c \
	src/base/time.c
