/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "kiln/image/image.h"
#include "kiln/oci/reference.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct save_options {
	const char *format, *output;
};

#define AT(member) offsetof(struct save_options, member)
static const struct option_spec options[] = {
	{ "format", 0, OPTION_STRING, AT(format), "FORMAT", "oci-archive (default), oci-dir, docker-archive" },
	{ "output", 'o', OPTION_STRING, AT(output), "PATH", "file or directory; standard output without it" },
	{ NULL },
};

static int parse_format(const char *text, enum save_format *format, struct err *err)
{
	static const struct {
		const char *name;
		enum save_format format;
	} formats[] = {
		{ "oci-archive", SAVE_OCI_ARCHIVE },
		{ "oci-dir", SAVE_OCI_DIR },
		{ "docker-archive", SAVE_DOCKER_ARCHIVE },
	};
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		if (strcmp(text, formats[i].name) == 0) {
			*format = formats[i].format;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE, "unknown format \"%s\": oci-archive, oci-dir or docker-archive", text);
}

/* The name under which an image was asked for, unless it was an id. */
static const char *name_of(struct store *store, struct arena *arena, const char *text, const struct image *image)
{
	struct digest named;
	const char *name = canonical_name(arena, text, NULL);
	return name && store_name_get(store, name, &named, NULL) == 0 && digest_equal(&named, &image->id) ? name : NULL;
}

static int save_to(struct store *store, struct arena *arena, struct save_spec *spec, const char *output,
		   struct err *err)
{
	struct stat st;
	if (spec->format == SAVE_OCI_DIR) {
		spec->out_path = output;
		return image_save(store, arena, spec, NULL, err);
	}
	if (!output) {
		spec->out_fd = STDOUT_FILENO;
		return image_save(store, arena, spec, NULL, err);
	}
	if (fstatat(AT_FDCWD, output, &st, 0) == 0 && !S_ISREG(st.st_mode)) {
		scope_fd int fd = file_open_user(output, O_WRONLY, 0, err);
		spec->out_fd = fd;
		return fd < 0 ? -1 : image_save(store, arena, spec, NULL, err);
	}
	scope_new_file struct new_file file = NEW_FILE_EMPTY;
	const char *base = path_base(output);
	const char *parent = base == output ? "." : arena_strndup(arena, output, (size_t)(base - output));
	scope_fd int dir = file_open_user(parent, O_RDONLY | O_DIRECTORY, 0, err);
	if (dir < 0 || new_file_create(&file, dir, 0644, err) < 0)
		return -1;
	spec->out_fd = file.fd;
	if (image_save(store, arena, spec, NULL, err) < 0)
		return -1;
	return new_file_publish(&file, base, false, err);
}

static int save_images(struct invocation *invocation, struct err *err)
{
	const struct save_options *o = invocation->options;
	struct arena *arena = invocation->arena;
	struct save_spec spec = { .count = invocation->arg_count, .epoch = INT64_MIN, .out_fd = -1 };
	if (parse_format(o->format ? o->format : "oci-archive", &spec.format, err) < 0)
		return -1;
	if (!o->output && (spec.format == SAVE_OCI_DIR || isatty(STDOUT_FILENO)))
		return err_set(err, ERR_USAGE,
			       spec.format == SAVE_OCI_DIR ? "--format oci-dir needs -o DIRECTORY"
							   : "refusing to write an archive to a terminal: use -o FILE");
	scope_store struct store *store = NULL;
	if (invocation_store(invocation, STORE_CREATE, &store, err) < 0)
		return -1;
	struct digest *images = arena_array(arena, struct digest, spec.count);
	const char **names = arena_array(arena, const char *, spec.count);
	for (size_t i = 0; i < spec.count; i++) {
		struct image image;
		if (image_find(store, arena, invocation->args[i], &image, err) < 0)
			return -1;
		images[i] = image.id;
		names[i] = name_of(store, arena, invocation->args[i], &image);
	}
	spec.images = images;
	spec.names = names;
	return save_to(store, arena, &spec, o->output, err) < 0
		       ? err_wrap(err, "save to %s", o->output ? o->output : "standard output")
		       : 0;
}

const struct command command_save = {
	.name = "save",
	.synopsis = "[OPTIONS] IMAGE...",
	.summary = "Write images to an archive or a directory",
	.options = options,
	.options_size = sizeof(struct save_options),
	.min_args = 1,
	.max_args = SIZE_MAX,
	.is_inside = true,
	.run = save_images,
};
