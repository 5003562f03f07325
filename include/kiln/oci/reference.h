/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KILN_OCI_REFERENCE_H
#define KILN_OCI_REFERENCE_H

#include "kiln/base/arena.h"

/*
 * Image names: distribution's grammar, docker's normalisation (registry.md 1.2). "app" is
 * docker.io/library/app:latest. Pure.
 */
struct reference {
	const char *registry;   /* "docker.io", "localhost:5000" */
	const char *repository; /* "library/app" */
	const char *tag;        /* NULL only when there is a digest alone */
	const char *digest;     /* "sha256:...", or NULL */
};

/* ERR_INPUT: invalid reference "X": why. Upper-case repositories get docker's words ("repository name must be lowercase"). A 64-hex
   text is not a name. A missing tag becomes "latest" unless there is a digest. */
int reference_parse(struct arena *arena, const char *text, struct reference *out, struct err *err) MUST_CHECK;
char *reference_text(struct arena *arena, const struct reference *reference);     /* canonical, whole */
char *reference_familiar(struct arena *arena, const struct reference *reference); /* "app:latest" */
/* "app" / "library-less" repository part as docker images prints it: no tag. */
char *reference_familiar_name(struct arena *arena, const struct reference *reference);

/* FROM's and -o's transports: "oci:DIR[:TAG]", "oci-archive:FILE[:TAG]", "docker-archive:FILE[:NAME]", else a name. */
enum transport { TRANSPORT_NAME, TRANSPORT_OCI_DIR, TRANSPORT_OCI_ARCHIVE, TRANSPORT_DOCKER_ARCHIVE };
struct image_source {
	enum transport transport;
	const char *path;      /* of the archive or directory */
	const char *selector;  /* tag or name in it, or NULL */
	struct reference name; /* TRANSPORT_NAME */
};
int image_source_parse(struct arena *arena, const char *text, struct image_source *out, struct err *err) MUST_CHECK;

#endif
