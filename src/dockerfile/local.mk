noinst_LIBRARIES += src/dockerfile/libdockerfile.a
src_dockerfile_libdockerfile_a_SOURCES = \
	include/kiln/dockerfile/dockerfile.h \
	include/kiln/dockerfile/expand.h \
	include/kiln/dockerfile/expose.h \
	include/kiln/dockerfile/lint.h \
	include/kiln/dockerfile/match.h \
	src/dockerfile/copy-words.c \
	src/dockerfile/duration.c \
	src/dockerfile/excerpt.c \
	src/dockerfile/expand.c \
	src/dockerfile/expose.c \
	src/dockerfile/flags.c \
	src/dockerfile/glob.c \
	src/dockerfile/healthcheck.c \
	src/dockerfile/heredoc.c \
	src/dockerfile/ignore.c \
	src/dockerfile/ignore-compile.c \
	src/dockerfile/ignore.h \
	src/dockerfile/ignore-run.c \
	src/dockerfile/instructions.c \
	src/dockerfile/internal.h \
	src/dockerfile/json-words.c \
	src/dockerfile/letters.h \
	src/dockerfile/lex.c \
	src/dockerfile/lines.c \
	src/dockerfile/lint.c \
	src/dockerfile/lint.h \
	src/dockerfile/lint-rules.c \
	src/dockerfile/node.c \
	src/dockerfile/parse.c \
	src/dockerfile/path-match.c \
	src/dockerfile/runes.c \
	src/dockerfile/stopsignal.c \
	src/dockerfile/substitute.c \
	src/dockerfile/words.c
