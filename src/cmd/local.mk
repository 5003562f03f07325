kiln_SOURCES = \
	src/cmd/command.h \
	src/cmd/progress.h \
	src/cmd/build.c \
	src/cmd/call.c \
	src/cmd/call.h \
	src/cmd/doctor.c \
	src/cmd/history.c \
	src/cmd/images.c \
	src/cmd/import.c \
	src/cmd/inspect.c \
	src/cmd/load.c \
	src/cmd/main.c \
	src/cmd/options.c \
	src/cmd/progress.c \
	src/cmd/rmi.c \
	src/cmd/run.c \
	src/cmd/save.c \
	src/cmd/system.c \
	src/cmd/tag.c \
	src/cmd/unshare.c \
	src/cmd/version.c
